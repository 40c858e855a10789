//! The `Job` document of the API, in and out.

use std::time::Duration;

use longshore_job::model::{Constraint, Job, JobKind, Network, Port, Task, TaskGroup};
use longshore_job::{from_json, to_json};
use proptest::prelude::*;
use serde_json::{Value, json};

fn read(document: &Value) -> Result<Job, String> {
    from_json(document.to_string().as_bytes()).map(|parsed| parsed.job).map_err(|found| found.plain())
}

fn minimal() -> Value {
    json!({"ID": "j", "TaskGroups": [{"Name": "g", "Tasks": [{"Name": "t", "Driver": "d"}]}]})
}

#[test]
fn wrapped_bare_and_in_any_case_are_the_same() {
    let job = read(&minimal()).unwrap();
    assert_eq!(read(&json!({"Job": minimal(), "EnforceIndex": false})), Ok(job.clone()));
    let lower = json!({"id": "j", "taskgroups": [{"NAME": "g", "tasks": [{"name": "t", "driver": "d"}]}]});
    assert_eq!(read(&lower), Ok(job.clone()));
    let by_file = longshore_job::parse_str("j.json", &minimal().to_string(), &Default::default());
    assert_eq!(by_file.unwrap().job, job);
}

/// As the established client sends it: a field for everything, null where nothing was written.
#[test]
fn nulls_and_unknown_fields_mean_nothing() {
    let mut document = minimal();
    let fields = "Region Namespace Name Type Priority AllAtOnce Datacenters NodePool Constraints Affinities \
                  Update Multiregion Spreads Periodic ParameterizedJob Reschedule Migrate Meta ConsulToken \
                  VaultToken Stop ParentID Status Version SubmitTime Frobnicate";
    for field in fields.split_whitespace() {
        document[field] = Value::Null;
    }
    let fields = "Count Constraints Affinities Volumes RestartPolicy EphemeralDisk Update Networks Meta \
                  Services ShutdownDelay Scaling Consul MaxRunDuration";
    for field in fields.split_whitespace() {
        document["TaskGroups"][0][field] = Value::Null;
    }
    let fields = "User Lifecycle Config Constraints Affinities Env Services Resources RestartPolicy Meta \
                  KillTimeout LogConfig Artifacts Vault Templates Leader KillSignal Kind Identities";
    for field in fields.split_whitespace() {
        document["TaskGroups"][0]["Tasks"][0][field] = Value::Null;
    }
    assert_eq!(read(&document), read(&minimal()));
}

#[test]
fn defaults_depend_on_the_kind() {
    let mut document = minimal();
    document["Type"] = "batch".into();
    document["TaskGroups"][0]["RestartPolicy"] = json!({"Delay": 1_000_000_000});
    let group = read(&document).unwrap().task_groups.remove(0);
    assert_eq!((group.restart_policy.attempts, group.restart_policy.delay), (3, Duration::from_secs(1)));
    assert_eq!(group.tasks[0].restart_policy, group.restart_policy);
}

#[test]
fn printed_names_and_units_are_those_of_the_api() {
    let document = to_json(&read(&minimal()).unwrap());
    let task = &document["TaskGroups"][0]["Tasks"][0];
    assert_eq!(task["KillTimeout"], json!(5_000_000_000_i64));
    assert_eq!(task["Resources"]["MemoryMB"], json!(300));
    assert_eq!(task["Resources"]["CPU"], json!(100));
    assert_eq!(task["LogConfig"]["MaxFileSizeMB"], json!(10));
    assert_eq!(document["TaskGroups"][0]["RestartPolicy"]["Mode"], json!("fail"));
    assert_eq!(document["Type"], json!("service"));
}

