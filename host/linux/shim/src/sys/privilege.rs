//! Capabilities and what else a program could gain or share.

use std::io;

use super::check;

/// `_LINUX_CAPABILITY_VERSION_3`: sets of 64 bits, in two halves.
const VERSION: u32 = 0x2008_0522;
/// More than any kernel has.
const MOST: u32 = 64;

/// Takes all capabilities but `kept` (a bit for each) from everything this process and its programs can ever
/// have, and keeps what it has now through a change of user.
pub fn bound_capabilities(kept: u64) -> io::Result<()> {
    let others = (0..MOST).filter(|number| kept & (1 << number) == 0);
    for number in others {
        // SAFETY: integers only.
        match check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) }.into()) {
            // No kernel has this one or those above.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => break,
            dropped => dropped?,
        };
    }
    // SAFETY: integers only.
    check(unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) }.into()).map(drop)
}

/// Has exactly these capabilities, also after `execve`: root by being root, others by the ambient set.
pub fn hold_capabilities(kept: u64) -> io::Result<()> {
    // SAFETY: takes no argument.
    let is_root = unsafe { libc::geteuid() } == 0;
    let inheritable = if is_root { 0 } else { kept };
    let half = |set: u64, upper: bool| if upper { (set >> 32) as u32 } else { set as u32 };
    let sets = [false, true].map(|upper| [half(kept, upper), half(kept, upper), half(inheritable, upper)]);
    let header = [VERSION, 0];
    // SAFETY: the kernel's structures: a version and a pid (0: this process), and two times three halves.
    check(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) })?;
    for number in (0..MOST).filter(|number| inheritable & (1 << number) != 0) {
        // SAFETY: integers only.
        check(unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, number, 0, 0) }.into())?;
    }
    Ok(())
}

/// No program that is run from now on gains anything by its owner or its file's capabilities.
pub fn no_new_privileges() -> io::Result<()> {
    // SAFETY: integers only.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }.into()).map(drop)
}

/// Leaves the agent's keys behind.
pub fn new_keyring() {
    /// `KEYCTL_JOIN_SESSION_KEYRING`.
    const JOIN: libc::c_int = 1;
    // SAFETY: a null name asks for a keyring without one. A kernel without keyrings has no keys to share.
    unsafe { libc::syscall(libc::SYS_keyctl, JOIN, std::ptr::null::<libc::c_char>()) };
}
