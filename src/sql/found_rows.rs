//! What statements do to FOUND_ROWS(): one table for both servers, measured on MariaDB 10.11 and MySQL 9.7.
//!
//! MySQL counts the rows of every query. MariaDB leaves the old count where it answers without reading rows, and adds
//! to it in some unions: there the count depends on what the connection ran before.

use crate::sql::cursor::Cursor;
use crate::sql::effects::Effects;
use crate::sql::functions::is_aggregate_function;
use crate::sql::kind::{Kind, ShowKind};
use crate::sql::mode::{LexMode, Server};
use crate::sql::reading::Reading;
use crate::sql::token::{Token, TokenKind};

/// What FOUND_ROWS() is after a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FoundRows {
    /// What it was before.
    Kept,
    /// As many as the reply has rows; of one that failed before it began, what it was before.
    Rows,
    /// One.
    One,
    /// Another value, which the connection knows and the reply does not tell.
    Untold,
    /// Either what it was on the connection, or another value.
    Unsure,
}

/// What a text holds beyond its kind and effects that matters here.
#[derive(Clone, Copy, Debug, Default)]
struct Signs {
    /// A query inside of something that is none.
    query: bool,
    /// MariaDB may not count: UNION ALL, VALUES, ROLLUP, WITH TIES, PROCEDURE.
    uncounted: bool,
    /// UNION, EXCEPT, INTERSECT outside of any parenthesis, whose distinct rows are counted before a LIMIT.
    combined: bool,
    /// LIMIT or FETCH there.
    limited: bool,
    /// Calls an aggregate, or what may be one.
    aggregates: bool,
    /// GROUP BY outside of any parenthesis.
    grouped: bool,
    /// CREATE, of SHOW.
    creates: bool,
    /// COUNT, of SHOW.
    counts: bool,
}

/// Statements of which nobody knows what they run.
const HIDDEN: Effects = Effects::MULTIPLE
    .with(Effects::CALLS_PROCEDURE)
    .with(Effects::TEXT_EXECUTE)
    .with(Effects::UNREADABLE)
    .with(Effects::CONDITIONAL);

/// What a statement of this kind and with these effects does.
pub(super) fn found_rows(text: &[u8], mode: LexMode, kind: Kind, effects: Effects) -> FoundRows {
    let maria = matches!(mode.server, Server::MariaDb { .. });
    let signs = || signs(text, mode, kind);
    if effects.intersects(HIDDEN) {
        let counts = kind == Kind::Select && !effects.intersects(HIDDEN.without(Effects::MULTIPLE));
        let uncounted = || maria && signs().is_uncounted(effects);
        return if counts && !uncounted() { FoundRows::Untold } else { FoundRows::Unsure };
    }
    match kind {
        Kind::Use
        | Kind::Begin
        | Kind::Commit
        | Kind::Rollback
        | Kind::RollbackTo
        | Kind::Savepoint
        | Kind::ReleaseSavepoint
        | Kind::Xa
        | Kind::Help
        | Kind::DropTable
        | Kind::Truncate
        | Kind::Ddl
        | Kind::Account
        | Kind::LockTables
        | Kind::UnlockTables
        | Kind::LockInstance
        | Kind::UnlockInstance
        | Kind::Prepare
        | Kind::Deallocate
        | Kind::Flush
        | Kind::Reset
        | Kind::Maintenance
        | Kind::Signal
        | Kind::GetDiagnostics => FoundRows::Kept,
        Kind::Do if !maria => FoundRows::One,
        Kind::Set | Kind::Do | Kind::Insert | Kind::Replace | Kind::Load | Kind::Handler => {
            if signs().query {
                FoundRows::Unsure
            } else {
                FoundRows::Kept
            }
        }
        Kind::CreateTable => match signs() {
            Signs { query: false, .. } => FoundRows::Kept,
            signs if maria && !signs.is_uncounted(effects) => FoundRows::Untold,
            _ => FoundRows::Unsure,
        },
        Kind::Select | Kind::Values | Kind::Table => {
            query(effects, || maria && signs().is_uncounted(effects))
        }
        Kind::Describe => FoundRows::Rows,
        Kind::Show(what) => shown(what, maria, signs),
        Kind::Empty
        | Kind::Update
        | Kind::Delete
        | Kind::Call
        | Kind::Explain
        | Kind::Analyze
        | Kind::Execute
        | Kind::Kill
        | Kind::Replication
        | Kind::Admin
        | Kind::Compound
        | Kind::Unknown => FoundRows::Unsure,
    }
}

