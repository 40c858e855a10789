//! Users and groups of the machine, from `/etc/passwd` and `/etc/group`.

use std::{fs, io, path::Path};

use longshore_core::error::{HostError, Result};
use rustix::fs::AtFlags;

use crate::failure::because;

/// Whom a process runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub uid: u32,
    pub gid: u32,
    /// All groups, `gid` among them.
    pub groups: Vec<u32>,
}

/// Whom `user` (name or number; none for the agent's own) stands for. `Ok(None)`: nothing to change.
pub(super) fn identity(user: Option<&str>) -> Result<Option<Identity>> {
    let Some(user) = user else { return Ok(None) };
    let read = |path: &str| match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        other => other.map_err(because(path)),
    };
    let found = find(user, &read("/etc/passwd")?, &read("/etc/group")?)
        .ok_or_else(|| HostError::Invalid(format!("unknown user {user:?}; name one of /etc/passwd, or a number")))?;
    let own = rustix::process::geteuid();
    if found.uid == own.as_raw() && !own.is_root() {
        return Ok(None);
    }
    if !own.is_root() {
        let own = own.as_raw();
        return Err(HostError::Denied(format!(
            "running as {user:?} needs an agent that runs as root; this one runs as user {own}"
        )));
    }
    Ok(Some(found))
}

/// Gives a task's directory for secrets, which others may not enter, to the user the task runs as. The task can
/// write beside it: a link in its place is not followed.
pub(super) fn give_secrets(dir: &Path, uid: u32) -> Result<()> {
    let owner = Some(rustix::fs::Uid::from_raw(uid));
    match rustix::fs::chownat(rustix::fs::CWD, dir, owner, None, AtFlags::SYMLINK_NOFOLLOW) {
        Err(rustix::io::Errno::NOENT) => Ok(()),
        given => given.map_err(because(dir.display())),
    }
}

fn find(user: &str, passwd: &str, group: &str) -> Option<Identity> {
    let number = user.parse::<u32>().ok();
    let entry = passwd.lines().find_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        let (name, uid, gid) = (fields.first()?, fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
        (*name == user || number == Some(uid)).then_some((*name, uid, gid))
    });
    // A number needs no entry; its group is then the same number.
    let (name, uid, gid) = entry.or(number.map(|number| ("", number, number)))?;
    let member = |line: &str| {
        let fields: Vec<_> = line.split(':').collect();
        let listed = !name.is_empty() && fields.get(3)?.split(',').any(|member| member == name);
        listed.then_some(fields.get(2)?.parse::<u32>().ok()?)
    };
    let mut groups = vec![gid];
    groups.extend(group.lines().filter_map(member).filter(|other| *other != gid));
    Some(Identity { uid, gid, groups })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_by_name_and_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:33:33::/var/www:/bin/sh\n";
        let group = "root:x:0:\nweb:x:33:web\nvideo:x:44:other,web\nshort:x\n";
        let web = Identity { uid: 33, gid: 33, groups: vec![33, 44] };
        let cases = [
            ("web", Some(web.clone())),
            ("33", Some(web)),
            ("root", Some(Identity { uid: 0, gid: 0, groups: vec![0] })),
            ("1234", Some(Identity { uid: 1234, gid: 1234, groups: vec![1234] })),
            ("nobody-here", None),
            ("", None),
            ("-1", None),
            ("broken", None),
        ];
        for (user, expected) in cases {
            assert_eq!(find(user, passwd, group), expected, "{user}");
        }
    }
}
