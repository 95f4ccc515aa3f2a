//! Which table a column belongs to, as far as that is sure without the tables' definitions.

use crate::sharding::key::KeyId;
use crate::sharding::planner::block::{InstanceKind, Statement};
use crate::sharding::rules::TableKind;
use crate::sql::tree::{ColumnName, Condition, ExprId, ExprKind, JoinKind, Span, TableId, TableKind as Node};

/// A column that carries a key, of one table in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyRef {
    /// The place in [`Statement::instances`].
    pub(super) instance: usize,
    pub(super) key: KeyId,
}

/// Names of columns and aliases have no case; of those that are not ASCII nothing is claimed.
pub(super) fn same_name(one: &[u8], other: &[u8]) -> bool {
    one.eq_ignore_ascii_case(other)
}

impl Statement<'_> {
    /// The key that a column carries. None: none, or it is not sure.
    pub(super) fn key_ref(&self, block: usize, id: ExprId) -> Option<KeyRef> {
        let ExprKind::Column(name) = self.tree.expr(id).kind else { return None };
        self.key_of(block, name)
    }

    /// The same for a name.
    pub(super) fn key_of(&self, block: usize, name: ColumnName) -> Option<KeyRef> {
        let instance = match name.table {
            Some(table) => self.qualified(block, table)?,
            None => self.unqualified(block, name.column)?,
        };
        Some(KeyRef { instance, key: self.declared(instance, name.column)? })
    }

    /// The key that `column` of `instance` carries.
    fn declared(&self, instance: usize, column: Span) -> Option<KeyId> {
        let InstanceKind::Placed(table, _) = self.instances[instance].kind else { return None };
        let TableKind::Placed(placed) = &self.rules.table(table).kind else { return None };
        let column = column.name(self.text());
        placed.key_of(std::str::from_utf8(&column).ok()?)
    }

    /// The instance of this name, in the innermost block that has one.
    pub(super) fn qualified(&self, block: usize, table: Span) -> Option<usize> {
        let name = table.name(self.text());
        let mut at = Some(block);
        while let Some(block) = at {
            let block = &self.blocks[block];
            let named =
                |instance: &&usize| same_name(&self.instances[**instance].name.name(self.text()), &name);
            let mut found = block.instances.iter().filter(named);
            if let Some(first) = found.next() {
                // Two aliases that differ in case alone.
                return found.next().is_none().then_some(*first);
            }
            at = block.parent;
        }
        None
    }

    /// In a block with tables, an unqualified key column is that of the one table that declares it: if
    /// another one had it too, the servers would refuse the statement.
    fn unqualified(&self, block: usize, column: Span) -> Option<usize> {
        let mut at = Some(block);
        while let Some(block) = at {
            let block = &self.blocks[block];
            let mut found =
                block.instances.iter().copied().filter(|instance| self.declared(*instance, column).is_some());
            match (found.next(), found.next()) {
                (Some(only), None) => return Some(only),
                // USING makes one column of two: of a chain of inner and left joins, the leftmost.
                (Some(first), Some(_)) => return self.merges(block.from?, column).then_some(first),
                (None, _) if block.instances.is_empty() => at = block.parent,
                (None, _) => return None,
            }
        }
        None
    }

    /// Whether every join of `table` is by USING this column, and none is a right join.
    pub(super) fn merges(&self, table: TableId, column: Span) -> bool {
        let Node::Join(join) = &self.tree.table(table).kind else { return true };
        let name = column.name(self.text());
        let using = match &join.condition {
            Condition::Using(columns) => columns.iter().any(|used| same_name(&used.name(self.text()), &name)),
            Condition::None | Condition::On(_) | Condition::Natural => false,
        };
        using
            && join.kind != JoinKind::Right
            && self.merges(join.left, column)
            && self.merges(join.right, column)
    }
}
