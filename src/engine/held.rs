//! What a session holds on its server connection, by name: so that a pin ends with the last of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::error::EngineError;
use crate::engine::recall::too_late;
use crate::engine::session::Session;
use crate::sql::{
    Effects, HandlerName, Kind, Literal, Statement, TableName, Target, analyze, created_temporary,
    dropped_tables, handler_name, is_untracked, literal, lock_names, prepared_name, set_assignments,
};
use crate::telemetry::PinReason;
use crate::wire::StatusFlags;

/// Names beyond this many are not kept: their pin lasts until the session is reset.
const NAMES_MAX: usize = 256;

/// Names of one kind of thing.
#[derive(Debug)]
struct Names<T> {
    known: BTreeSet<T>,
    /// There may be others.
    others: bool,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { known: BTreeSet::new(), others: false }
    }
}

impl<T: Ord> Names<T> {
    fn add(&mut self, name: Option<T>) {
        match name {
            Some(name) if self.known.len() < NAMES_MAX => drop(self.known.insert(name)),
            _ => self.others = true,
        }
    }

    fn is_empty(&self) -> bool {
        self.known.is_empty() && !self.others
    }
}

/// Everything held, by kind.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// With the schema that was meant.
    temporary_tables: Names<TableName>,
    handlers: Names<Box<[u8]>>,
    locks: Names<Box<str>>,
    /// A lock was taken or given up since the server was last asked.
    locks_changed: bool,
    /// Variables that are not carried and have a value of the session's own.
    variables: Names<Box<str>>,
    /// Statements of SQL's PREPARE, and whether executing one leaves nothing behind.
    statements: BTreeMap<Vec<u8>, bool>,
    /// A statement was executed that may have left something behind.
    statement_left_something: bool,
}

/// Effects of a prepared text after which nobody can tell what its connection holds.
const LEAVES: Effects = Effects::CREATES_TEMPORARY_TABLE
    .with(Effects::DROPS_TABLE)
    .with(Effects::LOCKS_TABLES)
    .with(Effects::FLUSH_WITH_READ_LOCK)
    .with(Effects::LOCKS_INSTANCE)
    .with(Effects::GET_LOCK)
    .with(Effects::HANDLER_OPEN)
    .with(Effects::SQL_CALC_FOUND_ROWS)
    .with(Effects::ASSIGNS_USER_VARIABLE)
    .with(Effects::SETS_NEXT_TRANSACTION)
    .with(Effects::SETS_UNTRACKED)
    .with(Effects::SET_ROLE)
    .with(Effects::XA)
    .with(Effects::CALLS_PROCEDURE)
    .with(Effects::CALLS_UNKNOWN_FUNCTION)
    .with(Effects::UNREADABLE)
    .with(Effects::CONDITIONAL);

/// Effects that this module follows.
const FOLLOWED: Effects = Effects::CREATES_TEMPORARY_TABLE
    .with(Effects::DROPS_TABLE)
    .with(Effects::HANDLER_OPEN)
    .with(Effects::HANDLER_CLOSE)
    .with(Effects::GET_LOCK)
    .with(Effects::RELEASE_LOCK)
    .with(Effects::RELEASE_ALL_LOCKS)
    .with(Effects::SETS_UNTRACKED)
    .with(Effects::TEXT_PREPARE)
    .with(Effects::TEXT_EXECUTE)
    .with(Effects::TEXT_DEALLOCATE);

/// Whether the names in a statement's text say what becomes of a pin.
pub(crate) fn names_what_it_holds(statement: &Statement) -> bool {
    statement.effects.intersects(FOLLOWED) || statement.kind == Kind::Ddl
}

