//! The document that `job run -output` prints, and the table behind it.

use longshore_job::spec::{Attribute, Block, JOB, Kind, Shape, is_shorthand};
use longshore_job::{Diagnostics, ParseOptions, from_value, print_file, to_json, unsupported};
use serde_json::{Map, Value, json};

/// A job file in a folder of its own.
fn print(text: &str) -> Result<(Value, Diagnostics), Diagnostics> {
    let folder = tempfile::tempdir().and_then(|folder| {
        std::fs::write(folder.path().join("job.nomad.hcl"), text)?;
        Ok(folder)
    });
    let folder = folder.unwrap_or_else(|error| panic!("{error}"));
    print_file(&folder.path().join("job.nomad.hcl"), &ParseOptions::default())
}

fn printed(text: &str) -> Value {
    match print(text) {
        Ok((mut document, _)) => document["Job"].take(),
        Err(found) => panic!("{}\n{text}", found.plain()),
    }
}

/// What differs from `null`, `""`, 0 and `false`, which stand for what was not written.
fn written(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let says = |(_, value): &(&String, &Value)| !matches!(value, Value::Null | Value::Bool(false));
            let says = |pair: &(&String, &Value)| says(pair) && *pair.1 != json!("") && *pair.1 != json!(0);
            fields.iter().filter(says).map(|(key, value)| (key.clone(), written(value))).collect()
        }
        Value::Array(items) => items.iter().map(written).collect(),
        other => other.clone(),
    }
}

#[test]
fn a_document_has_every_field_and_fills_in_nothing() {
    let job = printed("job \"j\" {\n group \"g\" {\n task \"t\" {\n driver = \"d\"\n}\n}\n}");
    assert_eq!(
        written(&job),
        json!({"ID": "j", "Name": "j", "TaskGroups": [{"Name": "g", "Tasks": [{"Name": "t", "Driver": "d"}]}]})
    );
    insta::assert_snapshot!("least", format!("{job:#}"));
    // A field of our own would be unknown elsewhere.
    let job = printed("job \"j\" {\n group \"g\" {\n network {\n port \"a\" {}\n}\n}\n}");
    let port = json!({"Label": "a", "Value": 0, "To": 0, "HostNetwork": "", "IgnoreCollision": false});
    assert_eq!(job["TaskGroups"][0]["Networks"][0]["DynamicPorts"][0], port);
}

#[test]
fn a_document_holds_what_was_written_in_the_types_of_the_api() {
    for (text, expected) in CASES {
        let job = printed(&format!("job \"j\" {{\n{text}\n}}"));
        let mut found = written(&job);
        let fields = found.as_object_mut().unwrap();
        fields.remove("ID");
        fields.remove("Name");
        let expected: Value = serde_json::from_str(expected).unwrap_or_else(|error| panic!("{expected}: {error}"));
        assert_eq!(found, expected, "{text}");
    }
}

