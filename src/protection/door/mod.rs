//! A door that statements pass one by one: a breaker and a gate behind one short lock, and the wait before it.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use foldhash::fast::FixedState;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use crate::protection::breaker::Outcome;
use crate::protection::gate::{Ask, Counts, Entry, Grade, Reason, Sample, Turned, Woken};
use crate::protection::{Breaker, BreakerSettings, Gate, GateSettings, Passage, Phase};

/// Digests that have a breaker of their own at once. They are those with a fault not long ago.
const DIGEST_BREAKERS_MAX: usize = 256;

/// See the module's text.
#[derive(Debug)]
pub struct Door {
    /// Held for a few additions and list operations; nothing is awaited or woken under it.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    gate: Gate,
    breaker: Option<Breaker>,
    /// What each digest's own breaker is told, if they have any.
    per_digest: Option<BreakerSettings>,
    digests: HashMap<u64, Breaker, FixedState>,
}

/// Settings of a door.
#[derive(Clone, Debug)]
pub struct DoorSettings {
    /// Of its gate.
    pub gate: GateSettings,
    /// Of its breaker, if it has one.
    pub breaker: Option<BreakerSettings>,
    /// Whether digests have breakers of their own.
    pub per_digest: bool,
}

/// Why a door stays shut for a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shut {
    /// It was turned away at the gate.
    Gate(Turned),
    /// The breaker is open, for so long.
    Breaker(Duration),
    /// The digest's own breaker is open, for so long.
    Digest(Duration),
}

/// One door at one moment, for operators.
#[derive(Clone, Copy, Debug)]
pub struct DoorView {
    /// Statements at once.
    pub limit: u32,
    /// Statements that run.
    pub running: u32,
    /// Statements that wait.
    pub waiting: usize,
    /// How hard pressed the gate is.
    pub grade: Grade,
    /// What happened since it was made.
    pub counts: Counts,
    /// The breaker's state, and how often it has opened.
    pub breaker: Option<(Phase, u64)>,
    /// Digests whose own breaker is not closed.
    pub digests_barred: usize,
}

/// A statement that was let through. Dropped without an end, it tells nothing about the server.
#[derive(Debug)]
#[must_use = "dropped, the statement counts as ended"]
pub struct Held {
    door: Arc<Door>,
    digest: u64,
    passages: Passages,
    began: Instant,
    ended: bool,
}

/// What the breakers said: the door's, and the digest's own.
#[derive(Clone, Copy, Debug)]
struct Passages {
    door: Passage,
    own: Passage,
}

