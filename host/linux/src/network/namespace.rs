//! Network namespaces: made, pinned by a file, opened, removed.
//!
//! Only threads that end at once change their namespace, never one of the runtime's. Pins are where `ip netns`
//! looks for them, under the allocation's id, as Nomad has them.

use std::{
    fs, io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender},
    },
    thread,
};

use longshore_core::{
    error::{HostError, Result},
    network::{Holder, NetworkPlan},
};
use rustix::{
    fs::statfs,
    io::Errno,
    mount::{MountPropagationFlags, UnmountFlags, mount_bind, mount_bind_recursive, mount_change, unmount},
    thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space},
};

use super::{
    links::LOOPBACK,
    netlink::{Batch, Socket},
};
use crate::failure::because;

/// Where pins are.
const PINS: &str = "/run/netns";
/// The calling thread's own namespace.
const OWN: &str = "/proc/thread-self/ns/net";
/// Digits of an allocation's id, a UUID.
const ID_DIGITS: usize = 32;
/// Digits of it in the name of a link, which has 15 letters at most.
pub(super) const LINK_DIGITS: usize = 12;
/// Pins that are removed at the same time.
const AT_ONCE: usize = 16;
/// `statfs` type of namespace files (`linux/magic.h`).
const NAMESPACE_FILES: u64 = 0x6e73_6673;

/// A namespace and a socket inside it.
pub(super) struct Namespace {
    pub file: OwnedFd,
    pub links: Socket,
}

/// The file that pins an allocation's namespace.
pub(super) fn pin_of(alloc: &str) -> PathBuf {
    Path::new(PINS).join(alloc)
}

/// The namespace of a plan, with 127.0.0.1. One that the host keeps is made, unless a spare one is there, and pinned.
pub(super) fn open_planned(plan: &NetworkPlan, spare: impl FnOnce() -> Option<Namespace>) -> Result<Namespace> {
    let mut inside = match (&plan.holder, &plan.namespace_path) {
        (Holder::Pinned, _) => return make(&pin_of(&plan.alloc.0), spare),
        (Holder::Container(id), Some(path)) => {
            refuse_hosts_own(id, Path::new(path))?;
            within(Path::new(path), allow_ipv6)?
        }
        (Holder::Container(id), None) => {
            return Err(HostError::NotFound(format!("container {id:?} has no network namespace: it does not run")));
        }
    };
    inside.loopback_up()?;
    Ok(inside)
}

/// The calling thread's namespace, with IPv6 on for links to come: container engines turn it off.
fn allow_ipv6() -> Result<Namespace> {
    for scope in ["all", "default"] {
        // A kernel without IPv6 has no such file, and gets no such address.
        let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6"), "0");
    }
    enter_own()
}

/// Pins a container's namespace too; answers the pin.
pub(super) fn keep(plan: &NetworkPlan) -> Result<PathBuf> {
    let own = pin_of(&plan.alloc.0);
    if let (Holder::Container(_), Some(path)) = (&plan.holder, &plan.namespace_path) {
        pin(Path::new(path), &own)?;
    }
    Ok(own)
}

/// A container in network mode `host` has the host's namespace, and its tasks would have the whole host with it.
fn refuse_hosts_own(container: &str, namespace: &Path) -> Result<()> {
    if is_hosts(namespace) {
        return Err(HostError::Denied(format!(
            "container {container:?} is in the host's own network namespace, which no allocation may have; create it \
             with network `none`"
        )));
    }
    Ok(())
}

/// The pinned namespace, made unless it is there.
fn make(pin: &Path, spare: impl FnOnce() -> Option<Namespace>) -> Result<Namespace> {
    if is_pin(pin) {
        let mut inside = open(pin)?;
        inside.loopback_up()?;
        return Ok(inside);
    }
    ready_file(pin)?;
    let made = spare().map_or_else(|| on_thread(unshare), Ok).and_then(|inside| {
        mount_bind(format!("/proc/self/fd/{}", inside.file.as_raw_fd()), pin)
            .map_err(because(format_args!("pinning a network namespace at {}", pin.display())))?;
        Ok(inside)
    });
    if made.is_err() {
        let _ = fs::remove_file(pin);
    }
    made
}

/// Moves the calling thread into a new namespace, with 127.0.0.1.
fn unshare() -> Result<Namespace> {
    unshare_network()?;
    let mut inside = enter_own()?;
    inside.loopback_up()?;
    Ok(inside)
}

/// Makes namespaces, one whenever `asked`, until it cannot or nobody wants them. For a thread of its own.
pub(super) fn make_for(asked: &Receiver<()>, made: &Sender<Namespace>) -> Result<()> {
    let home: OwnedFd = fs::File::open(OWN).map_err(because(OWN))?.into();
    while asked.recv().is_ok() {
        let inside = unshare()?;
        // The next is to take its settings from the machine's, not from this one's.
        move_into_link_name_space(home.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(because("the machine's network namespace"))?;
        if made.send(inside).is_err() {
            break;
        }
    }
    Ok(())
}

/// Opens a namespace by any file that stands for it.
pub(super) fn open(path: &Path) -> Result<Namespace> {
    within(path, enter_own)
}

/// Does something inside a namespace.
pub(crate) fn within<T: Send + 'static>(path: &Path, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let file: OwnedFd = fs::File::open(path).map_err(because(path.display()))?.into();
    on_thread(move || {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(because("entering a network namespace"))?;
        work()
    })
}

