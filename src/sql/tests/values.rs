//! Values that are read per execution.

use std::borrow::Cow;

use crate::sql::{
    KillId, KillScope, LexMode, Literal, kill_target, literal, prepared_name, savepoint_name,
    select_variables, set_assignments, use_schema,
};

fn mode() -> LexMode {
    LexMode::default()
}

/// Assignments as `target name value`.
fn assignments(text: &str) -> Option<Vec<String>> {
    let found = set_assignments(text.as_bytes(), mode())?;
    let show = |assignment: crate::sql::Assignment<'_>| {
        let name = String::from_utf8_lossy(&assignment.name).into_owned();
        format!("{:?} {name} {}", assignment.target, &text[assignment.value]).replace("  ", " ")
    };
    Some(found.into_iter().map(show).collect())
}

#[test]
fn assignments_of_set() {
    for (text, expected) in [
        ("SET a = 1", vec!["Session a 1"]),
        (" ; set session A=1 , b := 'x,y' ;", vec!["Session A 1", "Session b 'x,y'"]),
        ("SET @@a = 1, @@session.b = 2, @@global . c = 3", vec!["Session a 1", "Session b 2", "Global c 3"]),
        ("SET GLOBAL a = 1, b = 2, @@c = 3", vec!["Global a 1", "Global b 2", "Session c 3"]),
        ("SET `a``b` = f(1, 2), c.d = (1)", vec!["Session a`b f(1, 2)", "Session c.d (1)"]),
        (
            "SET @a = 1, @`b c` := 2, @'d\\'e' = 3, @ = 4",
            vec!["User a 1", "User b c 2", "User d'e 3", "User 4"],
        ),
        ("SET PERSIST a = 1, PERSIST_ONLY b = 2", vec!["Persist a 1", "PersistOnly b 2"]),
        ("SET NAMES utf8mb4", vec!["Names utf8mb4"]),
        ("SET NAMES 'utf8' COLLATE utf8_bin, a = 1", vec!["Names 'utf8' COLLATE utf8_bin", "Session a 1"]),
        ("SET a = 1, NAMES DEFAULT", vec!["Session a 1", "Names DEFAULT"]),
        ("SET CHARACTER SET utf8", vec!["CharacterSet utf8"]),
        ("SET CHARSET DEFAULT", vec!["CharacterSet DEFAULT"]),
        (
            "SET names = 1, session = 2, transaction = 3",
            vec!["Session names 1", "Session session 2", "Session transaction 3"],
        ),
        ("SET TRANSACTION READ ONLY", vec!["NextTransaction transaction_read_only READ ONLY"]),
        (
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE",
            vec!["Session transaction_isolation READ COMMITTED", "Session transaction_read_only READ WRITE"],
        ),
        (
            "SET @@tx_isolation = 'x', transaction_isolation = 'y'",
            vec!["NextTransaction tx_isolation 'x'", "Session transaction_isolation 'y'"],
        ),
        ("SET PASSWORD = 'x'", vec!["Password = 'x'"]),
        ("SET ROLE a, b", vec!["Role a, b"]),
        ("SET DEFAULT ROLE ALL TO u", vec!["DefaultRole ALL TO u"]),
        ("SET RESOURCE GROUP g", vec!["ResourceGroup g"]),
        ("/*!40101 SET a = 1 */", vec!["Session a 1"]),
        ("SET /* c */ a /* d */ = -- e\n 1 # f", vec!["Session a 1"]),
    ] {
        assert_eq!(assignments(text).as_deref(), Some(expected.map_strings().as_slice()), "{text}");
    }
}

trait MapStrings {
    fn map_strings(self) -> Vec<String>;
}

impl MapStrings for Vec<&str> {
    fn map_strings(self) -> Vec<String> {
        self.into_iter().map(str::to_owned).collect()
    }
}

#[test]
fn what_is_no_single_set_has_no_assignments() {
    for text in [
        "",
        "SELECT 1",
        "SET",
        "SET a",
        "SET a =",
        "SET a = 1,",
        "SET a = 1; SET b = 2",
        "SET a = (1",
        "SET a = 1)",
        "SET a = 'x",
        "SET a == 1 /*",
        "SET STATEMENT a = 1 FOR SELECT 2",
        "SET @@ = 1",
        "SET 1 = 2",
        "/*!99999 SET a = 1 */",
    ] {
        assert_eq!(assignments(text), None, "{text}");
    }
}

