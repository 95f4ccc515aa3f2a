//! A pool's numbers at one moment, for metrics and pages.

use std::time::Duration;

use crate::backend::pool::entry::CloseReason;

/// What a pool has now, and what it did since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Connections that nobody holds.
    pub idle: u32,
    /// Connections that somebody holds.
    pub leased: u32,
    /// Connections being opened.
    pub dialling: u32,
    /// Connections being closed.
    pub closing: u32,
    /// Statements in line.
    pub waiting: u32,
    /// All connections: idle, leased, dialling, closing.
    pub size: u32,
    /// Connections at most, dedicated ones included.
    pub size_max: u32,
    /// Since the pool was made.
    pub totals: Totals,
}

/// Counts since a pool was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Leases granted.
    pub leases: u64,
    /// Connections opened.
    pub created: u64,
    /// Connects that failed.
    pub connect_failures: u64,
    /// Leases and refusals that had to wait in line first.
    pub waits: u64,
    /// How long those waited that were granted, together.
    pub wait_time: Duration,
    /// Waits that ended at their deadline.
    pub timeouts: u64,
    /// Statements turned away because the line was full.
    pub queue_full: u64,
    /// Waits that the statement gave up.
    pub cancelled: u64,
    /// Connections closed, by the place of their reason in [`CloseReason::ALL`].
    pub closed: [u64; CloseReason::COUNT],
}

impl Totals {
    /// Connections closed for `reason`.
    #[must_use]
    pub fn closed_for(&self, reason: CloseReason) -> u64 {
        self.closed[reason as usize]
    }
}
