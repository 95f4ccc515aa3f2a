//! The one place where statements meet the cache: reads that it answers or keeps, and writes that end what it has.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::backend::pool::{Profile, Want};
use crate::backend::{BackendError, ServerPool};
use crate::cache::{
    Answer, Asking, Catalog, CatalogKey, Change, Fill, FlightState, Follower, Key, Lookup, Noted, Reach,
    Reads, Recording, Reply, Wanted, Writing, is_system_schema,
};
use crate::engine::error::EngineError;
use crate::engine::facts::Facts;
use crate::engine::fleet::Sharing;
use crate::engine::hot_rows::Sent;
use crate::engine::relay::Outcome;
use crate::engine::session::Session;
use crate::engine::sharded::{Part, merged_found_rows};
use crate::engine::snapshot::User;
use crate::engine::statement::WHOLE_MAX;
use crate::sql::Digest;
use crate::telemetry::spawn;
use crate::wire::{Capabilities, HEADER_BYTES, Header, StatusFlags, column_type};

/// How often a read waits for another one's result before it goes by itself.
const ROUNDS: usize = 3;

/// Once a transaction has written in so many places, its writes are of whole tables.
const PLACES_MAX: usize = 64;

/// How long the question what tables are waits for a connection.
pub(super) const CATALOG_WAIT_MAX: Duration = Duration::from_secs(5);

/// What hot reads remember of a session.
#[derive(Debug, Default)]
pub(crate) struct HotReads {
    /// The configuration of the cache under which the session was last seen outside of a transaction: what the one
    /// that is open has written since is known.
    watched: u32,
    /// What the open transaction has written.
    written: Option<Box<Reach>>,
    /// The statement has been answered from memory.
    pub(super) hit: bool,
    /// Where an old result of the read that is sent may be found. Boxed: a session mostly waits for a command.
    pub(super) resort: Option<Box<(Key, usize)>>,
    /// What the result of the read that is sent can be put into Redis with.
    pub(super) sharing: Option<Box<Sharing>>,
    /// Whose results it may see: a hash, and whom it is of. Weak, so that the address is nobody else's meanwhile.
    identity: Option<(Weak<User>, u128)>,
}

impl HotReads {
    /// Whether the statement that has just ended was answered from memory.
    pub(crate) fn was_hit(&mut self) -> bool {
        std::mem::take(&mut self.hit)
    }
}

/// What becomes of a read.
pub(crate) enum Hot {
    /// The client has its result.
    Answered,
    /// It is sent, and its result may be kept if there is something to fill.
    Sent(Option<Fill>),
}

/// A write under way, or a statement of a transaction that has written.
pub(crate) struct Writes {
    writing: Writing,
    /// It writes itself.
    own: bool,
    /// It may change what names stand for.
    definitions: bool,
    /// Its server tells the client before it has happened.
    delayed: bool,
}

/// A read as it comes to the cache.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) facts: &'a Facts,
    /// Its command stands at the front of the client's input.
    pub(crate) header: Header,
    pub(crate) sent: Sent,
    /// Where it goes if it goes to several slots of a logical database.
    pub(crate) parts: &'a [Part],
    pub(crate) started: Instant,
}

/// A read that may be kept.
#[derive(Clone, Copy)]
struct HotRead<'a> {
    asked: Asked<'a>,
    reads: &'a Reads,
    key: Key,
    rule: usize,
}

