//! Where values of variables come from, and which wins.

use longshore_job::{ParseOptions, parse_str};
use serde_json::{Value, json};

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

/// `config.x` of a job with these declarations, or what is said of it.
fn value(declarations: &str, expr: &str, options: &ParseOptions) -> Result<Value, String> {
    let text = format!("{declarations}\n{}", crate::task_text(&format!("config {{\n x = {expr}\n}}")));
    match parse_str("test.hcl", &text, options) {
        Ok(mut parsed) => Ok(parsed.job.task_groups[0].tasks[0].config["x"].take()),
        Err(found) => Err(found.plain()),
    }
}

#[test]
fn default_is_beaten_by_environment_by_file_by_option() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("a.hcl"), folder.path().join("b.json"));
    std::fs::write(&first, "x = \"first file\"\n").unwrap();
    std::fs::write(&second, "{\"x\": \"second file\"}").unwrap();
    let declared = "variable \"x\" {\n default = \"default\"\n}";
    let mut options = ParseOptions::default();
    assert_eq!(value(declared, "var.x", &options), Ok(json!("default")));
    options.env = pairs(&[("NOMAD_VAR_x", "environment"), ("NOMAD_VAR_other", "ignored"), ("x", "no")]);
    assert_eq!(value(declared, "var.x", &options), Ok(json!("environment")));
    options.var_files = vec![first, second];
    assert_eq!(value(declared, "var.x", &options), Ok(json!("second file")));
    options.variables = pairs(&[("x", "option"), ("x", "last option")]);
    assert_eq!(value(declared, "var.x", &options), Ok(json!("last option")));
}

#[test]
fn values_are_converted_to_the_declared_type() {
    for (kind, given, expected) in [
        ("string", "[1]", json!("[1]")),
        ("number", "5", json!(5)),
        ("bool", "true", json!(true)),
        ("list(string)", "[1, \"a\"]", json!(["1", "a"])),
        ("set(number)", "[2, 1, 2]", json!([1, 2])),
        ("map(number)", "{ a = \"1\" }", json!({"a": 1})),
        ("object({ a = number, b = list(bool) })", "{ a = 1, b = [true], c = 2 }", json!({"a": 1, "b": [true]})),
        ("tuple([string, number])", "[1, \"2\"]", json!(["1", 2])),
        ("object({ a = list(number) })", "{ a = [1] }", json!({"a": [1]})),
    ] {
        let declared = format!("variable \"x\" {{\n type = {kind}\n}}");
        let options = ParseOptions { variables: pairs(&[("x", given)]), ..Default::default() };
        assert_eq!(value(&declared, "var.x", &options), Ok(expected), "{kind}");
    }
}

#[test]
fn variables_block_is_a_shorthand() {
    let options = ParseOptions::default();
    assert_eq!(value("variables {\n a = 1\n b = [2]\n}", "[var.a, var.b]", &options), Ok(json!([1, [2]])));
}

#[test]
fn wrong_declarations_and_values_are_named() {
    for (declared, given, expected) in [
        ("variable \"x\" {\n type = strin\n}", "", "Invalid type specification"),
        ("variable \"x\" {}", "", "test.hcl:7,6-11: Unset variable \"x\"; A used variable must be set"),
        ("variable \"x\" {\n type = number\n default = \"a\"\n}", "", "Invalid default value for variable"),
        ("variable \"x\" {\n type = any\n}", "1", "Invalid type specification; An exact type is required"),
        ("variable \"x\" {\n type = list\n}", "[1]", "Invalid type specification; An exact type is required"),
        ("variable \"x\" {\n default = try(1)\n}", "", "Function calls not allowed; Functions may not be called"),
        ("variable \"x\" {\n type = list(string)\n}", "[upper(\"a\")]", "Function calls not allowed"),
        ("variable \"x\" {\n type = number\n}", "1 + 1", "a number required, got string"),
        ("variable \"x\" {\n type = list(number)\n}", "a b", "<value for var.x from -var>:1,2-2: Invalid expression"),
        ("variable \"x\" {\n type = number\n}", "\"a\"", "Invalid value for command line variable"),
        ("variable \"x\" {\n type = list(string)\n}", "5", "list required, got number"),
        ("variable \"x\" {\n default = node.a\n}", "", "There is no variable named \"node\"."),
        ("variable \"x\" {}\nvariable \"x\" {}", "", "Duplicate variable"),
        ("variable \"1x\" {}", "", "Invalid variable name"),
        ("variable \"x\" {\n defualt = 1\n}", "", "Did you mean \"default\"?"),
        (
            "variable \"x\" {\n default = 1\n validation {\n condition = var.x > 1\n error_message = \"too small\"\n}\n}",
            "",
            "Invalid value for default variable; too small (This was checked by the validation rule at test.hcl:3,2-12.)",
        ),
        ("variable \"y\" {\n default = 1\n}", "1", "Undefined -var variable; A \"x\" variable was passed"),
        ("locals {\n x = local.y\n y = local.x\n}", "", "Circular reference in locals"),
        ("variable \"x\" {\n type = \"string\"\n}", "a", "Invalid type specification"),
        ("variable \"x\" {\n default = 1\n description = [\"a\"]\n}", "", "Unsuitable value for \"description\""),
        ("variable \"x\" {\n default = [\"a\"]\n}", "[1, 2]", "tuple of the declared length required, got list"),
        ("variable \"x\" {\n default = 1\n}", "[1]", "a number required, got string"),
        ("variables {\n x = true\n}", "[1]", "a bool required, got list"),
    ] {
        let mut options = ParseOptions::default();
        if !given.is_empty() {
            options.variables = pairs(&[("x", given)]);
        }
        let said = value(declared, "var.x", &options).expect_err(declared);
        assert!(said.contains(expected), "{declared}: {said}");
    }
}

