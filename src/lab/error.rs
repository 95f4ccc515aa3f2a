//! What can go wrong with a private server: which one, what failed, and the last lines of its log.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use crate::lab::flavor::Flavor;

/// A failure of the lab. Every message says what failed, then which server or file.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// No program of this flavor on the machine.
    #[error("no {0} server on this machine: run scripts/servers")]
    NotInstalled(Flavor),

    /// No program of this name on the machine.
    #[error("no {0} on this machine: run scripts/servers")]
    NoProgram(&'static str),

    /// A file, folder or process could not be made, read or removed.
    #[error("{action} failed: {subject}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or program.
        subject: String,
        /// Why.
        source: io::Error,
    },

    /// A helper program, for example the one that initialises a data directory, failed.
    #[error("{program} failed with {status}: {output}")]
    Program {
        /// The program's path.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// The last lines of what it printed.
        output: String,
    },

    /// The server process ended while it was expected to run.
    #[error("{server} ended with {status}; {log}")]
    Exited {
        /// Which server.
        server: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of its error log.
        log: LogTail,
    },

    /// A server did not do something before the deadline.
    #[error("{server} did not {action} within {waited:?}: {reason}; {log}")]
    Deadline {
        /// Which server.
        server: String,
        /// What was waited for.
        action: &'static str,
        /// For how long.
        waited: Duration,
        /// What the last attempt said.
        reason: String,
        /// The end of its error log.
        log: LogTail,
    },

    /// The server process is not running.
    #[error("{0} is not running")]
    NotRunning(String),

    /// A statement failed, or the connection it was sent on.
    #[error("{action} on {server} failed: {source}")]
    Sql {
        /// What was tried; never a statement with values in it.
        action: &'static str,
        /// Which server.
        server: String,
        /// What the server or the driver said.
        source: mysql_async::Error,
    },

    /// The server's flavor has no such thing, for example MySQL 9 no native passwords.
    #[error("{flavor} has no {what}")]
    Unsupported {
        /// Which flavor.
        flavor: Flavor,
        /// What it lacks.
        what: &'static str,
    },

    /// A certificate could not be made.
    #[error("making a certificate failed: {0}")]
    Certificate(#[from] rcgen::Error),
}

impl LabError {
    /// An [`LabError::Io`] as a closure for `map_err`.
    pub(crate) fn io(
        action: &'static str,
        subject: &dyn fmt::Display,
    ) -> impl FnOnce(io::Error) -> Self + use<> {
        let subject = subject.to_string();
        move |source| Self::Io { action, subject, source }
    }
}

/// Lines of a log that a message shows.
const TAIL_LINES: usize = 15;

/// Where a server logs, and the last lines it logged.
#[derive(Debug)]
pub struct LogTail(Box<(PathBuf, String)>);

impl LogTail {
    pub(crate) fn of(path: &Path) -> Self {
        let text = fs::read(path).unwrap_or_default();
        Self(Box::new((path.to_owned(), last_lines(&text))))
    }

    /// The last lines, oldest first.
    #[must_use]
    pub fn lines(&self) -> &str {
        &self.0.1
    }
}

impl fmt::Display for LogTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, lines) = &*self.0;
        write!(f, "its log {} ends with:\n{lines}", path.display())
    }
}

/// The last lines of `text`.
pub(crate) fn last_lines(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
