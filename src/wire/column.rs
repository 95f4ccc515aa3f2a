//! Column definitions: what a server tells about each column of a result.
//!
//! Source: MySQL "Protocol::ColumnDefinition41", MariaDB "Result Set Packets".

use crate::wire::codec::{Malformed, Reader, Writer};

/// Types of columns, as definitions name them.
pub mod column_type {
    /// DECIMAL of old servers.
    pub const DECIMAL: u8 = 0;
    /// TINYINT.
    pub const TINY: u8 = 1;
    /// SMALLINT.
    pub const SHORT: u8 = 2;
    /// INT.
    pub const LONG: u8 = 3;
    /// FLOAT.
    pub const FLOAT: u8 = 4;
    /// DOUBLE.
    pub const DOUBLE: u8 = 5;
    /// The literal NULL.
    pub const NULL: u8 = 6;
    /// TIMESTAMP.
    pub const TIMESTAMP: u8 = 7;
    /// BIGINT.
    pub const LONGLONG: u8 = 8;
    /// MEDIUMINT.
    pub const INT24: u8 = 9;
    /// DATE.
    pub const DATE: u8 = 10;
    /// TIME.
    pub const TIME: u8 = 11;
    /// DATETIME.
    pub const DATETIME: u8 = 12;
    /// YEAR.
    pub const YEAR: u8 = 13;
    /// DATE, as servers hold it.
    pub const NEWDATE: u8 = 14;
    /// VARCHAR, as servers hold it.
    pub const VARCHAR: u8 = 15;
    /// BIT.
    pub const BIT: u8 = 16;
    /// MySQL's VECTOR.
    pub const VECTOR: u8 = 242;
    /// MySQL's JSON.
    pub const JSON: u8 = 245;
    /// DECIMAL.
    pub const NEWDECIMAL: u8 = 246;
    /// ENUM, as servers hold it.
    pub const ENUM: u8 = 247;
    /// SET, as servers hold it.
    pub const SET: u8 = 248;
    /// The first of the four sizes of TEXT and BLOB.
    pub const TINY_BLOB: u8 = 249;
    /// The last of the four sizes of TEXT and BLOB.
    pub const BLOB: u8 = 252;
    /// VARCHAR, VARBINARY.
    pub const VAR_STRING: u8 = 253;
    /// CHAR, BINARY, ENUM, SET.
    pub const STRING: u8 = 254;
    /// GEOMETRY.
    pub const GEOMETRY: u8 = 255;
}

/// A flag of a column: NOT NULL.
pub const NOT_NULL_FLAG: u16 = 1;
/// A flag of a column: UNSIGNED.
pub const UNSIGNED_FLAG: u16 = 32;
/// A flag of a column: ZEROFILL.
pub const ZEROFILL_FLAG: u16 = 64;
/// A flag of a column: ENUM.
pub const ENUM_FLAG: u16 = 256;
/// A flag of a column: SET.
pub const SET_FLAG: u16 = 2048;
/// The character set of what is no text.
pub const BINARY_CHARSET: u16 = 63;

/// One column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnDefinition {
    /// Always `def`.
    pub catalog: Vec<u8>,
    /// Schema of its table, if it is a column of one.
    pub schema: Vec<u8>,
    /// Table as the statement calls it.
    pub table: Vec<u8>,
    /// Table as it is called.
    pub org_table: Vec<u8>,
    /// Name in the result.
    pub name: Vec<u8>,
    /// Name in its table.
    pub org_name: Vec<u8>,
    /// Names of types that have none of their own, where MariaDB's extended metadata was agreed on.
    pub extended: Option<Vec<u8>>,
    /// Collation of texts as they are sent; 63 for everything else.
    pub charset: u16,
    /// Display width at most.
    pub length: u32,
    /// One of [`column_type`].
    pub column_type: u8,
    /// NOT NULL, UNSIGNED and so on.
    pub flags: u16,
    /// Digits behind the point; 31 if they vary.
    pub decimals: u8,
    /// What follows the fixed part, as it came.
    pub rest: Vec<u8>,
}

impl ColumnDefinition {
    /// Reads a definition.
    ///
    /// # Errors
    /// [`Malformed`] if it is cut short.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        let mut text = || reader.lenenc_bytes().map(<[u8]>::to_vec);
        let (catalog, schema, table) = (text()?, text()?, text()?);
        let (org_table, name, org_name) = (text()?, text()?, text()?);
        let (mut fixed, mut extended) = (reader.lenenc_bytes()?, None);
        if !reader.is_empty() {
            extended = Some(fixed.to_vec());
            fixed = reader.lenenc_bytes()?;
        }
        let mut fixed = Reader::new(fixed);
        Ok(Self {
            catalog,
            schema,
            table,
            org_table,
            name,
            org_name,
            extended,
            charset: fixed.u16()?,
            length: fixed.u32()?,
            column_type: fixed.u8()?,
            flags: fixed.u16()?,
            decimals: fixed.u8()?,
            rest: fixed.rest().to_vec(),
        })
    }

    /// Appends the definition.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for text in [&self.catalog, &self.schema, &self.table, &self.org_table, &self.name, &self.org_name] {
            out.put_lenenc_bytes(text);
        }
        if let Some(extended) = &self.extended {
            out.put_lenenc_bytes(extended);
        }
        out.put_lenenc(10 + self.rest.len() as u64);
        out.put_u16(self.charset);
        out.put_u32(self.length);
        out.push(self.column_type);
        out.put_u16(self.flags);
        out.push(self.decimals);
        out.extend_from_slice(&self.rest);
    }

    /// Whether it has the flag.
    #[must_use]
    pub const fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::ColumnDefinition;

    #[test]
    fn a_definition_is_read_and_written_as_it_was() {
        let payload = b"\x03def\x05shop1\x01o\x06orders\x02no\x02id\x0c\x3f\x00\x14\x00\x00\x00\x08\x03\x42\x00\x00\x00";
        let column = ColumnDefinition::parse(payload).expect("well-formed");
        assert_eq!((column.schema.as_slice(), column.org_name.as_slice()), (&b"shop1"[..], &b"id"[..]));
        assert_eq!((column.charset, column.column_type, column.flags, column.length), (63, 8, 0x4203, 20));
        let mut again = Vec::new();
        column.encode(&mut again);
        assert_eq!(again, payload);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(payload in proptest::collection::vec(any::<u8>(), 0..90)) {
            if let Ok(column) = ColumnDefinition::parse(&payload) {
                let mut again = Vec::new();
                column.encode(&mut again);
                prop_assert_eq!(ColumnDefinition::parse(&again), Ok(column));
            }
        }
    }
}
