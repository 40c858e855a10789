//! What is left of networks on this machine when nobody needs them any more: nothing.

use std::process::Command;

use crate::{
    docker::Image,
    harness::{PROGRAM, fetch, run},
    network::{Net, holder, mixed, page, pin, traces},
};

#[test]
fn an_agent_takes_along_what_its_last_networks_shared() {
    let image = Image::make("last");
    let mut net = Net::start(9);
    let alloc = net.station.run_job("mixed", &mixed(&image.0));
    let address = net.station.address(&alloc, "http");
    assert_eq!(fetch(&address), format!("mixed-0 {alloc}\n"));
    // Tasks go on, and what they need with them.
    net.station.end();
    assert_eq!(fetch(&address), format!("mixed-0 {alloc}\n"));
    assert!(traces(&net.bridge).len() >= 3, "{:?}", traces(&net.bridge));

    // The agent ends as soon as it has said that the job's tasks are gone.
    net.station.launch();
    net.station.cli(&["job", "stop", "--purge", "mixed"]).ok();
    net.station.end();
    assert_eq!(traces(&net.bridge), Vec::<String>::new());
    assert!(!pin(&alloc).exists());
    assert_eq!(holder(&alloc), None);

    // What an agent left that was killed, the next takes along.
    net.station.launch();
    let alloc = net.station.run_job("page", &page("page", "bridge"));
    net.station.cli(&["job", "stop", "page"]).ok();
    net.ends("page", &alloc);
    net.station.kill();
    assert!(traces(&net.bridge).len() >= 3, "{:?}", traces(&net.bridge));
    net.station.launch();
    net.station.end();
    assert_eq!(traces(&net.bridge), Vec::<String>::new());
}

#[test]
fn a_job_in_the_foreground_leaves_nothing() {
    let net = Net::prepare(10);
    let job = page("short", "bridge")
        .replace("job \"short\" {", "job \"short\" {\n  type = \"batch\"")
        .replace("exec busybox httpd", "ip -o addr show eth0; exec true");
    let path = net.station.job("short", &job);
    // A machine whose state is this test's.
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs none /var/lib && exec \"$0\" run --config \"$1\" \"$2\"";
    command.args(["--mount", "sh", "-c", script, PROGRAM]).arg(net.station.path("agent.hcl")).arg(path);
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && said.contains("10.213.10.2/24"), "{said}");
    assert_eq!(traces(&net.bridge), Vec::<String>::new());
    let pins = run("ip", &["netns", "list"]).ok();
    assert!(
        said.lines().all(|line| line.split('/').next().is_none_or(|id| id.len() < 8 || !pins.contains(id))),
        "{pins}"
    );
}
