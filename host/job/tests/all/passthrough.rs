//! Names that only the machine knows pass through as text.

use serde_json::json;

use crate::{expression, task, task_text};

/// What stands after `x =`, and what it becomes.
const KEPT: &[(&str, &str)] = &[
    (r#""plain""#, "plain"),
    (r#""foo-${BAR}""#, "foo-${BAR}"),
    (
        r#""foo-${attr.network.dev-us-east1-relay-vpc.external-ip.0}""#,
        "foo-${attr.network.dev-us-east1-relay-vpc.external-ip.0}",
    ),
    (r#""${env["BLAH"]}""#, r#"${env["BLAH"]}"#),
    (r#""${mixed-indexing.0[3]["FOO"].5}""#, r#"${mixed-indexing.0[3]["FOO"].5}"#),
    (r#""with spaces ${   root.  field[  "FOO"].5  }""#, r#"with spaces ${   root.  field[  "FOO"].5  }"#),
    ("meta.mytest", "${meta.mytest}"),
    (r#""${NOMAD_PORT_http}""#, "${NOMAD_PORT_http}"),
    (r#""${upper(NOMAD_JOB_NAME)}""#, "${NOMAD_JOB_NAME}"),
    (r#""${upper(node.class)}""#, "${NODE.CLASS}"),
    (r#""$${NOMAD_X}""#, "${NOMAD_X}"),
    (r#""%%{ if }""#, "%{ if }"),
    (r#""${a}${b.c}-${d["e"]}""#, r#"${a}${b.c}-${d["e"]}"#),
    ("a-b", "${a-b}"),
    ("[node.a][0]", "${node.a}"),
    (r#"true ? node.a : "x""#, "${node.a}"),
    ("<<EOF\nport=${NOMAD_PORT_x} {{ key }}\nEOF\n", "port=${NOMAD_PORT_x} {{ key }}\n"),
];

#[test]
fn unknown_names_stay_as_they_were_written() {
    for (expr, expected) in KEPT {
        assert_eq!(expression(expr), Ok(json!(expected)), "{expr}");
    }
}

#[test]
fn what_cannot_pass_is_an_error() {
    for (expr, expected) in [
        ("\"${NOMAD_PORT_http + 1}\"", "Invalid operand; Unsuitable value for left operand: number required."),
        ("\"${local.missing}\"", "Unsupported attribute; This object does not have an attribute named \"missing\"."),
        ("\"${var.missing}\"", "Unsupported attribute; This object does not have an attribute named \"missing\"."),
        ("node.a[local.x]", "Unsupported attribute"),
        ("node.a[*].b", "This value does not have any attributes."),
        ("[for x in node.list : x]", "Iteration over non-iterable value"),
    ] {
        let said = expression(expr).expect_err(expr);
        assert!(said.contains(expected), "{expr}: {said}");
    }
}

#[test]
fn the_same_holds_outside_of_config() {
    let task = task(&task_text(
        "user = \"${meta.user}\"\nenv {\n A = NOMAD_ALLOC_ID\n B = \"x ${attr.b}\"\n}\n\
         constraint {\n attribute = attr.kernel.name\n value = \"linux\"\n}",
    ));
    assert_eq!(task.user, "${meta.user}");
    assert_eq!(task.env["A"], "${NOMAD_ALLOC_ID}");
    assert_eq!(task.env["B"], "x ${attr.b}");
    assert_eq!(task.constraints[0].left, "${attr.kernel.name}");
}
