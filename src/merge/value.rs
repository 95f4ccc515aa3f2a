//! Values of rows as they are compared: by type, sign, weight, and never by how they are written.

use std::cmp::Ordering;
use std::ops::Range;

use crate::merge::collation::Pad;
use crate::merge::decimal;
use crate::merge::error::{MergeError, Needed};
use crate::merge::plan::OrderKey;
use crate::merge::row::{RowFormat, number_text};
use crate::wire::{
    BINARY_CHARSET, ColumnDefinition, ENUM_FLAG, Malformed, SET_FLAG, UNSIGNED_FLAG, column_type,
};

/// How values of a type are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// Integers, YEAR, and packed DATE, DATETIME, TIME.
    Integer,
    /// Decimals as texts.
    Decimal,
    /// DOUBLE.
    Double,
    /// Byte by byte.
    Bytes,
    /// By weights, under the pad of a collation.
    Weights,
}

/// One order key, resolved against the columns of the sources.
#[derive(Clone, Debug)]
pub(crate) struct Comparator {
    pub(crate) key: OrderKey,
    /// The column that is looked at: the value itself, its weights or its number.
    pub(crate) column: usize,
    pub(crate) comparison: Comparison,
    /// Of the collation that the rows named, once one has come.
    pub(crate) pad: Option<Pad>,
}

/// A value ready to be compared.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Key {
    Null,
    Integer(i128),
    Double(f64),
    /// Bytes of the row that it is a key of.
    Bytes(Range<usize>),
}

/// What MIN and MAX differ in from ORDER BY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// ENUM and SET by their number.
    Order,
    /// ENUM and SET by their text.
    Extreme,
}

impl Comparator {
    pub(crate) fn resolve(
        key: OrderKey,
        columns: &[ColumnDefinition],
        purpose: Purpose,
    ) -> Result<Self, MergeError> {
        let definition = column(columns, key.column)?;
        let numbered = definition.has(ENUM_FLAG) || definition.has(SET_FLAG);
        let (column, comparison) =
            if numbered && purpose == Purpose::Order || definition.column_type == column_type::FLOAT {
                let number =
                    key.number.ok_or(MergeError::Missing { column: key.column, what: Needed::Number })?;
                (number, natural(self::column(columns, number)?)?)
            } else {
                match natural(definition)? {
                    Comparison::Weights => {
                        let missing = MergeError::Missing { column: key.column, what: Needed::Weights };
                        let weight = key.weight.ok_or(missing.clone())?;
                        key.collation.ok_or(missing)?;
                        (weight, Comparison::Weights)
                    }
                    comparison => (key.column, comparison),
                }
            };
        if comparison == Comparison::Double && columns[column].column_type == column_type::FLOAT {
            return Err(MergeError::Missing { column: key.column, what: Needed::Number });
        }
        Ok(Self { key, column, comparison, pad: None })
    }

