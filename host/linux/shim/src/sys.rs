//! The system calls the shim makes, each wrapped once.

pub mod mount;
pub mod privilege;

use std::{
    ffi::CStr,
    fs::File,
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    ptr,
};

/// The kernel's `struct clone_args`, as integers: `libc` has neither it nor the flag for every C library.
const CLONE_ARGS: usize = 11;
const CLONE_ARG_FLAGS: usize = 0;
const CLONE_ARG_EXIT_SIGNAL: usize = 4;
const CLONE_ARG_CGROUP: usize = 10;
const CLONE_INTO_CGROUP: u64 = 1 << 33;

/// Turns a `-1` into the error it stands for.
fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Takes over a descriptor this process inherited, as a close-on-exec duplicate, so that no child keeps it.
pub fn take_inherited(fd: RawFd) -> io::Result<File> {
    // SAFETY: fcntl with F_DUPFD_CLOEXEC reads no memory; the descriptor it answers is new, so it has one owner.
    unsafe { Ok(File::from_raw_fd(check(libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3).into())? as RawFd)) }
}

/// Makes `target` another name of `fd` (not close-on-exec).
pub fn duplicate_to(fd: &impl AsRawFd, target: RawFd) -> io::Result<()> {
    // SAFETY: dup2 reads no memory; what `target` was before (standard streams) has no Rust owner.
    check(unsafe { libc::dup2(fd.as_raw_fd(), target) }.into()).map(drop)
}

/// A close-on-exec pipe: read end, write end.
pub fn pipe() -> io::Result<(File, File)> {
    let mut fds = [0; 2];
    // SAFETY: `fds` has room for the two descriptors; both are new and get one owner each.
    let (read, write) = unsafe {
        check(libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC).into())?;
        (File::from_raw_fd(fds[0]), File::from_raw_fd(fds[1]))
    };
    Ok((read, write))
}

/// Makes reads of `fd` answer `WouldBlock` instead of waiting.
pub fn set_nonblocking(fd: &impl AsRawFd) -> io::Result<()> {
    // SAFETY: F_SETFL takes an integer.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) }.into()).map(drop)
}

/// Opens `name` below `dir` for appending, making it; refuses links, and whatever is no regular file.
pub fn open_log(dir: &File, name: &CStr) -> io::Result<File> {
    let flags = libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
    // SAFETY: `name` is a C string that lives through the call; the new descriptor gets one owner.
    let file = unsafe {
        File::from_raw_fd(check(libc::openat(dir.as_raw_fd(), name.as_ptr(), flags, 0o644).into())? as RawFd)
    };
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// Removes `name` below `dir`.
pub fn unlink(dir: &File, name: &CStr) {
    // SAFETY: `name` is a C string that lives through the call.
    unsafe { libc::unlinkat(dir.as_raw_fd(), name.as_ptr(), 0) };
}

/// A session of its own; harmless when it is a leader already.
pub fn new_session() {
    // SAFETY: takes no argument.
    unsafe { libc::setsid() };
}

/// Makes standard input the controlling terminal.
pub fn take_terminal() -> io::Result<()> {
    // SAFETY: integers only; 0 does not steal the terminal from another session.
    check(unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) }.into()).map(drop)
}

/// Gives pipes and terminals among the standard streams to a user, who may then open `/dev/stdout` too.
pub fn give_streams(uid: u32) {
    for fd in 0..3 {
        // SAFETY: `stat` is a valid place for the answer and is read only when there is one.
        unsafe {
            let mut stat: libc::stat = std::mem::zeroed();
            let pipe = libc::fstat(fd, &mut stat) == 0 && stat.st_mode & libc::S_IFMT == libc::S_IFIFO;
            if pipe || libc::isatty(fd) == 1 {
                libc::fchown(fd, uid, libc::gid_t::MAX);
            }
        }
    }
}

