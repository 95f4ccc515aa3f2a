//! Placements: from the values of keys to the slots that hold their rows.
//!
//! A placement has one step, or two: the first chooses a group of slots, the last a slot in it. Each step
//! looks at one key and has a fixed number of outcomes; a table gives the slot of each combination. So an
//! unknown key leaves all outcomes of its step open, and what several keys say is the intersection.

mod algorithm;
mod hash;
mod interval;
mod legacy;
mod list;
mod range;

use std::ops::Bound;

pub use algorithm::{Algorithm, Outcomes};
pub use hash::{Hash, HashFunction};
pub use interval::{Every, Interval};
pub use legacy::Legacy;
pub(crate) use legacy::{Function, ring, segments};
pub use list::List;
pub use range::{Range, Span};

use crate::sharding::key::{BitField, KeyId, KeyValue};
use crate::sharding::slots::{SlotId, SlotSet};

/// Combinations of outcomes of one placement at most: 2 MiB of slot ids.
pub const CELLS_MAX: usize = 1 << 20;

/// Combinations that are walked through for each look-up, rather than once when the rules are built.
const WALKED_MAX: usize = 64;

/// A placement of one logical database, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlacementId(pub u16);

impl PlacementId {
    /// Its place in the list of placements.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// How the rows of some tables are spread over slots.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    name: Box<str>,
    steps: Box<[Step]>,
    /// The slot of each combination of outcomes; the first step is the slowest.
    cells: Box<[SlotId]>,
    all: SlotSet,
    /// For a step of few outcomes: the slots that each leaves open.
    open: Box<[Box<[SlotSet]>]>,
}

/// One step of a placement.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The key that it looks at.
    pub key: KeyId,
    /// What it does with a value.
    pub algorithm: Algorithm,
    /// Ids whose bits hold the outcome.
    pub also_from: Vec<Gene>,
}

/// Bits of an id that hold the outcome of a step for the row that the id names.
#[derive(Clone, Debug, PartialEq)]
pub struct Gene {
    /// The id.
    pub key: KeyId,
    /// Which of its bits.
    pub field: BitField,
    /// The outcome of each number that may stand in them; None: the number is the outcome.
    pub numbers: Option<Vec<(u64, u32)>>,
}

/// Where rows with some value can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Located {
    /// In no slot: no row can have this value.
    Nowhere,
    /// In this one alone.
    One(SlotId),
    /// In one of these.
    Among(SlotSet),
}

/// Why a row has no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unplaced {
    /// It has no value for this key, nor for an id that could stand in.
    Missing(KeyId),
    /// No slot is meant for the value that it has for this key.
    NoSlot(KeyId),
    /// Two of its values lead to different slots: the id does not belong to the row.
    Disagree(KeyId, KeyId),
}

impl Gene {
    fn outcome(&self, value: &KeyValue<'_>) -> Option<u32> {
        let KeyValue::Integer(id) = value else { return None };
        let bits = self.field.of(*id)?;
        match &self.numbers {
            None => u32::try_from(bits).ok(),
            Some(numbers) => numbers.iter().find(|(number, _)| *number == bits).map(|(_, outcome)| *outcome),
        }
    }
}

impl Step {
    /// The outcome that `value` of `key` leads to: None if this step does not look at the key, else the
    /// outcome, or None again if there is none for this value.
    fn outcome(&self, key: KeyId, value: &KeyValue<'_>) -> Option<Option<u32>> {
        if self.key == key {
            return Some(self.algorithm.outcome(value));
        }
        let gene = self.also_from.iter().find(|gene| gene.key == key)?;
        Some(gene.outcome(value).filter(|outcome| *outcome < self.algorithm.outcomes()))
    }

    fn looks_at(&self, key: KeyId) -> bool {
        self.key == key || self.also_from.iter().any(|gene| gene.key == key)
    }
}

impl Placement {
    /// A placement of these steps. `cells` has a slot for each combination of their outcomes, the last
    /// step's outcomes next to each other; `universe` is the number of all slots of the logical database.
    ///
    /// # Panics
    /// If the number of cells is not the product of the steps' outcomes.
    #[must_use]
    pub fn new(name: &str, steps: Vec<Step>, cells: Vec<SlotId>, universe: usize) -> Self {
        let product: usize = steps.iter().map(|step| step.algorithm.outcomes() as usize).product();
        assert_eq!(cells.len(), product, "one slot for each combination");
        let mut placement = Self {
            name: name.into(),
            all: SlotSet::of(universe, cells.iter().copied()),
            steps: steps.into(),
            cells: cells.into(),
            open: Box::default(),
        };
        placement.open = (0..placement.steps.len()).map(|step| placement.opened(step)).collect();
        placement
    }

    fn opened(&self, step: usize) -> Box<[SlotSet]> {
        let outcomes = self.steps[step].algorithm.outcomes() as usize;
        if self.steps.len() == 1 || self.cells.len() / outcomes.max(1) <= WALKED_MAX {
            return Box::default();
        }
        let mut sets = vec![SlotSet::none(self.all.universe()); outcomes];
        for (cell, slot) in self.cells.iter().enumerate() {
            sets[cell / self.stride(step) % outcomes].insert(*slot);
        }
        sets.into()
    }

