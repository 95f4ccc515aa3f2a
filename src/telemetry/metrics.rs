//! Every metric of the data plane and of the control plane, declared once: its cell, its name and its
//! help text.

use std::sync::OnceLock;

use crate::error::Blame;
use crate::telemetry::cell::{Counter, Counters};
use crate::telemetry::digests::{DigestTable, TimeBase};
use crate::telemetry::histogram::Histogram;
use crate::telemetry::labels::{
    ClientRefusal, CommandKind, Direction, Label, LoginOutcome, Outcome, Phase, PinReason,
};
use crate::telemetry::log::DroppedLines;

/// What one worker counts. Only the worker's own thread writes; a scrape reads and adds up.
///
/// Aligned so that two workers never share a cache line (nor the pair that a prefetcher fetches).
#[derive(Debug)]
#[repr(align(128))]
pub struct WorkerMetrics {
    /// Statements and other commands that were answered, with a result or an error.
    pub statements: Counters<CommandKind, { CommandKind::COUNT }>,
    /// From a command's last byte read to its reply's last byte handed to the socket.
    pub statement_time: Histogram,
    /// Statements whose client went away before the end.
    pub statements_abandoned: Counters<Phase, { Phase::COUNT }>,
    /// Errors that clients were told, by who caused them.
    pub errors: Counters<Blame, 3>,
    /// Reads that were tried again on another server connection.
    pub retries: Counter,
    /// Bytes of client sockets.
    pub client_bytes: Counters<Direction, { Direction::COUNT }>,
    /// Bytes of server sockets.
    pub server_bytes: Counters<Direction, { Direction::COUNT }>,
    /// Client connections accepted.
    pub clients_accepted: Counter,
    /// Accepted client connections that are closed again.
    pub clients_closed: Counter,
    /// Client connections turned away.
    pub clients_refused: Counters<ClientRefusal, { ClientRefusal::COUNT }>,
    /// Logins that ended.
    pub logins: Counters<LoginOutcome, { LoginOutcome::COUNT }>,
    /// Server connections handed to sessions.
    pub leases: Counter,
    /// Statements sent along with another session's on its server connection.
    pub combined: Counter,
    /// From asking for a server connection to having it.
    pub pool_wait: Histogram,
    /// Look-ups of results in Redis.
    pub redis_time: Histogram,
    /// Sessions that became bound to their server connection.
    pub pins: Counters<PinReason, { PinReason::COUNT }>,
    /// Statements outside transactions that left their session bound.
    pub statements_pinned: Counter,
    /// Statements of which the server told a change that their text does not show.
    pub tracker_disagreements: Counter,
    /// What each digest did.
    pub digests: DigestTable,
}

impl WorkerMetrics {
    pub(super) fn new(base: TimeBase) -> Self {
        Self {
            statements: Counters::default(),
            statement_time: Histogram::default(),
            statements_abandoned: Counters::default(),
            errors: Counters::default(),
            retries: Counter::default(),
            client_bytes: Counters::default(),
            server_bytes: Counters::default(),
            clients_accepted: Counter::default(),
            clients_closed: Counter::default(),
            clients_refused: Counters::default(),
            logins: Counters::default(),
            leases: Counter::default(),
            combined: Counter::default(),
            pool_wait: Histogram::default(),
            redis_time: Histogram::default(),
            pins: Counters::default(),
            statements_pinned: Counter::default(),
            tracker_disagreements: Counter::default(),
            digests: DigestTable::new(base),
        }
    }
}

/// Rare events of the control plane; any thread counts them.
#[derive(Debug, Default)]
pub struct ControlMetrics {
    reloads: Counters<Outcome, { Outcome::COUNT }>,
    dials: Counters<Outcome, { Outcome::COUNT }>,
    log: OnceLock<DroppedLines>,
}

impl ControlMetrics {
    /// A configuration was read again: taken, or refused and the old one kept.
    pub fn reloaded(&self, outcome: Outcome) {
        self.reloads.increment_shared(outcome);
    }

    /// A new server connection was opened, up to and including its login, or could not be.
    pub fn dialled(&self, outcome: Outcome) {
        self.dials.increment_shared(outcome);
    }

    /// Shows how many log lines were dropped.
    pub(super) fn watch_log(&self, dropped: DroppedLines) {
        self.log.get_or_init(|| dropped);
    }

    fn log_lines_dropped(&self) -> u64 {
        self.log.get().map_or(0, DroppedLines::get)
    }
}

