//! `/v1/job…`: submitting, reading, stopping, checking.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
};
use longshore_job::{Diagnostic, Diagnostics, Parsed, model::Job};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Api,
    answer::{Answer, Query, Read, Refused, Result, json_of_any_case},
    document::{
        Acknowledged, AllocStub, Evaluation, JobStub, JobSummary, ParseRequest, PlanRequest, PlanResponse,
        RegisterRequest, Submission, ValidateResponse, Validation, Versions,
    },
};
use crate::{JobStatus, Problem, SubmitError, SubmitOptions};

pub(super) async fn list(State(api): State<Api>, Query(read): Query<Read>) -> Answer<Vec<JobStub>> {
    let index = read.hold(&api).await;
    Answer { index, body: api.agent.jobs(&read.prefix).iter().map(Into::into).collect() }
}

pub(super) async fn register(State(api): State<Api>, body: Bytes) -> Result<Answer<Acknowledged>> {
    let request: RegisterRequest = json_of_any_case(&body)?;
    let parsed = parsed(&request.job)?;
    let options = SubmitOptions {
        submission: request.submission.unwrap_or_default().into(),
        enforce_index: request.enforce_index.then_some(request.job_modify_index),
    };
    let submitted = api.agent.submit(parsed.job, options).await?;
    let warnings = parsed.warnings.iter().map(ToString::to_string).chain(submitted.warnings);
    let index = api.agent.index();
    let created = api.agent.evaluation(&submitted.eval_id).map_or(index, |evaluation| evaluation.create_index);
    let body = Acknowledged {
        eval_id: submitted.eval_id,
        eval_create_index: created,
        job_modify_index: submitted.job_modify_index,
        warnings: warnings.collect::<Vec<_>>().join("\n"),
        index,
        last_contact: 0,
        known_leader: true,
    };
    Ok(Answer { index, body })
}

pub(super) async fn parse(body: Bytes) -> Result<Json<Job>> {
    let request: ParseRequest = json_of_any_case(&body)?;
    // No file of this machine may be read by a job that comes from elsewhere: the default options allow none. Values
    // for variables that the job does not declare are passed over, as Nomad does.
    let options = longshore_job::ParseOptions {
        var_text: request.variables,
        strict: false,
        ..longshore_job::ParseOptions::default()
    };
    let parsed = longshore_job::parse_str("input.hcl", &request.job_hcl, &options);
    let parsed = parsed.map_err(|found| Refused::invalid(format!("Failed to parse job: {}", found.plain())))?;
    Ok(Json(parsed.job))
}

pub(super) async fn validate(State(api): State<Api>, body: Bytes) -> Result<Json<ValidateResponse>> {
    let request: PlanRequest = json_of_any_case(&body)?;
    let parsed = match longshore_job::draft_value(&request.job) {
        Ok(parsed) => parsed,
        Err(rejected) => {
            let mut found = diagnosed(&rejected.found);
            // What drivers say of a job that is wrong already is told at once, too.
            if let Some(draft) = rejected.draft
                && let Err(SubmitError::Invalid(further)) = api.agent.validate(&draft.job).await
            {
                let further = further.into_iter().filter(|further| !found.iter().any(|known| same(known, further)));
                let further: Vec<_> = further.collect();
                found.extend(further);
            }
            return Ok(Json(found_wrong(found)));
        }
    };
    let mut warnings: Vec<_> = parsed.warnings.iter().map(ToString::to_string).collect();
    match api.agent.validate(&parsed.job).await {
        Ok(more) => {
            warnings.extend(more);
            let warnings = warnings.join("\n");
            Ok(Json(ValidateResponse { driver_config_validated: true, warnings, ..ValidateResponse::default() }))
        }
        Err(SubmitError::Invalid(found) | SubmitError::Unplaceable(found)) => Ok(Json(found_wrong(found))),
        Err(other) => Err(other.into()),
    }
}

