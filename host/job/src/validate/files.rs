//! Templates, artifacts, volumes.

use super::Report;
use crate::model::{Artifact, JobKind, Task, TaskGroup, Template, Volume};

/// Digests an artifact may be checked by, and how many hexadecimal digits each has.
const CHECKSUMS: [(&str, usize); 4] = [("md5", 32), ("sha1", 40), ("sha256", 64), ("sha512", 128)];

impl Report {
    pub(super) fn files(&mut self, group: &TaskGroup, task: &Task, at: &str) {
        for (index, template) in task.templates.iter().enumerate() {
            self.template(template, &format!("{at}/Templates/{index}"));
            let same = |other: &Template| other.dest_path == template.dest_path && !other.dest_path.is_empty();
            if let Some(first) = task.templates[..index].iter().position(same) {
                let summary = format!("Template {} has same destination as {}", index + 1, first + 1);
                self.error(format!("{at}/Templates/{index}/DestPath"), summary);
            }
        }
        for (index, artifact) in task.artifacts.iter().enumerate() {
            self.artifact(artifact, &format!("{at}/Artifacts/{index}"));
        }
        for (index, mount) in task.volume_mounts.iter().enumerate() {
            let at = format!("{at}/VolumeMounts/{index}");
            if !mount.volume.contains("${") && !group.volumes.contains_key(&mount.volume) {
                let summary = format!("Volume Mount ({index}) references undefined volume {}", mount.volume);
                self.error(format!("{at}/Volume"), summary);
            }
            if !["private", "host-to-task", "bidirectional"].contains(&mount.propagation_mode.as_str()) {
                let summary =
                    format!("Volume Mount ({index}) has an invalid propagation mode: {:?}", mount.propagation_mode);
                self.error(format!("{at}/PropagationMode"), summary);
            }
        }
    }

    fn template(&mut self, template: &Template, at: &str) {
        if template.source_path.is_empty() && template.embedded_tmpl.is_empty() {
            self.error(at, "Must specify a source path or have an embedded template");
        }
        if template.dest_path.is_empty() {
            self.error(at, "Must specify a destination for the template");
        } else if escapes(&template.dest_path) {
            self.error(format!("{at}/DestPath"), "template destination escapes allocation directory");
        }
        match template.change_mode.as_str() {
            "signal" if template.change_signal.is_empty() => {
                self.error(format!("{at}/ChangeMode"), "Must specify signal value when change mode is signal");
            }
            "script" if template.change_script.as_ref().is_none_or(|script| script.command.is_empty()) => {
                self.error(
                    format!("{at}/ChangeMode"),
                    "must specify change script configuration value when change mode is script",
                );
            }
            _ => {}
        }
        if !template.perms.is_empty() && u32::from_str_radix(&template.perms, 8).is_err() {
            self.error(format!("{at}/Perms"), format!("Failed to parse {:?} as octal", template.perms));
        }
    }

    fn artifact(&mut self, artifact: &Artifact, at: &str) {
        if artifact.getter_source.is_empty() {
            self.error(at, "source must be specified");
        }
        if escapes(&artifact.relative_dest) {
            self.error(format!("{at}/RelativeDest"), "artifact destination escapes allocation directory");
        }
        if let Some(checksum) = artifact.getter_options.get("checksum").filter(|sum| !sum.contains("${"))
            && let Err(summary) = check_checksum(checksum)
        {
            self.error(format!("{at}/GetterOptions/checksum"), summary);
        }
    }

    pub(super) fn volumes(&mut self, kind: JobKind, group: &TaskGroup, at: &str) {
        for (name, volume) in &group.volumes {
            let at = format!("{at}/Volumes/{name}");
            match volume.kind.as_str() {
                "host" => {}
                "csi" => self.csi(volume, &at),
                other => self.error(format!("{at}/Type"), format!("volume has unrecognized type {other:?}")),
            }
            if volume.source.is_empty() {
                self.error(&at, "volume has an empty source");
            }
            if volume.per_alloc {
                self.per_alloc(kind, group, volume, &format!("{at}/PerAlloc"));
            }
        }
    }

    fn per_alloc(&mut self, kind: JobKind, group: &TaskGroup, volume: &Volume, at: &str) {
        if matches!(kind, JobKind::System | JobKind::Sysbatch) {
            self.error(at, "volume cannot be per_alloc for system or sysbatch jobs");
        }
        if group.update.as_ref().is_some_and(|update| update.canary > 0) {
            self.error(at, "volume cannot be per_alloc when canaries are in use");
        }
        if volume.sticky {
            self.error(at, "volume cannot be per_alloc and sticky at the same time");
        }
    }

    fn csi(&mut self, volume: &Volume, at: &str) {
        if volume.attachment_mode.is_empty() {
            self.error(at, "CSI volumes must have an attachment mode");
        }
        if volume.access_mode.is_empty() {
            self.error(at, "CSI volumes must have an access mode");
        }
    }
}

/// `type:hexadecimal`, or `file:` and where the digest is.
fn check_checksum(checksum: &str) -> Result<(), String> {
    let Some((kind, digest)) = checksum.split_once(':') else {
        return Err(format!("checksum must be given as \"type:value\"; got {checksum:?}"));
    };
    if kind == "file" {
        return Ok(());
    }
    let Some((_, digits)) = CHECKSUMS.iter().find(|(name, _)| *name == kind) else {
        return Err(format!("unsupported checksum type: {kind}"));
    };
    let fits = digest.len() == *digits && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    if fits { Ok(()) } else { Err(format!("invalid {kind} checksum: {digest}")) }
}

/// Whether a path from the task's directory leads out of the allocation's, which is one above.
fn escapes(path: &str) -> bool {
    if path.contains("${") {
        return false;
    }
    let mut depth = 1i64;
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => depth -= 1,
            _ => depth += 1,
        }
        if depth < 0 {
            return true;
        }
    }
    false
}
