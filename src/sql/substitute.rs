//! A statement in which what the server would say about its own connection is replaced by what the session
//! knows: `FOUND_ROWS()`, `ROW_COUNT()`, `LAST_INSERT_ID()`, `CONNECTION_ID()`, `@@warning_count` and the like.
//!
//! A call becomes `IF(1, value, call)`: both servers describe the result of that exactly as they describe the
//! call. Columns without an alias get one that reads as the expression did, so their names stay.

use crate::sql::assignment::scoped_name;
use crate::sql::cursor::Cursor;
use crate::sql::mode::LexMode;
use crate::sql::token::{Token, TokenKind};

/// What the session knows; `None` is left to the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionValues {
    /// CONNECTION_ID(), `@@pseudo_thread_id`.
    pub connection_id: Option<u64>,
    /// LAST_INSERT_ID(), `@@last_insert_id`, `@@identity`.
    pub last_insert_id: Option<InsertId>,
    /// FOUND_ROWS().
    pub found_rows: Option<u64>,
    /// ROW_COUNT().
    pub row_count: Option<i64>,
    /// `@@warning_count`.
    pub warning_count: Option<u64>,
    /// `@@error_count`.
    pub error_count: Option<u64>,
}

/// LAST_INSERT_ID() of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertId {
    /// This.
    Is(u64),
    /// What the connection says, unless that is what somebody else left there: then it is still `own`.
    Unless {
        /// What somebody else left.
        foreign: u64,
        /// What it was before.
        own: u64,
    },
}

impl InsertId {
    fn sql(self) -> String {
        match self {
            Self::Is(value) => unsigned(value),
            Self::Unless { foreign, own } => {
                format!("IF(LAST_INSERT_ID()={foreign},{},LAST_INSERT_ID())", unsigned(own))
            }
        }
    }
}

/// The longest name that a server gives a column by itself is longer; nobody relies on such a name.
const NAME_BYTES_MAX: usize = 200;

/// `text` with everything replaced that `values` knows. `@@socket` becomes NULL: a client that connected to it
/// would go past the proxy. Of several statements, only the first is asked about what came before it.
///
/// `None` if a column that changes would not keep its name.
#[must_use]
pub fn substitute(text: &[u8], mode: LexMode, values: &SessionValues) -> Option<Vec<u8>> {
    let mut values = *values;
    if values.connection_id.is_some() && names_server_ids(text) {
        values.connection_id = None;
    }
    let mut walk = Walk {
        text,
        values,
        out: Vec::with_capacity(text.len() + 64),
        copied: 0,
        levels: vec![Level::default()],
        previous: None,
        assigns: false,
    };
    let mut cursor = Cursor::applicable(text, mode);
    walk.run(&mut cursor)?;
    walk.copy_to(text.len());
    (!cursor.bad).then_some(walk.out)
}

/// What else tells a connection's id: the server's own, to which only the server's own can be compared.
const SERVER_IDS: [&[u8]; 5] =
    [b"IS_USED_LOCK", b"PROCESSLIST", b"INNODB_TRX", b"METADATA_LOCK_INFO", b"PERFORMANCE_SCHEMA"];

fn names_server_ids(text: &[u8]) -> bool {
    let named = |name: &&[u8]| text.windows(name.len()).any(|word| word.eq_ignore_ascii_case(name));
    SERVER_IDS.iter().any(named)
}

/// One level of parentheses.
#[derive(Clone, Copy, Default)]
struct Level {
    /// Between SELECT and what ends its list of columns.
    in_columns: bool,
    column: Option<Column>,
    /// Something was replaced here or deeper.
    changed: bool,
}

/// One column of a SELECT, as far as it has been read.
#[derive(Clone, Copy)]
struct Column {
    start: usize,
    /// The last token, and the one before it.
    last: Token,
    before: Option<Token>,
    changed: bool,
}

struct Walk<'t> {
    text: &'t [u8],
    values: SessionValues,
    out: Vec<u8>,
    /// Everything before is in `out`.
    copied: usize,
    levels: Vec<Level>,
    previous: Option<Token>,
    /// In a SET.
    assigns: bool,
}

