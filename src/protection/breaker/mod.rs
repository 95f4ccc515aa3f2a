//! A circuit breaker: what fails, or hangs, is left alone for a while and then tried gently.
//!
//! Closed: traffic flows, and a rolling window counts it. Open: nothing passes. Half-open: a few probes pass;
//! if all are good it closes by a ramp, so that what just recovered does not meet everybody at once; if one is
//! bad it opens again, for twice as long. Statements that have not come back in time count as slow while they
//! are still out: a server that hangs reports nothing.

use std::time::Duration;

use tokio::time::Instant;

/// The window moves in so many steps.
const SLOTS: usize = 10;
/// What passes at the beginning of the ramp.
const RAMP_FIRST: f64 = 0.1;
/// Closed for this many of its longest pauses, a breaker forgets that it ever opened.
const FORGIVEN_AFTER: u32 = 2;
/// Between two probes, and two statements of a ramp.
const RETRY_SOON: Duration = Duration::from_millis(100);

/// What a breaker is told.
#[derive(Clone, Debug, PartialEq)]
pub struct BreakerSettings {
    /// How far back it looks.
    pub window: Duration,
    /// With fewer statements in the window it judges nothing.
    pub volume_min: u32,
    /// It opens when this part of them failed by the server's fault.
    pub errors_max: f64,
    /// A statement that takes longer is slow; zero: none is.
    pub slow: Duration,
    /// It opens when this part of them was slow.
    pub slow_max: f64,
    /// How long it stays open the first time; twice as long each further time.
    pub open: Duration,
    /// At most.
    pub open_max: Duration,
    /// Statements that must be good, one after the other or together, before it closes.
    pub probes: u32,
    /// How long closing takes.
    pub ramp: Duration,
}

/// How a statement ended, as far as the server is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server did its work; the statement may have failed by its own fault.
    Served,
    /// The server failed.
    Fault,
    /// It was known to be down, and the statement was no occasion to try: a fault like others, but no answer to a
    /// probe.
    KnownDown,
    /// Nobody knows: the client left, or it never reached the server.
    Unknown,
}

/// Whether a statement may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It may. [`Breaker::record`] must follow, with the same value.
    Free,
    /// It may, and decides what becomes of the breaker. [`Breaker::record`] must follow.
    Probe,
    /// It may not, for so long.
    Barred(Duration),
    /// It did not ask: its end is evidence and nothing else.
    Unasked,
}

/// The state of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Traffic flows.
    Closed,
    /// Nothing passes.
    Open,
    /// A few probes pass.
    HalfOpen,
    /// More and more passes.
    Ramp,
}

impl Phase {
    /// Its name for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::Ramp => "ramp",
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed { since: Instant },
    Open { until: Instant },
    HalfOpen { since: Instant, out: u32, good: u32 },
    Ramp { since: Instant, credit: f64 },
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    ended: u32,
    faults: u32,
    slow: u32,
    /// Statements that began in this step and are still out.
    out: u32,
}

