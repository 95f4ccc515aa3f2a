//! Results that the processes of a fleet share through Redis: the second level of the cache.
//!
//! Nobody is given a result from there that is older than a write which this process knows of. What makes that true: a
//! result is put with the tokens of its places as they were before its read was sent, and is of use while they are the
//! same; whoever writes replaces them, before the client is told where Redis answers in time. Where it does not, or where
//! somebody else has written (the binary log tells), the places are *untold*: this process takes nothing of them from
//! Redis until it has replaced the tokens itself.
//!
//! Redis is never waited for longer than its timeout, and not at all while its circuit is open.

mod circuit;
mod connection;
mod counts;
mod identities;
mod keeper;
mod limit;
mod telling;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::warn;

use crate::cache::{Answer, Asked, Cache, Place, Portable, Reach, Seal, Slot, Token, Unfit};
use crate::config;
use crate::engine::fleet::circuit::Circuit;
use crate::engine::fleet::connection::{CONNECT_TIMEOUT, Dialler, FleetError, is_of_another_kind, reason};
use crate::engine::fleet::counts::Counts;
pub use crate::engine::fleet::counts::{FleetNumbers, FleetOutcome};
pub(crate) use crate::engine::fleet::identities::Identities;
pub use crate::engine::fleet::keeper::keep_fleet;
use crate::engine::fleet::limit::within;
pub(crate) use crate::engine::fleet::telling::Telling;

/// Results that wait to be put, at most; more are not shared.
const PUTS_MAX: usize = 256;

/// Questions longer than this, everything counted, are not shared.
const QUESTION_BYTES_MAX: usize = 64 << 10;

/// See the module's text.
#[derive(Debug)]
pub struct Fleet {
    cache: Arc<Cache>,
    active: ArcSwapOption<Active>,
    /// It has been configured once.
    begun: AtomicBool,
    /// Who accounts are on their servers.
    pub(crate) identities: Identities,
    counts: Arc<Counts>,
}

/// What is configured.
#[derive(Debug)]
pub(crate) struct Active {
    settings: config::Redis,
    keys: Vec<(String, String)>,
    result_bytes_max: usize,
    seal: Seal,
    /// The name of the hash of tokens.
    tokens: String,
    pool: bb8::Pool<Dialler>,
    circuit: Circuit,
    cache: Arc<Cache>,
    counts: Arc<Counts>,
    puts: mpsc::Sender<Put>,
    /// Taken by the keeper.
    putting: Mutex<Option<mpsc::Receiver<Put>>>,
    /// Why the last question failed.
    reason: Mutex<Option<String>>,
}

/// A read that may be shared, from before it is sent.
#[derive(Debug)]
pub(crate) struct Sharing {
    active: Arc<Active>,
    question: Vec<u8>,
    slots: Box<[Slot]>,
    tokens: Vec<Token>,
    /// By Redis's clock, in milliseconds, before the tokens were looked at.
    clock: u64,
}

/// A result that is to be put.
#[derive(Debug)]
struct Put {
    sharing: Sharing,
    answer: Arc<Answer>,
    ttl: Duration,
}

/// What a look-up finds.
pub(crate) enum Shared {
    /// This result, read so long ago.
    Found(Box<Portable>, Duration),
    /// None; that of the read can be put.
    Missing(Box<Sharing>),
    /// Nobody knows.
    Unknown,
}

impl Fleet {
    /// A fleet of one.
    #[must_use]
    pub fn new(cache: Arc<Cache>) -> Self {
        Self {
            cache,
            active: ArcSwapOption::empty(),
            begun: AtomicBool::new(false),
            identities: Identities::default(),
            counts: Arc::default(),
        }
    }

