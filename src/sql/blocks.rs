//! Bodies of routines: a `;` inside of BEGIN … END does not end the statement.

use crate::sql::cursor::Cursor;
use crate::sql::token::{Token, TokenKind};

/// How deep the cursor is inside of BEGIN, CASE, IF and loops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Blocks {
    depth: u32,
    after_dot: bool,
    /// Tokens that were looked ahead at. Bounded, or nested IFs would cost quadratic time.
    looked_ahead: u32,
}

/// Beyond this, an IF is taken for a block; a wrong guess makes the text unreadable, not misread.
const LOOK_AHEAD_MAX: u32 = 20_000;

impl Blocks {
    /// Inside of one block already.
    pub(super) fn inside() -> Self {
        Self { depth: 1, ..Self::default() }
    }

    /// True where a `;` separates statements of the text.
    pub(super) fn are_closed(self) -> bool {
        self.depth == 0
    }

    /// Takes notice of `token`, which the cursor has just passed.
    pub(super) fn pass(&mut self, cursor: &mut Cursor<'_>, token: Token) {
        let after_dot = std::mem::replace(&mut self.after_dot, token.kind == TokenKind::Dot);
        if after_dot || token.kind != TokenKind::Word {
            return;
        }
        let opens = match cursor.keyword(token).as_str() {
            "BEGIN" | "CASE" | "LOOP" | "WHILE" => true,
            // REPEAT(…) is a function.
            "REPEAT" => cursor.peek().kind != TokenKind::Open,
            "IF" => self.opens_if(cursor),
            "FOR" => opens_for(cursor),
            "END" => {
                cursor.take_any(&["IF", "CASE", "LOOP", "WHILE", "REPEAT", "FOR"]);
                self.depth = self.depth.saturating_sub(1);
                false
            }
            _ => false,
        };
        self.depth += u32::from(opens);
    }

    /// After IF: a statement, not IF(a, b, c), IF EXISTS or IF NOT EXISTS.
    fn opens_if(&mut self, cursor: &Cursor<'_>) -> bool {
        let mut ahead = cursor.clone();
        if ahead.take("EXISTS") || ahead.take_all(&["NOT", "EXISTS"]) {
            // A condition has its subquery here, a clause of CREATE or DROP has a name.
            return ahead.peek().kind == TokenKind::Open;
        }
        if !ahead.take_kind(TokenKind::Open) {
            return true;
        }
        let (mut depth, mut commas) = (1u32, 0);
        while depth > 0 {
            self.looked_ahead += 1;
            if self.looked_ahead > LOOK_AHEAD_MAX {
                return true;
            }
            match ahead.next().kind {
                TokenKind::Open => depth += 1,
                TokenKind::Close => depth -= 1,
                TokenKind::Comma if depth == 1 => commas += 1,
                TokenKind::End => return true,
                _ => {}
            }
        }
        commas != 2
    }
}

/// After FOR: MariaDB's loop `FOR x IN …`.
fn opens_for(cursor: &Cursor<'_>) -> bool {
    let mut ahead = cursor.clone();
    let name = ahead.next();
    matches!(name.kind, TokenKind::Word | TokenKind::Quoted) && ahead.at("IN")
}
