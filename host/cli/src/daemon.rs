//! An agent inside this program: made from a configuration, served on its sockets, ended in order.

use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use longshore_agent::{
    Agent, AgentStore,
    api::{self, Api, Listener, Token},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    backends::{self, Machine, Mode},
    client::{Address, Client},
    config::{self, Config},
    failure::{Failure, Outcome, chain},
};

/// A running agent that is served.
pub struct Daemon {
    agent: Agent,
    socket: PathBuf,
    end: CancellationToken,
    serving: JoinHandle<()>,
}

/// A runtime for an agent: two threads carry it, whatever the machine has.
pub fn runtime() -> Outcome<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().map_err(|error| Failure::failed(chain(&error)))
}

impl Daemon {
    /// Starts an agent. It answers requests when this returns; what it finds of earlier tasks is taken up in
    /// the background.
    pub async fn start(config: &Config, data_dir: &Path, mode: &Mode) -> Outcome<Self> {
        make_data_dir(data_dir)?;
        if let Err(error) = longshore_linux::limits::raise_open_files() {
            tracing::warn!(%error, "the limit of open files stays as it is; each reserved port needs one or two");
        }
        let socket = config.http.socket.clone().unwrap_or_else(|| config::socket_in(data_dir));
        let listeners = listen(config, &socket).await?;
        let store = AgentStore::open(data_dir).map_err(|error| Failure::failed(chain(&error)))?;
        let machine = Machine::assemble(config, data_dir, &store, mode).await?;
        let agent_config = backends::agent_config(config, data_dir, &machine)?;
        let agent = Agent::start(store, agent_config, machine.backends.clone(), machine.drivers.clone())
            .await
            .map_err(|error| Failure::failed(chain(&error)))?;
        let api = Api::new(agent.clone(), Arc::new(machine.replacer(agent.clone())));
        let end = CancellationToken::new();
        for address in listeners.iter().filter_map(Listener::tcp_address) {
            tracing::info!(%address, "serving the API over TCP");
        }
        let serving = tokio::spawn(api::serve(api, listeners, end.clone()));
        tracing::info!(socket = %socket.display(), data_dir = %data_dir.display(), "the agent is ready");
        tokio::spawn(shrink());
        Ok(Self { agent, socket, end, serving })
    }

    /// The agent.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// A client of this agent.
    pub fn client(&self) -> Client {
        Client::new(Address::Unix(self.socket.clone()), None)
    }

    /// Ends serving and supervision; tasks keep running.
    pub async fn stop(self) {
        self.end.cancel();
        if let Err(error) = self.serving.await {
            tracing::error!(%error, "serving ended badly");
        }
        self.agent.shutdown().await;
    }
}

/// How long after its start an agent has looked at its drivers' machinery.
const STARTED: Duration = Duration::from_secs(3);

/// Gives back what of the program only its start needed.
async fn shrink() {
    tokio::time::sleep(STARTED).await;
    if let Err(error) = longshore_linux::memory::give_back_code() {
        tracing::debug!(%error, "the program stays in memory as it is");
    }
}

/// Waits for the first signal that asks the program to end: SIGINT or SIGTERM.
pub async fn asked_to_end() -> Outcome {
    let failed = |error: std::io::Error| Failure::failed(chain(&error));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// Others may pass through to what a task of theirs was given (0711), and list nothing.
fn make_data_dir(path: &Path) -> Outcome {
    let failed = |error: std::io::Error| {
        Failure::failed(format!("data directory {}: {error}", path.display()))
            .remedy("choose another with --data-dir, or data_dir in the configuration")
    };
    fs::DirBuilder::new().recursive(true).mode(0o711).create(path).map_err(failed)
}

async fn listen(config: &Config, socket: &Path) -> Outcome<Vec<Listener>> {
    let failed = |error: api::ServeError| Failure::failed(chain(&error));
    let mut listeners = vec![api::bind_unix(socket).map_err(failed)?];
    if let (Some(address), Some(path)) = (config.http.address, &config.http.token_file) {
        let token = Token::new(&config::read_token(path)?)
            .ok_or_else(|| Failure::input(format!("token file {}: the token is too short", path.display())))?;
        listeners.push(api::bind_tcp(address, token).await.map_err(failed)?);
    }
    Ok(listeners)
}
