//! Tokens of one reading of a text, with looking ahead: what every judge of statements walks on.

use crate::sql::mode::LexMode;
use crate::sql::reading::Reading;
use crate::sql::scanner::{Inside, Scanner};
use crate::sql::token::{Token, TokenKind};

/// A place between two tokens. Cheap to clone; a clone is how one looks ahead.
#[derive(Clone)]
pub(super) struct Cursor<'t> {
    text: &'t [u8],
    mode: LexMode,
    reading: Reading,
    scanner: Scanner<'t>,
    position: usize,
    /// A token that no server reads was passed.
    pub(super) bad: bool,
    /// An executable comment was passed.
    pub(super) executable: bool,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(text: &'t [u8], mode: LexMode, reading: Reading) -> Self {
        Self {
            text,
            mode,
            reading,
            scanner: Scanner::new(text, mode),
            position: 0,
            bad: false,
            executable: false,
        }
    }

    /// A cursor over the reading of the mode's own server.
    pub(super) fn applicable(text: &'t [u8], mode: LexMode) -> Self {
        Self::new(text, mode, Reading::Of(mode.server))
    }

    pub(super) fn text(&self) -> &'t [u8] {
        self.text
    }

    pub(super) fn mode(&self) -> LexMode {
        self.mode
    }

    /// End of the last token that was passed.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// Passes the next token. Hints are none.
    pub(super) fn next(&mut self) -> Token {
        let token = self.advance();
        self.position = token.end;
        token
    }

    fn advance(&mut self) -> Token {
        loop {
            let token = self.scanner.next();
            match token.kind {
                TokenKind::HintOpen => self.skip_comment(),
                TokenKind::ExecutableOpen => {
                    self.executable = true;
                    if !self.reading.executes(token.bytes(self.text)) {
                        self.skip_comment();
                    }
                }
                TokenKind::CommentClose => {}
                TokenKind::Bad => {
                    self.bad = true;
                    return token;
                }
                _ => return token,
            }
        }
    }

    fn skip_comment(&mut self) {
        debug_assert!(self.scanner.inside != Inside::Statement);
        self.scanner.pos = self.scanner.limit;
    }

    /// The next token, which stays the next.
    pub(super) fn peek(&self) -> Token {
        self.clone().next()
    }

    /// The bytes of a token.
    pub(super) fn bytes(&self, token: Token) -> &'t [u8] {
        token.bytes(self.text)
    }

    /// The word in upper case, empty if the token is none.
    pub(super) fn keyword(&self, token: Token) -> String {
        match token.kind {
            TokenKind::Word => String::from_utf8_lossy(self.bytes(token)).to_ascii_uppercase(),
            _ => String::new(),
        }
    }

    /// Whether `token` is this keyword.
    pub(super) fn is(&self, token: Token, keyword: &str) -> bool {
        token.kind == TokenKind::Word && self.bytes(token).eq_ignore_ascii_case(keyword.as_bytes())
    }

    /// Whether `token` is one of these keywords.
    pub(super) fn is_any(&self, token: Token, keywords: &[&str]) -> bool {
        keywords.iter().any(|keyword| self.is(token, keyword))
    }

    /// Whether the next token is this keyword.
    pub(super) fn at(&self, keyword: &str) -> bool {
        self.is(self.peek(), keyword)
    }

    /// Passes the next token if it is this keyword.
    pub(super) fn take(&mut self, keyword: &str) -> bool {
        self.take_any(&[keyword])
    }

    /// Passes the next token if it is one of these keywords.
    pub(super) fn take_any(&mut self, keywords: &[&str]) -> bool {
        let mut ahead = self.clone();
        let token = ahead.next();
        let found = self.is_any(token, keywords);
        if found {
            *self = ahead;
        }
        found
    }

    /// Passes these keywords if they come next, in this order.
    pub(super) fn take_all(&mut self, keywords: &[&str]) -> bool {
        let mut ahead = self.clone();
        let found = keywords.iter().all(|keyword| ahead.take(keyword));
        if found {
            *self = ahead;
        }
        found
    }

    /// Passes the next token if it is of this kind.
    pub(super) fn take_kind(&mut self, kind: TokenKind) -> bool {
        let mut ahead = self.clone();
        let found = ahead.next().kind == kind;
        if found {
            *self = ahead;
        }
        found
    }

    /// Whether the next token ends a statement.
    pub(super) fn at_end(&self) -> bool {
        matches!(self.peek().kind, TokenKind::End | TokenKind::Semicolon)
    }

    /// After an opening parenthesis: passes everything up to its closing one.
    pub(super) fn skip_group(&mut self) {
        let mut depth = 1u32;
        while depth > 0 {
            match self.next().kind {
                TokenKind::Open => depth += 1,
                TokenKind::Close => depth -= 1,
                TokenKind::End => return,
                _ => {}
            }
        }
    }
}
