//! The first words of a statement: what kind it is, and what follows from that alone.

use crate::sql::blocks::Blocks;
use crate::sql::cursor::Cursor;
use crate::sql::definition;
use crate::sql::effects::Effects;
use crate::sql::kind::{Kind, ShowKind};
use crate::sql::select_variables::is_select_variables;
use crate::sql::set_facts;
use crate::sql::token::TokenKind;

/// How the rest of a statement is to be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// It is executed.
    Executed,
    /// Assignments, executed: what stands left of `=` is not read.
    Assignments,
    /// Names, options, accounts: nothing that is evaluated.
    Inert,
    /// A routine, perhaps with blocks; not executed now.
    Routine,
    /// Blocks, executed now.
    Blocks,
}

/// What the first words tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verb {
    pub(super) kind: Kind,
    pub(super) effects: Effects,
    pub(super) body: Body,
    /// It may be read-only, if its body is.
    pub(super) reads: bool,
}

impl Verb {
    pub(super) const fn new(kind: Kind, effects: Effects, body: Body) -> Self {
        Self { kind, effects, body, reads: false }
    }

    const fn reading(kind: Kind, body: Body) -> Self {
        Self { kind, effects: Effects::NONE, body, reads: true }
    }

    /// The blocks that are open where the body begins.
    pub(super) fn blocks(self) -> Blocks {
        match self.body {
            Body::Blocks => Blocks::inside(),
            Body::Executed | Body::Assignments | Body::Inert | Body::Routine => Blocks::default(),
        }
    }
}

/// Reads the first words of the statement at the cursor and passes them.
pub(super) fn verb(cursor: &mut Cursor<'_>) -> Verb {
    // MariaDB's `SET STATEMENT x = 1, y = 2 FOR statement`: what counts is the statement.
    while cursor.take_all(&["SET", "STATEMENT"]) {
        if !pass_for(cursor) {
            return Verb::new(Kind::Unknown, Effects::UNREADABLE, Body::Inert);
        }
    }
    let variables = is_select_variables(cursor);
    let word = first_word(cursor);
    let found = query(&word, cursor)
        .or_else(|| report(&word, cursor))
        .or_else(|| transaction(&word, cursor))
        .or_else(|| session(&word, cursor))
        .or_else(|| definition::verb(&word, cursor))
        .or_else(|| administration(&word, cursor));
    let mut verb = found.unwrap_or(UNKNOWN);
    if variables {
        verb.effects |= Effects::SELECT_VARIABLES;
    }
    verb
}

const UNKNOWN: Verb = Verb::new(Kind::Unknown, Effects::NONE, Body::Executed);

/// Passes the first word, and parentheses before it, as of `(SELECT …) UNION …`.
fn first_word(cursor: &mut Cursor<'_>) -> String {
    while cursor.take_kind(TokenKind::Open) {}
    let first = cursor.next();
    cursor.keyword(first)
}

/// After SET STATEMENT: passes FOR.
fn pass_for(cursor: &mut Cursor<'_>) -> bool {
    while !cursor.at_end() {
        let token = cursor.next();
        if token.kind == TokenKind::Open {
            cursor.skip_group();
        } else if cursor.is(token, "FOR") {
            return true;
        }
    }
    false
}

/// Statements that EXPLAIN can explain.
fn query(word: &str, cursor: &Cursor<'_>) -> Option<Verb> {
    let executed = |kind| Some(Verb::new(kind, Effects::NONE, Body::Executed));
    match word {
        "SELECT" => Some(Verb::reading(Kind::Select, Body::Executed)),
        "VALUES" => Some(Verb::reading(Kind::Values, Body::Executed)),
        "TABLE" => Some(Verb::reading(Kind::Table, Body::Executed)),
        "WITH" => Some(after_with(cursor)),
        "INSERT" => executed(Kind::Insert),
        "REPLACE" => executed(Kind::Replace),
        "UPDATE" => executed(Kind::Update),
        "DELETE" => executed(Kind::Delete),
        _ => None,
    }
}

/// Statements that report, and others that have expressions.
fn report(word: &str, cursor: &mut Cursor<'_>) -> Option<Verb> {
    match word {
        "CALL" => Some(Verb::new(Kind::Call, Effects::CALLS_PROCEDURE, Body::Executed)),
        "DO" => Some(Verb::reading(Kind::Do, Body::Executed)),
        "EXPLAIN" | "DESCRIBE" | "DESC" => Some(explain(cursor)),
        "ANALYZE" => Some(analyze(cursor)),
        "SHOW" => Some(show(cursor)),
        "HELP" => Some(Verb::reading(Kind::Help, Body::Inert)),
        "LOAD" => Some(load(cursor)),
        _ => None,
    }
}