/// Pins somebody else's namespace (a container's), in place of what is pinned there.
fn pin(namespace: &Path, pin: &Path) -> Result<()> {
    if is_pin(pin) && same(namespace, pin) {
        return Ok(());
    }
    unpin(pin)?;
    ready_file(pin)?;
    mount_bind(namespace, pin).map_err(because(format_args!("pinning {}", namespace.display())))
}

/// Whether two files stand for the same namespace.
fn same(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|meta| (meta.dev(), meta.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}

/// Whether a file stands for the host's namespace: that of the agent, or of the machine's first process.
fn is_hosts(namespace: &Path) -> bool {
    [OWN, "/proc/1/ns/net"].iter().any(|own| same(namespace, Path::new(own)))
}

/// Removes a pin; the namespace goes with the last process in it. Gone already is success.
pub(super) fn unpin(pin: &Path) -> Result<()> {
    loop {
        match unmount(pin, UnmountFlags::DETACH) {
            Ok(()) => {}
            Err(Errno::INVAL | Errno::NOENT) => break,
            Err(error) => return Err(because(format_args!("unmounting {}", pin.display()))(error)),
        }
    }
    match fs::remove_file(pin) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(because(pin.display())(error)),
        _ => Ok(()),
    }
}

/// Removes pins, many at a time: for each the kernel waits until nobody looks at it any more, and waiting for several
/// takes as long as for one. Answers one by one.
pub(super) fn unpin_each(pins: &[PathBuf]) -> Vec<Result<()>> {
    fn work(pins: &[PathBuf]) -> Vec<Result<()>> {
        pins.iter().map(|pin| unpin(pin)).collect()
    }
    let mut shares = pins.chunks(pins.len().div_ceil(AT_ONCE).max(1));
    // This thread has a share too: most often there is but one.
    let own = shares.next().unwrap_or_default();
    thread::scope(|scope| {
        let others = shares.map(|pins| (pins, thread::Builder::new().spawn_scoped(scope, move || work(pins))));
        let others: Vec<_> = others.collect();
        let mut results = work(own);
        for (pins, other) in others {
            let done = other.ok().and_then(|thread| thread.join().ok());
            results.extend(done.unwrap_or_else(|| work(pins)));
        }
        results
    })
}

/// Whether a file is a namespace, and not the empty file that is left of a pin after a reboot.
fn is_pin(path: &Path) -> bool {
    statfs(path).is_ok_and(|stat| stat.f_type as u64 == NAMESPACE_FILES)
}

/// An empty file to mount on, in a directory whose mounts all see.
fn ready_file(pin: &Path) -> Result<()> {
    static SHARED: AtomicBool = AtomicBool::new(false);
    let file = || fs::File::create(pin).map(drop);
    // Once is enough, as long as the directory stays.
    if SHARED.load(Ordering::Relaxed) && file().is_ok() {
        return Ok(());
    }
    let directory = Path::new(PINS);
    fs::create_dir_all(directory).map_err(because(PINS))?;
    let share = || mount_change(directory, MountPropagationFlags::SHARED);
    if share().is_err() {
        mount_bind_recursive(directory, directory).and_then(|()| share()).map_err(because(PINS))?;
    }
    SHARED.store(true, Ordering::Relaxed);
    file().map_err(because(pin.display()))
}

/// The calling thread's namespace.
fn enter_own() -> Result<Namespace> {
    let file = fs::File::open(OWN).map_err(because(OWN))?.into();
    Ok(Namespace { file, links: Socket::route().map_err(because("netlink in a network namespace"))? })
}

#[allow(unsafe_code, reason = "other flags of the call could take a thread's descriptors away")]
fn unshare_network() -> Result<()> {
    // SAFETY: only the network namespace of this thread changes; its descriptors stay shared with the others.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.map_err(because("a new network namespace"))
}

/// Runs `work` on a thread of its own, whose namespace it may change.
fn on_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let thread = thread::Builder::new().name("netns".into()).spawn(work).map_err(because("a thread"))?;
    thread.join().unwrap_or_else(|_| Err(HostError::Other("the thread in a network namespace crashed".into())))
}

/// Removes the pin of an allocation of which only as much of the id may be known as is in the name of its link. Of an
/// owner that is neither (anybody may name a link, or add to the table) nothing is removed.
pub(super) fn unpin_all(owner: &str) {
    let Some(owner) = digits(owner).filter(|digits| [LINK_DIGITS, ID_DIGITS].contains(&digits.len())) else {
        return tracing::warn!(owner, "this is no allocation's; no network namespace is unpinned for it");
    };
    for entry in fs::read_dir(PINS).into_iter().flatten().flatten() {
        let pinned = entry.file_name().to_str().and_then(digits).filter(|digits| digits.len() == ID_DIGITS);
        let is_theirs = pinned.is_some_and(|pinned| pinned.starts_with(&owner));
        if is_theirs && let Err(error) = unpin(&entry.path()) {
            tracing::warn!(pin = %entry.path().display(), %error, "an orphaned network namespace stays pinned");
        }
    }
}

/// The hexadecimal digits of an allocation's id, or of its beginning.
fn digits(id: &str) -> Option<String> {
    let digits = id.replace('-', "");
    digits.chars().all(|c| c.is_ascii_hexdigit()).then_some(digits)
}

impl Namespace {
    /// Turns on 127.0.0.1.
    fn loopback_up(&mut self) -> Result<()> {
        let mut batch = Batch::new();
        batch.set_up(LOOPBACK);
        let answer = self.links.transact(&batch).and_then(|answer| answer.check(&[]));
        answer.map_err(because("the loopback interface of a network namespace"))
    }
}
