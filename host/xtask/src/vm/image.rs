//! What the machine boots: a kernel unpacked from Debian's package, and an initramfs of busybox and chosen files.

use crate::failure::{Doing, Failure, Outcome};
use crate::run::Run;
use crate::setup::{self, engine::static_busybox};
use crate::workspace::Workspace;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// An unpacked kernel package.
pub struct Kernel {
    /// `vmlinuz`.
    pub image: PathBuf,
    modules: PathBuf,
}

/// What the initramfs holds besides busybox.
#[derive(Default)]
pub struct Files {
    /// Dynamic or static programs of this machine, with the name each gets in `/bin`.
    pub programs: Vec<(PathBuf, &'static str)>,
    /// Other files: their place inside and their text.
    pub texts: Vec<(String, String)>,
    /// Other files: their place inside and where they are here.
    pub copies: Vec<(&'static str, PathBuf)>,
    /// Modules of the kernel that are not in every machine.
    pub modules: Vec<&'static str>,
}

/// Modules of every machine that are not built into Debian's cloud kernel, in the order they are loaded.
const MODULES: &[&str] =
    &["virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk"];

const META_PACKAGE: &str = "linux-image-cloud-amd64";

/// Downloads (without installing) and unpacks the kernel, once.
pub fn kernel(workspace: &Workspace) -> Outcome<Kernel> {
    let dir = workspace.scratch("kernel")?;
    if let Some(kernel) = unpacked(&dir) {
        return Ok(kernel);
    }
    if download(&dir).is_err() {
        // The lists may be old or were never fetched.
        setup::refresh_package_lists()?;
        download(&dir)?;
    }
    let archive = entries(&dir)?.into_iter().find(|path| path.extension().is_some_and(|e| e == "deb"));
    let archive =
        archive.ok_or_else(|| Failure::new(format!("apt-get download left no package in {}", dir.display())))?;
    Run::new("dpkg-deb").args(&["-x".as_ref(), archive.as_os_str(), dir.as_os_str()]).check()?;
    fs::remove_file(&archive).doing(|| format!("cannot remove {}", archive.display()))?;
    unpacked(&dir).ok_or_else(|| Failure::new(format!("{META_PACKAGE} brought no kernel with modules")))
}

/// Fetches the package that Debian's meta package stands for.
fn download(dir: &Path) -> Outcome {
    let depends = Run::new("apt-cache").args(&["depends", META_PACKAGE]).output()?;
    let package = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
    let package = package.ok_or_else(|| Failure::new(format!("apt knows no {META_PACKAGE}")))?;
    println!("    unpacking {package} into {}", dir.display());
    Run::new("apt-get").args(&["download", "-qq", "-o", "APT::Sandbox::User=root", package]).dir(dir).check()
}

fn unpacked(dir: &Path) -> Option<Kernel> {
    let named = |folder: PathBuf, start: &str| {
        let names = entries(&folder).ok()?;
        names.into_iter().find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start)))
    };
    let modules = named(dir.join("lib/modules"), "")?;
    Some(Kernel { image: named(dir.join("boot"), "vmlinuz-")?, modules })
}

fn entries(dir: &Path) -> Outcome<Vec<PathBuf>> {
    let listing = fs::read_dir(dir).doing(|| format!("cannot list {}", dir.display()))?;
    Ok(listing.flatten().map(|entry| entry.path()).collect())
}

/// Packs the initramfs below `dir` and answers its file.
pub fn initramfs(dir: &Path, kernel: &Kernel, files: &Files) -> Outcome<PathBuf> {
    let root = dir.join("root");
    for folder in ["bin", "proc", "sys", "dev", "data", "tmp", "run", "etc", "mnt", "modules"] {
        fs::create_dir_all(root.join(folder)).doing(|| format!("cannot make {}", root.display()))?;
    }
    let busybox = static_busybox()?;
    copy(Path::new(&busybox), &root.join("bin/busybox"))?;
    symlink("busybox", root.join("bin/sh")).doing(|| "cannot link /bin/sh".into())?;
    let mut order = String::new();
    for module in MODULES.iter().chain(&files.modules) {
        // One that is not there is built in.
        if let Some(file) = find(&kernel.modules, &format!("{module}.ko")) {
            copy(&file, &root.join("modules").join(format!("{module}.ko")))?;
            order += &format!("{module}\n");
        }
    }
    write(&root.join("modules/order"), &order)?;
    write(&root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")?;
    write(&root.join("etc/group"), "root:x:0:\nnogroup:x:65534:\n")?;
    write(&root.join("waiting.sh"), include_str!("waiting.sh"))?;
    for (program, name) in &files.programs {
        add_program(&root, program, name)?;
    }
    for (place, text) in &files.texts {
        write(&root.join(place), text)?;
    }
    for (place, source) in &files.copies {
        copy(source, &root.join(place))?;
    }
    write(&root.join("init"), include_str!("init.sh"))?;
    fs::set_permissions(root.join("init"), fs::Permissions::from_mode(0o755)).doing(|| "cannot mark /init".into())?;
    let packed = dir.join("initramfs.cpio");
    let script = "cd \"$1\" && find . | \"$2\" cpio -o -H newc > \"$3\" 2>/dev/null";
    Run::new("sh").args(&["-c", script, "sh"]).args(&[&root, Path::new(&busybox), &packed]).check()?;
    fs::remove_dir_all(&root).doing(|| format!("cannot remove {}", root.display()))?;
    Ok(packed)
}

/// Copies a program, without its debug information, and the libraries it names.
fn add_program(root: &Path, program: &Path, name: &str) -> Outcome {
    let place = root.join("bin").join(name);
    Run::new("strip")
        .args(&["--strip-debug".as_ref(), "-o".as_ref(), place.as_os_str(), program.as_os_str()])
        .check()?;
    // A static program makes ldd fail, and needs nothing.
    let libraries = Run::new("ldd").args(&[program]).output().unwrap_or_default();
    for library in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
        copy(Path::new(library), &root.join(library.trim_start_matches('/')))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Outcome {
    make_parent(to)?;
    fs::copy(from, to).map(drop).doing(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

fn write(file: &Path, text: &str) -> Outcome {
    make_parent(file)?;
    fs::write(file, text).doing(|| format!("cannot write {}", file.display()))
}

fn make_parent(file: &Path) -> Outcome {
    let parent = file.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent).doing(|| format!("cannot make {}", parent.display()))
}

fn find(dir: &Path, name: &str) -> Option<PathBuf> {
    for path in entries(dir).ok()? {
        if path.is_dir() {
            if let Some(found) = find(&path, name) {
                return Some(found);
            }
        } else if path.file_name().is_some_and(|file| file == name) {
            return Some(path);
        }
    }
    None
}
