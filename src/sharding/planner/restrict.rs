//! The routing algebra: for each table in each place, the slots whose rows can matter.
//!
//! A slot is left out only if all its rows of that table could be taken away without changing the answer. So
//! an ON restricts the nullable side alone, an equality restricts in the direction in which it holds, and
//! whatever is not understood restricts nothing.

use std::ops::Bound;

use crate::sharding::key::{Bounded, KeyId, KeyLiteral, KeyValue, Match, Side};
use crate::sharding::placement::{Located, Placement, PlacementId};
use crate::sharding::planner::Reason;
use crate::sharding::planner::block::{InstanceKind, Role, Statement};
use crate::sharding::planner::names::KeyRef;
use crate::sharding::planner::value::{Value, is_false, value};
use crate::sharding::slots::SlotSet;
use crate::sql::tree::{
    Body, CompareOp, Condition, ExprId, ExprKind, ItemKind, JoinKind, Polarity, QueryId, Span, TableId,
    TableKind, Truth,
};

/// What holds for every row of an instance that matters.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Conditions, each in its block.
    pub(super) conditions: Vec<(usize, ExprId)>,
    /// Pairs of keys that are equal in those rows.
    pub(super) equal: Vec<(KeyRef, KeyRef)>,
}

impl Facts {
    /// All keys that are equal to one of `instance`, itself included: the instance's own key, the other one.
    pub(super) fn linked(&self, own: KeyRef) -> Vec<KeyRef> {
        let mut class = vec![own];
        let mut at = 0;
        while at < class.len() {
            for (left, right) in &self.equal {
                for (one, other) in [(left, right), (right, left)] {
                    if *one == class[at] && !class.contains(other) {
                        class.push(*other);
                    }
                }
            }
            at += 1;
        }
        class
    }
}