    /// Orders two keys, NULL first, then by value; turned round if the key is descending.
    pub(crate) fn compare(&self, left: (&Key, &[u8]), right: (&Key, &[u8])) -> Result<Ordering, MergeError> {
        let order = match (left.0, right.0) {
            (Key::Null, Key::Null) => Ordering::Equal,
            (Key::Null, _) => Ordering::Less,
            (_, Key::Null) => Ordering::Greater,
            (Key::Integer(a), Key::Integer(b)) => a.cmp(b),
            (Key::Double(a), Key::Double(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
            (Key::Bytes(a), Key::Bytes(b)) => self.bytes(&left.1[a.clone()], &right.1[b.clone()])?,
            _ => return Err(MergeError::Malformed(Malformed("two types in one column"))),
        };
        Ok(if self.key.descending { order.reverse() } else { order })
    }

    fn bytes(&self, left: &[u8], right: &[u8]) -> Result<Ordering, MergeError> {
        match (self.comparison, &self.pad) {
            (Comparison::Decimal, _) => decimal::compare(left, right),
            (Comparison::Weights, Some(pad)) => Ok(pad.compare(left, right)),
            (Comparison::Weights, None) => Err(MergeError::Collation("?".to_owned())),
            (Comparison::Bytes | Comparison::Integer | Comparison::Double, _) => Ok(left.cmp(right)),
        }
    }

    /// Reads a key from a cell of the column it looks at.
    pub(crate) fn read(
        &self,
        cell: Option<Range<usize>>,
        bytes: &[u8],
        columns: &[ColumnDefinition],
        format: RowFormat,
    ) -> Result<Key, MergeError> {
        let Some(range) = cell else { return Ok(Key::Null) };
        let (value, definition) = (&bytes[range.clone()], &columns[self.column]);
        Ok(match self.comparison {
            Comparison::Decimal | Comparison::Bytes | Comparison::Weights => Key::Bytes(range),
            Comparison::Double => Key::Double(double(value, definition, format)?),
            Comparison::Integer => Key::Integer(match definition.column_type {
                column_type::DATE
                | column_type::NEWDATE
                | column_type::DATETIME
                | column_type::TIMESTAMP
                | column_type::TIME => temporal(value, definition.column_type, format)?,
                column_type::BIT => bits(value)?,
                _ => integer(value, definition, format)?,
            }),
        })
    }
}

pub(crate) fn column(columns: &[ColumnDefinition], index: usize) -> Result<&ColumnDefinition, MergeError> {
    columns.get(index).ok_or(MergeError::Malformed(Malformed("result with fewer columns than the plan has")))
}

/// How a server compares values of this column's type.
fn natural(definition: &ColumnDefinition) -> Result<Comparison, MergeError> {
    use column_type as is;
    Ok(match definition.column_type {
        is::TINY | is::SHORT | is::LONG | is::INT24 | is::LONGLONG | is::YEAR | is::BIT | is::NULL => {
            Comparison::Integer
        }
        is::DATE | is::NEWDATE | is::DATETIME | is::TIMESTAMP | is::TIME => Comparison::Integer,
        is::DECIMAL | is::NEWDECIMAL => Comparison::Decimal,
        is::FLOAT | is::DOUBLE => Comparison::Double,
        is::JSON => return Err(MergeError::Unordered { kind: "JSON" }),
        is::GEOMETRY => return Err(MergeError::Unordered { kind: "GEOMETRY" }),
        is::VECTOR => return Err(MergeError::Unordered { kind: "VECTOR" }),
        is::VARCHAR | is::VAR_STRING | is::STRING | is::TINY_BLOB..=is::BLOB | is::ENUM | is::SET => {
            if definition.charset == BINARY_CHARSET {
                Comparison::Bytes
            } else {
                Comparison::Weights
            }
        }
        _ => return Err(MergeError::Unordered { kind: "unknown" }),
    })
}

const NOT_NUMBER: MergeError = MergeError::Malformed(Malformed("number that is none"));
const NOT_TIME: MergeError = MergeError::Malformed(Malformed("time that is none"));

fn parsed<T: std::str::FromStr>(text: &[u8]) -> Result<T, MergeError> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(NOT_NUMBER)
}

/// The integer in a cell.
pub(crate) fn integer(
    value: &[u8],
    definition: &ColumnDefinition,
    format: RowFormat,
) -> Result<i128, MergeError> {
    if format == RowFormat::Text {
        return parsed(value);
    }
    let unsigned = definition.has(UNSIGNED_FLAG);
    let mut wide = [if unsigned || value.last().is_none_or(|byte| *byte < 0x80) { 0 } else { 0xFF }; 16];
    wide.get_mut(..value.len()).ok_or(NOT_NUMBER)?.copy_from_slice(value);
    let number = i128::from_le_bytes(wide);
    // A MEDIUMINT is sent in four bytes, so that its sign is already extended.
    Ok(number)
}

/// The number in a cell of type FLOAT or DOUBLE.
pub(crate) fn double(
    value: &[u8],
    definition: &ColumnDefinition,
    format: RowFormat,
) -> Result<f64, MergeError> {
    match (format, definition.column_type) {
        (RowFormat::Text, _) => parsed(value),
        (RowFormat::Binary, column_type::FLOAT) => {
            Ok(f64::from(f32::from_le_bytes(value.try_into().map_err(|_| NOT_NUMBER)?)))
        }
        (RowFormat::Binary, _) => Ok(f64::from_le_bytes(value.try_into().map_err(|_| NOT_NUMBER)?)),
    }
}

/// BIT: big-endian bytes in both protocols.
fn bits(value: &[u8]) -> Result<i128, MergeError> {
    if value.len() > 8 {
        return Err(NOT_NUMBER);
    }
    Ok(value.iter().fold(0, |number, byte| (number << 8) | i128::from(*byte)))
}

/// A point or span of time as a number that is ordered like it.
fn temporal(value: &[u8], kind: u8, format: RowFormat) -> Result<i128, MergeError> {
    match format {
        RowFormat::Text => temporal_text(value),
        RowFormat::Binary if kind == column_type::TIME => time_binary(value).ok_or(NOT_TIME),
        RowFormat::Binary => date_binary(value).ok_or(NOT_TIME),
    }
}

/// `2016-03-04 10:00:00.5` and `-838:59:59`: their digits, microseconds included, as one number.
fn temporal_text(text: &[u8]) -> Result<i128, MergeError> {
    let (negative, text) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = match text.iter().position(|byte| *byte == b'.') {
        Some(point) => (&text[..point], &text[point + 1..]),
        None => (text, &text[..0]),
    };
    let mut number = 0_i128;
    for byte in whole {
        match byte {
            b'0'..=b'9' => number = number * 10 + i128::from(byte - b'0'),
            b'-' | b':' | b' ' => {}
            _ => return Err(NOT_TIME),
        }
    }
    if fraction.len() > 6 || whole.len() > 32 || !fraction.iter().all(u8::is_ascii_digit) {
        return Err(NOT_TIME);
    }
    for place in 0..6 {
        number = number * 10 + fraction.get(place).map_or(0, |byte| i128::from(byte - b'0'));
    }
    Ok(if negative { -number } else { number })
}

fn date_binary(value: &[u8]) -> Option<i128> {
    let mut parts = [0_u8; 11];
    parts.get_mut(..value.len())?.copy_from_slice(value);
    let [y, z, month, day, hour, minute, second, micros @ ..] = parts;
    let year = i128::from(u16::from_le_bytes([y, z]));
    let fields = [month, day, hour, minute, second];
    let number = fields.iter().fold(year, |number, field| number * 100 + i128::from(*field));
    Some(number * 1_000_000 + i128::from(u32::from_le_bytes(micros)))
}

fn time_binary(value: &[u8]) -> Option<i128> {
    let mut parts = [0_u8; 12];
    parts.get_mut(..value.len())?.copy_from_slice(value);
    let [negative, a, b, c, d, hour, minute, second, micros @ ..] = parts;
    let hours = i128::from(u32::from_le_bytes([a, b, c, d])) * 24 + i128::from(hour);
    let number = (hours * 100 + i128::from(minute)) * 100 + i128::from(second);
    let number = number * 1_000_000 + i128::from(u32::from_le_bytes(micros));
    Some(if negative == 1 { -number } else { number })
}

/// A number as the text of a decimal without an exponent, for comparisons of HAVING; `None` for a double
/// that has none.
pub(crate) fn decimal_text(
    value: &[u8],
    definition: &ColumnDefinition,
    format: RowFormat,
) -> Result<Numeric, MergeError> {
    match natural(definition)? {
        Comparison::Integer => match definition.column_type {
            column_type::BIT => Ok(Numeric::Exact(bits(value)?.to_string().into_bytes())),
            column_type::DATE
            | column_type::NEWDATE
            | column_type::DATETIME
            | column_type::TIMESTAMP
            | column_type::TIME => Err(MergeError::Unordered { kind: "time with numbers" }),
            _ => Ok(Numeric::Exact(number_text(value, definition, format)?)),
        },
        Comparison::Decimal => Ok(Numeric::Exact(value.to_vec())),
        Comparison::Double => Ok(Numeric::Approximate(double(value, definition, format)?)),
        Comparison::Bytes | Comparison::Weights => Err(MergeError::Unordered { kind: "text with numbers" }),
    }
}

/// A number of HAVING.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Numeric {
    /// The text of a decimal.
    Exact(Vec<u8>),
    /// A double.
    Approximate(f64),
}

impl Numeric {
    /// By value; a double makes the comparison one of doubles, as on a server.
    pub(crate) fn compare(&self, other: &Self) -> Result<Ordering, MergeError> {
        let double = |number: &Self| match number {
            Self::Exact(text) => parsed(text),
            Self::Approximate(number) => Ok(*number),
        };
        match (self, other) {
            (Self::Exact(left), Self::Exact(right)) => decimal::compare(left, right),
            _ => Ok(double(self)?.partial_cmp(&double(other)?).unwrap_or(Ordering::Equal)),
        }
    }
}
