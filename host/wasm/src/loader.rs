//! From bytes to a driver: every reason why not, each with what to do about it.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use longshore_core::{
    backends::Backends,
    caller::DriverName,
    driver::{Capabilities, Description, DriverError, DriverInfo},
    grant::{self, Grants, Refusal},
    policy::Policy,
};
use serde_json::Value;
use thiserror::Error;
use wasmtime::{
    Store,
    component::{Component, Instance},
};

use crate::{
    code::digest,
    driver::{LoadedDriver, Runner},
    engine::{CompileError, Engine},
    exports::Exports,
    http::HttpEngine,
    limits::OperationLimits,
    linker::{Linked, Linkers},
    store::{DriverHost, For, Operation},
    trap::one_line,
};

/// The contract's driver package.
const DRIVER_PACKAGE: &str = "longshore:driver";
/// What every driver exports.
const REQUIRED: [&str; 2] = ["about", "lifecycle"];

/// Where a component comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// Bytes that will be in a file once they have proved themselves.
    Coming {
        /// The file.
        path: PathBuf,
        /// The component.
        bytes: Bytes,
    },
    /// Bytes that are part of the program.
    Embedded {
        /// What to call them in errors.
        name: &'static str,
        /// The component.
        bytes: &'static [u8],
        /// Its SHA-256 in hex, where that is known: it is then not read while its compiled code is kept.
        digest: Option<&'static str>,
    },
}

impl Source {
    /// Every `*.wasm` of a directory, by name. A directory that is not there holds none.
    pub fn directory(directory: &Path) -> Result<Vec<Self>, LoadError> {
        let unreadable = |error| LoadError { origin: directory.display().to_string(), problem: Problem::Read(error) };
        let entries = match fs::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(unreadable)?,
        };
        let paths: io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
        let mut paths = paths.map_err(unreadable)?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "wasm"));
        paths.sort();
        Ok(paths.into_iter().map(Self::File).collect())
    }

    /// The path, or `embedded`.
    pub fn origin(&self) -> String {
        match self {
            Self::File(path) | Self::Coming { path, .. } => path.display().to_string(),
            Self::Embedded { .. } => "embedded".into(),
        }
    }

    fn in_errors(&self) -> String {
        match self {
            Self::File(path) | Self::Coming { path, .. } => path.display().to_string(),
            Self::Embedded { name, .. } => format!("embedded driver {name}"),
        }
    }
}

/// A driver to load and what the operator says about it.
#[derive(Clone, Debug)]
pub struct DriverConfig {
    /// The component.
    pub source: Source,
    /// The name it must have; none to take the one it says.
    pub name: Option<String>,
    /// What it may import.
    pub grants: Grants,
    /// What it may ask of engines.
    pub policy: Policy,
    /// Its settings, a JSON object.
    pub settings: Value,
    /// Limits of its operations.
    pub limits: OperationLimits,
    /// Engines that `http:<name>` grants speak of.
    pub engines: BTreeMap<String, HttpEngine>,
}

impl DriverConfig {
    /// A driver with nothing granted and everything else by default.
    pub fn new(source: Source) -> Self {
        Self {
            source,
            name: None,
            grants: Grants::default(),
            policy: Policy::default(),
            settings: Value::Object(Default::default()),
            limits: OperationLimits::default(),
            engines: BTreeMap::new(),
        }
    }
}

/// A component that is no driver here, and why.
#[derive(Debug, Error)]
#[error("{origin}: {problem}")]
pub struct LoadError {
    /// Where it came from.
    pub origin: String,
    /// What is wrong and what to do.
    #[source]
    pub problem: Problem,
}