impl<'t> Walk<'t> {
    fn run(&mut self, cursor: &mut Cursor<'t>) -> Option<()> {
        loop {
            let before = self.previous;
            let token = cursor.next();
            match token.kind {
                TokenKind::End => return self.end_column(cursor),
                TokenKind::Semicolon => {
                    self.end_column(cursor)?;
                    self.levels = vec![Level::default()];
                    self.values =
                        SessionValues { connection_id: self.values.connection_id, ..Default::default() };
                    self.assigns = false;
                }
                TokenKind::Open => {
                    self.note(token);
                    self.levels.push(Level::default());
                }
                TokenKind::Close => {
                    self.end_column(cursor)?;
                    let inner = self.levels.pop().unwrap_or_default();
                    if self.levels.is_empty() {
                        self.levels.push(Level::default());
                    }
                    self.note(token);
                    self.mark_changed(inner.changed);
                }
                TokenKind::Comma if self.level().in_columns => self.end_column(cursor)?,
                TokenKind::Word if before.is_none_or(|before| before.kind != TokenKind::Dot) => {
                    self.word(cursor, token)?;
                }
                TokenKind::SystemVariable => self.variable(cursor, token),
                _ => self.note(token),
            }
            self.previous = Some(token);
        }
    }

    fn level(&mut self) -> &mut Level {
        self.levels.last_mut().expect("there is always the outermost level")
    }

    /// Takes notice of a token that belongs to the current column, if there is one.
    fn note(&mut self, token: Token) {
        let level = self.level();
        if !level.in_columns {
            return;
        }
        level.column = Some(match level.column {
            None => Column { start: token.start, last: token, before: None, changed: false },
            Some(column) => Column { last: token, before: Some(column.last), ..column },
        });
    }

    fn mark_changed(&mut self, changed: bool) {
        let level = self.level();
        level.changed |= changed;
        if let Some(column) = level.column.as_mut() {
            column.changed |= changed;
        }
    }

    fn word(&mut self, cursor: &mut Cursor<'t>, token: Token) -> Option<()> {
        if cursor.is(token, "SELECT") {
            while cursor.take_any(&OPTIONS) {}
            self.level().in_columns = true;
            return Some(());
        }
        if cursor.is(token, "SET") {
            self.assigns = true;
        }
        if self.level().in_columns && cursor.is_any(token, &ENDS) {
            self.end_column(cursor)?;
            self.level().in_columns = false;
            return Some(());
        }
        let Some(value) = self.call_value(cursor, token) else {
            self.note(token);
            return Some(());
        };
        let mut ahead = cursor.clone();
        if ahead.take_kind(TokenKind::Open) && ahead.take_kind(TokenKind::Close) {
            *cursor = ahead;
            self.replace(token.start..cursor.position(), &value);
        } else {
            self.note(token);
        }
        Some(())
    }

    /// The value of a function without arguments, as SQL.
    fn call_value(&self, cursor: &Cursor<'_>, token: Token) -> Option<String> {
        let values = &self.values;
        if cursor.is(token, "FOUND_ROWS") {
            values.found_rows.map(|value| value.to_string())
        } else if cursor.is(token, "ROW_COUNT") {
            values.row_count.map(|value| value.to_string())
        } else if cursor.is(token, "LAST_INSERT_ID") {
            values.last_insert_id.map(InsertId::sql)
        } else if cursor.is(token, "CONNECTION_ID") {
            values.connection_id.map(unsigned)
        } else {
            None
        }
    }

    /// After `@@`.
    fn variable(&mut self, cursor: &mut Cursor<'t>, token: Token) {
        let mut ahead = cursor.clone();
        let Some((_, name)) = scoped_name(&mut ahead) else { return self.note(token) };
        let target = self.assigns
            && self.levels.len() == 1
            && self.previous.is_some_and(|before| {
                before.kind == TokenKind::Comma || cursor.is_any(before, &["SET", "FOR"])
            });
        let values = &self.values;
        let value = match name.to_ascii_lowercase().as_slice() {
            _ if target => None,
            b"socket" => {
                let original = self.text[token.start..ahead.position()].to_vec();
                let original = String::from_utf8_lossy(&original).into_owned();
                *cursor = ahead;
                return self
                    .replace_by(token.start..cursor.position(), &format!("NULLIF({original},{original})"));
            }
            b"pseudo_thread_id" => values.connection_id.map(unsigned),
            b"last_insert_id" | b"identity" => values.last_insert_id.map(InsertId::sql),
            b"warning_count" => values.warning_count.map(unsigned),
            b"error_count" => values.error_count.map(unsigned),
            _ => None,
        };
        // The whole name is one step, or a part of it might be taken for a keyword.
        *cursor = ahead;
        match value {
            Some(value) => self.replace(token.start..cursor.position(), &value),
            None => self.note(Token { kind: TokenKind::Quoted, start: token.start, end: cursor.position() }),
        }
    }

