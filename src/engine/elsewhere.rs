//! Statements that were prepared in another schema than the session is in: MariaDB enters theirs for an execution, leaves it
//! again, and tells so.

use std::sync::Arc;

use crate::backend::Flavor;
use crate::engine::error::EngineError;
use crate::engine::relay::RelayError;
use crate::engine::session::Session;
use crate::sql::{Kind, Statement};
use crate::wire::Capabilities;

impl Session {
    /// Whether the statement was prepared in another schema than the present one, which MariaDB enters for an
    /// execution and leaves again.
    pub(crate) fn moves(&mut self, id: u32) -> bool {
        let maria = self.flavor() == Flavor::MariaDb;
        let now = Arc::clone(&self.state.image);
        let tracks = self.client.capabilities.has(Capabilities::SESSION_TRACK);
        let before = self.statement(id).map(|statement| Arc::clone(&statement.image));
        maria && tracks && before.is_some_and(|before| before.schema() != now.schema())
    }

    /// Whether the client is to be told by the proxy that its schema was left and entered again: where a statement was
    /// prepared outside of any, no connection that is in one can prepare it so.
    pub(crate) fn returns_unsaid(&mut self, id: u32) -> Result<bool, EngineError> {
        let outside = self.statement(id).is_some_and(|statement| statement.image.schema().is_none());
        if !outside || !self.moves(id) {
            return Ok(false);
        }
        let image = Arc::clone(&self.state.image);
        self.client.owed.schema(image.schema().unwrap_or_default(), true).map_err(RelayError::from)?;
        Ok(true)
    }

    /// Refuses the execution of a USE that was prepared outside of any schema, of a session that is in one now: MariaDB
    /// enters the new schema and comes back at once, which no connection that is in a schema can prepare.
    pub(crate) fn check_use(&mut self, id: u32, statement: &Statement) -> Result<(), EngineError> {
        let inside = self.state.image.schema().is_some();
        if statement.kind != Kind::Use || self.flavor() != Flavor::MariaDb || !inside {
            return Ok(());
        }
        match self.statement(id) {
            Some(prepared) if prepared.image.schema().is_none() => Err(EngineError::refused(
                1235,
                "42000",
                "DZ0006 USE was prepared outside of any schema, where it does not move a session that is in one: prepare it \
                 anew, or send it as text",
            )),
            _ => Ok(()),
        }
    }

    /// After an execution that failed: that the schema was left and entered again is told with a later OK, whoever gets
    /// the connection in between.
    pub(crate) fn owe_schema(&mut self, id: u32) -> Result<(), EngineError> {
        if self.moves(id) {
            let image = Arc::clone(&self.state.image);
            self.client.owed.schema(image.schema().unwrap_or_default(), false).map_err(RelayError::from)?;
        }
        Ok(())
    }
}
