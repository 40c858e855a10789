//! Input made to hurt: an error each, no panic, and neither time nor memory without bound.

use longshore_job::{ParseOptions, from_json, parse_file, parse_str};

fn said(text: &str) -> String {
    match parse_str("evil.hcl", text, &ParseOptions::default()) {
        Ok(_) => "accepted".into(),
        Err(found) => {
            found.graphical(false);
            found.plain()
        }
    }
}

fn expression(expr: &str) -> String {
    said(&crate::task_text(&format!("config {{\n x = {expr}\n}}")))
}

#[test]
fn empty_and_unreadable_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job.hcl");
    for (bytes, expected) in [
        (&b""[..], "Missing job block"),
        (b" \n\t", "Missing job block"),
        (b"# only a comment\n", "Missing job block"),
        (b"job \"\xff\" {}", "not UTF-8 text (byte 5)"),
        (b"\x00\x01\x02", "Argument or block definition required"),
        (b"{", "Invalid JSON"),
        (b"}", "there is no block for this brace to close"),
        (b"{}", "Missing job; A job is a JSON object"),
        (b"{\"job\": 5}", "job must be an object"),
        (b"{\"job\": {\"j\": {\"group\": [1]}}}", "group must be an object"),
        (b"{\"job\": {\"j\": {\"a b\": 1}}}", "is not a valid argument name"),
        (b"{\"job\": {\"j\": {\"type\": \"${\"}}}", "in the text \"${\""),
        (b"{\"job\": {}, \"x\": 1}", "\"x\" is not expected here"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let found = parse_file(&path, &ParseOptions::default()).unwrap_err().plain();
        assert!(found.contains(expected), "{found}");
    }
    let missing = parse_file(&folder.path().join("none.hcl"), &ParseOptions::default()).unwrap_err();
    assert!(missing.plain().contains("Failed to read job file"));
    let directory = parse_file(folder.path(), &ParseOptions::default()).unwrap_err();
    assert!(directory.plain().contains("is a directory"));
}

#[test]
fn a_file_of_more_than_a_mebibyte_is_refused_unread() {
    let text = format!("# {}", "x".repeat(1 << 20));
    assert!(said(&text).contains("Job file too large"));
    assert!(from_json(text.as_bytes()).unwrap_err().plain().contains("Job too large"));
}

#[test]
fn quoted_strings_end_on_the_line_they_begin_on() {
    for (value, torn) in [
        ("\"a\nb\"", true),
        ("\"a${1}\nb\"", true),
        ("[{ a = \"b\n\" }]", true),
        ("upper(\"a\n\")", true),
        ("\"a${\n1\n}b\"", false),
        ("\"a\\nb\"", false),
        ("<<EOF\na\n${1}\nb\nEOF\n", false),
    ] {
        let said = expression(value);
        assert_eq!(said.contains("Invalid multi-line string"), torn, "{value}: {said}");
    }
    let label = said(&crate::task_text("config {}").replacen("\"t\"", "\"t\nu\"", 1));
    assert!(label.contains("Invalid multi-line string"), "{label}");
}

/// More columns than the library that draws can count.
#[test]
fn an_error_in_a_very_long_line_is_told_without_the_line() {
    let found = crate::errors(&crate::task_text(&format!("{} x = 1", " ".repeat(70_000))));
    let drawn = found.graphical(false);
    assert!(drawn.contains("test.hcl:5,70002-70003") && drawn.len() < 10_000, "{drawn}");
}

#[test]
fn deep_nesting_is_an_error() {
    let deep = 50_000;
    for (open, close) in
        [("[", "]"), ("(", ")"), ("{a=", "}"), ("!", ""), ("-", ""), ("\"${", "}\""), ("true ? 1 : ", "1"), ("f(", ")")]
    {
        let text = format!("{}1{}", open.repeat(deep), close.repeat(deep));
        let found = expression(&text);
        assert!(found.contains("evil.hcl"), "{open}: {found}");
    }
    let blocks = format!("{}{}", "a {\n".repeat(deep), "}\n".repeat(deep));
    assert!(said(&crate::task_text(&format!("config {{\n{blocks}}}"))).contains("evil.hcl"));
    let sums = format!("1{}", " + 1".repeat(deep));
    assert!(expression(&sums).contains("evil.hcl"));
    let path = format!("a{}", ".b".repeat(deep));
    assert_eq!(expression(&path), "accepted", "a long path is text like any other");
    let json = format!("{}{}", "[".repeat(deep), "]".repeat(deep));
    assert!(from_json(json.as_bytes()).unwrap_err().plain().contains("Invalid JSON"));
    assert!(expression(&format!("jsondecode(\"{json}\")")).contains("Error in function call"));
}

