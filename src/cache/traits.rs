//! What a digest means to the cache: whether its result may be kept, which tables that reads, what it may change.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::cache::functions::is_repeatable;
use crate::cache::keys::may_name_rows;
use crate::cache::tables::Slot;
use crate::sql::tree::{Body, Constant, Expr, ExprKind, QueryId, Root, TableKind, Tree, parse};
use crate::sql::{Access, Effects, Kind, LexMode, Shape, Statement};

/// Longer texts are not kept: to hash them costs as much as it saves.
const TEXT_MAX: usize = 64 << 10;

/// As many tables as [`Shape`] tells apart; a text with so many may name more.
const TABLES_MAX: usize = 64;

/// Schemas whose tables are the server's own views of itself.
const SYSTEM_SCHEMAS: [&str; 5] = ["information_schema", "performance_schema", "mysql", "sys", "ndbinfo"];

/// Words that look like columns and are none, on one of the servers or in one of its modes.
const NO_COLUMNS: [&str; 9] = [
    "CURRVAL",
    "LASTVAL",
    "NEXTVAL",
    "ROWNUM",
    "SYSDATE",
    "SYSTIMESTAMP",
    "USER",
    "UTC_TIMESTAMP",
    "ROW_START",
];

/// See the module's text.
#[derive(Debug, Default)]
pub struct Traits {
    /// Its result may be kept, if a rule says so.
    pub reads: Option<Reads>,
    /// What it may change.
    pub change: Change,
    /// INSERT DELAYED: its server tells the client before it has happened.
    pub delayed: bool,
    /// Where writes of the tables that it changes are counted.
    pub changed: Arc<[Slot]>,
    /// It may name the rows of its only table that it is about, if it is read in this mode.
    pub names_rows: Option<LexMode>,
    /// The rule it falls under, as the cache has worked it out last.
    pub(crate) verdict: AtomicU64,
}

/// What a result that may be kept was read from. Names are in lower case, without schemas.
#[derive(Debug, Default)]
pub struct Reads {
    /// Tables that a rule must name.
    pub named: Box<[Box<str>]>,
    /// These, and common table expressions, which may hide a table of the same name.
    pub tables: Box<[Box<str>]>,
    /// Where the writes of any rows of `tables` are counted.
    pub slots: Arc<[Slot]>,
}

/// What a statement may change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Change {
    /// No table.
    #[default]
    Nothing,
    /// Tables of these names, and what those stand for.
    Tables(Box<[Box<str>]>),
    /// Nobody knows what.
    Everything,
    /// The same, and what names stand for.
    Definitions,
}

impl Traits {
    /// Of the digest of `text`, which has been analysed.
    #[must_use]
    pub fn of(statement: &Statement, shape: &Shape, text: &[u8], mode: LexMode) -> Self {
        let change = change(statement, shape);
        let (reads, changed) = match &change {
            Change::Nothing => (reads(statement, text, mode), Arc::default()),
            Change::Tables(names) => (None, names.iter().map(|name| Slot::of(name)).collect()),
            Change::Everything | Change::Definitions => (None, Arc::default()),
        };
        let mut words = statement.digest.text.split(' ').take(3);
        let delayed = matches!(statement.kind, Kind::Insert | Kind::Replace)
            && words.any(|word| word.eq_ignore_ascii_case("DELAYED"));
        let one = match (&reads, &change) {
            (Some(reads), _) => reads.tables.len() == 1,
            (None, Change::Tables(names)) => names.len() == 1,
            (None, Change::Nothing | Change::Everything | Change::Definitions) => false,
        };
        let names_rows = (one && may_name_rows(text, mode)).then_some(mode);
        Self { reads, change, changed, delayed, names_rows, verdict: AtomicU64::default() }
    }
}

/// Whether this schema holds the server's own tables.
#[must_use]
pub fn is_system_schema(name: &[u8]) -> bool {
    SYSTEM_SCHEMAS.iter().any(|schema| name.eq_ignore_ascii_case(schema.as_bytes()))
}

/// Effects with which nobody knows what a statement changes.
const OPAQUE: Effects = Effects::CALLS_PROCEDURE
    .with(Effects::CALLS_UNKNOWN_FUNCTION)
    .with(Effects::TEXT_EXECUTE)
    .with(Effects::UNREADABLE)
    .with(Effects::XA);

