//! Passage through all doors: what a statement holds while it runs.

use std::time::Duration;

use tokio::time::Instant;

use crate::protection::Tier;
use crate::protection::breaker::Outcome;
use crate::protection::door::Held;
use crate::protection::policy::{Allowance, Decision};

/// A statement may run. Dropped without an end, it counts as ended and tells nothing about the server.
#[derive(Debug, Default)]
#[must_use = "dropped, the statement counts as ended"]
pub struct Permit {
    /// Rules with a limit of concurrency; most statements meet none, so nothing is allocated.
    pub(crate) rules: Vec<Held>,
    /// The door of its server,
    pub(crate) server: Option<Held>,
    /// and those of further ones.
    pub(crate) others: Vec<Held>,
    /// What its result and its time may be.
    pub allowance: Allowance,
    /// How important it is.
    pub tier: Option<Tier>,
}

impl Permit {
    /// Passage past no door at all.
    pub fn free(decision: &Decision) -> Self {
        Self { allowance: decision.allowance, tier: Some(decision.tier), ..Self::default() }
    }

    /// With passage past the server's own door.
    pub fn with_server(mut self, held: Held) -> Self {
        self.server = Some(held);
        self
    }

    /// Whether nobody waits for its end.
    #[must_use]
    pub const fn is_free(&self) -> bool {
        self.server.is_none() && self.rules.is_empty()
    }

    /// Whether somebody wants to know how long the server takes.
    #[must_use]
    pub const fn is_timed(&self) -> bool {
        self.server.is_some()
    }

    /// Servers whose doors it has passed.
    #[must_use]
    pub const fn servers(&self) -> usize {
        self.server.is_some() as usize + self.others.len()
    }

    /// The statement has ended so. `took` is how long the server took for its first byte, if it is known.
    pub fn end(self, now: Instant, outcome: Outcome, took: Option<Duration>) {
        for rule in self.rules {
            rule.end(now, outcome, took);
        }
        for server in self.server.into_iter().chain(self.others) {
            server.end(now, outcome, took);
        }
    }
}
