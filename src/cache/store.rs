//! The cache itself: what is kept, what is under way, and which of it holds.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use foldhash::fast::FixedState;
use tokio::time::Instant;

use crate::cache::catalog::{Asking, Catalog, Catalogs};
use crate::cache::flight::{Boarding, Flight, FlightState, Flights, Follower};
use crate::cache::hot_keys::{HotKey, HotKeys};
use crate::cache::keys::Keys;
use crate::cache::rules::{Rule, RuleNumbers, find};
use crate::cache::tables::{Reach, Seen, Slot, Tables, Writing};
use crate::cache::traits::Traits;
use crate::cache::trust::Trusts;
use crate::cache::untold::Untold;
use crate::config;
use crate::wire::StatusFlags;

/// What a kept result takes beside its bytes: key, counts, the store's own nodes.
const OVERHEAD_BYTES: usize = 352;

/// Whoever asks anew for a result that others are still given has so long; then it is the next one's turn.
const RENEWAL: Duration = Duration::from_secs(1);

/// A hash of everything that decides a result, under a seed that clients do not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub u128);

impl Key {
    pub(super) const fn low(self) -> u64 {
        self.0 as u64
    }
}

impl Hash for Key {
    /// It is a hash already; half of it is enough for a table.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.low());
    }
}

/// A result as a client was sent it, and what it told of the session.
#[derive(Debug)]
pub struct Answer {
    /// Packets, the first with number 1.
    pub bytes: Box<[u8]>,
    /// Status at its end.
    pub status: StatusFlags,
    /// Rows.
    pub rows: u64,
    /// Columns.
    pub columns: u64,
    seen: Seen,
    /// When it had come.
    at: Instant,
    /// From then on somebody asks anew.
    soft: Instant,
    until: Instant,
    /// Until when somebody does, in milliseconds after `at`.
    renewal: AtomicU64,
}

impl Answer {
    fn weight(&self) -> u32 {
        u32::try_from(self.bytes.len() + self.seen.bytes() + OVERHEAD_BYTES).unwrap_or(u32::MAX)
    }

