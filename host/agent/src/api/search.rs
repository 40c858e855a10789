//! `/v1/search`: what begins with a text, whatever it is.

use axum::{Json, body::Bytes, extract::State};

use super::{
    Api,
    answer::{Result, json},
    document::{SearchRequest, SearchResponse},
};

/// As many matches of a kind as are told.
const MOST: usize = 20;

pub(super) async fn search(State(api): State<Api>, body: Bytes) -> Result<Json<SearchResponse>> {
    let request: SearchRequest = json(&body)?;
    let prefix = request.prefix.as_str();
    let jobs: Vec<String> = api.agent.jobs(prefix).iter().map(|status| status.job.id.clone()).collect();
    let evaluations = api.agent.jobs("").into_iter().flat_map(|status| api.agent.evaluations(&status.job.id));
    let evaluations = evaluations.map(|evaluation| evaluation.id.clone()).filter(|id| id.starts_with(prefix));
    let allocations = api.agent.allocations(prefix).iter().map(|alloc| alloc.id.0.clone()).collect();
    let node = Some(api.agent.node().id).filter(|id| id.starts_with(prefix));
    let kinds = [
        ("jobs", jobs),
        ("evals", evaluations.collect()),
        ("allocs", allocations),
        ("nodes", node.into_iter().collect()),
    ];
    let mut answer = SearchResponse::default();
    for (kind, mut found) in kinds.into_iter().filter(|(kind, _)| request.wants(kind)) {
        answer.truncations.insert(kind.to_owned(), found.len() > MOST);
        found.truncate(MOST);
        answer.matches.insert(kind.to_owned(), found);
    }
    Ok(Json(answer))
}