fn query(effects: Effects, uncounted: impl Fn() -> bool) -> FoundRows {
    // Whoever asks for the count reads it from the connection that made it.
    if effects.contains(Effects::SQL_CALC_FOUND_ROWS) {
        FoundRows::Untold
    } else if uncounted() {
        FoundRows::Unsure
    } else if effects.intersects(Effects::SKIPS_ROWS | Effects::INTO_OUTFILE) {
        FoundRows::Untold
    } else {
        FoundRows::Rows
    }
}

fn shown(what: ShowKind, maria: bool, signs: impl Fn() -> Signs) -> FoundRows {
    match what {
        ShowKind::Schema if signs().creates => FoundRows::Kept,
        ShowKind::Databases | ShowKind::Schema | ShowKind::Variables | ShowKind::Status => FoundRows::Rows,
        ShowKind::Diagnostics if signs().counts => FoundRows::One,
        ShowKind::Diagnostics | ShowKind::Grants => FoundRows::Kept,
        // MySQL may be told to answer it from a table.
        ShowKind::Processlist if maria => FoundRows::Kept,
        ShowKind::Processlist
        | ShowKind::Profile
        | ShowKind::Server
        | ShowKind::Instance
        | ShowKind::Other => FoundRows::Unsure,
    }
}

impl Signs {
    /// Whether MariaDB may leave the old count, or add to it.
    fn is_uncounted(self, effects: Effects) -> bool {
        let aggregates = self.aggregates || effects.contains(Effects::CALLS_UNKNOWN_FUNCTION);
        self.uncounted || if self.combined { self.limited } else { aggregates && !self.grouped }
    }
}

/// Aggregates of MariaDB alone.
const AGGREGATES: [&str; 3] = ["MEDIAN", "PERCENTILE_CONT", "PERCENTILE_DISC"];

/// Reads a text for its signs. Words count wherever they stand: a sign too many costs an answer, one too few would
/// make a wrong one.
fn signs(text: &[u8], mode: LexMode, kind: Kind) -> Signs {
    let mut signs = Signs::default();
    let mut cursor = Cursor::new(text, mode, Reading::Everything);
    let (mut depth, mut before) = (0_usize, String::new());
    loop {
        let token = cursor.next();
        match token.kind {
            TokenKind::End => return signs,
            TokenKind::Open => depth += 1,
            TokenKind::Close => depth = depth.saturating_sub(1),
            _ => {}
        }
        let word = cursor.keyword(token);
        signs.note(&cursor, token, (&word, &before));
        match &*word {
            "GROUP" if depth == 0 && cursor.at("BY") => signs.grouped = true,
            "LIMIT" | "FETCH" => signs.limited |= depth == 0,
            "UNION" | "EXCEPT" | "INTERSECT" | "MINUS" => {
                signs.combined |= depth == 0;
                signs.uncounted |= depth > 0 || cursor.at("ALL");
            }
            "VALUES" if kind == Kind::CreateTable => {
                signs.query |= !cursor.is_any(cursor.peek(), &["LESS", "IN"]);
            }
            "VALUES" if !matches!(kind, Kind::Insert | Kind::Replace) => signs.uncounted = true,
            _ => {}
        }
        before = word;
    }
}

