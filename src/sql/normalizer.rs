//! Tokens to normalised text: literals become `?`, blanks and comments one rule, long lists one element.
//!
//! The rule, in full. Words and quoted names stay as they are written, in their case. Every literal (with
//! its sign where that cannot be an operator) and every placeholder is `?`; so is a NULL that stands where a
//! value does. Blanks and plain comments count for nothing: two tokens are separated by one space unless
//! [`gap`] says otherwise. Executable comments and hints stay, their content normalised. Lists collapse as
//! [`crate::sql::lists`] tells. A `;` at the end is dropped. Different token sequences have different texts
//! but for these rules, so nobody can plant a plan for somebody else's statement.

use crate::sql::lists::{ListKind, Lists, Verdict};
use crate::sql::literal::{LiteralKind, LiteralSpan};
use crate::sql::mode::LexMode;
use crate::sql::scanner::Scanner;
use crate::sql::token::{Token, TokenKind};

/// Text beyond this many bytes is handed on in pieces, so that memory stays bounded.
pub(super) const PIECE_MAX: usize = 32 * 1024;

/// Stands for what cannot be read: an unterminated string, a NUL. No other token is written so.
pub(super) const BAD: u8 = 0;

/// Where the normalised text goes.
pub(super) trait Sink {
    /// A piece is full. The last piece is never handed on, it stays in the buffer.
    fn piece(&mut self, piece: &[u8]);
    /// A literal was replaced.
    fn literal(&mut self, span: LiteralSpan);
}

/// What was written last, as far as the next token depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Last {
    Nothing,
    Word,
    Variable,
    /// `IN`, which may open a list.
    In,
    /// `VALUES`, `VALUE`, which may open rows.
    Values,
    Compare,
    Operator,
    Open,
    Close,
    Comma,
    Semicolon,
    Dot,
    SystemVariable,
}

/// Whether a word-like token, or an operator, is set apart from what was written last.
#[inline(always)]
fn gap(last: Last) -> bool {
    const APART: u32 = 1 << Last::Word as u32
        | 1 << Last::Variable as u32
        | 1 << Last::In as u32
        | 1 << Last::Values as u32
        | 1 << Last::Compare as u32
        | 1 << Last::Operator as u32
        | 1 << Last::Close as u32
        | 1 << Last::Semicolon as u32;
    APART >> last as u32 & 1 == 1
}

/// A buffer that is written at a cursor; bytes beyond it are rubbish.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    len: usize,
    /// Here because it need not be made anew for every statement.
    lists: Lists,
}

/// Short tokens are copied in one move of this many bytes.
const SHORT: usize = 16;

impl Buffer {
    pub(super) const fn new() -> Self {
        Self { bytes: Vec::new(), len: 0, lists: Lists::new() }
    }

