//! The order of calls to the engine.

use longshore_sdk::{
    DriverNetwork, Error, StartError, Started, Task, Watch, config, handle,
    host::{
        containers::{Container, ContainerNetwork, ContainerSpec},
        images::{Credentials, PullOptions},
    },
};
use serde::{Deserialize, Serialize};

use crate::{
    config::{Auth, Config},
    duration,
    engine::Engine,
    image::Reference,
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
    let spec = spec::container(&Given { config: &config, task, settings: &settings, cpus })?;
    let reference = Reference::parse(&spec.image)?;
    let timeout = config.image_pull_timeout.as_deref().or(settings.image_pull_timeout.as_deref());
    let id = create(engine, &config, timeout, &reference, &spec)?;
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

fn create(
    engine: &impl Engine,
    config: &Config,
    timeout: Option<&str>,
    reference: &Reference,
    spec: &ContainerSpec,
) -> Result<String, StartError> {
    let again = |error: Error| StartError::from(error.context("failed to create container"));
    if let Some(archive) = &config.load {
        let path = format!("local/{}", archive.trim_start_matches("local/"));
        engine.load(&path).map_err(|error| error.context("unable to load image archive"))?;
        return engine.create(spec).map_err(again);
    }
    if reference.moves() || config.force_pull {
        pull(engine, config, timeout, &spec.image)?;
        return engine.create(spec).map_err(again);
    }
    match engine.create(spec) {
        // Not found may also be a network or a volume.
        Err(Error::NotFound(text)) if engine.has_image(&spec.image)? => Err(again(Error::NotFound(text))),
        Err(Error::NotFound(_)) => {
            pull(engine, config, timeout, &spec.image)?;
            engine.create(spec).map_err(again)
        }
        created => created.map_err(again),
    }
}

fn pull(engine: &impl Engine, config: &Config, timeout: Option<&str>, image: &str) -> Result<(), StartError> {
    let timeout_ms = timeout
        .filter(|text| !text.is_empty())
        .map_or(Ok(0), |text| duration::milliseconds("image_pull_timeout", text))?;
    let mut options =
        PullOptions { credentials: config.auth.as_ref().and_then(credentials), timeout_ms, platform: None };
    let mut pulled = engine.pull(image, &options);
    if config.auth_soft_fail && pulled.as_ref().is_err_and(|error| error.text().contains(NO_AUTH)) {
        options.credentials = Some(anonymous());
        pulled = engine.pull(image, &options);
    }
    pulled.map_err(|reason| {
        let hopeless = matches!(reason, Error::NotFound(_) | Error::Denied(_) | Error::Invalid(_));
        StartError { reason, recoverable: !hopeless }
    })
}

/// Words of the host when looking credentials up failed, rather than pulling.
const NO_AUTH: &str = "Failed to find docker auth";

/// What tells the host not to look for the operator's credentials.
fn anonymous() -> Credentials {
    Credentials { username: String::new(), password: String::new(), identity_token: None, server_address: None }
}

/// An `auth` block with nothing in it means the operator's credentials.
fn credentials(auth: &Auth) -> Option<Credentials> {
    let given = !(auth.username.is_empty() && auth.password.is_empty());
    given.then(|| Credentials {
        username: auth.username.clone(),
        password: auth.password.clone(),
        identity_token: None,
        server_address: auth.server_address.clone(),
    })
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
    let shared = matches!(container.network_name.as_deref(), Some("bridge" | "nat"));
    Some(DriverNetwork { address, auto_advertise: !shared, port_map: port_map.collect() })
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, collections::BTreeSet};

    use longshore_sdk::{RunState, sample::task};

    use super::*;
    use crate::settings::Settings;

    /// An engine that records calls and fails the ones it is told to, once each.
    struct Fake {
        image: bool,
        settings: &'static str,
        failures: RefCell<Vec<(&'static str, Error)>>,
        /// Fails the call of this number, from 0.
        nth: Option<(usize, Error)>,
        calls: RefCell<Vec<String>>,
        containers: RefCell<BTreeSet<String>>,
    }

    impl Fake {
        fn failing(failures: &[(&'static str, Error)]) -> Self {
            Self {
                image: true,
                settings: "{}",
                failures: RefCell::new(failures.to_vec()),
                nth: None,
                calls: RefCell::default(),
                containers: RefCell::default(),
            }
        }
        fn call(&self, name: &str, argument: &str) -> Result<(), Error> {
            self.calls.borrow_mut().push(format!("{name} {argument}"));
            if let Some((number, error)) =
                self.nth.as_ref().filter(|(number, _)| number + 1 == self.calls.borrow().len())
            {
                return Err(error.clone().context(format!("call {number}")));
            }
            let mut failures = self.failures.borrow_mut();
            match failures.iter().position(|(call, _)| *call == name) {
                Some(position) => Err(failures.remove(position).1),
                None => Ok(()),
            }
        }
        fn container(&self, id: &str) -> Container {
            Container {
                id: id.into(),
                name: "web-a1".into(),
                task_id: "a1/web".into(),
                image: "redis:7".into(),
                state: RunState::Running,
                health: None,
                address: Some("10.1.2.3".into()),
                address_ipv6: Some("fd00::3".into()),
                network_name: Some("back".into()),
                namespace_path: None,
            }
        }
    }

    impl Engine for Fake {
        fn has_image(&self, reference: &str) -> Result<bool, Error> {
            self.call("find", reference).map(|()| self.image)
        }
        fn pull(&self, reference: &str, options: &PullOptions) -> Result<(), Error> {
            let anonymous = options.credentials.as_ref().is_some_and(|given| given.username.is_empty());
            self.call("pull", &format!("{reference}{}", if anonymous { " anonymously" } else { "" }))
        }
        fn load(&self, path: &str) -> Result<(), Error> {
            self.call("load", path)
        }
        fn release(&self, reference: &str) -> Result<(), Error> {
            self.call("release", reference)
        }
        fn create(&self, spec: &ContainerSpec) -> Result<String, Error> {
            self.call("create", &spec.name)?;
            self.containers.borrow_mut().insert("c1".into());
            Ok("c1".into())
        }
        fn start(&self, id: &str) -> Result<(), Error> {
            self.call("start", id)
        }
        fn inspect(&self, id: &str) -> Result<Container, Error> {
            self.call("inspect", id).map(|()| self.container(id))
        }
        fn remove(&self, id: &str) -> Result<(), Error> {
            self.call("remove", id)?;
            self.containers.borrow_mut().remove(id);
            Ok(())
        }
        fn list_own(&self) -> Result<Vec<Container>, Error> {
            self.call("list", "").map(|()| vec![self.container("c1"), self.container("c2")])
        }
        fn cpus(&self) -> Result<u32, Error> {
            self.call("cpus", "").map(|()| 2)
        }
        fn settings(&self) -> Result<Settings, Error> {
            config::parse("settings", self.settings)
        }
    }

    #[test]
    fn calls_of_a_start() {
        let missing = [("create", Error::not_found("No such image"))];
        let table: [(&str, Fake, &[&str]); 6] = [
            (r#"{"image": "redis:7"}"#, Fake::failing(&[]), &["create web-a1", "start c1"]),
            (r#"{"image": "redis"}"#, Fake::failing(&[]), &["pull redis", "create web-a1", "start c1"]),
            (
                r#"{"image": "redis:7", "force_pull": true}"#,
                Fake::failing(&[]),
                &["pull redis:7", "create web-a1", "start c1"],
            ),
            (
                r#"{"image": "redis:7"}"#,
                Fake { image: false, ..Fake::failing(&missing) },
                &["create web-a1", "find redis:7", "pull redis:7", "create web-a1", "start c1"],
            ),
            (
                r#"{"image": "redis:7", "load": "redis.tar"}"#,
                Fake::failing(&[]),
                &["load local/redis.tar", "create web-a1", "start c1"],
            ),
            (
                r#"{"image": "redis:7", "network_mode": "back"}"#,
                Fake::failing(&[]),
                &["create web-a1", "start c1", "inspect c1"],
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
        assert_eq!(start(&Fake::failing(&[]), &task(six)).unwrap().network.unwrap().address, "fd00::3");
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
