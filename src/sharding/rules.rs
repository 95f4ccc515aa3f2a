//! The rules of one logical database: validated, immutable, one revision.

use std::collections::HashMap;
use std::time::Duration;

use crate::sharding::key::{Key, KeyId};
use crate::sharding::placement::{Placement, PlacementId};
use crate::sharding::sequence::{Sequence, SequenceId};
use crate::sharding::slots::{SlotId, SlotSet};
use crate::sharding::upkeep::Retired;

/// Everything that decides where a statement on one logical database goes.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardingRules {
    /// The logical database, as clients call it.
    pub(super) name: Box<str>,
    pub(super) revision: u64,
    /// Of the text and of the files that it names.
    pub(super) content: u64,
    pub(super) owners: Vec<String>,
    pub(super) policies: Policies,
    pub(super) shards: Vec<Shard>,
    pub(super) slots: Vec<Slot>,
    pub(super) keys: Vec<Key>,
    pub(super) placements: Vec<Placement>,
    pub(super) sequences: Vec<Sequence>,
    pub(super) tables: Vec<Table>,
    /// Periods of intervals that are no longer kept.
    pub(super) retired: Vec<Retired>,
    /// By name in lower case.
    pub(super) table_ids: HashMap<Box<str>, TableId>,
}

/// A shard of one logical database, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

/// A listed table of one logical database, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(pub u32);

/// A primary and its replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its name in the rules.
    pub name: Box<str>,
    /// The cluster of `dazzle.yaml` that it is.
    pub cluster: Box<str>,
}

/// One physical database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// How the rules and messages call it: `by_user/7`, `north/7`.
    pub label: Box<str>,
    /// Where it is.
    pub shard: ShardId,
    /// Its name there.
    pub database: Box<str>,
}

/// A listed table.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Its name as the rules write it.
    pub name: Box<str>,
    /// Where its rows are.
    pub kind: TableKind,
}

/// Where the rows of a table are.
#[derive(Clone, Debug, PartialEq)]
pub enum TableKind {
    /// Spread over the slots of a placement.
    Placed(PlacedTable),
    /// A whole copy in every slot.
    Reference {
        /// The slot whose copy answers for all: affected rows, generated ids, `SHOW`.
        source: SlotId,
    },
    /// In one slot alone.
    Single(SlotId),
}

/// A table that is spread over the slots of a placement.
#[derive(Clone, Debug, PartialEq)]
pub struct PlacedTable {
    /// How.
    pub placement: PlacementId,
    /// Columns that carry keys.
    pub columns: Vec<KeyColumn>,
    /// The table that this one follows (`with`); itself, if it follows none.
    pub family: TableId,
    /// Columns that get a value from a sequence if an INSERT gives none.
    pub generate: Vec<(Box<str>, SequenceId)>,
    /// The table of which this one is a copy in another dimension; such a copy is only read.
    pub copy_of: Option<TableId>,
    /// Whether clients may write to it.
    pub writes: Writes,
    /// What a UNIQUE key that lacks the placement's key promises.
    pub unique: Unique,
}

/// A column that carries a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyColumn {
    /// Its name.
    pub column: Box<str>,
    /// The key.
    pub key: KeyId,
}

/// Whether clients may write to a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Writes {
    /// They may.
    #[default]
    Allowed,
    /// Something else feeds it.
    Refused,
}

/// What a UNIQUE key that lacks the placement's key promises: a server can only see one slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unique {
    /// There is none; `validate --against` refuses a table that has one.
    #[default]
    Global,
    /// It holds in each slot alone, and the application knows.
    Local,
}

/// What is allowed beyond a statement for one slot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policies {
    /// What becomes of a table that the rules do not list.
    pub unlisted_tables: Unlisted,
    /// Reads of several slots.
    pub scatter_read: ScatterRead,
    /// Writes to several slots.
    pub scatter_write: ScatterWrite,
    /// Writes and transactions that reach a second server.
    pub cross_shard_transactions: CrossShard,
}

/// What becomes of a table that the rules do not list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unlisted {
    /// Statements on it are refused.
    #[default]
    Reject,
    /// It is in this slot.
    In(SlotId),
}