/// Names this process, adopts orphaned descendants, and blocks every signal that can be blocked: they are
/// read from the descriptor this answers, where only SIGCHLD is of interest.
pub fn become_supervisor() -> io::Result<File> {
    // SAFETY: the name is a C string; the set is filled by sigfillset before use; the new descriptor gets one owner.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, c"longshore-shim".as_ptr());
        check(libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1).into())?;
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        check(libc::sigprocmask(libc::SIG_BLOCK, &all, ptr::null_mut()).into())?;
        let fd = check(libc::signalfd(-1, &all, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK).into())?;
        Ok(File::from_raw_fd(fd as RawFd))
    }
}

/// Undoes what [`become_supervisor`] and Rust's runtime did to signals.
pub fn reset_signals() {
    // Zero everywhere is the default. Not through `signal`: glibc keeps two numbers from everybody, which a parent
    // may have ignored all the same.
    let default = [0u64; 4];
    // SAFETY: the kernel's structure is not larger than `default`, and a set of signals has 8 bytes; refused numbers
    // (SIGKILL) answer an error that is ignored.
    unsafe {
        for number in 1..=64 {
            libc::syscall(libc::SYS_rt_sigaction, number, default.as_ptr(), ptr::null_mut::<u64>(), 8usize);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut());
    }
}

/// A child process: `Some(pid)` for the parent, none in the child. With `cgroup`, the child is born in that
/// cgroup (v2), which unlike moving there later makes nobody wait for the kernel's grace period. The child is in
/// the namespace for process ids that [`unshare`] made, if it did.
pub fn fork(cgroup: Option<&File>) -> io::Result<Option<i32>> {
    let pid = match cgroup {
        // SAFETY: fork of a process with one thread.
        None => check(unsafe { libc::fork() }.into())?,
        Some(cgroup) => {
            // SAFETY: the kernel's clone_args is these integers, zero meaning "absent"; without CLONE_VM the call behaves
            // as fork does, and this process has one thread.
            unsafe {
                let mut args = [0u64; CLONE_ARGS];
                args[CLONE_ARG_FLAGS] = CLONE_INTO_CGROUP;
                args[CLONE_ARG_EXIT_SIGNAL] = libc::SIGCHLD as u64;
                args[CLONE_ARG_CGROUP] = cgroup.as_raw_fd() as u64;
                check(libc::syscall(libc::SYS_clone3, args.as_ptr(), size_of_val(&args)))?
            }
        }
    };
    Ok(if pid == 0 { None } else { Some(pid as i32) })
}

/// Waits until a child has ended, and answers its code as shells do. Lets go of the standard streams first, whose
/// ends are for the child to close.
pub fn wait_in_silence(pid: i32) -> i32 {
    if let Ok(null) = dev_null() {
        (0..3).for_each(|fd| drop(duplicate_to(&null, fd)));
    }
    let mut status = 0;
    loop {
        // SAFETY: `status` is a valid place for the answer.
        match check(unsafe { libc::waitpid(pid, &mut status, 0) }.into()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            ended => return ended.map_or(126, |_| exit_code(status)),
        }
    }
}

/// The code of a wait status: 128 + the signal when one ended the process.
pub fn exit_code(status: i32) -> i32 {
    let signal = status & 0x7f;
    if signal == 0 { (status >> 8) & 0xff } else { 128 + signal }
}

/// Reaps one ended child: its pid and wait status. `Ok(None)`: all run on; `Err`: there is no child.
pub fn reap() -> io::Result<Option<(i32, i32)>> {
    let mut status = 0;
    // SAFETY: `status` is a valid place for the answer.
    let pid = check(unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) }.into())?;
    Ok(if pid == 0 { None } else { Some((pid as i32, status)) })
}

