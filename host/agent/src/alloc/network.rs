//! The network of an allocation's own: made before its first task starts, looked at before each start after that,
//! removed when the last task is gone.
//!
//! That an allocation shall have a network is in the journal with the allocation itself, before anything is made; what
//! was made is journalled before a task starts in it, so that it keeps its address. Making and removing are idempotent: an agent that was
//! killed in between just does it again.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use longshore_core::{
    added_port::AddedPort,
    caller::{AllocId, Caller, DriverName},
    driver::{CreatedNetwork, Dns, Driver, NetworkRequest},
    network::{Holder, Network, NetworkPlan},
    port::Port,
};
use longshore_job::model::TaskGroup;

use super::{env, etc, spare};
use crate::{Allocation, interpolate::Variables, shared::Shared, task::launch::resolver};

/// How often it is looked whether somebody took away what networks share.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Whether allocations in this mode have a network of their own.
pub(crate) fn is_own(mode: &str) -> bool {
    !matches!(mode, "" | "host")
}

/// Makes an allocation's network, or repairs it. Answers whether it is another namespace than before: tasks that run
/// in the old one have lost the network.
pub(crate) async fn ensure(shared: &Shared, id: &AllocId) -> Result<bool, String> {
    let Some(alloc) = shared.board.alloc(id).filter(|alloc| is_own(&alloc.network_mode)) else { return Ok(false) };
    let Some(networks) = &shared.backends.networks else { return Err("this host has no networks".into()) };
    let request = request(shared, &alloc);
    let (holder, namespace_path) = match maker(shared, &alloc) {
        Some(driver) => held_by(shared, &alloc, &request, &driver).await?,
        None => (Holder::Pinned, None),
    };
    let plan = NetworkPlan {
        alloc: id.clone(),
        mode: alloc.network_mode.clone(),
        hostname: request.hostname.clone(),
        ports: alloc.ports.clone(),
        added: added(&alloc),
        holder,
        namespace_path,
        before: alloc.network.clone(),
        cni_args: cni_args(shared, &alloc),
    };
    if let Some(driver) = group(&alloc).and_then(|group| spare::driver_of(shared, group)) {
        shared.spares.want(&driver);
    }
    let network =
        networks.create(&plan).await.map_err(|error| format!("failed to create network for alloc: {error}"))?;
    let is_new = alloc.network.as_ref() != Some(&network);
    lead_loopback(shared, &alloc, &network).await;
    etc::write(&shared.config, &id.0, &network, &names(shared, &alloc), is_new)?;
    if !is_new {
        return Ok(false);
    }
    let moved = alloc.network.as_ref().is_some_and(|before| before.holder != network.holder);
    note(shared, id, |alloc| alloc.network = Some(network))?;
    Ok(moved)
}

/// Has the driver make the holder.
async fn held_by(
    shared: &Shared,
    alloc: &Allocation,
    request: &NetworkRequest,
    driver: &Arc<dyn Driver>,
) -> Result<(Holder, Option<String>), String> {
    let created = driver.create_network(request).await;
    let CreatedNetwork { holder, namespace_path, handle } =
        created.map_err(|error| format!("failed to create network for alloc: {error}"))?;
    if alloc.network_handle.as_ref() != Some(&handle) {
        note(shared, &alloc.id, |alloc| alloc.network_handle = Some(handle))?;
    }
    let (Holder::Container(container), Some(containers)) = (&holder, &shared.backends.containers) else {
        return Ok((holder, namespace_path));
    };
    let name = DriverName(driver.info().description.name.clone());
    let caller = Caller { driver: name, task: Some(request.scope()) };
    let seen = containers.inspect(&caller, container).await;
    let path = seen.map_err(|error| format!("failed to create network for alloc: {error}"))?.namespace_path;
    Ok((holder, path))
}

/// Not waited for: whatever starts in the network journals that first, and behind this; and without this both driver and
/// host find again what they made, by the allocation.
fn note(shared: &Shared, id: &AllocId, change: impl FnOnce(&mut Allocation)) -> Result<(), String> {
    if shared.board.note_alloc(id, change) { Ok(()) } else { Err("the allocation is not known any more".into()) }
}

