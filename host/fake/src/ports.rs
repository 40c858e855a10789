//! Ports as numbers, without sockets.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    ops::RangeInclusive,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use longshore_core::{
    caller::AllocId,
    error::{HostError, Result},
    port::{Port, PortRequest, Ports},
};

use crate::{
    Fake,
    plan::{Plan, lock},
};

const FIRST_DYNAMIC: u16 = 20_000;

/// Who holds which port.
#[derive(Default)]
pub(crate) struct FakePorts(Mutex<BTreeMap<u16, (AllocId, Port)>>);

pub(crate) struct PlannedPorts {
    plan: Arc<Plan>,
    ports: Arc<FakePorts>,
}

impl PlannedPorts {
    pub(crate) fn new(fake: &Fake) -> Self {
        Self { plan: fake.plan.clone(), ports: fake.ports.clone() }
    }
}

impl FakePorts {
    /// Labels of the ports that are held.
    pub(crate) fn labels(&self) -> Vec<String> {
        lock(&self.0).values().map(|(_, port)| port.label.clone()).collect()
    }

    /// All sockets are closed.
    pub(crate) fn close(&self) {
        lock(&self.0).clear();
    }

    fn reserve(&self, alloc: &AllocId, request: &PortRequest) -> Result<Port> {
        let mut held = lock(&self.0);
        let mine = held.values().find(|(owner, port)| owner == alloc && port.label == request.label);
        if let Some((_, port)) = mine {
            return Ok(port.clone());
        }
        let number = match request.static_port {
            Some(number) if held.contains_key(&number) => {
                return Err(HostError::Conflict(format!("port {number} is held by another allocation")));
            }
            Some(number) => number,
            None => (FIRST_DYNAMIC..=u16::MAX)
                .find(|number| !held.contains_key(number))
                .ok_or_else(|| HostError::Limit("no dynamic port is free".into()))?,
        };
        let port = Port {
            label: request.label.clone(),
            host_ip: "127.0.0.1".into(),
            host_port: number,
            task_port: request.to.unwrap_or(number),
            protocol: request.protocol.clone(),
            is_named: false,
        };
        held.insert(number, (alloc.clone(), port.clone()));
        Ok(port)
    }

    fn restore(&self, alloc: &AllocId, port: &Port) -> Result<()> {
        let mut held = lock(&self.0);
        match held.get(&port.host_port) {
            Some((owner, _)) if owner != alloc => {
                Err(HostError::Conflict(format!("port {} is held by another allocation", port.host_port)))
            }
            _ => {
                held.insert(port.host_port, (alloc.clone(), port.clone()));
                Ok(())
            }
        }
    }
}

#[async_trait]
impl Ports for PlannedPorts {
    async fn reserve(&self, alloc: &AllocId, requests: &[PortRequest]) -> Result<Vec<Port>> {
        self.plan.call("ports.reserve").await?;
        let before = lock(&self.ports.0).clone();
        let reserved: Result<Vec<_>> = requests.iter().map(|request| self.ports.reserve(alloc, request)).collect();
        if reserved.is_err() {
            *lock(&self.ports.0) = before;
        }
        reserved
    }

    async fn restore(&self, alloc: &AllocId, ports: &[Port]) -> Vec<Result<()>> {
        match self.plan.call("ports.restore").await {
            Ok(()) => ports.iter().map(|port| self.ports.restore(alloc, port)).collect(),
            Err(error) => ports.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    async fn yield_to_task(&self, _alloc: &AllocId) -> Result<()> {
        self.plan.call("ports.yield_to_task").await
    }

    async fn reclaim(&self, _alloc: &AllocId) -> Result<()> {
        self.plan.call("ports.reclaim").await
    }

    async fn held(&self, alloc: &AllocId) -> Result<Vec<String>> {
        self.plan.call("ports.held").await?;
        let held = lock(&self.ports.0);
        Ok(held.values().filter(|(owner, _)| owner == alloc).map(|(_, port)| port.label.clone()).collect())
    }

    fn host_ip(&self, _request: &PortRequest) -> Result<String> {
        Ok("127.0.0.1".into())
    }

    fn kept_free(&self) -> Vec<RangeInclusive<u16>> {
        Vec::new()
    }

    async fn reserved(&self, alloc: &AllocId) -> Result<Vec<Port>> {
        self.plan.call("ports.reserved").await?;
        let held = lock(&self.ports.0);
        Ok(held.values().filter(|(owner, _)| owner == alloc).map(|(_, port)| port.clone()).collect())
    }

    async fn lead_loopback(&self, _alloc: &AllocId, _label: &str, _to: Option<SocketAddr>) -> Result<()> {
        self.plan.call("ports.lead_loopback").await
    }

    async fn release(&self, alloc: &AllocId, label: Option<&str>) -> Result<()> {
        self.plan.call("ports.release").await?;
        lock(&self.ports.0).retain(|_, (owner, port)| owner != alloc || label.is_some_and(|label| label != port.label));
        Ok(())
    }
}
