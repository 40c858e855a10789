//! Job files of old as they are written today.
//!
//! What changes is replaced where it stands, by the places the parser gives, so that everything else, comments
//! included, stays as it was written.

use std::collections::BTreeSet;
use std::ops::Range;

use hcl_edit::Span;
use hcl_edit::expr::{Expression, ObjectKey};
use hcl_edit::structure::{Block, Body, Structure};

use crate::canonical::is_fact;
use crate::diagnostics::Diagnostics;
use crate::format::format;
use crate::hcl;
use crate::source::Source;
use crate::validate::PUBLISHERS;

/// A job file in today's form, and what was changed, a line each.
pub fn upgrade(name: &str, text: &str) -> Result<(String, Vec<String>), Diagnostics> {
    let source = Source::new(name, text);
    let body = hcl::parse(&source)?;
    let mut upgrade = Upgrade { text: source.text(), edits: Vec::new(), notes: Vec::new() };
    upgrade.facts(&body);
    for job in body.get_blocks("job") {
        job.body.get_blocks("group").for_each(|group| upgrade.group(group));
        job.body.get_blocks("task").for_each(|task| upgrade.task_alone(task));
    }
    let (changed, notes) = upgrade.finish();
    Ok((format(name, &changed)?, notes))
}

struct Upgrade<'t> {
    text: &'t str,
    edits: Vec<(Range<usize>, String)>,
    notes: Vec<String>,
}

/// A port, from any of the old forms.
struct Port {
    /// Comments that stood before it.
    comment: String,
    label: String,
    inside: String,
}

/// Attributes of old networks that name ports.
const LISTS: [&str; 2] = ["reserved_ports", "dynamic_ports"];

