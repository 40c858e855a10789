//! What is said of text that is no HCL, and what is HCL although hcl-edit refuses it.

use longshore_job::{ParseOptions, format, parse_str};
use serde_json::json;

use crate::{errors, expression};

#[test]
fn mistakes_are_named_at_their_place() {
    for (line, expected) in [
        ("\"a\" = 1", "2,1-2: Invalid argument name; Argument names must not be quoted."),
        ("a = 1,", "2,6-7: Unexpected comma after argument;"),
        ("a = 1\na = 2", "3,1-2: Attribute redefined; The argument \"a\" was already set."),
        ("a = {{ count }}", "2,15-16: Missing key/value separator; Expected an equals sign"),
        ("a = {\n b\n}", "4,1-2: Missing attribute value;"),
        ("group \"${x}\" {\n}", "2,7-8: Invalid string literal; Template sequences are not allowed"),
        ("group \"g\"\n{\n}", "2,10-10: Invalid block definition; A block definition must have block content"),
        ("group \"g\" x = 1", "2,13-14: Invalid block definition; The equals sign"),
        ("group \"g\" 1 {", "2,11-12: Invalid block definition; Either a quoted string block label"),
        ("b { task \"t\" { } }", "2,10-11: Argument definition required; A single-line block definition can contain"),
        ("b { a = 1, c = 2 }", "2,10-11: Invalid single-argument block definition; Single-line block syntax"),
        ("b { a = 1 c = 2 }", "2,11-12: Invalid single-argument block definition; A single-line block definition must"),
        ("b { a = 1\n}", "2,10-10: Invalid single-argument block definition; An argument definition on the same line"),
        ("a", "2,2-2: Argument or block definition required;"),
        ("a: 1", "use the equals sign \"=\" to introduce the argument value."),
        ("1a = 1", "2,1-2: Argument or block definition required;"),
        ("a = 'x'", "2,5-6: Invalid character; Single quotes are not valid."),
        ("a = `x`", "like \"<<EOT\"."),
        ("a = 1;", "2,6-7: Invalid character; The \";\" character is not valid."),
        ("a = \u{201c}x\u{201d}", "2,5-6: Invalid character; \"Curly quotes\" are not valid here."),
        ("a = $x", "A reference needs no \"$\" outside of a string"),
        ("a = @x", "This character is not used within the language."),
        ("a = 1 & 2", "2,7-8: Unsupported operator; Bitwise operators are not supported. Did you mean boolean AND"),
        ("a = 1 | 2", "Did you mean boolean OR (\"||\")?"),
        ("a = \"x\nb = \"y\"", "2,5-7: Invalid multi-line string; Quoted strings may not be split"),
        ("a = \"${x\"\nb = 1", "2,9-10: Invalid multi-line string;"),
        ("a = \"\\q\"", "2,6-8: Invalid escape sequence; The symbol \"q\" is not a valid escape sequence selector."),
        ("a = 1 2", "2,7-8: Missing newline after argument;"),
        ("a =", "2,4-4: Invalid expression; Expected the start of an expression, but found the end of the line."),
        ("a = .5", "Expected the start of an expression, but found \".\"."),
        ("a = (1", "Unbalanced parentheses; Expected a closing parenthesis"),
        ("a = upper(1", "Missing argument separator; A comma is required"),
        ("a = [1 2]", "2,8-9: Missing item separator; Expected a comma"),
        ("a = x ? 1", "Missing colon; A conditional needs one"),
        ("a = x.", "Invalid attribute name; An attribute name is required after a dot."),
        ("a = <<\"E\"\nE", "Invalid heredoc; Its marker follows at once, without quotes: <<EOT"),
        ("a = <<E\nx", "2,5-8: Unterminated template string; No closing marker was found for the string: E alone"),
        ("a = <<E\n%{ if x }\nE", "Invalid template; What stands in"),
        ("a = <<E\nx %{time} ${y}\nE", "3,3-9: Invalid template control keyword; \"time\" is not a valid"),
        ("a = <<E\n${x:-y}\nE", "3,4-5: Extra characters after interpolation expression; Expected a closing brace"),
        ("a = <<E\n${x[@]}\nE", "such as a shell, start it with \"$${\" instead of \"${\"."),
        ("a = <<E\n${#x}\nE", "3,3-4: Invalid character; This character is not used"),
        ("a = \"${}\"", "2,8-9: Invalid expression; Expected the start of an expression. If this is an embedded"),
        ("group \"g\" {\n a = 1", "1,9-10: Unclosed configuration block; There is no closing brace"),
        ("}", "3,1-2: Argument or block definition required; An argument or block definition is required here; there"),
    ] {
        let said = errors(&std::format!("job \"j\" {{\n{line}\n}}\n")).plain();
        assert!(said.contains(expected), "{line}: {said}");
        assert_eq!(said.lines().count(), 1, "{line}: {said}");
    }
    let deep = errors(&std::format!("a = {}1{}", "[".repeat(99), "]".repeat(99))).plain();
    assert!(deep.contains("Nested too deeply"), "{deep}");
    let long = errors(&std::format!("a = 1{}", "+1".repeat(999))).plain();
    assert!(long.contains("Too many operators"), "{long}");
}

#[test]
fn the_last_of_several_equal_keys_counts() {
    for (expr, expected) in [
        ("{ a = 1, a = 2 }", json!({"a": 2})),
        ("{ a = 1, b = 2, a = 3, a = 4 }", json!({"a": 4, "b": 2})),
        ("{ \"a b\" = 1, \"a b\" = 2 }", json!({"a b": 2})),
        ("{ a = { x = 1, x = 2 }, b = [{ x = 3, x = 4, y = 5 }] }", json!({"a": {"x": 2}, "b": [{"x": 4, "y": 5}]})),
        ("{ aa = 1, ba = 2, aa = 3, ab = 4 }", json!({"aa": 3, "ba": 2, "ab": 4})),
        ("keys({ a = 1, a = 2 })", json!(["a"])),
    ] {
        assert_eq!(expression(expr), Ok(expected), "{expr}");
    }
    let said = expression("{ a = 1, a = [1][2] }").unwrap_err();
    assert!(said.starts_with("test.hcl:2,27-30: Invalid index"), "{said}");
    let many = "a = 1, ".repeat(2000);
    assert!(expression(&std::format!("{{ {many} }}")).unwrap_err().contains("unique object key"));
}

#[test]
fn numbers_that_are_no_floats_are_numbers() {
    for (expr, expected) in [
        ("\"x${1e400}\"", json!(std::format!("x1{}", "0".repeat(400)))),
        ("1e400 / 1E+399", json!(10)),
        ("\"${1.5e309}\" == \"${15e308}\"", json!(true)),
    ] {
        assert_eq!(expression(expr), Ok(expected), "{expr}");
    }
    assert!(expression("1e400").unwrap_err().contains("a number in it is infinite or too large"));
    assert!(expression("\"${1e99999}\"").unwrap_err().contains("Invalid number literal; The number is too large."));
}

#[test]
fn a_mark_before_the_text_is_no_part_of_it() {
    let text = std::format!("\u{feff}{}", crate::task_text("x = 1"));
    let said = errors(&text).plain();
    assert!(said.starts_with("test.hcl:5,1-2: Unsupported argument"), "{said}");
    let wrong = parse_str("test.hcl", "\u{feff}jobs \"x\" {}", &ParseOptions::default()).unwrap_err().plain();
    assert!(wrong.contains("test.hcl:1,1-9: Unsupported block type"), "{wrong}");
    assert_eq!(format("x", "\u{feff}job \"j\" {}\n"), format("x", "job \"j\" {}\n"));
}
