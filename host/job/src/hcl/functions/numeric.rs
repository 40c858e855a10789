//! Numbers.

use serde_json::Value;

use super::Parameter::{Number, Text};
use super::{Call, Function, float, function, variadic};

pub(super) static FUNCTIONS: &[Function] = &[
    function("abs", &[Number], |c| float(c.float(0).abs())),
    function("ceil", &[Number], |c| float(c.float(0).ceil())),
    function("floor", &[Number], |c| float(c.float(0).floor())),
    function("log", &[Number, Number], |c| float(c.float(0).ln() / c.float(1).ln())),
    variadic("max", &[Number], Number, |c| extreme(c, f64::max)),
    variadic("min", &[Number], Number, |c| extreme(c, f64::min)),
    function("parseint", &[Text, Number], parseint),
    function("pow", &[Number, Number], |c| float(c.float(0).powf(c.float(1)))),
    function("signum", &[Number], |c| Ok(c.whole(0)?.signum().into())),
];

fn extreme(c: &Call, pick: fn(f64, f64) -> f64) -> Result<Value, String> {
    float((1..c.arguments.len()).fold(c.float(0), |best, index| pick(best, c.float(index))))
}

fn parseint(c: &Call) -> Result<Value, String> {
    let base = u32::try_from(c.whole(1)?).ok().filter(|base| (2..=36).contains(base));
    let base = base.ok_or("base must be a whole number between 2 and 36 inclusive")?;
    i64::from_str_radix(c.text(0), base)
        .map(Value::from)
        .map_err(|_| format!("cannot parse {:?} as a base {base} integer", c.text(0)))
}
