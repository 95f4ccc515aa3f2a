//! What a rule file says, before it is known to make sense. The JSON Schema is generated from these types.

use std::time::Duration;

use crate::config::document::Position;
use crate::sharding::rules::ScatterRead;

/// Something and where it is written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct At<T> {
    pub(crate) at: Position,
    pub(crate) value: T,
}

impl<T> At<T> {
    pub(crate) fn new(at: Position, value: T) -> Self {
        Self { at, value }
    }
}

/// A mapping whose names the file chooses, in the order of the file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Names<T>(pub(crate) Vec<(At<String>, T)>);

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl Default for ScatterReadRule {
    fn default() -> Self {
        let ScatterRead { slots_max, rows_max, timeout } = ScatterRead::default();
        Self { slots_max, rows_max: u32::try_from(rows_max).unwrap_or(u32::MAX), timeout }
    }
}

/// The rules of one logical database.
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub(crate) struct Document {
    /// The version of this format.
    pub(crate) api: Api,
    /// The logical database, as clients call it.
    pub(crate) name: At<String>,
    /// Counts up with every change.
    pub(crate) revision: u64,
    /// Who answers for the file; for people.
    #[cfg_attr(test, schemars(default))]
    pub(crate) owners: Vec<String>,
    /// What is allowed beyond a statement for one slot.
    #[cfg_attr(test, schemars(default))]
    pub(crate) defaults: Defaults,
    /// Shards by name, each with the cluster of dazzle.yaml that it is. A shard that is not listed is the cluster of its own name.
    #[cfg_attr(test, schemars(default))]
    pub(crate) shards: Names<At<String>>,
    /// What routing columns hold, by name.
    #[cfg_attr(test, schemars(default))]
    pub(crate) keys: Names<KeyForm>,
    /// How rows are spread, by name.
    #[cfg_attr(test, schemars(default))]
    pub(crate) placements: Names<PlacementRule>,
    /// Where generated ids come from, by name.
    #[cfg_attr(test, schemars(default))]
    pub(crate) sequences: Names<SequenceRule>,
    /// The tables, by name.
    pub(crate) tables: Names<TableRule>,
    /// What must hold for the file to load.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub(crate) tests: Vec<At<TestRule>>,
}

/// The version of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) enum Api {
    /// This one.
    #[cfg_attr(test, schemars(rename = "dazzle/v1"))]
    V1,
}

/// What is allowed beyond a statement for one slot.
#[derive(Clone, Debug, Default)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields, default))]
pub(crate) struct Defaults {
    /// What becomes of a table that is not listed: `reject`, or the database that it is in.
    pub(crate) unlisted_tables: UnlistedForm,
    /// Limits of reads of several slots.
    pub(crate) scatter_read: ScatterReadRule,
    /// Whether a write without its key may go to several slots.
    pub(crate) scatter_write: Choice,
    /// What becomes of a write that would reach a second server.
    pub(crate) cross_shard_transactions: Transactions,
}

/// What becomes of a table that is not listed.
#[derive(Clone, Debug, Default)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(untagged))]
pub(crate) enum UnlistedForm {
    /// Statements on it are refused.
    #[default]
    #[cfg_attr(test, schemars(with = "Reject"))]
    Reject,
    /// It is there.
    In(Home),
}

/// The word `reject`.
#[cfg(test)]
#[derive(schemars::JsonSchema)]
#[expect(dead_code, reason = "only its schema is of interest")]
pub(crate) enum Reject {
    #[schemars(rename = "reject")]
    Reject,
}

/// A database on a shard.
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub(crate) struct Home {
    /// The shard.
    pub(crate) shard: At<String>,
    /// The database on it; without it, the name of the logical database.
    pub(crate) database: Option<String>,
}

