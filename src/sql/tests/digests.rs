//! Which texts share a digest, and how a mode changes the tokens.

use crate::sql::{LexMode, LiteralKind, Server, fingerprint, fingerprint_keyed, literals, normalize};

fn mode() -> LexMode {
    LexMode::default()
}

fn digest(text: &[u8], mode: LexMode) -> String {
    let mut out = Vec::new();
    normalize(text, mode, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn check(text: impl AsRef<[u8]>, mode: LexMode, expected: &str) {
    assert_eq!(digest(text.as_ref(), mode), expected);
}

fn check_same(one: &str, other: &str) {
    assert_eq!(digest(one.as_bytes(), mode()), digest(other.as_bytes(), mode()));
    assert_eq!(fingerprint(one.as_bytes(), mode()), fingerprint(other.as_bytes(), mode()), "{one} / {other}");
}

fn check_different(one: &str, other: &str) {
    assert_ne!(digest(one.as_bytes(), mode()), digest(other.as_bytes(), mode()));
    assert_ne!(fingerprint(one.as_bytes(), mode()), fingerprint(other.as_bytes(), mode()), "{one} / {other}");
}

#[test]
fn literals_blanks_comments_and_list_lengths_do_not_count() {
    check_same("SELECT 1", " SELECT\n/* c */ 7e5 # c");
    check_same("SELECT a FROM t WHERE b='x'", "SELECT a FROM t WHERE b = \"it\\\"s\" ;");
    check_same("SELECT * FROM t WHERE id IN (1)", "SELECT * FROM t WHERE id IN (1,2,-3,NULL,x'41')");
    check_same("INSERT INTO t VALUES (1,2),(3,4)", "INSERT INTO t VALUES (1,2),(3,-4),(NULL,'x')");
    check_same("SELECT f(a,b)", "SELECT f ( a , b )");
    check_same("SELECT a.b", "SELECT a . b");
    check_same("SELECT ?", "SELECT 5");
}

#[test]
fn tokens_that_differ_have_digests_that_differ() {
    for (one, other) in [
        ("SELECT a <= b", "SELECT a < = b"),
        ("SELECT @x", "SELECT @ x"),
        ("SELECT @a.b", "SELECT @a .b"),
        ("SELECT @@x", "SELECT @@ x"),
        ("SELECT a.5", "SELECT a .5"),
        ("SELECT x'41'", "SELECT x '41'"),
        ("SELECT a/b", "SELECT a /*b"),
        ("SELECT a/ *b", "SELECT a /*b*/"),
        ("SELECT 'a", "SELECT 'a'"),
        ("SELECT `a`", "SELECT a"),
        ("SELECT /*!50000 a */", "SELECT /*!50001 a */"),
        ("SELECT /*! a */", "SELECT a"),
        ("SELECT /*+ a */ b", "SELECT b"),
        ("SELECT * FROM t LIMIT 1", "SELECT * FROM t LIMIT 1, 2"),
        ("SELECT f(1)", "SELECT f(1, 2)"),
        ("INSERT INTO t VALUES (1),(2)", "INSERT INTO t VALUES (1), ..."),
        ("INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (1),(2)"),
        ("SELECT LAST_INSERT_ID()", "SELECT LAST_INSERT_ID(1)"),
        ("SELECT 1; SELECT 2", "SELECT 1"),
        ("SELECT 1.e", "SELECT 1"),
        ("SELECT a\0", "SELECT a"),
    ] {
        check_different(one, other);
    }
}

#[test]
fn the_mode_decides_what_is_a_string() {
    let ansi = mode().with_sql_mode(b"STRICT_TRANS_TABLES, ansi_quotes");
    check("SELECT \"a\"\"b\", 'c'", ansi, "SELECT \"a\"\"b\", ?");
    check("SELECT \"a\"\"b\", 'c'", mode(), "SELECT ?, ?");
    check("SELECT @\"a\"", ansi, "SELECT @\"a\"");

    let no_escapes = mode().with_sql_mode(b"NO_BACKSLASH_ESCAPES");
    check(r"SELECT 'a\', b", no_escapes, "SELECT ?, b");
    check(r"SELECT 'a\', b", mode(), "SELECT \0");
    check(r"SELECT 'a\', b'", mode(), "SELECT ?");

    for (sql_mode, ansi_quotes, no_backslash_escapes) in [
        ("", false, false),
        ("ANSI", true, false),
        ("REAL_AS_FLOAT,PIPES_AS_CONCAT,ANSI_QUOTES,IGNORE_SPACE,ANSI", true, false),
        ("ORACLE", true, false),
        ("ANSI_QUOTES,NO_BACKSLASH_ESCAPES", true, true),
        ("4", true, false),
        ("1048576", false, true),
        ("TRADITIONAL", false, false),
    ] {
        let mode = mode().with_sql_mode(sql_mode.as_bytes());
        assert_eq!(
            (mode.ansi_quotes, mode.no_backslash_escapes),
            (ansi_quotes, no_backslash_escapes),
            "{sql_mode}"
        );
    }
}

#[test]
fn second_bytes_of_characters_are_no_quotes_and_no_escapes() {
    // In gbk 0xBF5C is one character: the string ends at the quote. Elsewhere `\` escapes it.
    let text = b"SELECT '\xBF\x5C', b";
    for charset in ["gbk", "big5", "gb18030"] {
        check(text, mode().with_charset(charset.as_bytes()), "SELECT ?, b");
    }
    check(b"SELECT '\x81\x5C', b", mode().with_charset(b"sjis"), "SELECT ?, b");
    check(b"SELECT '\x81\x5C', b", mode().with_charset(b"CP932"), "SELECT ?, b");
    check(text, mode().with_charset(b"utf8mb4"), "SELECT \0");
    check(text, mode().with_charset(b"latin1"), "SELECT \0");
    // Half-width katakana is one byte.
    check(b"SELECT '\xB1\x5C' ', b'", mode().with_charset(b"sjis"), "SELECT ?, \0");
    // A lead byte before a quote is no character.
    check(b"SELECT '\xBF', b", mode().with_charset(b"gbk"), "SELECT ?, b");
    // Names: `` ` `` may be a second byte.
    check(b"SELECT `\xBF\x60`, 'b'", mode().with_charset(b"gbk"), "SELECT `\u{FFFD}``, ?");
    check(
        b"SELECT \xBF\x5C\xBF\x7C FROM t",
        mode().with_charset(b"gbk"),
        "SELECT \u{FFFD}\\\u{FFFD}| FROM t",
    );
    check(b"SELECT '\x81\x30\x81\x30\x5C'', b", mode().with_charset(b"gb18030"), "SELECT ?, b");
}

#[test]
fn a_latin_no_break_space_is_a_blank() {
    check(b"SELECT\xA0GET_LOCK('a',1)", mode().with_charset(b"latin1"), "SELECT GET_LOCK(?, ?)");
    check(b"SELECT\xFFa", mode().with_charset(b"cp852"), "SELECT \0 a");
}

#[test]
fn long_texts_are_hashed_whole_and_shown_in_part() {
    let column = |n: usize| format!("column_{n}, ");
    let long: String = (0..10_000).map(column).collect();
    let one = format!("SELECT {long} a FROM t");
    let other = format!("SELECT {long} b FROM t");
    assert_ne!(fingerprint(one.as_bytes(), mode()), fingerprint(other.as_bytes(), mode()));
    let text = digest(one.as_bytes(), mode());
    assert!(text.ends_with(" ...") && text.len() < 33 * 1024);
    let name = "x".repeat(200_000);
    check_different(&format!("SELECT {name}"), &format!("SELECT {name}x"));
    // Many rows of one shape are short, whatever their number.
    let rows = vec!["(1, 'a')"; 50_000].join(",");
    check(format!("INSERT INTO t VALUES {rows}"), mode(), "INSERT INTO t VALUES (?, ?), ...");
}

#[test]
fn a_key_and_a_mode_change_the_fingerprint() {
    let text = b"SELECT 1";
    assert_ne!(fingerprint_keyed(text, mode(), 1), fingerprint_keyed(text, mode(), 2));
    assert_ne!(fingerprint(text, mode()), fingerprint(text, mode().with_sql_mode(b"ANSI_QUOTES")));
    let maria = LexMode::new(Server::from_version_text("5.5.5-10.11.6-MariaDB-1"));
    assert_ne!(fingerprint(text, mode()), fingerprint(text, maria));
    // Frozen: other processes keep results by it.
    assert_eq!(fingerprint(text, mode()).to_string(), FROZEN);
}

const FROZEN: &str = "3565ab48f4881554a08ea8b8b1100eab";

#[test]
fn versions_are_read_from_greetings() {
    for (text, expected) in [
        ("8.0.36", Server::MySql { version: 80_036 }),
        ("9.7.0-debug", Server::MySql { version: 90_700 }),
        ("5.5.5-10.11.6-MariaDB-0+deb12u1", Server::MariaDb { version: 101_106 }),
        ("11.4.2-MariaDB", Server::MariaDb { version: 110_402 }),
        ("", Server::MySql { version: 0 }),
        ("8", Server::MySql { version: 80_000 }),
        ("99999999999.0.0", Server::MySql { version: 0 }),
    ] {
        assert_eq!(Server::from_version_text(text), expected, "{text}");
    }
}

#[test]
fn literal_spans_cover_sign_and_quotes() {
    let text = "SELECT -1, a - 2, N'x', (-0x4D), NULL FROM t WHERE b IN (1, 'it''s') AND c IS NULL AND d = ?";
    let mut spans = Vec::new();
    literals(text.as_bytes(), mode(), &mut spans);
    let found: Vec<_> = spans.iter().map(|span| (&text[span.start..span.end], span.kind)).collect();
    use LiteralKind::{Null, Number, Placeholder, Text};
    assert_eq!(
        found,
        [
            ("1", Number),
            ("2", Number),
            ("N'x'", Text),
            ("-0x4D", Number),
            ("NULL", Null),
            ("1", Number),
            ("'it''s'", Text),
            ("?", Placeholder)
        ]
    );
}
