//! GROUP BY, aggregates and DISTINCT over several slots.
//!
//! Groups that a key decides are whole in their slot and pushed down as they are. Others are asked for in
//! parts, sorted by their keys, and folded here.

use crate::merge::{BitOperation, ComputedKey, Fold, Grouping, OrderKey};
use crate::sharding::planner::Refusal;
use crate::sharding::planner::block::Statement;
use crate::sharding::planner::features::{QUOTIENTS, adds_quotients, is_aggregate, is_truth};
use crate::sharding::planner::local::{aggregates, aggregates_outside, has_aggregate, is_plain};
use crate::sharding::planner::names::same_name;
use crate::sharding::planner::pushdown::Pushdown;
use crate::sharding::planner::scatter::{Column, Columns};
use crate::sharding::planner::within::Within;
use crate::sql::tree::{Call, Constant, Direction, ExprId, ExprKind, Item, ItemKind, Query, Select, Span};

/// The columns and the merge of a SELECT over several slots.
pub(super) fn plan<'s, 'a>(
    statement: &'s Statement<'a>,
    query: &Query,
    select: &'s Select,
    pushdown: &Pushdown,
) -> Result<Columns<'s, 'a>, Refusal> {
    if select.calc_found_rows.is_some() {
        return Err(Refusal::Shape { what: "SQL_CALC_FOUND_ROWS" });
    }
    if aggregates_outside(statement, query, select) {
        return Err(Refusal::Shape { what: "a subquery that may count rows of the query around it" });
    }
    let mut columns = Columns::new(statement, Some(select))?;
    if is_plain(statement, select, pushdown) {
        if adds_quotients(statement) {
            return Err(Refusal::Shape { what: QUOTIENTS });
        }
        if let Some(order) = &query.order {
            if select.distinct.is_some() && columns.shown().is_none() {
                return Err(Refusal::Shape { what: "SELECT DISTINCT * with ORDER BY" });
            }
            for key in &order.keys {
                let key = columns.sorted(*key)?;
                columns.plan.input.extend(key);
            }
        }
        if select.distinct.is_none() || columns.hidden() == 0 {
            columns.limit(query.limit)?;
            return Ok(columns);
        }
        columns = Columns::new(statement, Some(select))?;
    }
    if statement.features.window {
        return Err(Refusal::Shape { what: "a window function" });
    }
    if select.distinct.is_some() {
        return distinct(columns, query, select);
    }
    Groups::new(columns, query, select)?.plan()
}

/// SELECT DISTINCT: rows in the order of all their columns, each kept once.
fn distinct<'s, 'a>(
    mut columns: Columns<'s, 'a>,
    query: &Query,
    select: &Select,
) -> Result<Columns<'s, 'a>, Refusal> {
    if select.group.is_some() || select.having.is_some() || columns.shown().is_none() {
        return Err(Refusal::Shape { what: "SELECT DISTINCT of * or of groups" });
    }
    if aggregates(columns.statement, select) {
        return Err(Refusal::Shape { what: "SELECT DISTINCT of an aggregate" });
    }
    let mut order = Vec::new();
    for (at, item) in select.items.iter().enumerate() {
        let ItemKind::Expr(expr, _) = item.kind else { continue };
        columns.exact(&[expr])?;
        let text = columns.text_of(expr)?;
        let key = columns.key(&Column { number: at, text });
        columns.plan.input.push(key);
        order.push((at + 1).to_string());
    }
    let mut sort = Vec::new();
    for key in query.order.iter().flat_map(|order| &*order.keys) {
        let (at, _) = columns
            .item_of(key.expr, true)?
            .ok_or(Refusal::Shape { what: "SELECT DISTINCT sorted by something else" })?;
        sort.push(OrderKey { descending: key.direction == Direction::Descending, ..columns.plan.input[at] });
    }
    columns.plan.sort = sort;
    columns.plan.grouping = Some(Grouping { keys: select.items.len(), ..Grouping::default() });
    if let Some(order) = &query.order {
        columns.edits.cut(order.span);
    }
    columns.edits.replace(select.span.after(), format!(" ORDER BY {}", order.join(", ")));
    columns.limit_here(query.limit)?;
    Ok(columns)
}

/// A SELECT whose groups are folded here.
pub(super) struct Groups<'q, 's, 'a> {
    pub(super) columns: Columns<'s, 'a>,
    query: &'q Query,
    pub(super) select: &'s Select,
    /// Expressions of the keys, and their columns.
    pub(super) keys: Vec<(ExprId, Column)>,
    pub(super) folds: Vec<Fold>,
    /// What is asked of the rows of a group.
    pub(super) within: Within,
    /// Aggregates that have a column: text, what they are sorted by.
    pub(super) known: Vec<(Vec<u8>, OrderKey)>,
    /// An AVG in an expression is to have the digits that it shows.
    pub(super) shown_digits: bool,
}

