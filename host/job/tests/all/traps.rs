//! Warnings of what is allowed and seldom meant, and errors of blocks that the agent will act on.

use longshore_job::parse_str;

fn group(inside: &str) -> String {
    format!("job \"j\" {{\n group \"g\" {{\n{inside}\n}}\n}}")
}

fn docker(config: &str) -> String {
    format!("task \"t\" {{\n driver = \"docker\"\n config {{\n{config}\n}}\n}}")
}

#[test]
fn known_traps_are_warned_of() {
    let image = "image = \"a:1\"";
    let port = "network {\n port \"http\" {}\n}";
    for (inside, expected) in [
        (format!("{port}\n{}", docker(image)), "port \"http\" is never published"),
        (format!("{port}\n{}", docker(&format!("{image}\nports = [\"http\"]"))), ""),
        (format!("{port}\n{}", docker(&format!("{image}\nnetwork_mode = \"host\""))), ""),
        (docker("image = \"nginx\""), "image \"nginx\" means whatever is newest"),
        (docker("image = \"a.b:5000/nginx:latest\""), "means whatever is newest"),
        (docker("image = \"a.b:5000/nginx:1\""), ""),
        (docker("image = \"${NOMAD_META_image}\""), ""),
        (docker("image = \"mysql:8\""), "mysql needs about 400 MiB of memory and may use 300"),
        (
            "count = 2\nnetwork {\n port \"a\" {\n static = 80\n}\n}\ntask \"t\" {\n driver = \"d\"\n}".to_owned(),
            "static port 80 can be had by one of the 2",
        ),
        (format!("service {{}}\n{}", docker(image)), "kept in this agent's own registry"),
        (format!("service {{\nprovider = \"nomad\"\n}}\n{}", docker(image)), ""),
    ] {
        let text = group(&inside);
        let warnings = parse_str("j", &text, &Default::default()).unwrap_or_else(|found| panic!("{}", found.plain()));
        let said = warnings.warnings.plain();
        let fits = if expected.is_empty() { said.is_empty() } else { said.contains(expected) };
        assert!(fits, "{text}: {said}");
    }
}

