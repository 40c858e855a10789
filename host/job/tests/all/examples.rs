//! The examples of the repository.

use std::path::Path;

use longshore_job::{Job, ParseOptions, parse_file};

pub const ALL: &[&str] = &["hello.nomad.hcl", "raw-exec.nomad.hcl", "shop.nomad.hcl", "web-docker.nomad.hcl"];

pub fn read(name: &str) -> Job {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/jobs").join(name);
    match parse_file(&path, &ParseOptions::default()) {
        Ok(parsed) => {
            assert!(parsed.warnings.is_empty(), "{}", parsed.warnings.plain());
            parsed.job
        }
        Err(found) => panic!("{}", found.plain()),
    }
}

#[test]
fn every_example_parses_without_a_warning() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/jobs");
    let mut there: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".nomad.hcl"))
        .collect();
    there.sort();
    assert_eq!(there, ALL, "an example is missing here, or gone");
    for example in ALL {
        read(example);
    }
}

#[test]
fn the_full_example_uses_its_variables() {
    let job = read("shop.nomad.hcl");
    let groups: Vec<_> = job.task_groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(groups, ["north", "south"]);
    assert_eq!(job.meta["shops"], "north,south");
    let serve = &job.task_groups[1].tasks[1];
    assert_eq!(serve.env["SHOP_NORTH"], "open");
    assert_eq!(serve.resources.memory_mb, 16);
    assert_eq!(job.task_groups[1].networks[0].reserved_ports[0].value, 8081);
    let prepare = &job.task_groups[0].tasks[0];
    let expected = "echo Welcome To The Test Shop > $NOMAD_ALLOC_DIR/index.html";
    assert_eq!(prepare.config["args"][1], expected);
}
