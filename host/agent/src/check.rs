//! Whether a job can run here: everything that can be said before anything starts, all at once.

use std::collections::BTreeMap;

use longshore_core::{
    caller::ETC_DIR,
    driver::{Driver, DriverError, Health},
    policy::fits,
};
use longshore_job::{
    model::{Job, Task, TaskGroup},
    nearest,
    runtime::{Env, hopeless},
};

use crate::{
    alloc::env, alloc::etc, alloc::network, alloc::ports, error::Problem, error::SubmitError, interpolate::Variables,
    rehearsal, shared::Shared,
};

/// What was found out about a job.
#[derive(Default)]
struct Findings {
    /// It is wrong as it is written.
    invalid: Vec<Problem>,
    /// It cannot run now.
    unplaceable: Vec<Problem>,
    /// It can, but not all of it has an effect.
    warnings: Vec<String>,
}

/// Checks a job, and converts scalars of its tasks' `config` where their drivers want another type. Answers warnings.
pub(crate) async fn job(shared: &Shared, job: &mut Job) -> Result<Vec<String>, SubmitError> {
    let mut findings = Findings::default();
    for refused in longshore_job::unsupported(job).iter() {
        findings.wrong(refused.path.clone().unwrap_or_default(), format!("{}: {}", refused.summary, refused.detail));
    }
    findings.names(job);
    findings.static_ports(job);
    findings.datacenter(job, &shared.config.datacenter);
    let node = Variables::new(BTreeMap::new(), env::node_variables(&shared.node()));
    for (number, group) in job.task_groups.iter_mut().enumerate() {
        let place = format!("/TaskGroups/{number}");
        findings.network(shared, group, &place).await;
        findings.escapes(shared, group, &place);
        findings.extra_hosts(shared, group, &place);
        findings.labels(group, &place);
        findings.host_networks(shared, group, &place);
        for (number, task) in group.tasks.iter_mut().enumerate() {
            findings.task(shared, task, &format!("{place}/Tasks/{number}"), &node).await;
        }
    }
    // Looked at last: attributes of drivers are known once they were asked whether they are well.
    let facts = env::node_variables(&shared.node());
    findings.config_names(shared, job, &facts);
    findings.constraints(job, &Variables::new(BTreeMap::new(), facts));
    if findings.invalid.is_empty() && findings.unplaceable.is_empty() {
        findings.invalid = rehearsal::refusals(shared, job).await;
    }
    if !findings.invalid.is_empty() {
        Err(SubmitError::Invalid(findings.invalid))
    } else if !findings.unplaceable.is_empty() {
        Err(SubmitError::Unplaceable(findings.unplaceable))
    } else {
        Ok(findings.warnings)
    }
}

impl Findings {
    fn wrong(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.invalid.push(Problem::new(pointer, message));
    }

    /// Names that become directories, or that nothing could be found by.
    fn names(&mut self, job: &Job) {
        if job.id.is_empty() {
            self.wrong("/ID", "Missing job ID");
        }
        if job.task_groups.is_empty() {
            self.wrong("/TaskGroups", "Missing job task groups");
        }
        for (number, group) in job.task_groups.iter().enumerate() {
            let place = format!("/TaskGroups/{number}");
            if job.task_groups[..number].iter().any(|other| other.name == group.name) {
                self.wrong(format!("{place}/Name"), format!("the job has two groups named {:?}", group.name));
            }
            if group.tasks.is_empty() {
                self.wrong(format!("{place}/Tasks"), "Missing tasks for task group");
            }
            for (index, task) in group.tasks.iter().enumerate() {
                let place = format!("{place}/Tasks/{index}/Name");
                if group.tasks[..index].iter().any(|other| other.name == task.name) {
                    self.wrong(&place, format!("the group has two tasks named {:?}", task.name));
                }
                if !is_directory_name(&task.name) {
                    self.wrong(place, format!("{:?} cannot name a task: its directory is named so", task.name));
                }
            }
        }
    }

