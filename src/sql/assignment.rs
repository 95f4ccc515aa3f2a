//! SET, assignment by assignment.

use std::borrow::Cow;
use std::ops::Range;

use crate::sql::cursor::Cursor;
use crate::sql::literal::{unquoted_name, unquoted_text};
use crate::sql::mode::LexMode;
use crate::sql::token::{Token, TokenKind};

/// What an assignment sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// `@name`.
    User,
    /// A variable of this session: `x`, `SESSION x`, `LOCAL x`, `@@x`, `@@session.x`.
    Session,
    /// A variable of the server: `GLOBAL x`, `@@global.x`.
    Global,
    /// `PERSIST x`.
    Persist,
    /// `PERSIST_ONLY x`.
    PersistOnly,
    /// `SET TRANSACTION …`, `@@transaction_isolation` without a scope: of the next transaction only.
    NextTransaction,
    /// `NAMES`; the value is a character set, perhaps with its COLLATE clause.
    Names,
    /// `CHARACTER SET`.
    CharacterSet,
    /// `PASSWORD`, of this or of another user.
    Password,
    /// `ROLE`.
    Role,
    /// `DEFAULT ROLE … TO …`: no state of the session.
    DefaultRole,
    /// `RESOURCE GROUP`.
    ResourceGroup,
}

/// One assignment of a SET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment<'t> {
    /// What is set.
    pub target: Target,
    /// The variable, without quotes, in the case it is written in. `transaction_isolation` and
    /// `transaction_read_only` for `SET … TRANSACTION`; empty where the target says it all.
    pub name: Cow<'t, [u8]>,
    /// Place of the value, an expression. `literal` reads it if it is a constant.
    pub value: Range<usize>,
}

/// The assignments of `text` in order, None unless it is exactly one well-formed SET.
///
/// SET STATEMENT … FOR is none: it sets nothing that lasts.
#[must_use]
pub fn set_assignments(text: &[u8], mode: LexMode) -> Option<Vec<Assignment<'_>>> {
    let mut cursor = Cursor::applicable(text, mode);
    while cursor.take_kind(TokenKind::Semicolon) {}
    if !cursor.take("SET") || cursor.at("STATEMENT") {
        return None;
    }
    let assignments = assignments(&mut cursor)?;
    while cursor.take_kind(TokenKind::Semicolon) {}
    (cursor.peek().kind == TokenKind::End && !cursor.bad).then_some(assignments)
}

/// Reads what follows SET, up to the end of the statement.
pub(super) fn assignments<'t>(cursor: &mut Cursor<'t>) -> Option<Vec<Assignment<'t>>> {
    let mut found = Vec::new();
    let mut scope = Target::Session;
    loop {
        one(cursor, &mut scope, &mut found)?;
        if cursor.at_end() {
            return Some(found);
        }
        if !cursor.take_kind(TokenKind::Comma) {
            return None;
        }
    }
}

/// Reads one assignment. `scope` is that of names without a scope of their own: MySQL keeps the last one.
fn one<'t>(cursor: &mut Cursor<'t>, scope: &mut Target, found: &mut Vec<Assignment<'t>>) -> Option<()> {
    let token = cursor.peek();
    match token.kind {
        TokenKind::UserVariable => {
            cursor.next();
            found.push(assigned(cursor, Target::User, user_variable_name(cursor, token))?);
        }
        TokenKind::SystemVariable => {
            cursor.next();
            let (target, name) = system_variable(cursor)?;
            found.push(assigned(cursor, target, name)?);
        }
        TokenKind::Quoted => {
            let name = path(cursor)?;
            found.push(assigned(cursor, *scope, name)?);
        }
        // NULL is a literal to a fingerprint.
        TokenKind::Word if !cursor.is(token, "NULL") => return keyword(cursor, scope, found),
        _ => return None,
    }
    Some(())
}

fn keyword<'t>(cursor: &mut Cursor<'t>, scope: &mut Target, found: &mut Vec<Assignment<'t>>) -> Option<()> {
    let first = found.is_empty();
    if let Some(explicit) = take_scope(cursor) {
        *scope = explicit;
        if first && cursor.take("TRANSACTION") {
            return characteristics(cursor, explicit, found);
        }
    } else if is_followed_by_assignment(cursor) && !cursor.at("PASSWORD") {
        // Any word may be a variable's name.
    } else if first && cursor.take("TRANSACTION") {
        return characteristics(cursor, Target::NextTransaction, found);
    } else if cursor.take("NAMES") {
        found.push(valued(cursor, Target::Names, Cow::Borrowed(&[]))?);
        return Some(());
    } else if cursor.take_all(&["CHARACTER", "SET"]) || cursor.take("CHARSET") {
        found.push(valued(cursor, Target::CharacterSet, Cow::Borrowed(&[]))?);
        return Some(());
    } else if first && let Some(target) = take_whole(cursor) {
        found.push(Assignment { target, name: Cow::Borrowed(&[]), value: rest(cursor)? });
        return Some(());
    }
    let name = path(cursor)?;
    let target = match *scope {
        Target::Global if name.eq_ignore_ascii_case(b"password") => Target::Password,
        scope => scope,
    };
    found.push(assigned(cursor, target, name)?);
    Some(())
}

/// The forms of SET that are one assignment, whatever follows.
fn take_whole(cursor: &mut Cursor<'_>) -> Option<Target> {
    let forms: [(&[&str], Target); 4] = [
        (&["PASSWORD"], Target::Password),
        (&["ROLE"], Target::Role),
        (&["DEFAULT", "ROLE"], Target::DefaultRole),
        (&["RESOURCE", "GROUP"], Target::ResourceGroup),
    ];
    forms.into_iter().find(|(words, _)| cursor.take_all(words)).map(|(_, target)| target)
}

