//! Why the demo could not go on.

use std::io;
use std::process::ExitStatus;

use crate::lab::error::{LabError, LogTail};

/// A failure of the demo itself, not of the traffic it shows: that is counted in its table.
#[derive(Debug, thiserror::Error)]
pub(super) enum DemoError {
    /// Neither MariaDB nor MySQL.
    #[error("no MariaDB or MySQL server on this machine: run scripts/servers")]
    NoServer,

    /// The servers or their data.
    #[error(transparent)]
    Lab(#[from] LabError),

    /// Threads, timers or signals of this process.
    #[error("starting up failed: {0}")]
    Runtime(io::Error),

    /// Too few open files for so many clients.
    #[error(
        "{clients} clients need {need} open files and this shell allows {maximum}: raise it with `ulimit -Hn`, or ask for fewer with --clients"
    )]
    Files {
        /// As asked for.
        clients: u32,
        /// Files needed.
        need: u64,
        /// The hard limit.
        maximum: u64,
    },

    /// The logical database did not do what it was asked.
    #[error("the logical database: {0}")]
    Sharded(mysql_async::Error),

    /// The logical database did not answer.
    #[error("the logical database does not answer")]
    ShardedLate,

    /// The proxy's process ended by itself.
    #[error("the proxy ended with {status}; {log}")]
    ProxyEnded {
        /// How.
        status: ExitStatus,
        /// What it said.
        log: LogTail,
    },

    /// The proxy's process runs but is not ready.
    #[error("the proxy was not ready in time: {reason}; {log}")]
    ProxyLate {
        /// What its last answer was.
        reason: String,
        /// What it said.
        log: LogTail,
    },

    /// The proxy's operators' port did not answer.
    #[error("reading the proxy's page {page} failed: {source}")]
    Page {
        /// The page.
        page: &'static str,
        /// Why.
        source: io::Error,
    },
}
