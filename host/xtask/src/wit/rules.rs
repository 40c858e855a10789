//! Rules of the contract that keep it open to change and readable in every language (see `wit/README.md`).

use wit_parser::{
    Docs, Function, Interface, InterfaceId, Resolve, Span, Stability, Type, TypeDef, TypeDefKind, TypeOwner, World,
};

/// Every breach, each with its place.
pub fn findings(resolve: &Resolve) -> Vec<String> {
    let mut review = Review { resolve, findings: Vec::new() };
    for (_, world) in resolve.worlds.iter() {
        review.world(world);
    }
    for (id, interface) in resolve.interfaces.iter() {
        review.interface(id, interface);
    }
    review.findings
}

struct Review<'a> {
    resolve: &'a Resolve,
    findings: Vec<String>,
}

impl Review<'_> {
    fn note(&mut self, span: Span, message: String) {
        self.findings.push(format!("{}: {message}", self.resolve.render_location(span)));
    }

    fn world(&mut self, world: &World) {
        self.described(world.span, &format!("world {}", world.name), &world.docs, Some(&world.stability));
    }

    fn interface(&mut self, id: InterfaceId, interface: &Interface) {
        let name = interface.name.as_deref().unwrap_or("without a name");
        self.described(interface.span, &format!("interface {name}"), &interface.docs, Some(&interface.stability));
        for (name, function) in &interface.functions {
            self.function(name, function);
            if interface.types.contains_key(name) {
                self.note(
                    function.span,
                    format!("`{name}` is both a type and a function: C and Go cannot tell them apart"),
                );
            }
        }
        for (name, id_of_type) in &interface.types {
            let definition = &self.resolve.types[*id_of_type];
            match self.lender(id, definition) {
                Some(lender) => self.lent(name, definition.span, lender),
                None => self.type_definition(name, definition),
            }
        }
    }

    /// The other interface a type was taken from by `use`.
    fn lender(&self, here: InterfaceId, definition: &TypeDef) -> Option<InterfaceId> {
        let TypeDefKind::Type(Type::Id(original)) = definition.kind else { return None };
        match self.resolve.types[original].owner {
            TypeOwner::Interface(owner) if owner != here => Some(owner),
            _ => None,
        }
    }

    fn lent(&mut self, name: &str, span: Span, lender: InterfaceId) {
        let lender = &self.resolve.interfaces[lender];
        if !lender.functions.is_empty() {
            let owner = lender.name.as_deref().unwrap_or_default();
            self.note(span, format!("`use {owner}.{{{name}}}` imports all of `{owner}`, a grant nobody asked for: move the type to `types`"));
        }
    }

    fn function(&mut self, name: &str, function: &Function) {
        self.described(function.span, &format!("function {name}"), &function.docs, Some(&function.stability));
        if function.kind.is_async() {
            self.note(function.span, format!("{name} is async: the contract is plain sync functions"));
        }
        for parameter in &function.params {
            self.plain(&parameter.ty, parameter.span);
        }
        if let Some(result) = &function.result {
            self.plain(result, function.span);
        }
    }

    fn type_definition(&mut self, name: &str, definition: &TypeDef) {
        let span = definition.span;
        self.described(
            span,
            &format!("{} {name}", definition.kind.as_str()),
            &definition.docs,
            Some(&definition.stability),
        );
        match &definition.kind {
            TypeDefKind::Record(record) => {
                for field in &record.fields {
                    self.described(field.span, &format!("field {name}.{}", field.name), &field.docs, None);
                    self.plain(&field.ty, field.span);
                }
            }
            TypeDefKind::Variant(variant) => {
                for case in &variant.cases {
                    self.described(case.span, &format!("case {name}.{}", case.name), &case.docs, None);
                    case.ty.iter().for_each(|ty| self.plain(ty, case.span));
                }
                if variant.cases.last().is_none_or(|case| case.name != "other" || case.ty != Some(Type::String)) {
                    self.note(span, format!("variant {name} does not end in `other(string)`, so it can never grow"));
                }
            }
            TypeDefKind::Enum(_) | TypeDefKind::Flags(_) => {
                self.note(span, format!("{name} can never grow: make it a variant that ends in `other(string)`"));
            }
            _ => self.plain_kind(definition, span),
        }
    }

    fn described(&mut self, span: Span, what: &str, docs: &Docs, stability: Option<&Stability>) {
        if docs.contents.as_deref().is_none_or(|text| text.trim().is_empty()) {
            self.note(span, format!("{what} has no doc comment"));
        }
        if stability.is_some_and(|stability| !stability.is_stable()) {
            self.note(span, format!("{what} has no @since"));
        }
    }

    /// Refuses 64-bit integers anywhere inside a type: a JavaScript author would meet a BigInt, or a trap.
    fn plain(&mut self, ty: &Type, span: Span) {
        match ty {
            Type::U64 | Type::S64 => self.note(span, "64-bit integers trap in some guests: use u32 or f64".into()),
            Type::Id(id) if self.resolve.types[*id].name.is_none() => self.plain_kind(&self.resolve.types[*id], span),
            _ => {}
        }
    }

    fn plain_kind(&mut self, definition: &TypeDef, span: Span) {
        match &definition.kind {
            TypeDefKind::Option(inner) | TypeDefKind::List(inner) | TypeDefKind::Type(inner) => self.plain(inner, span),
            TypeDefKind::Tuple(tuple) => tuple.types.iter().for_each(|ty| self.plain(ty, span)),
            TypeDefKind::Result(result) => result.ok.iter().chain(&result.err).for_each(|ty| self.plain(ty, span)),
            TypeDefKind::Resource => {}
            other => self.note(span, format!("a {} here is not in every language's reach", other.as_str())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wit::Contract;

    fn judged(items: &str) -> Vec<String> {
        findings(&Contract::parse(&format!("package a:b@0.1.0;\n{items}")).resolve)
    }

    #[test]
    fn a_contract_that_keeps_the_rules_has_no_findings() {
        let text = "
            /// Shared.
            @since(version = 0.1.0)
            interface types {
                /// A state.
                @since(version = 0.1.0)
                variant state {
                    /// Up.
                    up,
                    /// Later.
                    other(string),
                }
            }
            /// Calls.
            @since(version = 0.1.0)
            interface calls {
                use types.{state};
                /// Looks.
                @since(version = 0.1.0)
                look: func(ids: list<tuple<string, u32>>) -> result<option<state>, string>;
            }";
        assert_eq!(judged(text), Vec::<String>::new());
    }

    #[test]
    fn each_rule_can_fail() {
        let documented = "/// D.\n@since(version = 0.1.0)\n";
        let interface = |inside: &str| format!("{documented}interface i {{ {inside} }}");
        for (text, expected) in [
            ("/// D.\ninterface i {}".to_owned(), "has no @since"),
            ("@since(version = 0.1.0)\ninterface i {}".to_owned(), "has no doc comment"),
            ("@since(version = 0.1.0)\nworld w {}".to_owned(), "world w has no doc comment"),
            (interface(&format!("{documented} record r {{ a: u8 }}")), "field r.a has no doc comment"),
            (interface(&format!("{documented} variant v {{ /// A.\n a }}")), "does not end in `other(string)`"),
            (interface(&format!("{documented} variant v {{ /// A.\n other }}")), "does not end in `other(string)`"),
            (interface(&format!("{documented} enum e {{ /// A.\n a }}")), "can never grow"),
            (interface(&format!("{documented} flags f {{ /// A.\n a }}")), "can never grow"),
            (interface(&format!("{documented} f: func(a: u64);")), "64-bit"),
            (interface(&format!("{documented} f: func() -> result<list<s64>, string>;")), "64-bit"),
            (interface(&format!("{documented} type t = option<u64>;")), "64-bit"),
            (interface(&format!("{documented} f: async func();")), "is async"),
            (interface(&format!("{documented} f: func() -> stream<u8>;")), "stream"),
            (
                format!(
                    "{}\n{documented}interface j {{ use i.{{r}}; }}",
                    interface(&format!("{documented} record r {{ /// A.\n a: u8 }} {documented} f: func();"))
                ),
                "imports all of `i`",
            ),
        ] {
            let found = judged(&text);
            assert!(found.iter().any(|finding| finding.contains(expected)), "{text}\n{expected}: {found:?}");
            assert!(found.iter().all(|finding| finding.contains("test.wit:")), "{found:?}");
        }
    }
}
