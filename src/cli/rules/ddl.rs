//! `dazzle rules ddl`: one DDL statement for every slot of its table, as a job that can be taken up again.
//!
//! Each slot keeps what became of the job in its own database: so whoever comes next, from wherever, sees it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use serde_json::{Value, json};
use tokio::runtime::Builder;
use tokio::time::timeout;
use xxhash_rust::xxh64::xxh64;

use crate::cli::rules::catalog::options;
use crate::cli::rules::{load_or_tell, output};
use crate::config::{Config, ConfigFile};
use crate::sharding::{ShardingRules, SlotId};
use crate::sql::{Alteration, AlteredTable, LexMode, altered_table};

/// For a login, and for each question of the job's own.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Where each slot keeps its part of every job.
const STATE: &str = "CREATE TABLE IF NOT EXISTS dazzle_ddl (job CHAR(16) NOT NULL PRIMARY KEY, statement LONGTEXT NOT NULL, \
                     state VARCHAR(10) NOT NULL, before_it LONGTEXT NOT NULL, error TEXT NULL, \
                     changed_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP)";

/// Run one DDL statement on every slot of its table, or take up where an earlier run has ended
///
/// CREATE, ALTER, DROP and TRUNCATE TABLE, CREATE and DROP INDEX. Each slot remembers in its table `dazzle_ddl` what became
/// of the statement, so that the same command goes on after a failure and does nothing that is done. Ends with 1 while a
/// slot is left, or if the slots' tables differ.
#[derive(Debug, Args)]
pub(super) struct Ddl {
    /// The rule file
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The statement; its table without a schema, or with the logical database's
    #[arg(short = 'e', long = "execute", value_name = "STATEMENT")]
    statement: String,

    /// The configuration (dazzle.yaml) with the servers
    #[arg(long, value_name = "CONFIG")]
    against: PathBuf,

    /// Tells this job from another one of the same statement
    #[arg(long, value_name = "NAME", default_value = "")]
    job: String,

    /// For each slot, how long the statement may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600)]
    timeout: u64,

    /// Only tell what is done and what is left
    #[arg(long)]
    status: bool,

    /// One JSON value, for pipelines
    #[arg(long)]
    json: bool,
}

/// What became of the job in one slot.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Nothing yet.
    Left,
    /// It was begun, and its end was not seen.
    Begun,
    Done,
    Failed(String),
}

/// One slot's part.
#[derive(Debug)]
struct Part {
    slot: SlotId,
    state: State,
    /// The table before the statement, as SHOW CREATE TABLE told it.
    before: Option<String>,
    /// The same now; empty if there is none.
    now: String,
}

pub(super) fn run(arguments: &Ddl) -> ExitCode {
    let Some(loaded) = load_or_tell(&arguments.file) else { return ExitCode::FAILURE };
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.to_string()),
    };
    match runtime.block_on(carried_out(&loaded.rules, arguments)) {
        Ok(parts) => {
            let problem = drift(&loaded.rules, &parts);
            tell(&loaded.rules, &parts, problem.as_deref(), arguments.json);
            let done = parts.iter().all(|part| part.state == State::Done);
            if done && problem.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(why) => fail(&why),
    }
}

fn fail(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}

async fn carried_out(rules: &ShardingRules, arguments: &Ddl) -> Result<Vec<Part>, String> {
    let config = ConfigFile::new(&arguments.against).load().map_err(|error| error.to_string())?;
    let job = Job::new(rules, arguments)?;
    let mut parts = Vec::new();
    for slot in job.slots(rules)? {
        parts.push(job.look(rules, &config, slot).await?);
    }
    let untouched = |part: &&Part| matches!(part.state, State::Left | State::Failed(_));
    let undone: Vec<&Part> = parts.iter().filter(untouched).collect();
    if let Some((first, other)) = undone.first().zip(undone.iter().find(|part| part.now != undone[0].now)) {
        let label = |part: &Part| rules.slot(part.slot).label.to_string();
        return Err(format!(
            "nothing was done: `{}` is not the same in {} and {}; see `dazzle rules validate --against`",
            job.table,
            label(first),
            label(other)
        ));
    }
    if arguments.status {
        return Ok(parts);
    }
    for part in &mut parts {
        if part.state == State::Done {
            continue;
        }
        job.execute(rules, &config, part).await?;
        if part.state != State::Done {
            // What fails in one slot may fail in all: a person looks first.
            break;
        }
    }
    Ok(parts)
}

/// One statement for all slots of its table.
struct Job {
    id: String,
    table: String,
    text: String,
    alteration: Alteration,
    timeout: Duration,
}

