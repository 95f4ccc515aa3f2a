//! What a SHOW or DESCRIBE of tables asks about: all of a schema, or one.

use std::ops::Range;

use crate::sql::cursor::Cursor;
use crate::sql::mode::LexMode;
use crate::sql::names::name_at;
use crate::sql::token::TokenKind;

/// See the module's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownTables {
    /// The table, without quotes; None: all of them.
    pub table: Option<Vec<u8>>,
    /// The schema that is named, without quotes, and its bytes in the text together with what joins it to the rest.
    pub schema: Option<(Vec<u8>, Range<usize>)>,
    /// Of all tables: the column of the answer that has the name of a table, and whether a row is about rows of it.
    pub column: usize,
    /// The answer counts rows or bytes, which are those of one server alone.
    pub counts: bool,
}

/// Reads `text`; None if it asks about anything else.
#[must_use]
pub fn shown_tables(text: &[u8], mode: LexMode) -> Option<ShownTables> {
    let mut cursor = Cursor::applicable(text, mode);
    while cursor.take_kind(TokenKind::Semicolon) {}
    let mut shown = ShownTables { table: None, schema: None, column: 0, counts: false };
    if cursor.take_any(&["DESCRIBE", "DESC", "EXPLAIN"]) {
        shown.named(&mut cursor)?;
    } else if cursor.take("SHOW") {
        cursor.take("EXTENDED");
        cursor.take("FULL");
        if cursor.take("TABLES") {
            shown.of_schema(&mut cursor)?;
        } else if cursor.take_all(&["TABLE", "STATUS"]) {
            shown.counts = true;
            shown.of_schema(&mut cursor)?;
        } else if cursor.take("TRIGGERS") {
            shown.column = 2;
            shown.of_schema(&mut cursor)?;
        } else if cursor.take_any(&["COLUMNS", "FIELDS", "INDEX", "INDEXES", "KEYS"]) {
            if !cursor.take_any(&["FROM", "IN"]) {
                return None;
            }
            shown.named(&mut cursor)?;
            shown.of_schema(&mut cursor)?;
        } else if cursor.take_all(&["CREATE", "TABLE"]) {
            shown.named(&mut cursor)?;
        } else {
            return None;
        }
    } else {
        return None;
    }
    (!cursor.bad && !cursor.executable).then_some(shown)
}

impl ShownTables {
    /// `table` or `schema.table`.
    fn named(&mut self, cursor: &mut Cursor<'_>) -> Option<()> {
        let (first, at) = name_at(cursor)?;
        if !cursor.take_kind(TokenKind::Dot) {
            self.table = Some(first);
            return Some(());
        }
        let token = cursor.peek();
        let (table, _) = name_at(cursor)?;
        (self.schema, self.table) = (Some((first, at.start..token.start)), Some(table));
        Some(())
    }

    /// `FROM schema`, perhaps. Of two, the one behind counts to the servers.
    fn of_schema(&mut self, cursor: &mut Cursor<'_>) -> Option<()> {
        let start = cursor.peek().start;
        if !cursor.take_any(&["FROM", "IN"]) {
            return Some(());
        }
        let (schema, at) = name_at(cursor)?;
        if self.schema.is_some() {
            return None;
        }
        self.schema = Some((schema, start..at.end));
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::shown_tables;
    use crate::sql::LexMode;

    #[test]
    fn the_table_and_the_schema_are_found_and_the_text_goes_without_the_schema() {
        let check = |text: &str, expected: Option<(&str, &str, &str)>| {
            let found = shown_tables(text.as_bytes(), LexMode::default()).map(|shown| {
                let table = String::from_utf8(shown.table.unwrap_or_default()).unwrap();
                let (schema, cut) = shown.schema.unwrap_or_default();
                let without = [&text.as_bytes()[..cut.start], &text.as_bytes()[cut.end..]].concat();
                (table, String::from_utf8(schema).unwrap(), String::from_utf8(without).unwrap())
            });
            let found = found.as_ref().map(|(table, schema, text)| (&**table, &**schema, &**text));
            assert_eq!(found, expected, "{text}");
        };
        check("SHOW TABLES", Some(("", "", "SHOW TABLES")));
        check("show full tables from `shop` like 'a%'", Some(("", "shop", "show full tables  like 'a%'")));
        check("SHOW TABLES IN shop WHERE 1", Some(("", "shop", "SHOW TABLES  WHERE 1")));
        check("SHOW TABLE STATUS LIKE 'x'", Some(("", "", "SHOW TABLE STATUS LIKE 'x'")));
        check("SHOW CREATE TABLE `shop`.`t`", Some(("t", "shop", "SHOW CREATE TABLE `t`")));
        check("SHOW FULL FIELDS FROM t FROM shop", Some(("t", "shop", "SHOW FULL FIELDS FROM t ")));
        check("SHOW KEYS IN shop . t", Some(("t", "shop", "SHOW KEYS IN t")));
        check("DESC shop.t name", Some(("t", "shop", "DESC t name")));
        check("SHOW TRIGGERS", Some(("", "", "SHOW TRIGGERS")));
        check("SHOW COLUMNS FROM shop.t FROM shop", None);
        check("SHOW CREATE VIEW v", None);
        check("SHOW STATUS", None);
    }
}
