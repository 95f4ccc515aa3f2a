//! Points and spans of time as the texts that servers write and read.

use crate::merge::error::MergeError;
use crate::merge::row::RowFormat;
use crate::wire::{ColumnDefinition, Malformed, column_type};

const NOT_TIME: MergeError = MergeError::Malformed(Malformed("time that is none"));

/// The text of a DATE, DATETIME or TIME, for a literal. A date without a day or month is none that every `sql_mode`
/// takes.
pub(crate) fn temporal_text(
    value: &[u8],
    definition: &ColumnDefinition,
    format: RowFormat,
) -> Result<String, MergeError> {
    let kind = definition.column_type;
    let text = match format {
        RowFormat::Text => std::str::from_utf8(value).map_err(|_| NOT_TIME)?.to_owned(),
        RowFormat::Binary if kind == column_type::TIME => span(value, definition.decimals).ok_or(NOT_TIME)?,
        RowFormat::Binary => moment(value, kind, definition.decimals).ok_or(NOT_TIME)?,
    };
    let plain = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'-' | b':' | b' ' | b'.');
    if !text.bytes().all(plain) {
        return Err(NOT_TIME);
    }
    if kind != column_type::TIME && (text.starts_with("0000") || text.contains("-00")) {
        return Err(MergeError::Uncomputed);
    }
    Ok(text)
}

fn moment(value: &[u8], kind: u8, decimals: u8) -> Option<String> {
    let mut parts = [0_u8; 11];
    parts.get_mut(..value.len())?.copy_from_slice(value);
    let [y, z, month, day, hour, minute, second, micros @ ..] = parts;
    let date = format!("{:04}-{month:02}-{day:02}", u16::from_le_bytes([y, z]));
    if kind == column_type::DATE {
        return Some(date);
    }
    let fraction = fraction(u32::from_le_bytes(micros), decimals);
    Some(format!("{date} {hour:02}:{minute:02}:{second:02}{fraction}"))
}

fn span(value: &[u8], decimals: u8) -> Option<String> {
    let mut parts = [0_u8; 12];
    parts.get_mut(..value.len())?.copy_from_slice(value);
    let [negative, a, b, c, d, hour, minute, second, micros @ ..] = parts;
    let hours = u64::from(u32::from_le_bytes([a, b, c, d])) * 24 + u64::from(hour);
    let sign = if negative == 1 { "-" } else { "" };
    let fraction = fraction(u32::from_le_bytes(micros), decimals);
    Some(format!("{sign}{hours:02}:{minute:02}:{second:02}{fraction}"))
}

fn fraction(micros: u32, decimals: u8) -> String {
    match usize::from(decimals.min(6)) {
        0 => String::new(),
        digits => format!(".{}", &format!("{micros:06}")[..digits]),
    }
}

#[cfg(test)]
mod tests {
    use super::{moment, span};
    use crate::wire::column_type;

    #[test]
    fn binary_times_are_written_as_servers_write_them() {
        let of = |value: &[u8], kind, decimals| moment(value, kind, decimals).unwrap();
        let value = [0xEA, 0x07, 3, 4, 10, 0, 5, 0x20, 0xA1, 0x07, 0];
        assert_eq!(of(&value, column_type::DATETIME, 3), "2026-03-04 10:00:05.500");
        assert_eq!(of(&value[..4], column_type::DATE, 0), "2026-03-04");
        assert_eq!(of(&value[..4], column_type::DATETIME, 0), "2026-03-04 00:00:00");
        assert_eq!(span(&[1, 34, 0, 0, 0, 22, 59, 59], 0).unwrap(), "-838:59:59");
        assert_eq!(span(&[], 1).unwrap(), "00:00:00.0");
        assert_eq!(span(&[0; 13], 1), None);
    }
}