/// The kind of `WITH … verb`. The cursor stays before the common table expressions: they are executed too.
fn after_with(cursor: &Cursor<'_>) -> Verb {
    let mut ahead = cursor.clone();
    let mut after_group = false;
    while !ahead.at_end() {
        let token = ahead.next();
        match token.kind {
            // `WITH c AS (…) (SELECT …)`
            TokenKind::Open if after_group => return Verb::reading(Kind::Select, Body::Executed),
            TokenKind::Open => ahead.skip_group(),
            _ => {}
        }
        after_group = token.kind == TokenKind::Open && !ahead.at("AS");
        let kind = match ahead.keyword(token).as_str() {
            "SELECT" | "TABLE" | "VALUES" => return Verb::reading(Kind::Select, Body::Executed),
            "UPDATE" => Kind::Update,
            "DELETE" => Kind::Delete,
            "INSERT" => Kind::Insert,
            "REPLACE" => Kind::Replace,
            _ => continue,
        };
        return Verb::new(kind, Effects::NONE, Body::Executed);
    }
    Verb::new(Kind::Unknown, Effects::NONE, Body::Executed)
}

/// EXPLAIN, DESCRIBE of a table or of a statement.
fn explain(cursor: &mut Cursor<'_>) -> Verb {
    let mut executes = false;
    loop {
        if cursor.take("ANALYZE") {
            executes = true;
        } else if !cursor.take_any(&["EXTENDED", "PARTITIONS"]) && !take_format(cursor) {
            break;
        }
    }
    let mut ahead = cursor.clone();
    // MySQL's `EXPLAIN … INTO @x`, `EXPLAIN … FOR SCHEMA x`.
    let into = ahead.take("INTO") && ahead.take_kind(TokenKind::UserVariable);
    if ahead.take("FOR") {
        if ahead.take("CONNECTION") {
            return Verb::new(Kind::Explain, Effects::NONE, Body::Executed);
        }
        ahead.next();
        ahead.next();
    }
    let effects = if into { Effects::ASSIGNS_USER_VARIABLE } else { Effects::NONE };
    let statements = ["SELECT", "WITH", "TABLE", "VALUES", "INSERT", "REPLACE", "UPDATE", "DELETE"];
    if !cursor.is_any(ahead.peek(), &statements) && ahead.peek().kind != TokenKind::Open {
        return Verb::reading(Kind::Describe, Body::Inert);
    }
    *cursor = ahead;
    explained(cursor, executes, effects)
}

fn explained(cursor: &mut Cursor<'_>, executes: bool, effects: Effects) -> Verb {
    let word = first_word(cursor);
    let inner = query(&word, cursor).unwrap_or(UNKNOWN);
    Verb {
        kind: if executes { Kind::Analyze } else { Kind::Explain },
        effects,
        body: inner.body,
        reads: (inner.reads || !executes) && effects.is_empty(),
    }
}

/// `FORMAT = JSON`.
fn take_format(cursor: &mut Cursor<'_>) -> bool {
    let mut ahead = cursor.clone();
    let found = ahead.take("FORMAT") && ahead.take_kind(TokenKind::Compare);
    if found {
        ahead.next();
        *cursor = ahead;
    }
    found
}

/// ANALYZE TABLE, or MariaDB's ANALYZE of a statement.
fn analyze(cursor: &mut Cursor<'_>) -> Verb {
    if cursor.take_any(&["TABLE", "TABLES", "LOCAL", "NO_WRITE_TO_BINLOG"]) {
        return Verb::new(Kind::Maintenance, Effects::IMPLICIT_COMMIT, Body::Inert);
    }
    take_format(cursor);
    explained(cursor, true, Effects::NONE)
}