impl Statement<'_> {
    /// What holds for the rows of `instance` that matter.
    pub(super) fn facts(&self, instance: usize) -> Facts {
        let mut facts = Facts::default();
        let own = &self.instances[instance];
        let mut block = own.block;
        if let Some(from) = self.blocks[block].from {
            self.along(block, from, own.node, &mut facts);
        }
        self.hold(block, self.blocks[block].filter, &mut facts);
        // Around a subquery, what filters the rows for which it is asked.
        while self.blocks[block].role == Role::Inside
            && let Some(parent) = self.blocks[block].parent
        {
            self.membership(parent, block, &mut facts);
            if let Some(from) = self.blocks[parent].from {
                self.always(parent, from, &mut facts);
            }
            self.hold(parent, self.blocks[parent].filter, &mut facts);
            block = parent;
        }
        facts
    }

    /// The same, with what holds for the rows of other tables that they are equal to: such rows are no
    /// NULLs of an outer join, so they matter themselves.
    pub(super) fn closure(&self, instance: usize) -> Facts {
        let InstanceKind::Placed(table, _) = self.instances[instance].kind else { return Facts::default() };
        let crate::sharding::rules::TableKind::Placed(placed) = &self.rules.table(table).kind else {
            return Facts::default();
        };
        let mut facts = self.facts(instance);
        let mut seen = vec![instance];
        loop {
            let linked =
                placed.columns.iter().flat_map(|column| facts.linked(KeyRef { instance, key: column.key }));
            let Some(next) = linked.map(|key| key.instance).find(|other| !seen.contains(other)) else {
                break;
            };
            seen.push(next);
            let more = self.facts(next);
            facts.conditions.extend(more.conditions);
            facts.equal.extend(more.equal);
        }
        facts
    }

    /// Takes the conjuncts of a condition.
    fn hold(&self, block: usize, condition: Option<ExprId>, facts: &mut Facts) {
        let Some(condition) = condition else { return };
        match &self.tree.expr(condition).kind {
            ExprKind::And(list) => list.iter().for_each(|one| self.hold(block, Some(*one), facts)),
            ExprKind::Compare(CompareOp::Equal, left, right) => {
                if let (Some(left), Some(right)) = (self.key_ref(block, *left), self.key_ref(block, *right)) {
                    self.equate(left, right, facts);
                }
                facts.conditions.push((block, condition));
            }
            _ => facts.conditions.push((block, condition)),
        }
    }

    fn equate(&self, left: KeyRef, right: KeyRef, facts: &mut Facts) {
        if self.rules.key(left.key).key_type.same_domain(&self.rules.key(right.key).key_type) {
            facts.equal.push((left, right));
        }
    }

    /// Whether `target` is in this part of FROM; if so, what its joins say of its rows.
    fn along(&self, block: usize, table: TableId, target: TableId, facts: &mut Facts) -> bool {
        let TableKind::Join(join) = &self.tree.table(table).kind else { return table == target };
        let in_left = self.along(block, join.left, target, facts);
        if !in_left && !self.along(block, join.right, target, facts) {
            return false;
        }
        let restricts = match self.join_kind(block, join) {
            JoinKind::Inner => true,
            JoinKind::Left => !in_left,
            JoinKind::Right => in_left,
        };
        if restricts {
            self.condition(block, table, facts);
            self.always(block, if in_left { join.right } else { join.left }, facts);
        }
        true
    }

    /// What holds for every row of this part of FROM.
    fn always(&self, block: usize, table: TableId, facts: &mut Facts) {
        let TableKind::Join(join) = &self.tree.table(table).kind else { return };
        match self.join_kind(block, join) {
            JoinKind::Inner => {
                self.condition(block, table, facts);
                self.always(block, join.left, facts);
                self.always(block, join.right, facts);
            }
            JoinKind::Left => self.always(block, join.left, facts),
            JoinKind::Right => self.always(block, join.right, facts),
        }
    }

    /// The condition of a join.
    fn condition(&self, block: usize, table: TableId, facts: &mut Facts) {
        let TableKind::Join(join) = &self.tree.table(table).kind else { return };
        match &join.condition {
            Condition::None | Condition::Natural => {}
            Condition::On(condition) => self.hold(block, Some(*condition), facts),
            Condition::Using(columns) => {
                for column in columns {
                    let (left, right) = (self.using(join.left, *column), self.using(join.right, *column));
                    if let (Some(left), Some(right)) = (left, right) {
                        self.equate(left, right, facts);
                    }
                }
            }
        }
    }

    /// The table of this part of FROM whose `column` USING means.
    fn using(&self, table: TableId, column: Span) -> Option<KeyRef> {
        let name = column.name(self.text());
        let inside = |node: TableId| self.contains(table, node);
        let mut found =
            (0..self.instances.len()).filter(|at| inside(self.instances[*at].node)).filter_map(|at| {
                let InstanceKind::Placed(id, _) = self.instances[at].kind else { return None };
                let crate::sharding::rules::TableKind::Placed(placed) = &self.rules.table(id).kind else {
                    return None;
                };
                let key = placed.key_of(std::str::from_utf8(&name).ok()?)?;
                Some(KeyRef { instance: at, key })
            });
        let first = found.next()?;
        (found.next().is_none() || self.merges(table, column)).then_some(first)
    }

    pub(super) fn contains(&self, table: TableId, node: TableId) -> bool {
        match &self.tree.table(table).kind {
            TableKind::Join(join) => self.contains(join.left, node) || self.contains(join.right, node),
            _ => table == node,
        }
    }

    /// `key IN (SELECT key FROM …)` as a conjunct of WHERE: only equal rows of the subquery matter.
    fn membership(&self, parent: usize, block: usize, facts: &mut Facts) {
        let Some(filter) = self.blocks[parent].filter else { return };
        let conjuncts = match &self.tree.expr(filter).kind {
            ExprKind::And(list) => list.to_vec(),
            _ => vec![filter],
        };
        for conjunct in conjuncts {
            let ExprKind::InQuery(left, query, Polarity::Plain) = self.tree.expr(conjunct).kind else {
                continue;
            };
            if self.blocks[block].query != Some(query) {
                continue;
            }
            let Some(item) = self.plain_item(query) else { continue };
            if let (Some(outer), Some(inner)) = (self.key_ref(parent, left), self.key_ref(block, item)) {
                self.equate(outer, inner, facts);
            }
        }
    }

    /// The one column of a SELECT whose rows are those of its tables that pass WHERE.
    fn plain_item(&self, query: QueryId) -> Option<ExprId> {
        let query = self.tree.query(query);
        let Body::Select(select) = &query.body else { return None };
        let plain = query.limit.is_none()
            && select.group.is_none()
            && select.having.is_none()
            && !self.features.window;
        match (&*select.items, plain) {
            ([item], true) => match item.kind {
                ItemKind::Expr(expr, _) => Some(expr),
                ItemKind::Star | ItemKind::TableStar(_) => None,
            },
            _ => None,
        }
    }

    /// The slots of `instance` whose rows can matter, and what says so.
    pub(super) fn slots(&self, instance: usize, why: &mut Vec<Reason>) -> SlotSet {
        let (table, placement) = match self.instances[instance].kind {
            InstanceKind::Placed(table, placement) => (table, placement),
            InstanceKind::Single(slot) => return SlotSet::one(self.rules.slots().len(), slot),
            InstanceKind::Reference(_) | InstanceKind::Apart => return self.rules.all_slots(),
        };
        let facts = self.closure(instance);
        let crate::sharding::rules::TableKind::Placed(placed) = &self.rules.table(table).kind else {
            return self.rules.all_slots();
        };
        let keys = placed.columns.iter().map(|column| KeyRef { instance, key: column.key });
        let own: Vec<(KeyId, Vec<KeyRef>)> = keys.map(|own| (own.key, facts.linked(own))).collect();
        let (id, placement) = (placement, self.rules.placement(placement));
        let mut slots = placement.all().clone();
        for (block, condition) in &facts.conditions {
            let algebra = Algebra { statement: self, id, placement, own: &own, block: *block };
            let left = algebra.eval(*condition);
            if &left != placement.all() {
                why.push(Reason {
                    span: self.tree.expr(*condition).span,
                    table: self.rules.table(table).name.clone(),
                    slots: left.len(),
                });
            }
            slots.intersect(&left);
        }
        if let Some(among) = &self.hints.among {
            slots.intersect(among);
        }
        slots
    }
}