#[test]
fn deep_values_made_step_by_step_are_an_error() {
    let steps: String = (1..5_000).map(|n| format!("l{n} = [local.l{}]\n", n - 1)).collect();
    let text = format!("locals {{\nl0 = 1\n{steps}}}\n{}", crate::task_text("config {\n x = local.l4999\n}"));
    let found = said(&text);
    assert!(found.contains("Result too large; Values may be nested at most"), "{found}");
}

/// Accepted, it would be printed, and then not be readable.
#[test]
fn deep_blocks_of_config_are_an_error() {
    let blocks = format!("{}{}", "a {\n".repeat(58), "}\n".repeat(58));
    let found = said(&crate::task_text(&format!("config {{\n{blocks}}}")));
    assert!(found.contains("Job nested too deeply"), "{found}");
}

#[test]
fn environment_names_of_many_parts_are_harmless() {
    let name = "a.".repeat(200_000) + "b";
    let variables = [(name.clone(), "x".to_owned())].into_iter().collect();
    let env = longshore_job::runtime::Env::new(variables, Default::default());
    let marks = "${".repeat(200_000);
    assert_eq!(longshore_job::runtime::interpolate(&marks, &env), marks);
    assert!(longshore_job::runtime::interpolate_config(&marks.into(), &env).is_err());
    assert_eq!(env.get(&name), Some("x"));
}

#[test]
fn a_long_chain_of_locals_is_fine() {
    let steps: String = (1..5_000).map(|n| format!("l{n} = local.l{}\n", n - 1)).collect();
    let text = format!("locals {{\nl0 = 1\n{steps}}}\n{}", crate::task_text("config {\n x = local.l4999\n}"));
    assert_eq!(said(&text), "accepted");
}

#[test]
fn billion_laughs_are_cut_short() {
    for double in [
        "\"${local.lN}${local.lN}\"",
        "[local.lN, local.lN]",
        "concat(local.lN, local.lN)",
        "jsonencode([local.lN, local.lN])",
    ] {
        let first = if double.starts_with("concat") { "[1]" } else { "\"ha\"" };
        let steps: String =
            (1..60).map(|n| format!("l{n} = {}\n", double.replace("lN", &format!("l{}", n - 1)))).collect();
        let text = format!("locals {{\nl0 = {first}\n{steps}}}\n{}", crate::task_text("config {\n x = local.l59\n}"));
        let found = said(&text);
        assert!(found.contains("may produce at most") || found.contains("would be larger"), "{double}: {found}");
    }
}

#[test]
fn loops_and_functions_cannot_be_made_to_explode() {
    let loops = "[for a in range(1000) : [for b in range(1000) : [for c in range(1000) : c]]]";
    let product = "setproduct(range(1000), range(1000), range(1000), range(1000))";
    for expr in [
        loops,
        product,
        "format(\"%999999999d\", 1)",
        "format(\"%.999999999f\", 1)",
        "format(\"%99999999999999999999d\", 1)",
        "indent(999999999, \"a\\nb\")",
        "indent(-1, \"a\")",
        "join(format(\"%5000000s\", \"a\"), range(1000))",
        "replace(format(\"%500000s\", \"a\"), \" \", format(\"%5000s\", \"b\"))",
        "regex_replace(format(\"%500000s\", \"a\"), \" \", format(\"%5000s\", \"b\"))",
        "regex_replace(\"a\", \"(a{1000}){1000}\", \"b\")",
        "pow(10, 9999)",
        "9e999",
        "parseint(format(\"%05000d\", 1), 36)",
        "chunklist([1], -1)",
        "cidrsubnet(\"10.0.0.0/8\", 99999999999, 1)",
        "slice([1], 5, 2)",
        "range(0, 1, 1e-300)",
        "element([1], 1e300)",
        "-(-9223372036854775808) / 0",
        "\"1e999999999999\" + 1",
        "[for a in range(1000) : [for b in range(1000) : a / 3 + b / 7]]",
    ] {
        let found = expression(expr);
        assert!(found.contains("evil.hcl"), "{expr}: {found}");
    }
}

