//! Names that some guest language keeps for itself, and that its bindings would have to bend.

use wit_parser::{Resolve, TypeDefKind};

/// Words no item, field, case or parameter may be called, by language. Contextual keywords that are fine as names
/// (`async` in JavaScript, `type` in Python) are listed where another language reserves them.
const RESERVED: &[(&str, &str)] = &[
    (
        "Rust",
        "abstract as async await become box break const continue crate do dyn else enum extern false final fn for gen \
         if impl in let loop macro match mod move mut override priv pub ref return self static struct super trait \
         true try type typeof unsafe unsized use virtual where while yield",
    ),
    (
        "Python",
        "and as assert async await break class continue def del elif else except finally for from global if import in \
         is lambda nonlocal not or pass raise return try while with yield",
    ),
    (
        "JavaScript",
        "arguments await break case catch class const continue debugger default delete do else enum eval export \
         extends false finally for function if implements import in instanceof interface let new null package private \
         protected public return static super switch this throw true try typeof var void while with yield",
    ),
    (
        "Go",
        "break case chan const continue default defer else fallthrough for func go goto if import interface map \
         package range return select struct switch type var",
    ),
    (
        "C",
        "auto bool break case char const continue default do double else enum extern float for goto if inline int long \
         register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while",
    ),
];

/// Every name of the contract that a language reserves.
pub fn findings(resolve: &Resolve) -> Vec<String> {
    let mut found = Vec::new();
    for (_, interface) in resolve.interfaces.iter() {
        let place = interface.name.as_deref().unwrap_or_default();
        judge(&mut found, "interface", place);
        for (name, function) in &interface.functions {
            judge(&mut found, &format!("{place} function"), name);
            for parameter in &function.params {
                judge(&mut found, &format!("{place}.{name} parameter"), &parameter.name);
            }
        }
        for (name, id) in &interface.types {
            judge(&mut found, &format!("{place} type"), name);
            match &resolve.types[*id].kind {
                TypeDefKind::Record(record) => {
                    record
                        .fields
                        .iter()
                        .for_each(|field| judge(&mut found, &format!("{place}.{name} field"), &field.name));
                }
                TypeDefKind::Variant(variant) => {
                    variant
                        .cases
                        .iter()
                        .for_each(|case| judge(&mut found, &format!("{place}.{name} case"), &case.name));
                }
                _ => {}
            }
        }
    }
    found
}

fn judge(found: &mut Vec<String>, what: &str, name: &str) {
    let languages: Vec<&str> = RESERVED
        .iter()
        .filter(|(_, words)| words.split_whitespace().any(|word| word == name))
        .map(|(l, _)| *l)
        .collect();
    if !languages.is_empty() {
        found.push(format!("{what} `{name}` is a reserved word of {}", languages.join(", ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wit::Contract;

    #[test]
    fn reserved_words_are_found_wherever_a_name_stands() {
        let text = "package a:b@0.1.0;
            interface %interface {
                record %record-a { %type: string }
                variant choice { %default, other(string) }
                %delete: func(%from: string);
                fine: func(grace-ms: u32);
            }";
        assert_eq!(
            findings(&Contract::parse(text).resolve),
            [
                "interface `interface` is a reserved word of JavaScript, Go",
                "interface function `delete` is a reserved word of JavaScript",
                "interface.delete parameter `from` is a reserved word of Python",
                "interface.record-a field `type` is a reserved word of Rust, Go",
                "interface.choice case `default` is a reserved word of JavaScript, Go, C",
            ]
        );
    }
}
