//! The engine's own create document: what of the job has no field in the contract. The host checks each key
//! against the operator's policy.

use longshore_sdk::{Error, Task, host::containers::ContainerNetwork, loose::Texts};
use serde_json::{Map, Value, json};

use crate::{
    config::{Config, Device, Healthchecks, Logging},
    duration::milliseconds,
    mounts, network, resources,
    settings::Settings,
    spec::Given,
};

/// The document, or none when everything is as the engine has it by itself.
pub fn document(given: &Given, network: &ContainerNetwork) -> Result<Option<String>, Error> {
    let config = given.config;
    let mut top = Section::default();
    top.flag("Tty", config.tty).flag("OpenStdin", config.interactive);
    if let Some(checks) = &config.healthchecks {
        top.section("Healthcheck", health(checks)?);
    }
    top.section("HostConfig", host(given, network)?);
    if let Some(endpoint) = endpoint(config, network)? {
        top.put("NetworkingConfig", json!({"EndpointsConfig": endpoint}));
    }
    Ok((!top.0.is_empty()).then(|| Value::Object(top.0).to_string()))
}

/// A JSON object that is given only what was set.
#[derive(Default)]
struct Section(Map<String, Value>);

impl Section {
    fn put(&mut self, key: &str, value: Value) -> &mut Self {
        self.0.insert(key.into(), value);
        self
    }
    fn flag(&mut self, key: &str, set: bool) -> &mut Self {
        if set { self.put(key, Value::Bool(true)) } else { self }
    }
    fn text(&mut self, key: &str, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) if !text.is_empty() => self.put(key, text.into()),
            _ => self,
        }
    }
    fn list(&mut self, key: &str, list: &[String]) -> &mut Self {
        if list.is_empty() { self } else { self.put(key, list.into()) }
    }
    fn map(&mut self, key: &str, map: &Texts) -> &mut Self {
        if map.is_empty() { self } else { self.put(key, json!(map)) }
    }
    fn section(&mut self, key: &str, section: Self) -> &mut Self {
        if section.0.is_empty() { self } else { self.put(key, Value::Object(section.0)) }
    }
}

fn host(given: &Given, network: &ContainerNetwork) -> Result<Section, Error> {
    let Given { config, task, settings, .. } = *given;
    let mut host = Section::default();
    host.flag("Privileged", config.privileged)
        .flag("ReadonlyRootfs", config.readonly_rootfs)
        .flag("Init", config.init)
        .list("CapAdd", &capabilities(&config.cap_add))
        .list("CapDrop", &capabilities(&config.cap_drop))
        .list("SecurityOpt", &security(&config.security_opt)?)
        .list("GroupAdd", &config.group_add)
        .map("Sysctls", &config.sysctl)
        .map("StorageOpt", &config.storage_opt)
        .text("Runtime", config.runtime.as_deref())
        .text("IpcMode", config.ipc_mode.as_deref())
        .text("PidMode", config.pid_mode.as_deref())
        .text("UTSMode", config.uts_mode.as_deref())
        .text("UsernsMode", config.userns_mode.as_deref())
        .text("CgroupnsMode", config.cgroupns.as_deref())
        .text("VolumeDriver", config.volume_driver.as_deref());
    let mounts = mounts::engine_mounts(config)?;
    if !mounts.is_empty() {
        host.put("Mounts", mounts.into());
    }
    if let Some(bytes) = config.shm_size {
        host.put("ShmSize", bytes.into());
    }
    if let Some((period, quota)) = resources::hard_limit(given)? {
        host.put("CpuPeriod", period.into()).put("CpuQuota", quota.into());
    }
    if let Some(score) = config.oom_score_adj.or(settings.oom_score_adj).filter(|score| *score != 0) {
        host.put("OomScoreAdj", score.into());
    }
    if !config.ulimit.is_empty() {
        host.put("Ulimits", config.ulimit.iter().map(ulimit).collect::<Result<_, _>>()?);
    }
    let devices = devices(config, task)?;
    if !devices.is_empty() {
        host.put("Devices", devices.into());
    }
    if let Some((driver, options)) = logging(config, settings) {
        host.put("LogConfig", json!({"Type": driver, "Config": options}));
    }
    if !network::is_joined(network) {
        resolver(&mut host, config, task)?;
    }
    Ok(host)
}

