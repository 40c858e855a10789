//! Functions and expressions, by input and result.

use serde_json::{Value, json};

use crate::expression;

#[test]
fn expressions_have_these_values() {
    for (expr, expected) in [
        ("1 + 2 * 3", json!(7)),
        ("10 / 4", json!(2.5)),
        ("10 / 5", json!(2)),
        ("7 % 3", json!(1)),
        ("-5 + \"6\"", json!(1)),
        ("1 == 1.0 && !false", json!(true)),
        ("\"1\" == 1", json!(false)),
        ("300 * 1.1", json!(330)),
        ("0.1 + 0.2", json!(0.3)),
        ("2 / 3 * 3", json!(2)),
        ("10 / 3", json!(10.0 / 3.0)),
        ("9223372036854775807 * 2.5", json!(2.305_843_009_213_694e19)),
        ("3 >= 2 ? \"yes\" : \"no\"", json!("yes")),
        ("true ? 1 : \"a\"", json!("1")),
        ("true ? [1, \"a\"] : []", json!(["1", "a"])),
        ("true ? { a = 1, b = \"x\" } : {}", json!({"a": "1", "b": "x"})),
        ("true ? 1 : local.missing", json!(1)),
        ("\"${1 + 1}\"", json!(2)),
        ("\"a${1 + 1}\"", json!("a2")),
        ("\"a${true}b${1.5}\"", json!("atrueb1.5")),
        ("[for x in [1, 2, 3] : x * 2 if x > 1]", json!([4, 6])),
        ("[for i, x in [\"a\", \"b\"] : \"${i}${x}\"]", json!(["0a", "1b"])),
        ("{ for k, v in { b = 1, a = 2 } : upper(k) => v }", json!({"A": 2, "B": 1})),
        ("{ for x in [\"ab\", \"ac\"] : substr(x, 0, 1) => x... }", json!({"a": ["ab", "ac"]})),
        ("[{ a = 1 }, { a = 2 }][*].a", json!([1, 2])),
        ("[{ a = [1, 2] }].*.a[0]", json!([1, 2])),
        ("{ a = { b = [1, 2] } }.a.b[1]", json!(2)),
        ("{ a = 1 }[\"a\"]", json!(1)),
        ("{ (upper(\"k\")) = 1, \"l\": 2 }", json!({"K": 1, "l": 2})),
        ("\"%{ if true }yes%{ else }no%{ endif }\"", json!("yes")),
        ("\"%{ for x in [1, 2] }${x},%{ endfor }\"", json!("1,2,")),
        ("\"a  ${~ \"b\" ~}  c\"", json!("abc")),
        ("<<-EOF\n    a\n      b\n    EOF\n", json!("a\n  b\n")),
        ("<<-EOF\na\n  b\n    EOF\n", json!("a\n  b\n")),
        ("<<-EOF\n  a\n\n    \n  b\n  EOF\n", json!("a\n\n    \nb\n")),
        ("<<-EOF\n    ${1} a\n  b $${y}\n  EOF\n", json!("  1 a\nb ${y}\n")),
        ("<<-EOF\n  a\n${1}\n  b\n  EOF\n", json!("  a\n1\n  b\n")),
        ("<<-EOF\n  %{ if true }\n    a\n  %{ endif }\n  b\n  EOF\n", json!("\n  a\n\nb\n")),
        ("<<EOF\n%{ for x in [1, 2] ~}\n  - ${x}\n%{ endfor ~}\n  end\nEOF\n", json!("  - 1\n  - 2\n  end\n")),
        ("<<EOF\na\n  %{~ if true }b%{ endif ~}\nc\nEOF\n", json!("a\nbc\n")),
        ("<<-EOF\n\ta\r\n\t\tb\r\n\tEOF\n", json!("a\r\n\tb\r\n")),
        ("9007199254740993", json!(9_007_199_254_740_993_i64)),
        ("1e3", json!(1000)),
    ] {
        assert_eq!(expression(expr), Ok(expected), "{expr}");
    }
}