impl Session {
    /// To be held until the client has been told how a statement went that may change what is kept.
    pub(crate) fn begin_write(&mut self, facts: &Facts, header: Header, sent: Sent) -> Option<Writes> {
        self.hot.resort = None;
        let revision = self.engine.cache.revision();
        if revision == 0 {
            return None;
        }
        let open = self.state.status.has(StatusFlags::IN_TRANS);
        if !open && !self.is_bound() {
            self.hot.written = None;
        }
        // After an ERR nobody knows whether a transaction is open.
        let unsure = open || self.is_bound() && self.state.errors > 0;
        if !unsure {
            self.hot.watched = revision;
        }
        let own = self.reach(facts, header, sent);
        let before = match &self.hot.written {
            _ if self.hot.watched != revision => Some(Reach::Everything),
            written => written.as_deref().cloned(),
        };
        let definitions = facts.traits.change == Change::Definitions;
        let (own, reach) = match (own, before) {
            (None, None) => return None,
            (Some(own), Some(before)) => (true, own.and(before)),
            (Some(own), None) => (true, own),
            (None, Some(before)) => (false, before),
        };
        if definitions {
            self.engine.cache.catalogs.forget();
        }
        let delayed = facts.traits.delayed;
        let lazy = matches!(facts.traits.change, Change::Tables(_)) || facts.traits.reads.is_some();
        self.client.telling = self.engine.fleet.telling(&reach, lazy);
        Some(Writes { writing: self.engine.cache.write(reach), own, definitions, delayed })
    }

    /// What the statement itself may change.
    fn reach(&self, facts: &Facts, header: Header, sent: Sent) -> Option<Reach> {
        let traits = &facts.traits;
        // Of a longer text only the beginning is known.
        if header.length > WHOLE_MAX {
            return Some(Reach::Everything);
        }
        match &traits.change {
            Change::Nothing => None,
            Change::Tables(names) => {
                if !self.writes_are_plain(names, Instant::now()) {
                    return Some(Reach::Everything);
                }
                let before = self.hot.written.as_deref().map_or(0, Reach::places);
                let rows = match &**names {
                    [table] if before < PLACES_MAX => self.rows_written(facts, table, header, sent),
                    _ => None,
                };
                Some(Reach::Tables(rows.map_or_else(|| Arc::clone(&traits.changed), Arc::from)))
            }
            Change::Everything | Change::Definitions => Some(Reach::Everything),
        }
    }

    /// The client has been told, or never will be.
    pub(crate) fn end_write(&mut self, writes: Option<Writes>, result: &Result<(), EngineError>) {
        let Some(Writes { writing, own, definitions, delayed }) = writes else { return };
        let told = self.client.telling.take().is_some_and(|telling| telling.is_told());
        let cache = &self.engine.cache;
        if definitions {
            cache.catalogs.forget();
        }
        match result {
            // An error of the server's, too, is its last word about the statement.
            Ok(()) | Err(EngineError::Backend(BackendError::Server(_))) if !delayed => {
                let open = self.state.status.has(StatusFlags::IN_TRANS);
                let failed = result.is_err() || self.state.errors > 0;
                let changed = own || failed || !open;
                let kept = (open || failed && self.is_bound()).then(|| Box::new(writing.reach().clone()));
                if changed {
                    cache.count_ended(writing.reach());
                }
                if told {
                    writing.end_told(changed);
                } else {
                    writing.end(changed);
                }
                self.hot.written = kept;
            }
            // It was not sent.
            Err(EngineError::Refused(_) | EngineError::Protected(_) | EngineError::Expelled(_)) => {
                writing.end(true);
            }
            Ok(()) | Err(_) => drop(writing),
        }
    }

    /// Answers the COM_QUERY, or the execution of a prepared statement, at the front of the client's input from memory,
    /// or says what is to become of it.
    pub(crate) async fn read_hot(&mut self, asked: Asked<'_>) -> Result<Hot, EngineError> {
        let Asked { facts, header, sent, parts, started } = asked;
        let Some(reads) = &facts.traits.reads else { return Ok(Hot::Sent(None)) };
        if self.engine.cache.revision() == 0 || header.length > WHOLE_MAX || !self.may_read_hot() {
            return Ok(Hot::Sent(None));
        }
        let due = self.engine.cache.hot_keys.is_due(started);
        let rule = self.engine.cache.rule(&facts.traits, facts.statement.digest.hash);
        if rule.is_none() && !due {
            return Ok(Hot::Sent(None));
        }
        let prepared = sent.prepared();
        let Some(question) = self.question(header, prepared) else { return Ok(Hot::Sent(None)) };
        let key = self.hot_key(question, prepared.is_some(), parts);
        if due {
            self.note_hot(facts, key, rule, started);
        }
        let Some(rule) = rule else { return Ok(Hot::Sent(None)) };
        if !self.writes_are_known(parts, started) {
            self.hot.resort = Some(Box::new((key, rule)));
            self.engine.cache.passed(rule);
            return Ok(Hot::Sent(None));
        }
        let read = HotRead { asked, reads, key, rule };
        match self.engine.cache.find(key, rule, started) {
            Some(answer) => self.give(&answer, read).await,
            None => Box::pin(self.join(read)).await,
        }
    }

