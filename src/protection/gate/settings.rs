//! What a gate is told: how many at once, who may wait and for how long.

use std::time::Duration;

use tokio::time::Instant;

use crate::protection::Adaptive;

/// Settings of one gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateSettings {
    /// Statements at once.
    pub concurrency: Concurrency,
    /// Statements that may wait.
    pub queue_max: u32,
    /// For how long.
    pub queue_timeout: Duration,
    /// For how long while the line stands, for the tiers that are shed.
    pub target: Duration,
}

/// How the number of statements at once is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concurrency {
    /// No limit.
    Unlimited,
    /// This many.
    Fixed(u32),
    /// By itself, between two bounds.
    Adaptive {
        /// At least.
        min: u32,
        /// At most.
        max: u32,
    },
}

/// The same at work.
#[derive(Debug)]
pub enum Limiter {
    /// No limit.
    Unlimited,
    /// A number.
    Fixed(u32),
    /// A number that learns.
    Adaptive(Adaptive),
}

impl Limiter {
    pub(super) fn new(settings: &GateSettings, now: Instant) -> Self {
        match settings.concurrency {
            Concurrency::Unlimited => Self::Unlimited,
            Concurrency::Fixed(limit) => Self::Fixed(limit),
            Concurrency::Adaptive { min, max } => Self::Adaptive(Adaptive::new(min, max, now)),
        }
    }

    pub(super) fn change(&mut self, settings: &GateSettings, now: Instant) {
        match (&mut *self, settings.concurrency) {
            (Self::Adaptive(adaptive), Concurrency::Adaptive { min, max }) => adaptive.bound(min, max),
            _ => *self = Self::new(settings, now),
        }
    }

    pub(super) fn limit(&self) -> u32 {
        match self {
            Self::Unlimited => u32::MAX,
            Self::Fixed(limit) => *limit,
            Self::Adaptive(adaptive) => adaptive.limit(),
        }
    }

    pub(super) fn sample(&mut self, now: Instant, digest: u64, took: Duration, running: u32) {
        if let Self::Adaptive(adaptive) = self {
            adaptive.sample(now, digest, took, running);
        }
    }
}
