//! How a command ends when it does not end well: one clear line, a remedy, an exit code.

use std::{fmt::Display, process::ExitCode};

use anstyle::{AnsiColor, Style};
use longshore_job::Diagnostics;
use serde_json::{Value, json};

/// Result of a command.
pub type Outcome<T = ()> = Result<T, Failure>;

/// What the exit codes mean; every help page ends with it.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  it failed, or the job, allocation or node is not there
  2  the command line or a file is wrong, or the job cannot be placed on this machine
  3  no agent answers
  4  the agent refused the token";

const ERROR: Style = AnsiColor::Red.on_default().bold();
const HELP: Style = AnsiColor::Cyan.on_default();

/// Why a command ends early. Printed once, by `main`.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    said: Said,
    remedy: Option<String>,
}

#[derive(Debug)]
enum Said {
    /// Everything was said before.
    Nothing,
    /// One line.
    Line(String),
    /// Places in files.
    Places(Diagnostics),
}

impl Failure {
    fn line(code: u8, text: impl Display) -> Self {
        Self { code, said: Said::Line(text.to_string()), remedy: None }
    }

    /// It failed (1).
    pub fn failed(text: impl Display) -> Self {
        Self::line(1, text)
    }

    /// What was given is wrong (2).
    pub fn input(text: impl Display) -> Self {
        Self::line(2, text)
    }

    /// A file is wrong, in the places named (2).
    pub fn places(found: Diagnostics) -> Self {
        Self { code: 2, said: Said::Places(found), remedy: None }
    }

    /// No agent answers (3).
    pub fn unreachable(text: impl Display) -> Self {
        Self::line(3, text)
    }

    /// The agent refused the token (4).
    pub fn denied(text: impl Display) -> Self {
        Self::line(4, text)
    }

    /// Everything was said; end with this code.
    pub fn silent(code: u8) -> Self {
        Self { code, said: Said::Nothing, remedy: None }
    }

    /// The same with another exit code.
    pub fn with_code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// Adds what to do about it.
    pub fn remedy(self, remedy: impl Display) -> Self {
        Self { remedy: Some(remedy.to_string()), ..self }
    }

    /// The line it says, if it is one.
    pub fn text(&self) -> &str {
        match &self.said {
            Said::Line(text) => text,
            Said::Nothing | Said::Places(_) => "",
        }
    }

    /// The same end with nothing left to say.
    pub fn silenced(&self) -> Self {
        Self::silent(self.code)
    }

    /// What it says, for programs: a list of problems.
    pub fn to_json(&self) -> Value {
        match &self.said {
            Said::Nothing => json!([]),
            Said::Line(text) => json!([{"severity": "error", "summary": text, "detail": self.remedy}]),
            Said::Places(found) => found.to_json(),
        }
    }

    /// Says it on standard error and answers the exit code.
    pub fn report(&self) -> ExitCode {
        match &self.said {
            Said::Nothing => {}
            Said::Line(text) => anstream::eprintln!("{ERROR}error:{ERROR:#} {text}"),
            Said::Places(found) => anstream::eprint!("{}", found.graphical(true)),
        }
        if let Some(remedy) = &self.remedy {
            anstream::eprintln!("  {HELP}help:{HELP:#} {remedy}");
        }
        ExitCode::from(self.code)
    }
}

/// The text of an error and of everything beneath it, on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}
