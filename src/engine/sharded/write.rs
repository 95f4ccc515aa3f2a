//! A write to several slots: in one transaction of each server that it touches, so that what fails before
//! the first COMMIT leaves nothing behind. Over several servers only where the rules allow `best_effort`.

use std::sync::Arc;
use std::time::Duration;

use crate::backend::{BackendConn, BackendError, Condition, PreparedKey, ServerLease};
use crate::engine::error::EngineError;
use crate::engine::outcome::Outcome;
use crate::engine::relay::RelayError;
use crate::engine::session::Session;
use crate::engine::sharded::commit::{commit, undo};
use crate::engine::sharded::parameters::Parameters;
use crate::engine::sharded::renaming::Renaming;
use crate::engine::sharded::scatter::Part;
use crate::engine::sharded::time;
use crate::engine::sharded::told::{Sum, Told, summed};
use crate::engine::values::Witness;
use crate::sharding::{ShardId, SlotId};
use crate::telemetry::StatementContext;
use crate::wire::{Capabilities, ErrPacket, OkPacket, StatusFlags, StreamError};

/// A reply's packet at most: a server's OK or ERR takes less.
const PACKET_BYTES_MAX: u64 = 1 << 20;

/// For statements of our own that begin and end transactions.
const CONTROL_TIMEOUT: Duration = Duration::from_secs(30);

/// A write of several slots.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writing<'a> {
    pub(crate) parts: &'a [Part],
    pub(crate) sum: Sum,
    /// Of a prepared statement.
    pub(crate) parameters: Option<&'a Parameters<'a>>,
    /// For each part, the parameters that are not in its text; empty: all are in each.
    pub(crate) unbound: &'a [Vec<u32>],
    /// The first id that a sequence gave.
    pub(crate) id: Option<u64>,
}

impl Session {
    /// Runs all parts and answers once. The client's command has been taken from its input.
    pub(crate) async fn write_parts(
        &mut self,
        writing: Writing<'_>,
        context: &mut StatementContext<'_>,
    ) -> Result<(), EngineError> {
        let parts = writing.parts;
        let shards = self.shards_of(parts);
        if let ([_], [_]) = (&shards[..], parts) {
            return self.write_one(writing, context).await;
        }
        if shards.len() == 1 {
            return self.write_on_one_shard(writing, context).await;
        }
        if self.is_bound() && !self.holds_for_diagnostics() || self.in_transaction() {
            return Err(crate::engine::sharded::place::another_shard());
        }
        self.let_go().await?;
        let homes: Vec<SlotId> = shards.iter().map(|(_, slot)| *slot).collect();
        let mut leases = self.lease_slots(&homes, context.started()).await?;
        let all = match self.run_parts(&mut leases, &shards, writing).await {
            Ok(all) => all,
            Err(error) => {
                for lease in &mut leases {
                    undo(lease).await;
                }
                return Err(error);
            }
        };
        commit(leases, &self.labels_of(&shards, parts)).await?;
        self.wrote(summed(&all, writing.sum), writing.id).await
    }

    /// One part alone: the server makes it one, as it is.
    async fn write_one(
        &mut self,
        writing: Writing<'_>,
        context: &mut StatementContext<'_>,
    ) -> Result<(), EngineError> {
        let Some(part) = writing.parts.first() else { return Ok(()) };
        self.go_to(part.slot).await?;
        let waited = self.acquire(context.started()).await?;
        context.leased(waited);
        self.begin_where_leased().await?;
        self.has_begun();
        let inside = self.in_transaction() || !self.pins.is_empty();
        let mut lease = self.lease.take().expect("acquired just before");
        let mut told = self.run_part(&mut lease, writing, 0).await;
        let mut shown = None;
        if let Ok(Told { warnings: 1.., .. }) | Err(EngineError::Backend(BackendError::Server(_))) = &told {
            // Its reply tells of the transaction as well, which an error may have ended.
            match lease.ask_payloads("SHOW WARNINGS").await {
                Ok(conditions) => shown = Some(conditions),
                Err(error) => told = Err(error.into()),
            }
        }
        self.witness = Witness::default();
        self.state.status = lease.status.without(StatusFlags::OF_ONE_RESULT);
        let broken = lease.condition() == Condition::Busy;
        self.lease = Some(lease);
        if broken {
            let error = RelayError::Server { error: StreamError::Closed, untouched: !inside };
            self.drop_lease();
            // With it a transaction is gone: the session goes, too.
            return Err(if inside { EngineError::Relay(error) } else { EngineError::Lost(error) });
        }
        self.mark_and_release();
        let result = match told {
            Ok(told) => self.wrote(told, writing.id).await,
            Err(error) => {
                (self.state.warnings, self.state.row_count, self.diagnostics) = (0, -1, None);
                self.state.error_state = error.server_packet().map(|packet| packet.state);
                Err(error)
            }
        };
        if let Some(shown) = shown {
            self.keep_diagnostics(shown);
        }
        result
    }