    fn replace(&mut self, place: std::ops::Range<usize>, value: &str) {
        let original = String::from_utf8_lossy(&self.text[place.clone()]).into_owned();
        self.replace_by(place, &format!("IF(1,{value},{original})"));
    }

    fn replace_by(&mut self, place: std::ops::Range<usize>, with: &str) {
        self.copy_to(place.start);
        self.out.extend_from_slice(with.as_bytes());
        self.copied = place.end;
        self.note(Token { kind: TokenKind::Close, start: place.start, end: place.end });
        self.mark_changed(true);
    }

    fn copy_to(&mut self, end: usize) {
        if self.copied < end {
            self.out.extend_from_slice(&self.text[self.copied..end]);
            self.copied = end;
        }
    }

    /// The column at this level, if there is one, is over: one that changed keeps its name.
    fn end_column(&mut self, cursor: &Cursor<'_>) -> Option<()> {
        let Some(column) = self.level().column.take() else { return Some(()) };
        if !column.changed || is_aliased(&column, cursor)? {
            return Some(());
        }
        let name = &self.text[column.start..column.last.end];
        let comment =
            ["/*", "--", "#"].iter().any(|mark| memchr::memmem::find(name, mark.as_bytes()).is_some());
        let plain = name.iter().all(|byte| matches!(byte, b' '..=b'~') && *byte != b'`');
        if comment || !plain || name.len() > NAME_BYTES_MAX {
            return None;
        }
        self.copy_to(column.last.end);
        self.out.extend_from_slice(b" AS `");
        self.out.extend_from_slice(name);
        self.out.push(b'`');
        Some(())
    }
}

/// A whole number without a sign, as the functions concerned return it.
fn unsigned(value: u64) -> String {
    format!("CAST({value} AS UNSIGNED)")
}

/// Whether the column has an alias; `None` where that cannot be told.
fn is_aliased(column: &Column, cursor: &Cursor<'_>) -> Option<bool> {
    let (last, Some(before)) = (column.last, column.before) else { return Some(false) };
    if cursor.is(before, "AS") {
        return Some(true);
    }
    match (last.kind, before.kind) {
        (TokenKind::Word, _) if cursor.is_any(last, &CONSTANTS) => Some(false),
        (TokenKind::Word | TokenKind::Quoted, TokenKind::Word) => {
            // `a IS unknown_thing` has no alias, `CURRENT_DATE today` has one.
            if cursor.is_any(before, &OPERATORS) { Some(false) } else { None }
        }
        (
            TokenKind::Word | TokenKind::Quoted,
            TokenKind::Close
            | TokenKind::Number
            | TokenKind::Quoted
            | TokenKind::UserVariable
            | TokenKind::Text
            | TokenKind::Hex
            | TokenKind::Bits
            | TokenKind::Null
            | TokenKind::Placeholder,
        ) => Some(true),
        (TokenKind::Text, TokenKind::Close | TokenKind::Number | TokenKind::Quoted) => Some(true),
        // An introducer, a second part of the same string, or an alias.
        (TokenKind::Text, TokenKind::Word | TokenKind::Text) => None,
        _ => Some(false),
    }
}

/// What may stand between SELECT and its first column.
const OPTIONS: [&str; 11] = [
    "ALL",
    "DISTINCT",
    "DISTINCTROW",
    "HIGH_PRIORITY",
    "STRAIGHT_JOIN",
    "SQL_SMALL_RESULT",
    "SQL_BIG_RESULT",
    "SQL_BUFFER_RESULT",
    "SQL_NO_CACHE",
    "SQL_CACHE",
    "SQL_CALC_FOUND_ROWS",
];

/// What ends the list of columns.
const ENDS: [&str; 16] = [
    "FROM",
    "INTO",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "MINUS",
    "WHERE",
    "ORDER",
    "GROUP",
    "HAVING",
    "LIMIT",
    "OFFSET",
    "FETCH",
    "FOR",
    "LOCK",
    "WINDOW",
];

/// Words that end an expression and are no alias.
const CONSTANTS: [&str; 5] = ["END", "NULL", "TRUE", "FALSE", "UNKNOWN"];

