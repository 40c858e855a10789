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

/// The networks there are.
pub(crate) type FakeNetworks = Mutex<BTreeMap<AllocId, Network>>;

pub(crate) struct PlannedNetworks {
    plan: Arc<Plan>,
    networks: Arc<FakeNetworks>,
}

impl PlannedNetworks {
    pub(crate) fn new(fake: &Fake) -> Self {
        Self { plan: fake.plan.clone(), networks: fake.networks.clone() }
    }

    fn of(&self, caller: &Caller) -> Result<Option<Network>> {
        let alloc = &caller.require_task()?.id.alloc;
        Ok(lock(&self.networks).get(alloc).cloned())
    }

    fn make(&self, plan: &NetworkPlan) -> Network {
        let mut networks = lock(&self.networks);
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
        lock(&self.networks).insert(AllocId(network.id.clone()), network.clone());
        Ok(network)
    }

    async fn detach(&self, _caller: &Caller) -> Result<()> {
        self.plan.call("networks.detach").await
    }

    async fn map_port(&self, caller: &Caller, _label: &str, _address: &str, _task_port: u16) -> Result<()> {
        self.plan.call("networks.map_port").await?;
        self.of(caller)?.map_or_else(host_mode, |_| Ok(()))
    }

    async fn unmap_port(&self, _caller: &Caller, _label: &str) -> Result<()> {
        self.plan.call("networks.unmap_port").await
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
        lock(&self.networks).remove(alloc);
        Ok(())
    }

    async fn reconcile(&self, plans: &[NetworkPlan]) -> Vec<Result<Network>> {
        if let Err(error) = self.plan.call("networks.reconcile").await {
            return plans.iter().map(|_| Err(error.clone())).collect();
        }
        lock(&self.networks).retain(|alloc, _| plans.iter().any(|plan| plan.alloc == *alloc));
        plans.iter().map(|plan| Ok(self.make(plan))).collect()
    }

    async fn repair(&self) -> Result<Vec<String>> {
        self.plan.call("networks.repair").await?;
        Ok(Vec::new())
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