    /// Goes over to these settings.
    pub(crate) fn configure(&self, settings: &config::Cache, now: Instant) {
        let begun = self.begun.swap(true, SeqCst);
        let redis = settings.redis.clone().filter(|_| !settings.rules.is_empty());
        let keys: Vec<_> = settings.rules.iter().flat_map(|rule| rule.keys.clone()).collect();
        let bytes_max = usize::try_from(settings.result_bytes_max).unwrap_or(usize::MAX);
        let same = |active: &Active| {
            redis.as_ref() == Some(&active.settings)
                && active.keys == keys
                && active.result_bytes_max == bytes_max
        };
        let active = self.active.load();
        if active.as_deref().map_or(redis.is_none(), same) {
            return;
        }
        let untold = self.cache.untold();
        untold.switch(redis.is_some());
        if begun && redis.is_some() {
            // Nobody there has been told of what was written here by now.
            untold.unknown(None);
        }
        let active = redis.map(|redis| {
            let cache = Arc::clone(&self.cache);
            let counts = Arc::clone(&self.counts);
            Arc::new(Active::new(redis, (keys, bytes_max), cache, counts, now))
        });
        self.active.store(active);
    }

    pub(crate) fn active(&self) -> Guard<Option<Arc<Active>>> {
        self.active.load()
    }

    /// Tells the others of a write before its client is told. `None`: there are none.
    pub(crate) fn telling(&self, reach: &Reach, lazy: bool) -> Option<Box<Telling>> {
        let active = self.active.load();
        active.as_ref().map(|active| Box::new(Telling::new(Arc::clone(active), reach.clone(), lazy)))
    }

    /// What operators see; `None`: nothing is shared.
    #[must_use]
    pub fn numbers(&self) -> Option<FleetNumbers> {
        let active = self.active.load();
        let active = active.as_ref()?;
        let state = active.pool.state();
        Some(FleetNumbers {
            closed: active.circuit.is_closed(),
            openings: active.circuit.openings(),
            reason: active.reason.lock().clone(),
            untold: self.cache.untold().len() as u64,
            connections: state.connections.into(),
            outcomes: self.counts.outcomes(),
        })
    }
}

impl Active {
    fn new(
        settings: config::Redis,
        (keys, result_bytes_max): (Vec<(String, String)>, usize),
        cache: Arc<Cache>,
        counts: Arc<Counts>,
        now: Instant,
    ) -> Self {
        let seal = Seal::new(&settings.prefix, settings.secret.reveal().as_bytes(), &keys);
        let tokens = seal.tokens();
        // No reaper and no test: what is broken shows when it is used, and then is closed.
        let pool = bb8::Pool::builder()
            .max_size(settings.connections_max)
            .max_lifetime(None)
            .idle_timeout(None)
            .test_on_check_out(false)
            .retry_connection(false)
            .queue_strategy(bb8::QueueStrategy::Lifo)
            .connection_timeout(CONNECT_TIMEOUT)
            .build_unchecked(Dialler::new(settings.clone(), tokens.clone()));
        let (puts, putting) = mpsc::channel(PUTS_MAX);
        let putting = Mutex::new(Some(putting));
        let (circuit, reason) = (Circuit::new(now), Mutex::new(None));
        Self {
            settings,
            keys,
            result_bytes_max,
            seal,
            tokens,
            pool,
            circuit,
            cache,
            counts,
            puts,
            putting,
            reason,
        }
    }

    /// Whether a result of these places may be asked for. What this costs while Redis does not work is a load.
    pub(crate) fn is_of_use(&self, slots: &[Slot]) -> bool {
        let useful = self.circuit.is_closed() && self.cache.untold().leaves(slots);
        if !useful {
            self.counts.add(FleetOutcome::Passed);
        }
        useful
    }