    fn note_hot(&self, facts: &Facts, key: Key, rule: Option<usize>, started: Instant) {
        let Digest { hash, text } = &facts.statement.digest;
        let (key, user) = (key.0 as u64, &*self.user.name);
        let noted = Noted { key, digest: *hash, statement: text, user, rule };
        self.engine.cache.hot_keys.note(&noted, started);
    }

    /// Whether the session would read nothing but what everybody sees, and leave nothing behind: it is bound to
    /// nothing, in autocommit mode, and its client has been told everything.
    fn may_read_hot(&self) -> bool {
        let status = self.state.status;
        let image = &self.state.image;
        self.lease.is_none()
            && self.pins.is_empty()
            && !self.expired
            && status.has(StatusFlags::AUTOCOMMIT)
            && !status.has(StatusFlags::IN_TRANS)
            && self.client.owed.is_empty()
            && !image.schema().is_some_and(is_system_schema)
            // Then `WHERE id IS NULL` may ask for the session's last id.
            && image.variable("sql_auto_is_null").is_none_or(|value| value == b"OFF")
    }

    /// Whose results the session may see.
    fn identify(&mut self) -> u128 {
        if let Some((user, identity)) = &self.hot.identity
            && user.as_ptr() == Arc::as_ptr(&self.user)
        {
            return *identity;
        }
        let lineage = self.user.lineage();
        let (address, name) = (self.user.backend.address().as_bytes(), self.user.name.as_bytes());
        let parts = [address, &[0], name, &[0], &lineage.to_le_bytes()[..]];
        let identity = xxh3_128_with_seed(&parts.concat(), self.engine.cache.seed);
        self.hot.identity = Some((Arc::downgrade(&self.user), identity));
        identity
    }

    /// What the command at the front of the client's input asks, as a hash. `None`: what is not kept.
    fn question(&self, header: Header, prepared: Option<u32>) -> Option<u128> {
        let hash = |bytes: &[u8]| xxh3_128_with_seed(bytes, self.engine.cache.seed);
        let Some(id) = prepared else { return Some(hash(self.query_text(header))) };
        let statement = self.statements.as_ref()?.known.get(&id)?;
        let types = statement.types.as_deref().unwrap_or_default();
        let settled = statement.open.is_empty() && statement.stand_in.is_none();
        // A server takes today's date where it needs that of a TIME.
        if !settled || types.contains(&column_type::TIME) {
            return None;
        }
        let input = self.client.stream.input.filled();
        // Behind the number of the statement: flags, parameters.
        let bound = input.get(HEADER_BYTES + 5..HEADER_BYTES + header.length)?;
        let parts = [
            hash(&statement.key.text),
            hash(types),
            hash(bound),
            statement.image.base_key(),
            u128::from(statement.columns),
        ];
        Some(hash(&parts.map(u128::to_le_bytes).concat()))
    }