/// What is written in a job, and what is printed of it.
const CASES: &[(&str, &str)] = &[
    ("type = \"nonsense\"\npriority = \"500\"", r#"{"Type": "nonsense", "Priority": 500}"#),
    ("datacenters = []", r#"{"Datacenters": []}"#),
    ("meta {}", r#"{"Meta": {}}"#),
    (
        "periodic {\ncron = \"@daily\"\nprohibit_overlap = true\n}",
        r#"{"Periodic": {"Spec": "@daily", "SpecType": "cron", "ProhibitOverlap": true}}"#,
    ),
    ("periodic {\nenabled = true\n}", r#"{"Periodic": {"Enabled": true}}"#),
    ("parameterized {\nmeta_required = [\"a\"]\n}", r#"{"ParameterizedJob": {"MetaRequired": ["a"]}}"#),
    (
        "affinity {\nattribute = \"${node.class}\"\nvalue = \"x\"\nweight = 10\n}",
        r#"{"Affinities": [{"LTarget": "${node.class}", "RTarget": "x", "Operand": "=", "Weight": 10}]}"#,
    ),
    (
        "spread {\nattribute = \"a\"\ntarget \"x\" {\npercent = 60\n}\n}",
        r#"{"Spreads": [{"Attribute": "a", "SpreadTarget": [{"Value": "x", "Percent": 60}]}]}"#,
    ),
    (
        "reschedule {\ndelay = \"30s\"\nunlimited = true\n}",
        r#"{"Reschedule": {"Delay": 30000000000, "Unlimited": true}}"#,
    ),
    ("ui {\nlink {\nlabel = \"a\"\nurl = \"b\"\n}\n}", r#"{"UI": {"Links": [{"Label": "a", "URL": "b"}]}}"#),
    (
        "group \"g\" {\ncount = \"3\"\nnetwork {\nmode = \"bridge\"\nport \"a\" {\nto = 80\n}\nport \"b\" {\nstatic = \"81\"\n}\n}\n}",
        r#"{"TaskGroups": [{"Name": "g", "Count": 3, "Networks": [{"Mode": "bridge", "DynamicPorts": [{"Label": "a", "To": 80}],
            "ReservedPorts": [{"Label": "b", "Value": 81}]}]}]}"#,
    ),
    (
        "group \"g\" {\nvolume \"v\" {\ntype = \"host\"\nsource = \"s\"\n}\n}",
        r#"{"TaskGroups": [{"Name": "g", "Volumes": {"v": {"Name": "v", "Type": "host", "Source": "s"}}}]}"#,
    ),
    (
        "group \"g\" {\nscaling {\nmax = 3\npolicy {\ncheck \"c\" {\nquery = \"q\"\nstrategy \"s\" {\ntarget = 1\n}\n}\n}\n}\n}",
        r#"{"TaskGroups": [{"Name": "g", "Scaling": {"Max": 3, "Type": "horizontal", "Policy":
            {"check": [{"c": [{"query": "q", "strategy": [{"s": [{"target": 1}]}]}]}]}}}]}"#,
    ),
    (
        "group \"g\" {\nservice {\nport = 8080\ntags = [\"a\", 1]\ncheck {\ntype = \"http\"\ninterval = \"10s\"\nheader {\nA = [\"b\"]\n}\ncheck_restart {\nlimit = 3\n}\n}\nconnect {\nsidecar_service {\nproxy {\nupstreams {\ndestination_name = \"x\"\nlocal_bind_port = 80\n}\n}\n}\n}\n}\n}",
        r#"{"TaskGroups": [{"Name": "g", "Services": [{"PortLabel": "8080", "Tags": ["a", "1"], "Checks": [{"Type": "http",
            "Interval": 10000000000, "Header": {"A": ["b"]}, "CheckRestart": {"Limit": 3}}], "Connect": {"SidecarService":
            {"Proxy": {"Upstreams": [{"DestinationName": "x", "LocalBindPort": 80}]}}}}]}]}"#,
    ),
    (
        "vault {\npolicies = [\"p\"]\n}\ntask \"t\" {\ndriver = \"d\"\n}",
        r#"{"TaskGroups": [{"Name": "t", "Tasks": [{"Name": "t", "Driver": "d", "Vault":
            {"Policies": ["p"], "Env": true, "ChangeMode": "restart"}}]}]}"#,
    ),
    (
        "task \"t\" {\ntemplate {\ndata = \"x\"\nchange_script {\ncommand = \"c\"\n}\n}\nidentity {\nenv = true\n}\nidentity {\nname = \"n\"\naud = [\"a\"]\n}\n}",
        r#"{"TaskGroups": [{"Name": "t", "Tasks": [{"Name": "t", "Templates": [{"EmbeddedTmpl": "x", "ChangeMode": "restart",
            "Perms": "0644", "Splay": 5000000000, "ChangeScript": {"Command": "c", "Args": [], "Timeout": 5000000000}}],
            "Identity": {"Env": true}, "Identities": [{"Name": "n", "Audience": ["a"]}]}]}]}"#,
    ),
    (
        "task \"t\" {\nartifact {\nsource = \"s\"\noptions {\nchecksum = \"c\"\n}\n}\nlogs {\nenabled = true\n}\nscaling \"cpu\" {\nmax = 1\n}\nresources {\ncpu = \"500\"\ndevice \"a/b\" {\ncount = 2\n}\n}\n}",
        r#"{"TaskGroups": [{"Name": "t", "Tasks": [{"Name": "t", "Artifacts": [{"GetterSource": "s", "GetterOptions":
            {"checksum": "c"}}], "LogConfig": {"Enabled": true}, "ScalingPolicies": [{"Max": 1, "Type": "vertical_cpu"}],
            "Resources": {"CPU": 500, "Devices": [{"Name": "a/b", "Count": 2}]}}]}]}"#,
    ),
    (
        "task \"t\" {\nresources {\nnetwork {\nreserved_ports = [1]\ndynamic_ports = [\"http\", 6379]\n}\n}\n}",
        r#"{"TaskGroups": [{"Name": "t", "Tasks": [{"Name": "t", "Resources": {"Networks": [{"ReservedPorts":
            [{"Label": "1", "Value": 1, "To": 1}], "DynamicPorts": [{"Label": "http", "To": -1}, {"Label": "6379", "To": 6379}]}]}}]}]}"#,
    ),
    (
        "constraint {\nattribute = \"$attr.kernel.name\"\nvalue = \"linux\"\n}",
        r#"{"Constraints": [{"LTarget": "$attr.kernel.name", "Operand": "=", "RTarget": "linux"}]}"#,
    ),
];

