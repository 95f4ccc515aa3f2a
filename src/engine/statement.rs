//! One text statement, from the client's bytes to its reply.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tracing::debug;

use crate::backend::ServerLease;
use crate::engine::admission::end_permit;
use crate::engine::combine::{Departure, Holding, Passed, REPLY_BYTES_MAX, Way, drop_replies};
use crate::engine::cut::{Bounds, Cut};
use crate::engine::error::EngineError;
use crate::engine::facts::Facts;
use crate::engine::held::names_what_it_holds;
use crate::engine::hot_reads::{Asked, Hot};
use crate::engine::hot_rows::Sent;
use crate::engine::kill::{Order, Running, killable};
use crate::engine::local::needs_care;
use crate::engine::parameters::skip_attributes;
use crate::engine::pins::{After, effects_had};
use crate::engine::recall::{shows_assignments, too_late};
use crate::engine::relay::{Outcome, Relay, RelayError, relay_until};
use crate::engine::reports::results_min;
use crate::engine::session::Session;
use crate::engine::streaming::{stream_command, write_command};
use crate::engine::tracker::is_uncarried;
use crate::engine::values::found_rows_after;
use crate::error::ProxyError;
use crate::sql::{Access, Effects, FoundRows, Kind, Statement, Tail};
use crate::telemetry::{Activity, CommandKind, PinReason, StatementContext};
use crate::wire::{Buffer, Capabilities, HEADER_BYTES, Header, PAYLOAD_MAX, ReplyKind, StatusFlags};

/// Texts up to this length are read whole before they are looked at; of longer ones the beginning
/// decides, and the rest is streamed.
pub(crate) const WHOLE_MAX: usize = 1 << 20;

/// A statement on its way.
#[derive(Clone, Debug)]
pub(crate) struct Sending<'a> {
    /// What is known of its text.
    pub(crate) facts: &'a Facts,
    /// How its reply is passed on.
    pub(crate) relay: Relay,
    /// The client's packet, header included, is this long and stands at the front of its input.
    pub(crate) header: Header,
    /// The client's id of the prepared statement it executes.
    pub(crate) prepared: Option<u32>,
}

impl Session {
    /// COM_QUERY. The header has been read, the payload may still be on its way.
    pub async fn query(&mut self, header: Header) -> Result<(), EngineError> {
        let head = (HEADER_BYTES + header.length).min(HEADER_BYTES + WHOLE_MAX);
        self.client.need(head).await?;
        let (facts, tail) = self.text_facts(header);
        self.client.tail = tail;
        self.renew_place();
        let worker = Arc::clone(&self.worker);
        let mut context = StatementContext::begin(&worker.metrics, CommandKind::Query);
        context.digest(facts.row);
        self.guard.activity(Activity::Query, context.started());
        let writes = self.begin_write(&facts, header, Sent::Text);
        let result = self.run_text(&facts, header, &mut context).await;
        self.end_write(writes, &result);
        if self.hot.was_hit() {
            return self.finish(result, context);
        }
        self.finish_paced(result, context, &facts.pace)
    }

    /// The text of the COM_QUERY at the front of the client's input, as far as it has been read.
    pub(crate) fn query_text(&self, header: Header) -> &[u8] {
        let input = self.client.stream.input.filled();
        let end = (HEADER_BYTES + header.length).min(input.len());
        let payload = input.get(HEADER_BYTES + 1..end).unwrap_or_default();
        if !self.client.capabilities.has(Capabilities::QUERY_ATTRIBUTES) {
            return payload;
        }
        skip_attributes(payload).unwrap_or_default()
    }

    /// Facts of the text, or of its beginning: then with what reads the rest while it is streamed.
    fn text_facts(&self, header: Header) -> (Arc<Facts>, Option<Tail>) {
        let text = self.query_text(header);
        let facts = |text| self.worker.facts.facts(text, self.state.mode, &self.worker.metrics);
        if header.length <= WHOLE_MAX {
            return (facts(text), None);
        }
        let there = self.client.stream.input.len().min(HEADER_BYTES + header.length);
        let before = there.saturating_sub(HEADER_BYTES + text.len());
        let (whole, tail) = Tail::split(text, self.state.mode, before);
        (facts(&text[..whole]), Some(tail))
    }

