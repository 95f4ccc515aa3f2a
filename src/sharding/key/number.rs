//! Integer keys: what is equal to a whole number, and what lies on its sides.
//!
//! MySQL compares an integer column exactly with whole numbers and decimals, and as doubles with everything
//! else. Below 2^53 a double names one integer only; above, several.

use std::cmp::Ordering;

use crate::sharding::key::KeyValue;
use crate::sharding::key::literal::{Bounded, KeyLiteral, Match, Side};
use crate::sharding::key::typed::Integer;

/// Doubles below this are whole numbers that no other whole number rounds to.
const DOUBLE_EXACT: f64 = 9_007_199_254_740_992.0;

/// What a constant is to a column of whole numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    /// A whole number.
    Whole(i128),
    /// Between this whole number and the next.
    After(i128),
    /// Not known exactly.
    Unknown,
}

pub(super) fn equal_to<'a>(integer: Integer, literal: &KeyLiteral<'a>) -> Match<'a> {
    match value(literal) {
        Value::Whole(number) if integer.holds(number) => Match::Exactly(KeyValue::Integer(number)),
        Value::Whole(_) | Value::After(_) => Match::Never,
        Value::Unknown => Match::Unknown,
    }
}

pub(super) fn bounded_by<'a>(integer: Integer, literal: &KeyLiteral<'a>, side: Side) -> Bounded<'a> {
    let (number, side) = match (value(literal), side) {
        (Value::Unknown, _) => return Bounded::Unknown,
        (Value::Whole(number), side) => (number, side),
        // `key < 7.5` is `key <= 7`; `key > 7.5` is `key > 7`.
        (Value::After(number), Side::Below | Side::AtMost) => (number, Side::AtMost),
        (Value::After(number), Side::Above | Side::AtLeast) => (number, Side::Above),
    };
    let value = KeyValue::Integer(number);
    match side {
        Side::Below if number <= integer.min() => Bounded::Never,
        Side::AtMost if number < integer.min() => Bounded::Never,
        Side::Above if number >= integer.max() => Bounded::Never,
        Side::AtLeast if number > integer.max() => Bounded::Never,
        Side::Below | Side::Above => Bounded::Exclusive(value),
        Side::AtMost | Side::AtLeast => Bounded::Inclusive(value),
    }
}

/// Only what is stored as it is: no rounding, no cutting off, no clamping.
pub(super) fn stored<'a>(integer: Integer, literal: &KeyLiteral<'a>) -> Option<KeyValue<'a>> {
    let number = match literal {
        KeyLiteral::Text(text) => match Number::parse(text.trim_ascii()) {
            Some((number, [])) => number.value(),
            _ => Value::Unknown,
        },
        other => value(other),
    };
    match number {
        Value::Whole(number) if integer.holds(number) => Some(KeyValue::Integer(number)),
        Value::Whole(_) | Value::After(_) | Value::Unknown => None,
    }
}

fn value(literal: &KeyLiteral<'_>) -> Value {
    match literal {
        KeyLiteral::Integer(number) => Value::Whole(*number),
        KeyLiteral::Decimal(text) => match Number::parse(text) {
            Some((number, rest)) if rest.is_empty() && number.exponent.is_none() => number.exact(),
            _ => Value::Unknown,
        },
        KeyLiteral::Double(number) => double(*number),
        KeyLiteral::Text(text) => from_text(text),
        KeyLiteral::Null | KeyLiteral::Binary(_) | KeyLiteral::Moment(_) | KeyLiteral::Opaque => {
            Value::Unknown
        }
    }
}

fn double(number: f64) -> Value {
    if !number.is_finite() || number.abs() >= DOUBLE_EXACT {
        return Value::Unknown;
    }
    let floor = number.floor();
    let whole = floor as i128;
    if floor.total_cmp(&number) == Ordering::Equal || number == 0.0 {
        Value::Whole(whole)
    } else {
        Value::After(whole)
    }
}