impl Session {
    /// After a statement that succeeded: what it holds by now, and which pins end with that.
    pub(crate) fn hold(&mut self, statement: &Statement, text: &[u8]) {
        if !names_what_it_holds(statement) {
            return;
        }
        let effects = statement.effects;
        let several = effects.intersects(Effects::MULTIPLE | Effects::CONDITIONAL | Effects::UNREADABLE);
        self.hold_tables(statement, text, several);
        self.hold_handlers(effects, text, several);
        self.hold_statements(effects, text, several);
        if effects.contains(Effects::SETS_UNTRACKED) {
            self.hold_variables(text, several);
        }
        if effects.intersects(Effects::GET_LOCK | Effects::RELEASE_LOCK) {
            self.held.locks_changed = true;
            let names = lock_names(text, self.state.mode).filter(|_| !several);
            if effects.contains(Effects::GET_LOCK) {
                match names {
                    Some(names) => names.into_iter().for_each(|name| self.held.locks.add(Some(name))),
                    None => self.held.locks.add(None),
                }
            }
        }
        if effects.contains(Effects::RELEASE_ALL_LOCKS) && !effects.contains(Effects::GET_LOCK) {
            self.held.locks = Names::default();
        }
    }

    /// After a statement that failed and still had these effects: what it holds has no name.
    pub(crate) fn hold_unnamed(&mut self, effects: Effects) {
        let held = &mut self.held;
        held.temporary_tables.others |= effects.contains(Effects::CREATES_TEMPORARY_TABLE);
        held.handlers.others |= effects.contains(Effects::HANDLER_OPEN);
        held.locks.others |= effects.contains(Effects::GET_LOCK);
        held.variables.others |= effects.contains(Effects::SETS_UNTRACKED);
        held.statement_left_something |= effects.intersects(Effects::TEXT_PREPARE | Effects::TEXT_EXECUTE);
    }

    fn hold_tables(&mut self, statement: &Statement, text: &[u8], several: bool) {
        let mode = self.state.mode;
        let schema = self.state.image.schema().map(Into::into);
        let meant = |name: TableName| TableName { schema: name.schema.or_else(|| schema.clone()), ..name };
        let effects = statement.effects;
        if effects.contains(Effects::CREATES_TEMPORARY_TABLE) {
            let name = created_temporary(text, mode).filter(|_| !several);
            self.held.temporary_tables.add(name.map(meant));
        } else if effects.contains(Effects::DROPS_TABLE) {
            let names = dropped_tables(text, mode).filter(|_| !several).unwrap_or_default();
            for name in names {
                self.held.temporary_tables.known.remove(&meant(name));
            }
        } else if statement.kind == Kind::Ddl && !self.held.temporary_tables.is_empty() {
            // It may have given one another name.
            self.held.temporary_tables.others = true;
        }
        if self.held.temporary_tables.is_empty() {
            self.pins.end(PinReason::TemporaryTable);
        }
    }

    fn hold_handlers(&mut self, effects: Effects, text: &[u8], several: bool) {
        if !effects.intersects(Effects::HANDLER_OPEN | Effects::HANDLER_CLOSE) {
            return;
        }
        match handler_name(text, self.state.mode).filter(|_| !several) {
            Some(HandlerName::Opens(name)) => self.held.handlers.add(Some(name)),
            Some(HandlerName::Closes(name)) => drop(self.held.handlers.known.remove(&name)),
            None => self.held.handlers.add(None),
        }
        if self.held.handlers.is_empty() {
            self.pins.end(PinReason::Handler);
        }
    }

    fn hold_statements(&mut self, effects: Effects, text: &[u8], several: bool) {
        let texts = Effects::TEXT_PREPARE | Effects::TEXT_EXECUTE | Effects::TEXT_DEALLOCATE;
        if !effects.intersects(texts) {
            return;
        }
        let name = prepared_name(text, self.state.mode).map(|name| name.to_ascii_lowercase());
        let held = &mut self.held;
        match name.filter(|name| !several && name.is_ascii()) {
            Some(name) if effects.contains(Effects::TEXT_PREPARE) => {
                let harmless = prepared_text(text, &self.state).is_some_and(|inner| {
                    let inner = analyze(&inner, self.state.mode);
                    !inner.effects.intersects(LEAVES | texts) && inner.kind != Kind::Ddl
                });
                held.statements.insert(name, harmless);
            }
            Some(name) if effects.contains(Effects::TEXT_DEALLOCATE) => drop(held.statements.remove(&name)),
            Some(name) => held.statement_left_something |= held.statements.get(&name) != Some(&true),
            None => held.statement_left_something = true,
        }
        held.statement_left_something |= held.statements.len() > NAMES_MAX;
        if held.statements.is_empty() && !held.statement_left_something {
            self.pins.end(PinReason::SqlPrepare);
        }
    }