impl Job {
    fn new(rules: &ShardingRules, arguments: &Ddl) -> Result<Self, String> {
        let text = arguments.statement.trim();
        let altered = altered_table(text.as_bytes(), LexMode::default()).ok_or(
            "this is not CREATE, ALTER, DROP or TRUNCATE of one table, nor an index of one; a table keeps its name, because \
             the rules know it by that",
        )?;
        let AlteredTable { alteration, table, schema } = altered;
        let mut own = text.to_owned();
        if let Some((schema, bytes)) = schema {
            if !schema.eq_ignore_ascii_case(rules.name().as_bytes()) {
                return Err(format!("`{}` is not the logical database", String::from_utf8_lossy(&schema)));
            }
            own.replace_range(bytes, "");
        }
        let id =
            format!("{:016x}", xxh64(format!("{}\0{own}\0{}", rules.name(), arguments.job).as_bytes(), 0));
        let table = String::from_utf8_lossy(&table).into_owned();
        Ok(Self { id, table, text: own, alteration, timeout: Duration::from_secs(arguments.timeout) })
    }

    fn slots(&self, rules: &ShardingRules) -> Result<Vec<SlotId>, String> {
        let id = rules.table_named(&self.table);
        let id = id.ok_or_else(|| format!("the rules do not list `{}`; list it there first", self.table))?;
        Ok(rules.slots_of(id).iter().collect())
    }

    /// What a slot says of the job.
    async fn look(&self, rules: &ShardingRules, config: &Config, slot: SlotId) -> Result<Part, String> {
        let asked = async {
            let mut conn = self.connect(rules, config, slot).await?;
            let known: Option<String> = conn
                .query_first("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'dazzle_ddl'")
                .await
                .map_err(text)?;
            let kept: Option<(String, String, Option<String>)> = match known {
                None => None,
                Some(_) => conn
                    .exec_first("SELECT state, before_it, error FROM dazzle_ddl WHERE job = ?", (&self.id,))
                    .await
                    .map_err(text)?,
            };
            let now = self.shown(&mut conn).await?;
            conn.disconnect().await.map_err(text)?;
            let (state, before) = match kept {
                None => (State::Left, None),
                Some((state, before, error)) => (
                    match state.as_str() {
                        "done" => State::Done,
                        "failed" => State::Failed(error.unwrap_or_default()),
                        _ => State::Begun,
                    },
                    Some(before),
                ),
            };
            Ok(Part { slot, state, before, now })
        };
        self.in_time(rules, slot, ANSWER_TIMEOUT, asked).await
    }

    /// Carries the statement out in one slot, and keeps what became of it there.
    async fn execute(&self, rules: &ShardingRules, config: &Config, part: &mut Part) -> Result<(), String> {
        let (slot, begun, now) = (part.slot, part.state == State::Begun, part.now.clone());
        if begun && part.before.as_ref().is_some_and(|before| *before != now) {
            // It was carried out, and nobody wrote that down.
            let noted = async {
                let mut conn = self.connect(rules, config, slot).await?;
                self.note(&mut conn, "done", None).await?;
                conn.disconnect().await.map_err(text)
            };
            self.in_time(rules, slot, ANSWER_TIMEOUT, noted).await?;
            part.state = State::Done;
            return Ok(());
        }
        if begun && self.alteration == Alteration::Empties {
            part.state = State::Failed(
                "it was begun and its end was not seen; rows that came since would go: look at the table, and give the \
                 job another --job name to empty it anew"
                    .to_owned(),
            );
            return Ok(());
        }
        let done = async {
            let mut conn = self.connect(rules, config, slot).await?;
            conn.query_drop(STATE).await.map_err(text)?;
            conn.exec_drop(
                "REPLACE INTO dazzle_ddl (job, statement, state, before_it) VALUES (?, ?, 'begun', ?)",
                (&self.id, &self.text, &now),
            )
            .await
            .map_err(text)?;
            let failure = match conn.query_drop(self.text.as_str()).await {
                Ok(()) => None,
                // The server answered: the statement has not been carried out.
                Err(mysql_async::Error::Server(error)) => Some(error.to_string()),
                Err(error) => return Err(text(error)),
            };
            let state = if failure.is_none() { "done" } else { "failed" };
            self.note(&mut conn, state, failure.as_deref()).await?;
            let now = self.shown(&mut conn).await?;
            conn.disconnect().await.map_err(text)?;
            Ok((failure, now))
        };
        match self.in_time(rules, slot, self.timeout, done).await {
            Ok((None, now)) => (part.state, part.now) = (State::Done, now),
            Ok((Some(failure), now)) => (part.state, part.now) = (State::Failed(failure), now),
            Err(why) => {
                part.state =
                    State::Failed(format!("{why}: whether it was carried out is seen by the next run"));
            }
        }
        Ok(())
    }

