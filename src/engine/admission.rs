//! The one door in a statement's life: rules, concurrency and breakers, before a server connection is asked
//! for; and what became of the statement, after it.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use crate::backend::pool::PoolError;
use crate::backend::{Backend, BackendError, Flavor};
use crate::engine::error::EngineError;
use crate::engine::facts::Facts;
use crate::engine::relay::Outcome;
use crate::engine::relay::RelayError;
use crate::engine::session::Session;
use crate::engine::sharded::Part;
use crate::engine::statement::Sending;
use crate::protection::{self, Allowance, Ask, Decision, Denial, Door, Permit, Refusal, application_of};
use crate::telemetry::PinReason;
use crate::wire::{Header, StatusFlags};

/// Pins under which others may wait for what this session holds.
const LOCKS: [PinReason; 6] = [
    PinReason::TableLock,
    PinReason::InstanceLock,
    PinReason::NamedLock,
    PinReason::Xa,
    PinReason::Handler,
    PinReason::Savepoint,
];

impl Session {
    /// Passage for a statement. Without a rule and a door it costs two loads.
    pub(crate) async fn admit(
        &mut self,
        sending: &Sending<'_>,
        started: Instant,
    ) -> Result<Permit, EngineError> {
        if self.engine.admission.revision() == 0 && !self.server().has_door() {
            return Ok(Permit::default());
        }
        let decision = self.decide(sending.facts, started, &[], |session| {
            session.application_in(sending.header, sending.prepared)
        })?;
        self.pass(sending.facts, decision, started).await
    }

    /// Passage for COM_STMT_PREPARE: what may not run is not prepared either; rates and limits count executions.
    pub(crate) async fn admit_prepare(
        &mut self,
        facts: &Facts,
        text: &[u8],
        started: Instant,
    ) -> Result<Permit, EngineError> {
        if self.engine.admission.revision() == 0 && !self.server().has_door() {
            return Ok(Permit::default());
        }
        let decision = self.decide(facts, started, &[], |_| application_of(text))?;
        self.pass(facts, decision.without_limits(), started).await
    }

    /// Passage for a statement that goes to several slots: past its rules, and once past the door of each server
    /// that has such a slot.
    pub(crate) async fn admit_parts(
        &mut self,
        facts: &Facts,
        text: &[u8],
        parts: &[Part],
        started: Instant,
    ) -> Result<Permit, EngineError> {
        let servers = self.servers_of(parts);
        let doors: Vec<Arc<Door>> = servers.iter().filter_map(|server| server.door()).collect();
        if self.engine.admission.revision() == 0 && doors.is_empty() {
            return Ok(Permit::default());
        }
        let decision = self.decide(facts, started, &servers, |_| application_of(text))?;
        if decision.is_without_limits() && doors.is_empty() {
            return Ok(Permit::free(&decision));
        }
        let ask = self.ask(&decision, started);
        Box::pin(self.wait_to_pass(Err(decision), ask, facts.statement.digest.hash, &doors)).await
    }

    /// The servers of some slots, in one order for all sessions, so that no two wait for each other at their doors.
    pub(crate) fn servers_of(&self, parts: &[Part]) -> Vec<Arc<Backend>> {
        let Some(place) = &self.place else { return Vec::new() };
        let server = |part: &Part| &place.pool(place.database.shard(part.slot)).connector().backend;
        let mut servers: Vec<Arc<Backend>> = parts.iter().map(|part| Arc::clone(server(part))).collect();
        servers.sort_unstable_by(|one, other| one.name().cmp(other.name()));
        servers.dedup_by(|one, other| Arc::ptr_eq(one, other));
        servers
    }

    /// The server that the next statement goes to.
    pub(crate) fn server(&self) -> &Backend {
        &self.pool().connector().backend
    }

    /// Whether a statement to `servers`, or to the session's own, may be answered from memory: no rule denies it, and
    /// none limits it, which is the door's affair.
    pub(crate) fn admit_hit(
        &mut self,
        facts: &Facts,
        started: Instant,
        servers: &[Arc<Backend>],
        comment: impl FnOnce(&Self) -> Option<String>,
    ) -> Result<bool, EngineError> {
        match self.judge(facts, started, servers, comment) {
            Ok(decision) => Ok(decision.is_without_limits() && decision.allowance == Allowance::default()),
            Err(Denial::KeptOnly(..)) => Ok(true),
            Err(denial @ (Denial::Rule(_) | Denial::Switch(..))) => Err(self.protected(denial.into())),
        }
    }

    /// The application named by the text of the COM_QUERY at the front of the client's input, or by that of a
    /// `prepared` statement.
    pub(crate) fn application_in(&self, header: Header, prepared: Option<u32>) -> Option<String> {
        match prepared {
            None => application_of(self.query_text(header)),
            Some(id) => self.prepared_text(id).and_then(application_of),
        }
    }

