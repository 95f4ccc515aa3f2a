//! The statement tree: `tests/golden/sql/trees.txt` as outlines, what is unparsed among it, and its limits.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use proptest::prelude::{Strategy, any, prop, proptest};

use crate::sql::tree::{hints, parse};
use crate::sql::{ClientCharset, LexMode, Server};

/// The mode that the first column names: words of `sql_mode`, a charset, `maria`, or nothing.
fn mode(words: &str) -> LexMode {
    let server = match words.contains("maria") {
        true => Server::MariaDb { version: 101_119 },
        false => Server::MySql { version: 80_036 },
    };
    let mut mode = LexMode::new(server).with_sql_mode(words.replace(' ', ",").as_bytes());
    if words.contains("gbk") {
        mode.charset = ClientCharset::Gbk;
    }
    mode
}

fn answer(words: &str, text: &str) -> String {
    let text = text.replace('⏎', "\n");
    match parse(text.as_bytes(), mode(words)) {
        Ok(tree) => tree.outline(text.as_bytes()),
        Err(unparsed) => format!("unparsed: {unparsed}"),
    }
}

fn check(source: &str, name: &str, kinds: &[&str]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sql");
    let statements = fs::read_to_string(folder.join(source)).unwrap();
    let mut answers = String::new();
    for line in statements.lines() {
        let (words, text) = line.split_once('|').unwrap();
        if kinds.is_empty() || kinds.contains(&words) {
            let words = if kinds.is_empty() { words } else { "" };
            let _ = write!(answers, "{line}\n  {}\n", answer(words, text));
        }
    }
    let file = folder.join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, &answers).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    for (expected, found) in expected.lines().zip(answers.lines()) {
        assert_eq!(expected, found, "{}; UPDATE_GOLDEN=1 rewrites it", file.display());
    }
    assert_eq!(expected.lines().count(), answers.lines().count(), "{}", file.display());
}

#[test]
fn what_binds_tighter_is_as_in_mysqls_grammar() {
    check("trees.txt", "trees.golden", &[]);
}

#[test]
fn statements_of_the_corpus_have_their_trees() {
    let kinds = [
        "select", "join", "hint", "json", "window", "cte", "setop", "insert", "update", "delete", "lit",
        "lock", "app",
    ];
    check("statements.txt", "statements.trees", &kinds);
}

#[test]
fn nesting_and_chains_end_in_an_error_and_not_in_a_crash() {
    let unparsed = |text: String| assert!(parse(text.as_bytes(), LexMode::default()).is_err());
    let many = |piece: &str, count: usize| piece.repeat(count);
    let deep = 100_000;
    unparsed(format!("SELECT {}1{}", many("(", deep), many(")", deep)));
    unparsed(format!("SELECT {}1", many("-", deep)));
    unparsed(format!("SELECT {}1", many("NOT ", deep)));
    unparsed(format!("SELECT 1{}", many("+1", deep)));
    unparsed(format!("SELECT 1{}", many(" = 1", deep)));
    unparsed(format!("SELECT 1{}", many(" XOR 1", deep)));
    unparsed(format!("SELECT * FROM t{}", many(" JOIN t", deep)));
    unparsed(format!("SELECT * FROM t{}", many(" LEFT JOIN t", 3000) + &many(" ON 1", 3000)));
    unparsed(format!("SELECT * FROM {}t{}", many("(", deep), many(")", deep)));
    unparsed(format!("SELECT {}1{}", many("(SELECT ", deep), many(")", deep)));
    unparsed(format!("SELECT 1 FROM {}t{}", many("(SELECT 1 FROM ", deep), many(") x", deep)));
    unparsed(format!("SELECT {}1{}", many("CASE ", deep), many(" WHEN 1 THEN 1 END", deep)));
    unparsed(format!("SELECT {}1{}", many("f(", deep), many(")", deep)));
    unparsed(format!("WITH {} SELECT 1", many("a AS (", deep)));
    unparsed(format!("SELECT {}", many("a BETWEEN ", deep)));
    unparsed(format!("SELECT {}", many("@a := ", deep)));
}

