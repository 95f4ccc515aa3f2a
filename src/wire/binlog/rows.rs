//! The values of one column in the rows of an event.
//!
//! Rows are not decoded: of all other columns only the length is read. Source: `Rows_log_event` and `table_def` of both
//! servers; `rpl_utility.cc` has the lengths.

use crate::wire::binlog::event::kind;
use crate::wire::codec::{Malformed, Reader};

/// Columns that a table has at most.
const COLUMNS_MAX: u64 = 4_096;

/// Digits of a decimal that do not fill four bytes, by how many they are.
const DIGIT_BYTES: [usize; 9] = [0, 1, 1, 2, 2, 3, 3, 4, 4];

/// Types as they stand in a log, beside those of results.
mod column {
    pub(super) const TINY: u8 = 1;
    pub(super) const SHORT: u8 = 2;
    pub(super) const LONG: u8 = 3;
    pub(super) const FLOAT: u8 = 4;
    pub(super) const DOUBLE: u8 = 5;
    pub(super) const TIMESTAMP: u8 = 7;
    pub(super) const LONGLONG: u8 = 8;
    pub(super) const INT24: u8 = 9;
    pub(super) const DATE: u8 = 10;
    pub(super) const TIME: u8 = 11;
    pub(super) const DATETIME: u8 = 12;
    pub(super) const YEAR: u8 = 13;
    pub(super) const NEWDATE: u8 = 14;
    pub(super) const VARCHAR: u8 = 15;
    pub(super) const BIT: u8 = 16;
    pub(super) const TIMESTAMP2: u8 = 17;
    pub(super) const DATETIME2: u8 = 18;
    pub(super) const TIME2: u8 = 19;
    pub(super) const MARIADB_BLOB_COMPRESSED: u8 = 140;
    pub(super) const MARIADB_VARCHAR_COMPRESSED: u8 = 141;
    pub(super) const VECTOR: u8 = 242;
    pub(super) const JSON: u8 = 245;
    pub(super) const NEWDECIMAL: u8 = 246;
    pub(super) const ENUM: u8 = 247;
    pub(super) const SET: u8 = 248;
    pub(super) const TINY_BLOB: u8 = 249;
    pub(super) const BLOB: u8 = 252;
    pub(super) const STRING: u8 = 254;
    pub(super) const GEOMETRY: u8 = 255;
}

/// How long a column's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    /// So many bytes.
    Fixed(usize),
    /// What a number of so many bytes before them says.
    Prefixed(usize),
}

/// The columns of a table, as its map tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowLayout {
    columns: Vec<(u8, Length)>,
}

/// The values of a column in one event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnValues {
    /// Little-endian, as wide as the column.
    values: Vec<[u8; 8]>,
    width: usize,
}

impl ColumnValues {
    /// Whether a column whose largest number this is has as many bytes.
    #[must_use]
    pub const fn fit(&self, largest: i128) -> bool {
        // One more bit than a number has, for a sign or for none.
        let bits = 8 * self.width as u32;
        largest == (1 << bits) - 1 || largest == (1 << (bits - 1)) - 1
    }

    /// As numbers of a column that is signed, or not.
    pub fn numbers(&self, signed: bool) -> impl Iterator<Item = i128> + '_ {
        let shift = 64 - 8 * self.width as u32;
        self.values.iter().map(move |bytes| {
            let number = u64::from_le_bytes(*bytes);
            if signed { i128::from((number << shift) as i64 >> shift) } else { i128::from(number) }
        })
    }
}

impl RowLayout {
    /// What stands in a table map behind the names.
    pub fn parse(columns: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(columns);
        let count = reader.lenenc()?;
        if count > COLUMNS_MAX {
            return Err(Malformed("more columns than a table can have"));
        }
        let types = reader.bytes(count as usize)?;
        let mut details = Reader::new(reader.lenenc_bytes()?);
        let column = |kind: &u8| Ok((*kind, length(*kind, &mut details)?));
        Ok(Self { columns: types.iter().map(column).collect::<Result<_, Malformed>>()? })
    }

    /// Columns.
    #[must_use]
    pub fn count(&self) -> usize {
        self.columns.len()
    }

