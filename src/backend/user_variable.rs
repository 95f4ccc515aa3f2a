//! The value of a user variable: asked of one server connection, and as SQL that makes it on another.
//!
//! A user variable is an integer, signed or not, a decimal, a double or a string with a collation, or a NULL of
//! one of these. All of that shows: in the definition of a column that selects it, and in how it compares.

use crate::backend::answer::ResultSet;
use crate::wire::{Malformed, Reader};

/// Bytes of all values of one question together at most, as text.
pub const VALUE_BYTES_MAX: usize = 64 << 10;

/// What to ask for one variable: three columns.
#[must_use]
pub fn question(name: &str) -> String {
    format!("@`{name}`,HEX(@`{name}`),COLLATION(@`{name}`)")
}

/// The length of its value in bytes, as SQL.
#[must_use]
pub fn length(name: &str) -> String {
    format!("COALESCE(LENGTH(@`{name}`),0)")
}

/// What stands behind ``SET @`name`=`` to make the same value, from the three columns that begin with `first`.
/// `None` if it cannot be made: a geometry on MariaDB.
pub fn assigned(answer: &ResultSet, first: usize, name: &str) -> Result<Option<String>, Malformed> {
    let kind = Kind::of(answer.columns.get(first).map_or(&[], Vec::as_slice))?;
    let row = answer.texts()?.into_iter().next().unwrap_or_default();
    let mut texts =
        row.into_iter().skip(first).map(|text| text.map(|text| String::from_utf8_lossy(&text).into_owned()));
    let (value, hex) = (texts.next().flatten(), texts.next().flatten());
    let collation = texts.next().flatten().unwrap_or_default();
    Ok(kind.map(|kind| kind.assigned(value, &hex.unwrap_or_default(), &collation, name)))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Signed,
    Unsigned,
    Double,
    Decimal,
    Text,
}

impl Kind {
    /// From a column definition. Source: MySQL "Column Definition", "Field Types".
    fn of(definition: &[u8]) -> Result<Option<Self>, Malformed> {
        const UNSIGNED: u16 = 0x20;
        /// Bytes behind the texts of a definition.
        const FIXED_BYTES: usize = 13;
        let mut reader = Reader::new(definition);
        for _ in 0..6 {
            reader.lenenc_bytes()?;
        }
        if reader.rest().len() > FIXED_BYTES {
            // MariaDB's extended metadata.
            reader.lenenc_bytes()?;
        }
        reader.bytes(1 + 2 + 4)?;
        let (kind, flags) = (reader.u8()?, reader.u16()?);
        Ok(match kind {
            0x08 if flags & UNSIGNED != 0 => Some(Self::Unsigned),
            0x08 => Some(Self::Signed),
            0x05 => Some(Self::Double),
            0xF6 => Some(Self::Decimal),
            0xF9..=0xFE => Some(Self::Text),
            _ => None,
        })
    }

    fn assigned(self, value: Option<String>, hex: &str, collation: &str, name: &str) -> String {
        let Some(value) = value else { return self.null(collation, name) };
        match self {
            Self::Signed => format!("CAST({value} AS SIGNED)"),
            Self::Unsigned => format!("CAST({value} AS UNSIGNED)"),
            Self::Double if value.contains('e') => value,
            Self::Double => format!("{value}e0"),
            Self::Decimal if value.contains('.') => value,
            // A number with a point and nothing behind it is a decimal, without it an integer.
            Self::Decimal => format!("{value}."),
            Self::Text => text(hex, collation),
        }
    }

    fn null(self, collation: &str, name: &str) -> String {
        match self {
            Self::Signed => "CAST(NULL AS SIGNED)".to_owned(),
            Self::Unsigned => "CAST(NULL AS UNSIGNED)".to_owned(),
            Self::Double => "NULL+0e0".to_owned(),
            Self::Decimal => "CAST(NULL AS DECIMAL)".to_owned(),
            // A NULL leaves the variable the collation of the string it was.
            Self::Text => format!("{},@`{name}`=NULL", text("", collation)),
        }
    }
}

/// A string by its bytes. The name of a collation begins with that of its charset.
fn text(hex: &str, collation: &str) -> String {
    match collation.split_once('_') {
        Some((charset, _)) => format!("_{charset} X'{hex}' COLLATE {collation}"),
        None => format!("_binary X'{hex}'"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Writer;

    fn answer(kind: u8, flags: u16, value: Option<&str>, hex: &str, collation: &str) -> ResultSet {
        let mut definition = Vec::new();
        for _ in 0..6 {
            definition.put_lenenc_bytes(b"");
        }
        definition.extend_from_slice(&[12, 63, 0, 0, 0, 0, 0, kind]);
        definition.put_u16(flags);
        let mut row = Vec::new();
        match value {
            Some(value) => row.put_lenenc_bytes(value.as_bytes()),
            None => row.push(0xFB),
        }
        row.put_lenenc_bytes(hex.as_bytes());
        row.put_lenenc_bytes(collation.as_bytes());
        ResultSet { columns: vec![definition.clone(), definition.clone(), definition], rows: vec![row] }
    }

    #[test]
    fn a_value_is_made_again_with_its_type_and_collation() {
        let check = |answer: ResultSet, expected: Option<&str>| {
            assert_eq!(assigned(&answer, 0, "a").expect("well-formed").as_deref(), expected);
        };
        check(answer(8, 0x80, Some("-5"), "", "binary"), Some("CAST(-5 AS SIGNED)"));
        check(answer(8, 0xA0, Some("5"), "5", "binary"), Some("CAST(5 AS UNSIGNED)"));
        check(answer(5, 0, Some("0.1"), "0", "binary"), Some("0.1e0"));
        check(answer(5, 0, Some("1e100"), "0", "binary"), Some("1e100"));
        check(answer(0xF6, 0, Some("5"), "5", "binary"), Some("5."));
        check(answer(0xF6, 0, Some("1.50"), "2", "binary"), Some("1.50"));
        check(answer(0xFB, 0, Some("?"), "E4", "latin1_bin"), Some("_latin1 X'E4' COLLATE latin1_bin"));
        check(answer(0xFA, 0x80, Some("?"), "00FF", "binary"), Some("_binary X'00FF'"));
        check(answer(8, 0, None, "", "binary"), Some("CAST(NULL AS SIGNED)"));
        check(answer(0xFA, 0, None, "", "binary"), Some("_binary X'',@`a`=NULL"));
        check(answer(0xFF, 0, Some("?"), "00", "binary"), None);
    }
}
