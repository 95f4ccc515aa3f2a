//! Several statements in one text.

use std::ops::Range;

use crate::sql::cursor::Cursor;
use crate::sql::mode::LexMode;
use crate::sql::statement::pass;
use crate::sql::token::TokenKind;

/// The places of the statements of `text`, without the `;` between them, as the mode's own server reads it.
///
/// A `;` in a string, in a comment or in the body of a routine separates nothing; statements without any
/// token are left out. Blanks and comments around a statement may belong to it.
#[must_use]
pub fn split(text: &[u8], mode: LexMode) -> Vec<Range<usize>> {
    let mut cursor = Cursor::applicable(text, mode);
    let mut found = Vec::new();
    let mut start = 0;
    loop {
        while cursor.take_kind(TokenKind::Semicolon) {
            start = cursor.position();
        }
        if cursor.peek().kind == TokenKind::End {
            return found;
        }
        pass(&mut cursor);
        found.push(start..cursor.peek().start);
    }
}
