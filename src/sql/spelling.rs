//! What texts that differ in numbers and strings alone have in common, and where such a text has them.
//!
//! A digest has more in common: it forgets blanks, comments, the length of lists. What is learnt of one text of a
//! spelling about the places of its literals holds for every other.

use std::ops::Range;

use crate::sql::mode::LexMode;
use crate::sql::scanner::Scanner;
use crate::sql::token::TokenKind;

/// Longer texts have no spelling: whoever keeps spellings keeps their texts.
const TEXT_MAX: usize = 4_096;

/// Texts with more literals have none either.
const LITERALS_MAX: usize = 64;

/// See the module's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spelling {
    text: Box<[u8]>,
    mode: LexMode,
    literals: Box<[(TokenKind, Range<usize>)]>,
}

impl Spelling {
    /// The spelling of `text`. None for a text that is long, or has something in it that servers read each in
    /// their own way: an executable comment, a hint, a second statement, an unterminated string. Nor has one where
    /// a literal's first byte decides how the bytes before it are cut: `..7` as `. .7`, `k.7`, `1e-7`.
    #[must_use]
    pub fn of(text: &[u8], mode: LexMode) -> Option<Self> {
        if text.len() > TEXT_MAX {
            return None;
        }
        let mut scanner = Scanner::new(text, mode);
        let mut literals = Vec::new();
        loop {
            let token = scanner.next();
            match token.kind {
                TokenKind::End => break,
                TokenKind::Number | TokenKind::Text => {
                    if !stands_by_itself(&text[..token.start]) {
                        return None;
                    }
                    literals.push((token.kind, token.start..token.end));
                }
                TokenKind::Bad
                | TokenKind::ExecutableOpen
                | TokenKind::HintOpen
                | TokenKind::CommentClose
                | TokenKind::Semicolon => return None,
                _ => {}
            }
        }
        let spelling = Self { text: text.into(), mode, literals: literals.into() };
        (spelling.literals.len() <= LITERALS_MAX).then_some(spelling)
    }

    /// The number of the literal that ends at `end`, and how many bytes of `start..end` stand before it.
    #[must_use]
    pub fn literal_in(&self, span: Range<usize>) -> Option<(usize, usize)> {
        let at = self.literals.iter().position(|(_, own)| own.end == span.end)?;
        let sign = self.literals[at].1.start.checked_sub(span.start)?;
        let after = at.checked_sub(1).map_or(0, |before| self.literals[before].1.end);
        (after <= span.start).then_some((at, sign))
    }

    /// If `text` has this spelling: where its literal of number `wanted` is. Any place will do if there is none
    /// of that number.
    ///
    /// Between literals the bytes are the same and end with one that no literal joins, so a scanner that is at the
    /// same place in both cuts the same tokens up to the next literal; and the literal itself is cut by the scanner.
    #[must_use]
    pub fn find(&self, text: &[u8], mode: LexMode, wanted: usize) -> Option<Range<usize>> {
        if mode != self.mode {
            return None;
        }
        let (mut at, mut from) = (0, 0);
        let mut found = 0..0;
        for (n, (kind, own)) in self.literals.iter().enumerate() {
            let gap = &self.text[from..own.start];
            if text.get(at..at + gap.len())? != gap {
                return None;
            }
            at += gap.len();
            let mut scanner = Scanner::new(text, mode);
            scanner.pos = at;
            let token = scanner.next();
            if token.kind != *kind || token.start != at {
                return None;
            }
            if n == wanted {
                found = token.start..token.end;
            }
            (at, from) = (token.end, own.end);
        }
        (text.get(at..)? == &self.text[from..]).then_some(found)
    }
}