    async fn network(&mut self, shared: &Shared, group: &TaskGroup, place: &str) {
        for (number, network) in group.networks.iter().enumerate() {
            let mode = network.mode().to_lowercase();
            let place = format!("{place}/Networks/{number}");
            if !network::is_own(&mode) {
                if !network.hostname.is_empty() {
                    let message = "hostname cannot be set on task group using \"host\" networking mode";
                    self.wrong(format!("{place}/Hostname"), message);
                }
                continue;
            }
            let before = self.invalid.len();
            self.network_drivers(shared, group, &mode, !network.hostname.is_empty(), &place);
            if self.invalid.len() > before {
                continue;
            }
            let ready = match &shared.backends.networks {
                Some(networks) => networks.ready(&mode).await.map_err(|error| error.to_string()),
                None => Err("this host has no networks of allocations".into()),
            };
            if let Err(why) = ready {
                self.unplaceable.push(Problem::new(format!("{place}/Mode"), why));
            }
        }
    }

    /// Tasks that would leave their group's network: those of drivers that make networks may choose another.
    fn escapes(&mut self, shared: &Shared, group: &TaskGroup, place: &str) {
        let mode = group.networks.first().map_or("host", |network| network.mode());
        for (name, _) in network::makers(shared, group) {
            let Some(number) = group.tasks.iter().position(|task| task.name == name) else { continue };
            let config = &group.tasks[number].config;
            let own = config.get("network_mode").and_then(|mode| mode.as_str()).unwrap_or_default();
            if network::is_own(&mode.to_lowercase()) && !own.is_empty() {
                self.wrong(
                    format!("{place}/Tasks/{number}/Config/network_mode"),
                    format!(
                        "network_mode {own:?} would take task {name} out of its group's network (mode {mode:?}); leave \
                         it out, or move the task to a group of its own"
                    ),
                );
            }
        }
    }

    /// Entries of the hosts file that tasks of a group with a network of its own share.
    fn extra_hosts(&mut self, shared: &Shared, group: &TaskGroup, place: &str) {
        if !group.networks.first().is_some_and(|network| network::is_own(&network.mode().to_lowercase())) {
            return;
        }
        for (task, number, entry) in network::extra_hosts(shared, group) {
            // What it will be is known when it starts.
            if !entry.contains("${")
                && let Err(why) = etc::extra_host(&entry)
            {
                self.wrong(format!("{place}/Tasks/{task}/Config/extra_hosts/{number}"), why);
            }
        }
    }

    /// Whether the drivers of a group's tasks can share a network of this mode.
    fn network_drivers(&mut self, shared: &Shared, group: &TaskGroup, mode: &str, has_hostname: bool, place: &str) {
        let kind = if mode.starts_with("cni/") { "cni" } else { mode };
        let names = Variables::new(BTreeMap::new(), env::node_variables(&shared.node()));
        for task in &group.tasks {
            let Ok(driver) = shared.driver(&names.text(&task.driver)) else { continue };
            if driver.info().description.network_modes.iter().all(|known| known != kind) {
                let message = format!("task {} does not support {mode:?} networking mode", task.name);
                self.wrong(format!("{place}/Mode"), message);
            }
        }
        let makers = network::makers(shared, group);
        let name = |driver: &std::sync::Arc<dyn Driver>| driver.info().description.name.clone();
        match &makers[..] {
            [(one, first), rest @ ..] => {
                if let Some((other, _)) = rest.iter().find(|(_, driver)| name(driver) != name(first)) {
                    let message =
                        format!("tasks {one} and {other} want to initiate networking but only one driver can do so");
                    self.wrong(format!("{place}/Mode"), message);
                }
            }
            [] if has_hostname => {
                let driver = group.tasks.first().map_or("", |task| &task.driver);
                let message = format!("hostname is not currently supported on driver {driver}");
                self.wrong(format!("{place}/Hostname"), message);
            }
            [] => {}
        }
    }