impl Door {
    /// A door.
    #[must_use]
    pub fn new(settings: DoorSettings, now: Instant) -> Arc<Self> {
        let state = State {
            gate: Gate::new(settings.gate, now),
            breaker: settings.breaker.clone().map(|breaker| Breaker::new(breaker, now)),
            per_digest: settings.breaker.filter(|_| settings.per_digest),
            digests: HashMap::default(),
        };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// A door without a breaker: `previous` with new settings, if there is one.
    pub(crate) fn taken_over(previous: Option<&Arc<Self>>, gate: GateSettings, now: Instant) -> Arc<Self> {
        let settings = DoorSettings { gate, breaker: None, per_digest: false };
        match previous {
            Some(door) => {
                door.change(settings, now);
                Arc::clone(door)
            }
            None => Self::new(settings, now),
        }
    }

    /// Other settings from now on.
    pub fn change(&self, settings: DoorSettings, now: Instant) {
        self.with(|state, woken| {
            state.gate.change(settings.gate, now, woken);
            state.per_digest = settings.breaker.clone().filter(|_| settings.per_digest);
            if state.per_digest.is_none() {
                state.digests = HashMap::default();
            }
            match (&mut state.breaker, settings.breaker) {
                (Some(breaker), Some(settings)) => breaker.change(settings, now),
                (breaker, settings) => *breaker = settings.map(|settings| Breaker::new(settings, now)),
            }
        });
    }

    /// The same without waiting; none if it would have to wait.
    pub fn try_pass(self: &Arc<Self>, ask: Ask, digest: u64, now: Instant) -> Option<Result<Held, Shut>> {
        self.with(|state, woken| {
            if let Err(shut) = state.look(ask, digest, now, woken) {
                return Some(Err(shut));
            }
            if !state.gate.try_enter(ask, now, woken) {
                return None;
            }
            let held = |passages| Held { door: Arc::clone(self), digest, passages, began: now, ended: false };
            Some(state.admit(ask, digest, now, woken).map(held))
        })
    }

    /// Waits for a statement's turn. Cancel-safe: dropped in line it leaves the line, and what was granted at that
    /// moment goes to the next.
    ///
    /// # Errors
    /// [`Shut`] says why it may not pass.
    pub async fn pass(self: &Arc<Self>, ask: Ask, digest: u64, now: Instant) -> Result<Held, Shut> {
        let entry = poll_fn(|cx| Poll::Ready(self.enter(ask, digest, now, cx.waker()))).await?;
        let (place, deadline) = match entry {
            Step::In(held) => return Ok(held),
            Step::Line { place, deadline } => (place, deadline),
        };
        let mut waiting = Waiting { door: self, place: Some(place) };
        let mut due = pin!(sleep_until(deadline));
        poll_fn(|cx| match waiting.poll(cx) {
            Poll::Pending if due.as_mut().poll(cx).is_ready() => Poll::Ready(waiting.expire()),
            polled => polled,
        })
        .await
        .map_err(Shut::Gate)?;
        self.with(|state, woken| {
            let now = Instant::now();
            let passages = state.admit(ask, digest, now, woken)?;
            Ok(Held { door: Arc::clone(self), digest, passages, began: now, ended: false })
        })
    }

    fn enter(self: &Arc<Self>, ask: Ask, digest: u64, now: Instant, waker: &Waker) -> Result<Step, Shut> {
        self.with(|state, woken| {
            state.look(ask, digest, now, woken)?;
            match state.gate.enter(ask, now, waker, woken) {
                Entry::Turned(turned) => Err(Shut::Gate(turned)),
                Entry::Waits { place, deadline } => Ok(Step::Line { place, deadline }),
                Entry::Granted => {
                    let passages = state.admit(ask, digest, now, woken)?;
                    let held = Held { door: Arc::clone(self), digest, passages, began: now, ended: false };
                    Ok(Step::In(held))
                }
            }
        })
    }

    /// Whether a breaker turns statements of this digest away now. Counts nothing.
    #[must_use]
    pub fn bars(&self, digest: u64, now: Instant) -> bool {
        let state = self.state.lock();
        let mut breakers = state.breaker.iter().chain(state.digests.get(&digest));
        breakers.any(|breaker| breaker.barred(now).is_some())
    }

    /// Changes the state, then wakes whom that concerns.
    fn with<R>(&self, change: impl FnOnce(&mut State, &mut Woken) -> R) -> R {
        let mut woken = Woken::default();
        let result = change(&mut self.state.lock(), &mut woken);
        woken.wake();
        result
    }

    /// Its numbers now.
    #[must_use]
    pub fn view(&self) -> DoorView {
        let state = self.state.lock();
        let barred = state.digests.values().filter(|breaker| breaker.phase() != Phase::Closed);
        DoorView {
            limit: state.gate.limit(),
            running: state.gate.running(),
            waiting: state.gate.waiting(),
            grade: state.gate.grade(),
            counts: *state.gate.counts(),
            breaker: state.breaker.as_ref().map(|breaker| (breaker.phase(), breaker.opened())),
            digests_barred: barred.count(),
        }
    }
}

/// The first step of a passage.
enum Step {
    In(Held),
    Line { place: u32, deadline: Instant },
}

impl State {
    /// Whether it is any use to wait: not before a breaker that is open.
    fn look(&mut self, ask: Ask, digest: u64, now: Instant, woken: &mut Woken) -> Result<(), Shut> {
        if ask.bound {
            return Ok(());
        }
        if let Some(left) = self.breaker.as_ref().and_then(|breaker| breaker.barred(now)) {
            self.gate.close(left, woken);
            return Err(Shut::Breaker(left));
        }
        match self.digests.get(&digest).and_then(|breaker| breaker.barred(now)) {
            Some(left) => Err(Shut::Digest(left)),
            None => Ok(()),
        }
    }

