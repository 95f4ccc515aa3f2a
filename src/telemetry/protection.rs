//! The metrics of what protects the servers, from numbers that their owner reads at each scrape.

use std::fmt;

use crate::telemetry::exposition::{Sample, Sink};

/// One door at one moment. Labels are configured names.
#[derive(Clone, Debug)]
pub struct DoorNumbers {
    /// The server's or the rule's name.
    pub door: String,
    /// Statements at once.
    pub limit: u32,
    /// Statements that run.
    pub running: u32,
    /// Statements that wait.
    pub waiting: usize,
    /// How hard pressed it is: 0 calm, 1 warn, 2 queue, 3 shed, 4 tier 1 only.
    pub grade: u32,
    /// Statements let through, and those of them that waited.
    pub granted: [u64; 2],
    /// Statements turned away, by tier.
    pub turned: Vec<u64>,
    /// The breaker: 0 closed, 1 ramp, 2 half open, 3 open; how often it has opened.
    pub breaker: Option<(u32, u64)>,
    /// Digests whose own breaker is not closed.
    pub digests_barred: usize,
}

/// Writes the metrics of `doors` and the hits of rules and switches; call it once in a scrape.
pub fn write_protection(
    sink: &mut Sink<'_>,
    doors: &[DoorNumbers],
    rules: &[(String, u64)],
    switches: &[(String, u64)],
) -> fmt::Result {
    let names: Vec<[(&str, &str); 1]> = doors.iter().map(|door| [("door", door.door.as_str())]).collect();
    let gauge = |number: &dyn Fn(&DoorNumbers) -> f64| -> Vec<Sample<'_, f64>> {
        names.iter().zip(doors).map(|(labels, door)| (labels.as_slice(), number(door))).collect()
    };
    sink.gauges(
        "dazzle_door_limit",
        "Statements that may run at once",
        &gauge(&|door| f64::from(door.limit)),
    )?;
    sink.gauges("dazzle_door_running", "Statements that run", &gauge(&|door| f64::from(door.running)))?;
    sink.gauges("dazzle_door_waiting", "Statements that wait", &gauge(&|door| door.waiting as f64))?;
    sink.gauges(
        "dazzle_door_grade",
        "Pressure: 0 calm, 1 warn, 2 queue, 3 shed low tiers, 4 tier 1 only",
        &gauge(&|door| f64::from(door.grade)),
    )?;
    sink.gauges(
        "dazzle_digests_barred",
        "Digests whose own breaker is not closed",
        &gauge(&|door| door.digests_barred as f64),
    )?;
    let counter = |number: &dyn Fn(&DoorNumbers) -> u64| -> Vec<Sample<'_, u64>> {
        names.iter().zip(doors).map(|(labels, door)| (labels.as_slice(), number(door))).collect()
    };
    sink.counters("dazzle_door_granted", "Statements let through", &counter(&|door| door.granted[0]))?;
    sink.counters(
        "dazzle_door_waited",
        "Statements let through after a wait",
        &counter(&|door| door.granted[1]),
    )?;
    write_turned(sink, doors)?;
    write_breakers(sink, doors)?;
    for (name, help, key, hits) in [
        ("dazzle_rule_hits", "Statements that a rule refused, or with dry_run would have", "rule", rules),
        ("dazzle_switch_hits", "Statements that a switch refused", "switch", switches),
    ] {
        let labels: Vec<[(&str, &str); 1]> = hits.iter().map(|(name, _)| [(key, name.as_str())]).collect();
        let samples: Vec<Sample<'_, u64>> =
            labels.iter().zip(hits).map(|(labels, (_, hits))| (labels.as_slice(), *hits)).collect();
        sink.counters(name, help, &samples)?;
    }
    Ok(())
}

fn write_turned(sink: &mut Sink<'_>, doors: &[DoorNumbers]) -> fmt::Result {
    const TIERS: [&str; 8] = ["1", "2", "3", "4", "5", "6", "7", "8"];
    let turned: Vec<([(&str, &str); 2], u64)> = doors
        .iter()
        .flat_map(|door| {
            let tiers = TIERS.iter().zip(&door.turned);
            tiers.map(|(tier, turned)| ([("door", door.door.as_str()), ("tier", *tier)], *turned))
        })
        .collect();
    let samples: Vec<Sample<'_, u64>> = turned.iter().map(|(labels, n)| (labels.as_slice(), *n)).collect();
    sink.counters("dazzle_door_turned", "Statements turned away, by tier", &samples)
}

fn write_breakers(sink: &mut Sink<'_>, doors: &[DoorNumbers]) -> fmt::Result {
    let with = || doors.iter().filter_map(|door| Some((door.door.as_str(), door.breaker?)));
    let labels: Vec<[(&str, &str); 1]> = with().map(|(name, _)| [("backend", name)]).collect();
    let numbers = || labels.iter().map(<[_; 1]>::as_slice).zip(with().map(|(_, numbers)| numbers));
    let states: Vec<Sample<'_, f64>> =
        numbers().map(|(labels, (state, _))| (labels, f64::from(state))).collect();
    sink.gauges("dazzle_breaker_state", "Breaker: 0 closed, 1 ramp, 2 half open, 3 open", &states)?;
    let opened: Vec<Sample<'_, u64>> = numbers().map(|(labels, (_, opened))| (labels, opened)).collect();
    sink.counters("dazzle_breaker_opened", "Times a breaker has opened", &opened)
}