    async fn note(&self, conn: &mut Conn, state: &str, error: Option<&str>) -> Result<(), String> {
        let noted = conn
            .exec_drop("UPDATE dazzle_ddl SET state = ?, error = ? WHERE job = ?", (state, error, &self.id));
        noted.await.map_err(text)
    }

    async fn connect(&self, rules: &ShardingRules, config: &Config, slot: SlotId) -> Result<Conn, String> {
        let shard = rules.shard_of(slot);
        let cluster = config.clusters.get(&*shard.cluster);
        let cluster =
            cluster.ok_or_else(|| format!("the configuration has no cluster `{}`", shard.cluster))?;
        let database = Some(rules.slot(slot).database.to_string());
        Conn::new(options(cluster).db_name(database)).await.map_err(text)
    }

    /// The table as it is now; empty if there is none.
    async fn shown(&self, conn: &mut Conn) -> Result<String, String> {
        let shown: Result<Option<(String, String)>, _> =
            conn.query_first(format!("SHOW CREATE TABLE `{}`", self.table.replace('`', "``"))).await;
        match shown {
            Ok(shown) => Ok(shown.map(|(_, shown)| without_counter(&shown)).unwrap_or_default()),
            // ER_NO_SUCH_TABLE
            Err(mysql_async::Error::Server(error)) if error.code == 1146 => Ok(String::new()),
            Err(error) => Err(text(error)),
        }
    }

    async fn in_time<T>(
        &self,
        rules: &ShardingRules,
        slot: SlotId,
        limit: Duration,
        work: impl Future<Output = Result<T, String>>,
    ) -> Result<T, String> {
        let label = &rules.slot(slot).label;
        match timeout(limit, work).await {
            Ok(done) => done.map_err(|why| format!("{label}: {why}")),
            Err(_) => Err(format!("{label}: no answer in time")),
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is mapped over")]
fn text(error: mysql_async::Error) -> String {
    error.to_string()
}

/// `AUTO_INCREMENT=7` says how many rows there were, not what the table is like.
fn without_counter(shown: &str) -> String {
    match shown.split_once(" AUTO_INCREMENT=") {
        None => shown.to_owned(),
        Some((before, after)) => {
            format!("{before}{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
        }
    }
}

/// Slots that are done, and whose tables differ nevertheless.
fn drift(rules: &ShardingRules, parts: &[Part]) -> Option<String> {
    let mut done = parts.iter().filter(|part| part.state == State::Done);
    let first = done.next()?;
    let other = done.find(|part| part.now != first.now)?;
    let label = |part: &Part| rules.slot(part.slot).label.to_string();
    Some(format!("the tables of {} and {} differ after it", label(first), label(other)))
}

fn tell(rules: &ShardingRules, parts: &[Part], problem: Option<&str>, json: bool) {
    let state = |part: &Part| match &part.state {
        State::Left => "left",
        State::Begun => "begun",
        State::Done => "done",
        State::Failed(_) => "failed",
    };
    let error = |part: &Part| match &part.state {
        State::Failed(error) => Some(error.clone()),
        State::Left | State::Begun | State::Done => None,
    };
    if json {
        let slots: Vec<Value> = parts
            .iter()
            .map(|part| json!({ "slot": rules.slot(part.slot).label, "state": state(part), "error": error(part) }))
            .collect();
        return output::print_json(&json!({ "slots": slots, "drift": problem }));
    }
    for part in parts {
        let why = error(part).map_or(String::new(), |error| format!("  {error}"));
        output::print(&format!("{:<7} {}{why}\n", state(part), rules.slot(part.slot).label));
    }
    if let Some(problem) = problem {
        output::print(&format!("drift   {problem}\n"));
    }
    if parts.iter().any(|part| part.state != State::Done) {
        output::print("run the same command again to go on where this has ended\n");
    }
}

#[cfg(test)]
mod tests {
    use super::without_counter;

    #[test]
    fn a_counter_of_rows_is_no_difference() {
        assert_eq!(
            without_counter("CREATE … ENGINE=InnoDB AUTO_INCREMENT=7 DEFAULT"),
            "CREATE … ENGINE=InnoDB DEFAULT"
        );
        assert_eq!(without_counter("CREATE … ENGINE=InnoDB"), "CREATE … ENGINE=InnoDB");
    }
}