fn change(statement: &Statement, shape: &Shape) -> Change {
    let effects = statement.effects;
    if effects.contains(Effects::SETS_GLOBAL) {
        return Change::Definitions;
    }
    if effects.intersects(OPAQUE) || effects.contains(Effects::MULTIPLE) && statement.access == Access::Write
    {
        let defines = defines(statement.kind) || effects.contains(Effects::IMPLICIT_COMMIT);
        return if defines { Change::Definitions } else { Change::Everything };
    }
    match statement.kind {
        Kind::Insert | Kind::Replace | Kind::Update | Kind::Delete | Kind::Truncate | Kind::Load => {
            named(shape)
        }
        Kind::Analyze | Kind::Explain if statement.access == Access::Write => named(shape),
        // Only the session itself sees temporary tables.
        Kind::CreateTable if !effects.contains(Effects::IMPLICIT_COMMIT) => Change::Nothing,
        Kind::DropTable if !effects.contains(Effects::IMPLICIT_COMMIT) => Change::Nothing,
        kind if defines(kind) => Change::Definitions,
        Kind::Call | Kind::Execute | Kind::Xa | Kind::Maintenance | Kind::Compound => Change::Everything,
        _ => Change::Nothing,
    }
}

/// Whether statements of this kind may change what names stand for, or who may read.
fn defines(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::CreateTable
            | Kind::DropTable
            | Kind::Ddl
            | Kind::Account
            | Kind::Flush
            | Kind::Reset
            | Kind::Replication
            | Kind::Admin
            | Kind::Unknown
    )
}

fn named(shape: &Shape) -> Change {
    match shape.tables.len() {
        0 | TABLES_MAX.. => Change::Everything,
        _ => Change::Tables(shape.tables.clone().into()),
    }
}

fn reads(statement: &Statement, text: &[u8], mode: LexMode) -> Option<Reads> {
    let plain = statement.effects.without(Effects::SKIPS_ROWS).is_empty();
    let unwilling = statement.digest.text.to_ascii_uppercase().contains("SQL_NO_CACHE");
    let select = statement.kind == Kind::Select && statement.access == Access::Read;
    if !plain || !select || unwilling || text.len() > TEXT_MAX {
        return None;
    }
    let tree = parse(text, mode).ok()?;
    let query = matches!(tree.root, Root::Query(_)) && tree.explain.is_none() && !tree.executable_comment;
    if !query || !tree.exprs().iter().all(|expr| is_repeatable_expression(expr, text)) {
        return None;
    }
    let mut hidden: Vec<Box<str>> = Vec::new();
    for query in tree.queries() {
        if query.locks.is_some() || query.into.is_some() {
            return None;
        }
        if let Body::Select(select) = &query.body
            && (select.into.is_some() || select.calc_found_rows.is_some())
        {
            return None;
        }
        for common in query.with.iter().flat_map(|with| &*with.tables) {
            hidden.push(plain_name(&common.name.name(text))?);
        }
    }
    let tables = table_names(&tree, text)?;
    let named: Box<[Box<str>]> = tables.iter().filter(|name| !hidden.contains(name)).cloned().collect();
    let slots = tables.iter().flat_map(|name| [Slot::of(name), Slot::of_rows(name)]).collect();
    (!named.is_empty()).then(|| Reads { named, tables: tables.into(), slots })
}

fn table_names(tree: &Tree, text: &[u8]) -> Option<Vec<Box<str>>> {
    let mut tables = Vec::new();
    for table in tree.tables() {
        match &table.kind {
            TableKind::Table { name, .. } => {
                if name.schema.is_some_and(|schema| is_system_schema(&schema.name(text))) {
                    return None;
                }
                let name = plain_name(&name.table.name(text))?;
                if !tables.contains(&name) {
                    tables.push(name);
                }
            }
            TableKind::Derived { .. } | TableKind::Join(_) => {}
            // Its columns may be of any type.
            TableKind::Json { .. } => return None,
        }
    }
    Some(tables)
}

/// A name in lower case. How servers fold letters beyond ASCII is their own affair.
fn plain_name(name: &[u8]) -> Option<Box<str>> {
    let name = std::str::from_utf8(name).ok().filter(|name| name.is_ascii())?;
    Some(name.to_ascii_lowercase().into())
}