impl Upgrade<'_> {
    fn finish(mut self) -> (String, Vec<String>) {
        self.edits.sort_by_key(|(range, _)| range.start);
        let (mut out, mut at) = (String::new(), 0);
        for (range, new) in &self.edits {
            // What lies within something that is replaced is gone with it.
            if range.start >= at {
                out.push_str(&self.text[at..range.start]);
                out.push_str(new);
                at = range.end;
            }
        }
        out.push_str(&self.text[at..]);
        (out, self.notes)
    }

    /// `"$attr.kernel.name"` in constraints.
    fn facts(&mut self, body: &Body) {
        for structure in body.iter() {
            match structure {
                Structure::Block(block) => self.facts(&block.body),
                Structure::Attribute(attribute) => {
                    let Expression::String(value) = &attribute.value else { continue };
                    let fact = value.strip_prefix('$').filter(|name| is_fact(name));
                    if let (Some(fact), Some(span)) = (fact, attribute.value.span()) {
                        self.notes.push(format!("${fact} is written ${{{fact}}}"));
                        self.edits.push((span, format!("\"${{{fact}}}\"")));
                    }
                }
            }
        }
    }

    /// A task right in the job gets its group.
    fn task_alone(&mut self, task: &Block) {
        let (Some(span), Some(label)) = (task.span(), task.labels.first()) else { return };
        let name = label.as_str();
        self.notes.push(format!("task {name:?} stands in a group of its own"));
        let network = match legacy(task) {
            Some(_) if self.can_move(&[task], None, name) => network(&self.take_ports(task)),
            _ => String::new(),
        };
        self.edits.push((span.start..span.start, format!("group \"{name}\" {{\n{network}")));
        self.edits.push((span.end..span.end, "\n}".into()));
    }

    /// The networks of a group's tasks become one of the group's.
    fn group(&mut self, group: &Block) {
        let tasks: Vec<&Block> = group.body.get_blocks("task").filter(|task| legacy(task).is_some()).collect();
        let own = group.body.get_blocks("network").next();
        let name = group.labels.first().map(|label| label.as_str()).unwrap_or_default();
        if tasks.is_empty() || !self.can_move(&tasks, own, name) {
            return;
        }
        let ports: Vec<Port> = tasks.iter().flat_map(|task| self.take_ports(task)).collect();
        match (own.and_then(Span::span), group.body.iter().find_map(Span::span)) {
            // Before the brace that closes it.
            (Some(own), _) => self.edits.push((own.end - 1..own.end - 1, format!("\n{}", blocks(&ports)))),
            (None, Some(first)) => self.edits.push((first.start..first.start, network(&ports))),
            (None, None) => {}
        }
    }

    /// Whether all ports of some tasks and of their group are known, each by a name of its own; if not, a note says why
    /// they stay where they are.
    fn can_move(&mut self, tasks: &[&Block], own: Option<&Block>, group: &str) -> bool {
        let mut labels = BTreeSet::new();
        for network in tasks.iter().filter_map(|task| legacy(task)).chain(own) {
            if network.body.has_blocks("dynamic") {
                self.notes.push(format!("group {group:?}: ports of a dynamic block are left where they are"));
                return false;
            }
            for port in ports(self.text, network, &[]) {
                if !labels.insert(port.label.clone()) {
                    let label = port.label;
                    self.notes.push(format!(
                        "group {group:?}: several ports are called {label:?}, and the network of a group has one: they are \
                         left where they are; give each a name of its own"
                    ));
                    return false;
                }
            }
        }
        true
    }

    /// Takes a task's own network away and answers its ports.
    fn take_ports(&mut self, task: &Block) -> Vec<Port> {
        let Some((network, span)) = legacy(task).and_then(|network| Some((network, network.span()?))) else {
            return Vec::new();
        };
        let mapped = self.port_map(task);
        let ports = ports(self.text, network, &mapped);
        self.edits.push((self.whole_lines(span), String::new()));
        self.note("the network of a task stands in its group");
        for attribute in network.body.attributes().filter(|attribute| !LISTS.contains(&attribute.key.as_str())) {
            self.note(&format!("{} of a task's network has no meaning any more", attribute.key.as_str()));
        }
        let driver = task.body.get_attribute("driver").and_then(|driver| driver.value.as_str());
        if driver.is_some_and(|driver| PUBLISHERS.contains(&driver)) {
            self.publish(task, &ports);
        }
        ports
    }

    /// Says something once.
    fn note(&mut self, text: &str) {
        if !self.notes.iter().any(|note| note == text) {
            self.notes.push(text.to_owned());
        }
    }

    /// Docker publishes what `ports` names.
    fn publish(&mut self, task: &Block, ports: &[Port]) {
        let Some(config) = task.body.get_blocks("config").next().filter(|config| !config.body.has_attribute("ports"))
        else {
            return;
        };
        let names: Vec<String> = ports.iter().map(|port| format!("{:?}", port.label)).collect();
        // Not where something goes away.
        let stays = |structure: &&Structure| match structure {
            Structure::Attribute(attribute) => attribute.key.as_str() != "port_map",
            Structure::Block(block) => block.ident.as_str() != "port_map",
        };
        let first = config.body.iter().filter(stays).find_map(Span::span);
        if let Some(first) = first.filter(|_| !names.is_empty()) {
            let line = format!("ports = [{}]\n", names.join(", "));
            self.edits.push((first.start..first.start, line));
        }
    }

    /// Takes `port_map` away: label and port in the container.
    fn port_map(&mut self, task: &Block) -> Vec<(String, String)> {
        let mut mapped = Vec::new();
        for config in task.body.get_blocks("config") {
            for structure in config.body.iter() {
                match structure {
                    Structure::Block(map) if map.ident.as_str() == "port_map" => {
                        let pairs = map.body.attributes();
                        mapped.extend(pairs.map(|pair| (pair.key.as_str().to_owned(), self.written(&pair.value))));
                    }
                    Structure::Attribute(map) if map.key.as_str() == "port_map" => {
                        self.entries(&map.value, &mut mapped)
                    }
                    _ => continue,
                }
                if let Some(span) = structure.span() {
                    self.edits.push((self.whole_lines(span), String::new()));
                    self.note("port_map is written as `to` of the port");
                }
            }
        }
        mapped
    }

    /// Keys and values of a map, or of a list of maps.
    fn entries(&self, maps: &Expression, out: &mut Vec<(String, String)>) {
        match maps {
            Expression::Array(maps) => maps.iter().for_each(|map| self.entries(map, out)),
            Expression::Object(map) => {
                for (key, value) in map.iter() {
                    let name = match key {
                        ObjectKey::Ident(name) => name.as_str(),
                        ObjectKey::Expression(Expression::Variable(name)) => name.as_str(),
                        ObjectKey::Expression(Expression::String(name)) => name.as_str(),
                        ObjectKey::Expression(_) => continue,
                    };
                    out.push((name.to_owned(), self.written(value.expr())));
                }
            }
            _ => {}
        }
    }

    fn written(&self, expr: &Expression) -> String {
        expr.span().map(|span| self.text[span].to_owned()).unwrap_or_default()
    }

    /// A place and the end of its last line, if nothing else stands in its lines.
    fn whole_lines(&self, span: Range<usize>) -> Range<usize> {
        let start = self.text[..span.start].rfind('\n').map_or(0, |newline| newline + 1);
        let end = self.text[span.end..].find('\n').map_or(self.text.len(), |newline| span.end + newline + 1);
        let alone = self.text[start..span.start].trim().is_empty() && self.text[span.end..end].trim().is_empty();
        if alone { start..end } else { span }
    }
}