fn is_followed_by_assignment(cursor: &Cursor<'_>) -> bool {
    let mut ahead = cursor.clone();
    ahead.next();
    let token = ahead.next();
    is_assign(&ahead, token) || token.kind == TokenKind::Dot
}

fn is_assign(cursor: &Cursor<'_>, token: Token) -> bool {
    token.kind == TokenKind::Compare && matches!(cursor.bytes(token), b"=" | b":=")
}

/// GLOBAL, SESSION … before a name, unless it is the name.
fn take_scope(cursor: &mut Cursor<'_>) -> Option<Target> {
    if is_followed_by_assignment(cursor) {
        return None;
    }
    let scope = scope_named(&cursor.keyword(cursor.peek()))?;
    cursor.next();
    Some(scope)
}

/// The scope that a word in upper case names.
pub(super) fn scope_named(word: &str) -> Option<Target> {
    Some(match word {
        "SESSION" | "LOCAL" => Target::Session,
        "GLOBAL" => Target::Global,
        "PERSIST" => Target::Persist,
        "PERSIST_ONLY" => Target::PersistOnly,
        _ => return None,
    })
}

/// After `@@`: scope and name of a variable that is assigned.
fn system_variable<'t>(cursor: &mut Cursor<'t>) -> Option<(Target, Cow<'t, [u8]>)> {
    let (scope, name) = scoped_name(cursor)?;
    let next_only = is_transaction_characteristic(&name);
    let bare = if next_only { Target::NextTransaction } else { Target::Session };
    Some((scope.unwrap_or(bare), name))
}

/// After `@@`: the scope, if one is written, and the name.
pub(super) fn scoped_name<'t>(cursor: &mut Cursor<'t>) -> Option<(Option<Target>, Cow<'t, [u8]>)> {
    let mut ahead = cursor.clone();
    let first = ahead.next();
    if ahead.take_kind(TokenKind::Dot)
        && let Some(scope) = scope_named(&cursor.keyword(first))
    {
        *cursor = ahead;
        return Some((Some(scope), path(cursor)?));
    }
    Some((None, path(cursor)?))
}

/// True for the variables that `SET TRANSACTION` sets.
fn is_transaction_characteristic(name: &[u8]) -> bool {
    let names: [&[u8]; 4] =
        [b"transaction_isolation", b"transaction_read_only", b"tx_isolation", b"tx_read_only"];
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// A name, of several parts perhaps.
fn path<'t>(cursor: &mut Cursor<'t>) -> Option<Cow<'t, [u8]>> {
    let mut name = part(cursor)?;
    while cursor.take_kind(TokenKind::Dot) {
        let next = part(cursor)?;
        let joined = name.to_mut();
        joined.push(b'.');
        joined.extend_from_slice(&next);
    }
    Some(name)
}

fn part<'t>(cursor: &mut Cursor<'t>) -> Option<Cow<'t, [u8]>> {
    let token = cursor.next();
    matches!(token.kind, TokenKind::Word | TokenKind::Quoted).then(|| unquoted_name(cursor.bytes(token)))
}

/// The name of a user variable, however it is quoted.
pub(super) fn user_variable_name<'t>(cursor: &Cursor<'t>, token: Token) -> Cow<'t, [u8]> {
    let name = &cursor.bytes(token)[1..];
    match name.first() {
        Some(b'\'') => unquoted_text(name, cursor.mode()),
        Some(b'"') if !cursor.mode().ansi_quotes => unquoted_text(name, cursor.mode()),
        _ => unquoted_name(name),
    }
}

fn assigned<'t>(cursor: &mut Cursor<'t>, target: Target, name: Cow<'t, [u8]>) -> Option<Assignment<'t>> {
    let token = cursor.next();
    if !is_assign(cursor, token) {
        return None;
    }
    valued(cursor, target, name)
}

fn valued<'t>(cursor: &mut Cursor<'t>, target: Target, name: Cow<'t, [u8]>) -> Option<Assignment<'t>> {
    Some(Assignment { target, name, value: value(cursor, &[TokenKind::Comma])? })
}

fn rest(cursor: &mut Cursor<'_>) -> Option<Range<usize>> {
    value(cursor, &[])
}

/// The place of an expression up to one of `stops` outside of parentheses, or the statement's end.
fn value(cursor: &mut Cursor<'_>, stops: &[TokenKind]) -> Option<Range<usize>> {
    let mut depth = 0u32;
    let mut place: Option<Range<usize>> = None;
    loop {
        let token = cursor.peek();
        match token.kind {
            TokenKind::End | TokenKind::Semicolon => break,
            TokenKind::Bad => return None,
            TokenKind::Open => depth += 1,
            TokenKind::Close => depth = depth.checked_sub(1)?,
            kind if depth == 0 && stops.contains(&kind) => break,
            _ => {}
        }
        cursor.next();
        place = Some(place.map_or(token.start, |place| place.start)..token.end);
    }
    if depth == 0 { place } else { None }
}

/// `ISOLATION LEVEL …`, `READ ONLY`, `READ WRITE`, separated by commas.
fn characteristics<'t>(
    cursor: &mut Cursor<'t>,
    target: Target,
    found: &mut Vec<Assignment<'t>>,
) -> Option<()> {
    loop {
        let name: &[u8] = if cursor.take_all(&["ISOLATION", "LEVEL"]) {
            b"transaction_isolation"
        } else if cursor.at("READ") {
            b"transaction_read_only"
        } else {
            return None;
        };
        found.push(valued(cursor, target, Cow::Borrowed(name))?);
        if cursor.at_end() {
            return Some(());
        }
        if !cursor.take_kind(TokenKind::Comma) {
            return None;
        }
    }
}
