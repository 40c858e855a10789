//! Keeping a process apart from the machine: namespaces, a root directory of its own, fewer capabilities.
//!
//! The new root is the task's directory with the asked-for mounts, `/proc`, `/sys` and `/dev` in it, all without
//! device files but the harmless few: with the capability to make one, a task could else read every disk.

use std::{
    ffi::{CStr, CString},
    fs::File,
    io,
};

use crate::{
    image::Failure,
    record::Record,
    sys::{
        self,
        mount::{self, Look},
        privilege,
    },
};

/// Names of namespaces in a spec, and the kernel's flags.
const NAMESPACES: [(&str, libc::c_int); 5] = [
    ("pid", libc::CLONE_NEWPID),
    ("ipc", libc::CLONE_NEWIPC),
    ("mount", libc::CLONE_NEWNS),
    ("uts", libc::CLONE_NEWUTS),
    ("cgroup", libc::CLONE_NEWCGROUP),
];

const PLAIN: libc::c_ulong = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;

/// What every root has: a kind of the kernel's file systems, where, how, with what options.
const SYSTEM: [(&CStr, &CStr, libc::c_ulong, &CStr); 6] = [
    (c"proc", c"proc", PLAIN, c""),
    (c"sysfs", c"sys", PLAIN | libc::MS_RDONLY, c""),
    (c"tmpfs", c"dev", PLAIN, c"mode=755,size=64k"),
    (c"devpts", c"dev/pts", libc::MS_NOSUID | libc::MS_NOEXEC, c"newinstance,ptmxmode=0666,mode=0620"),
    (c"tmpfs", c"dev/shm", PLAIN, c"mode=1777"),
    (c"mqueue", c"dev/mqueue", PLAIN, c""),
];
/// Devices of the host that keep nothing and tell nothing.
const DEVICES: [&CStr; 6] = [c"dev/null", c"dev/zero", c"dev/full", c"dev/random", c"dev/urandom", c"dev/tty"];
/// Names in `/dev` that are links.
const LINKS: [(&CStr, &CStr); 5] = [
    (c"pts/ptmx", c"ptmx"),
    (c"/proc/self/fd", c"fd"),
    (c"/proc/self/fd/0", c"stdin"),
    (c"/proc/self/fd/1", c"stdout"),
    (c"/proc/self/fd/2", c"stderr"),
];
/// Settings of the whole machine that its root may write: here nobody does.
const READ_ONLY: [&CStr; 5] = [c"proc/bus", c"proc/fs", c"proc/irq", c"proc/sys", c"proc/sysrq-trigger"];
/// What tells of the whole machine's memory, keys and hardware.
const HIDDEN: [&CStr; 9] = [
    c"proc/acpi",
    c"proc/asound",
    c"proc/kcore",
    c"proc/keys",
    c"proc/latency_stats",
    c"proc/sched_debug",
    c"proc/scsi",
    c"proc/timer_list",
    c"sys/firmware",
];

/// How a process is to be kept apart; by default not at all.
#[derive(Default)]
pub struct Apart {
    namespaces: libc::c_int,
    root: Option<CString>,
    mounts: Vec<Mount>,
    /// Capabilities to keep, a bit for each.
    capabilities: Option<u64>,
    /// Process whose namespaces to join, rather than making new ones.
    beside: Option<i32>,
}

/// Something made visible in the root.
struct Mount {
    /// Host path; none for an empty file system in memory.
    source: Option<CString>,
    target: Vec<u8>,
    look: Look,
}

fn c_string(bytes: &[u8]) -> CString {
    CString::new(bytes).unwrap_or_default()
}