    fn ask(&self, decision: &Decision, started: Instant) -> Ask {
        let (tier, user) = (decision.tier, self.user.slot.0);
        Ask { tier, user, bound: self.holds_locks(), since: started }
    }

    fn decide(
        &mut self,
        facts: &Facts,
        started: Instant,
        servers: &[Arc<Backend>],
        comment: impl FnOnce(&Self) -> Option<String>,
    ) -> Result<Decision, EngineError> {
        let judged = self.judge(facts, started, servers, comment);
        judged.map_err(|denial| self.protected(denial.into()))
    }

    /// What the rules say about a statement of `facts` to `servers`, or if there are none to the session's own;
    /// `comment` finds the application that its text names.
    fn judge(
        &mut self,
        facts: &Facts,
        started: Instant,
        servers: &[Arc<Backend>],
        comment: impl FnOnce(&Self) -> Option<String>,
    ) -> Result<Decision, Denial> {
        if self.engine.admission.revision() == 0 {
            return Ok(Decision::default());
        }
        let policy = self.engine.admission.policy();
        let marked = policy.marked(&facts.marks, &facts.statement, &facts.shape);
        let identified = match policy.by_application().then(|| comment(self)).flatten() {
            Some(application) => policy.of_session(&self.user.name, Some(&application)),
            None => policy.identified(&mut self.identity, &self.user.name),
        };
        let there = match servers {
            [] => policy.at_clusters(std::iter::once(self.server().cluster())),
            servers => policy.at_clusters(servers.iter().map(|server| server.cluster())),
        };
        policy.decide(marked & identified & there, started)
    }

    async fn pass(
        &mut self,
        facts: &Facts,
        decision: Decision,
        started: Instant,
    ) -> Result<Permit, EngineError> {
        let ask = self.ask(&decision, started);
        let digest = facts.statement.digest.hash;
        let within = if decision.is_without_limits() {
            Some(Permit::free(&decision))
        } else {
            self.engine.admission.policy().try_pass(&decision, ask, digest, started)
        };
        if let Some(permit) = within {
            let Some(door) = self.server().door() else { return Ok(permit) };
            return match door.try_pass(ask, digest, started) {
                Some(Ok(held)) => Ok(permit.with_server(held)),
                Some(Err(shut)) => Err(self.protected(Refusal::at_server(shut))),
                None => Box::pin(self.wait_to_pass(Ok(permit), ask, digest, &[door])).await,
            };
        }
        // Waiting needs room that a session which does not wait should not keep.
        let doors: Vec<Arc<Door>> = self.server().door().into_iter().collect();
        Box::pin(self.wait_to_pass(Err(decision), ask, digest, &doors)).await
    }

    /// Waits at `doors`, after all that the rules ask for unless the statement is past that.
    async fn wait_to_pass(
        &mut self,
        rules: Result<Permit, Decision>,
        ask: Ask,
        digest: u64,
        doors: &[Arc<Door>],
    ) -> Result<Permit, EngineError> {
        let policy = Arc::clone(&self.engine.admission.policy());
        let passing = async {
            let mut permit = match rules {
                Ok(permit) => permit,
                Err(decision) => policy.pass(decision, ask, digest).await?,
            };
            for door in doors {
                permit.pass_server(door, ask, digest).await?;
            }
            Ok(permit)
        };
        let result = self.unless_killed(passing).await?;
        result.map_err(|refusal| self.protected(refusal))
    }

