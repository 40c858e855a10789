//! `${…}` when a task starts.

use std::collections::BTreeMap;

use longshore_job::runtime::{Env, hopeless, interpolate, interpolate_config};
use serde_json::{Value, json};

fn map(list: &[(&str, &str)]) -> BTreeMap<String, String> {
    list.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
}

fn env() -> Env {
    Env::new(
        map(&[
            ("NOMAD_PORT_http", "8080"),
            ("NOMAD_UPSTREAM_PORT_foo-bar", "1234"),
            ("NOMAD_META_empty", ""),
            ("foo..bar", "dots"),
        ]),
        map(&[
            ("attr.kernel.name", "linux"),
            ("attr.driver.qemu", "1"),
            ("attr.driver.qemu.version", "9.2"),
            ("node.unique.name", "alpha"),
            ("node.class", "big"),
            ("meta.rack", "r1"),
        ]),
    )
}

#[test]
fn in_environments_the_unknown_stays() {
    for (text, expected) in [
        ("plain $NOMAD_PORT_http", "plain $NOMAD_PORT_http"),
        ("p=${NOMAD_PORT_http}", "p=8080"),
        ("${node.unique.name}${attr.kernel.name}", "alphalinux"),
        ("${node.class}/${meta.rack}", "big/r1"),
        ("${attr.driver.qemu}", "1"),
        ("${NOMAD_UPSTREAM_PORT_foo-bar}", "1234"),
        ("[${NOMAD_META_empty}]", "[]"),
        ("${NOMAD_META_unknown} ${attr.x}", "${NOMAD_META_unknown} ${attr.x}"),
        ("${env[\"NOMAD_PORT_http\"]}", "8080"),
        ("${env[\"foo..bar\"]}", "dots"),
        ("${", "${"),
        ("${${node.class}}", "${big}"),
        ("a}${node.class}ä", "a}bigä"),
        ("${no}${node.class}", "${no}big"),
    ] {
        assert_eq!(interpolate(text, &env()), expected, "{text}");
    }
}

#[test]
fn in_configuration_text_is_evaluated() {
    for (config, expected) in [
        (json!("plain"), json!("plain")),
        (json!({"image": "web:${meta.rack}", "n": 5}), json!({"image": "web:r1", "n": 5})),
        (json!(["-p", "${NOMAD_PORT_http}"]), json!(["-p", "8080"])),
        (json!({"${node.class}": [{"a": "${attr.kernel.name}!"}]}), json!({"big": [{"a": "linux!"}]})),
        (json!("${attr.driver.qemu.version}"), json!("9.2")),
        (json!("${env[\"foo..bar\"]}"), json!("dots")),
        (json!("${2 + 2}"), json!(4)),
        (json!("${max(1, 2)}-${upper(node.class)}"), json!("2-BIG")),
        (json!("$${node.class}"), json!("${node.class}")),
        (json!(null), json!(null)),
    ] {
        assert_eq!(interpolate_config(&config, &env()), Ok(expected), "{config}");
    }
}

#[test]
fn in_configuration_the_unknown_is_an_error_with_its_place() {
    let config = json!({
        "image": "${MYENV}", "list": ["ok", "${MYENV}"], "map": {"a/b": "${node.clas}"}, "call": "${file(\"x\")}",
        "broken": "${",
    });
    let errors = interpolate_config(&config, &env()).unwrap_err();
    let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
    for expected in [
        "/image: There is no variable named \"MYENV\".",
        "/list/1: There is no variable named \"MYENV\".",
        "/map/a~1b: This object does not have an attribute named \"clas\". Did you mean \"class\"?",
        "/call: There is no function named \"file\".",
    ] {
        assert!(said.iter().any(|line| line.starts_with(expected)), "{expected}: {said:?}");
    }
    assert_eq!(said.len(), 5, "{said:?}");
}

#[test]
fn what_can_never_be_filled_in_is_known_before() {
    let config = json!({
        "own": "${MINE} ${NOMAD_PORT_x} ${attr.cpu.arch} ${env[\"OTHER\"]}",
        "list": ["plain", "${for_all} %{ for x in [MINE] }${x}%{ endfor }"],
        "map": {"${nope}": 1, "a/b": "${node.clas}"},
        "later": "${node.clas}${MINE}",
        "broken": "${",
        "call": "${file(\"x\")}",
    });
    let is_known = |name: &str| name == "MINE" || name.starts_with("NOMAD_");
    let said: Vec<String> = hopeless(&config, &is_known, &env()).iter().map(ToString::to_string).collect();
    let expected = [
        "/list/1: There is no variable named \"for_all\".",
        "/map/${nope}: There is no variable named \"nope\".",
        "/map/a~1b: This object does not have an attribute named \"clas\". Did you mean \"class\"?",
        "/broken: \"${\" is not a template",
    ];
    assert_eq!(said.len(), expected.len(), "{said:?}");
    for (said, expected) in said.iter().zip(expected) {
        assert!(said.starts_with(expected), "{said}");
    }
}

/// Keys, and what is reachable by name.
#[test]
fn dotted_keys_nest_and_odd_ones_are_left_to_env() {
    for (keys, reachable) in [
        (&["foo"][..], &["foo"][..]),
        (&["foo.bar"], &["foo.bar"]),
        (&["a.b.c"], &["a.b.c"]),
        (&["a.b", "a.b.c"], &["a.b.c"]),
        (&["a.b.c", "a.b"], &["a.b.c"]),
    ] {
        let pairs: Vec<_> = keys.iter().map(|key| (*key, *key)).collect();
        let env = Env::new(BTreeMap::new(), map(&pairs));
        for key in reachable {
            let config = Value::from(format!("${{{key}}}"));
            assert_eq!(interpolate_config(&config, &env), Ok(json!(key)), "{keys:?}");
        }
    }
    for key in [".", ".foo", "foo.", ".a.", "foo..bar", "foo...bar", "foo.bar..quux", "foo..bar.quux", "foo.bar.quux."]
    {
        let env = Env::new(map(&[(key, "value")]), BTreeMap::new());
        let by_env = json!(format!("${{env[\"{key}\"]}}"));
        assert_eq!(interpolate_config(&by_env, &env), Ok(json!("value")), "{key}");
        let by_name = json!(format!("${{{key}}}"));
        assert!(interpolate_config(&by_name, &env).is_err(), "{key}");
    }
}
