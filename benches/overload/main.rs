//! Far more statements than a server can run, offered to it directly and through the proxy.
//!
//! `scripts/overload -- --help`; how to read the numbers: `benches/README.md`.

mod breaker;
mod offer;
#[path = "../relay/placement.rs"]
mod placement;
mod stage;
mod tally;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use dazzle::lab::{Flavor, Lab, LabOptions, Server};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::offer::{Crowd, offer};
use crate::placement::Cpus;
use crate::stage::{CROWDS, Proxy};
use crate::tally::Tally;

/// Goodput and latency by tier at 1, 3 and 10 times what the server can do, direct and through Dazzle
#[derive(Parser)]
struct Options {
    /// Seconds of each load
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Multiples of the server's capacity
    #[arg(long, value_delimiter = ',', default_values_t = [0.7, 1.0, 3.0, 10.0])]
    loads: Vec<f64>,
    /// mariadb or mysql
    #[arg(long, default_value = "mariadb")]
    server: Kind,
    /// The cluster's `concurrency` in YAML
    #[arg(long, default_value = "{mode: adaptive, min: 2, queue_timeout: 500ms, target: 20ms}")]
    concurrency: String,
    /// Leaves the direct side out
    #[arg(long)]
    ours_only: bool,
    /// No load: how a breaker leaves a server alone that hangs or is killed, and lets it in again
    #[arg(long)]
    breaker: bool,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Kind {
    Mariadb,
    Mysql,
}

/// One side at one load.
struct Line {
    side: &'static str,
    load: f64,
    tallies: Vec<Tally>,
    /// What the server could do right before and right after, on average.
    capacity: f64,
    /// CPU of the server ÷ time that passed, while statements were offered.
    busy: f64,
}

/// The server, and what is asked of it.
struct Scene<'a> {
    server: &'a Server,
    pid: u32,
    rows: u32,
    duration: Duration,
}

fn main() -> ExitCode {
    // `cargo test --all-targets` runs benches too, with the arguments of its own harness.
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("a bench: run it with scripts/overload");
        return ExitCode::SUCCESS;
    }
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(run(&options))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("overload bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> io::Result<()> {
    let flavor = match options.server {
        Kind::Mariadb => Flavor::MariaDb,
        Kind::Mysql => Flavor::MySql,
    };
    let mut settings = LabOptions::new(flavor);
    settings.connections_max = 2_000;
    let lab = Lab::start(&settings).await.map_err(io::Error::other)?;
    let server = lab.primary();
    let pid = server.pid().ok_or_else(|| io::Error::other("the server does not run"))?;
    // The server has a CPU of its own, as on a machine of its own: what is refused must not be paid by it.
    let cpus = Cpus::of_this_process()?;
    let _placed = [cpus.last(vec![pid])?, cpus.others(vec![std::process::id()])?];
    stage::fill(server).await?;
    if options.breaker {
        println!("{}", breaker::measure(server).await?);
        return Ok(());
    }
    let rows = stage::calibrate(server).await?;
    let scene = Scene { server, pid, rows, duration: Duration::from_secs(options.seconds) };
    let mut lines = Vec::new();
    if !options.ours_only {
        let mut crowds = stage::crowds(server.address(), rows).await?;
        lines.extend(scene.ramp("direct", &mut crowds, &options.loads).await?);
    }
    let proxy = Proxy::start(server, &format!("    concurrency: {}\n", options.concurrency)).await?;
    let mut crowds = stage::crowds(proxy.address, rows).await?;
    lines.extend(scene.ramp("dazzle", &mut crowds, &options.loads).await?);
    println!("{}", summary(&lines));
    Ok(())
}

impl Scene<'_> {
    async fn ramp(&self, side: &'static str, crowds: &mut [Crowd], loads: &[f64]) -> io::Result<Vec<Line>> {
        let mut lines = Vec::new();
        let mut before = stage::capacity(self.server, self.rows).await?;
        for load in loads {
            // Tier 1 asks for as much whatever the others do.
            let first = CROWDS[0].share;
            let rates: Vec<f64> = CROWDS
                .iter()
                .enumerate()
                .map(|(n, crowd)| match n {
                    0 => first * before,
                    _ => (load - first) * before * crowd.share / (1.0 - first),
                })
                .collect();
            let (started, spent) = (Instant::now(), stage::cpu(self.pid)?);
            let tallies = offer(crowds, &rates, self.duration).await?;
            let spent = stage::cpu(self.pid)?.saturating_sub(spent);
            let busy = spent.as_secs_f64() / started.elapsed().as_secs_f64();
            let after = stage::capacity(self.server, self.rows).await?;
            let line = Line { side, load: *load, tallies, capacity: f64::midpoint(before, after), busy };
            show(&line, self.duration);
            lines.push(line);
            before = after;
        }
        Ok(lines)
    }
}

/// Statements a second that were answered in time.
fn goodput(line: &Line) -> f64 {
    line.tallies.iter().map(Tally::goodput).sum()
}

fn goodput_ratio(line: &Line) -> f64 {
    goodput(line) / line.capacity
}

fn show(line: &Line, duration: Duration) {
    println!(
        "{:>6} {:>4}×: {:>6.0} offered/s, {:>5.0} good/s of {:.0} possible, server {:.0} % busy",
        line.side,
        line.load,
        line.tallies.iter().map(|tally| tally.offered as f64).sum::<f64>() / duration.as_secs_f64(),
        goodput(line),
        line.capacity,
        line.busy * 100.0
    );
    for (crowd, tally) in CROWDS.iter().zip(&line.tallies) {
        println!("        tier {}: {tally}", crowd.tier);
    }
}

/// The numbers that are compared with the bars: Dazzle's against the server's capacity and its own calm.
fn summary(lines: &[Line]) -> Value {
    let rounded = |number: f64| (number * 1000.0).round() / 1000.0;
    let mut all = json!({});
    for line in lines {
        let tiers: serde_json::Map<_, _> = CROWDS
            .iter()
            .zip(&line.tallies)
            .map(|(crowd, tally)| (format!("tier{}", crowd.tier), tally.json()))
            .collect();
        all[line.side][format!("{}x", line.load)] = json!({
            "capacity": rounded(line.capacity),
            "goodput_ratio": rounded(goodput_ratio(line)),
            "server_busy": rounded(line.busy),
            "tiers": tiers,
        });
    }
    let ours: Vec<&Line> = lines.iter().filter(|line| line.side == "dazzle").collect();
    let pick = |lines: &[&Line], of: &dyn Fn(&Line) -> f64, pick: fn(f64, f64) -> f64| {
        lines.iter().map(|line| of(line)).reduce(pick).unwrap_or_default()
    };
    let full: Vec<&Line> = ours.iter().copied().filter(|line| line.load >= 1.0).collect();
    let best = pick(&full, &goodput_ratio, f64::max);
    all["goodput_min"] = rounded(pick(&full, &goodput_ratio, f64::min) / best).into();
    all["tier1_served_min"] = rounded(pick(&ours, &|line| line.tallies[0].served(), f64::min)).into();
    let slowest = pick(&ours, &|line| line.tallies[0].quantile(0.99), f64::max);
    for line in ours.iter().take(2) {
        let ratio = slowest / line.tallies[0].quantile(0.99);
        all[format!("tier1_p99_ratio_to_{}x", line.load)] = rounded(ratio).into();
    }
    all
}
