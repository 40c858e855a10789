//! Images of the machine's engine.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{caller::Caller, error::Result, record::EventSink};

/// An image on the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// `sha256:…`.
    pub id: String,
    /// `repo@sha256:…`.
    pub digests: Vec<String>,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Signal its containers ask to be stopped with.
    pub stop_signal: Option<String>,
}

/// Credentials for one registry. `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
    /// OAuth identity token.
    pub identity_token: Option<String>,
    /// The registry.
    pub server_address: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// How to pull.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullOptions {
    /// Credentials.
    pub credentials: Option<Credentials>,
    /// Whole pull, milliseconds; 0 for the default of 5 min.
    pub timeout_ms: u32,
    /// `linux/arm64`.
    pub platform: Option<String>,
}

/// The engine's images; `wit/host/images.wit` is the promise of each call that drivers make.
#[async_trait]
pub trait Images: Send + Sync {
    /// The image a reference names.
    async fn find(&self, caller: &Caller, reference: &str) -> Result<Option<Image>>;
    /// The image a container was made of, asked by the agent. Its digests begin with those under the name that the
    /// container was made by. None when the engine does not say.
    async fn of_container(&self, caller: &Caller, container: &str) -> Result<Option<Image>>;
    /// Pulls, with progress as task events on `events`.
    async fn pull(
        &self,
        caller: &Caller,
        reference: &str,
        options: &PullOptions,
        events: &dyn EventSink,
    ) -> Result<Image>;
    /// Loads an archive (an allocation path); answers the references it held.
    async fn load(&self, caller: &Caller, path: &str) -> Result<Vec<String>>;
    /// The caller's task no longer needs it.
    async fn release(&self, caller: &Caller, reference: &str) -> Result<()>;
}