    /// Begins on every shard, and runs all parts.
    async fn run_parts(
        &mut self,
        leases: &mut [ServerLease],
        shards: &[(ShardId, SlotId)],
        writing: Writing<'_>,
    ) -> Result<Vec<Told>, EngineError> {
        let Some(first) = leases.first_mut() else { return Ok(Vec::new()) };
        let now = time::now(first).await?;
        for lease in &mut *leases {
            command(lease, "START TRANSACTION").await?;
            time::stop(lease, &now).await?;
        }
        let mut all = Vec::with_capacity(writing.parts.len());
        let mut ids = Ids::new(writing.sum);
        for (number, part) in writing.parts.iter().enumerate() {
            let server = self.server_of(part.slot);
            let at = shards.iter().position(|(known, _)| Some(*known) == server).unwrap_or_default();
            let lease = &mut leases[at];
            ids.before(lease).await?;
            let told = self.run_part(lease, writing, number).await?;
            ids.after(lease, &told).await?;
            all.push(told);
        }
        Ok(all)
    }

    /// All slots lie on one shard: its own transaction makes the parts one.
    async fn write_on_one_shard(
        &mut self,
        writing: Writing<'_>,
        context: &mut StatementContext<'_>,
    ) -> Result<(), EngineError> {
        let Writing { parts, sum, .. } = writing;
        let Some(first) = parts.first() else { return Ok(()) };
        if !self.pins.is_empty() && !self.holds_for_diagnostics() {
            // What the session has set on its connection, the time above all, cannot be kept beside this.
            return Err(crate::engine::sharded::place::another_shard());
        }
        self.go_to(first.slot).await?;
        let own = !self.in_transaction();
        let waited = self.acquire(context.started()).await?;
        context.leased(waited);
        self.begin_where_leased().await?;
        self.has_begun();
        let mut lease = self.lease.take().expect("acquired just before");
        let begun = if own {
            command(&mut lease, "START TRANSACTION").await
        } else {
            command(&mut lease, "SAVEPOINT dazzle_statement").await
        };
        let mut all = Vec::with_capacity(parts.len());
        let mut failure = begun.err().map(EngineError::from);
        if failure.is_none() {
            failure = self.run_on(&mut lease, writing, own, &mut all).await.err();
        }
        let end = match (own, failure.is_some()) {
            (true, false) => "COMMIT",
            (true, true) => "ROLLBACK",
            (false, false) => "RELEASE SAVEPOINT dazzle_statement",
            (false, true) => "ROLLBACK TO SAVEPOINT dazzle_statement",
        };
        let ended = command(&mut lease, end).await;
        time::go_on(&mut lease).await;
        self.witness = Witness::default();
        self.state.status = lease.status.without(StatusFlags::OF_ONE_RESULT);
        self.lease = Some(lease);
        if let Err(error) = ended {
            self.drop_lease();
            return Err(match (error, failure) {
                // Nothing has been committed, and nothing else was open.
                (_, Some(failure)) if own => failure,
                (BackendError::Server(packet), failure) => {
                    failure.unwrap_or_else(|| BackendError::Server(packet).into())
                }
                // Whether it was committed is not known, or a transaction is gone: the session goes with it.
                _ => RelayError::Server { error: StreamError::Closed, untouched: false }.into(),
            });
        }
        self.mark_and_release();
        match failure {
            Some(error) => Err(error),
            None => self.wrote(summed(&all, sum), writing.id).await,
        }
    }

