//! Components from Rust crates, by a nested cargo.
//!
//! Drivers are built for `wasm32-unknown-unknown` and wrapped by [`ComponentEncoder`]: such a component
//! imports what the driver calls and nothing else, no WASI. [`build_wasip2`] is for ordinary components,
//! which rustc wraps itself.

use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use thiserror::Error;
use wit_component::ComponentEncoder;

/// Target of drivers: nothing of WASI in it.
const BARE: &str = "wasm32-unknown-unknown";
/// Target of components that use WASI.
const WASI: &str = "wasm32-wasip2";

/// Size before speed, whatever the workspace's own release profile says. Function names stay, so that a trap's
/// backtrace can be read.
const PROFILE: [(&str, &str); 6] = [
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s"),
    ("CARGO_PROFILE_RELEASE_LTO", "fat"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
    ("CARGO_PROFILE_RELEASE_STRIP", "debuginfo"),
    // Memory for a usual operation is there from the start: a memory that grows costs two system calls each time.
    (
        "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS",
        "-C link-arg=--initial-heap=262144 -C link-arg=-z -C link-arg=stack-size=262144",
    ),
];

/// What an outer cargo says to its compilers and must not reach a nested one: flags are for another target.
const OUTER: [&str; 4] = ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_TARGET"];

/// Why a component could not be built.
#[derive(Debug, Error)]
pub enum Error {
    /// The compiler's target is missing and could not be added.
    #[error("the Rust target {target} is missing; add it with `rustup target add {target}`{why}")]
    MissingTarget {
        /// The target.
        target: &'static str,
        /// What `rustup` said, beginning with `: `, or empty.
        why: String,
    },
    /// A program could not be run at all.
    #[error("cannot run {program}")]
    Run {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// Cargo reported errors on the terminal.
    #[error("cargo could not build {what}; its messages are above")]
    Cargo {
        /// Packages or manifest.
        what: String,
    },
    /// Cargo built it, but there is no `.wasm` of this name.
    #[error("{what} is no `cdylib`: cargo built no .wasm file for it")]
    NoModule {
        /// The package or manifest.
        what: String,
    },
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The module is no driver.
    #[error("cannot make a component of {what}: {why}")]
    Encode {
        /// The package or manifest.
        what: String,
        /// The encoder's chain of reasons.
        why: String,
    },
}

/// Builds the driver whose `Cargo.toml` is in `manifest_dir` and answers its component.
pub fn build(manifest_dir: &Path, target_dir: &Path) -> Result<Vec<u8>, Error> {
    let manifest = manifest_dir.join("Cargo.toml");
    let what = manifest.display().to_string();
    let built = cargo(BARE, target_dir, &[OsStr::new("--manifest-path"), manifest.as_os_str()], &what)?;
    let module = built.into_iter().next_back().ok_or(Error::NoModule { what: what.clone() })?;
    encode(&read(&module)?, &what)
}

/// Builds several drivers of one workspace with one cargo, and answers their components in the order of
/// `packages`.
pub fn build_packages(workspace: &Path, packages: &[&str], target_dir: &Path) -> Result<Vec<Vec<u8>>, Error> {
    let manifest = workspace.join("Cargo.toml");
    let mut arguments = vec![OsStr::new("--manifest-path"), manifest.as_os_str()];
    for package in packages {
        arguments.extend([OsStr::new("--package"), OsStr::new(package)]);
    }
    let built = cargo(BARE, target_dir, &arguments, &packages.join(", "))?;
    packages
        .iter()
        .map(|package| {
            let stem = package.replace('-', "_");
            let module = built.iter().find(|path| path.file_stem().is_some_and(|name| name == stem.as_str()));
            let module = module.ok_or_else(|| Error::NoModule { what: (*package).into() })?;
            encode(&read(module)?, package)
        })
        .collect()
}

/// Builds an ordinary component (a command or an HTTP handler) whose `Cargo.toml` is in `manifest_dir`, and
/// answers its file.
pub fn build_wasip2(manifest_dir: &Path, target_dir: &Path) -> Result<PathBuf, Error> {
    let manifest = manifest_dir.join("Cargo.toml");
    let what = manifest.display().to_string();
    let built = cargo(WASI, target_dir, &[OsStr::new("--manifest-path"), manifest.as_os_str()], &what)?;
    built.into_iter().next_back().ok_or(Error::NoModule { what })
}

/// Makes a component of a module that carries its own WIT, as `wit-bindgen` leaves it.
pub fn encode(module: &[u8], what: &str) -> Result<Vec<u8>, Error> {
    let encoder = ComponentEncoder::default().validate(true).module(module);
    let encoded = encoder.and_then(|mut encoder| encoder.encode());
    encoded.map_err(|error| Error::Encode { what: what.into(), why: format!("{error:#}") })
}

/// Runs `cargo build --release` and answers the `.wasm` files it made or found fresh, dependencies first.
fn cargo(target: &'static str, target_dir: &Path, arguments: &[&OsStr], what: &str) -> Result<Vec<PathBuf>, Error> {
    ensure_target(target)?;
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["build", "--release", "--target", target, "--message-format", "json-render-diagnostics"])
        .args(arguments)
        .env("CARGO_TARGET_DIR", target_dir)
        .envs(PROFILE)
        .stderr(Stdio::inherit());
    for name in OUTER {
        command.env_remove(name);
    }
    let output = command.output().map_err(|source| Error::Run { program: "cargo".into(), source })?;
    if !output.status.success() {
        return Err(Error::Cargo { what: what.into() });
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(wasm_file).collect())
}

/// The `.wasm` file one line of cargo's JSON messages tells of.
fn wasm_file(line: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    if message.get("reason")? != "compiler-artifact" {
        return None;
    }
    let files = message.get("filenames")?.as_array()?.iter().filter_map(|name| name.as_str());
    files.map(PathBuf::from).find(|path| path.extension().is_some_and(|extension| extension == "wasm"))
}

/// Adds the target through rustup, unless the compiler has it.
fn ensure_target(target: &'static str) -> Result<(), Error> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let library = Command::new(rustc).args(["--print", "target-libdir", "--target", target]).output();
    let library = library.map_err(|source| Error::Run { program: "rustc".into(), source })?;
    if library.status.success() && Path::new(String::from_utf8_lossy(&library.stdout).trim()).is_dir() {
        return Ok(());
    }
    match Command::new("rustup").args(["target", "add", target]).output() {
        Ok(added) if added.status.success() => Ok(()),
        Ok(added) => {
            let why = format!(": {}", String::from_utf8_lossy(&added.stderr).trim());
            Err(Error::MissingTarget { target, why })
        }
        Err(_) => Err(Error::MissingTarget { target, why: String::new() }),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Read { path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_tells_where_the_module_is() {
        let line = r#"{"reason":"compiler-artifact","filenames":["/t/libx.rlib","/t/x.wasm"]}"#;
        assert_eq!(wasm_file(line), Some("/t/x.wasm".into()));
        for other in ["", "not json", r#"{"reason":"build-finished"}"#, r#"{"reason":"compiler-artifact"}"#] {
            assert_eq!(wasm_file(other), None, "{other}");
        }
    }

    #[test]
    fn bytes_that_are_no_module_are_refused_by_name() {
        let error = encode(b"\0asm?", "thing").unwrap_err().to_string();
        assert!(error.contains("thing"), "{error}");
    }
}
