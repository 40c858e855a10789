//! An agent of our own for the demo and the benchmarks: in a folder that goes away with it, on its own socket.

use crate::failure::{Doing, Failure, Outcome};
use crate::http::Endpoint;
use crate::run::{Background, Run, pause};
use crate::workspace::Workspace;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The target of a program that needs no library of the machine it runs on.
pub const STATIC: &str = "x86_64-unknown-linux-musl";

/// Longest wait for something that an agent is to reach.
const PATIENCE: Duration = Duration::from_secs(120);

/// Dropped, it ends: jobs stopped and forgotten, the agent terminated, its folder removed.
pub struct Agent {
    /// Where its API listens.
    pub api: Endpoint,
    program: PathBuf,
    dir: PathBuf,
    jobs: Vec<String>,
    process: Option<Background>,
}

/// Builds the program and answers its path. For the whole workspace, so that each dependency gets the features it has
/// in the tests, and is compiled once.
pub fn build(workspace: &Workspace) -> Outcome<PathBuf> {
    workspace.cargo(&["build", "--workspace", "--bin", "longshore"]).check()?;
    Ok(workspace.target.join("debug/longshore"))
}

/// Builds the program as it is installed, one static file, and answers its path.
pub fn build_release(workspace: &Workspace) -> Outcome<PathBuf> {
    workspace.cargo(&["build", "--release", "--target", STATIC, "--workspace", "--bin", "longshore"]).check()?;
    Ok(workspace.target.join(STATIC).join("release/longshore"))
}

impl Agent {
    /// Starts one with this configuration and waits until it serves.
    pub fn start(program: &Path, name: &str, config: &str) -> Outcome<Self> {
        // A short path: a socket's name may not exceed 107 bytes.
        let dir = std::env::temp_dir().join(format!("longshore-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).doing(|| format!("cannot make {}", dir.display()))?;
        fs::write(dir.join("agent.hcl"), config).doing(|| format!("cannot write in {}", dir.display()))?;
        let api = Endpoint::Unix(dir.join("data/api.sock"));
        let mut agent = Self { api, program: program.into(), dir, jobs: Vec::new(), process: None };
        agent.launch()?;
        Ok(agent)
    }

    /// Ends the process, starts it again and answers how long it took to serve.
    pub fn relaunch(&mut self) -> Outcome<Duration> {
        drop(self.process.take());
        self.launch()
    }

    fn launch(&mut self) -> Outcome<Duration> {
        let begun = Instant::now();
        let (config, data) = (self.dir.join("agent.hcl"), self.dir.join("data"));
        let arguments = [Path::new("agent"), Path::new("--config"), &config, Path::new("--data-dir"), &data];
        let mut process = Run::new(&self.program).args(&arguments).background(&self.dir.join("agent.log"))?;
        let api = self.api.clone();
        let serves = || api.get("/v1/agent/self").is_ok_and(|answer| answer.status == 200);
        process.wait_until("the agent serves", Duration::from_secs(30), serves)?;
        self.process = Some(process);
        Ok(begun.elapsed())
    }

    /// Its process id, 0 when it is not running.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().map_or(0, Background::pid)
    }

    /// A command of the program, spoken to this agent.
    pub fn command(&self, arguments: &[&str]) -> Run {
        Run::new(&self.program).args(arguments).env("LONGSHORE_ADDR", self.api.to_string())
    }

    /// Hands it a job file and waits until the job runs. `variables` are `name=value`.
    pub fn run_job(&mut self, id: &str, file: &Path, variables: &[String]) -> Outcome {
        self.jobs.push(id.to_owned());
        let mut run = self.command(&["job", "run"]);
        for variable in variables {
            run = run.args(&["--var", variable]);
        }
        run.args(&[file]).check()
    }

    /// Hands it a job named `bench` through the API and does not wait.
    pub fn submit(&mut self, job: &Value) -> Outcome {
        if !self.jobs.iter().any(|id| id == "bench") {
            self.jobs.push("bench".into());
        }
        let answer = self.api.request("PUT", "/v1/jobs", "application/json", job.to_string().as_bytes())?;
        match answer.status {
            200 => Ok(()),
            status => Err(Failure::new(format!("the agent refused the job: {status} {}", answer.body.trim()))),
        }
    }

    /// Stops a job and forgets it.
    pub fn stop_job(&mut self, id: &str) -> Outcome {
        self.jobs.retain(|job| job != id);
        self.command(&["job", "stop", "--purge", id]).output().map(drop)
    }

    /// The address of a job's first port, once its allocation has one.
    pub fn address(&self, job: &str) -> Outcome<Endpoint> {
        let allocations = self.json(&format!("/v1/job/{job}/allocations"))?;
        let id = allocations[0]["ID"].as_str().ok_or_else(|| Failure::new(format!("job {job} has no allocation")))?;
        let allocation = self.json(&format!("/v1/allocation/{id}"))?;
        let port = &allocation["AllocatedResources"]["Shared"]["Ports"][0];
        let number = port["Value"].as_u64().ok_or_else(|| Failure::new(format!("job {job} has no port")))?;
        let ip = match port["HostIP"].as_str() {
            None | Some("" | "0.0.0.0") => "127.0.0.1",
            Some(ip) => ip,
        };
        Ok(Endpoint::Tcp(format!("{ip}:{number}")))
    }

    /// What the API answers to a GET.
    pub fn json(&self, path: &str) -> Outcome<Value> {
        let answer = self.api.get(path)?;
        if answer.status != 200 {
            return Err(Failure::new(format!("GET {path}: {} {}", answer.status, answer.body.trim())));
        }
        serde_json::from_str(&answer.body).doing(|| format!("GET {path} is not JSON"))
    }

    /// Waits until what the API answers to a GET is as it should be. The agent is asked to answer when something has
    /// changed, so that the waiting costs it nothing.
    pub fn until(&self, path: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        let mut index = "0".to_owned();
        while Instant::now() < deadline {
            let answer = self.api.get(&format!("{path}?index={index}&wait=10s"))?;
            index = answer.header("X-Nomad-Index").unwrap_or("0").to_owned();
            if is_so(&serde_json::from_str(&answer.body).unwrap_or_default()) {
                return Ok(());
            }
        }
        Err(Failure::new(format!("not within {PATIENCE:?}: {what}")))
    }
}

/// Fetches a page, again and again until something answers; each time it may take so long.
///
/// A short time tells sooner when a port begins to answer: who connects while a container's network is being made may wait
/// a second for the next try of the system, or of a proxy between.
pub fn fetch(endpoint: &Endpoint, each: Duration, limit: Duration) -> Outcome<String> {
    let deadline = Instant::now() + limit;
    loop {
        match endpoint.get_within(each, "/") {
            Ok(answer) if answer.status == 200 => return Ok(answer.body),
            _ if Instant::now() < deadline => pause(Duration::from_millis(1))?,
            Ok(answer) => {
                return Err(Failure::new(format!("{endpoint} answers {}: {}", answer.status, answer.body.trim())));
            }
            Err(failure) => return Err(failure),
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        for job in std::mem::take(&mut self.jobs) {
            if let Err(failure) = self.command(&["job", "stop", "--purge", &job]).output() {
                eprintln!("cleaning up: {failure}");
            }
        }
        drop(self.process.take());
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            eprintln!("cleaning up: cannot remove {}: {error}", self.dir.display());
        }
    }
}