/// Why a component cannot be loaded.
#[derive(Debug, Error)]
pub enum Problem {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Read(io::Error),
    /// Nothing in it.
    #[error("is empty; a driver is a WebAssembly component (build one with the SDK, or copy the file again)")]
    Empty,
    /// Larger than allowed.
    #[error("has {bytes} bytes; a component may have {limit}: strip its debug sections (`wasm-tools strip`)")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// A core module.
    #[error(
        "is a core WebAssembly module, not a component; make one of it with `wasm-tools component new {0} -o driver.wasm` \
         (modules built against WASI preview 1 need `--adapt` too)"
    )]
    CoreModule(String),
    /// The text format.
    #[error("is WebAssembly text; translate it with `wasm-tools parse`")]
    Text,
    /// Something else.
    #[error("is not a WebAssembly component: it begins with {0}; a component begins with 00 61 73 6d 0d 00 01 00")]
    NotWasm(String),
    /// A component that wasmtime does not accept.
    #[error("is not a valid component: {0}; was the file cut short while it was copied?")]
    Compile(#[from] CompileError),
    /// Required exports are missing.
    #[error("does not export {}, which every driver does: build it against the world `longshore:driver/driver@0.1.0`", names(.0))]
    MissingExports(Vec<String>),
    /// It was built against another contract.
    #[error("exports `{found}`, but this host speaks {DRIVER_PACKAGE}@0.1.0: rebuild the driver against that version")]
    OtherVersion {
        /// The export.
        found: String,
    },
    /// It imports what it may not.
    #[error("{}", lines(.0))]
    Imports(Vec<Refusal>),
    /// The names fit and the types do not.
    #[error("does not fit the contract 0.1.0: {0}; rebuild it against the WIT files of this host")]
    Types(String),
    /// It crashed while describing itself.
    #[error("cannot describe itself: {0}")]
    Describe(DriverError),
    /// A name that cannot be used.
    #[error("calls itself {0:?}; a driver's name has 1 to 64 lower-case letters, digits, `_` and `-`")]
    Name(String),
    /// Another name than configured.
    #[error("calls itself {found:?}, but is configured as driver {expected:?}: rename the `driver` block")]
    OtherName {
        /// The name it says.
        found: String,
        /// The configured one.
        expected: String,
    },
    /// A name that is taken.
    #[error("calls itself {name:?}, as does the driver loaded from {other}: remove one of them")]
    Duplicate {
        /// The name.
        name: String,
        /// Where the other came from.
        other: String,
    },
    /// A schema it publishes is no schema.
    #[error("its {which} is not a JSON Schema: {reason}; this is a mistake in the driver")]
    Schema {
        /// `config-schema` or `settings-schema`.
        which: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The operator's settings do not fit.
    #[error("the settings in the agent's configuration do not fit: {0}")]
    Settings(String),
}

fn names(exports: &[String]) -> String {
    exports.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ")
}

fn lines(refusals: &[Refusal]) -> String {
    refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// A component that was compiled, and what its type says.
pub(crate) struct Candidate {
    pub(crate) component: Component,
    pub(crate) digest: String,
    pub(crate) bytes: u64,
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
}

impl Candidate {
    /// Reads and compiles a component.
    pub(crate) async fn examine(engine: &Engine, source: &Source) -> Result<Self, Problem> {
        let bytes = read(source, engine.max_component_bytes())?;
        check_header(&bytes, &source.origin())?;
        let digest = match source {
            Source::Embedded { digest: Some(known), .. } => (*known).to_owned(),
            _ => digest(&bytes),
        };
        let component = engine.code(&digest, &bytes).await?;
        let kind = component.component_type();
        let imports = kind.imports(engine.wasmtime()).map(|(name, _)| name.to_owned()).collect();
        let exports = kind.exports(engine.wasmtime()).map(|(name, _)| name.to_owned()).collect();
        Ok(Self { component, digest, bytes: bytes.len() as u64, imports, exports })
    }

    /// Which optional interfaces it exports.
    pub(crate) fn capabilities(&self) -> Capabilities {
        let has = |interface| self.exports.iter().any(|export| is_ours(export, interface));
        Capabilities {
            signals: has("signals"),
            exec: has("exec"),
            stats: has("stats"),
            poll: has("poll"),
            network: has("network"),
        }
    }

    /// Whether it exports all that a driver must.
    pub(crate) fn check_exports(&self) -> Result<(), Problem> {
        let missing = |interface: &&str| !self.exports.iter().any(|export| is_ours(export, interface));
        let missing: Vec<_> = REQUIRED.into_iter().filter(missing).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let other = self.exports.iter().find(|export| export.starts_with(&format!("{DRIVER_PACKAGE}/{}", missing[0])));
        Err(match other {
            Some(found) => Problem::OtherVersion { found: found.clone() },
            None => {
                let name = |interface: &str| format!("{DRIVER_PACKAGE}/{interface}@0.1.0");
                Problem::MissingExports(missing.into_iter().map(name).collect())
            }
        })
    }

    /// Which of `allowed` it uses, or why it may not be loaded.
    pub(crate) fn decide(&self, allowed: &Grants) -> Result<Grants, Problem> {
        grant::decide(self.imports.iter().map(String::as_str), allowed).map_err(Problem::Imports)
    }

    fn needs_wasi(&self) -> bool {
        self.imports.iter().any(|import| import.starts_with("wasi:"))
    }

    /// Links it with the interfaces of `linked`, for a host.
    pub(crate) fn link(&self, linkers: &Linkers, linked: &Linked, host: DriverHost) -> Result<Runner, Problem> {
        let types = |error: wasmtime::Error| Problem::Types(one_line(&error));
        let linker = linkers.get(linked).map_err(types)?;
        let pre = linker.instantiate_pre(&self.component).map_err(types)?;
        let exports = Exports::find(&pre, self.capabilities()).map_err(types)?;
        Ok(Runner { engine: linkers.engine.clone(), host: Arc::new(host), pre, exports })
    }
}

/// Whether an export is an interface of our contract's version: the same 0.1 line.
fn is_ours(export: &str, interface: &str) -> bool {
    let rest = export.strip_prefix(DRIVER_PACKAGE).and_then(|rest| rest.strip_prefix('/'));
    let version = rest.and_then(|rest| rest.strip_prefix(interface)).and_then(|rest| rest.strip_prefix("@0.1."));
    version.is_some_and(|patch| patch.parse::<u64>().is_ok())
}

fn read(source: &Source, limit: u64) -> Result<Bytes, Problem> {
    let too_large = |bytes| if bytes > limit { Err(Problem::TooLarge { bytes, limit }) } else { Ok(()) };
    match source {
        Source::Embedded { bytes, .. } => {
            too_large(bytes.len() as u64)?;
            Ok(Bytes::from_static(bytes))
        }
        Source::Coming { bytes, .. } => {
            too_large(bytes.len() as u64)?;
            Ok(bytes.clone())
        }
        Source::File(path) => {
            let metadata = fs::metadata(path).map_err(Problem::Read)?;
            if !metadata.is_file() {
                return Err(Problem::Read(io::Error::other("it is not a file")));
            }
            too_large(metadata.len())?;
            fs::read(path).map(Bytes::from).map_err(Problem::Read)
        }
    }
}

/// Tells the usual mistakes apart before the compiler sees them.
fn check_header(bytes: &[u8], origin: &str) -> Result<(), Problem> {
    const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";
    const MODULE: [u8; 8] = *b"\0asm\x01\0\0\0";
    let text = bytes.trim_ascii_start();
    match bytes {
        [] => Err(Problem::Empty),
        _ if bytes.starts_with(&COMPONENT) => Ok(()),
        _ if bytes.starts_with(&MODULE) => Err(Problem::CoreModule(origin.into())),
        _ if text.starts_with(b"(component") || text.starts_with(b"(module") => Err(Problem::Text),
        _ => {
            let hex = bytes.iter().take(8).map(|byte| format!("{byte:02x}"));
            Err(Problem::NotWasm(hex.collect::<Vec<_>>().join(" ")))
        }
    }
}

/// Loads drivers for one host.
pub(crate) struct Loader {
    pub(crate) linkers: Linkers,
    pub(crate) backends: Backends,
}

impl Loader {
    pub(crate) fn new(engine: Engine, backends: Backends) -> Self {
        Self { linkers: Linkers::new(&engine), backends }
    }

    /// Loads a driver: compiled, checked, linked, instantiated once, and its settings found to fit.
    pub(crate) async fn load(&self, config: &DriverConfig) -> Result<LoadedDriver, LoadError> {
        let at = |problem| LoadError { origin: config.source.in_errors(), problem };
        self.try_load(config).await.map_err(at)
    }

    async fn try_load(&self, config: &DriverConfig) -> Result<LoadedDriver, Problem> {
        let candidate = Candidate::examine(&self.linkers.engine, &config.source).await?;
        candidate.check_exports()?;
        let grants = candidate.decide(&config.grants)?;
        let linked = Linked::new(&grants, candidate.needs_wasi());
        let mut runner = candidate.link(&self.linkers, &linked, self.host(config, &grants))?;
        let said = describe(&runner).await?;
        check_name(&said.description.name, config.name.as_deref())?;
        check_settings(&said.settings_schema, &config.settings)?;
        self.rename(&mut runner, &said.description.name);
        let info = DriverInfo {
            description: said.description,
            config_schema: said.config_schema,
            settings_schema: said.settings_schema,
            capabilities: candidate.capabilities(),
            digest: candidate.digest,
            origin: config.source.origin(),
            grants,
        };
        Ok(LoadedDriver { info: Arc::new(info), runner })
    }

    fn host(&self, config: &DriverConfig, grants: &Grants) -> DriverHost {
        let granted = |name: &String| grants.0.contains(&grant::Grant::Http(name.clone()));
        let engines = config.engines.iter().filter(|(name, _)| granted(name));
        DriverHost {
            name: DriverName(config.name.clone().unwrap_or_else(|| config.source.in_errors())),
            backends: self.backends.clone(),
            policy: config.policy.clone(),
            settings: config.settings.to_string(),
            limits: config.limits.clone(),
            engines: Arc::new(engines.map(|(name, engine)| (name.clone(), engine.clone())).collect()),
        }
    }

    /// From here on the driver is called as it calls itself. Nobody else holds its host yet.
    fn rename(&self, runner: &mut Runner, name: &str) {
        if let Some(host) = Arc::get_mut(&mut runner.host) {
            host.name = DriverName(name.into());
        }
    }
}

/// What a driver says of itself.
pub(crate) struct Said {
    pub(crate) description: Description,
    pub(crate) config_schema: Value,
    pub(crate) settings_schema: Value,
}

/// Asks a driver about itself, on an instance whose every call to the host is refused.
pub(crate) async fn describe(runner: &Runner) -> Result<Said, Problem> {
    let exports = &runner.exports;
    let call = async |store: &mut Store<Operation>, instance: &Instance| {
        if let Err(error) = exports.check(store, instance) {
            return Ok(Err(Problem::Types(one_line(&error))));
        }
        let description = exports.describe.call(store, instance, ()).await?;
        let config_schema = exports.config_schema.call(store, instance, ()).await?;
        let settings_schema = exports.settings_schema.call(store, instance, ()).await?;
        Ok(Ok((description, config_schema, settings_schema)))
    };
    let limit = Duration::from_millis(runner.host.limits.operation_ms);
    let said = runner.run("about.describe", For::Pure, limit, call).await.map_err(Problem::Describe)??;
    let (description, config_schema, settings_schema) = said;
    Ok(Said {
        description: description.into(),
        config_schema: schema("config-schema", &config_schema)?,
        settings_schema: schema("settings-schema", &settings_schema)?,
    })
}

fn schema(which: &'static str, text: &str) -> Result<Value, Problem> {
    let wrong = |reason: String| Problem::Schema { which, reason };
    let value: Value = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    if !value.is_object() {
        return Err(wrong("it is not a JSON object".into()));
    }
    validator(&value).map_err(wrong)?;
    Ok(value)
}

fn validator(schema: &Value) -> Result<jsonschema::Validator, String> {
    jsonschema::options().build(schema).map_err(|error| error.to_string())
}

fn check_name(found: &str, expected: Option<&str>) -> Result<(), Problem> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if !(1..=64).contains(&found.len()) || !found.chars().all(allowed) {
        return Err(Problem::Name(found.chars().take(100).collect()));
    }
    match expected {
        Some(expected) if expected != found => {
            Err(Problem::OtherName { found: found.into(), expected: expected.into() })
        }
        _ => Ok(()),
    }
}

fn check_settings(schema: &Value, settings: &Value) -> Result<(), Problem> {
    if !settings.is_object() {
        return Err(Problem::Settings("they are not an object".into()));
    }
    let validator = validator(schema).map_err(|reason| Problem::Schema { which: "settings-schema", reason })?;
    let told: Vec<_> = validator.iter_errors(settings).map(|error| place(&error)).collect();
    if told.is_empty() { Ok(()) } else { Err(Problem::Settings(told.join("; "))) }
}

fn place(error: &jsonschema::ValidationError<'_>) -> String {
    match error.instance_path().as_str() {
        "" => error.to_string(),
        path => format!("{}: {error}", path.trim_start_matches('/').replace('/', ".")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_name_the_mistake() {
        let table: [(&[u8], &str); 6] = [
            (b"", "is empty"),
            (b"\0asm\x01\0\0\0...", "wasm-tools component new d.wasm"),
            (b"  (component)", "WebAssembly text"),
            (b"(module)", "WebAssembly text"),
            (b"\x7fELF\x02\x01\x01\0\0", "begins with 7f 45 4c 46 02 01 01 00;"),
            (b"\0as", "begins with 00 61 73;"),
        ];
        for (bytes, expected) in table {
            let told = check_header(bytes, "d.wasm").unwrap_err().to_string();
            assert!(told.contains(expected), "{told}");
        }
        assert!(check_header(b"\0asm\x0d\0\x01\0", "d.wasm").is_ok());
    }

    #[test]
    fn exports_are_ours_by_package_interface_and_line() {
        let table = [
            ("longshore:driver/about@0.1.0", true),
            ("longshore:driver/about@0.1.17", true),
            ("longshore:driver/about@0.2.0", false),
            ("longshore:driver/about", false),
            ("longshore:driver/about2@0.1.0", false),
            ("other:driver/about@0.1.0", false),
        ];
        for (export, expected) in table {
            assert_eq!(is_ours(export, "about"), expected, "{export}");
        }
    }

    #[test]
    fn names_are_what_job_files_can_say() {
        for name in ["", "Docker", "a b", "naïve", &"x".repeat(65)] {
            assert!(matches!(check_name(name, None), Err(Problem::Name(_))), "{name:?}");
        }
        assert!(check_name("raw_exec-2", Some("raw_exec-2")).is_ok());
        assert!(matches!(check_name("docker", Some("podman")), Err(Problem::OtherName { .. })));
    }

    #[test]
    fn settings_meet_their_schema() {
        let schema = serde_json::json!({
            "type": "object", "additionalProperties": false, "properties": { "gc": { "type": "boolean" } }
        });
        assert!(check_settings(&schema, &serde_json::json!({ "gc": true })).is_ok());
        for (settings, expected) in [
            (serde_json::json!({ "gc": "yes" }), "gc: "),
            (serde_json::json!({ "cg": true }), "cg"),
            (serde_json::json!([]), "not an object"),
        ] {
            let told = check_settings(&schema, &settings).unwrap_err().to_string();
            assert!(told.contains(expected), "{told}");
        }
    }
}
