//! What the process tells about itself: metrics, digest statistics, logs, the list of sessions.
//!
//! Hot-path numbers are cells of one worker ([`WorkerMetrics`]), added up when they are read.

mod binlog;
mod cache;
mod cell;
mod context;
mod digests;
mod exposition;
mod histogram;
mod labels;
pub mod log;
mod metrics;
mod pins;
mod pools;
mod process;
mod protection;
mod rate_limit;
mod sessions;
pub mod task;

pub use binlog::{BinlogNumbers, write_binlogs};
pub use cache::{CacheRuleNumbers, CacheTotals, FleetTotals, write_cache, write_fleet};
pub use cell::{Counter, Counters};
pub use context::StatementContext;
pub use digests::{DigestRow, DigestStatistics, DigestTable};
pub use exposition::{CONTENT_TYPE, Sample, Sink, Source};
pub use histogram::{Histogram, HistogramSum};
pub use labels::{ClientRefusal, CommandKind, Direction, Label, LoginOutcome, Outcome, Phase, PinReason};
pub use metrics::{ControlMetrics, WorkerMetrics};
pub use pins::{PinStatistics, PinTable, PinnedBy, PinnedRow};
pub use pools::{PoolNumbers, PoolTotals, write_pools};
pub use protection::{DoorNumbers, write_protection};
pub use rate_limit::RateLimit;
pub use sessions::{Activity, Kill, SessionGuard, SessionRow, Sessions};
pub use task::spawn;

use std::collections::HashMap;
use std::sync::Arc;

use prometheus_client::registry::Registry;

use crate::telemetry::digests::TimeBase;
use crate::telemetry::exposition::{Exposition, Sources};
use crate::telemetry::log::DroppedLines;

/// All telemetry of one proxy: built once, before its workers start.
#[derive(Debug)]
pub struct Telemetry {
    workers: Arc<[Arc<WorkerMetrics>]>,
    control: Arc<ControlMetrics>,
    sessions: Arc<Sessions>,
    pins: PinTable,
    sources: Arc<Sources>,
    registry: Registry,
}

impl Telemetry {
    /// Telemetry of `workers` workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        let base = TimeBase::now();
        let workers: Arc<[_]> = (0..workers).map(|_| Arc::new(WorkerMetrics::new(base))).collect();
        let control = Arc::new(ControlMetrics::default());
        let sources = Arc::new(Sources::default());
        let registry = exposition::registry(Exposition {
            workers: Arc::clone(&workers),
            control: Arc::clone(&control),
            sources: Arc::clone(&sources),
        });
        Self {
            workers,
            control,
            sessions: Arc::new(Sessions::new(base)),
            pins: PinTable::default(),
            sources,
            registry,
        }
    }

    /// The cells of worker `index`, which alone may write to them.
    #[must_use]
    pub fn worker(&self, index: usize) -> Arc<WorkerMetrics> {
        Arc::clone(&self.workers[index])
    }

    /// The counters of the control plane.
    #[must_use]
    pub fn control(&self) -> &Arc<ControlMetrics> {
        &self.control
    }

    /// The client sessions.
    #[must_use]
    pub fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// Who is kept on a server connection.
    #[must_use]
    pub const fn pins(&self) -> &PinTable {
        &self.pins
    }

    /// Adds metrics that are read from elsewhere at each scrape, such as the gauges of pools.
    pub fn register(&self, source: Source) {
        self.sources.push(source);
    }

    /// Shows how many log lines were dropped.
    pub fn watch_log(&self, dropped: DroppedLines) {
        self.control.watch_log(dropped);
    }

    /// All metrics in the OpenMetrics text format ([`CONTENT_TYPE`]).
    #[must_use]
    pub fn render(&self) -> String {
        exposition::render(&self.registry)
    }

    /// The time of all statements so far, for a quantile.
    #[must_use]
    pub fn statement_time(&self) -> HistogramSum {
        let mut sum = HistogramSum::default();
        self.workers.iter().for_each(|worker| worker.statement_time.add_to(&mut sum));
        sum
    }

    /// The `top` digests by the sum of their times, with their normalised texts.
    #[must_use]
    pub fn digests(&self, top: usize) -> Vec<(DigestStatistics, Box<str>)> {
        let mut merged: HashMap<u64, (DigestStatistics, Box<str>)> = HashMap::new();
        for worker in &*self.workers {
            worker.digests.visit(|seen, text| {
                merged
                    .entry(seen.hash)
                    .and_modify(|(sum, _)| sum.merge(seen))
                    .or_insert_with(|| (seen.clone(), text.into()));
            });
        }
        let mut rows: Vec<_> = merged.into_values().collect();
        rows.sort_unstable_by_key(|(seen, _)| (std::cmp::Reverse(seen.time_sum), seen.hash));
        rows.truncate(top);
        rows
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;

    #[test]
    fn a_scrape_adds_up_the_workers() {
        let telemetry = Telemetry::new(2);
        for index in [0, 1, 1] {
            let worker = telemetry.worker(index);
            worker.statements.increment(CommandKind::Query);
            worker.statement_time.record(Duration::from_millis(3));
            worker.clients_accepted.increment();
        }
        telemetry.worker(0).clients_closed.increment();
        telemetry.control().reloaded(Outcome::Failed);
        telemetry.register(Box::new(|sink| {
            sink.gauges("dazzle_pool_connections", "Server connections", &[(&[("cluster", "a\"b")], 4.0)])
        }));
        let text = telemetry.render();
        for line in [
            "# TYPE dazzle_statements counter",
            "dazzle_statements_total{command=\"query\"} 3",
            "dazzle_statements_total{command=\"execute\"} 0",
            "dazzle_statement_seconds_count 3",
            "dazzle_statement_seconds_bucket{le=\"0.002048\"} 0",
            "dazzle_statement_seconds_bucket{le=\"0.003072\"} 3",
            "dazzle_statement_seconds_bucket{le=\"+Inf\"} 3",
            "dazzle_clients 2.0",
            "dazzle_reloads_total{outcome=\"failed\"} 1",
            "dazzle_pool_connections{cluster=\"a\\\"b\"} 4.0",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        let mut names: Vec<_> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
        let declared = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), declared, "a metric is declared once");
    }

    #[test]
    fn digests_of_all_workers_are_merged_and_sorted_by_time() {
        let telemetry = Telemetry::new(2);
        for (index, hash, seconds) in [(0, 1, 2), (1, 1, 3), (1, 2, 4)] {
            let worker = telemetry.worker(index);
            let row = worker.digests.row(hash, &format!("SELECT {hash}"));
            worker.digests.record(row, Instant::now(), Duration::from_secs(seconds), false);
        }
        let rows = telemetry.digests(10);
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].0.count, &*rows[0].1), (2, "SELECT 1"));
        assert_eq!(
            (rows[0].0.time_sum, rows[0].0.time_max),
            (Duration::from_secs(5), Duration::from_secs(3))
        );
        assert_eq!(telemetry.digests(1).len(), 1);
    }
}
