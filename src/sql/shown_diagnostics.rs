//! What of a statement's diagnostics a SHOW asks for.

use crate::sql::cursor::Cursor;
use crate::sql::literal::{Literal, literal};
use crate::sql::mode::LexMode;
use crate::sql::token::TokenKind;

/// `SHOW WARNINGS`, `SHOW ERRORS`, `SHOW COUNT(*) WARNINGS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShownDiagnostics {
    /// Errors alone.
    pub errors: bool,
    /// How many there are, in place of them.
    pub counted: bool,
    /// Rows left out.
    pub offset: usize,
    /// Rows at most.
    pub limit: usize,
}

/// Reads such a SHOW; `None` for anything else.
#[must_use]
pub fn shown_diagnostics(text: &[u8], mode: LexMode) -> Option<ShownDiagnostics> {
    let mut cursor = Cursor::applicable(text, mode);
    while cursor.take_kind(TokenKind::Semicolon) {}
    if !cursor.take("SHOW") {
        return None;
    }
    let counted = cursor.take("COUNT");
    if counted {
        let star = cursor.take_kind(TokenKind::Open) && cursor.take_kind(TokenKind::Operator);
        if !star || !cursor.take_kind(TokenKind::Close) {
            return None;
        }
    }
    let errors = cursor.take("ERRORS");
    if !errors && !cursor.take("WARNINGS") {
        return None;
    }
    let mut shown = ShownDiagnostics { errors, counted, offset: 0, limit: usize::MAX };
    if !counted && cursor.take("LIMIT") {
        shown.limit = number(&mut cursor)?;
        if cursor.take_kind(TokenKind::Comma) {
            shown.offset = std::mem::replace(&mut shown.limit, number(&mut cursor)?);
        } else if cursor.take("OFFSET") {
            shown.offset = number(&mut cursor)?;
        }
    }
    while cursor.take_kind(TokenKind::Semicolon) {}
    (cursor.peek().kind == TokenKind::End && !cursor.bad).then_some(shown)
}

fn number(cursor: &mut Cursor<'_>) -> Option<usize> {
    let token = cursor.next();
    match literal(cursor.text(), token.start..token.end, cursor.mode())? {
        Literal::Integer(value) => usize::try_from(value).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown() {
        let check = |text: &str, expected: Option<(bool, bool, usize, usize)>| {
            let found = shown_diagnostics(text.as_bytes(), LexMode::default());
            let found = found.map(|shown| (shown.errors, shown.counted, shown.offset, shown.limit));
            assert_eq!(found, expected, "{text}");
        };
        check("SHOW WARNINGS;", Some((false, false, 0, usize::MAX)));
        check("show errors limit 5", Some((true, false, 0, 5)));
        check("SHOW WARNINGS LIMIT 2, 3", Some((false, false, 2, 3)));
        check("SHOW WARNINGS LIMIT 3 OFFSET 2", Some((false, false, 2, 3)));
        check("SHOW COUNT(*) ERRORS", Some((true, true, 0, usize::MAX)));
        check("SHOW WARNINGS WHERE 1", None);
        check("SELECT 1", None);
    }
}
