//! `dazzle demo`: thousands of real clients over a few connections of a private server, for everybody to see.
//!
//! The proxy runs as a process of its own, as it does in earnest, registered in the lab's folder: so it ends
//! with the demo, however the demo ends.

mod census;
mod customer;
mod error;
mod page;
mod proxy;
mod report;
mod screen;
mod settings;
mod shards;
mod stage;
mod tally;
mod tour;
mod traffic;

use std::process::ExitCode;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::lab::demo::error::DemoError;
use crate::lab::demo::report::Report;
use crate::lab::demo::screen::Screen;
use crate::lab::demo::stage::Stage;
use crate::lab::flavor::Flavor;

/// What a shell reports for a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Files that the demo opens beside its clients' sockets.
const FILES_BESIDE_CLIENTS: u64 = 256;

/// What the demo is asked for.
#[derive(Clone, Copy, Debug)]
pub struct DemoOptions {
    /// End after the table; any error or too many server connections is a failure.
    pub check: bool,
    /// How long the clients run.
    pub seconds: u32,
    /// Client connections.
    pub clients: u32,
    /// How many of a hundred clients say nothing while the others are busy; once at the end they do.
    pub idle_percent: u32,
    /// Server connections at most.
    pub pool: u32,
    /// MariaDB or MySQL; `None`: what this machine has, MariaDB first.
    pub flavor: Option<Flavor>,
}

/// Runs the demo to its end. What it has to say goes to standard output, why it failed to standard error.
#[must_use]
pub fn run(options: &DemoOptions) -> ExitCode {
    let runtime = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&DemoError::Runtime(error)),
    };
    match runtime.block_on(until_told_to_end(options)) {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

fn failed(error: &DemoError) -> ExitCode {
    eprintln!("demo: {error}");
    ExitCode::FAILURE
}

/// The show, unless a signal ends it early: dropping it takes everything down that it has put up.
async fn until_told_to_end(options: &DemoOptions) -> Result<ExitCode, DemoError> {
    let mut ends = Ends::new().map_err(DemoError::Runtime)?;
    let screen = Screen::new();
    let (stage, report) = tokio::select! {
        shown = show(options, &screen) => shown?,
        () = ends.told() => return Ok(ExitCode::from(INTERRUPTED)),
    };
    let mut outcome = report.verdict();
    if !options.check {
        screen.say(&report::invitation(&stage, screen.colour()));
        tokio::select! {
            error = stage.proxy().ended() => {
                eprintln!("demo: {error}");
                outcome = ExitCode::FAILURE;
            }
            () = ends.told() => screen.say("\n  ending: the proxy, the servers and their folder go"),
        }
    }
    stage.strike().await;
    Ok(outcome)
}

/// Puts everything up, runs the clients, prints the table.
async fn show(options: &DemoOptions, screen: &Screen) -> Result<(Stage, Report), DemoError> {
    let flavor = match options.flavor {
        Some(flavor) => flavor,
        None => Flavor::installed().first().copied().ok_or(DemoError::NoServer)?,
    };
    raise_file_limit(options.clients)?;
    let stage = Stage::set(flavor, options, screen).await?;
    let measured = traffic::run(&stage, options, screen).await?;
    let step = screen.bar("tour", tour::STOPS.len() as u64, "statements of a logical database");
    let tour = tour::run(&stage, || step.advance()).await?;
    step.done("statements to one shard, to both, and refused");
    let report = Report::new(&stage, options, &measured, tour).await?;
    screen.say(&report.table(screen.colour()));
    Ok((stage, report))
}

/// Every client is an open file here and another one in the proxy, which inherits the limit.
fn raise_file_limit(clients: u32) -> Result<(), DemoError> {
    let need = u64::from(clients) + FILES_BESIDE_CLIENTS;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= need) {
        return Ok(());
    }
    let refused = || DemoError::Files { clients, need, maximum: limit.maximum.unwrap_or(u64::MAX) };
    if limit.maximum.is_some_and(|maximum| maximum < need) {
        return Err(refused());
    }
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).map_err(|_| refused())
}

/// The signals that end the demo.
struct Ends {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Ends {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn told(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

/// Between two looks at something that is on its way.
const TICK: Duration = Duration::from_millis(100);
