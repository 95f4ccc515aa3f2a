//! A write to several slots: in one transaction of each server that it touches, so that what fails before
//! the first COMMIT leaves nothing behind. Over several servers only where the rules allow `best_effort`.

use std::sync::Arc;
use std::time::Duration;

use crate::backend::{BackendConn, BackendError, ServerLease};
use crate::engine::error::EngineError;
use crate::engine::relay::RelayError;
use crate::engine::session::Session;
use crate::engine::sharded::commit::{commit, undo};
use crate::engine::sharded::renaming::Renaming;
use crate::engine::sharded::scatter::Part;
use crate::engine::sharded::time;
use crate::engine::values::Witness;
use crate::sharding::{ShardId, SlotId};
use crate::telemetry::StatementContext;
use crate::wire::{ErrPacket, OkPacket, StatusFlags, StreamError};

/// A reply's packet at most: a server's OK or ERR takes less.
const PACKET_BYTES_MAX: u64 = 1 << 20;

/// For statements of our own that begin and end transactions.
const CONTROL_TIMEOUT: Duration = Duration::from_secs(30);

/// How the answers of several slots become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sum {
    /// Every slot has its own rows.
    Rows,
    /// The same, of an INSERT of several rows: its text counts them.
    Inserted,
    /// Every slot has the same rows: one of them counts.
    Copies {
        /// Rows are added: those that the first slot gives ids get the same everywhere.
        inserted: bool,
    },
}

/// What one slot, or all of them, said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    affected_rows: u64,
    last_insert_id: u64,
    warnings: u16,
    info: Vec<u8>,
}

impl Session {
    /// Runs all parts and answers once. The client's command has been taken from its input.
    pub(crate) async fn write_parts(
        &mut self,
        parts: &[Part],
        sum: Sum,
        context: &mut StatementContext<'_>,
    ) -> Result<(), EngineError> {
        let shards = self.shards_of(parts);
        if shards.len() == 1 {
            return self.write_on_one_shard(parts, sum, context).await;
        }
        if self.is_bound() && !self.holds_for_diagnostics() || self.in_transaction() {
            return Err(crate::engine::sharded::place::another_shard());
        }
        self.let_go().await?;
        let homes: Vec<SlotId> = shards.iter().map(|(_, slot)| *slot).collect();
        let mut leases = self.lease_slots(&homes, context.started()).await?;
        let all = match self.run_parts(&mut leases, &shards, parts, sum).await {
            Ok(all) => all,
            Err(error) => {
                for lease in &mut leases {
                    undo(lease).await;
                }
                return Err(error);
            }
        };
        commit(leases, &self.labels_of(&shards, parts)).await?;
        self.wrote(summed(&all, sum)).await
    }

    /// Begins on every shard, and runs all parts.
    async fn run_parts(
        &mut self,
        leases: &mut [ServerLease],
        shards: &[(ShardId, SlotId)],
        parts: &[Part],
        sum: Sum,
    ) -> Result<Vec<Told>, EngineError> {
        let Some(first) = leases.first_mut() else { return Ok(Vec::new()) };
        let now = time::now(first).await?;
        for lease in &mut *leases {
            command(lease, "START TRANSACTION").await?;
            time::stop(lease, &now).await?;
        }
        let mut all = Vec::with_capacity(parts.len());
        let mut ids = Ids::new(sum);
        for part in parts {
            let server = self.server_of(part.slot);
            let at = shards.iter().position(|(known, _)| Some(*known) == server).unwrap_or_default();
            let lease = &mut leases[at];
            ids.before(lease).await?;
            let told = self.run_part(lease, part).await?;
            ids.after(lease, &told).await?;
            all.push(told);
        }
        Ok(all)
    }

