//! Who may enter a task's secrets.
//!
//! A container's user is known to its image alone. So the directory of secrets, a mount of the container's, lets
//! everybody in, and on the machine the task's directory, through which the way to it leads, nobody but the agent.

use std::path::Path;

use longshore_core::{caller::TaskDirs, error::Result};
use rustix::{
    fs::{Mode, OFlags, fchmod, open},
    io::Errno,
};

use crate::failure::because;

/// Lets the container's user in, and closes the way to everybody else first.
pub(super) fn let_in(dirs: &TaskDirs) -> Result<()> {
    set_mode(&dirs.task, 0o700)?;
    set_mode(&dirs.secrets, 0o777)
}

/// Sets the mode of a directory, if there is one: what a task put in its place is not followed.
fn set_mode(dir: &Path, mode: u32) -> Result<()> {
    match open(dir, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(()),
        opened => opened.and_then(|dir| fchmod(dir, Mode::from_raw_mode(mode))).map_err(because(dir.display())),
    }
}