    /// Asks for the result of `question`, if its places are of use. To be called when writes of these have been looked at:
    /// what is under way then is noticed by who looks again.
    pub(crate) async fn look_up(self: &Arc<Self>, question: Vec<u8>, slots: &[Slot]) -> Shared {
        if question.len() > QUESTION_BYTES_MAX {
            return Shared::Unknown;
        }
        let place = self.seal.place(&question);
        let bytes_max = Seal::bytes_max(question.len(), slots.len(), self.result_bytes_max);
        let places = std::iter::once(None).chain(slots.iter().copied().map(Some));
        let found = self
            .ask(async |connection: &mut connection::Connection| {
                connection.look_up(&self.tokens, places.clone(), &place, bytes_max).await
            })
            .await;
        let Some(found) = found else { return Shared::Unknown };
        let mut tokens = Vec::with_capacity(found.tokens.len());
        for (place, token) in places.zip(&found.tokens) {
            match token {
                Some(token) => tokens.push(*token),
                None => self.cache.untold().unknown(place),
            }
        }
        if tokens.len() != slots.len() + 1 {
            self.counts.add(FleetOutcome::Miss);
            return Shared::Unknown;
        }
        let (outcome, portable) = if found.value.is_empty() {
            (FleetOutcome::Miss, None)
        } else {
            match self.seal.open(Asked { question: &question, slots, tokens: &tokens }, &found.value) {
                Ok(portable) => (FleetOutcome::Hit, Some(portable)),
                Err(Unfit::Old) => (FleetOutcome::Old, None),
                Err(Unfit::Another) => (FleetOutcome::Another, None),
                Err(Unfit::Poisoned) => (FleetOutcome::Poisoned, None),
            }
        };
        self.counts.add(outcome);
        match portable {
            Some(portable) => {
                let age = portable.ttl.saturating_sub(found.left) + Duration::from_millis(1);
                Shared::Found(Box::new(portable), age)
            }
            None => Shared::Missing(Box::new(Sharing {
                active: Arc::clone(self),
                question,
                slots: slots.into(),
                tokens,
                clock: found.clock,
            })),
        }
    }

    /// Tells the others that something has been written. True if they know it.
    async fn tell(&self, reach: &Reach) -> bool {
        if !self.circuit.is_closed() {
            return false;
        }
        let told = match reach {
            Reach::Everything => self.tell_places(&[None]).await,
            Reach::Tables(slots) => {
                let places: Vec<Place> = slots.iter().copied().map(Some).collect();
                self.tell_places(&places).await
            }
        };
        self.counts.add(if told { FleetOutcome::Told } else { FleetOutcome::Untold });
        told
    }

    async fn tell_places(&self, places: &[Place]) -> bool {
        let telling = async |connection: &mut connection::Connection| {
            connection.tell(&self.tokens, places.iter().copied()).await
        };
        self.ask(telling).await.is_some()
    }

    /// Asks Redis one thing, within its timeout, and counts how that went.
    async fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&mut connection::Connection) -> Result<T, FleetError>,
    ) -> Option<T> {
        let began = Instant::now();
        let answer = within(self.settings.timeout, self.ask_unbounded(question)).await;
        let answer = answer.unwrap_or(Err(FleetError::Late));
        // What somebody has put in a result's place says nothing about Redis.
        let good = answer.as_ref().map_or_else(is_of_another_kind, |_| true);
        let opens = self.circuit.record(began, Instant::now(), good);
        match answer {
            Ok(answer) => Some(answer),
            Err(error) => {
                self.failed(&error, opens);
                None
            }
        }
    }

    async fn ask_unbounded<T>(
        &self,
        question: impl AsyncFnOnce(&mut connection::Connection) -> Result<T, FleetError>,
    ) -> Result<T, FleetError> {
        match self.pool.get().await {
            Ok(mut connection) => question(&mut connection).await,
            Err(bb8::RunError::User(error)) => Err(error),
            Err(bb8::RunError::TimedOut) => Err(FleetError::Late),
        }
    }

    fn failed(&self, error: &FleetError, opens: bool) {
        let reason = reason(error);
        self.counts.add(match error {
            FleetError::Late => FleetOutcome::Late,
            error if is_of_another_kind(error) => FleetOutcome::Poisoned,
            FleetError::Io(_) | FleetError::Redis(_) | FleetError::Nameless => FleetOutcome::Failed,
        });
        if opens {
            warn!(reason, "redis is not asked for results until it answers in time");
        }
        *self.reason.lock() = Some(reason);
    }
}

impl Sharing {
    /// The result of the read: to be put by the keeper, if there is room.
    pub(crate) fn put(self, answer: Arc<Answer>, ttl: Duration) {
        let active = Arc::clone(&self.active);
        if !active.circuit.is_closed() || active.puts.try_send(Put { sharing: self, answer, ttl }).is_err() {
            active.counts.add(FleetOutcome::NotPut);
        }
    }
}
