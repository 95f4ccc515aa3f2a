//! Reports that are not the end of the story: what a routine set, the server puts back when it returns.

use crate::engine::error::EngineError;
use crate::engine::relay::{Outcome, RelayError};
use crate::engine::session::Session;
use crate::engine::statement::Sending;
use crate::engine::tracker::is_carried;
use crate::sql::{Effects, Kind, Statement};
use crate::telemetry::StatementContext;

/// A routine runs under the values it was created with; the caller's return with its end, and no report says so
/// (`sp_head::execute` of both servers).
const OF_ROUTINES: [&str; 4] =
    ["sql_mode", "character_set_client", "character_set_connection", "collation_connection"];

impl Session {
    /// Sends a statement and passes its reply on; what the reply reported is corrected.
    pub(crate) async fn send_and_confirm(
        &mut self,
        sending: Sending<'_>,
        context: &mut StatementContext<'_>,
    ) -> Result<Outcome, EngineError> {
        let facts = sending.facts;
        let mut outcome = self.send(sending, context).await?;
        self.confirm(&facts.statement, &mut outcome).await?;
        Ok(outcome)
    }

    /// Corrects what the reply to `statement` reported of variables where that may have changed since.
    async fn confirm(&mut self, statement: &Statement, outcome: &mut Outcome) -> Result<(), EngineError> {
        if outcome.changes.variables.is_empty() || statement.kind == Kind::Set {
            return Ok(());
        }
        let variables = &mut outcome.changes.variables;
        if !statement.effects.contains(Effects::MULTIPLE) && runs_routines_only(statement.kind) {
            variables.retain(|(name, _)| !OF_ROUTINES.contains(&&**name));
            return Ok(());
        }
        // To ask would cost the client its diagnostics.
        let asks = outcome.error.is_none() && outcome.warnings == 0;
        let reported: Vec<String> = variables
            .iter()
            .filter(|(name, _)| is_carried(name) && OF_ROUTINES.contains(&&**name))
            .map(|(name, _)| name.to_string())
            .collect();
        let Some(lease) = self.lease.as_mut().filter(|_| asks && !reported.is_empty()) else { return Ok(()) };
        let list: Vec<String> = reported.iter().map(|name| format!("@@SESSION.{name}")).collect();
        let rows = lease.ask(&format!("SELECT {}", list.join(","))).await.map_err(EngineError::from)?;
        let Some(row) = rows.into_iter().next() else {
            return Err(RelayError::from(crate::wire::Malformed("answer without a row")).into());
        };
        for (name, value) in reported.iter().zip(row) {
            if let Some((_, known)) = variables.iter_mut().find(|(known, _)| **known == **name) {
                *known = value.unwrap_or_default().into();
            }
        }
        Ok(())
    }
}

/// Whether such a statement sets variables in the routines that it calls, and nowhere else.
fn runs_routines_only(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Call | Kind::Select | Kind::Do | Kind::Insert | Kind::Replace | Kind::Update | Kind::Delete
    )
}
