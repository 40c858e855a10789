//! `/v1/drivers` and `/v1/driver/:name/replace`. Ours alone.

use async_trait::async_trait;
use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
};

use super::{
    Api,
    answer::{Answer, Query, Read, Refused, Result},
    document::DriverDocument,
};

/// Puts a new component in the place of a loaded driver, under its running tasks.
#[async_trait]
pub trait ReplaceDriver: Send + Sync {
    /// Checks the component, tries it on the running tasks' handles, then switches. The error is for the
    /// operator: what it asks for beyond its grants, or which task it does not recognise.
    async fn replace(&self, name: &str, component: Vec<u8>) -> std::result::Result<(), String>;
}

pub(super) async fn list(State(api): State<Api>, Query(read): Query<Read>) -> Answer<Vec<DriverDocument>> {
    let index = read.hold(&api).await;
    let node = api.agent.node();
    let named = node.drivers.iter().filter(|(name, _)| name.starts_with(&read.prefix));
    Answer { index, body: named.map(|(_, driver)| driver.into()).collect() }
}

pub(super) async fn replace(
    State(api): State<Api>,
    Path(name): Path<String>,
    component: Bytes,
) -> Result<Json<DriverDocument>> {
    let node = api.agent.node();
    if !node.drivers.contains_key(&name) {
        let known: Vec<_> = node.drivers.into_keys().collect();
        return Err(Refused::not_found(format!("no driver {name:?} is loaded; loaded: {}", known.join(", "))));
    }
    api.drivers.replace(&name, component.into()).await.map_err(Refused::invalid)?;
    let node = api.agent.node();
    let driver = node.drivers.get(&name).ok_or_else(|| Refused::not_found("the driver is gone"))?;
    Ok(Json(driver.into()))
}
