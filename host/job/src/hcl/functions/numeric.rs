//! Numbers.

use num_bigint::BigInt;

use super::Parameter::{Number, Text};
use super::{Call, Function, float, function, variadic};
use crate::hcl::number::Number as Exact;
use crate::hcl::value::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    function("abs", &[Number], |c| Ok(Value::Number(c.number(0).absolute()))),
    function("ceil", &[Number], |c| c.number(0).ceil().map(Value::Number).ok_or_else(|| TOO_LARGE.into())),
    function("floor", &[Number], |c| c.number(0).floor().map(Value::Number).ok_or_else(|| TOO_LARGE.into())),
    function("log", &[Number, Number], |c| float(c.float(0).ln() / c.float(1).ln())),
    variadic("max", &[Number], Number, |c| extreme(c, Ord::max)),
    variadic("min", &[Number], Number, |c| extreme(c, Ord::min)),
    function("parseint", &[Text, Number], parseint),
    function("pow", &[Number, Number], |c| float(c.float(0).powf(c.float(1)))),
    function("signum", &[Number], |c| Ok(c.whole(0)?.signum().into())),
];

const TOO_LARGE: &str = "the number is too large";

fn extreme(c: &Call, pick: fn(Exact, Exact) -> Exact) -> Result<Value, String> {
    Ok(Value::Number((1..c.arguments.len()).fold(c.number(0), |best, index| pick(best, c.number(index)))))
}

/// Digits that `parseint` reads.
const LONGEST: usize = 4096;

/// Up to base 36 in letters of either case; beyond that capitals come after the others.
fn parseint(c: &Call) -> Result<Value, String> {
    let base = u32::try_from(c.whole(1)?).ok().filter(|base| (2..=62).contains(base));
    let base = base.ok_or("base must be a whole number between 2 and 62 inclusive")?;
    let text = c.text(0);
    let negative = text.starts_with('-');
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digit = |letter: char| match letter {
        'A'..='Z' if base > 36 => Some(u32::from(letter) - u32::from('A') + 36),
        _ => letter.to_digit(36),
    };
    let add = |sum: BigInt, letter: char| {
        let digit = digit(letter).filter(|digit| *digit < base)?;
        Some(sum * base + digit)
    };
    let size = digits.chars().try_fold(BigInt::ZERO, add).filter(|_| !digits.is_empty() && digits.len() <= LONGEST);
    let number = size.and_then(|size| Exact::from_whole(&if negative { -size } else { size }));
    number.map(Value::Number).ok_or_else(|| format!("cannot parse {text:?} as a base {base} integer"))
}
