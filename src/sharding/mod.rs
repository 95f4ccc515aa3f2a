//! Sharding: the rules of a logical database, and from the values of keys to the slots that hold their rows.
//!
//! Pure: no I/O, no clock, no randomness. A *slot* is one physical database on a shard. Whatever is not sure
//! about a value widens the answer to more slots; it never narrows it.

mod difference;
mod file;
mod homes;
mod key;
mod placement;
mod planner;
mod rules;
mod segments;
mod sequence;
mod slots;
mod upkeep;

pub use difference::{Change, Weight};
pub use file::{Mutant, Mutation, RuleSet, RulesLoading, RulesReading, Surroundings, load, mutate, read};
pub use homes::Homes;
pub use key::{
    BitField, Bounded, Collation, Date, Integer, Key, KeyId, KeyLiteral, KeyType, KeyValue, Match, Moment,
    Side, Stored, TextKind,
};
pub use placement::{
    Algorithm, CELLS_MAX, Every, Gene, Hash, HashFunction, Interval, Legacy, List, Located, Outcomes,
    Placement, PlacementId, Range, Span, Step, Unplaced,
};
pub use planner::{
    Action, Bind, ColumnProblem, Completed, Fanout, Generate, HIDDEN, HintsUsed, KeyRecipe, MergeSpec, Plan,
    ReadFrom, Reason, Recipe, Refusal, Request, Scatter, Source, Sql, plan, recipe,
};
pub use rules::{
    CrossShard, KeyColumn, PlacedTable, Policies, ScatterRead, ScatterWrite, Shard, ShardId, ShardingRules,
    Slot, Table, TableId, TableKind, Unique, Unlisted, Writes,
};
pub use segments::Segments;
pub use sequence::{Composed, Part, Segment, Sequence, SequenceId, SequenceKind, Uncomposed};
pub use slots::{SLOTS_MAX, SlotId, SlotSet};
pub use upkeep::{Present, Retired, Task, TaskKind};
