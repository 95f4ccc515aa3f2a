//! What a slot's answer calls its physical database, the client knows by the logical name.

use crate::wire::{Buffer, ColumnDefinition, Header, Reader, Writer};

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
        let head = |length| Header { length, sequence }.encode();
        let mut reader = Reader::new(payload);
        let before = reader.lenenc_bytes().map(|_| payload.len() - reader.rest().len());
        match (before, reader.lenenc_bytes(), u8::try_from(self.logical.len())) {
            (Ok(before), Ok(schema), Ok(length)) if *schema == *self.physical && length < LENGTH_MAX => {
                let rest = reader.rest();
                let header = head(before + 1 + self.logical.len() + rest.len());
                out.push_all(&[&header, &payload[..before], &[length], &self.logical, rest]);
            }
            _ => {
                let renamed = self.column(payload);
                let payload = renamed.as_deref().unwrap_or(payload);
                out.push_all(&[&head(payload.len()), payload]);
            }
        }
    }

    /// A column definition as the client sees it; `None` if it stays as it is.
    pub(crate) fn column(&self, payload: &[u8]) -> Option<Vec<u8>> {
        let own = |schema: &[u8]| *schema == *self.physical;
        let mut reader = Reader::new(payload);
        let plain = reader.lenenc_bytes().is_ok() && reader.lenenc_bytes().is_ok_and(own);
        if !plain && memchr::memmem::find(payload, TABLES_IN).is_none() {
            return None;
        }
        let mut column = ColumnDefinition::parse(payload).ok()?;
        // A column of a table may be called so, too. A pattern follows in parentheses.
        let after = column.name.strip_prefix(TABLES_IN).and_then(|name| name.strip_prefix(&*self.physical));
        let after = after.filter(|after| !plain && (after.is_empty() || after.starts_with(b" (")));
        let after = after.map(<[u8]>::to_vec);
        if !plain && after.is_none() {
            return None;
        }
        if let Some(after) = after {
            column.name = [TABLES_IN, &*self.logical, &*after].concat();
            // MySQL names the column of its own table so, too.
            if column.org_name.starts_with(TABLES_IN) {
                column.org_name.clone_from(&column.name);
            }
        }
        if plain {
            column.schema = self.logical.to_vec();
        }
        let mut renamed = Vec::with_capacity(payload.len());
        column.encode(&mut renamed);
        Some(renamed)
    }

    /// A definition that COM_FIELD_LIST answers with, which has more behind it, as the client sees it; `None` if it stays
    /// as it is.
    pub(crate) fn field(&self, payload: &[u8]) -> Option<Vec<u8>> {
        let mut reader = Reader::new(payload);
        reader.lenenc_bytes().ok()?;
        let before = payload.len() - reader.rest().len();
        if *reader.lenenc_bytes().ok()? != *self.physical {
            return None;
        }
        let mut renamed = payload[..before].to_vec();
        renamed.put_lenenc_bytes(&self.logical);
        renamed.extend_from_slice(reader.rest());
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
        for (schema, name) in [
            ("shop_1", "c"),
            ("shop_2", "c"),
            ("", ""),
            ("shop_1", "Tables_in_shop_1"),
            ("x", "Tables_in_x"),
            ("", "Tables_in_shop_1 (a%)"),
        ] {
            let payload = column(schema, name);
            let mut out = Buffer::default();
            renaming.put_column(&payload, 7, &mut out);
            let expected = renaming.column(&payload).unwrap_or(payload);
            assert_eq!(&out.filled()[HEADER_BYTES..], expected, "{schema}.{name}");
            assert_eq!(out.filled()[..HEADER_BYTES], [expected.len() as u8, 0, 0, 7]);
        }
    }

    #[test]
    fn a_column_of_a_table_keeps_its_name_whatever_that_is() {
        let renaming = Renaming { physical: (*b"shop_1").into(), logical: (*b"shop").into() };
        let renamed = |schema: &[u8]| {
            let payload = [
                b"\x03def",
                schema,
                b"\x01t\x01t\x10Tables_in_shop_1\x01c\x0c\x3f\0\x14\0\0\0\x08\x03\0\0\0\0",
            ];
            ColumnDefinition::parse(&renaming.column(&payload.concat()).unwrap()).unwrap()
        };
        let own = renamed(b"\x06shop_1");
        assert_eq!((&*own.schema, &*own.name), (&b"shop"[..], &b"Tables_in_shop_1"[..]));
        let shown = renamed(b"\x00");
        assert_eq!((&*shown.schema, &*shown.name), (&b""[..], &b"Tables_in_shop"[..]));
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
