//! A container engine: `docker {}`, or `engine {}` of a driver that has one of its own.

use std::{path::PathBuf, time::Duration};

use longshore_job::model::parse_duration;
use longshore_linux::engine::docker::{AuthSources, Dangling, ImageGc, PullLimits, TlsFiles};
use serde::{Deserialize, Deserializer, de::Error};

/// Shortest grace and activity time-out that make sense.
const MINUTE: Duration = Duration::from_secs(60);

/// The engine and what the agent does with it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContainerEngine {
    /// `unix:///path` or `tcp://host:port`; `DOCKER_HOST`, then the default socket, unless given.
    pub endpoint: Option<String>,
    /// TLS to it.
    pub tls: Option<Tls>,
    /// Credentials for registries.
    pub auth: Auth,
    /// What is removed when nobody needs it.
    pub gc: Gc,
    /// Time for a pull; 5 minutes unless given.
    #[serde(deserialize_with = "duration")]
    pub image_pull_timeout: Option<Duration>,
    /// Time for a pull without anything moving; 2 minutes unless given, at least one.
    #[serde(deserialize_with = "duration")]
    pub pull_activity_timeout: Option<Duration>,
    /// Leave the output of tasks to the engine.
    pub disable_log_collection: bool,
}

/// TLS to an engine: files in PEM.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// Certificates of the authority that vouches for the engine.
    pub ca: PathBuf,
    /// The agent's certificate.
    pub cert: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
}

/// Where credentials for registries are.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// A file like `~/.docker/config.json`.
    pub config: Option<PathBuf>,
    /// The helper `docker-credential-<helper>`.
    pub helper: Option<String>,
}

/// What is removed when nobody needs it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gc {
    /// Images without a task; true unless given.
    pub image: Option<bool>,
    /// How long after their last task; 3 minutes unless given.
    #[serde(deserialize_with = "duration")]
    pub image_delay: Option<Duration>,
    /// Containers of this agent that belong to no task.
    pub dangling_containers: DanglingContainers,
}

/// Containers of this agent that belong to no task.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DanglingContainers {
    /// Whether they are looked for; true unless given.
    pub enabled: Option<bool>,
    /// Only name them in the log.
    pub dry_run: bool,
    /// How often; 5 minutes unless given.
    #[serde(deserialize_with = "duration")]
    pub period: Option<Duration>,
    /// How old they must be; 5 minutes unless given, at least one.
    #[serde(deserialize_with = "duration")]
    pub creation_grace: Option<Duration>,
}

impl ContainerEngine {
    /// What no single key shows.
    pub fn check(&self) -> Result<(), String> {
        let at_least = |name: &str, given: Option<Duration>| match given {
            Some(given) if given < MINUTE => Err(format!("{name} is less than minimum, 1m0s")),
            _ => Ok(()),
        };
        if let Some(tls) = &self.tls {
            if tls.ca.as_os_str().is_empty() {
                return Err("tls: ca must name the certificates of the engine's authority".into());
            }
            if tls.cert.is_some() != tls.key.is_some() {
                return Err("tls: cert and key belong together".into());
            }
        }
        at_least("pull_activity_timeout", self.pull_activity_timeout)?;
        at_least("creation_grace", self.gc.dangling_containers.creation_grace)
    }

    /// The files of TLS.
    pub fn tls(&self) -> Option<TlsFiles> {
        let tls = self.tls.clone()?;
        Some(TlsFiles { ca: tls.ca, client: tls.cert.zip(tls.key) })
    }

    /// Where credentials are.
    pub fn auth(&self) -> AuthSources {
        AuthSources { config: self.auth.config.clone(), helper: self.auth.helper.clone() }
    }

    /// How long pulls may take.
    pub fn pull_limits(&self) -> PullLimits {
        let usual = PullLimits::default();
        PullLimits {
            whole: self.image_pull_timeout.unwrap_or(usual.whole),
            stalled: self.pull_activity_timeout.unwrap_or(usual.stalled),
        }
    }

    /// What becomes of unused images.
    pub fn image_gc(&self) -> ImageGc {
        let usual = ImageGc::default();
        ImageGc { enabled: self.gc.image.unwrap_or(usual.enabled), delay: self.gc.image_delay.unwrap_or(usual.delay) }
    }

    /// What becomes of containers that belong to no task.
    pub fn dangling(&self) -> Dangling {
        let (usual, given) = (Dangling::default(), &self.gc.dangling_containers);
        Dangling {
            enabled: given.enabled.unwrap_or(usual.enabled),
            dry_run: given.dry_run,
            creation_grace: given.creation_grace.unwrap_or(usual.creation_grace),
        }
    }
}

/// A duration as job files write it: `90s`, `1h30m`.
pub fn duration<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(input)?;
    let nanoseconds = parse_duration(&text).map_err(D::Error::custom)?;
    u64::try_from(nanoseconds)
        .map(|ns| Some(Duration::from_nanos(ns)))
        .map_err(|_| D::Error::custom("must not be negative"))
}
