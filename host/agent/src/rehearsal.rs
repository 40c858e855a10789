//! What policy denies is known when a job is submitted: drivers that let themselves be tried start its tasks where
//! nothing is made.

use std::sync::Arc;

use longshore_core::{
    network::{Holder, Network},
    port::Port,
};
use longshore_job::model::{Job, TaskGroup};

use crate::{
    Allocation,
    alloc::{network, ports},
    error::Problem,
    shared::Shared,
    task::launch,
};

/// Stands for what is known only when there is an allocation.
const SOME: &str = "rehearsal";
/// Stands for a dynamic port.
const SOME_PORT: u16 = 20_000;

/// Tries the first allocation of each group; answers what would be denied.
pub(crate) async fn refusals(shared: &Shared, job: &Job) -> Vec<Problem> {
    let mut found = Vec::new();
    if !shared.drivers.all().iter().any(|driver| driver.info().is_rehearsed()) {
        return found;
    }
    let job = Arc::new(job.clone());
    for (number, group) in job.task_groups.iter().enumerate() {
        let Some(alloc) = allocation(shared, &job, group) else { continue };
        for (index, task) in group.tasks.iter().enumerate() {
            // What cannot be prepared yet cannot be judged yet.
            let Ok(launch) = launch::prepare(shared, &alloc, &task.name) else { continue };
            let Ok(driver) = shared.driver(&launch.driver) else { continue };
            if let Some(why) = driver.rehearse(&launch.task).await {
                found.push(Problem::new(format!("/TaskGroups/{number}/Tasks/{index}/Config"), why));
            }
        }
    }
    found
}

fn allocation(shared: &Shared, job: &Arc<Job>, group: &TaskGroup) -> Option<Allocation> {
    let mut alloc = shared.new_alloc(job, "", &group.name, 0, None, &[])?;
    let port = |request: longshore_core::port::PortRequest| {
        let host_port = request.static_port.unwrap_or(SOME_PORT);
        Port {
            host_ip: shared.config.host_ip.to_string(),
            host_port,
            task_port: request.to.unwrap_or(host_port),
            protocol: request.protocol,
            is_named: false,
            label: request.label,
        }
    };
    alloc.ports = ports::requests(group).into_iter().map(port).collect();
    alloc.ports.extend(ports::unreserved(group, &shared.config, shared.backends.ports.as_deref()));
    if network::is_own(&alloc.network_mode) {
        alloc.network = Some(Network {
            id: alloc.id.0.clone(),
            mode: alloc.network_mode.clone(),
            namespace_path: Some(SOME.into()),
            holder: Some(Holder::Container(SOME.into())),
            interface_name: None,
            address: None,
            address_ipv6: None,
            gateway: None,
            hostname: None,
            ports: Vec::new(),
            dns: None,
        });
    }
    Some(alloc)
}
