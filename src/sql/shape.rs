//! What a statement reaches and how widely: the tables it names, and whether it spares nothing.
//!
//! For rules about tables and about dangerous statements. Names are those that the text shows: what a
//! routine, a view or a prepared text reaches is known to the server alone.

use crate::sql::cursor::Cursor;
use crate::sql::effects::Effects;
use crate::sql::kind::Kind;
use crate::sql::literal::unquoted_name;
use crate::sql::mode::LexMode;
use crate::sql::reading::readings;
use crate::sql::statement::pass;
use crate::sql::token::{Token, TokenKind};
use crate::sql::verbs;

/// Tables of one text that are told apart.
const TABLES_MAX: usize = 64;

/// See the module's text. Of a text with several statements, or one that servers read differently, it is
/// the union.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Names of tables without their schemas, in lower case, in no order. Names of common table expressions
    /// and aliases may be among them.
    pub tables: Vec<Box<str>>,
    /// DROP of anything but a temporary table or a prepared statement.
    pub drops: bool,
    /// TRUNCATE.
    pub truncates: bool,
    /// UPDATE or DELETE with neither WHERE nor LIMIT.
    pub whole_table: bool,
}

/// The shape of `text`, which must be whole.
#[must_use]
pub fn shape(text: &[u8], mode: LexMode) -> Shape {
    let mut shape = Shape::default();
    for reading in readings(text, mode) {
        let mut cursor = Cursor::new(text, mode, reading);
        loop {
            while cursor.take_kind(TokenKind::Semicolon) {}
            if cursor.peek().kind == TokenKind::End {
                break;
            }
            statement(&mut cursor, &mut shape);
        }
    }
    shape
}

/// One statement, up to its end.
fn statement(cursor: &mut Cursor<'_>, shape: &mut Shape) {
    let mut inside = cursor.clone();
    let verb = verbs::verb(&mut cursor.clone());
    pass(cursor);
    let end = cursor.position();
    let first = inside.peek();
    shape.truncates |= verb.kind == Kind::Truncate;
    shape.drops |= match verb.kind {
        Kind::DropTable => verb.effects.contains(Effects::IMPLICIT_COMMIT),
        Kind::Ddl | Kind::Account => inside.is(first, "DROP"),
        _ => false,
    };
    if verb.body == verbs::Body::Routine {
        return;
    }
    let mut walk = Walk {
        kind: verb.kind,
        compound: verb.body == verbs::Body::Blocks,
        levels: vec![OUTSIDE],
        expects: false,
        previous: None,
        changes: matches!(verb.kind, Kind::Update | Kind::Delete),
        bounded: false,
        begins: true,
    };
    while inside.peek().kind != TokenKind::End && inside.position() < end {
        let token = inside.next();
        walk.token(&mut inside, token, shape);
    }
    walk.ends(shape);
}

/// What is known between two parentheses.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    /// A comma separates tables.
    list: bool,
    /// It is a query, so FROM names tables and does not belong to a function as in `EXTRACT(DAY FROM d)`.
    query: bool,
}

struct Walk {
    kind: Kind,
    /// Statements follow inside of this one.
    compound: bool,
    /// For each open parenthesis, and outside of all.
    levels: Vec<Level>,
    /// A table's name comes next.
    expects: bool,
    previous: Option<Token>,
    /// It is an UPDATE or DELETE,
    changes: bool,
    /// with a WHERE or LIMIT of its own.
    bounded: bool,
    /// At the first word of a statement.
    begins: bool,
}

impl Walk {
    fn token(&mut self, cursor: &mut Cursor<'_>, token: Token, shape: &mut Shape) {
        let begins = std::mem::take(&mut self.begins);
        match token.kind {
            TokenKind::Semicolon => self.ends(shape),
            TokenKind::Open => self.levels.push(Level { list: self.expects, query: false }),
            TokenKind::Close => {
                self.levels.pop();
                self.expects = false;
            }
            TokenKind::Comma => self.expects = self.level().list,
            // `.t` is the table t of no schema.
            TokenKind::Dot if self.expects => {}
            TokenKind::Word | TokenKind::Quoted => self.word(cursor, token, begins, shape),
            _ => self.expects = false,
        }
        self.previous = Some(token);
    }