    async fn run_text(
        &mut self,
        facts: &Facts,
        header: Header,
        context: &mut StatementContext<'_>,
    ) -> Result<(), EngineError> {
        let statement = &facts.statement;
        let _changing = self.engine.definitions.change(statement);
        if let Some(what) = facts.own_show {
            self.skip_command(header).await?;
            return Box::pin(self.show(what, statement)).await;
        }
        if self.answered_elsewhere(facts, header, context).await? {
            return Ok(());
        }
        if facts.connect_question && Box::pin(self.answer_known(facts, header, context)).await? {
            return Ok(());
        }
        if needs_care(statement.effects) {
            let text = self.query_text(header).to_vec();
            let answered = self.answer_locally(statement, &text).await;
            if !matches!(answered, Ok(false)) {
                self.skip_command(header).await?;
                return answered.map(|_| ());
            }
        }
        let asked = Asked { facts, header, sent: Sent::Text, parts: &[], started: context.started() };
        let fill = match self.read_hot(asked).await? {
            Hot::Answered => return Ok(()),
            Hot::Sent(fill) => fill,
        };
        let sets = statement.effects.contains(Effects::SETS_SYSTEM_VARIABLE);
        let assigns = statement.effects.contains(Effects::ASSIGNS_USER_VARIABLE);
        let kept = sets || assigns || names_what_it_holds(statement);
        let text = if kept { self.query_text(header).to_vec() } else { Vec::new() };
        let relay = Relay {
            kind: ReplyKind::Results,
            infile: statement.effects.contains(Effects::LOAD_LOCAL),
            moves: statement.effects.intersects(MOVING),
            enters: statement.effects.contains(Effects::CHANGES_SCHEMA),
            returns: false,
            cursor: false,
            call: false,
            results_min: results_min(statement, self.query_text(header), self.state.mode),
            reply_timeout: self.reply_timeout(),
            columns: None,
            prepares_again: false,
            shared: false,
            renaming: self.renaming(),
            bounds: Bounds::default(),
        };
        let sending = Sending { facts, relay, header, prepared: None };
        let outcome = self.send_and_confirm(sending, context).await;
        let outcome = self.fill_hot(fill, outcome, context.started());
        let Some(outcome) = self.or_old(outcome, facts, None).await? else { return Ok(()) };
        if sets && outcome.error.is_none() {
            self.read_back(&text, &outcome).await.map_err(too_late)?;
        }
        self.follow_role(statement, &outcome).await.map_err(too_late)?;
        if self.client.tracks_itself {
            Box::pin(self.follow_schema(statement)).await.map_err(too_late)?;
        }
        let tail = self.client.tail.take();
        if header.length > WHOLE_MAX && !tail.is_some_and(|tail| tail.adds_nothing(statement)) {
            // What stood behind the part that was read may have done anything.
            self.pin(PinReason::Unknown);
        }
        self.settle(statement, &text, &outcome);
        self.part().await
    }

    /// Adds a reason to keep the connection, and counts it.
    pub(crate) fn pin(&mut self, reason: PinReason) {
        if self.pins.add(reason) {
            self.worker.metrics.pins.increment(reason);
        }
    }

    pub(crate) fn reply_timeout(&self) -> Duration {
        self.user.reply_timeout
    }