/// A string is compared by the number that it begins with; one that begins with none is 0. What follows it
/// is ignored, but makes the comparison one of doubles. Which characters count as blanks before it depends on
/// the character set, so only the usual ones are understood.
fn from_text(text: &[u8]) -> Value {
    let text = text.trim_ascii_start();
    if text.first().is_some_and(|byte| !matches!(byte, b' '..=b'~')) {
        return Value::Unknown;
    }
    match Number::parse(text) {
        Some((number, rest)) => match number.value() {
            Value::Whole(large) if large.unsigned_abs() >= DOUBLE_EXACT as u128 && !rest.is_empty() => {
                Value::Unknown
            }
            value => value,
        },
        None => Value::Whole(0),
    }
}

/// A number as written: `-12.50e3`.
struct Number<'t> {
    negative: bool,
    whole: &'t [u8],
    fraction: &'t [u8],
    exponent: Option<i32>,
}

impl<'t> Number<'t> {
    /// The number at the beginning of `text`, and what follows it.
    fn parse(text: &'t [u8]) -> Option<(Self, &'t [u8])> {
        let (negative, unsigned) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        let (whole, rest) = digits(unsigned);
        let (fraction, rest) = match rest {
            [b'.', after @ ..] => digits(after),
            _ => (&[][..], rest),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let (exponent, rest) = exponent(rest);
        Some((Self { negative, whole, fraction, exponent }, rest))
    }

    /// What it is to a comparison as doubles, where that is the same as the exact value.
    fn value(&self) -> Value {
        match (self.exponent, self.exact()) {
            // A plain whole number is converted to the column's own type.
            (None, exact @ Value::Whole(_)) if self.fraction.is_empty() => exact,
            (None, Value::Whole(number) | Value::After(number))
                if number.unsigned_abs() < DOUBLE_EXACT as u128
                    && self.fraction.len() + self.whole.len() <= 15 =>
            {
                self.exact()
            }
            (None, _) => Value::Unknown,
            (Some(_), _) => self.double(),
        }
    }

    fn double(&self) -> Value {
        let sign = if self.negative { "-" } else { "" };
        let (whole, fraction) = (String::from_utf8_lossy(self.whole), String::from_utf8_lossy(self.fraction));
        let text = format!("{sign}0{whole}.{fraction}e{}", self.exponent.unwrap_or(0));
        text.parse().map_or(Value::Unknown, double)
    }

    /// The number without its exponent, exactly.
    fn exact(&self) -> Value {
        let whole = if self.whole.is_empty() { Some(0) } else { integer(self.whole) };
        let Some(whole) = whole else { return Value::Unknown };
        let even = self.fraction.iter().all(|digit| *digit == b'0');
        match (self.negative, even) {
            (false, true) => Value::Whole(whole),
            (true, true) => Value::Whole(-whole),
            (false, false) => Value::After(whole),
            (true, false) => Value::After(-whole - 1),
        }
    }
}

fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

/// `e3` at the beginning of `text`; `e` without digits is no exponent.
fn exponent(text: &[u8]) -> (Option<i32>, &[u8]) {
    let [b'e' | b'E', after @ ..] = text else { return (None, text) };
    let (negative, after) = match after {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, after),
    };
    let (digits, rest) = digits(after);
    if digits.is_empty() {
        return (None, text);
    }
    let size = integer(digits).map_or(9_999, |size| size.min(9_999)) as i32;
    (Some(if negative { -size } else { size }), rest)
}

/// Digits as a number; None above 36 of them, which no column holds.
fn integer(digits: &[u8]) -> Option<i128> {
    let significant = digits.iter().position(|digit| *digit != b'0').unwrap_or(digits.len());
    let digits = &digits[significant..];
    (digits.len() <= 36)
        .then(|| digits.iter().fold(0, |number: i128, digit| number * 10 + i128::from(digit - b'0')))
}
