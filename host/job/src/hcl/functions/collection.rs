//! Lists and maps.

use super::Parameter::{Alike, Any, List, Map as Object, Number, Text, Value as Given};
use super::{Call, Function, fits, function, texts, variadic};
use crate::hcl::convert::{elements, to_text, to_whole};
use crate::hcl::unify::{type_of, unify_all};
use crate::hcl::value::{Map, Value};

/// As many numbers as `range` may make.
const LONGEST_RANGE: usize = 1024;

pub(super) static FUNCTIONS: &[Function] = &[
    function("chunklist", &[Alike, Number], chunklist),
    variadic("coalesce", &[], Any, coalesce),
    variadic("coalescelist", &[], List, |c| {
        let list = c.arguments.iter().find(|list| list.as_array().is_some_and(|l| !l.is_empty()));
        list.cloned().ok_or_else(|| "no non-null arguments".into())
    }),
    function("compact", &[List], |c| {
        let kept = c.list(0).iter().filter(|item| !item.is_null() && *item != &Value::from(""));
        Ok(texts(kept)?.into())
    }),
    variadic("concat", &[List], List, |c| {
        Ok(c.arguments.iter().filter_map(Value::as_array).flatten().cloned().collect())
    }),
    function("contains", &[List, Any], |c| Ok(c.list(0).iter().any(|item| item == c.value(1)).into())),
    function("distinct", &[Alike], |c| Ok(Value::Array(distinct(c.list(0))))),
    function("element", &[List, Number], element),
    function("flatten", &[List], |c| {
        let mut out = Vec::new();
        flatten(c.list(0), &mut out);
        Ok(Value::Array(out))
    }),
    function("index", &[Given, Any], index),
    function("keys", &[Object], |c| {
        Ok(elements(c.value(0)).unwrap_or_default().into_iter().map(|(key, _)| key).collect())
    }),
    function("length", &[Given], length),
    function("lookup", &[Object, Text, Any], |c| Ok(c.value(0).get(c.text(1)).unwrap_or(c.value(2)).clone())),
    variadic("merge", &[], Any, merge),
    variadic("range", &[Number], Number, range),
    function("slice", &[List, Number, Number], slice),
    function("sort", &[List], |c| {
        let mut items = texts(c.list(0))?;
        items.sort();
        Ok(items.into())
    }),
    function("values", &[Object], |c| {
        let items = elements(c.value(0)).unwrap_or_default();
        Ok(items.into_iter().map(|(_, item)| item.clone()).collect())
    }),
    function("zipmap", &[List, List], zipmap),
];

/// The list without repetitions, in order.
fn distinct(list: &[Value]) -> Vec<Value> {
    let mut seen = std::collections::HashSet::new();
    list.iter().filter(|item| seen.insert(item.to_string())).cloned().collect()
}

fn chunklist(c: &Call) -> Result<Value, String> {
    let size = usize::try_from(c.whole(1)?).map_err(|_| "the size argument must be positive")?;
    let list = c.list(0);
    let size = if size == 0 { list.len().max(1) } else { size };
    Ok(list.chunks(size).map(|chunk| Value::from(chunk.to_vec())).collect())
}

/// In the type of all arguments: of a number and a text, the number becomes text.
fn coalesce(c: &Call) -> Result<Value, String> {
    let kind = unify_all(c.arguments.iter().map(type_of)).ok_or("all arguments must have the same type")?;
    let found = c.arguments.iter().find(|value| !value.is_null()).ok_or("no non-null arguments")?;
    kind.convert(found.clone())
}

/// An index past the end starts over, a negative one counts from the end.
fn element(c: &Call) -> Result<Value, String> {
    let list = c.list(0);
    let length = i64::try_from(list.len()).map_err(|error| error.to_string())?;
    let index = c.whole(1)?.checked_rem_euclid(length).and_then(|index| list.get(usize::try_from(index).ok()?));
    index.cloned().ok_or_else(|| "cannot use element function with an empty list".into())
}

fn flatten(list: &[Value], out: &mut Vec<Value>) {
    for item in list {
        match item {
            Value::Array(inner) => flatten(inner, out),
            other => out.push(other.clone()),
        }
    }
}

fn index(c: &Call) -> Result<Value, String> {
    let found = match c.value(0) {
        Value::Array(list) => to_whole(c.value(1)).and_then(|index| list.get(usize::try_from(index).ok()?)),
        Value::Object(fields) => to_text(c.value(1)).and_then(|key| fields.get(&key)),
        _ => return Err("collection required".into()),
    };
    found.cloned().ok_or_else(|| "the given key does not identify an element".into())
}

fn length(c: &Call) -> Result<Value, String> {
    match c.value(0) {
        Value::Array(list) => Ok(list.len().into()),
        Value::Object(fields) => Ok(fields.len().into()),
        _ => Err("collection must be a list, a map or a tuple".into()),
    }
}

fn merge(c: &Call) -> Result<Value, String> {
    let mut merged = Map::new();
    for argument in &c.arguments {
        match argument {
            Value::Object(fields) => merged.extend(fields.clone()),
            Value::Null => {}
            _ => return Err("arguments must be maps or objects".into()),
        }
    }
    Ok(Value::Object(merged))
}

/// `range(limit)`, `range(start, limit)`, `range(start, limit, step)`.
fn range(c: &Call) -> Result<Value, String> {
    let (start, limit) = match c.arguments.len() {
        1 => (0_i64.into(), c.number(0)),
        2 | 3 => (c.number(0), c.number(1)),
        _ => return Err("takes one to three arguments".into()),
    };
    let step = match c.arguments.len() {
        3 => c.number(2),
        _ if limit < start => (-1_i64).into(),
        _ => 1_i64.into(),
    };
    let down = step.is_negative();
    if step.is_zero() || (down && limit > start) || (!down && limit < start) {
        return Err("step must be able to reach the limit".into());
    }
    let mut items = Vec::new();
    let mut here = start;
    while (!down && here < limit) || (down && here > limit) {
        if items.len() >= LONGEST_RANGE {
            return Err(format!("more than {LONGEST_RANGE} values were generated"));
        }
        let next = here.plus(&step)?;
        items.push(Value::Number(std::mem::replace(&mut here, next)));
    }
    Ok(Value::Array(items))
}

fn slice(c: &Call) -> Result<Value, String> {
    let list = c.list(0);
    let bound = |index: usize| usize::try_from(c.whole(index)?).map_err(|_| OUTSIDE.to_owned());
    let (start, end) = (bound(1)?, bound(2)?);
    list.get(start..end).map(|part| Value::from(part.to_vec())).ok_or_else(|| OUTSIDE.to_owned())
}

const OUTSIDE: &str = "start and end index must lie within the list, start before end";

fn zipmap(c: &Call) -> Result<Value, String> {
    let (keys, values) = (texts(c.list(0))?, c.list(1));
    if keys.len() != values.len() {
        return Err(format!("number of keys ({}) does not match number of values ({})", keys.len(), values.len()));
    }
    fits(keys.len())?;
    Ok(Value::Object(keys.into_iter().zip(values.iter().cloned()).collect()))
}
