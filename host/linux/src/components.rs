//! Components as tasks: the same shims, running this program's `component-task`.
//!
//! A component's directory holds, beside what its shim needs, the [`ComponentSpec`] as JSON; the started program
//! reads it from the path it is given. So a component outlives the agent as any process does. The programs share a
//! cache of compiled code, so that only a component's first start compiles it.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read, Seek},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use longshore_core::{
    caller::{Caller, TaskScope},
    component::{ComponentKind, ComponentSpec, Components},
    error::{HostError, Result},
    process::{Process, ProcessSpec, Processes},
    workload::{ExitStatus, Limits, RunState, Usage},
};
use tokio::{net::TcpStream, time::Instant};

use crate::{
    cgroup::Cgroups,
    failure::{because, blocking},
    process::Supervisor,
};

/// First argument of the started program.
pub const SUBCOMMAND: &str = "component-task";
/// How long a proxy may take until it answers.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How often its port is tried.
const TRY_EVERY: Duration = Duration::from_millis(5);
/// What the group may use beyond the component's own memories: the runtime, and the compiler on a cold cache.
/// The component's limit itself is kept by the runtime.
const RUNTIME_MEMORY_MIB: u32 = 512;
/// Bytes of the error output quoted when a proxy ends before it answers.
const QUOTED: u64 = 2048;

/// Runs each component as `<program> component-task <spec.json>`.
pub struct ComponentRunner {
    processes: Supervisor,
    /// A directory for each component, with its slot's name.
    homes: PathBuf,
    /// A file for each component, with its slot's name.
    specs: PathBuf,
    /// Where the started programs keep compiled code; made by them, for this user alone.
    cache: PathBuf,
    program: Option<PathBuf>,
}

impl ComponentRunner {
    /// Opens the state directory (not the one of the [`Supervisor`] for processes). `program` none: the
    /// program that runs now.
    pub fn open(state: &Path, cgroups: Arc<Cgroups>, program: Option<PathBuf>) -> Result<Self> {
        let homes = state.join("processes");
        let processes = Supervisor::open(&homes, cgroups, BTreeMap::new())?;
        let specs = state.join("specs");
        fs::create_dir_all(&specs).map_err(because(specs.display()))?;
        let specs = specs.canonicalize().map_err(because(specs.display()))?;
        let cache = specs.with_file_name("cache");
        let runner = Self { processes, homes, specs, cache, program };
        runner.remove_orphans().map_err(because(runner.specs.display()))?;
        Ok(runner)
    }

    /// Removes what an agent left that died between writing a spec and starting its component.
    fn remove_orphans(&self) -> io::Result<()> {
        fs::read_dir(&self.specs)?.try_for_each(|entry| self.remove_orphan(&entry?.path()))
    }

    /// Removes a spec, secrets and all, unless there is a component it is for.
    fn remove_orphan(&self, spec: &Path) -> io::Result<()> {
        let is_whole = spec.extension().is_some_and(|extension| extension == "json");
        let has_home = spec.file_stem().is_some_and(|slot| self.homes.join(slot).is_dir());
        if is_whole && has_home { Ok(()) } else { fs::remove_file(spec) }
    }

    /// The program to start. After an upgrade its file is another or gone; then what runs now is reached through
    /// its process.
    fn program(&self) -> Result<PathBuf> {
        if let Some(program) = &self.program {
            return Ok(program.clone());
        }
        let own = std::env::current_exe().map_err(because("this program's path"))?;
        Ok(if own.exists() { own } else { PathBuf::from(format!("/proc/{}/exe", std::process::id())) })
    }

    /// Where a component's spec is: one place for each task and name, so that running it again overwrites it.
    fn spec_path(&self, caller: &Caller, scope: &TaskScope, name: &str) -> PathBuf {
        self.specs.join(format!("{}.json", crate::process::slot_name(caller, &scope.id, name)))
    }

    /// The spec of a component that is known by its id.
    fn spec_path_of(&self, id: &str) -> Option<PathBuf> {
        crate::process::slot_of_id(id).map(|slot| self.specs.join(format!("{slot}.json")))
    }

    async fn write_spec(&self, path: &Path, spec: &ComponentSpec) -> Result<()> {
        let json =
            serde_json::to_vec(spec).map_err(|error| HostError::Invalid(format!("the component's spec: {error}")))?;
        let path = path.to_owned();
        blocking(move || {
            let new = path.with_extension("new");
            let write = || {
                let mut options = fs::OpenOptions::new();
                // The environment in it may hold secrets.
                let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
                io::Write::write_all(&mut file, &json)?;
                fs::rename(&new, &path)
            };
            write().map_err(because(path.display()))
        })
        .await
    }

    /// Returns when the proxy accepts connections.
    async fn until_ready(&self, caller: &Caller, scope: &TaskScope, id: &str, address: SocketAddr) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        while !accepts(address, scope.network_namespace.as_deref()).await {
            if let RunState::Exited(status) = self.processes.inspect(caller, id).await?.state {
                let (code, words) = (status.exit_code, last_words(scope).await);
                return Err(HostError::Other(format!(
                    "the component ended (code {code}) before it served {address}{words}"
                )));
            }
            if Instant::now() > deadline {
                let seconds = READY_WITHIN.as_secs();
                return Err(HostError::Timeout(format!("the component does not serve {address} after {seconds} s")));
            }
            tokio::time::sleep(TRY_EVERY).await;
        }
        Ok(())
    }
}