#[test]
fn constants() {
    let text = |value: &'static [u8]| Some(Literal::Text(Cow::Borrowed(value)));
    for (expression, expected) in [
        ("1", Some(Literal::Integer(1))),
        ("- 5", Some(Literal::Integer(-5))),
        ("18446744073709551615", Some(Literal::Integer(18_446_744_073_709_551_615))),
        ("1.5", Some(Literal::Number(b"1.5"))),
        ("-1e3", Some(Literal::Number(b"-1e3"))),
        ("'a''b\\n\\%\\x'", text(b"a'b\n\\%x")),
        ("\"a\"\"b'\"", text(b"a\"b'")),
        ("''", text(b"")),
        ("n'x'", text(b"x")),
        ("ON", Some(Literal::Word(Cow::Borrowed(b"ON")))),
        ("`a``b`", Some(Literal::Word(Cow::Borrowed(b"a`b")))),
        ("default", Some(Literal::Default)),
        ("null", Some(Literal::Null)),
        ("\\N", Some(Literal::Null)),
        ("", None),
        ("1 + 1", None),
        ("f(1)", None),
        ("@a", None),
        ("_utf8'x'", None),
        ("0x41", None),
        ("-'a'", None),
        ("- - 1", None),
        ("'a' 'b'", None),
    ] {
        let found = literal(expression.as_bytes(), 0..expression.len(), mode());
        assert_eq!(found, expected, "{expression}");
    }
    assert_eq!(literal(b"abc", 2..9, mode()), None);
    let no_escapes = mode().with_sql_mode(b"NO_BACKSLASH_ESCAPES");
    assert_eq!(literal(br"'a\n'", 0..5, no_escapes), text(br"a\n"));
    let gbk = mode().with_charset(b"gbk");
    assert_eq!(literal(b"'\xBF\x5C\x5C''", 0..6, gbk), text(b"\xBF\x5C'"));
}

#[test]
fn names() {
    let schema =
        |text: &str| use_schema(text.as_bytes(), mode()).map(|name| String::from_utf8(name).unwrap());
    assert_eq!(schema("USE a").as_deref(), Some("a"));
    assert_eq!(schema("/* c */ use `a``b`;").as_deref(), Some("a`b"));
    assert_eq!(schema("USE 1a").as_deref(), Some("1a"));
    for text in ["USE", "USE a b", "USE 'a'", "USE a; SELECT 1", "SELECT 1", "USE a.b"] {
        assert_eq!(schema(text), None, "{text}");
    }
    let savepoint = |text: &str| savepoint_name(text.as_bytes(), mode());
    for text in ["SAVEPOINT a", "RELEASE SAVEPOINT a", "ROLLBACK TO a", "ROLLBACK WORK TO SAVEPOINT `a`"] {
        assert_eq!(savepoint(text).as_deref(), Some(&b"a"[..]), "{text}");
    }
    assert_eq!(savepoint("ROLLBACK TO savepoint").as_deref(), Some(&b"savepoint"[..]));
    assert_eq!(savepoint("ROLLBACK"), None);
    let prepared = |text: &str| prepared_name(text.as_bytes(), mode());
    for text in ["PREPARE a FROM 'x'", "EXECUTE a USING @b", "DEALLOCATE PREPARE a", "DROP PREPARE `a`"] {
        assert_eq!(prepared(text).as_deref(), Some(&b"a"[..]), "{text}");
    }
    assert_eq!(prepared("EXECUTE IMMEDIATE 'x'"), None);
    assert_eq!(prepared("DROP TABLE a"), None);
}

#[test]
fn kill_targets() {
    for (text, expected) in [
        ("KILL 5", Some((KillScope::Connection, KillId::Number(5)))),
        ("kill connection 5;", Some((KillScope::Connection, KillId::Number(5)))),
        ("KILL QUERY 5", Some((KillScope::Query, KillId::Number(5)))),
        ("KILL SOFT QUERY 5", Some((KillScope::Query, KillId::Number(5)))),
        ("KILL QUERY CONNECTION_ID()", Some((KillScope::Query, KillId::Expression(11..26)))),
        ("KILL -1", Some((KillScope::Connection, KillId::Expression(5..7)))),
        ("KILL", None),
        ("KILL USER a", None),
        ("KILL QUERY ID 5", None),
        ("KILL 5; SELECT 1", None),
        ("SELECT 1", None),
    ] {
        let found = kill_target(text.as_bytes(), mode()).map(|target| (target.scope, target.id));
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn selected_variables() {
    let read = |text: &str| {
        let columns = select_variables(text.as_bytes(), mode())?;
        let show = |column: crate::sql::SelectedVariable| {
            format!("{:?} {} {}", column.scope, column.name, String::from_utf8(column.column).unwrap())
        };
        Some(columns.into_iter().map(show).collect::<Vec<_>>())
    };
    for (text, expected) in [
        ("SELECT @@version_comment LIMIT 1", vec!["None version_comment @@version_comment"]),
        ("select @@SESSION.a AS x, @@global.`b` y;", vec!["Some(Session) a x", "Some(Global) b y"]),
        ("/* c */ SELECT @@A 'x y', @@b", vec!["None a x y", "None b @@b"]),
    ] {
        assert_eq!(read(text), Some(expected.map_strings()), "{text}");
    }
    for text in [
        "SELECT 1",
        "SELECT @@a, 1",
        "SELECT @@a FROM t",
        "SELECT @@a LIMIT 0",
        "SELECT @@a LIMIT ?",
        "SELECT @@a LIMIT 1, 2",
        "SELECT @@a LIMIT 1; SELECT 2",
        "SELECT @@a + 1",
        "SELECT @@a AS",
        "SELECT @@a AS 5",
        "SELECT @a",
        "SELECT DISTINCT @@a",
        "SELECT @@a INTO @b",
        "SELECT @@a AND 1",
        "SELECT @@a 'unterminated",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
}
