//! Numbers of sequences: handed out from memory, fetched from their tables in runs, the next one ahead of need.
//!
//! A run is taken by one UPDATE that adds to the table's row, so nobody else ever gets its numbers: not another process,
//! not this one after a restart. What is not handed out is lost, which leaves gaps as AUTO_INCREMENT does.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, timeout};
use tracing::warn;

use crate::backend::pool::{Connect, Pooled, Profile, WorkerId};
use crate::backend::{BackendError, ServerPool};
use crate::cache::{Cache, CatalogKey, Reach, Slot, Writing};
use crate::engine::error::EngineError;
use crate::engine::session::Session;
use crate::engine::sharded::database::LogicalDatabase;
use crate::engine::sharded::write::command;
use crate::sharding::{Segment, Segments, SequenceId, SequenceKind, ShardingRules};
use crate::telemetry::spawn;
use crate::wire::StatusFlags;

/// For an INSERT that needs numbers which are not in memory, the wait for others who fetch them included.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// All sequences of one logical database.
#[derive(Debug)]
pub(crate) struct Numbers(Box<[Option<Counter>]>);

/// One that counts by itself.
#[derive(Debug)]
struct Counter {
    segment: Segment,
    name: Box<str>,
    /// The numbers in memory. Locked for some additions.
    segments: Mutex<Segments>,
    /// Whoever holds it fetches; others wait for what comes.
    turn: tokio::sync::Mutex<()>,
}

impl Numbers {
    pub(crate) fn new(rules: &ShardingRules) -> Self {
        let counter = |sequence: &crate::sharding::Sequence| match &sequence.kind {
            SequenceKind::Composed(_) => None,
            SequenceKind::Segment(segment) => Some(Counter {
                segment: segment.clone(),
                name: sequence.name.clone(),
                segments: Mutex::new(Segments::new(segment)),
                turn: tokio::sync::Mutex::new(()),
            }),
        };
        Self(rules.sequences().iter().map(counter).collect())
    }

    fn counter(&self, sequence: SequenceId) -> Option<&Counter> {
        self.0.get(usize::from(sequence.0))?.as_ref()
    }
}

impl Counter {
    /// The first of `count` numbers, fetched if they must be.
    async fn numbers(&self, count: u64, way: &Way) -> Result<u64, Unfetched> {
        let _turn = self.turn.lock().await;
        if let Some(first) = self.segments.lock().take(count) {
            return Ok(first);
        }
        if count > self.segment.step {
            return self.fetch(count, way).await;
        }
        let first = self.fetch(self.segment.step, way).await?;
        let mut segments = self.segments.lock();
        segments.fetched(first, first.saturating_add(self.segment.step));
        segments.take(count).ok_or(Unfetched::Exhausted)
    }

    /// Fetches the next run ahead of need.
    async fn prefetch(&self, way: &Way) {
        let fetched = timeout(FETCH_TIMEOUT, async {
            let _turn = self.turn.lock().await;
            self.fetch(self.segment.step, way).await
        });
        match fetched.await.unwrap_or(Err(Unfetched::Late)) {
            Ok(first) => self.segments.lock().fetched(first, first.saturating_add(self.segment.step)),
            Err(error) => {
                warn!(sequence = %self.name, %error, "numbers of a sequence could not be fetched ahead");
                self.segments.lock().not_fetched();
            }
        }
    }

