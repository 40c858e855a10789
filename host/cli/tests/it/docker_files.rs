//! What a container finds of the allocation's files, whoever it runs as.

use crate::{
    docker::{Image, gone},
    harness::Station,
};

#[test]
fn volumes_begin_at_the_tasks_directory_and_are_made() {
    let image = Image::make("files-volumes");
    let station = Station::start();
    let script = "echo up > /of-group/f; echo $(busybox id -u) > /secrets/key; busybox ls -d /made /local/made; exec busybox sleep 600";
    let job = format!(
        r#"
job "files" {{
  group "g" {{
    task "t" {{
      driver = "docker"
      user   = "1234"
      config {{
        image   = "{}"
        command = "sh"
        args    = ["-c", "{script}"]
        volumes = ["../alloc/data:/of-group", "local/made:/made"]
      }}
      resources {{
        cpu    = 50
        memory = 32
      }}
      kill_signal = "SIGKILL"
    }}
  }}
}}
"#,
        image.0
    );
    let alloc = station.run_job("files", &job);
    let out = crate::harness::eventually("it has spoken", || {
        let out = station.cli(&["alloc", "logs", &alloc[..8]]).ok();
        (out.lines().count() == 2).then_some(out)
    });
    assert_eq!(out, "/local/made\n/made\n");
    let read = |path: &str| std::fs::read_to_string(station.path("data/allocs").join(&alloc).join(path)).unwrap();
    assert_eq!((read("alloc/data/f").as_str(), read("t/secrets/key").as_str()), ("up\n", "1234\n"));
    let wrong = job.replace("../alloc/data", "../../other/alloc");
    let said = station.cli(&["job", "run", &station.job("files", &wrong)]).refused(2);
    assert!(said.contains("/allocs/other/alloc") && said.contains("allow_host_binds"), "{said}");
    station.cli(&["job", "stop", "--purge", "files"]).ok();
    gone(&alloc);
}