#[test]
fn ports_that_a_task_publishes_are_its_groups() {
    let network = "network {\n port \"http\" {}\n}";
    for (ports, expected) in [
        (
            "ports = [\"http\", \"htp\"]",
            "j:10,18-23: Port \"htp\" not found, check network block. Did you mean \"http\"?",
        ),
        ("ports = [\"${x}\", \"http\"]", ""),
        ("port_map {\n http = 80\n}", "'port_map' cannot map group network ports, use 'ports' instead"),
        (
            "ports = [\"http\"]\nport_map {\n http = 80\n}",
            "'port_map' cannot map group network ports, use 'ports' instead",
        ),
    ] {
        let text = group(&format!("{network}\n{}", docker(&format!("image = \"a:1\"\n{ports}"))));
        let said = parse_str("j", &text, &Default::default()).map_or_else(|found| found.plain(), |_| String::new());
        assert!(if expected.is_empty() { said.is_empty() } else { said.contains(expected) }, "{text}: {said}");
    }
    let said = parse_str("j", &group(&docker("image = \"a:1\"\nport_map {\n db = 1\n}")), &Default::default());
    let said = said.unwrap_err().plain();
    assert!(said.contains("Trying to map ports but no network interface is available"), "{said}");
    // What a task's own network has not is passed over, as Nomad does.
    let own = "resources {\n network {\n port \"web\" {}\n}\n}";
    let old = docker("image = \"a:1\"\nport_map {\n db = 1\n}").replace("driver =", &format!("{own}\ndriver ="));
    let said = parse_str("j", &group(&old), &Default::default()).unwrap().warnings.plain();
    assert!(said.contains("Port \"db\" not found"), "{said}");
    let text = group(&docker("image = \"a:1\"\nmemory_hard_limit = \"6\""));
    let said = parse_str("j", &text, &Default::default()).unwrap_err().plain();
    assert!(said.contains("j:7,21-24: task memory requirements exceed driver hard limit of 6 MB"), "{said}");
    // What is wrong with a port says all there is to say.
    let text = group(&format!(
        "network {{\n port \"http\" {{\n to = \"x\"\n}}\n}}\n{}",
        docker("image = \"a:1\"\nports = [\"x\"]")
    ));
    let said = parse_str("j", &text, &Default::default()).unwrap_err().plain();
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn wrong_blocks_are_refused_even_before_the_agent_acts_on_them() {
    let task = |inside: &str| format!("task \"t\" {{\ndriver = \"d\"\n{inside}\n}}");
    for (inside, expected) in [
        (format!("service {{\nname = \"a_b\"\n}}\n{}", task("")), "Service name must be valid per RFC 1123"),
        (
            format!("service {{\nprovider = \"etcd\"\n}}\n{}", task("")),
            "Service provider must be \"consul\", or \"nomad\"; not \"etcd\"",
        ),
        (
            format!("service {{\nport = \"http\"\n}}\n{}", task("")),
            "port label \"http\" referenced by services j-g does not exist",
        ),
        (format!("service {{\naddress_mode = \"driver\"\n}}\n{}", task("")), "cannot use address_mode=\"driver\""),
        (task("service {\naddress_mode = \"alloc\"\n}"), "cannot use address_mode=\"alloc\""),
        (format!("service {{\nprovider = \"nomad\"\n}}\n{}", task("service {}")), "Multiple service providers used"),
        (
            task("service {\ncheck {\ntype = \"udp\"\ninterval = \"5s\"\ntimeout = \"1s\"\n}\n}"),
            "invalid check type (\"udp\")",
        ),
        (task("service {\ncheck {\ntype = \"tcp\"\n}\n}"), "missing required value interval"),
        (task("service {\ncheck {\ntype = \"http\"\ninterval = \"5s\"\ntimeout = \"1s\"\n}\n}"), "relative http path"),
        (task("template {\ndestination = \"local/x\"\n}"), "Must specify a source path or have an embedded template"),
        (task("template {\ndata = \"x\"\n}"), "Must specify a destination for the template"),
        (task("template {\ndata = \"x\"\ndestination = \"../../x\"\n}"), "escapes allocation directory"),
        (task("template {\ndata = \"x\"\ndestination = \"x\"\nperms = \"9\"\n}"), "Failed to parse \"9\" as octal"),
        (
            task("template {\ndata = \"x\"\ndestination = \"x\"\nchange_mode = \"signal\"\nchange_signal = \"\"\n}"),
            "Must specify signal value",
        ),
        (task("template {\ndata = \"x\"\ndestination = \"x\"\nchange_mode = \"stop\"\n}"), "Invalid change mode"),
        (task("artifact {}"), "source must be specified"),
        (task("artifact {\nsource = \"x\"\nmode = \"files\"\n}"), "invalid artifact mode"),
        (
            task("artifact {\nsource = \"x\"\noptions {\nchecksum = \"abc\"\n}\n}"),
            "checksum must be given as \"type:value\"",
        ),
        (task("artifact {\nsource = \"x\"\noptions {\nchecksum = \"crc:1\"\n}\n}"), "unsupported checksum type: crc"),
        (task("artifact {\nsource = \"x\"\noptions {\nchecksum = \"md5:1\"\n}\n}"), "invalid md5 checksum"),
        (task("volume_mount {\nvolume = \"v\"\n}"), "references undefined volume v"),
        (format!("volume \"v\" {{\ntype = \"nfs\"\nsource = \"s\"\n}}\n{}", task("")), "unrecognized type \"nfs\""),
        (format!("scaling {{\nmax = 1\n}}\ncount = 2\n{}", task("")), "must not be greater than maximum count"),
        (task("vault {\nchange_mode = \"stop\"\n}"), "Unknown change mode \"stop\""),
        (task("vault {\nchange_mode = \"signal\"\n}"), "Signal must be specified when using change mode \"signal\""),
        (task("vault {\npolicies = [\"root\"]\n}"), "Can not specify \"root\" policy"),
        (task("identity {\nname = \"a\"\nchange_mode = \"signal\"\n}"), "Signal must be specified"),
        (task("secret \"a\" {}"), "secret \"a\": provider cannot be empty"),
        (
            task(
                "secret \"a\" {\nprovider = \"nomad\"\npath = \"p\"\n}\nsecret \"a\" {\nprovider = \"nomad\"\npath = \"q\"\n}",
            ),
            "Duplicate secret \"a\" found",
        ),
        (task("csi_plugin {\ntype = \"node\"\n}"), "must have a non-empty PluginID"),
        (task("csi_plugin {\nid = \"a\"\ntype = \"disk\"\n}"), "must be one of 'node', 'controller', or 'monolith'"),
        (format!("service {{\nconnect {{}}\n}}\n{}", task("")), "Consul Connect must be exclusively native or"),
        (
            format!("service {{\nconnect {{\nsidecar_service {{}}\n}}\n}}\n{}", task("")),
            "Consul Connect sidecars require exactly 1 network, found 0",
        ),
        (
            format!("network {{}}\nservice {{\nconnect {{\nsidecar_service {{}}\n}}\n}}\n{}", task("")),
            "Consul Connect sidecar requires bridge or cni network, found \"host\"",
        ),
        (
            format!(
                "network {{\nmode = \"bridge\"\n}}\nservice {{\nconnect {{\nsidecar_service {{\nproxy {{\nupstreams {{}}\n}}\n}}\n}}\n}}\n{}",
                task("")
            ),
            "upstream destination name cannot be empty",
        ),
        (format!("service {{\nconnect {{\ngateway {{}}\n}}\n}}\n{}", task("")), "One Consul Gateway Configuration"),
        (
            format!("network {{\ncni {{\nargs = {{ \"a;\" = \"b\" }}\n}}\n}}\n{}", task("")),
            "invalid ';' character in CNI arg",
        ),
        (
            format!("update {{\nprogress_deadline = \"6m\"\n}}\n{}", task("kill_timeout = \"7m\"")),
            "KillTimout (7m0s) longer than the group's ProgressDeadline (6m0s)",
        ),
        (format!("max_run_duration = \"1h\"\n{}", task("")), "does not allow max_run_duration"),
    ] {
        let text = group(&inside);
        let said = crate::errors(&text).plain();
        assert!(said.contains(expected), "{text}: {said}");
    }
}

/// Until Nomad 0.5 each task asked for its own disk; files of that age run.
#[test]
fn what_has_no_effect_is_said_once() {
    let affinity = "affinity {\nattribute = \"a\"\nvalue = \"b\"\nweight = 1\n}\n";
    let task = "task \"t\" {\ndriver = \"d\"\nresources {\ndisk = 300\n}\n}\n";
    let text = group(&format!("{affinity}{affinity}{task}"));
    let parsed = parse_str("j", &text, &Default::default()).unwrap_or_else(|found| panic!("{}", found.plain()));
    let said: Vec<_> = parsed.warnings.iter().map(|warning| warning.summary.as_str()).collect();
    let disk = "disk of a task has no effect: its group asks for it, with ephemeral_disk { size }";
    assert_eq!(said, ["\"affinity\" has no effect on a single machine", disk]);
    let again = longshore_job::from_json(longshore_job::to_json(&parsed.job).to_string().as_bytes());
    assert_eq!(again.unwrap().warnings.iter().map(|warning| &warning.summary).collect::<Vec<_>>(), [said[0]]);
}

#[test]
fn schedules_are_checked() {
    for (inside, expected) in [
        ("cron = \"61 * * * *\"", "Invalid cron spec \"61 * * * *\": \"61\" is no minute (0 to 59)"),
        ("crons = [\"@daily\", \"@often\"]", "Invalid cron spec \"@often\""),
        ("cron = \"@daily\"\ntime_zone = \"Mars/ \"", "Invalid time zone \"Mars/ \""),
        ("cron = \"@daily\"\ncrons = [\"@daily\"]", "Only cron or crons may be used"),
        ("", "Must specify a spec"),
    ] {
        let task = "task \"t\" {\ndriver = \"d\"\n}";
        let text = format!("job \"j\" {{\ntype = \"batch\"\nperiodic {{\n{inside}\n}}\n{task}\n}}");
        let said = crate::errors(&text).plain();
        assert!(said.contains(expected), "{inside}: {said}");
    }
}

#[test]
fn a_task_is_stopped_by_a_signal_that_there_is() {
    for (signal, expected) in [
        ("SIGINT", ""),
        ("usr2", ""),
        ("RTMIN+3", ""),
        ("${meta.signal}", ""),
        ("SIGTERN", "\"SIGTERN\" is not the name of a signal, like SIGINT. Did you mean \"SIGTERM\"?"),
        ("9", "\"9\" is not the name of a signal"),
    ] {
        let text =
            group(&docker("image = \"a:1\"").replace("driver =", &format!("kill_signal = {signal:?}\ndriver =")));
        let said = parse_str("j", &text, &Default::default()).map_or_else(|found| found.plain(), |_| String::new());
        assert!(if expected.is_empty() { said.is_empty() } else { said.contains(expected) }, "{text}: {said}");
    }
}