fn show(cursor: &mut Cursor<'_>) -> Verb {
    while cursor.take_any(&["FULL", "EXTENDED", "GLOBAL", "SESSION", "LOCAL", "STORAGE", "ALL"]) {}
    let first = cursor.next();
    let word = cursor.keyword(first);
    let kind = match word.as_str() {
        "DATABASES" | "SCHEMAS" => ShowKind::Databases,
        "TABLES" | "TABLE" | "COLUMNS" | "FIELDS" | "INDEX" | "INDEXES" | "KEYS" | "TRIGGERS" | "EVENTS"
        | "PROCEDURE" | "FUNCTION" | "PACKAGE" | "LIBRARY" => ShowKind::Schema,
        "OPEN" => ShowKind::Instance,
        "CREATE" if cursor.at("USER") => ShowKind::Grants,
        "CREATE" => ShowKind::Schema,
        "VARIABLES" => ShowKind::Variables,
        "STATUS" => ShowKind::Status,
        "WARNINGS" | "ERRORS" | "COUNT" => ShowKind::Diagnostics,
        "PROCESSLIST" => ShowKind::Processlist,
        "PROFILE" | "PROFILES" => ShowKind::Profile,
        "GRANTS" | "PRIVILEGES" => ShowKind::Grants,
        "CHARACTER" | "CHARSET" | "COLLATION" | "ENGINES" | "PLUGINS" | "AUTHORS" | "CONTRIBUTORS"
        | "PARSE_TREE" => ShowKind::Server,
        "ENGINE" | "MASTER" | "BINARY" | "BINLOG" | "SLAVE" | "SLAVES" | "REPLICA" | "REPLICAS"
        | "RELAYLOG" | "INDEX_STATISTICS" | "USER_STATISTICS" | "CLIENT_STATISTICS" | "EXPLAIN"
        | "ANALYZE" => ShowKind::Instance,
        _ => ShowKind::Other,
    };
    let body = if kind == ShowKind::Grants { Body::Inert } else { Body::Executed };
    let mut verb = Verb::reading(Kind::Show(kind), body);
    match kind {
        ShowKind::Diagnostics => verb.effects |= Effects::DIAGNOSTICS,
        ShowKind::Other => verb.reads = false,
        _ => {}
    }
    verb
}

fn load(cursor: &mut Cursor<'_>) -> Verb {
    if cursor.take("INDEX") {
        return Verb::new(Kind::Maintenance, Effects::IMPLICIT_COMMIT, Body::Inert);
    }
    cursor.take_any(&["DATA", "XML"]);
    cursor.take_any(&["LOW_PRIORITY", "CONCURRENT"]);
    let local = if cursor.take("LOCAL") { Effects::LOAD_LOCAL } else { Effects::NONE };
    Verb::new(Kind::Load, local, Body::Executed)
}

fn transaction(word: &str, cursor: &mut Cursor<'_>) -> Option<Verb> {
    let begin = Effects::STARTS_TRANSACTION | Effects::IMPLICIT_COMMIT;
    let inert = |kind, effects| Some(Verb::new(kind, effects, Body::Inert));
    match word {
        "BEGIN" if cursor.take_all(&["NOT", "ATOMIC"]) => Some(compound(Body::Blocks)),
        "BEGIN" => inert(Kind::Begin, begin),
        "START" if cursor.take("TRANSACTION") => inert(Kind::Begin, begin),
        "COMMIT" => inert(Kind::Commit, ending(cursor)),
        "ROLLBACK" => {
            cursor.take("WORK");
            if cursor.take("TO") {
                return inert(Kind::RollbackTo, Effects::SAVEPOINT);
            }
            inert(Kind::Rollback, ending(cursor))
        }
        "SAVEPOINT" => inert(Kind::Savepoint, Effects::SAVEPOINT),
        "RELEASE" if cursor.take("SAVEPOINT") => inert(Kind::ReleaseSavepoint, Effects::SAVEPOINT),
        "XA" if cursor.take("RECOVER") => inert(Kind::Xa, Effects::NONE),
        "XA" => inert(Kind::Xa, Effects::XA),
        // MariaDB has these outside of routines too; what they do is not followed.
        "IF" | "CASE" | "LOOP" | "WHILE" | "REPEAT" | "FOR" | "DECLARE" => Some(compound(Body::Blocks)),
        _ => None,
    }
}

fn compound(body: Body) -> Verb {
    Verb::new(Kind::Compound, Effects::UNREADABLE, body)
}

/// After COMMIT, ROLLBACK: `[WORK] [AND [NO] CHAIN] [[NO] RELEASE]`.
fn ending(cursor: &mut Cursor<'_>) -> Effects {
    let mut effects = Effects::ENDS_TRANSACTION;
    cursor.take("WORK");
    if cursor.take_all(&["AND", "CHAIN"]) {
        effects |= Effects::STARTS_TRANSACTION;
    }
    cursor.take_all(&["AND", "NO", "CHAIN"]);
    if cursor.take("RELEASE") {
        effects |= Effects::DISCONNECTS;
    }
    effects
}