    /// The values of a column of integers in the rows of an event of this kind, before and after it; `rows` stands
    /// behind the number of its table. At most `max`. An error: it cannot be told which these are.
    pub fn values(
        &self,
        event: u8,
        rows: &[u8],
        column: usize,
        max: usize,
    ) -> Result<ColumnValues, Malformed> {
        let width = match self.columns.get(column) {
            Some((
                column::TINY | column::SHORT | column::LONG | column::LONGLONG | column::INT24,
                length,
            )) => length.fixed()?,
            _ => return Err(Malformed("not a column of integers")),
        };
        let mut reader = Reader::new(rows);
        let _flags = reader.u16()?;
        let updates = match event {
            kind::WRITE_ROWS_V1 | kind::DELETE_ROWS_V1 => false,
            kind::UPDATE_ROWS_V1 => true,
            kind::WRITE_ROWS | kind::UPDATE_ROWS | kind::DELETE_ROWS => {
                let more = usize::from(reader.u16()?);
                reader.bytes(more.checked_sub(2).ok_or(Malformed("rows without a beginning"))?)?;
                event == kind::UPDATE_ROWS
            }
            _ => return Err(Malformed("rows that are written in another way")),
        };
        if reader.lenenc()? != self.columns.len() as u64 {
            return Err(Malformed("rows of another table"));
        }
        let mut image =
            || Ok::<_, Malformed>(Image { layout: self, present: reader.bytes(bits(self.columns.len()))? });
        let first = image()?;
        let second = if updates { Some(image()?) } else { None };
        let mut found = ColumnValues { values: Vec::new(), width };
        while !reader.is_empty() {
            let before = first.read(&mut reader, column)?;
            found.add(before.ok_or(Malformed("rows without the column"))?, max)?;
            if let Some(after) = &second {
                // What is not there has not changed.
                after.read(&mut reader, column)?.map_or(Ok(()), |value| found.add(value, max))?;
            }
        }
        if found.values.is_empty() { Err(Malformed("no rows")) } else { Ok(found) }
    }
}

impl ColumnValues {
    fn add(&mut self, value: &[u8], max: usize) -> Result<(), Malformed> {
        let mut bytes = [0; 8];
        bytes.get_mut(..value.len()).ok_or(Malformed("a number that is too long"))?.copy_from_slice(value);
        if !self.values.contains(&bytes) {
            if self.values.len() >= max {
                return Err(Malformed("more rows than are told apart"));
            }
            self.values.push(bytes);
        }
        Ok(())
    }
}

/// Rows of which these columns are there.
struct Image<'a> {
    layout: &'a RowLayout,
    present: &'a [u8],
}

impl Image<'_> {
    /// Reads a row; the value of `wanted`, if it is there. NULL is an error: it names no row.
    fn read<'r>(&self, reader: &mut Reader<'r>, wanted: usize) -> Result<Option<&'r [u8]>, Malformed> {
        let there = |at: usize| is_set(self.present, at);
        let count = (0..self.layout.columns.len()).filter(|at| there(*at)).count();
        let nulls = reader.bytes(bits(count))?;
        let (mut found, mut nth) = (None, 0);
        for (at, (_, length)) in self.layout.columns.iter().enumerate() {
            if !there(at) {
                continue;
            }
            let null = is_set(nulls, nth);
            nth += 1;
            match (null, at == wanted) {
                (true, true) => return Err(Malformed("a row that is named by NULL")),
                (true, false) => {}
                (false, true) => found = Some(length.read(reader)?),
                (false, false) => drop(length.read(reader)?),
            }
        }
        Ok(found)
    }
}

impl Length {
    const fn fixed(self) -> Result<usize, Malformed> {
        match self {
            Self::Fixed(bytes) => Ok(bytes),
            Self::Prefixed(_) => Err(Malformed("a number of any length")),
        }
    }

    fn read<'a>(self, reader: &mut Reader<'a>) -> Result<&'a [u8], Malformed> {
        let bytes = match self {
            Self::Fixed(bytes) => bytes,
            Self::Prefixed(bytes) => {
                let mut length = [0; 8];
                length[..bytes].copy_from_slice(reader.bytes(bytes)?);
                usize::try_from(u64::from_le_bytes(length))
                    .map_err(|_| Malformed("a value that is too long"))?
            }
        };
        reader.bytes(bytes)
    }
}

