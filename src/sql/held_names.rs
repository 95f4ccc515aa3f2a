//! Names of what a statement leaves on its connection, or takes away again: temporary tables, handlers, locks.

use crate::sql::cursor::Cursor;
use crate::sql::literal::{unquoted_name, unquoted_text};
use crate::sql::mode::LexMode;
use crate::sql::token::TokenKind;

/// A table's name, with the schema if one is written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// The schema that is written.
    pub schema: Option<Box<[u8]>>,
    /// The table.
    pub table: Box<[u8]>,
}

/// What a HANDLER does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandlerName {
    /// Opens one that is called so.
    Opens(Box<[u8]>),
    /// Closes it.
    Closes(Box<[u8]>),
}

/// The table of `CREATE TEMPORARY TABLE [IF NOT EXISTS] t …`.
#[must_use]
pub fn created_temporary(text: &[u8], mode: LexMode) -> Option<TableName> {
    let mut cursor = start(text, mode);
    if !cursor.take("CREATE") {
        return None;
    }
    cursor.take_all(&["OR", "REPLACE"]);
    if !cursor.take_all(&["TEMPORARY", "TABLE"]) {
        return None;
    }
    cursor.take_all(&["IF", "NOT", "EXISTS"]);
    table(&mut cursor)
}

/// The tables of `DROP [TEMPORARY] TABLE [IF EXISTS] t, …`.
#[must_use]
pub fn dropped_tables(text: &[u8], mode: LexMode) -> Option<Vec<TableName>> {
    let mut cursor = start(text, mode);
    if !cursor.take("DROP") {
        return None;
    }
    cursor.take("TEMPORARY");
    if !cursor.take_any(&["TABLE", "TABLES"]) {
        return None;
    }
    cursor.take_all(&["IF", "EXISTS"]);
    let mut tables = vec![table(&mut cursor)?];
    while cursor.take_kind(TokenKind::Comma) {
        tables.push(table(&mut cursor)?);
    }
    cursor.take_any(&["RESTRICT", "CASCADE"]);
    (cursor.at_end() && !cursor.bad).then_some(tables)
}

/// What `HANDLER t OPEN [[AS] h]` opens, or `HANDLER h CLOSE` closes.
#[must_use]
pub fn handler_name(text: &[u8], mode: LexMode) -> Option<HandlerName> {
    let mut cursor = start(text, mode);
    if !cursor.take("HANDLER") {
        return None;
    }
    let name = table(&mut cursor)?.table;
    if cursor.take("CLOSE") {
        return Some(HandlerName::Closes(name.to_ascii_lowercase().into()));
    }
    if !cursor.take("OPEN") {
        return None;
    }
    let explicit = cursor.take("AS");
    let alias = if cursor.at_end() { None } else { Some(word(&mut cursor)?) };
    if explicit && alias.is_none() {
        return None;
    }
    Some(HandlerName::Opens(alias.unwrap_or(name).to_ascii_lowercase().into()))
}

/// The names that all calls of GET_LOCK and RELEASE_LOCK in `text` give, in lower case; `None` if one is
/// no plain ASCII text.
#[must_use]
pub fn lock_names(text: &[u8], mode: LexMode) -> Option<Vec<Box<str>>> {
    let mut cursor = start(text, mode);
    let mut names = Vec::new();
    loop {
        let token = cursor.next();
        if token.kind == TokenKind::End {
            return (!cursor.bad).then_some(names);
        }
        if !cursor.is_any(token, &["GET_LOCK", "RELEASE_LOCK"]) || !cursor.take_kind(TokenKind::Open) {
            continue;
        }
        let argument = cursor.next();
        let ends = matches!(cursor.peek().kind, TokenKind::Comma | TokenKind::Close);
        if argument.kind != TokenKind::Text || !ends {
            return None;
        }
        let name = unquoted_text(cursor.bytes(argument), mode).to_ascii_lowercase();
        let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'\'' | b'\\' | b'"');
        if !name.iter().all(plain) {
            return None;
        }
        names.push(String::from_utf8_lossy(&name).into_owned().into());
    }
}

fn start(text: &[u8], mode: LexMode) -> Cursor<'_> {
    let mut cursor = Cursor::applicable(text, mode);
    while cursor.take_kind(TokenKind::Semicolon) {}
    cursor
}

fn word(cursor: &mut Cursor<'_>) -> Option<Box<[u8]>> {
    let token = cursor.next();
    matches!(token.kind, TokenKind::Word | TokenKind::Quoted)
        .then(|| unquoted_name(cursor.bytes(token)).into_owned().into())
}

fn table(cursor: &mut Cursor<'_>) -> Option<TableName> {
    let first = word(cursor)?;
    if cursor.take_kind(TokenKind::Dot) {
        return Some(TableName { schema: Some(first), table: word(cursor)? });
    }
    Some(TableName { schema: None, table: first })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &TableName) -> String {
        let schema = name.schema.as_deref().map(|schema| format!("{}.", String::from_utf8_lossy(schema)));
        format!("{}{}", schema.unwrap_or_default(), String::from_utf8_lossy(&name.table))
    }

    #[test]
    fn tables_that_come_and_go() {
        let mode = LexMode::default();
        let created = |text: &str| created_temporary(text.as_bytes(), mode).map(|name| shown(&name));
        assert_eq!(created("CREATE TEMPORARY TABLE t (a INT)").as_deref(), Some("t"));
        assert_eq!(
            created("create or replace temporary table if not exists `s`.`t x` select 1").as_deref(),
            Some("s.t x")
        );
        assert_eq!(created("CREATE TABLE t (a INT)"), None);
        let dropped = |text: &str| {
            dropped_tables(text.as_bytes(), mode)
                .map(|names| names.iter().map(shown).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(dropped("DROP TEMPORARY TABLE IF EXISTS a, s.b").as_deref(), Some("a s.b"));
        assert_eq!(dropped("drop table t cascade;").as_deref(), Some("t"));
        assert_eq!(dropped("DROP TABLE t; SELECT 1").as_deref(), Some("t"));
        assert_eq!(dropped("DROP VIEW t"), None);
    }

    #[test]
    fn handlers_and_locks() {
        let mode = LexMode::default();
        let handler = |text: &str| handler_name(text.as_bytes(), mode);
        assert_eq!(handler("HANDLER s.T OPEN"), Some(HandlerName::Opens((*b"t").into())));
        assert_eq!(handler("HANDLER t OPEN AS h"), Some(HandlerName::Opens((*b"h").into())));
        assert_eq!(handler("HANDLER h CLOSE"), Some(HandlerName::Closes((*b"h").into())));
        assert_eq!(handler("HANDLER h READ FIRST"), None);
        let locks = |text: &str| lock_names(text.as_bytes(), mode).map(|names| names.join(" "));
        assert_eq!(locks("SELECT GET_LOCK('A', 1), RELEASE_LOCK(\"b\")").as_deref(), Some("a b"));
        assert_eq!(locks("DO GET_LOCK(CONCAT('a', 'b'), 1)"), None);
        assert_eq!(locks("DO GET_LOCK(?, 1)"), None);
        assert_eq!(locks("SELECT 'GET_LOCK(x)'").as_deref(), Some(""));
    }
}
