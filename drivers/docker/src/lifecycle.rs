//! The order of calls to the engine.

use longshore_sdk::{
    DriverNetwork, Error, StartError, Started, Task, Watch, config, handle,
    host::containers::{Container, ContainerNetwork},
};
use serde::{Deserialize, Serialize};

use crate::{
    config::Config,
    create::Maker,
    engine::Engine,
    spec::{self, Given},
};

/// What is needed to find a task again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Handle {
    /// The engine's id.
    pub container_id: String,
    /// The image it was made of, to give back.
    #[serde(default)]
    pub image: String,
}

/// Starts a task. The usual case is two calls: create and start. An image is looked for only when it must be
/// fetched anew or creating did not find it.
pub fn start(engine: &impl Engine, task: &Task) -> Result<Started, StartError> {
    let config: Config = config::read(task)?;
    let settings = engine.settings()?;
    let cpus = if config.cpu_hard_limit { engine.cpus()? } else { 0 };
    let mut spec = spec::container(&Given { config: &config, task, settings: &settings, cpus })?;
    let timeout = config.image_pull_timeout.as_deref().or(settings.image_pull_timeout.as_deref());
    let id = Maker { engine, config: &config, timeout }.create(task, &mut spec)?;
    let network = engine.start(&id).and_then(|()| match has_own_address(&config, &spec.network) {
        true => Ok(own_network(&config, task, &engine.inspect(&id)?)),
        false => Ok(None),
    });
    let network = network.inspect_err(|_| {
        // Removing is best effort: `destroy` finds what is left.
        let _ = engine.remove(&id);
    })?;
    let handle = handle::encode(&Handle { container_id: id.clone(), image: spec.image })?;
    Ok(Started { handle, watch: Watch::Container(id), network })
}

/// Finds a task's container again.
pub fn recover(engine: &impl Engine, task: &Task, handle: &[u8]) -> Result<Started, Error> {
    let known: Handle = handle::decode(handle)?;
    let container = engine.inspect(&known.container_id)?;
    let config: Config = config::read(task)?;
    let network = crate::network::choose(config.network_mode.as_deref(), &task.network)?;
    let network = if has_own_address(&config, &network) { own_network(&config, task, &container) } else { None };
    Ok(Started { handle: handle.into(), watch: Watch::Container(known.container_id), network })
}

/// Removes a task's container and gives its image back; without a handle, whatever the task has.
pub fn destroy(engine: &impl Engine, handle: Option<&[u8]>) -> Result<(), Error> {
    match handle {
        Some(bytes) => {
            let known: Handle = handle::decode(bytes)?;
            let gc = engine.settings()?.gc();
            if gc.container {
                engine.remove(&known.container_id)?;
            }
            if gc.image && !known.image.is_empty() { engine.release(&known.image) } else { Ok(()) }
        }
        None => {
            let removed: Vec<_> = engine.list_own()?.iter().map(|container| engine.remove(&container.id)).collect();
            removed.into_iter().collect()
        }
    }
}

/// Whether services should be given the container's own address: asking costs a call to the engine.
fn has_own_address(config: &Config, network: &ContainerNetwork) -> bool {
    matches!(network, ContainerNetwork::Named(_)) || config.advertise_ipv6_address
}

fn own_network(config: &Config, task: &Task, container: &Container) -> Option<DriverNetwork> {
    let address = if config.advertise_ipv6_address { &container.address_ipv6 } else { &container.address };
    let address = address.clone().filter(|address| !address.is_empty())?;
    let mapped = |label: &String| config.port_map.get(label).copied();
    let port_map = task.ports.iter().map(|port| (port.label.clone(), mapped(&port.label).unwrap_or(port.task_port)));
    let shared = matches!(container.network_name.as_deref(), Some("bridge" | "nat" | "podman"));
    // Who asks for the IPv6 address means it, also on the engine's own network.
    let auto_advertise = config.advertise_ipv6_address || !shared;
    Some(DriverNetwork { address, auto_advertise, port_map: port_map.collect() })
}

#[cfg(test)]
mod tests {
    use longshore_sdk::sample::task;

