//! The contract's own checks: rules a compiler does not know, compatibility, and the generated reference.

mod compat;
mod names;
mod reference;
mod rules;

use crate::failure::{Doing, Failure, Outcome, none_found};
use crate::workspace::Workspace;
use std::fs;
use std::path::PathBuf;
use wit_parser::{PackageId, Resolve};

/// Both packages of the contract, parsed.
struct Contract {
    resolve: Resolve,
    driver: PackageId,
}

impl Contract {
    fn read(workspace: &Workspace) -> Outcome<Self> {
        let mut resolve = Resolve::new();
        let dir = workspace.root.join("wit/driver");
        let (driver, _) = resolve.push_dir(&dir).map_err(|error| Failure::new(resolve.render_error(&error)))?;
        Ok(Self { resolve, driver })
    }

    #[cfg(test)]
    fn parse(text: &str) -> Self {
        let mut resolve = Resolve::new();
        let driver = resolve.push_str("test.wit", text).unwrap();
        Self { resolve, driver }
    }

    fn version(&self) -> Outcome<String> {
        let name = &self.resolve.packages[self.driver].name;
        let version = name.version.as_ref().ok_or_else(|| Failure::new(format!("{name} has no version")))?;
        Ok(version.to_string())
    }
}

/// `cargo xtask wit check`: all of the contract's checks.
pub fn check(workspace: &Workspace) -> Outcome {
    let contract = Contract::read(workspace)?;
    let mut findings = rules::findings(&contract.resolve);
    findings.extend(names::findings(&contract.resolve));
    none_found(findings)?;
    compat::check(&contract, &workspace.root.join("wit/published"))?;
    let page = reference_file(workspace);
    if fs::read_to_string(&page).unwrap_or_default() != reference::render(&contract.resolve) {
        return Err(Failure::new("wit/REFERENCE.md is out of date: run `cargo xtask wit doc`"));
    }
    Ok(())
}

/// `cargo xtask wit freeze`: makes what is there now the version that later ones must stay compatible with.
pub fn freeze(workspace: &Workspace) -> Outcome {
    let contract = Contract::read(workspace)?;
    let published = workspace.root.join("wit/published");
    compat::check(&contract, &published)?;
    let file = published.join(format!("{}.wit", contract.version()?));
    fs::create_dir_all(&published).doing(|| "cannot make wit/published".into())?;
    fs::write(&file, compat::snapshot(&contract)?).doing(|| format!("cannot write {}", file.display()))?;
    println!("wrote {}", file.display());
    Ok(())
}

/// `cargo xtask wit doc`: writes the reference.
pub fn document(workspace: &Workspace) -> Outcome {
    let contract = Contract::read(workspace)?;
    let file = reference_file(workspace);
    fs::write(&file, reference::render(&contract.resolve)).doing(|| format!("cannot write {}", file.display()))?;
    println!("wrote {}", file.display());
    Ok(())
}

fn reference_file(workspace: &Workspace) -> PathBuf {
    workspace.root.join("wit/REFERENCE.md")
}
