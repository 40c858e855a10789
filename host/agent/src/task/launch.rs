//! From the job file's task to the one a driver gets.

use std::{collections::BTreeMap, sync::Arc};

use longshore_core::{
    caller::TaskId,
    driver::{Dns, Resources, Task, TaskNetwork},
    network::Holder,
    workload::LogLimits,
};
use longshore_job::model;

use crate::{
    Allocation, TaskState,
    alloc::{
        env::{self, OwnNetwork, Source},
        order::{self, Member},
        ports,
    },
    interpolate::Variables,
    shared::Shared,
};

/// A task that is ready for its driver.
pub(crate) struct Launch {
    /// The driver's name.
    pub(crate) driver: String,
    /// What it gets.
    pub(crate) task: Arc<Task>,
}

/// Fills in all that is known only now. The error is one line for the task's events.
pub(crate) fn prepare(shared: &Shared, alloc: &Allocation, name: &str) -> Result<Launch, String> {
    let group = alloc.job.task_groups.iter().find(|group| group.name == alloc.group);
    let found = group.and_then(|group| Some((group, group.tasks.iter().find(|task| task.name == name)?)));
    let Some((group, task)) = found else { return Err(format!("the job has no task {name:?}")) };
    let dirs = alloc.task_dirs.get(name).ok_or_else(|| format!("task {name:?} has no directory"))?;
    let node = env::node_variables(&shared.node());
    let driver_name = Variables::new(BTreeMap::new(), node.clone()).text(&task.driver);
    let driver = shared.driver(&driver_name).map_err(|error| error.to_string())?;
    let info = driver.info();
    let host_env = if info.description.filesystem == "image" { BTreeMap::new() } else { host_env(shared) };
    let resources = resources(shared, &task.resources, alloc.cores.get(name));
    let variables = env::build(&Source {
        job: &alloc.job,
        group,
        task,
        alloc_id: &alloc.id.0,
        alloc_name: &alloc.name,
        alloc_index: alloc.index,
        datacenter: &shared.config.datacenter,
        region: &shared.config.region,
        dirs,
        ports: &alloc.ports,
        own_network: own_network(alloc),
        resources: &resources,
        host_env: &host_env,
        node: &node,
    });
    let mut config = variables.config(&task.config)?;
    let ports = ports::of_task(&alloc.ports, group, task);
    if ["ports", "port_map"].iter().all(|key| info.config_schema["properties"][*key].is_object()) {
        ports::publish_legacy(task, &ports, &mut config);
    }
    let misfits = shared.schemas.check(info, &mut config, false);
    if let Some(first) = misfits.first() {
        return Err(format!("config{}: {}", first.pointer, first.message));
    }
    let user = variables.text(&task.user);
    let network = group.networks.first();
    let task = Task {
        id: TaskId { alloc: alloc.id.clone(), task: name.to_owned() },
        origin: origin(shared, alloc, name),
        config,
        user: (!user.is_empty()).then_some(user),
        resources,
        ports,
        network: TaskNetwork {
            mode: alloc.network_mode.clone(),
            namespace_path: alloc.network.as_ref().and_then(|network| network.namespace_path.clone()),
            holder_container: alloc.network.as_ref().and_then(|network| match &network.holder {
                Some(Holder::Container(id)) => Some(id.clone()),
                _ => None,
            }),
            hostname: network.map(|network| variables.text(&network.hostname)).filter(|name| !name.is_empty()),
        },
        dns: network.and_then(|network| network.dns.as_ref()).map(|dns| resolver(dns, &variables)),
        dirs: dirs.clone(),
        mounts: Vec::new(),
        devices: Vec::new(),
        logs: log_limits(&task.logs),
        env: variables.env,
    };
    Ok(Launch { driver: driver_name, task: Arc::new(task) })
}

/// The tasks of a new allocation that start at once, prepared; those that cannot be are left to their runners.
pub(crate) fn prepare_first(shared: &Shared, alloc: &Allocation) -> BTreeMap<String, Launch> {
    let Some(group) = alloc.job.task_groups.iter().find(|group| group.name == alloc.group) else {
        return BTreeMap::new();
    };
    let state = TaskState::default();
    let member = |task: &'_ model::Task| (task.name.clone(), order::role(task));
    let roles: Vec<_> = group.tasks.iter().map(member).collect();
    let members: Vec<Member> = roles.iter().map(|(name, role)| Member { name, role: *role, state: &state }).collect();
    let first = order::steps(&members, false).into_iter().filter_map(|step| match step {
        order::Step::Start(name) => Some(name),
        order::Step::Stop(..) => None,
    });
    first.filter_map(|name| Some((name.clone(), prepare(shared, alloc, &name).ok()?))).collect()
}

fn own_network(alloc: &Allocation) -> Option<OwnNetwork<'_>> {
    let network = alloc.network.as_ref()?;
    Some(OwnNetwork { interface: network.interface_name.as_deref()?, address: network.address.as_deref()? })
}

/// What tasks that share the host's file system inherit.
fn host_env(shared: &Shared) -> BTreeMap<String, String> {
    let config = &shared.config;
    let allowed = config.host_env.iter().filter(|(key, _)| !config.env_denylist.contains(*key));
    allowed.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn origin(shared: &Shared, alloc: &Allocation, task: &str) -> BTreeMap<String, String> {
    let image = alloc.images.get(task);
    let image = [
        image.map(|image| ("image_id", image.id.clone())),
        image.and_then(|image| Some(("image_digest", image.digest.clone()?))),
    ];
    [
        ("job_id", alloc.job.id.clone()),
        ("job_name", alloc.job.name.clone()),
        ("group_name", alloc.group.clone()),
        ("namespace", alloc.job.namespace.clone()),
        ("alloc_name", alloc.name.clone()),
        ("alloc_index", alloc.index.to_string()),
        ("node_id", shared.node_id.clone()),
        ("node_name", shared.config.node_name.clone()),
        ("region", shared.config.region.clone()),
        ("datacenter", shared.config.datacenter.clone()),
    ]
    .into_iter()
    .chain(image.into_iter().flatten())
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

/// What a task is promised; whole processors count with all their MHz.
fn resources(shared: &Shared, wanted: &model::Resources, cores: Option<&Vec<u32>>) -> Resources {
    let bounded = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let (all_mhz, all_cores) = (shared.config.node_cpu_mhz, shared.config.processors.len().max(1));
    let cpu_cores = cores.cloned().unwrap_or_default();
    let whole_mhz = u64::from(all_mhz) * cpu_cores.len() as u64 / all_cores as u64;
    Resources {
        cpu_mhz: bounded(if cpu_cores.is_empty() { wanted.cpu } else { whole_mhz }),
        cpu_cores,
        node_cpu_mhz: all_mhz,
        memory_mib: bounded(wanted.memory_mb),
        // Negative means no limit, which is how `u32::MAX` reads.
        memory_max_mib: u32::try_from(wanted.memory_max_mb).unwrap_or(u32::MAX),
    }
}

/// The group's `dns` block.
pub(crate) fn resolver(dns: &model::Dns, variables: &Variables) -> Dns {
    let all = |texts: &[String]| texts.iter().map(|text| variables.text(text)).collect();
    Dns { servers: all(&dns.servers), searches: all(&dns.searches), options: all(&dns.options) }
}

fn log_limits(logs: &model::Logs) -> LogLimits {
    LogLimits {
        max_files: logs.max_files.max(1),
        max_file_bytes: u64::from(logs.max_file_size_mb.max(1)) << 20,
        disabled: logs.disabled,
    }
}
