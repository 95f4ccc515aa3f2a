//! The metrics of binary logs that are followed, from numbers that their owner reads at each scrape.

use std::fmt;

use crate::telemetry::exposition::{Sample, Sink};

/// One cluster's log at one moment. Labels are configured names.
#[derive(Clone, Debug)]
pub struct BinlogNumbers {
    /// The cluster.
    pub cluster: String,
    /// Every write is known of at this moment.
    pub certain: bool,
    /// Events that were read.
    pub events: u64,
    /// Changes that ended results: of their rows, of their tables, of all.
    pub changes: [u64; 3],
    /// Times that it began anew, and went on.
    pub beginnings: [u64; 2],
    /// Times that it was lost.
    pub losses: u64,
}

/// Writes the metrics; call it once in a scrape.
pub fn write_binlogs(sink: &mut Sink<'_>, logs: &[BinlogNumbers]) -> fmt::Result {
    if logs.is_empty() {
        return Ok(());
    }
    let plain: Vec<[(&str, &str); 1]> = logs.iter().map(|log| [("cluster", log.cluster.as_str())]).collect();
    let certain: Vec<Sample<'_, f64>> = plain
        .iter()
        .zip(logs)
        .map(|(labels, log)| (labels.as_slice(), f64::from(u8::from(log.certain))))
        .collect();
    let help = "Whether every write on the cluster is known of, so that kept results are given";
    sink.gauges("dazzle_binlog_followed", help, &certain)?;
    let one = |of: fn(&BinlogNumbers) -> u64| -> Vec<Sample<'_, u64>> {
        plain.iter().zip(logs).map(|(labels, log)| (labels.as_slice(), of(log))).collect()
    };
    sink.counters("dazzle_binlog_events", "Events of binary logs that were read", &one(|log| log.events))?;
    sink.counters("dazzle_binlog_losses", "Times that a binary log was lost", &one(|log| log.losses))?;
    let changes = pairs(logs, "reach", ["rows", "tables", "everything"], |log| log.changes);
    write_pairs(sink, "dazzle_binlog_changes", "Changes in binary logs that ended kept results", &changes)?;
    let beginnings = pairs(logs, "how", ["anew", "resumed"], |log| log.beginnings);
    write_pairs(sink, "dazzle_binlog_beginnings", "Times that following a binary log began", &beginnings)
}

/// A cluster, a label, its value, and a number.
type Pair = (String, &'static str, &'static str, u64);

fn pairs<const N: usize>(
    logs: &[BinlogNumbers],
    label: &'static str,
    names: [&'static str; N],
    of: fn(&BinlogNumbers) -> [u64; N],
) -> Vec<Pair> {
    let of_log = |log: &BinlogNumbers| {
        let pair = |(name, n)| (log.cluster.clone(), label, name, n);
        names.into_iter().zip(of(log)).map(pair).collect::<Vec<Pair>>()
    };
    logs.iter().flat_map(of_log).collect()
}

fn write_pairs(sink: &mut Sink<'_>, name: &str, help: &str, pairs: &[Pair]) -> fmt::Result {
    let labels: Vec<[(&str, &str); 2]> = pairs
        .iter()
        .map(|(cluster, label, value, _)| [("cluster", cluster.as_str()), (*label, *value)])
        .collect();
    let samples: Vec<Sample<'_, u64>> =
        labels.iter().zip(pairs).map(|(labels, (.., n))| (labels.as_slice(), *n)).collect();
    sink.counters(name, help, &samples)
}
