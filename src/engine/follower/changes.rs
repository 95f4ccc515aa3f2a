//! What events change, and how far the log has been read.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::Instant;
use tracing::info;

use crate::cache::{Cache, CatalogKey, Reach, Slot, Trust, Writing};
use crate::engine::follower::FollowError;
use crate::engine::follower::rows::{Mapped, changes_nothing};
use crate::engine::follower::source::{Sample, Visible};
use crate::engine::follower::stream::Received;
use crate::wire::Malformed;
use crate::wire::binlog::{EventHeader, Gtid, LogEvent, LogPosition, RowsOf, inner_events, kind};

/// CRC-32.
const CHECKSUM_BYTES: usize = 4;

/// Transactions that wait to be visible, at most.
const PENDING_MAX: usize = 10_000;

/// Tables of one transaction that are told apart; more count as everything.
const TABLES_MAX: usize = 4_096;

/// Places in which the rows of one transaction are told apart; what comes then is of whole tables.
const ROWS_MAX: usize = 256;

/// Samples whose places have not been reached yet.
const SAMPLES_MAX: usize = 64;

/// The last transaction of a file of MariaDB's may be told visible a moment early; nobody can tell when it is.
const UNTOLD: Duration = Duration::from_secs(1);

/// What names a transaction until it is visible.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Mark {
    /// Its name.
    Name(Gtid),
    /// Where it begins.
    Place(LogPosition),
}

/// A transaction that has been read in the log, and may not be visible yet.
struct Pending {
    mark: Mark,
    /// What it keeps closed; nothing was told apart any more if it is everything.
    slots: Vec<Slot>,
    everything: bool,
    writings: Vec<Writing>,
    definitions: bool,
    since: Instant,
}

/// See the module's text.
pub(super) struct Progress {
    cache: Arc<Cache>,
    trust: Arc<Trust>,
    server: CatalogKey,
    /// Where the next event begins.
    position: Option<LogPosition>,
    /// Events end in a checksum.
    checksums: bool,
    /// Where the first transaction of the present file begins.
    first: Option<LogPosition>,
    mark: Option<Mark>,
    /// The transaction's tables by their numbers.
    tables: HashMap<u64, Arc<Mapped>>,
    /// Of the event that is read only the beginning is there.
    cut: bool,
    /// Everything that the server had written at this moment has been read.
    read_up_to: Option<Instant>,
    pending: Vec<Pending>,
    samples: VecDeque<Sample>,
    /// The last sample whose place was reached, until somebody takes it.
    pub(super) proven: Option<Visible>,
}

impl Progress {
    pub(super) fn new(cache: Arc<Cache>, trust: Arc<Trust>, server: &str) -> Self {
        Self {
            cache,
            trust,
            server: CatalogKey { server: server.into(), account: None },
            position: None,
            checksums: false,
            first: None,
            mark: None,
            tables: HashMap::new(),
            cut: false,
            read_up_to: None,
            pending: Vec::new(),
            samples: VecDeque::new(),
            proven: None,
        }
    }

    /// The log is sent again, `from` there. What had not become visible by now is in it: nothing is trusted before that
    /// has been read.
    pub(super) fn begin(&mut self, file: &str, from: &Visible) -> Result<(), FollowError> {
        self.position = Some(LogPosition::new(file, 0)?);
        self.checksums = false;
        self.first = None;
        self.mark = None;
        self.tables.clear();
        self.samples.clear();
        self.proven = None;
        self.read_up_to = None;
        self.give_up(from);
        Ok(())
    }

    /// The log is not read for a while. What waits to be visible is in it behind `from`, and will be sent again before
    /// anything of this server's is trusted; until then nobody else need wait for it.
    pub(super) fn give_up(&mut self, from: &Visible) {
        for pending in self.pending.drain(..) {
            match (&pending.mark, from) {
                // The last of its file may be left out: its tables are in doubt for a while.
                (Mark::Place(place), Visible::Before(from)) if !place.is_in_file_of(from) => drop(pending),
                _ => pending.writings.into_iter().for_each(|writing| writing.end(true)),
            }
        }
    }