impl<'q, 's, 'a> Groups<'q, 's, 'a> {
    fn new(columns: Columns<'s, 'a>, query: &'q Query, select: &'s Select) -> Result<Self, Refusal> {
        if columns.shown().is_none() {
            return Err(Refusal::Shape { what: "* of groups" });
        }
        if select.group.as_ref().is_some_and(|group| group.rollup) {
            return Err(Refusal::Shape { what: "WITH ROLLUP" });
        }
        Ok(Self {
            columns,
            query,
            select,
            keys: Vec::new(),
            folds: Vec::new(),
            within: Within::default(),
            known: Vec::new(),
            shown_digits: false,
        })
    }

    fn plan(mut self) -> Result<Columns<'s, 'a>, Refusal> {
        self.group_keys()?;
        for (at, item) in self.select.items.iter().enumerate() {
            if let ItemKind::Expr(expr, alias) = item.kind {
                self.item(at, expr, alias.is_none().then_some(item.span))?;
            }
        }
        if let Some((word, having)) = self.select.having {
            match self.condition(having) {
                Ok(condition) => self.columns.plan.having = Some(condition),
                Err(_) => self.computed_having(having)?,
            }
            let end = self.columns.statement.tree.expr(having).span.end;
            self.columns.edits.cut(Span::new(word.start, end));
            self.columns.unbind(&[having]);
        }
        self.order()?;
        self.clauses()?;
        let implicit = self.select.group.is_none();
        let keys = self.keys.len();
        self.columns.plan.grouping =
            Some(Grouping { keys, implicit, folds: self.folds, ..self.within.grouping });
        self.columns.limit_here(self.query.limit)?;
        let plan = &mut self.columns.plan;
        if let Some(computed) = plan.computed.as_mut()
            && (computed.filter.is_some() || !computed.sort.is_empty())
        {
            (computed.offset, computed.limit) = (std::mem::take(&mut plan.offset), plan.limit.take());
        }
        Ok(self.columns)
    }

    fn group_keys(&mut self) -> Result<(), Refusal> {
        let select = self.select;
        for key in select.group.iter().flat_map(|group| &*group.keys) {
            let mut item = self.columns.item_of(key.expr, false)?;
            if self.columns.hides_an_alias(key.expr) {
                item = Some(self.grouped_alias(key.expr)?);
            }
            let expr = item.map_or(key.expr, |(_, expr)| expr);
            if has_aggregate(self.columns.statement, expr) {
                return Err(Refusal::Shape { what: "GROUP BY an aggregate" });
            }
            if matches!(self.columns.statement.tree.expr(expr).kind, ExprKind::Constant(_)) {
                // In ORDER BY its number would name a column.
                return Err(Refusal::Shape { what: "GROUP BY a constant" });
            }
            self.columns.exact(&[expr])?;
            item = item.or_else(|| self.item_like(expr));
            let text = self.columns.text_of(expr)?;
            let number = item.map_or_else(|| self.columns.hide(text.clone()), |(at, _)| at);
            let column = Column { number, text };
            let plain = matches!(self.columns.statement.tree.expr(expr).kind, ExprKind::Column(_));
            let order = if plain { self.columns.key(&column) } else { self.columns.grouped_key(&column) };
            self.columns.plan.input.push(order);
            self.keys.push((expr, column));
        }
        Ok(())
    }

    /// The entry of the select list that is written like this expression.
    fn item_like(&self, id: ExprId) -> Option<(usize, ExprId)> {
        let like = |item: &Item| match item.kind {
            ItemKind::Expr(expr, _) if self.same_text(expr, id) => Some(expr),
            ItemKind::Expr(..) | ItemKind::Star | ItemKind::TableStar(_) => None,
        };
        self.select.items.iter().enumerate().find_map(|(at, item)| Some((at, like(item)?)))
    }

    fn same_text(&self, one: ExprId, other: ExprId) -> bool {
        let tree = self.columns.statement.tree;
        self.columns.text_at(tree.expr(one).span) == self.columns.text_at(tree.expr(other).span)
    }

