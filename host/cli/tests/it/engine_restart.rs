//! A Docker group with a network of its own, whose engine goes away and comes back: a private `dockerd`, really restarted.

use crate::{
    daemon::Daemon,
    docker::Image,
    harness::{eventually, fetch, run},
    network::{Net, mixed},
};

/// An engine and an agent on it. In this order: what the agent stops, the engine must still be there to stop.
struct Scene {
    net: Net,
    engine: Daemon,
    alloc: String,
    page: String,
    address: String,
}

impl Scene {
    /// A container and a process that share a network.
    fn begin(number: u8, arguments: &[&str]) -> Self {
        let mut engine = Daemon::new(arguments);
        engine.start();
        let image = Image::make_on(&engine.endpoint(), "restarted");
        let config = format!("docker {{\n  endpoint = {:?}\n}}\n", engine.endpoint());
        let mut net = Net::configured(number, "", &config);
        net.station.launch();
        let alloc = net.station.run_job("mixed", &mixed(&image.0));
        let address = net.station.address(&alloc, "http");
        let page = format!("mixed-0 {alloc}\n");
        assert_eq!(fetch(&address), page);
        Self { net, engine, alloc, page, address }
    }

    fn status(&self) -> serde_json::Value {
        self.net.station.get(&format!("/v1/allocation/{}", self.alloc))["NetworkStatus"].clone()
    }

    fn restarts(&self, task: &str) -> u64 {
        let alloc = self.net.station.get(&format!("/v1/allocation/{}", self.alloc));
        alloc["TaskStates"][task]["Restarts"].as_u64().unwrap()
    }

    /// The whole id of the container that holds the network.
    fn holder(&self) -> Option<String> {
        let filter = format!("name=longshore_init_{}", self.alloc);
        let endpoint = self.engine.endpoint();
        let out = run("docker", &["-H", &endpoint, "ps", "-q", "--no-trunc", "--filter", &filter]).out;
        out.lines().next().map(str::to_owned)
    }

    fn serves(&self) {
        eventually("the page is back", || (fetch(&self.address) == self.page).then_some(()));
    }

    /// The job's end, and nothing of it left.
    fn end(self) {
        self.net.ends("mixed", &self.alloc);
        let endpoint = self.engine.endpoint();
        let label = format!("label=longshore.alloc_id={}", self.alloc);
        eventually("no container is left", || {
            run("docker", &["-H", &endpoint, "ps", "-aq", "--filter", &label]).ok().is_empty().then_some(())
        });
    }
}

#[test]
fn an_engine_that_takes_its_containers_along_gets_the_network_back() {
    let mut scene = Scene::begin(21, &[]);
    let (before, first) = (scene.status(), scene.holder().unwrap());
    for _ in 0..2 {
        scene.engine.stop();
        // Meanwhile somebody loads his firewall anew.
        run("nft", &["delete", "table", "inet", &format!("longshore_{}", scene.net.bridge)]).ok();
        scene.engine.start();
        scene.serves();
    }
    assert_ne!(scene.holder().unwrap(), first);
    assert_eq!(scene.status(), before, "it keeps its address");
    assert!(scene.restarts("web") >= 2);
    let inside = before["Address"].as_str().unwrap();
    let seen = scene.net.station.cli(&["alloc", "exec", "--task", "side", &scene.alloc, "ip", "-o", "-4", "addr"]).ok();
    assert!(seen.contains(inside), "the process is in the network again: {seen}");
    scene.end();
}

#[test]
fn an_engine_that_leaves_its_containers_running_changes_nothing() {
    let mut scene = Scene::begin(22, &["--live-restore"]);
    let (before, first) = (scene.status(), scene.holder().unwrap());
    scene.engine.stop();
    assert_eq!(fetch(&scene.address), scene.page, "nobody needs the engine for that");
    run("nft", &["delete", "table", "inet", &format!("longshore_{}", scene.net.bridge)]).ok();
    scene.serves();
    scene.engine.start();
    eventually("the holder is known again", || scene.holder().filter(|found| *found == first));
    scene.serves();
    assert_eq!((scene.restarts("web"), scene.restarts("side")), (0, 0));
    assert_eq!(scene.status(), before);

    // What starts again while the engine is away waits for it, however often that would be too often for a job.
    scene.engine.stop();
    scene.net.station.cli(&["alloc", "restart", &scene.alloc, "side"]).ok();
    let waits = |state: &serde_json::Value| state["Events"].to_string().contains("Waiting for driver docker");
    scene.net.station.until_task(&scene.alloc, "side", "it waits", waits);
    scene.engine.start();
    let runs = |state: &serde_json::Value| state["State"] == "running";
    scene.net.station.until_task(&scene.alloc, "side", "it runs again", runs);
    assert_eq!((scene.status(), scene.restarts("web")), (before.clone(), 0));

    // The holder dies while the agent does not look; what runs goes on, with what starts again everything moves.
    scene.net.station.kill();
    run("docker", &["-H", &scene.engine.endpoint(), "kill", &first]).ok();
    scene.net.station.launch();
    assert_eq!(fetch(&scene.address), scene.page);
    scene.net.station.cli(&["alloc", "restart", &scene.alloc, "web"]).ok();
    eventually("another holder", || scene.holder().filter(|second| *second != first));
    scene.serves();
    assert_eq!(scene.status(), before);
    scene.end();
}