/// What is not said is as the image has it.
fn health(checks: &Healthchecks) -> Result<Section, Error> {
    let mut out = Section::default();
    if checks.disable {
        out.put("Test", json!(["NONE"]));
        return Ok(out);
    }
    out.list("Test", &checks.test);
    for (key, name, text) in [
        ("Interval", "interval", &checks.interval),
        ("Timeout", "timeout", &checks.timeout),
        ("StartPeriod", "start_period", &checks.start_period),
    ] {
        if let Some(text) = text.as_deref().filter(|text| !text.is_empty()) {
            out.put(key, json!(u64::from(milliseconds(name, text)?) * 1_000_000));
        }
    }
    if let Some(retries) = checks.retries {
        out.put("Retries", json!(retries));
    }
    Ok(out)
}

/// The task's log driver, else the operator's. None: the host's default, whose output can be read back.
fn logging<'a>(config: &'a Config, settings: &'a Settings) -> Option<(&'a str, &'a Texts)> {
    let said = |logging: &'a Logging| {
        let names = [&logging.r#type, &logging.driver];
        let name = names.into_iter().flatten().map(String::as_str).find(|name| !name.is_empty())?;
        Some((name, &logging.config))
    };
    config.logging.as_ref().and_then(said).or_else(|| settings.logging.as_ref().and_then(said))
}

/// The group's `dns` block wins over the task's keys.
fn resolver(host: &mut Section, config: &Config, task: &Task) -> Result<(), Error> {
    if let Some(text) = config.dns_servers.iter().find(|text| text.parse::<std::net::IpAddr>().is_err()) {
        return Err(Error::invalid(format!("failed to parse dns_servers {text:?}: not an IP address")));
    }
    host.list("ExtraHosts", &config.extra_hosts);
    match &task.dns {
        Some(dns) => host.list("Dns", &dns.servers).list("DnsSearch", &dns.searches).list("DnsOptions", &dns.options),
        None => host
            .list("Dns", &config.dns_servers)
            .list("DnsSearch", &config.dns_search_domains)
            .list("DnsOptions", &config.dns_options),
    };
    Ok(())
}

/// `cap_net_admin` and `NET_ADMIN` are one.
fn capabilities(names: &[String]) -> Vec<String> {
    let upper = names.iter().map(|name| name.to_uppercase());
    upper.map(|name| name.strip_prefix("CAP_").map_or(name.clone(), str::to_owned)).collect()
}

/// `no-new-privileges`, `key=value`, or the older `key:value`.
fn security(options: &[String]) -> Result<Vec<String>, Error> {
    let option = |text: &String| match (text.as_str(), text.split_once(['=', ':'])) {
        ("no-new-privileges", _) => Ok(text.clone()),
        (_, Some((key, value))) if !key.is_empty() && !value.is_empty() => Ok(format!("{key}={value}")),
        _ => Err(Error::invalid(format!("invalid security_opt: {text:?}"))),
    };
    options.iter().map(option).collect()
}

/// `nofile = "2048:4096"` or `"4096"` for both.
fn ulimit((name, text): (&String, &String)) -> Result<Value, Error> {
    let wrong = |what: &str, rest: &str| {
        let text = format!("failed to parse ulimit configuration: Malformed {what} specification {name}: {text}{rest}");
        Error::invalid(text)
    };
    let number = |what, text: &str| text.parse::<i64>().map_err(|_| wrong(what, ""));
    if text.is_empty() {
        return Err(wrong("ulimit", "\"\", cannot be empty"));
    }
    let (soft, hard) = match text.split(':').collect::<Vec<_>>()[..] {
        [both] => (both, both),
        [soft, hard] => (soft, hard),
        _ => return Err(wrong("ulimit", "")),
    };
    Ok(json!({"Name": name, "Soft": number("soft ulimit", soft)?, "Hard": number("hard ulimit", hard)?}))
}

/// Devices of the job's `devices` blocks and those the host gives the task.
fn devices(config: &Config, task: &Task) -> Result<Vec<Value>, Error> {
    let given = task.devices.iter().map(|device| Device {
        host_path: device.host_path.clone(),
        container_path: Some(device.task_path.clone()),
        cgroup_permissions: Some(device.permissions.clone()),
    });
    given.chain(config.devices.iter().cloned()).map(|device| self::device(&device)).collect()
}

