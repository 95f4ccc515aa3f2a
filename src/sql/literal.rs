//! Literals: their places in a text, and their values where somebody must know them.

use std::borrow::Cow;
use std::ops::Range;

use crate::sql::mode::LexMode;
use crate::sql::normalizer::{Buffer, Normalizer, Sink};
use crate::sql::scanner::Scanner;
use crate::sql::token::{Token, TokenKind};

/// How a literal is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LiteralKind {
    /// `5`, `-1.5e3`, `0x4D`, `0b101`.
    Number,
    /// `'…'`, `N'…'`, and `"…"` without ANSI_QUOTES.
    Text,
    /// `x'4D'`.
    Hex,
    /// `b'101'`.
    Bits,
    /// `NULL` where a value stands, `\N`.
    Null,
    /// `?`, of a statement to be prepared.
    Placeholder,
}

/// The place of one literal: `text[start..end]`, sign and quotes included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LiteralSpan {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// How it is written.
    pub kind: LiteralKind,
}

struct Spans<'o>(&'o mut Vec<LiteralSpan>);

impl Sink for Spans<'_> {
    fn piece(&mut self, _: &[u8]) {}

    fn literal(&mut self, span: LiteralSpan) {
        self.0.push(span);
    }
}

/// Appends the places of all literals of `text` to `out`, in order, those of collapsed lists included.
pub fn literals(text: &[u8], mode: LexMode, out: &mut Vec<LiteralSpan>) {
    Normalizer::run(text, mode, &mut Buffer::new(), &mut Spans(out));
}

/// The value of a constant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal<'t> {
    /// A whole number.
    Integer(i128),
    /// Any other number, as written.
    Number(&'t [u8]),
    /// A string, without its quotes and escapes, in the client's character set.
    Text(Cow<'t, [u8]>),
    /// A bare or quoted word such as `ON`, `utf8mb4`, `SYSTEM`.
    Word(Cow<'t, [u8]>),
    /// `DEFAULT`.
    Default,
    /// `NULL`.
    Null,
}

/// The value of the expression at `span`, None unless it is a single constant.
#[must_use]
pub fn literal(text: &[u8], span: Range<usize>, mode: LexMode) -> Option<Literal<'_>> {
    let text = text.get(span)?;
    let mut scanner = Scanner::new(text, mode);
    let mut token = scanner.next();
    let sign = match token.kind {
        TokenKind::Operator if matches!(token.bytes(text), b"-" | b"+") => Some(token),
        _ => None,
    };
    if sign.is_some() {
        token = scanner.next();
    }
    if scanner.next().kind != TokenKind::End || sign.is_some() && token.kind != TokenKind::Number {
        return None;
    }
    match token.kind {
        TokenKind::Number => number(text, sign, token),
        TokenKind::Text => Some(Literal::Text(unquoted_text(token.bytes(text), mode))),
        TokenKind::Null => Some(Literal::Null),
        TokenKind::Quoted => Some(Literal::Word(unquoted_name(token.bytes(text)))),
        TokenKind::Word => Some(match token.bytes(text) {
            word if word.eq_ignore_ascii_case(b"DEFAULT") => Literal::Default,
            word if word.eq_ignore_ascii_case(b"NULL") => Literal::Null,
            word => Literal::Word(Cow::Borrowed(word)),
        }),
        _ => None,
    }
}

fn number(text: &[u8], sign: Option<Token>, token: Token) -> Option<Literal<'_>> {
    let digits = token.bytes(text);
    // `0x41` is a string in some places and a number in others.
    if digits.starts_with(b"0x") || digits.starts_with(b"0b") {
        return None;
    }
    let negative = sign.is_some_and(|sign| sign.bytes(text) == b"-");
    let integer = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<i128>().ok());
    Some(match integer {
        Some(value) => Literal::Integer(if negative { -value } else { value }),
        None => Literal::Number(&text[sign.map_or(token.start, |sign| sign.start)..token.end]),
    })
}

/// A name without its quotes, if it has any; doubled quotes become one.
pub(super) fn unquoted_name(name: &[u8]) -> Cow<'_, [u8]> {
    match name {
        [quote @ (b'`' | b'"'), inner @ .., last] if quote == last => undoubled(inner, *quote),
        _ => Cow::Borrowed(name),
    }
}

fn undoubled(inner: &[u8], quote: u8) -> Cow<'_, [u8]> {
    if !inner.contains(&quote) {
        return Cow::Borrowed(inner);
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(&byte) = bytes.next() {
        out.push(byte);
        if byte == quote {
            bytes.next();
        }
    }
    Cow::Owned(out)
}

/// A string token's value: prefix, quotes and escapes removed.
///
/// Source: MySQL "String Literals", table of escape sequences.
pub(super) fn unquoted_text(token: &[u8], mode: LexMode) -> Cow<'_, [u8]> {
    let token = match token {
        [b'n' | b'N', rest @ ..] => rest,
        _ => token,
    };
    let [quote, inner @ .., _] = token else { return Cow::Borrowed(token) };
    if !inner.iter().any(|byte| byte == quote || *byte == b'\\') {
        return Cow::Borrowed(inner);
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut at = 0;
    while at < inner.len() {
        let len = mode.charset.character_len(&inner[at..]);
        if len > 0 {
            out.extend_from_slice(&inner[at..at + len]);
            at += len;
            continue;
        }
        let next = inner.get(at + 1).copied();
        match (inner[at], next) {
            (b'\\', Some(escaped)) if !mode.no_backslash_escapes => {
                match escaped {
                    b'0' => out.push(0),
                    b'b' => out.push(8),
                    b'n' => out.push(b'\n'),
                    b'r' => out.push(b'\r'),
                    b't' => out.push(b'\t'),
                    b'Z' => out.push(26),
                    b'%' | b'_' => out.extend_from_slice(&[b'\\', escaped]),
                    other => out.push(other),
                }
                at += 2;
            }
            (byte, Some(_)) if byte == *quote => {
                out.push(byte);
                at += 2;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    Cow::Owned(out)
}
