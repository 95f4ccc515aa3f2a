//! `/*+ dazzle: shard=…, slot=…, scatter, primary, replica */`.

use crate::sharding::planner::{Refusal, Request};
use crate::sharding::rules::ShardingRules;
use crate::sharding::slots::{SlotId, SlotSet};
use crate::sql::tree::hints;

/// Where a hint wants a statement to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadFrom {
    /// No hint says it.
    #[default]
    Unsaid,
    /// `primary`.
    Primary,
    /// `replica`.
    Replica,
}

/// Hints that take a check from the way of a statement: whoever executes it must be allowed to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HintsUsed {
    /// `slot=…`.
    pub slot: bool,
    /// `shard=…`.
    pub shard: bool,
    /// `scatter`.
    pub scatter: bool,
}

/// What the hints of a statement say.
#[derive(Clone, Debug, Default)]
pub(super) struct Hints {
    /// `slot=label`.
    pub(super) slot: Option<SlotId>,
    /// `shard=name`: its slots.
    pub(super) among: Option<SlotSet>,
    /// `scatter`: however many slots it takes.
    pub(super) scatter: bool,
    pub(super) read_from: ReadFrom,
}

impl Hints {
    pub(super) const fn used(&self) -> HintsUsed {
        HintsUsed { slot: self.slot.is_some(), shard: self.among.is_some(), scatter: self.scatter }
    }

    pub(super) fn read(rules: &ShardingRules, request: &Request<'_>) -> Result<Self, Refusal> {
        let mut all = Self::default();
        for hint in hints(request.text, request.mode) {
            let content = std::str::from_utf8(hint.content.of(request.text))
                .map_err(|_| Refusal::Hint { what: "it is not UTF-8" })?;
            for word in content.split(',') {
                all.word(rules, word.trim())?;
            }
        }
        Ok(all)
    }

    fn word(&mut self, rules: &ShardingRules, word: &str) -> Result<(), Refusal> {
        match word.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
            Some(("slot", label)) => {
                let slot = rules.slot_named(label).ok_or(Refusal::Hint { what: "no slot has this label" })?;
                self.slot = Some(slot);
            }
            Some(("shard", name)) => {
                let shard = rules.shards().iter().position(|shard| &*shard.name == name);
                let shard = shard.ok_or(Refusal::Hint { what: "no shard has this name" })?;
                let slots = rules.slots().iter().enumerate();
                let own = slots.filter(|(_, slot)| usize::from(slot.shard.0) == shard);
                let own = own.map(|(index, _)| SlotId(index as u16));
                self.among = Some(SlotSet::of(rules.slots().len(), own));
            }
            None if word == "scatter" => self.scatter = true,
            None if word == "primary" => self.read_from = ReadFrom::Primary,
            None if word == "replica" => self.read_from = ReadFrom::Replica,
            Some(_) | None => {
                return Err(Refusal::Hint { what: "it knows slot=, shard=, scatter, primary and replica" });
            }
        }
        Ok(())
    }
}
