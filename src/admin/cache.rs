//! `/cache`: what is kept, and what became of the reads that each rule is about, as JSON; and the same as metrics.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::admin::binlog;
use crate::cache::{Cache, CacheNumbers, RuleNumbers};
use crate::engine::{Engine, Fleet, FleetNumbers};
use crate::telemetry::{CacheRuleNumbers, CacheTotals, FleetTotals, write_cache, write_fleet};

/// Makes metrics of the numbers of `engine`'s cache.
pub fn register_cache(engine: &Arc<Engine>) {
    let fleet = Arc::clone(&engine.fleet);
    engine.telemetry.register(Box::new(move |sink| match fleet.numbers() {
        Some(FleetNumbers { closed, openings, reason: _, untold, connections, outcomes }) => {
            write_fleet(sink, &FleetTotals { closed, openings, untold, connections, outcomes })
        }
        None => Ok(()),
    }));
    let cache = Arc::clone(&engine.cache);
    engine.telemetry.register(Box::new(move |sink| {
        let CacheNumbers { bytes, bytes_max, results, waiting, ended, rules } = cache.numbers();
        let rules: Vec<CacheRuleNumbers> = rules.into_iter().map(numbers).collect();
        write_cache(sink, &CacheTotals { bytes: [bytes, bytes_max], results, waiting, ended }, &rules)
    }));
}

fn numbers(numbers: RuleNumbers) -> CacheRuleNumbers {
    let RuleNumbers { rule, hits, shared, misses, passed, kept, renewed, old, cheap, fleet } = numbers;
    let outcomes = [
        ("hit", hits),
        ("shared", shared),
        ("fleet", fleet),
        ("miss", misses),
        ("passed", passed),
        ("old", old),
    ];
    CacheRuleNumbers { rule, outcomes, kept, renewed, cheap }
}

pub(super) fn to_json(cache: &Cache, fleet: &Fleet, now: Instant) -> String {
    let CacheNumbers { bytes, bytes_max, results, waiting, ended: [tables, everything], rules } =
        cache.numbers();
    let rules: Vec<Value> = rules
        .into_iter()
        .map(|rule| {
            json!({
                "rule": rule.rule,
                "hits": rule.hits,
                "shared": rule.shared,
                "misses": rule.misses,
                "passed": rule.passed,
                "kept": rule.kept,
                "renewed": rule.renewed,
                "old": rule.old,
                "cheap": rule.cheap,
                "fleet": rule.fleet,
            })
        })
        .collect();
    let hot = cache.hot_keys(now).into_iter().map(|(hot, rule)| {
        json!({
            "key": format!("{:016x}", hot.key),
            "digest": format!("{:016x}", hot.digest),
            "statement": &*hot.statement,
            "user": &*hot.user,
            "rule": rule,
            "reads_per_second": hot.reads_per_second,
            "share_percent": hot.share,
        })
    });
    json!({
        "hot_keys": hot.collect::<Vec<Value>>(),
        "bytes": bytes,
        "bytes_max": bytes_max,
        "results": results,
        "waiting": waiting,
        "invalidations": {"tables": tables, "everything": everything},
        "rules": rules,
        "redis": fleet.numbers().map(redis),
        "binlogs": binlog::to_json(cache),
    })
    .to_string()
}

fn redis(numbers: FleetNumbers) -> Value {
    let FleetNumbers { closed, openings, reason, untold, connections, outcomes } = numbers;
    let outcomes: Map<String, Value> =
        outcomes.into_iter().map(|(name, count)| (name.to_owned(), count.into())).collect();
    json!({
        "is_asked": closed,
        "circuit_openings": openings,
        "last_failure": reason,
        "untold_places": untold,
        "connections": connections,
        "outcomes": outcomes,
    })
}
