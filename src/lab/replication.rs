//! GTID replication between private servers: setting it up, waiting for it, delaying it on purpose.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Row, from_value_opt};
use tokio::time::timeout;

use crate::lab::error::LabError;
use crate::lab::flavor::Flavor;
use crate::lab::server::Server;

/// The account replicas log in with.
pub(crate) const REPLICATION_USER: &str = "repl";
/// Its password.
pub(crate) const REPLICATION_PASSWORD: &str = "lab-repl";

/// For a statement of replication control.
const CONTROL_TIMEOUT: Duration = Duration::from_secs(30);

impl Server {
    /// Makes this server a read-only replica of `primary`, from the beginning of its history.
    ///
    /// # Errors
    /// [`LabError::Sql`] from the statements that set it up.
    pub async fn replicate_from(&self, primary: &Self) -> Result<(), LabError> {
        self.set_replica(true);
        let port = primary.port();
        let (user, password) = (REPLICATION_USER, REPLICATION_PASSWORD);
        self.control(&match self.flavor() {
            Flavor::MariaDb => vec![
                "STOP SLAVE".to_owned(),
                format!(
                    "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={port}, MASTER_USER='{user}', \
                     MASTER_PASSWORD='{password}', MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1, \
                     MASTER_HEARTBEAT_PERIOD=1"
                ),
                "SET GLOBAL read_only = ON".to_owned(),
                "START SLAVE".to_owned(),
            ],
            Flavor::MySql => vec![
                "STOP REPLICA".to_owned(),
                format!(
                    "CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT={port}, \
                     SOURCE_USER='{user}', SOURCE_PASSWORD='{password}', SOURCE_AUTO_POSITION=1, \
                     SOURCE_SSL=1, SOURCE_CONNECT_RETRY=1, SOURCE_RETRY_COUNT=0, SOURCE_HEARTBEAT_PERIOD=1"
                ),
                "SET GLOBAL read_only = ON".to_owned(),
                "START REPLICA".to_owned(),
            ],
        })
        .await
    }

    /// Makes this replica a primary: it follows nobody and takes writes.
    ///
    /// # Errors
    /// [`LabError::Sql`].
    pub async fn promote(&self) -> Result<(), LabError> {
        self.set_replica(false);
        self.control(&match self.flavor() {
            Flavor::MariaDb => ["STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only = OFF"],
            Flavor::MySql => ["STOP REPLICA", "RESET REPLICA ALL", "SET GLOBAL read_only = OFF"],
        })
        .await
    }

    /// Waits until this replica has applied everything that `primary` has committed by now.
    ///
    /// # Errors
    /// [`LabError::Deadline`] with what the replica says about itself.
    pub async fn catch_up(&self, primary: &Self, within: Duration) -> Result<(), LabError> {
        let position = match self.flavor() {
            Flavor::MariaDb => "SELECT @@GLOBAL.gtid_binlog_pos",
            Flavor::MySql => "SELECT @@GLOBAL.gtid_executed",
        };
        let mut source = primary.connect().await?;
        let gtids: Option<String> =
            source.query_first(position).await.map_err(primary.sql_error("asking for its position"))?;
        source.disconnect().await.map_err(primary.sql_error("a disconnect"))?;
        let gtids = gtids.unwrap_or_default().replace('\n', "");
        let seconds = within.as_secs_f64();
        let wait = match self.flavor() {
            Flavor::MariaDb => format!("SELECT MASTER_GTID_WAIT('{gtids}', {seconds})"),
            Flavor::MySql => format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{gtids}', {seconds})"),
        };
        let mut replica = self.connect().await?;
        // The server itself ends the wait; the margin is for its answer.
        let waited = timeout(within + CONTROL_TIMEOUT, replica.query_first::<i64, _>(wait)).await;
        let outcome = match waited {
            Ok(answer) => answer.map_err(self.sql_error("waiting for a position"))?,
            Err(_) => None,
        };
        if outcome == Some(0) {
            return replica.disconnect().await.map_err(self.sql_error("a disconnect"));
        }
        let reason = self.replication_errors().await.unwrap_or_else(|error| error.to_string());
        Err(self.late("catch up with its primary", within, reason))
    }

    /// Makes this replica apply everything at least `seconds` late; 0 ends that.
    ///
    /// # Errors
    /// [`LabError::Sql`].
    pub async fn delay(&self, seconds: u32) -> Result<(), LabError> {
        self.control(&match self.flavor() {
            Flavor::MariaDb => [
                "STOP SLAVE".to_owned(),
                format!("CHANGE MASTER TO MASTER_DELAY={seconds}"),
                "START SLAVE".to_owned(),
            ],
            Flavor::MySql => [
                "STOP REPLICA".to_owned(),
                format!("CHANGE REPLICATION SOURCE TO SOURCE_DELAY={seconds}"),
                "START REPLICA".to_owned(),
            ],
        })
        .await
    }

    /// Stops applying, while what the primary writes is still received: the lag grows.
    ///
    /// # Errors
    /// [`LabError::Sql`].
    pub async fn pause_replication(&self) -> Result<(), LabError> {
        self.control(&[match self.flavor() {
            Flavor::MariaDb => "STOP SLAVE SQL_THREAD",
            Flavor::MySql => "STOP REPLICA SQL_THREAD",
        }])
        .await
    }

    /// Applies again.
    ///
    /// # Errors
    /// [`LabError::Sql`].
    pub async fn resume_replication(&self) -> Result<(), LabError> {
        self.control(&[match self.flavor() {
            Flavor::MariaDb => "START SLAVE",
            Flavor::MySql => "START REPLICA",
        }])
        .await
    }

    /// How far this replica is behind, in seconds, as it says itself: none while it does not apply.
    ///
    /// # Errors
    /// [`LabError::Sql`].
    pub async fn lag(&self) -> Result<Option<Duration>, LabError> {
        let column = match self.flavor() {
            Flavor::MariaDb => "Seconds_Behind_Master",
            Flavor::MySql => "Seconds_Behind_Source",
        };
        let Some(mut row) = self.replication_status().await? else { return Ok(None) };
        let seconds = row.take(column).and_then(|value| from_value_opt::<Option<u64>>(value).ok());
        Ok(seconds.flatten().map(Duration::from_secs))
    }

    async fn control<S: AsRef<str> + Sync>(&self, statements: &[S]) -> Result<(), LabError> {
        match timeout(CONTROL_TIMEOUT, self.execute(statements)).await {
            Ok(done) => done,
            Err(_) => Err(self.late("obey", CONTROL_TIMEOUT, "a replication statement".to_owned())),
        }
    }

    async fn replication_status(&self) -> Result<Option<Row>, LabError> {
        let statement = match self.flavor() {
            Flavor::MariaDb => "SHOW SLAVE STATUS",
            Flavor::MySql => "SHOW REPLICA STATUS",
        };
        let mut connection = self.connect().await?;
        let row = connection.query_first(statement).await.map_err(self.sql_error("asking for its status"))?;
        connection.disconnect().await.map_err(self.sql_error("a disconnect"))?;
        Ok(row)
    }

    /// What the replica says of its two threads.
    async fn replication_errors(&self) -> Result<String, LabError> {
        let Some(mut row) = self.replication_status().await? else {
            return Ok("it is no replica".to_owned());
        };
        let texts = ["Last_IO_Error", "Last_SQL_Error"].map(|column| {
            let text = row.take(column).and_then(|value| from_value_opt::<Option<String>>(value).ok());
            text.flatten().unwrap_or_default()
        });
        Ok(format!("receiving: {:?}, applying: {:?}", texts[0], texts[1]))
    }
}
