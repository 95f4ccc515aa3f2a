//! `dazzle demo`: the main job on private servers, from nothing.

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::lab::Flavor;
use crate::lab::demo::{self, DemoOptions};

/// Show the main job: thousands of clients over a few server connections.
///
/// Starts private database servers in a temporary folder, loads a food-delivery data set, runs the proxy
/// and drives clients through it; then prints what happened and stays up until Ctrl-C. Nothing is left
/// running or lying about.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// End after the table; fail on any error, or on more server connections than --pool
    #[arg(long)]
    check: bool,

    /// How long the clients run
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: u32,

    /// Client connections
    #[arg(long, value_name = "COUNT", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    clients: u32,

    /// How many of a hundred clients are idle: they only ask once, when the others have finished
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    idle: u32,

    /// Server connections at most
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=400))]
    pool: u32,

    /// Which server; by default what this machine has, MariaDB first
    #[arg(long, value_enum)]
    server: Option<Server>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Server {
    Mariadb,
    Mysql,
}

/// Runs it.
pub(super) fn run(arguments: &Demo) -> ExitCode {
    demo::run(&DemoOptions {
        check: arguments.check,
        seconds: arguments.seconds,
        clients: arguments.clients,
        idle_percent: arguments.idle,
        pool: arguments.pool,
        flavor: arguments.server.map(|server| match server {
            Server::Mariadb => Flavor::MariaDb,
            Server::Mysql => Flavor::MySql,
        }),
    })
}