#[test]
fn what_cannot_be_read_is_not_printed() {
    for (inside, expected) in [
        ("count = \"x\"", "a whole number required"),
        ("service {\nmeta = { a = 1 }\n}", "Did you mean to define a block of type \"meta\"?"),
        ("task \"t\" {\nlifecycle {}\n}", "The argument \"hook\" is required"),
        ("scaling {}", "Missing required argument \"max\""),
        ("network {\ndynamic_ports = [\"a b\"]\n}", "does not conform to naming requirements"),
        ("network {\ndynamic_ports = [\"a\", \"A\"]\n}", "`A` overlaps with previous `a`"),
        ("task \"t\" {\nscaling \"disk\" {}\n}", "scaling policy name must be"),
        ("task \"t\" {\nscaling \"cpu\" {}\nscaling \"cpu\" {}\n}", "Duplicate scaling block"),
    ] {
        let text = format!("job \"j\" {{\ngroup \"g\" {{\n{inside}\n}}\n}}");
        let said = print(&text).unwrap_err().plain();
        assert!(said.contains(expected), "{text}: {said}");
    }
}

/// A document in JSON is printed as it is, without what a job file's reader adds.
#[test]
fn a_document_in_json_is_not_filled_in() {
    let job = printed(
        r#"{"Job": {"ID": "j", "Update": {"HealthCheck": ""}, "TaskGroups": [{"Tasks": [{"Templates": [{}]}]}]}}"#,
    );
    assert_eq!(job["Update"]["HealthCheck"], "");
    assert_eq!(job["TaskGroups"][0]["Tasks"][0]["Templates"][0]["Perms"], Value::Null);
}

#[test]
fn what_the_agent_does_not_act_on_is_named_with_its_place() {
    let text = "job \"j\" {\n  type = \"batch\"\n  periodic {\n    cron = \"* * * * *\"\n  }\n  group \"g\" {\n    service {\n      name = \"x\"\n      port = \"80\"\n    }\n    task \"t\" {\n      driver = \"d\"\n      template {\n        data        = \"x\"\n        destination = \"local/x\"\n      }\n      vault {}\n      resources {\n        secrets = 5\n      }\n    }\n  }\n}";
    let parsed = longshore_job::parse_str("job.hcl", text, &ParseOptions::default())
        .unwrap_or_else(|found| panic!("{}", found.plain()));
    let mut found = unsupported(&parsed.job);
    parsed.map.locate(&mut found);
    insta::assert_snapshot!("unsupported", found.plain());
}

/// A value that says something, for an attribute.
fn sample(attribute: &Attribute) -> Value {
    match attribute.kind {
        Kind::Text => "x".into(),
        Kind::Choice(names, _) => names[0].into(),
        Kind::Bool => true.into(),
        // A port with a number would move to the other list.
        Kind::Whole(..) if attribute.name == "static" => 0.into(),
        Kind::Whole(from, to, _) => 7.clamp(from, to).into(),
        Kind::Duration(_) => 7_000_000_000_i64.into(),
        Kind::Texts => json!(["x"]),
        Kind::Wholes(..) => json!([7]),
        Kind::Strings => json!({"k": "x"}),
        Kind::Any => json!({"k": "x"}),
    }
}

/// A document with a value for everything the table knows.
fn everything(block: &Block) -> Map<String, Value> {
    let mut out = Map::new();
    if let Some(label) = block.label.filter(|label| !is_shorthand(label)) {
        out.insert(label.into(), "x".into());
    }
    let attributes = block.attributes.iter().filter(|attribute| !attribute.name.is_empty());
    for attribute in attributes.filter(|attribute| !is_shorthand(attribute.json)) {
        out.insert(attribute.json.into(), sample(attribute));
    }
    for inner in block.blocks.iter().filter(|inner| !is_shorthand(inner.json)) {
        let value = match inner.shape {
            Shape::One => Value::Object(everything(inner)),
            Shape::Many => json!([everything(inner)]),
            Shape::ByLabel => json!({"x": everything(inner)}),
            Shape::Strings | Shape::StringsBlock | Shape::Free => json!({"k": "x"}),
            Shape::Lists => json!({"k": ["x"]}),
        };
        out.insert(inner.json.into(), value);
    }
    out
}

/// Every field of one document is in the other, with the same value.
fn missing(of: &Value, from: &Value, at: &str, out: &mut Vec<String>) {
    match (of, from) {
        (Value::Object(of), Value::Object(from)) => {
            for (key, value) in of {
                missing(value, from.get(key).unwrap_or(&Value::Null), &format!("{at}/{key}"), out);
            }
        }
        (Value::Array(of), Value::Array(from)) if of.len() == from.len() => {
            of.iter().zip(from).for_each(|(of, from)| missing(of, from, at, out));
        }
        _ if of == from || of.is_null() => {}
        _ => out.push(format!("{at}: {of} became {from}")),
    }
}