/// Whether the expression, apart from what is inside of it, always has the same value for the same rows.
fn is_repeatable_expression(expr: &Expr, text: &[u8]) -> bool {
    match &expr.kind {
        ExprKind::UserVariable
        | ExprKind::SystemVariable
        | ExprKind::Assign(_)
        | ExprKind::Default
        | ExprKind::DefaultOf(_)
        | ExprKind::ValuesOf(_) => false,
        ExprKind::Call(call) => call.name.as_deref().is_some_and(is_repeatable),
        ExprKind::Column(name) => {
            let name = name.column.of(text).to_ascii_uppercase();
            !NO_COLUMNS.iter().any(|word| name == word.as_bytes())
        }
        // A server takes today's date where it needs that of a TIME.
        ExprKind::Cast(_, to) => !makes_time(to.of(text)),
        ExprKind::Constant(Constant::Other) => {
            let constant = expr.span.of(text).trim_ascii_start();
            !constant.contains(&b'{')
                && !makes_time(constant.split(|byte| *byte == b'\'').next().unwrap_or(&[]))
        }
        ExprKind::Constant(_)
        | ExprKind::Parameter(_)
        | ExprKind::Prefix(..)
        | ExprKind::Binary(..)
        | ExprKind::And(_)
        | ExprKind::Or(_)
        | ExprKind::Xor(..)
        | ExprKind::Not(_)
        | ExprKind::Compare(..)
        | ExprKind::Quantified { .. }
        | ExprKind::Is(..)
        | ExprKind::In(..)
        | ExprKind::InQuery(..)
        | ExprKind::Between(..)
        | ExprKind::Match(..)
        | ExprKind::Row(_)
        | ExprKind::Subquery(QueryId { .. })
        | ExprKind::Exists(_)
        | ExprKind::Case(_)
        | ExprKind::Collate(..)
        | ExprKind::Interval(..)
        | ExprKind::FullText(_) => true,
    }
}

