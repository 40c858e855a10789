//! Job files of old as they are written today.
//!
//! What changes is replaced where it stands, by the places the parser gives, so that everything else, comments
//! included, stays as it was written.

use std::ops::Range;

use hcl_edit::Span;
use hcl_edit::expr::Expression;
use hcl_edit::structure::{Block, Body, Structure};

use crate::canonical::is_fact;
use crate::diagnostics::Diagnostics;
use crate::format::format;
use crate::hcl;
use crate::source::Source;

/// A job file in today's form, and what was changed, a line each.
pub fn upgrade(name: &str, text: &str) -> Result<(String, Vec<String>), Diagnostics> {
    let body = hcl::parse(&Source::new(name, text))?;
    let mut upgrade = Upgrade { text, edits: Vec::new(), notes: Vec::new() };
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
    label: String,
    inside: String,
}

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
        let network = self.network(task);
        self.edits.push((span.start..span.start, format!("group \"{name}\" {{\n{network}")));
        self.edits.push((span.end..span.end, "\n}".into()));
    }

    fn group(&mut self, group: &Block) {
        let tasks: Vec<&Block> = group.body.get_blocks("task").filter(|task| legacy(task).is_some()).collect();
        match tasks.as_slice() {
            [] => {}
            [task] if !group.body.has_blocks("network") => {
                let network = self.network(task);
                if let Some(start) = group.body.iter().find_map(Span::span) {
                    self.edits.push((start.start..start.start, network));
                }
            }
            _ => self.notes.push(format!(
                "group {:?} has several networks: they are left where they are",
                group.labels.first().map(|label| label.as_str()).unwrap_or_default()
            )),
        }
    }

    /// Takes a task's own network away and answers the group's.
    fn network(&mut self, task: &Block) -> String {
        let Some(network) = legacy(task) else { return String::new() };
        let Some(span) = network.span() else { return String::new() };
        let mapped = self.port_map(task);
        let ports = ports(self.text, network, &mapped);
        self.edits.push((self.whole_lines(span), String::new()));
        self.notes.push("the network of a task stands in its group; mbits has no meaning any more".into());
        let is_docker = task.body.get_attribute("driver").and_then(|driver| driver.value.as_str()) == Some("docker");
        if is_docker {
            self.publish(task, &ports);
        }
        let lines: String = ports.iter().map(|port| format!("port \"{}\" {{{}}}\n", port.label, port.inside)).collect();
        format!("network {{\n{lines}}}\n\n")
    }

    /// Docker publishes what `ports` names.
    fn publish(&mut self, task: &Block, ports: &[Port]) {
        let Some(config) = task.body.get_blocks("config").next().filter(|config| !config.body.has_attribute("ports"))
        else {
            return;
        };
        let names: Vec<String> = ports.iter().map(|port| format!("{:?}", port.label)).collect();
        if let Some(first) = config.body.iter().find_map(Span::span).filter(|_| !names.is_empty()) {
            let line = format!("ports = [{}]\n", names.join(", "));
            self.edits.push((first.start..first.start, line));
        }
    }

    /// Takes `port_map` away: label and port in the container.
    fn port_map(&mut self, task: &Block) -> Vec<(String, String)> {
        let mut mapped = Vec::new();
        for config in task.body.get_blocks("config") {
            for map in config.body.get_blocks("port_map") {
                let value = |expr: &Expression| expr.span().map(|span| self.text[span].to_owned()).unwrap_or_default();
                let pairs = map.body.attributes().map(|pair| (pair.key.as_str().to_owned(), value(&pair.value)));
                mapped.extend(pairs);
                if let Some(span) = map.span() {
                    self.edits.push((self.whole_lines(span), String::new()));
                    self.notes.push("port_map is written as `to` of the port".into());
                }
            }
        }
        mapped
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

fn ports(text: &str, network: &Block, mapped: &[(String, String)]) -> Vec<Port> {
    let mut ports = Vec::new();
    let to = |label: &str| mapped.iter().find(|(name, _)| name == label).map(|(_, port)| format!("to = {port}"));
    for structure in network.body.iter() {
        match structure {
            Structure::Block(port) if port.ident.as_str() == "port" => {
                let label = port.labels.first().map(|label| label.as_str().to_owned()).unwrap_or_default();
                let own =
                    port.body.attributes().filter_map(|attribute| Some(text[attribute.span()?].trim().to_owned()));
                let lines: Vec<String> = own.chain(to(&label)).collect();
                ports.push(Port { label, inside: inside(&lines) });
            }
            Structure::Attribute(list) if list.key.as_str() == "reserved_ports" => {
                for number in items(text, &list.value) {
                    let lines = [format!("static = {number}"), format!("to = {number}")];
                    ports.push(Port { label: format!("port{number}"), inside: inside(&lines) });
                }
            }
            Structure::Attribute(list) if list.key.as_str() == "dynamic_ports" => {
                for label in items(text, &list.value) {
                    let own = label.parse::<u16>().ok().map(|number| format!("to = {number}"));
                    let lines: Vec<String> = to(&label).or(own).into_iter().collect();
                    ports.push(Port { label, inside: inside(&lines) });
                }
            }
            _ => {}
        }
    }
    ports
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
