//! One statement of a session in a logical database: where it goes, or what answers it.

use std::sync::Arc;

use crate::config::Hint;
use crate::engine::admission::end_parts;
use crate::engine::error::EngineError;
use crate::engine::facts::Facts;
use crate::engine::hot_rows::Sent;
use crate::engine::session::Session;
use crate::engine::sharded::parameters::{Parameters, malformed};
use crate::engine::sharded::scatter::Part;
use crate::engine::sharded::shows::{Listing, Shown, asks_for_route, explains, shown};
use crate::engine::sharded::told::Sum;
use crate::engine::sharded::write::Writing;
use crate::engine::statement::WHOLE_MAX;
use crate::error::ProxyError;
use crate::sharding::{Action, Fanout, Generate, HintsUsed, Plan, Scatter, SlotId, Sql, plan};
use crate::sql::{Effects, Kind, ShowKind};
use crate::telemetry::StatementContext;
use crate::wire::{Capabilities, HEADER_BYTES, Header, OkPacket, StatusFlags};

/// What is to be done still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Routed {
    /// The client's bytes go to the slot that the session is at.
    Pass,
    /// Nothing.
    Done,
}

/// What becomes of a statement.
#[derive(Debug)]
enum Work {
    /// The client's own bytes go to this slot.
    Pass(SlotId),
    /// This text goes there in their place.
    Instead(SlotId, Vec<u8>),
    /// All parts are asked, and their rows merged.
    Scatter(Vec<Part>, Box<Scatter>),
    /// All parts are run, and their counts become one; each leaves out these parameters.
    Write(Vec<Part>, Sum, Vec<Vec<u32>>),
    /// Ids are made, and the statement with them is planned anew.
    Generate(Box<Generate>),
    /// BEGIN, before anybody knows on which shard.
    Begin(String),
    /// COMMIT or ROLLBACK of what no server knows of.
    End,
    /// A SHOW of all tables.
    List(Listing),
    /// SHOW DATABASES.
    Databases,
    /// USE.
    Use(Vec<u8>),
    /// EXPLAIN ROUTE.
    Explain(Vec<(&'static str, String)>),
}

/// A statement as the client sent it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Routing<'a> {
    pub(super) facts: &'a Facts,
    pub(super) text: &'a [u8],
    pub(super) sent: Sent,
    /// Of a prepared statement.
    pub(super) parameters: Option<&'a Parameters<'a>>,
}

impl Session {
    /// Whether a COM_QUERY has been answered as one of a logical database. Costs nothing outside of one.
    pub(crate) async fn answered_elsewhere(
        &mut self,
        facts: &Facts,
        header: Header,
        context: &mut StatementContext<'_>,
    ) -> Result<bool, EngineError> {
        if self.place.is_none() && !self.may_enter(facts.statement.kind) {
            return Ok(false);
        }
        if self.place.is_some() && self.goes_by_recipe(facts, header) {
            return Ok(false);
        }
        Ok(Box::pin(self.route_text(facts, header, context)).await? == Routed::Done)
    }

    /// A COM_QUERY. Its command stays in the client's input only if it is passed on.
    async fn route_text(
        &mut self,
        facts: &Facts,
        header: Header,
        context: &mut StatementContext<'_>,
    ) -> Result<Routed, EngineError> {
        let text = self.query_text(header).to_vec();
        if self.place.is_none() {
            return self.enter_by_use(&text, header).await;
        }
        let routing = Routing { facts, text: &text, sent: Sent::Text, parameters: None };
        let work = if header.length > WHOLE_MAX { Err(too_long()) } else { self.work(routing) };
        self.set_out(work, header, routing, context).await
    }

    /// USE of a session that is in no logical database: into one, or as ever.
    async fn enter_by_use(&mut self, text: &[u8], header: Header) -> Result<Routed, EngineError> {
        match used(text).filter(|name| self.engine.snapshot().database(name).is_some()) {
            Some(name) => {
                self.skip(header).await?;
                self.init_db(name).await.map(|()| Routed::Done)
            }
            None => Ok(Routed::Pass),
        }
    }

