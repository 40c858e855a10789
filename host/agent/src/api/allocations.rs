//! `/v1/allocation…` and what can be done to one.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Api,
    answer::{Answer, Query, Read, Refused, Result, json},
    document::{Acknowledged, AllocStub, AllocUsage, Allocation},
};

pub(super) async fn list(State(api): State<Api>, Query(read): Query<Read>) -> Answer<Vec<AllocStub>> {
    let index = read.hold(&api).await;
    let node = api.agent.node();
    let body = api.agent.allocations(&read.prefix).iter().map(|alloc| AllocStub::of(alloc, &node)).collect();
    Answer { index, body }
}

pub(super) async fn read(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(read): Query<Read>,
) -> Result<Answer<Allocation>> {
    let index = read.hold(&api).await;
    let alloc = find(&api, &id)?;
    let task_facts = api.agent.facts(&alloc).await;
    Ok(Answer { index, body: Allocation { task_facts, ..Allocation::of(&alloc, &api.agent.node()) } })
}

/// An allocation by its whole id.
pub(super) fn find(api: &Api, id: &str) -> Result<std::sync::Arc<crate::Allocation>> {
    api.agent.allocation(id).ok_or_else(|| Refused::not_found(format!("Unknown allocation {id:?}: alloc not found")))
}

pub(super) async fn stop(State(api): State<Api>, Path(id): Path<String>) -> Result<Answer<Acknowledged>> {
    let evaluation = api.agent.stop_allocation(&id).await?;
    Ok(Answer { index: api.agent.index(), body: evaluation.as_ref().into() })
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Restart {
    task_name: String,
}

pub(super) async fn restart(State(api): State<Api>, Path(id): Path<String>, body: Bytes) -> Result<Json<Value>> {
    let request: Restart = json_or_default(&body)?;
    api.agent.restart_allocation(&id, named(&request.task_name))?;
    Ok(Json(json!({})))
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Signal {
    task: String,
    signal: String,
}

pub(super) async fn signal(State(api): State<Api>, Path(id): Path<String>, body: Bytes) -> Result<Json<Value>> {
    let request: Signal = json_or_default(&body)?;
    if request.signal.is_empty() {
        return Err(Refused::invalid("must provide a signal, such as SIGHUP"));
    }
    api.agent.signal_allocation(&id, named(&request.task), &request.signal).await?;
    Ok(Json(json!({})))
}

pub(super) async fn stats(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<AllocUsage>> {
    let usage = api.agent.usage(&id).await?;
    let node = api.agent.node();
    let number = |name: &str| node.attributes.get(name).and_then(|text| text.parse::<f64>().ok());
    let core_mhz = number("cpu.totalcompute").unwrap_or(0.0) / number("cpu.numcores").unwrap_or(1.0).max(1.0);
    Ok(Json(AllocUsage::of(usage, core_mhz)))
}

fn named(task: &str) -> Option<&str> {
    (!task.is_empty()).then_some(task)
}

fn json_or_default<T: Default + serde::de::DeserializeOwned>(body: &[u8]) -> Result<T> {
    if body.is_empty() { Ok(T::default()) } else { json(body) }
}
