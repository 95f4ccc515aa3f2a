//! The server whose log is followed: one connection that is sent the log, one that asks how far it is.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::backend::pool::{Connect, Profile, WorkerId};
use crate::backend::{BackendConn, BackendError, Connector, Flavor};
use crate::engine::follower::FollowError;
use crate::wire::binlog::{GtidSet, LogPosition, dump_from, dump_without, register};
use crate::wire::{Malformed, code};

/// What is looked at before a server's log is believed.
const SETTINGS: [&str; 12] = [
    "log_bin",
    "binlog_format",
    "gtid_mode",
    "log_replica_updates",
    "log_slave_updates",
    "binlog_optimize_thread_scheduling",
    "hostname",
    "port",
    "server_id",
    "server_uuid",
    "datadir",
    "pid_file",
];

/// ER_PARSE_ERROR
const PARSE_ERROR: u16 = 1064;

/// Which changes a server has made visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Visible {
    /// None that anybody knows of.
    Nothing,
    /// These transactions (MySQL: `gtid_executed`, to which they are added after their commit in the engine).
    Transactions(GtidSet),
    /// All up to here (MariaDB: `Binlog_snapshot_position`, which moves under the lock that commits hold).
    Before(LogPosition),
}

/// How far a server is at one moment.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// Before it was asked.
    pub(super) at: Instant,
    /// Everything that was visible then is before this place of the log.
    pub(super) position: LogPosition,
    /// What is visible since.
    pub(super) visible: Visible,
}

/// See the module's text.
pub(super) struct Source {
    pub(super) watch: Watch,
    pub(super) dump: BackendConn,
    /// What tells it from other servers.
    pub(super) identity: Vec<String>,
}

impl Source {
    /// Logs in twice, and sees whether the server can be followed.
    pub(super) async fn connect(connector: &Connector) -> Result<Self, FollowError> {
        let mut watch = connector.connect(Profile::PLAIN, WorkerId(0)).await?;
        let mut dump = connector.connect(Profile::PLAIN, WorkerId(0)).await?;
        let settings = settings(&mut watch).await?;
        let identity = identity(&settings);
        if identity != self::identity(&self::settings(&mut dump).await?) {
            return Err(FollowError::Elsewhere);
        }
        let mysql = watch.facts.flavor == Flavor::MySql;
        check(&settings, mysql)?;
        let status = if mysql { "SHOW BINARY LOG STATUS" } else { "SHOW MASTER STATUS" };
        let status = match watch.ask(status).await {
            // MySQL before 8.2.
            Err(BackendError::Server(packet)) if packet.code == PARSE_ERROR => "SHOW MASTER STATUS",
            asked => {
                filters(&asked?)?;
                status
            }
        };
        let follows = on(&settings, &["log_replica_updates", "log_slave_updates"]);
        Ok(Self { watch: Watch { conn: watch, mysql, status, follows }, dump, identity })
    }

    /// Asks for everything that is not visible yet at `from`.
    pub(super) async fn begin(
        &mut self,
        server_id: u32,
        from: &Visible,
        heartbeat: Duration,
    ) -> Result<(), FollowError> {
        let period = heartbeat.as_nanos();
        let set = format!(
            "SET @master_heartbeat_period={period}, @source_heartbeat_period={period}, \
             @master_binlog_checksum=@@GLOBAL.binlog_checksum, \
             @source_binlog_checksum=@@GLOBAL.binlog_checksum, @mariadb_slave_capability=4"
        );
        self.dump.command([&[code::QUERY], set.as_bytes()].concat()).await?;
        self.dump.command(register(server_id, "dazzle")).await?;
        let command = match from {
            Visible::Nothing => dump_without(server_id, &GtidSet::default()),
            Visible::Transactions(known) => dump_without(server_id, known),
            Visible::Before(position) => dump_from(server_id, position),
        };
        self.dump.begin();
        self.dump.stream.write_payload(&command).await.map_err(BackendError::from)?;
        Ok(())
    }
}

/// The connection that asks.
pub(super) struct Watch {
    conn: BackendConn,
    mysql: bool,
    status: &'static str,
    /// Whether what the server itself replicates is in its log.
    follows: bool,
}

