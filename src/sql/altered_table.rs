//! The one table that a DDL statement is about.

use std::ops::Range;

use crate::sql::cursor::Cursor;
use crate::sql::mode::LexMode;
use crate::sql::names::name_at;
use crate::sql::token::TokenKind;

/// What a statement does to its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alteration {
    /// CREATE TABLE.
    Creates,
    /// ALTER TABLE, CREATE INDEX, DROP INDEX.
    Alters,
    /// DROP TABLE.
    Drops,
    /// TRUNCATE.
    Empties,
}

/// See the module's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlteredTable {
    /// What is done.
    pub alteration: Alteration,
    /// Its name, without quotes.
    pub table: Vec<u8>,
    /// The schema that is named, without quotes, and its bytes in the text with the dot behind it.
    pub schema: Option<(Vec<u8>, Range<usize>)>,
}

/// Reads `text`; None for any other statement, for one about several tables, for one that gives a table another name or
/// makes it of the rows of others.
#[must_use]
pub fn altered_table(text: &[u8], mode: LexMode) -> Option<AlteredTable> {
    let mut cursor = Cursor::applicable(text, mode);
    let alteration = begins(&mut cursor)?;
    let (first, at) = name_at(&mut cursor)?;
    let mut altered = AlteredTable { alteration, table: first, schema: None };
    if cursor.take_kind(TokenKind::Dot) {
        let start = cursor.peek().start;
        let (table, _) = name_at(&mut cursor)?;
        let schema = std::mem::replace(&mut altered.table, table);
        altered.schema = Some((schema, at.start..start));
    }
    let mut last = TokenKind::Word;
    loop {
        let token = cursor.next();
        match token.kind {
            TokenKind::End => break,
            TokenKind::Semicolon => {
                last = TokenKind::Semicolon;
                continue;
            }
            // A second statement, or a second table.
            _ if last == TokenKind::Semicolon => return None,
            TokenKind::Comma if matches!(alteration, Alteration::Drops | Alteration::Empties) => return None,
            _ if cursor.is_any(token, &["SELECT", "PARTITION", "EXCHANGE", "TABLESPACE"]) => return None,
            _ if cursor.is(token, "RENAME") && !cursor.is_any(cursor.peek(), &["COLUMN", "INDEX", "KEY"]) => {
                return None;
            }
            kind => last = kind,
        }
    }
    (!cursor.bad && !cursor.executable).then_some(altered)
}

/// Up to the name of the table.
fn begins(cursor: &mut Cursor<'_>) -> Option<Alteration> {
    if cursor.take_any(&["TRUNCATE"]) {
        cursor.take("TABLE");
        return Some(Alteration::Empties);
    }
    if cursor.take("ALTER") {
        return cursor.take("TABLE").then_some(Alteration::Alters);
    }
    let creates = cursor.take("CREATE");
    if !creates && !cursor.take("DROP") {
        return None;
    }
    if cursor.take("TABLE") {
        let exists: &[&str] = if creates { &["IF", "NOT", "EXISTS"] } else { &["IF", "EXISTS"] };
        cursor.take_all(exists);
        return Some(if creates { Alteration::Creates } else { Alteration::Drops });
    }
    if creates {
        cursor.take_any(&["UNIQUE", "FULLTEXT", "SPATIAL"]);
    }
    if !cursor.take("INDEX") {
        return None;
    }
    if !cursor.take_all(&["IF", "NOT", "EXISTS"]) {
        cursor.take_all(&["IF", "EXISTS"]);
    }
    name_at(cursor)?;
    if cursor.take("USING") {
        name_at(cursor)?;
    }
    cursor.take("ON").then_some(Alteration::Alters)
}

#[cfg(test)]
mod tests {
    use super::{Alteration, altered_table};
    use crate::sql::LexMode;

    #[test]
    fn one_table_is_found_or_none() {
        let check = |text: &str, expected: Option<(Alteration, &str, &str)>| {
            let found = altered_table(text.as_bytes(), LexMode::default()).map(|altered| {
                let schema = altered.schema.map(|(schema, _)| schema).unwrap_or_default();
                let text = |name: Vec<u8>| String::from_utf8(name).unwrap();
                (altered.alteration, text(altered.table), text(schema))
            });
            let found = found.as_ref().map(|(what, table, schema)| (*what, &**table, &**schema));
            assert_eq!(found, expected, "{text}");
        };
        check("CREATE TABLE IF NOT EXISTS `t` (a INT) ENGINE=InnoDB;", Some((Alteration::Creates, "t", "")));
        check("create table shop.t like u", Some((Alteration::Creates, "t", "shop")));
        check("ALTER TABLE t ADD COLUMN b INT, DROP COLUMN c", Some((Alteration::Alters, "t", "")));
        check("ALTER TABLE t RENAME COLUMN a TO b", Some((Alteration::Alters, "t", "")));
        check("DROP TABLE IF EXISTS t", Some((Alteration::Drops, "t", "")));
        check("TRUNCATE t", Some((Alteration::Empties, "t", "")));
        check("CREATE UNIQUE INDEX i ON t (a)", Some((Alteration::Alters, "t", "")));
        check("DROP INDEX i ON t", Some((Alteration::Alters, "t", "")));
        check("ALTER TABLE t RENAME TO u", None);
        check("DROP TABLE t, u", None);
        check("CREATE TABLE t AS SELECT 1", None);
        check("CREATE TEMPORARY TABLE t (a INT)", None);
        check("ALTER TABLE t ADD a INT; DROP TABLE t", None);
        check("DROP DATABASE t", None);
        check("RENAME TABLE t TO u", None);
    }
}
