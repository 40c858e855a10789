//! Type constraints: `list(string)`, `object({ name = string })`.

use hcl_edit::expr::{Expression, ObjectKey};

use super::convert::{to_bool, to_number, to_text, type_name};
use super::eval::span;
use super::fault::{Fault, Outcome};
use super::unify::{type_of, unify_all};
use super::value::{Map, Value};

/// A type of HCL.
#[derive(Debug, Clone, PartialEq)]
pub enum Type {
    /// Whatever comes.
    Any,
    /// Text.
    Text,
    /// A number.
    Number,
    /// True or false.
    Bool,
    /// A list of one type.
    List(Box<Type>),
    /// A list without repetitions, sorted.
    Set(Box<Type>),
    /// A map from text to one type.
    Map(Box<Type>),
    /// A map with exactly these keys.
    Object(Vec<(String, Type)>),
    /// A list of exactly these types.
    Tuple(Vec<Type>),
}

impl Type {
    /// Reads a type as it is written in a `variable` block.
    pub fn read(expr: &Expression) -> Outcome<Self> {
        match expr {
            Expression::Variable(name) => match name.as_str() {
                "any" => Ok(Self::Any),
                "string" => Ok(Self::Text),
                "number" => Ok(Self::Number),
                "bool" => Ok(Self::Bool),
                "list" => Ok(Self::List(Box::new(Self::Any))),
                "set" => Ok(Self::Set(Box::new(Self::Any))),
                "map" => Ok(Self::Map(Box::new(Self::Any))),
                _ => Err(invalid(expr)),
            },
            Expression::FuncCall(call) => {
                let mut arguments = call.args.iter();
                let (Some(inner), None) = (arguments.next(), arguments.next()) else {
                    return Err(invalid(expr));
                };
                let one = || Self::read(inner).map(Box::new);
                match call.name.name.as_str() {
                    "list" => Ok(Self::List(one()?)),
                    "set" => Ok(Self::Set(one()?)),
                    "map" => Ok(Self::Map(one()?)),
                    "object" => Self::object(inner),
                    "tuple" => match inner {
                        Expression::Array(types) => {
                            types.iter().map(Self::read).collect::<Result<_, _>>().map(Self::Tuple)
                        }
                        _ => Err(invalid(inner)),
                    },
                    _ => Err(invalid(expr)),
                }
            }
            _ => Err(invalid(expr)),
        }
    }

    /// Whether it says of every part what it is.
    pub fn is_exact(&self) -> bool {
        match self {
            Self::Any => false,
            Self::Text | Self::Number | Self::Bool => true,
            Self::List(inner) | Self::Set(inner) | Self::Map(inner) => inner.is_exact(),
            Self::Object(fields) => fields.iter().all(|(_, inner)| inner.is_exact()),
            Self::Tuple(inner) => inner.iter().all(Self::is_exact),
        }
    }

    fn object(expr: &Expression) -> Outcome<Self> {
        let Expression::Object(fields) = expr else {
            return Err(invalid(expr));
        };
        let mut types = Vec::new();
        for (key, value) in fields.iter() {
            let name = match key {
                ObjectKey::Ident(name) => name.as_str().to_owned(),
                ObjectKey::Expression(Expression::Variable(name)) => name.as_str().to_owned(),
                ObjectKey::Expression(Expression::String(name)) => name.as_str().to_owned(),
                ObjectKey::Expression(other) => return Err(invalid(other)),
            };
            types.push((name, Self::read(value.expr())?));
        }
        Ok(Self::Object(types))
    }

    /// A value as this type; the error says what is required.
    pub fn convert(&self, value: Value) -> Result<Value, String> {
        if value.is_null() {
            return Ok(Value::Null);
        }
        match (self, value) {
            (Self::Any, value) => Ok(value),
            (Self::Text, value) => to_text(&value).map(Value::String).ok_or_else(|| required("string", &value)),
            (Self::Number, value) => to_number(&value).map(Value::Number).ok_or_else(|| required("a number", &value)),
            (Self::Bool, value) => to_bool(&value).map(Value::Bool).ok_or_else(|| required("a bool", &value)),
            (Self::List(inner), Value::Array(items)) => {
                let inner = inner.or_common(&items)?;
                items.into_iter().map(|item| inner.convert(item)).collect()
            }
            (Self::Set(inner), Value::Array(items)) => {
                let inner = inner.or_common(&items)?;
                let mut items = items.into_iter().map(|i| inner.convert(i)).collect::<Result<Vec<_>, _>>()?;
                items.sort_by(in_set);
                items.dedup();
                Ok(Value::Array(items))
            }
            (Self::Tuple(types), Value::Array(items)) if types.len() == items.len() => {
                types.iter().zip(items).map(|(inner, item)| inner.convert(item)).collect()
            }
            (Self::Map(inner), Value::Object(fields)) => {
                let inner = inner.or_common(fields.values())?;
                let fields = fields.into_iter().map(|(key, item)| Ok((key, inner.convert(item)?)));
                fields.collect::<Result<Map<_, _>, _>>().map(Value::Object)
            }
            (Self::Object(types), Value::Object(fields)) => convert_object(types, fields),
            (wanted, value) => Err(required(wanted.name(), &value)),
        }
    }

    /// Itself; or, of `any`, the one type that all elements of a collection have in common.
    fn or_common<'v>(&self, elements: impl IntoIterator<Item = &'v Value>) -> Result<Self, String> {
        match self {
            Self::Any => unify_all(elements.into_iter().map(type_of))
                .ok_or_else(|| "all elements must have the same type".to_owned()),
            other => Ok(other.clone()),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::List(_) => "list",
            Self::Set(_) => "set",
            Self::Map(_) => "map",
            Self::Object(_) => "object",
            Self::Tuple(_) => "tuple of the declared length",
            Self::Any | Self::Text | Self::Number | Self::Bool => "value",
        }
    }
}

/// Numbers by size, all else by its text.
fn in_set(left: &Value, right: &Value) -> std::cmp::Ordering {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.cmp(right),
        _ => text(left).cmp(&text(right)),
    }
}

/// Keys that are not part of the type are dropped, as HCL does.
fn convert_object(types: &[(String, Type)], mut fields: Map<String, Value>) -> Result<Value, String> {
    let mut out = Map::new();
    for (name, inner) in types {
        let value = fields.shift_remove(name).ok_or_else(|| format!("attribute {name:?} is required"))?;
        let value = inner.convert(value).map_err(|why| format!("attribute {name:?}: {why}"))?;
        out.insert(name.clone(), value);
    }
    Ok(Value::Object(out))
}

fn required(wanted: &str, value: &Value) -> String {
    format!("{wanted} required, got {}", type_name(value))
}

fn invalid(expr: &Expression) -> Fault {
    let detail = "This is not a type: string, number, bool, any, list(T), set(T), map(T), \
                  object({ name = T, … }) or tuple([T, …]) is expected.";
    Fault::new(span(expr), "Invalid type specification", detail)
}
