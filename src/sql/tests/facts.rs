//! Facts that depend on the mode.

use crate::sql::{Access, Effects, Kind, LexMode, Server, analyze, split};

fn mysql() -> LexMode {
    LexMode::new(Server::MySql { version: 80_036 })
}

fn maria() -> LexMode {
    LexMode::new(Server::MariaDb { version: 101_106 })
}

fn check(text: impl AsRef<[u8]>, mode: LexMode, kind: Kind, effects: Effects) {
    let statement = analyze(text.as_ref(), mode);
    assert_eq!((statement.kind, statement.effects), (kind, effects), "{}", statement.digest.text);
}

#[test]
fn a_quoted_function_is_called_under_ansi_quotes() {
    let ansi = mysql().with_sql_mode(b"ANSI_QUOTES");
    check("SELECT \"get_lock\"('a', 1)", ansi, Kind::Select, Effects::GET_LOCK);
    check("SELECT \"get_lock\"('a', 1)", mysql(), Kind::Select, Effects::NONE);
    check(
        "SET \"autocommit\" = 1",
        ansi,
        Kind::Set,
        Effects::SETS_SYSTEM_VARIABLE | Effects::SETS_AUTOCOMMIT,
    );
}

#[test]
fn strings_hide_nothing_in_any_mode() {
    let no_escapes = mysql().with_sql_mode(b"NO_BACKSLASH_ESCAPES");
    let text = r"SELECT '\', GET_LOCK('a', 1), '";
    check(text, mysql(), Kind::Select, Effects::NONE);
    check(r"SELECT '\', GET_LOCK('a', 1)", no_escapes, Kind::Select, Effects::GET_LOCK);
    let gbk = mysql().with_charset(b"gbk");
    check(b"SELECT '\xBF\x5C', GET_LOCK('a', 1)", gbk, Kind::Select, Effects::GET_LOCK);
    let latin = mysql().with_charset(b"latin1");
    check(b"SELECT\xA0GET_LOCK\xA0('a', 1)", latin, Kind::Select, Effects::GET_LOCK);
    let unknown = mysql().with_charset(b"cp866");
    check(b"SELECT\xFFGET_LOCK('a', 1)", unknown, Kind::Select, Effects::GET_LOCK | Effects::UNREADABLE);
    check(
        b"SELECT 1 # \0 , GET_LOCK('a', 1)",
        mysql(),
        Kind::Select,
        Effects::GET_LOCK | Effects::UNREADABLE,
    );
}

#[test]
fn the_kind_is_what_the_modes_server_executes() {
    let conditional = Effects::CONDITIONAL | Effects::EXECUTABLE_COMMENT;
    let set = Effects::SETS_SYSTEM_VARIABLE | conditional;
    check("/*!50701 SET a = 1 */", mysql(), Kind::Set, set);
    check("/*!50701 SET a = 1 */", maria(), Kind::Empty, set);
    check("/*M!100100 SET a = 1 */", mysql(), Kind::Empty, set);
    check("/*M!100100 SET a = 1 */", maria(), Kind::Set, set);
    check("/*!100100 SET a = 1 */", maria(), Kind::Set, set);
    check("/*!50701 SET */ /*M! DO */ a = 1", maria(), Kind::Do, set | Effects::UNREADABLE);
}

#[test]
fn dollar_quotes_are_distrusted_where_they_exist() {
    check("SELECT $a$b$", maria(), Kind::Select, Effects::NONE);
    check("SELECT $a$b$", mysql(), Kind::Select, Effects::UNREADABLE);
}

#[test]
fn several_statements_are_split_where_the_server_splits_them() {
    for (text, expected) in [
        ("", vec![]),
        (" ; ;", vec![]),
        ("SELECT 1", vec!["SELECT 1"]),
        ("SELECT 1;", vec!["SELECT 1"]),
        (
            "SELECT ';'; SELECT `;`/* ; */;# ;\nSELECT 3",
            vec!["SELECT ';'", " SELECT `;`/* ; */", "# ;\nSELECT 3"],
        ),
        (
            "CREATE PROCEDURE p() BEGIN SELECT 1; END; SELECT 2",
            vec!["CREATE PROCEDURE p() BEGIN SELECT 1; END", " SELECT 2"],
        ),
        ("SET a = ';'; SET b = 1", vec!["SET a = ';'", " SET b = 1"]),
        ("BEGIN; COMMIT", vec!["BEGIN", " COMMIT"]),
    ] {
        let found: Vec<_> = split(text.as_bytes(), mysql()).into_iter().map(|range| &text[range]).collect();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn an_unreadable_text_is_a_write() {
    for text in ["SELECT 'a", "SELECT 1 /* a", "SHOW TABLES LIKE 'a", "SELECT a\0b"] {
        let statement = analyze(text.as_bytes(), mysql());
        assert_eq!(statement.access, Access::Write, "{text}");
        assert!(statement.effects.contains(Effects::UNREADABLE), "{text}");
    }
}

#[test]
fn hostile_nesting_neither_overflows_nor_takes_for_ever() {
    for unit in [
        "(",
        "IF(",
        "f(1, ",
        "a IN (",
        "EXPLAIN (",
        "ANALYZE ",
        "SET STATEMENT a = (1) FOR ",
        "/*!50000 ",
        "WITH a AS (",
    ] {
        for prefix in ["", "SELECT ", "CREATE PROCEDURE p() ", "WITH a (b) AS "] {
            let text = prefix.to_owned() + &unit.repeat(20_000);
            let _ = analyze(text.as_bytes(), mysql());
        }
    }
}
