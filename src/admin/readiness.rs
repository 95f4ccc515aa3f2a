//! Whether the process should be sent clients, and if not, why.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};

use serde::Serialize;

/// Where the process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Lifecycle {
    /// Listeners are not open yet.
    Starting,
    /// Clients are taken.
    Serving,
    /// No new clients; transactions may finish.
    Draining,
}

impl Lifecycle {
    const ALL: [Self; 3] = [Self::Starting, Self::Serving, Self::Draining];
}

/// Tells what stands in the way of serving clients: nothing, or one line for each reason, without
/// addresses. It must not block.
pub type Reasons = Box<dyn Fn() -> Vec<String> + Send + Sync>;

/// The state behind `/readyz`.
pub struct Readiness {
    lifecycle: AtomicU8,
    reasons: Reasons,
}

impl Readiness {
    /// A process that is starting; `reasons` is asked at each report.
    #[must_use]
    pub fn new(reasons: Reasons) -> Self {
        Self { lifecycle: AtomicU8::new(Lifecycle::Starting as u8), reasons }
    }

    /// The process has come to `lifecycle`.
    pub fn set(&self, lifecycle: Lifecycle) {
        self.lifecycle.store(lifecycle as u8, Ordering::Release);
    }

    /// Where the process is in its life.
    #[must_use]
    pub fn lifecycle(&self) -> Lifecycle {
        Lifecycle::ALL[usize::from(self.lifecycle.load(Ordering::Acquire))]
    }

    pub(super) fn report(&self) -> Report {
        let lifecycle = self.lifecycle();
        let mut reasons = (self.reasons)();
        match lifecycle {
            Lifecycle::Starting => reasons.insert(0, "starting".into()),
            Lifecycle::Draining => reasons.insert(0, "draining".into()),
            Lifecycle::Serving => {}
        }
        Report { ready: reasons.is_empty(), lifecycle, reasons }
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness").field("lifecycle", &self.lifecycle()).finish_non_exhaustive()
    }
}

/// What `/readyz` answers.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) ready: bool,
    lifecycle: Lifecycle,
    reasons: Vec<String>,
}

impl Report {
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("plain strings and a bool are always JSON")
    }
}
