//! Pause containers that are there before the allocations they are for, seen with `docker`.

use std::collections::BTreeSet;

use crate::{
    docker::Image,
    harness::{eventually, fetch, run},
    network::{Net, holder},
};

/// A container in a network of its group's own, of which the job says only the mode. It serves its host name.
fn page(name: &str, image: &str) -> String {
    format!(
        r#"
job "{name}" {{
  group "g" {{
    network {{
      mode = "bridge"
      port "http" {{
        to = 8080
      }}
    }}
    task "web" {{
      driver = "docker"
      config {{
        image   = "{image}"
        command = "sh"
        args    = ["-c", "busybox hostname > /local/index.html; exec busybox httpd -f -p 8080 -h /local"]
      }}
    }}
  }}
}}
"#
    )
}

/// The agent that made a container.
fn maker(container: &str) -> String {
    let label = "{{index .Config.Labels \"longshore.agent\"}}";
    run("docker", &["inspect", "-f", label, container]).ok().trim().to_owned()
}

/// Pause containers of an agent: id, name, when it was made, whether it runs.
fn all_of(agent: &str) -> Vec<[String; 4]> {
    let filter = format!("label=longshore.agent={agent}");
    let ids = run("docker", &["ps", "-aq", "--no-trunc", "--filter", &filter, "--filter", "name=longshore_init_"]).ok();
    let look = |id: &str| {
        let seen = run("docker", &["inspect", "-f", "{{.Id}} {{.Name}} {{.Created}} {{.State.Running}}", id]);
        let words: Vec<String> = seen.out.split_whitespace().map(str::to_owned).collect();
        words.try_into().ok()
    };
    ids.lines().filter_map(look).collect()
}

/// Waits until an agent has two that run and are not among `others`.
fn spares(agent: &str, others: &[&str]) -> Vec<[String; 4]> {
    eventually("two pause containers are ready", || {
        let mut all = all_of(agent);
        all.retain(|[id, ..]| !others.contains(&id.as_str()));
        (all.len() == 2 && all.iter().all(|[.., running]| running == "true")).then_some(all)
    })
}

#[test]
fn a_pause_container_is_there_before_its_allocation() {
    let image = Image::make("spare");
    let mut net = Net::start(41);
    let first = net.station.run_job("first", &page("first", &image.0));
    let of_first = holder(&first).unwrap();
    let agent = maker(&of_first);
    let ready = spares(&agent, &[&of_first]);
    let listed = net.station.get("/v1/allocations");
    assert_eq!(listed.as_array().unwrap().len(), 1, "they are nobody's allocations: {listed}");

    let second = net.station.run_job("second", &page("second", &image.0));
    let of_second = holder(&second).unwrap();
    let now = all_of(&agent).into_iter().find(|[id, ..]| *id == of_second).unwrap();
    assert!(ready.contains(&now), "{now:?} is not of {ready:?}");
    assert_eq!(now[1], format!("/longshore_init_{second}"));
    // Nothing tells it from one that was made for the allocation.
    for (alloc, holder) in [(&first, &of_first), (&second, &of_second)] {
        assert_eq!(fetch(&net.station.address(alloc, "http")), format!("{}\n", &holder[..12]));
        let document = net.station.get(&format!("/v1/allocation/{alloc}"));
        let inside = document["NetworkStatus"]["Address"].as_str().unwrap();
        let hosts = net.station.cli(&["alloc", "exec", alloc, "busybox", "cat", "/etc/hosts"]).ok();
        assert!(hosts.contains(&format!("{inside} {}\n", &holder[..12])), "{hosts}");
    }

    // Those that died meanwhile are of no harm.
    let ready = spares(&agent, &[&of_first, &of_second]);
    ready.iter().for_each(|[id, ..]| drop(run("docker", &["kill", id]).ok()));
    let third = net.station.run_job("third", &page("third", &image.0));
    let of_third = holder(&third).unwrap();
    assert!(ready.iter().all(|[id, ..]| *id != of_third), "{of_third} is dead");
    let address = net.station.address(&third, "http");
    assert_eq!(fetch(&address), format!("{}\n", &of_third[..12]));

    // Those of an agent that was killed give way to the next one's.
    let before: BTreeSet<_> = all_of(&agent).into_iter().map(|[id, ..]| id).collect();
    net.station.kill();
    net.station.launch();
    let taken = [of_first.as_str(), &of_second, &of_third];
    for [id, ..] in spares(&agent, &taken) {
        assert!(!before.contains(&id), "{id} is the killed agent's");
    }

    // They go with their agent; what allocations have stays.
    net.station.end();
    let left: BTreeSet<_> = all_of(&agent).into_iter().map(|[id, ..]| id).collect();
    assert_eq!(left, taken.map(str::to_owned).into());
    assert_eq!(fetch(&address), format!("{}\n", &of_third[..12]));

    // Nothing is left of agent and allocations together.
    net.station.launch();
    for job in ["first", "second", "third"] {
        net.station.cli(&["job", "stop", "--purge", job]).ok();
    }
    eventually("the allocations' pause containers are gone", || {
        all_of(&agent).iter().all(|[id, ..]| !taken.contains(&id.as_str())).then_some(())
    });
    net.station.end();
    assert!(all_of(&agent).is_empty(), "{:?}", all_of(&agent));
}
