//! What a container sees of the host's files. Whether a path outside the allocation is allowed is the host's
//! to decide; here paths only become absolute.

use longshore_sdk::{
    Directories, Error, Task,
    host::{Mount, MountKind},
    inside,
};
use serde_json::{Value, json};

use crate::config::{self, Config};

/// A bind whose source the host makes where the allocation lacks it.
const MADE: &str = "bind:made";

/// All mounts that need no more than the contract's fields: the task's directories, its host volumes, binds and
/// plain volumes. The others are engine options ([`engine_mounts`]).
pub fn mounts(config: &Config, task: &Task, label: &str) -> Result<Vec<Mount>, Error> {
    let directories = &task.directories;
    let mut all: Vec<_> = inside::shared(directories).into();
    all.extend(inside::own(directories));
    all.extend(task.mounts.iter().cloned());
    for entry in config.volumes.iter().filter(|_| config.volume_driver.is_none()) {
        all.push(volume(entry, directories)?);
    }
    for block in config.mount.iter().filter(|block| !has_options(block)) {
        all.push(mount(block, directories)?);
    }
    let binds = [MountKind::Bind, MountKind::Other(MADE.into())];
    all.iter_mut().filter(|mount| binds.contains(&mount.kind)).for_each(|mount| relabel(mount, label));
    Ok(all)
}

/// Mounts as the engine's own document has them: volumes of a driver or with options, memory of a size.
pub fn engine_mounts(config: &Config) -> Result<Vec<Value>, Error> {
    let mut all = Vec::new();
    if let Some(driver) = &config.volume_driver {
        for entry in &config.volumes {
            let (source, target, modes) = parts(entry)?;
            let options =
                json!({"DriverConfig": {"Name": driver}, "NoCopy": modes.split(',').any(|mode| mode == "nocopy")});
            let read_only = modes.split(',').any(|mode| mode == "ro");
            all.push(json!({
                "Type": "volume", "Source": source, "Target": target, "ReadOnly": read_only, "VolumeOptions": options,
            }));
        }
    }
    for block in config.mount.iter().filter(|block| has_options(block)) {
        let mut mount = json!({"Type": kind(block), "Target": block.target, "ReadOnly": block.readonly});
        if let Some(options) = block.volume_options.as_ref().filter(|_| kind(block) == "volume") {
            mount["Source"] = block.source.clone().into();
            mount["VolumeOptions"] = volume_options(options);
        }
        if let Some(options) = block.tmpfs_options.as_ref().filter(|_| kind(block) == "tmpfs") {
            mount["TmpfsOptions"] = json!({"SizeBytes": options.size.unwrap_or(0), "Mode": options.mode.unwrap_or(0)});
        }
        all.push(mount);
    }
    Ok(all)
}

fn volume_options(options: &config::VolumeOptions) -> Value {
    let mut document = json!({"NoCopy": options.no_copy, "Labels": options.labels});
    if let Some(driver) = &options.driver_config {
        document["DriverConfig"] = json!({"Name": driver.name, "Options": driver.options});
    }
    document
}

fn kind(block: &config::Mount) -> &str {
    block.r#type.as_deref().filter(|kind| !kind.is_empty()).unwrap_or("volume")
}

fn has_options(block: &config::Mount) -> bool {
    match kind(block) {
        "tmpfs" => block.tmpfs_options.is_some(),
        "volume" => block.volume_options.is_some(),
        _ => false,
    }
}

/// Makes a bind one whose source the engine relabels for SELinux: `bind:z` shared, `bind:Z` private.
fn relabel(mount: &mut Mount, label: &str) {
    if !label.is_empty() {
        mount.kind = MountKind::Other(format!("bind:{label}"));
    }
}

/// Source, target and modes of an entry of `volumes`.
fn parts(entry: &str) -> Result<(&str, &str, &str), Error> {
    match entry.split(':').collect::<Vec<_>>()[..] {
        [source, target] => Ok((source, target, "")),
        [source, target, modes] => Ok((source, target, modes)),
        _ => Err(Error::invalid(format!("invalid docker volume {entry:?}: not <src>:<destination>[:<mode>] format"))),
    }
}

/// One entry of `volumes`: `source:target[:mode,…]`.
fn volume(entry: &str, directories: &Directories) -> Result<Mount, Error> {
    let (source, target, modes) = parts(entry)?;
    let mut mount = inside::bind(&absolute(source, directories), target);
    // Docker makes what is missing of them.
    mount.kind = MountKind::Other(MADE.into());
    for mode in modes.split(',').filter(|mode| !mode.is_empty()) {
        match mode {
            "ro" => mount.read_only = true,
            "rw" => mount.read_only = false,
            "z" | "Z" => relabel(&mut mount, mode),
            "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" => {
                mount.propagation = Some(mode.into());
            }
            // They say how a Mac shares files with its virtual machine, and nothing on Linux.
            "cached" | "delegated" | "consistent" | "nocopy" => {}
            _ => {
                let text =
                    format!("invalid docker volume {entry:?}: mode {mode:?} is none of ro, rw, z, Z and propagations");
                return Err(Error::invalid(text));
            }
        }
    }
    Ok(mount)
}