    /// Which key of the group an expression is.
    pub(super) fn key_of(&self, id: ExprId) -> Option<usize> {
        let (tree, text) = (self.columns.statement.tree, self.columns.statement.text());
        self.keys.iter().position(|(key, _)| {
            *key == id
                || match (&tree.expr(*key).kind, &tree.expr(id).kind) {
                    (ExprKind::Column(one), ExprKind::Column(other)) => {
                        let tables = match (one.table, other.table) {
                            (Some(one), Some(other)) => same_name(&one.name(text), &other.name(text)),
                            _ => true,
                        };
                        tables && same_name(&one.column.name(text), &other.column.name(text))
                    }
                    (ExprKind::Column(_), _) | (_, ExprKind::Column(_)) => false,
                    _ => self.same_text(*key, id),
                }
        })
    }

    fn item(&mut self, at: usize, expr: ExprId, untitled: Option<Span>) -> Result<(), Refusal> {
        let tree = self.columns.statement.tree;
        let kind = &tree.expr(expr).kind;
        if is_aggregate(tree.expr(expr))
            && let ExprKind::Call(call) = kind
        {
            return self.aggregate(call, expr, Some((at, untitled))).map(|_| ());
        }
        if self.key_of(expr).is_some() {
            return Ok(());
        }
        if is_truth(kind) {
            return Err(Refusal::Shape { what: "a comparison as a column of groups" });
        }
        if has_aggregate(self.columns.statement, expr) {
            return self.computed(at, expr, untitled);
        }
        match self.is_determined(expr) {
            true => Ok(()),
            false => Err(Refusal::Shape { what: "a column that is not grouped by" }),
        }
    }

    /// The column of an aggregate: the one that the client sees, or a hidden one.
    pub(super) fn aggregate(
        &mut self,
        call: &Call,
        id: ExprId,
        shown: Option<(usize, Option<Span>)>,
    ) -> Result<OrderKey, Refusal> {
        let own = self.columns.text_of(id)?;
        if shown.is_none()
            && let Some((_, key)) = self.known.iter().find(|(text, _)| text.eq_ignore_ascii_case(&own))
        {
            return Ok(*key);
        }
        let name = call.name.as_deref().unwrap_or_default();
        if name == "GROUP_CONCAT" {
            return self.concat(call, (id, own), shown);
        }
        let argument = match &*call.arguments {
            [] => Vec::new(),
            [only] => self.columns.text_of(*only)?,
            [first, ..] if name == "COUNT" && call.is_distinct() => self.columns.text_of(*first)?,
            _ => return Err(Refusal::Shape { what: "an aggregate of several columns" }),
        };
        if !matches!(name, "MIN" | "MAX" | "COUNT") || call.is_distinct() {
            self.columns.exact(&call.arguments)?;
        }
        // MIN and MAX of different values are those of all.
        let distinct = call.is_distinct() && !matches!(name, "MIN" | "MAX");
        let of = |function: &str| [function.as_bytes(), b"(", &argument, b")"].concat();
        let text = if distinct { of(name) } else { own.clone() };
        let column = match shown {
            Some((at, untitled)) => {
                if distinct {
                    self.undistinct(id, &text, untitled)?;
                }
                at
            }
            // As it is, so that it is no column of another fold.
            None => self.columns.hide(own.clone()),
        };
        let set = if distinct { self.distinct_argument(&call.arguments)? } else { 0 };
        let mut key = OrderKey::ascending(column);
        let fold = match (name, distinct) {
            ("COUNT", false) => Fold::Count { column },
            ("SUM", false) => Fold::Sum { column },
            ("AVG", false) => {
                let (sum, count) = (self.columns.hide(of("SUM")), self.columns.hide(of("COUNT")));
                Fold::Average { column, sum, count }
            }
            ("MIN" | "MAX", _) => {
                key = self.columns.key(&Column { number: column, text });
                if name == "MIN" { Fold::Min { key } } else { Fold::Max { key } }
            }
            ("BIT_AND", false) => Fold::Bits { operation: BitOperation::And, column },
            ("BIT_OR", false) => Fold::Bits { operation: BitOperation::Or, column },
            ("BIT_XOR", false) => Fold::Bits { operation: BitOperation::Xor, column },
            ("COUNT", true) => Fold::CountDistinct { column, set },
            ("SUM", true) => Fold::SumDistinct { column, value: self.columns.hide(argument), set },
            ("AVG", true) => {
                let (sum, value) = (self.columns.hide(of("SUM")), self.columns.hide(argument));
                Fold::AverageDistinct { column, sum, value, set }
            }
            _ => return Err(Refusal::Shape { what: "this aggregate" }),
        };
        self.folds.push(fold);
        self.known.push((own, key));
        Ok(key)
    }

