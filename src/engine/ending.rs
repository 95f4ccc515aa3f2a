//! The end of a statement: its context is told how it went, and its digest's pace.

use crate::engine::combine::Pace;
use crate::engine::error::EngineError;
use crate::engine::session::Session;
use crate::error::ProxyError;
use crate::telemetry::{Activity, StatementContext};

impl Session {
    /// Ends the statement's context by how it went, and learns from it.
    pub(crate) fn finish_paced(
        &mut self,
        result: Result<(), EngineError>,
        context: StatementContext<'_>,
        pace: &Pace,
    ) -> Result<(), EngineError> {
        if result.is_ok() {
            self.watch_transaction();
            let sent = context.sent();
            let ended = context.finish();
            pace.ran(ended.saturating_duration_since(sent), self.worker.station.under_way() + 1);
            self.guard.activity(Activity::Sleep, ended);
            return result;
        }
        pace.begin_anew();
        self.finish(result, context)
    }

    /// Ends the statement's context by how it went.
    pub(crate) fn finish(
        &mut self,
        result: Result<(), EngineError>,
        mut context: StatementContext<'_>,
    ) -> Result<(), EngineError> {
        self.watch_transaction();
        match &result {
            Ok(()) => self.guard.activity(Activity::Sleep, context.finish()),
            Err(error) if error.session_survives() => {
                context.failed(error.blame());
                self.guard.activity(Activity::Sleep, context.finish());
            }
            // Dropped without an end: the client is gone.
            Err(_) => {}
        }
        result
    }
}
