//! Tells a service manager what the process does (`Type=notify` or `notify-reload`); without one,
//! nothing happens.

use sd_notify::NotifyState;

/// Clients are taken.
pub fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The configuration is being read again; [`ready`] follows in any case.
pub fn reloading() {
    // systemd ≥ 253 demands the time beside it.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "no monotonic time for systemd"),
    }
}

/// The process drains; it asks for `drain_seconds` before systemd loses patience.
pub fn stopping(drain_seconds: u32) {
    let extend = drain_seconds.saturating_add(5).saturating_mul(1_000_000);
    notify(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(extend), NotifyState::Status("draining")]);
}

/// One line for `systemctl status`.
pub fn status(status: &str) {
    notify(&[NotifyState::Status(status)]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd could not be notified");
    }
}
