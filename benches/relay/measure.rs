//! The measurements: CPU of relay and proxy in turns, and memory of idle clients.

use std::io;
use std::time::Duration;

use tokio::time::Instant;

use crate::meter::{Cpu, resident_kib};
use crate::placement::{Cpus, Placement};
use crate::poller::pause;
use crate::process::Role;
use crate::proxy::Middle;
use crate::scenario::Scenario;

/// Before the first round of each side: caches fill, pools open their connections.
const WARM_UP: Duration = Duration::from_millis(300);

/// Everything that runs besides the load.
pub(crate) struct Middles {
    pub(crate) server: Role,
    pub(crate) relay: Middle,
    pub(crate) proxy: Middle,
    /// Orders that are asked for.
    pub(crate) keys: u64,
}

/// How often, how long, and where.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    pub(crate) duration: Duration,
    /// Whether the scheduler alone decides where processes run.
    pub(crate) anywhere: bool,
}

/// One side of one round.
#[derive(Clone, Copy)]
struct Run {
    /// CPU microseconds of a statement.
    cpu_us: f64,
    per_second: f64,
}

/// One line of the table.
pub(crate) struct Line {
    pub(crate) scenario: Scenario,
    pub(crate) relay_us: f64,
    pub(crate) proxy_us: f64,
    pub(crate) relay_per_second: f64,
    pub(crate) proxy_per_second: f64,
    /// Proxy ÷ relay of each round, sorted; at least one.
    ratios: Vec<f64>,
}

impl Line {
    /// The middle one of all rounds.
    pub(crate) fn ratio(&self) -> f64 {
        median(&self.ratios)
    }

    /// The smallest and the largest of all rounds.
    pub(crate) fn extremes(&self) -> (f64, f64) {
        (self.ratios[0], self.ratios[self.ratios.len() - 1])
    }
}

/// Drives relay and proxy in turns, whichever was second goes first in the next round, so that a
/// machine that slows down or speeds up does so to both.
pub(crate) fn cpu(scenario: Scenario, middles: &Middles, effort: Effort) -> io::Result<Line> {
    let Middles { server, relay, proxy, keys } = middles;
    let mut loads = [Load::start(scenario, relay, *keys)?, Load::start(scenario, proxy, *keys)?];
    let peers = vec![server.pid(), loads[0].role.pid(), loads[1].role.pid()];
    let _placement = match effort.anywhere {
        true => None,
        false => Some(place(peers, vec![relay.pid, proxy.pid], scenario.connections)?),
    };
    for load in &mut loads {
        load.run(WARM_UP)?;
    }
    let mut runs = [Vec::new(), Vec::new()];
    for round in 0..effort.rounds {
        for turn in [round % 2, 1 - round % 2] {
            runs[turn].push(loads[turn].run(effort.duration)?);
        }
    }
    let [relay, proxy] = runs;
    let mut ratios: Vec<f64> = relay.iter().zip(&proxy).map(|(r, p)| p.cpu_us / r.cpu_us).collect();
    ratios.sort_by(f64::total_cmp);
    Ok(Line {
        scenario,
        relay_us: median_of(&relay, |run| run.cpu_us),
        proxy_us: median_of(&proxy, |run| run.cpu_us),
        relay_per_second: median_of(&relay, |run| run.per_second),
        proxy_per_second: median_of(&proxy, |run| run.per_second),
        ratios,
    })
}

fn place(peers: Vec<u32>, middles: Vec<u32>, connections: usize) -> io::Result<[Placement; 2]> {
    let cpus = Cpus::of_this_process()?;
    let middles = match connections {
        1 => cpus.last(middles)?,
        _ => cpus.others(middles)?,
    };
    Ok([cpus.last(peers)?, middles])
}

/// A load generator and the process that it drives.
struct Load {
    role: Role,
    pid: u32,
}

impl Load {
    fn start(scenario: Scenario, middle: &Middle, keys: u64) -> io::Result<Self> {
        let (address, connections) = (middle.address.to_string(), scenario.connections.to_string());
        let (mode, keys) = (scenario.mode.to_string(), keys.to_string());
        let mut role = Role::start(&["load", &address, &connections, &mode, &keys])?;
        role.hear()?;
        Ok(Self { role, pid: middle.pid })
    }

    /// The CPU is read while no statement is under way, before and after: what is counted is the
    /// statements' and nothing else's.
    fn run(&mut self, duration: Duration) -> io::Result<Run> {
        let before = Cpu::of(self.pid)?;
        let started = Instant::now();
        self.role.tell(&duration.as_millis().to_string())?;
        let statements: u64 = self.role.hear()?.parse().map_err(io::Error::other)?;
        let elapsed = started.elapsed();
        let spent = Cpu::of(self.pid)?.since(&before);
        let statements = statements.max(1) as f64;
        Ok(Run {
            cpu_us: spent.as_secs_f64() * 1e6 / statements,
            per_second: statements / elapsed.as_secs_f64(),
        })
    }
}

/// Resident memory of the proxy for each idle client.
pub(crate) struct Idle {
    /// KiB, after the login.
    pub(crate) logged_in: f64,
    /// KiB, after each has run a statement and fallen silent again.
    pub(crate) after_statement: f64,
}

/// Logs `clients` clients in and lets them sit.
pub(crate) fn idle(proxy: &Middle, clients: usize) -> io::Result<Idle> {
    let before = settled_kib(proxy.pid)?;
    let mut crowd = Role::start(&["idle", &proxy.address.to_string(), &clients.to_string()])?;
    crowd.hear()?;
    let each = |now: u64| now.saturating_sub(before) as f64 / clients as f64;
    let logged_in = each(settled_kib(proxy.pid)?);
    crowd.tell("statement")?;
    crowd.hear()?;
    Ok(Idle { logged_in, after_statement: each(settled_kib(proxy.pid)?) })
}

/// Resident memory once it has stopped changing, or after two seconds.
fn settled_kib(pid: u32) -> io::Result<u64> {
    let mut last = resident_kib(pid)?;
    let mut same = 0;
    for _ in 0..20 {
        pause(Duration::from_millis(100));
        let now = resident_kib(pid)?;
        same = if now == last { same + 1 } else { 0 };
        last = now;
        if same == 3 {
            break;
        }
    }
    Ok(last)
}

fn median_of(runs: &[Run], value: fn(&Run) -> f64) -> f64 {
    let mut values: Vec<f64> = runs.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    median(&values)
}

/// The median of sorted values.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
        _ => sorted[middle],
    }
}
