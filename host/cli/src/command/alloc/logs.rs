//! `longshore alloc logs ALLOC [TASK]`

use std::io::Write;

use clap::Args;

use super::{choose_task, resolve};
use crate::{
    client::{Client, LogQuery},
    failure::{EXIT_CODES, Failure, Outcome, chain},
};

/// Print a task's output
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  longshore alloc logs 3f9a
  longshore alloc logs -f 3f9a web         read along until the task is over
  longshore alloc logs --stderr -n 20 3f9a

{EXIT_CODES}"))]
pub struct Arguments {
    /// Its id, or how its id begins
    alloc: String,
    /// The task; may be left out when there is only one
    task: Option<String>,
    /// Read along until the task is over
    #[arg(short, long)]
    follow: bool,
    /// Print standard error in place of standard output
    #[arg(long)]
    stderr: bool,
    /// Begin with the last so many lines
    #[arg(short = 'n', long, value_name = "LINES")]
    lines: Option<usize>,
}

/// Room for a line when looking for the last ones, bytes.
const LINE_BYTES: u64 = 256;

impl Arguments {
    pub async fn run(&self, client: &Client) -> Outcome {
        let alloc = resolve(client, &self.alloc).await?;
        let mut query = LogQuery {
            task: choose_task(&alloc, self.task.as_deref())?,
            alloc: alloc.stub.id,
            kind: if self.stderr { "stderr" } else { "stdout" },
            follow: self.follow,
            tail_bytes: None,
        };
        if let Some(lines) = self.lines {
            query.tail_bytes = Some(tail_bytes(client, &query, lines).await?);
        }
        let mut stream = client.logs(&query).await?;
        while let Some(data) = stream.next().await? {
            if !write(&data)? {
                break;
            }
        }
        Ok(())
    }
}

/// How many bytes the last `lines` lines are: found by reading ever more of the end.
async fn tail_bytes(client: &Client, query: &LogQuery, lines: usize) -> Outcome<u64> {
    let mut asked = LINE_BYTES.saturating_mul(lines as u64).max(1);
    loop {
        let mut end = Vec::new();
        let mut stream = client.logs(&LogQuery { follow: false, tail_bytes: Some(asked), ..query.clone() }).await?;
        while let Some(data) = stream.next().await? {
            end.extend(data);
        }
        if let Some(bytes) = length_of_last(&end, lines) {
            return Ok(bytes as u64);
        }
        if (end.len() as u64) < asked {
            return Ok(end.len() as u64);
        }
        asked = asked.saturating_mul(4);
    }
}

/// Length of the last `lines` lines; none when the text holds fewer.
fn length_of_last(text: &[u8], lines: usize) -> Option<usize> {
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    let newlines = body.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    match lines {
        0 => Some(0),
        lines => newlines.map(|(at, _)| text.len() - at - 1).nth(lines - 1),
    }
}

/// Writes a piece; false when nobody reads any more (`| head`).
fn write(data: &[u8]) -> Outcome<bool> {
    let mut out = std::io::stdout().lock();
    match out.write_all(data).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::failed(chain(&error))),
    }
}

#[cfg(test)]
mod tests {
    use super::length_of_last;

    #[test]
    fn last_lines_are_measured_in_bytes() {
        let table = [
            ("a\nbb\nccc\n", 1, Some(4)),
            ("a\nbb\nccc\n", 2, Some(7)),
            ("a\nbb\nccc\n", 3, None),
            ("a\nbb\nccc", 1, Some(3)),
            ("a\nbb\n", 0, Some(0)),
            ("", 1, None),
        ];
        for (text, lines, expected) in table {
            assert_eq!(length_of_last(text.as_bytes(), lines), expected, "{text:?} {lines}");
        }
    }
}