fn session(word: &str, cursor: &mut Cursor<'_>) -> Option<Verb> {
    let verb = |kind, effects, body| Some(Verb::new(kind, effects, body));
    match word {
        "SET" => {
            let effects = set_facts::effects(&mut cursor.clone());
            let inert = cursor.is_any(cursor.peek(), &["PASSWORD", "ROLE", "DEFAULT", "RESOURCE"])
                && !effects.intersects(Effects::SETS_SYSTEM_VARIABLE);
            verb(Kind::Set, effects, if inert { Body::Inert } else { Body::Assignments })
        }
        "USE" => verb(Kind::Use, Effects::CHANGES_SCHEMA, Body::Inert),
        "PREPARE" => verb(Kind::Prepare, Effects::TEXT_PREPARE, Body::Executed),
        "EXECUTE" => verb(Kind::Execute, Effects::TEXT_EXECUTE, Body::Executed),
        "DEALLOCATE" => verb(Kind::Deallocate, Effects::TEXT_DEALLOCATE, Body::Inert),
        "LOCK" if cursor.take("INSTANCE") => verb(Kind::LockInstance, Effects::LOCKS_INSTANCE, Body::Inert),
        "LOCK" => verb(Kind::LockTables, Effects::LOCKS_TABLES | Effects::IMPLICIT_COMMIT, Body::Inert),
        "UNLOCK" if cursor.take("INSTANCE") => {
            verb(Kind::UnlockInstance, Effects::UNLOCKS_INSTANCE, Body::Inert)
        }
        "UNLOCK" => verb(Kind::UnlockTables, Effects::UNLOCKS_TABLES | Effects::IMPLICIT_COMMIT, Body::Inert),
        "BACKUP" if cursor.take("UNLOCK") || cursor.take_all(&["STAGE", "END"]) => {
            verb(Kind::UnlockInstance, Effects::UNLOCKS_INSTANCE, Body::Inert)
        }
        "BACKUP" => verb(Kind::LockInstance, Effects::LOCKS_INSTANCE, Body::Inert),
        "HANDLER" => verb(Kind::Handler, handler(cursor), Body::Executed),
        "GET" => verb(Kind::GetDiagnostics, Effects::DIAGNOSTICS, Body::Executed),
        "SIGNAL" | "RESIGNAL" => verb(Kind::Signal, Effects::NONE, Body::Inert),
        "KILL" => verb(Kind::Kill, Effects::KILL, Body::Executed),
        _ => None,
    }
}

/// `HANDLER t OPEN`, `HANDLER t CLOSE`; reading has no effect of its own.
fn handler(cursor: &Cursor<'_>) -> Effects {
    let mut ahead = cursor.clone();
    ahead.next();
    if ahead.take_kind(TokenKind::Dot) {
        ahead.next();
    }
    match ahead.keyword(ahead.peek()).as_str() {
        "OPEN" => Effects::HANDLER_OPEN,
        "CLOSE" => Effects::HANDLER_CLOSE,
        _ => Effects::NONE,
    }
}

fn administration(word: &str, cursor: &mut Cursor<'_>) -> Option<Verb> {
    let commit = Effects::IMPLICIT_COMMIT;
    let verb = |kind, effects| Some(Verb::new(kind, effects, Body::Inert));
    match word {
        "FLUSH" => verb(Kind::Flush, flush(cursor) | commit),
        "RESET" => verb(Kind::Reset, commit),
        "CHECKSUM" => verb(Kind::Maintenance, Effects::NONE),
        "CHECK" | "OPTIMIZE" | "REPAIR" | "CACHE" => verb(Kind::Maintenance, commit),
        "CHANGE" | "START" | "STOP" | "PURGE" | "BINLOG" => verb(Kind::Replication, commit),
        "SHUTDOWN" | "RESTART" | "CLONE" | "INSTALL" | "UNINSTALL" | "IMPORT" => verb(Kind::Admin, commit),
        "" if cursor.bad => verb(Kind::Unknown, Effects::UNREADABLE),
        _ => None,
    }
}

/// `FLUSH [LOCAL] TABLES [t, …] [WITH READ LOCK | FOR EXPORT]`.
fn flush(cursor: &Cursor<'_>) -> Effects {
    let mut ahead = cursor.clone();
    ahead.take_any(&["LOCAL", "NO_WRITE_TO_BINLOG"]);
    if !ahead.take_any(&["TABLES", "TABLE"]) {
        return Effects::NONE;
    }
    let mut named = false;
    while !ahead.at_end() {
        if ahead.take_all(&["WITH", "READ", "LOCK"]) || ahead.take_all(&["FOR", "EXPORT"]) {
            return if named { Effects::LOCKS_TABLES } else { Effects::FLUSH_WITH_READ_LOCK };
        }
        named = true;
        ahead.next();
    }
    Effects::NONE
}