/// Limits of reads of several slots.
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields, default))]
pub(crate) struct ScatterReadRule {
    /// Slots at most; 1: no read of several slots.
    pub(crate) slots_max: u32,
    /// Rows that may be merged at most.
    pub(crate) rows_max: u32,
    /// For the whole statement, as `800ms` or `30s`; 0s: no limit of its own.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(crate) timeout: Duration,
}

/// Whether something may be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename_all = "snake_case"))]
pub(crate) enum Choice {
    /// It is refused.
    #[default]
    Reject,
    /// It is done.
    Allow,
}

/// What becomes of a write that would reach a second server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename_all = "snake_case"))]
pub(crate) enum Transactions {
    /// The statement is refused.
    #[default]
    Reject,
    /// Each shard commits by itself.
    BestEffort,
}

/// A key: its type alone, or more.
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(untagged))]
pub(crate) enum KeyForm {
    /// Its SQL type: `bigint unsigned`, `varchar(40)`, `date`, `datetime(3)`.
    Type(At<String>),
    /// The type and more.
    Full(KeyRule),
}

/// A key with all that can be said about it.
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub(crate) struct KeyRule {
    /// Its SQL type: `bigint unsigned`, `varchar(40)`, `date`, `datetime(3)`.
    #[cfg_attr(test, schemars(rename = "type"))]
    pub(crate) key_type: At<String>,
    /// The collation of its columns; strings need one.
    pub(crate) collation: Option<At<String>>,
    /// Bits of an id that carry what other keys decided, each as `first-last`, the lowest of all being 0.
    #[cfg_attr(test, schemars(default))]
    pub(crate) bits: Names<At<String>>,
}

/// How rows are spread over slots: exactly one of hash, list, range, interval and legacy, for one key.
#[derive(Clone, Debug, Default)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields, default))]
pub(crate) struct PlacementRule {
    #[cfg_attr(test, schemars(skip))]
    pub(crate) at: Option<Position>,
    /// A first step: which group of slots.
    pub(crate) group: Option<GroupRule>,
    /// The key whose hash chooses the slot.
    pub(crate) hash: Option<At<String>>,
    /// The hash function; without it, `xxh64/1`.
    pub(crate) function: Option<At<String>>,
    /// Bits of the number of a bucket; 14 without it, which is 16,384 buckets.
    pub(crate) bits: Option<At<u32>>,
    /// The key whose listed values choose the slot.
    pub(crate) list: Option<At<String>>,
    /// For `list`: slot numbers, each with its values or the word `rest`.
    pub(crate) values: Option<Names<ValuesForm>>,
    /// For `list`: a CSV file with lines `value,slot`, in place of `values`.
    pub(crate) file: Option<At<String>>,
    /// The key whose ranges choose the slot.
    pub(crate) range: Option<At<String>>,
    /// For `range`: slot numbers, each with its span.
    pub(crate) ranges: Option<Names<SpanRule>>,
    /// The key whose day, week, month or year is the slot.
    pub(crate) interval: Option<At<String>>,
    /// For `interval`: how long one slot lasts.
    pub(crate) every: Option<At<EveryRule>>,
    /// For `interval`: the first period, as `2024`, `2024-01` or `2024-01-31`.
    pub(crate) from: Option<At<String>>,
    /// For `interval`: the last period. Without it, today's and `ahead` more.
    pub(crate) until: Option<At<String>>,
    /// For `interval`: periods that are made ahead of today's.
    pub(crate) ahead: Option<At<u32>>,
    /// For `interval`: periods that are kept, today's included. Older ones are no longer asked.
    pub(crate) keep: Option<At<u32>>,
    /// A function of another product, bit by bit, for data that it has placed.
    pub(crate) legacy: Option<LegacyRule>,
    /// Ids whose bits carry what this placement decided for their rows.
    pub(crate) also_from: Names<GeneRule>,
    /// Shards, each with its slots: `0-7`, `[0-3, 8]`, periods `2024-01..2024-12`, or `all`. With groups: by group.
    pub(crate) slots: Option<SlotsForm>,
    /// The physical database of a slot: `shop_{slot:02}`. Knows {name}, {group}, {slot}, {slot:02}, {yyyy}, {yyyymm}, {yyyymmdd}.
    pub(crate) database: Option<At<String>>,
    /// Hot keys whose bucket has a slot of its own, numbered after the others.
    pub(crate) isolate: Vec<At<IsolateRule>>,
}

