//! Binary logs that are followed, as JSON and as metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cache::{Cache, Phase, Trust};
use crate::engine::Engine;
use crate::telemetry::{BinlogNumbers, write_binlogs};

/// Makes metrics of the binary logs that `engine` follows.
pub fn register_binlogs(engine: &Arc<Engine>) {
    let cache = Arc::clone(&engine.cache);
    engine.telemetry.register(Box::new(move |sink| {
        let numbers: Vec<BinlogNumbers> = cache.trusts.all().iter().map(|trust| numbers(trust)).collect();
        write_binlogs(sink, &numbers)
    }));
}

fn numbers(trust: &Trust) -> BinlogNumbers {
    let counts = &trust.counts;
    let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let both = |pair: &[AtomicU64; 2]| [read(&pair[0]), read(&pair[1])];
    BinlogNumbers {
        cluster: trust.cluster().to_owned(),
        certain: trust.phase() == Phase::Following && trust.holds(Instant::now()),
        events: read(&counts.events),
        changes: both(&counts.changes),
        beginnings: both(&counts.beginnings),
        losses: read(&counts.losses),
    }
}

/// One object for each log.
pub(super) fn to_json(cache: &Cache) -> Vec<Value> {
    let trusts = cache.trusts.all();
    let one = |trust: &Arc<Trust>| {
        let (state, reason) = match trust.phase() {
            Phase::Starting => ("starting", None),
            Phase::Following => ("followed", None),
            Phase::Lost(reason) => ("lost", Some(reason)),
            Phase::Unfollowed(reason) => ("not_followed", Some(reason)),
        };
        let BinlogNumbers { cluster, events, changes, beginnings, losses, certain: _ } = numbers(trust);
        json!({
            "cluster": cluster,
            "state": state,
            "reason": reason,
            "results_are_given": trust.holds(Instant::now()),
            "events": events,
            "changes": {"tables": changes[0], "everything": changes[1]},
            "beginnings": {"anew": beginnings[0], "resumed": beginnings[1]},
            "losses": losses,
        })
    };
    trusts.iter().map(one).collect()
}
