//! Looks after pins: tells of those that last, and ends sessions that are pinned for longer than their user may be.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use crate::engine::pins::Pins;
use crate::engine::process::Engine;
use crate::engine::session::Session;
use crate::sql::Statement;
use crate::telemetry::{Kill, PinReason};

/// How often pins are looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// The task.
#[derive(Debug)]
pub struct PinWatch {
    engine: Arc<Engine>,
}

impl PinWatch {
    /// A watch over the pins of `engine`'s sessions.
    #[must_use]
    pub const fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
    }

    /// Runs for ever. Cancel-safe.
    pub async fn run(self) {
        let mut tick = interval(INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tick.tick().await;
            self.look();
        }
    }

    fn look(&self) {
        let snapshot = self.engine.snapshot();
        let table = self.engine.telemetry.pins();
        let report = snapshot.config.limits.pin_report;
        for pin in table.take_old(report).into_iter().filter(|_| !report.is_zero()) {
            let (reason, digest) = (pin.reason.name(), format!("{:016x}", pin.digest));
            let seconds = pin.age.as_secs();
            warn!(
                session = pin.session,
                user = &*pin.user,
                reason,
                digest,
                seconds,
                "session is still pinned"
            );
        }
        for pin in table.current() {
            let Some(user) = snapshot.config.users.get(&*pin.user) else { continue };
            if user.pinned_max.is_zero() || pin.age < user.pinned_max {
                continue;
            }
            if self.engine.telemetry.sessions().kill(pin.session, Kill::Connection) {
                let reason = pin.reason.name();
                warn!(session = pin.session, user = &*pin.user, reason, "session ended: pinned for too long");
            }
        }
    }
}

/// A session's pins as `/pins` shows them; dropping it ends them there.
#[derive(Debug)]
pub(crate) struct ShownPins {
    engine: Arc<Engine>,
    session: u32,
    pins: Pins,
}

impl ShownPins {
    pub(crate) fn new(engine: &Arc<Engine>, session: u32) -> Self {
        Self { engine: Arc::clone(engine), session, pins: Pins::default() }
    }

    fn end(&mut self, now: Pins) {
        for reason in self.pins.since(now).iter() {
            self.engine.telemetry.pins().ended(self.session, reason);
        }
    }
}

impl Drop for ShownPins {
    fn drop(&mut self) {
        self.end(Pins::default());
    }
}

impl Session {
    /// Shows what pins the session by now. Warnings are not told: every statement with some pins for a moment.
    pub(crate) fn show_pins(&mut self, by: Option<&Statement>) {
        let mut now = self.pins;
        now.end(PinReason::Warnings);
        if now == self.shown_pins.pins {
            return;
        }
        self.shown_pins.end(now);
        let by = by.map_or((0, ""), |statement| (statement.digest.hash, &*statement.digest.text));
        for reason in now.since(self.shown_pins.pins).iter() {
            self.engine.telemetry.pins().began(self.guard.id(), reason, &self.user.name, by);
        }
        self.shown_pins.pins = now;
    }
}
