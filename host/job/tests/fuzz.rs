//! Files broken at random: none makes a panic, takes long or much memory, or is understood in two ways.
//!
//! A round's file is one of those collected so far with a few mutations; a file of which something new is said joins
//! them, which leads ever deeper into the reader. Every round has a number that it can be run again by:
//!
//! ```sh
//! LONGSHORE_FUZZ_SECONDS=60 cargo test -p longshore-job --test fuzz     # as long as that; 1,000 rounds otherwise
//! ```
//!
//! The file of the round that runs is in `fuzz-input` of the target directory's `tmp`, should the process be ended.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a failed test is how tests speak")]

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use longshore_job::{Diagnostics, Job, ParseOptions, compose, format, from_json, parse_str, to_json, upgrade};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Rounds of an ordinary run.
const ROUNDS: u64 = 1_000;
/// Bytes of address space the process may have: what asks for more is ended.
const MEMORY: u64 = 1 << 30;
/// Bytes that may be in memory at most, seen at the end.
const RESIDENT: u64 = 400 << 20;
/// The longest a round may take, on a machine under load and without optimisation.
const LONGEST: Duration = Duration::from_secs(20);
/// Files that are kept at most, and bytes each may have.
const KEPT: (usize, usize) = (2_000, 32 << 10);

#[test]
fn broken_files_neither_panic_nor_take_long_nor_much_memory() {
    let limit = getrlimit(Resource::As);
    setrlimit(Resource::As, Rlimit { current: Some(MEMORY), ..limit }).unwrap();
    let seconds = std::env::var("LONGSHORE_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let note = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz-input");
    let mut files = seeds();
    let mut said = HashSet::new();
    let mut rounds = 0;
    while end.map_or(rounds < ROUNDS, |end| Instant::now() < end) {
        rounds += 1;
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(rounds) | 1);
        let file = mutated(&files, &mut dice);
        fs::write(&note, &file).unwrap();
        let begun = Instant::now();
        let new = std::panic::catch_unwind(|| what_is_said(&file)).unwrap_or_else(|_| {
            let text: String = String::from_utf8_lossy(&file).chars().take(4_000).collect();
            panic!("round {rounds} panicked; its file is {}:\n{text}", note.display())
        });
        let took = begun.elapsed();
        assert!(took < LONGEST, "round {rounds} took {took:?}; its file is {}", note.display());
        if said.insert(new) && files.len() < KEPT.0 && file.len() <= KEPT.1 {
            files.push(file);
        }
    }
    let peak = peak();
    println!("{rounds} rounds, {} ways to be wrong, {} MiB at most", said.len(), peak >> 20);
    assert!(peak < RESIDENT, "{peak} bytes were in memory");
}

/// Everything that reads a file reads this one; answers what kinds of things are said of it.
fn what_is_said(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let read = parse_str("broken", &text, &ParseOptions::default());
    let formatted = format("broken", &text);
    if let Ok(formatted) = &formatted {
        assert_eq!(format("formatted", formatted).as_ref(), Ok(formatted), "formatting twice changes something");
    }
    if let Ok(parsed) = &read {
        assert_eq!(printed_and_read(&parsed.job), parsed.job, "what is printed reads otherwise");
        if let Ok(formatted) = &formatted {
            let again = parse_str("formatted", formatted, &ParseOptions::default());
            assert_eq!(again.as_ref().map(|again| &again.job).map_err(Diagnostics::plain), Ok(&parsed.job));
        }
        if let Ok((new, _)) = upgrade("broken", &text) {
            let upgraded = parse_str("upgraded", &new, &ParseOptions::default());
            assert!(upgraded.is_ok(), "{}\n{new}", upgraded.unwrap_err().plain());
        }
    }
    if let Ok(imported) = compose::import(&text, None, None) {
        // Whatever a Compose file says, what is written of it is at least HCL.
        assert!(format("imported", &imported.job).is_ok());
    }
    let document = from_json(bytes);
    if let Ok(parsed) = &document {
        assert_eq!(printed_and_read(&parsed.job), parsed.job, "what is printed reads otherwise");
    }
    let kinds = |found: Result<Diagnostics, Diagnostics>| {
        let found = found.unwrap_or_else(|found| found);
        found.graphical(false);
        found.iter().map(|item| kind(&item.summary)).collect::<Vec<_>>().join(";")
    };
    format!("{}|{}", kinds(read.map(|read| read.warnings)), kinds(document.map(|read| read.warnings)))
}

