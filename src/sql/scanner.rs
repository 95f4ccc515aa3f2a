//! The lexer: bytes to tokens, one at a time, as MySQL's `sql_lex.cc` does it.
//!
//! Where servers disagree (an executable comment that ends elsewhere when it is skipped than when it is
//! executed, a NUL byte), a [`TokenKind::Bad`] says so, and whoever judges the statement must be careful.

use memchr::{memchr, memchr2};

use crate::sql::class;
use crate::sql::class::Classes;
use crate::sql::mode::LexMode;
use crate::sql::token::{Token, TokenKind};

/// What the bytes at the scanner's position are inside of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inside {
    Statement,
    Hint,
    Executable,
}

/// Position in a text. Cheap to make.
#[derive(Clone)]
pub(super) struct Scanner<'t> {
    pub(super) text: &'t [u8],
    pub(super) classes: &'static Classes,
    mode: LexMode,
    pub(super) pos: usize,
    /// End of what may be read: of the text, or of the content of the comment around `pos`.
    pub(super) limit: usize,
    pub(super) inside: Inside,
    /// Where the last bare word ended: a dot right there is followed by a name, not by a fraction.
    word_end: usize,
    /// Where a name begins, after such a dot or `@@`, whatever it looks like.
    name_start: usize,
}

impl<'t> Scanner<'t> {
    pub(super) fn new(text: &'t [u8], mode: LexMode) -> Self {
        Self {
            text,
            classes: class::of(mode.charset),
            mode,
            pos: 0,
            limit: text.len(),
            inside: Inside::Statement,
            word_end: usize::MAX,
            name_start: usize::MAX,
        }
    }

