//! Sequences: segments from tables, and ids composed of parts.

use crate::config::document::{did_you_mean, join};
use crate::sharding::file::build::Builder;
use crate::sharding::file::model::{At, ComposedRule, SegmentRule, SequenceRule};
use crate::sharding::key::KeyId;
use crate::sharding::sequence::{Composed, Part, Segment, Sequence, SequenceId, SequenceKind};

/// Numbers that are fetched at once where the file does not say.
const STEP: u32 = 1_000;

/// Percent of a run after which the next is fetched where the file does not say.
const PREFETCH: u32 = 80;

pub(super) fn sequences(builder: &mut Builder<'_>) -> Vec<Sequence> {
    let document = builder.document;
    let mut sequences = Vec::new();
    for (name, rule) in &document.sequences.0 {
        builder.checked_name(name, "sequences");
        let path = join("sequences", &name.value);
        let kind = match rule {
            SequenceRule::Segment(rule) => Some(SequenceKind::Segment(segment(builder, rule, &path))),
            SequenceRule::Composed(rule) => composed(builder, rule, &path).map(SequenceKind::Composed),
        };
        // One that makes no sense still has its place, so that the ids of the others hold.
        let none = Composed { key: KeyId(0), parts: Vec::new() };
        let kind = kind.unwrap_or(SequenceKind::Composed(none));
        sequences.push(Sequence { name: name.value.as_str().into(), kind });
    }
    sequences
}

fn segment(builder: &mut Builder<'_>, rule: &SegmentRule, path: &str) -> Segment {
    let database = rule.database.as_ref().unwrap_or(&builder.document.name.value).as_str().into();
    Segment {
        shard: builder.shard(&rule.shard, &join(path, "shard")),
        database,
        table: rule.table.value.as_str().into(),
        step: rule.step.unwrap_or(STEP).into(),
        prefetch_percent: rule.prefetch_at.unwrap_or(PREFETCH) as u8,
    }
}

fn composed(builder: &Builder<'_>, rule: &ComposedRule, path: &str) -> Option<Composed> {
    let key_id = builder.key(&rule.key, &join(path, "key"))?;
    let key = &builder.keys[key_id.index()];
    let path = join(path, "fill");
    let mut parts = Vec::new();
    for (name, filler) in &rule.fill.0 {
        let path = join(&path, &name.value);
        let Some(field) = key.field(&name.value) else {
            let hint = did_you_mean(&name.value, key.bits.iter().map(|field| &*field.name));
            builder.problem(name.at, path, format!("the key `{}` has no bits of this name{hint}", key.name));
            continue;
        };
        if let Some(part) = part(builder, filler, &path) {
            parts.push((field.clone(), part));
        }
    }
    for field in
        key.bits.iter().filter(|field| !rule.fill.0.iter().any(|(name, _)| *name.value == *field.name))
    {
        builder.problem(rule.key.at, path.as_str(), format!("nothing fills the bits `{}`", field.name));
    }
    if !parts.iter().any(|(_, part)| matches!(part, Part::Sequence(_))) {
        builder.problem(rule.key.at, path, "no sequence is among the parts, so ids would repeat");
    }
    Some(Composed { key: key_id, parts })
}

fn part(builder: &Builder<'_>, filler: &At<String>, path: &str) -> Option<Part> {
    let document = builder.document;
    let sequence = document.sequences.0.iter().position(|(name, _)| name.value == filler.value);
    if let Some(index) = sequence {
        if matches!(document.sequences.0[index].1, SequenceRule::Composed(_)) {
            builder.problem(filler.at, path, "must be a sequence of its own numbers, from a table");
            return None;
        }
        return Some(Part::Sequence(SequenceId(index as u16)));
    }
    match builder.keys.iter().position(|key| *key.name == *filler.value) {
        Some(index) => Some(Part::Of(KeyId(index as u16))),
        None => {
            let sequences = document.sequences.0.iter().map(|(name, _)| name.value.as_str());
            let hint =
                did_you_mean(&filler.value, sequences.chain(builder.keys.iter().map(|key| &*key.name)));
            builder.problem(filler.at, path, format!("there is no sequence or key `{}`{hint}", filler.value));
            None
        }
    }
}