    /// The innermost level; a parenthesis too many does no harm.
    fn level(&mut self) -> &mut Level {
        if self.levels.is_empty() {
            self.levels.push(OUTSIDE);
        }
        let last = self.levels.len() - 1;
        &mut self.levels[last]
    }

    /// The end of one statement.
    fn ends(&mut self, shape: &mut Shape) {
        shape.whole_table |= self.changes && !self.bounded;
        (self.changes, self.bounded, self.begins) = (false, false, true);
        self.levels = vec![OUTSIDE];
    }

    fn word(&mut self, cursor: &mut Cursor<'_>, token: Token, begins: bool, shape: &mut Shape) {
        let word = cursor.keyword(token);
        let outside = self.levels.len() <= 1;
        let after = |keyword: &str| self.previous.is_some_and(|previous| cursor.is(previous, keyword));
        let names_none = after("KEY") || after("FOR");
        let list = match word.as_str() {
            "FROM" => self.level().query,
            "JOIN" | "STRAIGHT_JOIN" | "UPDATE" => !names_none,
            "INTO" | "TABLE" | "TABLES" => true,
            "INSERT" | "REPLACE" | "TRUNCATE" => begins,
            "ON" => outside && self.kind == Kind::Ddl,
            _ => false,
        };
        if self.compound {
            self.inner(&word, begins, shape);
        }
        if self.kind == Kind::Analyze && outside && matches!(word.as_str(), "UPDATE" | "DELETE") {
            self.changes |= !names_none;
        }
        self.bounded |= outside && matches!(word.as_str(), "WHERE" | "LIMIT");
        self.level().query |= word == "SELECT";
        if list {
            self.expects = true;
            self.level().list = word != "INTO";
        } else if ENDS_LIST.contains(&word.as_str()) {
            self.expects = false;
            self.level().list = false;
        } else if self.expects && !MODIFIERS.contains(&word.as_str()) {
            self.expects = false;
            table(cursor, token, shape);
        }
    }

    /// A word of a compound statement, which holds others.
    fn inner(&mut self, word: &str, begins: bool, shape: &mut Shape) {
        match word {
            "BEGIN" | "THEN" | "ELSE" | "DO" | "LOOP" | "REPEAT" | "ATOMIC" => self.begins = true,
            "DROP" => shape.drops |= begins,
            "TRUNCATE" => shape.truncates |= begins,
            "UPDATE" | "DELETE" => self.changes |= begins,
            _ => {}
        }
    }
}

/// Outside of all parentheses.
const OUTSIDE: Level = Level { list: false, query: true };

/// Reads the rest of a name whose first part is `token`.
fn table(cursor: &mut Cursor<'_>, token: Token, shape: &mut Shape) {
    let mut last = token;
    while cursor.peek().kind == TokenKind::Dot {
        cursor.next();
        last = cursor.next();
    }
    let name = unquoted_name(cursor.bytes(last));
    let name = String::from_utf8_lossy(&name).to_lowercase().into_boxed_str();
    if shape.tables.len() < TABLES_MAX && !shape.tables.contains(&name) {
        shape.tables.push(name);
    }
}

/// Words between a keyword and the table that it is about.
const MODIFIERS: [&str; 10] =
    ["LOW_PRIORITY", "HIGH_PRIORITY", "DELAYED", "IGNORE", "QUICK", "ONLY", "IF", "NOT", "EXISTS", "LATERAL"];