    /// A COM_STMT_EXECUTE of the statement with the client's `id`. As [`Session::route_text`].
    pub(crate) async fn route_execution(
        &mut self,
        id: u32,
        facts: &Facts,
        header: Header,
        context: &mut StatementContext<'_>,
    ) -> Result<Routed, EngineError> {
        let input = self.client.stream.input.filled();
        let payload = input[HEADER_BYTES..(HEADER_BYTES + header.length).min(input.len())].to_vec();
        let attributes = self.client.capabilities.has(Capabilities::QUERY_ATTRIBUTES);
        let Some(statement) = self.statement(id) else { return Ok(Routed::Pass) };
        let (text, declared) = (Arc::clone(&statement.key.text), statement.parameters);
        let (known, long) = (statement.types.clone(), statement.long_data);
        if header.length > WHOLE_MAX {
            self.skip(header).await?;
            return Err(too_long());
        }
        let parameters = match Parameters::read(&payload, declared, known.as_deref(), attributes) {
            Ok(parameters) if !long => parameters,
            read => {
                self.skip(header).await?;
                let pieces = unroutable("a parameter that was sent in pieces");
                return Err(read.err().map_or(pieces, malformed));
            }
        };
        let sent = Sent::Execution(id);
        let routing = Routing { facts, text: &text, sent, parameters: Some(&parameters) };
        let work = self.work(routing);
        let routed = self.set_out(work, header, routing, context).await?;
        match routed {
            Routed::Pass => self.place_statement(id),
            Routed::Done => {
                if let (Some(types), Some(statement)) = (parameters.types(), self.statement(id)) {
                    statement.types = Some(types.into());
                }
            }
        }
        Ok(routed)
    }

    async fn set_out(
        &mut self,
        work: Result<Work, EngineError>,
        header: Header,
        routing: Routing<'_>,
        context: &mut StatementContext<'_>,
    ) -> Result<Routed, EngineError> {
        if let Ok(Work::Pass(slot) | Work::Instead(slot, _)) = &work {
            let gone = self.go_to(*slot).await;
            if gone.is_err() {
                self.skip(header).await?;
            }
            if let (Some(place), Ok(Work::Instead(_, text))) = (&mut self.place, work) {
                place.instead = Some(text);
            }
            return gone.map(|()| Routed::Pass);
        }
        if let Ok(Work::Scatter(parts, scatter)) = &work {
            self.read_parts(parts, scatter, (header, routing), context).await?;
            return Ok(Routed::Done);
        }
        self.skip(header).await?;
        match work? {
            Work::Pass(_) | Work::Instead(..) | Work::Scatter(..) => {}
            Work::Write(parts, sum, unbound) => {
                let permit = self.admit_parts(routing.facts, routing.text, &parts, context.started()).await?;
                let (parts, parameters, unbound) = (&parts[..], routing.parameters, &unbound[..]);
                let writing = Writing { parts, sum, parameters, unbound, id: None };
                end_parts(permit, self.write_parts(writing, context).await)?;
            }
            Work::Generate(generate) => {
                Box::pin(self.insert_with_ids(&generate, routing, context)).await?;
            }
            Work::Begin(text) => {
                if let Some(place) = &mut self.place {
                    place.begin = Some(text);
                }
                self.answer_status(self.state.idle_status().with(StatusFlags::IN_TRANS)).await?;
            }
            Work::End => {
                self.has_begun();
                self.answer_status(self.state.idle_status()).await?;
            }
            Work::List(listing) => self.list_tables(&listing, context).await?,
            Work::Databases => self.list_databases().await?,
            Work::Use(schema) => self.init_db(schema).await?,
            Work::Explain(lines) => {
                let rows: Vec<Vec<String>> =
                    lines.into_iter().map(|(what, how)| vec![what.to_owned(), how]).collect();
                self.answer_table(&["what", "how"], &rows).await?;
            }
        }
        Ok(Routed::Done)
    }

    /// What becomes of the statement. Decides only.
    fn work(&mut self, routing: Routing<'_>) -> Result<Work, EngineError> {
        let Some(place) = &self.place else { return Err(unroutable("a session without a database")) };
        let here = place.slot();
        let bound = self.is_bound() && self.state.status.has(StatusFlags::IN_TRANS);
        let text = || String::from_utf8(routing.text.to_vec());
        // The first of several statements says nothing about the others.
        if routing.facts.statement.effects.contains(Effects::MULTIPLE) {
            return Err(unroutable("several statements in one text"));
        }
        match routing.facts.statement.kind {
            Kind::Begin if !bound => {
                return text().map(Work::Begin).map_err(|_| unroutable("a text that is not UTF-8"));
            }
            Kind::Commit | Kind::Rollback if place.begin.is_some() && !bound => return Ok(Work::End),
            Kind::Use => {
                let name = used(routing.text).ok_or_else(|| unroutable("this form of USE"))?;
                return Ok(Work::Use(name));
            }
            Kind::Begin
            | Kind::Commit
            | Kind::Rollback
            | Kind::RollbackTo
            | Kind::Savepoint
            | Kind::ReleaseSavepoint
            | Kind::Kill
            | Kind::Help
            | Kind::GetDiagnostics
            | Kind::Empty => return Ok(Work::Pass(here)),
            Kind::Set | Kind::Do => return sets_here(routing.text).map(|()| Work::Pass(here)),
            Kind::CreateTable | Kind::DropTable | Kind::Truncate | Kind::Ddl => return Err(is_a_job()),
            Kind::Show(kind) => return self.shows(kind, &routing),
            Kind::Describe if !asks_for_route(routing.text) && !explains(routing.text) => {
                return self.shows(ShowKind::Schema, &routing);
            }
            _ => {}
        }
        self.planned(routing, here)
    }

