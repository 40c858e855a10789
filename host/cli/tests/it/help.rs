//! What the help pages say.

use crate::harness::{PROGRAM, Station, run};

#[test]
fn every_help_page_is_as_reviewed() {
    let pages: &[&[&str]] = &[
        &[],
        &["agent"],
        &["run"],
        &["job"],
        &["job", "run"],
        &["job", "status"],
        &["job", "stop"],
        &["job", "validate"],
        &["job", "inspect"],
        &["job", "plan"],
        &["job", "fmt"],
        &["job", "import", "compose"],
        &["alloc"],
        &["alloc", "status"],
        &["alloc", "logs"],
        &["alloc", "exec"],
        &["alloc", "stop"],
        &["alloc", "restart"],
        &["alloc", "signal"],
        &["alloc", "network"],
        &["network", "check"],
        &["port"],
        &["node", "status"],
        &["driver", "list"],
        &["driver", "inspect"],
        &["driver", "replace"],
        &["completions"],
    ];
    for page in pages {
        let text = run(PROGRAM, &[page, &["--help"][..]].concat()).ok();
        let name = format!("help {}", page.join(" ")).trim_end().replace(' ', "_");
        insta::assert_snapshot!(name, text);
    }
}

#[test]
fn completions_name_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(PROGRAM, &["completions", shell]).ok();
        assert!(script.contains("validate"), "{shell}");
        assert!(!script.contains("\u{1b}["), "{shell}");
    }
}

#[test]
fn a_wrong_command_line_ends_with_2_and_names_the_nearest() {
    let said = run(PROGRAM, &["job", "runn"]).refused(2);
    assert!(said.contains("'run'"), "{said}");
}

#[test]
fn without_an_agent_every_command_says_how_to_start_one() {
    let station = Station::prepare("", &[]);
    let commands: &[&[&str]] = &[
        &["job", "status"],
        &["job", "stop", "x"],
        &["alloc", "status"],
        &["alloc", "logs", "abcd"],
        &["node", "status"],
        &["driver", "list"],
    ];
    for command in commands {
        let said = station.cli(command).refused(3);
        assert!(said.contains("no agent answers at unix:///"), "{said}");
        assert!(said.contains("longshore agent"), "{said}");
    }
}

#[test]
fn colour_is_for_terminals_only() {
    let station = Station::prepare("", &[]);
    let said = station.cli(&["job", "status"]).refused(3);
    assert!(!said.contains('\u{1b}'), "{said:?}");
}