impl Apart {
    /// Reads it from a spec: `namespace`, `root`, and for each mount a `mount.source`, a `mount.target` and a
    /// `mount.look`.
    pub fn from_record(spec: &Record) -> Self {
        let flag = |name: &[u8]| NAMESPACES.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, flag)| flag);
        let mounts = spec.all("mount.source").zip(spec.all("mount.target")).zip(spec.all("mount.look"));
        Self {
            namespaces: spec.all("namespace").filter_map(flag).fold(0, |all, flag| all | flag),
            root: spec.get("root").map(c_string),
            mounts: mounts.map(|((source, target), look)| Mount::new(source, target, look)).collect(),
            capabilities: spec.text("capabilities").and_then(|mask| u64::from_str_radix(mask, 16).ok()),
            beside: spec.number("beside"),
        }
    }

    /// For the parent, before it forks.
    pub fn before_fork(&self) -> Result<(), Failure> {
        match self.namespaces & libc::CLONE_NEWPID {
            0 => Ok(()),
            pid => mount::unshare(pid).map_err(Failure::at("namespaces")),
        }
    }

    /// For the child: enters new namespaces, or those it is to run beside others in. Then it is another process that
    /// returns, if process ids are among them; it holds a leash to the one that waits for it.
    pub fn enter(&self) -> Result<Option<File>, Failure> {
        if self.namespaces == 0 {
            return Ok(None);
        }
        privilege::new_keyring();
        if let Some(pid) = self.beside {
            return self.join(pid);
        }
        mount::unshare(self.namespaces & !libc::CLONE_NEWPID).map_err(Failure::at("namespaces"))?;
        if self.namespaces & libc::CLONE_NEWNS != 0 {
            mount::detach_from_host().map_err(Failure::at("namespaces"))?;
        }
        match &self.root {
            Some(root) => self.build(root)?,
            None if self.namespaces & libc::CLONE_NEWPID != 0 => {
                let place = mount::open_exact(c"/proc").map_err(Failure::at("namespaces"))?;
                mount::mount_kind(c"proc", &place, PLAIN, c"").map_err(Failure::at("namespaces"))?;
            }
            None => {}
        }
        Ok(None)
    }

    /// Takes the capabilities that are not kept, as long as this is root; [`hold`](Self::hold) does the rest.
    pub fn bound(&self) -> Result<(), Failure> {
        self.capabilities.map_or(Ok(()), |kept| privilege::bound_capabilities(kept).map_err(Failure::at("capabilities")))
    }

    /// Keeps what is to be kept, as the user it is for.
    pub fn hold(&self) -> Result<(), Failure> {
        let Some(kept) = self.capabilities else { return Ok(()) };
        privilege::hold_capabilities(kept)
            .and_then(|()| privilege::no_new_privileges())
            .and_then(|()| privilege::no_keys())
            .map_err(Failure::at("capabilities"))
    }

    fn join(&self, pid: i32) -> Result<Option<File>, Failure> {
        let joined = mount::open_process(pid).and_then(|process| mount::join(&process, self.namespaces));
        joined.map_err(Failure::at("namespaces"))?;
        if self.namespaces & libc::CLONE_NEWPID == 0 {
            return Ok(None);
        }
        let (held, leash) = sys::pipe().map_err(Failure::at("supervisor"))?;
        match sys::fork(None).map_err(Failure::at("fork"))? {
            None => Ok(Some(leash)),
            Some(child) => {
                drop(leash);
                let code = sys::wait_in_silence(child);
                drop(held);
                sys::exit_now(code)
            }
        }
    }

    fn build(&self, root: &CStr) -> Result<(), Failure> {
        let place = mount::open_exact(root).map_err(Failure::at("root"))?;
        mount::bind(&place, &place).map_err(Failure::at("root"))?;
        // The path now leads to the new mount.
        let root = mount::open_exact(root).map_err(Failure::at("root"))?;
        mount::set_look(&root, Look::default()).map_err(Failure::at("root"))?;
        system(&root).map_err(Failure::at("system"))?;
        for mount in &self.mounts {
            mount.make(&root).map_err(|error| Failure::of_place("mount", &mount.target, error))?;
        }
        hide(&root).map_err(Failure::at("system"))?;
        mount::change_root(&root).map_err(Failure::at("root"))
    }
}

impl Mount {
    /// `look` is some of `ro`, `rslave`, separated by blanks.
    fn new(source: &[u8], target: &[u8], look: &[u8]) -> Self {
        let is = |word: &[u8]| look.split(|byte| *byte == b' ').any(|said| said == word);
        let look = Look { read_only: is(b"ro"), devices: false, follows_host: is(b"rslave") };
        Self { source: (!source.is_empty()).then(|| c_string(source)), target: target.to_vec(), look }
    }

    fn make(&self, root: &File) -> io::Result<()> {
        match &self.source {
            Some(source) => {
                let source = mount::open_exact(source)?;
                mount::bind(&source, &place(root, &self.target, source.metadata()?.is_dir())?)?;
            }
            None => mount::mount_kind(c"tmpfs", &place(root, &self.target, true)?, PLAIN, c"mode=1777")?,
        }
        mount::set_look(&mount::open_in(root, &c_string(&self.target))?, self.look)
    }
}

/// A place in the root, made with its parents if it is missing: as a directory, or an empty file.
fn place(root: &File, path: &[u8], directory: bool) -> io::Result<File> {
    let names: Vec<_> = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).collect();
    let mut parent = root.try_clone()?;
    for (index, name) in names.iter().enumerate() {
        let so_far = c_string(&names[..=index].join(&b'/'));
        parent = match mount::open_in(root, &so_far) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let file = index + 1 == names.len() && !directory;
                let make = if file { mount::make_file } else { mount::make_directory };
                make(&parent, &c_string(name))?;
                mount::open_in(root, &so_far)?
            }
            found => found?,
        };
    }
    Ok(parent)
}

/// `/proc`, `/sys` and `/dev`.
fn system(root: &File) -> io::Result<()> {
    for (kind, target, flags, data) in SYSTEM {
        mount::mount_kind(kind, &place(root, target.to_bytes(), true)?, flags, data)?;
    }
    for device in DEVICES {
        let host = [b"/", device.to_bytes()].concat();
        mount::bind(&mount::open_exact(&c_string(&host))?, &place(root, device.to_bytes(), false)?)?;
        mount::set_look(&mount::open_in(root, device)?, Look { devices: true, ..Look::default() })?;
    }
    let dev = mount::open_in(root, c"dev")?;
    LINKS.iter().try_for_each(|(target, name)| mount::make_link(target, &dev, name))
}

/// Takes away what would change or betray the machine.
fn hide(root: &File) -> io::Result<()> {
    let there = |path| match mount::open_in(root, path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    };
    for path in READ_ONLY {
        if let Some(place) = there(path)? {
            mount::bind(&place, &place)?;
            mount::set_look(&mount::open_in(root, path)?, Look { read_only: true, ..Look::default() })?;
        }
    }
    for path in HIDDEN {
        match there(path)? {
            Some(place) if place.metadata()?.is_dir() => {
                mount::mount_kind(c"tmpfs", &place, PLAIN | libc::MS_RDONLY, c"")?;
            }
            Some(place) => mount::bind(&mount::open_in(root, c"dev/null")?, &place)?,
            None => {}
        }
    }
    Ok(())
}
