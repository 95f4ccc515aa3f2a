//! The observer of one statement: marks how far it came and emits once, at its end.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::Blame;
use crate::telemetry::digests::DigestRow;
use crate::telemetry::labels::{CommandKind, Phase};
use crate::telemetry::metrics::WorkerMetrics;

/// One statement as the metrics see it; decides nothing.
///
/// It reads the clock twice: when it begins and when it ends. [`finish`](Self::finish) counts the
/// statement; a drop before that counts it as abandoned in the phase it had reached.
#[derive(Debug)]
#[must_use = "a dropped context counts as an abandoned statement"]
pub struct StatementContext<'a> {
    metrics: &'a WorkerMetrics,
    started: Instant,
    digest: Option<DigestRow>,
    command: CommandKind,
    phase: Phase,
    /// From the beginning to the moment the statement was sent, as far as it is known.
    waited: Duration,
    failure: Option<Blame>,
    finished: bool,
}

impl<'a> StatementContext<'a> {
    /// A command has just been read. `metrics` are those of the running worker.
    #[inline]
    pub fn begin(metrics: &'a WorkerMetrics, command: CommandKind) -> Self {
        Self {
            metrics,
            started: Instant::now(),
            digest: None,
            command,
            phase: Phase::Received,
            waited: Duration::ZERO,
            failure: None,
            finished: false,
        }
    }

    /// When the command had been read: what deadlines of this statement count from.
    #[inline]
    #[must_use]
    pub fn started(&self) -> Instant {
        self.started
    }

    /// The statement has this digest.
    #[inline]
    pub fn digest(&mut self, row: DigestRow) {
        self.digest = Some(row);
    }

    /// A server connection was leased after a wait; zero if one was idle.
    #[inline]
    pub fn leased(&mut self, waited: Duration) {
        self.phase = Phase::Leased;
        self.waited += waited;
        self.metrics.leases.increment();
        self.metrics.pool_wait.record(waited);
    }

    /// The statement was sent with others on one server connection, after a wait.
    #[inline]
    pub fn joined(&mut self, waited: Duration) {
        self.phase = Phase::Leased;
        self.waited = waited;
        self.metrics.combined.increment();
        self.metrics.pool_wait.record(waited);
    }

    /// When the statement was sent: at its beginning if it did not have to wait.
    #[inline]
    #[must_use]
    pub fn sent(&self) -> Instant {
        self.started + self.waited
    }

    /// The client has been sent the first byte of the reply: from here no retry.
    #[inline]
    pub fn first_byte(&mut self) {
        self.phase = Phase::Replying;
    }

    /// The client is told an error that `blame` caused.
    #[inline]
    pub fn failed(&mut self, blame: Blame) {
        self.failure = Some(blame);
    }

    /// The whole reply has been handed to the client's socket. Returns that moment, so that nobody has to
    /// read the clock (30 ns) again.
    #[inline]
    pub fn finish(mut self) -> Instant {
        self.finished = true;
        let ended = Instant::now();
        let elapsed = ended.saturating_duration_since(self.started);
        self.metrics.statements.increment(self.command);
        self.metrics.statement_time.record(elapsed);
        if let Some(blame) = self.failure {
            self.metrics.errors.increment(blame);
        }
        if let Some(row) = self.digest {
            self.metrics.digests.record(row, self.started, elapsed, self.failure.is_some());
        }
        ended
    }
}

impl Drop for StatementContext<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.metrics.statements_abandoned.increment(self.phase);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::digests::TimeBase;
    use crate::telemetry::histogram::HistogramSum;

    #[tokio::test(start_paused = true)]
    async fn a_finished_statement_is_counted_once_with_its_time() {
        let metrics = WorkerMetrics::new(TimeBase::now());
        let row = metrics.digests.row(1, "SELECT ?");
        let mut context = StatementContext::begin(&metrics, CommandKind::Query);
        context.digest(row);
        context.leased(Duration::ZERO);
        context.first_byte();
        tokio::time::advance(Duration::from_millis(20)).await;
        context.failed(Blame::Backend);
        let started = context.started();
        assert_eq!(context.finish() - started, Duration::from_millis(20));

        assert_eq!(metrics.statements.get(CommandKind::Query), 1);
        assert_eq!(metrics.leases.get(), 1);
        assert_eq!(metrics.errors.get(Blame::Backend), 1);
        let mut time = HistogramSum::default();
        metrics.statement_time.add_to(&mut time);
        assert_eq!((time.count(), time.seconds()), (1, 0.02));
        metrics.digests.visit(|digest, _| assert_eq!((digest.count, digest.errors), (1, 1)));
        for phase in [Phase::Received, Phase::Leased, Phase::Replying] {
            assert_eq!(metrics.statements_abandoned.get(phase), 0);
        }
    }

    #[test]
    fn a_dropped_statement_is_abandoned_in_its_phase() {
        let metrics = WorkerMetrics::new(TimeBase::now());
        let mut context = StatementContext::begin(&metrics, CommandKind::Execute);
        context.leased(Duration::from_millis(1));
        drop(context);
        assert_eq!(metrics.statements_abandoned.get(Phase::Leased), 1);
        assert_eq!(metrics.statements.get(CommandKind::Execute), 0);
    }
}