/// One metric: how a scrape calls it and where its cells are.
pub(super) struct Declared<M> {
    /// Without the suffix of its kind (`_total`, `_bucket`).
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) read: Read<M>,
}

/// Where the cells of a metric are.
pub(super) enum Read<M> {
    Counter(fn(&M) -> u64),
    Counters {
        key: &'static str,
        names: &'static [&'static str],
        cells: fn(&M) -> &[Counter],
    },
    Histogram(fn(&M) -> &Histogram),
    /// A gauge: the first less the second.
    Difference(fn(&M) -> u64, fn(&M) -> u64),
}

const fn by<M, L: Label>(cells: fn(&M) -> &[Counter]) -> Read<M> {
    Read::Counters { key: L::KEY, names: L::NAMES, cells }
}

const fn metric<M>(name: &'static str, help: &'static str, read: Read<M>) -> Declared<M> {
    Declared { name, help, read }
}

/// The metrics of the data plane, in the order of a scrape.
pub(super) const WORKER: &[Declared<WorkerMetrics>] = &[
    metric(
        "dazzle_statements",
        "Commands answered, with a result or an error",
        by::<_, CommandKind>(|m| m.statements.cells()),
    ),
    metric(
        "dazzle_statement_seconds",
        "Time from a command read to its reply written",
        Read::Histogram(|m| &m.statement_time),
    ),
    metric(
        "dazzle_statements_abandoned",
        "Commands whose client went away before the end",
        by::<_, Phase>(|m| m.statements_abandoned.cells()),
    ),
    metric(
        "dazzle_errors",
        "Errors told to clients, by who caused them",
        by::<_, Blame>(|m| m.errors.cells()),
    ),
    metric(
        "dazzle_retries",
        "Reads tried again on another server connection",
        Read::Counter(|m| m.retries.get()),
    ),
    metric(
        "dazzle_client_bytes",
        "Bytes of client connections",
        by::<_, Direction>(|m| m.client_bytes.cells()),
    ),
    metric(
        "dazzle_server_bytes",
        "Bytes of server connections",
        by::<_, Direction>(|m| m.server_bytes.cells()),
    ),
    metric(
        "dazzle_clients",
        "Client connections open",
        Read::Difference(|m| m.clients_accepted.get(), |m| m.clients_closed.get()),
    ),
    metric(
        "dazzle_clients_accepted",
        "Client connections accepted",
        Read::Counter(|m| m.clients_accepted.get()),
    ),
    metric(
        "dazzle_clients_refused",
        "Client connections turned away",
        by::<_, ClientRefusal>(|m| m.clients_refused.cells()),
    ),
    metric("dazzle_logins", "Logins that ended", by::<_, LoginOutcome>(|m| m.logins.cells())),
    metric("dazzle_leases", "Server connections handed to sessions", Read::Counter(|m| m.leases.get())),
    metric(
        "dazzle_combined",
        "Statements sent along with another session's on its server connection",
        Read::Counter(|m| m.combined.get()),
    ),
    metric("dazzle_pool_wait_seconds", "Wait for a server connection", Read::Histogram(|m| &m.pool_wait)),
    metric("dazzle_cache_redis_seconds", "Look-ups of results in Redis", Read::Histogram(|m| &m.redis_time)),
    metric(
        "dazzle_pins",
        "Sessions that became bound to their server connection",
        by::<_, PinReason>(|m| m.pins.cells()),
    ),
    metric(
        "dazzle_statements_pinned",
        "Statements outside transactions that left their session bound to its server connection",
        Read::Counter(|m| m.statements_pinned.get()),
    ),
    metric(
        "dazzle_tracker_disagreements",
        "Statements of which the server told a change that their text does not show",
        Read::Counter(|m| m.tracker_disagreements.get()),
    ),
    metric(
        "dazzle_digests_overflowed",
        "Statements counted in the row `other` because the digest table was full",
        Read::Counter(|m| m.digests.overflowed()),
    ),
];

/// The metrics of the control plane.
pub(super) const CONTROL: &[Declared<ControlMetrics>] = &[
    metric("dazzle_reloads", "Configurations read again", by::<_, Outcome>(|m| m.reloads.cells())),
    metric("dazzle_dials", "Server connections opened", by::<_, Outcome>(|m| m.dials.cells())),
    metric(
        "dazzle_log_lines_dropped",
        "Log lines dropped because their reader was too slow",
        Read::Counter(ControlMetrics::log_lines_dropped),
    ),
];
