//! Whether Redis is asked at all: what fails or is late opens the circuit, and then costs nobody anything. It is closed
//! by probes of the keeper's, never of a client's.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::protection::{Breaker, BreakerSettings, Outcome, Passage, Phase};

/// So many failures in a row open it, whatever went well before.
const FAILURES_MAX: u32 = 5;

/// Probes that must be good, one after the other.
const PROBES: u32 = 3;

fn settings() -> BreakerSettings {
    BreakerSettings {
        window: Duration::from_secs(1),
        volume_min: 2 * FAILURES_MAX,
        errors_max: 0.3,
        // Who is too late has failed.
        slow: Duration::ZERO,
        slow_max: 1.0,
        open: Duration::from_millis(500),
        open_max: Duration::from_secs(10),
        probes: PROBES,
        ramp: Duration::ZERO,
    }
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct Circuit {
    open: AtomicBool,
    failures: AtomicU32,
    /// Held to count one answer.
    breaker: Mutex<Breaker>,
    opened: Notify,
}

impl Circuit {
    /// Open: nobody waits for the first connection.
    pub(super) fn new(now: Instant) -> Self {
        let mut breaker = Breaker::new(settings(), now);
        // The first probe is due at once.
        breaker.open(now.checked_sub(settings().open).unwrap_or(now));
        Self {
            open: AtomicBool::new(true),
            failures: AtomicU32::new(0),
            breaker: Mutex::new(breaker),
            opened: Notify::new(),
        }
    }

    /// Whether Redis may be asked.
    pub(super) fn is_closed(&self) -> bool {
        !self.open.load(Relaxed)
    }

    /// Whoever asked at `began` has an answer, or none in time. True if that opened it.
    pub(super) fn record(&self, began: Instant, now: Instant, good: bool) -> bool {
        let failures = if good { 0 } else { self.failures.load(Relaxed).saturating_add(1) };
        self.failures.store(failures, Relaxed);
        if self.open.load(Relaxed) {
            return false;
        }
        let outcome = if good { Outcome::Served } else { Outcome::Fault };
        let mut breaker = self.breaker.lock();
        let mut opens = breaker.record(Passage::Unasked, began, now, outcome);
        if !opens && failures >= FAILURES_MAX && !matches!(breaker.phase(), Phase::Open | Phase::HalfOpen) {
            breaker.open(now);
            opens = true;
        }
        if opens {
            self.open.store(true, Relaxed);
            self.opened.notify_one();
        }
        opens
    }

    /// Until it has opened. Cancel-safe.
    pub(super) async fn opened(&self) {
        self.opened.notified().await;
    }

    /// Whether a probe may be sent, or how long nothing is to be.
    pub(super) fn ask(&self, now: Instant) -> Result<Passage, Duration> {
        match self.breaker.lock().ask(now) {
            Passage::Barred(pause) => Err(pause),
            passage => Ok(passage),
        }
    }

    /// A probe has ended. True if the circuit is closed by that.
    pub(super) fn probed(&self, passage: Passage, began: Instant, now: Instant, good: bool) -> bool {
        let outcome = if good { Outcome::Served } else { Outcome::Fault };
        let mut breaker = self.breaker.lock();
        breaker.record(passage, began, now, outcome);
        let closes = matches!(breaker.phase(), Phase::Closed | Phase::Ramp);
        if closes {
            self.failures.store(0, Relaxed);
            self.open.store(false, Relaxed);
        }
        closes
    }

    /// How often it has opened.
    pub(super) fn openings(&self) -> u64 {
        // It began open.
        self.breaker.lock().opened().saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed() -> (Circuit, Instant) {
        let now = Instant::now();
        let circuit = Circuit::new(now);
        for probe in 1..=PROBES {
            assert!(!circuit.is_closed());
            let passage = circuit.ask(now).expect("a probe is due at once");
            assert_eq!(circuit.probed(passage, now, now, true), probe == PROBES);
        }
        (circuit, now)
    }

    #[tokio::test]
    async fn a_few_failures_in_a_row_open_it_whatever_went_well_before() {
        let (circuit, now) = closed();
        for _ in 0..10_000 {
            assert!(!circuit.record(now, now, true));
        }
        for failure in 1..=FAILURES_MAX {
            assert!(circuit.is_closed());
            assert_eq!(circuit.record(now, now, false), failure == FAILURES_MAX);
        }
        assert!(!circuit.is_closed());
        assert!(!circuit.record(now, now, false), "those that were under way change nothing");
        assert_eq!(circuit.openings(), 1);
    }

    #[tokio::test]
    async fn what_is_often_late_opens_it() {
        let (circuit, mut now) = closed();
        let mut opened = false;
        for n in 0..40 {
            now += Duration::from_millis(5);
            opened |= circuit.record(now, now, n % 2 == 0);
        }
        assert!(opened);
    }

    #[tokio::test]
    async fn only_probes_close_it_and_a_bad_one_makes_it_wait_longer() {
        let (circuit, mut now) = closed();
        assert!((0..FAILURES_MAX).any(|_| circuit.record(now, now, false)));
        for _ in 0..100 {
            assert!(!circuit.record(now, now, true) && !circuit.is_closed());
        }
        let mut pauses = Vec::new();
        for _ in 0..3 {
            let pause = circuit.ask(now).expect_err("it has to wait");
            pauses.push(pause);
            now += pause;
            let passage = circuit.ask(now).expect("a probe is due");
            assert!(!circuit.probed(passage, now, now, false));
        }
        assert!(pauses[0] < pauses[1] && pauses[1] < pauses[2], "{pauses:?}");
        now += Duration::from_secs(10);
        for probe in 1..=PROBES {
            let passage = circuit.ask(now).expect("a probe is due");
            assert_eq!(circuit.probed(passage, now, now, true), probe == PROBES);
        }
        assert!(circuit.is_closed());
    }
}
