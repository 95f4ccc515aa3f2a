//! Whether a SELECT gives, slot by slot, the rows that one server would give.
//!
//! It does if every row of its result comes from rows of one slot: there is a table whose rows are in every
//! one of them (the driver), and every other sharded table is tied to it by equal keys, so that rows which
//! meet are in one slot, and a row that meets none there meets none anywhere.

use crate::sharding::key::KeyId;
use crate::sharding::planner::Refusal;
use crate::sharding::planner::block::{Block, InstanceKind, Role, Statement};
use crate::sharding::planner::names::KeyRef;
use crate::sharding::planner::read::Slots;
use crate::sharding::rules::TableKind as TableKindOf;
use crate::sharding::slots::SlotSet;
use crate::sql::tree::{JoinKind, TableId, TableKind};

/// A block that can be answered slot by slot.
pub(super) struct Pushdown {
    /// The instance that is in every row.
    pub(super) driver: usize,
    /// The slots that can have rows of the result.
    pub(super) slots: SlotSet,
}

/// Proves that `block`, which is no subquery, and all that is inside of it can be pushed down.
pub(super) fn prove(statement: &Statement<'_>, block: usize, slots: &Slots) -> Result<Pushdown, Refusal> {
    let own = &statement.blocks[block];
    let from = own.from.ok_or(Refusal::Shape { what: "a SELECT without tables" })?;
    let mut required = Vec::new();
    always_there(statement, from, &own.instances, &mut required);
    let Some(&driver) = required.first() else {
        return Err(Refusal::Shape { what: "an outer join that begins with a table which every slot has" });
    };
    let mut among = slots.each[driver].clone();
    for (at, instance) in statement.instances.iter().enumerate() {
        let place = place(statement, instance.block, block);
        if at == driver || place == Place::Elsewhere {
            continue;
        }
        let table = || String::from_utf8_lossy(&instance.name.name(statement.text())).into_owned();
        match instance.kind {
            InstanceKind::Placed(..) if place == Place::Apart => {
                return Err(Refusal::Shape { what: "a derived table of a sharded table" });
            }
            InstanceKind::Placed(..) if !tied(statement, at, driver) => {
                return Err(Refusal::NotColocated { table: table() });
            }
            InstanceKind::Placed(..) if required.contains(&at) => among.intersect(&slots.each[at]),
            InstanceKind::Single(_) => return Err(Refusal::NotColocated { table: table() }),
            InstanceKind::Placed(..) | InstanceKind::Reference(_) | InstanceKind::Apart => {}
        }
    }
    let cut = |block: &Block| {
        block.role == Role::Apart
            && block.query.is_some_and(|query| statement.tree.query(query).limit.is_some())
    };
    if statement.blocks.iter().any(cut) {
        return Err(Refusal::Shape { what: "a derived table with LIMIT" });
    }
    Ok(Pushdown { driver, slots: among })
}

/// Where a block is, as another one sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// It, or a subquery in an expression of it.
    Inside,
    /// A derived table or a common table expression, or in one.
    Apart,
    /// Another arm.
    Elsewhere,
}

fn place(statement: &Statement<'_>, block: usize, outer: usize) -> Place {
    let mut at = Some(block);
    while let Some(block) = at {
        if block == outer {
            return Place::Inside;
        }
        if statement.blocks[block].role == Role::Apart {
            return Place::Apart;
        }
        at = statement.blocks[block].parent;
    }
    Place::Elsewhere
}

/// The placed instances that have a row in every row of this part of FROM.
fn always_there(statement: &Statement<'_>, table: TableId, instances: &[usize], found: &mut Vec<usize>) {
    match &statement.tree.table(table).kind {
        TableKind::Join(join) => {
            let block = instances.first().map_or(0, |first| statement.instances[*first].block);
            let kind = statement.join_kind(block, join);
            if kind != JoinKind::Right {
                always_there(statement, join.left, instances, found);
            }
            if kind != JoinKind::Left {
                always_there(statement, join.right, instances, found);
            }
        }
        TableKind::Table { .. } | TableKind::Derived { .. } | TableKind::Json { .. } => {
            let placed = instances.iter().find(|at| statement.instances[**at].node == table);
            found.extend(
                placed.filter(|at| matches!(statement.instances[**at].kind, InstanceKind::Placed(..))),
            );
        }
    }
}

/// Whether the rows of `instance` that matter are in the slots of the driver's rows that they meet, by way of
/// other tables perhaps.
fn tied(statement: &Statement<'_>, instance: usize, driver: usize) -> bool {
    let mut reached = vec![instance];
    let mut at = 0;
    while at < reached.len() {
        for other in ties(statement, reached[at]) {
            if other == driver {
                return true;
            }
            if !reached.contains(&other) {
                reached.push(other);
            }
        }
        at += 1;
    }
    false
}

/// The instances whose keys decide the slot of `instance`: rows that meet are in one slot.
pub(super) fn ties(statement: &Statement<'_>, instance: usize) -> Vec<usize> {
    let InstanceKind::Placed(table, placement) = statement.instances[instance].kind else {
        return Vec::new();
    };
    let TableKindOf::Placed(placed) = &statement.rules.table(table).kind else { return Vec::new() };
    let facts = statement.closure(instance);
    let linked: Vec<(KeyId, Vec<KeyRef>)> = placed
        .columns
        .iter()
        .map(|column| (column.key, facts.linked(KeyRef { instance, key: column.key })))
        .collect();
    let same = |other: &usize| matches!(statement.instances[*other].kind, InstanceKind::Placed(_, theirs) if theirs == placement);
    let decided = |other: &usize| {
        let shared: Vec<KeyId> = linked
            .iter()
            .filter(|(key, class)| class.contains(&KeyRef { instance: *other, key: *key }))
            .map(|(key, _)| *key)
            .collect();
        statement.rules.placement(placement).determined_by(&shared)
    };
    (0..statement.instances.len()).filter(|other| *other != instance).filter(same).filter(decided).collect()
}

/// Whether rows that agree in these columns are all in one slot.
pub(super) fn decides(statement: &Statement<'_>, driver: usize, columns: &[KeyRef]) -> bool {
    let InstanceKind::Placed(_, placement) = statement.instances[driver].kind else { return false };
    let facts = statement.closure(driver);
    let keys: Vec<_> = columns
        .iter()
        .filter(|column| facts.linked(KeyRef { instance: driver, key: column.key }).contains(column))
        .map(|column| column.key)
        .collect();
    statement.rules.placement(placement).determined_by(&keys)
}