    /// Sends the client's packet as it is and passes the reply on. Another connection is tried where
    /// that is safe: the statement was certainly not run, or it only reads and nothing came back yet.
    pub(crate) async fn send(
        &mut self,
        mut sending: Sending<'_>,
        context: &mut StatementContext<'_>,
    ) -> Result<Outcome, EngineError> {
        // A file of the client follows its command in the input, so that command must leave it first.
        let whole = is_whole(&self.client.stream.input, sending.header) && !sending.relay.infile;
        let result = match self.admit(&sending, context.started()).await {
            Ok(permit) => {
                sending.relay.bounds = Bounds {
                    allowance: permit.allowance,
                    timed: permit.is_timed(),
                    limited: permit.allowance.time_max.is_some()
                        && sending.facts.statement.kind == Kind::Select,
                };
                sending.relay.prepares_again &= whole;
                let mut result = self.send_with_retry(&sending, whole, context).await;
                if matches!(&result, Ok(outcome) if outcome.stale) {
                    result = Box::pin(self.execute_anew(&sending, context)).await;
                }
                end_permit(permit, &result);
                result
            }
            Err(error) => Err(error),
        };
        if let Ok(outcome) = &result
            && (outcome.bytes > REPLY_BYTES_MAX || outcome.warnings > 0 || outcome.error.is_some())
        {
            sending.facts.pace.begin_anew();
        }
        if whole {
            self.client.stream.input.consume(HEADER_BYTES + sending.header.length);
            return result;
        }
        // What was streamed is gone, and how much of it is still to come nobody knows.
        match result {
            Err(EngineError::Lost(error)) => Err(EngineError::Relay(error)),
            Err(error) if error.session_survives() => {
                self.skip_command(sending.header).await?;
                Err(error)
            }
            result => result,
        }
    }

    pub(crate) async fn send_with_retry(
        &mut self,
        sending: &Sending<'_>,
        whole: bool,
        context: &mut StatementContext<'_>,
    ) -> Result<Outcome, EngineError> {
        let bound = self.is_bound() && !self.holds_for_diagnostics();
        let mut retried = false;
        let worker = Arc::clone(&self.worker);
        let mut boarding = None;
        if whole && self.may_combine(sending) {
            match self.choose_way(sending, &worker.station, context).await? {
                Way::Alone => {}
                Way::Arrived(outcome) => return Ok(outcome),
                Way::First => boarding = Some(worker.station.open(self.line())),
            }
        }
        loop {
            let waited = self.acquire(context.started()).await?;
            context.leased(waited);
            let server_id = match self.ready(sending).await {
                Ok(server_id) => server_id,
                // Nothing has been sent: any dead connection may be replaced.
                Err(EngineError::Backend(error)) if !bound && !retried && error.retryable() => {
                    self.drop_lease();
                    retried = true;
                    continue;
                }
                Err(error) => {
                    self.keep_if_known();
                    return Err(error);
                }
            };
            let others = match boarding.take() {
                Some(boarding) => self.gather(boarding).await,
                None => None,
            };
            let instead = match self.address(sending, server_id, others.is_some()) {
                Ok(instead) => instead,
                Err(error) => {
                    self.keep_if_known();
                    return Err(error);
                }
            };
            let error = match self.exchange(sending, whole, instead, others).await {
                Ok(outcome) if outcome.withheld && !outcome.stale => continue,
                Ok(outcome) => return Ok(outcome),
                Err(error) => error,
            };
            let (unread, untouched) = (error.is_unread(), error.is_untouched());
            let fresh = self.lease.as_ref().is_some_and(ServerLease::is_fresh);
            self.drop_lease();
            let harmless = sending.facts.statement.access == Access::Read && untouched;
            if bound || fresh || retried || !whole || !(unread || harmless) {
                return Err(if untouched { EngineError::Lost(error) } else { EngineError::Relay(error) });
            }
            debug!(%error, "the statement did not run, and is sent again");
            self.worker.metrics.retries.increment();
            retried = true;
        }
    }

    /// The last steps on the server before the command can go: LAST_INSERT_ID(), the statement prepared,
    /// whose id there it gives.
    async fn ready(&mut self, sending: &Sending<'_>) -> Result<Option<u32>, EngineError> {
        self.begin_where_leased().await?;
        let statement = &sending.facts.statement;
        self.check_found_rows(statement)?;
        self.adopt_insert_id(statement, sending.prepared.is_some()).await?;
        self.prepare_sequences(statement).await?;
        if statement.effects.intersects(NAMING | Effects::SETS_SYSTEM_VARIABLE) {
            let prepared = sending.prepared.and_then(|id| self.statement(id));
            let text = match prepared {
                Some(prepared) => prepared.key.text.to_vec(),
                None => self.query_text(sending.header).to_vec(),
            };
            self.forget_remnants(statement, &text).await?;
            Box::pin(self.hand_tracking_over(statement, &text)).await?;
        }
        let Some(id) = sending.prepared else { return Ok(None) };
        self.choose_text(id, statement)?;
        self.prepare_here(id).await.map(Some)
    }