    fn labels(&mut self, group: &TaskGroup, place: &str) {
        let wanted: Vec<_> = ports::wanted(group).collect();
        for (number, port) in wanted.iter().enumerate() {
            if wanted[..number].iter().any(|other| other.label == port.label) {
                self.wrong(format!("{place}/Networks"), format!("Port label {} already in use", port.label));
            }
        }
    }

    /// Addresses that ports ask for by name.
    fn host_networks(&mut self, shared: &Shared, group: &TaskGroup, place: &str) {
        let Some(backend) = &shared.backends.ports else { return };
        for port in ports::wanted(group) {
            if let Err(error) = backend.host_ip(&ports::request(&port)) {
                self.wrong(place_of(group, &port.label, place), error.to_string());
            }
        }
    }

    /// A static port can be had once.
    fn static_ports(&mut self, job: &Job) {
        let mut holders: BTreeMap<(u16, String), String> = BTreeMap::new();
        for (number, group) in job.task_groups.iter().enumerate() {
            let wanted = ports::wanted(group).filter(|port| port.value > 0 && !port.ignore_collision);
            for port in wanted {
                let place = place_of(group, &port.label, &format!("/TaskGroups/{number}"));
                let holder = format!("{}:{}", group.name, port.label);
                if group.count > 1 {
                    let count = group.count;
                    let message = format!("static port {} cannot be had by {count} allocations of a group", port.value);
                    self.wrong(&place, message);
                }
                if let Some(other) = holders.insert((port.value, port.host_network), holder) {
                    self.wrong(place, format!("Static port {} already reserved by {other}", port.value));
                }
            }
        }
    }

    fn datacenter(&mut self, job: &Job, own: &str) {
        if !job.datacenters.iter().any(|pattern| fits(pattern, own)) {
            let asked = job.datacenters.join(", ");
            self.unplaceable.push(Problem::new(
                "/Datacenters",
                format!("this machine is in datacenter {own:?}, the job asks for {asked}"),
            ));
        }
    }

    /// Names in drivers' configurations that nothing will have when the task starts.
    fn config_names(&mut self, shared: &Shared, job: &Job, facts: &BTreeMap<String, String>) {
        let facts = Env::new(BTreeMap::new(), facts.clone());
        for (number, group) in job.task_groups.iter().enumerate() {
            // What templates add to the environment is known when they are rendered.
            let settled = |(_, task): &(usize, &Task)| !task.templates.iter().any(|template| template.envvars);
            for (index, task) in group.tasks.iter().enumerate().filter(settled) {
                let driver = shared.driver(&task.driver);
                let inherits = driver.is_ok_and(|driver| driver.info().description.filesystem != "image");
                let is_known = |name: &str| {
                    name.starts_with("NOMAD_")
                        || inherits && shared.config.host_env.contains_key(name)
                        || task.env.keys().any(|key| key == name || key.contains("${"))
                };
                for error in hopeless(&task.config, &is_known, &facts) {
                    let place = format!("/TaskGroups/{number}/Tasks/{index}/Config{}", error.pointer);
                    self.wrong(place, error.message);
                }
            }
        }
    }

    /// Conditions of job, groups and tasks on this machine.
    fn constraints(&mut self, job: &Job, node: &Variables) {
        let groups = job.task_groups.iter().enumerate().map(|(number, group)| (format!("/TaskGroups/{number}"), group));
        let mut places = vec![(String::new(), &job.constraints)];
        for (place, group) in groups {
            let tasks = group.tasks.iter().enumerate();
            let tasks = tasks.map(|(number, task)| (format!("{place}/Tasks/{number}"), &task.constraints));
            places.extend(tasks.chain([(place.clone(), &group.constraints)]));
        }
        for (place, constraints) in places {
            for (number, constraint) in constraints.iter().enumerate() {
                if constraint.operator.starts_with("distinct_") {
                    let operator = &constraint.operator;
                    self.warnings.push(format!("{operator} has no effect on a single machine"));
                }
                if let Some(why) = longshore_job::constraint::unmet(constraint, |name| node.node.get(name).cloned()) {
                    self.unplaceable.push(Problem::new(format!("{place}/Constraints/{number}"), why));
                }
            }
        }
        self.warnings.dedup();
    }