    /// Takes `count` numbers from the table, over a connection of its own: who waits for an id may hold what the pool
    /// has. Returns the first.
    async fn fetch(&self, count: u64, way: &Way) -> Result<u64, Unfetched> {
        let Segment { database, table, .. } = &self.segment;
        let quoted = |name: &str| name.replace('`', "``");
        let name = self.name.replace('\\', "\\\\").replace('\'', "''");
        // 0 is no id to the servers, so numbers begin at 1.
        let text = format!(
            "UPDATE `{}`.`{}` SET `next` = LAST_INSERT_ID(GREATEST(`next`, 1)) + {count} WHERE `name` = '{name}'",
            quoted(database),
            quoted(table)
        );
        let mut conn = way.pool.connector().connect(Profile::PLAIN, way.worker).await?;
        let told = async {
            let writing = way.begin_write(table);
            let told = command(&mut conn, &text).await?;
            if conn.status.has(StatusFlags::IN_TRANS) {
                command(&mut conn, "COMMIT").await?;
            }
            writing.into_iter().for_each(|writing| writing.end(true));
            Ok::<_, BackendError>(told)
        }
        .await;
        conn.close().await;
        let told = told?;
        match told.affected_rows {
            1 => Ok(told.last_insert_id),
            0 => Err(Unfetched::NoRow),
            _ => Err(Unfetched::Rows),
        }
    }
}

/// How numbers are fetched.
#[derive(Clone, Debug)]
struct Way {
    pool: Arc<ServerPool>,
    worker: WorkerId,
    cache: Arc<Cache>,
}

impl Way {
    /// To be held while the table of sequences is written: it is a table like any other to who reads it.
    fn begin_write(&self, table: &str) -> Option<Writing> {
        if self.cache.revision() == 0 {
            return None;
        }
        let server = self.pool.connector().backend.address().into();
        let catalog = self.cache.catalogs.find(&CatalogKey { server, account: None }, Instant::now());
        let names: [Box<str>; 1] = [table.to_lowercase().into()];
        let reach = match catalog.is_some_and(|catalog| catalog.are_plain(&names)) {
            true => Reach::Tables([Slot::of(&names[0])].into()),
            false => Reach::Everything,
        };
        Some(self.cache.write(reach))
    }
}

/// Why there are no numbers.
#[derive(Debug, thiserror::Error)]
enum Unfetched {
    #[error(transparent)]
    Backend(#[from] BackendError),
    #[error("the table has no row of that name")]
    NoRow,
    #[error("the table has several rows of that name")]
    Rows,
    #[error("the numbers are used up")]
    Exhausted,
    #[error("the server did not answer in time")]
    Late,
}

impl Session {
    /// The first of `count` numbers of a sequence, which are nobody else's.
    pub(super) async fn numbers(
        &mut self,
        database: &Arc<LogicalDatabase>,
        sequence: SequenceId,
        count: u64,
    ) -> Result<u64, EngineError> {
        let Some(counter) = database.numbers.counter(sequence) else { return Err(no_numbers("")) };
        let Some(place) = &self.place else { return Err(no_numbers(&counter.name)) };
        let (pool, cache) = (Arc::clone(place.pool(counter.segment.shard)), Arc::clone(&self.engine.cache));
        let way = Way { pool, worker: self.worker.id, cache };
        let (taken, low) = {
            let mut segments = counter.segments.lock();
            let taken = segments.take(count);
            (taken, taken.is_some() && segments.begin_fetch())
        };
        if low {
            let database = Arc::clone(database);
            let ahead = async move {
                if let Some(counter) = database.numbers.counter(sequence) {
                    counter.prefetch(&way).await;
                }
            };
            // It ends by itself, at its deadline at the latest.
            drop(spawn("numbers", ahead));
            return taken.ok_or_else(|| no_numbers(&counter.name));
        }
        if let Some(first) = taken {
            return Ok(first);
        }
        let fetched = timeout(FETCH_TIMEOUT, counter.numbers(count, &way));
        let fetched = self.watch_client(fetched).await?;
        fetched.unwrap_or(Err(Unfetched::Late)).map_err(|error| {
            warn!(sequence = %counter.name, %error, "no numbers of a sequence");
            no_numbers(&counter.name)
        })
    }
}

/// As a server says it of AUTO_INCREMENT.
pub(super) fn no_numbers(sequence: &str) -> EngineError {
    EngineError::refused(
        1467,
        "HY000",
        format!(
            "DZ1620: no ids could be had of the sequence '{sequence}'; see the log, and whether its table has a row for it"
        ),
    )
}
