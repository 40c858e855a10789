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

/// From now on there are no keys (`ENOSYS`), in this process and its programs: those of a user are the same in all
/// namespaces. New privileges must have been given up.
pub fn no_keys() -> io::Result<()> {
    let filter = KEYLESS;
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the kernel copies the program, which it only reads and which outlives the call.
    check(unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) }.into()).map(drop)
}

/// The system calls about keys are three in a row in every table: `add_key`, `request_key`, `keyctl`.
struct Table {
    /// `AUDIT_ARCH_…`.
    arch: u32,
    first: u32,
}

#[cfg(target_arch = "x86_64")]
const TABLES: [Table; 2] = [Table { arch: 0xC000_003E, first: 248 }, Table { arch: 0x4000_0003, first: 286 }];
#[cfg(target_arch = "aarch64")]
const TABLES: [Table; 2] = [Table { arch: 0xC000_00B7, first: 217 }, Table { arch: 0x4000_0028, first: 309 }];

/// Asks whether a call is one of them, in this processor's table or in that of its 32-bit programs.
const KEYLESS: [libc::sock_filter; 12] = {
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const AND: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
    const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
    const ABOVE: u32 = libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K;
    const ANSWER: u32 = libc::BPF_RET | libc::BPF_K;
    /// The bit by which x32 programs tell themselves apart, in the same table.
    const X32: u32 = 0x4000_0000;
    /// Places in the kernel's `struct seccomp_data`.
    const NUMBER: u32 = 0;
    const ARCH: u32 = 4;
    const fn step(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
        libc::sock_filter { code: code as u16, jt, jf, k }
    }
    let [own, other] = TABLES;
    [
        step(LOAD, ARCH, 0, 0),
        step(EQUAL, own.arch, 1, 0),
        step(EQUAL, other.arch, 4, 8),
        step(LOAD, NUMBER, 0, 0),
        step(AND, !X32, 0, 0),
        step(AT_LEAST, own.first, 0, 5),
        step(ABOVE, own.first + 2, 4, 3),
        step(LOAD, NUMBER, 0, 0),
        step(AT_LEAST, other.first, 0, 2),
        step(ABOVE, other.first + 2, 1, 0),
        step(ANSWER, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32, 0, 0),
        step(ANSWER, libc::SECCOMP_RET_ALLOW, 0, 0),
    ]
};

/// Leaves the agent's keys behind.
pub fn new_keyring() {
    /// `KEYCTL_JOIN_SESSION_KEYRING`.
    const JOIN: libc::c_int = 1;
    // SAFETY: a null name asks for a keyring without one. A kernel without keyrings has no keys to share.
    unsafe { libc::syscall(libc::SYS_keyctl, JOIN, std::ptr::null::<libc::c_char>()) };
}
