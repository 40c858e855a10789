//! A task as QEMU's command line.

use std::collections::BTreeMap;

use longshore_sdk::{Error, Task, loose};
use serde::Deserialize;

/// Nomad's bounds of a machine's memory, MiB.
const MEMORY: std::ops::RangeInclusive<u32> = 128..=4_000_000;

/// The `config` block of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Disk image: of the allocation (`local/disk.img`), or where the operator allows.
    pub image_path: String,
    /// Bus of the disk; `ide` unless given.
    pub drive_interface: Option<String>,
    /// `tcg` emulates, `kvm` uses the processor; `tcg` unless given.
    pub accelerator: Option<String>,
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

/// What the operator wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Directories of the host whose images may be used.
    pub image_paths: Vec<String>,
}

/// Where the image is on the host, if it may be used.
pub fn image(config: &Config, settings: &Settings, task: &Task) -> Result<String, Error> {
    let path = &config.image_path;
    if path.is_empty() {
        return Err(Error::invalid("image_path must be set"));
    }
    if path.split('/').any(|part| part == "..") {
        return Err(Error::invalid(format!("image_path {path:?} contains `..`; write the path it means")));
    }
    if !path.starts_with('/') {
        return Ok(format!("{}/{path}", task.directories.task));
    }
    let below = |allowed: &String| path.strip_prefix(allowed.trim_end_matches('/')).is_some_and(|r| r.starts_with('/'));
    let own = [&task.directories.task, &task.directories.alloc];
    if own.into_iter().chain(&settings.image_paths).any(below) {
        return Ok(path.clone());
    }
    Err(Error::denied(format!(
        "image_path {path:?} is not in the allowed paths; add its directory to `image_paths` in the config of this driver"
    )))
}

/// Where the monitor listens: a pair of pipes, which only the task's user reaches.
pub fn monitor(config: &Config, task: &Task) -> Option<String> {
    config.graceful_shutdown.then(|| format!("{}/qemu-monitor", task.directories.secrets))
}

/// A command line, option by option.
#[derive(Default)]
struct Line(Vec<String>);

impl Line {
    fn option(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        self.0.extend([format!("-{name}"), value.into()]);
        self
    }

    fn flag(&mut self, name: &str) -> &mut Self {
        self.0.push(format!("-{name}"));
        self
    }
}

/// The machine.
pub fn arguments(config: &Config, image: &str, task: &Task) -> Result<Vec<String>, Error> {
    let memory = task.resources.memory_mib;
    if !MEMORY.contains(&memory) {
        return Err(Error::invalid(format!(
            "a machine has {} to {} MB of memory, the task's resources say {memory}",
            MEMORY.start(),
            MEMORY.end()
        )));
    }
    let accelerator = config.accelerator.as_deref().unwrap_or("tcg");
    let drive = config.drive_interface.as_deref().unwrap_or("ide");
    let mut line = Line::default();
    line.option("machine", format!("type=pc,accel={accelerator}"))
        .option("name", escaped(image.rsplit('/').next().unwrap_or(image)))
        .option("m", format!("{memory}M"))
        .option("drive", format!("file={},if={drive}", escaped(image)))
        .flag("nographic");
    if accelerator == "kvm" {
        line.flag("enable-kvm").option("cpu", "host");
    }
    if !task.resources.cpu_cores.is_empty() {
        line.option("smp", task.resources.cpu_cores.len().to_string());
    }
    if let Some(pipe) = monitor(config, task) {
        line.option("chardev", format!("pipe,id=monitor,path={}", escaped(&pipe)))
            .option("mon", "chardev=monitor,mode=readline");
    }
    if config.guest_agent {
        let socket = escaped(&format!("{}/qemu-guest-agent.sock", task.directories.local));
        line.option("chardev", format!("socket,id=agent,path={socket},server=on,wait=off"))
            .option("device", "virtio-serial")
            .option("device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0");
    }
    if !config.port_map.is_empty() {
        line.option("netdev", forwards(config, task)?).option("device", "virtio-net,netdev=user.0");
    }
    line.0.extend(config.args.iter().cloned());
    Ok(line.0)
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
            ("local/a.img", Ok("/a/web/local/a.img")),
            ("/a/alloc/data/a.img", Ok("/a/alloc/data/a.img")),
            ("/srv/images/a.img", Ok("/srv/images/a.img")),
            ("/srv/images2/a.img", Err("is not in the allowed paths")),
            ("/etc/shadow", Err("is not in the allowed paths")),
            ("/srv/images/../../etc/shadow", Err("contains `..`")),
            ("", Err("must be set")),
        ];
        for (path, expected) in table {
            let config = Config { image_path: path.into(), ..Config::default() };
            match (image(&config, &settings, &sample::task("{}")), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
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