const fn bits(count: usize) -> usize {
    count.div_ceil(8)
}

fn is_set(bits: &[u8], at: usize) -> bool {
    bits.get(at / 8).is_some_and(|byte| byte & 1 << (at % 8) != 0)
}

/// How long values of a type are, by what `details` say next about it.
fn length(kind: u8, details: &mut Reader<'_>) -> Result<Length, Malformed> {
    use Length::{Fixed, Prefixed};
    // Parts of a second, two digits a byte.
    let parts = |details: &mut Reader<'_>| Ok::<_, Malformed>(usize::from(details.u8()?.min(6)).div_ceil(2));
    Ok(match kind {
        column::TINY | column::YEAR => Fixed(1),
        column::SHORT => Fixed(2),
        column::INT24 | column::DATE | column::NEWDATE | column::TIME => Fixed(3),
        column::LONG | column::TIMESTAMP => Fixed(4),
        column::LONGLONG | column::DATETIME => Fixed(8),
        column::FLOAT | column::DOUBLE => Fixed(usize::from(details.u8()?)),
        column::TIMESTAMP2 => Fixed(4 + parts(details)?),
        column::DATETIME2 => Fixed(5 + parts(details)?),
        column::TIME2 => Fixed(3 + parts(details)?),
        column::NEWDECIMAL => {
            let (digits, behind) = (usize::from(details.u8()?), usize::from(details.u8()?));
            let before = digits.checked_sub(behind).ok_or(Malformed("a decimal of no digits"))?;
            let bytes = |digits: usize| digits / 9 * 4 + DIGIT_BYTES[digits % 9];
            Fixed(bytes(before) + bytes(behind))
        }
        column::VARCHAR | column::MARIADB_VARCHAR_COMPRESSED => {
            Prefixed(if details.u16()? > 255 { 2 } else { 1 })
        }
        column::BIT => {
            let (bits, bytes) = (details.u8()?, details.u8()?);
            Fixed(usize::from(bytes) + usize::from(bits > 0))
        }
        column::STRING => string(details.u8()?, details.u8()?),
        column::TINY_BLOB..=column::BLOB
        | column::JSON
        | column::GEOMETRY
        | column::VECTOR
        | column::MARIADB_BLOB_COMPRESSED => match usize::from(details.u8()?) {
            bytes @ 1..=4 => Prefixed(bytes),
            _ => return Err(Malformed("a length that is too long")),
        },
        _ => return Err(Malformed("a type that nobody here knows")),
    })
}

