//! Where things are: the workspace's root, its target directory, what `cargo metadata` says.

use crate::failure::{Doing, Failure, Outcome};
use crate::run::Run;
use serde_json::Value;
use std::env;
use std::path::{Path, PathBuf};

/// The checkout this chore works on.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// The folder of the root `Cargo.toml`.
    pub root: PathBuf,
    /// Cargo's target directory; everything a chore makes goes below it.
    pub target: PathBuf,
}

impl Workspace {
    /// Finds it from what cargo tells a program it runs.
    pub fn find() -> Outcome<Self> {
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .ok_or_else(|| Failure::new("not run by cargo; use `cargo xtask …` inside the checkout"))?;
        let root = Path::new(&manifest)
            .ancestors()
            .nth(2)
            .ok_or_else(|| Failure::new("host/xtask is not two folders below the workspace"))?
            .to_path_buf();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(dir) => root.join(dir),
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    /// A cargo command in this workspace.
    pub fn cargo(&self, args: &[&str]) -> Run {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        Run::new(cargo).args(args).dir(&self.root).env("CARGO_TARGET_DIR", &self.target)
    }

    /// A git command in this workspace.
    pub fn git(&self, args: &[&str]) -> Run {
        Run::new("git").args(args).dir(&self.root)
    }

    /// A folder below the target directory, made when absent.
    pub fn scratch(&self, name: &str) -> Outcome<PathBuf> {
        let dir = self.target.join("xtask").join(name);
        std::fs::create_dir_all(&dir).doing(|| format!("cannot make {}", dir.display()))?;
        Ok(dir)
    }

    /// The file names git knows, relative to the root, sorted.
    pub fn tracked_files(&self) -> Outcome<Vec<String>> {
        // Untracked files count too: a developer wants to hear of them before the commit.
        let listing = self.git(&["ls-files", "--cached", "--others", "--exclude-standard"]).output()?;
        let mut files: Vec<String> = listing.lines().map(str::to_owned).collect();
        files.retain(|file| self.root.join(file).exists());
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// `cargo metadata`, with all dependencies of the platforms we build for.
    pub fn metadata(&self) -> Outcome<Value> {
        let text = self
            .cargo(&["metadata", "--format-version", "1", "--locked"])
            .args(&["--filter-platform", "x86_64-unknown-linux-gnu"])
            .args(&["--filter-platform", "x86_64-unknown-linux-musl"])
            .args(&["--filter-platform", "wasm32-unknown-unknown"])
            .output()?;
        serde_json::from_str(&text).doing(|| "cargo metadata is not JSON".into())
    }
}
