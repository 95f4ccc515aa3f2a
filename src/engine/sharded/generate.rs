//! An INSERT whose ids come from sequences: the ids are had, put into the statement, and it goes where they lead.

use std::sync::Arc;

use crate::engine::admission::end_parts;
use crate::engine::error::EngineError;
use crate::engine::session::Session;
use crate::engine::sharded::numbers::no_numbers;
use crate::engine::sharded::parameters::Parameters;
use crate::engine::sharded::route::{Routing, parts, sent, unroutable};
use crate::engine::sharded::scatter::Part;
use crate::engine::sharded::told::Sum;
use crate::engine::sharded::write::Writing;
use crate::engine::values::asks_about_session;
use crate::error::ProxyError;
use crate::sharding::{Action, Bind, Completed, Generate, ShardingRules, plan};
use crate::telemetry::StatementContext;

impl Session {
    /// The client's command has been taken from its input.
    pub(super) async fn insert_with_ids(
        &mut self,
        generate: &Generate,
        routing: Routing<'_>,
        context: &mut StatementContext<'_>,
    ) -> Result<(), EngineError> {
        let Some(place) = &self.place else { return Err(unroutable("a session without a database")) };
        let database = Arc::clone(&place.database);
        if asks_about_session(&routing.facts.statement) {
            return Err(unroutable("a question about the session beside ids of a sequence"));
        }
        if generate.zeros && self.keeps_zeros() {
            return Err(unroutable(
                "0 as an id under NO_AUTO_VALUE_ON_ZERO in a table whose ids a sequence makes",
            ));
        }
        let mut firsts = Vec::with_capacity(generate.numbers.len());
        for (sequence, count) in &generate.numbers {
            firsts.push(self.numbers(&database, *sequence, *count).await?);
        }
        let rules = &database.rules;
        let completed = generate.complete(rules, routing.text, &firsts, routing.parameters.is_some());
        let completed = completed.map_err(|sequence| used_up(rules, usize::from(sequence.0)))?;
        let ids = encoded(&completed);
        let parameters = routing.parameters.map(|sent| sent.with_ids(&completed.parameters, &ids));
        let literals = parameters.as_ref().map(Parameters::literals).unwrap_or_default();
        let planned = plan(rules, &self.request(&database, &completed.text, &literals));
        let (parts, sum, unbound) = match planned.action {
            Action::One { slot, sql } => {
                (vec![Part { slot, text: sent(&sql, &completed.text) }], Sum::Inserted, Vec::new())
            }
            Action::Write(write) => {
                let (parts, sum) = parts(&write, routing.facts.statement.kind, &completed.text);
                (parts, sum, write.unbound)
            }
            Action::Refuse(refusal) => return Err(EngineError::Refused(refusal.sql_error())),
            Action::Any { .. } | Action::Scatter(_) | Action::Generate(_) => {
                return Err(unroutable("an INSERT of this kind with ids of a sequence"));
            }
        };
        let permit = self.admit_parts(routing.facts, routing.text, &parts, context.started()).await?;
        let id = Some(completed.first);
        let writing = Writing { parts: &parts, sum, parameters: parameters.as_ref(), unbound: &unbound, id };
        end_parts(permit, self.write_parts(writing, context).await)
    }

    /// Whether 0 is an id like any other.
    fn keeps_zeros(&self) -> bool {
        let mode = self.state.image.variable("sql_mode").unwrap_or_default();
        memchr::memmem::find(&mode.to_ascii_uppercase(), b"NO_AUTO_VALUE_ON_ZERO").is_some()
    }
}

fn used_up(rules: &ShardingRules, sequence: usize) -> EngineError {
    no_numbers(rules.sequences().get(sequence).map_or("", |sequence| &sequence.name))
}

/// The ids among the parameters, as they are sent.
fn encoded(completed: &Completed) -> Vec<[u8; 8]> {
    let id = |bind: &Bind| match bind {
        Bind::Id(id) => Some(id.to_le_bytes()),
        Bind::Sent(_) => None,
    };
    completed.parameters.iter().filter_map(id).collect()
}