/// CHAR, BINARY, ENUM and SET: the type, two bits of it used for the longest of lengths.
const fn string(first: u8, second: u8) -> Length {
    let long = (first & 0x30) != 0x30;
    match if long { first | 0x30 } else { first } {
        column::ENUM | column::SET => Length::Fixed(second as usize),
        _ => {
            let longest = second as usize | if long { (((first & 0x30) ^ 0x30) as usize) << 4 } else { 0 };
            Length::Prefixed(if longest > 255 { 2 } else { 1 })
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    /// `(id INT, name VARCHAR(80), c CHAR(3) of four bytes a letter, n DECIMAL(10,2), at DATETIME(3), b BIT(10), e ENUM, t
    /// TEXT, big BIGINT)`
    const COLUMNS: &[u8] =
        b"\x09\x03\x0f\xfe\xf6\x12\x10\xfe\xfc\x08\x0c\x40\x01\xfe\x0c\x0a\x02\x03\x02\x01\xf7\x01\x02";

    fn row(id: u32, nulls: u16, big: i64) -> Vec<u8> {
        let mut row = nulls.to_le_bytes().to_vec();
        let values: [&[u8]; 9] = [
            &id.to_le_bytes(),
            b"\x04\0name",
            b"\x03abc",
            &[1; 5],
            &[2; 7],
            &[3; 2],
            &[1],
            b"\x02\0xy",
            &big.to_le_bytes(),
        ];
        for (n, value) in values.into_iter().enumerate() {
            if nulls & 1 << n == 0 {
                row.extend_from_slice(value);
            }
        }
        row
    }

    fn numbers(
        layout: &RowLayout,
        event: u8,
        head: &[u8],
        rows: &[Vec<u8>],
        column: usize,
    ) -> Option<Vec<i128>> {
        let bytes = [head, &rows.concat()].concat();
        let values = layout.values(event, &bytes, column, 3).ok()?;
        Some(values.numbers(true).collect())
    }

    #[test]
    fn the_values_of_a_column_are_found_among_all_others() {
        let layout = RowLayout::parse(COLUMNS).expect("a map");
        assert_eq!(layout.count(), 9);
        let old = b"\x01\0\x09\xff\xff";
        let new = b"\x01\0\x02\0\x09\xff\xff\xff\xff";
        let more = b"\x01\0\x04\0xx\x09\xff\xff";
        let rows = [row(7, 0xFE00, -5), row(u32::MAX, 0xFE2A, 6), row(7, 0xFE00, -5)];
        for column_and_values in [(0, vec![7, -1]), (8, vec![-5, 6])] {
            let (column, values) = column_and_values;
            let check = |event: u8, head: &[u8], rows: &[Vec<u8>]| {
                assert_eq!(numbers(&layout, event, head, rows, column), Some(values.clone()), "{event}");
            };
            check(kind::WRITE_ROWS_V1, old, &rows);
            check(kind::DELETE_ROWS, more, &rows);
            check(kind::UPDATE_ROWS, new, &[&rows[..], &rows[..1]].concat());
        }
    }

    #[test]
    fn what_names_no_row_or_too_many_is_an_error() {
        let layout = RowLayout::parse(COLUMNS).expect("a map");
        let head = b"\x01\0\x09\xff\xff";
        let check = |event: u8, head: &[u8], rows: &[Vec<u8>], column: usize| {
            assert_eq!(numbers(&layout, event, head, rows, column), None);
        };
        check(kind::WRITE_ROWS_V1, head, &[row(1, 0xFE01, 0)], 0);
        check(kind::WRITE_ROWS_V1, head, &[row(1, 0xFE00, 0)[..20].to_vec()], 0);
        check(kind::WRITE_ROWS_V1, head, &[], 0);
        check(kind::WRITE_ROWS_V1, head, &[row(1, 0xFE00, 0)], 1);
        check(kind::WRITE_ROWS_V1, head, &[row(1, 0xFE00, 0)], 9);
        check(kind::WRITE_ROWS_V1, b"\x01\0\x08\xff", &[row(1, 0xFE00, 0)], 0);
        check(kind::WRITE_ROWS_COMPRESSED_V1, head, &[row(1, 0xFE00, 0)], 0);
        check(kind::PARTIAL_UPDATE_ROWS, head, &[row(1, 0xFE00, 0)], 0);
        check(kind::WRITE_ROWS_V1, head, &[1, 2, 3, 4].map(|id| row(id, 0xFE00, 0)), 0);
        assert!(RowLayout::parse(b"\x01\xf1\0").is_err(), "a type that nobody knows");
    }

    #[test]
    fn columns_that_are_left_out_have_not_changed() {
        let layout = RowLayout::parse(b"\x02\x03\x03\0").expect("a map");
        // Before: the key alone. After: the other column alone.
        let rows = b"\x01\0\x02\0\x02\x01\x02\0\x05\0\0\0\0\x09\0\0\0";
        let found = layout.values(kind::UPDATE_ROWS, rows, 0, 9).expect("a key");
        assert_eq!(found.numbers(false).collect::<Vec<_>>(), [5]);
        assert!(layout.values(kind::UPDATE_ROWS, rows, 1, 9).is_err(), "it was something else before");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(columns in proptest::collection::vec(any::<u8>(), 0..60), rows: Vec<u8>, event: u8, column in 0..9_usize) {
            let layouts = [RowLayout::parse(&columns), RowLayout::parse(COLUMNS)];
            for layout in layouts.into_iter().flatten() {
                for event in [event, kind::UPDATE_ROWS, kind::WRITE_ROWS_V1] {
                    if let Ok(values) = layout.values(event, &rows, column, 9) {
                        let _ = values.numbers(true).count();
                    }
                }
            }
        }
    }
}
