//! What a plan depends on: for statements of one slot, the literal or parameter that decides it.
//!
//! A statement that differs from a planned one in literals alone is planned the same unless the planner looked at
//! one of them. If it looked at one, always in the same way, and each look led to one slot, then the plan is a
//! function of that slot, made of unions and intersections with sets that treat all slots of the placement alike.
//! So where one slot leads to a statement for that slot, each does; one other is tried nevertheless.

use std::cell::{Cell, RefCell};

use crate::sharding::key::{KeyId, KeyValue, Match, Stored};
use crate::sharding::placement::{Located, PlacementId};
use crate::sharding::planner::block::{InstanceKind, Statement};
use crate::sharding::planner::value::value_of;
use crate::sharding::planner::{Action, HintsUsed, Plan, ReadFrom, Request, Sql, plan_traced};
use crate::sharding::rules::ShardingRules;
use crate::sharding::slots::SlotId;
use crate::sql::tree::{Constant, ExprKind, Span};

/// How to find the slot of a statement that differs from another one in literals and parameters alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// Every slot will do.
    Any,
    /// It is always this one.
    Fixed(SlotId),
    /// One value decides.
    Key(KeyRecipe),
}

/// See [`Recipe::Key`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRecipe {
    look: Look,
    source: Source,
}

/// Where the deciding value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// It is the parameter of this number.
    Parameter(u32),
    /// It is a number there in the text.
    Number(Span),
    /// It is a string there in the text.
    Text(Span),
}

/// How the planner looks at a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    placement: PlacementId,
    /// The key by whose type it is compared, and the one that it stands for.
    named: KeyId,
    own: KeyId,
    /// It is the value of a new row.
    stored: bool,
}

/// What the planner looked at.
#[derive(Debug, Default)]
pub(super) struct Trace {
    looks: RefCell<Vec<(Look, Source)>>,
    /// It looked at a value in another way.
    spoiled: Cell<bool>,
    /// Every value that leads to one slot leads to this one.
    pretend: Option<SlotId>,
}

impl Trace {
    /// The plan depends on something that is not followed.
    pub(super) fn spoil(&self) {
        self.spoiled.set(true);
    }

    /// A value is compared with a key. What is to be taken for its slot, if it has one.
    pub(super) fn compared(&self, placement: PlacementId, (own, named): (KeyId, KeyId), kind: &ExprKind) {
        self.look(Look { placement, named, own, stored: false }, kind);
    }

    /// A value is the key of a new row.
    pub(super) fn stored(&self, placement: PlacementId, key: KeyId, kind: &ExprKind) {
        self.look(Look { placement, named: key, own: key, stored: true }, kind);
    }

    fn look(&self, look: Look, kind: &ExprKind) {
        let source = match *kind {
            ExprKind::Parameter(number) => Source::Parameter(number),
            ExprKind::Constant(Constant::Number { value }) => Source::Number(value),
            ExprKind::Constant(Constant::Text { value }) => Source::Text(value),
            _ => return self.spoil(),
        };
        self.looks.borrow_mut().push((look, source));
    }

    /// The slot that stands for any.
    pub(super) fn instead_of(&self, slot: SlotId) -> SlotId {
        self.pretend.unwrap_or(slot)
    }

    /// Tables of one slot, or of two placements, do not treat all slots alike.
    pub(super) fn note(&self, statement: &Statement<'_>) {
        let mut placements = statement.instances.iter().filter_map(|instance| match instance.kind {
            InstanceKind::Placed(_, placement) => Some(placement),
            InstanceKind::Reference(_) | InstanceKind::Single(_) | InstanceKind::Apart => None,
        });
        let first = placements.next();
        let single = |kind| matches!(kind, InstanceKind::Single(_));
        let fixed = statement.instances.iter().any(|instance| single(instance.kind));
        if first.is_some() && (fixed || placements.any(|other| Some(other) != first)) {
            self.spoil();
        }
    }

    /// What was looked at, if it is one value, in one way.
    fn only(&self) -> Option<(Look, Source)> {
        let looks = self.looks.borrow();
        let first = *looks.first()?;
        looks.iter().all(|look| *look == first).then_some(first)
    }
}

/// How statements are planned that differ from this one in literals and parameters alone; None if that is not
/// simple.
#[must_use]
pub fn recipe(rules: &ShardingRules, request: &Request<'_>) -> Option<Recipe> {
    let trace = Trace::default();
    let plan = plan_traced(rules, request, &trace);
    let plain = !plan.explain && plan.read_from == ReadFrom::Unsaid && plan.hints == HintsUsed::default();
    if trace.spoiled.get() || !plain {
        return None;
    }
    let unlooked = trace.looks.borrow().is_empty();
    let slot = match plan.action {
        Action::Any { sql: Sql::Client } if unlooked => return Some(Recipe::Any),
        Action::One { slot, sql: Sql::Client } if unlooked => return Some(Recipe::Fixed(slot)),
        Action::One { slot, sql: Sql::Client } => slot,
        _ => return None,
    };
    let (look, source) = trace.only()?;
    let recipe = KeyRecipe { look, source };
    let other = rules.placement(look.placement).all().iter().find(|other| *other != slot)?;
    let pretending = Trace { pretend: Some(other), ..Trace::default() };
    let Plan { action: Action::One { slot: moved, sql: Sql::Client }, .. } =
        plan_traced(rules, request, &pretending)
    else {
        return None;
    };
    let span = match source {
        Source::Parameter(_) => None,
        Source::Number(span) | Source::Text(span) => Some(span),
    };
    (moved == other && recipe.slot(rules, request, span) == Some(slot)).then_some(Recipe::Key(recipe))
}

impl KeyRecipe {
    /// Where the deciding value stands in the text that the recipe was made of.
    #[must_use]
    pub const fn source(&self) -> Source {
        self.source
    }

    /// The slot of a statement whose deciding literal stands at `span`. None: this value is not so simple, the
    /// statement has to be planned.
    #[must_use]
    pub fn slot(&self, rules: &ShardingRules, request: &Request<'_>, span: Option<Span>) -> Option<SlotId> {
        let kind = match (self.source, span) {
            (Source::Parameter(number), _) => ExprKind::Parameter(number),
            (Source::Number(_), Some(value)) => ExprKind::Constant(Constant::Number { value }),
            (Source::Text(_), Some(value)) => ExprKind::Constant(Constant::Text { value }),
            (Source::Number(_) | Source::Text(_), None) => return None,
        };
        let value = value_of(request, &kind)?;
        let (placement, key_type) =
            (rules.placement(self.look.placement), &rules.key(self.look.named).key_type);
        if self.look.stored {
            let Stored::Exactly(value) = key_type.stored(&value.as_key()) else { return None };
            // 0 may stand for an id that is to be made.
            if value == KeyValue::Integer(0) {
                return None;
            }
            return placement.slot_of_row(&[(self.look.own, value)]).ok();
        }
        let Match::Exactly(value) = key_type.equal_to(&value.as_key()) else { return None };
        match placement.locate(self.look.own, &value) {
            Located::One(slot) => Some(slot),
            Located::Nowhere | Located::Among(_) => None,
        }
    }
}