fn printed_and_read(job: &Job) -> Job {
    match from_json(to_json(job).to_string().as_bytes()) {
        Ok(parsed) => parsed.job,
        Err(found) => panic!("what is printed cannot be read: {}", found.plain()),
    }
}

/// A summary without what the file itself put in.
fn kind(summary: &str) -> String {
    let quoted = summary.split(['"', '`', '\'']).step_by(2).collect::<String>();
    quoted.chars().filter(|letter| letter.is_ascii_alphabetic()).collect()
}

/// The most this process ever had in memory, in bytes.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// Job files of all kinds, the same as JSON, and a Compose file.
fn seeds() -> Vec<Vec<u8>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [here.join("../../examples/jobs"), here.join("tests/corpus")];
    let mut paths: Vec<PathBuf> =
        folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let texts: Vec<String> = paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let jobs = texts.iter().filter_map(|text| parse_str("seed", text, &ParseOptions::default()).ok());
    let mut files: Vec<Vec<u8>> = jobs.map(|parsed| to_json(&parsed.job).to_string().into_bytes()).collect();
    files.extend(texts.into_iter().map(String::into_bytes));
    files
}

/// One of some files with a few mutations: cut, doubled, spliced with another, sprinkled, grown.
fn mutated(files: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = files[dice.roll(files.len())].clone();
    for _ in 0..=dice.roll(6) {
        let at = dice.roll(bytes.len());
        match dice.roll(12) {
            0..=2 => {
                let until = at + dice.roll((bytes.len() - at).min(200));
                bytes.drain(at..until);
            }
            3..=4 => {
                let part = bytes[at..at + dice.roll((bytes.len() - at).min(2_000))].to_vec();
                bytes.splice(at..at, part);
            }
            5 => {
                let other = &files[dice.roll(files.len())];
                let from = dice.roll(other.len());
                let part = other[from..from + dice.roll(other.len() - from)].to_vec();
                bytes.splice(at..at, part);
            }
            6..=9 => drop(bytes.splice(at..at, PIECES[dice.roll(PIECES.len())].bytes())),
            10 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = u8::try_from(dice.roll(256)).unwrap();
                }
            }
            // Seldom: it takes time.
            _ if dice.roll(20) == 0 => {
                let piece = PIECES[dice.roll(PIECES.len())].repeat(dice.roll(10_000));
                drop(bytes.splice(at..at, piece.bytes()));
            }
            _ => {}
        }
    }
    bytes
}

/// A stream of numbers that is the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides.max(1) as u64).unwrap_or_default()
    }
}

/// What mutations put in: what the language is made of.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "\"",
    "${",
    "%{",
    "<<EOF\n",
    "\nEOF\n",
    "=",
    "==",
    "?",
    ":",
    "...",
    "*",
    ".",
    "-1",
    "1e9",
    "null",
    "true",
    "var.",
    "local.x",
    "for x in ",
    "if ",
    "endif",
    "dynamic \"task\" ",
    "content ",
    "for_each = ",
    "\u{0}",
    "\u{feff}",
    "ä",
    "\r\n",
    "/*",
    "*/",
    "#",
    "\\u",
    "job \"j\" {",
    "group \"g\" {",
    "port \"p\" {",
    "config {",
    "jsonencode(",
    "locals {\nl0 = \"ha\"\nl1 = \"${local.l0}${local.l0}\"\nl2 = \"${local.l1}${local.l1}\"\n}\n",
    "resources {\nnetwork {\ndynamic_ports = [\"6379\", http]\n}\n}",
    "services: {a: {image: b, ports: [1-9:1]}}",
    "&a [*a]",
];
