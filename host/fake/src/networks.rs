//! Networks as names: an address for each allocation, no namespace.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use longshore_core::{
    caller::{AllocId, Caller},
    error::{HostError, Result},
    network::{Holder, Listener, Network, NetworkPlan, Networks, Obstacle, Wiring},
};

use crate::{
    Fake,
    plan::{Plan, lock},
};

/// The networks there are, and the numbers that ports added by drivers lead to, by label.
#[derive(Default)]
pub(crate) struct FakeNetworks {
    networks: Mutex<BTreeMap<AllocId, Network>>,
    added: Mutex<BTreeMap<AllocId, BTreeMap<String, u16>>>,
}

impl FakeNetworks {
    pub(crate) fn added(&self) -> Vec<(String, u16)> {
        lock(&self.added).values().flatten().map(|(label, number)| (label.clone(), *number)).collect()
    }

    /// What a plan says was added; what is not there any more is forgotten.
    fn take_over(&self, plans: &[NetworkPlan]) {
        lock(&self.networks).retain(|alloc, _| plans.iter().any(|plan| plan.alloc == *alloc));
        let added = |plan: &NetworkPlan| plan.added.iter().map(|port| (port.label.clone(), port.task_port)).collect();
        *lock(&self.added) = plans.iter().map(|plan| (plan.alloc.clone(), added(plan))).collect();
    }
}

pub(crate) struct PlannedNetworks {
    plan: Arc<Plan>,
    kept: Arc<FakeNetworks>,
}

impl PlannedNetworks {
    pub(crate) fn new(fake: &Fake) -> Self {
        Self { plan: fake.plan.clone(), kept: fake.networks.clone() }
    }

    fn of(&self, caller: &Caller) -> Result<Option<Network>> {
        let alloc = &caller.require_task()?.id.alloc;
        Ok(lock(&self.kept.networks).get(alloc).cloned())
    }

    fn make(&self, plan: &NetworkPlan) -> Network {
        let mut networks = lock(&self.kept.networks);
        let count = networks.len() + 2;
        let before = plan.before.as_ref().and_then(|before| before.address.clone());
        let made = Network {
            id: plan.alloc.0.clone(),
            mode: plan.mode.clone(),
            namespace_path: Some(format!("/fake/netns/{}", plan.alloc)),
            holder: Some(plan.holder.clone()),
            interface_name: (plan.mode == "bridge").then(|| "eth0".into()),
            address: (plan.mode == "bridge").then(|| before.unwrap_or_else(|| format!("10.99.0.{count}"))),
            address_ipv6: None,
            gateway: (plan.mode == "bridge").then(|| "10.99.0.1".into()),
            hostname: plan.hostname.clone(),
            ports: plan.ports.clone(),
            dns: None,
        };
        networks.entry(plan.alloc.clone()).or_insert(made).clone()
    }
}

fn host_mode<T>() -> Result<T> {
    Err(HostError::Invalid("the allocation is in network mode \"host\"".into()))
}

#[async_trait]
impl Networks for PlannedNetworks {
    async fn current(&self, caller: &Caller) -> Result<Option<Network>> {
        self.plan.call("networks.current").await?;
        self.of(caller)
    }

    async fn attach_container(&self, caller: &Caller, container_id: &str) -> Result<Network> {
        self.plan.call("networks.attach_container").await?;
        let Some(network) = self.of(caller)? else { return host_mode() };
        let network = Network { holder: Some(Holder::Container(container_id.into())), ..network };
        lock(&self.kept.networks).insert(AllocId(network.id.clone()), network.clone());
        Ok(network)
    }

    async fn detach(&self, _caller: &Caller) -> Result<()> {
        self.plan.call("networks.detach").await
    }

    async fn map_port(&self, caller: &Caller, label: &str, _address: &str, task_port: u16) -> Result<()> {
        self.plan.call("networks.map_port").await?;
        let Some(network) = self.of(caller)? else { return host_mode() };
        let mut added = lock(&self.kept.added);
        added.entry(AllocId(network.id)).or_default().insert(label.to_owned(), task_port);
        Ok(())
    }

    async fn unmap_port(&self, caller: &Caller, label: &str) -> Result<()> {
        self.plan.call("networks.unmap_port").await?;
        let alloc = &caller.require_task()?.id.alloc;
        lock(&self.kept.added).entry(alloc.clone()).or_default().remove(label);
        Ok(())
    }

    async fn ready(&self, _mode: &str) -> Result<()> {
        self.plan.call("networks.ready").await
    }

    async fn create(&self, plan: &NetworkPlan) -> Result<Network> {
        self.plan.call("networks.create").await?;
        Ok(self.make(plan))
    }

    async fn destroy(&self, alloc: &AllocId) -> Result<()> {
        self.plan.call("networks.destroy").await?;
        lock(&self.kept.networks).remove(alloc);
        lock(&self.kept.added).remove(alloc);
        Ok(())
    }

    async fn reconcile(&self, plans: &[NetworkPlan]) -> Vec<Result<Network>> {
        if let Err(error) = self.plan.call("networks.reconcile").await {
            return plans.iter().map(|_| Err(error.clone())).collect();
        }
        self.kept.take_over(plans);
        plans.iter().map(|plan| Ok(self.make(plan))).collect()
    }

    async fn repair(&self) -> Result<Vec<String>> {
        self.plan.call("networks.repair").await?;
        Ok(Vec::new())
    }

    async fn retire(&self) -> Result<()> {
        self.plan.call("networks.retire").await
    }

    async fn obstacles(&self) -> Vec<Obstacle> {
        // Not a call the plan counts: the agent looks whenever it likes.
        Vec::new()
    }

    async fn wiring(&self, _alloc: &AllocId) -> Result<Wiring> {
        self.plan.call("networks.wiring").await?;
        Ok(Wiring::default())
    }

    async fn listeners(&self, _namespace: Option<&Path>) -> Result<Vec<Listener>> {
        self.plan.call("networks.listeners").await?;
        Ok(Vec::new())
    }
}
