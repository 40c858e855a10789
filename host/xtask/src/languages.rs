//! The example drivers that are not written in Rust, built as their README says.
//!
//! | language | needs |
//! |---|---|
//! | Python | `componentize-py` 0.25.1 from PyPI, in the program search path or named by `COMPONENTIZE_PY` |
//! | C | `clang`, `lld`, `wasi-libc` and `libclang-rt-14-dev-wasm32` of Debian |

use std::{
    fmt::Display,
    io,
    path::{Path, PathBuf},
    process::Command,
};

use thiserror::Error;
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_bindgen_core::Files;
use wit_component::ComponentEncoder;
use wit_parser::Resolve;

/// Result of a build: the component's file.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an example could not be built.
#[derive(Debug, Error)]
pub enum Error {
    /// A tool is not there.
    #[error("cannot run `{tool}` ({source}); to get it: {remedy}")]
    Missing {
        /// The program.
        tool: String,
        /// Why it did not run.
        source: io::Error,
        /// A command.
        remedy: &'static str,
    },
    /// A tool ran and failed.
    #[error("`{tool}` failed:\n{output}")]
    Failed {
        /// The program.
        tool: String,
        /// What it said.
        output: String,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The contract or the component is not what it should be.
    #[error("{what}: {why}")]
    Component {
        /// What was being done.
        what: &'static str,
        /// The chain of reasons.
        why: String,
    },
}

/// How to get `componentize-py`.
const GET_PYTHON: &str = "python3 -m venv venv && venv/bin/pip install componentize-py==0.25.1, \
                          then COMPONENTIZE_PY=venv/bin/componentize-py";
/// How to get the C tools.
const GET_C: &str = "apt-get install clang lld wasi-libc libclang-rt-14-dev-wasm32";

/// Builds `examples/drivers/python` into `python.wasm` in `out_dir`.
pub fn python(out_dir: &Path) -> Result<PathBuf> {
    let source = example("python");
    let component = out_dir.join("python.wasm");
    make_directory(out_dir)?;
    let tool = std::env::var_os("COMPONENTIZE_PY").unwrap_or_else(|| "componentize-py".into());
    let mut command = Command::new(tool);
    command.arg("-d").arg(contract()).arg("-d").arg(source.join("driver.wit"));
    command.args(["-w", "example:python-driver/driver", "componentize", "--stub-wasi", "-p"]).arg(&source);
    command.args(["app", "-o"]).arg(&component);
    run(&mut command, GET_PYTHON)?;
    Ok(component)
}

/// Builds `examples/drivers/c` into `c.wasm` in `out_dir`.
pub fn c(out_dir: &Path) -> Result<PathBuf> {
    let source = example("c");
    make_directory(out_dir)?;
    c_bindings(&source, out_dir)?;
    let module = out_dir.join("c.core.wasm");
    let mut clang = Command::new("clang");
    clang.args(["--target=wasm32-wasi", "--sysroot=/", "-I/usr/include/wasm32-wasi", "-L/usr/lib/wasm32-wasi"]);
    clang.args(["-Os", "-Wall", "-Wextra", "-Wno-unused-parameter", "-mexec-model=reactor", "-I"]).arg(out_dir);
    clang.args([source.join("driver.c"), out_dir.join("driver.c"), out_dir.join("driver_component_type.o")]);
    clang.arg("-o").arg(&module);
    run(&mut clang, GET_C)?;
    let component = out_dir.join("c.wasm");
    write(&component, &adapt(&read(&module)?)?)?;
    Ok(component)
}

/// Writes `driver.h`, `driver.c` and the object file with the component's type.
fn c_bindings(source: &Path, out_dir: &Path) -> Result<()> {
    let mut resolve = Resolve::default();
    resolve.push_path(contract()).map_err(wrong)?;
    let (package, _) = resolve.push_path(source.join("driver.wit")).map_err(wrong)?;
    let world = resolve.select_world(&[package], Some("driver")).map_err(wrong)?;
    let mut files = Files::default();
    wit_bindgen_c::Opts::default().build().generate(&mut resolve, world, &mut files).map_err(wrong)?;
    files.iter().try_for_each(|(name, content)| write(&out_dir.join(name), content))
}

/// Makes a component of a module that speaks WASI preview 1, as Debian's C library does.
fn adapt(module: &[u8]) -> Result<Vec<u8>> {
    let encoder = ComponentEncoder::default();
    let encoded = encoder
        .validate(true)
        .module(module)
        .and_then(|it| it.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER))
        .and_then(|mut it| it.encode());
    encoded
        .map_err(|error| Error::Component { what: "cannot make a component of c.core.wasm", why: format!("{error:#}") })
}

fn wrong(error: impl Display) -> Error {
    Error::Component { what: "cannot make C bindings", why: format!("{error:#}") }
}

fn run(command: &mut Command, remedy: &'static str) -> Result<()> {
    let tool = command.get_program().to_string_lossy().into_owned();
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            Err(Error::Failed { tool, output: String::from_utf8_lossy(&said).trim().into() })
        }
        Err(source) => Err(Error::Missing { tool, source, remedy }),
    }
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn example(language: &str) -> PathBuf {
    workspace().join("examples/drivers").join(language)
}

fn contract() -> PathBuf {
    workspace().join("wit/driver")
}

fn make_directory(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|source| Error::File { path: path.into(), source })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|source| Error::File { path: path.into(), source })
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    std::fs::write(path, content).map_err(|source| Error::File { path: path.into(), source })
}
