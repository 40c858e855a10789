//! A Java program, compiled here, as a task.

use std::fs;

use crate::harness::{Station, eventually, run};

/// Says who it is, and what it sees.
const PROGRAM: &str = r#"
public class Hello {
    public static void main(String[] args) throws Exception {
        System.out.println("hello " + args[0] + " from " + System.getProperty("user.name"));
        System.out.println(new java.io.File("/home").exists() + " " + System.getenv("NOMAD_TASK_DIR"));
        System.out.println("heap " + Runtime.getRuntime().maxMemory() / 1024 / 1024);
        System.out.println("pid " + ProcessHandle.current().pid());
        Thread.sleep(600_000);
    }
}
"#;

const JOB: &str = r#"
job "java" {
  group "g" {
    task "t" {
      driver = "java"
      config {
        class       = "Hello"
        class_path  = "/alloc/data"
        jvm_options = ["-Xmx32m", "-Xshare:auto"]
        args        = ["world"]
      }
      resources {
        memory = 256
      }
    }
    task "compile" {
      driver = "raw_exec"
      config {
        command = "/bin/sh"
        args    = ["-c", "cp SOURCE/Hello.class $NOMAD_ALLOC_DIR/data/"]
      }
      lifecycle {
        hook = "prestart"
      }
    }
  }
}
"#;

#[test]
fn a_class_runs_kept_apart() {
    let station = Station::start();
    let source = station.path("Hello.java");
    fs::write(&source, PROGRAM).unwrap();
    run("javac", &["--release", "11", &source.display().to_string()]).ok();
    let dir = source.parent().unwrap().display().to_string();
    let alloc = station.run_job("java", &JOB.replace("SOURCE", &dir));
    let out = eventually("it has spoken", || {
        let out = station.cli(&["alloc", "logs", &alloc[..8], "t"]).ok();
        (out.lines().count() == 4).then_some(out)
    });
    let lines: Vec<_> = out.lines().collect();
    assert_eq!((lines[0], lines[1], lines[3]), ("hello world from nobody", "false /local", "pid 1"));
    let heap: u32 = lines[2].strip_prefix("heap ").unwrap().parse().unwrap();
    assert!(heap <= 32, "{heap}");
    let node = station.get("/v1/nodes");
    let node = station.get(&format!("/v1/node/{}", node[0]["ID"].as_str().unwrap()));
    let version = node["Attributes"]["driver.java.version"].as_str().unwrap().to_owned();
    assert!(run("java", &["-version"]).err.contains(&version), "{version}");
    station.cli(&["job", "stop", "java"]).ok();
}

#[test]
fn a_task_without_a_program_is_refused() {
    let station = Station::start();
    let text = JOB.replace("class       = \"Hello\"", "").replace("cp SOURCE/Hello.class", "true");
    station.cli(&["job", "run", "--detach", &station.job("java", &text)]).ok();
    let alloc = station.allocation("java");
    let state = station.until_task(&alloc, "t", "it failed", |state| state["Failed"] == true);
    assert!(state["Events"].to_string().contains("jar_path or class must be specified"), "{state}");
}