    pub(super) fn written(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Forgets the text, and its memory where that grew beyond the usual.
    pub(super) fn reset(&mut self) {
        self.len = 0;
        if self.bytes.len() > 2 * PIECE_MAX {
            self.bytes = Vec::new();
        }
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, more: usize) {
        let wanted = (self.len + more + SHORT).max(self.bytes.len() * 2).max(512);
        self.bytes.resize(wanted, 0);
    }

    /// Writes `text[start..end]`, after a space if there shall be a gap.
    #[inline(always)]
    fn put(&mut self, space: bool, text: &[u8], start: usize, end: usize) {
        let (space, len) = (usize::from(space), end - start);
        if len <= SHORT
            && let Some(short) = text.get(start..).and_then(|rest| rest.first_chunk::<SHORT>())
            && let Some(free) =
                self.bytes.get_mut(self.len..).and_then(|free| free.first_chunk_mut::<{ SHORT + 1 }>())
        {
            free[0] = b' ';
            free[space..space + SHORT].copy_from_slice(short);
            self.len += space + len;
            return;
        }
        self.put_long(space, &text[start..end]);
    }

    /// The same for a long token, for one at the very end of its text, or where the buffer is full.
    #[inline(never)]
    fn put_long(&mut self, space: usize, token: &[u8]) {
        if self.len + token.len() + 1 > self.bytes.len() {
            self.grow(token.len() + 1);
        }
        self.bytes[self.len] = b' ';
        self.len += space;
        let free = &mut self.bytes[self.len..self.len + token.len()];
        self.len += token.len();
        // Two moves that overlap are cheaper than a call for a few bytes.
        match token.len() {
            0..4 => free.iter_mut().zip(token).for_each(|(to, from)| *to = *from),
            4..8 => copy_overlapping::<4>(free, token),
            8..=16 => copy_overlapping::<8>(free, token),
            _ => free.copy_from_slice(token),
        }
    }

    #[inline(always)]
    fn put_byte(&mut self, space: bool, byte: u8) {
        if self.len + 2 > self.bytes.len() {
            self.grow(2);
        }
        let space = usize::from(space);
        if let Some(free) = self.bytes.get_mut(self.len..).and_then(|free| free.first_chunk_mut::<2>()) {
            free[0] = b' ';
            free[space] = byte;
            self.len += space + 1;
        }
    }
}

/// Copies at least `N` bytes, at most twice as many.
#[inline(always)]
fn copy_overlapping<const N: usize>(to: &mut [u8], from: &[u8]) {
    if let (Some(to), Some(from)) = (to.first_chunk_mut::<N>(), from.first_chunk::<N>()) {
        *to = *from;
    }
    if let (Some(to), Some(from)) = (to.last_chunk_mut::<N>(), from.last_chunk::<N>()) {
        *to = *from;
    }
}

/// Writes the normalised text of one statement.
pub(super) struct Normalizer<'t, 'b, S> {
    text: &'t [u8],
    scanner: Scanner<'t>,
    buffer: &'b mut Buffer,
    sink: &'b mut S,
    last: Last,
    depth: u32,
    /// Where a sign began that belongs to the next number.
    sign: Option<usize>,
}

impl<'t, 'b, S: Sink> Normalizer<'t, 'b, S> {
    /// Reads all of `text`. The last piece of the result is in the buffer afterwards.
    #[inline(always)]
    pub(super) fn run(text: &'t [u8], mode: LexMode, buffer: &'b mut Buffer, sink: &'b mut S) {
        let scanner = Scanner::new(text, mode);
        let mut this = Self { text, scanner, buffer, sink, last: Last::Nothing, depth: 0, sign: None };
        this.buffer.len = 0;
        this.buffer.lists.clear();
        loop {
            let token = this.scanner.next();
            match token.kind {
                TokenKind::Word => this.word(token),
                TokenKind::Number => this.literal(token, LiteralKind::Number),
                TokenKind::Text => this.literal(token, LiteralKind::Text),
                TokenKind::Comma => this.comma(),
                TokenKind::Compare => this.operator(token, Last::Compare),
                TokenKind::Operator => this.maybe_sign(token),
                TokenKind::Open => this.open(),
                TokenKind::Close => this.close(),
                TokenKind::Dot => {
                    let apart = matches!(this.last, Last::Variable | Last::Dot);
                    this.buffer.put_byte(apart, b'.');
                    this.last = Last::Dot;
                }
                TokenKind::Quoted => this.name(token, Last::Word),
                TokenKind::End => break,
                _ => this.rare(token),
            }
            if this.buffer.len > PIECE_MAX {
                this.hand_on();
            }
        }
        if this.last == Last::Semicolon {
            this.trim();
        }
    }

    #[inline(always)]
    fn name(&mut self, token: Token, last: Last) {
        self.buffer.put(gap(self.last), self.text, token.start, token.end);
        self.last = last;
    }

    #[inline(always)]
    fn word(&mut self, token: Token) {
        let mut last = Last::Word;
        if let word @ ([b'i' | b'I', _] | [b'n' | b'N' | b'v' | b'V', _, _, _, ..]) = token.bytes(self.text)
            && self.last != Last::Dot
        {
            if word.eq_ignore_ascii_case(b"IN") {
                last = Last::In;
            } else if word.eq_ignore_ascii_case(b"VALUES") || word.eq_ignore_ascii_case(b"VALUE") {
                last = Last::Values;
            } else if word.eq_ignore_ascii_case(b"NULL")
                && matches!(self.last, Last::Open | Last::Comma | Last::Compare)
            {
                return self.literal(token, LiteralKind::Null);
            }
        }
        if !self.buffer.lists.is_empty() {
            self.word_in_list(token);
        }
        if self.last == Last::Values && token.bytes(self.text).eq_ignore_ascii_case(b"ROW") {
            self.buffer.lists.push(ListKind::Rows, self.depth, self.buffer.len + 1);
        }
        self.name(token, last);
    }

    /// Some words end a list, or tell that it is none.
    fn word_in_list(&mut self, token: Token) {
        let word = token.bytes(self.text);
        let Some(list) = self.buffer.lists.innermost() else { return };
        let ends = match list.kind {
            ListKind::Rows => list.depth == self.depth && !word.eq_ignore_ascii_case(b"ROW"),
            ListKind::In => {
                let subquery: [&[u8]; 4] = [b"SELECT", b"WITH", b"TABLE", b"VALUES"];
                list.element == self.buffer.len
                    && subquery.iter().any(|first| first.eq_ignore_ascii_case(word))
            }
        };
        if ends {
            self.buffer.lists.pop();
        }
    }