/// Removes an allocation's network. That something could not be removed is logged and journalled, for
/// [`tear_down_remains`].
pub(crate) async fn tear_down(shared: &Shared, id: &AllocId) {
    let Some(alloc) = shared.board.alloc(id).filter(|alloc| is_own(&alloc.network_mode)) else { return };
    let mut remains = false;
    if let Some(networks) = &shared.backends.networks
        && let Err(error) = networks.destroy(id).await
    {
        tracing::warn!(alloc = %id, %error, "remains of the network of an allocation");
        remains = true;
    }
    if let Some(driver) = maker(shared, &alloc)
        && let Err(error) = driver.destroy_network(&request(shared, &alloc), alloc.network_handle.as_deref()).await
    {
        tracing::warn!(alloc = %id, %error, "remains of the holder of the network of an allocation");
        remains = true;
    }
    if remains != alloc.network_remains {
        shared.board.note_alloc(id, |alloc| alloc.network_remains = remains);
    }
}

/// Tries again what was left of the networks of allocations that are over.
pub(crate) async fn tear_down_remains(shared: &Shared) {
    for alloc in shared.board.allocs("").iter().filter(|alloc| alloc.finished && alloc.network_remains) {
        tear_down(shared, &alloc.id).await;
    }
}

/// At the agent's start: takes over the networks of allocations that are not over, and removes all others of ours.
pub(crate) async fn reconcile(shared: &Shared, open: impl Iterator<Item = &Allocation>) {
    let Some(networks) = &shared.backends.networks else { return };
    let plans: Vec<_> = open.filter_map(|alloc| known(shared, alloc)).collect();
    for (plan, result) in plans.iter().zip(networks.reconcile(&plans).await) {
        if let Err(error) = result {
            tracing::debug!(alloc = %plan.alloc, %error, "a network is not as it was; its allocation will make it anew");
        }
    }
}

/// The plan of a network that was made. A container may have another namespace by now, so the pinned one counts.
fn known(shared: &Shared, alloc: &Allocation) -> Option<NetworkPlan> {
    let network: &Network = alloc.network.as_ref()?;
    Some(NetworkPlan {
        alloc: alloc.id.clone(),
        mode: network.mode.clone(),
        hostname: network.hostname.clone(),
        ports: network.ports.clone(),
        added: added(alloc),
        holder: network.holder.clone().unwrap_or(Holder::Pinned),
        namespace_path: network.namespace_path.clone(),
        before: Some(network.clone()),
        cni_args: cni_args(shared, alloc),
    })
}

/// Has connections to [::1] led to the allocation, where its ports answer on every address of this machine.
async fn lead_loopback(shared: &Shared, alloc: &Allocation, network: &Network) {
    let Some(backend) = shared.backends.ports.as_ref().filter(|_| network.mode == "bridge") else { return };
    let address = network.address.as_deref().or(network.address_ipv6.as_deref());
    let Some(address) = address.and_then(|address| address.parse().ok()) else { return };
    for port in alloc.ports.iter().chain(&added(alloc)) {
        let to = SocketAddr::new(address, port.task_port);
        if let Err(error) = backend.lead_loopback(&alloc.id, &port.label, Some(to)).await {
            tracing::warn!(alloc = %alloc.id, %error, "a port does not answer on [::1]");
        }
    }
}

/// Ports that drivers mapped beside the job file's.
fn added(alloc: &Allocation) -> Vec<Port> {
    alloc.added_ports.iter().filter_map(AddedPort::mapped).collect()
}

/// Looks again and again whether what networks share is as it should be.
pub(crate) async fn keep_looking(shared: &Shared) {
    let Some(networks) = &shared.backends.networks else { return };
    let mut failure = None;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let looked = networks.repair().await;
        for line in looked.iter().flatten() {
            tracing::warn!("networks: {line}");
        }
        let failed = looked.err().map(|error| error.to_string());
        if failed != failure {
            failed.iter().for_each(|error| tracing::warn!("networks cannot be repaired: {error}"));
            failure = failed;
        }
    }
}

/// The driver of the group that makes namespaces itself; one at most, which is checked at submission.
pub(crate) fn maker(shared: &Shared, alloc: &Allocation) -> Option<Arc<dyn Driver>> {
    makers(shared, group(alloc)?).into_iter().next().map(|(_, driver)| driver)
}

