//! SET ROLE: the active roles are a part of the session's image, and go with it from connection to connection.
//!
//! No report tells of them. Where a text sets them the server is asked at once; where it may do so unseen, as in a routine,
//! before the connection goes.

use std::sync::Arc;

use crate::backend::{CURRENT_ROLE, role_setting};
use crate::engine::error::EngineError;
use crate::engine::relay::Outcome;
use crate::engine::session::Session;
use crate::sql::{Effects, Kind, Statement};
use crate::telemetry::PinReason;

/// Effects with which a statement may set roles although its text does not say so.
const HIDING: Effects =
    Effects::CALLS_PROCEDURE.with(Effects::TEXT_EXECUTE).with(Effects::MULTIPLE).with(Effects::UNREADABLE);

/// Whether a statement may have set roles unseen.
pub(crate) fn may_set_roles(statement: &Statement) -> bool {
    statement.effects.intersects(HIDING) || statement.kind == Kind::Compound
}

impl Session {
    /// After a statement that says that it sets roles: asks which are active by now.
    pub(crate) async fn follow_role(
        &mut self,
        statement: &Statement,
        outcome: &Outcome,
    ) -> Result<(), EngineError> {
        // What comes behind it in the same text may still be asked about.
        if !statement.effects.contains(Effects::SET_ROLE)
            || may_set_roles(statement)
            || outcome.error.is_some()
        {
            return Ok(());
        }
        self.learn_role().await
    }

    /// Asks which roles are active.
    pub(crate) async fn learn_role(&mut self) -> Result<(), EngineError> {
        let Some(lease) = self.lease.as_mut() else { return Ok(()) };
        let mut rows = lease.ask(CURRENT_ROLE).await?;
        self.witness.queried_between();
        self.take_role(rows.pop().and_then(|mut row| row.pop()).flatten().as_deref());
        Ok(())
    }

    /// Takes in what CURRENT_ROLE() told. What cannot be set again in the same way keeps the connection.
    pub(crate) fn take_role(&mut self, told: Option<&[u8]>) {
        self.owed.forget_role();
        let Some(lease) = self.lease.as_ref() else { return };
        let Some(role) = role_setting(lease.facts.flavor, told) else { return self.pin(PinReason::Role) };
        self.pins.end(PinReason::Role);
        let known = self.state.image.role().or(lease.login_role());
        if known == Some(&*role) {
            return;
        }
        self.state.become_image(Arc::new(self.state.image.with_role(Some(&role))));
        let wanted = self.wanted_image();
        if let Some(lease) = self.lease.as_mut() {
            lease.became(&wanted);
        }
    }
}
