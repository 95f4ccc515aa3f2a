//! Reads: one slot, any slot, or several whose answers are merged.

use crate::sharding::planner::block::{InstanceKind, Statement};
use crate::sharding::planner::combine;
use crate::sharding::planner::pushdown::ties;
use crate::sharding::planner::{Action, Reason, Refusal};
use crate::sharding::slots::{SlotId, SlotSet};
use crate::sql::tree::QueryId;

/// The slots of all tables of a statement.
pub(super) struct Slots {
    /// Of each instance.
    pub(super) each: Vec<SlotSet>,
    /// Of every placed or single one together.
    pub(super) union: SlotSet,
    /// There is a placed or a single table.
    pub(super) any: bool,
}

impl Slots {
    pub(super) fn of(statement: &Statement<'_>, why: &mut Vec<Reason>) -> Self {
        let mut this =
            Self { each: Vec::new(), union: SlotSet::none(statement.rules.slots().len()), any: false };
        for (at, instance) in statement.instances.iter().enumerate() {
            let slots = statement.slots(at, why);
            if matches!(instance.kind, InstanceKind::Placed(..) | InstanceKind::Single(_)) {
                this.union.unite(&slots);
                this.any = true;
            }
            this.each.push(slots);
        }
        this.tie(statement);
        why.dedup();
        this
    }

    /// Rows are where the rows of other tables are that they must meet.
    fn tie(&mut self, statement: &Statement<'_>) {
        if self.each.len() < 2 || !self.any {
            return;
        }
        let ties: Vec<_> = (0..self.each.len()).map(|at| ties(statement, at)).collect();
        for _ in 0..self.each.len() {
            let before = self.each.clone();
            for (at, others) in ties.iter().enumerate() {
                others.iter().for_each(|other| self.each[at].intersect(&before[*other]));
            }
            if before == self.each {
                break;
            }
        }
        self.union = SlotSet::none(statement.rules.slots().len());
        for (at, instance) in statement.instances.iter().enumerate() {
            if matches!(instance.kind, InstanceKind::Placed(..) | InstanceKind::Single(_)) {
                self.union.unite(&self.each[at]);
            }
        }
    }

    /// The only slot that can hold rows that matter; if none can, one that has the tables.
    pub(super) fn single(&self, statement: &Statement<'_>) -> Option<SlotId> {
        if self.union.is_empty() {
            return first_home(statement);
        }
        self.union.single()
    }
}

/// A slot that has every table of the statement, if they have one in common.
pub(super) fn first_home(statement: &Statement<'_>) -> Option<SlotId> {
    let mut homes = statement.hints.among.clone().unwrap_or_else(|| statement.rules.all_slots());
    for instance in &statement.instances {
        match instance.kind {
            InstanceKind::Placed(_, placement) => homes.intersect(statement.rules.placement(placement).all()),
            InstanceKind::Single(slot) => homes.intersect(&SlotSet::one(homes.universe(), slot)),
            InstanceKind::Reference(_) | InstanceKind::Apart => {}
        }
    }
    homes.iter().next()
}

pub(super) fn plan(
    statement: &Statement<'_>,
    query: QueryId,
    why: &mut Vec<Reason>,
) -> Result<Action, Refusal> {
    let slots = Slots::of(statement, why);
    if statement.features.stored {
        return Err(Refusal::StoredFunction);
    }
    if statement.features.named_lock && !statement.instances.is_empty() {
        return Err(Refusal::Shape { what: "a named lock beside tables" });
    }
    if !slots.any {
        // What is locked must be one thing: the source of a reference table, or the first slot.
        let locks = statement.features.named_lock || statement.tree.query(query).locks.is_some();
        let source = statement.instances.iter().find_map(|instance| match instance.kind {
            InstanceKind::Reference(source) => Some(source),
            InstanceKind::Placed(..) | InstanceKind::Single(_) | InstanceKind::Apart => None,
        });
        let sql = statement.client_sql()?;
        return Ok(match locks {
            true => Action::One { slot: source.unwrap_or(SlotId(0)), sql },
            false => Action::Any { sql },
        });
    }
    if let Some(slot) = slots.single(statement) {
        // Every table must be there, those too of which no row matters.
        if has_all(statement, slot) {
            return Ok(Action::One { slot, sql: statement.client_sql()? });
        }
    }
    combine::plan(statement, query, &slots)
}

/// Whether every placed or single table of the statement has a part in `slot`.
pub(super) fn has_all(statement: &Statement<'_>, slot: SlotId) -> bool {
    statement.instances.iter().all(|instance| match instance.kind {
        InstanceKind::Placed(_, placement) => statement.rules.placement(placement).all().contains(slot),
        InstanceKind::Single(own) => own == slot,
        InstanceKind::Reference(_) | InstanceKind::Apart => true,
    })
}