    /// `SET timestamp = …` and the like hold, until they are set to what a fresh session has.
    fn hold_variables(&mut self, text: &[u8], several: bool) {
        let assignments = set_assignments(text, self.state.mode).filter(|_| !several);
        let Some(assignments) = assignments else { return self.held.variables.add(None) };
        for assignment in assignments {
            let name = String::from_utf8_lossy(&assignment.name).to_ascii_lowercase();
            if assignment.target != Target::Session || !is_untracked(&name) {
                continue;
            }
            if is_fresh(&name, literal(text, assignment.value, self.state.mode)) {
                self.held.variables.known.remove(&*name);
            } else {
                self.held.variables.add(Some(name.into()));
            }
        }
        if self.held.variables.is_empty() {
            self.pins.end(PinReason::SessionVariable);
        }
    }

    /// A variable that is not carried changed in a way that its text does not show.
    pub(crate) fn hold_unnamed_variable(&mut self) {
        self.held.variables.others = true;
        self.pin(PinReason::SessionVariable);
    }

    /// Asks the server whether named locks are still held, once one was taken or given up and nothing else
    /// keeps the connection: only it knows whether a GET_LOCK succeeded.
    pub(crate) async fn check_locks(&mut self) -> Result<(), EngineError> {
        let mut others = self.pins;
        others.end(PinReason::NamedLock);
        let alone = self.pins.has(PinReason::NamedLock) && others.is_empty();
        if !self.held.locks_changed || !alone || self.held.locks.others {
            return Ok(());
        }
        let Some(lease) = self.lease.as_mut().filter(|lease| !lease.status.has(StatusFlags::IN_TRANS)) else {
            return Ok(());
        };
        self.held.locks_changed = false;
        let questions: Vec<String> = (self.held.locks.known.iter())
            .map(|name| format!("COALESCE(IS_USED_LOCK('{name}')=CONNECTION_ID(),0)"))
            .collect();
        if !questions.is_empty() {
            let question = format!("SELECT {} LIMIT 1", questions.join("+"));
            let rows = lease.ask(&question).await.map_err(|error| too_late(error.into()))?;
            self.witness.queried_between();
            if rows.first().and_then(|row| row.first()) != Some(&Some(b"0".to_vec())) {
                return Ok(());
            }
        }
        self.held.locks = Names::default();
        self.pins.end(PinReason::NamedLock);
        Ok(())
    }
}

/// The text of `PREPARE s FROM 'text'`.
fn prepared_text(text: &[u8], state: &crate::engine::SessionState) -> Option<Vec<u8>> {
    let from = text.to_ascii_uppercase().windows(4).position(|word| word == b"FROM")? + 4;
    match literal(text.get(..text.trim_ascii_end().len())?, from..text.trim_ascii_end().len(), state.mode)? {
        Literal::Text(inner) => Some(inner.into_owned()),
        _ => None,
    }
}

/// Whether a variable that is not carried has been given the value of a fresh session.
fn is_fresh(name: &str, value: Option<Literal<'_>>) -> bool {
    let Some(value) = value else { return false };
    let word = |text: &[u8]| value == Literal::Word(text.into()) || value == Literal::Text(text.into());
    match name {
        "timestamp" => matches!(value, Literal::Default | Literal::Integer(0)),
        "sql_log_bin" => {
            matches!(value, Literal::Default | Literal::Integer(1)) || word(b"ON") || word(b"on")
        }
        "sql_log_off" => {
            matches!(value, Literal::Default | Literal::Integer(0)) || word(b"OFF") || word(b"off")
        }
        "gtid_next" => word(b"AUTOMATIC") || word(b"automatic"),
        _ => false,
    }
}