#[test]
fn functions_have_these_results() {
    for (expr, expected) in [
        ("strlen(bcrypt(\"x\", 4))", json!(60)),
        ("substr(bcrypt(\"x\", 3), 0, 7)", json!("$2a$10$")),
        ("parseint(\"Zz\", 62)", json!(3817)),
        ("parseint(\"-Ff\", 16)", json!(-255)),
        ("upper(\"straße\")", json!("STRAßE")),
        ("strlen(\"👨\u{200d}👩\u{200d}👧\")", json!(1)),
        ("strrev(\"a👨\u{200d}👩\u{200d}👧b\")", json!("b👨\u{200d}👩\u{200d}👧a")),
        ("jsonencode([1e21, 1e-7, 0.5])", json!("[1000000000000000000000,0.0000001,0.5]")),
        ("yamldecode(\"a: 2020-01-31\")", json!({"a": "2020-01-31T00:00:00Z"})),
        ("csvdecode(\"a,b\\n1,2\\n3,\\\"4,5\\\"\")", json!([{"a": "1", "b": "2"}, {"a": "3", "b": "4,5"}])),
        ("formatdate(\"DD MMM YYYY hh:mm ZZZ\", \"2018-01-02T23:12:01Z\")", json!("02 Jan 2018 23:12 UTC")),
        (
            "formatdate(\"EEEE, DD-MMM-YY hh:mm:ss ZZZ\", \"2018-01-02T23:12:01-08:00\")",
            json!("Tuesday, 02-Jan-18 23:12:01 -0800"),
        ),
        ("formatdate(\"H:mmaa 'o''clock'\", \"2018-01-02T23:12:01Z\")", json!("11:12pm o'clock")),
        ("timeadd(\"2017-11-22T00:00:00Z\", \"10m\")", json!("2017-11-22T00:10:00Z")),
        ("timeadd(\"2017-11-22T00:00:00+01:00\", \"-1h30m\")", json!("2017-11-21T22:30:00+01:00")),
        ("strlen(uuidv4())", json!(36)),
        ("uuidv5(\"dns\", \"www.terraform.io\")", json!("a5008fae-b28c-5ba5-96cd-82b4c53552d6")),
        ("convert([1, true], list(string))", json!(["1", "true"])),
        ("convert([1, \"x\"], list(any))", json!(["1", "x"])),
        ("convert({ a = 1, b = \"x\" }, map(any))", json!({"a": "1", "b": "x"})),
        ("convert([10, 2, 10], set(number))", json!([2, 10])),
        (
            "yamldecode(\"a: 1\\nb: [x, 'y', 2.5, ~, yes]\\nc: {d: true}\")",
            json!({"a": 1, "b": ["x", "y", 2.5, null, true], "c": {"d": true}}),
        ),
        ("yamldecode(\"x: &x {a: 1}\\nz: {<<: *x, b: 2}\")", json!({"x": {"a": 1}, "z": {"a": 1, "b": 2}})),
        (
            "yamlencode({ a = [1, { b = \"c\", d = [] }], e = {} })",
            json!("\"a\":\n- 1\n- \"b\": \"c\"\n  \"d\": []\n\"e\": {}\n"),
        ),
        ("yamlencode({ a = \"x\\ny\" })", json!("\"a\": |-\n  x\n  y\n")),
        ("yamlencode([\" x\\n\\n\"])", json!("- |2+\n   x\n\n")),
        ("yamlencode({ a = \"x \\ny\" })", json!("\"a\": \"x \\ny\"\n")),
        ("yamlencode(true)", json!("true\n...\n")),
        ("yamlencode(\"a\")", json!("\"a\"\n")),
        ("jsonencode({ a = \"<b> & c\" })", json!("{\"a\":\"\\u003cb\\u003e \\u0026 c\"}")),
        ("replace(\"a/b/\", \"/\", \"-\")", json!("a-b-")),
        ("abs(-3)", json!(3)),
        ("base64decode(base64encode(\"hällo\"))", json!("hällo")),
        ("can(local.x)", json!(false)),
        ("try(local.x, \"fallback\")", json!("fallback")),
        ("ceil(1.2)", json!(2)),
        ("floor(-1.2)", json!(-2)),
        ("chomp(\"a\\n\\n\")", json!("a")),
        ("chunklist([1, 2, 3], 2)", json!([[1, 2], [3]])),
        ("cidrhost(\"10.12.127.0/20\", 268)", json!("10.12.113.12")),
        ("cidrhost(\"10.0.0.0/08\", 1)", json!("10.0.0.1")),
        ("cidrhost(\"10.0.0.0/8\", -2)", json!("10.255.255.254")),
        ("cidrnetmask(\"172.16.0.0/12\")", json!("255.240.0.0")),
        ("cidrsubnet(\"172.16.0.0/12\", 4, 2)", json!("172.18.0.0/16")),
        ("cidrsubnet(\"fd00::/48\", 16, 162)", json!("fd00:0:0:a2::/64")),
        ("cidrsubnets(\"10.1.0.0/16\", 4, 4, 8)", json!(["10.1.0.0/20", "10.1.16.0/20", "10.1.32.0/24"])),
        ("coalesce(null, \"a\")", json!("a")),
        ("coalesce(1, \"a\")", json!("1")),
        ("coalescelist([], [1])", json!([1])),
        ("compact([\"a\", \"\", null, 1])", json!(["a", "1"])),
        ("concat([1], [2, 3])", json!([1, 2, 3])),
        ("contains([1, 2], 2)", json!(true)),
        ("distinct([1, 2, \"1\"])", json!(["1", "2"])),
        ("element([\"a\", \"b\"], 3)", json!("b")),
        ("element([\"a\", \"b\"], -1)", json!("b")),
        ("flatten([[1, [2]], 3])", json!([1, 2, 3])),
        ("format(\"%s-%03d-%.1f-%q-%%\", \"a\", 7, 1.25, \"x\")", json!("a-007-1.2-\"x\"-%")),
        ("format(\"%5s|%-5s|%x|%t|%v\", \"a\", \"b\", 255, true, [1])", json!("    a|b    |ff|true|[1]")),
        ("format(\"%v %v %g\", 1000000, 8080, 0.00001)", json!("1e+06 8080 1e-05")),
        ("format(\"%05s %#x\", \"a\", 255)", json!("0000a 0xff")),
        ("base64decode(\"aGVs\\nbG8=\")", json!("hello")),
        ("formatlist(\"%s:%d\", [\"a\", \"b\"], 80)", json!(["a:80", "b:80"])),
        ("indent(2, \"a\\nb\")", json!("a\n  b")),
        ("index([\"a\", \"b\"], 1)", json!("b")),
        ("join(\",\", [\"a\", 1])", json!("a,1")),
        ("jsondecode(\"{\\\"a\\\": [1]}\")", json!({"a": [1]})),
        ("jsonencode({ b = 1, a = [true, null] })", json!("{\"a\":[true,null],\"b\":1}")),
        ("keys({ b = 1, a = 2 })", json!(["a", "b"])),
        ("values({ b = 1, a = 2 })", json!([2, 1])),
        ("length([1]) + length({ a = 1 })", json!(2)),
        ("log(8, 2)", json!(3)),
        ("lookup({ a = 1 }, \"b\", 9)", json!(9)),
        ("lower(\"ABC\")", json!("abc")),
        ("max([1, 5, 3]...)", json!(5)),
        ("min(4, 2)", json!(2)),
        ("merge({ a = 1 }, { a = 2, b = 3 })", json!({"a": 2, "b": 3})),
        ("md5(\"a\")", json!("0cc175b9c0f1b6a831c399e269772661")),
        ("parseint(\"ff\", 16)", json!(255)),
        ("pow(2, 10)", json!(1024)),
        ("range(3)", json!([0, 1, 2])),
        ("range(1, 8, 3)", json!([1, 4, 7])),
        ("regex_replace(\"a1b22\", \"[0-9]+\", \"#\")", json!("a#b#")),
        ("replace(\"a.b.c\", \".\", \"-\")", json!("a-b-c")),
        ("reverse(\"abc\")", json!("cba")),
        ("setintersection([\"b\", \"a\"], [\"a\", \"c\"])", json!(["a"])),
        ("setproduct([\"a\", \"b\"], [1, 2])", json!([["a", 1], ["a", 2], ["b", 1], ["b", 2]])),
        ("setunion([\"b\"], [\"a\", \"b\"])", json!(["a", "b"])),
        ("setunion([10, 2], [1])", json!([1, 2, 10])),
        ("setintersection([1, 2], [\"1\"])", json!(["1"])),
        ("sha1(\"a\")", json!("86f7e437faa5a7fce15d1ddcb9eaeaea377667b8")),
        ("substr(sha256(\"a\"), 0, 8)", json!("ca978112")),
        ("substr(sha512(\"a\"), 0, 8)", json!("1f40fc92")),
        ("signum(-4)", json!(-1)),
        ("slice([1, 2, 3], 1, 3)", json!([2, 3])),
        ("sort([\"b\", \"a\"])", json!(["a", "b"])),
        ("split(\",\", \"a,b\")", json!(["a", "b"])),
        ("strlen(\"häh\")", json!(3)),
        ("strrev(\"abc\")", json!("cba")),
        ("substr(\"hello\", -3, -1)", json!("llo")),
        ("title(\"hello o'clock\")", json!("Hello O'Clock")),
        ("trim(\"--a--\", \"-\")", json!("a")),
        ("trimprefix(\"v1\", \"v\")", json!("1")),
        ("trimsuffix(\"a.hcl\", \".hcl\")", json!("a")),
        ("trimspace(\" a \")", json!("a")),
        ("upper(\"a\")", json!("A")),
        ("urlencode(\"a b&ü/-_.~\")", json!("a+b%26%C3%BC%2F-_.~")),
        ("zipmap([\"a\", \"b\"], [1, 2])", json!({"a": 1, "b": 2})),
    ] {
        assert_eq!(expression(expr), Ok(expected), "{expr}");
    }
}

