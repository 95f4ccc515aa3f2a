//! From what a rule file says to rules that make sense, or to everything that makes none.

mod keys;
mod legacy;
mod lists;
mod names;
mod placements;
mod sequences;
mod slots;
mod steps;
mod tables;
mod values;

use std::collections::HashMap;

use crate::config::document::{Position, Report, did_you_mean, join};
use crate::sharding::file::Surroundings;
use crate::sharding::file::build::placements::Draft;
use crate::sharding::file::model::{Api, At, Choice, Defaults, Document, Home, Transactions, UnlistedForm};
use crate::sharding::key::{Date, Key, KeyId};
use crate::sharding::placement::Placement;
use crate::sharding::rules::{
    CrossShard, Policies, ScatterRead, ScatterWrite, Shard, ShardId, ShardingRules, Slot, Unlisted,
};
use crate::sharding::slots::{SLOTS_MAX, SlotId};
use crate::sharding::upkeep::Retired;

/// Builds the rules; what is wrong goes to the report, and the result is of no use then.
pub(super) fn rules(report: &Report, document: &Document, surroundings: &Surroundings<'_>) -> ShardingRules {
    let Api::V1 = document.api;
    let mut builder = Builder {
        report,
        document,
        today: surroundings.today,
        clusters: surroundings.clusters.as_deref(),
        shards: Vec::new(),
        keys: Vec::new(),
        slots: Vec::new(),
        homes: HashMap::new(),
        databases: HashMap::new(),
        prefixes: HashMap::new(),
        retired: Vec::new(),
    };
    builder.shards_listed();
    builder.keys = document.keys.0.iter().map(|(name, form)| keys::key(&builder, name, form)).collect();
    let drafts = placements::drafts(&mut builder);
    let sequences = sequences::sequences(&mut builder);
    let tables = tables::tables(&mut builder, &drafts, &sequences);
    let policies = builder.policies(&document.defaults);
    builder.bounded();
    let universe = builder.slots.len();
    // With problems nobody will ask them, and their parts need not fit each other.
    let sound = if report.has_problems() { Vec::new() } else { drafts };
    let placements = sound.into_iter().flatten().map(|draft| placement(draft, universe)).collect();
    let table_ids = tables::ids(&tables);
    ShardingRules {
        name: document.name.value.as_str().into(),
        revision: document.revision,
        content: 0,
        owners: document.owners.clone(),
        policies,
        shards: builder.shards,
        slots: builder.slots,
        keys: builder.keys,
        placements,
        sequences,
        tables,
        retired: builder.retired,
        table_ids,
    }
}

fn placement(draft: Draft, universe: usize) -> Placement {
    Placement::new(&draft.name, draft.steps, draft.cells, universe)
}

/// What is known while a file is understood.
struct Builder<'d> {
    report: &'d Report,
    document: &'d Document,
    /// What `ahead` and `keep` of intervals are counted from.
    today: Date,
    /// The clusters that a shard can be, if they are known.
    clusters: Option<&'d [&'d str]>,
    shards: Vec<Shard>,
    keys: Vec<Key>,
    slots: Vec<Slot>,
    /// Slots that are no placement's: databases of single tables.
    homes: HashMap<(ShardId, Box<str>), SlotId>,
    /// Which slot has which database of which cluster.
    databases: HashMap<(Box<str>, Box<str>), SlotId>,
    /// What the labels of slots begin with, each with its placement.
    prefixes: HashMap<String, String>,
    /// Periods that are no longer kept.
    retired: Vec<Retired>,
}

