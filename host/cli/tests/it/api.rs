//! The API as other programs see it.

use serde_json::Value;

use crate::harness::Station;

const SLEEP: &str = r#"
job "sleep" {
  group "g" {
    task "t" {
      driver = "raw_exec"
      config {
        command = "/bin/sleep"
        args    = ["1000"]
      }
      kill_timeout = "1s"
    }
  }
}
"#;

#[test]
fn errors_are_plain_text_and_nothing_is_empty() {
    let station = Station::start();
    let table = [
        ("GET", "/v1/nothing", "404", "no such path"),
        ("GET", "/v1/job/none", "404", "job not found"),
        ("GET", "/v1/allocation/none", "404", "alloc not found"),
        ("GET", "/v1/evaluation/none", "404", "eval not found"),
        ("GET", "/v1/node/none", "404", "node not found"),
        ("DELETE", "/v1/jobs", "405", "Invalid method"),
        ("PUT", "/v1/jobs", "400", "does not parse"),
        ("PUT", "/v1/jobs/parse", "400", "does not parse"),
        ("GET", "/v1/jobs?index=x", "400", "index"),
        ("GET", "/v1/client/fs/logs/none?task=t&type=stdout", "404", "Unknown allocation"),
        ("GET", "/v1/client/fs/logs/none?type=stdout", "400", "must provide task name"),
        ("GET", "/v1/client/fs/logs/none?task=t", "400", "must provide log type (stdout/stderr)"),
        ("GET", "/v1/client/fs/logs/none?task=t&type=stdout&origin=x", "400", "origin must be start or end"),
        ("PUT", "/v1/driver/none/replace", "404", "no driver"),
    ];
    for (method, path, status, text) in table {
        let (found, body) = station.request(method, path, "");
        assert_eq!(found, status, "{method} {path}: {body}");
        assert!(body.contains(text), "{method} {path}: {body}");
    }
}

#[test]
fn a_job_file_is_read_with_values_for_its_variables() {
    let station = Station::start();
    let text = "variable \"n\" {}\njob \"j\" {\ngroup \"g\" {\ntask \"t\" {\ndriver = \"d\"\nuser = var.n\n}\n}\n}\n";
    let parse = |variables: &str| {
        let body = serde_json::json!({"JobHCL": text, "Variables": variables});
        station.request("PUT", "/v1/jobs/parse", &body.to_string())
    };
    let (status, job) = parse("n = \"me\"\nother = 1\n");
    let job: Value = serde_json::from_str(&job).unwrap();
    assert_eq!((status.as_str(), &job["TaskGroups"][0]["Tasks"][0]["User"]), ("200", &"me".into()));
    let (status, said) = parse("");
    assert!(status == "400" && said.contains("Unset variable \"n\""), "{said}");
}

#[test]
fn the_paths_every_client_asks_first_are_answered() {
    let station = Station::start();
    for path in [
        "/v1/jobs",
        "/v1/nodes",
        "/v1/allocations",
        "/v1/evaluations",
        "/v1/deployments",
        "/v1/agent/self",
        "/v1/agent/members",
        "/v1/agent/servers",
        "/v1/agent/health",
        "/v1/status/leader",
        "/v1/status/peers",
        "/v1/regions",
        "/v1/namespaces",
        "/v1/drivers",
    ] {
        assert!(!station.get(path).is_null(), "{path}");
    }
    let node = &station.get("/v1/nodes")[0];
    let whole = station.get(&format!("/v1/node/{}", node["ID"].as_str().unwrap()));
    assert_eq!(whole["Status"], "ready");
    assert!(whole["NodeResources"]["Memory"]["MemoryMB"].as_u64().unwrap() > 0);
    assert!(whole["Drivers"]["raw_exec"]["Healthy"].is_boolean(), "{whole}");
    let usage = station.get("/v1/client/stats");
    assert!(usage["Memory"]["Used"].as_u64().unwrap() < usage["Memory"]["Total"].as_u64().unwrap(), "{usage}");
    assert!(usage["CPU"][0]["Idle"].as_f64().unwrap() <= 100.0 && usage["Uptime"].as_u64().unwrap() > 0, "{usage}");
}

