//! A task as QEMU's command line.

use std::collections::BTreeMap;

use longshore_sdk::{Error, Task, host::processes::ProcessSpec, limits, loose};
use serde::Deserialize;

/// Nomad's bounds of a machine's memory, MiB.
const MEMORY: std::ops::RangeInclusive<u32> = 128..=4_000_000;

/// The `config` block of a task.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Disk image: of the allocation (`local/disk.img`), or where the operator allows.
    pub image_path: String,
    /// Bus of the disk.
    pub drive_interface: String,
    /// `tcg` emulates, `kvm` uses the processor.
    pub accelerator: String,
    /// Whether a stop presses the power button, and the guest has the task's `kill_timeout` to shut down.
    pub graceful_shutdown: bool,
    /// Whether there is a channel for the guest's agent, at `local/qemu-guest-agent.sock`.
    pub guest_agent: bool,
    /// Port labels, and the guest's numbers.
    #[serde(deserialize_with = "loose::ports")]
    pub port_map: BTreeMap<String, u16>,
    /// Further arguments for QEMU.
    pub args: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            image_path: String::new(),
            drive_interface: "ide".into(),
            accelerator: "tcg".into(),
            graceful_shutdown: false,
            guest_agent: false,
            port_map: BTreeMap::new(),
            args: Vec::new(),
        }
    }
}

/// What the operator wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Directories of the host whose images may be used.
    pub image_paths: Vec<String>,
}

/// A disk image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Absolute path on the host.
    pub path: String,
    /// Whether it is the allocation's, so that the host can look at it.
    pub in_allocation: bool,
}

/// Where the image is, if it may be used.
pub fn image(config: &Config, settings: &Settings, task: &Task) -> Result<Image, Error> {
    let path = &config.image_path;
    if path.is_empty() {
        return Err(Error::invalid("image_path must be set"));
    }
    if path.split('/').any(|part| part == "..") {
        return Err(Error::invalid(format!("image_path {path:?} contains `..`; write the path it means")));
    }
    if !path.starts_with('/') {
        return Ok(Image { path: format!("{}/{path}", task.directories.task), in_allocation: true });
    }
    let below = |allowed: &String| path.strip_prefix(allowed.trim_end_matches('/')).is_some_and(|r| r.starts_with('/'));
    let own = below(&task.directories.task) || below(&task.directories.alloc);
    if own || settings.image_paths.iter().any(below) {
        return Ok(Image { path: path.clone(), in_allocation: false });
    }
    Err(Error::denied(format!(
        "image_path {path:?} is not in the allowed paths; add its directory to `image_paths` in the config of this driver"
    )))
}

/// Where the monitor listens: a pair of pipes, which only the task's user reaches.
pub fn monitor(config: &Config, task: &Task) -> Option<String> {
    config.graceful_shutdown.then(|| format!("{}/qemu-monitor", task.directories.secrets))
}

/// The machine. Its memory is the guest's: no limit of the host's besides, since QEMU needs some too.
pub fn process(emulator: &str, config: &Config, image: &str, task: Task) -> Result<ProcessSpec, Error> {
    Ok(ProcessSpec {
        name: task.identity.name.clone(),
        command: emulator.into(),
        args: arguments(config, image, &task)?,
        limits: limits::cpu(&task.resources),
        working_dir: None,
        user: task.user.clone().filter(|user| !user.is_empty()),
        isolation: None,
        options: Vec::new(),
        env: task.env,
    })
}

fn arguments(config: &Config, image: &str, task: &Task) -> Result<Vec<String>, Error> {
    let memory = task.resources.memory_mib;
    if !MEMORY.contains(&memory) {
        return Err(Error::invalid(format!(
            "a machine has {} to {} MB of memory, the task's resources say {memory}",
            MEMORY.start(),
            MEMORY.end()
        )));
    }
    let name = image.rsplit('/').next().unwrap_or(image);
    let (drive, accelerator) = (&config.drive_interface, &config.accelerator);
    let mut all = vec![
        "-machine".into(),
        format!("type=pc,accel={accelerator}"),
        "-name".into(),
        escaped(name),
        "-m".into(),
        format!("{memory}M"),
        "-drive".into(),
        format!("file={},if={drive}", escaped(image)),
        "-nographic".into(),
    ];
    if accelerator == "kvm" {
        all.extend(["-enable-kvm".into(), "-cpu".into(), "host".into()]);
    }
    if !task.resources.cpu_cores.is_empty() {
        all.extend(["-smp".into(), task.resources.cpu_cores.len().to_string()]);
    }
    if let Some(pipe) = monitor(config, task) {
        let chardev = format!("pipe,id=monitor,path={}", escaped(&pipe));
        all.extend(["-chardev".into(), chardev, "-mon".into(), "chardev=monitor,mode=readline".into()]);
    }
    if config.guest_agent {
        let socket = escaped(&format!("{}/qemu-guest-agent.sock", task.directories.local));
        let chardev = format!("socket,id=agent,path={socket},server=on,wait=off");
        let port = "virtserialport,chardev=agent,name=org.qemu.guest_agent.0";
        all.extend([
            "-chardev".into(),
            chardev,
            "-device".into(),
            "virtio-serial".into(),
            "-device".into(),
            port.into(),
        ]);
    }
    if !config.port_map.is_empty() {
        all.extend(["-netdev".into(), forwards(config, task)?, "-device".into(), "virtio-net,netdev=user.0".into()]);
    }
    all.extend(config.args.iter().cloned());
    Ok(all)
}