    async fn task(&mut self, shared: &Shared, task: &mut Task, place: &str, node: &Variables) {
        let name = node.text(&task.driver);
        let driver = match shared.driver(&name) {
            Ok(driver) => driver,
            Err(DriverError::Unknown { .. }) => return self.unknown_driver(shared, &name, place),
            Err(error) => return self.unplaceable.push(Problem::new(format!("{place}/Driver"), error.to_string())),
        };
        match shared.health.check(&driver).await {
            Health::Healthy => {}
            Health::Unhealthy(why) | Health::Undetected(why) => self.unplaceable.push(Problem::new(
                format!("{place}/Driver"),
                format!("driver {name:?} cannot start tasks now: {why}"),
            )),
        }
        for misfit in shared.schemas.check(driver.info(), &mut task.config, true) {
            self.wrong(format!("{place}/Config{}", misfit.pointer), misfit.message);
        }
    }

    fn unknown_driver(&mut self, shared: &Shared, name: &str, place: &str) {
        let loaded: Vec<String> =
            shared.drivers.all().iter().map(|driver| driver.info().description.name.clone()).collect();
        let hint = match nearest(name, loaded.iter().map(String::as_str)) {
            Some(near) => format!("; did you mean {near:?}?"),
            None if loaded.is_empty() => "; no driver is loaded".into(),
            None => format!("; loaded are {}", loaded.join(", ")),
        };
        self.wrong(format!("{place}/Driver"), format!("unknown driver {name:?}{hint}"));
    }
}

/// Where a group has a port; ports of tasks, as old jobs have them, are the group's.
fn place_of(group: &TaskGroup, label: &str, place: &str) -> String {
    let network = group.networks.first();
    let lists = network.map(|it| [("ReservedPorts", &it.reserved_ports), ("DynamicPorts", &it.dynamic_ports)]);
    let mut found = lists.into_iter().flatten().filter_map(|(list, ports)| {
        let index = ports.iter().position(|port| port.label == label)?;
        Some(format!("{place}/Networks/0/{list}/{index}"))
    });
    found.next().unwrap_or_else(|| format!("{place}/Networks"))
}

fn is_directory_name(name: &str) -> bool {
    !matches!(name, "" | "." | ".." | "alloc" | ETC_DIR) && !name.contains(['/', '\\', '\0']) && name.len() <= 255
}

#[cfg(test)]
mod tests {
    use longshore_job::model;

    use super::*;

    #[test]
    fn ports_have_a_place() {
        let port = |label: &str| model::Port { label: label.into(), ..model::Port::default() };
        let network = model::Network {
            reserved_ports: vec![port("a")],
            dynamic_ports: vec![port("b"), port("c")],
            ..model::Network::default()
        };
        let group = TaskGroup { networks: vec![network], ..TaskGroup::default() };
        for (label, place) in
            [("a", "/g/Networks/0/ReservedPorts/0"), ("c", "/g/Networks/0/DynamicPorts/1"), ("d", "/g/Networks")]
        {
            assert_eq!(place_of(&group, label, "/g"), place);
        }
    }

    #[test]
    fn names_that_become_directories() {
        for name in ["web", "a.b", "ü"] {
            assert!(is_directory_name(name), "{name}");
        }
        for name in ["", ".", "..", "alloc", ".etc", "a/b", "a\0"] {
            assert!(!is_directory_name(name), "{name:?}");
        }
    }
}
