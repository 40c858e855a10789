//! Builds the first-party drivers and hands them to `src/embedded.rs`, so that the program alone is an
//! installation.
//!
//! `LONGSHORE_DRIVERS` names a directory of prebuilt ones (`docker.wasm`, …) instead, for packagers whose
//! build machines have no wasm target.

use std::{
    env, error, fs, io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

fn main() -> Result<(), Box<dyn error::Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=LONGSHORE_DRIVERS");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: run this through cargo")?);
    let workspace = Path::new("../..").canonicalize()?;
    let folders = folders(&workspace.join("drivers"))?;
    let components = match env::var_os("LONGSHORE_DRIVERS") {
        Some(directory) => prebuilt(Path::new(&directory), &folders)?,
        None => build(&workspace, &folders, &out)?,
    };
    let mut table = String::from("[\n");
    for (folder, component) in folders.iter().zip(components) {
        let name = name(folder);
        let file = out.join(format!("{name}.wasm"));
        replace(&file, &component)?;
        let digest: String = Sha256::digest(&component).iter().map(|byte| format!("{byte:02x}")).collect();
        table.push_str(&format!("    ({name:?}, {digest:?}, include_bytes!({file:?})),\n"));
    }
    Ok(replace(&out.join("drivers.rs"), table + "]\n")?)
}

/// Makes a file anew, never written in place: a build folder may be a hard-linked copy of another's.
fn replace(file: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    let fresh = file.with_extension("new");
    fs::write(&fresh, content)?;
    fs::rename(fresh, file)
}

/// The drivers there are: a folder each, sorted.
fn folders(drivers: &Path) -> Result<Vec<String>, Box<dyn error::Error>> {
    println!("cargo:rerun-if-changed={}", drivers.display());
    let mut folders = Vec::new();
    for entry in fs::read_dir(drivers)? {
        let entry = entry?;
        if entry.path().join("Cargo.toml").exists() {
            folders.push(entry.file_name().into_string().map_err(|name| format!("{name:?} is not UTF-8"))?);
        }
    }
    folders.sort();
    Ok(folders)
}

/// A driver's name, as job files write it.
fn name(folder: &str) -> String {
    folder.replace('-', "_")
}

fn prebuilt(directory: &Path, folders: &[String]) -> Result<Vec<Vec<u8>>, Box<dyn error::Error>> {
    println!("cargo:rerun-if-changed={}", directory.display());
    let read = |folder: &String| {
        let file = directory.join(format!("{}.wasm", name(folder)));
        fs::read(&file).map_err(|error| format!("LONGSHORE_DRIVERS: cannot read {}: {error}", file.display()).into())
    };
    folders.iter().map(read).collect()
}

fn build(workspace: &Path, folders: &[String], out: &Path) -> Result<Vec<Vec<u8>>, Box<dyn error::Error>> {
    for source in ["Cargo.toml", "Cargo.lock", "sdk/rust", "wit"] {
        println!("cargo:rerun-if-changed={}", workspace.join(source).display());
    }
    let packages: Vec<_> = folders.iter().map(|folder| format!("longshore-driver-{folder}")).collect();
    let packages: Vec<_> = packages.iter().map(String::as_str).collect();
    Ok(xtask::component::build_packages(workspace, &packages, &out.join("drivers"))?)
}