    /// Runs all parts on one connection, at one time.
    async fn run_on(
        &mut self,
        lease: &mut ServerLease,
        writing: Writing<'_>,
        own: bool,
        all: &mut Vec<Told>,
    ) -> Result<(), EngineError> {
        let now = time::now(lease).await?;
        time::stop(lease, &now).await?;
        let mut ids = Ids::new(writing.sum);
        for number in 0..writing.parts.len() {
            ids.before(lease).await?;
            if ids.known.is_some() && !own {
                // If a copy failed now, the id would wait on this connection for the next INSERT.
                return Err(generated_inside());
            }
            let told = self.run_part(lease, writing, number).await?;
            ids.after(lease, &told).await?;
            all.push(told);
        }
        Ok(())
    }

    /// Runs the part of this number.
    async fn run_part(
        &mut self,
        lease: &mut ServerLease,
        writing: Writing<'_>,
        number: usize,
    ) -> Result<Told, EngineError> {
        let (Some(place), Some(part)) = (&mut self.place, writing.parts.get(number)) else {
            return Ok(Told::default());
        };
        let image = place.image(&self.state.image, part.slot);
        let renaming = Arc::clone(place.database.renaming(part.slot));
        lease.adopt(&image).await?;
        let limit = self.reply_timeout();
        let command = match writing.parameters {
            None => lease.query_payload(&part.text),
            Some(parameters) => {
                let unbound = writing.unbound.get(number).map_or(&[][..], |unbound| unbound);
                execution(lease, &part.text, parameters, unbound)
                    .await
                    .map_err(|error| renamed(error, &renaming))?
            }
        };
        match exchange(lease, &command, limit).await {
            Ok(told) => Ok(told),
            Err(error) => Err(renamed(error, &renaming).into()),
        }
    }

    /// The first shard on the server that `slot` is on: shards of one cluster have one transaction.
    fn server_of(&self, slot: SlotId) -> Option<ShardId> {
        let place = self.place.as_ref()?;
        let pool = place.pool(place.database.shard(slot));
        let first = place.shards.iter().position(|shard| Arc::ptr_eq(&shard.pool, pool))?;
        Some(ShardId(first as u16))
    }

    /// The servers of these parts in a fixed order, each with the first of its slots.
    fn shards_of(&self, parts: &[Part]) -> Vec<(ShardId, SlotId)> {
        let mut shards: Vec<(ShardId, SlotId)> = Vec::new();
        for part in parts {
            let Some(shard) = self.server_of(part.slot) else { continue };
            if !shards.iter().any(|(known, _)| *known == shard) {
                shards.push((shard, part.slot));
            }
        }
        shards.sort_by_key(|(shard, _)| *shard);
        shards
    }

    /// How the rules call the slots of each shard.
    fn labels_of(&self, shards: &[(ShardId, SlotId)], parts: &[Part]) -> Vec<Vec<String>> {
        let Some(place) = &self.place else { return Vec::new() };
        let rules = &place.database.rules;
        let label = |slot: SlotId| rules.slot(slot).label.to_string();
        let of = |shard: ShardId| {
            let own = parts.iter().filter(|part| self.server_of(part.slot) == Some(shard));
            own.map(|part| label(part.slot)).collect()
        };
        shards.iter().map(|(shard, _)| of(*shard)).collect()
    }

    fn in_transaction(&self) -> bool {
        self.state.status.has(StatusFlags::IN_TRANS)
            || !self.state.idle_status().has(StatusFlags::AUTOCOMMIT)
            || self.place.as_ref().is_some_and(|place| place.begin.is_some())
    }

    /// Answers. `id`: the first that a sequence gave.
    async fn wrote(&mut self, mut told: Told, id: Option<u64>) -> Result<(), EngineError> {
        if let Some(id) = id.filter(|_| told.affected_rows > 0) {
            told.last_insert_id = id;
        }
        self.state.row_count = i64::try_from(told.affected_rows).unwrap_or(i64::MAX);
        self.state.warnings = told.warnings;
        self.diagnostics = None;
        if told.last_insert_id != 0 {
            self.state.last_insert_id = told.last_insert_id;
        }
        let ok = OkPacket {
            affected_rows: told.affected_rows,
            last_insert_id: told.last_insert_id,
            status: self.state.status,
            warnings: told.warnings,
            info: &told.info,
            ..OkPacket::default()
        };
        self.client.tell_fleet(&Outcome { status: ok.status, results: 1, ..Outcome::default() }).await;
        Ok(self.client.send_ok(&ok).await?)
    }
}