/// Limits of a read that asks several slots; refused before the first byte if one is exceeded in advance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScatterRead {
    /// Slots at most; 1: no read of several slots.
    pub slots_max: u32,
    /// Rows that may be merged at most.
    pub rows_max: u64,
    /// For the whole statement; zero: no limit of its own.
    pub timeout: Duration,
}

impl Default for ScatterRead {
    fn default() -> Self {
        Self { slots_max: 64, rows_max: 1_000_000, timeout: Duration::from_secs(30) }
    }
}

/// Whether a write without its key may go to several slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScatterWrite {
    /// No: it is refused.
    #[default]
    Reject,
    /// Yes, slot by slot, as the transaction policy allows.
    Allow,
}

/// What becomes of a write that would reach a second server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CrossShard {
    /// The statement is refused.
    #[default]
    Reject,
    /// Each shard commits by itself, and each outcome is reported.
    BestEffort,
}

impl ShardingRules {
    /// The logical database, as clients call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Counts up with every change.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// A hash of the file's text and of the files that it names: two revisions with the same one are the same.
    #[must_use]
    pub const fn content(&self) -> u64 {
        self.content
    }

    /// Who answers for them.
    #[must_use]
    pub fn owners(&self) -> &[String] {
        &self.owners
    }

    /// What is allowed beyond a statement for one slot.
    #[must_use]
    pub const fn policies(&self) -> &Policies {
        &self.policies
    }

    /// All shards; a [`ShardId`] is a place in this list.
    #[must_use]
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// The shard of `slot`.
    #[must_use]
    pub fn shard_of(&self, slot: SlotId) -> &Shard {
        &self.shards[usize::from(self.slot(slot).shard.0)]
    }

    /// All slots; a [`SlotId`] is a place in this list.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The slot of that id.
    #[must_use]
    pub fn slot(&self, slot: SlotId) -> &Slot {
        &self.slots[slot.index()]
    }

    /// The slot of that label.
    #[must_use]
    pub fn slot_named(&self, label: &str) -> Option<SlotId> {
        self.slots.iter().position(|slot| &*slot.label == label).map(|index| SlotId(index as u16))
    }

    /// Every slot.
    #[must_use]
    pub fn all_slots(&self) -> SlotSet {
        SlotSet::all(self.slots.len())
    }

    /// All keys; a [`KeyId`] is a place in this list.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The key of that id.
    #[must_use]
    pub fn key(&self, key: KeyId) -> &Key {
        &self.keys[key.index()]
    }

    /// All placements; a [`PlacementId`] is a place in this list.
    #[must_use]
    pub fn placements(&self) -> &[Placement] {
        &self.placements
    }

    /// The placement of that id.
    #[must_use]
    pub fn placement(&self, placement: PlacementId) -> &Placement {
        &self.placements[placement.index()]
    }

    /// All sequences; a [`SequenceId`] is a place in this list.
    #[must_use]
    pub fn sequences(&self) -> &[Sequence] {
        &self.sequences
    }

    /// All listed tables; a [`TableId`] is a place in this list.
    #[must_use]
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// The listed table of that id.
    #[must_use]
    pub fn table(&self, table: TableId) -> &Table {
        &self.tables[table.0 as usize]
    }

    /// The listed table of that name, in any case: two names that differ in case alone are never listed.
    #[must_use]
    pub fn table_named(&self, name: &str) -> Option<TableId> {
        match self.table_ids.get(name) {
            Some(id) => Some(*id),
            None if name.bytes().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii()) => {
                self.table_ids.get(name.to_lowercase().as_str()).copied()
            }
            None => None,
        }
    }

    /// The slots that hold rows of `table`; of a reference table, every slot, each of which holds them all.
    #[must_use]
    pub fn slots_of(&self, table: TableId) -> SlotSet {
        match &self.table(table).kind {
            TableKind::Placed(placed) => self.placement(placed.placement).all().clone(),
            TableKind::Reference { .. } => self.all_slots(),
            TableKind::Single(slot) => SlotSet::one(self.slots.len(), *slot),
        }
    }
}

impl PlacedTable {
    /// The key that `column` carries (names of columns have no case).
    #[must_use]
    pub fn key_of(&self, column: &str) -> Option<KeyId> {
        self.columns.iter().find(|known| known.column.eq_ignore_ascii_case(column)).map(|known| known.key)
    }
}
