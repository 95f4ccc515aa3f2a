//! Statement facts, learnt once per digest and kept by the worker.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;
use parking_lot::Mutex;

use crate::cache::Traits;
use crate::engine::combine::Pace;
use crate::engine::known_answers::may_be_known;
use crate::engine::sharded::Recipes;
use crate::engine::show::{OwnShow, own_show};
use crate::protection::Marks;
use crate::sql::{Fingerprint, LexMode, Shape, Statement, analyze, fingerprint_keyed, shape};
use crate::telemetry::{DigestRow, WorkerMetrics};

/// What is known about all statements of one digest.
#[derive(Debug)]
pub struct Facts {
    /// What the lexer learnt.
    pub statement: Statement,
    /// What it reaches, and how widely.
    pub shape: Shape,
    /// The rules that its statements may meet.
    pub marks: Marks,
    /// What it means to hot reads.
    pub traits: Traits,
    /// Where its executions are counted.
    pub row: DigestRow,
    /// What its executions have been like.
    pub(crate) pace: Pace,
    /// Where they go in a logical database.
    pub(crate) recipes: Recipes,
    /// It asks the proxy itself.
    pub(crate) own_show: Option<OwnShow>,
    /// It may be what drivers ask when they connect; that depends on literals, too.
    pub(crate) connect_question: bool,
}

/// Digests kept per worker. Beyond it the cache starts anew: whoever sends that many different digests
/// gains nothing from it.
const FACTS_MAX: usize = 8_192;

/// Longer texts are analysed every time: a fingerprint of them would cost as much.
const TEXT_MAX: usize = 1 << 20;

/// The cache of one worker.
#[derive(Debug)]
pub struct FactsCache {
    /// Only this worker's sessions use it, one at a time and never across an await: the lock is never
    /// contended and serves only to make the cache shareable.
    known: Mutex<HashMap<Fingerprint, Arc<Facts>, FixedState>>,
    /// Clients choose the texts; a key they do not know keeps them from choosing collisions.
    key: u64,
}

impl FactsCache {
    /// An empty cache.
    #[must_use]
    pub fn new(key: u64) -> Self {
        Self { known: Mutex::default(), key }
    }

    /// The facts of `text`, read in `mode`.
    pub fn facts(&self, text: &[u8], mode: LexMode, metrics: &WorkerMetrics) -> Arc<Facts> {
        if text.len() > TEXT_MAX {
            return Arc::new(learn(text, mode, metrics));
        }
        let fingerprint = fingerprint_keyed(text, mode, self.key);
        if let Some(facts) = self.known.lock().get(&fingerprint) {
            return Arc::clone(facts);
        }
        let facts = Arc::new(learn(text, mode, metrics));
        let mut known = self.known.lock();
        if known.len() >= FACTS_MAX {
            known.clear();
        }
        known.insert(fingerprint, Arc::clone(&facts));
        facts
    }
}

fn learn(text: &[u8], mode: LexMode, metrics: &WorkerMetrics) -> Facts {
    let statement = analyze(text, mode);
    let row = metrics.digests.row(statement.digest.hash, &statement.digest.text);
    let (shape, marks) = (shape(text, mode), Marks::default());
    let traits = Traits::of(&statement, &shape, text, mode);
    let (pace, recipes) = (Pace::default(), Recipes::default());
    let (own_show, connect_question) = (own_show(&statement), may_be_known(&statement, text, mode));
    Facts { statement, shape, marks, traits, row, pace, recipes, own_show, connect_question }
}
