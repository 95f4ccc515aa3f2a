//! The table at the end, the verdict, and how to go on from here.

use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{HumanBytes, HumanCount};

use crate::lab::demo::DemoOptions;
use crate::lab::demo::error::DemoError;
use crate::lab::demo::page;
use crate::lab::demo::settings::{CLIENT_PASSWORD, CLIENT_USER, RULES_FILE, SCHEMA, SHARDED};
use crate::lab::demo::stage::Stage;
use crate::lab::demo::tour::Seen;
use crate::lab::demo::traffic::Measured;
use crate::lab::flavor::{Flavor, cache_dir, on_path};

/// Columns of the table of statements, at least.
const TOUR_WIDTH: u16 = 130;

/// Everything that the table says.
#[derive(Debug)]
pub(super) struct Report {
    rows: Vec<(&'static str, String)>,
    tour: Vec<Seen>,
    /// What was not as it should be; empty if all is well.
    complaints: Vec<String>,
}

impl Report {
    /// Asks the proxy for its own numbers, and draws the conclusions.
    pub(super) async fn new(
        stage: &Stage,
        options: &DemoOptions,
        measured: &Measured,
        tour: Vec<Seen>,
    ) -> Result<Self, DemoError> {
        let page = page::get(stage.proxy().settings.http, "/metrics").await?;
        let pins = page::metric(&page, "dazzle_pins_total") as u64;
        let memory = page::metric(&page, "process_resident_memory_bytes") as u64;
        let numbers = &measured.numbers;
        let statements = numbers.statements();
        let rate = (statements as f64 / measured.busy.as_secs_f64().max(0.001)) as u64;
        let rows = vec![
            ("clients", format!("{} connected at once", HumanCount(measured.clients_most.into()))),
            (
                "server connections",
                format!(
                    "{} at most, as {} counted them (limit {})",
                    measured.server_connections.len(),
                    stage.flavor(),
                    options.pool
                ),
            ),
            (
                "statements",
                format!(
                    "{} ({} a second): {} text, {} prepared",
                    HumanCount(statements),
                    HumanCount(rate),
                    HumanCount(numbers.text),
                    HumanCount(numbers.prepared)
                ),
            ),
            ("transactions", format!("{} orders placed", HumanCount(numbers.transactions))),
            ("errors", HumanCount(numbers.errors).to_string()),
            ("time of a statement", format!("p50 {}, p99 {}", millis(numbers.p50), millis(numbers.p99))),
            ("pinned sessions", HumanCount(pins).to_string()),
            (
                "the proxy itself",
                format!(
                    "{} resident, {:.0} µs CPU a statement{}",
                    HumanBytes(memory),
                    measured.cpu.as_secs_f64() * 1e6,
                    if cfg!(debug_assertions) { " (debug build)" } else { "" }
                ),
            ),
        ];
        let mut complaints = complaints(options, measured);
        complaints.extend(tour.iter().filter_map(|seen| seen.complaint.clone()));
        Ok(Self { rows, tour, complaints })
    }

    /// The table, and under it what was wrong.
    pub(super) fn table(&self, colour: bool) -> String {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        for (name, value) in &self.rows {
            table.add_row([*name, value.as_str()]);
        }
        let mut tour = Table::new();
        tour.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
        // Where there is no terminal, lines are as wide as a wide one's.
        tour.set_width(tour.width().unwrap_or(TOUR_WIDTH).max(TOUR_WIDTH));
        tour.set_header([&format!("`{SHARDED}` on two shards"), "EXPLAIN ROUTE says", "and it is answered"]);
        for seen in &self.tour {
            tour.add_row([seen.sql.as_str(), seen.route.as_str(), seen.answer.as_str()]);
        }
        let (red, off) = if colour { ("\x1b[31m", "\x1b[0m") } else { ("", "") };
        let mut text = format!("\n{table}\n\n{tour}");
        for complaint in &self.complaints {
            let _ = write!(text, "\n  {red}✘{off} {complaint}");
        }
        text
    }

