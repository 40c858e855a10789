//! An agent of a test's own, and what tests do with it.

use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// Longest any state is waited for: far beyond what a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(90);

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_longshore");

/// What a command left.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    fn new(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Standard output of a command that must have gone well.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }

    /// Standard error of a command that must have ended with a code.
    #[track_caller]
    pub fn refused(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        self.err
    }
}

/// Runs a program to its end.
pub fn run(program: &str, arguments: &[&str]) -> Ran {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    Ran::new(output.unwrap_or_else(|error| panic!("{program} is needed by the tests: {error}")))
}

/// Waits until something is so.
#[track_caller]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "never came: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An agent in a directory of its own. Dropped, it stops all jobs and ends.
pub struct Station {
    dir: TempDir,
    arguments: Vec<String>,
    /// What the agent finds in its environment.
    pub env: Vec<(&'static str, &'static str)>,
    agent: Option<Child>,
}

impl Station {
    /// An agent with every driver of our own.
    pub fn start() -> Self {
        Self::with("", &["--dev"])
    }

    /// An agent with a configuration and further arguments.
    pub fn with(config: &str, arguments: &[&str]) -> Self {
        let mut station = Self::prepare(config, arguments);
        station.launch();
        station
    }

    /// Everything but the agent.
    pub fn prepare(config: &str, arguments: &[&str]) -> Self {
        // A short path: a socket's may not exceed 107 bytes.
        let dir = tempfile::Builder::new().prefix("ls-it-").tempdir_in("/tmp").unwrap();
        fs::write(dir.path().join("agent.hcl"), config).unwrap();
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let station = Self { dir, arguments, env: Vec::new(), agent: None };
        copy_code(&shared_code(), &station.path("data/cache"));
        station
    }

    /// The agent as a command that was not run yet.
    pub fn agent_command(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg("agent").arg("--config").arg(self.path("agent.hcl")).arg("--data-dir").arg(self.path("data"));
        command.args(&self.arguments).envs(self.env.iter().copied()).stdin(Stdio::null());
        command
    }

    /// Starts the agent and waits until it serves.
    pub fn launch(&mut self) {
        self.launch_as(self.agent_command());
    }

    /// The same with the agent's command as the test has changed it.
    pub fn launch_as(&mut self, mut command: Command) {
        let log = fs::File::options().create(true).append(true).open(self.path("agent.log")).unwrap();
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.agent = Some(child);
        eventually("the agent serves", || {
            let ended = self.agent.as_mut().and_then(|agent| agent.try_wait().unwrap());
            assert!(ended.is_none(), "the agent ended: {}", self.log());
            self.curl("/v1/agent/self")
        });
        copy_code(&self.path("data/cache"), &shared_code());
    }

    /// Kills the agent as a power cut would.
    pub fn kill(&mut self) {
        let mut agent = self.agent.take().unwrap();
        agent.kill().unwrap();
        agent.wait().unwrap();
    }

    /// Ends the agent as its operator would.
    pub fn end(&mut self) {
        let mut agent = self.agent.take().unwrap();
        terminate(&agent);
        assert!(agent.wait().unwrap().success());
    }

    /// What the agent said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("agent.log")).unwrap_or_default()
    }

    /// A path in the station's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A command of the program, spoken to this agent.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).stdin(Stdio::null()).current_dir(self.dir.path());
        command.env("LONGSHORE_ADDR", self.path("data/api.sock")).env_remove("LONGSHORE_TOKEN");
        command
    }

    /// Runs a command of the program.
    pub fn cli(&self, arguments: &[&str]) -> Ran {
        Ran::new(self.command(arguments).output().unwrap())
    }

    /// Runs a command of the program with input.
    pub fn cli_with(&self, arguments: &[&str], input: &str) -> Ran {
        use std::io::Write;
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Ran::new(child.wait_with_output().unwrap())
    }

    /// Runs a command of the program from file to file, which may not take for ever; answers its exit code.
    #[track_caller]
    pub fn cli_through(&self, arguments: &[&str], input: &Path, output: &Path) -> i32 {
        let mut command = self.command(arguments);
        command.stdin(fs::File::open(input).unwrap()).stdout(fs::File::create(output).unwrap());
        let mut child = command.spawn().unwrap();
        let end = Instant::now() + PATIENCE;
        while child.try_wait().unwrap().is_none() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = child.kill();
        child.wait().unwrap().code().unwrap_or(-1)
    }

    /// Writes a job file and answers its path.
    pub fn job(&self, name: &str, text: &str) -> String {
        let path = self.path(&format!("{name}.nomad.hcl"));
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Runs a job until it runs, and answers the id of its allocation.
    #[track_caller]
    pub fn run_job(&self, name: &str, text: &str) -> String {
        self.cli(&["job", "run", &self.job(name, text)]).ok();
        self.allocation(name)
    }

    /// The id of a job's newest allocation.
    pub fn allocation(&self, job: &str) -> String {
        let allocs = self.get(&format!("/v1/job/{job}/allocations"));
        allocs[0]["ID"].as_str().unwrap().to_owned()
    }

    /// The address of an allocation's port.
    pub fn address(&self, alloc: &str, label: &str) -> String {
        let alloc = self.get(&format!("/v1/allocation/{alloc}"));
        let ports = alloc.pointer("/AllocatedResources/Shared/Ports").unwrap().as_array().unwrap();
        let port = ports.iter().find(|port| port["Label"] == label).unwrap();
        format!("{}:{}", port["HostIP"].as_str().unwrap(), port["Value"])
    }

    /// Waits until an allocation's task is in a state.
    #[track_caller]
    pub fn until_task(&self, alloc: &str, task: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        eventually(what, || {
            let alloc = self.get(&format!("/v1/allocation/{alloc}"));
            let state = alloc["TaskStates"][task].clone();
            is(&state).then_some(state)
        })
    }

    /// A document of the API, fetched by curl.
    #[track_caller]
    pub fn get(&self, path: &str) -> Value {
        let body = self.curl(path).unwrap_or_else(|| panic!("{path} was not answered"));
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
    }

    /// The body of an answer of 2xx.
    pub fn curl(&self, path: &str) -> Option<String> {
        let socket = self.path("data/api.sock");
        let url = format!("http://localhost{path}");
        let ran = run("curl", &["-sf", "--max-time", "60", "--unix-socket", socket.to_str().unwrap(), &url]);
        (ran.code == 0).then_some(ran.out)
    }

    /// Status and body of any request.
    pub fn request(&self, method: &str, path: &str, body: &str) -> (String, String) {
        let socket = self.path("data/api.sock");
        let url = format!("http://localhost{path}");
        let arguments = ["-s", "-X", method, "-d", body, "-w", "\n%{http_code}", "--max-time", "60", "--unix-socket"];
        let out = run("curl", &[&arguments[..], &[socket.to_str().unwrap(), &url]].concat()).ok();
        let (body, status) = out.rsplit_once('\n').unwrap();
        (status.into(), body.into())
    }

    /// Ids of allocations whose directory is still there.
    pub fn directories(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("data/allocs")).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }
}

