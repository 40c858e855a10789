//! `/v1/evaluation…`, and deployments, of which there are none yet.

use axum::extract::{Path, State};

use super::{
    Api,
    answer::{Answer, Query, Read, Refused, Result},
    document::{AllocStub, Evaluation},
};

pub(super) async fn list(State(api): State<Api>, Query(read): Query<Read>) -> Answer<Vec<Evaluation>> {
    let index = read.hold(&api).await;
    let jobs = api.agent.jobs("");
    let found = jobs.iter().flat_map(|status| api.agent.evaluations(&status.job.id));
    let found = found.filter(|evaluation| evaluation.id.starts_with(&read.prefix));
    Answer { index, body: found.map(|evaluation| evaluation.as_ref().into()).collect() }
}

pub(super) async fn read(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(read): Query<Read>,
) -> Result<Answer<Evaluation>> {
    let index = read.hold(&api).await;
    let evaluation = api.agent.evaluation(&id).ok_or_else(|| Refused::not_found("eval not found"))?;
    Ok(Answer { index, body: evaluation.as_ref().into() })
}

pub(super) async fn allocations(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(read): Query<Read>,
) -> Result<Answer<Vec<AllocStub>>> {
    let index = read.hold(&api).await;
    let evaluation = api.agent.evaluation(&id).ok_or_else(|| Refused::not_found("eval not found"))?;
    let node = api.agent.node();
    let made = api.agent.allocations_of(&evaluation.job_id).into_iter().filter(|alloc| alloc.eval_id == id);
    Ok(Answer { index, body: made.map(|alloc| AllocStub::of(&alloc, &node)).collect() })
}

pub(super) async fn deployments(State(api): State<Api>, Query(read): Query<Read>) -> Answer<[(); 0]> {
    Answer { index: read.hold(&api).await, body: [] }
}
