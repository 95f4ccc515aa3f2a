//! One rule at work: what it says, and what has been let through by it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::config::protection::{self as config, Matcher};
use crate::protection::door::Door;
use crate::protection::policy::Allowance;
use crate::protection::{Bucket, Concurrency, GateSettings, Tier};

/// What a rule says to a statement that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Limits, if any.
    Pass,
    /// It would be denied; it is counted.
    Count,
    /// It is denied.
    Deny,
    /// It is denied until the switch reverts.
    SwitchedOff,
    /// It is answered from what is kept, be it old, or denied, until the switch reverts.
    KeptOnly,
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: Arc<str>,
    pub(crate) matcher: Matcher,
    /// It is about this tier and those below it only.
    pub(crate) tier_from: Option<Tier>,
    /// It is not about tier 1, which nobody but an operator may touch.
    pub(crate) spares_first: bool,
    pub(crate) tier: Option<Tier>,
    pub(crate) verdict: Verdict,
    pub(crate) allowance: Allowance,
    pub(crate) idle_transaction_max: Option<Duration>,
    /// It is void from then on.
    pub(crate) until: Option<Instant>,
    pub(crate) rate: Option<Rate>,
    pub(crate) door: Option<Arc<Door>>,
    hits: AtomicU64,
}

/// A rate and how long to wait for it.
#[derive(Debug)]
pub(crate) struct Rate {
    /// Held for a few additions.
    bucket: Mutex<Bucket>,
    waiting_max: Duration,
}

impl Rate {
    fn new(rule: &config::Rule, previous: Option<&Self>, now: Instant) -> Option<Self> {
        let rate = rule.rate?;
        let burst = rule.burst.unwrap_or(rate);
        let bucket = match previous {
            Some(previous) => {
                let mut bucket = previous.bucket.lock().clone();
                bucket.change(rate, burst, now);
                bucket
            }
            None => Bucket::new(rate, burst, now),
        };
        // As many as may wait come through in this time.
        let queue = Duration::from_secs_f64(f64::from(rule.queue_max) / f64::from(rate));
        Some(Self { bucket: Mutex::new(bucket), waiting_max: rule.queue_timeout.min(queue) })
    }

    /// When a statement that was sent at `since` may go.
    ///
    /// # Errors
    /// How long to wait before trying again.
    pub(crate) fn take(&self, since: Instant, now: Instant) -> Result<Instant, Duration> {
        let waited = now.saturating_duration_since(since);
        self.bucket.lock().take(now, self.waiting_max.saturating_sub(waited))
    }

    /// Whether a statement may go at once; otherwise it has taken nothing.
    pub(crate) fn take_at_once(&self, now: Instant) -> bool {
        self.bucket.lock().take(now, Duration::ZERO).is_ok()
    }

    pub(crate) fn overdraw(&self, now: Instant) {
        self.bucket.lock().overdraw(now);
    }

    pub(crate) fn give_back(&self) {
        self.bucket.lock().give_back();
    }
}

impl Rule {
    /// A rule of the configuration. What `previous`, of the same name, has counted goes on.
    pub(crate) fn configured(rule: &config::Rule, previous: Option<&Self>, now: Instant) -> Self {
        let door = rule.concurrency.map(|limit| {
            let settings = GateSettings {
                concurrency: Concurrency::Fixed(limit),
                queue_max: rule.queue_max,
                queue_timeout: rule.queue_timeout,
                target: rule.queue_timeout / 10,
            };
            Door::taken_over(previous.and_then(|previous| previous.door.as_ref()), settings, now)
        });
        let verdict = match (rule.deny, rule.dry_run) {
            (true, false) => Verdict::Deny,
            (true, true) => Verdict::Count,
            (false, _) => Verdict::Pass,
        };
        Self {
            name: rule.name.as_str().into(),
            matcher: rule.matcher.clone(),
            tier_from: None,
            spares_first: false,
            tier: rule.tier.and_then(Tier::new),
            verdict,
            allowance: Allowance {
                rows_max: rule.rows_max.map_or(u64::MAX, u64::from),
                bytes_max: rule.result_bytes_max.unwrap_or(u64::MAX),
                time_max: rule.time_max,
            },
            idle_transaction_max: rule.idle_transaction_max,
            until: None,
            rate: Rate::new(rule, previous.and_then(|previous| previous.rate.as_ref()), now),
            door,
            hits: AtomicU64::new(previous.map_or(0, Self::hits)),
        }
    }

    /// A rule that does nothing yet and ends at `until`.
    pub(crate) fn passing(name: &str, matcher: Matcher, until: Instant) -> Self {
        Self {
            name: name.into(),
            matcher,
            tier_from: None,
            spares_first: false,
            tier: None,
            verdict: Verdict::Pass,
            allowance: Allowance::default(),
            idle_transaction_max: None,
            until: Some(until),
            rate: None,
            door: None,
            hits: AtomicU64::new(0),
        }
    }

    pub(crate) fn is_in_force(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    pub(crate) const fn is_limit(&self) -> bool {
        self.rate.is_some() || self.door.is_some()
    }

    pub(crate) fn count_hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    /// Statements that it denied, refused, or would have denied.
    pub(crate) fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }
}
