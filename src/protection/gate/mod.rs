//! A gate: so many statements at once, a fair line before it, and a line that does not stand.
//!
//! Nobody is turned away while there is room. When the line has not been empty for [`STANDING`], waiting
//! helps nobody any more (the idea of CoDel): the least important tier that waits may then wait only for the
//! `target` or for [`LINE_MIN`] statements, and step by step the tiers above it, but never tier 1. Whoever waits is granted or turned away
//! under the gate's lock; what has to be woken for it is handed back to be woken after it.

mod settings;
#[cfg(test)]
mod tests;

pub use settings::{Concurrency, GateSettings};

use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use crate::protection::gate::settings::Limiter;
use crate::protection::{Line, Tier};

/// A line that has not been empty for this long stands; it is also the pause between two steps of grade.
const STANDING: Duration = Duration::from_millis(100);
/// A line that is kept short still has to hold so many. Statements come at random moments: a server that is asked for
/// just what it can do is idle for one part in n + 1 of its time if n may be there at once (M/M/1/n).
const LINE_MIN: u32 = 16;
/// What somebody is told to wait before trying again.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// A statement that wants to pass.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// How important it is.
    pub tier: Tier,
    /// Whose it is: users of a tier take turns.
    pub user: u32,
    /// Its transaction is open on a server: it must not wait, for it holds locks that others wait for.
    pub bound: bool,
    /// When its client sent it: deadlines count from here.
    pub since: Instant,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// It runs now; [`Gate::leave`] must follow.
    Granted,
    /// It stands in line: [`Gate::outcome`] tells more, [`Gate::expire`] is due at the deadline.
    Waits {
        /// Its place.
        place: u32,
        /// The end of its patience.
        deadline: Instant,
    },
    /// It is turned away.
    Turned(Turned),
}

/// Why a statement was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// As many wait as may.
    Full,
    /// Its deadline passed in line.
    Late,
    /// Its tier may not wait now, or a more important statement took its place.
    Shed,
    /// Nothing passes at all: a breaker opened while it waited.
    Closed,
}

/// A refusal, with the time after which it is worth trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turned {
    /// Why.
    pub reason: Reason,
    /// When to try again.
    pub retry_after: Duration,
}

/// How hard pressed a gate is: what it does follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// There is room.
    Calm,
    /// Nearly full: nobody waits yet.
    Warn,
    /// Statements wait.
    Queue,
    /// This tier and those below it wait for a moment only.
    Shed(Tier),
    /// Only tier 1 waits for more than a moment.
    FirstOnly,
}

/// Who has to be woken once the lock is free.
#[derive(Debug, Default)]
pub struct Woken(Vec<Waker>);

impl Woken {
    /// Wakes them.
    pub fn wake(self) {
        self.0.into_iter().for_each(Waker::wake);
    }
}

/// What a statement that ended tells about the server.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Its digest.
    pub digest: u64,
    /// From the command sent to the first byte of the reply.
    pub took: Duration,
}

#[derive(Debug)]
enum Place {
    Free,
    Waiting { ask: Ask, waker: Waker },
    Granted,
    Turned(Turned),
}

/// Counts of one gate since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Statements that passed.
    pub granted: u64,
    /// Of those, the ones that waited.
    pub waited: u64,
    /// Turned away, by tier.
    pub turned: [u64; Tier::COUNT],
}

/// See the module's text.
#[derive(Debug)]
pub struct Gate {
    settings: GateSettings,
    limiter: Limiter,
    running: u32,
    line: Line,
    places: Vec<Place>,
    free: Vec<u32>,
    /// Since when the line is not empty.
    standing: Option<Instant>,
    /// This tier and those below it may wait for the target only.
    shed: Option<Tier>,
    next_step: Instant,
    /// How long statements take, smoothed, in seconds.
    took: f64,
    counts: Counts,
}

impl Gate {
    /// An open gate.
    #[must_use]
    pub fn new(settings: GateSettings, now: Instant) -> Self {
        Self {
            limiter: Limiter::new(&settings, now),
            settings,
            running: 0,
            line: Line::default(),
            places: Vec::new(),
            free: Vec::new(),
            standing: None,
            shed: None,
            next_step: now,
            took: 0.001,
            counts: Counts::default(),
        }
    }

    /// Other settings from now on.
    pub fn change(&mut self, settings: GateSettings, now: Instant, woken: &mut Woken) {
        if self.settings != settings {
            self.limiter.change(&settings, now);
            self.settings = settings;
            self.dispatch(now, woken);
        }
    }