fn device(device: &Device) -> Result<Value, Error> {
    if device.host_path.is_empty() {
        return Err(Error::invalid("host path must be set in configuration for devices"));
    }
    let permissions = device.cgroup_permissions.as_deref().filter(|text| !text.is_empty()).unwrap_or("rwm");
    if permissions.chars().any(|c| !"rwm".contains(c)) {
        return Err(Error::invalid(format!("invalid cgroup permission string: {permissions:?}")));
    }
    let inside = device.container_path.as_ref().unwrap_or(&device.host_path);
    Ok(json!({"PathOnHost": device.host_path, "PathInContainer": inside, "CgroupPermissions": permissions}))
}

/// What the container asks of a network of the operator's.
fn endpoint(config: &Config, network: &ContainerNetwork) -> Result<Option<Value>, Error> {
    let mut endpoint = Section::default();
    let mut addresses = Section::default();
    for (key, name, text) in [
        ("IPv4Address", "ipv4_address", config.ipv4_address.as_deref()),
        ("IPv6Address", "ipv6_address", config.ipv6_address.as_deref()),
    ] {
        if let Some(text) = text.filter(|text| text.parse::<std::net::IpAddr>().is_err()) {
            return Err(Error::invalid(format!("failed to parse {name} {text:?}: not an IP address")));
        }
        addresses.text(key, text);
    }
    endpoint
        .list("Aliases", &config.network_aliases)
        .text("MacAddress", config.mac_address.as_deref())
        .section("IPAMConfig", addresses);
    match (endpoint.0.is_empty(), network) {
        (true, _) => Ok(None),
        (false, ContainerNetwork::Named(name)) => Ok(Some(json!({ name: endpoint.0 }))),
        (false, ContainerNetwork::DefaultNetwork) => Ok(Some(json!({ "default": endpoint.0 }))),
        (false, _) => Err(Error::invalid(
            "network_aliases, ipv4_address, ipv6_address and mac_address need a network_mode that names a network",
        )),
    }
}

#[cfg(test)]
mod tests {
    use longshore_sdk::{config::parse, sample::task};

    use super::*;