impl Watch {
    /// How far the server is now.
    pub(super) async fn sample(&mut self) -> Result<Sample, FollowError> {
        let at = Instant::now();
        if self.mysql {
            let rows = self.conn.ask(self.status).await?;
            filters(&rows)?;
            let row = rows.first().ok_or_else(|| FollowError::Unable("its binary log is off".to_owned()))?;
            let position = position(&text(row.first()), &text(row.get(1)))?;
            let visible = Visible::Transactions(GtidSet::parse(&text(row.get(4)))?);
            return Ok(Sample { at, position, visible });
        }
        let names = "'Binlog_snapshot_file','Binlog_snapshot_position','Slaves_running'";
        let rows = self.conn.ask(&format!("SHOW STATUS WHERE Variable_name IN ({names})")).await?;
        let status: HashMap<String, String> =
            rows.iter().map(|row| (text(row.first()).to_ascii_lowercase(), text(row.get(1)))).collect();
        let value = |name: &str| status.get(name).map(String::as_str).unwrap_or_default();
        if !self.follows && !matches!(value("slaves_running"), "" | "0") {
            let why = "it replicates, and what it replicates is not in its binary log (log_slave_updates)";
            return Err(FollowError::Unable(why.to_owned()));
        }
        let position = position(value("binlog_snapshot_file"), value("binlog_snapshot_position"))?;
        Ok(Sample { at, visible: Visible::Before(position.clone()), position })
    }
}

fn position(file: &str, at: &str) -> Result<LogPosition, FollowError> {
    let at = at.parse().map_err(|_| Malformed("not a position of a binary log"))?;
    Ok(LogPosition::new(file, at)?)
}

fn text(value: Option<&Option<Vec<u8>>>) -> String {
    let value = value.and_then(Option::as_deref).unwrap_or_default();
    String::from_utf8_lossy(value).into_owned()
}

type Settings = HashMap<String, String>;

async fn settings(conn: &mut BackendConn) -> Result<Settings, FollowError> {
    let names: Vec<String> = SETTINGS.iter().map(|name| format!("'{name}'")).collect();
    let sql = format!("SHOW GLOBAL VARIABLES WHERE Variable_name IN ({})", names.join(","));
    let rows = conn.ask(&sql).await?;
    Ok(rows.iter().map(|row| (text(row.first()).to_ascii_lowercase(), text(row.get(1)))).collect())
}

fn identity(settings: &Settings) -> Vec<String> {
    SETTINGS[6..].iter().map(|name| settings.get(*name).cloned().unwrap_or_default()).collect()
}

fn on(settings: &Settings, names: &[&str]) -> bool {
    names.iter().any(|name| settings.get(*name).is_some_and(|value| value.eq_ignore_ascii_case("ON")))
}

/// Whether a log holds every change, with the tables that it changes, and tells when it is visible.
fn check(settings: &Settings, mysql: bool) -> Result<(), FollowError> {
    let unable = |why: &str| Err(FollowError::Unable(why.to_owned()));
    if !on(settings, &["log_bin"]) {
        return unable("its binary log is off (log_bin)");
    }
    if settings.get("binlog_format").is_some_and(|format| !format.eq_ignore_ascii_case("ROW")) {
        return unable("its binary log does not hold rows (binlog_format)");
    }
    if mysql && !on(settings, &["gtid_mode"]) {
        return unable("its transactions have no names (gtid_mode)");
    }
    if mysql && !on(settings, &["log_replica_updates", "log_slave_updates"]) {
        return unable("what it replicates is not in its binary log (log_replica_updates)");
    }
    if !mysql && !on(settings, &["binlog_optimize_thread_scheduling"]) {
        return unable("it does not tell when a change is visible (binlog_optimize_thread_scheduling)");
    }
    Ok(())
}

/// A log that leaves schemas out does not tell of their changes.
fn filters(status: &[Vec<Option<Vec<u8>>>]) -> Result<(), FollowError> {
    let Some(row) = status.first() else {
        return Err(FollowError::Unable("its binary log is off (log_bin)".to_owned()));
    };
    if !text(row.get(2)).is_empty() || !text(row.get(3)).is_empty() {
        let why = "its binary log leaves schemas out (binlog_do_db, binlog_ignore_db)";
        return Err(FollowError::Unable(why.to_owned()));
    }
    Ok(())
}
