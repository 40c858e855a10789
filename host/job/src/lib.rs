//! Job files: HCL2 or JSON in, one complete [`Job`] out, with errors that point into the file.
//!
//! # The way of a job file
//!
//! ```text
//!  HCL text ──hcl──▶ document ──┐
//!                               ├──canonical──▶ Job ──validate──▶ Parsed { job, warnings, map }
//!  API JSON ──document──────────┘
//! ```
//!
//! * [`spec`] is the language as a table: names in HCL and JSON, types, what is refused or without effect, and why.
//!   Both readers follow it, and so does the printer of [`print_file`], so a block is known to all or to none.
//! * [`format`](format()) and [`upgrade`](upgrade()) write job files anew, in the usual form and in today's.
//! * [`compose`] makes job files from Docker Compose files.
//! * [`diff`] compares two versions of a job.
//! * [`constraint`] says whether a machine meets one.
//! * [`unsupported`] finds what a job says and this version's agent does not act on.
//! * `hcl` reads HCL2 (and HCL's JSON form): variables, locals, functions, dynamic blocks. What only the machine can
//!   know, such as `${NOMAD_PORT_http}`, passes through as text.
//! * `document` reads the `Job` document of Nomad's API as other programs write it.
//! * `canonical` fills in defaults that depend on other fields; [`model`] holds the plain ones.
//! * [`validate`](validate()) checks what a single value cannot show.
//! * [`runtime`] fills in `${…}` when a task starts.
//! * [`Diagnostics`] carries every error and warning, for people (with source line and caret) and programs (JSON).
//! * [`SourceMap`] finds the place of any value of the job again, for errors found later, such as a driver's schema
//!   refusing part of a task's `config`.
//!
//! # An example
//!
//! ```
//! use longshore_job::{ParseOptions, parse_str};
//!
//! let text = r#"
//!     variable "image" { default = "web:1" }
//!     job "web" {
//!       group "web" {
//!         network {
//!           port "http" { to = 8080 }
//!         }
//!         task "server" {
//!           driver = "docker"
//!           config {
//!             image = var.image
//!             args  = ["-p", "${NOMAD_PORT_http}"]
//!           }
//!         }
//!       }
//!     }
//! "#;
//! let parsed = parse_str("web.nomad.hcl", text, &ParseOptions::default())?;
//! let task = &parsed.job.task_groups[0].tasks[0];
//! assert_eq!(task.config["image"], "web:1");
//! assert_eq!(task.config["args"][1], "${NOMAD_PORT_http}");
//!
//! let wrong = parse_str("web.nomad.hcl", &text.replace("driver", "drvier"), &ParseOptions::default());
//! let found = wrong.unwrap_err();
//! assert!(found.plain().contains("web.nomad.hcl:9,11-17: Unsupported argument"));
//! assert!(found.plain().contains("Did you mean \"driver\"?"));
//! # Ok::<(), longshore_job::Diagnostics>(())
//! ```

mod canonical;
pub mod compose;
pub mod constraint;
mod diagnostics;
pub mod diff;
mod document;
mod format;
mod hcl;
mod json;
pub mod model;
mod parse;
pub mod runtime;
mod source;
mod source_map;
pub mod spec;
mod suggest;
mod upgrade;
mod validate;
mod value;
mod yaml;

pub use diagnostics::{Diagnostic, Diagnostics, Severity};
pub use document::unsupported;
pub use format::format;
pub use json::{draft_value, from_json, from_value, to_json};
pub use model::Job;
pub use parse::{Draft, LARGEST_SOURCE, ParseOptions, Parsed, Rejected, draft_file, parse_file, parse_str, print_file};
pub use source::{Location, Source};
pub use source_map::SourceMap;
pub use suggest::nearest;
pub use upgrade::upgrade;
pub use validate::validate;