    /// The hidden column of COUNT or SUM of an argument.
    pub(super) fn partial(&mut self, function: &str, argument: &[u8]) -> usize {
        let text = [function.as_bytes(), b"(", argument, b")"].concat();
        if let Some((_, key)) = self.known.iter().find(|(known, _)| known.eq_ignore_ascii_case(&text)) {
            return key.column;
        }
        let column = self.columns.hide(text.clone());
        self.folds.push(if function == "COUNT" { Fold::Count { column } } else { Fold::Sum { column } });
        self.known.push((text, OrderKey::ascending(column)));
        column
    }

    /// Takes DISTINCT from an aggregate that the client sees.
    fn undistinct(&mut self, id: ExprId, text: &[u8], untitled: Option<Span>) -> Result<(), Refusal> {
        let statement = self.columns.statement;
        let span = statement.tree.expr(id).span;
        if statement.names().touch(span) {
            return Err(Refusal::Shape { what: "an aggregate with the logical database's name in it" });
        }
        self.columns.edits.replace(span, text);
        if let Some(item) = untitled {
            self.columns.edits.replace(item.after(), statement.title(item)?);
        }
        Ok(())
    }

    /// ORDER BY and GROUP BY of what the slots are sent.
    fn clauses(&mut self) -> Result<(), Refusal> {
        let mut sorted: Vec<Vec<u8>> = self.keys.iter().map(|(_, column)| column.text.clone()).collect();
        let (more, order) = self.within_groups();
        let mut text = Vec::new();
        for (n, value) in more.iter().enumerate() {
            let first = n == 0 && self.select.group.is_none();
            text.extend_from_slice(if first { b" GROUP BY " } else { b", " });
            text.extend_from_slice(value);
        }
        sorted.extend(order);
        if !sorted.is_empty() {
            text.extend_from_slice(b" ORDER BY ");
            text.extend_from_slice(&sorted.join(&b", "[..]));
        }
        let tree = self.columns.statement.tree;
        let end = match (&self.select.group, self.select.filter, self.select.from) {
            (Some(group), _, _) => group.span.after(),
            (None, Some(filter), _) => tree.expr(filter).span.after(),
            (None, None, Some(from)) => tree.table(from).span.after(),
            (None, None, None) => return Err(Refusal::Shape { what: "an aggregate of no table" }),
        };
        if let Some(order) = &self.query.order {
            self.columns.edits.cut(order.span);
        }
        if let (Some(group), false) = (&self.select.group, sorted.is_empty())
            && group.keys.iter().any(|key| key.direction != Direction::Unsaid)
        {
            return Err(Refusal::Shape { what: "GROUP BY with a direction" });
        }
        self.columns.edits.replace(end, text);
        Ok(())
    }

    fn order(&mut self) -> Result<(), Refusal> {
        let (mut sort, mut computed) = (Vec::new(), false);
        for key in self.query.order.iter().flat_map(|order| &*order.keys) {
            let tree = self.columns.statement.tree;
            if matches!(tree.expr(key.expr).kind, ExprKind::Constant(Constant::Null)) {
                continue;
            }
            let item = self.columns.item_of(key.expr, true)?;
            let expr = item.map_or(key.expr, |(_, expr)| expr);
            let descending = key.direction == Direction::Descending;
            if has_aggregate(self.columns.statement, expr) && !is_aggregate(tree.expr(expr)) {
                computed = true;
                self.columns.unbind(&[key.expr]);
                sort.push(self.computed_key(item.map(|(at, _)| at), expr, descending)?);
                continue;
            }
            let sorted = self.value(expr)?;
            sort.push(ComputedKey::Column(OrderKey { descending, ..sorted }));
        }
        if computed {
            self.columns.plan.computed.get_or_insert_default().sort = sort;
            return Ok(());
        }
        self.columns.plan.sort.extend(sort.into_iter().filter_map(|key| match key {
            ComputedKey::Column(key) => Some(key),
            ComputedKey::Item { .. } => None,
        }));
        Ok(())
    }

    /// A key of the group or an aggregate, as something to sort by.
    pub(super) fn value(&mut self, id: ExprId) -> Result<OrderKey, Refusal> {
        if let Some(at) = self.key_of(id) {
            return Ok(self.columns.plan.input[at]);
        }
        let expr = self.columns.statement.tree.expr(id);
        match &expr.kind {
            ExprKind::Call(call) if is_aggregate(expr) => self.aggregate(call, id, None),
            _ => Err(Refusal::Shape { what: "groups sorted by an expression" }),
        }
    }
}