fn mount(block: &config::Mount, directories: &Directories) -> Result<Mount, Error> {
    if block.target.is_empty() {
        return Err(Error::invalid("a mount block needs a target"));
    }
    let mut mount = inside::bind(&block.source, &block.target);
    mount.read_only = block.readonly;
    match kind(block) {
        "bind" => {
            mount.source = absolute(&block.source, directories);
            mount.propagation = block.bind_options.as_ref().and_then(|options| options.propagation.clone());
        }
        "volume" => mount.kind = MountKind::Volume,
        "tmpfs" => mount.kind = MountKind::Tmpfs,
        other => {
            let text = format!("mount {:?}: type {other:?} is none of bind, volume, tmpfs", block.target);
            return Err(Error::invalid(text));
        }
    }
    Ok(mount)
}

/// Relative paths begin at the task's directory: `../alloc/data` is the group's.
fn absolute(source: &str, directories: &Directories) -> String {
    if source.starts_with('/') {
        return source.into();
    }
    let mut parts: Vec<_> = directories.task.split('/').filter(|part| !part.is_empty()).collect();
    for part in source.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use longshore_sdk::{config::parse, sample::task};

    use super::*;

    fn made(config: &str) -> Result<Vec<Mount>, Error> {
        let config: Config = parse("config", config)?;
        mounts(&config, &task("{}"), "").map(|mut all| all.split_off(4))
    }

    #[test]
    fn a_task_sees_its_directories() {
        let all = mounts(&Config::default(), &task("{}"), "Z").unwrap();
        let seen: Vec<_> =
            all.iter().map(|mount| (mount.source.as_str(), mount.target.as_str(), mount.read_only)).collect();
        let expected = [
            ("/a/alloc", "/alloc", false),
            ("/a/alloc/logs", "/alloc/logs", true),
            ("/a/web/local", "/local", false),
            ("/a/web/secrets", "/secrets", false),
        ];
        assert_eq!(seen, expected);
        assert!(all.iter().all(|mount| mount.kind == MountKind::Other("bind:Z".into())));
    }

    #[test]
    fn volumes() {
        let table = [
            ("/etc:/mnt", "/etc", "/mnt", false),
            ("local/conf:/conf:ro", "/a/web/local/conf", "/conf", true),
            ("./local:/l:rw", "/a/web/local", "/l", false),
            ("../alloc/data:/up:ro,rslave", "/a/alloc/data", "/up", true),
            ("..//.././../etc:/up", "/etc", "/up", false),
        ];
        for (entry, source, target, read_only) in table {
            let made = made(&format!(r#"{{"volumes": [{entry:?}]}}"#)).unwrap();
            assert_eq!((made[0].source.as_str(), made[0].target.as_str()), (source, target));
            assert_eq!(made[0].read_only, read_only, "{entry}");
        }
        let error = made(r#"{"volumes": ["/single-path"]}"#).unwrap_err();
        assert!(
            error.text().starts_with("invalid docker volume \"/single-path\": not <src>:<destination>"),
            "{error:?}"
        );
        assert!(made(r#"{"volumes": ["a:b:x"]}"#).is_err());
        assert_eq!(made(r#"{"volumes": ["a:/b:ro,z"]}"#).unwrap()[0].kind, MountKind::Other("bind:z".into()));
    }

    #[test]
    fn what_has_options_is_the_engines() {
        let table = [
            (
                r#"{"volumes": ["data:/data:ro"], "volume_driver": "pxd"}"#,
                json!([{"Type": "volume", "Source": "data", "Target": "/data", "ReadOnly": true,
                        "VolumeOptions": {"DriverConfig": {"Name": "pxd"}, "NoCopy": false}}]),
            ),
            (
                r#"{"mount": {"type": "tmpfs", "target": "/t", "tmpfs_options": {"size": 1024, "mode": 448}}}"#,
                json!([{"Type": "tmpfs", "Target": "/t", "ReadOnly": false,
                        "TmpfsOptions": {"SizeBytes": 1024, "Mode": 448}}]),
            ),
            (
                r#"{"mount": {"target": "/v", "source": "v", "volume_options": [{"no_copy": true, "labels": [{"a": "b"}],
                    "driver_config": {"name": "local", "options": {"type": "nfs"}}}]}}"#,
                json!([{"Type": "volume", "Source": "v", "Target": "/v", "ReadOnly": false,
                        "VolumeOptions": {"NoCopy": true, "Labels": {"a": "b"},
                                          "DriverConfig": {"Name": "local", "Options": {"type": "nfs"}}}}]),
            ),
        ];
        for (text, expected) in table {
            assert_eq!(made(text).unwrap(), [], "{text}");
            assert_eq!(Value::from(engine_mounts(&parse("config", text).unwrap()).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn blocks() {
        let made = made(
            r#"{"mount": [
                {"type": "bind", "source": "local", "target": "/l", "readonly": true, "bind_options": {"propagation": "rshared"}},
                {"type": "volume", "source": "data", "target": "/d"},
                {"type": "tmpfs", "target": "/t"},
                {"type": "tmpfs", "target": "/sized", "tmpfs_options": [{"size": 1024, "mode": 448}]}]}"#,
        )
        .unwrap();
        assert_eq!(made.len(), 3, "a tmpfs with options is an engine option");
        assert_eq!(made[0].source, "/a/web/local");
        assert_eq!(made[0].propagation.as_deref(), Some("rshared"));
        assert_eq!((&made[1].kind, made[1].source.as_str()), (&MountKind::Volume, "data"));
        assert_eq!(made[2].kind, MountKind::Tmpfs);
    }
}
