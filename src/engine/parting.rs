//! Giving a server connection up: back to its pool, wiped, or closed.

use crate::backend::Condition;
use crate::engine::error::EngineError;
use crate::engine::held::Held;
use crate::engine::pins::Pins;
use crate::engine::recall::Owed;
use crate::engine::session::Session;
use crate::engine::values::Witness;
use crate::telemetry::PinReason;
use crate::wire::StatusFlags;

impl Session {
    /// Closes the leased connection: nothing is known about it.
    pub(crate) fn drop_lease(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.close();
        }
        self.pins = Pins::default();
        self.owed = Owed::default();
        self.held = Held::default();
        self.client.tracks_itself = false;
        self.show_pins(None);
        self.witness = Witness::default();
        if let Some(statements) = self.statements.as_mut() {
            statements.unbind();
        }
    }

    /// After a failure that left the connection in a known state it is kept or given back; otherwise it
    /// is closed.
    pub(crate) fn keep_if_known(&mut self) {
        let known = |condition| matches!(condition, Condition::Ready | Condition::Dirty);
        if self.lease.as_ref().is_some_and(|lease| known(lease.condition())) {
            self.mark_and_release();
        } else {
            self.drop_lease();
        }
    }

    /// Gives the connection back if nothing holds it any more.
    pub(crate) fn release(&mut self) {
        let Some(lease) = self.lease.as_mut() else { return };
        if !self.pins.is_empty() || !self.owed.is_empty() || lease.status.has(StatusFlags::IN_TRANS) {
            return;
        }
        // The pool takes it back if it is in a known state, and closes it otherwise.
        self.lease = None;
        self.witness = Witness::default();
    }

    /// What COM_RESET_CONNECTION does: [`Session::let_go`], but roles that were set stay, as on both servers.
    pub(crate) async fn reset_here(&mut self) -> Result<(), EngineError> {
        let known = |condition| matches!(condition, Condition::Ready | Condition::Dirty);
        let hidden = self.pins.may_hide_role() || self.owed.role();
        if hidden && self.lease.as_ref().is_some_and(|lease| known(lease.condition())) {
            self.learn_role().await?;
        }
        if !self.pins.has(PinReason::Role) {
            return self.let_go().await;
        }
        // One that cannot be set again stays on this connection.
        let Some(mut lease) = self.lease.take() else { return Ok(()) };
        // Until it has been reset it is nobody's.
        self.drop_lease();
        if let Err(error) = lease.reset().await {
            lease.close();
            return Err(error.into());
        }
        self.lease = Some(lease);
        self.pins.add(PinReason::Role);
        self.mark_and_release();
        Ok(())
    }

    /// Ends every hold on the server connection: what the session left there is wiped, and the
    /// connection given back. For COM_CHANGE_USER and the end of the session.
    pub(crate) async fn let_go(&mut self) -> Result<(), EngineError> {
        let Some(mut lease) = self.lease.take() else { return Ok(()) };
        self.witness = Witness::default();
        let clean = self.pins.lasting().is_empty() && !self.pins.has_passing_state() && self.owed.is_empty();
        // No reset brings the roles of a login back.
        let roles = self.pins.may_hide_role() || self.pins.has(PinReason::Role) || self.owed.role();
        self.pins = Pins::default();
        self.owed = Owed::default();
        self.held = Held::default();
        self.client.tracks_itself = false;
        self.show_pins(None);
        if let Some(statements) = self.statements.as_mut() {
            statements.unbind();
        }
        if clean && lease.condition() == Condition::Ready && !lease.status.has(StatusFlags::IN_TRANS) {
            return Ok(());
        }
        match lease.condition() {
            Condition::Ready | Condition::Dirty => {
                if roles {
                    if lease.renew().await.is_err() {
                        lease.close();
                    }
                } else if let Err(error) = lease.reset().await {
                    lease.close();
                    return Err(error.into());
                }
            }
            Condition::Busy | Condition::Broken => lease.close(),
        }
        Ok(())
    }
}