#[test]
fn wide_statements_are_read() {
    let parsed = |text: String| parse(text.as_bytes(), LexMode::default()).unwrap();
    let many = |piece: &str, count: usize| piece.repeat(count);
    parsed(format!("SELECT * FROM t WHERE a = 1{}", many(" OR a = 1", 40_000)));
    parsed(format!("SELECT * FROM t WHERE a IN (1{})", many(", 1", 100_000)));
    parsed(format!("SELECT 1{}", many(" UNION SELECT 1", 20_000)));
    parsed(format!("INSERT INTO t VALUES (1, 2){}", many(", (3, 4)", 50_000)));
    parsed(format!("SELECT {}1{}", many("(", 95), many(")", 95)));
}

#[test]
fn hints_to_the_proxy_are_found_wherever_they_stand() {
    let found = |text: &str| -> Vec<String> {
        let hints = hints(text.as_bytes(), LexMode::default());
        hints.iter().map(|hint| text[hint.content.range()].to_owned()).collect()
    };
    assert_eq!(found("SELECT /*+ dazzle: shard=a, primary */ 1"), ["shard=a, primary"]);
    assert_eq!(found("/*+ DAZZLE:slot=7*/ DELETE FROM t"), ["slot=7"]);
    assert_eq!(found("SELECT '/*+ dazzle: slot=1 */', 1 -- /*+ dazzle: slot=2 */"), [""; 0]);
    assert_eq!(found("SELECT /*+ MAX_EXECUTION_TIME(1) */ 1 /*+ dazzle: scatter */"), ["scatter"]);
    assert_eq!(found("SELECT /* /*+ dazzle: slot=1 */ 1"), [""; 0]);
    assert_eq!(found("SELECT /*+ dazzle: slot=1"), [""; 0]);
}

/// Words of statements that parse, so that soup of them gets far.
const SOUP: &[&str] = &[
    "SELECT",
    "SELECT * FROM t WHERE",
    "FROM",
    "t",
    "a",
    "WHERE",
    "(",
    "(",
    ")",
    ")",
    ",",
    "JOIN",
    "LEFT JOIN",
    "ON",
    "USING",
    "NATURAL",
    "AS",
    "x",
    "=",
    "<=>",
    "IN",
    "IN (",
    "BETWEEN",
    "AND",
    "OR",
    "NOT",
    "LIKE",
    "IS",
    "NULL",
    "1",
    "'a'",
    "?",
    "@a",
    "@@b",
    ":=",
    "-",
    "*",
    ".",
    "->",
    "CASE",
    "WHEN",
    "THEN",
    "END",
    "CAST(",
    "COUNT(",
    "COUNT(*)",
    "OVER",
    "OVER (",
    "PARTITION BY",
    "INTERVAL",
    "DAY",
    "UNION",
    "UNION ALL",
    "INTERSECT",
    "VALUES",
    "ROW",
    "WITH",
    "GROUP BY",
    "HAVING",
    "ORDER BY",
    "LIMIT",
    "FOR UPDATE",
    "INTO",
    "INSERT INTO t",
    "REPLACE",
    "SET",
    "UPDATE t SET",
    "DELETE FROM t",
    "ON DUPLICATE KEY UPDATE",
    "EXISTS",
    "ANY (",
    "COLLATE",
    "MATCH",
    "AGAINST",
    "DISTINCT",
    "EXPLAIN",
    "/*!50000",
    "*/",
    "/*+",
    ";",
    "||",
    "{",
    "}",
    "TRIM(",
    "LEADING",
    "JSON_TABLE(",
    "DUAL",
    "LATERAL",
    "`q`",
    "é",
];

/// Every node of a tree has bytes of the text.
fn read(text: &[u8], mode: LexMode) {
    let _ = hints(text, mode);
    if let Ok(tree) = parse(text, mode) {
        let _ = tree.outline(text);
        for expr in tree.exprs() {
            assert!(expr.span.start < expr.span.end && text.get(expr.span.range()).is_some());
        }
    }
}

proptest! {
    #[test]
    fn random_bytes_have_a_tree_or_none(text in prop::collection::vec(any::<u8>(), 0..200), words in "[a-zA-Z_ ]{0,40}") {
        read(&text, mode(&words));
    }

    #[test]
    fn soup_of_statements_has_a_tree_or_none(
        text in prop::collection::vec(prop::sample::select(SOUP), 0..40).prop_map(|words| words.join(" ")),
        words in prop::sample::select(&["", "maria", "ANSI", "HIGH_NOT_PRECEDENCE", "gbk NO_BACKSLASH_ESCAPES"][..]),
    ) {
        read(text.as_bytes(), mode(words));
    }
}
