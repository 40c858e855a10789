//! Networks: every allocation is in host mode.

use std::sync::Arc;

use async_trait::async_trait;
use longshore_core::{
    caller::Caller,
    error::{HostError, Result},
    network::{Network, Networks},
};

use crate::{Fake, plan::Plan};

pub(crate) struct FakeNetworks(Arc<Plan>);

impl FakeNetworks {
    pub(crate) fn new(fake: &Fake) -> Self {
        Self(fake.plan.clone())
    }
}

fn host_mode<T>() -> Result<T> {
    Err(HostError::Invalid("the allocation is in network mode \"host\"".into()))
}

#[async_trait]
impl Networks for FakeNetworks {
    async fn current(&self, _caller: &Caller) -> Result<Option<Network>> {
        self.0.call("networks.current").await?;
        Ok(None)
    }

    async fn attach_container(&self, _caller: &Caller, _container_id: &str) -> Result<Network> {
        self.0.call("networks.attach_container").await?;
        host_mode()
    }

    async fn detach(&self, _caller: &Caller) -> Result<()> {
        self.0.call("networks.detach").await
    }

    async fn map_port(&self, _caller: &Caller, _label: &str, _address: &str, _task_port: u16) -> Result<()> {
        self.0.call("networks.map_port").await?;
        host_mode()
    }

    async fn unmap_port(&self, _caller: &Caller, _label: &str) -> Result<()> {
        self.0.call("networks.unmap_port").await
    }
}