    /// Whether changes wait to be visible.
    pub(super) fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The next event.
    pub(super) fn take(&mut self, received: Received, body: &[u8]) -> Result<(), FollowError> {
        let Received { header, cut } = received;
        self.cut = cut;
        self.trust.counts.events.fetch_add(1, Relaxed);
        let whole = self.checksums && !cut && header.kind != kind::FORMAT_DESCRIPTION;
        let body = if whole { &body[..body.len().saturating_sub(CHECKSUM_BYTES)] } else { body };
        if cut && header.kind == kind::TRANSACTION_PAYLOAD {
            self.change_everything(false)?;
        } else {
            match LogEvent::parse(&header, body) {
                Ok(LogEvent::Payload(payload)) => self.unpack(payload)?,
                Ok(event) => self.see(event)?,
                Err(_) => self.change_everything(false)?,
            }
        }
        self.advance(&header);
        self.prove();
        Ok(())
    }

    fn advance(&mut self, header: &EventHeader) {
        if let Some(position) = &mut self.position
            && header.next != 0
            && !header.is_artificial()
        {
            position.advance(header.next);
        }
    }

    fn unpack(&mut self, payload: &[u8]) -> Result<(), FollowError> {
        let mut failed = None;
        let seen = inner_events(payload, |header, body| {
            let seen = self.see(LogEvent::parse(header, body)?);
            failed = seen.err();
            if failed.is_some() { Err(Malformed("a change that cannot be kept in mind")) } else { Ok(()) }
        });
        match (failed, seen) {
            (Some(error), _) => Err(error),
            (None, Ok(())) => Ok(()),
            (None, Err(_)) => self.change_everything(false),
        }
    }

    fn see(&mut self, event: LogEvent<'_>) -> Result<(), FollowError> {
        match event {
            LogEvent::Begins(name) => self.begins(Mark::Name(name)),
            LogEvent::BeginsUnnamed => {
                if let Some(position) = self.position.clone() {
                    if self.first.as_ref().is_none_or(|first| !first.is_in_file_of(&position)) {
                        self.first = Some(position.clone());
                    }
                    self.begins(Mark::Place(position));
                }
            }
            LogEvent::TableMap { table, schema, name, columns } => {
                if self.tables.len() >= TABLES_MAX {
                    self.tables.clear();
                }
                let columns = if self.cut { &[] } else { columns };
                self.tables.insert(table, Arc::new(Mapped::new(schema, name, columns)));
            }
            LogEvent::Rows(rows) => match self.tables.get(&rows.table).cloned() {
                Some(table) => self.change(&table, rows)?,
                None => self.change_everything(false)?,
            },
            LogEvent::Query(text) if changes_nothing(text) => {}
            LogEvent::Query(_) => self.change_everything(true)?,
            LogEvent::Rotate { file, at } => {
                let named = |file: &[u8]| LogPosition::new(&String::from_utf8_lossy(file), at);
                // What comes before the format is known may end in a checksum.
                let bare = &file[..file.len().saturating_sub(CHECKSUM_BYTES)];
                self.position = Some(named(file).or_else(|_| named(bare))?);
            }
            LogEvent::Format { checksums } => self.checksums = checksums,
            LogEvent::Unknown | LogEvent::Payload(_) => self.change_everything(false)?,
            LogEvent::Heartbeat | LogEvent::Harmless => {}
        }
        Ok(())
    }

    fn begins(&mut self, mark: Mark) {
        self.mark = Some(mark);
        self.tables.clear();
    }

