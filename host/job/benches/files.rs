//! Reading job files, against the parser alone. Prints five numbers for `cargo xtask bench`: nanoseconds of the parser
//! and of reading and checking, for the file given, each a median; nanoseconds of reading and checking a thousand
//! different files; bytes of one such file; and the most memory this process had, in KiB.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use longshore_job::{ParseOptions, parse_str};

const ROUNDS: usize = 200;
const FILES: usize = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().find(|argument| argument.ends_with(".hcl")).ok_or("which job file?")?;
    let text = std::fs::read_to_string(path)?;
    let options = ParseOptions::default();
    parse_str("job", &text, &options)?;
    let mut parser = Vec::new();
    let mut whole = Vec::new();
    for _ in 0..ROUNDS {
        parser.push(time(|| drop(black_box(hcl_edit::parser::parse_body(black_box(&text))))));
        whole.push(time(|| drop(black_box(parse_str("job", black_box(&text), &options)))));
    }
    let files: Vec<String> = (0..FILES).map(|number| format!("# {number}\n{text}")).collect();
    let all = time(|| files.iter().for_each(|file| drop(black_box(parse_str("job", file, &options)))));
    println!("{} {} {} {} {}", median(parser), median(whole), all.as_nanos(), text.len(), peak()?);
    Ok(())
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> u128 {
    times.sort_unstable();
    times[times.len() / 2].as_nanos()
}

/// As the kernel counts it, in KiB.
fn peak() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
