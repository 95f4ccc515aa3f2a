//! Names and numbers in single statements: the schema of USE, whom to KILL, savepoints, prepared statements.

use std::ops::Range;

use crate::sql::cursor::Cursor;
use crate::sql::literal::{Literal, literal, unquoted_name};
use crate::sql::mode::LexMode;
use crate::sql::token::TokenKind;

fn start(text: &[u8], mode: LexMode) -> Cursor<'_> {
    let mut cursor = Cursor::applicable(text, mode);
    while cursor.take_kind(TokenKind::Semicolon) {}
    cursor
}

fn name(cursor: &mut Cursor<'_>) -> Option<Vec<u8>> {
    name_at(cursor).map(|(name, _)| name)
}

/// The name that is next, without quotes, and its bytes in the text.
pub(super) fn name_at(cursor: &mut Cursor<'_>) -> Option<(Vec<u8>, Range<usize>)> {
    let token = cursor.next();
    matches!(token.kind, TokenKind::Word | TokenKind::Quoted)
        .then(|| (unquoted_name(cursor.bytes(token)).into_owned(), token.start..token.end))
}

/// True if nothing but `;` follows.
fn ends(cursor: &mut Cursor<'_>) -> bool {
    while cursor.take_kind(TokenKind::Semicolon) {}
    cursor.peek().kind == TokenKind::End && !cursor.bad
}

/// The schema of `USE schema`, without quotes; None if `text` is anything else.
#[must_use]
pub fn use_schema(text: &[u8], mode: LexMode) -> Option<Vec<u8>> {
    let mut cursor = start(text, mode);
    if !cursor.take("USE") {
        return None;
    }
    let schema = name(&mut cursor)?;
    ends(&mut cursor).then_some(schema)
}

/// The name in `SAVEPOINT x`, `RELEASE SAVEPOINT x`, `ROLLBACK TO x`, without quotes.
#[must_use]
pub fn savepoint_name(text: &[u8], mode: LexMode) -> Option<Vec<u8>> {
    let mut cursor = start(text, mode);
    if cursor.take("ROLLBACK") {
        cursor.take("WORK");
        if !cursor.take("TO") {
            return None;
        }
        // `ROLLBACK TO savepoint` names a savepoint that is called so.
        let mut ahead = cursor.clone();
        if ahead.take("SAVEPOINT") && !ahead.at_end() {
            cursor = ahead;
        }
    } else {
        cursor.take("RELEASE");
        if !cursor.take("SAVEPOINT") {
            return None;
        }
    }
    let savepoint = name(&mut cursor)?;
    ends(&mut cursor).then_some(savepoint)
}

/// The name in `PREPARE x FROM …`, `EXECUTE x …`, `DEALLOCATE PREPARE x`, `DROP PREPARE x`, without quotes.
#[must_use]
pub fn prepared_name(text: &[u8], mode: LexMode) -> Option<Vec<u8>> {
    let mut cursor = start(text, mode);
    if cursor.take("EXECUTE") {
        return if cursor.at("IMMEDIATE") { None } else { name(&mut cursor) };
    }
    cursor.take_any(&["DEALLOCATE", "DROP"]);
    if cursor.take("PREPARE") { name(&mut cursor) } else { None }
}

/// What a KILL ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KillScope {
    /// The connection.
    Connection,
    /// The statement it executes.
    Query,
}

/// Whom a KILL names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KillId {
    /// A connection's id.
    Number(u64),
    /// An expression, at this place of the text.
    Expression(Range<usize>),
}

/// What KILL asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KillTarget {
    /// Connection or statement.
    pub scope: KillScope,
    /// Whose.
    pub id: KillId,
}

/// Reads `KILL [HARD | SOFT] [CONNECTION | QUERY] id`. None for anything else, MariaDB's `KILL USER` and
/// `KILL QUERY ID` included.
#[must_use]
pub fn kill_target(text: &[u8], mode: LexMode) -> Option<KillTarget> {
    let mut cursor = start(text, mode);
    if !cursor.take("KILL") {
        return None;
    }
    cursor.take_any(&["HARD", "SOFT"]);
    let scope = if cursor.take("QUERY") { KillScope::Query } else { KillScope::Connection };
    if scope == KillScope::Connection {
        cursor.take("CONNECTION");
    }
    if cursor.at("USER") || scope == KillScope::Query && cursor.at("ID") {
        return None;
    }
    let from = cursor.peek().start;
    let mut to = from;
    while !cursor.at_end() {
        to = cursor.next().end;
    }
    if from == to || !ends(&mut cursor) {
        return None;
    }
    let number = match literal(text, from..to, mode) {
        Some(Literal::Integer(number)) => u64::try_from(number).ok(),
        _ => None,
    };
    Some(KillTarget { scope, id: number.map_or(KillId::Expression(from..to), KillId::Number) })
}