impl Signs {
    fn note(&mut self, cursor: &Cursor<'_>, token: Token, (word, before): (&str, &str)) {
        match word {
            "SELECT" | "ROW" => self.query = true,
            "TABLE" => self.query |= !matches!(before, "CREATE" | "TEMPORARY" | "REPLACE" | "INTO"),
            "ROLLUP" | "TIES" | "PROCEDURE" => self.uncounted = true,
            "CREATE" => self.creates = true,
            "COUNT" => self.counts = true,
            _ => {}
        }
        if cursor.peek().kind == TokenKind::Open && matches!(token.kind, TokenKind::Word | TokenKind::Quoted)
        {
            // A quoted name is that of a stored function, whatever it says.
            self.aggregates |=
                token.kind == TokenKind::Quoted || is_aggregate_function(word) || AGGREGATES.contains(&word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::analyze;

    #[test]
    fn what_becomes_of_the_count_is_known_of_every_kind() {
        let check = |text: &str, maria: FoundRows, mysql: FoundRows| {
            let of = |version| analyze(text.as_bytes(), LexMode::new(Server::from_version_text(version)));
            let (on_maria, on_mysql) = (of("10.11.6-MariaDB").found_rows, of("9.7.0").found_rows);
            assert_eq!((on_maria, on_mysql), (maria, mysql), "{text}");
        };
        use FoundRows::{Kept, One, Rows, Unsure, Untold};
        check("SELECT a FROM t", Rows, Rows);
        check("SELECT a, COUNT(*) FROM t GROUP BY a", Rows, Rows);
        check("SELECT COUNT(*) FROM t", Unsure, Rows);
        check("SELECT COUNT(*) FROM (SELECT a FROM t GROUP BY a) AS d", Unsure, Rows);
        check("SELECT own(a) FROM t", Unsure, Rows);
        check("SELECT MAX(a) FROM t UNION SELECT 1", Rows, Rows);
        check("SELECT a FROM t UNION SELECT 1 LIMIT 2", Unsure, Rows);
        check("(SELECT a FROM t LIMIT 1) UNION (SELECT 1)", Rows, Rows);
        check("SELECT a FROM t UNION ALL SELECT 1", Unsure, Rows);
        check("SELECT a FROM t UNION (SELECT 1 UNION ALL SELECT 2)", Unsure, Rows);
        check("SELECT a, SUM(b) FROM t GROUP BY a WITH ROLLUP", Unsure, Rows);
        check("SELECT a FROM t LIMIT 1, 2", Untold, Untold);
        check("SELECT SQL_CALC_FOUND_ROWS a FROM t LIMIT 1", Untold, Untold);
        check("SELECT SQL_CALC_FOUND_ROWS a FROM t UNION SELECT 1", Untold, Untold);
        check("VALUES (1), (2)", Unsure, Rows);
        check("DO 1", Kept, One);
        check("DO (SELECT 1)", Unsure, One);
        check("SET @a = 1", Kept, Kept);
        check("SET @a = (SELECT 1)", Unsure, Unsure);
        check("INSERT INTO t VALUES (1)", Kept, Kept);
        check("INSERT INTO t SELECT 1", Unsure, Unsure);
        check("REPLACE INTO t TABLE u", Unsure, Unsure);
        check("CREATE TABLE t (a INT) PARTITION BY RANGE (a) (PARTITION p VALUES LESS THAN (1))", Kept, Kept);
        check("CREATE TABLE t AS SELECT 1", Untold, Unsure);
        check("CREATE TABLE t AS SELECT MAX(a) FROM u WHERE 0", Unsure, Unsure);
        check("CREATE VIEW v AS SELECT 1", Kept, Kept);
        check("DROP TABLE t", Kept, Kept);
        check("UPDATE t SET a = 1", Unsure, Unsure);
        check("SHOW CREATE TABLE t", Kept, Kept);
        check("SHOW TABLES", Rows, Rows);
        check("SHOW WARNINGS", Kept, Kept);
        check("SHOW COUNT(*) WARNINGS", One, One);
        check("SHOW PROCESSLIST", Kept, Unsure);
        check("SELECT 1; SET @a = 2", Untold, Untold);
        check("SET @a = 2; SELECT 1", Unsure, Unsure);
        check("SELECT COUNT(*) FROM t; DO 1", Unsure, Untold);
        check("CALL p()", Unsure, Unsure);
    }
}