/// See the module's text.
#[derive(Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    state: State,
    step: Duration,
    slots: [Slot; SLOTS],
    /// The number, since the epoch, of the step that is now.
    at: u64,
    epoch: Instant,
    /// Statements that began before the window and are still out.
    long_out: u32,
    /// How long it stays open next time.
    pause: Duration,
    opened: u64,
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub fn new(settings: BreakerSettings, now: Instant) -> Self {
        Self {
            step: step(&settings),
            pause: settings.open,
            settings,
            state: State::Closed { since: now },
            slots: [Slot::default(); SLOTS],
            at: 0,
            epoch: now,
            long_out: 0,
            opened: 0,
        }
    }

    /// Other settings; a change of the window begins a new one.
    pub fn change(&mut self, settings: BreakerSettings, now: Instant) {
        if self.settings != settings {
            let opened = self.opened;
            *self = Self { opened, ..Self::new(settings, now) };
        }
    }

    /// The state it is in.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        match self.state {
            State::Closed { .. } => Phase::Closed,
            State::Open { .. } => Phase::Open,
            State::HalfOpen { .. } => Phase::HalfOpen,
            State::Ramp { .. } => Phase::Ramp,
        }
    }

    /// How often it has opened.
    #[must_use]
    pub const fn opened(&self) -> u64 {
        self.opened
    }

    /// Whether nothing can pass now, and for how long. Counts nothing.
    #[must_use]
    pub fn barred(&self, now: Instant) -> Option<Duration> {
        match self.state {
            State::Open { until } => {
                Some(until.saturating_duration_since(now)).filter(|left| !left.is_zero())
            }
            State::HalfOpen { since, out, good } => {
                let full = out + good >= self.settings.probes;
                (full && now.saturating_duration_since(since) <= self.patience()).then_some(RETRY_SOON)
            }
            State::Closed { .. } | State::Ramp { .. } => None,
        }
    }

    /// How long a probe may be out.
    fn patience(&self) -> Duration {
        self.settings.slow.max(self.settings.open)
    }

    /// Whether it is closed and there is nothing bad in its window, and nobody out.
    pub fn is_at_rest(&mut self, now: Instant) -> bool {
        self.advance(now);
        let quiet = |slot: &Slot| slot.faults + slot.slow + slot.out == 0;
        self.phase() == Phase::Closed && self.long_out == 0 && self.slots.iter().all(quiet)
    }

    /// Whether a statement may pass now.
    pub fn ask(&mut self, now: Instant) -> Passage {
        self.advance(now);
        if let State::Open { until } = self.state {
            if now < until {
                return Passage::Barred(until - now);
            }
            self.state = State::HalfOpen { since: now, out: 0, good: 0 };
        }
        let patience = self.patience();
        match &mut self.state {
            State::HalfOpen { since, out, good } => {
                if *out > 0 && now.saturating_duration_since(*since) > patience {
                    // A probe that does not come back has its answer in that.
                    self.open(now);
                    return Passage::Barred(self.pause_left(now));
                }
                if *out + *good >= self.settings.probes {
                    return Passage::Barred(RETRY_SOON);
                }
                *out += 1;
                self.slots[self.at as usize % SLOTS].out += 1;
                Passage::Probe
            }
            State::Ramp { since, credit } => {
                let ramp = self.settings.ramp.as_secs_f64();
                let gone = now.saturating_duration_since(*since).as_secs_f64();
                if gone >= ramp {
                    self.state = State::Closed { since: now };
                } else {
                    *credit += RAMP_FIRST + (1.0 - RAMP_FIRST) * gone / ramp;
                    if *credit < 1.0 {
                        return Passage::Barred(RETRY_SOON);
                    }
                    *credit -= 1.0;
                }
                self.pass(now)
            }
            State::Closed { .. } | State::Open { .. } => self.pass(now),
        }
    }

    fn pass(&mut self, now: Instant) -> Passage {
        if self.settings.slow > Duration::ZERO && self.is_bad() {
            self.open(now);
            return Passage::Barred(self.pause_left(now));
        }
        self.slots[self.at as usize % SLOTS].out += 1;
        Passage::Free
    }

    /// A statement that passed at `began` has ended. True if that opened the breaker.
    pub fn record(&mut self, passage: Passage, began: Instant, now: Instant, outcome: Outcome) -> bool {
        self.advance(now);
        if passage != Passage::Unasked {
            self.came_back(began);
        }
        let slow = outcome == Outcome::Served
            && self.settings.slow > Duration::ZERO
            && now.saturating_duration_since(began) >= self.settings.slow;
        let fault = matches!(outcome, Outcome::Fault | Outcome::KnownDown);
        let bad = fault || slow;
        if outcome != Outcome::Unknown {
            let slot = &mut self.slots[self.at as usize % SLOTS];
            slot.ended += 1;
            slot.faults += u32::from(fault);
            slot.slow += u32::from(slow);
        }
        let opens = bad && self.is_bad();
        match &mut self.state {
            State::HalfOpen { out, good, .. } if passage == Passage::Probe => {
                *out = out.saturating_sub(1);
                if bad && outcome != Outcome::KnownDown {
                    self.open(now);
                    return true;
                }
                *good += u32::from(outcome == Outcome::Served);
                if *good >= self.settings.probes {
                    self.forget_window();
                    self.state = State::Ramp { since: now, credit: 0.0 };
                }
                false
            }
            State::Closed { .. } | State::Ramp { .. } if opens => {
                self.open(now);
                true
            }
            State::Closed { since } => {
                if self.pause > self.settings.open
                    && now.saturating_duration_since(*since) > self.pause.saturating_mul(FORGIVEN_AFTER)
                {
                    self.pause = self.settings.open;
                }
                false
            }
            State::HalfOpen { .. } | State::Ramp { .. } | State::Open { .. } => false,
        }
    }

    /// Opens it, whatever it has counted: what it guards is known to be down.
    pub fn open(&mut self, now: Instant) {
        self.state = State::Open { until: now + self.pause };
        self.pause = self.pause.saturating_mul(2).min(self.settings.open_max);
        self.opened += 1;
        self.forget_window();
    }

    fn pause_left(&self, now: Instant) -> Duration {
        match self.state {
            State::Open { until } => until.saturating_duration_since(now),
            State::Closed { .. } | State::HalfOpen { .. } | State::Ramp { .. } => RETRY_SOON,
        }
    }

    /// Whether what the window holds is too bad.
    fn is_bad(&self) -> bool {
        let overdue = self.overdue();
        let (mut ended, mut faults, mut slow) = (0, 0, 0);
        for slot in &self.slots {
            ended += slot.ended;
            faults += slot.faults;
            slow += slot.slow;
        }
        let volume = ended + overdue;
        if volume == 0 || volume < self.settings.volume_min {
            return false;
        }
        let part = |n: u32| f64::from(n) / f64::from(volume);
        part(faults) >= self.settings.errors_max
            || (self.settings.slow > Duration::ZERO && part(slow + overdue) >= self.settings.slow_max)
    }

    /// Statements that are out for longer than is slow.
    fn overdue(&self) -> u32 {
        let slow = self.settings.slow;
        if slow.is_zero() {
            return 0;
        }
        let steps = slow.as_nanos().div_ceil(self.step.as_nanos().max(1)) as u64;
        let within = (0..SLOTS as u64).filter(|back| *back > steps && *back <= self.at);
        let out: u32 = within.map(|back| self.slots[(self.at - back) as usize % SLOTS].out).sum();
        // What began before the window is older than it; that alone does not make it slow.
        out + if slow <= self.settings.window { self.long_out } else { 0 }
    }

    fn came_back(&mut self, began: Instant) {
        let step = self.step_of(began);
        let kept = self.at - step < SLOTS as u64;
        let slot = &mut self.slots[step as usize % SLOTS];
        if kept && slot.out > 0 {
            slot.out -= 1;
        } else {
            self.long_out = self.long_out.saturating_sub(1);
        }
    }

    fn step_of(&self, moment: Instant) -> u64 {
        self.number_of(moment).min(self.at)
    }

    /// The number of the step that `moment` is in.
    fn number_of(&self, moment: Instant) -> u64 {
        // Every statement comes by several times, and dividing 128 bits is slow.
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        nanos(moment.saturating_duration_since(self.epoch)) / nanos(self.step).max(1)
    }

    fn advance(&mut self, now: Instant) {
        let at = self.number_of(now);
        if at == self.at {
            return;
        }
        let steps = at.saturating_sub(self.at).min(SLOTS as u64);
        for n in 1..=steps {
            let slot = &mut self.slots[(self.at + n) as usize % SLOTS];
            self.long_out += slot.out;
            *slot = Slot::default();
        }
        self.at = self.at.max(at);
    }

    /// What was counted belongs to another time, and what is still out from then has been judged.
    fn forget_window(&mut self) {
        self.slots = [Slot::default(); SLOTS];
        self.long_out = 0;
    }
}

fn step(settings: &BreakerSettings) -> Duration {
    (settings.window / SLOTS as u32).max(Duration::from_millis(1))
}

#[cfg(test)]
mod tests;