    /// Lets a statement in if there is room for it; otherwise nothing has changed.
    pub fn try_enter(&mut self, ask: Ask, now: Instant, woken: &mut Woken) -> bool {
        let room = ask.bound || (self.running < self.limiter.limit() && self.line.waiting() == 0);
        if room {
            self.running += 1;
            self.counts.granted += 1;
            if self.shed.is_some() {
                self.regrade(now, woken);
            }
        }
        room
    }

    /// Lets a statement in, has it wait, or turns it away. `waker` is kept only if it waits.
    pub fn enter(&mut self, ask: Ask, now: Instant, waker: &Waker, woken: &mut Woken) -> Entry {
        if self.try_enter(ask, now, woken) {
            return Entry::Granted;
        }
        let patience = self.patience(ask.tier);
        let deadline = ask.since + patience;
        if deadline <= now {
            return Entry::Turned(
                self.turn(ask.tier, if patience.is_zero() { Reason::Full } else { Reason::Late }),
            );
        }
        if self.line.waiting() >= self.settings.queue_max as usize {
            let Some(evicted) = self.line.evict_below(ask.tier) else {
                return Entry::Turned(self.turn(ask.tier, Reason::Full));
            };
            self.refuse(evicted, Reason::Shed, woken);
        }
        let place = self.keep(Place::Waiting { ask, waker: waker.clone() });
        self.line.join(ask.tier, ask.user, place);
        self.regrade(now, woken);
        Entry::Waits { place, deadline }
    }

    /// What became of who waits at `place`; the place is void once it is told. `waker` is woken for more.
    pub fn outcome(&mut self, place: u32, waker: &Waker) -> Option<Result<(), Turned>> {
        let outcome = match &mut self.places[place as usize] {
            Place::Waiting { waker: kept, .. } => {
                kept.clone_from(waker);
                return None;
            }
            Place::Granted => Ok(()),
            Place::Turned(turned) => Err(*turned),
            Place::Free => Err(Turned { reason: Reason::Closed, retry_after: RETRY_MIN }),
        };
        self.forget(place);
        Some(outcome)
    }

    /// The deadline of who waits at `place` has passed. What was granted at the same moment still counts.
    pub fn expire(&mut self, place: u32, now: Instant, woken: &mut Woken) -> Result<(), Turned> {
        if let Place::Waiting { ask, .. } = &self.places[place as usize] {
            let ask = *ask;
            self.line.leave(ask.tier, ask.user, place);
            self.forget(place);
            self.regrade(now, woken);
            let shed = self.shed.is_some_and(|shed| ask.tier >= shed);
            return Err(self.turn(ask.tier, if shed { Reason::Shed } else { Reason::Late }));
        }
        self.outcome(place, Waker::noop()).unwrap_or(Ok(()))
    }

    /// Who waits at `place` is gone. A grant that it did not see goes to the next.
    pub fn abandon(&mut self, place: u32, now: Instant, woken: &mut Woken) {
        match &self.places[place as usize] {
            Place::Waiting { ask, .. } => {
                let ask = *ask;
                self.line.leave(ask.tier, ask.user, place);
                self.forget(place);
                self.regrade(now, woken);
            }
            Place::Granted => {
                self.forget(place);
                self.leave(now, None, woken);
            }
            Place::Turned(_) => self.forget(place),
            Place::Free => {}
        }
    }

    /// A statement that was let in has ended.
    pub fn leave(&mut self, now: Instant, sample: Option<Sample>, woken: &mut Woken) {
        if let Some(Sample { digest, took }) = sample {
            self.took += (took.as_secs_f64() - self.took) * 0.02;
            self.limiter.sample(now, digest, took, self.running);
        }
        self.running = self.running.saturating_sub(1);
        if self.line.waiting() > 0 || self.shed.is_some() {
            self.dispatch(now, woken);
        }
    }

    /// Turns everybody in line away: nothing passes for `retry_after`.
    pub fn close(&mut self, retry_after: Duration, woken: &mut Woken) {
        while let Some(place) = self.line.take() {
            self.refuse(place, Reason::Closed, woken);
            if let Place::Turned(turned) = &mut self.places[place as usize] {
                turned.retry_after = retry_after;
            }
        }
        self.standing = None;
    }