/// Conditions as sets of slots, for one instance.
struct Algebra<'s, 'a> {
    statement: &'s Statement<'a>,
    id: PlacementId,
    placement: &'s Placement,
    /// Each key of the instance with all that are equal to it.
    own: &'s [(KeyId, Vec<KeyRef>)],
    block: usize,
}

impl Algebra<'_, '_> {
    fn all(&self) -> SlotSet {
        self.placement.all().clone()
    }

    fn none(&self) -> SlotSet {
        SlotSet::none(self.placement.all().universe())
    }

    fn intersection(&self, sets: impl Iterator<Item = SlotSet>) -> SlotSet {
        sets.fold(self.all(), |mut all, set| {
            all.intersect(&set);
            all
        })
    }

    fn union(&self, sets: impl Iterator<Item = SlotSet>) -> SlotSet {
        sets.fold(self.none(), |mut all, set| {
            all.unite(&set);
            all
        })
    }

    /// The slots with rows for which the condition can be true.
    fn eval(&self, id: ExprId) -> SlotSet {
        let tree = self.statement.tree;
        let expr = tree.expr(id);
        match &expr.kind {
            ExprKind::And(list) => self.intersection(list.iter().map(|one| self.eval(*one))),
            ExprKind::Or(list) => self.union(list.iter().map(|one| self.eval(*one))),
            ExprKind::Not(inner) => self.eval_not(*inner),
            ExprKind::Is(inner, Truth::True, Polarity::Plain) => self.eval(*inner),
            ExprKind::Compare(op, left, right) => self.compare(*op, *left, *right),
            ExprKind::In(left, list, Polarity::Plain) => {
                self.union(list.iter().map(|one| self.compare(CompareOp::Equal, *left, *one)))
            }
            ExprKind::Between([operand, low, high], Polarity::Plain) => self.between(*operand, *low, *high),
            ExprKind::Constant(_) => {
                self.statement.trace.spoil();
                if is_false(expr, self.statement.text()) { self.none() } else { self.all() }
            }
            _ => self.all(),
        }
    }

    /// The slots with rows for which the condition can be false.
    fn eval_not(&self, id: ExprId) -> SlotSet {
        match &self.statement.tree.expr(id).kind {
            ExprKind::And(list) => self.union(list.iter().map(|one| self.eval_not(*one))),
            ExprKind::Or(list) => self.intersection(list.iter().map(|one| self.eval_not(*one))),
            ExprKind::Not(inner) => self.eval(*inner),
            ExprKind::Compare(op, left, right) => match op {
                CompareOp::NotEqual => self.compare(CompareOp::Equal, *left, *right),
                CompareOp::Less => self.compare(CompareOp::GreaterOrEqual, *left, *right),
                CompareOp::LessOrEqual => self.compare(CompareOp::Greater, *left, *right),
                CompareOp::Greater => self.compare(CompareOp::LessOrEqual, *left, *right),
                CompareOp::GreaterOrEqual => self.compare(CompareOp::Less, *left, *right),
                CompareOp::Equal | CompareOp::NullSafeEqual => self.all(),
            },
            ExprKind::In(left, list, Polarity::Negated) => {
                self.union(list.iter().map(|one| self.compare(CompareOp::Equal, *left, *one)))
            }
            ExprKind::Between([operand, low, high], Polarity::Negated) => self.between(*operand, *low, *high),
            _ => self.all(),
        }
    }

    /// The instance's key that this column is, or is equal to, with the key by whose type it is compared.
    fn key(&self, id: ExprId) -> Option<(KeyId, KeyId)> {
        let named = self.statement.key_ref(self.block, id)?;
        let (own, _) = self.own.iter().find(|(_, class)| class.contains(&named))?;
        Some((*own, named.key))
    }

