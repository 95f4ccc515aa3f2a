//! Comments: plain ones are skipped, executable ones and hints are entered.

use memchr::{memchr2, memmem};

use crate::sql::class;
use crate::sql::scanner::{Inside, Scanner};
use crate::sql::token::{Token, TokenKind};

impl Scanner<'_> {
    pub(super) fn minus(&mut self, start: usize) -> Option<Token> {
        if self.peek(1) == b'-' {
            let third = self.peek(2);
            // At the end of the text MySQL reads a NUL here, a control character too.
            if third == b' ' || third.is_ascii_control() || self.classes[third as usize] == class::SPACE {
                return self.line_comment(start);
            }
        }
        self.pos += 1;
        if self.peek(0) == b'>' {
            self.pos += 1 + usize::from(self.peek(1) == b'>');
        }
        Some(self.token(TokenKind::Operator, start))
    }

    /// Skips to the end of the line. A NUL ends the comment too.
    pub(super) fn line_comment(&mut self, start: usize) -> Option<Token> {
        match memchr2(b'\n', 0, &self.text[start..self.limit]) {
            Some(len) => self.pos = start + len,
            None if self.inside == Inside::Statement => self.pos = self.limit,
            // Executed, this comment hides the end of the comment around it.
            None => return Some(self.unterminated(start)),
        }
        None
    }

    /// A division or a comment of some kind.
    pub(super) fn slash(&mut self, start: usize) -> Option<Token> {
        if self.peek(1) != b'*' {
            self.pos += 1;
            return Some(self.token(TokenKind::Operator, start));
        }
        let maria = matches!(self.peek(2), b'M' | b'm') && self.peek(3) == b'!';
        if maria || self.peek(2) == b'!' {
            return Some(self.executable(start, 3 + usize::from(maria)));
        }
        let content = start + 2;
        let Some(len) = memmem::find(&self.text[content..self.limit], b"*/") else {
            return Some(self.unterminated(start));
        };
        if self.peek(2) == b'+' && len > 0 && self.inside == Inside::Statement {
            self.inside = Inside::Hint;
            self.limit = content + len;
            self.pos = content + 1;
            return Some(self.token(TokenKind::HintOpen, start));
        }
        self.pos = content + len + 2;
        None
    }

    /// `/*!` with its version; the scanner is inside of it afterwards.
    fn executable(&mut self, start: usize, opener: usize) -> Token {
        self.pos = start + opener;
        let digits =
            self.text[self.pos..self.limit].iter().take(6).take_while(|b| b.is_ascii_digit()).count();
        if self.inside != Inside::Statement {
            return self.token(TokenKind::Bad, start);
        }
        let Some(limit) = skipped_comment_end(&self.text[..self.limit], self.pos) else {
            return self.unterminated(start);
        };
        if digits >= 5 {
            self.pos += digits;
        }
        self.inside = Inside::Executable;
        self.limit = limit;
        self.token(TokenKind::ExecutableOpen, start)
    }
}

/// Where the `*/` of an executable comment is for a server that skips it: one plain comment may be inside.
fn skipped_comment_end(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += memchr2(b'*', b'/', &text[at..])?;
        match &text[at..] {
            [b'*', b'/', ..] => return Some(at),
            [b'/', b'*', ..] => at += 2 + memmem::find(&text[at + 2..], b"*/")? + 2,
            _ => at += 1,
        }
    }
}
