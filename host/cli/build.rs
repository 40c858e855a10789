//! Builds the first-party drivers and hands them to `src/embedded.rs`, so that the program alone is an
//! installation.
//!
//! `LONGSHORE_DRIVERS` names a directory of prebuilt ones (`docker.wasm`, …) instead, for packagers whose
//! build machines have no wasm target.

use std::{
    env, error, fs,
    path::{Path, PathBuf},
};

/// Names as job files write them, and the packages that hold them.
const DRIVERS: [(&str, &str); 3] = [
    ("docker", "longshore-driver-docker"),
    ("raw_exec", "longshore-driver-raw-exec"),
    ("wasm", "longshore-driver-wasm"),
];

fn main() -> Result<(), Box<dyn error::Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=LONGSHORE_DRIVERS");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: run this through cargo")?);
    let components = match env::var_os("LONGSHORE_DRIVERS") {
        Some(directory) => prebuilt(Path::new(&directory))?,
        None => build(&out)?,
    };
    let mut table = String::from("[\n");
    for ((name, _), component) in DRIVERS.into_iter().zip(components) {
        let file = out.join(format!("{name}.wasm"));
        // Made anew, never written in place: a build folder may be a hard-linked copy of another's.
        let fresh = out.join(format!("{name}.wasm.new"));
        fs::write(&fresh, component)?;
        fs::rename(&fresh, &file)?;
        table.push_str(&format!("    ({name:?}, include_bytes!({file:?})),\n"));
    }
    fs::write(out.join("drivers.rs"), table + "]\n")?;
    Ok(())
}

fn prebuilt(directory: &Path) -> Result<Vec<Vec<u8>>, Box<dyn error::Error>> {
    println!("cargo:rerun-if-changed={}", directory.display());
    let read = |(name, _)| {
        let file = directory.join(format!("{name}.wasm"));
        fs::read(&file).map_err(|error| format!("LONGSHORE_DRIVERS: cannot read {}: {error}", file.display()).into())
    };
    DRIVERS.into_iter().map(read).collect()
}

fn build(out: &Path) -> Result<Vec<Vec<u8>>, Box<dyn error::Error>> {
    let workspace = Path::new("../..").canonicalize()?;
    for source in ["Cargo.toml", "Cargo.lock", "sdk/rust", "wit", "drivers/docker", "drivers/raw-exec", "drivers/wasm"]
    {
        println!("cargo:rerun-if-changed={}", workspace.join(source).display());
    }
    let packages = DRIVERS.map(|(_, package)| package);
    Ok(xtask::component::build_packages(&workspace, &packages, &out.join("drivers"))?)
}
