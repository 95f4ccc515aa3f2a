//! Hot reads of a logical database: which servers know of its tables, and what tells the results of its slots apart.
//!
//! Writes are counted by a table's name alone, whatever slot they go to, so a result of one slot ends with a write of
//! any. What differs from one server to the next is who vouches for the name: for a read the servers that it goes to,
//! for a write all that the rules lead to, because it is closed to the cache before its slots are known.

use std::sync::Arc;

use tokio::time::Instant;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

use crate::backend::{Backend, ServerPool};
use crate::engine::admission::end_parts;
use crate::engine::error::EngineError;
use crate::engine::hot_reads::{Asked, Hot};
use crate::engine::outcome::Outcome;
use crate::engine::session::Session;
use crate::engine::sharded::database::{LogicalDatabase, ShardPool};
use crate::engine::sharded::parameters::Parameters;
use crate::engine::sharded::route::Routing;
use crate::engine::sharded::scatter::{Asking, Part};
use crate::sharding::{Scatter, SlotId};
use crate::sql::FoundRows;
use crate::telemetry::StatementContext;
use crate::wire::Header;

impl Session {
    /// Whether writes of tables of these names certainly change nothing else, on whichever server of the session's.
    pub(crate) fn writes_are_plain(&self, names: &[Box<str>], now: Instant) -> bool {
        let plain =
            |pool: &Arc<ServerPool>| self.catalog(pool, now).is_some_and(|catalog| catalog.are_plain(names));
        match &self.place {
            None => plain(&self.user.pool),
            Some(place) => on_all(place.shards.iter().map(|ShardPool { pool, .. }| pool), plain),
        }
    }

    /// Whether a read of these names, on the session's slot or on those of `parts`, follows from their rows alone.
    pub(crate) fn tables_are_fit(&self, names: &[Box<str>], parts: &[Part], now: Instant) -> bool {
        let fit =
            |pool: &Arc<ServerPool>| self.catalog(pool, now).is_some_and(|catalog| catalog.are_fit(names));
        match &self.place {
            Some(place) if !parts.is_empty() => {
                on_all(parts.iter().map(|part| place.pool(place.database.shard(part.slot))), fit)
            }
            _ => fit(self.pool()),
        }
    }

    /// Whether writes on the servers that a read goes to are known of, also those that do not pass here.
    pub(crate) fn writes_are_known(&self, parts: &[Part], now: Instant) -> bool {
        let trusts = &self.engine.cache.trusts;
        match parts {
            [] => trusts.allow(self.server().cluster(), now),
            parts => self.servers_of(parts).iter().all(|server| trusts.allow(server.cluster(), now)),
        }
    }

    /// Whether a server that the read goes to is left alone: then nobody waits for one who has been sent there.
    pub(crate) fn is_barred(&self, asked: Asked<'_>, now: Instant) -> bool {
        let digest = asked.facts.statement.digest.hash;
        let bars = |server: &Backend| server.door().is_some_and(|door| door.bars(digest, now));
        match asked.parts {
            [] => bars(self.server()),
            parts => self.servers_of(parts).iter().any(|server| bars(server)),
        }
    }

    /// What tells the results of the session's slot, or of those of `parts`, from all others. Other rules, also of
    /// the same logical database, have other numbers: what was read under them is never found again.
    pub(crate) fn place_key(&self, parts: &[Part]) -> u128 {
        let Some(place) = &self.place else { return 0 };
        let seed = self.engine.cache.seed;
        let one = |slot: SlotId| {
            let address = place.pool(place.database.shard(slot)).connector().backend.address();
            slot_key(&place.database, slot, address, seed)
        };
        match parts {
            [] => one(place.slot()),
            parts => {
                let mut all: Vec<u8> = vec![1];
                parts.iter().for_each(|part| all.extend_from_slice(&one(part.slot).to_le_bytes()));
                xxh3_128_with_seed(&all, seed)
            }
        }
    }

    /// Answers a read of several slots: from memory, or by asking them. Its command is at the front of the client's input.
    pub(super) async fn read_parts(
        &mut self,
        parts: &[Part],
        scatter: &Scatter,
        (header, routing): (Header, Routing<'_>),
        context: &mut StatementContext<'_>,
    ) -> Result<(), EngineError> {
        let Routing { facts, text, sent, parameters } = routing;
        if let (Some(id), Some(types)) = (sent.prepared(), parameters.and_then(Parameters::types))
            && let Some(statement) = self.statement(id)
        {
            statement.types = Some(types.into());
        }
        let asked = Asked { facts, header, sent, parts, started: context.started() };
        let fill = match self.read_hot(asked).await? {
            Hot::Answered => return Ok(()),
            Hot::Sent(fill) => fill,
        };
        self.skip(header).await?;
        let result = match self.admit_parts(facts, text, parts, context.started()).await {
            Err(error) => Err(error),
            Ok(permit) => {
                let (allowance, found) = (permit.allowance, facts.statement.found_rows);
                let asking = Asking { parts, scatter, parameters, allowance, found };
                let (outcome, told) = match self.scatter(asking, context).await {
                    Ok(outcome) => (outcome, Ok(())),
                    Err(error) => (Outcome::default(), Err(error)),
                };
                end_parts(permit, told).map(|()| outcome)
            }
        };
        let result = self.fill_hot(fill, result, context.started());
        self.or_old(result, facts, sent.prepared()).await.map(drop)
    }
}

/// Whether `is_so` is true of each of these; all are looked at, so that of each that is not known is asked.
fn on_all<'a>(
    pools: impl Iterator<Item = &'a Arc<ServerPool>>,
    is_so: impl Fn(&Arc<ServerPool>) -> bool,
) -> bool {
    let mut seen: Vec<&Arc<ServerPool>> = Vec::new();
    for pool in pools {
        if !seen.iter().any(|known| Arc::ptr_eq(known, pool)) {
            seen.push(pool);
        }
    }
    let others = seen.into_iter().filter(|pool| !is_so(pool));
    others.count() == 0
}

/// What tells a slot under these rules on this server from all others.
fn slot_key(database: &LogicalDatabase, slot: SlotId, address: &str, seed: u64) -> u128 {
    let mut bytes = [0; 25];
    bytes[1..9].copy_from_slice(&database.id.to_le_bytes());
    bytes[9..17].copy_from_slice(&(slot.index() as u64).to_le_bytes());
    bytes[17..].copy_from_slice(&xxh3_64(address.as_bytes()).to_le_bytes());
    xxh3_128_with_seed(&bytes, seed)
}

/// FOUND_ROWS() after a merged result of so many rows, those that OFFSET left out included.
pub(crate) const fn merged_found_rows(found: FoundRows, rows: u64, before: Option<u64>) -> Option<u64> {
    match found {
        FoundRows::Rows | FoundRows::Untold => Some(rows),
        FoundRows::One => Some(1),
        FoundRows::Kept => before,
        FoundRows::Unsure => None,
    }
}