#[test]
fn dynamic_blocks_cannot_be_made_to_explode() {
    let inner = "content {\n dynamic \"x\" {\n for_each = range(1000)\n content {\n a = 1\n}\n}\n}";
    let middle = format!("content {{\n dynamic \"x\" {{\n for_each = range(1000)\n {inner}\n}}\n}}");
    let text = crate::task_text(&format!("config {{\n dynamic \"x\" {{\n for_each = range(1000)\n {middle}\n}}\n}}"));
    assert!(said(&text).contains("Result too large"));
}

#[test]
fn huge_numbers_are_errors_where_a_small_one_is_meant() {
    for (attribute, number) in [
        ("count", "99999999999999999999"),
        ("count", "1e300"),
        ("count", "0.5"),
        ("count", "-1"),
        ("count", "5000000000"),
        ("shutdown_delay", "\"99999999999h\""),
        ("shutdown_delay", "-1"),
    ] {
        let text = crate::task_text("").replace("group \"g\" {", &format!("group \"g\" {{\n{attribute} = {number}\n"));
        assert!(said(&text).contains("evil.hcl:3,"), "{attribute} = {number}: {}", said(&text));
    }
}

/// Each of these is a third of the largest file; a step of quadratic time would be felt.
#[test]
fn full_files_are_read_in_time() {
    let fill = |line: &str| {
        let lines = (1 << 20) / 3 / (line.len() + 8);
        (0..lines).map(|n| line.replace('#', &n.to_string()) + "\n").collect::<String>()
    };
    for (line, expected) in [
        ("variable \"v#\" {}", "Unset variable"),
        ("variable \"v\" {}", "Duplicate variable"),
        ("locals {\n l# = [1]\n}", "accepted"),
        ("x#=1", "Unsupported argument"),
        ("x# {}", "Unsupported block type"),
    ] {
        let found = said(&format!("{}\n{}", fill(line), crate::task_text("")));
        assert!(found.contains(expected), "{line}: {found}");
    }
    let variables = fill("variable \"v#\" {}").replace('#', "1");
    assert!(said(&format!("{variables}{}", crate::task_text("user = var.v7"))).contains("Unset variable"));
    for (inside, expected) in [
        (fill("a# = 1"), "Unsupported argument"),
        (format!("config {{\n{}}}", fill("a# = local.x")), "Unsupported attribute"),
        (format!("config {{\n{}}}", fill("a {}")), "accepted"),
        (format!("env {{\n{}}}", fill("a# = 1")), "accepted"),
        (fill("env {}"), "Duplicate env block"),
    ] {
        let found = said(&crate::task_text(&inside));
        assert!(found.contains(expected), "{}: {found}", &inside[..40]);
    }
    let ports = crate::task_text("").replace("task", &format!("network {{\n{}}}\ntask", fill("port \"p#\" {}")));
    assert_eq!(said(&ports), "accepted");
    let groups = format!("job \"j\" {{\n{}}}", fill("task \"t#\" {\ndriver = \"d\"\n}"));
    assert_eq!(said(&groups), "accepted");
}

#[test]
fn many_errors_are_counted_not_all_printed() {
    let lines: String = (0..2_000).map(|n| format!("wrong{n} = 1\n")).collect();
    let found = said(&crate::task_text(&lines));
    assert!(found.ends_with("and 1950 more\n"), "{found}");
}

#[test]
fn mutilated_jobs_never_panic() {
    let text = std::fs::read_to_string(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/jobs/shop.nomad.hcl"),
    )
    .unwrap();
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)).step_by(7) {
        said(&text[..end]);
        let mut cut = text.clone();
        cut.replace_range(end..(end + 3).min(text.len()), "");
        said(&cut);
        let mut doubled = text.clone();
        doubled.insert_str(end, "{\"${[");
        said(&doubled);
    }
}

#[test]
fn yaml_cannot_be_made_to_explode() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\\n".to_owned();
    for level in 1..30 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        text.push_str(&format!("a{level}: &a{level} [{before}]\\n"));
    }
    assert!(expression(&format!("yamldecode(\"{text}\")")).contains("more than 100000 values"));
    let deep = "[".repeat(5_000);
    assert!(expression(&format!("yamldecode(\"{deep}\")")).contains("Error in function call"));
    assert!(expression("yamldecode(\"&a [*a]\")").contains("Error in function call"));
}
