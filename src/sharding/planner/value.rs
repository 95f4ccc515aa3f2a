//! Constants of a statement as values of keys.

use std::borrow::Cow;

use crate::sharding::key::KeyLiteral;
use crate::sharding::planner::Request;
use crate::sql::tree::{Constant, Expr, ExprKind};
use crate::sql::{Literal, literal};

/// A constant, with the bytes that it needs.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// As it is known already.
    Known(KeyLiteral<'a>),
    /// A string without its escapes.
    Text(Cow<'a, [u8]>),
}

impl Value<'_> {
    pub(super) fn as_key(&self) -> KeyLiteral<'_> {
        match self {
            Self::Known(literal) => *literal,
            Self::Text(text) => KeyLiteral::Text(text),
        }
    }
}

/// The value of `expr`: None if it is no constant at all, and opaque if it is one that is not read here.
pub(super) fn value<'a>(request: &Request<'a>, expr: &Expr) -> Option<Value<'a>> {
    value_of(request, &expr.kind)
}

pub(super) fn value_of<'a>(request: &Request<'a>, kind: &ExprKind) -> Option<Value<'a>> {
    match *kind {
        ExprKind::Parameter(number) => {
            let bound = request.parameters.get(number as usize).copied();
            Some(Value::Known(bound.unwrap_or(KeyLiteral::Opaque)))
        }
        ExprKind::Constant(constant) => Some(of_constant(request, constant)),
        _ => None,
    }
}

fn of_constant<'a>(request: &Request<'a>, constant: Constant) -> Value<'a> {
    let span = match constant {
        Constant::Null => return Value::Known(KeyLiteral::Null),
        Constant::Truth(truth) => return Value::Known(KeyLiteral::Integer(i128::from(truth))),
        Constant::Other => return Value::Known(KeyLiteral::Opaque),
        Constant::Number { value } | Constant::Text { value } => value,
    };
    let known = match literal(request.text, span.range(), request.mode) {
        Some(Literal::Integer(number)) => KeyLiteral::Integer(number),
        Some(Literal::Number(digits)) => number(digits),
        Some(Literal::Text(text)) if request.utf8 || text.is_ascii() => return Value::Text(text),
        Some(Literal::Null) => KeyLiteral::Null,
        Some(Literal::Text(_) | Literal::Word(_) | Literal::Default) | None => KeyLiteral::Opaque,
    };
    Value::Known(known)
}

fn number(digits: &[u8]) -> KeyLiteral<'_> {
    if digits.iter().any(u8::is_ascii_whitespace) {
        return KeyLiteral::Opaque;
    }
    if !digits.iter().any(|byte| matches!(byte, b'e' | b'E')) {
        return KeyLiteral::Decimal(digits);
    }
    let double = std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok());
    double.map_or(KeyLiteral::Opaque, KeyLiteral::Double)
}

/// Whether a condition that is this constant alone is never met.
pub(super) fn is_false(expr: &Expr, text: &[u8]) -> bool {
    match expr.kind {
        ExprKind::Constant(Constant::Null | Constant::Truth(false)) => true,
        ExprKind::Constant(Constant::Number { value }) => value.of(text) == b"0",
        _ => false,
    }
}
