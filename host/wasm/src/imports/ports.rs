//! `longshore:host/ports`.

use longshore_core::{
    error::{HostError, Result},
    port::{self, Ports},
};

use crate::{
    bindings::longshore::host::{ports, types::Port},
    store::Operation,
};

impl Operation {
    fn ports(&self) -> Result<&dyn Ports> {
        self.backend(&self.host.backends.ports, "ports to reserve")
    }
}

impl ports::Host for Operation {
    async fn reserved(&mut self) -> Result<Vec<Port>> {
        let alloc = &self.caller.require_task()?.id.alloc;
        let reserved = self.ports()?.reserved(alloc).await?;
        Ok(reserved.iter().map(Into::into).collect())
    }

    async fn reserve(&mut self, request: ports::PortRequest) -> Result<Port> {
        let request = request.try_into()?;
        let reserved = self.host.backends.added_ports.reserve(self.ports()?, &self.caller, &request).await?;
        Ok((&reserved).into())
    }

    async fn release(&mut self, label: String) -> Result<()> {
        let backends = &self.host.backends;
        backends.added_ports.release(self.ports()?, backends.networks.as_deref(), &self.caller, &label).await
    }
}

impl TryFrom<ports::PortRequest> for port::PortRequest {
    type Error = HostError;

    fn try_from(request: ports::PortRequest) -> Result<Self> {
        let ports::PortRequest { label, static_port, to, host_network, protocol } = request;
        if label.is_empty() {
            return Err(HostError::Invalid("a port needs a label".into()));
        }
        Ok(Self { label, static_port, to, host_network, protocol: protocol.try_into()? })
    }
}
