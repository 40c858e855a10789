//! What a component is and what it would need here, told without giving it anything.

use std::collections::BTreeMap;

use longshore_core::{
    backends::Backends,
    caller::DriverName,
    driver::{Capabilities, Description},
    grant::{self, Grants, Refusal},
    policy::Policy,
};
use serde::Serialize;

use crate::{
    engine::Engine,
    limits::OperationLimits,
    linker::{Linked, Linkers},
    loader::{Candidate, LoadError, Source, describe},
    store::DriverHost,
};

/// What `driver inspect` shows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    /// Where it was read from.
    pub origin: String,
    /// SHA-256, hex.
    pub digest: String,
    /// Size of the file, bytes.
    pub size_bytes: u64,
    /// Its imports and what each needs here.
    pub imports: Vec<ImportNeed>,
    /// Its exports.
    pub exports: Vec<String>,
    /// Which optional interfaces of the contract are among them.
    pub capabilities: Capabilities,
    /// What it says of itself; none when `problems` prevent asking.
    pub description: Option<Description>,
    /// Why it cannot be loaded here as it is; empty when it can.
    pub problems: Vec<String>,
}

/// One import and whether it may have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImportNeed {
    /// As the component names it.
    pub import: String,
    /// The grant it needs; none when every driver may import it, or none could.
    pub grant: Option<String>,
    /// Whether it would be linked here.
    pub allowed: bool,
}

/// Looks at a component: what it imports against `allowed`, what it exports, and what it says of itself on an
/// instance that can call nothing.
pub async fn inspect(
    engine: &Engine,
    backends: &Backends,
    source: &Source,
    allowed: &Grants,
) -> Result<Inspection, LoadError> {
    let at = |problem| LoadError { origin: source.origin(), problem };
    let candidate = Candidate::examine(engine, source).await.map_err(at)?;
    let mut problems: Vec<String> = candidate.check_exports().err().iter().map(ToString::to_string).collect();
    let mut description = None;
    if problems.is_empty() {
        match ask(engine, backends, &candidate, source).await {
            Ok(said) => description = Some(said),
            Err(problem) => problems.push(problem.to_string()),
        }
    }
    let imports = candidate.imports.iter().map(|import| need(import, allowed, &mut problems)).collect();
    Ok(Inspection {
        origin: source.origin(),
        digest: candidate.digest.clone(),
        size_bytes: candidate.bytes,
        imports,
        exports: candidate.exports.clone(),
        capabilities: candidate.capabilities(),
        description,
        problems,
    })
}

async fn ask(
    engine: &Engine,
    backends: &Backends,
    candidate: &Candidate,
    source: &Source,
) -> Result<Description, crate::loader::Problem> {
    let host = DriverHost {
        name: DriverName(source.origin()),
        backends: backends.clone(),
        policy: Policy::default(),
        settings: "{}".into(),
        limits: OperationLimits::default(),
        engines: BTreeMap::new().into(),
    };
    let linkers = Linkers::new(engine);
    let runner = candidate.link(&linkers, &Linked::everything(), host)?;
    Ok(describe(&runner).await?.description)
}

fn need(import: &str, allowed: &Grants, problems: &mut Vec<String>) -> ImportNeed {
    let grant = match grant::decide([import], &Grants::default()) {
        Err(refusals) => refusals.into_iter().find_map(|refusal| match refusal {
            Refusal::NotGranted { grant, .. } => Some(grant),
            Refusal::NotOffered { .. } => None,
        }),
        Ok(_) => None,
    };
    let refusals = grant::decide([import], allowed).err().unwrap_or_default();
    problems.extend(refusals.iter().map(ToString::to_string));
    ImportNeed { import: import.into(), grant, allowed: refusals.is_empty() }
}