/// Whether a type, or the word before a literal, is TIME.
fn makes_time(words: &[u8]) -> bool {
    let words = words.to_ascii_uppercase();
    let at = memchr::memmem::find_iter(&words, b"TIME");
    let mut alone = at.filter(|at| {
        let letter = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphabetic);
        !letter(at.checked_sub(1).and_then(|before| words.get(before))) && !letter(words.get(at + 4))
    });
    alone.next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Server, analyze, shape};

    fn of(text: &str) -> Traits {
        let mode = LexMode::new(Server::from_version_text("10.11.6-MariaDB"));
        Traits::of(&analyze(text.as_bytes(), mode), &shape(text.as_bytes(), mode), text.as_bytes(), mode)
    }

    #[test]
    fn results_that_follow_from_tables_and_text_may_be_kept() {
        let check = |text: &str, expected: &[&str]| {
            let reads = of(text).reads.unwrap_or_else(|| panic!("it may be kept: {text}"));
            let tables: Vec<&str> = reads.named.iter().map(|name| &**name).collect();
            assert_eq!(tables, expected, "{text}");
        };
        check("SELECT a, b FROM Menu WHERE id = 5 AND c LIKE 'x%'", &["menu"]);
        check(
            "select count(*), max(p) from shop.menu m join `Items` i using (id) group by m.a",
            &["menu", "items"],
        );
        check("(SELECT a FROM t) UNION ALL (SELECT b FROM u) ORDER BY 1 LIMIT 5, 10", &["t", "u"]);
        check(
            "SELECT (SELECT MAX(x) FROM u WHERE u.a = t.a) FROM t WHERE EXISTS (SELECT 1 FROM v)",
            &["u", "t", "v"],
        );
        check("WITH c AS (SELECT * FROM t) SELECT * FROM c, u", &["t", "u"]);
        check("SELECT CAST(a AS DATETIME), b + INTERVAL 1 DAY FROM t WHERE d = DATE '2020-01-01'", &["t"]);
        check("SELECT IF(a > 1, 'x', CONCAT(b, 'now()')) FROM t", &["t"]);
    }

    #[test]
    fn what_may_be_another_answer_next_time_is_not_kept() {
        for text in [
            "SELECT 1",
            "SELECT NOW(), a FROM t",
            "SELECT a FROM t WHERE d > CURRENT_DATE",
            "SELECT a FROM t WHERE d > UTC_TIMESTAMP",
            "SELECT a FROM t ORDER BY RAND()",
            "SELECT UUID() FROM t",
            "SELECT a FROM t WHERE owner = CURRENT_USER()",
            "SELECT a FROM t WHERE id = CONNECTION_ID()",
            "SELECT a FROM t WHERE id = LAST_INSERT_ID()",
            "SELECT @a FROM t",
            "SELECT @a := a FROM t",
            "SELECT @@sql_mode, a FROM t",
            "SELECT f(a) FROM t",
            "SELECT s.f(a) FROM t",
            "SELECT SLEEP(1) FROM t",
            "SELECT a FROM t FOR UPDATE",
            "SELECT a FROM t LOCK IN SHARE MODE",
            "SELECT a FROM t INTO @x",
            "SELECT a INTO OUTFILE 'x' FROM t",
            "SELECT SQL_CALC_FOUND_ROWS a FROM t",
            "SELECT FOUND_ROWS() FROM t",
            "SELECT SQL_NO_CACHE a FROM t",
            "SELECT DEFAULT(a) FROM t",
            "SELECT a FROM information_schema.tables",
            "SELECT a FROM MySQL.user",
            "SELECT a FROM t FOR SYSTEM_TIME ALL",
            "SELECT NEXTVAL(s) FROM t",
            "SELECT CAST(a AS TIME) FROM t",
            "SELECT a FROM t WHERE d > TIME '10:00:00'",
            "SELECT SEC_TO_TIME(a) FROM t",
            "SELECT a FROM t /*!50000 WHERE b = 1 */",
            "SELECT a FROM t; SELECT b FROM t",
            "EXPLAIN SELECT a FROM t",
            "SHOW TABLES",
            "UPDATE t SET a = 1",
            "SELECT a FROM `té`",
        ] {
            assert!(of(text).reads.is_none(), "{text}");
        }
    }

    #[test]
    fn a_delayed_insert_is_known() {
        let check = |text: &str, expected: bool| assert_eq!(of(text).delayed, expected, "{text}");
        check("insert delayed into t values (1)", true);
        check("REPLACE /* x */ DELAYED t VALUES (1)", true);
        check("INSERT INTO t VALUES ('delayed')", false);
    }

    #[test]
    fn what_a_statement_may_change_is_known_or_everything() {
        let check = |text: &str, expected: Change| assert_eq!(of(text).change, expected, "{text}");
        let tables = |names: &[&str]| Change::Tables(names.iter().map(|name| (*name).into()).collect());
        check("SELECT a FROM t", Change::Nothing);
        check("SELECT a FROM t FOR UPDATE", Change::Nothing);
        check("BEGIN", Change::Nothing);
        check("COMMIT", Change::Nothing);
        check("SET @a = 1", Change::Nothing);
        check("INSERT INTO Shop.T (a) SELECT b FROM u", tables(&["t", "u"]));
        check("UPDATE t, u SET t.a = 1", tables(&["t", "u"]));
        check("DELETE t FROM t JOIN u WHERE 1", tables(&["t", "u"]));
        check("REPLACE t VALUES (1)", tables(&["t"]));
        check("TRUNCATE t", tables(&["t"]));
        check("INSERT INTO .t SELECT * FROM u", tables(&["t", "u"]));
        check("LOAD DATA INFILE 'x' INTO TABLE t", tables(&["t"]));
        check("/*!50000 INSERT INTO t VALUES (1) */", tables(&["t"]));
        check("ANALYZE UPDATE t SET a = 1", tables(&["t"]));
        check("CREATE TEMPORARY TABLE t (a INT)", Change::Nothing);
        check("DROP TEMPORARY TABLE t", Change::Nothing);
        check("ALTER TABLE t ADD b INT", Change::Definitions);
        check("RENAME TABLE t TO u", Change::Definitions);
        check("DROP TABLE t", Change::Definitions);
        check("CREATE TRIGGER r BEFORE INSERT ON t FOR EACH ROW SET @a = 1", Change::Definitions);
        check("GRANT SELECT ON t TO u", Change::Definitions);
        check("SET GLOBAL sql_mode = ''", Change::Definitions);
        check("CALL p()", Change::Everything);
        check("EXECUTE s", Change::Everything);
        check("EXECUTE IMMEDIATE 'DELETE FROM t'", Change::Everything);
        check("XA COMMIT 'x'", Change::Everything);
        check("SELECT f(1)", Change::Everything);
        check("INSERT INTO t VALUES (f(1))", Change::Everything);
        check("SELECT 1; DELETE FROM t", Change::Everything);
        check("SELECT 1; DROP TRIGGER r", Change::Definitions);
        check("DO f(1)", Change::Everything);
        check("BEGIN NOT ATOMIC DELETE FROM t; END", Change::Everything);
    }
}
