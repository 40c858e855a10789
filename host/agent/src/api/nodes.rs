//! `/v1/node…`: this machine, the only one.

use std::time::Duration;

use axum::{
    Json,
    extract::{Path, State},
};

use super::{
    Api,
    answer::{Answer, Query, Read, Refused, Result},
    document::{Allocation, HostUsage, Node, NodeStub},
};
use crate::machine;

/// Between two looks at the processors.
const BETWEEN: Duration = Duration::from_millis(200);

pub(super) async fn list(State(api): State<Api>, Query(read): Query<Read>) -> Answer<Vec<NodeStub>> {
    let index = read.hold(&api).await;
    let node = api.agent.node();
    let body = if node.id.starts_with(&read.prefix) { vec![NodeStub::of(&node, index)] } else { Vec::new() };
    Answer { index, body }
}

pub(super) async fn read(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(read): Query<Read>,
) -> Result<Answer<Node>> {
    let index = read.hold(&api).await;
    let node = this(&api, &id)?;
    Ok(Answer { index, body: Node::of(&node, index) })
}

/// Whole ones: clients look into the job of each.
pub(super) async fn allocations(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(read): Query<Read>,
) -> Result<Answer<Vec<Allocation>>> {
    let index = read.hold(&api).await;
    let node = this(&api, &id)?;
    let body = api.agent.allocations("").iter().map(|alloc| Allocation::of(alloc, &node)).collect();
    Ok(Answer { index, body })
}

/// What all that runs here uses; there is no other machine to ask about.
pub(super) async fn stats() -> Json<HostUsage> {
    let before = machine::busy();
    tokio::time::sleep(BETWEEN).await;
    Json(HostUsage::of(&before, &machine::busy()))
}

fn this(api: &Api, id: &str) -> Result<crate::Node> {
    let node = api.agent.node();
    if node.id == id { Ok(node) } else { Err(Refused::not_found("node not found")) }
}