    /// Rows of a table.
    fn change(&mut self, table: &Mapped, rows: RowsOf<'_>) -> Result<(), FollowError> {
        let cache = Arc::clone(&self.cache);
        let catalog = cache.catalogs.find(&self.server, Instant::now());
        let Some(catalog) = catalog.filter(|catalog| catalog.tells_all(&table.name)) else {
            return self.change_everything(false);
        };
        let (cut, read_up_to, slot) = (self.cut, self.read_up_to, Slot::of(&table.name));
        let Some(pending) = self.pending()? else { return Ok(()) };
        if pending.everything || pending.slots.contains(&slot) {
            return Ok(());
        }
        if pending.slots.len() >= TABLES_MAX {
            return self.change_everything(false);
        }
        let told_apart = !cut && pending.slots.len() < ROWS_MAX;
        let named = told_apart.then(|| table.rows(rows, &cache, &catalog, read_up_to)).flatten();
        let reach = usize::from(named.is_none());
        let mut slots = named.unwrap_or_else(|| vec![slot]);
        slots.retain(|slot| !pending.slots.contains(slot));
        if !slots.is_empty() {
            pending.slots.extend_from_slice(&slots);
            pending.writings.push(cache.write(Reach::Tables(slots.into())));
            self.trust.counts.changes[reach].fetch_add(1, Relaxed);
        }
        Ok(())
    }

    /// Nobody knows what.
    fn change_everything(&mut self, definitions: bool) -> Result<(), FollowError> {
        let cache = Arc::clone(&self.cache);
        let Some(pending) = self.pending()? else { return Ok(()) };
        if definitions && !pending.definitions {
            pending.definitions = true;
            cache.catalogs.forget();
        }
        if !pending.everything {
            pending.everything = true;
            pending.writings.push(cache.write(Reach::Everything));
            self.trust.counts.changes[2].fetch_add(1, Relaxed);
        }
        Ok(())
    }

    /// What the present transaction keeps closed. Before the first one there is nothing to be changed.
    fn pending(&mut self) -> Result<Option<&mut Pending>, FollowError> {
        let Some(mark) = &self.mark else { return Ok(None) };
        if self.pending.last().is_none_or(|pending| pending.mark != *mark) {
            if self.pending.len() >= PENDING_MAX {
                return Err(FollowError::TooMany);
            }
            self.pending.push(Pending {
                mark: mark.clone(),
                slots: Vec::new(),
                everything: false,
                writings: Vec::new(),
                definitions: false,
                since: Instant::now(),
            });
        }
        Ok(self.pending.last_mut())
    }

    /// What is visible need not be kept closed any more.
    pub(super) fn confirm(&mut self, visible: &Visible) {
        let first = self.first.take();
        let pending = std::mem::take(&mut self.pending);
        for pending in pending {
            match is_visible(&pending.mark, visible, first.as_ref()) {
                Some(true) => {
                    pending.writings.into_iter().for_each(|writing| writing.end(true));
                    if pending.definitions {
                        self.cache.catalogs.forget();
                    }
                }
                // Its tables are in doubt for a while.
                None if pending.since.elapsed() > UNTOLD => drop(pending),
                Some(false) | None => self.pending.push(pending),
            }
        }
        self.first = first;
    }

    /// The server is so far: when this place has been reached, everything up to it is known.
    pub(super) fn expect(&mut self, sample: Sample) {
        if self.samples.len() >= SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        self.prove();
    }

    fn prove(&mut self) {
        let Some(position) = &self.position else { return };
        while self.samples.front().is_some_and(|sample| *position >= sample.position) {
            let Some(Sample { at, visible, .. }) = self.samples.pop_front() else { return };
            self.read_up_to = Some(at);
            if self.trust.prove(at) {
                info!(cluster = self.trust.cluster(), "binary log is followed");
            }
            self.proven = Some(visible);
        }
    }
}