#[test]
fn wrong_documents_are_refused_with_the_path() {
    for (path, value, expected) in [
        ("/TaskGroups/0/Tasks/0/KillTimeout", json!("5s"), "integer nanoseconds required"),
        ("/TaskGroups/0/Tasks/0/KillTimeout", json!(-1), "KillTimeout must be a positive value"),
        ("/TaskGroups/0/Tasks/0/Env", json!({"A": 1}), "TaskGroups/0/Tasks/0/Env/A: Incorrect value type"),
        ("/TaskGroups/0/Tasks/0/Config", json!([1]), "Config must be an object."),
        ("/TaskGroups/0/Tasks/0/Lifecycle", json!({}), "Missing required argument; \"Hook\" is required in Lifecycle."),
        ("/TaskGroups/0/Tasks/0/Lifecycle", json!({"Hook": "x"}), "invalid hook: \"x\""),
        ("/TaskGroups/0/Count", json!(-1), "Task group count can't be negative"),
        ("/TaskGroups/0/Count", json!("1"), "TaskGroups/0/Count: Incorrect attribute value type"),
        ("/TaskGroups/0/Tasks", json!({}), "Tasks must be a list."),
        (
            "/TaskGroups/0/Services",
            json!([{"Name": 5}]),
            "TaskGroups/0/Services/0/Name: Incorrect attribute value type",
        ),
        ("/TaskGroups/0/Volumes", json!([]), "Volumes must be an object."),
        ("/Type", json!("servce"), "Invalid job type: \"servce\""),
        ("/TaskGroups", json!([]), "Missing job task groups"),
    ] {
        let mut document = minimal();
        let (parent, key) = path.rsplit_once('/').unwrap();
        document.pointer_mut(parent).unwrap()[key] = value;
        let said = read(&document).expect_err(path);
        assert!(said.contains(expected), "{path}: {said}");
    }
    for (text, expected) in [
        ("[]", "Missing job; A job is a JSON object"),
        ("{", "Invalid JSON"),
        ("{\"TaskGroups\": []}", "Missing job ID"),
    ] {
        let said = from_json(text.as_bytes()).unwrap_err().plain();
        assert!(said.contains(expected), "{text}: {said}");
    }
}

#[test]
fn jobs_from_hcl_survive_the_way_through_json() {
    for example in crate::examples::ALL {
        let job = crate::examples::read(example);
        assert_eq!(read(&to_json(&job)).as_ref(), Ok(&job), "{example}");
        let plain: Job = serde_json::from_value(to_json(&job)).unwrap();
        assert_eq!(plain, job, "{example}");
    }
}

fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_äß${}.\"\\\\ -]{1,12}"
}

fn config() -> impl Strategy<Value = Value> {
    // Null in a configuration means that nothing was written.
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(text(), inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    });
    prop::collection::btree_map(text(), value, 0..4).prop_map(|map| map.into_iter().collect())
}

prop_compose! {
    fn a_task()(
        config in config(),
        env in prop::collection::btree_map(text(), text(), 0..4),
        kill in 0u64..1 << 40,
        leader in any::<bool>(),
        memory in 10u64..1 << 40,
    ) -> Task {
        let mut task = Task { name: "t".into(), driver: "d".into(), config, env, leader, ..Task::default() };
        task.kill_timeout = Duration::from_nanos(kill);
        task.resources.memory_mb = memory;
        task
    }
}

prop_compose! {
    fn a_job()(
        id in "[a-z/.]{1,20}",
        task in a_task(),
        meta in prop::collection::btree_map(text(), text(), 0..4),
        count in 0u32..1000,
        ports in prop::collection::btree_map("[a-z]{1,8}", (0u16.., -1i32..65_536), 0..5),
        left in text().prop_filter("not half a reference", |left| !left.starts_with('$')),
        batch in any::<bool>(),
    ) -> Job {
        let mut network = Network::default();
        let mut used = std::collections::HashSet::new();
        for (label, (value, to)) in ports {
            let value = if used.insert(value) { value } else { 0 };
            let port = Port { label, value, to, ..Port::default() };
            if value > 0 { network.reserved_ports.push(port) } else { network.dynamic_ports.push(port) }
        }
        let constraint = Constraint { left, operator: "!=".into(), right: "x".into() };
        let group = TaskGroup {
            name: "g".into(),
            count,
            tasks: vec![task],
            networks: vec![network],
            constraints: vec![constraint],
            ..TaskGroup::default()
        };
        let kind = if batch { JobKind::Batch } else { JobKind::Service };
        Job { name: id.clone(), id, kind, meta, task_groups: vec![group], ..Job::default() }
    }
}

proptest! {
    #[test]
    fn what_is_printed_reads_the_same(job in a_job()) {
        prop_assert_eq!(read(&to_json(&job)), Ok(job));
    }
}