/// QEMU's own network, with a forward from each mapped port: of the host, or inside the group's network.
fn forwards(config: &Config, task: &Task) -> Result<String, Error> {
    let mut device = "user,id=user.0".to_owned();
    for (label, guest) in &config.port_map {
        let port = task.ports.iter().find(|port| port.label == *label);
        let port = port.ok_or_else(|| Error::invalid(format!("Unknown port label {label:?}; check network block")))?;
        let (address, number) = match task.network.namespace_path {
            Some(_) => ("", port.task_port),
            None => (port.host_ip.as_str(), port.host_port),
        };
        for protocol in ["udp", "tcp"] {
            device += &format!(",hostfwd={protocol}:{address}:{number}-:{guest}");
        }
    }
    Ok(device)
}

/// A text within one of QEMU's comma-separated options.
fn escaped(text: &str) -> String {
    text.replace(',', ",,")
}

/// The number in `QEMU emulator version 7.2.15 (…)`.
pub fn version(said: &str) -> Option<&str> {
    let (_, after) = said.split_once("version ")?;
    after.split(|c: char| !c.is_ascii_digit() && c != '.').next().filter(|version| !version.is_empty())
}

#[cfg(test)]
mod tests {
    use longshore_sdk::{Port, config::parse, host::Protocol, sample};

    use super::*;

    fn made(text: &str, change: impl FnOnce(&mut Task)) -> Result<String, Error> {
        let mut task = sample::task(text);
        change(&mut task);
        Ok(arguments(&parse("config", text)?, "/a/web/local/a,b.img", &task)?.join(" "))
    }

    #[test]
    fn machines() {
        let plain =
            "-machine type=pc,accel=tcg -name a,,b.img -m 256M -drive file=/a/web/local/a,,b.img,if=ide -nographic";
        assert_eq!(made("{}", |_| ()).unwrap(), plain);
        let text = r#"{"graceful_shutdown": true, "args": ["-snapshot"]}"#;
        let monitor = "-chardev pipe,id=monitor,path=/a/web/secrets/qemu-monitor -mon chardev=monitor,mode=readline";
        assert_eq!(made(text, |_| ()).unwrap(), format!("{plain} {monitor} -snapshot"));
        let said = made(r#"{"accelerator": "kvm"}"#, |task| task.resources.cpu_cores = vec![1, 3]).unwrap();
        assert!(said.ends_with("-nographic -enable-kvm -cpu host -smp 2"), "{said}");
        let said = made(r#"{"guest_agent": true}"#, |_| ()).unwrap();
        assert!(said.contains("path=/a/web/local/qemu-guest-agent.sock,server=on,wait=off"), "{said}");
        let error = made("{}", |task| task.resources.memory_mib = 64).unwrap_err();
        assert_eq!(error.text(), "a machine has 128 to 4000000 MB of memory, the task's resources say 64");
    }

    #[test]
    fn ports_are_forwarded() {
        let port = Port {
            label: "ssh".into(),
            host_ip: "127.0.0.1".into(),
            host_port: 20000,
            task_port: 2222,
            protocol: Protocol::Both,
        };
        for (text, namespace, expected) in [
            (r#"{"port_map": {"ssh": 22}}"#, None, "hostfwd=udp:127.0.0.1:20000-:22,hostfwd=tcp:127.0.0.1:20000-:22"),
            (r#"{"port_map": [{"ssh": 22}]}"#, Some("/run/netns/x"), "hostfwd=udp::2222-:22,hostfwd=tcp::2222-:22"),
        ] {
            let said = made(text, |task| {
                task.ports = vec![port.clone()];
                task.network.namespace_path = namespace.map(String::from);
            });
            let expected = format!("-netdev user,id=user.0,{expected} -device virtio-net,netdev=user.0");
            assert!(said.clone().unwrap().ends_with(&expected), "{said:?}");
        }
        let error = made(r#"{"port_map": {"web": 80}}"#, |_| ()).unwrap_err();
        assert!(error.text().starts_with("Unknown port label \"web\""), "{error:?}");
    }

    #[test]
    fn images_are_the_allocations_or_where_the_operator_says() {
        let settings = Settings { image_paths: vec!["/srv/images/".into()] };
        let table = [
            ("local/a.img", Ok(("/a/web/local/a.img", true))),
            ("/a/alloc/data/a.img", Ok(("/a/alloc/data/a.img", false))),
            ("/srv/images/a.img", Ok(("/srv/images/a.img", false))),
            ("/srv/images2/a.img", Err("is not in the allowed paths")),
            ("/etc/shadow", Err("is not in the allowed paths")),
            ("/srv/images/../../etc/shadow", Err("contains `..`")),
            ("", Err("must be set")),
        ];
        for (path, expected) in table {
            let config = Config { image_path: path.into(), ..Config::default() };
            match (image(&config, &settings, &sample::task("{}")), expected) {
                (Ok(found), Ok(expected)) => assert_eq!((found.path.as_str(), found.in_allocation), expected),
                (Err(error), Err(words)) => assert!(error.text().contains(words), "{path}: {error:?}"),
                (found, expected) => panic!("{path}: {found:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn versions() {
        let debian = "QEMU emulator version 7.2.15 (Debian 1:7.2+dfsg-7+deb12u12)\nCopyright (c) 2003";
        assert_eq!((version(debian), version("something else")), (Some("7.2.15"), None));
    }

    #[test]
    fn the_schema_is_json_and_knows_each_key() {
        let schema: serde_json::Value = serde_json::from_str(include_str!("config.schema.json")).unwrap();
        let keys: Vec<_> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        let options = ["graceful_shutdown", "guest_agent", "port_map", "args"];
        assert_eq!(keys, [&["image_path", "drive_interface", "accelerator"][..], &options].concat());
    }
}
