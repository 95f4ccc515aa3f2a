//! The rest of a statement that is too long to be held: read while it passes by, only to know whether it can be
//! more than its beginning has shown. Rows of values cannot; whatever might be is said to be.

use memchr::memchr2;

use crate::sql::charset::ClientCharset;
use crate::sql::effects::Effects;
use crate::sql::functions;
use crate::sql::kind::Kind;
use crate::sql::mode::LexMode;
use crate::sql::scanner::{Inside, Scanner};
use crate::sql::statement::Statement;
use crate::sql::token::{Token, TokenKind};

/// Letters of a word that are remembered; no word that means anything here is longer.
const WORD_MAX: usize = 64;

/// Words that mean something without a parenthesis behind them, wherever they stand.
const TELLING: [&str; 7] =
    ["LASTVAL", "NEXT", "NEXTVAL", "PREVIOUS", "PROCEDURE", "SETVAL", "SQL_CALC_FOUND_ROWS"];

/// Stands for a quoted name, which may be a function's.
const QUOTED_NAME: &[u8] = b"`";

/// What the next byte is inside of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing.
    Between,
    /// Nothing, right after a dot.
    Dot,
    /// A word or a number.
    Word,
    /// Text, up to this quote.
    Text(u8),
    /// After a backslash in such a text.
    Escaped(u8),
    /// A name, up to this quote.
    Name(u8),
    /// After `-` or `/`: perhaps a comment.
    Operator(u8),
    /// After the semicolon that ends the statement.
    Ended,
}

/// Reads the rest of a text piece by piece. See the module's text.
#[derive(Clone, Debug)]
pub struct Tail {
    state: State,
    /// Bytes that were seen before.
    skip: usize,
    /// The word that is being read, or was read last with nothing but blanks after it.
    word: Vec<u8>,
    /// A dot stands before it.
    dotted: bool,
    mode: LexMode,
    plain: bool,
}

impl Tail {
    /// For the rest of a `text` of which only a beginning is there: how many of its bytes hold whole tokens, whose
    /// facts are known, and what reads on from there. `skip`: bytes before the text that the tail will be fed first.
    #[must_use]
    pub fn split(text: &[u8], mode: LexMode, skip: usize) -> (usize, Self) {
        let mut scanner = Scanner::new(text, mode);
        let nothing = Token { kind: TokenKind::End, start: 0, end: 0 };
        let (mut before, mut last) = (nothing, nothing);
        // `@@`, a scope, a dot, a name.
        let mut since_variable = 4;
        // A semicolon with something behind it; cut off, that may look like a comment: `;--` of `;--'x'`.
        let mut goes_on = false;
        let mut inside;
        loop {
            inside = scanner.inside;
            let token = scanner.next();
            // What touches the end may go on behind it.
            if token.kind == TokenKind::End || token.end >= text.len() {
                break;
            }
            since_variable = if token.kind == TokenKind::SystemVariable { 0 } else { since_variable + 1 };
            goes_on |= last.kind == TokenKind::Semicolon;
            (before, last) = (last, token);
        }
        let (state, word) = match last.kind {
            TokenKind::Dot => (State::Dot, &[][..]),
            TokenKind::Semicolon => (State::Ended, &[][..]),
            TokenKind::Word => (State::Between, last.bytes(text)),
            TokenKind::Quoted => (State::Between, QUOTED_NAME),
            _ => (State::Between, &[][..]),
        };
        let plain = inside == Inside::Statement
            && since_variable > 3
            && !goes_on
            && last.kind != TokenKind::Bad
            // `NEXT VALUE FOR s`
            && ![before, last].iter().any(|token| is_telling(token.bytes(text)))
            && !mode.charset.has_ascii_trail();
        let word = word[..word.len().min(WORD_MAX)].to_vec();
        (
            last.end,
            Self { state, skip: skip + last.end, word, dotted: before.kind == TokenKind::Dot, mode, plain },
        )
    }

    /// Reads on.
    pub fn feed(&mut self, piece: &[u8]) {
        let seen = self.skip.min(piece.len());
        self.skip -= seen;
        let mut rest = &piece[seen..];
        while self.plain && !rest.is_empty() {
            let used = if let State::Text(quote) = self.state {
                let escape = if self.mode.no_backslash_escapes { quote } else { b'\\' };
                let Some(at) = memchr2(quote, escape, rest) else { return };
                self.state = if rest[at] == quote { State::Between } else { State::Escaped(quote) };
                at + 1
            } else {
                self.state = self.step(rest[0]);
                1
            };
            rest = &rest[used..];
        }
    }