impl Builder<'_> {
    fn problem(&self, at: Position, path: impl Into<String>, message: impl Into<String>) {
        self.report.problem(at, path, message);
    }

    fn shards_listed(&mut self) {
        for (name, cluster) in &self.document.shards.0 {
            self.checked_name(name, "shards");
            self.checked_cluster(cluster, &join("shards", &name.value));
            self.shards
                .push(Shard { name: name.value.as_str().into(), cluster: cluster.value.as_str().into() });
        }
    }

    /// The shard of that name; where none is listed, clusters are shards of their own name.
    fn shard(&mut self, name: &At<String>, path: &str) -> ShardId {
        if let Some(known) = self.shards.iter().position(|shard| *shard.name == *name.value) {
            return ShardId(known as u16);
        }
        if !self.document.shards.0.is_empty() {
            let hint = did_you_mean(&name.value, self.shards.iter().map(|shard| &*shard.name));
            self.problem(name.at, path, format!("there is no shard `{}`{hint}", name.value));
        }
        if self.document.shards.0.is_empty() {
            self.checked_cluster(name, path);
        }
        self.shards.push(Shard { name: name.value.as_str().into(), cluster: name.value.as_str().into() });
        ShardId((self.shards.len() - 1) as u16)
    }

    /// Refuses a cluster that the configuration does not have.
    fn checked_cluster(&self, cluster: &At<String>, path: &str) {
        let Some(known) = self.clusters.filter(|known| !known.contains(&cluster.value.as_str())) else {
            return;
        };
        let hint = did_you_mean(&cluster.value, known.iter().copied());
        self.problem(cluster.at, path, format!("the configuration has no cluster `{}`{hint}", cluster.value));
    }

    /// The key of that name.
    fn key(&self, name: &At<String>, path: &str) -> Option<KeyId> {
        let found = self.keys.iter().position(|key| *key.name == *name.value);
        if found.is_none() {
            let hint = did_you_mean(&name.value, self.keys.iter().map(|key| &*key.name));
            self.problem(name.at, path, format!("there is no key `{}`{hint}", name.value));
        }
        found.map(|index| KeyId(index as u16))
    }

    /// The slot that is this database, which is no placement's.
    fn home(&mut self, home: &Home, path: &str) -> SlotId {
        let shard = self.shard(&home.shard, path);
        let database: Box<str> = match &home.database {
            Some(database) => database.as_str().into(),
            None => self.document.name.value.as_str().into(),
        };
        if let Some(known) = self.homes.get(&(shard, database.clone())) {
            return *known;
        }
        let label = format!("{}.{database}", self.shards[usize::from(shard.0)].name);
        let slot = Slot { label: label.into(), shard, database: database.clone() };
        let id = self.add_slot(slot, home.shard.at, path);
        self.homes.insert((shard, database), id);
        id
    }

    /// Takes in a slot; two slots never are the same database.
    fn add_slot(&mut self, slot: Slot, at: Position, path: &str) -> SlotId {
        let id = SlotId(self.slots.len().min(SLOTS_MAX - 1) as u16);
        let cluster = self.shards[usize::from(slot.shard.0)].cluster.clone();
        let place = (cluster, slot.database.to_lowercase().into());
        if let Some(other) = self.databases.insert(place, id) {
            let other = &self.slots[other.index()].label;
            let message = format!(
                "the slots `{other}` and `{}` would both be the database `{}` of the same cluster; \
                 let `database` tell them apart, as in `{{name}}_{{slot}}`",
                slot.label, slot.database
            );
            self.problem(at, path, message);
        }
        self.slots.push(slot);
        id
    }

    fn policies(&mut self, defaults: &Defaults) -> Policies {
        let read = &defaults.scatter_read;
        Policies {
            unlisted_tables: match &defaults.unlisted_tables {
                UnlistedForm::Reject => Unlisted::Reject,
                UnlistedForm::In(home) => Unlisted::In(self.home(home, "defaults.unlisted_tables.shard")),
            },
            scatter_read: ScatterRead {
                slots_max: read.slots_max,
                rows_max: read.rows_max.into(),
                timeout: read.timeout,
            },
            scatter_write: match defaults.scatter_write {
                Choice::Reject => ScatterWrite::Reject,
                Choice::Allow => ScatterWrite::Allow,
            },
            cross_shard_transactions: match defaults.cross_shard_transactions {
                Transactions::Reject => CrossShard::Reject,
                Transactions::BestEffort => CrossShard::BestEffort,
            },
        }
    }

    /// Ids are of sixteen bits.
    fn bounded(&self) {
        let place = self.document.name.at;
        if self.slots.len() > SLOTS_MAX {
            let message = format!("{} slots; a logical database has at most {SLOTS_MAX}", self.slots.len());
            self.problem(place, "placements", message);
        }
        for (what, count) in [("shards", self.shards.len()), ("keys", self.keys.len())] {
            if count > usize::from(u16::MAX) {
                self.problem(place, what, "too many");
            }
        }
    }
}
