//! Namespaces, mounts and roots. Places are open directories or files, never paths twice: what a task plants
//! between two looks changes nothing.

use std::{
    ffi::{CStr, CString},
    fs::File,
    io,
    os::fd::{AsRawFd, FromRawFd, RawFd},
    ptr,
};

use super::check;

/// The kernel's `struct open_how` and `struct mount_attr`, as integers: `libc` has them not for every C library.
const OPEN_HOW: usize = 3;
const MOUNT_ATTR: usize = 4;
const RESOLVE_NO_SYMLINKS: u64 = 0x04;
const RESOLVE_IN_ROOT: u64 = 0x10;
const MOUNT_ATTR_RDONLY: u64 = 0x01;
const MOUNT_ATTR_NODEV: u64 = 0x04;
const AT_RECURSIVE: libc::c_int = 0x8000;

/// How a mount is seen and what it lets through.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    /// Nothing can be written.
    pub read_only: bool,
    /// Device files in it open devices.
    pub devices: bool,
    /// What the host mounts below it later appears here.
    pub follows_host: bool,
}

/// Leaves these namespaces (`CLONE_NEW…`) for new ones. That of process ids is the next child's.
pub fn unshare(namespaces: libc::c_int) -> io::Result<()> {
    // SAFETY: integers only; this process has one thread.
    check(unsafe { libc::unshare(namespaces) }.into()).map(drop)
}

/// Moves into a process's namespaces. That of process ids is the next child's.
pub fn join(process: &File, namespaces: libc::c_int) -> io::Result<()> {
    // SAFETY: integers only; this process has one thread.
    check(unsafe { libc::setns(process.as_raw_fd(), namespaces) }.into()).map(drop)
}

/// A descriptor of a process.
pub fn open_process(pid: i32) -> io::Result<File> {
    // SAFETY: integers only; the new descriptor gets one owner.
    unsafe { Ok(File::from_raw_fd(check(libc::syscall(libc::SYS_pidfd_open, pid, 0))? as RawFd)) }
}

/// The place at an absolute path without a link in it; a link is `ELOOP`.
pub fn open_exact(path: &CStr) -> io::Result<File> {
    open_how(libc::AT_FDCWD, path, RESOLVE_NO_SYMLINKS)
}

/// The place at a path inside `root`, which no link leaves.
pub fn open_in(root: &File, path: &CStr) -> io::Result<File> {
    open_how(root.as_raw_fd(), path, RESOLVE_IN_ROOT)
}

fn open_how(dir: RawFd, path: &CStr, resolve: u64) -> io::Result<File> {
    let how: [u64; OPEN_HOW] = [(libc::O_PATH | libc::O_CLOEXEC) as u64, 0, resolve];
    // SAFETY: `path` is a C string and `how` the kernel's structure, both living through the call; the new descriptor
    // gets one owner.
    unsafe {
        let fd = libc::syscall(libc::SYS_openat2, dir, path.as_ptr(), how.as_ptr(), size_of_val(&how));
        Ok(File::from_raw_fd(check(fd)? as RawFd))
    }
}

/// Makes a directory of this name (no path) in a place.
pub fn make_directory(parent: &File, name: &CStr) -> io::Result<()> {
    // SAFETY: `name` is a C string that lives through the call.
    check(unsafe { libc::mkdirat(parent.as_raw_fd(), name.as_ptr(), 0o755) }.into()).map(drop)
}

/// Makes an empty file of this name (no path) in a place.
pub fn make_file(parent: &File, name: &CStr) -> io::Result<()> {
    // SAFETY: `name` is a C string that lives through the call.
    check(unsafe { libc::mknodat(parent.as_raw_fd(), name.as_ptr(), libc::S_IFREG | 0o644, 0) }.into()).map(drop)
}

/// Makes a link of this name (no path) in a place.
pub fn make_link(target: &CStr, parent: &File, name: &CStr) -> io::Result<()> {
    // SAFETY: both are C strings that live through the call.
    check(unsafe { libc::symlinkat(target.as_ptr(), parent.as_raw_fd(), name.as_ptr()) }.into()).map(drop)
}

/// Makes all mounts of this namespace receive the host's and send none back.
pub fn detach_from_host() -> io::Result<()> {
    mount(c"none", c"/", None, libc::MS_REC | libc::MS_SLAVE, c"")
}

/// Shows `source` at `target` too, with what is mounted below.
pub fn bind(source: &File, target: &File) -> io::Result<()> {
    mount(&path_of(source), &path_of(target), None, libc::MS_BIND | libc::MS_REC, c"")
}

/// Mounts a file system of the kernel's.
pub fn mount_kind(kind: &CStr, target: &File, flags: libc::c_ulong, data: &CStr) -> io::Result<()> {
    mount(kind, &path_of(target), Some(kind), flags, data)
}

fn mount(source: &CStr, target: &CStr, kind: Option<&CStr>, flags: libc::c_ulong, data: &CStr) -> io::Result<()> {
    let kind = kind.map_or(ptr::null(), CStr::as_ptr);
    // SAFETY: all are C strings that live through the call, or null where the kernel looks at none.
    check(unsafe { libc::mount(source.as_ptr(), target.as_ptr(), kind, flags, data.as_ptr().cast()) }.into()).map(drop)
}

/// Gives the mount at a place, and those below it, a look.
pub fn set_look(place: &File, look: Look) -> io::Result<()> {
    let set = if look.read_only { MOUNT_ATTR_RDONLY } else { 0 } | if look.devices { 0 } else { MOUNT_ATTR_NODEV };
    let propagation = if look.follows_host { libc::MS_SLAVE } else { libc::MS_PRIVATE };
    let attr: [u64; MOUNT_ATTR] = [set, 0, propagation, 0];
    let flags = libc::AT_EMPTY_PATH | AT_RECURSIVE;
    // SAFETY: an empty C string, and the kernel's structure, which lives through the call.
    unsafe {
        let set = libc::syscall(
            libc::SYS_mount_setattr,
            place.as_raw_fd(),
            c"".as_ptr(),
            flags,
            attr.as_ptr(),
            size_of_val(&attr),
        );
        check(set).map(drop)
    }
}

/// Makes a place, which must be a mount, the `/` of this namespace, and lets go of the old one.
pub fn change_root(place: &File) -> io::Result<()> {
    // SAFETY: C strings that live through the calls, and integers.
    unsafe {
        check(libc::fchdir(place.as_raw_fd()).into())?;
        check(libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()))?;
        // The old root is now stacked on the new one.
        check(libc::umount2(c".".as_ptr(), libc::MNT_DETACH).into())?;
        check(libc::chdir(c"/".as_ptr()).into()).map(drop)
    }
}

/// A path that leads to an open place and nowhere else.
fn path_of(place: &File) -> CString {
    CString::new(format!("/proc/self/fd/{}", place.as_raw_fd())).unwrap_or_default()
}
