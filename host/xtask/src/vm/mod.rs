//! A throw-away machine: Debian's kernel in QEMU (no KVM needed), everything else in an initramfs, one disk that
//! survives power cuts. It boots in seconds and has cgroup v2 with all controllers.

mod engines;
mod image;
pub mod reboot;

use crate::failure::{Doing, Failure, Outcome};
use crate::run::{Background, Run};
use crate::workspace::Workspace;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use image::Files;

/// Builds a machine, switches it on and looks.
pub type Scenario = fn(&Workspace) -> Outcome;

/// What happens on such machines, by name. `engines` is no step of the test run: where others keep the processors busy,
/// the emulated machine gets too little of them, and its engines give up.
pub const SCENARIOS: &[(&str, Scenario)] = &[("reboot", reboot::check), ("engines", engines::check)];

/// What an emulated machine may take: it is some twenty times slower than this one.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs the named scenarios, all by default.
pub fn chore(workspace: &Workspace, names: &[&str]) -> Outcome {
    if let Some(unknown) = names.iter().find(|name| SCENARIOS.iter().all(|(known, _)| known != *name)) {
        let known: Vec<&str> = SCENARIOS.iter().map(|(name, _)| *name).collect();
        return Err(Failure::new(format!("no scenario `{unknown}`; there are {}", known.join(", "))));
    }
    let mut chosen = SCENARIOS.iter().filter(|(name, _)| names.is_empty() || names.contains(name));
    chosen.try_for_each(|(_, scenario)| scenario(workspace))
}

/// How much a machine has.
#[derive(Clone, Copy)]
pub struct Size {
    pub processors: u32,
    pub memory_mib: u32,
    pub disk_mib: u32,
}

/// A machine that can be switched on again and again.
pub struct Machine {
    dir: PathBuf,
    size: Size,
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
    /// Builds a machine in its own folder, with an empty disk mounted on `/data`.
    pub fn build(workspace: &Workspace, name: &str, files: &Files, size: Size) -> Outcome<Self> {
        let dir = workspace.scratch("vm")?.join(name);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).doing(|| format!("cannot make {}", dir.display()))?;
        let kernel = image::kernel(workspace)?;
        let initramfs = image::initramfs(&dir, &kernel, files)?;
        let disk = dir.join("disk.img");
        let blocks = format!("{}m", size.disk_mib);
        Run::new("/usr/sbin/mke2fs").args(&["-q", "-F", "-t", "ext4"]).args(&[&disk]).args(&[blocks]).output()?;
        Ok(Self { dir, size, kernel: kernel.image, initramfs, disk })
    }

    /// Switches it on. `stage` is what `/init` finds in the variable of that name.
    pub fn boot(&self, stage: &str) -> Outcome<Running> {
        let console = self.dir.join(format!("console-{stage}.log"));
        let disk = format!("file={},format=raw,if=virtio", self.disk.display());
        let qemu = Run::new("qemu-system-x86_64")
            // KVM is not tried: where machines are nested it may hang though /dev/kvm is there.
            .args(&["-accel", "tcg", "-cpu", "max"])
            .args(&["-smp", &self.size.processors.to_string(), "-m", &self.size.memory_mib.to_string()])
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

    /// Waits for a line that begins with `marker`, and fails unless the rest of it is `expected`.
    pub fn expect(&mut self, marker: &str, expected: &str) -> Outcome {
        let said = self.wait_for(marker, PATIENCE)?;
        if said == expected { Ok(()) } else { Err(Failure::new(format!("{marker}: `{said}`, not `{expected}`"))) }
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
