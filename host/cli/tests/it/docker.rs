//! Jobs of containers, on the machine's own Docker Engine, checked with `docker` and curl.

use std::fs;

use serde_json::json;

use crate::harness::{Station, eventually, fetch, goes_through, run};

/// An image of Debian's static busybox, of one test's own: none can be pulled. Removed with it.
pub struct Image(pub String);

/// Where the machine's own engine listens.
const MACHINES: &str = "unix:///var/run/docker.sock";

impl Image {
    pub fn make(test: &str) -> Self {
        Self::make_on(MACHINES, test)
    }

    /// On another engine, which goes, with the image, when the test ends.
    pub fn make_on(endpoint: &str, test: &str) -> Self {
        let image = Self::named(test);
        image.import_on(endpoint, "/etc/nothing", &[]);
        image
    }

    /// Its name, which nothing has yet.
    pub fn named(test: &str) -> Self {
        Self(format!("longshore-it/{test}:{}", std::process::id()))
    }

    /// Makes it anew, with a file of its own and changes such as `HEALTHCHECK …`: the name moves.
    pub fn import(&self, file: &str, changes: &[&str]) {
        self.import_on(MACHINES, file, changes);
    }

    fn import_on(&self, endpoint: &str, file: &str, changes: &[&str]) {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["bin", "tmp", "etc"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        fs::copy("/bin/busybox", dir.path().join("bin/busybox")).expect("Debian's busybox-static is needed");
        std::os::unix::fs::symlink("busybox", dir.path().join("bin/sh")).unwrap();
        fs::write(dir.path().join(&file[1..]), "").unwrap();
        let import = "dir=$1; engine=$2; shift 2; tar -C \"$dir\" -c . | docker -H \"$engine\" import \"$@\"";
        let changes = changes.iter().flat_map(|change| ["--change", change]);
        let arguments = ["-c", import, "sh", dir.path().to_str().unwrap(), endpoint].into_iter().chain(changes);
        run("sh", &arguments.chain(["-", &self.0]).collect::<Vec<_>>()).ok();
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        run("docker", &["rmi", "-f", &self.0]);
    }
}

/// A page on port 8080 of a container, published on a port of the host's choice.
fn page(image: &str) -> String {
    format!(
        r#"
job "page" {{
  group "g" {{
    network {{
      port "http" {{
        to = 8080
      }}
    }}
    restart {{
      attempts = 1
      delay    = "0s"
    }}
    task "t" {{
      driver = "docker"
      config {{
        image   = "{image}"
        command = "sh"
        args    = ["-c", "busybox echo served by $NOMAD_ALLOC_ID > /local/index.html; busybox echo up; exec busybox httpd -f -p 8080 -h /local"]
        ports   = ["http"]
      }}
      resources {{
        cpu    = 50
        memory = 32
      }}
    }}
  }}
}}
"#
    )
}

/// Ids of the containers of an allocation, running or not, as `docker` sees them.
pub fn containers(alloc: &str) -> Vec<String> {
    let label = format!("label=longshore.alloc_id={alloc}");
    let out = run("docker", &["ps", "-aq", "--no-trunc", "--filter", &label]).ok();
    out.lines().map(str::to_owned).collect()
}

/// Waits until nothing is left of an allocation.
#[track_caller]
pub fn gone(alloc: &str) {
    eventually("its containers are removed", || containers(alloc).is_empty().then_some(()));
}

fn inspect(container: &str, format: &str) -> String {
    run("docker", &["inspect", "--format", format, container]).ok().trim().to_owned()
}

#[test]
fn a_container_is_published_limited_read_entered_and_removed() {
    let image = Image::make("published");
    let station = Station::start();
    let alloc = station.run_job("page", &page(&image.0));
    assert_eq!(fetch(&station.address(&alloc, "http")).trim(), format!("served by {alloc}"));
    let [container] = &containers(&alloc)[..] else { panic!("one container, not {:?}", containers(&alloc)) };
    assert_eq!(inspect(container, "{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}}"), "33554432 33554432");
    assert_eq!(inspect(container, "{{.HostConfig.CpuShares}} {{.HostConfig.Privileged}}"), "50 false");
    assert_eq!(inspect(container, "{{.Name}}"), format!("/t-{alloc}"));
    let port = station.address(&alloc, "http").rsplit(':').next().unwrap().to_owned();
    let bindings = inspect(container, "{{json .HostConfig.PortBindings}}");
    assert!(bindings.contains("8080/tcp") && bindings.contains("8080/udp") && bindings.contains(&port), "{bindings}");

    let short = &alloc[..8];
    eventually("its output", || (station.cli(&["alloc", "logs", short]).ok() == "up\n").then_some(()));
    let ran = station.cli(&["alloc", "exec", short, "sh", "-c", "busybox cat /local/index.html; exit 5"]);
    assert_eq!((ran.code, ran.out.trim()), (5, &*format!("served by {alloc}")), "{}", ran.err);
    goes_through(&station, &["alloc", "exec", "-t=false", short, "busybox", "cat"]);

    station.cli(&["job", "stop", "page"]).ok();
    assert_eq!(containers(&alloc), [""; 0], "it is removed when the command returns");
    station.cli(&["job", "stop", "--purge", "page"]).ok();
    assert_eq!(station.get("/v1/jobs"), json!([]), "it is forgotten when the command returns");
}

#[test]
fn a_killed_agent_loses_no_container_and_finds_it_again() {
    let image = Image::make("killed");
    let mut station = Station::start();
    let alloc = station.run_job("page", &page(&image.0));
    let address = station.address(&alloc, "http");
    let before = containers(&alloc);
    station.kill();
    assert_eq!(fetch(&address).trim(), format!("served by {alloc}"), "the task does not notice");
    station.launch();
    let state = station.until_task(&alloc, "t", "it runs", |state| state["State"] == "running");
    assert_eq!(state["Restarts"], 0, "{state}");
    assert_eq!(containers(&alloc), before);
    eventually("no line twice", || (station.cli(&["alloc", "logs", &alloc[..8]]).ok() == "up\n").then_some(()));
    station.cli(&["job", "stop", "page"]).ok();
    gone(&alloc);
}

#[test]
fn a_container_removed_behind_our_back_is_started_anew() {
    let image = Image::make("removed");
    let station = Station::start();
    let alloc = station.run_job("page", &page(&image.0));
    fetch(&station.address(&alloc, "http"));
    let before = containers(&alloc);
    run("docker", &["rm", "-f", &before[0]]).ok();
    station.until_task(&alloc, "t", "a restart", |state| state["Restarts"] == 1 && state["State"] == "running");
    assert_eq!(fetch(&station.address(&alloc, "http")).trim(), format!("served by {alloc}"));
    assert_ne!(containers(&alloc), before);
}

#[test]
fn what_policy_forbids_is_refused_with_the_setting_that_would_allow_it() {
    let image = Image::make("policy");
    let station = Station::start();
    let table = [
        ("privileged = true", "allow_privileged"),
        ("volumes = [\"/etc:/host\"]", "allow_host_binds"),
        ("cap_add = [\"sys_admin\"]", "sys_admin"),
        ("pid_mode = \"host\"", "allow_host_namespaces"),
    ];
    for (wish, expected) in table {
        let text = page(&image.0).replace("command = \"sh\"", &format!("command = \"sh\"\n        {wish}"));
        for bridged in [false, true] {
            let text =
                if bridged { text.replace("network {", "network {\n      mode = \"bridge\"") } else { text.clone() };
            for command in ["validate", "run"] {
                let said = station.cli(&["job", command, &station.job("page", &text)]).refused(2);
                assert!(said.contains(expected), "{wish}, {command}: {said}");
            }
        }
    }
    assert_eq!(station.get("/v1/allocations"), json!([]));
}

#[test]
fn an_image_that_is_nowhere_fails_the_task_with_its_name() {
    let station = Station::start();
    let text =
        page("127.0.0.1:1/longshore-it/nowhere:1").replace("attempts = 1", "attempts = 0\n      mode = \"fail\"");
    let said = station.cli(&["job", "run", &station.job("page", &text)]).refused(1);
    assert!(said.contains("127.0.0.1:1/longshore-it/nowhere"), "{said}");
}

#[test]
fn without_an_engine_docker_jobs_are_refused_and_others_run() {
    let config = "docker {\n  endpoint = \"unix:///nonexistent/docker.sock\"\n}\n";
    let station = Station::with(config, &["--dev"]);
    let said = station.cli(&["job", "run", &station.job("page", &page("any:1"))]).refused(2);
    assert!(said.contains("docker") && said.contains("/nonexistent/docker.sock"), "{said}");
    let other = "job \"other\" {\n  group \"g\" {\n    task \"t\" {\n      driver = \"raw_exec\"\n      config {\n        \
                 command = \"/bin/sleep\"\n        args = [\"60\"]\n      }\n    }\n  }\n}\n";
    station.run_job("other", other);
}

#[test]
fn the_example_job_answers() {
    let image = Image::make("example");
    let station = Station::start();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/jobs/web-docker.nomad.hcl");
    station.cli(&["job", "run", "--var", &format!("image={}", image.0), example]).ok();
    let alloc = station.allocation("web-docker");
    assert!(fetch(&station.address(&alloc, "http")).contains("hello from web-docker"));
    station.cli(&["job", "stop", "web-docker"]).ok();
    gone(&alloc);
}