impl Drop for Station {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the agent said:\n{}", self.log());
        }
        if self.agent.is_none() && self.path("data/journal.redb").exists() {
            self.agent = self.agent_command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok();
            let socket = self.path("data/api.sock");
            let end = Instant::now() + PATIENCE;
            while std::os::unix::net::UnixStream::connect(&socket).is_err() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        let Some(mut agent) = self.agent.take() else { return };
        let jobs = self.curl("/v1/jobs").and_then(|body| serde_json::from_str::<Vec<Value>>(&body).ok());
        for job in jobs.unwrap_or_default() {
            if let Some(id) = job["ID"].as_str() {
                self.cli(&["job", "stop", "--purge", id]);
            }
        }
        terminate(&agent);
        let _ = agent.wait();
    }
}

/// Where stations leave what this program compiled to each other, so that not each of them compiles every driver.
fn shared_code() -> PathBuf {
    let built = fs::metadata(PROGRAM).and_then(|program| program.modified()).unwrap();
    let age = built.duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("code-{age}"))
}

/// Copies what is not there yet. Other tests do the same at the same time.
fn copy_code(from: &Path, to: &Path) {
    let parent = to.parent().unwrap();
    // As the agent makes them.
    fs::DirBuilder::new().recursive(true).mode(0o711).create(parent).unwrap();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(to).unwrap();
    for entry in fs::read_dir(from).into_iter().flatten().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if !target.exists() && !entry.file_name().to_string_lossy().ends_with(".new") {
            let fresh = tempfile::NamedTempFile::new_in(parent).unwrap();
            // What was swept away meanwhile is compiled again.
            if fs::copy(entry.path(), fresh.path()).is_ok() {
                fresh.persist(target).unwrap();
            }
        }
    }
}

/// Asserts that a command gives back all of a large input.
#[track_caller]
pub fn goes_through(station: &Station, arguments: &[&str]) {
    let (input, output) = (station.path("input"), station.path("output"));
    let bytes: Vec<u8> = (0..8 << 20).map(|at: u32| (at % 251) as u8).collect();
    fs::write(&input, &bytes).unwrap();
    assert_eq!(station.cli_through(arguments, &input, &output), 0);
    let given = fs::read(&output).unwrap();
    assert!(given == bytes, "{} bytes came back of {}", given.len(), bytes.len());
}

/// Asks a process to end.
pub fn terminate(child: &Child) {
    run("kill", &["-TERM", &child.id().to_string()]);
}

/// Whether a process lives (a zombie does not).
pub fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Fetches a page, again and again until it is answered.
#[track_caller]
pub fn fetch(address: &str) -> String {
    let url = format!("http://{address}/");
    eventually(&format!("{address} answers"), || {
        let ran = run("curl", &["-sf", "--max-time", "5", &url]);
        (ran.code == 0).then_some(ran.out)
    })
}

/// Whether something listens.
pub fn answers(address: &str) -> bool {
    std::net::TcpStream::connect(address).is_ok()
}

/// Pids of processes whose environment holds a text.
pub fn processes_with(text: &str) -> Vec<u32> {
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let has = |pid: &u32| {
        let environment = fs::read(Path::new("/proc").join(pid.to_string()).join("environ")).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(text)
    };
    pids.filter(has).collect()
}
