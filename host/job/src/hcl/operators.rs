//! Operators on values.

use hcl_edit::expr::{BinaryOp, BinaryOperator, Expression, UnaryOp, UnaryOperator};
use rust_decimal::Decimal;
use serde_json::{Number, Value};

use super::convert::{self, equal, to_bool, to_number};
use super::eval::{Evaluator, span};
use super::fault::{Fault, Outcome};
use super::scope::Scope;

impl Evaluator<'_> {
    pub(super) fn unary(&self, operation: &UnaryOp, scope: &Scope) -> Outcome<Value> {
        let value = self.value(&operation.expr, scope)?;
        let (result, wanted) = match operation.operator.value() {
            UnaryOperator::Not => (to_bool(&value).map(|truth| Value::Bool(!truth)), "bool"),
            UnaryOperator::Neg => (to_number(&value).and_then(negate), "number"),
        };
        result.ok_or_else(|| operand("unary", wanted, &operation.expr))
    }

    pub(super) fn binary(&self, operation: &BinaryOp, scope: &Scope) -> Outcome<Value> {
        use BinaryOperator::{And, Eq, NotEq, Or};
        let (left, right) = (&operation.lhs_expr, &operation.rhs_expr);
        let value = |expr| self.value(expr, scope);
        match operation.operator.value() {
            Eq => Ok(Value::Bool(equal(&value(left)?, &value(right)?))),
            NotEq => Ok(Value::Bool(!equal(&value(left)?, &value(right)?))),
            // Both sides must be sound, whatever the first one says.
            And => Ok(Value::Bool(self.side(left, "left", scope)? & self.side(right, "right", scope)?)),
            Or => Ok(Value::Bool(self.side(left, "left", scope)? | self.side(right, "right", scope)?)),
            operator => {
                let l = to_number(&value(left)?).ok_or_else(|| operand("left", "number", left))?;
                let r = to_number(&value(right)?).ok_or_else(|| operand("right", "number", right))?;
                arithmetic(*operator, &l, &r)
                    .map_err(|detail| Fault::new(span(left).start..span(right).end, "Invalid operation", detail))
            }
        }
    }

    fn side(&self, expr: &Expression, side: &str, scope: &Scope) -> Outcome<bool> {
        to_bool(&self.value(expr, scope)?).ok_or_else(|| operand(side, "bool", expr))
    }
}

fn operand(side: &str, wanted: &str, blame: &Expression) -> Fault {
    let detail = format!("Unsuitable value for {side} operand: {wanted} required.");
    Fault::new(span(blame), "Invalid operand", detail)
}

fn negate(number: Number) -> Option<Value> {
    match number.as_i64() {
        Some(whole) => whole.checked_neg().map(Value::from),
        None => convert::number(-number.as_f64()?).map(Value::Number),
    }
}

fn arithmetic(operator: BinaryOperator, left: &Number, right: &Number) -> Result<Value, String> {
    use BinaryOperator::{Div, Greater, GreaterEq, Less, LessEq, Minus, Mod, Mul, Plus};
    let (l, r) = (left.as_f64().unwrap_or(f64::NAN), right.as_f64().unwrap_or(f64::NAN));
    if matches!(operator, Div | Mod) && r == 0.0 {
        return Err("Cannot divide by zero.".into());
    }
    let exact = left.as_i64().zip(right.as_i64());
    let truth = match operator {
        Less => Some(exact.map_or(l < r, |(l, r)| l < r)),
        LessEq => Some(exact.map_or(l <= r, |(l, r)| l <= r)),
        Greater => Some(exact.map_or(l > r, |(l, r)| l > r)),
        GreaterEq => Some(exact.map_or(l >= r, |(l, r)| l >= r)),
        _ => None,
    };
    if let Some(truth) = truth {
        return Ok(Value::Bool(truth));
    }
    let whole = exact.and_then(|(l, r)| match operator {
        Plus => l.checked_add(r),
        Minus => l.checked_sub(r),
        Mul => l.checked_mul(r),
        Mod => l.checked_rem(r),
        _ => None,
    });
    if let Some(whole) = whole {
        return Ok(whole.into());
    }
    let float = match operator {
        Plus => l + r,
        Minus => l - r,
        Mul => l * r,
        Div => l / r,
        _ => l % r,
    };
    let exact = decimal(left).zip(decimal(right)).and_then(|(l, r)| calculate(operator, l, r));
    let float = convert::number(float);
    match (exact, float) {
        (Some(exact), Some(float)) if exact.to_string().len() > float.to_string().len() => Ok(Value::Number(float)),
        (Some(exact), _) => Ok(Value::Number(exact)),
        (None, float) => float.map(Value::Number).ok_or_else(|| "The result is too large.".into()),
    }
}

/// Fractions are decimal: 300 * 1.1 is 330, which a float misses by a little. What cannot be written in decimals, such
/// as 2 / 3, goes on as a float: of the two results the one with fewer digits is meant.
fn decimal(number: &Number) -> Option<Decimal> {
    let digits = number.to_string();
    Decimal::from_str_exact(&digits).or_else(|_| Decimal::from_scientific(&digits)).ok()
}

/// `None` if the result has too many digits.
fn calculate(operator: BinaryOperator, left: Decimal, right: Decimal) -> Option<Number> {
    use BinaryOperator::{Div, Minus, Mod, Mul, Plus};
    let result = match operator {
        Plus => left.checked_add(right),
        Minus => left.checked_sub(right),
        Mul => left.checked_mul(right),
        Div => left.checked_div(right),
        Mod => left.checked_rem(right),
        _ => None,
    }?;
    to_number(&Value::from(result.normalize().to_string()))
}