    /// The next token; [`TokenKind::End`] for ever after the last.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Token {
        loop {
            if self.pos >= self.limit {
                return self.at_limit();
            }
            let start = self.pos;
            match self.classes[self.text[start] as usize] {
                class::SPACE => self.pos += 1,
                class::WORD => return self.word(start),
                class::DIGIT => {
                    return if self.name_start == start { self.word(start) } else { self.number(start) };
                }
                class::COMPARE => return self.compare(start),
                class::COMMA => return self.punctuation(TokenKind::Comma),
                class::OPEN => return self.punctuation(TokenKind::Open),
                class::CLOSE => return self.punctuation(TokenKind::Close),
                class::QUOTE => return self.string(start, b'\''),
                class::BACKTICK => return self.quoted(start, b'`'),
                class::DOT => return self.dot(start),
                class::PREFIX => return self.prefix(start),
                class::PLACEHOLDER => return self.punctuation(TokenKind::Placeholder),
                class::SEMICOLON => return self.punctuation(TokenKind::Semicolon),
                _ => {
                    if let Some(token) = self.rare(start) {
                        return token;
                    }
                }
            }
        }
    }

    /// The next token, which stays the next.
    #[inline(never)]
    pub(super) fn peek_token(&self) -> Token {
        self.clone().next()
    }

    /// The byte `ahead` of the position, 0 beyond the limit.
    #[inline(always)]
    pub(super) fn peek(&self, ahead: usize) -> u8 {
        let at = self.pos + ahead;
        if at < self.limit { self.text[at] } else { 0 }
    }

    #[inline(always)]
    fn is_word_byte(&self, byte: u8) -> bool {
        self.classes[byte as usize] <= class::LAST_WORD
    }

    #[inline(always)]
    pub(super) fn token(&self, kind: TokenKind, start: usize) -> Token {
        Token { kind, start, end: self.pos }
    }

    #[inline(always)]
    fn punctuation(&mut self, kind: TokenKind) -> Token {
        let start = self.pos;
        self.pos += 1;
        self.token(kind, start)
    }

    #[inline(always)]
    fn skip_while(&mut self, accept: impl Fn(u8) -> bool) {
        let rest = &self.text[self.pos..self.limit];
        self.pos += rest.iter().position(|&byte| !accept(byte)).unwrap_or(rest.len());
    }

    #[inline(always)]
    fn word(&mut self, start: usize) -> Token {
        let mut class = class::WORD;
        let mut pos = self.pos;
        for &byte in &self.text[pos..self.limit] {
            class = self.classes[byte as usize];
            if class > class::LAST_WORD {
                break;
            }
            pos += 1;
        }
        self.pos = pos;
        if class == class::LEAD {
            self.continue_word();
        }
        let end = self.pos;
        self.word_end = end;
        // The blank after a word costs less here than as the next byte to be told apart.
        self.pos += usize::from(class == class::SPACE);
        Token { kind: TokenKind::Word, start, end }
    }

    /// A word that may go on with a character of several bytes.
    #[cold]
    fn continue_word(&mut self) {
        while self.pos < self.limit {
            let class = self.classes[self.text[self.pos] as usize];
            if class <= class::LAST_WORD {
                self.pos += 1;
            } else if class == class::LEAD {
                match self.mode.charset.character_len(&self.text[self.pos..self.limit]) {
                    0 => return,
                    len => self.pos += len,
                }
            } else {
                return;
            }
        }
    }

    /// `x'41'`, `b'01'`, `N'text'`, a dollar-quoted string, or just a word.
    #[inline(always)]
    fn prefix(&mut self, start: usize) -> Token {
        let first = self.text[start];
        if first == b'$' {
            return self.dollar(start);
        }
        if self.peek(1) != b'\'' || self.name_start == start {
            return self.word(start);
        }
        self.pos += 1;
        if first | 0x20 == b'n' {
            return self.string(start, b'\'');
        }
        self.pos += 1;
        let kind = if first | 0x20 == b'x' { TokenKind::Hex } else { TokenKind::Bits };
        match memchr(b'\'', &self.text[self.pos..self.limit]) {
            Some(len) => {
                self.pos += len + 1;
                self.token(kind, start)
            }
            None => self.unterminated(start),
        }
    }

    /// `$tag$ … $tag$` holds any bytes for the servers that know it, and is an identifier for the others.
    #[cold]
    fn dollar(&mut self, start: usize) -> Token {
        let mut token = self.word(start);
        if self.mode.server.quotes_with_dollars() && memchr(b'$', &token.bytes(self.text)[1..]).is_some() {
            token.kind = TokenKind::Bad;
        }
        token
    }

    #[inline(always)]
    fn number(&mut self, start: usize) -> Token {
        if self.text[start] == b'0' && matches!(self.peek(1), b'x' | b'b') {
            return self.radix(start);
        }
        self.skip_while(|byte| byte.is_ascii_digit());
        let next = self.peek(0);
        if next == b'.' {
            self.pos += 1;
            return self.fraction(start);
        }
        if self.pos < self.limit
            && self.classes[next as usize] <= class::LEAD
            && !is_space(self.classes, next)
        {
            return self.number_or_word(start);
        }
        self.token(TokenKind::Number, start)
    }

    /// `0x4D` and `0b01`; an identifier where letters follow, as in `0x4G`.
    fn radix(&mut self, start: usize) -> Token {
        let hexadecimal = self.peek(1) == b'x';
        self.pos += 2;
        self.skip_while(
            |byte| if hexadecimal { byte.is_ascii_hexdigit() } else { matches!(byte, b'0' | b'1') },
        );
        if self.pos - start >= 3 && (self.pos >= self.limit || !self.is_word_byte(self.text[self.pos])) {
            return self.token(TokenKind::Number, start);
        }
        self.word(start)
    }

    /// After digits that a letter follows: `1e10` and `1E-3` are numbers, `1st` and `2col` are identifiers.
    fn number_or_word(&mut self, start: usize) -> Token {
        let digits = self.text[start..self.pos].iter().all(u8::is_ascii_digit);
        if digits && self.peek(0) | 0x20 == b'e' {
            let sign = usize::from(matches!(self.peek(1), b'+' | b'-'));
            if self.peek(1 + sign).is_ascii_digit() {
                self.pos += 1 + sign;
                self.skip_while(|byte| byte.is_ascii_digit());
                return self.token(TokenKind::Number, start);
            }
        }
        self.word(start)
    }

    /// After the dot of a decimal.
    fn fraction(&mut self, start: usize) -> Token {
        self.skip_while(|byte| byte.is_ascii_digit());
        if self.peek(0) | 0x20 == b'e' {
            let sign = usize::from(matches!(self.peek(1), b'+' | b'-'));
            if !self.peek(1 + sign).is_ascii_digit() {
                // `1.e` and `1.5ex`: MySQL gives up here.
                self.pos += 1;
                return self.token(TokenKind::Bad, start);
            }
            self.pos += 1 + sign;
            self.skip_while(|byte| byte.is_ascii_digit());
        }
        self.token(TokenKind::Number, start)
    }

    #[inline(always)]
    fn dot(&mut self, start: usize) -> Token {
        let next = self.peek(1);
        let after_word = self.word_end == start;
        self.pos += 1;
        if next.is_ascii_digit() && !after_word {
            return self.fraction(start);
        }
        if after_word {
            self.name_start = self.pos;
        }
        self.token(TokenKind::Dot, start)
    }

    #[inline(always)]
    fn compare(&mut self, start: usize) -> Token {
        let first = self.text[start];
        self.pos += 1;
        let next = self.peek(0);
        let kind = match (first, next) {
            (b'<', b'=') => {
                self.pos += 1 + usize::from(self.peek(1) == b'>');
                TokenKind::Compare
            }
            (b'<', b'>') | (b'>', b'=') => {
                self.pos += 1;
                TokenKind::Compare
            }
            (b'<', b'<') | (b'>', b'>') => {
                self.pos += 1;
                TokenKind::Operator
            }
            _ => TokenKind::Compare,
        };
        self.token(kind, start)
    }

    /// A string whose opening quote is at the position; `start` is where its prefix began.
    #[inline(always)]
    fn string(&mut self, start: usize, quote: u8) -> Token {
        self.pos += 1;
        if self.mode.charset.has_ascii_trail() {
            return self.string_of_characters(start, quote);
        }
        let escape = if self.mode.no_backslash_escapes { quote } else { b'\\' };
        loop {
            let rest = &self.text[self.pos..self.limit];
            let stop = find_either(rest, quote, escape);
            let Some(at) = stop else { return self.unterminated(start) };
            self.pos += at + 1;
            // Past the escaped character, or the second of two quotes.
            let goes_on = rest[at] != quote || self.peek(0) == quote;
            if !goes_on {
                return self.token(TokenKind::Text, start);
            }
            self.pos += 1;
            if self.pos > self.limit {
                return self.unterminated(start);
            }
        }
    }

    /// The same, character by character.
    fn string_of_characters(&mut self, start: usize, quote: u8) -> Token {
        while self.pos < self.limit {
            let byte = self.text[self.pos];
            let len = self.mode.charset.character_len(&self.text[self.pos..self.limit]);
            if len > 0 {
                self.pos += len;
            } else if byte == b'\\' && !self.mode.no_backslash_escapes {
                self.pos += 2;
            } else if byte == quote {
                self.pos += 1;
                if self.peek(0) != quote {
                    return self.token(TokenKind::Text, start);
                }
                self.pos += 1;
            } else {
                self.pos += 1;
            }
        }
        self.unterminated(start)
    }

    /// A quoted identifier: no escapes but the doubled quote.
    #[inline(always)]
    fn quoted(&mut self, start: usize, quote: u8) -> Token {
        self.pos += 1;
        while self.pos < self.limit {
            let byte = self.text[self.pos];
            if byte == quote {
                self.pos += 1;
                if self.peek(0) != quote {
                    return self.token(TokenKind::Quoted, start);
                }
            } else if byte >= 0x80 && self.mode.charset.has_ascii_trail() {
                let len = self.mode.charset.character_len(&self.text[self.pos..self.limit]);
                self.pos += len.max(1);
                continue;
            } else if byte == 0 {
                // Servers end the lexing of a name here.
                return self.unterminated(start);
            }
            self.pos += 1;
        }
        self.unterminated(start)
    }

    /// Everything to the limit belongs to a token without an end.
    #[cold]
    pub(super) fn unterminated(&mut self, start: usize) -> Token {
        self.pos = self.limit;
        self.token(TokenKind::Bad, start)
    }

    #[cold]
    fn at_limit(&mut self) -> Token {
        let start = self.limit;
        if self.inside == Inside::Statement {
            self.pos = start;
            return self.token(TokenKind::End, start);
        }
        self.inside = Inside::Statement;
        self.limit = self.text.len();
        self.pos = start + 2;
        self.token(TokenKind::CommentClose, start)
    }

    /// The bytes that statements seldom hold; None for a comment that was skipped.
    #[inline(never)]
    fn rare(&mut self, start: usize) -> Option<Token> {
        match self.classes[self.text[start] as usize] {
            class::MINUS => return self.minus(start),
            class::SLASH => return self.slash(start),
            class::HASH => return self.line_comment(start),
            class::AT => return Some(self.at(start)),
            class::DOUBLE_QUOTE if self.mode.ansi_quotes => return Some(self.quoted(start, b'"')),
            class::DOUBLE_QUOTE => return Some(self.string(start, b'"')),
            class::LEAD if self.mode.charset.character_len(&self.text[start..self.limit]) > 0 => {
                return Some(self.word(start));
            }
            class::LEAD | class::OPAQUE | class::NUL => {
                self.pos += 1;
                return Some(self.token(TokenKind::Bad, start));
            }
            class::BACKSLASH if self.peek(1) == b'N' => {
                self.pos += 2;
                return Some(self.token(TokenKind::Null, start));
            }
            _ => {}
        }
        self.pos += 1;
        let kind = match (self.text[start], self.peek(0)) {
            (b'!' | b':', b'=') => {
                self.pos += 1;
                TokenKind::Compare
            }
            (b'&', b'&') | (b'|', b'|') => {
                self.pos += 1;
                TokenKind::Operator
            }
            (b'*', b'/') if self.inside == Inside::Executable => {
                // Executed, the comment ends here; skipped, it goes on.
                self.pos += 1;
                TokenKind::Bad
            }
            _ => TokenKind::Operator,
        };
        Some(self.token(kind, start))
    }

    /// `@name`, `@@`.
    fn at(&mut self, start: usize) -> Token {
        self.pos += 1;
        match self.peek(0) {
            b'@' => {
                self.pos += 1;
                let next = self.peek(0);
                let named = self.pos < self.limit
                    && (next == b'`'
                        || self.is_word_byte(next)
                        || self.classes[next as usize] == class::LEAD);
                let kind = if named { TokenKind::SystemVariable } else { TokenKind::Bad };
                // A name follows, even where it looks like a number.
                self.name_start = self.pos;
                self.token(kind, start)
            }
            quote @ (b'\'' | b'"' | b'`') => {
                let string = quote == b'\'' || quote == b'"' && !self.mode.ansi_quotes;
                let mut token = if string { self.string(start, quote) } else { self.quoted(start, quote) };
                if token.kind != TokenKind::Bad {
                    token.kind = TokenKind::UserVariable;
                }
                token
            }
            _ => {
                let classes = self.classes;
                self.skip_while(|byte| {
                    byte.is_ascii_alphanumeric()
                        || matches!(byte, b'.' | b'_' | b'$')
                        || byte >= 0x80 && classes[byte as usize] != class::SPACE
                });
                self.token(TokenKind::UserVariable, start)
            }
        }
    }
}

/// The first place of either byte. Most strings are short: eight bytes at a time first, memchr for the rest.
#[inline(always)]
fn find_either(text: &[u8], one: u8, other: u8) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    const WORDS: usize = 4;
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & (ONES << 7);
    for (at, word) in text.as_chunks::<8>().0.iter().take(WORDS).enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = zeros(word ^ (ONES * u64::from(one))) | zeros(word ^ (ONES * u64::from(other)));
        if found != 0 {
            return Some(at * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    find_far(text, one, other, (text.len() / 8).min(WORDS) * 8)
}

#[inline(never)]
fn find_far(text: &[u8], one: u8, other: u8, from: usize) -> Option<usize> {
    memchr2(one, other, &text[from..]).map(|at| from + at)
}

fn is_space(classes: &Classes, byte: u8) -> bool {
    classes[byte as usize] == class::SPACE
}
