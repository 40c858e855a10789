//! `/v1/node…`: this machine, the only one.

use axum::extract::{Path, State};

use super::{
    Api,
    answer::{Answer, Query, Read, Refused, Result},
    document::{AllocStub, Node, NodeStub},
};

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

pub(super) async fn allocations(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(read): Query<Read>,
) -> Result<Answer<Vec<AllocStub>>> {
    let index = read.hold(&api).await;
    let node = this(&api, &id)?;
    let body = api.agent.allocations("").iter().map(|alloc| AllocStub::of(alloc, &node)).collect();
    Ok(Answer { index, body })
}

fn this(api: &Api, id: &str) -> Result<crate::Node> {
    let node = api.agent.node();
    if node.id == id { Ok(node) } else { Err(Refused::not_found("node not found")) }
}
