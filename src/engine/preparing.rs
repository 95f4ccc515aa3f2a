//! A PREPARE on a server connection: sent, or answered as that connection's server has lately answered it.

use std::sync::Arc;

use crate::backend::{BackendError, PrepareReply, PreparedKey};
use crate::engine::definitions::DEFINITION_BELIEVED_MAX;
use crate::engine::error::EngineError;
use crate::engine::session::Session;
use crate::telemetry::{PinReason, StatementContext};

impl Session {
    /// Prepares on a leased connection, unless that has it and has lately told of it.
    pub(crate) async fn prepare_on_lease(
        &mut self,
        key: &PreparedKey,
        context: &mut StatementContext<'_>,
    ) -> Result<Arc<PrepareReply>, EngineError> {
        let mut attempt = 0;
        loop {
            let bound = self.is_bound() && !self.holds_for_diagnostics();
            let waited = self.acquire(context.started()).await?;
            context.leased(waited);
            let lease = self.lease.as_mut().expect("acquired just before");
            // In a transaction a server may refuse, and temporary tables may give names another meaning.
            let definitions = &self.engine.definitions;
            if !bound
                && !self.pins.has(PinReason::Warnings)
                && let Some(known) = lease.prepared.find(key)
                && known.told.is_some_and(|told| definitions.holds(told, DEFINITION_BELIEVED_MAX))
            {
                return Ok(Arc::clone(&known.reply));
            }
            let told = definitions.told();
            match lease.prepare(key).await {
                Ok(reply) => {
                    if let Some(known) = lease.prepared.find(key).filter(|_| !bound && reply.warnings == 0) {
                        known.told = Some(told);
                    }
                    return Ok(reply);
                }
                Err(error @ BackendError::Server(_)) => {
                    self.failed_here();
                    return Err(self.renamed(error).into());
                }
                Err(error) => {
                    // Preparing has no effect that could happen twice.
                    self.drop_lease();
                    attempt += 1;
                    if bound || attempt > 2 {
                        return Err(error.into());
                    }
                }
            }
        }
    }
}