    fn shows(&self, kind: ShowKind, routing: &Routing<'_>) -> Result<Work, EngineError> {
        let Some(place) = &self.place else { return Err(unroutable("a session without a database")) };
        let here = place.slot();
        let work = match shown(kind, (routing.text, self.state.mode), &place.database, here)? {
            Shown::Here => Work::Pass(here),
            Shown::Slot(slot, None) => Work::Pass(slot),
            Shown::Slot(slot, Some(text)) => return changed(slot, text, routing),
            Shown::Tables(listing) => Work::List(listing),
            Shown::Databases => Work::Databases,
        };
        if routing.parameters.is_some() && matches!(work, Work::List(_) | Work::Databases) {
            return Err(unroutable("a prepared SHOW of all tables or databases"));
        }
        Ok(work)
    }

    fn planned(&self, routing: Routing<'_>, here: SlotId) -> Result<Work, EngineError> {
        let Some(place) = &self.place else { return Err(unroutable("a session without a database")) };
        if routing.parameters.is_some()
            && let Some(slot) = self.slot_by_recipe(routing.facts, routing.text, routing.parameters)
        {
            return Ok(Work::Pass(slot));
        }
        let rules = &place.database.rules;
        let literals = routing.parameters.map(Parameters::literals).unwrap_or_default();
        let plan = plan(rules, &self.request(&place.database, routing.text, &literals));
        if plan.explain {
            return Ok(Work::Explain(plan.explain(rules, routing.text)));
        }
        self.may_use(plan.hints)?;
        match plan {
            Plan { action: Action::Refuse(refusal), .. } => Err(EngineError::Refused(refusal.sql_error())),
            Plan { action: Action::One { slot, sql: Sql::Client }, .. } => Ok(Work::Pass(slot)),
            Plan { action: Action::Any { sql: Sql::Client }, .. } => Ok(Work::Pass(here)),
            Plan { action: Action::One { slot, sql: Sql::Changed(text) }, .. } => {
                changed(slot, text, &routing)
            }
            Plan { action: Action::Any { sql: Sql::Changed(text) }, .. } => changed(here, text, &routing),
            Plan { action: Action::Scatter(_), .. } if self.rows_are_cut() => {
                Err(unroutable("a read of several slots while sql_select_limit is set"))
            }
            Plan { action: Action::Scatter(scatter), .. } => {
                let text = sent(&scatter.sql, routing.text);
                let parts = scatter.slots.iter().map(|slot| Part { slot, text: text.clone() }).collect();
                Ok(Work::Scatter(parts, scatter))
            }
            Plan { action: Action::Write(write), .. } => Ok(written(write, &routing)),
            Plan { action: Action::Generate(generate), .. } => Ok(Work::Generate(generate)),
        }
    }

    /// A hint that takes a check away needs somebody who may do without.
    pub(super) fn may_use(&self, hints: HintsUsed) -> Result<(), EngineError> {
        let allowed = &self.user.settings.hints;
        let words = [
            (hints.slot, Hint::Slot, "slot"),
            (hints.shard, Hint::Shard, "shard"),
            (hints.scatter, Hint::Scatter, "scatter"),
        ];
        match words.into_iter().find(|(used, hint, _)| *used && !allowed.contains(hint)) {
            None => Ok(()),
            Some((_, _, word)) => Err(EngineError::refused(
                1227,
                "42000",
                format!(
                    "DZ1607: this user may not use the hint `{word}`; leave it out, or have it listed under `hints` of the user"
                ),
            )),
        }
    }

    /// Whether `sql_select_limit` would take rows from each slot that the result needs.
    fn rows_are_cut(&self) -> bool {
        let limit = self.state.image.variable("sql_select_limit");
        limit.is_some_and(|limit| limit != b"18446744073709551615" && !limit.eq_ignore_ascii_case(b"default"))
    }