/// Words after which no more tables of a list come.
const ENDS_LIST: [&str; 19] = [
    "SET",
    "WHERE",
    "GROUP",
    "HAVING",
    "ORDER",
    "LIMIT",
    "UNION",
    "SELECT",
    "VALUES",
    "VALUE",
    "WINDOW",
    "RETURNING",
    "OUTFILE",
    "DUMPFILE",
    "EXCEPT",
    "INTERSECT",
    "LIKE",
    "TO",
    "ADD",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;
    use crate::sql::mode::Server;

    fn of(text: &str) -> Shape {
        shape(text.as_bytes(), LexMode::new(Server::from_version_text("8.4.0")))
    }

    #[test]
    fn tables_are_found_where_statements_name_them() {
        let check = |text: &str, expected: &[&str]| {
            let mut tables = of(text).tables;
            tables.sort_unstable();
            let expected: Vec<Box<str>> = expected.iter().map(|name| (*name).into()).collect();
            assert_eq!(tables, expected, "{text}");
        };
        check("SELECT 1", &[]);
        check("SELECT a, b FROM t WHERE c IN (1, 2)", &["t"]);
        check(
            "select * from Shop.Orders o, `my table` AS m join c using (x, y) where f(1, d)",
            &["c", "my table", "orders"],
        );
        check("SELECT EXTRACT(DAY FROM d), TRIM(x FROM y), (SELECT MAX(z) FROM u) FROM t", &["t", "u"]);
        check(
            "SELECT * FROM (a, b) LEFT JOIN (SELECT 1 FROM c) AS s ON a.x = s.x, d ORDER BY e, f",
            &["a", "b", "c", "d"],
        );
        check("INSERT INTO t (a, b) VALUES (1, 2) ON DUPLICATE KEY UPDATE a = 3", &["t"]);
        check("REPLACE LOW_PRIORITY t SELECT REPLACE(a, 'x', 'y') FROM u", &["t", "u"]);
        check("UPDATE IGNORE t, u SET t.a = u.b WHERE t.id = u.id", &["t", "u"]);
        check("DELETE FROM t USING t JOIN u WHERE 1", &["t", "u"]);
        check("SELECT a FROM t FOR UPDATE", &["t"]);
        check("DROP TABLE IF EXISTS a, b", &["a", "b"]);
        check("TRUNCATE t", &["t"]);
        check("INSERT INTO .t SELECT a FROM .u, v", &["t", "u", "v"]);
        check("ALTER TABLE t ADD COLUMN c INT", &["t"]);
        check("CREATE INDEX i ON t (a, b)", &["t"]);
        check("LOCK TABLES t READ, u WRITE", &["t", "u"]);
        check("SELECT 1 FROM a; SELECT 2 FROM b", &["a", "b"]);
        check("SELECT a INTO OUTFILE 'x' FROM t", &["t"]);
        check("SELECT 1 /*!50000 FROM t */", &["t"]);
    }

    #[test]
    fn what_spares_nothing_is_known() {
        let check = |text: &str, drops: bool, truncates: bool, whole_table: bool| {
            let shape = of(text);
            assert_eq!(
                (shape.drops, shape.truncates, shape.whole_table),
                (drops, truncates, whole_table),
                "{text}"
            );
        };
        check("DELETE FROM t", false, false, true);
        check("delete from t where 1", false, false, false);
        check("UPDATE t SET a = (SELECT MAX(b) FROM u WHERE c = 1)", false, false, true);
        check("UPDATE t SET a = 1 LIMIT 5", false, false, false);
        check("UPDATE t SET a = 'WHERE' -- WHERE\n", false, false, true);
        check("UPDATE t SET a = 1 /*!50000 WHERE b = 2 */", false, false, true);
        check("WITH c AS (SELECT 1 FROM u WHERE 1) DELETE FROM t", false, false, true);
        check("SELECT 1; UPDATE t SET a = 1", false, false, true);
        check("SET STATEMENT max_statement_time = 1 FOR DELETE FROM t", false, false, true);
        check("EXPLAIN DELETE FROM t", false, false, false);
        check("ANALYZE DELETE FROM t", false, false, true);
        check("INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE a = 1", false, false, false);
        check("SELECT * FROM t FOR UPDATE", false, false, false);
        check("TRUNCATE TABLE t", false, true, false);
        check("DROP TABLE t", true, false, false);
        check("DROP TEMPORARY TABLE t", false, false, false);
        check("DROP DATABASE d", true, false, false);
        check("DROP PREPARE p", false, false, false);
        check("/*!50000 DROP */ TABLE t", true, false, false);
        check("BEGIN NOT ATOMIC SELECT 1; DROP TABLE t; UPDATE u SET a = 1; END", true, false, true);
        check("CREATE PROCEDURE p() BEGIN DROP TABLE t; DELETE FROM u; END", false, false, false);
    }

    proptest! {
        #[test]
        fn random_text_never_panics(text in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = shape(&text, LexMode::new(Server::from_version_text("10.11.6-MariaDB")));
        }

        #[test]
        fn random_words_never_panic(words in proptest::collection::vec("(SELECT|FROM|UPDATE|DELETE|[a-c]|[(),;.]|BEGIN|END|IF|/\\*!|\\*/)", 0..30)) {
            let _ = shape(words.join(" ").as_bytes(), LexMode::new(Server::from_version_text("10.11.6-MariaDB")));
        }
    }
}
