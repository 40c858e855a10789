//! Volumes of the engine's `local` driver: a file system that the engine mounts with the options it is given.
//!
//! The engine takes some words of `o` for flags of mount(2), and with `bind` among them the kernel looks at `device`
//! alone, whatever the type says. So a type is harmless only with options that are.

use serde_json::{Map, Value};

use super::{
    Policy, denied,
    mounts::{only, text},
};
use crate::error::Result;

const PLACE: &str = "VolumeOptions.DriverConfig.Options.";

/// File systems that show no path of the host, and the names of the options that may be passed on to them.
const KINDS: [(&str, &str); 4] = [("tmpfs", TMPFS), ("nfs", NFS), ("nfs4", NFS), ("cifs", CIFS)];

/// Flags of every mount; none that gives it another source, moves it, or changes one that is there.
const FLAGS: &str = "async atime defaults diratime dirsync exec noatime nodev nodiratime noexec nosuid ro rw sync";

/// tmpfs(5).
const TMPFS: &str = "gid huge mode mpol nr_blocks nr_inodes size uid";

/// nfs(5).
const NFS: &str = "ac acdirmax acdirmin acl acregmax acregmin actimeo addr clientaddr cto hard intr local_lock lock \
                   lookupcache minorversion mountport mountproto mountvers nconnect nfsvers noac noacl nocto nointr \
                   nolock nordirplus noresvport nosharecache port proto rdirplus resvport retrans rsize sec soft \
                   softerr timeo vers wsize";

/// mount.cifs(8), but for what names a file of the host (`credentials`).
const CIFS: &str = "actimeo addr cache dir_mode dom domain file_mode forcegid forceuid gid hard iocharset ip mfsymlinks \
                    nobrl nocase noperm noserverino nounix pass password port rsize seal sec serverino soft uid user \
                    username vers wsize";

/// Checks the options of a volume that the `local` driver would make; without any it is an empty directory.
pub(super) fn check(policy: &Policy, options: &Map<String, Value>) -> Result<()> {
    if options.is_empty() || policy.allow_host_binds.iter().any(|prefix| prefix == "*") {
        return Ok(());
    }
    only(options, PLACE, &["type", "o", "device", "size"])?;
    let kind = text(options, "type")?;
    let Some((_, known)) = KINDS.iter().find(|(name, _)| *name == kind) else {
        let names = KINDS.map(|(name, _)| name).join(", ");
        return refused(&format!("a local volume that is none of {names} may show any path of the host"));
    };
    match unknown(text(options, "o")?, known) {
        Some(option) => refused(&format!("option {option:?} is not known to be harmless for a local {kind} volume")),
        None => Ok(()),
    }
}

/// The first of some options of a tmpfs that is not known to be harmless.
pub(super) fn unknown_to_tmpfs(options: &str) -> Option<&str> {
    unknown(options, TMPFS)
}

fn unknown<'a>(options: &'a str, own: &str) -> Option<&'a str> {
    options.split(',').find(|option| !is_harmless(option, own))
}

fn refused(what: &str) -> Result<()> {
    Err(denied(what, "add \"*\" to `allow_host_binds`"))
}

/// Whether an option, `name` or `name=value`, is a flag of every mount or among the file system's own.
fn is_harmless(option: &str, own: &str) -> bool {
    let among = |words: &str, name: &str| words.split(' ').any(|word| word == name);
    let name = option.split_once('=').map_or(option, |(name, _)| name);
    option.is_empty() || among(FLAGS, option) || among(own, name)
}
