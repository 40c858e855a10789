//! Builds the shim (`shim/`) for the same target, small, and leaves it in `OUT_DIR` for `process::launch` to embed.

use std::{
    env, fs,
    path::PathBuf,
    process::{Command, exit},
};

fn main() {
    for input in ["shim/src", "shim/Cargo.toml", "shim/Cargo.lock", "build.rs"] {
        println!("cargo::rerun-if-changed={input}");
    }
    if let Err(message) = build_shim() {
        println!("cargo::error=the shim (host/linux/shim) was not built: {message}");
        exit(1);
    }
}

fn build_shim() -> Result<(), String> {
    let var = |name| env::var(name).map_err(|error| format!("{name}: {error}"));
    let (out, target) = (PathBuf::from(var("OUT_DIR")?), var("TARGET")?);
    let target_dir = out.join("shim");
    let status = Command::new(var("CARGO")?)
        .args(["build", "--quiet", "--release", "--locked", "--manifest-path"])
        .arg(PathBuf::from(var("CARGO_MANIFEST_DIR")?).join("shim/Cargo.toml"))
        .args(["--target", &target])
        .env("CARGO_TARGET_DIR", &target_dir)
        // What was meant for the outer build (lints as errors, clippy's driver, coverage) is not meant for this one.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .status()
        .map_err(|error| format!("cargo does not start: {error}"))?;
    if !status.success() {
        return Err(format!("cargo ended with {status}; see its messages above"));
    }
    let built = target_dir.join(target).join("release/longshore-shim");
    // Made anew, never written in place: a build folder may be a hard-linked copy of another's.
    let fresh = out.join("longshore-shim.new");
    let copied = fs::copy(&built, &fresh).and_then(|_| fs::rename(&fresh, out.join("longshore-shim")));
    copied.map_err(|error| format!("{}: {error}", built.display()))
}
