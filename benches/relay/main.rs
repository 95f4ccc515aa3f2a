//! What a statement costs in the proxy, measured beside a relay that only copies bytes.
//!
//! `cargo bench --bench relay -- --help`; how to read the numbers: `benches/README.md`.

mod client;
mod direct;
mod load;
mod measure;
mod meter;
mod placement;
mod poller;
mod process;
mod proxy;
mod relay;
mod replies;
mod scenario;
mod server;
mod variables;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::direct::Direct;
use crate::measure::{Effort, Idle, Line, Middles};
use crate::process::Role;
use crate::proxy::{Middle, Ready};
use crate::scenario::Scenario;

/// Orders that are asked for: so many that nothing can keep them,
const KEYS: u64 = 900_000;

/// or so few that all are kept soon.
const KEPT_KEYS: u64 = 2_000;

/// CPU of the proxy for each statement, beside a bare copy relay in the same run
#[derive(Parser)]
struct Options {
    /// At most a minute, four scenarios; the last line is JSON
    #[arg(long)]
    summary: bool,
    /// Only this scenario, like text_64 or prepared_1; may be repeated. Leaves the idle clients out
    #[arg(long)]
    only: Vec<Scenario>,
    /// Rounds of each scenario; the middle one counts
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// Milliseconds of each side in each round
    #[arg(long, value_parser = clap::value_parser!(u32).range(50..=60_000))]
    millis: Option<u32>,
    /// Idle clients; 0 leaves that part out
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(0..=15_000))]
    clients: u32,
    /// A `dazzle` binary in place of this tree's
    #[arg(long, value_name = "PATH")]
    proxy: Option<PathBuf>,
    /// A configuration in place of the made one; {listen}, {server}, {admin}, {user}, {password} are filled in
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The port of the bench's server, for a proxy that is started by hand
    #[arg(long, value_name = "ADDRESS", requires_all = ["pid"], conflicts_with_all = ["proxy", "config"])]
    target: Option<SocketAddr>,
    /// The process id of that proxy
    #[arg(long, requires = "target")]
    pid: Option<u32>,
    /// The table lies in four slots of a logical database, each statement goes to the slot of its key, and a proxy
    /// without rules takes the relay's place: what routing costs beside it
    #[arg(long, conflicts_with_all = ["config", "target"])]
    sharded: bool,
    /// Results are kept, and a proxy that forwards takes the relay's place: what an answer from memory costs beside it
    #[arg(long, conflicts_with_all = ["config", "target", "sharded"])]
    kept: bool,
    /// Another `dazzle` binary in the relay's place: what a change costs
    #[arg(long, value_name = "PATH", conflicts_with_all = ["config", "target", "sharded", "kept"])]
    against: Option<PathBuf>,
    /// Concurrency, breakers and rules are set, and a proxy without them takes the relay's place: what the doors cost
    #[arg(long, conflicts_with_all = ["config", "target", "sharded", "kept", "against", "self_check"])]
    doors: bool,
    /// Results are kept, and a real MariaDB, which is also the proxy's server, takes the relay's place
    #[arg(long, conflicts_with_all = ["config", "target", "sharded", "kept", "against", "doors", "self_check"])]
    direct: bool,
    /// Measures the relay against a second relay: how far from 1.00 is this machine's noise
    #[arg(long, conflicts_with_all = ["proxy", "config", "target", "kept", "against"])]
    self_check: bool,
    /// Lets the scheduler place all processes; otherwise load and server are kept apart from the others
    #[arg(long)]
    anywhere: bool,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let result = match arguments.get(1).map(String::as_str) {
        Some("role") => process::play(&arguments[2..]),
        // `cargo test --all-targets` runs benches too, with the arguments of its own harness.
        _ if !arguments.iter().any(|argument| argument == "--bench") => {
            println!("a bench: run it with `cargo bench --bench relay`");
            Ok(())
        }
        _ => run(&Options::parse()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("relay bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> io::Result<()> {
    let mut server = Role::start(&["server"])?;
    let direct = options.direct.then(|| Direct::start(KEPT_KEYS)).transpose()?;
    let own = server.address()?;
    let server_address = direct.as_ref().map_or(own, |direct| direct.address);
    let relay = match (&direct, &options.against) {
        (Some(direct), _) => Middle::running(direct.address, direct.pid),
        (None, Some(other)) => Middle::dazzle(other, None, server_address)?,
        (None, None) if options.kept || options.sharded || options.doors => {
            Middle::dazzle(&program(options), None, server_address)?
        }
        (None, None) => Middle::relay(server_address)?,
    };
    let keys = if options.kept || options.direct { KEPT_KEYS } else { KEYS };
    let middles = Middles { relay, proxy: proxy(options, server_address)?, server, keys };
    let scenarios = match (options.only.as_slice(), options.summary) {
        ([], true) => Scenario::SUMMARY.as_slice(),
        ([], false) => Scenario::ALL.as_slice(),
        (only, _) => only,
    };
    let (rounds, millis) = if options.summary { (32, 100) } else { (50, 200) };
    let effort = Effort {
        rounds: options.rounds.unwrap_or(rounds) as usize,
        duration: Duration::from_millis(options.millis.unwrap_or(millis).into()),
        anywhere: options.anywhere,
    };
    println!(
        "{:<14} {:>9} {:>9}  {:<22} {:>9} {:>9}",
        "", "relay", "proxy", "proxy ÷ relay", "relay", "proxy"
    );
    println!(
        "{:<14} {:>9} {:>9}  {:<22} {:>9} {:>9}",
        "scenario", "CPU µs", "CPU µs", "median (min–max)", "per s", "per s"
    );
    let mut lines = Vec::new();
    for scenario in scenarios {
        let line = measure::cpu(*scenario, &middles, effort)?;
        show(&line);
        lines.push(line);
    }
    let with_idle = options.only.is_empty() && options.clients > 0 && !options.self_check && !options.direct;
    let idle = with_idle.then(|| measure::idle(&middles.proxy, options.clients as usize)).transpose()?;
    if let Some(idle) = &idle {
        println!(
            "idle client: {:.1} KiB after login, {:.1} KiB after a statement ({} clients)",
            idle.logged_in, idle.after_statement, options.clients
        );
    }
    if let Some(Ready { first, next }) = middles.proxy.ready {
        println!("ready after {first:.1?} at the first start, which makes keys, and {next:.1?} at the next");
    }
    println!("{}", json(&lines, idle.as_ref(), middles.proxy.ready));
    Ok(())
}

fn proxy(options: &Options, server: SocketAddr) -> io::Result<Middle> {
    if options.self_check {
        return Middle::relay(server);
    }
    if let (Some(address), Some(pid)) = (options.target, options.pid) {
        // Whoever starts that proxy needs to know where the server is.
        eprintln!("the server listens on {server}; press Enter when the proxy leads there");
        io::stdin().read_line(&mut String::new())?;
        return Ok(Middle::running(address, pid));
    }
    let program = program(options);
    match options {
        Options { sharded: true, .. } => Middle::sharded(&program, server),
        Options { doors: true, .. } => Middle::doors(&program, server),
        Options { kept: true, .. } | Options { direct: true, .. } => Middle::kept(&program, server),
        _ => Middle::dazzle(&program, options.config.as_deref(), server),
    }
}

fn program(options: &Options) -> PathBuf {
    options.proxy.clone().unwrap_or_else(|| env!("CARGO_BIN_EXE_dazzle").into())
}

fn show(line: &Line) {
    let (low, high) = line.extremes();
    let ratio = format!("{:.3} ({low:.3}–{high:.3})", line.ratio());
    println!(
        "{:<14} {:>9.2} {:>9.2}  {ratio:<22} {:>9.0} {:>9.0}",
        line.scenario.to_string(),
        line.relay_us,
        line.proxy_us,
        line.relay_per_second,
        line.proxy_per_second,
    );
}

/// The numbers that are compared between versions. An idle client is one that has worked.
fn json(lines: &[Line], idle: Option<&Idle>, ready: Option<Ready>) -> serde_json::Value {
    let rounded = |number: f64| (number * 1000.0).round() / 1000.0;
    let ratios: serde_json::Map<_, _> =
        lines.iter().map(|line| (line.scenario.to_string(), rounded(line.ratio()).into())).collect();
    let throughput: serde_json::Map<_, _> = lines
        .iter()
        .map(|line| {
            (line.scenario.to_string(), rounded(line.proxy_per_second / line.relay_per_second).into())
        })
        .collect();
    let mut summary = serde_json::json!({ "relay_ratio": ratios, "throughput_ratio": throughput });
    if let Some(idle) = idle {
        summary["idle_kib"] = rounded(idle.logged_in.max(idle.after_statement)).into();
    }
    if let Some(main) = lines.iter().find(|line| line.scenario == Scenario::MAIN).or(lines.first()) {
        summary["cpu_us"] = rounded(main.proxy_us).into();
    }
    if let Some(ready) = ready {
        summary["ready_ms"] = rounded(ready.next.as_secs_f64() * 1e3).into();
        summary["first_ready_ms"] = rounded(ready.first.as_secs_f64() * 1e3).into();
    }
    summary
}