    /// Success only if nothing was wrong.
    pub(super) fn verdict(&self) -> ExitCode {
        if self.complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn complaints(options: &DemoOptions, measured: &Measured) -> Vec<String> {
    let mut complaints = Vec::new();
    let (most, limit) = (measured.server_connections.len(), options.pool);
    if most > limit as usize {
        let what = measured.server_connections.join("\n      ");
        complaints
            .push(format!("{most} server connections are more than the limit of {limit}:\n      {what}"));
    }
    if measured.clients_most < options.clients {
        complaints.push(format!("only {} clients of {} got in", measured.clients_most, options.clients));
    }
    if measured.numbers.statements() == 0 || measured.numbers.transactions == 0 {
        complaints.push("nothing was done".to_owned());
    }
    if measured.numbers.errors > 0 {
        let errors = measured.messages.iter().map(|(message, count)| format!("{count} × {message}"));
        complaints.extend(errors);
    }
    complaints
}

/// Two digits that mean something.
fn millis(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1e3;
    if millis < 10.0 { format!("{millis:.1} ms") } else { format!("{millis:.0} ms") }
}

/// How to connect, look around and change things.
pub(super) fn invitation(stage: &Stage, colour: bool) -> String {
    let (bold, dim, off) = if colour { ("\x1b[1m", "\x1b[2m", "\x1b[0m") } else { ("", "", "") };
    let proxy = stage.proxy();
    let (listener, http) = (proxy.settings.listener, proxy.settings.http);
    let client = client_program(stage.flavor());
    let (host, port) = (listener.ip(), listener.port());
    let [socket, south] =
        [stage.lab(), stage.south()].map(|lab| lab.primary().socket().display().to_string());
    let root = crate::lab::ROOT_PASSWORD;
    let url = format!("mysql://{CLIENT_USER}:{CLIENT_PASSWORD}@{listener}/{SCHEMA}");
    format!(
        "
  {bold}Everything stays up; try it:{off}

    connect    {client} -h {host} -P {port} -u {CLIENT_USER} -p{CLIENT_PASSWORD} {SCHEMA}
    drivers    {url}
    shards     {client} -h {host} -P {port} -u {CLIENT_USER} -p{CLIENT_PASSWORD} {SHARDED}
               {dim}EXPLAIN ROUTE SELECT * FROM orders WHERE user_id = 7;{off}
    rules      {}    {dim}edit and save, too{off}
    metrics    http://{http}/metrics    {dim}also / /digests /readyz{off}
    settings   {}    {dim}edit and save: it is read again{off}
    log        {}
    servers    {client} -S {socket} -u root -p{root}    {dim}past the proxy{off}
               {client} -S {south} -u root -p{root}

  Ctrl-C ends the servers and the proxy, and removes the folder.",
        proxy.dir().join(RULES_FILE).display(),
        proxy.file.display(),
        proxy.dir().join("dazzle.log").display(),
    )
}

/// A command-line client of this machine, the server's own first.
fn client_program(flavor: Flavor) -> String {
    let (own, other) = match flavor {
        Flavor::MariaDb => ("mariadb", "mysql"),
        Flavor::MySql => ("mysql", "mariadb"),
    };
    let unpacked = cache_dir().join("mysql/mysql");
    if flavor == Flavor::MySql && unpacked.is_file() {
        return unpacked.display().to_string();
    }
    let found = [own, other].into_iter().find(|name| on_path(name).is_some());
    found.unwrap_or("mysql").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::demo::tally::Numbers;

    fn options() -> DemoOptions {
        DemoOptions { check: true, seconds: 1, clients: 10, idle_percent: 0, pool: 4, flavor: None }
    }

    fn good() -> Measured {
        let numbers = Numbers { text: 5, prepared: 5, transactions: 1, ..Numbers::default() };
        Measured {
            numbers,
            messages: Vec::new(),
            server_connections: vec!["7 Sleep".to_owned(); 4],
            clients_most: 10,
            busy: Duration::from_secs(1),
            cpu: Duration::ZERO,
        }
    }

    #[test]
    fn a_check_fails_for_each_thing_that_must_not_be() {
        assert_eq!(complaints(&options(), &good()), [""; 0]);
        let check = |change: &dyn Fn(&mut Measured), expected: &str| {
            let mut measured = good();
            change(&mut measured);
            assert_eq!(complaints(&options(), &measured), [expected]);
        };
        check(
            &|measured| measured.server_connections.push("9 Query, SELECT 1".to_owned()),
            "5 server connections are more than the limit of 4:\n      7 Sleep\n      7 Sleep\n      7 Sleep\n      7 Sleep\n      9 Query, SELECT 1",
        );
        check(&|measured| measured.clients_most = 9, "only 9 clients of 10 got in");
        check(&|measured| measured.numbers.transactions = 0, "nothing was done");
        check(
            &|measured| {
                measured.numbers.errors = 2;
                measured.messages.push(("login: no answer in time".to_owned(), 2));
            },
            "2 × login: no answer in time",
        );
    }

    #[test]
    fn times_have_two_digits_that_mean_something() {
        assert_eq!(millis(Duration::from_micros(1_234)), "1.2 ms");
        assert_eq!(millis(Duration::from_micros(123_456)), "123 ms");
    }
}