    /// Whether the whole text does nothing but what its beginning shows.
    #[must_use]
    pub fn adds_nothing(self, beginning: &Statement) -> bool {
        let values = matches!(
            beginning.kind,
            Kind::Insert | Kind::Replace | Kind::Update | Kind::Delete | Kind::Select | Kind::Values
        );
        let ended = matches!(self.state, State::Between | State::Word | State::Ended);
        // Of a second statement only the first words may have been there, and a cut may make a comment of what is none.
        let unclear = Effects::MULTIPLE | Effects::UNREADABLE | Effects::EXECUTABLE_COMMENT;
        let one = !beginning.effects.intersects(unclear);
        values && one && self.plain && ended && self.skip == 0 && !is_telling(&self.word)
    }

    /// What the byte after `self.state` leads to. Two quotes in a row end a text and begin another, which comes to the
    /// same.
    fn step(&mut self, byte: u8) -> State {
        match (self.state, byte) {
            (State::Escaped(quote), _) => State::Text(quote),
            (State::Name(quote), _) => self.name(quote, byte),
            (State::Operator(b'-'), b'-') | (State::Operator(b'/'), b'*') => self.give_up(),
            (State::Ended, b' ' | b'\t' | b'\r' | b'\n') => State::Ended,
            (State::Ended, _) => self.give_up(),
            // Some of these are blanks elsewhere.
            (_, 0x80..) if self.mode.charset != ClientCharset::AsciiSafe => self.give_up(),
            (state, b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'_' | 0x80..) => {
                if state != State::Word {
                    self.end_word();
                    self.dotted = state == State::Dot;
                }
                if self.word.len() < WORD_MAX {
                    self.word.push(byte);
                }
                State::Word
            }
            (_, b' ' | b'\t' | b'\r' | b'\n') => State::Between,
            (_, b'(') => self.open(),
            // No backslash escapes in bits, as in names.
            (State::Word, b'\'') if matches!(&*self.word, b"x" | b"X" | b"b" | b"B") => {
                self.turn(State::Name(byte))
            }
            (_, b'\'') => self.turn(State::Text(byte)),
            (_, b'"') if !self.mode.ansi_quotes => self.turn(State::Text(byte)),
            (_, b'"' | b'`') => self.turn(State::Name(byte)),
            (_, b';') => self.turn(State::Ended),
            (_, b'-' | b'/') => self.turn(State::Operator(byte)),
            (_, b'.') => self.turn(State::Dot),
            (_, b',' | b')' | b'=' | b'<' | b'>' | b'+' | b'*' | b'%' | b'|' | b'&' | b'^' | b'~' | b'?') => {
                self.turn(State::Between)
            }
            // Variables, `:=`, `#`, `!`, `$`, braces, control characters.
            _ => self.give_up(),
        }
    }

    fn name(&mut self, quote: u8, byte: u8) -> State {
        match byte {
            // Servers end the lexing of a name here.
            0 => self.give_up(),
            _ if byte == quote => {
                self.word = QUOTED_NAME.to_vec();
                State::Between
            }
            _ => State::Name(quote),
        }
    }

    fn open(&mut self) -> State {
        if !self.word.is_empty() && (self.dotted || !is_harmless_call(&self.word)) {
            return self.give_up();
        }
        self.word.clear();
        State::Between
    }

    /// Ends the word before; `next` begins.
    fn turn(&mut self, next: State) -> State {
        self.end_word();
        next
    }

    fn end_word(&mut self) {
        if is_telling(&self.word) {
            self.plain = false;
        }
        self.word.clear();
        self.dotted = false;
    }

    fn give_up(&mut self) -> State {
        self.plain = false;
        State::Between
    }
}

fn is_telling(word: &[u8]) -> bool {
    TELLING.iter().any(|telling| word.eq_ignore_ascii_case(telling.as_bytes()))
}