    /// Addresses an execution to the server's statement, right before it is sent. What goes instead of the
    /// client's own bytes, if they do not go.
    fn address(
        &mut self,
        sending: &Sending<'_>,
        server_id: Option<u32>,
        shared: bool,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        let (Some(id), Some(server_id)) = (sending.prepared, server_id) else {
            return self.text_instead(sending);
        };
        let mut lease = self.lease.take().expect("acquired just before");
        let instead = match shared {
            true => self.address_shared(&mut lease, id, server_id, sending.header),
            false => self.address_execution(&mut lease, id, server_id, sending.header),
        };
        self.lease = Some(lease);
        instead
    }

    /// Sends the client's packet, or `instead` of it these bytes, and passes the reply on. The commands of
    /// `others` follow in the same write.
    async fn exchange(
        &mut self,
        sending: &Sending<'_>,
        whole: bool,
        instead: Option<Vec<u8>>,
        others: Option<Departure>,
    ) -> Result<Outcome, RelayError> {
        let lease = self.lease.as_mut().expect("acquired just before");
        lease.begin();
        let closing = lease.closing_frames();
        if !closing.is_empty() {
            write_command(lease, &closing).await?;
        }
        let client = &mut self.client;
        let bytes = HEADER_BYTES + sending.header.length;
        if let Some(Departure { commands, holding }) = others {
            let own = instead.as_deref().unwrap_or_else(|| &client.stream.input.filled()[..bytes]);
            write_command(lease, &[own, &commands].concat()).await?;
            return Box::pin(self.read_reply(sending.relay.clone(), Some(holding))).await;
        }
        if let Some(bytes) = instead {
            write_command(lease, &bytes).await?;
        } else if whole {
            write_command(lease, &client.stream.input.filled()[..bytes]).await?;
        } else {
            stream_command(lease, client, sending.header).await?;
        }
        self.read_reply(sending.relay.clone(), None).await
    }

    /// Passes the reply that comes next on, and then the connection, if others wait for it.
    pub(crate) async fn read_reply(
        &mut self,
        how: Relay,
        holding: Option<Holding<ServerLease>>,
    ) -> Result<Outcome, RelayError> {
        let pool = Arc::clone(self.pool());
        let lease = self.lease.as_mut().expect("acquired just before");
        let shared = holding.as_ref().is_some_and(Holding::is_followed);
        let how = Relay { shared, ..how.within_grace().timed_if(holding.is_none()) };
        let running = Running {
            pool: &pool,
            worker: self.worker.id,
            thread_id: lease.thread_id(),
            holding: holding.as_ref(),
        };
        let cut = Cut::new(self.guard.id(), lease.facts.flavor);
        let order = Order { guard: &self.guard, cut: &cut, time_max: how.bounds.allowance.time_max };
        let (result, killed) = {
            let _under_way = self.worker.station.depart();
            let exchange = pin!(relay_until(lease, &mut self.client, how, &cut));
            killable(exchange, order, running).await
        };
        self.alarm_rung |= killed;
        if matches!(result, Err(RelayError::Gone)) {
            // Nobody waits for the answer any more; the server should not work for it either.
            drop(running.kill());
        }
        let outcome = result?;
        match (holding, self.lease.take()) {
            (Some(holding), Some(lease)) => self.pass_on_lease(holding, lease, outcome.status),
            (None, Some(mut lease)) => {
                lease.answered(outcome.status);
                self.lease = Some(lease);
            }
            (_, None) => {}
        }
        Ok(outcome)
    }

    fn pass_on_lease(&mut self, holding: Holding<ServerLease>, lease: ServerLease, status: StatusFlags) {
        match holding.pass(lease) {
            Passed::On => {}
            Passed::Last(mut lease) => {
                lease.answered(status);
                self.lease = Some(lease);
            }
            Passed::Leftover(lease, replies) => drop_replies(lease, replies),
        }
    }

