//! EXPLAIN ROUTE: a plan in words.

use std::fmt::Write as _;

use crate::error::ProxyError;
use crate::merge::MergePlan;
use crate::sharding::planner::{Action, HIDDEN, MergeSpec, Plan, Sql};
use crate::sharding::rules::ShardingRules;
use crate::sharding::slots::SlotId;

impl Plan {
    /// Each property of the plan with its value, one a line: what is done, where, why, and what is sent.
    #[must_use]
    pub fn explain(&self, rules: &ShardingRules, text: &[u8]) -> Vec<(&'static str, String)> {
        let label = |slot: SlotId| rules.slot(slot).label.to_string();
        let mut lines = Vec::new();
        match &self.action {
            Action::One { slot, sql } => {
                lines.push(("plan", format!("one slot: {}", label(*slot))));
                lines.push(("sql", shown(sql, text)));
            }
            Action::Any { sql } => {
                lines.push(("plan", "any slot".to_owned()));
                lines.push(("sql", shown(sql, text)));
            }
            Action::Scatter(scatter) => {
                let slots: Vec<_> = scatter.slots.iter().map(label).collect();
                let all = rules.slots().len();
                lines.push(("plan", format!("{} of {all} slots: {}", slots.len(), slots.join(" "))));
                lines.push(("sql", shown(&scatter.sql, text)));
                lines.push(("merge", scatter.merge.explain()));
                if scatter.same_time {
                    lines.push(("time", "the same in every slot".to_owned()));
                }
            }
            Action::Write(write) => {
                let slots: Vec<_> = write.parts.iter().map(|(slot, _)| label(*slot)).collect();
                lines.push(("plan", format!("write to {} slots: {}", slots.len(), slots.join(" "))));
                let mut last = None;
                for (slot, sql) in &write.parts {
                    if last != Some(sql) {
                        lines.push(("sql", format!("{}: {}", label(*slot), shown(sql, text))));
                    }
                    last = Some(sql);
                }
                let answer =
                    write.answer.map_or_else(|| "added up".to_owned(), |slot| format!("of {}", label(slot)));
                lines.push(("answer", answer));
            }
            Action::Generate(generate) => {
                let slots: Vec<_> = generate.slots.iter().map(label).collect();
                lines.push(("plan", format!("rows with new ids, in {}", slots.join(" "))));
                for (column, sequence) in &generate.columns {
                    lines.push(("ids", format!("{column} from {sequence}")));
                }
            }
            Action::Refuse(refusal) => {
                let error = refusal.sql_error();
                lines.push(("plan", format!("refused: {} ({}) {}", error.code, error.state, error.message)));
            }
        }
        for reason in &self.why {
            let predicate = String::from_utf8_lossy(reason.span.of(text)).into_owned();
            lines.push(("why", format!("{}: {predicate} leaves {}", reason.table, reason.slots)));
        }
        lines
    }
}

fn shown(sql: &Sql, text: &[u8]) -> String {
    match sql {
        Sql::Client => "as it is".to_owned(),
        Sql::Changed(changed) if changed == text => "as it is".to_owned(),
        Sql::Changed(changed) => String::from_utf8_lossy(changed).into_owned(),
    }
}

impl MergeSpec {
    /// The plan for results of so many columns; None if they are fewer than were asked for.
    #[must_use]
    pub fn of(&self, columns: usize) -> Option<MergePlan> {
        let shown = columns.checked_sub(self.hidden)?;
        let mut plan = self.plan.clone();
        plan.shown = shown;
        plan.each_column(&mut |column| {
            if *column >= HIDDEN {
                *column = *column - HIDDEN + shown;
            }
        });
        Some(plan)
    }

    fn explain(&self) -> String {
        let plan = &self.plan;
        let mut text = if plan.is_unordered() { "rows as they come".to_owned() } else { String::new() };
        if !plan.input.is_empty() {
            let _ = write!(text, "in order of {} columns", plan.input.len());
        }
        if let Some(grouping) = &plan.grouping {
            let _ = write!(text, "; groups of {} keys, {} folds", grouping.keys, grouping.folds.len());
        }
        if plan.having.is_some() {
            text.push_str("; having");
        }
        if !plan.sort.is_empty() {
            let _ = write!(text, "; sorted by {} columns", plan.sort.len());
        }
        if let Some(limit) = plan.limit {
            let _ = write!(text, "; limit {limit} offset {}", plan.offset);
        }
        if let Some(computed) = &plan.computed {
            let _ = write!(text, "; {} expressions computed", computed.items.len());
        }
        let _ = write!(text, "; {} hidden columns", self.hidden);
        text.trim_start_matches("; ").to_owned()
    }
}
