//! The rules of the cache as statements meet them, and what became of those.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::cache::traits::{Reads, Traits};
use crate::config::CacheRule;

/// What became of the statements that a rule is about.
#[derive(Debug, Default)]
pub struct RuleCounts {
    pub(super) hits: AtomicU64,
    pub(super) shared: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) passed: AtomicU64,
    pub(super) kept: AtomicU64,
    pub(super) renewed: AtomicU64,
    pub(super) old: AtomicU64,
    pub(super) cheap: AtomicU64,
    pub(super) fleet: AtomicU64,
}

/// The same at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleNumbers {
    /// The rule's name.
    pub rule: String,
    /// Answered from what was kept.
    pub hits: u64,
    /// Answered with the result of an identical statement that was under way.
    pub shared: u64,
    /// Sent, their results to be kept.
    pub misses: u64,
    /// Sent without: a write was under way, or nobody knew what the tables were.
    pub passed: u64,
    /// Results that were kept.
    pub kept: u64,
    /// Of the misses, those whose result was still given to others.
    pub renewed: u64,
    /// Answered from what was kept although it is old.
    pub old: u64,
    /// Results that were not kept, because the server is quick about them.
    pub cheap: u64,
    /// Answered from what another process had put into Redis.
    pub fleet: u64,
}

/// One rule.
#[derive(Debug)]
pub(super) struct Rule {
    settings: CacheRule,
    pub(super) counts: RuleCounts,
}

impl Rule {
    pub(super) fn new(settings: CacheRule) -> Self {
        Self { settings, counts: RuleCounts::default() }
    }

    pub(super) fn name(&self) -> &str {
        &self.settings.name
    }

    pub(super) fn ttl(&self) -> Duration {
        self.settings.ttl
    }

    pub(super) fn soft_ttl(&self) -> Duration {
        self.settings.soft_ttl.unwrap_or(self.settings.ttl)
    }

    pub(super) fn stale(&self) -> Duration {
        self.settings.stale
    }

    pub(super) fn cost_min(&self) -> Duration {
        self.settings.cost_min
    }

    pub(super) fn tables(&self) -> &[String] {
        &self.settings.tables
    }

    pub(super) fn keys(&self) -> &[(String, String)] {
        &self.settings.keys
    }

    fn is_about(&self, reads: &Reads, digest: u64) -> bool {
        let named = |table: &str| self.settings.tables.iter().any(|name| name == table);
        (self.settings.digests.is_empty() || self.settings.digests.contains(&digest))
            && reads.named.iter().all(|table| named(table))
    }

    pub(super) fn numbers(&self) -> RuleNumbers {
        let RuleCounts { hits, shared, misses, passed, kept, renewed, old, cheap, fleet } = &self.counts;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        RuleNumbers {
            rule: self.settings.name.clone(),
            hits: read(hits),
            shared: read(shared),
            misses: read(misses),
            passed: read(passed),
            kept: read(kept),
            renewed: read(renewed),
            old: read(old),
            cheap: read(cheap),
            fleet: read(fleet),
        }
    }
}

/// The place of the first of `rules` that a digest falls under. It is worked out once for each `revision` of them.
pub(super) fn find(rules: &[Rule], revision: u32, traits: &Traits, digest: u64) -> Option<usize> {
    let reads = traits.reads.as_ref()?;
    let known = traits.verdict.load(Ordering::Relaxed);
    let place = if known >> 32 == u64::from(revision) {
        known as u32
    } else {
        let found = rules.iter().position(|rule| rule.is_about(reads, digest));
        let place = found.map_or(0, |at| at as u32 + 1);
        traits.verdict.store(u64::from(revision) << 32 | u64::from(place), Ordering::Relaxed);
        place
    };
    place.checked_sub(1).map(|place| place as usize)
}
