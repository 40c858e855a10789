//! One exchange with the service.

use longshore_sdk::Error;
use wasip2::http::{
    outgoing_handler,
    types::{Fields, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme},
};

/// The engine's name in the agent's configuration; where it is, only the host knows.
const ENGINE: &str = "jobs";
/// Most that is read of an answer, bytes.
const LONGEST: u64 = 4096;

/// Asks, and answers what was said.
pub fn ask(method: &Method, path: &str, body: &str) -> Result<String, Error> {
    let request = OutgoingRequest::new(Fields::new());
    let named = request
        .set_method(method)
        .and_then(|()| request.set_scheme(Some(&Scheme::Http)))
        .and_then(|()| request.set_authority(Some(ENGINE)))
        .and_then(|()| request.set_path_with_query(Some(path)));
    named.map_err(|()| Error::invalid(format!("{path:?} cannot be asked for")))?;
    let failed = |error: &dyn std::fmt::Debug| Error::Unavailable(format!("engine {ENGINE:?}: {error:?}"));
    let outgoing = request.body().map_err(|()| failed(&"no body"))?;
    let answer = outgoing_handler::handle(request, None).map_err(|error| failed(&error))?;
    outgoing.write().map_err(|()| failed(&"no body"))?.blocking_write_and_flush(body.as_bytes()).map_err(|e| failed(&e))?;
    OutgoingBody::finish(outgoing, None).map_err(|error| failed(&error))?;
    answer.subscribe().block();
    let response = answer.get().and_then(Result::ok).ok_or_else(|| failed(&"no answer"))?;
    let response = response.map_err(|error| failed(&error))?;
    let said = read(&response)?;
    match response.status() {
        200..300 => Ok(said),
        404 => Err(Error::NotFound(said)),
        status => Err(Error::Unavailable(format!("engine {ENGINE:?} answered {status}: {said}"))),
    }
}

fn read(response: &IncomingResponse) -> Result<String, Error> {
    let broken = || Error::Unavailable(format!("engine {ENGINE:?} broke off"));
    let body = response.consume().map_err(|()| broken())?;
    let stream = body.stream().map_err(|()| broken())?;
    let mut said = Vec::new();
    // An error is the end of the body.
    while let Ok(piece) = stream.blocking_read(LONGEST) {
        said.extend(piece);
        if said.len() as u64 >= LONGEST {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&said).trim().to_owned())
}