/// SIGKILL to one process.
pub fn kill(pid: i32) {
    // SAFETY: integers only.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

/// Waits until one of `fds` (negative ones are skipped) can be read, or the time is over (-1: never).
pub fn poll(fds: [RawFd; 3], timeout_ms: i32) {
    let mut polled = fds.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    // SAFETY: pointer and length describe `polled`.
    unsafe { libc::poll(polled.as_mut_ptr(), 3, timeout_ms) };
}

/// Moves this process into a network namespace.
pub fn join_network(namespace: &File) -> io::Result<()> {
    // SAFETY: integers only; this process has one thread.
    check(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }.into()).map(drop)
}

/// Gives this process a host name of its own.
pub fn own_hostname(name: &CStr) -> io::Result<()> {
    // SAFETY: pointer and length describe `name`.
    unsafe {
        check(libc::unshare(libc::CLONE_NEWUTS).into())?;
        check(libc::sethostname(name.as_ptr(), name.to_bytes().len()).into()).map(drop)
    }
}

/// Gives this process mounts of its own: it goes on seeing those that come to the machine, which sees none of its.
pub fn own_mounts() -> io::Result<()> {
    // SAFETY: the paths are C strings; a change of propagation reads nothing else.
    unsafe {
        check(libc::unshare(libc::CLONE_NEWNS).into())?;
        let flags = libc::MS_REC | libc::MS_SLAVE;
        check(libc::mount(ptr::null(), c"/".as_ptr(), ptr::null(), flags, ptr::null()).into()).map(drop)
    }
}

/// Shows `source` in the place of `target`.
pub fn bind(source: &CStr, target: &CStr) -> io::Result<()> {
    // SAFETY: both are C strings that live through the call; a bind mount reads nothing else.
    check(unsafe { libc::mount(source.as_ptr(), target.as_ptr(), ptr::null(), libc::MS_BIND, ptr::null()) }.into())
        .map(drop)
}

/// Becomes this user with these groups, for good.
pub fn become_user(uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
    // SAFETY: pointer and length describe `groups`.
    unsafe {
        check(libc::setgroups(groups.len(), groups.as_ptr()).into())?;
        check(libc::setresgid(gid, gid, gid).into())?;
        check(libc::setresuid(uid, uid, uid).into())?;
    }
    Ok(())
}

/// Sets the soft limit of open files, leaving the hard one.
pub fn limit_open_files(soft: u64) {
    // SAFETY: `limit` is a valid place, filled by the first call before the second reads it.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = soft.min(limit.rlim_max);
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}

/// Has the kernel kill this process when its parent dies; false when it has died already. `leash` is a pipe that
/// only the parent reads: its number would tell nothing from inside a namespace.
pub fn die_with_parent(leash: &File) -> bool {
    let mut polled = libc::pollfd { fd: leash.as_raw_fd(), events: 0, revents: 0 };
    // SAFETY: integers, and a pointer to one structure.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::poll(&mut polled, 1, 0);
    }
    polled.revents & libc::POLLERR == 0
}

/// Sets the file mode creation mask.
pub fn umask(mask: u32) {
    // SAFETY: integers only.
    unsafe { libc::umask(mask as libc::mode_t) };
}

/// Marks every descriptor from 3 on close-on-exec.
pub fn close_on_exec_all() {
    // SAFETY: integers only. An old kernel refuses; then what Rust opened is close-on-exec all the same.
    unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
}

/// Becomes another program; returns only with the reason why not. The lists end with a null pointer.
pub fn exec(program: &CStr, argv: &[*const libc::c_char], envp: &[*const libc::c_char]) -> io::Error {
    // SAFETY: the callers' lists are null-terminated arrays of C strings that live through the call.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    io::Error::last_os_error()
}

/// Ends this process at once, running nothing more of it.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: integers only.
    unsafe { libc::_exit(code) }
}

/// Opens /dev/null for reading and writing.
pub fn dev_null() -> io::Result<OwnedFd> {
    Ok(File::options().read(true).write(true).open("/dev/null")?.into())
}
