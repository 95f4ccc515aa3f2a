//! The planner: from a statement to the slots that it asks, what each of them is sent, and what is made of the
//! answers; or a refusal.
//!
//! Everything is an over-approximation: a slot is left out only if no row in it can matter. What one slot
//! holds wholly is sent there as the client wrote it. What several slots hold is split only where the union
//! of their answers is provably the answer of one server; everything else is refused by name.

mod aggregate;
mod alias;
mod block;
mod catalog;
mod combine;
mod computed;
mod explain;
mod features;
mod generate;
mod having;
mod hint;
mod insert_select;
mod local;
mod names;
mod nulls;
mod pushdown;
mod read;
mod recipe;
mod refusal;
mod restrict;
mod scatter;
mod splice;
mod union;
mod value;
mod within;
mod write;

use crate::merge::MergePlan;
use crate::sharding::key::KeyLiteral;
use crate::sharding::planner::block::Statement;
use crate::sharding::planner::hint::Hints;
use crate::sharding::planner::recipe::Trace;
use crate::sharding::rules::ShardingRules;
use crate::sharding::slots::{SlotId, SlotSet};
use crate::sql::LexMode;
use crate::sql::tree::{Root, Span, parse};

pub use generate::{Bind, Completed, Generate};
pub use hint::{HintsUsed, ReadFrom};
pub use recipe::{KeyRecipe, Recipe, Source, recipe};
pub use refusal::{ColumnProblem, Refusal};

/// A statement and what its session adds to its meaning.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// One statement.
    pub text: &'a [u8],
    /// How its text is read.
    pub mode: LexMode,
    /// The client's character set is utf8mb3 or utf8mb4: strings are what the rules understand.
    pub utf8: bool,
    /// The session's schema.
    pub schema: Option<&'a str>,
    /// Values of its `?`, in order; empty for a statement that is only prepared or explained.
    pub parameters: &'a [KeyLiteral<'a>],
}

/// What is done with a statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// It.
    pub action: Action,
    /// The predicates that decided, as their places in the text.
    pub why: Vec<Reason>,
    /// EXPLAIN ROUTE: nothing is executed, the plan is told.
    pub explain: bool,
    /// Whether a hint chooses primary or replica.
    pub read_from: ReadFrom,
    /// Hints that not everybody may use.
    pub hints: HintsUsed,
}

/// Ways to answer a statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// One slot has everything.
    One {
        /// Which.
        slot: SlotId,
        /// What it is sent.
        sql: Sql,
    },
    /// Every slot has everything: any of them, the one of an open transaction first.
    Any {
        /// What it is sent.
        sql: Sql,
    },
    /// Several slots, the answers merged.
    Scatter(Box<Scatter>),
    /// A write that several slots carry out.
    Write(Fanout),
    /// An INSERT that ids have to be made for; with them it is planned anew.
    Generate(Box<Generate>),
    /// It is not done.
    Refuse(Refusal),
}

/// The text that a slot is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sql {
    /// The client's own bytes.
    Client,
    /// The client's text with some places changed, the same for every slot.
    Changed(Vec<u8>),
}

/// A read of several slots.
#[derive(Clone, Debug, PartialEq)]
pub struct Scatter {
    /// Which.
    pub slots: SlotSet,
    /// What each is sent.
    pub sql: Sql,
    /// What is made of the rows.
    pub merge: MergeSpec,
    /// It asks for the time: every slot must be told the same (`SET timestamp`).
    pub same_time: bool,
    /// Parameters whose `?` is gone from the text.
    pub unbound: Vec<u32>,
    /// An ambiguous column (1052) means that a name is not what it was taken for.
    pub probed: bool,
}

/// A merge of results whose number of columns is known only when they come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeSpec {
    /// Columns at the end that the client does not see.
    pub hidden: usize,
    /// Its columns from [`HIDDEN`] on are the hidden ones.
    pub plan: MergePlan,
}

/// A write of several slots.
#[derive(Clone, Debug, PartialEq)]
pub struct Fanout {
    /// Each slot with its text.
    pub parts: Vec<(SlotId, Sql)>,
    /// For each part, the parameters that are none of its rows'; empty: every part has all.
    pub unbound: Vec<Vec<u32>>,
    /// The one whose answer is the client's; None: affected rows are added up.
    pub answer: Option<SlotId>,
    /// It asks for the time: every slot must be told the same.
    pub same_time: bool,
}

/// A predicate that decided, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Its place in the text.
    pub span: Span,
    /// The table whose slots it restricts.
    pub table: Box<str>,
    /// How many slots it leaves.
    pub slots: usize,
}

/// In a [`MergeSpec`], the number of the first hidden column.
pub const HIDDEN: usize = 1 << 20;

/// What is done with a statement under these rules.
#[must_use]
pub fn plan(rules: &ShardingRules, request: &Request<'_>) -> Plan {
    plan_traced(rules, request, &Trace::default())
}

fn plan_traced(rules: &ShardingRules, request: &Request<'_>, trace: &Trace) -> Plan {
    let mut plan = Plan {
        action: Action::Refuse(Refusal::Unparsed { why: "" }),
        why: Vec::new(),
        explain: false,
        read_from: ReadFrom::Unsaid,
        hints: HintsUsed::default(),
    };
    match planned(rules, request, trace, &mut plan) {
        Ok(action) => plan.action = action,
        Err(refusal) => plan.action = Action::Refuse(refusal),
    }
    plan
}

fn planned(
    rules: &ShardingRules,
    request: &Request<'_>,
    trace: &Trace,
    plan: &mut Plan,
) -> Result<Action, Refusal> {
    let hints = Hints::read(rules, request)?;
    (plan.read_from, plan.hints) = (hints.read_from, hints.used());
    let tree =
        parse(request.text, request.mode).map_err(|unparsed| Refusal::Unparsed { why: unparsed.why })?;
    plan.explain = tree.explain.is_some_and(|explain| explain.route);
    if let Some(action) = catalog::plan(rules, request, &tree)? {
        trace.spoil();
        return Ok(action);
    }
    let statement = Statement::new((rules, trace), request, &tree, hints)?;
    trace.note(&statement);
    if let Some(slot) = statement.hints.slot {
        return write::hinted(&statement, slot, &mut plan.why);
    }
    let action = match &tree.root {
        Root::Query(query) => read::plan(&statement, *query, &mut plan.why),
        Root::Insert(insert) => write::insert(&statement, insert, &mut plan.why),
        Root::Update(update) => write::update(&statement, update, &mut plan.why),
        Root::Delete(delete) => write::delete(&statement, delete, &mut plan.why),
    }?;
    if let Action::Write(fanout) = &action {
        write::keeps_to_one_server(rules, fanout)?;
    }
    Ok(action)
}

#[cfg(test)]
mod tests;
