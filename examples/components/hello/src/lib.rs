//! A task for the `wasm` driver: answers every HTTP request with a line that says where it runs.
//!
//! ```sh
//! cargo build --release --target wasm32-wasip2
//! ```

use wasip2::{
    exports::http::incoming_handler::Guest,
    http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam},
};

struct Hello;

wasip2::http::proxy::export!(Hello);

impl Guest for Hello {
    fn handle(_: IncomingRequest, out: ResponseOutparam) {
        let headers = Fields::new();
        // Both fail only for malformed or forbidden headers and for a second call, which these are not.
        let _ = headers.set("content-type", &[b"text/plain; charset=utf-8".to_vec()]);
        let response = OutgoingResponse::new(headers);
        let body = response.body();
        ResponseOutparam::set(out, Ok(response));
        let Ok(body) = body else { return };
        if let Ok(stream) = body.write() {
            // A client that went away is no failure of ours.
            let _ = stream.blocking_write_and_flush(greeting().as_bytes());
        }
        let _ = OutgoingBody::finish(body, None);
    }
}

fn greeting() -> String {
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| "?".into());
    format!("hello from longshore, allocation {}, task {}\n", variable("NOMAD_ALLOC_ID"), variable("NOMAD_TASK_NAME"))
}