    /// After a reply: what the statement did to the session, and whether the connection is kept.
    pub(crate) fn settle(&mut self, statement: &Statement, text: &[u8], outcome: &Outcome) {
        let was_open = self.state.status.has(StatusFlags::IN_TRANS);
        self.state.status = outcome.status.without(StatusFlags::OF_ONE_RESULT);
        self.diagnostics = None;
        self.has_begun();
        self.count(statement, outcome);
        self.owe(statement, text, outcome);
        self.note_sequences(statement, text, outcome);
        if outcome.changes.any() {
            self.compare_witnesses(statement, outcome);
            self.take_in(&outcome.changes);
        }
        let plain = statement.effects.is_empty() && self.pins.is_empty() && !outcome.changes.any();
        if !plain {
            self.fold_pins(statement, text, outcome, was_open);
        }
        let asks = outcome.warnings > 0 || outcome.error.is_some();
        if asks && self.is_bound() {
            self.pins.add(PinReason::Warnings);
        } else if !statement.effects.contains(Effects::DIAGNOSTICS) {
            self.pins.end(PinReason::Warnings);
        }
    }

    fn fold_pins(&mut self, statement: &Statement, text: &[u8], outcome: &Outcome, was_open: bool) {
        let before = self.pins;
        if statement.effects.contains(Effects::UNREADABLE) && outcome.is_syntax_error() {
            return;
        }
        // What a routine names may not be all it did; a SET or USE does what its text says.
        let unexplained = match statement.kind {
            _ if assigns(statement) => false,
            Kind::Set
                if statement.effects.contains(Effects::SET_ROLE)
                    && !statement.effects.contains(Effects::MULTIPLE) =>
            {
                false
            }
            Kind::Set | Kind::Use => outcome.changes.other_state,
            _ => outcome.changes.state,
        };
        // An ERR tells nothing about what was done before it.
        let opaque = Effects::CALLS_PROCEDURE | Effects::MULTIPLE;
        let unknown = outcome.error.is_some() && statement.effects.intersects(opaque);
        let effects = effects_had(statement, outcome);
        let after = After {
            status: outcome.status,
            ended_transaction: was_open && !outcome.status.has(StatusFlags::IN_TRANS),
            unexplained: unexplained || unknown,
            kept_found_rows: found_rows_after(statement, outcome) == FoundRows::Kept,
        };
        self.pins.fold(effects, after);
        let named = effects.contains(Effects::SETS_UNTRACKED) && outcome.error.is_none();
        if !named && outcome.changes.variables.iter().any(|(name, _)| is_uncarried(name)) {
            self.hold_unnamed_variable();
        }
        match outcome.error {
            None => self.hold(statement, text),
            Some(_) => self.hold_unnamed(effects),
        }
        for reason in self.pins.since(before).iter() {
            self.worker.metrics.pins.increment(reason);
        }
        let mut held = self.pins;
        held.end(PinReason::Warnings);
        if !held.is_empty() && !outcome.status.has(StatusFlags::IN_TRANS) {
            self.worker.metrics.statements_pinned.increment();
        }
        self.show_pins(Some(statement));
    }
}

/// Effects with which a statement may leave the schema, be it to come back.
const MOVING: Effects = Effects::CHANGES_SCHEMA.with(Effects::CALLS_PROCEDURE).with(Effects::TEXT_EXECUTE);

/// Effects of statements that name user variables.
const NAMING: Effects = Effects::USES_USER_VARIABLE.with(Effects::ASSIGNS_USER_VARIABLE);

/// Whether a change of state is the assignment of user variables that the text shows.
fn assigns(statement: &Statement) -> bool {
    statement.effects.contains(Effects::ASSIGNS_USER_VARIABLE) && shows_assignments(statement)
}

/// Whether the client's command has been read whole: it can then be sent again.
pub(crate) fn is_whole(input: &Buffer, header: Header) -> bool {
    header.length < PAYLOAD_MAX && input.len() >= HEADER_BYTES + header.length
}