#[test]
fn wrong_calls_say_why() {
    for (expr, expected) in [
        ("uper(\"a\")", "Call to unknown function; There is no function named \"uper\". Did you mean \"upper\"?"),
        ("upper()", "Not enough function arguments; Function \"upper\" expects 1 argument(s), got 0."),
        ("upper(1, 2)", "Too many function arguments"),
        ("upper([])", "Invalid value for argument 1 of \"upper\": string required, got list."),
        ("upper(null)", "argument must not be null"),
        ("element([], 0)", "cannot use element function with an empty list"),
        ("jsondecode(\"{\")", "Error in function call"),
        ("file(\"x\")", "filesystem function disabled"),
        ("fileexists(\"x\")", "filesystem function disabled"),
        ("abspath(\"x\")", "filesystem function disabled"),
        ("cidrhost(\"010.0.0.0/8\", 1)", "invalid CIDR expression: invalid CIDR address: 010.0.0.0/8."),
        ("cidrhost(\"10.0.0.0/+8\", 1)", "invalid CIDR address"),
        ("cidrsubnet(\"10.00.0.0/8\", 8, 1)", "invalid CIDR address"),
        ("cidrsubnet(\"fd00::/48\", 33, 1)", "may not extend prefix by more than 32 bits"),
        ("range(0, 5000)", "more than 1024 values were generated"),
        ("format(\"%d\", \"x\")", "whole number required"),
        ("format(\"%s\")", "not enough arguments"),
        ("max([1]..., 2)", "Missing argument separator"),
        ("1 / 0", "Unsuitable value for \"x\": a number in it is infinite or too large."),
        ("0 / 0", "Zero cannot be divided by zero."),
        ("1 / 0 - 1 / 0", "Infinity cannot be subtracted from itself."),
        ("\"1e400\" + 0", "a number in it is infinite or too large"),
        ("\"1e9999\" + 0", "number required"),
        ("\"1e2000\" * \"1e2000\"", "The result is too large."),
        ("jsonencode(1 / 0)", "cannot serialize infinity as JSON"),
        ("false && (1 > \"x\")", "number required"),
        ("true ? 1 : true", "Inconsistent conditional result types"),
        ("{ a.b = 1 }", "Ambiguous attribute key"),
        ("length(\"abc\")", "collection must be a list, a map or a tuple"),
        ("convert([1, []], list(any))", "all elements must have the same type"),
        ("reverse([1])", "string required, got list"),
        ("join(\",\")", "at least one list is required"),
        ("yamldecode(\"a: 1\\n---\\nb: 2\")", "unexpected extra content"),
        ("csvdecode(\"\")", "missing header line"),
        ("{ for x in [1, 1] : \"a\" => x }", "Duplicate object key"),
        ("\"a${null}\"", "The expression result is null."),
        ("\"a${[1]}\"", "string required"),
        ("1 ? 2 : 3", "Unsuitable value for condition: a bool is required."),
    ] {
        let said = expression(expr).expect_err(expr);
        assert!(said.contains(expected), "{expr}: {said}");
    }
}

