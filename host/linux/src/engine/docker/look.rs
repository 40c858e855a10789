//! Containers as the engine describes them. Podman calls some states of theirs by names that Docker has not, and the
//! client library takes Docker's only, so these documents are read here.

use std::{collections::HashMap, time::Duration};

use bollard::models::{ContainerInspectResponse, ContainerSummary};
use longshore_core::error::Result;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;

use super::{
    connect::{CALL_SECONDS, Engine},
    owner::{is_id, not_found},
};

/// Longest description that is read, bytes: a list has some thousand for each container.
const MAX_BYTES: usize = 256 << 20;

impl Engine {
    /// What the engine knows of a container.
    pub(super) async fn inspect(&self, id: &str) -> Result<ContainerInspectResponse> {
        if !is_id(id) {
            return Err(not_found(id));
        }
        self.describe(&format!("/containers/{id}/json"), |seen| translate(seen, "/State/Status")).await
    }

    /// The containers, running or not, that have all these labels (`name=value`).
    pub(super) async fn list(&self, labels: Vec<String>) -> Result<Vec<ContainerSummary>> {
        let filters = serde_json::json!(HashMap::from([("label", labels)])).to_string();
        let filters = utf8_percent_encode(&filters, NON_ALPHANUMERIC);
        let each = |list: &mut Value| {
            list.as_array_mut().into_iter().flatten().for_each(|summary| translate(summary, "/State"));
        };
        self.describe(&format!("/containers/json?all=true&filters={filters}"), each).await
    }

    async fn describe<T: DeserializeOwned>(&self, path: &str, translate: fn(&mut Value)) -> Result<T> {
        let described = self.again(|| async {
            let read = async { self.read_stream(path).await?.all(self, MAX_BYTES).await };
            let said = timeout(Duration::from_secs(CALL_SECONDS), read).await.map_err(|_| self.too_slow())??;
            read_document(&said, translate).map_err(|error| self.unclear(&error))
        });
        // As with every call: those who wait for a container for days hold no room for it.
        Box::pin(described).await
    }
}

/// A document as it is, if it can be understood so, else translated.
fn read_document<T: DeserializeOwned>(said: &[u8], translate: fn(&mut Value)) -> serde_json::Result<T> {
    serde_json::from_slice(said).or_else(|_| {
        let mut document: Value = serde_json::from_slice(said)?;
        translate(&mut document);
        serde_json::from_value(document)
    })
}

/// Podman's word for a state as Docker's, where it is another.
fn translate(document: &mut Value, place: &str) {
    let Some(state) = document.pointer_mut(place) else { return };
    let docker = match state.as_str() {
        Some("configured" | "initialized") => "created",
        // It has ended, and is not cleaned up yet.
        Some("stopped") => "exited",
        _ => return,
    };
    *state = docker.into();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::docker::inspect::run_state;

    #[test]
    fn states_of_podman_are_understood() {
        let table = [
            ("stopped", "exited"),
            ("initialized", "created"),
            ("running", "running"),
            ("exited", "exited"),
            ("stopping", "stopping"),
        ];
        for (podman, docker) in table {
            let said = format!(r#"{{"Id": "a", "State": {{"Status": {podman:?}, "ExitCode": 3}}}}"#);
            let seen = |seen: &mut Value| translate(seen, "/State/Status");
            let seen: ContainerInspectResponse = read_document(said.as_bytes(), seen).unwrap();
            let state = seen.state.unwrap();
            assert_eq!(state.status.unwrap().to_string(), docker);
            let ended =
                matches!(run_state(&state), longshore_core::workload::RunState::Exited(end) if end.exit_code == 3);
            assert_eq!(ended, docker == "exited", "{podman}");
        }
        let cut = read_document::<Value>(br#"{"Id": "a", "#, |_| {}).unwrap_err();
        assert!(cut.is_eof(), "{cut}");
    }
}