/// A block that only the table knew would be dropped in silence.
#[test]
fn the_model_has_a_place_for_everything_the_table_knows() {
    let mut document = Value::Object(everything(&JOB));
    // What would make the job invalid, or is the old spelling of something else.
    document["TaskGroups"][0]["Scaling"]["Type"] = "horizontal".into();
    document["Update"]["HealthyDeadline"] = 8_000_000_000_i64.into();
    document["Update"]["ProgressDeadline"] = 9_000_000_000_i64.into();
    let group = &mut document["TaskGroups"][0];
    group["Update"]["HealthyDeadline"] = 8_000_000_000_i64.into();
    group["Update"]["ProgressDeadline"] = 9_000_000_000_i64.into();
    group["EphemeralDisk"]["SizeMB"] = 300.into();
    let port = json!({"Label": "p", "Value": 0, "To": 7, "HostNetwork": "x", "IgnoreCollision": false});
    for pointer in ["/Networks/0", "/Tasks/0/Resources/Networks/0"] {
        let network = group.pointer_mut(pointer).unwrap();
        network["Mode"] = "bridge".into();
        network["DynamicPorts"] = json!([]);
        network["ReservedPorts"] = json!([]);
    }
    group["Networks"][0]["DynamicPorts"] = json!([port]);
    for restart in ["/RestartPolicy", "/Tasks/0/RestartPolicy"] {
        group.pointer_mut(restart).unwrap()["Interval"] = 700_000_000_000_i64.into();
    }
    let task = &mut group["Tasks"][0];
    task["Lifecycle"] = Value::Null;
    task["KillSignal"] = "SIGINT".into();
    task["LogConfig"].as_object_mut().unwrap().remove("Enabled");
    task["Resources"]["CPU"] = 0.into();
    task["Resources"]["MemoryMB"] = 10.into();
    task["Resources"]["MemoryMaxMB"] = 20.into();
    task["Constraints"][0]["Operand"] = "=".into();
    task["VolumeMounts"][0]["PropagationMode"] = "private".into();
    task["Templates"][0]["Perms"] = "0600".into();
    task["CSIPluginConfig"]["Type"] = "node".into();
    for pointer in ["/Vault", "/Identity", "/Identities/0"] {
        task.pointer_mut(pointer).unwrap()["ChangeMode"] = "noop".into();
    }
    for path in ["/Services/0", "/Tasks/0/Services/0"] {
        let service = group.pointer_mut(path).unwrap();
        service["Provider"] = "consul".into();
        service["AddressMode"] = "host".into();
        service["PortLabel"] = "p".into();
        service["Address"] = Value::Null;
        service["Checks"][0]["Type"] = "http".into();
        service["Checks"][0]["PortLabel"] = "p".into();
        service["Checks"][0]["AddressMode"] = "host".into();
        service["Checks"][0]["InitialStatus"] = "passing".into();
    }
    // A service of the mesh is one of three things.
    for (path, others) in [("", ["Gateway", "Native"]), ("/Tasks/0", ["SidecarService", "Native"])] {
        let connect = group.pointer_mut(&format!("{path}/Services/0/Connect")).unwrap();
        others.iter().for_each(|other| connect[*other] = Value::Null);
    }
    let gateway = &mut group["Tasks"][0]["Services"][0]["Connect"]["Gateway"];
    (gateway["Terminating"], gateway["Mesh"]) = (Value::Null, Value::Null);
    group["Constraints"][0]["Operand"] = "=".into();
    group["Volumes"]["x"]["Type"] = "host".into();
    group["Volumes"]["x"]["Sticky"] = false.into();
    for entry in ["Constraints", "Affinities"] {
        document[entry][0]["Operand"] = "=".into();
        document["TaskGroups"][0]["Tasks"][0]["Resources"]["Devices"][0][entry][0]["Operand"] = "=".into();
    }
    document["Type"] = "batch".into();
    document["Reschedule"]["Unlimited"] = false.into();
    document["TaskGroups"][0]["ReschedulePolicy"]["Unlimited"] = false.into();
    document["Periodic"]["Spec"] = "@daily".into();
    document["Periodic"]["Specs"] = Value::Null;
    for place in ["", "/TaskGroups/0"] {
        let update = document.pointer_mut(place).unwrap();
        (update["Update"], update["Migrate"]) = (Value::Null, Value::Null);
    }
    let job = from_value(&document).unwrap_or_else(|found| panic!("{}", found.plain())).job;
    let mut lost = Vec::new();
    missing(&document, &to_json(&job), "", &mut lost);
    assert_eq!(lost, Vec::<String>::new());
}
