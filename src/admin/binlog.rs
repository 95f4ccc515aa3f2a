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
    BinlogNumbers {
        cluster: trust.cluster().to_owned(),
        certain: trust.phase() == Phase::Following && trust.holds(Instant::now()),
        events: read(&counts.events),
        changes: counts.changes.each_ref().map(read),
        beginnings: counts.beginnings.each_ref().map(read),
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
            "changes": {"rows": changes[0], "tables": changes[1], "everything": changes[2]},
            "beginnings": {"anew": beginnings[0], "resumed": beginnings[1]},
            "losses": losses,
        })
    };
    trusts.iter().map(one).collect()
}