/// The values of one slot or group.
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(untagged))]
pub(crate) enum ValuesForm {
    /// These.
    Listed(Vec<At<Scalar>>),
    /// All that are not listed.
    #[cfg_attr(test, schemars(with = "Rest"))]
    Rest(Position),
}

/// The word `rest`.
#[cfg(test)]
#[derive(schemars::JsonSchema)]
#[expect(dead_code, reason = "only its schema is of interest")]
pub(crate) enum Rest {
    #[schemars(rename = "rest")]
    Rest,
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(untagged))]
pub(crate) enum Scalar {
    /// NULL.
    #[cfg_attr(test, schemars(with = "()"))]
    Null,
    /// A whole number.
    #[cfg_attr(test, schemars(with = "i64"))]
    Integer(i128),
    /// Text, as in single quotes of SQL.
    Text(String),
}

/// A half-open span of values.
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub(crate) struct SpanRule {
    #[cfg_attr(test, schemars(skip))]
    pub(crate) at: Position,
    /// The first value; without it, the least.
    pub(crate) from: Option<At<Scalar>>,
    /// The first value that is no longer in it; without it, all that follow are in it.
    pub(crate) below: Option<At<Scalar>>,
}

/// How long one slot lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename_all = "snake_case"))]
pub(crate) enum EveryRule {
    /// A day.
    Day,
    /// Seven days from Monday.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

/// The first step of a placement: which group of slots. Exactly one of list and range.
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub(crate) struct GroupRule {
    #[cfg_attr(test, schemars(skip))]
    pub(crate) at: Position,
    /// The key whose listed values choose the group.
    pub(crate) list: Option<At<String>>,
    /// For `list`: groups, each with its values or the word `rest`.
    pub(crate) values: Option<Names<ValuesForm>>,
    /// For `list`: a CSV file with lines `value,group`, in place of `values`.
    pub(crate) file: Option<At<String>>,
    /// The key whose ranges choose the group.
    pub(crate) range: Option<At<String>>,
    /// For `range`: groups, each with its span.
    pub(crate) ranges: Option<Names<SpanRule>>,
    /// The number of each group in the bits of an id; never changes once ids carry it.
    #[cfg_attr(test, schemars(default))]
    pub(crate) numbers: Names<At<u32>>,
}

/// A function of another product.
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub(crate) struct LegacyRule {
    /// Its name: `kingshard/hash`, `mycat/murmur` ...
    pub(crate) function: At<String>,
    /// The key that it looks at.
    pub(crate) key: At<String>,
    /// What its own configuration says, by the names it has there.
    #[cfg_attr(test, schemars(default))]
    pub(crate) parameters: Names<At<String>>,
}

/// Which bits of an id carry what a placement decided.
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub(crate) struct GeneRule {
    /// The bits that hold the number of the group.
    pub(crate) group: Option<At<String>>,
    /// The bits that hold the bucket of the hash.
    pub(crate) bucket: Option<At<String>>,
}

/// Shards with their slots, or groups of them.
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(untagged))]
pub(crate) enum SlotsForm {
    /// Shards with their slots.
    Plain(Names<SlotList>),
    /// Groups of shards with their slots.
    Grouped(Names<Names<SlotList>>),
}

/// Slots of one shard: numbers and ranges.
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(untagged))]
pub(crate) enum SlotList {
    /// A number, `0-7`, `2024-01..2024-12` or `all`.
    One(At<Scalar>),
    /// Several of them.
    Several(Vec<At<Scalar>>),
}

