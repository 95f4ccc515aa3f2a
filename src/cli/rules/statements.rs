//! What a new revision does to statements: for each, where it went and where it would go.

use std::path::Path;

use serde_json::{Value, json};

use crate::cli::rules::Loaded;
use crate::error::ProxyError;
use crate::sharding::{Action, Request, ShardingRules, plan};
use crate::sql::LexMode;

/// Statements by what becomes of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fates {
    /// They go where they went.
    pub(super) same: usize,
    /// They are answered by more or fewer slots, or others.
    pub(super) moved: Vec<String>,
    /// They were answered and would be refused.
    pub(super) refused: Vec<String>,
    /// They were refused and would be answered.
    pub(super) accepted: Vec<String>,
}

impl Fates {
    /// Compares the routes of the statements in `file`, one on each line.
    pub(super) fn of_file(running: &Loaded, new: &Loaded, file: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(Self::of(&running.rules, &new.rules, text.lines()))
    }

    fn of<'s>(
        running: &ShardingRules,
        new: &ShardingRules,
        statements: impl Iterator<Item = &'s str>,
    ) -> Self {
        let mut fates = Self::default();
        for statement in statements.map(str::trim).filter(|statement| !statement.is_empty()) {
            match (route(running, statement), route(new, statement)) {
                (before, after) if before == after => fates.same += 1,
                (Ok(before), Ok(after)) => fates.moved.push(format!("{before} → {after}: {statement}")),
                (Ok(_), Err(why)) => fates.refused.push(format!("{why}: {statement}")),
                (Err(_), Ok(after)) => fates.accepted.push(format!("{after}: {statement}")),
                // Refused before and after, for another reason.
                (Err(_), Err(_)) => fates.same += 1,
            }
        }
        fates
    }

    /// As people read it.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{} statements go where they went\n", self.same);
        for (what, statements) in
            [("refused ", &self.refused), ("moved   ", &self.moved), ("accepted", &self.accepted)]
        {
            text.extend(statements.iter().map(|statement| format!("{what} {statement}\n")));
        }
        text
    }

    /// For pipelines.
    pub(super) fn json(&self) -> Value {
        json!({ "same": self.same, "moved": self.moved, "refused": self.refused, "accepted": self.accepted })
    }
}

/// The slots that a statement asks, by their labels, or why it is refused. A `?` has no value here, so it may be
/// anything.
fn route(rules: &ShardingRules, statement: &str) -> Result<String, String> {
    let request = Request {
        text: statement.as_bytes(),
        mode: LexMode::default(),
        utf8: true,
        schema: Some(rules.name()),
        parameters: &[],
    };
    let label = |slot| rules.slot(slot).label.to_string();
    match plan(rules, &request).action {
        Action::One { slot, .. } => Ok(label(slot)),
        Action::Any { .. } => Ok("any slot".to_owned()),
        Action::Scatter(scatter) => Ok(scatter.slots.iter().map(label).collect::<Vec<_>>().join(" ")),
        Action::Write(write) => {
            Ok(write.parts.iter().map(|(slot, _)| label(*slot)).collect::<Vec<_>>().join(" "))
        }
        Action::Refuse(refusal) => Err(refusal.sql_error().message.into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sharding::Date;

    const RULES: &str = "
api: dazzle/v1
name: shop
revision: 1
keys: {id: bigint}
placements: {p: {hash: id, slots: {s1: 0-1, s2: 2-3}}}
tables: {t: {placement: p}}
tests: [{table: t, slots: all}]
";

    #[test]
    fn each_statement_is_told_by_what_becomes_of_it() {
        let parse = |text: &str| {
            let read = ShardingRules::parse(text, Path::new("shop.yaml"), Date::of_days(20_000));
            read.unwrap_or_else(|error| panic!("{error}"))
        };
        let new = RULES.replace("revision: 1", "revision: 2\ndefaults: {scatter_read: {slots_max: 2}}");
        let statements = "SELECT * FROM t WHERE id = 1001\nSELECT COUNT(*) FROM t\n\nSELECT * FROM u\n";
        let fates = Fates::of(&parse(RULES), &parse(&new), statements.lines());
        assert_eq!((fates.same, fates.moved.len(), fates.accepted.len()), (2, 0, 0), "{fates:?}");
        assert_eq!(fates.refused.len(), 1, "{fates:?}");
        assert!(fates.refused[0].ends_with(": SELECT COUNT(*) FROM t"), "{fates:?}");
    }
}
