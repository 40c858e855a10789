//! Operators on values.

use hcl_edit::expr::{BinaryOp, BinaryOperator, Expression, UnaryOp, UnaryOperator};

use super::convert::{to_bool, to_number};
use super::eval::{Evaluator, span};
use super::fault::{Fault, Outcome};
use super::number::Number;
use super::scope::Scope;
use super::value::Value;

impl Evaluator<'_> {
    pub(super) fn unary(&self, operation: &UnaryOp, scope: &Scope) -> Outcome<Value> {
        let value = self.value(&operation.expr, scope)?;
        let (result, wanted) = match operation.operator.value() {
            UnaryOperator::Not => (to_bool(&value).map(|truth| Value::Bool(!truth)), "bool"),
            UnaryOperator::Neg => (to_number(&value).map(|number| Value::Number(number.negated())), "number"),
        };
        result.ok_or_else(|| operand("unary", wanted, &operation.expr))
    }

    pub(super) fn binary(&self, operation: &BinaryOp, scope: &Scope) -> Outcome<Value> {
        use BinaryOperator::{And, Eq, NotEq, Or};
        let (left, right) = (&operation.lhs_expr, &operation.rhs_expr);
        let value = |expr| self.value(expr, scope);
        match operation.operator.value() {
            Eq => Ok(Value::Bool(value(left)? == value(right)?)),
            NotEq => Ok(Value::Bool(value(left)? != value(right)?)),
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

fn arithmetic(operator: BinaryOperator, left: &Number, right: &Number) -> Result<Value, String> {
    use BinaryOperator::{Div, Greater, GreaterEq, Less, LessEq, Minus, Mul, Plus};
    match operator {
        Less => Ok(Value::Bool(left < right)),
        LessEq => Ok(Value::Bool(left <= right)),
        Greater => Ok(Value::Bool(left > right)),
        GreaterEq => Ok(Value::Bool(left >= right)),
        Plus => left.plus(right).map(Value::Number),
        Minus => left.plus(&right.negated()).map(Value::Number),
        Mul => left.times(right).map(Value::Number),
        Div => left.over(right).map(Value::Number),
        _ => left.modulo(right).map(Value::Number),
    }
}