    async fn answer_status(&mut self, status: StatusFlags) -> Result<(), EngineError> {
        self.state.status = status;
        (self.state.row_count, self.state.warnings) = (0, 0);
        Ok(self.client.send_ok(&OkPacket { status, ..OkPacket::default() }).await?)
    }
}

/// The client's text with its database taken out, for one slot.
fn changed(slot: SlotId, text: Vec<u8>, routing: &Routing<'_>) -> Result<Work, EngineError> {
    if routing.parameters.is_some() {
        return Err(unroutable("a prepared statement with the name of the logical database in it"));
    }
    Ok(Work::Instead(slot, text))
}

fn written(write: Fanout, routing: &Routing<'_>) -> Work {
    if let [(slot, Sql::Client)] = &write.parts[..] {
        return Work::Pass(*slot);
    }
    let (parts, sum) = parts(&write, routing.facts.statement.kind, routing.text);
    Work::Write(parts, sum, write.unbound)
}

/// What each slot of a write is sent, and how their answers become one.
pub(super) fn parts(write: &Fanout, kind: Kind, text: &[u8]) -> (Vec<Part>, Sum) {
    let part = |(slot, sql): &(SlotId, Sql)| Part { slot: *slot, text: sent(sql, text) };
    let sum = match (write.answer, kind) {
        (Some(_), kind) => Sum::Copies { inserted: matches!(kind, Kind::Insert | Kind::Replace) },
        (None, Kind::Insert | Kind::Replace) => Sum::Inserted,
        (None, _) => Sum::Rows,
    };
    let mut parts: Vec<Part> = write.parts.iter().map(part).collect();
    // Of copies the first one's answer counts.
    if let Some(answer) = write.answer {
        parts.sort_by_key(|part| part.slot != answer);
    }
    (parts, sum)
}

pub(super) fn sent(sql: &Sql, text: &[u8]) -> Vec<u8> {
    match sql {
        Sql::Client => text.to_vec(),
        Sql::Changed(changed) => changed.clone(),
    }
}

/// Whether a SET or DO concerns the session alone: a slot knows its own rows only, and what is set for all
/// sessions, or for an account, would be so on one server.
fn sets_here(text: &[u8]) -> Result<(), EngineError> {
    const SHARED: [&[u8]; 7] =
        [b"GLOBAL", b"PERSIST", b"PERSIST_ONLY", b"PASSWORD", b"ROLE", b"RESOURCE", b"DEFAULT_ROLE"];
    if !names_no_table(text) {
        return Err(unroutable("SET or DO with a statement in it"));
    }
    let mut words = text.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
    match words.any(|word| SHARED.iter().any(|known| word.eq_ignore_ascii_case(known))) {
        true => Err(unroutable("SET of what concerns more than this session")),
        false => Ok(()),
    }
}

/// Whether a SET or DO asks no table. A word in a text counts as well.
fn names_no_table(text: &[u8]) -> bool {
    const WORDS: [&[u8]; 8] =
        [b"SELECT", b"TABLE", b"INSERT", b"UPDATE", b"DELETE", b"REPLACE", b"CALL", b"STATEMENT"];
    let mut words = text.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
    !words.any(|word| WORDS.iter().any(|known| word.eq_ignore_ascii_case(known)))
}

fn too_long() -> EngineError {
    unroutable("a statement of more than 1 MiB")
}

/// The schema of `USE name`, in backquotes or without.
fn used(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.trim_ascii();
    let text = text.strip_suffix(b";").unwrap_or(text).trim_ascii_end();
    let (word, name) = text.split_at_checked(3)?;
    let bare = name.trim_ascii();
    let quoted = bare.strip_prefix(b"`").and_then(|name| name.strip_suffix(b"`"));
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'-' | b'.');
    let name = quoted.unwrap_or(bare);
    let separated = quoted.is_some() || name.len() < text.len() - word.len();
    let known = word.eq_ignore_ascii_case(b"USE") && separated && !name.is_empty() && name.iter().all(plain);
    known.then(|| name.to_vec())
}

fn is_a_job() -> EngineError {
    EngineError::refused(
        1235,
        "42000",
        "DZ1621: a definition of a logical database is changed in all its slots by a job: dazzle rules ddl",
    )
}

pub(crate) fn unroutable(what: &str) -> EngineError {
    EngineError::refused(
        1235,
        "42000",
        format!(
            "DZ1603: in a logical database, {what} is not possible; use another form, or a slot of its own"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::{names_no_table, used};

    #[test]
    fn the_schema_of_a_use_is_read_or_it_is_refused() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(used(text.as_bytes()).as_deref(), expected.map(str::as_bytes), "{text}");
        };
        check("USE shop", Some("shop"));
        check(" use `my-shop` ; ", Some("my-shop"));
        check("USE/**/shop", None);
        check("USE", None);
        check("USEshop", None);
    }

    #[test]
    fn a_set_that_asks_a_table_is_noticed() {
        assert!(names_no_table(b"SET NAMES utf8mb4, @a = 1, @@sql_select_limit = 10"));
        for text in
            ["SET @a = (SELECT COUNT(*) FROM t)", "SET STATEMENT x = 1 FOR DELETE FROM t", "DO (TABLE t)"]
        {
            assert!(!names_no_table(text.as_bytes()), "{text}");
        }
    }
}
