//! What became of the statements of one tier.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// How long somebody waits for an answer; one that comes later is worth nothing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// How one statement ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// Answered, after so long.
    Answered(Duration),
    /// An error of this number, after so long.
    Refused(u16, Duration),
    /// The connection failed.
    Lost,
}

/// See the module's text. Times are in microseconds.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) offered: u64,
    /// No client was free to send it: all of them waited.
    pub(crate) unsent: u64,
    good: Histogram<u64>,
    late: u64,
    refused: BTreeMap<u16, u64>,
    refusals: Histogram<u64>,
    lost: u64,
    duration: Duration,
}

impl Tally {
    pub(crate) fn new(duration: Duration) -> Self {
        let histogram = || Histogram::new_with_bounds(1, 60_000_000, 3).expect("a minute, to three digits");
        Self {
            offered: 0,
            unsent: 0,
            good: histogram(),
            late: 0,
            refused: BTreeMap::new(),
            refusals: histogram(),
            lost: 0,
            duration,
        }
    }

    pub(crate) fn add(&mut self, end: End) {
        match end {
            End::Answered(took) if took <= PATIENCE => self.good.saturating_record(took.as_micros() as u64),
            End::Answered(_) => self.late += 1,
            End::Refused(code, took) => {
                *self.refused.entry(code).or_default() += 1;
                self.refusals.saturating_record(took.as_micros() as u64);
            }
            End::Lost => self.lost += 1,
        }
    }

    /// Statements a second that were answered in time.
    pub(crate) fn goodput(&self) -> f64 {
        self.good.len() as f64 / self.duration.as_secs_f64()
    }

    /// The part of what was offered that was answered in time.
    pub(crate) fn served(&self) -> f64 {
        self.good.len() as f64 / self.offered.max(1) as f64
    }

    /// How long good answers took, in milliseconds.
    pub(crate) fn quantile(&self, quantile: f64) -> f64 {
        self.good.value_at_quantile(quantile) as f64 / 1e3
    }

    pub(crate) fn json(&self) -> Value {
        let rounded = |number: f64| (number * 1000.0).round() / 1000.0;
        json!({
            "offered": self.offered,
            "served": rounded(self.served()),
            "p50_ms": rounded(self.quantile(0.5)),
            "p99_ms": rounded(self.quantile(0.99)),
            "late": self.late,
            "refused": self.refused.values().sum::<u64>(),
            "refused_codes": self.refused.keys().collect::<Vec<_>>(),
            "refusal_p50_ms": rounded(self.refusals.value_at_quantile(0.5) as f64 / 1e3),
            "unsent": self.unsent,
            "lost": self.lost,
        })
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>6} offered, {:>6.2} % in time, p50 {:>6.1} ms, p99 {:>6.1} ms, {} late, {} refused {:?}, {} unsent, {} lost",
            self.offered,
            self.served() * 100.0,
            self.quantile(0.5),
            self.quantile(0.99),
            self.late,
            self.refused.values().sum::<u64>(),
            self.refused.keys().collect::<Vec<_>>(),
            self.unsent,
            self.lost
        )
    }
}