#[test]
fn an_unset_variable_is_told_where_it_is_declared_unless_where_it_is_used() {
    let said = value("variable \"x\" {}", "1", &ParseOptions::default()).unwrap_err();
    assert!(said.starts_with("test.hcl:1,1-13: Unset variable \"x\""), "{said}");
    let said = value("variable \"x\" {}", "var.x", &ParseOptions::default()).unwrap_err();
    assert_eq!(said.matches("Unset variable").count(), 1, "{said}");
}

#[test]
fn a_default_gives_a_variable_its_type() {
    let options = ParseOptions { variables: pairs(&[("x", "5")]), ..Default::default() };
    for (declared, expected) in [
        ("variable \"x\" {\n default = 1\n}", json!(5)),
        ("variable \"x\" {\n default = \"1\"\n}", json!("5")),
        ("variable \"x\" {}", json!("5")),
        ("variable \"x\" {\n default = null\n}", json!(5)),
    ] {
        assert_eq!(value(declared, "var.x", &options), Ok(expected), "{declared}");
    }
    let options = ParseOptions { variables: pairs(&[("x", "[\"a\", true]")]), ..Default::default() };
    assert_eq!(value("variables {\n x = [\"\", \"\"]\n}", "var.x", &options), Ok(json!(["a", "true"])));
}

#[test]
fn keys_that_a_default_has_not_are_lost_and_told() {
    let text = format!("variables {{\n x = {{}}\n}}\n{}", crate::task_text("config {\n x = var.x\n}"));
    let options = ParseOptions { var_text: "x = { a = 1 }".into(), ..Default::default() };
    let parsed = parse_str("test.hcl", &text, &options).unwrap();
    assert_eq!(parsed.job.task_groups[0].tasks[0].config["x"], json!({}));
    let said = parsed.warnings.plain();
    assert!(said.contains("input.vars:1,5-14: variable \"x\" loses a: without a type"), "{said}");
    let typed = text.replace("variables {\n x = {}", "variable \"x\" {\n type = object({})");
    assert!(parse_str("test.hcl", &typed, &options).unwrap().warnings.is_empty());
}

#[test]
fn a_rule_looks_at_its_own_variable_and_at_nothing_else() {
    for (condition, expected) in [
        ("var.x > 0", None),
        ("length([for y in [var.x] : y]) == 1", None),
        ("true", Some("The condition for variable \"x\" must refer to var.x")),
        ("length([for x in [1] : x]) == 1", Some("must refer to var.x")),
        ("var.x > var.y", Some("test.hcl:4,23-28: Invalid reference in variable validation")),
        ("var.x > local.y", Some("can only refer to the variable itself, using var.x.")),
        ("var[\"x\"] > 0", Some("Invalid reference in variable validation")),
    ] {
        let declared = format!(
            "variable \"x\" {{\n default = 1\n validation {{\n  condition = {condition}\n  error_message = \"m\"\n }}\n}}"
        );
        let said = value(&declared, "var.x", &ParseOptions::default());
        match expected {
            None => assert_eq!(said, Ok(json!(1)), "{condition}"),
            Some(expected) => {
                assert!(said.as_ref().is_err_and(|said| said.contains(expected)), "{condition}: {said:?}")
            }
        }
    }
}

#[test]
fn the_last_of_two_locals_counts() {
    let text =
        format!("locals {{\n x = 1\n}}\nlocals {{\n x = 2\n}}\n{}", crate::task_text("config {\n x = local.x\n}"));
    let parsed = parse_str("test.hcl", &text, &ParseOptions::default()).unwrap();
    assert_eq!(parsed.job.task_groups[0].tasks[0].config["x"], json!(2));
    let said = parsed.warnings.plain();
    assert!(said.contains("test.hcl:5,2-3: local \"x\" has a value already, at test.hcl:2,2-3"), "{said}");
}

#[test]
fn unknown_values_are_ignored_when_not_strict() {
    let options = ParseOptions { variables: pairs(&[("nope", "1")]), strict: false, ..Default::default() };
    assert_eq!(value("", "1", &options), Ok(json!(1)));
}

#[test]
fn a_file_of_values_declares_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("values.hcl");
    std::fs::write(&path, "variable \"x\" {}\ny = 1\n").unwrap();
    let options = ParseOptions { var_files: vec![path], ..Default::default() };
    let said = value("variable \"x\" {\n default = 1\n}", "var.x", &options).unwrap_err();
    assert!(said.contains("values.hcl:1,1-13: Variable declaration in a .var file"), "{said}");
    assert!(said.contains("values.hcl:2,1-2: Undefined variable"), "{said}");
}

#[test]
fn a_text_gives_values_as_a_file_does() {
    let declared = "variable \"x\" {\n type = list(number)\n}";
    let options = ParseOptions { var_text: "x = [1, 2]\n".into(), ..Default::default() };
    assert_eq!(value(declared, "var.x", &options), Ok(json!([1, 2])));
    let unknown = ParseOptions { var_text: "x = [1]\ny = 2\n".into(), ..Default::default() };
    let said = value(declared, "var.x", &unknown).unwrap_err();
    assert!(said.contains("input.vars:2,1-2: Undefined variable"), "{said}");
    assert_eq!(value(declared, "var.x", &ParseOptions { strict: false, ..unknown }), Ok(json!([1])));
    let wrong = ParseOptions { var_text: "x = \"a\"".into(), ..Default::default() };
    assert!(value(declared, "var.x", &wrong).unwrap_err().contains("input.vars:1,5-8"));
}
