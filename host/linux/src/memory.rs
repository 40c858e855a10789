//! What this program itself takes of the machine's memory.

use std::{
    fs,
    io::{Error, ErrorKind, Result},
};

use rustix::mm::{Advice, madvise};

/// Gives back the pages of this program's code, and answers how many bytes of it there are. Those that are needed come
/// again, from the file; most of them only the start needed.
///
/// # Errors
/// When the kernel does not tell where the code is, or does not take it.
pub fn give_back_code() -> Result<usize> {
    let program = fs::read_link("/proc/self/exe")?;
    let program = format!(" {}", program.to_str().ok_or(ErrorKind::InvalidData)?);
    let maps = fs::read_to_string("/proc/self/maps")?;
    let code = maps.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (range, rights) = (fields.next()?, fields.next()?);
        (rights == "r-xp" && line.ends_with(&program)).then(|| bounds(range))?
    });
    code.map(|(start, end)| give_back(start, end)).sum()
}

/// `55d0c8a00000-55d0c8b00000`.
fn bounds(range: &str) -> Option<(usize, usize)> {
    let (start, end) = range.split_once('-')?;
    Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
}

#[allow(unsafe_code, reason = "forgetting pages loses what was written to them; to code nobody writes")]
fn give_back(start: usize, end: usize) -> Result<usize> {
    let length = end.checked_sub(start).ok_or_else(|| Error::from(ErrorKind::InvalidData))?;
    // SAFETY: the kernel says that the range is this program's code, mapped from its file and not writable: each page is
    // as it is in the file, and comes again from there when it is next run or read.
    unsafe { madvise(start as *mut _, length, Advice::LinuxDontNeed) }?;
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_that_was_given_back_still_runs() {
        assert!(give_back_code().unwrap() > 0);
        assert_eq!(bounds("7f00-7fff"), Some((0x7f00, 0x7fff)));
        assert_eq!(bounds("7f00"), None);
    }
}
