//! Placements: their steps, the slots of each combination of outcomes, and the ids that carry outcomes.

use std::collections::HashMap;

use crate::config::document::{Position, join};
use crate::sharding::file::build::Builder;
use crate::sharding::file::build::slots::{self, Groups};
use crate::sharding::file::build::steps::{self, Numbering, SlotStep};
use crate::sharding::file::model::{At, GroupRule, IsolateRule, Names, PlacementRule};
use crate::sharding::key::{BitField, KeyId};
use crate::sharding::placement::{CELLS_MAX, Gene, Step};
use crate::sharding::sequence::{Composed, Part};
use crate::sharding::slots::SlotId;

/// A placement before the number of all slots is known.
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) steps: Vec<Step>,
    pub(super) cells: Vec<SlotId>,
}

impl Draft {
    /// Whether a row with these keys has a place.
    pub(super) fn undecided(&self, keys: &[KeyId]) -> Option<KeyId> {
        let decided = |step: &&Step| {
            keys.contains(&step.key) || step.also_from.iter().any(|gene| keys.contains(&gene.key))
        };
        self.steps.iter().find(|step| !decided(step)).map(|step| step.key)
    }

    /// The bits that a composed id would fill with something else than this placement reads from them.
    pub(super) fn untrue_bits<'c>(&'c self, composed: &'c Composed) -> Option<&'c BitField> {
        let genes = || {
            let of = |step: &'c Step| step.also_from.iter().map(move |gene| (step.key, gene));
            self.steps.iter().flat_map(of).filter(|(_, gene)| gene.key == composed.key)
        };
        let wrongly_read = genes()
            .find(|(key, gene)| !composed.parts.contains(&(gene.field.clone(), Part::Of(*key))))
            .map(|(_, gene)| &gene.field);
        let decided =
            |field: &BitField, key: KeyId| genes().any(|(own, gene)| own == key && gene.field == *field);
        let wrongly_filled = composed.parts.iter().find_map(|(field, part)| match part {
            Part::Of(key) if !decided(field, *key) => Some(field),
            Part::Of(_) | Part::Sequence(_) => None,
        });
        wrongly_read.or(wrongly_filled)
    }

    /// Whether ids of this key carry outcomes.
    pub(super) fn reads_bits_of(&self, key: KeyId) -> bool {
        self.steps.iter().any(|step| step.also_from.iter().any(|gene| gene.key == key))
    }

