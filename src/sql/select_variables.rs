//! `SELECT @@a AS x, @@session.b`: what drivers ask when they connect.

use crate::sql::assignment::{Target, scoped_name};
use crate::sql::cursor::Cursor;
use crate::sql::literal::{unquoted_name, unquoted_text};
use crate::sql::mode::LexMode;
use crate::sql::token::TokenKind;

/// One column of such a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectedVariable {
    /// The scope that is written; None: the session's value if there is one, else the global one.
    pub scope: Option<Target>,
    /// The variable, in lower case.
    pub name: String,
    /// Name of the column in the result: the alias, or the expression as it is written.
    pub column: Vec<u8>,
}

/// The columns, if `text` selects system variables and nothing else. `LIMIT` with a count of one or more
/// changes nothing.
#[must_use]
pub fn select_variables(text: &[u8], mode: LexMode) -> Option<Vec<SelectedVariable>> {
    let mut cursor = Cursor::applicable(text, mode);
    let columns = read(&mut cursor)?;
    while cursor.take_kind(TokenKind::Semicolon) {}
    (cursor.peek().kind == TokenKind::End && !cursor.bad).then_some(columns)
}

/// Whether the statement at the cursor is of this form, whatever its literals are.
pub(super) fn is_select_variables(cursor: &Cursor<'_>) -> bool {
    let mut cursor = cursor.clone();
    form(&mut cursor, &mut |_| Some(())).is_some() && cursor.at_end()
}

fn read(cursor: &mut Cursor<'_>) -> Option<Vec<SelectedVariable>> {
    let mut columns = Vec::new();
    let limit = form(cursor, &mut |column| {
        columns.push(column);
        columns.last().is_some_and(|column| !column.column.is_empty()).then_some(())
    })?;
    match limit {
        Limit::None => Some(columns),
        Limit::Some(count) => (std::str::from_utf8(count).ok()?.parse::<u64>().ok()? >= 1).then_some(columns),
    }
}

enum Limit<'t> {
    None,
    Some(&'t [u8]),
}

/// Reads the statement up to its end.
fn form<'t>(
    cursor: &mut Cursor<'t>,
    each: &mut impl FnMut(SelectedVariable) -> Option<()>,
) -> Option<Limit<'t>> {
    if !cursor.take("SELECT") {
        return None;
    }
    loop {
        each(column(cursor)?)?;
        if !cursor.take_kind(TokenKind::Comma) {
            break;
        }
    }
    if !cursor.take("LIMIT") {
        return Some(Limit::None);
    }
    let count = cursor.next();
    // Any literal: the value is not part of a fingerprint.
    match count.kind {
        TokenKind::Number | TokenKind::Text | TokenKind::Hex | TokenKind::Bits | TokenKind::Placeholder => {
            Some(Limit::Some(cursor.bytes(count)))
        }
        _ => None,
    }
}

fn column(cursor: &mut Cursor<'_>) -> Option<SelectedVariable> {
    let start = cursor.peek();
    if start.kind != TokenKind::SystemVariable {
        return None;
    }
    cursor.next();
    let (scope, name) = scoped_name(cursor)?;
    let end = cursor.position();
    let mut column = cursor.text()[start.start..end].to_vec();
    let explicit = cursor.take("AS");
    let token = cursor.peek();
    let alias = match token.kind {
        TokenKind::Word if explicit || !cursor.is(token, "LIMIT") && !ends_columns(cursor) => {
            Some(cursor.bytes(token).to_vec())
        }
        TokenKind::Quoted => Some(unquoted_name(cursor.bytes(token)).into_owned()),
        TokenKind::Text => Some(unquoted_text(cursor.bytes(token), cursor.mode()).into_owned()),
        // Not a name, but it looks like one once its value is gone.
        TokenKind::Number | TokenKind::Hex | TokenKind::Bits | TokenKind::Placeholder => Some(Vec::new()),
        _ if explicit => return None,
        _ => None,
    };
    if let Some(alias) = alias {
        cursor.next();
        column = alias;
    }
    let name = String::from_utf8(name.to_ascii_lowercase()).ok()?;
    Some(SelectedVariable { scope, name, column })
}

/// A keyword that cannot be an alias: the statement goes on.
fn ends_columns(cursor: &Cursor<'_>) -> bool {
    let token = cursor.peek();
    let keywords = ["FROM", "INTO", "UNION", "WHERE", "ORDER", "GROUP", "HAVING", "FOR", "LOCK", "PROCEDURE"];
    cursor.is_any(token, &keywords) || is_operator_word(cursor)
}

fn is_operator_word(cursor: &Cursor<'_>) -> bool {
    let operators = [
        "AND",
        "OR",
        "XOR",
        "IS",
        "NOT",
        "IN",
        "LIKE",
        "RLIKE",
        "REGEXP",
        "BETWEEN",
        "DIV",
        "MOD",
        "COLLATE",
        "SOUNDS",
        "MEMBER",
        "EXCEPT",
        "INTERSECT",
        "WINDOW",
        "LIMIT",
        "OFFSET",
        "FETCH",
        "ROWS",
    ];
    cursor.is_any(cursor.peek(), &operators)
}
