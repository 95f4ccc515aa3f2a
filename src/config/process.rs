//! Settings of the process: threads, draining, logs, the operators' port.

use std::net::SocketAddr;
use std::time::Duration;

/// Threads and the end of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Worker threads; 0: one for every two cores.
    pub workers: u32,
    /// How long SIGTERM waits for open transactions.
    pub drain_timeout: Duration,
}

impl Default for Process {
    fn default() -> Self {
        Self { workers: 0, drain_timeout: Duration::from_secs(30) }
    }
}

/// The operators' HTTP port: `/metrics`, `/healthz`, `/readyz`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admin {
    /// Where it listens; none: no port.
    pub http: Option<SocketAddr>,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logging {
    /// A `tracing` filter: `info`, `dazzle=debug`.
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
}

impl Default for Logging {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Text }
    }
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}