/// Whether the last token of these bytes is the same whatever literal follows.
fn stands_by_itself(before: &[u8]) -> bool {
    match before {
        [] => true,
        [.., b'e' | b'E', b'+' | b'-'] => false,
        [.., last] => last.is_ascii_whitespace() || b"(,=<>+-*/%|&^!~".contains(last),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::Spelling;
    use crate::sql::mode::LexMode;
    use crate::sql::scanner::Scanner;
    use crate::sql::token::TokenKind;

    fn check(spelling: &str, wanted: usize, text: &str, expected: Option<&str>) {
        let mode = LexMode::default();
        let spelling = Spelling::of(spelling.as_bytes(), mode).unwrap();
        let found = spelling.find(text.as_bytes(), mode, wanted).map(|range| &text[range]);
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn texts_of_one_spelling_differ_in_literals_alone() {
        let spelling = "SELECT a FROM t WHERE k = 7 AND n = 'x'";
        check(spelling, 0, "SELECT a FROM t WHERE k = 12345 AND n = 'it''s'", Some("12345"));
        check(spelling, 1, "SELECT a FROM t WHERE k = 1e3 AND n = ''", Some("''"));
        for other in [
            "SELECT a FROM t WHERE k = '7' AND n = 'x'",
            "SELECT a FROM t WHERE k = 7a AND n = 'x'",
            "SELECT a FROM t WHERE k =  7 AND n = 'x'",
            "SELECT a FROM t WHERE k = 7 AND n = 'x' OR 1",
            "SELECT a FROM t WHERE k = 7 AND n = 'x' 'y'",
            "SELECT a FROM t WHERE k = 7 OR m = 7 AND n = 'x'",
            "SELECT a FROM t WHERE k = 7 AND n = 'x",
            "SELECT a FROM t WHERE k = -7 AND n = 'x'",
            "SELECT a FROM u WHERE k = 7 AND n = 'x'",
            "",
        ] {
            check(spelling, 0, other, None);
        }
        let mode = LexMode::default();
        for none in [
            "SELECT /*! 1 */ 2",
            "SELECT 1; SELECT 2",
            "SELECT /*+ dazzle: slot=7 */ 1",
            "SELECT 'a",
            "SELECT ..7",
            "SELECT 1e-.7",
            "SELECT 'a''b'.7",
        ] {
            assert_eq!(Spelling::of(none.as_bytes(), mode), None, "{none}");
        }
        let signed = Spelling::of(b"SELECT -7", mode).unwrap();
        assert_eq!(signed.literal_in(7..9), Some((0, 1)));
        let two = Spelling::of(b"SELECT 'a' 'b'", mode).unwrap();
        assert_eq!(two.literal_in(7..14), None, "two pieces of one string");
    }

    /// The kinds of all tokens, and the bytes of those that are no literals.
    fn outline(text: &[u8]) -> Vec<(TokenKind, Vec<u8>)> {
        let mut scanner = Scanner::new(text, LexMode::default());
        let mut tokens = Vec::new();
        loop {
            let token = scanner.next();
            let literal = matches!(token.kind, TokenKind::Number | TokenKind::Text);
            tokens.push((token.kind, if literal { Vec::new() } else { token.bytes(text).to_vec() }));
            if token.kind == TokenKind::End {
                return tokens;
            }
        }
    }

    proptest! {
        #[test]
        fn what_has_a_spelling_is_cut_into_the_same_tokens(
            pieces in proptest::collection::vec((0_usize..9, any::<[u8; 3]>()), 1..9), other in any::<[u8; 3]>(), at in any::<usize>(),
        ) {
            const WORDS: [&[u8]; 9] = [b"7", b"'a'", b" ", b"k", b".", b"-", b"/*5*/", b"@", b"1e"];
            let text = |changed: Option<usize>| {
                let mut text = Vec::new();
                for (n, (word, bytes)) in pieces.iter().enumerate() {
                    text.extend_from_slice(WORDS[*word]);
                    let digits = if changed == Some(n) { &other } else { bytes };
                    if digits[0] % 2 == 0 {
                        text.push(b"0'7x .e-"[usize::from(digits[1] % 8)]);
                    }
                }
                text
            };
            let (one, two) = (text(None), text(Some(at % pieces.len())));
            let mode = LexMode::default();
            if let Some(spelling) = Spelling::of(&one, mode) {
                assert!(spelling.find(&one, mode, 0).is_some());
                if spelling.find(&two, mode, 0).is_some() {
                    assert_eq!(outline(&one), outline(&two), "{:?} {:?}", one.escape_ascii().to_string(), two.escape_ascii().to_string());
                }
            }
        }
    }
}
