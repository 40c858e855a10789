//! How handlers answer: JSON with the state's index, or one line of text and a status.

use std::time::Duration;

use axum::{
    Json,
    extract::FromRequestParts,
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use longshore_core::{driver::DriverError, error::HostError};
use longshore_job::model::parse_duration;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::Api;
use crate::{ControlError, SubmitError};

/// Longest a read waits for something newer.
const MAX_WAIT: Duration = Duration::from_secs(300);

/// Result of a handler.
pub(super) type Result<T> = std::result::Result<T, Refused>;

/// A JSON document and the index it is of.
pub(super) struct Answer<T> {
    pub(super) index: u64,
    pub(super) body: T,
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        let headers = [
            ("X-Nomad-Index", self.index.to_string()),
            ("X-Nomad-KnownLeader", "true".into()),
            ("X-Nomad-LastContact", "0".into()),
        ];
        (headers, Json(self.body)).into_response()
    }
}

/// A status and a line that says why.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) text: String,
}

impl Refused {
    pub(super) fn invalid(text: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, text: text.into() }
    }

    pub(super) fn not_found(text: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, text: text.into() }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
        (self.status, kind, self.text).into_response()
    }
}

impl From<SubmitError> for Refused {
    fn from(error: SubmitError) -> Self {
        let status = match &error {
            SubmitError::Invalid(_) => StatusCode::BAD_REQUEST,
            SubmitError::Unplaceable(_) | SubmitError::Conflict { .. } => StatusCode::CONFLICT,
            SubmitError::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, text: error.to_string() }
    }
}

impl From<ControlError> for Refused {
    fn from(error: ControlError) -> Self {
        let status = match &error {
            ControlError::UnknownJob(_)
            | ControlError::UnknownAllocation(_)
            | ControlError::NotRunning(_)
            | ControlError::NotStarted(_)
            | ControlError::LogsDisabled(_) => StatusCode::NOT_FOUND,
            ControlError::UnknownTask { .. } | ControlError::Invalid(_) => StatusCode::BAD_REQUEST,
            ControlError::Driver(DriverError::Unsupported { .. }) => StatusCode::BAD_REQUEST,
            ControlError::Driver(error) => error.reason().map_or(StatusCode::INTERNAL_SERVER_ERROR, status_of),
            ControlError::Host(error) => status_of(error),
            ControlError::File { .. } | ControlError::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, text: error.to_string() }
    }
}

fn status_of(error: &HostError) -> StatusCode {
    match error {
        HostError::NotFound(_) => StatusCode::NOT_FOUND,
        HostError::Invalid(_) => StatusCode::BAD_REQUEST,
        HostError::Conflict(_) => StatusCode::CONFLICT,
        HostError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        HostError::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
        HostError::Denied(_) | HostError::Limit(_) | HostError::Other(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The query parameters every read knows.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Read {
    /// Wait until something is newer.
    index: u64,
    /// At most so long: a Go duration.
    wait: String,
    /// Ids that begin so.
    pub(super) prefix: String,
}

impl Read {
    /// Waits if it was asked for; answers the index of what is read after this.
    pub(super) async fn hold(&self, api: &Api) -> u64 {
        if self.index > 0 {
            let mut watch = api.agent.watch();
            let newer = watch.wait_for(|now| *now > self.index);
            tokio::select! {
                _ = tokio::time::timeout(self.longest(), newer) => {}
                () = api.ending.cancelled() => {}
            }
        }
        api.agent.index()
    }

    fn longest(&self) -> Duration {
        let wait = parse_duration(&self.wait).ok().and_then(|wait| u64::try_from(wait).ok()).filter(|wait| *wait > 0);
        wait.map_or(MAX_WAIT, |wait| Duration::from_nanos(wait).min(MAX_WAIT))
    }
}

/// Query parameters; what does not parse is refused in one line.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let parsed = axum::extract::Query::<T>::try_from_uri(&parts.uri);
        parsed.map(|query| Self(query.0)).map_err(|error| Refused::invalid(error.body_text()))
    }
}

/// Reads a JSON body whatever its content type says, as Go's decoder would.
pub(super) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| Refused::invalid(format!("the body does not parse: {error}")))
}

/// As [`json`], with the keys of the body itself in any case, and null for what is not given, as Go reads them. `T`
/// names all its own keys.
pub(super) fn json_of_any_case<T: Default + Serialize + DeserializeOwned>(body: &[u8]) -> Result<T> {
    let mut given: Value = json(body)?;
    let own = serde_json::to_value(T::default()).unwrap_or_default();
    if let (Value::Object(given), Value::Object(own)) = (&mut given, own) {
        given.retain(|_, value| !value.is_null());
        for name in own.keys().filter(|name| !given.contains_key(*name)).collect::<Vec<_>>() {
            let other = given.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned();
            if let Some(value) = other.and_then(|other| given.remove(&other)) {
                given.insert(name.clone(), value);
            }
        }
    }
    T::deserialize(given).map_err(|error| Refused::invalid(format!("the body does not parse: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_in_any_case() {
        #[derive(Default, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "PascalCase", default)]
        struct Asked {
            job: Value,
            enforce_index: bool,
        }
        let asked = |id: &str, enforce_index| Asked { job: serde_json::json!({"ID": id}), enforce_index };
        for (body, expected) in [
            (r#"{"Job": {"ID": "a"}, "EnforceIndex": true}"#, asked("a", true)),
            (r#"{"job": {"ID": "a"}, "ENFORCEINDEX": true, "other": 1}"#, asked("a", true)),
            (r#"{"JOB": {"ID": "b"}, "Job": {"ID": "a"}, "enforceIndex": null}"#, asked("a", false)),
        ] {
            let read = json_of_any_case::<Asked>(body.as_bytes());
            assert!(read.as_ref().is_ok_and(|read| *read == expected), "{body}");
        }
        assert!(json_of_any_case::<Asked>(br#"{"EnforceIndex": 1}"#).is_err());
        assert!(json_of_any_case::<Asked>(b"[").is_err());
    }

    #[test]
    fn waits_are_go_durations_up_to_five_minutes() {
        let table =
            [("", 300_000), ("300000ms", 300_000), ("2s", 2_000), ("10h", 300_000), ("-1s", 300_000), ("x", 300_000)];
        for (wait, expected) in table {
            let read = Read { wait: wait.into(), ..Read::default() };
            assert_eq!(read.longest(), Duration::from_millis(expected), "{wait:?}");
        }
    }
}
