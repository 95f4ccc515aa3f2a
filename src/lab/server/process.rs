//! The life of a server's process: start, answer, freeze, end.

use std::fs;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use crate::lab::error::{LabError, LogTail};
use crate::lab::server::Server;
use crate::lab::server::port::{PORT_ATTEMPTS, free_port, is_port_taken};
use crate::lab::settings;

/// A cold start on a busy two-core machine takes some seconds.
const START_TIMEOUT: Duration = Duration::from_secs(90);
/// For a clean shutdown; then the process is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two looks at a process that starts or ends.
const POLL: Duration = Duration::from_millis(10);

impl Server {
    /// Waits for a launched server, on another port if somebody took the one it was given.
    pub(crate) async fn ready(&mut self) -> Result<(), LabError> {
        for _ in 1..PORT_ATTEMPTS {
            match self.answers().await {
                Err(LabError::Exited { log, .. }) if is_port_taken(log.lines()) => {
                    self.port = free_port()?;
                    self.spawn()?;
                }
                outcome => return outcome,
            }
        }
        self.answers().await
    }

    /// Kills the process (SIGKILL) and waits for its end; also a frozen one. Nothing happens if none runs.
    ///
    /// # Errors
    /// [`LabError::Io`] if the system refuses, [`LabError::Deadline`] if it does not end.
    pub async fn kill(&self) -> Result<(), LabError> {
        if self.signal(Signal::KILL).is_err() {
            return Ok(());
        }
        self.ended(STOP_TIMEOUT).await
    }

    /// Shuts the server down cleanly, and kills it if that takes longer than 30 s.
    ///
    /// # Errors
    /// As [`Server::kill`].
    pub async fn stop(&self) -> Result<(), LabError> {
        if self.signal(Signal::TERM).is_err() {
            return Ok(());
        }
        if self.ended(STOP_TIMEOUT).await.is_err() {
            return self.kill().await;
        }
        Ok(())
    }

    /// Starts the server again, on the same port and over the same data, and waits until it answers.
    ///
    /// # Errors
    /// [`LabError::Exited`] or [`LabError::Deadline`] with the end of its log.
    pub async fn start(&self) -> Result<(), LabError> {
        if self.exit_status()?.is_none() && self.pid().is_some() {
            return Ok(());
        }
        for _ in 1..PORT_ATTEMPTS {
            self.spawn()?;
            match self.answers().await {
                // A client's own socket may hold the port for a moment.
                Err(LabError::Exited { log, .. }) if is_port_taken(log.lines()) => sleep(POLL).await,
                outcome => return outcome,
            }
        }
        self.spawn()?;
        self.answers().await
    }

    /// A clean stop, then a start.
    ///
    /// # Errors
    /// As [`Server::stop`] and [`Server::start`].
    pub async fn restart(&self) -> Result<(), LabError> {
        self.stop().await?;
        self.start().await
    }

    /// Suspends the process (SIGSTOP) and waits until every thread of it stands still: connections stay open and
    /// nothing answers.
    ///
    /// # Errors
    /// [`LabError::NotRunning`], [`LabError::Deadline`] if a thread does not stop.
    pub async fn freeze(&self) -> Result<(), LabError> {
        self.signal(Signal::STOP)?;
        let deadline = Instant::now() + STOP_TIMEOUT;
        while !self.pid().is_none_or(stands_still) {
            if Instant::now() > deadline {
                return Err(self.late("stand still", STOP_TIMEOUT, "a thread still runs".to_owned()));
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Lets a frozen process go on (SIGCONT).
    ///
    /// # Errors
    /// [`LabError::NotRunning`].
    pub fn thaw(&self) -> Result<(), LabError> {
        self.signal(Signal::CONT)
    }

    /// Starts the process over what is in `dir`.
    pub(super) fn spawn(&self) -> Result<(), LabError> {
        // A killed server leaves these; the log begins anew, so that its end tells of this start.
        for stale in ["s.sock", "s.sock.lock", "pid", "error.log"] {
            let _ = fs::remove_file(self.dir.join(stale));
        }
        let tmp = self.dir.join("tmp");
        fs::create_dir_all(&tmp).map_err(LabError::io("making a folder", &tmp.display()))?;
        let output = fs::File::create(self.dir.join("output.log"))
            .and_then(|out| Ok((out.try_clone()?, out)))
            .map_err(LabError::io("writing", &self.dir.join("output.log").display()))?;
        let child = self
            .workspace
            .command(&self.program.path)
            .args(self.program.base_arguments())
            .args(settings::arguments(self, &self.spec.arguments))
            .stdin(Stdio::null())
            .stdout(output.0)
            .stderr(output.1)
            .spawn()
            .map_err(LabError::io("starting", &self.program.path.display()))?;
        *self.process.lock() = Some(child);
        Ok(())
    }

    /// Waits until the server answers a login, if only by refusing it.
    async fn answers(&self) -> Result<(), LabError> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if let Some(status) = self.exit_status()? {
                let log = LogTail::of(&self.error_log);
                return Err(LabError::Exited { server: self.to_string(), status, log });
            }
            let reason = match self.connect().await {
                Ok(connection) => {
                    let _ = connection.disconnect().await;
                    return Ok(());
                }
                Err(LabError::Sql { source: mysql_async::Error::Server(_), .. }) => return Ok(()),
                Err(other) => other.to_string(),
            };
            if Instant::now() > deadline {
                return Err(self.late("answer", START_TIMEOUT, reason));
            }
            sleep(POLL).await;
        }
    }

    /// Waits until the process has ended.
    async fn ended(&self, within: Duration) -> Result<(), LabError> {
        let deadline = Instant::now() + within;
        while self.pid().is_some() && self.exit_status()?.is_none() {
            if Instant::now() > deadline {
                return Err(self.late("end", within, "the process still runs".to_owned()));
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    /// How the process ended, the first time this is asked after its end.
    fn exit_status(&self) -> Result<Option<ExitStatus>, LabError> {
        let mut process = self.process.lock();
        let Some(child) = process.as_mut() else { return Ok(None) };
        let pid = child.id();
        let status = child.try_wait().map_err(LabError::io("waiting for", self))?;
        if status.is_some() {
            self.workspace.forget(pid);
            *process = None;
        }
        Ok(status)
    }

    fn signal(&self, signal: Signal) -> Result<(), LabError> {
        let process = self.process.lock();
        let child = process.as_ref().ok_or_else(|| LabError::NotRunning(self.to_string()))?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.expect("the system's process ids are positive");
        kill_process(pid, signal).map_err(|errno| LabError::io("signalling", self)(errno.into()))
    }
}

/// Whether every thread of a process is stopped: the state is the field after the name in parentheses.
fn stands_still(pid: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    threads.flatten().all(|thread| {
        let line = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        line.rsplit_once(") ").is_none_or(|(_, fields)| fields.starts_with('T'))
    })
}
