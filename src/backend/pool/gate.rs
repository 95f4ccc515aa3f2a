//! When the next connect may start: several at once while all is well, one by one with growing pauses while
//! connecting fails, and a ramp afterwards.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use tokio::time::Instant;

use crate::backend::backoff::Backoff;
use crate::backend::pool::error::ConnectFailure;
use crate::config;

/// Connects at once while all is well. A login costs the server far more than a statement (a thread, the
/// password hash, often TLS), so a burst of statements must not become a burst of logins.
pub(super) const DIALS_MAX: u32 = 4;

/// The longest pause, whatever the settings say: an `Instant` cannot be moved by any `Duration`.
const PAUSE_MAX: Duration = Duration::from_secs(24 * 3600);

/// Connecting fails.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    /// Since when.
    pub(super) since: Instant,
    /// Not before.
    pub(super) next_attempt: Instant,
    /// The last failure.
    pub(super) failure: Arc<ConnectFailure>,
}

/// Lets connects begin, and learns how they end.
pub(super) struct DialGate {
    backoff: Backoff,
    in_flight: u32,
    allowed: u32,
    /// Moves with every failure that counts: connects that began together fail together, once.
    epoch: u64,
    trouble: Option<Trouble>,
}

impl DialGate {
    pub(super) fn new(backoff: config::Backoff) -> Self {
        Self { backoff: Backoff::new(backoff), in_flight: 0, allowed: DIALS_MAX, epoch: 0, trouble: None }
    }

    /// Whether one may begin now.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        match &self.trouble {
            Some(trouble) => self.in_flight == 0 && trouble.next_attempt <= now,
            None => self.in_flight < self.allowed,
        }
    }

    /// One begins. Gives what [`DialGate::failed`] wants back.
    pub(super) fn begin(&mut self) -> u64 {
        self.in_flight += 1;
        self.epoch
    }

    /// One succeeded: 1, then 2, then 4 at once. Says whether that ended trouble.
    pub(super) fn succeeded(&mut self) -> bool {
        self.in_flight -= 1;
        self.allowed = (self.allowed * 2).min(DIALS_MAX);
        self.backoff.reset();
        self.trouble.take().is_some()
    }

    /// One ended without saying anything about the peer.
    pub(super) fn abandoned(&mut self) {
        self.in_flight -= 1;
    }

    /// One failed. Says when the next may begin, and whether trouble began with it.
    pub(super) fn failed(
        &mut self,
        epoch: u64,
        now: Instant,
        rng: &mut impl Rng,
        failure: Arc<ConnectFailure>,
    ) -> (Instant, bool) {
        self.in_flight -= 1;
        self.allowed = 1;
        let began = self.trouble.is_none();
        if epoch == self.epoch || began {
            self.epoch += 1;
            let next_attempt = now + self.backoff.next(rng).min(PAUSE_MAX);
            let since = self.trouble.as_ref().map_or(now, |trouble| trouble.since);
            self.trouble = Some(Trouble { since, next_attempt, failure });
        }
        let next_attempt = self.trouble.as_ref().map_or(now, |trouble| trouble.next_attempt);
        (next_attempt, began)
    }

    /// What is wrong, if anything.
    pub(super) fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }

    /// New settings of the pauses; one that has begun is not cut short.
    pub(super) fn retime(&mut self, backoff: config::Backoff) {
        self.backoff.retime(backoff);
    }

    /// There is reason to believe that it works again: the next may begin at once.
    pub(super) fn hope(&mut self, now: Instant) {
        if let Some(trouble) = &mut self.trouble {
            trouble.next_attempt = now;
            self.backoff.reset();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use rand::SeedableRng;
    use rand::rngs::SmallRng;
    use tokio::time::Instant;

    use super::{DIALS_MAX, DialGate};
    use crate::backend::pool::error::ConnectFailure;
    use crate::config;

    #[test]
    fn while_connecting_fails_there_is_one_attempt_at_a_time_and_afterwards_a_ramp() {
        let mut rng = SmallRng::seed_from_u64(7);
        let failure = Arc::new(ConnectFailure::unreachable("refused"));
        let mut gate = DialGate::new(config::Backoff::default());
        let start = Instant::now();
        let together: Vec<u64> = (0..DIALS_MAX).map(|_| gate.begin()).collect();
        assert!(!gate.is_open(start), "the bound");

        let mut next = start;
        for epoch in together {
            next = gate.failed(epoch, start, &mut rng, Arc::clone(&failure)).0;
        }
        assert!(next <= start + Duration::from_millis(100), "what began together is one failure");
        assert!(!gate.is_open(start));
        assert!(gate.is_open(next));
        gate.begin();
        assert!(!gate.is_open(next), "one at a time");
        assert!(gate.succeeded());
        for at_once in [2, 4, 4] {
            for _ in 0..at_once {
                assert!(gate.is_open(next));
                gate.begin();
            }
            assert!(!gate.is_open(next), "{at_once} at once");
            gate.succeeded();
            for _ in 1..at_once {
                gate.abandoned();
            }
        }
    }
}