    /// How long ago it had come.
    #[must_use]
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.at)
    }

    /// Whether it is time to ask anew, and nobody does.
    fn wants_renewal(&self, now: Instant) -> bool {
        if now < self.soft {
            return false;
        }
        let age = u64::try_from(self.age(now).as_millis()).unwrap_or(u64::MAX);
        let taken = self.renewal.load(Ordering::Relaxed);
        let mine = age.saturating_add(RENEWAL.as_millis() as u64);
        age >= taken
            && self.renewal.compare_exchange(taken, mine, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// What was configured, and what is kept under it.
#[derive(Debug)]
struct Active {
    revision: u32,
    settings: config::Cache,
    rules: Vec<Rule>,
    store: moka::sync::Cache<Key, Arc<Answer>, FixedState>,
}

/// See the module's text of `cache`.
#[derive(Debug)]
pub struct Cache {
    /// Of what is configured; 0 while nothing is, so that a statement costs one load.
    revision: AtomicU32,
    /// Of what was configured last.
    built: AtomicU32,
    active: ArcSwapOption<Active>,
    tables: Arc<Tables>,
    flights: Flights,
    /// What tables are.
    pub catalogs: Catalogs,
    /// By what their rows are named.
    pub keys: Keys,
    /// Which reads come most often.
    pub hot_keys: HotKeys,
    /// Whether writes elsewhere are known of.
    pub trusts: Trusts,
    /// Of keys.
    pub seed: u64,
    ended: [AtomicU64; 2],
    /// Reads under way whose replies are recorded.
    leading: AtomicUsize,
}

/// What a statement asks the cache for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Everything that decides its result.
    pub key: Key,
    /// Where writes of its tables are counted.
    pub slots: &'a [Slot],
    /// The rule it falls under.
    pub rule: usize,
}

/// What becomes of a read.
#[derive(Debug)]
pub enum Lookup {
    /// This is its result.
    Hit(Arc<Answer>),
    /// It is sent, and its result may be kept.
    Lead(Fill),
    /// Another one like it is under way.
    Follow(Follower),
    /// It is sent like any other statement.
    Pass,
}

/// What of the cache operators see.
#[derive(Clone, Debug, Default)]
pub struct CacheNumbers {
    /// Bytes that kept results take, by the store's own count.
    pub bytes: u64,
    /// Bytes that they may take.
    pub bytes_max: u64,
    /// Kept results.
    pub results: u64,
    /// Reads that wait for an identical one.
    pub waiting: u64,
    /// Writes that ended the results of their tables; and of everything.
    pub ended: [u64; 2],
    /// Rules in their order.
    pub rules: Vec<RuleNumbers>,
}

impl Cache {
    /// A cache that keeps nothing.
    #[must_use]
    pub fn new(seed: u64, now: Instant) -> Self {
        Self {
            revision: AtomicU32::new(0),
            built: AtomicU32::new(0),
            active: ArcSwapOption::empty(),
            tables: Arc::new(Tables::new(now)),
            flights: Flights::default(),
            catalogs: Catalogs::default(),
            keys: Keys::default(),
            hot_keys: HotKeys::new(now),
            trusts: Trusts::default(),
            seed,
            ended: Default::default(),
            leading: AtomicUsize::new(0),
        }
    }

    /// Goes over to these settings. Nothing that was kept is any more: users and servers may be others.
    pub fn configure(&self, settings: &config::Cache, now: Instant) {
        if settings.rules.is_empty() && self.revision() == 0 {
            return;
        }
        self.tables.end_everything();
        self.catalogs.forget();
        self.hot_keys.forget(now);
        let revision = self.built.fetch_add(1, Ordering::SeqCst) + 1;
        let active = (!settings.rules.is_empty()).then(|| Arc::new(Active::new(settings, revision)));
        let revision = if active.is_some() { revision } else { 0 };
        self.active.store(active);
        self.revision.store(revision, Ordering::SeqCst);
    }

    /// What changes with every configuration; 0: nothing is kept.
    #[must_use]
    pub fn revision(&self) -> u32 {
        self.revision.load(Ordering::Relaxed)
    }

    fn active(&self) -> Guard<Option<Arc<Active>>> {
        self.active.load()
    }

    /// The rule that statements of a digest fall under.
    #[must_use]
    pub fn rule(&self, traits: &Traits, digest: u64) -> Option<usize> {
        let active = self.active();
        let active = active.as_ref()?;
        find(&active.rules, active.revision, traits, digest)
    }

    /// The kept result, if there is one that holds.
    #[must_use]
    pub fn find(&self, key: Key, rule: usize, now: Instant) -> Option<Arc<Answer>> {
        let active = self.active();
        let active = active.as_ref()?;
        let answer = active.store.get(&key)?;
        if now >= answer.until || !self.tables.hold(&answer.seen, now) {
            return None;
        }
        let counts = &active.rules.get(rule)?.counts;
        if answer.wants_renewal(now) {
            counts.renewed.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        counts.hits.fetch_add(1, Ordering::Relaxed);
        Some(answer)
    }

    /// The kept result, be it old, if the rule lets it be given where the server cannot be asked.
    #[must_use]
    pub fn find_old(&self, key: Key, rule: usize, now: Instant) -> Option<Arc<Answer>> {
        let active = self.active();
        let active = active.as_ref()?;
        let rule = active.rules.get(rule).filter(|rule| !rule.stale().is_zero())?;
        let answer = active.store.get(&key).filter(|answer| now < answer.until + rule.stale())?;
        rule.counts.old.fetch_add(1, Ordering::Relaxed);
        Some(answer)
    }

    /// What becomes of a read that no kept result answers.
    #[must_use]
    pub fn join(self: &Arc<Self>, wanted: &Wanted<'_>, now: Instant) -> Lookup {
        let active = self.active.load_full();
        let Some(active) = active else { return Lookup::Pass };
        let Some(rule) = active.rules.get(wanted.rule) else { return Lookup::Pass };
        let seen = self.tables.see(wanted.slots, now);
        let boarding = match seen {
            Some(seen) => self
                .flights
                .board(wanted.key, seen, active.is_full(&self.leading), |seen| self.tables.hold(seen, now)),
            None => Boarding::Full,
        };
        match boarding {
            Boarding::Follows(follower) => Lookup::Follow(follower),
            Boarding::Full => {
                rule.counts.passed.fetch_add(1, Ordering::Relaxed);
                Lookup::Pass
            }
            Boarding::Leads(flight) => {
                let (cache, key) = (Arc::clone(self), wanted.key);
                self.leading.fetch_add(1, Ordering::Relaxed);
                let fill = Fill {
                    cache,
                    active: Arc::clone(&active),
                    flight,
                    key,
                    rule: wanted.rule,
                    landed: false,
                };
                // The one before may have landed since this read was looked up.
                let young = active.store.get(&key).is_some_and(|answer| now < answer.soft);
                if let Some(answer) = young.then(|| self.find(key, wanted.rule, now)).flatten() {
                    return Lookup::Hit(answer);
                }
                Lookup::Lead(fill)
            }
        }
    }

    /// A statement under `rule` is sent without.
    pub fn passed(&self, rule: usize) {
        if let Some(rule) = self.active().as_ref().and_then(|active| active.rules.get(rule)) {
            rule.counts.passed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether the result of a read by somebody else is what this session would be told, too.
    #[must_use]
    pub fn accepts(&self, answer: &Answer, rule: usize, now: Instant) -> bool {
        let holds = self.tables.hold(&answer.seen, now);
        if let Some(rule) = self.active().as_ref().and_then(|active| active.rules.get(rule)).filter(|_| holds)
        {
            rule.counts.shared.fetch_add(1, Ordering::Relaxed);
        }
        holds
    }

    /// How long a read waits for another one.
    #[must_use]
    pub fn wait_timeout(&self) -> Duration {
        self.active().as_ref().map_or(Duration::ZERO, |active| active.settings.wait_timeout)
    }

    /// The question about what tables are.
    #[must_use]
    pub fn catalog_question(&self) -> String {
        let active = self.active();
        let rules = active.iter().flat_map(|active| &active.rules);
        let tables = rules.clone().flat_map(Rule::tables).map(String::as_str);
        let keys = rules.flat_map(Rule::keys).map(|(table, column)| (table.as_str(), column.as_str()));
        Catalog::question(tables, keys)
    }

    /// What a server says that its tables are; its answer has come just `now`.
    pub fn learn(&self, asking: &Asking, catalog: Catalog, now: Instant) {
        // Before anybody can go by the rest: a write that names its rows by another key must find none.
        self.keys.learn(catalog.keys());
        self.catalogs.learn(asking, catalog, now);
    }

    /// Which reads come most often, with the rules that they fall under.
    #[must_use]
    pub fn hot_keys(&self, now: Instant) -> Vec<(HotKey, Option<String>)> {
        let active = self.active();
        let name = |rule: usize| Some(active.as_ref()?.rules.get(rule)?.name().to_owned());
        self.hot_keys.hot(now).into_iter().map(|hot| (hot.clone(), hot.rule.and_then(name))).collect()
    }

    /// A write is about to be sent.
    pub fn write(&self, reach: Reach) -> Writing {
        self.tables.begin(reach)
    }

    /// Nobody knows what has been written: nothing kept, or being read, here or elsewhere, is given any more.
    pub fn end_everything(&self) {
        self.tables.end_everything();
        self.tables.distrust();
    }

    /// What those with whom results are shared have yet to be told.
    #[must_use]
    pub fn untold(&self) -> &Untold {
        &self.tables.untold
    }

    /// A write has ended what was kept.
    pub fn count_ended(&self, reach: &Reach) {
        let which = usize::from(*reach == Reach::Everything);
        self.ended[which].fetch_add(1, Ordering::Relaxed);
    }

    /// What operators see.
    #[must_use]
    pub fn numbers(&self) -> CacheNumbers {
        let ended = [0, 1].map(|which: usize| self.ended[which].load(Ordering::Relaxed));
        let active = self.active();
        let Some(active) = active.as_ref() else { return CacheNumbers { ended, ..CacheNumbers::default() } };
        active.store.run_pending_tasks();
        CacheNumbers {
            bytes: active.store.weighted_size(),
            bytes_max: active.settings.memory_max,
            results: active.store.entry_count(),
            waiting: self.flights.followers(),
            ended,
            rules: active.rules.iter().map(Rule::numbers).collect(),
        }
    }
}

impl Active {
    fn new(settings: &config::Cache, revision: u32) -> Self {
        let rules: Vec<Rule> = settings.rules.iter().cloned().map(Rule::new).collect();
        let ttl = rules.iter().map(|rule| rule.ttl() + rule.stale()).max().unwrap_or_default();
        let ttl = ttl.max(Duration::from_secs(1));
        let store = moka::sync::Cache::builder()
            .max_capacity(settings.memory_max)
            .weigher(|_: &Key, answer: &Arc<Answer>| answer.weight())
            // Only to give memory back: whether a result holds is asked of the result.
            .time_to_live(ttl)
            .build_with_hasher(FixedState::default());
        Self { revision, settings: settings.clone(), rules, store }
    }

    /// Whether the replies that are being recorded may grow to what the kept ones may take.
    fn is_full(&self, leading: &AtomicUsize) -> bool {
        let leading = leading.load(Ordering::Relaxed) as u64 + 1;
        leading.saturating_mul(self.settings.result_bytes_max) > self.settings.memory_max
    }
}

/// A read whose result may be kept. Dropped without an end, somebody else asks in its place.
#[derive(Debug)]
#[must_use = "dropped, those who wait ask anew"]
pub struct Fill {
    cache: Arc<Cache>,
    active: Arc<Active>,
    flight: Arc<Flight>,
    key: Key,
    rule: usize,
    landed: bool,
}

/// What is kept of a reply.
#[derive(Debug)]
pub struct Reply {
    /// Packets, the first with number 1.
    pub bytes: Box<[u8]>,
    /// Status at its end.
    pub status: StatusFlags,
    /// Rows.
    pub rows: u64,
    /// Columns.
    pub columns: u64,
    /// How long the server took to its first byte.
    pub took: Duration,
}

impl Fill {
    /// Bytes of a result that is kept, at most.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        usize::try_from(self.active.settings.result_bytes_max).unwrap_or(usize::MAX)
    }

    /// The read is sent.
    pub fn is_sent(&self) {
        self.active.rules[self.rule].counts.misses.fetch_add(1, Ordering::Relaxed);
    }

    /// The reply has come. `None`: it is this session's own. Returns what is kept of it, and for how long.
    pub fn end(mut self, reply: Option<Reply>, now: Instant) -> Option<(Arc<Answer>, Duration)> {
        self.landed = true;
        let Some(reply) = reply else {
            self.land(FlightState::Alone);
            return None;
        };
        let rule = &self.active.rules[self.rule];
        let took = reply.took;
        let answer = self.answer(reply, now);
        let mut kept = None;
        if took < rule.cost_min() {
            rule.counts.cheap.fetch_add(1, Ordering::Relaxed);
        } else if !rule.ttl().is_zero() && self.cache.tables.hold(&answer.seen, now) {
            rule.counts.kept.fetch_add(1, Ordering::Relaxed);
            self.active.store.insert(self.key, Arc::clone(&answer));
            kept = Some((Arc::clone(&answer), rule.ttl()));
        }
        self.land(FlightState::Arrived(answer));
        kept
    }

    /// Somebody else has read the result `age` ago. It is not taken where it is to be renewed, or may be too old.
    pub fn end_found(mut self, reply: Reply, age: Duration, now: Instant) -> Result<Arc<Answer>, Self> {
        let rule = &self.active.rules[self.rule];
        let vouched = self.cache.tables.age_max(now).is_none_or(|max| age < max);
        let young = age < rule.soft_ttl() && age < rule.ttl();
        let Some(at) = now.checked_sub(age).filter(|_| vouched && young) else { return Err(self) };
        let answer = self.answer(reply, at);
        if !self.cache.tables.hold(&answer.seen, now) {
            return Err(self);
        }
        rule.counts.fleet.fetch_add(1, Ordering::Relaxed);
        self.landed = true;
        self.active.store.insert(self.key, Arc::clone(&answer));
        self.land(FlightState::Arrived(Arc::clone(&answer)));
        Ok(answer)
    }

    fn answer(&self, reply: Reply, at: Instant) -> Arc<Answer> {
        let Reply { bytes, status, rows, columns, took: _ } = reply;
        let rule = &self.active.rules[self.rule];
        let (seen, renewal) = (self.flight.seen.clone(), AtomicU64::new(0));
        let (soft, until) = (at + rule.soft_ttl(), at + rule.ttl());
        Arc::new(Answer { bytes, status, rows, columns, seen, at, soft, until, renewal })
    }

    fn land(&self, state: FlightState) {
        // Who comes now finds the result in the store, or leads.
        self.cache.flights.remove(self.key, &self.flight);
        self.flight.land(state);
    }
}

impl Drop for Fill {
    fn drop(&mut self) {
        self.cache.leading.fetch_sub(1, Ordering::Relaxed);
        if !self.landed {
            self.land(FlightState::Lost);
        }
    }
}
