//! The agent's HTTP API, in the shapes of Nomad's.
//!
//! | to learn | read |
//! |---|---|
//! | what each path answers | [`router`], then the file of the resource |
//! | the documents | [`document`] |
//! | sockets, tokens, limits | [`serve`] |
//!
//! Rules of the whole API: every answer has a body; errors are plain text, one line a problem; answers to
//! reads carry `X-Nomad-Index`, and a read with `?index=N` waits until something is newer than `N` (at most
//! `?wait=`, 5 minutes unless given). PUT and POST mean the same.

mod agent;
mod allocations;
mod answer;
pub mod document;
mod drivers;
mod evaluations;
mod exec;
mod files;
mod guard;
mod jobs;
mod logs;
mod networks;
mod nodes;
mod search;
mod serve;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    routing::{MethodRouter, any, get, put},
};
use tokio_util::sync::CancellationToken;

pub use drivers::ReplaceDriver;
pub use guard::Token;
pub use serve::{Listener, ServeError, bind_tcp, bind_unix, serve};

use crate::Agent;

/// Largest body of a request that carries a job, bytes.
const MAX_JOB_BYTES: usize = 4 << 20;
/// Largest component that can be sent to replace a driver, bytes.
const MAX_DRIVER_BYTES: usize = 128 << 20;

/// What every handler can reach.
#[derive(Clone)]
pub struct Api {
    agent: Agent,
    drivers: Arc<dyn ReplaceDriver>,
    /// Cancelled when the agent ends: whoever waits answers at once.
    ending: CancellationToken,
}

impl Api {
    /// The API of an agent whose drivers are replaced by `drivers`.
    pub fn new(agent: Agent, drivers: Arc<dyn ReplaceDriver>) -> Self {
        Self { agent, drivers, ending: CancellationToken::new() }
    }

    /// Makes everybody who waits (blocking queries, log streams) answer at once.
    pub fn end(&self) {
        self.ending.cancel();
    }
}

/// All paths.
fn router(api: Api) -> Router {
    let drivers = Router::new()
        .route("/v1/driver/{name}/replace", write(drivers::replace))
        .layer(DefaultBodyLimit::max(MAX_DRIVER_BYTES));
    Router::new()
        .merge(job_routes())
        .merge(allocation_routes())
        .merge(machine_routes())
        .layer(DefaultBodyLimit::max(MAX_JOB_BYTES))
        .merge(drivers)
        .fallback(|| async { (StatusCode::NOT_FOUND, "no such path\n") })
        .method_not_allowed_fallback(|| async { (StatusCode::METHOD_NOT_ALLOWED, "Invalid method\n") })
        .with_state(api)
}

fn job_routes() -> Router<Api> {
    Router::new()
        .route("/v1/jobs", get(jobs::list).put(jobs::register).post(jobs::register))
        .route("/v1/jobs/parse", write(jobs::parse))
        .route("/v1/validate/job", write(jobs::validate))
        .route("/v1/job/{id}", get(jobs::read).put(jobs::register).post(jobs::register).delete(jobs::stop))
        .route("/v1/job/{id}/plan", write(jobs::plan))
        .route("/v1/job/{id}/summary", get(jobs::summary))
        .route("/v1/job/{id}/allocations", get(jobs::allocations))
        .route("/v1/job/{id}/evaluations", get(jobs::evaluations))
        .route("/v1/job/{id}/deployments", get(jobs::deployments))
        .route("/v1/job/{id}/deployment", get(jobs::deployment))
        .route("/v1/job/{id}/versions", get(jobs::versions))
        .route("/v1/job/{id}/submission", get(jobs::submission))
        .route("/v1/evaluations", get(evaluations::list))
        .route("/v1/evaluation/{id}", get(evaluations::read))
        .route("/v1/evaluation/{id}/allocations", get(evaluations::allocations))
        .route("/v1/deployments", get(evaluations::deployments))
}

fn allocation_routes() -> Router<Api> {
    Router::new()
        .route("/v1/allocations", get(allocations::list))
        .route("/v1/allocation/{id}", get(allocations::read))
        .route("/v1/allocation/{id}/stop", write(allocations::stop))
        .route("/v1/allocation/{id}/network", get(networks::of_allocation))
        .route("/v1/client/allocation/{id}/restart", write(allocations::restart))
        .route("/v1/client/allocation/{id}/signal", write(allocations::signal))
        .route("/v1/client/allocation/{id}/stats", get(allocations::stats))
        .route("/v1/client/allocation/{id}/exec", any(exec::open))
        .route("/v1/client/fs/logs/{id}", get(logs::read))
        .route("/v1/client/fs/ls/{id}", get(files::list))
        .route("/v1/client/fs/stat/{id}", get(files::stat))
        .route("/v1/client/fs/cat/{id}", get(files::cat))
}

fn machine_routes() -> Router<Api> {
    Router::new()
        .route("/v1/nodes", get(nodes::list))
        .route("/v1/node/{id}", get(nodes::read))
        .route("/v1/node/{id}/allocations", get(nodes::allocations))
        .route("/v1/drivers", get(drivers::list))
        .route("/v1/ports", get(networks::ports))
        .route("/v1/network/obstacles", get(networks::obstacles))
        .route("/v1/agent/self", get(agent::own))
        .route("/v1/agent/members", get(agent::members))
        .route("/v1/agent/servers", get(agent::servers))
        .route("/v1/agent/health", get(agent::health))
        .route("/v1/status/leader", get(agent::leader))
        .route("/v1/status/peers", get(agent::peers))
        .route("/v1/client/stats", get(nodes::stats))
        .route("/v1/search", write(search::search))
        .route("/v1/regions", get(agent::regions))
        .route("/v1/namespaces", get(agent::namespaces))
}

/// PUT and POST alike.
fn write<H, T>(handler: H) -> MethodRouter<Api>
where
    H: axum::handler::Handler<T, Api> + Clone,
    T: 'static,
{
    put(handler.clone()).post(handler)
}
