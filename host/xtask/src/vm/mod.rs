//! A throw-away machine: Debian's kernel in QEMU (no KVM needed), everything else in an initramfs, one disk that
//! survives power cuts. It boots in seconds and has cgroup v2 with all controllers.

mod image;
pub mod reboot;

use crate::failure::{Doing, Failure, Outcome};
use crate::run::{Background, Run};
use crate::workspace::Workspace;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use image::Files;

/// A machine that can be switched on again and again.
pub struct Machine {
    dir: PathBuf,
    kernel: PathBuf,
    initramfs: PathBuf,
    disk: PathBuf,
}

/// A machine that is on. Dropped, it is switched off.
pub struct Running {
    qemu: Background,
    console: PathBuf,
}

impl Machine {
    /// Builds a machine in its own folder, with an empty disk of `disk_mib`, mounted on `/data`.
    pub fn build(workspace: &Workspace, name: &str, files: &Files, disk_mib: u32) -> Outcome<Self> {
        let dir = workspace.scratch("vm")?.join(name);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).doing(|| format!("cannot make {}", dir.display()))?;
        let kernel = image::kernel(workspace)?;
        let initramfs = image::initramfs(&dir, &kernel, files)?;
        let disk = dir.join("disk.img");
        let size = format!("{disk_mib}m");
        Run::new("/usr/sbin/mke2fs").args(&["-q", "-F", "-t", "ext4"]).args(&[&disk]).args(&[size]).output()?;
        Ok(Self { dir, kernel: kernel.image, initramfs, disk })
    }

    /// Switches it on. `stage` is what `/init` finds in the variable of that name.
    pub fn boot(&self, stage: &str) -> Outcome<Running> {
        let console = self.dir.join(format!("console-{stage}.log"));
        let disk = format!("file={},format=raw,if=virtio", self.disk.display());
        let qemu = Run::new("qemu-system-x86_64")
            // KVM is not tried: where machines are nested it may hang though /dev/kvm is there.
            .args(&["-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "1024"])
            .args(&["-display", "none", "-serial", "stdio", "-monitor", "none", "-no-reboot", "-net", "none"])
            .args(&["-kernel".as_ref(), self.kernel.as_os_str(), "-initrd".as_ref(), self.initramfs.as_os_str()])
            .args(&["-drive", &disk])
            .args(&["-append", &format!("console=ttyS0 quiet panic=-1 stage={stage}")])
            .background(&console)?;
        Ok(Running { qemu, console })
    }
}

impl Running {
    /// Waits for a line that begins with `marker` and answers the rest of it.
    pub fn wait_for(&mut self, marker: &str, limit: Duration) -> Outcome<String> {
        let console = self.console.clone();
        let mut found = None;
        self.qemu.wait_until(&format!("`{marker}` on the console"), limit, || {
            found = line_after(&console, marker);
            found.is_some() || line_after(&console, "FAILED").is_some()
        })?;
        found.ok_or_else(|| {
            Failure::new(format!("the machine gave up before `{marker}`; its console ends:\n{}", self.qemu.log_tail()))
        })
    }

    /// Takes the power away.
    pub fn cut_power(self) {
        self.qemu.kill();
    }
}

fn line_after(console: &Path, marker: &str) -> Option<String> {
    let text = fs::read(console).ok()?;
    let text = String::from_utf8_lossy(&text);
    // The last line may not be complete yet.
    let complete = &text[..text.rfind('\n')?];
    complete.lines().find_map(|line| Some(line.trim_end_matches('\r').strip_prefix(marker)?.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_counts_once_its_line_is_complete() {
        let file = std::env::temp_dir().join(format!("xtask-console-{}", std::process::id()));
        for (text, found) in [
            ("boot\r\nSTATE web run", None),
            ("boot\r\nSTATE web running\r\n", Some("web running")),
            ("no STATE here\r\n", None),
            ("", None),
        ] {
            fs::write(&file, text).unwrap();
            assert_eq!(line_after(&file, "STATE").as_deref(), found, "{text}");
        }
        fs::remove_file(file).unwrap();
    }
}
