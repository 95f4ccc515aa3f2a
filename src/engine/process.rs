//! What all sessions of the process share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::cache::Cache;
use crate::config::Config;
use crate::engine::definitions::Definitions;
use crate::engine::fleet::Fleet;
use crate::engine::sequences::Askers;
use crate::engine::snapshot::Snapshot;
use crate::protection::Admission;
use crate::sharding::RuleSet;
use crate::telemetry::Telemetry;
use crate::wire::tls::TlsError;

/// How far the process is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shutdown {
    /// Serving.
    Not,
    /// No new clients; a session ends as soon as it is outside a transaction.
    Draining,
    /// Now.
    Immediate,
}

/// See the module's text.
#[derive(Debug)]
pub struct Engine {
    snapshot: ArcSwap<Snapshot>,
    /// Tells those who look after pools that there is a new snapshot.
    reloaded: watch::Sender<()>,
    /// Serialises reloads; held while a snapshot is built, never by a statement.
    reloading: Mutex<()>,
    /// Counters, digests, sessions.
    pub telemetry: Arc<Telemetry>,
    /// Whether what servers told earlier still holds.
    pub(crate) definitions: Arc<Definitions>,
    /// Users that have asked for LASTVAL().
    pub(crate) askers: Askers,
    /// Held by the one session that waits in line for several connections at once.
    pub(crate) several: tokio::sync::Mutex<()>,
    /// The rules that statements meet.
    pub admission: Arc<Admission>,
    /// Results that are kept, and what is being written.
    pub cache: Arc<Cache>,
    /// The other processes that results are shared with.
    pub fleet: Arc<Fleet>,
    shutdown: watch::Sender<Shutdown>,
    /// The same for those who look at it before every command.
    stage: AtomicU8,
}

impl Engine {
    /// An engine that serves `config` by these rules.
    pub fn new(config: Config, rules: RuleSet, telemetry: Arc<Telemetry>) -> Result<Arc<Self>, TlsError> {
        let snapshot = Snapshot::build(Arc::new(config), rules, None)?;
        let admission = Arc::new(Admission::default());
        admission.configure(&snapshot.config.protection, Instant::now());
        let cache = Arc::new(Cache::new(rand::random(), Instant::now()));
        cache.configure(&snapshot.config.cache, Instant::now());
        cache.trusts.configure(&snapshot.config, Instant::now());
        let fleet = Arc::new(Fleet::new(Arc::clone(&cache)));
        fleet.configure(&snapshot.config.cache, Instant::now());
        Ok(Arc::new(Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            reloaded: watch::Sender::new(()),
            reloading: Mutex::new(()),
            telemetry,
            definitions: Arc::default(),
            askers: Askers::default(),
            several: tokio::sync::Mutex::new(()),
            admission,
            cache,
            fleet,
            shutdown: watch::Sender::new(Shutdown::Not),
            stage: AtomicU8::new(Shutdown::Not as u8),
        }))
    }

    /// The snapshot of this moment.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Goes over to `config` and these rules. On an error everything stays as it was.
    pub fn reload(&self, config: Config, rules: RuleSet) -> Result<(), TlsError> {
        let _one_at_a_time = self.reloading.lock();
        let old = self.snapshot();
        let new = Arc::new(Snapshot::build(Arc::new(config), rules, Some(&old))?);
        self.snapshot.store(Arc::clone(&new));
        self.admission.configure(&new.config.protection, Instant::now());
        self.cache.configure(&new.config.cache, Instant::now());
        self.cache.trusts.configure(&new.config, Instant::now());
        self.fleet.configure(&new.config.cache, Instant::now());
        old.retire(&new);
        self.reloaded.send_replace(());
        Ok(())
    }

    /// To wait for the next snapshot.
    #[must_use]
    pub fn reloads(&self) -> watch::Receiver<()> {
        self.reloaded.subscribe()
    }

    /// Begins, or hurries, the end.
    pub fn shut_down(&self, how: Shutdown) {
        self.stage.fetch_max(how as u8, Ordering::Release);
        self.shutdown.send_if_modified(|current| {
            let later = how > *current;
            *current = how.max(*current);
            later
        });
    }

    /// How far the end has come.
    #[must_use]
    pub fn stage(&self) -> Shutdown {
        match self.stage.load(Ordering::Acquire) {
            0 => Shutdown::Not,
            1 => Shutdown::Draining,
            _ => Shutdown::Immediate,
        }
    }

    /// To wait for the end.
    #[must_use]
    pub fn shutdown(&self) -> watch::Receiver<Shutdown> {
        self.shutdown.subscribe()
    }
}
