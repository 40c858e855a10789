//! `/v1/allocation/:id/network`, `/v1/ports` and `/v1/network/obstacles`: ours alone.

use axum::{
    Json,
    extract::{Path, State},
};
use longshore_core::network::Obstacle;

use super::{
    Api,
    answer::Result,
    document::{AllocNetwork, HostPortDocument},
};

pub(super) async fn of_allocation(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<AllocNetwork>> {
    let (alloc, wiring, listeners) = api.agent.look_at_network(&id).await?;
    Ok(Json(AllocNetwork::of(&alloc, &wiring, &listeners)))
}

pub(super) async fn ports(State(api): State<Api>) -> Result<Json<Vec<HostPortDocument>>> {
    let given = api.agent.host_ports().await?;
    let kept = api.agent.kept_free().into_iter().map(|range| HostPortDocument::kept_free(*range.start(), *range.end()));
    let mut all: Vec<_> = given.iter().map(HostPortDocument::from).chain(kept).collect();
    all.sort_by_key(|document| document.port);
    Ok(Json(all))
}

pub(super) async fn obstacles(State(api): State<Api>) -> Json<Vec<Obstacle>> {
    Json(api.agent.obstacles().await)
}
