//! `longshore:host/networks`.

use longshore_core::{
    error::Result,
    network::{self, Networks},
};

use crate::{bindings::longshore::host::networks, store::Operation};

impl Operation {
    fn networks(&self) -> Result<&dyn Networks> {
        self.caller.require_task()?;
        self.backend(&self.host.backends.networks, "networks of allocations")
    }
}

impl networks::Host for Operation {
    async fn current(&mut self) -> Result<Option<networks::Network>> {
        let network = self.networks()?.current(&self.caller).await?;
        Ok(network.map(Into::into))
    }

    async fn attach_container(&mut self, container_id: String) -> Result<networks::Network> {
        self.networks()?.attach_container(&self.caller, &container_id).await.map(Into::into)
    }

    async fn detach(&mut self) -> Result<()> {
        self.networks()?.detach(&self.caller).await
    }

    async fn map_port(&mut self, label: String, address: String, task_port: u16) -> Result<()> {
        let backends = &self.host.backends;
        let ports = backends.ports.as_deref();
        backends.added_ports.map(ports, self.networks()?, &self.caller, &label, &address, task_port).await
    }

    async fn unmap_port(&mut self, label: String) -> Result<()> {
        let backends = &self.host.backends;
        backends.added_ports.unmap(backends.ports.as_deref(), self.networks()?, &self.caller, &label).await
    }
}

impl From<network::Network> for networks::Network {
    fn from(network: network::Network) -> Self {
        let holder = network.holder.map(|holder| match holder {
            network::Holder::Pinned => networks::Holder::Pinned,
            network::Holder::Container(id) => networks::Holder::Container(id),
        });
        Self {
            id: network.id,
            mode: network.mode,
            namespace_path: network.namespace_path,
            holder,
            interface_name: network.interface_name,
            address: network.address,
            address_ipv6: network.address_ipv6,
            hostname: network.hostname,
            ports: network.ports.iter().map(Into::into).collect(),
        }
    }
}
