//! Properties of random texts.

use proptest::prelude::{
    Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_assume, prop_oneof, proptest,
};

use crate::sql::{
    ClientCharset, Effects, Grammar, LexMode, Server, analyze, fingerprint, kill_target, literal, literals,
    normalize, prepared_name, savepoint_name, select_variables, set_assignments, split, use_schema,
};

fn modes() -> impl Strategy<Value = LexMode> {
    let charset = prop_oneof![
        Just(ClientCharset::AsciiSafe),
        Just(ClientCharset::Latin),
        Just(ClientCharset::SingleByte),
        Just(ClientCharset::Gbk),
        Just(ClientCharset::Sjis),
        Just(ClientCharset::Big5),
        Just(ClientCharset::Gb18030),
    ];
    let server =
        prop_oneof![Just(Server::MySql { version: 80_036 }), Just(Server::MariaDb { version: 101_106 })];
    (any::<bool>(), any::<bool>(), charset, server).prop_map(
        |(ansi_quotes, no_backslash_escapes, charset, server)| LexMode {
            ansi_quotes,
            no_backslash_escapes,
            grammar: Grammar::default(),
            charset,
            server,
        },
    )
}

/// Pieces of statements, whole and broken.
const SOUP: &[&str] = &[
    "SELECT",
    "select",
    "INSERT INTO",
    "t",
    "VALUES",
    "ROW",
    "IN",
    "(",
    "(",
    ")",
    ")",
    ",",
    ",",
    ";",
    ".",
    "SET",
    "=",
    ":=",
    "<=",
    "<",
    "@a",
    "@",
    "@@",
    "@@global",
    "@'",
    "'",
    "\"",
    "`",
    "\\",
    "'a'",
    "\"b\"",
    "`c`",
    "''",
    "1",
    "-1",
    ".5",
    "1e",
    "1.e",
    "0x",
    "0x4",
    "x'",
    "x'41'",
    "b'",
    "N'",
    "_utf8",
    "NULL",
    "\\N",
    "?",
    "-",
    "--",
    "-- ",
    "#",
    "/*",
    "*/",
    "/*!",
    "/*!50000",
    "/*!99999",
    "/*M!",
    "/*+",
    "*",
    "/",
    "\n",
    " ",
    "\0",
    "\u{A0}",
    "é",
    "BEGIN",
    "END",
    "IF",
    "CASE",
    "LOOP",
    "REPEAT",
    "FOR",
    "UPDATE",
    "CREATE",
    "PROCEDURE",
    "TABLE",
    "TEMPORARY",
    "EXPLAIN",
    "ANALYZE",
    "WITH",
    "AS",
    "GET_LOCK",
    "LAST_INSERT_ID",
    "TRANSACTION",
    "NAMES",
    "ROLE",
    "PASSWORD",
    "STATEMENT",
    "SHOW",
    "KILL",
    "USE",
    "FLUSH",
    "LOCK",
    "TABLES",
    "INTO",
    "OUTFILE",
    "LIMIT",
    "$",
    "$$",
    "$a$",
    "=-",
    "...",
    "~",
    "{",
    "\t",
];

fn soup() -> impl Strategy<Value = Vec<u8>> {
    let raw = prop::collection::vec(any::<u8>(), 0..4);
    let piece = prop_oneof![
        8 => prop::sample::select(SOUP).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => raw,
    ];
    let separator = prop_oneof![Just(""), Just(" ")];
    prop::collection::vec((piece, separator), 0..40).prop_map(|pieces| {
        pieces
            .into_iter()
            .flat_map(|(piece, separator)| [piece, separator.as_bytes().to_vec()].concat())
            .collect()
    })
}

/// Calls everything; whoever indexes or slices wrongly panics.
fn read_all(text: &[u8], mode: LexMode) {
    let _ = fingerprint(text, mode);
    let _ = analyze(text, mode);
    let mut spans = Vec::new();
    literals(text, mode, &mut spans);
    for span in spans {
        assert!(span.start < span.end && span.end <= text.len());
        let _ = literal(text, span.start..span.end, mode);
    }
    for range in split(text, mode) {
        assert!(range.start < range.end && range.end <= text.len());
    }
    for assignment in set_assignments(text, mode).unwrap_or_default() {
        let _ = literal(text, assignment.value, mode);
    }
    let _ = (use_schema(text, mode), savepoint_name(text, mode), prepared_name(text, mode));
    let _ = (kill_target(text, mode), select_variables(text, mode));
}