    /// Its name in the rules.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its steps, of which there is at least one.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The slot of each combination of outcomes; the first step is the slowest.
    #[must_use]
    pub fn cells(&self) -> &[SlotId] {
        &self.cells
    }

    /// The slot of these outcomes, one for each step.
    pub(crate) fn cell(&self, outcomes: &[u32]) -> SlotId {
        let step = |cell: usize, (step, outcome): (&Step, &u32)| {
            cell * step.algorithm.outcomes() as usize + *outcome as usize
        };
        self.cells[self.steps.iter().zip(outcomes).fold(0, step)]
    }

    /// All its slots.
    #[must_use]
    pub fn all(&self) -> &SlotSet {
        &self.all
    }

    /// Whether it looks at `key`.
    #[must_use]
    pub fn looks_at(&self, key: KeyId) -> bool {
        self.steps.iter().any(|step| step.looks_at(key))
    }

    /// Whether rows that agree in these keys are certainly in the same slot.
    #[must_use]
    pub fn determined_by(&self, keys: &[KeyId]) -> bool {
        self.steps.iter().all(|step| keys.iter().any(|key| step.looks_at(*key)))
    }

    /// Where rows with `value` of `key` can be.
    #[must_use]
    pub fn locate(&self, key: KeyId, value: &KeyValue<'_>) -> Located {
        let mut cell = 0;
        let mut unknown = 0;
        let mut known = None;
        for (place, step) in self.steps.iter().enumerate() {
            let outcome = match step.outcome(key, value) {
                Some(Some(outcome)) => {
                    known = Some((place, outcome));
                    outcome
                }
                Some(None) => return Located::Nowhere,
                None => {
                    unknown += 1;
                    0
                }
            };
            cell = cell * step.algorithm.outcomes() as usize + outcome as usize;
        }
        match known {
            None => Located::Among(self.all.clone()),
            Some(_) if unknown == 0 => Located::One(self.cells[cell]),
            Some((place, outcome)) => Located::Among(self.left_open(place, outcome)),
        }
    }

    /// Where rows with a value of `key` in this range can be.
    #[must_use]
    pub fn between(&self, key: KeyId, lower: Bound<&KeyValue<'_>>, upper: Bound<&KeyValue<'_>>) -> SlotSet {
        let mut slots = self.all.clone();
        for (place, step) in self.steps.iter().enumerate().filter(|(_, step)| step.key == key) {
            match step.algorithm.between(lower, upper) {
                Outcomes::All => {}
                Outcomes::Some(outcomes) => {
                    let mut open = SlotSet::none(self.all.universe());
                    for outcome in outcomes {
                        open.unite(&self.left_open(place, outcome));
                    }
                    slots.intersect(&open);
                }
            }
        }
        slots
    }

    /// The slot of a row with these values of keys.
    ///
    /// # Errors
    /// If a value is missing, has no slot, or contradicts another one.
    pub fn slot_of_row(&self, row: &[(KeyId, KeyValue<'_>)]) -> Result<SlotId, Unplaced> {
        let mut cell = 0;
        for step in &self.steps {
            let mut decided: Option<(KeyId, u32)> = None;
            for (key, value) in row {
                let outcome = match step.outcome(*key, value) {
                    None => continue,
                    Some(None) => return Err(Unplaced::NoSlot(*key)),
                    Some(Some(outcome)) => outcome,
                };
                match decided {
                    Some((other, before)) if before != outcome => {
                        return Err(Unplaced::Disagree(other, *key));
                    }
                    _ => decided = Some((*key, outcome)),
                }
            }
            let Some((_, outcome)) = decided else { return Err(Unplaced::Missing(step.key)) };
            cell = cell * step.algorithm.outcomes() as usize + outcome as usize;
        }
        Ok(self.cells[cell])
    }

    /// What the bits of an id of key `id` hold for a row with `value` of `key`: the bucket of its hash, or the number
    /// of its group. None if ids do not carry it, or the value has no place.
    #[must_use]
    pub fn carried(&self, id: KeyId, key: KeyId, value: &KeyValue<'_>) -> Option<u64> {
        let step = self.steps.iter().find(|step| step.key == key)?;
        let gene = step.also_from.iter().find(|gene| gene.key == id)?;
        let outcome = step.algorithm.outcome(value)?;
        match &gene.numbers {
            None => Some(outcome.into()),
            Some(numbers) => numbers.iter().find(|(_, own)| *own == outcome).map(|(number, _)| *number),
        }
    }

    /// The slots of all cells with this outcome of this step.
    fn left_open(&self, step: usize, outcome: u32) -> SlotSet {
        if let Some(set) = self.open[step].get(outcome as usize) {
            return set.clone();
        }
        let outcomes = self.steps[step].algorithm.outcomes() as usize;
        let stride = self.stride(step);
        let mut set = SlotSet::none(self.all.universe());
        for block in (0..self.cells.len()).step_by(stride * outcomes) {
            let start = block + outcome as usize * stride;
            for slot in &self.cells[start..start + stride] {
                set.insert(*slot);
            }
        }
        set
    }

    /// How far apart two neighbouring outcomes of a step are in the table.
    fn stride(&self, step: usize) -> usize {
        self.steps[step + 1..].iter().map(|step| step.algorithm.outcomes() as usize).product()
    }
}

#[cfg(test)]
mod tests;