    /// All slots lie on one shard: its own transaction makes the parts one.
    async fn write_on_one_shard(
        &mut self,
        parts: &[Part],
        sum: Sum,
        context: &mut StatementContext<'_>,
    ) -> Result<(), EngineError> {
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
            failure = self.run_on(&mut lease, parts, (sum, own), &mut all).await.err();
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
            None => self.wrote(summed(&all, sum)).await,
        }
    }

    /// Runs all parts on one connection, at one time.
    async fn run_on(
        &mut self,
        lease: &mut ServerLease,
        parts: &[Part],
        (sum, own): (Sum, bool),
        all: &mut Vec<Told>,
    ) -> Result<(), EngineError> {
        let now = time::now(lease).await?;
        time::stop(lease, &now).await?;
        let mut ids = Ids::new(sum);
        for part in parts {
            ids.before(lease).await?;
            if ids.known.is_some() && !own {
                // If a copy failed now, the id would wait on this connection for the next INSERT.
                return Err(generated_inside());
            }
            let told = self.run_part(lease, part).await?;
            ids.after(lease, &told).await?;
            all.push(told);
        }
        Ok(())
    }

    async fn run_part(&mut self, lease: &mut ServerLease, part: &Part) -> Result<Told, EngineError> {
        let Some(place) = &mut self.place else { return Ok(Told::default()) };
        let image = place.image(&self.state.image, part.slot);
        let renaming = Arc::clone(place.database.renaming(part.slot));
        lease.adopt(&image).await?;
        let limit = self.reply_timeout();
        match command_bytes(lease, &part.text, limit).await {
            Ok(told) => Ok(told),
            Err(BackendError::Server(packet)) => Err(BackendError::Server(renamed(packet, &renaming)).into()),
            Err(error) => Err(error.into()),
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

    async fn wrote(&mut self, told: Told) -> Result<(), EngineError> {
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
    command_bytes(conn, text.as_bytes(), CONTROL_TIMEOUT).await
}

/// One statement without rows.
async fn command_bytes(conn: &mut BackendConn, text: &[u8], limit: Duration) -> Result<Told, BackendError> {
    conn.begin();
    let closing = conn.closing_frames();
    let payload = conn.query_payload(text);
    let mut bytes = closing;
    crate::wire::frame(&mut bytes, 0, &payload);
    let stream = &mut conn.stream;
    let exchange = async {
        stream.write_all(&bytes).await?;
        stream.sequence = 1;
        Ok::<_, BackendError>(stream.read_payload(PACKET_BYTES_MAX).await?)
    };
    let reply = conn.deadline.run(limit, exchange).await;
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

fn renamed(mut packet: ErrPacket, renaming: &Renaming) -> ErrPacket {
    if let Some(message) = renaming.message(&packet.message) {
        packet.message = message;
    }
    packet
}

/// One answer of several: rows add up, the first generated id counts, and the numbers of the texts add up.
fn summed(all: &[Told], sum: Sum) -> Told {
    let Some(first) = all.first() else { return Told::default() };
    if matches!(sum, Sum::Copies { .. }) || all.len() == 1 {
        return first.clone();
    }
    Told {
        affected_rows: all.iter().map(|told| told.affected_rows).sum(),
        last_insert_id: all.iter().map(|told| told.last_insert_id).find(|id| *id != 0).unwrap_or_default(),
        warnings: all.iter().fold(0, |sum: u16, told| sum.saturating_add(told.warnings)),
        info: if sum == Sum::Inserted || !first.info.is_empty() { summed_info(all) } else { Vec::new() },
    }
}

/// `Records: 3  Duplicates: 0  Warnings: 0`, `Rows matched: 1  Changed: 1  Warnings: 0`: the same text with
/// the sums. A single row of an INSERT has no text: it is one record.
fn summed_info(all: &[Told]) -> Vec<u8> {
    const WITHOUT: &[u8] = b"Records: 1  Duplicates: 0  Warnings: 0";
    let texts: Vec<&[u8]> =
        all.iter().map(|told| if told.info.is_empty() { WITHOUT } else { &told.info[..] }).collect();
    let numbers = |text: &[u8]| -> Vec<u64> {
        text.split(|byte| !byte.is_ascii_digit())
            .filter(|digits| !digits.is_empty())
            .filter_map(|digits| std::str::from_utf8(digits).ok()?.parse().ok())
            .collect()
    };
    let mut sums: Vec<u64> = Vec::new();
    for text in &texts {
        for (n, number) in numbers(text).into_iter().enumerate() {
            match sums.get_mut(n) {
                Some(sum) => *sum += number,
                None => sums.push(number),
            }
        }
    }
    let mut sums = sums.into_iter();
    let mut info = Vec::new();
    let mut digits = false;
    for byte in texts.first().copied().unwrap_or_default() {
        if !byte.is_ascii_digit() {
            info.push(*byte);
        } else if !digits {
            info.extend_from_slice(sums.next().unwrap_or_default().to_string().as_bytes());
        }
        digits = byte.is_ascii_digit();
    }
    info
}

#[cfg(test)]
mod tests {
    use super::{Sum, Told, summed};

    fn told(affected_rows: u64, last_insert_id: u64, info: &str) -> Told {
        Told { affected_rows, last_insert_id, warnings: 1, info: info.as_bytes().to_vec() }
    }

    #[test]
    fn several_answers_are_one() {
        let all = [told(2, 0, "Records: 2  Duplicates: 0  Warnings: 1"), told(1, 7, "")];
        let one = summed(&all, Sum::Inserted);
        assert_eq!((one.affected_rows, one.last_insert_id, one.warnings), (3, 7, 2));
        assert_eq!(one.info, b"Records: 3  Duplicates: 0  Warnings: 1");
        assert_eq!(summed(&all, Sum::Copies { inserted: true }), all[0]);
        let update = "Rows matched: 1  Changed: 1  Warnings: 0";
        let one = summed(&[told(1, 0, update), told(1, 0, update)], Sum::Rows);
        assert_eq!(one.info, b"Rows matched: 2  Changed: 2  Warnings: 0");
    }
}