/// Whether a word before a parenthesis is a function, or a keyword, that does nothing to a session.
fn is_harmless_call(word: &[u8]) -> bool {
    let Ok(name) = str::from_utf8(word) else { return false };
    let call = functions::call(&name.to_ascii_uppercase(), true);
    call.effects == Effects::NONE && !call.writes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::Tail;
    use crate::sql::{LexMode, analyze};

    /// Splits `text` at `at` bytes, feeds the rest in pieces of `step`, and tells whether it adds nothing.
    fn adds_nothing(text: &str, at: usize, step: usize) -> bool {
        let mode = LexMode::default();
        let (whole, mut tail) = Tail::split(&text.as_bytes()[..at], mode, 3);
        let facts = analyze(&text.as_bytes()[..whole], mode);
        for piece in [b"???", text.as_bytes()].concat().chunks(step) {
            tail.feed(piece);
        }
        tail.adds_nothing(&facts)
    }

    fn check(text: &str, expected: bool) {
        for at in [8, text.len() / 2, text.len() - 2] {
            for step in [1, 3, 1000] {
                assert_eq!(adds_nothing(text, at, step), expected, "{text} cut at {at}, pieces of {step}");
            }
        }
    }

    #[test]
    fn rows_of_values_add_nothing() {
        for text in [
            "INSERT INTO t VALUES (1, 'a; SET @x = 1', -2.5e3), (NULL, 'it''s \\' -- no comment', 0xFF), (DEFAULT, \"/*!1*/\", 1)",
            "INSERT INTO t (a) VALUES (1), (2), (3) ON DUPLICATE KEY UPDATE a = VALUES (a), b = CONCAT(b, 'x');",
            "SELECT * FROM t WHERE id IN (1, 2, 3, 4, 5) AND b = 'x' ORDER BY id LIMIT 5 ;\n",
            "INSERT INTO t VALUES (_binary 'x', x'41', N'n', TRUE), (`b`, NOW(), 1 - -1, 4 / 2)",
            "UPDATE t SET a = 'very long' WHERE id IN (1, 2, 3)",
        ] {
            check(text, true);
        }
    }

    #[test]
    fn whatever_might_be_more_is_said_to_be() {
        for text in [
            "INSERT INTO t VALUES (1, 'a'); SET sql_mode = ''",
            "INSERT INTO t VALUES (1, @x := 5), (2, 3)",
            "INSERT INTO t VALUES (1, @x), (2, 3)",
            "INSERT INTO t VALUES (1, GET_LOCK('a', 1)), (2, 3)",
            "INSERT INTO t VALUES (1, LAST_INSERT_ID(5)), (2, 3)",
            "INSERT INTO t VALUES (1, my_function (5)), (2, 3)",
            "INSERT INTO t VALUES (1, db.concat('a')), (2, 3)",
            "INSERT INTO t VALUES (1, `my_function`(5)), (2, 3)",
            "INSERT INTO t VALUES (1, `a\\`, @x := 5, `b`), (2, 3)",
            "INSERT INTO t VALUES (1, @@warning_count), (2, 3)",
            "INSERT INTO t VALUES (1, NEXT VALUE FOR s), (2, 3)",
            "INSERT INTO t VALUES (1, s.nextval), (2, 3)",
            "INSERT INTO t VALUES (1, 2) /*! ; SELECT GET_LOCK('a', 1) */ , (2, 3)",
            "INSERT INTO t VALUES (1, 2) -- a comment\n, (2, 3)",
            "INSERT INTO t VALUES (1, 2) # a comment\n, (2, 3)",
            "INSERT INTO t VALUES (1, 2), (3, 'unterminated",
            "INSERT INTO t VALUES (1, 2);--'a'",
            "INSERT INTO t VALUES (1, x'\\', @x := 5, '2')",
            "SELECT * FROM t WHERE a IN (1, 2, 3) INTO @x",
        ] {
            for at in 22..text.len() {
                for step in [1, 3, 1000] {
                    // Unless the beginning has shown it, the rest must.
                    let mode = LexMode::default();
                    let (whole, _) = Tail::split(&text.as_bytes()[..at], mode, 0);
                    let shown = analyze(&text.as_bytes()[..whole], mode).effects;
                    let all = analyze(text.as_bytes(), mode).effects;
                    assert!(
                        shown == all || !adds_nothing(text, at, step),
                        "{text} at {at}, pieces of {step}"
                    );
                }
            }
        }
        assert!(!adds_nothing("SET @x = 'long', @y = 'longer'", 8, 5), "not of this kind");
    }

    proptest! {
        /// Where nothing is added, the analysis of the whole text finds nothing more than that of its beginning.
        #[test]
        fn what_adds_nothing_has_no_other_effects(
            parts in proptest::collection::vec(
                proptest::sample::select(vec![
                    "(1,", "'a'", ")", ",", " ", "\\", "'", "\"", "`", "--", "/*!", "*/", "@x", ":=", ";", "GET_LOCK(",
                    "NOW()", "NULL", "SET a=1", "x", "LAST_INSERT_ID(2)", "#", "\n", "FOUND_ROWS()", "0x1F", "é",
                ]),
                1..12,
            ),
            at in 20_usize..40,
            step in 1_usize..5,
        ) {
            let text = format!("INSERT INTO t VALUES {}", parts.concat());
            let mut at = at.min(text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            if adds_nothing(&text, at, step) {
                let mode = LexMode::default();
                let (whole, _) = Tail::split(&text.as_bytes()[..at], mode, 0);
                let (beginning, all) = (analyze(&text.as_bytes()[..whole], mode), analyze(text.as_bytes(), mode));
                prop_assert_eq!(beginning.effects, all.effects, "{}", text);
                prop_assert_eq!(beginning.kind, all.kind, "{}", text);
            }
        }

        #[test]
        fn random_bytes_never_panic(text in proptest::collection::vec(any::<u8>(), 0..60), at in 0_usize..60) {
            let (whole, mut tail) = Tail::split(&text[..at.min(text.len())], LexMode::default(), 1);
            prop_assert!(whole <= text.len());
            tail.feed(b"\x03");
            tail.feed(&text);
        }
    }
}
