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

/// Up to base 36 in letters of either case; beyond that capitals come after the others.
fn parseint(c: &Call) -> Result<Value, String> {
    let base = u32::try_from(c.whole(1)?).ok().filter(|base| (2..=62).contains(base));
    let base = base.ok_or("base must be a whole number between 2 and 62 inclusive")?;
    let text = c.text(0);
    let (sign, digits) =
        text.strip_prefix('-').map_or((1, text.strip_prefix('+').unwrap_or(text)), |digits| (-1, digits));
    let digit = |letter: char| match letter {
        'A'..='Z' if base > 36 => Some(u32::from(letter) - u32::from('A') + 36),
        _ => letter.to_digit(36),
    };
    let add = |sum: i64, letter: char| {
        let digit = digit(letter).filter(|digit| *digit < base)?;
        sum.checked_mul(i64::from(base))?.checked_add(sign * i64::from(digit))
    };
    let number = digits.chars().try_fold(0, add).filter(|_| !digits.is_empty());
    number.map(Value::from).ok_or_else(|| format!("cannot parse {text:?} as a base {base} integer"))
}
