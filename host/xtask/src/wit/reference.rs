//! The contract's reference, a Markdown page generated from the WIT files.

use std::fmt::Write;
use wit_parser::{Docs, Function, Interface, Package, Resolve, Type, TypeDef, TypeDefKind, World, WorldItem};

const HEAD: &str = "# Contract reference

Generated from the `.wit` files by `cargo xtask wit doc`; do not edit. How to read it: [README](README.md).
";

/// The whole page.
pub fn render(resolve: &Resolve) -> String {
    let mut page = String::from(HEAD);
    // The driver's side first: it is what an author writes.
    let mut packages: Vec<&Package> = resolve.packages.iter().map(|(_, package)| package).collect();
    packages.sort_by_key(|package| package.name.to_string());
    for package in packages {
        section(&mut page, resolve, package);
    }
    page
}

fn section(page: &mut String, resolve: &Resolve, package: &Package) {
    let _ = write!(page, "\n# `{}`\n\n", package.name);
    for name in package.interfaces.keys() {
        let _ = writeln!(page, "- [`{name}`](#interface-{name})");
    }
    for id in package.interfaces.values() {
        interface(page, resolve, &resolve.interfaces[*id]);
    }
    for id in package.worlds.values() {
        world(page, resolve, &resolve.worlds[*id]);
    }
}

fn interface(page: &mut String, resolve: &Resolve, interface: &Interface) {
    let name = interface.name.as_deref().unwrap_or_default();
    let _ = write!(page, "\n## Interface `{name}`\n\n{}", paragraph(&interface.docs));
    for (name, function) in &interface.functions {
        let _ = write!(
            page,
            "\n### `{name}`\n\n```wit\n{}\n```\n\n{}",
            signature(resolve, name, function),
            paragraph(&function.docs)
        );
    }
    let mut used = Vec::new();
    for (name, id) in &interface.types {
        let definition = &resolve.types[*id];
        match definition.docs.is_empty() && matches!(definition.kind, TypeDefKind::Type(_)) {
            true => used.push(format!("`{name}`")),
            false => type_definition(page, resolve, name, definition),
        }
    }
    if !used.is_empty() {
        let _ = write!(page, "\nUses {}.\n", used.join(", "));
    }
}

fn type_definition(page: &mut String, resolve: &Resolve, name: &str, definition: &TypeDef) {
    let _ = write!(page, "\n### {} `{name}`\n\n{}", definition.kind.as_str(), paragraph(&definition.docs));
    match &definition.kind {
        TypeDefKind::Record(record) => {
            page.push_str("\n| field | type | |\n|---|---|---|\n");
            for field in &record.fields {
                let _ = writeln!(
                    page,
                    "| `{}` | `{}` | {} |",
                    field.name,
                    type_name(resolve, &field.ty),
                    cell(&field.docs)
                );
            }
        }
        TypeDefKind::Variant(variant) => {
            page.push_str("\n| case | |\n|---|---|\n");
            for case in &variant.cases {
                let payload = case.ty.map(|ty| format!("({})", type_name(resolve, &ty))).unwrap_or_default();
                let _ = writeln!(page, "| `{}{payload}` | {} |", case.name, cell(&case.docs));
            }
        }
        _ => {}
    }
}

fn world(page: &mut String, resolve: &Resolve, world: &World) {
    let _ = write!(page, "\n## World `{}`\n\n{}\n", world.name, paragraph(&world.docs));
    for (verb, items) in [("imports", &world.imports), ("exports", &world.exports)] {
        let names: Vec<String> = items
            .iter()
            .filter(|(_, item)| matches!(item, WorldItem::Interface { .. } | WorldItem::Function(_)))
            .map(|(key, _)| format!("`{}`", resolve.name_world_key(key)))
            .collect();
        if !names.is_empty() {
            let _ = writeln!(page, "- {verb} {}", names.join(", "));
        }
    }
}

fn signature(resolve: &Resolve, name: &str, function: &Function) -> String {
    let parameters: Vec<String> =
        function.params.iter().map(|p| format!("{}: {}", p.name, type_name(resolve, &p.ty))).collect();
    let result = function.result.map(|ty| format!(" -> {}", type_name(resolve, &ty))).unwrap_or_default();
    format!("{name}: func({}){result}", parameters.join(", "))
}

fn type_name(resolve: &Resolve, ty: &Type) -> String {
    let mut printer = wit_component::WitPrinter::default();
    match printer.print_type_name(resolve, ty) {
        Ok(()) => printer.output.to_string(),
        Err(error) => error.to_string(),
    }
}

fn paragraph(docs: &Docs) -> String {
    docs.contents.as_deref().map(|text| format!("{}\n", text.trim())).unwrap_or_default()
}

fn cell(docs: &Docs) -> String {
    docs.contents.as_deref().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wit::Contract;

    #[test]
    fn a_page_shows_functions_types_and_worlds() {
        let text = "package a:b@0.1.0;
            /// Calls.
            interface calls {
                /// A thing.
                record thing {
                    /// Its
                    /// name.
                    name: list<string>,
                }
                /// Looks.
                look: func(id: u32) -> option<thing>;
            }
            /// All.
            world all { import calls; }";
        let page = render(&Contract::parse(text).resolve);
        for part in [
            "## Interface `calls`\n\nCalls.\n",
            "look: func(id: u32) -> option<thing>",
            "### record `thing`",
            "| `name` | `list<string>` | Its name. |",
            "## World `all`\n\nAll.\n\n- imports `a:b/calls@0.1.0`",
        ] {
            assert!(page.contains(part), "{part}\n---\n{page}");
        }
    }
}