#[test]
fn a_submitted_job_is_seen_by_every_path() {
    let station = Station::start();
    let alloc = station.run_job("sleep", SLEEP);
    let job = station.get("/v1/job/sleep");
    assert_eq!(job["Status"], "running");
    assert_eq!(job["TaskGroups"][0]["Tasks"][0]["KillTimeout"], 1_000_000_000_u64);
    assert_eq!(station.get("/v1/jobs?prefix=sl")[0]["JobSummary"]["Summary"]["g"]["Running"], 1);
    assert_eq!(station.get("/v1/jobs?prefix=x"), Value::Array(Vec::new()));
    assert_eq!(station.get("/v1/job/sleep/summary")["Summary"]["g"]["Running"], 1);
    assert_eq!(station.get("/v1/job/sleep/deployment"), Value::Null);
    assert_eq!(station.get("/v1/job/sleep/versions")["Versions"][0]["ID"], "sleep");
    assert!(station.get("/v1/job/sleep/submission")["Source"].as_str().unwrap().contains("job \"sleep\""));
    let evaluation = &station.get("/v1/job/sleep/evaluations")[0];
    assert_eq!(evaluation["Status"], "complete");
    let id = evaluation["ID"].as_str().unwrap();
    assert_eq!(station.get(&format!("/v1/evaluation/{id}"))["TriggeredBy"], "job-register");
    assert_eq!(station.get(&format!("/v1/evaluation/{id}/allocations"))[0]["ID"], alloc.as_str());
    let whole = station.get(&format!("/v1/allocation/{alloc}"));
    assert_eq!(whole["Job"]["ID"], "sleep");
    assert_eq!(whole["ClientStatus"], "running");
    assert_eq!(whole["TaskStates"]["t"]["State"], "running");
    assert_eq!(whole["TaskResources"]["t"]["MemoryMB"], 300);
    assert_eq!((&whole["Resources"]["MemoryMB"], &whole["Resources"]["DiskMB"]), (&300.into(), &300.into()));
    let here = station.get("/v1/nodes")[0]["ID"].as_str().unwrap().to_owned();
    assert_eq!(station.get(&format!("/v1/node/{here}/allocations"))[0]["Job"]["ID"], "sleep");
    assert_eq!(station.get("/v1/job/sleep/versions")["Versions"][0]["Stable"], false);
    for (prefix, context, kind, found) in [
        ("sl", "all", "jobs", "sleep"),
        (&alloc[..8], "all", "allocs", &alloc),
        (&alloc[..8], "allocs", "allocs", &alloc),
        (id, "", "evals", id),
        (&here, "nodes", "nodes", &here),
    ] {
        let body = format!("{{\"Prefix\": \"{prefix}\", \"Context\": \"{context}\"}}");
        let (status, body) = station.request("PUT", "/v1/search", &body);
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(status, "200");
        assert_eq!(answer["Matches"][kind][0], found, "{answer}");
        assert_eq!(answer["Truncations"][kind], false);
    }
    assert_eq!(station.get(&format!("/v1/allocations?prefix={}", &alloc[..8]))[0]["ID"], alloc.as_str());
}

#[test]
fn a_read_with_an_index_waits_for_something_newer() {
    let station = Station::start();
    let socket = station.path("data/api.sock");
    let index = |headers: &str| -> u64 {
        let line = headers.lines().find(|line| line.to_lowercase().starts_with("x-nomad-index:")).unwrap();
        line.split(':').nth(1).unwrap().trim().parse().unwrap()
    };
    let socket = socket.to_str().unwrap();
    let head = |path: &str| {
        let url = format!("http://localhost{path}");
        crate::harness::run("curl", &["-s", "-o", "/dev/null", "-D", "-", "--unix-socket", socket, &url]).ok()
    };
    let before = index(&head("/v1/jobs"));
    let path = format!("/v1/jobs?index={before}&wait=60s");
    let waiting = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| index(&head(&path)));
        station.run_job("sleep", SLEEP);
        waiting.join().unwrap()
    });
    assert!(waiting > before, "{waiting} > {before}");
    let ended = index(&head(&format!("/v1/jobs?index={}&wait=1ms", u64::MAX / 2)));
    assert!(ended >= waiting);
}

#[test]
fn a_jobs_files_are_shown_and_none_outside_and_no_secrets() {
    let station = Station::start();
    let alloc = station.run_job("sleep", SLEEP);
    let fs = |what: &str, path: &str| station.request("GET", &format!("/v1/client/fs/{what}/{alloc}?path={path}"), "");
    let (status, listed) = fs("ls", "/");
    assert_eq!(status, "200", "{listed}");
    assert!(listed.contains("\"Name\":\"alloc\"") && listed.contains("\"Name\":\"t\""), "{listed}");
    std::fs::write(station.path("data/allocs").join(&alloc).join("t/local/a"), "text").unwrap();
    assert_eq!(fs("cat", "t/local/a"), ("200".into(), "text".into()));
    assert!(fs("stat", "t/local/a").1.contains("\"Size\":4"));
    let local = station.path("data/allocs").join(&alloc).join("t/local");
    std::os::unix::fs::symlink("/etc/hostname", local.join("out")).unwrap();
    std::os::unix::fs::symlink("../secrets", local.join("hidden")).unwrap();
    std::fs::write(local.join("../secrets/key"), "secret").unwrap();
    for path in ["../../../etc/hostname", "t/local/out", "t/secrets/key", "t/local/hidden/key", "t/local"] {
        let (status, body) = fs("cat", path);
        assert_eq!(status, "400", "{path}: {body}");
    }
    assert_eq!(fs("cat", "t/local/none").0, "404");
}