#[test]
fn file_functions_look_beside_the_job_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    std::fs::write(folder.path().join("page.html"), "hello").unwrap();
    std::fs::write(folder.path().join("sub/more.html"), "more").unwrap();
    let text = crate::task_text(
        "config {\n a = file(\"page.html\")\n b = filebase64(\"page.html\")\n c = fileexists(\"no\")\n \
         d = fileset(\".\", \"**/*.html\")\n e = basename(\"a/b.c\")\n f = dirname(\"a/b.c\")\n \
         g = fileset(\"no\", \"*\")\n h = dirname(\"a/\")\n i = \"${basename(\"/\")}${dirname(\"/\")}${dirname(\"a\")}\"\n}",
    );
    let path = folder.path().join("job.hcl");
    std::fs::write(&path, text).unwrap();
    let options = longshore_job::ParseOptions { allow_files: true, ..Default::default() };
    let parsed = longshore_job::parse_file(&path, &options).unwrap();
    let config: &Value = &parsed.job.task_groups[0].tasks[0].config;
    let expected = json!({
        "a": "hello", "b": "aGVsbG8=", "c": false, "d": ["page.html", "sub/more.html"], "e": "b.c", "f": "a",
        "g": [], "h": "a", "i": "//.",
    });
    assert_eq!(*config, expected);
}

#[test]
fn what_is_not_beside_the_job_file_is_looked_for_where_the_program_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job.hcl");
    let options = longshore_job::ParseOptions { allow_files: true, ..Default::default() };
    let read = |expr: &str| {
        std::fs::write(&path, crate::task_text(&format!("config {{\n a = {expr}\n}}"))).unwrap();
        let mut parsed = longshore_job::parse_file(&path, &options).map_err(|found| found.plain())?;
        Ok::<_, String>(parsed.job.task_groups[0].tasks[0].config["a"].take())
    };
    // Tests run in the directory of their crate.
    assert_eq!(read("fileexists(\"Cargo.toml\")"), Ok(json!(true)));
    std::fs::write(folder.path().join("Cargo.toml"), "beside").unwrap();
    assert_eq!(read("file(\"Cargo.toml\")"), Ok(json!("beside")));
    for (expr, expected) in [
        ("file(\"none\")", "No such file"),
        ("fileexists(\".\")", ". is not a regular file"),
        ("pathexpand(\"~somebody/x\")", "cannot expand user-specific home dir"),
    ] {
        let said = read(expr).unwrap_err();
        assert!(said.contains(expected), "{expr}: {said}");
    }
}
