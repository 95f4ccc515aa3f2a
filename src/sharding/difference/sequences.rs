//! Changes of sequences: an id must never be handed out twice.

use crate::sharding::difference::{Changes, Weight};
use crate::sharding::rules::ShardingRules;
use crate::sharding::sequence::{Part, Sequence, SequenceKind};

impl Changes<'_> {
    pub(super) fn sequences(&mut self) {
        let (old, new) = (self.old, self.new);
        for sequence in old.sequences() {
            match new.sequences().iter().find(|other| other.name == sequence.name) {
                Some(other) => self.sequence(sequence, other),
                None => self.add(Weight::Policy, &sequence.name, "sequence is gone"),
            }
        }
        for sequence in new.sequences() {
            if !old.sequences().iter().any(|other| other.name == sequence.name) {
                self.add(Weight::Policy, &sequence.name, "new sequence: its row must be there first");
            }
        }
    }

    fn sequence(&mut self, before: &Sequence, after: &Sequence) {
        let (old, new) = (home(self.old, before), home(self.new, after));
        if old != new {
            let text = format!("{old} → {new}: no number may come twice");
            return self.add(Weight::Move, &before.name, text);
        }
        if let (SequenceKind::Segment(one), SequenceKind::Segment(other)) = (&before.kind, &after.kind)
            && (one.step, one.prefetch_percent) != (other.step, other.prefetch_percent)
        {
            self.add(Weight::Safe, &before.name, "other numbers are fetched at once, or earlier");
        }
    }
}

/// What decides the numbers of a sequence: the row that they come from, or the parts of each.
fn home(rules: &ShardingRules, sequence: &Sequence) -> String {
    match &sequence.kind {
        SequenceKind::Segment(segment) => {
            let cluster = &rules.shards()[usize::from(segment.shard.0)].cluster;
            format!("{cluster}.{}.{}", segment.database, segment.table)
        }
        SequenceKind::Composed(composed) => {
            let part = |part: &Part| match part {
                Part::Sequence(id) => rules.sequences()[usize::from(id.0)].name.clone(),
                Part::Of(key) => rules.key(*key).name.clone(),
            };
            let mut parts: Vec<String> = composed
                .parts
                .iter()
                .map(|(field, filler)| {
                    let last = field.offset + field.length - 1;
                    format!("bits {}-{last} {}", field.offset, part(filler))
                })
                .collect();
            parts.sort();
            format!("{} of {}", rules.key(composed.key).name, parts.join(", "))
        }
    }
}
