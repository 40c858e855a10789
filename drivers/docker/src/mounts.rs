//! What a container sees of the host's files. Whether a path outside the allocation is allowed is the host's
//! to decide; here paths only become absolute.

use longshore_sdk::{
    Directories, Error, Task,
    host::{Mount, MountKind},
};

use crate::config::{self, Config};

/// Where the task's directories are inside.
pub const ALLOC_DIR: &str = "/alloc";
/// `NOMAD_TASK_DIR` inside.
pub const LOCAL_DIR: &str = "/local";
/// `NOMAD_SECRETS_DIR` inside.
pub const SECRETS_DIR: &str = "/secrets";

/// All mounts: the task's directories, its host volumes, `volumes`, and the `mount` blocks but tmpfs with
/// options ([`tmpfs`]).
pub fn mounts(config: &Config, task: &Task) -> Result<Vec<Mount>, Error> {
    let directories = &task.directories;
    let own = [(&directories.alloc, ALLOC_DIR), (&directories.local, LOCAL_DIR), (&directories.secrets, SECRETS_DIR)];
    let mut all: Vec<_> = own.map(|(source, target)| bind(source, target)).into();
    all.extend(task.mounts.iter().cloned());
    for entry in &config.volumes {
        all.push(volume(entry, config.volume_driver.is_some(), directories)?);
    }
    for block in config.mount.iter().filter(|block| !has_tmpfs_options(block)) {
        all.push(mount(block, directories)?);
    }
    Ok(all)
}

/// Target and options of tmpfs mounts that have some, as the engine writes them.
pub fn tmpfs(config: &Config) -> impl Iterator<Item = (String, String)> {
    config.mount.iter().filter(|block| has_tmpfs_options(block)).map(|block| {
        let options = block.tmpfs_options.clone().unwrap_or_default();
        let size = options.size.map(|bytes| format!("size={bytes}"));
        let mode = options.mode.map(|mode| format!("mode={mode:o}"));
        let access = block.readonly.then(|| "ro".to_owned());
        (block.target.clone(), [size, mode, access].into_iter().flatten().collect::<Vec<_>>().join(","))
    })
}

fn has_tmpfs_options(block: &config::Mount) -> bool {
    block.r#type.as_deref() == Some("tmpfs")
        && block.tmpfs_options.as_ref().is_some_and(|options| options.size.is_some() || options.mode.is_some())
}

/// One entry of `volumes`: `source:target[:mode,…]`.
fn volume(entry: &str, of_driver: bool, directories: &Directories) -> Result<Mount, Error> {
    let parts: Vec<&str> = entry.split(':').collect();
    let (source, target, modes) = match parts[..] {
        [source, target] => (source, target, ""),
        [source, target, modes] => (source, target, modes),
        _ => {
            return Err(Error::invalid(format!(
                "invalid docker volume {entry:?}: not <src>:<destination>[:<mode>] format"
            )));
        }
    };
    let mut mount = bind(source, target);
    if of_driver {
        mount.kind = MountKind::Volume;
    } else {
        mount.source = absolute(source, directories);
    }
    for mode in modes.split(',').filter(|mode| !mode.is_empty()) {
        match mode {
            "ro" => mount.read_only = true,
            "rw" => mount.read_only = false,
            "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" => {
                mount.propagation = Some(mode.into());
            }
            _ => {
                let text = format!("invalid docker volume {entry:?}: mode {mode:?} is none of ro, rw and propagations");
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
    if block.volume_options.is_some() {
        return Err(Error::invalid(format!(
            "mount {:?}: volume_options are not supported; make the volume with `docker volume create`",
            block.target
        )));
    }
    let mut mount = bind(&block.source, &block.target);
    mount.read_only = block.readonly;
    match block.r#type.as_deref().unwrap_or("volume") {
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

fn bind(source: &str, target: &str) -> Mount {
    Mount { source: source.into(), target: target.into(), kind: MountKind::Bind, read_only: false, propagation: None }
}

/// Relative paths are below the task's directory.
fn absolute(source: &str, directories: &Directories) -> String {
    if source.starts_with('/') {
        return source.into();
    }
    let relative = source.trim_start_matches("./");
    format!("{}/{relative}", directories.task.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use longshore_sdk::config::parse;

    use super::*;
    use crate::spec::tests::task;

    fn made(config: &str) -> Result<Vec<Mount>, Error> {
        let config: Config = parse("config", config)?;
        mounts(&config, &task("{}")).map(|mut all| all.split_off(3))
    }

    #[test]
    fn a_task_sees_its_directories() {
        let all = mounts(&Config::default(), &task("{}")).unwrap();
        let pairs: Vec<_> = all.iter().map(|mount| (mount.source.as_str(), mount.target.as_str())).collect();
        assert_eq!(pairs, [("/a/alloc", "/alloc"), ("/a/web/local", "/local"), ("/a/web/secrets", "/secrets")]);
    }

    #[test]
    fn volumes() {
        let table = [
            ("/etc:/mnt", "/etc", "/mnt", false),
            ("local/conf:/conf:ro", "/a/web/local/conf", "/conf", true),
            ("./local:/l:rw", "/a/web/local", "/l", false),
            ("../up:/up:ro,rslave", "/a/web/../up", "/up", true),
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
        assert!(made(r#"{"volumes": ["a:b:z"]}"#).is_err());
        let named = made(r#"{"volumes": ["data:/data"], "volume_driver": "pxd"}"#).unwrap();
        assert_eq!((named[0].source.as_str(), &named[0].kind), ("data", &MountKind::Volume));
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

    #[test]
    fn tmpfs_options_are_written_as_the_engine_does() {
        let text = r#"{"mount": {"type": "tmpfs", "target": "/t", "tmpfs_options": {"size": 1024, "mode": 448}}}"#;
        let config: Config = parse("config", text).unwrap();
        assert_eq!(tmpfs(&config).collect::<Vec<_>>(), [("/t".to_owned(), "size=1024,mode=700".to_owned())]);
    }
}
