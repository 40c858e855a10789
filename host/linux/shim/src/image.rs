//! Becoming the task's program: everything between a fresh child and `execve`.

use std::{
    ffi::{CStr, CString, OsStr},
    fmt,
    fs::{self, File},
    io::{self, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    ptr,
};

use crate::{apart::Apart, record::Record, sys};

/// What the program is to be, ready to use without a further thought.
pub struct Image {
    /// Where it may be; the first that is there is run.
    programs: Vec<CString>,
    args: Vec<CString>,
    env: Vec<CString>,
    directory: CString,
    user: Option<(u32, u32, Vec<u32>)>,
    cgroup_files: Vec<CString>,
    open_files: Option<u64>,
    network: Option<PathBuf>,
    hostname: Option<CString>,
    etc: Vec<CString>,
    apart: Apart,
}

/// Which step failed, and how.
#[derive(Debug)]
pub struct Failure {
    /// `cgroup`, `user`, `directory`, `program`, …: the agent knows what to say about each.
    pub step: &'static str,
    /// Where in the root directory, for a mount.
    pub place: Vec<u8>,
    /// The kernel's answer.
    pub error: io::Error,
}

impl Failure {
    /// An error of this step.
    pub fn at(step: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::of_place(step, &[], error)
    }

    /// An error of this step at a place.
    pub fn of_place(step: &'static str, place: &[u8], error: io::Error) -> Self {
        Self { step, place: place.into(), error }
    }

    /// As the agent reads it.
    pub fn record(&self) -> Record {
        let mut record = Record::default();
        record.push("step", self.step);
        record.push("place", &self.place);
        record.push("errno", self.error.raw_os_error().unwrap_or(0).to_string());
        record
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.step, self.error)
    }
}

fn c_string(bytes: &[u8]) -> CString {
    // Records are cut at NUL bytes, so this cannot fail; an empty string is the harmless answer if it did.
    CString::new(bytes).unwrap_or_default()
}

impl Image {
    /// Reads it from a spec; none when the spec names no program.
    pub fn from_record(spec: &Record) -> Option<Self> {
        let all = |key| spec.all(key).map(c_string).collect::<Vec<_>>();
        let user = spec.number("uid").zip(spec.number("gid")).map(|(uid, gid)| {
            let groups = spec.all("group").filter_map(|id| std::str::from_utf8(id).ok()?.parse().ok());
            (uid, gid, groups.collect())
        });
        spec.get("program")?;
        Some(Self {
            programs: all("program"),
            args: all("arg"),
            env: all("env"),
            directory: c_string(spec.get("cwd").unwrap_or(b"/")),
            user,
            cgroup_files: all("cgroup.join"),
            open_files: spec.number("nofile"),
            network: spec.get("netns").map(|path| OsStr::from_bytes(path).into()),
            hostname: spec.get("hostname").map(c_string),
            etc: all("etc"),
            apart: Apart::from_record(spec),
        })
    }

    /// Has this process join `file` (`cgroup.procs` of v2) too.
    pub fn join(&mut self, file: CString) {
        self.cgroup_files.push(file);
    }

    /// For the parent, before it forks.
    pub fn before_fork(&self) -> Result<(), Failure> {
        self.apart.before_fork()
    }

    /// Takes on the allocation's host name, and its files in place of the machine's.
    fn replace_names(&self) -> io::Result<()> {
        if let Some(name) = &self.hostname {
            sys::own_hostname(name)?;
        }
        if !self.etc.is_empty() {
            sys::own_mounts()?;
        }
        self.etc.iter().try_for_each(|file| sys::bind(file, &place_in_etc(file)))
    }

    /// Moves to where the program is to run: cgroups, network, namespaces, root. Answers a leash (see
    /// [`replace_process`](Self::replace_process)) when it was another process that returned.
    pub fn enter(&self) -> Result<Option<File>, Failure> {
        for file in &self.cgroup_files {
            join_cgroup(file).map_err(Failure::at("cgroup"))?;
        }
        if let Some(path) = &self.network {
            let namespace = File::open(path).map_err(Failure::at("network"))?;
            sys::join_network(&namespace).map_err(Failure::at("network"))?;
        }
        self.replace_names().map_err(Failure::at("etc"))?;
        self.apart.enter()
    }

    /// Becomes the program. `leash` is a pipe to the process to die with, if there is one. Returns only with the reason
    /// why not.
    pub fn replace_process(&self, leash: Option<&File>) -> Failure {
        match self.prepare(leash) {
            Err(failure) => failure,
            Ok(()) => Failure::at("program")(self.run()),
        }
    }

    /// Tries one place after the other; what is no program there says so only if none is.
    fn run(&self) -> io::Error {
        let (argv, envp) = (pointers(&self.args), pointers(&self.env));
        let mut reason = io::Error::from_raw_os_error(libc::ENOENT);
        for program in &self.programs {
            let error = sys::exec(program, &argv, &envp);
            if error.kind() != io::ErrorKind::NotFound {
                reason = error;
            }
        }
        reason
    }

    fn prepare(&self, leash: Option<&File>) -> Result<(), Failure> {
        if let Some(soft) = self.open_files {
            sys::limit_open_files(soft);
        }
        sys::umask(0o022);
        self.apart.bound()?;
        if let Some((uid, gid, groups)) = &self.user {
            sys::give_streams(*uid);
            sys::become_user(*uid, *gid, groups).map_err(Failure::at("user"))?;
        }
        self.apart.hold()?;
        let directory = OsStr::from_bytes(self.directory.to_bytes());
        std::env::set_current_dir(directory).map_err(Failure::at("directory"))?;
        // After the change of user, which clears it.
        if leash.is_some_and(|leash| !sys::die_with_parent(leash)) {
            return Err(Failure::at("supervisor")(io::ErrorKind::BrokenPipe.into()));
        }
        sys::close_on_exec_all();
        sys::reset_signals();
        Ok(())
    }
}

/// `/etc/<name>` for a file of that name.
fn place_in_etc(file: &CStr) -> CString {
    let name = file.to_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    c_string(&[b"/etc/", name].concat())
}

/// "0" means the writer. For v1 the file is `tasks`: unlike `cgroup.procs` it does not wait for a grace period.
fn join_cgroup(file: &CStr) -> io::Result<()> {
    fs::OpenOptions::new().write(true).open(OsStr::from_bytes(file.to_bytes()))?.write_all(b"0")
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

/// `exec FILE`: becomes the command FILE describes; 126 or 127 as shells do when it cannot.
pub fn run_exec(file: &Path) -> i32 {
    let spec = fs::read(file).ok().and_then(|bytes| Record::decode(&bytes));
    let _ = fs::remove_file(file);
    let Some((spec, image)) = spec.and_then(|spec| Image::from_record(&spec).map(|image| (spec, image))) else {
        eprintln!("cannot read what to run");
        return 126;
    };
    // Another process may return: one that is not there yet cannot lead the session.
    let leash = match image.enter() {
        Ok(leash) => leash,
        Err(failure) => return refuse(&failure),
    };
    sys::new_session();
    if spec.get("tty").is_some()
        && let Err(error) = sys::take_terminal()
    {
        return refuse(&Failure::at("terminal")(error));
    }
    refuse(&image.replace_process(leash.as_ref()))
}

fn refuse(failure: &Failure) -> i32 {
    eprintln!("{failure}");
    if failure.error.kind() == io::ErrorKind::NotFound { 127 } else { 126 }
}