    use super::*;
    use crate::fake::Fake;

    #[test]
    fn calls_of_a_start() {
        let missing = [("create", Error::not_found("No such image"))];
        let table: [(&str, Fake, &[&str]); 6] = [
            (r#"{"image": "redis:7"}"#, Fake::failing(&[]), &["create web-a1 of redis:7", "start c1"]),
            (r#"{"image": "redis"}"#, Fake::failing(&[]), &["pull redis", "create web-a1 of redis", "start c1"]),
            (
                r#"{"image": "redis:7", "force_pull": true}"#,
                Fake::failing(&[]),
                &["pull redis:7", "create web-a1 of redis:7", "start c1"],
            ),
            (
                r#"{"image": "redis:7"}"#,
                Fake { images: &[], ..Fake::failing(&missing) },
                &["create web-a1 of redis:7", "find redis:7", "pull redis:7", "create web-a1 of redis:7", "start c1"],
            ),
            (
                r#"{"image": "redis:7", "load": "redis.tar"}"#,
                Fake::failing(&[]),
                &["load local/redis.tar", "create web-a1 of redis:7", "start c1"],
            ),
            (
                r#"{"image": "redis:7", "network_mode": "back"}"#,
                Fake::failing(&[]),
                &["create web-a1 of redis:7", "start c1", "inspect c1"],
            ),
        ];
        for (config, fake, expected) in table {
            let started = start(&fake, &task(config)).unwrap();
            assert_eq!(started.watch, Watch::Container("c1".into()));
            assert_eq!(*fake.calls.borrow(), expected, "{config}");
        }
    }

    #[test]
    fn failures_of_a_start() {
        let table = [
            ("pull", Error::not_found("no such repo"), "redis", "no such repo", false),
            ("pull", Error::unavailable("no route"), "redis", "no route", true),
            ("pull", Error::other("toomanyrequests"), "redis", "toomanyrequests", true),
            ("create", Error::not_found("no network x"), "redis:7", "failed to create container: no network x", false),
            ("create", Error::unavailable("EOF"), "redis:7", "failed to create container: EOF", true),
            ("create", Error::denied("no"), "redis:7", "failed to create container: no", false),
            ("start", Error::other("exec: not found"), "redis:7", "exec: not found", false),
            ("start", Error::timeout("60 s"), "redis:7", "60 s", true),
        ];
        for (call, error, image, text, recoverable) in table {
            let fake = Fake::failing(&[(call, error)]);
            let failed = start(&fake, &task(&format!(r#"{{"image": {image:?}}}"#))).unwrap_err();
            assert_eq!((failed.reason.text(), failed.recoverable), (text, recoverable));
            let last = fake.calls.borrow().last().cloned();
            assert_eq!(
                last.as_deref() == Some("remove c1"),
                call == "start",
                "a container that does not start is removed"
            );
        }
    }

    #[test]
    fn a_task_on_a_named_network_advertises_its_own_address() {
        let network =
            start(&Fake::failing(&[]), &task(r#"{"image": "redis:7", "network_mode": "back"}"#)).unwrap().network;
        let network = network.unwrap();
        assert_eq!((network.address.as_str(), network.auto_advertise), ("10.1.2.3", true));
        let six = r#"{"image": "redis:7", "advertise_ipv6_address": true}"#;
        let network = start(&Fake::failing(&[]), &task(six)).unwrap().network.unwrap();
        assert_eq!((network.address.as_str(), network.auto_advertise), ("fd00::3", true));
    }

    #[test]
    fn recovery_only_looks() {
        let fake = Fake::failing(&[]);
        let task = task(r#"{"image": "redis:7"}"#);
        let handle = start(&fake, &task).unwrap().handle;
        fake.calls.borrow_mut().clear();
        assert_eq!(recover(&fake, &task, &handle).unwrap().watch, Watch::Container("c1".into()));
        assert_eq!(*fake.calls.borrow(), ["inspect c1"]);
        let gone = Fake::failing(&[("inspect", Error::not_found("c1"))]);
        assert!(matches!(recover(&gone, &task, &handle), Err(Error::NotFound(_))));
    }

    #[test]
    fn destroying_needs_no_handle() {
        let fake = Fake::failing(&[("remove", Error::unavailable("x"))]);
        assert!(destroy(&fake, None).is_err());
        assert_eq!(*fake.calls.borrow(), ["list ", "remove c1", "remove c2"], "one failure does not stop the rest");
        let fake = Fake::failing(&[]);
        let handle = start(&fake, &task(r#"{"image": "redis:7"}"#)).unwrap().handle;
        fake.calls.borrow_mut().clear();
        destroy(&fake, Some(&handle)).unwrap();
        assert_eq!(*fake.calls.borrow(), ["remove c1", "release redis:7"]);
    }

    #[test]
    fn the_operator_may_keep_containers_and_images() {
        let handle = handle::encode(&Handle { container_id: "c1".into(), image: "redis:7".into() }).unwrap();
        let table: [(&str, &[&str]); 3] = [
            (r#"{"gc": {"container": false}}"#, &["release redis:7"]),
            (r#"{"gc": {"image": false}}"#, &["remove c1"]),
            (r#"{"gc": {}}"#, &["remove c1", "release redis:7"]),
        ];
        for (settings, expected) in table {
            let fake = Fake { settings, ..Fake::failing(&[]) };
            destroy(&fake, Some(&handle)).unwrap();
            assert_eq!(*fake.calls.borrow(), expected, "{settings}");
        }
    }

    #[test]
    fn a_soft_failure_of_credentials_pulls_without() {
        let failure = [("pull", Error::denied("Failed to find docker auth for repo \"redis\": x"))];
        let soft = Fake::failing(&failure);
        start(&soft, &task(r#"{"image": "redis", "auth_soft_fail": true}"#)).unwrap();
        assert_eq!(soft.calls.borrow()[..2], ["pull redis", "pull redis anonymously"]);
        let hard = Fake::failing(&failure);
        assert!(!start(&hard, &task(r#"{"image": "redis"}"#)).unwrap_err().recoverable);
    }

    #[test]
    fn every_call_of_every_operation_fails_once() {
        let errors = [Error::unavailable("gone"), Error::timeout("slow"), Error::other("odd"), Error::invalid("bad")];
        let jobs = [
            r#"{"image": "redis:7"}"#,
            r#"{"image": "redis"}"#,
            r#"{"image": "redis:7", "cpu_hard_limit": true}"#,
            r#"{"image": "redis:7", "load": "redis.tar"}"#,
            r#"{"image": "redis:7", "network_mode": "back"}"#,
        ];
        for job in jobs {
            let whole = Fake::failing(&[]);
            let handle = start(&whole, &task(job)).unwrap().handle;
            for (number, error) in (0..whole.calls.borrow().len()).flat_map(|n| errors.iter().map(move |e| (n, e))) {
                let fake = Fake { nth: Some((number, error.clone())), ..Fake::failing(&[]) };
                let failed = start(&fake, &task(job)).unwrap_err();
                let transient = matches!(error, Error::Unavailable(_) | Error::Timeout(_));
                let pulling = fake.calls.borrow()[number].starts_with("pull");
                let expected = transient || (pulling && matches!(error, Error::Other(_)));
                assert_eq!(failed.recoverable, expected, "{job}, call {number}: {:?}", failed.reason);
                assert!(failed.reason.text().contains(&format!("call {number}: ")), "{:?}", failed.reason);
                assert!(fake.containers.borrow().is_empty(), "{job}, call {number}: a container is left");
            }
            for number in 0..2 {
                let fake = Fake { nth: Some((number, errors[0].clone())), ..Fake::failing(&[]) };
                assert!(destroy(&fake, Some(&handle)).is_err(), "call {number}");
                destroy(&fake, Some(&handle)).expect("destroying again finishes it");
            }
            let fake = Fake { nth: Some((0, errors[0].clone())), ..Fake::failing(&[]) };
            assert!(recover(&fake, &task(job), &handle).is_err());
        }
    }
}