/// A hot key and the slot that its bucket has for itself.
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub(crate) struct IsolateRule {
    /// In this group.
    pub(crate) group: Option<At<String>>,
    /// The key's value.
    pub(crate) value: At<Scalar>,
    /// The number of the slot.
    pub(crate) slot: At<u32>,
}

/// Where generated ids come from: runs of numbers from a table, or the bits of a key filled with parts.
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(untagged))]
pub(crate) enum SequenceRule {
    /// Runs of numbers from a table.
    Segment(SegmentRule),
    /// The bits of a key.
    Composed(ComposedRule),
}

/// Runs of numbers from a table.
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub(crate) struct SegmentRule {
    /// The table, with columns `name` and `next`.
    pub(crate) table: At<String>,
    /// The shard that it is on.
    pub(crate) shard: At<String>,
    /// The database that it is in; without it, the name of the logical database.
    pub(crate) database: Option<String>,
    /// Numbers that are fetched at once; 1000 without it.
    pub(crate) step: Option<u32>,
    /// The next run is fetched once so many percent of this one are used; 80 without it.
    pub(crate) prefetch_at: Option<u32>,
}

/// An id whose bits are filled with parts.
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub(crate) struct ComposedRule {
    /// The key whose bits are filled.
    pub(crate) key: At<String>,
    /// For each of its bit fields, a sequence, or a key of the row.
    pub(crate) fill: Names<At<String>>,
}

/// A table: placed, with another one, a copy of another one, reference, or on one shard.
#[derive(Clone, Debug, Default)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields, default))]
pub(crate) struct TableRule {
    #[cfg_attr(test, schemars(skip))]
    pub(crate) at: Option<Position>,
    /// Spread by this placement.
    pub(crate) placement: Option<At<String>>,
    /// Spread as this table is, row by row with it.
    pub(crate) with: Option<At<String>>,
    /// A copy of this table, spread by another placement; only read.
    pub(crate) copy_of: Option<At<String>>,
    /// A whole copy in every slot.
    pub(crate) reference: Option<At<bool>>,
    /// On this shard alone.
    pub(crate) shard: Option<At<String>>,
    /// With `shard`: the database; without it, the name of the logical database.
    pub(crate) database: Option<At<String>>,
    /// Columns that carry keys, each with its key. Without it, those that are called like the placement's keys.
    pub(crate) columns: Option<Names<At<String>>>,
    /// Columns that get a value from a sequence if an INSERT gives none.
    pub(crate) generate: Names<At<String>>,
    /// Whether clients may write to it.
    pub(crate) writes: Option<At<Choice>>,
    /// What a UNIQUE key without the placement's key promises: `global`: there is none; `local`: it holds in each slot alone.
    pub(crate) unique: Option<At<UniqueRule>>,
}

/// What a UNIQUE key without the placement's key promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename_all = "snake_case"))]
pub(crate) enum UniqueRule {
    /// There is none.
    Global,
    /// It holds in each slot alone.
    Local,
}

/// Something that must hold: values of a table's columns, or a statement, and the slots they lead to.
#[derive(Clone, Debug, Default)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields, default))]
pub(crate) struct TestRule {
    /// The table.
    pub(crate) table: Option<At<String>>,
    /// Its rows with these values: `column = value AND …`.
    pub(crate) rows: Option<Names<At<Scalar>>>,
    /// A row with these values that is inserted.
    pub(crate) insert: Option<Names<At<Scalar>>>,
    /// A statement, in place of a table.
    pub(crate) sql: Option<At<String>>,
    /// The values of its parameters.
    pub(crate) params: Vec<At<Scalar>>,
    /// The slots that are asked, as `placement/number` or `group/number`; `all`: every one.
    pub(crate) slots: Option<At<Vec<String>>>,
    /// The shards that those slots are on.
    pub(crate) shards: Option<At<Vec<String>>>,
    /// The number of the error, or the `DZnnnn`, that refuses it.
    pub(crate) refused: Option<At<Scalar>>,
}
