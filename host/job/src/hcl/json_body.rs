//! HCL's JSON form, written out as the HCL it stands for.
//!
//! Which objects are blocks is not visible in JSON, only in the table of the language; so the document is walked
//! along that table. Going through HCL text keeps one reader for both forms, and gives errors a line to show.

use hcl_edit::Span;
use hcl_edit::template::{Element, Template};
use serde_json::{Map, Value};

use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::source::Source;
use crate::spec::{Block, JOB, Shape};

type Written = Result<(), String>;

/// A whole job file.
pub fn to_hcl(document: &Value) -> Result<String, String> {
    let mut writer = Writer::default();
    for (key, value) in object(document, "the document")? {
        match key.as_str() {
            "job" => writer.blocks(&JOB, value)?,
            "variable" => {
                for (name, value) in object(value, "variable")? {
                    writer.line(&format!("variable {} {{", quoted(name)));
                    for (key, value) in object(value, name)? {
                        writer.variable_attribute(key, value)?;
                    }
                    writer.line("}");
                }
            }
            "locals" | "variables" => {
                for fields in one_or_many(value) {
                    writer.line(&format!("{key} {{"));
                    writer.attributes(object(fields, key)?)?;
                    writer.line("}");
                }
            }
            "//" => {}
            other => return Err(format!("{other:?} is not expected here")),
        }
    }
    Ok(writer.out)
}

/// A file of values, in either form.
pub fn variables(source: &Source) -> Result<Source, Diagnostics> {
    if !source.text().trim_start().starts_with('{') {
        return Ok(source.clone());
    }
    let written =
        serde_json::from_str::<Value>(source.text()).map_err(|error| error.to_string()).and_then(|document| {
            let mut writer = Writer::default();
            writer.attributes(object(&document, "the document")?)?;
            Ok(Source::new(format!("{} (as HCL)", source.name()), writer.out))
        });
    written.map_err(|why| Diagnostic::error("Invalid JSON", why).in_source(source, &(0..0)).into())
}

#[derive(Default)]
struct Writer {
    out: String,
}

impl Writer {
    fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    /// One or more blocks of a kind; with a label, the keys of the object are the labels.
    fn blocks(&mut self, spec: &'static Block, value: &Value) -> Written {
        for item in one_or_many(value) {
            let fields = object(item, spec.name)?;
            if spec.label.is_none() {
                self.block(spec, "", fields)?;
                continue;
            }
            for (label, bodies) in fields {
                for body in one_or_many(bodies) {
                    self.block(spec, &format!("{} ", quoted(label)), object(body, label)?)?;
                }
            }
        }
        Ok(())
    }

    fn block(&mut self, spec: &'static Block, label: &str, fields: &Map<String, Value>) -> Written {
        self.line(&format!("{} {label}{{", spec.name));
        self.body(spec, fields)?;
        self.line("}");
        Ok(())
    }

    fn body(&mut self, spec: &'static Block, fields: &Map<String, Value>) -> Written {
        for (key, value) in fields.iter().filter(|(key, value)| !value.is_null() && *key != "//") {
            let task_in_job = spec.name == "job" && key == "task";
            let around = if task_in_job { JOB.block("group") } else { Some(spec) };
            match around.and_then(|around| around.block(key)) {
                None if key == "dynamic" => self.dynamic(spec, value)?,
                None => self.attribute(key, value)?,
                Some(inner) => match inner.shape {
                    Shape::Strings => self.attribute(key, single(value))?,
                    Shape::One | Shape::Many | Shape::ByLabel => self.blocks(inner, value)?,
                    Shape::StringsBlock | Shape::Lists | Shape::Free => {
                        self.line(&format!("{key} {{"));
                        self.inside(inner, object(single(value), key)?)?;
                        self.line("}");
                    }
                },
            }
        }
        Ok(())
    }

    /// What stands between the braces of a block of any shape.
    fn inside(&mut self, spec: &'static Block, fields: &Map<String, Value>) -> Written {
        match spec.shape {
            Shape::One | Shape::Many | Shape::ByLabel => self.body(spec, fields),
            Shape::Strings | Shape::StringsBlock | Shape::Lists => self.attributes(fields),
            Shape::Free => self.free(fields),
        }
    }

