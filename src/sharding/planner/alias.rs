//! GROUP BY a name: an alias, unless a table has a column of that name, which goes before it.
//!
//! What columns the tables have is not known here. So the slots are asked for one more column, which makes the
//! statement an error if they have that one.

use crate::sharding::planner::Refusal;
use crate::sharding::planner::aggregate::Groups;
use crate::sql::tree::{Condition, ExprId, ExprKind, TableId, TableKind};

/// What the derived table of the probe is called.
const PROBE: &str = "dazzle_probe";

impl Groups<'_, '_, '_> {
    /// The entry of the select list that a key of GROUP BY calls by its alias.
    pub(super) fn grouped_alias(&mut self, key: ExprId) -> Result<(usize, ExprId), Refusal> {
        let statement = self.columns.statement;
        let refused = Refusal::Shape { what: "GROUP BY an expression of an alias" };
        let ExprKind::Column(name) = statement.tree.expr(key).kind else { return Err(refused) };
        let item = self.columns.item_of(key, true)?.ok_or(refused)?;
        let from = self.select.from.ok_or(Refusal::Shape { what: "groups of no table" })?;
        self.repeatable_tables(from)?;
        let tables = self.columns.text_at(statement.tree.table(from).span);
        let name = self.columns.text_at(name.column);
        let probe = [
            b"(SELECT COUNT(",
            &name[..],
            b") FROM (",
            &tables,
            b") CROSS JOIN (SELECT 1 AS ",
            &name,
            b") AS ",
            PROBE.as_bytes(),
            b" WHERE 0)",
        ];
        self.columns.hide(probe.concat());
        self.columns.probed = true;
        Ok(item)
    }

    /// Whether FROM can stand twice in a statement.
    fn repeatable_tables(&self, table: TableId) -> Result<(), Refusal> {
        match &self.columns.statement.tree.table(table).kind {
            TableKind::Table { .. } => Ok(()),
            TableKind::Derived { .. } | TableKind::Json { .. } => {
                Err(Refusal::Shape { what: "GROUP BY an alias, of a derived table" })
            }
            TableKind::Join(join) => {
                if let Condition::On(condition) = join.condition {
                    self.columns.text_of(condition)?;
                }
                self.repeatable_tables(join.left)?;
                self.repeatable_tables(join.right)
            }
        }
    }
}