/// Tasks whose drivers make namespaces themselves, with these.
pub(crate) fn makers(shared: &Shared, group: &TaskGroup) -> Vec<(String, Arc<dyn Driver>)> {
    let node = env::node_variables(&shared.node());
    let names = Variables::new(BTreeMap::new(), node);
    let drivers = group.tasks.iter().filter_map(|task| {
        let driver = shared.driver(&names.text(&task.driver)).ok()?;
        driver.info().capabilities.network.then(|| (task.name.clone(), driver))
    });
    drivers.collect()
}

/// The `extra_hosts` of a group's tasks whose drivers make namespaces themselves: the task's number, the entry's, and
/// the entry. They are for the whole group, which has one hosts file.
pub(crate) fn extra_hosts(shared: &Shared, group: &TaskGroup) -> Vec<(usize, usize, String)> {
    let mut found = Vec::new();
    for (name, _) in makers(shared, group) {
        let Some(task) = group.tasks.iter().position(|task| task.name == name) else { continue };
        let entries = group.tasks[task].config.get("extra_hosts").and_then(|list| list.as_array());
        let texts = entries.into_iter().flatten().enumerate();
        found.extend(texts.filter_map(|(number, entry)| Some((task, number, entry.as_str()?.to_owned()))));
    }
    found
}

/// What the job says of names inside.
fn names(shared: &Shared, alloc: &Allocation) -> etc::Wanted {
    let Some(group) = group(alloc) else { return etc::Wanted::default() };
    let variables = variables(shared, alloc);
    let dns = group.networks.first().and_then(|network| network.dns.as_ref());
    etc::Wanted {
        extra_hosts: extra_hosts(shared, group).iter().map(|(_, _, entry)| variables.text(entry)).collect(),
        dns: dns.map_or_else(Dns::default, |dns| resolver(dns, &variables)),
    }
}

/// What network plugins are told: who the allocation is, and what its job says.
fn cni_args(shared: &Shared, alloc: &Allocation) -> BTreeMap<String, String> {
    let mut all = BTreeMap::from([
        ("NOMAD_REGION".to_owned(), shared.config.region.clone()),
        ("NOMAD_NAMESPACE".to_owned(), alloc.job.namespace.clone()),
        ("NOMAD_JOB_ID".to_owned(), alloc.job.id.clone()),
        ("NOMAD_GROUP_NAME".to_owned(), alloc.group.clone()),
        ("NOMAD_ALLOC_ID".to_owned(), alloc.id.0.clone()),
    ]);
    let cni = group(alloc).and_then(|group| group.networks.first()).and_then(|network| network.cni.as_ref());
    if let Some(cni) = cni {
        let variables = variables(shared, alloc);
        all.extend(cni.args.iter().map(|(name, value)| (name.clone(), variables.text(value))));
    }
    all
}

fn group(alloc: &Allocation) -> Option<&TaskGroup> {
    alloc.job.task_groups.iter().find(|group| group.name == alloc.group)
}

fn request(shared: &Shared, alloc: &Allocation) -> NetworkRequest {
    let hostname = group(alloc).and_then(|group| group.networks.first()).map(|network| network.hostname.clone());
    let variables = variables(shared, alloc);
    NetworkRequest {
        alloc: alloc.id.clone(),
        dir: alloc.dir.clone(),
        mode: alloc.network_mode.clone(),
        hostname: hostname.map(|name| variables.text(&name)).filter(|name| !name.is_empty()),
    }
}

/// What `${…}` may name in a network block: the allocation and the machine.
fn variables(shared: &Shared, alloc: &Allocation) -> Variables {
    let known = BTreeMap::from([
        ("NOMAD_ALLOC_ID".to_owned(), alloc.id.0.clone()),
        ("NOMAD_SHORT_ALLOC_ID".to_owned(), alloc.id.0.chars().take(8).collect()),
        ("NOMAD_ALLOC_NAME".to_owned(), alloc.name.clone()),
        ("NOMAD_ALLOC_INDEX".to_owned(), alloc.index.to_string()),
        ("NOMAD_GROUP_NAME".to_owned(), alloc.group.clone()),
        ("NOMAD_JOB_ID".to_owned(), alloc.job.id.clone()),
        ("NOMAD_JOB_NAME".to_owned(), alloc.job.name.clone()),
        ("NOMAD_NAMESPACE".to_owned(), alloc.job.namespace.clone()),
    ]);
    Variables::new(known, env::node_variables(&shared.node()))
}