    /// `"dynamic": {"port": {"for_each": …, "content": {…}}}`.
    fn dynamic(&mut self, spec: &'static Block, value: &Value) -> Written {
        for kinds in one_or_many(value) {
            for (kind, bodies) in object(kinds, "dynamic")? {
                for body in one_or_many(bodies) {
                    self.line(&format!("dynamic {} {{", quoted(kind)));
                    for (key, value) in object(body, kind)? {
                        match (key.as_str(), value, spec.block(kind)) {
                            ("//", ..) => {}
                            // What is in one of an unknown kind does not matter: that it is unknown will be said.
                            ("content", value, inner) => {
                                self.line("content {");
                                inner.map_or(Ok(()), |inner| self.inside(inner, object(single(value), key)?))?;
                                self.line("}");
                            }
                            // A name, not a text.
                            ("iterator", Value::String(name), _) if hcl_edit::Ident::try_new(name.as_str()).is_ok() => {
                                self.line(&format!("iterator = {name}"));
                            }
                            _ => self.attribute(key, value)?,
                        }
                    }
                    self.line("}");
                }
            }
        }
        Ok(())
    }

    fn attributes(&mut self, fields: &Map<String, Value>) -> Written {
        fields.iter().filter(|(key, _)| *key != "//").try_for_each(|(k, v)| self.attribute(k, v))
    }

    /// Maps stay maps here, which parentheses say: written out bare they would be blocks.
    fn free(&mut self, fields: &Map<String, Value>) -> Written {
        for (key, value) in fields.iter().filter(|(key, _)| *key != "//") {
            self.name(key)?;
            self.out.push('(');
            self.value(value)?;
            self.line(")");
        }
        Ok(())
    }

    fn name(&mut self, key: &str) -> Written {
        if hcl_edit::Ident::try_new(key).is_err() {
            return Err(format!("{key:?} is not a valid argument name"));
        }
        self.out.push_str(&format!("{key} = "));
        Ok(())
    }

    fn attribute(&mut self, key: &str, value: &Value) -> Written {
        self.name(key)?;
        self.value(value)?;
        self.out.push('\n');
        Ok(())
    }

    /// Types are written as text: `"type": "list(string)"`.
    fn variable_attribute(&mut self, key: &str, value: &Value) -> Written {
        match (key, value) {
            ("type", Value::String(kind)) => {
                hcl_edit::parser::parse_expr(kind).map_err(|_| format!("{kind:?} is not a type"))?;
                self.line(&format!("type = {kind}"));
                Ok(())
            }
            ("validation", value) => {
                for rule in one_or_many(value) {
                    self.line("validation {");
                    self.attributes(object(rule, "validation")?)?;
                    self.line("}");
                }
                Ok(())
            }
            _ => self.attribute(key, value),
        }
    }

    fn value(&mut self, value: &Value) -> Written {
        match value {
            Value::String(text) => self.template(text)?,
            Value::Array(items) => {
                self.out.push('[');
                for item in items {
                    self.value(item)?;
                    self.out.push_str(", ");
                }
                self.out.push(']');
            }
            Value::Object(fields) => {
                self.out.push('{');
                for (key, item) in fields {
                    self.out.push_str(&format!("{} = ", quoted(key)));
                    self.value(item)?;
                    self.out.push_str(", ");
                }
                self.out.push('}');
            }
            plain => self.out.push_str(&plain.to_string()),
        }
        Ok(())
    }

    /// Text in JSON is a template: its literals are quoted anew, its interpolations copied.
    fn template(&mut self, text: &str) -> Written {
        let template: Template = text.parse().map_err(|error| format!("in the text {text:?}: {error}"))?;
        self.out.push('"');
        for element in template.iter() {
            match element {
                Element::Literal(literal) => self.out.push_str(&escaped(literal.as_str())),
                other => {
                    let span = other.span().unwrap_or_default();
                    self.out.push_str(text.get(span).unwrap_or_default());
                }
            }
        }
        self.out.push('"');
        Ok(())
    }
}

fn object<'v>(value: &'v Value, what: &str) -> Result<&'v Map<String, Value>, String> {
    value.as_object().ok_or_else(|| format!("{what} must be an object"))
}

fn one_or_many(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        Value::Null => &[],
        single => std::slice::from_ref(single),
    }
}

/// `[{…}]` where one object is meant.
fn single(value: &Value) -> &Value {
    match value {
        Value::Array(items) if items.len() == 1 => &items[0],
        other => other,
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other => out.push(other),
        }
    }
    out.replace("${", "$${").replace("%{", "%%{")
}