    #[inline(always)]
    fn literal(&mut self, token: Token, kind: LiteralKind) {
        let start = self.sign.take().unwrap_or(token.start);
        self.sink.literal(LiteralSpan { start, end: token.end, kind });
        self.buffer.put_byte(gap(self.last), b'?');
        self.last = Last::Word;
    }

    #[inline(always)]
    fn operator(&mut self, token: Token, last: Last) {
        self.buffer.put(gap(self.last), self.text, token.start, token.end);
        self.last = last;
    }

    /// A sign after `(`, `,` or a comparison belongs to the number that follows.
    #[inline(always)]
    fn maybe_sign(&mut self, token: Token) {
        let sign = matches!(token.bytes(self.text), b"-" | b"+");
        if sign
            && matches!(self.last, Last::Open | Last::Comma | Last::Compare)
            && self.scanner.peek_token().kind == TokenKind::Number
        {
            self.sign = Some(token.start);
            return;
        }
        self.operator(token, Last::Operator);
    }

    #[inline(always)]
    fn open(&mut self) {
        let (last, depth) = (self.last, self.depth);
        self.depth += 1;
        let list_word = matches!(last, Last::In | Last::Values);
        let apart =
            list_word || matches!(last, Last::Compare | Last::Operator | Last::Close | Last::Semicolon);
        self.buffer.put_byte(apart, b'(');
        if list_word {
            let written = self.buffer.len;
            match last {
                Last::In => self.buffer.lists.push(ListKind::In, self.depth, written),
                _ => self.buffer.lists.push(ListKind::Rows, depth, written - 1),
            }
        }
        self.last = Last::Open;
    }

    #[inline(always)]
    fn close(&mut self) {
        if !self.buffer.lists.is_empty() {
            self.close_in_list();
        }
        self.buffer.put_byte(false, b')');
        self.depth = self.depth.saturating_sub(1);
        self.last = Last::Close;
        if let Some(list) = self.buffer.lists.innermost()
            && list.kind == ListKind::Rows
            && list.depth == self.depth
        {
            let verdict = list.end_element(&self.buffer.bytes[..self.buffer.len]);
            self.apply(verdict);
        }
    }

    /// Ends the lists that this parenthesis closes.
    fn close_in_list(&mut self) {
        while let Some(list) = self.buffer.lists.innermost()
            && list.depth >= self.depth
        {
            if list.kind == ListKind::In {
                let verdict = list.end_element(&self.buffer.bytes[..self.buffer.len]);
                self.apply(verdict);
            }
            self.buffer.lists.pop();
        }
    }

    #[inline(always)]
    fn apply(&mut self, verdict: Verdict) {
        if let Verdict::CutTo { length, mark } = verdict {
            self.buffer.len = length;
            if mark {
                self.buffer.put(false, b", ...", 0, 5);
            }
        }
    }

    #[inline(always)]
    fn comma(&mut self) {
        let mut separates = false;
        if let Some(list) = self.buffer.lists.innermost()
            && list.depth == self.depth
        {
            separates = true;
            if list.kind == ListKind::In {
                let verdict = list.end_element(&self.buffer.bytes[..self.buffer.len]);
                self.apply(verdict);
            } else if self.last != Last::Close {
                self.buffer.lists.pop();
                separates = false;
            }
        }
        let separator = self.buffer.len;
        self.buffer.put_byte(false, b',');
        self.buffer.put_byte(false, b' ');
        if separates && let Some(list) = self.buffer.lists.innermost() {
            list.next_element(separator, self.buffer.len);
        }
        self.last = Last::Comma;
    }

    #[inline(never)]
    fn rare(&mut self, token: Token) {
        match token.kind {
            TokenKind::Hex => self.literal(token, LiteralKind::Hex),
            TokenKind::Bits => self.literal(token, LiteralKind::Bits),
            TokenKind::Null => self.literal(token, LiteralKind::Null),
            TokenKind::Placeholder => self.literal(token, LiteralKind::Placeholder),
            TokenKind::UserVariable => self.name(token, Last::Variable),
            TokenKind::SystemVariable => self.name(token, Last::SystemVariable),
            TokenKind::Semicolon => {
                self.buffer.lists.clear();
                self.buffer.put_byte(false, b';');
                self.last = Last::Semicolon;
            }
            TokenKind::Bad => {
                self.buffer.put_byte(gap(self.last), BAD);
                self.last = Last::Word;
            }
            _ => self.name(token, Last::Word),
        }
    }

    /// Drops `;` at the end.
    fn trim(&mut self) {
        while self.buffer.written().last() == Some(&b';') {
            self.buffer.len -= 1;
        }
    }

    /// Hands a full piece on. The lists in it are forgotten.
    #[cold]
    fn hand_on(&mut self) {
        self.sink.piece(&self.buffer.bytes[..self.buffer.len]);
        self.buffer.len = 0;
        self.buffer.lists.clear();
    }
}
