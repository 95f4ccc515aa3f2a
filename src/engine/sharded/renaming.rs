//! What a slot's answer calls its physical database, the client knows by the logical name.

use crate::wire::{Buffer, ColumnDefinition, Header, Reader};

/// How the column of a SHOW TABLES is called, before the name of the database.
const TABLES_IN: &[u8] = b"Tables_in_";

/// Lengths below it take one byte.
const LENGTH_MAX: u8 = 0xFB;

/// A physical database that the client knows by another name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renaming {
    /// On the server.
    pub physical: Box<[u8]>,
    /// For the client.
    pub logical: Box<[u8]>,
}

impl Renaming {
    /// Appends a column definition, shorter than a packet at most, as the client sees it.
    pub(crate) fn put_column(&self, payload: &[u8], sequence: u8, out: &mut Buffer) {
        let mut put = |pieces: &[&[u8]]| {
            let length = pieces.iter().map(|piece| piece.len()).sum();
            out.push(&Header { length, sequence }.encode());
            pieces.iter().for_each(|piece| out.push(piece));
        };
        if memchr::memmem::find(payload, TABLES_IN).is_some() {
            return put(&[self.column(payload).as_deref().unwrap_or(payload)]);
        }
        let mut reader = Reader::new(payload);
        let before = reader.lenenc_bytes().map(|_| payload.len() - reader.rest().len());
        match (before, reader.lenenc_bytes(), u8::try_from(self.logical.len())) {
            (Ok(before), Ok(schema), Ok(length)) if *schema == *self.physical && length < LENGTH_MAX => {
                put(&[&payload[..before], &[length], &self.logical, reader.rest()]);
            }
            _ => put(&[payload]),
        }
    }

    /// A column definition as the client sees it; `None` if it stays as it is.
    pub(crate) fn column(&self, payload: &[u8]) -> Option<Vec<u8>> {
        let mut column = ColumnDefinition::parse(payload).ok()?;
        let shown = column.name.strip_prefix(TABLES_IN).is_some_and(|database| *database == *self.physical);
        if *column.schema != *self.physical && !shown {
            return None;
        }
        if shown {
            column.name = [TABLES_IN, &self.logical].concat();
            // MySQL names the column of its own table so, too.
            if column.org_name.starts_with(TABLES_IN) {
                column.org_name.clone_from(&column.name);
            }
        }
        if *column.schema == *self.physical {
            column.schema = self.logical.to_vec();
        }
        let mut renamed = Vec::with_capacity(payload.len());
        column.encode(&mut renamed);
        Some(renamed)
    }

    /// A message as the client sees it; `None` if it stays as it is.
    pub(crate) fn message(&self, message: &[u8]) -> Option<Vec<u8>> {
        let mut renamed = Vec::with_capacity(message.len());
        let mut rest = message;
        let word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        while let Some(at) = memchr::memmem::find(rest, &self.physical) {
            let end = at + self.physical.len();
            let whole = !word(rest[..at].last()) && !word(rest.get(end));
            renamed.extend_from_slice(&rest[..at]);
            renamed.extend_from_slice(if whole { &self.logical } else { &rest[at..end] });
            rest = &rest[end..];
        }
        (rest.len() < message.len()).then(|| {
            renamed.extend_from_slice(rest);
            renamed
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Renaming;
    use crate::wire::{Buffer, ColumnDefinition, HEADER_BYTES};

    #[test]
    fn a_column_is_put_as_it_is_renamed() {
        let renaming = Renaming { physical: (*b"shop_1").into(), logical: (*b"shop").into() };
        let column = |schema: &str, name: &str| {
            let definition = ColumnDefinition {
                catalog: b"def".to_vec(),
                schema: schema.as_bytes().to_vec(),
                table: b"t".to_vec(),
                org_table: b"t".to_vec(),
                name: name.as_bytes().to_vec(),
                org_name: b"c".to_vec(),
                charset: 63,
                length: 20,
                column_type: 8,
                flags: 3,
                decimals: 0,
                rest: vec![0, 0],
                extended: None,
            };
            let mut payload = Vec::new();
            definition.encode(&mut payload);
            payload
        };
        for (schema, name) in
            [("shop_1", "c"), ("shop_2", "c"), ("", ""), ("shop_1", "Tables_in_shop_1"), ("x", "Tables_in_x")]
        {
            let payload = column(schema, name);
            let mut out = Buffer::default();
            renaming.put_column(&payload, 7, &mut out);
            let expected = renaming.column(&payload).unwrap_or(payload);
            assert_eq!(&out.filled()[HEADER_BYTES..], expected, "{schema}.{name}");
            assert_eq!(out.filled()[..HEADER_BYTES], [expected.len() as u8, 0, 0, 7]);
        }
    }

    #[test]
    fn only_whole_names_are_renamed() {
        let renaming = Renaming { physical: (*b"shop_1").into(), logical: (*b"shop").into() };
        let check = |message: &str, expected: Option<&str>| {
            let renamed = renaming.message(message.as_bytes());
            assert_eq!(renamed.as_deref(), expected.map(str::as_bytes), "{message}");
        };
        check("Table 'shop_1.t' doesn't exist", Some("Table 'shop.t' doesn't exist"));
        check("shop_12.t and my_shop_1", Some("shop_12.t and my_shop_1"));
        check("shop_1", Some("shop"));
        check("nothing", None);
    }
}