/// A token of a statement that can be read: what is written, and whether another literal may stand there.
#[derive(Clone, Debug)]
enum Piece {
    Fixed(&'static str),
    Literal,
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let fixed = [
        "SELECT",
        "a",
        "b.c",
        "`d e`",
        "FROM",
        "t",
        "WHERE",
        "=",
        "<=",
        "<>",
        "AND",
        "IN",
        "(",
        ")",
        ",",
        "VALUES",
        "+ a",
        "*",
        "f(",
        "@v",
        "@@session.x",
        ":=",
        "LIMIT",
        ";",
        "/*!50000 x */",
        "/*+ h(1) */",
        "||",
        "NOT",
        "ROW",
        "- a",
        "IS",
    ];
    let piece = prop_oneof![
        2 => prop::sample::select(fixed.to_vec()).prop_map(Piece::Fixed),
        1 => Just(Piece::Literal),
    ];
    prop::collection::vec(piece, 1..30)
}

/// Numbers without a sign: whether a sign belongs to a number depends on what is before it.
fn literal_text() -> impl Strategy<Value = &'static str> {
    let all = [
        "1", "0.5", ".5", "1e10", "0x4D", "'a'", "''", "'it''s'", "'a\\'b'", "\"q\"", "x'41'", "b'1'",
        "N'n'", "?",
    ];
    prop::sample::select(all.to_vec())
}

fn blank() -> impl Strategy<Value = &'static str> {
    let all = [" ", "\n", "\t ", " /* c */ ", " -- c\n", " # c '\n", "/**/ ", " /* ' */ ", "\r\n"];
    prop::sample::select(all.to_vec())
}

fn write(pieces: &[Piece], literals: &[&str], blanks: &[&str]) -> String {
    let mut text = String::new();
    for (at, piece) in pieces.iter().enumerate() {
        text.push_str(match piece {
            Piece::Fixed(fixed) => fixed,
            Piece::Literal => literals[at % literals.len()],
        });
        text.push_str(blanks[at % blanks.len()]);
    }
    text
}

fn digest(text: &[u8], mode: LexMode) -> Vec<u8> {
    let mut out = Vec::new();
    normalize(text, mode, &mut out);
    out
}

proptest! {
    #[test]
    fn random_bytes_never_panic(text in prop::collection::vec(any::<u8>(), 0..200), mode in modes()) {
        read_all(&text, mode);
    }

    #[test]
    fn token_soup_never_panics(text in soup(), mode in modes()) {
        read_all(&text, mode);
    }

    #[test]
    fn blanks_comments_and_literals_do_not_count(
        pieces in pieces(),
        literals in prop::collection::vec(literal_text(), 1..10),
        others in prop::collection::vec(literal_text(), 1..10),
        blanks in prop::collection::vec(blank(), 1..10),
    ) {
        let mode = LexMode::default();
        let plain = write(&pieces, &literals, &[" "]);
        let varied = write(&pieces, &others, &blanks);
        prop_assert_eq!(fingerprint(plain.as_bytes(), mode), fingerprint(varied.as_bytes(), mode), "{} / {}", plain, varied);
        prop_assert_eq!(analyze(plain.as_bytes(), mode), analyze(varied.as_bytes(), mode));
    }

    #[test]
    fn equal_fingerprints_mean_equal_digests_and_facts(one in soup(), other in soup(), mode in modes(), cut in 0usize..8) {
        // A text and a shortened one are likelier to collide than two of nothing in common.
        for other in [other, one[..one.len().saturating_sub(cut)].to_vec()] {
            let same = fingerprint(&one, mode) == fingerprint(&other, mode);
            prop_assert_eq!(same, digest(&one, mode) == digest(&other, mode));
            if same {
                prop_assert_eq!(analyze(&one, mode), analyze(&other, mode));
            }
        }
    }

    #[test]
    fn facts_follow_from_the_digest(text in soup(), mode in modes()) {
        // The normalised text, read again, has the facts of the text: nothing else was looked at.
        let statement = analyze(&text, mode);
        let digest = digest(&text, mode);
        let again = analyze(&digest, mode);
        // `. 1a` is a dot and a name, `.1a` a fraction.
        prop_assume!(!digest.windows(2).any(|pair| pair[0] == b'.' && pair[1].is_ascii_digit()));
        let unreadable = Effects::UNREADABLE;
        if statement.effects.contains(unreadable) {
            prop_assert!(again.effects.contains(unreadable), "{:?}", String::from_utf8_lossy(&text));
            return Ok(());
        }
        prop_assert!(
            statement.kind == again.kind && statement.effects == again.effects && statement.access == again.access,
            "{:?}\n{:?}\n{:?}", String::from_utf8_lossy(&text), statement, again
        );
    }

    #[test]
    fn statements_of_a_split_text_stand_alone(text in soup(), mode in modes()) {
        let mut previous = 0;
        for range in split(&text, mode) {
            prop_assert!(previous <= range.start);
            previous = range.end;
        }
    }
}