    /// Runs `wait` unless the client leaves, or KILL names the session, meanwhile.
    pub(crate) async fn unless_killed<T>(
        &mut self,
        wait: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<Result<T, Refusal>, EngineError> {
        let mut wait = std::pin::pin!(wait);
        let guard = Arc::clone(&self.guard);
        let mut killed = false;
        let result = self
            .watch_client(std::future::poll_fn(|cx| {
                if let Poll::Ready(result) = wait.as_mut().poll(cx) {
                    return Poll::Ready(result);
                }
                // The session's alarm wakes this task.
                if guard.take_kill().is_some() {
                    killed = true;
                    return Poll::Ready(Err(Refusal::Killed));
                }
                Poll::Pending
            }))
            .await;
        self.alarm_rung |= killed;
        result
    }

    /// Whether others may wait for locks that this session holds.
    fn holds_locks(&self) -> bool {
        self.is_bound()
            && (self.state.status.has(StatusFlags::IN_TRANS) || LOCKS.iter().any(|lock| self.pins.has(*lock)))
    }

    pub(crate) fn protected(&self, refusal: Refusal) -> EngineError {
        let told = refusal.sql_error(self.guard.id(), self.flavor() == Flavor::MariaDb);
        EngineError::Protected(Box::new((refusal, told)))
    }

    pub(crate) fn prepared_text(&self, id: u32) -> Option<&[u8]> {
        let statements = self.statements.as_ref()?;
        statements.known.get(&id).map(|statement| &*statement.key.text)
    }

    /// After a statement: how long the client may be silent now.
    pub(crate) fn watch_transaction(&mut self) {
        let max = if self.engine.admission.revision() != 0 && self.state.status.has(StatusFlags::IN_TRANS) {
            let policy = self.engine.admission.policy();
            policy.idle_transaction_max(policy.identified(&mut self.identity, &self.user.name))
        } else {
            None
        };
        self.client.idle_transaction_max = max;
    }
}

/// Tells the doors how a statement ended.
pub(crate) fn end_permit<T: Told>(permit: Permit, result: &Result<T, EngineError>) {
    if permit.is_free() {
        return;
    }
    let (outcome, took) = match result {
        Ok(told) => told.outcome(),
        Err(error) => (of_error(error), None),
    };
    permit.end(Instant::now(), outcome, took);
}

/// The same of a statement that went to several slots: nobody knows whose fault it was if there are several servers.
pub(crate) fn end_parts(permit: Permit, result: Result<(), EngineError>) -> Result<(), EngineError> {
    if result.is_err() && permit.servers() > 1 {
        drop(permit);
    } else {
        end_permit(permit, &result);
    }
    result
}

/// What a successful exchange tells about the server.
pub(crate) trait Told {
    /// How the server did, and how long its first byte took.
    fn outcome(&self) -> (protection::Outcome, Option<Duration>);
}

impl Told for Outcome {
    fn outcome(&self) -> (protection::Outcome, Option<Duration>) {
        let fault = self.error.is_some_and(is_servers_fault);
        (if fault { protection::Outcome::Fault } else { protection::Outcome::Served }, self.took)
    }
}

/// Of a statement that went to several slots.
impl Told for () {
    fn outcome(&self) -> (protection::Outcome, Option<Duration>) {
        (protection::Outcome::Served, None)
    }
}

impl<A, B> Told for (A, B) {
    fn outcome(&self) -> (protection::Outcome, Option<Duration>) {
        (protection::Outcome::Served, None)
    }
}

/// Errors of a server that say something about the server and not about the statement: no disk, no memory, no
/// room, a broken engine, a shutdown. In doubt it is the statement.
fn is_servers_fault(code: u16) -> bool {
    matches!(
        code,
        // ER_DISK_FULL, ER_ERROR_ON_CLOSE, ER_ERROR_ON_READ, ER_ERROR_ON_WRITE, ER_GET_ERRNO
        1021 | 1023 | 1024 | 1026 | 1030
            // ER_NOT_KEYFILE, ER_OUTOFMEMORY, ER_CON_COUNT_ERROR, ER_OUT_OF_RESOURCES
            | 1034 | 1037 | 1040 | 1041
            // ER_SERVER_SHUTDOWN, ER_NORMAL_SHUTDOWN, ER_GOT_SIGNAL, ER_SHUTDOWN_COMPLETE
            | 1053 | 1077
            ..=1079
            // ER_HOST_IS_BLOCKED, ER_CANT_CREATE_THREAD, ER_CRASHED_ON_USAGE, ER_CRASHED_ON_REPAIR
            | 1129 | 1135 | 1194 | 1195
    )
}

fn of_error(error: &EngineError) -> protection::Outcome {
    use crate::protection::Outcome::{Fault, KnownDown, Served, Unknown};
    match error {
        EngineError::Backend(BackendError::Server(packet)) if is_servers_fault(packet.code) => Fault,
        EngineError::Backend(BackendError::Server(_)) => Served,
        EngineError::Backend(BackendError::Pool(PoolError::Unavailable(_))) => Fault,
        EngineError::Backend(BackendError::Pool(PoolError::StillUnavailable(_))) => KnownDown,
        EngineError::Backend(
            BackendError::Stream(_) | BackendError::Timeout(_) | BackendError::Malformed(_),
        ) => Fault,
        EngineError::Backend(_) => Unknown,
        EngineError::Lost(_) | EngineError::Torn(_) => Fault,
        EngineError::Relay(
            RelayError::Server { .. }
            | RelayError::Unsent(_)
            | RelayError::Parted(_)
            | RelayError::Malformed(_)
            | RelayError::Timeout,
        ) => Fault,
        EngineError::Relay(RelayError::Client(_) | RelayError::Gone) | EngineError::Client(_) => Unknown,
        EngineError::Refused(_) | EngineError::Protected(_) | EngineError::Expelled(_) => Unknown,
    }
}
