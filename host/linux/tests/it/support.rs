//! A task on a scratch directory, and ways to look at the machine from outside.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use longshore_core::{
    caller::{AllocId, Caller, DriverName, TaskDirs, TaskId, TaskScope},
    policy::Policy,
    process::{ProcessSpec, Processes},
    workload::{ExitStatus, LogLimits},
};
use longshore_linux::{cgroup::Cgroups, process::Supervisor};

/// Set in a copy of the test program that plays another part of the same test; holds the scratch directory.
pub const PART: &str = "LONGSHORE_TEST_PART";

/// A scratch directory with a supervisor's state and one task's directories in it.
pub struct Scene {
    pub dir: PathBuf,
    pub caller: Caller,
    pub policies: BTreeMap<DriverName, Policy>,
    _scratch: Option<tempfile::TempDir>,
}

impl Scene {
    pub fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let mut scene = Self::at(scratch.path());
        scene._scratch = Some(scratch);
        scene
    }

    /// In a directory that another part of the test made.
    pub fn at(dir: &Path) -> Self {
        let scope = scope(dir, "0f0f0f0f-1111-4222-8333-444455556666", "web");
        for made in [&scope.dirs.local, &scope.dirs.secrets, &scope.dirs.logs] {
            fs::create_dir_all(made).unwrap();
        }
        let caller = Caller { driver: DriverName("raw_exec".into()), task: Some(scope) };
        Self { dir: dir.into(), caller, policies: BTreeMap::new(), _scratch: None }
    }

    pub fn supervisor(&self) -> Supervisor {
        self.supervisor_with(Cgroups::detect())
    }

    pub fn supervisor_with(&self, cgroups: Cgroups) -> Supervisor {
        Supervisor::open(&self.dir.join("state"), Arc::new(cgroups), self.policies.clone()).unwrap()
    }

    pub fn scope(&self) -> &TaskScope {
        self.caller.task.as_ref().unwrap()
    }

    pub fn scope_mut(&mut self) -> &mut TaskScope {
        self.caller.task.as_mut().unwrap()
    }

    /// All that the logs hold of a stream, oldest first.
    pub fn log(&self, stream: &str) -> String {
        let read = |number: u32| fs::read_to_string(self.scope().dirs.logs.join(format!("web.{stream}.{number}")));
        self.log_numbers(stream).into_iter().map(|number| read(number).unwrap()).collect()
    }

    pub fn log_numbers(&self, stream: &str) -> Vec<u32> {
        let names = fs::read_dir(&self.scope().dirs.logs).unwrap().map(|entry| entry.unwrap().file_name());
        let stem = format!("web.{stream}.");
        let mut numbers: Vec<_> =
            names.filter_map(|name| name.to_str()?.strip_prefix(&stem)?.parse::<u32>().ok()).collect();
        numbers.sort();
        numbers
    }

    /// Runs a shell script as the task and waits for its end.
    pub async fn run(&self, supervisor: &Supervisor, script: &str) -> ExitStatus {
        let id = supervisor.spawn(&self.caller, &shell(script)).await.unwrap();
        let status = supervisor.wait(&self.caller, &id).await.unwrap();
        supervisor.remove(&self.caller, &id).await.unwrap();
        status
    }
}

pub fn scope(dir: &Path, alloc: &str, task: &str) -> TaskScope {
    let (alloc_dir, task_dir) = (dir.join("alloc"), dir.join(task));
    TaskScope {
        id: TaskId { alloc: AllocId(alloc.into()), task: task.into() },
        dirs: TaskDirs {
            local: task_dir.join("local"),
            secrets: task_dir.join("secrets"),
            logs: alloc_dir.join("logs"),
            alloc: alloc_dir,
            task: task_dir,
        },
        ports: Vec::new(),
        logs: LogLimits::default(),
        network_namespace: None,
    }
}

/// A process that runs a shell script.
pub fn shell(script: &str) -> ProcessSpec {
    ProcessSpec {
        name: "main".into(),
        command: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        env: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())],
        ..ProcessSpec::default()
    }
}

/// Whether a process is there and no zombie.
pub fn alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"))
}

/// Waits for something that comes true soon; fails the test when it does not.
pub fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_true() {
        assert!(Instant::now() < deadline, "{what}: not within 20 s");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Reads a number that a task wrote to a file.
pub fn number_in(file: &Path) -> u32 {
    let read = || fs::read_to_string(file).ok()?.strip_suffix('\n')?.trim().parse().ok();
    until(&format!("{} holds a number", file.display()), || read().is_some());
    read().unwrap()
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A copy of this test program that runs only `test`, as another part of it.
pub fn other_part(test: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(PART, dir);
    command
}

/// The directory this copy of the program works in, if it plays another part.
pub fn part() -> Option<PathBuf> {
    std::env::var_os(PART).map(PathBuf::from)
}