    /// The keys that it looks at.
    pub(super) fn keys(&self) -> Vec<KeyId> {
        let mut keys: Vec<KeyId> = self.steps.iter().map(|step| step.key).collect();
        keys.extend(self.steps.iter().flat_map(|step| step.also_from.iter().map(|gene| gene.key)));
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

/// One draft for each placement of the file, None for one that makes no sense.
pub(super) fn drafts(builder: &mut Builder<'_>) -> Vec<Option<Draft>> {
    let document = builder.document;
    let placements = document.placements.0.iter();
    placements.map(|(name, rule)| draft(builder, name, rule)).collect()
}

fn draft(builder: &mut Builder<'_>, name: &At<String>, rule: &PlacementRule) -> Option<Draft> {
    builder.checked_name(name, "placements");
    let path = join("placements", &name.value);
    let group = match &rule.group {
        Some(group) => Some(steps::group(builder, group, &join(&path, "group"))?),
        None => None,
    };
    let step = steps::slot_step(builder, name.at, rule, &path)?;
    let groups = Groups {
        placement: &name.value,
        names: group.as_ref().map(|group| group.names.as_slice()),
        path: &path,
    };
    let owners = slots::owners(builder, rule, &groups, &step)?;
    let isolated = isolated(builder, rule, &groups, &step, &owners)?;
    let outcomes = step.algorithm.outcomes() as usize;
    if outcomes * owners.len() > CELLS_MAX {
        let message =
            format!("{outcomes} outcomes in {} groups are more than {CELLS_MAX} combinations", owners.len());
        builder.problem(name.at, path, message);
        return None;
    }
    distinct_labels(builder, name, &groups);
    let ids = slots::add(builder, rule, &groups, &step, &owners);
    slots::retire(builder, rule, &groups, &step, &owners);
    let mut cells = Vec::with_capacity(outcomes * owners.len());
    for (group, ids) in ids.iter().enumerate() {
        let hashed = ids.len() - isolated.counts[group];
        for outcome in 0..step.algorithm.outcomes() {
            let number = match (&step.numbering, isolated.buckets.get(&(group, outcome))) {
                (_, Some(slot)) => *slot,
                (Numbering::Buckets(hash), None) => hash.slot_of_bucket(outcome, hashed as u32),
                (Numbering::Direct | Numbering::Periods(_), None) => outcome,
            };
            cells.push(ids[number as usize]);
        }
    }
    let mut steps = Vec::new();
    if let Some(group) = group {
        steps.push(Step { key: group.key, algorithm: group.algorithm, also_from: Vec::new() });
    }
    steps.push(Step { key: step.key, algorithm: step.algorithm, also_from: Vec::new() });
    genes(builder, rule, &step.numbering, &mut steps, &path);
    Some(Draft { name: name.value.clone(), steps, cells })
}

/// Refuses what would give slots of two placements the same label.
fn distinct_labels(builder: &mut Builder<'_>, name: &At<String>, groups: &Groups<'_>) {
    let own = [name.value.clone()];
    for prefix in groups.names.unwrap_or(&own) {
        let Some(other) = builder.prefixes.insert(prefix.clone(), name.value.clone()) else { continue };
        // A placement that is given twice has been told.
        if other != name.value {
            let message = format!(
                "slots of `{other}` are called `{prefix}/0` and so on already; give {} another name",
                if groups.names.is_some() { "this group" } else { "this placement" }
            );
            builder.problem(name.at, groups.path, message);
        }
    }
}

/// Buckets that have a slot of their own.
struct Isolated {
    /// By group and bucket, the number of the slot.
    buckets: HashMap<(usize, u32), u32>,
    /// Slots of each group that are for nothing else.
    counts: Vec<usize>,
}

fn isolated(
    builder: &Builder<'_>,
    rule: &PlacementRule,
    groups: &Groups<'_>,
    step: &SlotStep,
    owners: &[Vec<slots::Owner>],
) -> Option<Isolated> {
    let mut isolated = Isolated { buckets: HashMap::new(), counts: vec![0; owners.len()] };
    let path = join(groups.path, "isolate");
    let Numbering::Buckets(hash) = &step.numbering else {
        if let Some(first) = rule.isolate.first() {
            builder.problem(first.at, path, "only a hash has buckets that can be isolated");
        }
        return Some(isolated);
    };
    let mut own: Vec<Vec<u32>> = vec![Vec::new(); owners.len()];
    for hot in &rule.isolate {
        let group = groups.number_of(builder, hot.value.group.as_ref(), hot.at, &path)?;
        let value = builder.value(step.key, &hot.value.value, &join(&path, "value"))?;
        isolated.buckets.insert((group, hash.bucket(&value)), hot.value.slot.value);
        if !own[group].contains(&hot.value.slot.value) {
            own[group].push(hot.value.slot.value);
        }
    }
    for (group, own) in own.iter().enumerate() {
        isolated.counts[group] = own.len();
        let slots = owners[group].len();
        let hashed = slots.saturating_sub(own.len());
        let misplaced = |hot: &&At<IsolateRule>| {
            let here = groups.index(hot.value.group.as_ref()) == Some(group);
            here && !(hashed..slots).contains(&(hot.value.slot.value as usize))
        };
        if let Some(hot) = rule.isolate.iter().find(misplaced) {
            let message = format!(
                "isolated slots are numbered after the others: here {hashed}-{}",
                slots.saturating_sub(1)
            );
            builder.problem(hot.value.slot.at, join(&path, "slot"), message);
            return None;
        }
        if hashed == 0 && slots > 0 {
            builder.problem(rule.isolate[0].at, path, "leaves no slot for all other values");
            return None;
        }
    }
    Some(isolated)
}

/// Ids whose bits carry outcomes.
fn genes(builder: &Builder<'_>, rule: &PlacementRule, numbering: &Numbering, steps: &mut [Step], path: &str) {
    let path = join(path, "also_from");
    for (id, gene) in &rule.also_from.0 {
        let path = join(&path, &id.value);
        let Some(key) = builder.key(id, &path) else { continue };
        if gene.group.is_none() && gene.bucket.is_none() {
            builder.problem(id.at, path, "needs `group` or `bucket`: the bits of the id that hold it");
            continue;
        }
        if let Some(name) = &gene.bucket {
            let path = join(&path, "bucket");
            match (bits(builder, key, name, &path), numbering) {
                (None, _) => {}
                (Some(field), Numbering::Buckets(hash)) if field.length == hash.bits => {
                    let last = steps.len() - 1;
                    steps[last].also_from.push(Gene { key, field, numbers: None });
                }
                (Some(field), Numbering::Buckets(hash)) => {
                    let message =
                        format!("a bucket has {} bits, and `{}` {}", hash.bits, name.value, field.length);
                    builder.problem(name.at, path, message);
                }
                (Some(_), Numbering::Direct | Numbering::Periods(_)) => {
                    builder.problem(name.at, path, "only a hash has buckets");
                }
            }
        }
        if let Some(name) = &gene.group {
            let path = join(&path, "group");
            match (bits(builder, key, name, &path), &rule.group) {
                (None, _) => {}
                (Some(field), Some(group)) => {
                    if let Some(numbers) = group_numbers(builder, group, &field, (name, &path)) {
                        steps[0].also_from.push(Gene { key, field, numbers: Some(numbers) });
                    }
                }
                (Some(_), None) => builder.problem(name.at, path, "this placement has no groups"),
            }
        }
    }
}

fn bits(builder: &Builder<'_>, key: KeyId, name: &At<String>, path: &str) -> Option<BitField> {
    let key = &builder.keys[key.index()];
    let field = key.field(&name.value);
    if field.is_none() {
        let hint =
            crate::config::document::did_you_mean(&name.value, key.bits.iter().map(|field| &*field.name));
        builder.problem(name.at, path, format!("the key `{}` has no bits `{}`{hint}", key.name, name.value));
    }
    field.cloned()
}

/// The outcome of each number that an id may carry.
fn group_numbers(
    builder: &Builder<'_>,
    group: &GroupRule,
    field: &BitField,
    (name, path): (&At<String>, &str),
) -> Option<Vec<(u64, u32)>> {
    let names = steps::group_names(group);
    let numbers: &Names<At<u32>> = &group.numbers;
    let mut outcomes = Vec::new();
    for (outcome, wanted) in names.iter().enumerate() {
        let Some((_, number)) = numbers.0.iter().find(|(given, _)| given.value == **wanted) else {
            let message =
                format!("needs `numbers` in the group: what stands in the bits for `{wanted}`, for ever");
            builder.problem(name.at, path, message);
            return None;
        };
        let value = u64::from(number.value);
        let wrong = if value > field.mask() {
            Some(format!("does not fit the {} bits of `{}`", field.length, field.name))
        } else if outcomes.iter().any(|(other, _)| *other == value) {
            Some("another group has this number".to_owned())
        } else {
            None
        };
        if let Some(message) = wrong {
            builder.problem(number.at, path, message);
            return None;
        }
        outcomes.push((value, outcome as u32));
    }
    Some(outcomes)
}

/// Where a placement's own problem is shown: at the rule.
pub(super) fn place(rule: &PlacementRule) -> Position {
    rule.at.unwrap_or(Position::START)
}