    fn compare(&self, op: CompareOp, left: ExprId, right: ExprId) -> SlotSet {
        let tree = self.statement.tree;
        if let (ExprKind::Row(left), ExprKind::Row(right)) = (&tree.expr(left).kind, &tree.expr(right).kind) {
            if op != CompareOp::Equal || left.len() != right.len() {
                return self.all();
            }
            return self
                .intersection(left.iter().zip(right).map(|(left, right)| self.compare(op, *left, *right)));
        }
        let request = self.statement.request;
        if let Some((own, named)) = self.key(left) {
            let Some(constant) = value(request, tree.expr(right)) else { return self.all() };
            return self.with_constant(op, (own, named), &constant, right);
        }
        if let Some((own, named)) = self.key(right) {
            let Some(constant) = value(request, tree.expr(left)) else { return self.all() };
            let mirrored = match op {
                CompareOp::Less => CompareOp::Greater,
                CompareOp::LessOrEqual => CompareOp::GreaterOrEqual,
                CompareOp::Greater => CompareOp::Less,
                CompareOp::GreaterOrEqual => CompareOp::LessOrEqual,
                CompareOp::Equal | CompareOp::NullSafeEqual | CompareOp::NotEqual => op,
            };
            return self.with_constant(mirrored, (own, named), &constant, left);
        }
        self.all()
    }

    /// A comparison with the constant `written`.
    fn with_constant(
        &self,
        op: CompareOp,
        (own, named): (KeyId, KeyId),
        constant: &Value<'_>,
        written: ExprId,
    ) -> SlotSet {
        let trace = self.statement.trace;
        let side = match op {
            CompareOp::NotEqual => return self.all(),
            // What an outer join has no row for is NULL, and such rows are wanted here.
            CompareOp::NullSafeEqual if constant.as_key() == KeyLiteral::Null => {
                trace.spoil();
                return self.all();
            }
            CompareOp::Equal | CompareOp::NullSafeEqual => {
                trace.compared(self.id, (own, named), &self.statement.tree.expr(written).kind);
                return self.equal(own, named, &constant.as_key());
            }
            CompareOp::Less => Side::Below,
            CompareOp::LessOrEqual => Side::AtMost,
            CompareOp::Greater => Side::Above,
            CompareOp::GreaterOrEqual => Side::AtLeast,
        };
        trace.spoil();
        let literal = constant.as_key();
        let bounded = self.statement.rules.key(named).key_type.bounded_by(&literal, side);
        let Some(bound) = bound(&bounded) else {
            return if bounded == Bounded::Never { self.none() } else { self.all() };
        };
        if side.is_upper() {
            self.placement.between(own, Bound::Unbounded, bound)
        } else {
            self.placement.between(own, bound, Bound::Unbounded)
        }
    }

    fn equal(&self, own: KeyId, named: KeyId, literal: &KeyLiteral<'_>) -> SlotSet {
        match self.statement.rules.key(named).key_type.equal_to(literal) {
            Match::Never => self.none(),
            Match::Unknown => self.all(),
            Match::Exactly(value) => match self.placement.locate(own, &value) {
                Located::Nowhere => self.none(),
                Located::One(slot) => {
                    SlotSet::one(self.placement.all().universe(), self.statement.trace.instead_of(slot))
                }
                Located::Among(slots) => slots,
            },
        }
    }

    fn between(&self, operand: ExprId, low: ExprId, high: ExprId) -> SlotSet {
        let tree = self.statement.tree;
        let request = self.statement.request;
        let Some((own, named)) = self.key(operand) else { return self.all() };
        self.statement.trace.spoil();
        let (Some(low), Some(high)) = (value(request, tree.expr(low)), value(request, tree.expr(high)))
        else {
            return self.all();
        };
        let key_type = &self.statement.rules.key(named).key_type;
        let (low, high) = (low.as_key(), high.as_key());
        let low = key_type.bounded_by(&low, Side::AtLeast);
        let high = key_type.bounded_by(&high, Side::AtMost);
        if low == Bounded::Never || high == Bounded::Never {
            return self.none();
        }
        let (low, high) = (bound(&low).unwrap_or(Bound::Unbounded), bound(&high).unwrap_or(Bound::Unbounded));
        self.placement.between(own, low, high)
    }
}

fn bound<'v, 'a>(bounded: &'v Bounded<'a>) -> Option<Bound<&'v KeyValue<'a>>> {
    match bounded {
        Bounded::Inclusive(value) => Some(Bound::Included(value)),
        Bounded::Exclusive(value) => Some(Bound::Excluded(value)),
        Bounded::Never | Bounded::Unknown => None,
    }
}