/// What submitting a job would change.
pub(super) async fn plan(State(api): State<Api>, Path(id): Path<String>, body: Bytes) -> Result<Answer<PlanResponse>> {
    let request: PlanRequest = json_of_any_case(&body)?;
    let parsed = parsed(&request.job)?;
    if parsed.job.id != id {
        return Err(Refused::invalid("Job ID does not match"));
    }
    let mut body = PlanResponse::from(api.agent.plan(parsed.job).await?);
    if !request.diff {
        body.diff = None;
    }
    Ok(Answer { index: api.agent.index(), body })
}

/// Whether two say the same of one place.
fn same(one: &Problem, other: &Problem) -> bool {
    one.pointer == other.pointer && (one.message.contains(&other.message) || other.message.contains(&one.message))
}

/// The errors of the job's own check, as the agent's are told.
fn diagnosed(found: &Diagnostics) -> Vec<Problem> {
    let told = |item: &Diagnostic| {
        let message = match item.detail.as_str() {
            "" => item.summary.clone(),
            detail => format!("{}: {detail}", item.summary),
        };
        Problem { pointer: item.path.clone().unwrap_or_default(), message }
    };
    found.errors().map(told).collect()
}

fn found_wrong(found: Vec<Problem>) -> ValidateResponse {
    let errors: Vec<_> = found.iter().map(ToString::to_string).collect();
    ValidateResponse {
        driver_config_validated: true,
        error: errors.join("\n"),
        validation_errors: errors,
        warnings: String::new(),
        problems: found
            .into_iter()
            .map(|problem| Validation { path: problem.pointer, message: problem.message })
            .collect(),
    }
}

fn parsed(job: &Value) -> Result<Parsed> {
    longshore_job::from_value(job).map_err(|found| Refused::invalid(found.to_string()))
}

fn find(api: &Api, id: &str) -> Result<JobStatus> {
    api.agent.job(id).ok_or_else(|| Refused::not_found("job not found"))
}

pub(super) async fn read(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(read): Query<Read>,
) -> Result<Answer<Job>> {
    let index = read.hold(&api).await;
    Ok(Answer { index, body: Job::clone(&find(&api, &id)?.job) })
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Stop {
    purge: bool,
}

pub(super) async fn stop(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(stop): Query<Stop>,
) -> Result<Answer<Acknowledged>> {
    let evaluation = api.agent.stop_job(&id, stop.purge).await?;
    Ok(Answer { index: api.agent.index(), body: evaluation.as_ref().into() })
}

pub(super) async fn summary(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(read): Query<Read>,
) -> Result<Answer<JobSummary>> {
    let index = read.hold(&api).await;
    Ok(Answer { index, body: (&find(&api, &id)?).into() })
}

pub(super) async fn allocations(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(read): Query<Read>,
) -> Answer<Vec<AllocStub>> {
    let index = read.hold(&api).await;
    let node = api.agent.node();
    Answer { index, body: api.agent.allocations_of(&id).iter().map(|alloc| AllocStub::of(alloc, &node)).collect() }
}

pub(super) async fn evaluations(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(read): Query<Read>,
) -> Answer<Vec<Evaluation>> {
    let index = read.hold(&api).await;
    Answer { index, body: api.agent.evaluations(&id).iter().map(|evaluation| evaluation.as_ref().into()).collect() }
}

pub(super) async fn deployments(State(api): State<Api>, Query(read): Query<Read>) -> Answer<[(); 0]> {
    Answer { index: read.hold(&api).await, body: [] }
}

/// There is none yet, which is `null` and not an empty body.
pub(super) async fn deployment(State(api): State<Api>, Query(read): Query<Read>) -> Answer<Option<()>> {
    Answer { index: read.hold(&api).await, body: None }
}

pub(super) async fn versions(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(read): Query<Read>,
) -> Result<Answer<Versions>> {
    let index = read.hold(&api).await;
    let job = Job::clone(&find(&api, &id)?.job);
    let body = Versions { index: job.modify_index, versions: vec![job], diffs: None };
    Ok(Answer { index, body })
}

pub(super) async fn submission(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(read): Query<Read>,
) -> Result<Answer<Submission>> {
    let index = read.hold(&api).await;
    find(&api, &id)?;
    let submission = api.agent.submission(&id).filter(|submission| !submission.source.is_empty());
    let submission = submission.ok_or_else(|| Refused::not_found("job source not found"))?;
    Ok(Answer { index, body: submission.into() })
}