/// Whether somebody accepts connections at an address, as a process in that namespace sees it.
async fn accepts(address: SocketAddr, namespace: Option<&Path>) -> bool {
    let Some(namespace) = namespace.map(Path::to_owned) else {
        return TcpStream::connect(address).await.is_ok();
    };
    let connect = move || {
        let connected = move || Ok(std::net::TcpStream::connect_timeout(&address, READY_WITHIN).is_ok());
        crate::network::within(&namespace, connected)
    };
    blocking(connect).await.unwrap_or(false)
}

/// Where the proxy is to be reached: `0.0.0.0` and `[::]` are served, not called.
fn reachable(listen_address: Option<&str>) -> Result<SocketAddr> {
    let text = listen_address
        .ok_or_else(|| HostError::Invalid("an http-proxy component needs a listen address (`ip:port`)".into()))?;
    let mut address: SocketAddr = text
        .parse()
        .map_err(|_| HostError::Invalid(format!("listen address {text:?} is not `ip:port`, as in 127.0.0.1:8080")))?;
    if address.ip().is_unspecified() {
        let ip: std::net::IpAddr =
            if address.is_ipv4() { std::net::Ipv4Addr::LOCALHOST.into() } else { std::net::Ipv6Addr::LOCALHOST.into() };
        address.set_ip(ip);
    }
    Ok(address)
}

fn with_runtime(limits: &Limits) -> Limits {
    let memory_mib = if limits.memory_mib > 0 { limits.memory_mib.saturating_add(RUNTIME_MEMORY_MIB) } else { 0 };
    Limits { memory_mib, ..limits.clone() }
}

/// The end of the newest error log, for an error message; empty when there is none.
async fn last_words(scope: &TaskScope) -> String {
    let (dir, stem) = (scope.dirs.logs.clone(), format!("{}.stderr.", scope.id.task));
    let read = blocking(move || Ok(tail(&dir, &stem).unwrap_or_default())).await.unwrap_or_default();
    let lines: Vec<_> = read.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = lines.iter().skip(lines.len().saturating_sub(5)).copied().collect::<Vec<_>>().join(" | ");
    if last.is_empty() { last } else { format!(": {last}") }
}

fn tail(dir: &Path, stem: &str) -> io::Result<String> {
    let names = fs::read_dir(dir)?.flatten().map(|entry| entry.file_name());
    let numbers = names.filter_map(|name| name.to_str()?.strip_prefix(stem)?.parse::<u32>().ok());
    let newest = numbers.max().ok_or(io::ErrorKind::NotFound)?;
    let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits() as i32;
    let mut file = fs::OpenOptions::new().read(true).custom_flags(flags).open(dir.join(format!("{stem}{newest}")))?;
    let start = file.metadata()?.len().saturating_sub(QUOTED);
    file.seek(io::SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(QUOTED).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[async_trait]
impl Components for ComponentRunner {
    async fn run(&self, caller: &Caller, spec: &ComponentSpec) -> Result<String> {
        let scope = caller.require_task()?;
        let address = match spec.kind {
            ComponentKind::HttpProxy => Some(reachable(spec.listen_address.as_deref())?),
            ComponentKind::Command => None,
        };
        let file = self.spec_path(caller, scope, &spec.name);
        self.write_spec(&file, spec).await?;
        let text = |path: PathBuf| {
            path.into_os_string().into_string().map_err(|path| HostError::Other(format!("{path:?} is not UTF-8")))
        };
        let process = ProcessSpec {
            name: spec.name.clone(),
            command: text(self.program()?)?,
            args: vec![SUBCOMMAND.into(), "--cache".into(), text(self.cache.clone())?, text(file.clone())?],
            limits: with_runtime(&spec.limits),
            ..ProcessSpec::default()
        };
        let id = match self.processes.spawn(caller, &process).await {
            Ok(id) => id,
            Err(error) => {
                self.remove_orphan(&file).map_err(because(file.display()))?;
                return Err(error);
            }
        };
        if let Some(address) = address
            && let Err(error) = self.until_ready(caller, scope, &id, address).await
        {
            self.remove(caller, &id).await?;
            return Err(error);
        }
        Ok(id)
    }

    async fn stop(&self, caller: &Caller, id: &str, grace_ms: u32) -> Result<()> {
        self.processes.stop(caller, id, None, grace_ms).await
    }

    async fn remove(&self, caller: &Caller, id: &str) -> Result<()> {
        let known = self.processes.inspect(caller, id).await.is_ok();
        self.processes.remove(caller, id).await?;
        if let Some(file) = self.spec_path_of(id).filter(|_| known) {
            let _ = fs::remove_file(file);
        }
        Ok(())
    }

    async fn inspect(&self, caller: &Caller, id: &str) -> Result<Process> {
        self.processes.inspect(caller, id).await
    }

    async fn list(&self, caller: &Caller) -> Result<Vec<Process>> {
        self.processes.list(caller).await
    }

    async fn usage(&self, caller: &Caller, id: &str) -> Result<Usage> {
        self.processes.usage(caller, id).await
    }

    async fn confine(&self, caller: &Caller, id: &str, cpus: &[u32]) -> Result<()> {
        self.processes.confine(caller, id, cpus).await
    }

    async fn wait(&self, caller: &Caller, id: &str) -> Result<ExitStatus> {
        self.processes.wait(caller, id).await
    }
}
