//! Lists taken as sets; results are sorted, as sets of text are.

use serde_json::Value;

use super::Parameter::List;
use super::collection::distinct;
use super::{Call, Function, fits, variadic};
use crate::hcl::convert::equal;

pub(super) static FUNCTIONS: &[Function] = &[
    variadic("setintersection", &[List], List, |c| {
        let others = &c.arguments[1..];
        let kept = c.list(0).iter().filter(|item| others.iter().all(|list| holds(list, item)));
        Ok(sorted(&kept.cloned().collect::<Vec<_>>()))
    }),
    variadic("setunion", &[List], List, |c| {
        let all: Vec<_> = c.arguments.iter().filter_map(Value::as_array).flatten().cloned().collect();
        Ok(sorted(&all))
    }),
    variadic("setproduct", &[List, List], List, setproduct),
];

fn holds(list: &Value, item: &Value) -> bool {
    list.as_array().is_some_and(|list| list.iter().any(|other| equal(other, item)))
}

fn sorted(list: &[Value]) -> Value {
    let mut items = distinct(list);
    items.sort_by_key(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned));
    Value::Array(items)
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