/// Words after which an operand stands, and no alias.
const OPERATORS: [&str; 19] = [
    "AND", "OR", "XOR", "NOT", "IS", "LIKE", "RLIKE", "REGEXP", "DIV", "MOD", "BETWEEN", "IN", "COLLATE",
    "ESCAPE", "THEN", "ELSE", "WHEN", "CASE", "BINARY",
];

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: SessionValues = SessionValues {
        connection_id: Some(7),
        last_insert_id: Some(InsertId::Is(5)),
        found_rows: Some(3),
        row_count: Some(-1),
        warning_count: Some(2),
        error_count: Some(0),
    };

    #[test]
    fn calls_become_values_and_columns_keep_their_names() {
        let check = |text: &str, expected: &str| {
            let found = substitute(text.as_bytes(), LexMode::default(), &VALUES);
            let found = found.map(|text| String::from_utf8(text).unwrap());
            assert_eq!(found.as_deref(), Some(expected), "{text}");
        };
        check("SELECT 1", "SELECT 1");
        check("SELECT FOUND_ROWS()", "SELECT IF(1,3,FOUND_ROWS()) AS `FOUND_ROWS()`");
        check("SELECT found_rows ( ) AS n;", "SELECT IF(1,3,found_rows ( )) AS n;");
        check("SELECT ROW_COUNT() n, a", "SELECT IF(1,-1,ROW_COUNT()) n, a");
        check(
            "SELECT DISTINCT 1 + ROW_COUNT() FROM t",
            "SELECT DISTINCT 1 + IF(1,-1,ROW_COUNT()) AS `1 + ROW_COUNT()` FROM t",
        );
        check(
            "SELECT a, (SELECT FOUND_ROWS()) > 1, b FROM t",
            "SELECT a, (SELECT IF(1,3,FOUND_ROWS()) AS `FOUND_ROWS()`) > 1 AS `(SELECT FOUND_ROWS()) > 1`, b FROM t",
        );
        check(
            "INSERT INTO t (a) VALUES (LAST_INSERT_ID()), (2)",
            "INSERT INTO t (a) VALUES (IF(1,CAST(5 AS UNSIGNED),LAST_INSERT_ID())), (2)",
        );
        check("SELECT LAST_INSERT_ID(9)", "SELECT LAST_INSERT_ID(9)");
        check("SELECT 'FOUND_ROWS()', t.FOUND_ROWS", "SELECT 'FOUND_ROWS()', t.FOUND_ROWS");
        check(
            "SET @a = @@identity, @@last_insert_id = 4",
            "SET @a = IF(1,CAST(5 AS UNSIGNED),@@identity), @@last_insert_id = 4",
        );
        check(
            "SELECT @@max_allowed_packet,@@wait_timeout,@@socket",
            "SELECT @@max_allowed_packet,@@wait_timeout,NULLIF(@@socket,@@socket) AS `@@socket`",
        );
        check(
            "SELECT @@session.warning_count w; SELECT ROW_COUNT(), CONNECTION_ID()",
            "SELECT IF(1,CAST(2 AS UNSIGNED),@@session.warning_count) w; \
             SELECT ROW_COUNT(), IF(1,CAST(7 AS UNSIGNED),CONNECTION_ID()) AS `CONNECTION_ID()`",
        );
        check(
            "SELECT IS_USED_LOCK('a') = CONNECTION_ID(), ROW_COUNT() n",
            "SELECT IS_USED_LOCK('a') = CONNECTION_ID(), IF(1,-1,ROW_COUNT()) n",
        );
        check(
            "SELECT CASE WHEN 1 THEN ROW_COUNT() END, ROW_COUNT() IS NULL",
            "SELECT CASE WHEN 1 THEN IF(1,-1,ROW_COUNT()) END AS `CASE WHEN 1 THEN ROW_COUNT() END`, \
             IF(1,-1,ROW_COUNT()) IS NULL AS `ROW_COUNT() IS NULL`",
        );
    }

    #[test]
    fn what_would_change_its_name_is_not_touched() {
        for text in [
            "SELECT 1 /* one */ + ROW_COUNT()",
            "SELECT ROW_COUNT() + `a`",
            "SELECT ROW_COUNT() + _latin1'x'",
            "SELECT ROW_COUNT() + 'unfinished",
        ] {
            assert_eq!(substitute(text.as_bytes(), LexMode::default(), &VALUES), None, "{text}");
        }
    }
}