    /// Asks the breakers for a statement that the gate has let in; if they refuse, it leaves the gate.
    fn admit(&mut self, ask: Ask, digest: u64, now: Instant, woken: &mut Woken) -> Result<Passages, Shut> {
        let mut passages = Passages { door: Passage::Unasked, own: Passage::Unasked };
        // A transaction goes on where it is: its server connection answers for itself.
        if ask.bound {
            return Ok(passages);
        }
        if let Some(breaker) = self.digests.get_mut(&digest) {
            passages.own = breaker.ask(now);
        }
        if let Passage::Barred(left) = passages.own {
            self.gate.leave(now, None, woken);
            return Err(Shut::Digest(left));
        }
        if let Some(breaker) = &mut self.breaker {
            passages.door = breaker.ask(now);
        }
        if let Passage::Barred(left) = passages.door {
            if let Some(breaker) = self.digests.get_mut(&digest) {
                breaker.record(passages.own, now, now, Outcome::Unknown);
            }
            self.gate.leave(now, None, woken);
            return Err(Shut::Breaker(left));
        }
        Ok(passages)
    }

    fn record(&mut self, held: &Held, now: Instant, outcome: Outcome, woken: &mut Woken) {
        if let Some(breaker) = &mut self.breaker
            && breaker.record(held.passages.door, held.began, now, outcome)
            && let Some(left) = breaker.barred(now)
        {
            self.gate.close(left, woken);
        }
        let Some(settings) = &self.per_digest else { return };
        let bad = outcome == Outcome::Fault
            || (!settings.slow.is_zero() && now.saturating_duration_since(held.began) >= settings.slow);
        if let Some(breaker) = self.digests.get_mut(&held.digest) {
            breaker.record(held.passages.own, held.began, now, outcome);
        } else if bad {
            let settings = settings.clone();
            if !self.has_room(now) {
                return;
            }
            let mut breaker = Breaker::new(settings, held.began);
            breaker.record(Passage::Unasked, held.began, now, outcome);
            self.digests.insert(held.digest, breaker);
        }
    }

    /// Whether one more digest may have a breaker; those that are well again give theirs up.
    fn has_room(&mut self, now: Instant) -> bool {
        if self.digests.len() >= DIGEST_BREAKERS_MAX {
            self.digests.retain(|_, breaker| !breaker.is_at_rest(now));
        }
        self.digests.len() < DIGEST_BREAKERS_MAX
    }
}

impl Held {
    /// The statement has ended. `took` is how long the server took for its first byte.
    pub fn end(mut self, now: Instant, outcome: Outcome, took: Option<Duration>) {
        self.leave(now, outcome, took);
    }

    fn leave(&mut self, now: Instant, outcome: Outcome, took: Option<Duration>) {
        self.ended = true;
        let sample = took.map(|took| Sample { digest: self.digest, took });
        self.door.with(|state, woken| {
            state.gate.leave(now, sample, woken);
            state.record(self, now, outcome, woken);
        });
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.ended {
            self.leave(Instant::now(), Outcome::Unknown, None);
        }
    }
}

/// A place in line. Dropped, it is given up.
struct Waiting<'a> {
    door: &'a Arc<Door>,
    /// None once the outcome is known.
    place: Option<u32>,
}

impl Waiting<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Turned>> {
        let Some(place) = self.place else { return Poll::Pending };
        match self.door.state.lock().gate.outcome(place, cx.waker()) {
            Some(outcome) => {
                self.place = None;
                Poll::Ready(outcome)
            }
            None => Poll::Pending,
        }
    }

    fn expire(&mut self) -> Result<(), Turned> {
        let late = Turned { reason: Reason::Late, retry_after: Duration::ZERO };
        let Some(place) = self.place.take() else { return Err(late) };
        self.door.with(|state, woken| state.gate.expire(place, Instant::now(), woken))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.door.with(|state, woken| state.gate.abandon(place, Instant::now(), woken));
        }
    }
}

#[cfg(test)]
mod tests;
