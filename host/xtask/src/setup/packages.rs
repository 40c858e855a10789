//! Debian packages, each known by a file it brings, so that a machine that has the file by other means is fine too.

use crate::failure::{Failure, Outcome};
use crate::run::Run;
use std::env;
use std::path::{Path, PathBuf};

/// Something a test needs from the machine.
#[derive(Debug)]
pub struct Package {
    /// Its name in Debian 12.
    pub name: &'static str,
    /// A program on the path, or an absolute file name.
    pub proof: &'static str,
    /// What it is needed for.
    pub purpose: &'static str,
}

/// What the test run needs.
pub const FOR_TESTS: &[Package] = &[
    Package { name: "docker.io", proof: "dockerd", purpose: "a Docker Engine to test against" },
    Package { name: "docker-registry", proof: "docker-registry", purpose: "a registry to pull from" },
    Package { name: "openssl", proof: "openssl", purpose: "the registry's certificate" },
    Package { name: "podman", proof: "podman", purpose: "an engine that speaks Docker's language" },
    Package { name: "netavark", proof: "/usr/lib/podman/netavark", purpose: "Podman's networks" },
    Package { name: "busybox-static", proof: "busybox", purpose: "test images and the throw-away machine" },
    Package { name: "curl", proof: "curl", purpose: "a second opinion on the HTTP API" },
    Package { name: "clang", proof: "clang", purpose: "the driver written in C" },
    Package { name: "lld", proof: "wasm-ld", purpose: "the driver written in C" },
    Package { name: "wasi-libc", proof: "/usr/include/wasm32-wasi/stdio.h", purpose: "the driver written in C" },
    Package {
        name: "libclang-rt-14-dev-wasm32",
        proof: "/usr/lib/llvm-14/lib/clang/14.0.6/lib/wasi/libclang_rt.builtins-wasm32.a",
        purpose: "the driver written in C",
    },
    Package {
        name: "python3-venv",
        proof: "/usr/lib/python3.11/ensurepip/__init__.py",
        purpose: "the driver written in Python",
    },
    Package {
        name: "qemu-system-x86",
        proof: "qemu-system-x86_64",
        purpose: "the throw-away machines, the qemu driver",
    },
    Package { name: "default-jdk-headless", proof: "javac", purpose: "the java driver" },
    Package { name: "libcap2-bin", proof: "capsh", purpose: "a second opinion on capabilities" },
];

/// What tests and measurements of networks need.
pub const FOR_NETWORKS: &[Package] = &[
    Package { name: "iproute2", proof: "ip", purpose: "a second opinion on networks, and namespaces to test in" },
    Package { name: "nftables", proof: "nft", purpose: "a second opinion on port maps" },
    Package { name: "iptables", proof: "iptables", purpose: "Docker's firewall, as it is and as tests make it" },
    Package {
        name: "containernetworking-plugins",
        proof: "/usr/lib/cni/portmap",
        purpose: "networks of mode cni/<name>",
    },
];

/// What building the static release needs.
pub const FOR_RELEASE: &[Package] =
    &[Package { name: "musl-tools", proof: "musl-gcc", purpose: "the C code in the static program" }];

/// Installs what is missing, or says what is and how to get it.
pub fn ensure(packages: &[Package]) -> Outcome {
    let missing: Vec<&Package> = packages.iter().filter(|package| !present(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    if !rustix::process::geteuid().is_root() || find_program("apt-get").is_none() {
        return Err(Failure::new(how_to_get(&missing)));
    }
    println!("    apt-get install {}", names.join(" "));
    if install(&names).is_err() {
        // The lists may be old or were never fetched.
        refresh_package_lists()?;
        install(&names)?;
    }
    match missing.iter().find(|package| !present(package)) {
        None => Ok(()),
        Some(package) => {
            Err(Failure::new(format!("{} was installed, but `{}` is not there", package.name, package.proof)))
        }
    }
}

/// Fetches the lists of what there is to install.
pub fn refresh_package_lists() -> Outcome {
    apt(&["update", "-qq"])
}

fn how_to_get(missing: &[&Package]) -> String {
    let mut text = String::from("this chore needs what the machine lacks:");
    for package in missing {
        text += &format!("\n  {} (in Debian 12's package {}): {}", package.proof, package.name, package.purpose);
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    text + &format!(
        "\non Debian run this chore as root, or: sudo apt-get install --no-install-recommends {}",
        names.join(" ")
    )
}

fn install(names: &[&str]) -> Outcome {
    let mut arguments = vec!["install", "--yes", "-qq", "--no-install-recommends"];
    arguments.extend(names);
    apt(&arguments)
}

fn apt(arguments: &[&str]) -> Outcome {
    Run::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive").check()
}

fn present(package: &Package) -> bool {
    match package.proof.starts_with('/') {
        true => Path::new(package.proof).exists(),
        false => find_program(package.proof).is_some(),
    }
}

/// A program by name on the path, or where Debian keeps those for root.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_its_remedy() {
        let absent = Package { name: "no-such-package", proof: "/no/such/file", purpose: "this test" };
        assert!(!present(&absent));
        let text = how_to_get(&[&absent]);
        assert!(
            text.contains("/no/such/file") && text.contains("apt-get install") && text.contains("this test"),
            "{text}"
        );
        assert!(present(&Package { name: "dash", proof: "sh", purpose: "" }));
    }
}