    /// Statements at once, now.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.limiter.limit()
    }

    /// Statements that run.
    #[must_use]
    pub const fn running(&self) -> u32 {
        self.running
    }

    /// Statements that wait.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.line.waiting()
    }

    /// Counts since it was made.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How hard pressed it is.
    #[must_use]
    pub fn grade(&self) -> Grade {
        match self.shed {
            Some(tier) if tier.above() == Some(Tier::FIRST) => Grade::FirstOnly,
            Some(tier) => Grade::Shed(tier),
            None if self.line.waiting() > 0 => Grade::Queue,
            None if u64::from(self.running) * 10 >= u64::from(self.limiter.limit()) * 8 => Grade::Warn,
            None => Grade::Calm,
        }
    }

    fn patience(&self, tier: Tier) -> Duration {
        let timeout = self.settings.queue_timeout;
        if self.shed.is_none_or(|shed| tier < shed) {
            return timeout;
        }
        let line = Duration::from_secs_f64(self.seconds_behind(LINE_MIN.into()).min(timeout.as_secs_f64()));
        self.settings.target.max(line).min(timeout)
    }

    /// How long it takes until so many statements have ended.
    fn seconds_behind(&self, statements: f64) -> f64 {
        statements * self.took / f64::from(self.limiter.limit().max(1))
    }

    /// Room to those whose turn it is. Whose patience is over gets none of it: the answer would come too late.
    fn dispatch(&mut self, now: Instant, woken: &mut Woken) {
        while self.running < self.limiter.limit()
            && let Some(place) = self.line.take()
        {
            let Place::Waiting { ask, .. } = &self.places[place as usize] else { continue };
            let (tier, since) = (ask.tier, ask.since);
            if since + self.patience(tier) <= now {
                self.refuse(place, Reason::Late, woken);
                continue;
            }
            self.running += 1;
            self.counts.granted += 1;
            self.counts.waited += 1;
            self.settle(place, Place::Granted, woken);
        }
        self.regrade(now, woken);
    }

    /// One step of grade at most, if it is time for one.
    fn regrade(&mut self, now: Instant, woken: &mut Woken) {
        if self.line.waiting() == 0 {
            self.standing = None;
            if self.shed.is_some() && now >= self.next_step {
                self.shed = self.shed.and_then(Tier::below);
                self.next_step = now + STANDING;
            }
            return;
        }
        let since = *self.standing.get_or_insert(now);
        if now.saturating_duration_since(since) < STANDING || now < self.next_step {
            return;
        }
        self.next_step = now + STANDING;
        let step = match self.shed {
            None => Tier::all().rfind(|tier| self.line.waiting_in(*tier) > 0),
            Some(shed) => shed.above(),
        };
        let Some(tier) = step.filter(|tier| *tier != Tier::FIRST) else { return };
        self.shed = Some(tier);
        self.sweep(now, woken);
    }

    /// Those who may wait for a moment only and have waited longer are turned away.
    fn sweep(&mut self, now: Instant, woken: &mut Woken) {
        let Some(shed) = self.shed else { return };
        for tier in Tier::all().filter(|tier| *tier >= shed) {
            let patience = self.patience(tier);
            let late: Vec<(u32, u32)> = self
                .line
                .places(tier)
                .filter_map(|place| match &self.places[place as usize] {
                    Place::Waiting { ask, .. } if ask.since + patience <= now => Some((ask.user, place)),
                    _ => None,
                })
                .collect();
            for (user, place) in late {
                self.line.leave(tier, user, place);
                self.refuse(place, Reason::Shed, woken);
            }
        }
    }

    fn refuse(&mut self, place: u32, reason: Reason, woken: &mut Woken) {
        let Place::Waiting { ask, .. } = &self.places[place as usize] else { return };
        let turned = self.turn(ask.tier, reason);
        self.settle(place, Place::Turned(turned), woken);
    }

    fn settle(&mut self, place: u32, becomes: Place, woken: &mut Woken) {
        if let Place::Waiting { waker, .. } = std::mem::replace(&mut self.places[place as usize], becomes) {
            woken.0.push(waker);
        }
    }

    fn turn(&mut self, tier: Tier, reason: Reason) -> Turned {
        self.counts.turned[tier.index()] += 1;
        let seconds = self.seconds_behind(self.line.waiting() as f64 + 1.0);
        let retry_after = Duration::from_secs_f64(seconds.min(RETRY_MAX.as_secs_f64())).max(RETRY_MIN);
        Turned { reason, retry_after }
    }

    fn keep(&mut self, waiting: Place) -> u32 {
        match self.free.pop() {
            Some(place) => {
                self.places[place as usize] = waiting;
                place
            }
            None => {
                self.places.push(waiting);
                self.places.len() as u32 - 1
            }
        }
    }

    fn forget(&mut self, place: u32) {
        self.places[place as usize] = Place::Free;
        self.free.push(place);
    }
}