/// The network of a task, in its resources.
fn legacy(task: &Block) -> Option<&Block> {
    task.body.get_blocks("resources").next()?.body.get_blocks("network").next()
}

/// A group's network.
fn network(ports: &[Port]) -> String {
    format!("network {{\n{}}}\n\n", blocks(ports))
}

fn blocks(ports: &[Port]) -> String {
    let block = |port: &Port| format!("{}port \"{}\" {{{}}}\n", port.comment, port.label, port.inside);
    ports.iter().map(block).collect()
}

fn ports(text: &str, network: &Block, mapped: &[(String, String)]) -> Vec<Port> {
    let mut ports = Vec::new();
    let to = |label: &str| mapped.iter().find(|(name, _)| name == label).map(|(_, port)| format!("to = {port}"));
    let mut at = network.body.span().map(|span| span.start);
    let mut comment = String::new();
    for structure in network.body.iter() {
        let span = structure.span();
        comment.push_str(&between(text, at, span.as_ref().map(|span| span.start)));
        at = span.map(|span| span.end);
        let mut port = |label: String, lines: &[String]| {
            ports.push(Port { comment: std::mem::take(&mut comment), label, inside: inside(lines) });
        };
        match structure {
            Structure::Block(block) if block.ident.as_str() == "port" => {
                let label = block.labels.first().map(|label| label.as_str().to_owned()).unwrap_or_default();
                let own =
                    block.body.attributes().filter_map(|attribute| Some(text[attribute.span()?].trim().to_owned()));
                let lines: Vec<String> = own.chain(to(&label)).collect();
                port(label, &lines);
            }
            Structure::Attribute(list) if list.key.as_str() == "reserved_ports" => {
                for number in items(text, &list.value) {
                    port(format!("port{number}"), &[format!("static = {number}"), format!("to = {number}")]);
                }
            }
            Structure::Attribute(list) if list.key.as_str() == "dynamic_ports" => {
                for label in items(text, &list.value) {
                    let own = label.parse::<u16>().ok().map(|number| format!("to = {number}"));
                    let lines: Vec<String> = to(&label).or(own).into_iter().collect();
                    port(label, &lines);
                }
            }
            _ => {}
        }
    }
    ports
}

/// The comments between two places of a body, a line each.
fn between(text: &str, start: Option<usize>, end: Option<usize>) -> String {
    let gap = start.zip(end).and_then(|(start, end)| text.get(start..end)).unwrap_or_default();
    let lines = gap.lines().map(str::trim).filter(|line| !line.is_empty() && *line != "{");
    lines.map(|line| format!("{line}\n")).collect()
}

fn inside(lines: &[String]) -> String {
    if lines.is_empty() { String::new() } else { format!("\n{}\n", lines.join("\n")) }
}

/// The items of a list, without quotes.
fn items(text: &str, list: &Expression) -> Vec<String> {
    let Expression::Array(items) = list else { return Vec::new() };
    let item = |item: &Expression| Some(text[item.span()?].trim().trim_matches('"').to_owned());
    items.iter().filter_map(item).collect()
}
