//! Whether writes that do not pass this process are known of: for a cluster whose binary log is followed, only while
//! that is certain.
//!
//! Who follows a log renews a proof: at this moment, everything that the server had made visible was known here. The
//! proof is good for `lag_max`; without one nothing of the cluster is given from memory, and nothing kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::config::{self, Config, FollowMode};

/// Nothing is certain.
const NEVER: u64 = 0;

/// The log is not followed, and need not be.
const ALWAYS: u64 = u64::MAX;

/// How far following a log has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not yet.
    Starting,
    /// It is followed.
    Following,
    /// It was followed, or has to be, and is not.
    Lost(String),
    /// The server does not allow it: what is kept lives for its time.
    Unfollowed(String),
}

/// What was seen in a log.
#[derive(Debug, Default)]
pub struct LogCounts {
    /// Events.
    pub events: AtomicU64,
    /// Changes that ended results of rows; of tables; and of everything.
    pub changes: [AtomicU64; 3],
    /// Times that following began anew, so that everything was ended; and that it went on where it had been.
    pub beginnings: [AtomicU64; 2],
    /// Times that it was lost.
    pub losses: AtomicU64,
}

/// One cluster's log.
#[derive(Debug)]
pub struct Trust {
    cluster: Box<str>,
    /// What it was configured with.
    pub settings: config::Cluster,
    /// Milliseconds since `began`: the proof holds before then.
    until: AtomicU64,
    began: Instant,
    /// Held to be read or set.
    phase: Mutex<Phase>,
    /// For operators.
    pub counts: LogCounts,
}

impl Trust {
    fn new(cluster: &str, settings: &config::Cluster, now: Instant) -> Self {
        Self {
            cluster: cluster.into(),
            settings: settings.clone(),
            until: AtomicU64::new(NEVER),
            began: now,
            phase: Mutex::new(Phase::Starting),
            counts: LogCounts::default(),
        }
    }

    /// The cluster's name.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Whether every write is known of, as far as has to be.
    #[must_use]
    pub fn holds(&self, now: Instant) -> bool {
        match self.until.load(SeqCst) {
            NEVER => false,
            ALWAYS => true,
            until => self.millis(now) < until,
        }
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.began).as_millis()).unwrap_or(ALWAYS - 1)
    }

    /// What the server had made visible at this moment is known of. Whether that is news: it was not followed.
    pub fn prove(&self, at: Instant) -> bool {
        // The part of a millisecond that is cut off makes it end early, never late.
        self.until.store(self.millis(at + self.settings.binlog.lag_max).max(NEVER + 1), SeqCst);
        let mut phase = self.phase.lock();
        let news = *phase != Phase::Following;
        *phase = Phase::Following;
        news
    }

    /// From now on nothing is certain. Whether that is news.
    pub fn lose(&self, why: String) -> bool {
        self.until.store(NEVER, SeqCst);
        let mut phase = self.phase.lock();
        let news = !matches!(&*phase, Phase::Lost(known) if *known == why);
        if *phase == Phase::Following {
            self.counts.losses.fetch_add(1, SeqCst);
        }
        *phase = Phase::Lost(why);
        news
    }

    /// The server does not allow it, and it need not be followed.
    pub fn renounce(&self, why: String) {
        *self.phase.lock() = Phase::Unfollowed(why);
        self.until.store(ALWAYS, SeqCst);
    }

    /// How far it has come.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase.lock().clone()
    }
}

/// All clusters whose logs are to be followed.
#[derive(Debug, Default)]
pub struct Trusts(ArcSwap<Vec<Arc<Trust>>>);

impl Trusts {
    /// Goes over to these settings. Who has the same as before keeps what it has proved.
    pub fn configure(&self, config: &Config, now: Instant) {
        let old = self.0.load();
        let wanted = config.clusters.iter().filter(|(_, settings)| {
            !config.cache.rules.is_empty() && settings.binlog.follow != FollowMode::Off
        });
        let trusts = wanted.map(|(name, settings)| {
            let known = old.iter().find(|trust| *trust.cluster == **name && trust.settings == *settings);
            known.map_or_else(|| Arc::new(Trust::new(name, settings, now)), Arc::clone)
        });
        self.0.store(Arc::new(trusts.collect()));
    }

    /// Whether results of this cluster may be given and kept.
    #[must_use]
    pub fn allow(&self, cluster: &str, now: Instant) -> bool {
        let trusts = self.0.load();
        trusts.iter().find(|trust| &*trust.cluster == cluster).is_none_or(|trust| trust.holds(now))
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Arc<Vec<Arc<Trust>>> {
        self.0.load_full()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Binlog, Cache, CacheRule, Cluster};

    fn config(follow: FollowMode) -> Config {
        let binlog = Binlog { follow, ..Binlog::default() };
        let cluster = Cluster { binlog, ..Cluster::default() };
        let cache = Cache { rules: vec![CacheRule::default()], ..Cache::default() };
        Config { clusters: [("one".to_owned(), cluster)].into(), cache, ..Config::default() }
    }

    #[tokio::test]
    async fn a_proof_is_good_for_a_while_and_not_beyond_its_loss() {
        let (trusts, now) = (Trusts::default(), Instant::now());
        trusts.configure(&config(FollowMode::Auto), now);
        assert!(!trusts.allow("one", now) && trusts.allow("another", now));
        let trust = Arc::clone(&trusts.all()[0]);
        assert!(trust.prove(now) && !trust.prove(now));
        assert!(trusts.allow("one", now + Duration::from_millis(499)));
        assert!(!trusts.allow("one", now + Duration::from_millis(500)));
        trust.prove(now + Duration::from_secs(9));
        assert!(trusts.allow("one", now + Duration::from_secs(9)));
        assert!(trust.lose("cut".to_owned()) && !trust.lose("cut".to_owned()));
        assert!(!trusts.allow("one", now + Duration::from_secs(9)));
        assert_eq!(trust.counts.losses.load(SeqCst), 1);
        trust.renounce("no log".to_owned());
        assert!(trusts.allow("one", now + Duration::from_secs(99)));
    }

    #[tokio::test]
    async fn a_reload_keeps_what_is_the_same() {
        let (trusts, now) = (Trusts::default(), Instant::now());
        trusts.configure(&config(FollowMode::Auto), now);
        trusts.all()[0].prove(now);
        trusts.configure(&config(FollowMode::Auto), now);
        assert!(trusts.allow("one", now));
        trusts.configure(&config(FollowMode::Required), now);
        assert!(!trusts.allow("one", now));
        trusts.configure(&Config { cache: Cache::default(), ..config(FollowMode::Required) }, now);
        assert!(trusts.all().is_empty());
        trusts.configure(&config(FollowMode::Off), now);
        assert!(trusts.all().is_empty());
    }
}