    /// Everything that decides the result of `question`.
    fn hot_key(&mut self, question: u128, prepared: bool, slots: &[Part]) -> Key {
        let mut parts = [0; 67];
        parts[..16].copy_from_slice(&self.identify().to_le_bytes());
        parts[16..32].copy_from_slice(&self.state.image.base_key().to_le_bytes());
        parts[32..48].copy_from_slice(&question.to_le_bytes());
        parts[48] = self.profile().bits();
        parts[49] = u8::from(self.client.capabilities.has(Capabilities::DEPRECATE_EOF));
        parts[50] = u8::from(prepared);
        parts[51..].copy_from_slice(&self.place_key(slots).to_le_bytes());
        Key(xxh3_128_with_seed(&parts, self.engine.cache.seed))
    }

    /// Joins an identical read that is under way, or leads one.
    async fn join(&mut self, read: HotRead<'_>) -> Result<Hot, EngineError> {
        let cache = Arc::clone(&self.engine.cache);
        self.hot.resort = Some(Box::new((read.key, read.rule)));
        let asked = read.asked;
        if !self.tables_are_fit(&read.reads.tables, asked.parts, Instant::now()) {
            cache.passed(read.rule);
            return Ok(Hot::Sent(None));
        }
        if self.is_barred(asked, asked.started) {
            return Ok(Hot::Sent(None));
        }
        let deadline = asked.started + cache.wait_timeout();
        let rows = self.rows_read(asked.facts, asked.header, asked.sent);
        let slots = rows.as_deref().unwrap_or(&read.reads.slots);
        let wanted = Wanted { key: read.key, slots, rule: read.rule };
        for _ in 0..ROUNDS {
            let follower = match cache.join(&wanted, Instant::now()) {
                Lookup::Hit(answer) => return self.give(&answer, read).await,
                Lookup::Pass => return Ok(Hot::Sent(None)),
                Lookup::Follow(follower) => follower,
                Lookup::Lead(fill) => {
                    let fill = match self.find_in_fleet(fill, asked.header, asked.sent, slots).await {
                        Ok(answer) => return self.give(&answer, read).await,
                        Err(fill) => fill,
                    };
                    fill.is_sent();
                    self.client.recording = Some(Box::new(Recording::new(fill.bytes_max())));
                    return Ok(Hot::Sent(Some(fill)));
                }
            };
            match self.follow(follower, deadline, asked.header).await? {
                Some(FlightState::Arrived(answer)) if cache.accepts(&answer, read.rule, Instant::now()) => {
                    return self.give(&answer, read).await;
                }
                // It was overtaken by a write, or whoever led is gone.
                Some(FlightState::Arrived(_) | FlightState::Lost | FlightState::Flying) => {}
                Some(FlightState::Alone) | None => return Ok(Hot::Sent(None)),
            }
        }
        Ok(Hot::Sent(None))
    }

    /// Waits for somebody else's read until `deadline`, unless the client leaves or KILL names the session.
    async fn follow(
        &mut self,
        mut follower: Follower,
        deadline: Instant,
        header: Header,
    ) -> Result<Option<FlightState>, EngineError> {
        let wait = async { Ok(timeout_at(deadline, follower.wait()).await.ok()) };
        match self.unless_killed(wait).await? {
            Ok(state) => Ok(state),
            Err(refusal) => {
                let error = self.protected(refusal);
                self.skip_command(header).await?;
                Err(error)
            }
        }
    }

    /// Sends a kept result, and takes in what its statement leaves in a session.
    async fn give(&mut self, answer: &Answer, read: HotRead<'_>) -> Result<Hot, EngineError> {
        let Asked { facts, header, sent, parts, started } = read.asked;
        let prepared = sent.prepared();
        let servers = self.servers_of(parts);
        match self.admit_hit(facts, started, &servers, |session| session.application_in(header, prepared)) {
            Ok(true) => {}
            Ok(false) => return Ok(Hot::Sent(None)),
            Err(error) => {
                self.skip_command(header).await?;
                return Err(error);
            }
        }
        self.client.stream.input.consume(HEADER_BYTES + header.length);
        let Answer { status, rows, columns, .. } = *answer;
        let outcome = Outcome { status, row_count: -1, rows, columns, results: 1, ..Outcome::default() };
        self.state.status = status.without(StatusFlags::OF_ONE_RESULT);
        self.diagnostics = None;
        if let Some(id) = prepared {
            self.executed(id, &outcome);
        }
        let before = self.state.found_rows;
        self.count(&facts.statement, &outcome);
        if !parts.is_empty() {
            self.state.found_rows = merged_found_rows(facts.statement.found_rows, rows, before);
        }
        self.witness.last_statement = false;
        self.hot.hit = true;
        self.client.send(&answer.bytes).await?;
        Ok(Hot::Answered)
    }

