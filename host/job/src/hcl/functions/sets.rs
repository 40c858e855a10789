//! Lists taken as sets: of one type, without repetitions, in order.

use super::Parameter::{Alike, List};
use super::{Call, Function, fits, variadic};
use crate::hcl::types::Type;
use crate::hcl::unify::{type_of, unify_all};
use crate::hcl::value::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    variadic("setintersection", &[List], List, |c| {
        let sets = sets(c)?;
        let first = sets.first().into_iter().flatten();
        Ok(first.filter(|item| sets.iter().all(|set| set.contains(item))).cloned().collect())
    }),
    variadic("setunion", &[List], List, |c| {
        let all: Vec<Value> = c.arguments.iter().filter_map(Value::as_array).flatten().cloned().collect();
        as_set(&Type::Any, all)
    }),
    variadic("setproduct", &[Alike, Alike], Alike, setproduct),
];

/// The arguments as sets of one type.
fn sets(c: &Call) -> Result<Vec<Vec<Value>>, String> {
    let items = c.arguments.iter().filter_map(Value::as_array).flatten();
    let kind = unify_all(items.map(type_of)).ok_or("all sets must have elements of the same type")?;
    let sets = c.arguments.iter().filter_map(Value::as_array);
    sets.map(|set| Ok(as_set(&kind, set.clone())?.as_array().cloned().unwrap_or_default())).collect()
}

fn as_set(kind: &Type, items: Vec<Value>) -> Result<Value, String> {
    Type::Set(Box::new(kind.clone())).convert(items.into())
}

/// Every way to take one element of each list.
fn setproduct(c: &Call) -> Result<Value, String> {
    let lists: Vec<&Vec<Value>> = c.arguments.iter().filter_map(Value::as_array).collect();
    let ways = lists.iter().fold(1usize, |ways, list| ways.saturating_mul(list.len()));
    let bytes: usize = c.arguments.iter().map(|list| list.to_string().len()).sum();
    fits(ways.saturating_mul(bytes))?;
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    for list in lists {
        rows = rows
            .iter()
            .flat_map(|row| list.iter().map(|item| row.iter().cloned().chain([item.clone()]).collect()))
            .collect();
    }
    Ok(rows.into_iter().map(Value::from).collect())
}
