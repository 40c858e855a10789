//! What a driver's component may import: what it imports ∩ what the operator allowed.
//!
//! Pure: `host/wasm` reads the imports from the component's type, asks [`decide`], and links what was granted.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The contract's host package, without a version.
pub const HOST_PACKAGE: &str = "longshore:host";
/// Version of the contract this host offers.
pub const HOST_VERSION: (u64, u64, u64) = (0, 1, 0);

/// One right an operator gives a driver.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Grant {
    /// `longshore:host/state`.
    State,
    /// `longshore:host/files`.
    Files,
    /// `longshore:host/ports`.
    Ports,
    /// `longshore:host/networks`.
    Networks,
    /// `longshore:host/containers`.
    Containers,
    /// `longshore:host/images`.
    Images,
    /// `longshore:host/processes`.
    Processes,
    /// `longshore:host/components`.
    Components,
    /// `wasi:http/outgoing-handler`, to one named engine: written `http:<name>`.
    Http(String),
}

/// What a driver was granted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Grants(pub BTreeSet<Grant>);

/// A name that is no grant.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "unknown grant {0:?}; the grants are state, files, ports, networks, containers, images, processes, components and http:<engine>"
)]
pub struct UnknownGrant(pub String);

/// Why a component may not be loaded.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// It imports an interface that was not granted.
    #[error(
        "imports `{import}` without the grant `{grant}`; to allow it add {grant:?} to `grants` of this driver in the agent's configuration"
    )]
    NotGranted {
        /// The import as the component names it.
        import: String,
        /// The grant that would allow it.
        grant: String,
    },
    /// It imports an interface this host does not have.
    #[error("imports `{import}`, which this host does not offer{hint}")]
    NotOffered {
        /// The import as the component names it.
        import: String,
        /// What may be meant, beginning with `; `, or empty.
        hint: String,
    },
}

impl Grant {
    /// The interfaces of [`HOST_PACKAGE`] that need a grant, by name.
    const INTERFACES: [(&'static str, Grant); 8] = [
        ("components", Grant::Components),
        ("containers", Grant::Containers),
        ("files", Grant::Files),
        ("images", Grant::Images),
        ("networks", Grant::Networks),
        ("ports", Grant::Ports),
        ("processes", Grant::Processes),
        ("state", Grant::State),
    ];

    /// Every grant but `http:…`, which names an engine.
    pub fn all_interfaces() -> impl Iterator<Item = Grant> {
        Self::INTERFACES.into_iter().map(|(_, grant)| grant)
    }
}

/// Interfaces of [`HOST_PACKAGE`] that every driver may import.
const ALWAYS: [&str; 4] = ["events", "log", "settings", "types"];

/// Decides about a component's imports (`package:name/interface@version`). `Ok` holds the grants it will use;
/// `Err` holds one refusal for each import that cannot be linked.
pub fn decide<'a>(imports: impl IntoIterator<Item = &'a str>, allowed: &Grants) -> Result<Grants, Vec<Refusal>> {
    let mut used = BTreeSet::new();
    let mut refusals = Vec::new();
    for import in imports {
        match need(import) {
            Ok(Need::Nothing) => {}
            Ok(Need::Grant(grant)) if allowed.0.contains(&grant) => {
                used.insert(grant);
            }
            Ok(Need::Grant(grant)) => {
                refusals.push(Refusal::NotGranted { import: import.into(), grant: grant.to_string() })
            }
            Ok(Need::AnyEngine) => {
                let engines: Vec<_> = allowed.0.iter().filter(|g| matches!(g, Grant::Http(_))).cloned().collect();
                if engines.is_empty() {
                    refusals.push(Refusal::NotGranted { import: import.into(), grant: "http:<engine>".into() });
                }
                used.extend(engines);
            }
            Err(hint) => refusals.push(Refusal::NotOffered { import: import.into(), hint }),
        }
    }
    if refusals.is_empty() { Ok(Grants(used)) } else { Err(refusals) }
}

/// What an import needs.
enum Need {
    Nothing,
    Grant(Grant),
    AnyEngine,
}

fn need(import: &str) -> Result<Need, String> {
    let (path, version) = import.split_once('@').unwrap_or((import, ""));
    let Some((package, interface)) = path.split_once('/') else {
        return Err("; only interfaces can be imported".into());
    };
    match package {
        HOST_PACKAGE => {
            check_version(version)?;
            if ALWAYS.contains(&interface) {
                return Ok(Need::Nothing);
            }
            let known = Grant::INTERFACES.iter().find(|(name, _)| *name == interface);
            known.map(|(_, grant)| Need::Grant(grant.clone())).ok_or_else(|| {
                let names: Vec<_> = Grant::INTERFACES.iter().map(|(name, _)| *name).chain(ALWAYS).collect();
                format!("; {HOST_PACKAGE} has {}", names.join(", "))
            })
        }
        "longshore:driver" if interface == "types" => Ok(Need::Nothing),
        "wasi:http" if interface == "types" => Ok(Need::Nothing),
        "wasi:http" => Ok(Need::AnyEngine),
        // The locked-down WASI: linked for every language's runtime, opens nothing.
        "wasi:cli" | "wasi:clocks" | "wasi:filesystem" | "wasi:io" | "wasi:random" | "wasi:sockets" => {
            Ok(Need::Nothing)
        }
        _ => Err(String::new()),
    }
}