    /// The reply to a read has come, or never will: what of it is kept, and what those are told who wait for it.
    pub(crate) fn fill_hot(
        &mut self,
        fill: Option<Fill>,
        result: Result<Outcome, EngineError>,
        started: Instant,
    ) -> Result<Outcome, EngineError> {
        let Some(fill) = fill else { return result };
        let (recording, sharing) = (self.client.recording.take(), self.hot.sharing.take());
        let outcome = result?;
        let own = StatusFlags::IN_TRANS.with(StatusFlags::MORE_RESULTS).with(StatusFlags::METADATA_CHANGED);
        let common = outcome.error.is_none()
            && outcome.warnings == 0
            && outcome.results == 1
            && outcome.row_count < 0
            && !outcome.changes.any()
            && outcome.status.has(StatusFlags::AUTOCOMMIT)
            && outcome.status.without(own) == outcome.status
            && !outcome.status.has(StatusFlags::SESSION_STATE_CHANGED);
        let bytes = recording.filter(|_| common).and_then(|recording| recording.finish());
        let Outcome { status, rows, columns, .. } = outcome;
        let took = outcome.took.unwrap_or_default();
        let kept = fill.end(bytes.map(|bytes| Reply { bytes, status, rows, columns, took }), started);
        if let (Some(sharing), Some((answer, ttl))) = (sharing, kept) {
            sharing.put(answer, ttl);
        }
        Ok(outcome)
    }

    /// What the names of the tables of `pool`'s server stand for, as far as that is known. Where it is not, or not
    /// lately, the server is asked beside this statement.
    pub(super) fn catalog(&self, pool: &Arc<ServerPool>, now: Instant) -> Option<Arc<Catalog>> {
        let lineage = self.user.lineage();
        let key = CatalogKey {
            server: pool.connector().backend.address().into(),
            account: Some(format!("{}/{lineage}", self.user.name).into()),
        };
        let catalogs = &self.engine.cache.catalogs;
        let found = catalogs.find(&key, now);
        if let Some(asking) = catalogs.should_ask(&key, found.as_deref(), now) {
            self.ask_catalog(asking, Arc::clone(pool), now);
        }
        found
    }

    /// Asks on a connection of its own. The task ends with its deadlines: that of the line, and the connection's for
    /// exchanges.
    fn ask_catalog(&self, asking: Asking, pool: Arc<ServerPool>, now: Instant) {
        let cache = Arc::clone(&self.engine.cache);
        let (worker, user, deadline) = (self.worker.id, self.user.slot, now + CATALOG_WAIT_MAX);
        let want = Want { worker, profile: Profile::PLAIN, state_key: 0, roams: false, user, deadline };
        drop(spawn("cache.catalog", async move {
            let Ok(mut lease) = pool.lease(&want).await else { return };
            if lease.move_to(worker).is_err() || !lease.stream.is_quiet() {
                lease.close();
                return;
            }
            let answer = lease.ask(&cache.catalog_question()).await;
            // Without autocommit the question has begun a transaction.
            if lease.status.has(StatusFlags::IN_TRANS) && lease.ask("ROLLBACK").await.is_err() {
                lease.close();
                return;
            }
            let Ok(rows) = answer else { return };
            if let Some(catalog) = Catalog::read(&rows, now) {
                cache.learn(&asking, catalog, Instant::now());
            }
        }));
    }
}
