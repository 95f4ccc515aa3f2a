//! A SELECT in pieces, so that it can be made smaller.

use crate::compare::Promise;
use crate::support::Parameter;

/// One item of the select list.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) sql: String,
    /// Any of several equal spellings may stand for a group.
    pub(crate) loose: bool,
}

/// One key of ORDER BY.
#[derive(Clone, Debug)]
pub(crate) struct Sort {
    pub(crate) sql: String,
    /// The item with the same value, if its equal values are written alike.
    pub(crate) item: Option<usize>,
}

/// A piece of a condition with the parameters it has.
#[derive(Clone, Debug)]
pub(crate) struct Predicate {
    pub(crate) sql: String,
    pub(crate) parameters: Vec<Parameter>,
}

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    pub(crate) distinct: bool,
    pub(crate) items: Vec<Item>,
    pub(crate) from: String,
    /// The arms of a UNION, in the place of everything before ORDER BY.
    pub(crate) union: Option<String>,
    pub(crate) conditions: Vec<Predicate>,
    pub(crate) group: Vec<String>,
    pub(crate) having: Option<String>,
    pub(crate) order: Vec<Sort>,
    /// The last sort key is unique.
    pub(crate) total: bool,
    /// Rows, and rows left out before them.
    pub(crate) limit: Option<(u64, u64)>,
}

impl Query {
    /// The text; without the LIMIT if `whole`.
    pub(crate) fn sql(&self, whole: bool) -> String {
        let join = |pieces: Vec<&str>, with| pieces.join(with);
        let items = join(self.items.iter().map(|item| item.sql.as_str()).collect(), ", ");
        let distinct = if self.distinct { "DISTINCT " } else { "" };
        let mut sql = format!("SELECT {distinct}{items} FROM {}", self.from);
        if let Some(union) = &self.union {
            sql.clone_from(union);
        }
        if !self.conditions.is_empty() {
            let conditions = self.conditions.iter().map(|one| one.sql.as_str()).collect();
            sql.push_str(&format!(" WHERE {}", join(conditions, " AND ")));
        }
        if !self.group.is_empty() {
            sql.push_str(&format!(" GROUP BY {}", self.group.join(", ")));
        }
        if let Some(having) = &self.having {
            sql.push_str(&format!(" HAVING {having}"));
        }
        if !self.order.is_empty() {
            let order = self.order.iter().map(|sort| sort.sql.as_str()).collect();
            sql.push_str(&format!(" ORDER BY {}", join(order, ", ")));
        }
        match self.limit {
            Some((rows, 0)) if !whole => sql.push_str(&format!(" LIMIT {rows}")),
            Some((rows, offset)) if !whole => sql.push_str(&format!(" LIMIT {rows} OFFSET {offset}")),
            _ => {}
        }
        sql
    }

    /// All parameters in their order; not empty: it is to be prepared.
    pub(crate) fn parameters(&self) -> Vec<Parameter> {
        self.conditions.iter().flat_map(|one| one.parameters.iter().cloned()).collect()
    }

    /// What it promises about its rows.
    pub(crate) fn promise(&self) -> Promise {
        // An order by something that is not selected, or is written in many ways, cannot be seen; what
        // follows it cannot be checked either.
        let seen = self.order.iter().map_while(|sort| sort.item).collect();
        Promise {
            total: self.total && !self.order.is_empty(),
            ordered: seen,
            cut: self.limit.is_some(),
            warned_by_plan: self.limit.is_some()
                || self.conditions.iter().any(|one| one.sql.contains("abc'")),
            loose: (0..self.items.len()).filter(|n| self.items[*n].loose).collect(),
        }
    }

    /// Smaller statements of the same kind.
    pub(crate) fn smaller(&self) -> Vec<Self> {
        let mut smaller = Vec::new();
        let mut with = |change: &dyn Fn(&mut Self)| {
            let mut less = self.clone();
            change(&mut less);
            smaller.push(less);
        };
        for n in 0..self.conditions.len() {
            with(&|less| drop(less.conditions.remove(n)));
        }
        if self.having.is_some() {
            with(&|less| less.having = None);
        }
        if self.limit.is_some() {
            with(&|less| less.limit = None);
        }
        if self.distinct {
            with(&|less| less.distinct = false);
        }
        for n in 0..self.order.len() {
            with(&|less| {
                less.order.remove(n);
                less.total &= n < less.order.len();
            });
        }
        if self.items.len() > 1 && self.order.is_empty() && self.union.is_none() {
            for n in 0..self.items.len() {
                with(&|less| drop(less.items.remove(n)));
            }
        }
        smaller
    }
}

#[cfg(test)]
mod tests {
    use super::{Item, Predicate, Query, Sort};

    #[test]
    fn a_query_gets_smaller_piece_by_piece() {
        let query = Query {
            items: vec![Item { sql: "a".into(), loose: false }, Item { sql: "b".into(), loose: true }],
            from: "t".into(),
            conditions: vec![Predicate { sql: "c = 1".into(), parameters: Vec::new() }],
            order: vec![Sort { sql: "a".into(), item: Some(0) }, Sort { sql: "id".into(), item: None }],
            total: true,
            limit: Some((5, 2)),
            ..Query::default()
        };
        assert_eq!(query.sql(false), "SELECT a, b FROM t WHERE c = 1 ORDER BY a, id LIMIT 5 OFFSET 2");
        assert_eq!(query.sql(true), "SELECT a, b FROM t WHERE c = 1 ORDER BY a, id");
        let promise = query.promise();
        assert!(promise.total && promise.cut && promise.ordered == [0] && promise.loose == [1]);
        let mut at = query;
        while let Some(less) = at.smaller().pop() {
            assert!(less.sql(false).len() < at.sql(false).len());
            at = less;
        }
        assert_eq!(at.sql(false).matches(',').count(), 0);
    }
}
