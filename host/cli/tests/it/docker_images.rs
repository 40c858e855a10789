//! Which image a task runs, whatever becomes of its tag, and what is shown of it.

use std::{
    fs,
    net::TcpListener,
    process::{Child, Command, Stdio},
};

use crate::{
    docker::{Image, containers, gone},
    harness::{Station, eventually, run},
};

fn job(image: &str, config: &str) -> String {
    format!(
        r#"
job "pinned" {{
  group "g" {{
    restart {{
      attempts = 10
      interval = "10m"
      delay    = "4s"
    }}
    task "t" {{
      driver = "docker"
      config {{
        image   = "{image}"
        command = "sh"
        args    = ["-c", "while :; do busybox sleep 1; done"]
        {config}
      }}
      kill_signal = "SIGKILL"
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

fn id_of(image: &str) -> String {
    run("docker", &["image", "inspect", "--format", "{{.Id}}", image]).ok().trim().to_owned()
}

/// The image id of an allocation's container, once a container runs that was not there before.
fn runs(alloc: &str, before: &mut Vec<String>) -> String {
    let container = eventually("another container runs", || {
        let new = containers(alloc).into_iter().find(|id| !before.contains(id))?;
        let state = run("docker", &["inspect", "--format", "{{.State.Running}} {{.Image}}", &new]);
        Some((new, state.out.strip_prefix("true ")?.trim().to_owned()))
    });
    before.push(container.0);
    container.1
}

/// Waits until the agent shows an image for the task; answers its digest.
fn shown(station: &Station, alloc: &str, id: &str) -> Option<String> {
    eventually("the image is shown", || {
        let document = station.get(&format!("/v1/allocation/{alloc}"));
        let image = &document["TaskImages"]["t"];
        (image["ID"] == id).then(|| image["Digest"].as_str().map(str::to_owned))
    })
}

#[test]
fn a_task_keeps_its_image_though_its_tag_has_moved() {
    let image = Image::make("moving");
    let mut station = Station::start();
    let first = id_of(&image.0);
    let (alloc, mut seen) = (station.run_job("pinned", &job(&image.0, "")), Vec::new());
    assert_eq!(runs(&alloc, &mut seen), first);
    assert_eq!(shown(&station, &alloc, &first), None, "no registry has it");

    image.import("/etc/second", &[]);
    let second = id_of(&image.0);
    assert_ne!(first, second);
    station.cli(&["alloc", "restart", &alloc[..8]]).ok();
    assert_eq!(runs(&alloc, &mut seen), first);
    // An agent that was killed remembers.
    station.kill();
    station.launch();
    station.until_task(&alloc, "t", "it is found again", |state| state["State"] == "running");
    station.cli(&["alloc", "restart", &alloc[..8]]).ok();
    assert_eq!(runs(&alloc, &mut seen), first);
    let status = station.cli(&["alloc", "status", &alloc[..8]]).ok();
    assert!(status.contains(&first), "{status}");

    // A new allocation takes the tag as it is.
    let next = station.run_job("pinned", &job(&image.0, "init = true"));
    assert_eq!(runs(&next, &mut seen), second);
    station.cli(&["job", "stop", "pinned"]).ok();
    gone(&next);
    run("docker", &["rmi", "-f", &first]);
}

/// Debian's `docker-registry` on loopback.
struct Registry {
    _dir: tempfile::TempDir,
    child: Child,
    address: String,
}

impl Registry {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let store = dir.path().join("store");
        let config = serde_json::json!({
            "version": "0.1",
            "storage": {"filesystem": {"rootdirectory": store}},
            "http": {"addr": address},
        });
        // JSON is YAML.
        fs::write(dir.path().join("config.yml"), config.to_string()).unwrap();
        let mut serve = Command::new("docker-registry");
        serve.arg("serve").arg(dir.path().join("config.yml")).stdout(Stdio::null()).stderr(Stdio::null());
        let child = serve.spawn().expect("Debian's docker-registry is needed");
        eventually("the registry listens", || std::net::TcpStream::connect(&address).ok());
        Self { _dir: dir, child, address }
    }

    /// Pushes an image as `web:1`; answers its name and its id.
    fn push(&self, image: &Image) -> (String, String) {
        let name = format!("{}/web:1", self.address);
        run("docker", &["tag", &image.0, &name]).ok();
        run("docker", &["push", "-q", &name]).ok();
        let id = id_of(&name);
        (name, id)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        run("docker", &["rmi", "-f", &format!("{}/web:1", self.address)]);
        let _ = (self.child.kill(), self.child.wait());
    }
}

#[test]
fn an_image_that_was_removed_is_fetched_by_its_digest_unless_each_start_is_to_pull() {
    let image = Image::make("fetched");
    let registry = Registry::start();
    let station = Station::start();
    let (name, first) = registry.push(&image);
    let (alloc, mut seen) = (station.run_job("pinned", &job(&name, "")), Vec::new());
    assert_eq!(runs(&alloc, &mut seen), first);
    let digest = shown(&station, &alloc, &first).expect("a registry has it");
    assert!(digest.starts_with(&format!("{}/web@sha256:", registry.address)), "{digest}");

    // The tag moves, the image goes, and so does the container.
    image.import("/etc/second", &[]);
    let (_, second) = registry.push(&image);
    run("docker", &["rm", "-f", seen.last().unwrap()]).ok();
    run("docker", &["rmi", "-f", &first]).ok();
    assert_eq!(runs(&alloc, &mut seen), first);
    let used = run("docker", &["inspect", "--format", "{{.Config.Image}}", seen.last().unwrap()]).ok();
    assert_eq!(used.trim(), digest);

    let pulling = station.run_job("pinned", &job(&name, "force_pull = true"));
    assert_eq!(runs(&pulling, &mut seen), second);
    image.import("/etc/third", &[]);
    let (_, third) = registry.push(&image);
    station.cli(&["alloc", "restart", &pulling[..8]]).ok();
    assert_eq!(runs(&pulling, &mut seen), third);
    shown(&station, &pulling, &third);
    station.cli(&["job", "stop", "pinned"]).ok();
    gone(&pulling);
    run("docker", &["rmi", "-f", &first, &second, &third]);
}

#[test]
fn the_health_that_an_image_tells_is_shown() {
    let image = Image::named("healthy");
    image.import("/etc/healthy", &[r#"HEALTHCHECK --interval=200ms CMD ["busybox", "test", "-e", "/etc/healthy"]"#]);
    let station = Station::start();
    let alloc = station.run_job("pinned", &job(&image.0, ""));
    let container = &containers(&alloc)[0];
    let facts = |key: &str| station.get(&format!("/v1/allocation/{alloc}"))["TaskFacts"]["t"][key].clone();
    eventually("it is healthy", || (facts("health") == "healthy").then_some(()));
    assert_eq!(facts("container_id"), **container);
    run("docker", &["exec", container, "busybox", "rm", "/etc/healthy"]).ok();
    eventually("it is not", || {
        let status = station.cli(&["alloc", "status", &alloc[..8]]).ok();
        status.contains("unhealthy").then_some(())
    });
    station.cli(&["job", "stop", "pinned"]).ok();
    gone(&alloc);
}
