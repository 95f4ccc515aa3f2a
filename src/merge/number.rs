//! Numbers that are added up, and how a server writes them.

use crate::merge::decimal::Decimal;
use crate::merge::error::MergeError;
use crate::merge::row::RowFormat;
use crate::merge::value::{Numeric, decimal_text};
use crate::wire::{ColumnDefinition, Malformed, column_type};

/// Decimals of a DOUBLE without a fixed number of them. Source: `DECIMAL_NOT_SPECIFIED` of both servers.
const DECIMALS_VARY: u8 = 31;

/// Digits before the point from which on a DOUBLE is written with an exponent, and likewise behind it.
/// Source: `MAX_DECPT_FOR_F_FORMAT` in `dtoa.c` of both servers.
const POINT_MAX: i32 = 15;

/// A sum, exact or not by the type of its column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Decimal(Decimal),
    Double(f64),
}

impl Number {
    /// The value of a cell of the column `from`, as a number of the type of the column `like`.
    pub(crate) fn read(
        value: &[u8],
        from: &ColumnDefinition,
        like: &ColumnDefinition,
        format: RowFormat,
    ) -> Result<Self, MergeError> {
        // The text of a FLOAT is rounded.
        if from.column_type == column_type::FLOAT && format == RowFormat::Text {
            return Err(MergeError::Unordered { kind: "FLOAT" });
        }
        match (decimal_text(value, from, format)?, like.column_type) {
            (Numeric::Exact(text), column_type::DECIMAL | column_type::NEWDECIMAL) => {
                Ok(Self::Decimal(Decimal::parse(&text, usize::from(like.decimals))?))
            }
            (Numeric::Exact(text), column_type::DOUBLE) => {
                let text = std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok());
                Ok(Self::Double(text.ok_or(MergeError::Malformed(Malformed("number that is none")))?))
            }
            (Numeric::Approximate(number), column_type::DOUBLE) => Ok(Self::Double(number)),
            _ => Err(MergeError::Unordered { kind: "other than DECIMAL and DOUBLE in a sum" }),
        }
    }

    pub(crate) fn add(&mut self, other: &Self) -> Result<(), MergeError> {
        match (self, other) {
            (Self::Decimal(sum), Self::Decimal(more)) => sum.add(more),
            (Self::Double(sum), Self::Double(more)) => {
                *sum += more;
                if sum.is_finite() { Ok(()) } else { Err(MergeError::Overflow) }
            }
            _ => Err(MergeError::Drift),
        }
    }

    pub(crate) fn encode(&self, column: &ColumnDefinition, format: RowFormat) -> Result<Vec<u8>, MergeError> {
        match self {
            Self::Decimal(sum) => Ok(sum.to_text(usize::from(column.decimals))?.into_bytes()),
            Self::Double(sum) => Ok(encode_double(*sum, column, format)),
        }
    }
}

/// The content of a cell with this integer.
pub(crate) fn encode_integer(number: i128, column: &ColumnDefinition, format: RowFormat) -> Vec<u8> {
    let width = match (format, column.column_type) {
        (RowFormat::Text, _) => return number.to_string().into_bytes(),
        (RowFormat::Binary, column_type::TINY) => 1,
        (RowFormat::Binary, column_type::SHORT | column_type::YEAR) => 2,
        (RowFormat::Binary, column_type::LONG | column_type::INT24) => 4,
        (RowFormat::Binary, column_type::LONGLONG) => 8,
        (RowFormat::Binary, _) => return number.to_string().into_bytes(),
    };
    number.to_le_bytes()[..width].to_vec()
}

/// The content of a cell with this double.
pub(crate) fn encode_double(number: f64, column: &ColumnDefinition, format: RowFormat) -> Vec<u8> {
    match format {
        RowFormat::Binary => number.to_le_bytes().to_vec(),
        RowFormat::Text => double_text(number, column.decimals).into_bytes(),
    }
}

/// A double as a server writes it: the shortest digits that mean it, or a fixed number of decimals.
fn double_text(number: f64, decimals: u8) -> String {
    if decimals < DECIMALS_VARY {
        return format!("{number:.*}", usize::from(decimals));
    }
    let shortest = format!("{number:e}");
    let Some((digits, exponent)) = shortest.split_once('e') else { return shortest };
    let point = exponent.parse::<i32>().map_or(0, |exponent| exponent + 1);
    if number == 0.0 || (-POINT_MAX + 1..=POINT_MAX).contains(&point) {
        return format!("{number}");
    }
    format!("{digits}e{exponent}")
}

#[cfg(test)]
mod tests {
    use super::double_text;

    #[test]
    fn doubles_are_written_as_servers_write_them() {
        for (number, text) in [
            (1e14, "100000000000000"),
            (1e15, "1e15"),
            (1e-15, "0.000000000000001"),
            (1e-16, "1e-16"),
            (123_456_789_012_345_678.0, "1.2345678901234568e17"),
            (1.5e300, "1.5e300"),
            (1.0 / 3.0, "0.3333333333333333"),
            (-2.5, "-2.5"),
            (0.0, "0"),
        ] {
            assert_eq!(double_text(number, 31), text);
        }
        assert_eq!(double_text(2.5, 2), "2.50");
    }
}