/// The ids that the first copy of new rows was given, for the others.
#[derive(Clone, Copy, Debug)]
struct Ids {
    inserted: bool,
    begun: bool,
    known: Option<u64>,
}

impl Ids {
    const fn new(sum: Sum) -> Self {
        Self { inserted: matches!(sum, Sum::Copies { inserted: true }), begun: false, known: None }
    }

    /// Before a copy: the first one's server is to tell whether it gave an id, the others get it.
    async fn before(&mut self, conn: &mut BackendConn) -> Result<(), BackendError> {
        if let Some(id) = self.known {
            command(conn, &format!("SET insert_id={id}")).await?;
        } else if self.inserted && !self.begun {
            command(conn, "DO LAST_INSERT_ID(0)").await?;
        }
        Ok(())
    }

    /// After a copy. The OK tells an id also if the statement gave it; LAST_INSERT_ID() only one that was
    /// generated.
    async fn after(&mut self, conn: &mut BackendConn, told: &Told) -> Result<(), BackendError> {
        let first = !std::mem::replace(&mut self.begun, true);
        if !self.inserted || !first || told.last_insert_id == 0 {
            return Ok(());
        }
        let rows = conn.ask("SELECT LAST_INSERT_ID()").await?;
        let cell = rows.first().and_then(|row| row.first()).cloned().flatten().unwrap_or_default();
        let id = std::str::from_utf8(&cell).ok().and_then(|digits| digits.parse().ok());
        self.known = id.filter(|id| *id != 0);
        Ok(())
    }
}

fn generated_inside() -> EngineError {
    EngineError::refused(
        1235,
        "42000",
        "DZ1606: inside a transaction, a row of a reference table cannot be given a generated id; give the id, or \
         insert the row outside",
    )
}

pub(super) async fn command(conn: &mut BackendConn, text: &str) -> Result<Told, BackendError> {
    let payload = conn.query_payload(text.as_bytes());
    exchange(conn, &payload, CONTROL_TIMEOUT).await
}

/// The command that executes `text` with these parameters, but those that are `unbound`; prepares it if it is not.
async fn execution(
    conn: &mut BackendConn,
    text: &[u8],
    parameters: &Parameters<'_>,
    unbound: &[u32],
) -> Result<Vec<u8>, BackendError> {
    let image = conn.image().key();
    let key = PreparedKey { text: text.into(), image, types: parameters.kinds(), copy: 0 };
    let known = conn.prepared.find(&key).map(|known| known.reply.id);
    let id = match known {
        Some(id) => id,
        None => conn.prepare(&key).await?.id,
    };
    if let Some(known) = conn.prepared.find(&key) {
        // The next execution by somebody else must send its types.
        known.types = None;
    }
    let attributes = conn.capabilities().has(Capabilities::QUERY_ATTRIBUTES);
    Ok(parameters.execution(id, unbound, attributes))
}

/// One command without rows.
async fn exchange(conn: &mut BackendConn, payload: &[u8], limit: Duration) -> Result<Told, BackendError> {
    conn.begin();
    let closing = conn.closing_frames();
    let mut bytes = closing;
    crate::wire::frame(&mut bytes, 0, payload);
    let stream = &mut conn.stream;
    let exchanged = async {
        stream.write_all(&bytes).await?;
        stream.sequence = 1;
        Ok::<_, BackendError>(stream.read_payload(PACKET_BYTES_MAX).await?)
    };
    let reply = conn.deadline.run(limit, exchanged).await;
    let reply = reply.map_err(|_| BackendError::Timeout("a write to several slots"))??;
    if reply.first() == Some(&0xFF) {
        let status = conn.status;
        conn.answered(status);
        return Err(BackendError::Server(ErrPacket::parse(&reply)?));
    }
    let ok = OkPacket::parse(&reply)?;
    let told = Told {
        affected_rows: ok.affected_rows,
        last_insert_id: ok.last_insert_id,
        warnings: ok.warnings,
        info: ok.info.to_vec(),
    };
    let status = ok.status;
    conn.answered(status);
    Ok(told)
}

fn renamed(mut error: BackendError, renaming: &Renaming) -> BackendError {
    if let BackendError::Server(packet) = &mut error
        && let Some(message) = renaming.message(&packet.message)
    {
        packet.message = message;
    }
    error
}
