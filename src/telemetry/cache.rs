//! The metrics of hot reads, from numbers that their owner reads at each scrape.

use std::fmt;

use crate::telemetry::exposition::{Sample, Sink};

/// A rule at one moment. Labels are configured names.
#[derive(Clone, Debug)]
pub struct CacheRuleNumbers {
    /// Its name.
    pub rule: String,
    /// What became of its statements, by what it is called.
    pub outcomes: [(&'static str, u64); 6],
    /// Results that were kept.
    pub kept: u64,
    /// Reads that asked anew while others were given what was kept.
    pub renewed: u64,
    /// Results that the server was too quick about to be kept.
    pub cheap: u64,
}

/// The cache at one moment.
#[derive(Clone, Debug, Default)]
pub struct CacheTotals {
    /// Bytes that kept results take, and may take.
    pub bytes: [u64; 2],
    /// Kept results.
    pub results: u64,
    /// Reads that wait for an identical one.
    pub waiting: u64,
    /// Writes that ended results: of their tables, of all.
    pub ended: [u64; 2],
}

/// Writes the metrics; call it once in a scrape.
pub fn write_cache(sink: &mut Sink<'_>, totals: &CacheTotals, rules: &[CacheRuleNumbers]) -> fmt::Result {
    let reads: Vec<([(&str, &str); 2], u64)> = rules
        .iter()
        .flat_map(|rule| {
            let outcomes = rule.outcomes.iter();
            outcomes.map(|(outcome, n)| ([("rule", rule.rule.as_str()), ("outcome", *outcome)], *n))
        })
        .collect();
    let samples: Vec<Sample<'_, u64>> = reads.iter().map(|(labels, n)| (labels.as_slice(), *n)).collect();
    sink.counters("dazzle_cache_reads", "Reads that a rule of the cache is about, by outcome", &samples)?;
    let labels: Vec<[(&str, &str); 1]> = rules.iter().map(|rule| [("rule", rule.rule.as_str())]).collect();
    let of_rules = |number: fn(&CacheRuleNumbers) -> u64| -> Vec<Sample<'_, u64>> {
        labels.iter().zip(rules).map(|(labels, rule)| (labels.as_slice(), number(rule))).collect()
    };
    sink.counters("dazzle_cache_kept", "Results that were kept", &of_rules(|rule| rule.kept))?;
    let renewed = of_rules(|rule| rule.renewed);
    sink.counters("dazzle_cache_renewed", "Reads that asked anew before a result ended", &renewed)?;
    let cheap = of_rules(|rule| rule.cheap);
    sink.counters("dazzle_cache_cheap", "Results that were not kept, for their little cost", &cheap)?;
    sink.counters(
        "dazzle_cache_invalidations",
        "Writes that ended kept results, by their reach",
        &[(&[("reach", "tables")], totals.ended[0]), (&[("reach", "everything")], totals.ended[1])],
    )?;
    let [bytes, bytes_max] = totals.bytes.map(|bytes| bytes as f64);
    sink.gauges("dazzle_cache_bytes", "Memory that kept results take", &[(&[], bytes)])?;
    sink.gauges("dazzle_cache_bytes_max", "Memory that kept results may take", &[(&[], bytes_max)])?;
    sink.gauges("dazzle_cache_results", "Kept results", &[(&[], totals.results as f64)])?;
    let waiting = totals.waiting as f64;
    sink.gauges("dazzle_cache_waiting", "Reads that wait for an identical one under way", &[(&[], waiting)])
}

/// The second level at one moment.
#[derive(Clone, Debug)]
pub struct FleetTotals {
    /// Redis is asked.
    pub closed: bool,
    /// How often it was not asked any more.
    pub openings: u64,
    /// Places with writes that the others do not know of.
    pub untold: u64,
    /// Connections.
    pub connections: u64,
    /// What became of questions, tellings and results, by what it is called.
    pub outcomes: Vec<(&'static str, u64)>,
}

/// Writes the metrics; call it once in a scrape.
pub fn write_fleet(sink: &mut Sink<'_>, totals: &FleetTotals) -> fmt::Result {
    let labels: Vec<[(&str, &str); 1]> =
        totals.outcomes.iter().map(|(outcome, _)| [("outcome", *outcome)]).collect();
    let outcomes = labels.iter().zip(&totals.outcomes);
    let samples: Vec<Sample<'_, u64>> = outcomes.map(|(labels, (_, n))| (labels.as_slice(), *n)).collect();
    sink.counters("dazzle_cache_redis", "What Redis was asked, told and given, by outcome", &samples)?;
    let openings = [(&[][..], totals.openings)];
    sink.counters("dazzle_cache_redis_openings", "Times that Redis was given up for a while", &openings)?;
    let closed = f64::from(u8::from(totals.closed));
    sink.gauges("dazzle_cache_redis_asked", "Whether Redis is asked for results", &[(&[], closed)])?;
    let untold = totals.untold as f64;
    sink.gauges("dazzle_cache_redis_untold", "Places with writes that are yet to be told", &[(&[], untold)])?;
    let connections = totals.connections as f64;
    sink.gauges("dazzle_cache_redis_connections", "Connections to Redis", &[(&[], connections)])
}