/// A component asks for `version` of the host package; ours must be the same 0.x line. What a newer patch of
/// that line added is caught at link time.
fn check_version(version: &str) -> Result<(), String> {
    let (major, minor, patch) = HOST_VERSION;
    let offered = format!("; this host offers {HOST_PACKAGE}@{major}.{minor}.{patch}");
    let mut parts = version.split('.').map(|part| part.parse::<u64>().ok());
    match (parts.next().flatten(), parts.next().flatten()) {
        (Some(a), Some(b)) if (a, b) == (major, minor) => Ok(()),
        _ => Err(offered),
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(engine) => write!(f, "http:{engine}"),
            interface => {
                let name = Self::INTERFACES.iter().find(|(_, grant)| grant == interface).map_or("", |(name, _)| name);
                f.write_str(name)
            }
        }
    }
}

impl FromStr for Grant {
    type Err = UnknownGrant;

    fn from_str(text: &str) -> Result<Self, UnknownGrant> {
        if let Some(engine) = text.strip_prefix("http:").filter(|engine| !engine.is_empty()) {
            return Ok(Self::Http(engine.into()));
        }
        let known = Self::INTERFACES.iter().find(|(name, _)| *name == text);
        known.map(|(_, grant)| grant.clone()).ok_or_else(|| UnknownGrant(text.into()))
    }
}

impl From<Grant> for String {
    fn from(grant: Grant) -> Self {
        grant.to_string()
    }
}

impl TryFrom<String> for Grant {
    type Error = UnknownGrant;

    fn try_from(text: String) -> Result<Self, UnknownGrant> {
        text.parse()
    }
}

impl FromIterator<Grant> for Grants {
    fn from_iter<I: IntoIterator<Item = Grant>>(grants: I) -> Self {
        Self(grants.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(names: &[&str]) -> Grants {
        names.iter().map(|name| name.parse::<Grant>().unwrap()).collect()
    }

    #[test]
    fn imports_meet_grants() {
        type Row<'a> = (&'a [&'a str], &'a [&'a str], Result<&'a [&'a str], &'a str>);
        let table: &[Row] = &[
            (&[], &[], Ok(&[])),
            (&["longshore:host/processes@0.1.0"], &[], Err("without the grant `processes`")),
            (&["longshore:host/processes@0.1.0"], &["processes", "files"], Ok(&["processes"])),
            (&["longshore:host/log@0.1.0", "longshore:host/types@0.1.0"], &[], Ok(&[])),
            (&["longshore:host/containers@0.1.9"], &["containers"], Ok(&["containers"])),
            (&["longshore:host/containers@0.2.0"], &["containers"], Err("offers longshore:host@0.1.0")),
            (&["longshore:host/containers"], &["containers"], Err("offers longshore:host@0.1.0")),
            (&["longshore:host/secrets@0.1.0"], &["state"], Err("does not offer")),
            (&["wasi:io/streams@0.2.6", "wasi:sockets/tcp@0.2.6"], &[], Ok(&[])),
            (&["wasi:http/outgoing-handler@0.2.6"], &[], Err("`http:<engine>`")),
            (&["wasi:http/outgoing-handler@0.2.6"], &["http:lxd"], Ok(&["http:lxd"])),
            (&["evil:escape/hatch"], &["state"], Err("does not offer")),
            (&["bare-function"], &["state"], Err("only interfaces")),
        ];
        for (imports, allowed, expected) in table {
            let decided = decide(imports.iter().copied(), &grants(allowed));
            match (decided, expected) {
                (Ok(used), Ok(names)) => assert_eq!(used, grants(names), "{imports:?}"),
                (Err(refusals), Err(text)) => {
                    let said = refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
                    assert!(said.contains(text), "{imports:?}: {said}");
                }
                (decided, expected) => panic!("{imports:?}: {decided:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn every_refusal_is_told() {
        let imports = ["longshore:host/processes@0.1.0", "longshore:host/containers@0.1.0"];
        assert_eq!(decide(imports, &Grants::default()).unwrap_err().len(), 2);
    }

    #[test]
    fn names_round_trip() {
        for grant in Grant::all_interfaces().chain([Grant::Http("lxd".into())]) {
            assert_eq!(grant.to_string().parse(), Ok(grant));
        }
        assert!("everything".parse::<Grant>().is_err());
        assert!("http:".parse::<Grant>().is_err());
    }
}