/// Whether a transaction can be read by everybody. `None`: nobody can tell.
fn is_visible(mark: &Mark, visible: &Visible, first: Option<&LogPosition>) -> Option<bool> {
    match (mark, visible) {
        (Mark::Name(name), Visible::Transactions(known)) => Some(known.contains(name)),
        (Mark::Place(begin), Visible::Before(place)) if place.is_in_file_of(begin) => Some(place > begin),
        (Mark::Place(begin), Visible::Before(place)) if place < begin => Some(false),
        // MariaDB goes over to a new file before the last transaction of the old one is visible; one that is visible
        // in the new file was committed after it.
        (Mark::Place(_), Visible::Before(place)) => {
            first.is_some_and(|first| first.is_in_file_of(place) && place > first).then_some(true)
        }
        (Mark::Name(_) | Mark::Place(_), _) => Some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::{Catalog, Key, Lookup, Wanted};
    use crate::config::{self, Binlog, CacheRule, Cluster, Config, FollowMode};
    use crate::wire::binlog::{EVENT_HEADER_BYTES, GtidSet};

    const UUID: &str = "07070707-0707-0707-0707-070707070707";

    fn place(file: u64, at: u64) -> LogPosition {
        LogPosition::new(&format!("bin.{file:06}"), at).expect("a log file")
    }

    fn sample(position: LogPosition, visible: Visible) -> Sample {
        Sample { at: Instant::now(), position, visible }
    }

    /// A cache whose server is known, where rows of `parent` cascade.
    fn progress() -> (Arc<Cache>, Progress) {
        let now = Instant::now();
        let cache = Arc::new(Cache::new(1, now));
        let tables = vec!["menu".to_owned(), "item".to_owned()];
        let rules = vec![CacheRule { name: "menu".to_owned(), tables, ..CacheRule::default() }];
        let binlog = Binlog { follow: FollowMode::Required, ..Binlog::default() };
        let config = Config {
            clusters: [("one".to_owned(), Cluster { binlog, ..Cluster::default() })].into(),
            cache: config::Cache { rules, ..config::Cache::default() },
            ..Config::default()
        };
        cache.configure(&config.cache, now);
        cache.trusts.configure(&config, now);
        let rows = [("parent", "parent"), ("sees", "SELECT"), ("sees", "TRIGGER"), ("end", "")];
        let rows = rows.map(|(what, name)| vec![Some(what.into()), Some(name.into())]);
        let key = CatalogKey { server: "s".into(), account: None };
        let asking = cache.catalogs.should_ask(&key, None, now).expect("nobody has asked");
        cache.learn(&asking, Catalog::read(&rows, now).expect("whole"), now);
        let trust = Arc::clone(&cache.trusts.all()[0]);
        let mut progress = Progress::new(Arc::clone(&cache), trust, "s");
        progress.begin("bin.000001", &Visible::Nothing).expect("a log file");
        (cache, progress)
    }

    impl Progress {
        fn event(&mut self, kind: u8, next: u32, body: &[u8]) {
            let mut bytes = vec![0, 0, 0, 0, kind, 7, 0, 0, 0];
            bytes.extend_from_slice(&((EVENT_HEADER_BYTES + body.len()) as u32).to_le_bytes());
            bytes.extend_from_slice(&next.to_le_bytes());
            bytes.extend_from_slice(&[0; 2]);
            let header = EventHeader::parse(&bytes).expect("whole");
            self.take(Received { header, cut: false }, body).expect("it is understood");
        }

        fn rows(&mut self, next: u32, name: &str) {
            let length = [name.len() as u8];
            let map = [b"\x12\0\0\0\0\0\x01\0\x01t\0", &length[..], name.as_bytes(), b"\0\x01\x03\0\0"];
            self.event(kind::TABLE_MAP, next, &map.concat());
            self.event(kind::WRITE_ROWS, next + 10, b"\x12\0\0\0\0\0\x01\0more");
        }

        fn name(&mut self, next: u32, number: u64) {
            self.event(kind::GTID, next, &[&[0][..], &[7; 16], &number.to_le_bytes()].concat());
        }
    }

    fn is_open(cache: &Arc<Cache>, table: &str) -> bool {
        let wanted = Wanted { key: Key(1), slots: &[Slot::of(table)], rule: 0 };
        matches!(cache.join(&wanted, Instant::now()), Lookup::Lead(_))
    }

    fn executed(numbers: &str) -> Visible {
        Visible::Transactions(GtidSet::parse(&format!("{UUID}:{numbers}")).expect("right"))
    }

    #[tokio::test]
    async fn a_table_is_closed_from_its_rows_until_they_are_visible() {
        let (cache, mut progress) = progress();
        progress.name(100, 5);
        assert!(is_open(&cache, "menu"));
        progress.rows(200, "menu");
        assert!(!is_open(&cache, "menu") && is_open(&cache, "item") && progress.is_waiting());
        progress.confirm(&executed("1-4"));
        assert!(!is_open(&cache, "menu"), "a read would still find what was there before");
        progress.confirm(&executed("1-5"));
        assert!(is_open(&cache, "menu") && !progress.is_waiting());
    }

    #[tokio::test]
    async fn what_is_not_told_apart_closes_everything() {
        let check = |act: &dyn Fn(&mut Progress)| {
            let (cache, mut progress) = progress();
            progress.name(100, 5);
            act(&mut progress);
            assert!(!is_open(&cache, "item"));
            progress.confirm(&executed("1-5"));
            assert!(is_open(&cache, "item"));
        };
        let query = |text: &str| [b"\0\0\0\0\0\0\0\0\x01\0\0\0\0t\0", text.as_bytes()].concat();
        check(&|progress| progress.rows(200, "parent"));
        check(&|progress| progress.event(kind::WRITE_ROWS, 200, b"\x13\0\0\0\0\0\x01\0no map"));
        check(&|progress| progress.event(kind::QUERY, 200, &query("DROP TABLE menu")));
        check(&|progress| progress.event(kind::QUERY, 200, &query("XA COMMIT 'x'")));
        check(&|progress| progress.event(99, 200, b"who knows"));
        check(&|progress| progress.event(kind::TABLE_MAP, 200, b"cut"));
        check(&|progress| progress.event(kind::TRANSACTION_PAYLOAD, 200, b"cut"));
        let (cache, mut progress) = progress();
        progress.name(100, 5);
        progress.event(kind::QUERY, 200, &query("BEGIN"));
        assert!(is_open(&cache, "item"));
    }

    #[tokio::test]
    async fn a_proof_needs_everything_before_its_place() {
        let (cache, mut progress) = progress();
        let trusted = || cache.trusts.allow("one", Instant::now());
        progress.event(kind::ROTATE, 0, b"\x04\0\0\0\0\0\0\0bin.000001");
        progress.expect(sample(place(1, 300), executed("1-5")));
        progress.name(100, 5);
        progress.rows(200, "menu");
        assert!(!trusted() && progress.proven.is_none());
        progress.event(kind::XID, 300, &[0; 8]);
        assert!(trusted());
        assert_eq!(progress.proven, Some(executed("1-5")));
        progress.begin("bin.000001", &executed("1-5")).expect("a log file");
        assert!(!progress.is_waiting() && is_open(&cache, "menu"));
    }

    #[tokio::test]
    async fn checksums_are_no_part_of_a_text() {
        let (cache, mut progress) = progress();
        progress.event(kind::ROTATE, 0, b"\x04\0\0\0\0\0\0\0bin.000001\xaa\xbb\xcc\xdd");
        progress.event(kind::FORMAT_DESCRIPTION, 0, b"\x04\0more\x01abcd");
        progress.name(100, 5);
        progress.event(kind::QUERY, 200, b"\0\0\0\0\0\0\0\0\x01\0\0\0\0t\0BEGIN\xaa\xbb\xcc\xdd");
        assert!(is_open(&cache, "menu"));
        progress.event(kind::ROTATE, 0, b"\x04\0\0\0\0\0\0\0bin.0000021234");
        assert_eq!(progress.position, Some(place(2, 4)));
    }

    #[test]
    fn a_place_is_visible_once_the_server_is_behind_it() {
        let check = |begin: (u64, u64), seen: (u64, u64), first: Option<(u64, u64)>, expected| {
            let first = first.map(|(file, at)| place(file, at));
            let (mark, visible) =
                (Mark::Place(place(begin.0, begin.1)), Visible::Before(place(seen.0, seen.1)));
            assert_eq!(is_visible(&mark, &visible, first.as_ref()), expected, "{begin:?} {seen:?}");
        };
        check((1, 100), (1, 100), None, Some(false));
        check((1, 100), (1, 200), None, Some(true));
        check((2, 100), (1, 200), None, Some(false));
        // The new file has only its head: the last of the old one may not be visible yet.
        check((1, 100), (2, 300), None, None);
        check((1, 100), (2, 300), Some((2, 300)), None);
        check((1, 100), (2, 400), Some((2, 300)), Some(true));
    }
}