    fn made(config: &str, network: &ContainerNetwork) -> Result<Value, Error> {
        let parsed: Config = parse("config", config)?;
        let (task, settings) = (task("{}"), Settings::default());
        let given = Given { config: &parsed, task: &task, settings: &settings, cpus: 2 };
        let text = document(&given, network)?;
        Ok(text.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap()))
    }

    #[test]
    fn keys_of_the_job_become_keys_of_the_engine() {
        let table = [
            (r#"{"image": "a"}"#, Value::Null),
            (r#"{"tty": true, "interactive": true}"#, json!({"Tty": true, "OpenStdin": true})),
            (r#"{"healthchecks": {"disable": true}}"#, json!({"Healthcheck": {"Test": ["NONE"]}})),
            (
                r#"{"healthchecks": {"test": ["CMD", "a"], "interval": "1m30s", "timeout": "500ms", "start_period": "5s", "retries": 3}}"#,
                json!({"Healthcheck": {
                    "Test": ["CMD", "a"],
                    "Interval": 90_000_000_000_u64,
                    "Timeout": 500_000_000,
                    "StartPeriod": 5_000_000_000_u64,
                    "Retries": 3
                }}),
            ),
            (r#"{"privileged": true}"#, json!({"HostConfig": {"Privileged": true}})),
            (r#"{"cap_add": ["cap_net_admin", "CHOWN"]}"#, json!({"HostConfig": {"CapAdd": ["NET_ADMIN", "CHOWN"]}})),
            (r#"{"pid_mode": "host", "init": true}"#, json!({"HostConfig": {"PidMode": "host", "Init": true}})),
            (r#"{"sysctl": {"a.b": 1}}"#, json!({"HostConfig": {"Sysctls": {"a.b": "1"}}})),
            (
                r#"{"ulimit": {"nofile": "2048:4096", "nproc": "42"}}"#,
                json!({"HostConfig": {"Ulimits": [
                    {"Name": "nofile", "Soft": 2048, "Hard": 4096}, {"Name": "nproc", "Soft": 42, "Hard": 42}]}}),
            ),
            (
                r#"{"security_opt": ["no-new-privileges", "label:disable"]}"#,
                json!({"HostConfig": {"SecurityOpt": ["no-new-privileges", "label=disable"]}}),
            ),
            (
                r#"{"devices": [{"host_path": "/dev/null"}]}"#,
                json!({"HostConfig": {"Devices": [
                    {"PathOnHost": "/dev/null", "PathInContainer": "/dev/null", "CgroupPermissions": "rwm"}]}}),
            ),
            (
                r#"{"logging": {"driver": "syslog", "type": "journald", "config": {"tag": "x"}}}"#,
                json!({"HostConfig": {"LogConfig": {"Type": "journald", "Config": {"tag": "x"}}}}),
            ),
            (r#"{"dns_servers": ["9.9.9.9"]}"#, json!({"HostConfig": {"Dns": ["9.9.9.9"]}})),
        ];
        for (config, expected) in table {
            assert_eq!(made(config, &ContainerNetwork::DefaultNetwork), Ok(expected), "{config}");
        }
    }

    #[test]
    fn bad_values_say_so() {
        let table = [
            (r#"{"ulimit": {"nofile": ""}}"#, "Malformed ulimit specification nofile: \"\", cannot be empty"),
            (r#"{"ulimit": {"nofile": "a:b:c"}}"#, "Malformed ulimit specification nofile: a:b:c"),
            (r#"{"ulimit": {"nofile": "x:1"}}"#, "Malformed soft ulimit"),
            (r#"{"ulimit": {"nofile": "1:x"}}"#, "Malformed hard ulimit"),
            (r#"{"security_opt": ["nope"]}"#, "invalid security_opt: \"nope\""),
            (r#"{"devices": [{}]}"#, "host path must be set in configuration for devices"),
            (
                r#"{"devices": [{"host_path": "/d", "cgroup_permissions": "rx"}]}"#,
                "invalid cgroup permission string: \"rx\"",
            ),
            (r#"{"ipv4_address": "x"}"#, "failed to parse ipv4_address \"x\""),
            (r#"{"dns_servers": ["9.9.9.9", "x"]}"#, "failed to parse dns_servers \"x\""),
        ];
        for (config, expected) in table {
            let error = made(config, &ContainerNetwork::DefaultNetwork).unwrap_err();
            assert!(error.text().contains(expected), "{config}: {error:?}");
        }
    }

    #[test]
    fn addresses_are_asked_of_the_named_network() {
        let config = r#"{"network_aliases": ["db"], "ipv4_address": "10.1.2.3"}"#;
        let endpoint = json!({"Aliases": ["db"], "IPAMConfig": {"IPv4Address": "10.1.2.3"}});
        assert_eq!(
            made(config, &ContainerNetwork::Named("back".into())),
            Ok(json!({"NetworkingConfig": {"EndpointsConfig": {"back": endpoint}}}))
        );
        assert!(made(config, &ContainerNetwork::Host).is_err());
    }

    #[test]
    fn a_joined_namespace_has_its_own_resolver() {
        let config = r#"{"dns_servers": ["9.9.9.9"]}"#;
        assert_eq!(made(config, &ContainerNetwork::Container("x".into())), Ok(Value::Null));
    }

    #[test]
    fn the_log_driver_is_the_tasks_else_the_operators() {
        let settings: Settings = parse("settings", r#"{"logging": {"type": "local"}}"#).unwrap();
        let table = [
            ("{}", Some("local")),
            (r#"{"logging": {"type": "", "config": {"tag": "x"}}}"#, Some("local")),
            (r#"{"logging": {"driver": "journald"}}"#, Some("journald")),
            (r#"{"logging": {"driver": "journald", "type": "none"}}"#, Some("none")),
        ];
        for (text, expected) in table {
            let config: Config = parse("config", text).unwrap();
            assert_eq!(logging(&config, &settings).map(|(name, _)| name), expected, "{text}");
        }
        assert_eq!(logging(&Config::default(), &Settings::default()), None);
    }
}
