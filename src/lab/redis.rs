//! A private Redis in a temporary folder, which keeps nothing on disk.

use std::env;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::lab::error::{LabError, LogTail};
use crate::lab::server::port::free_port;
use crate::lab::workspace::Workspace;

/// It is there within milliseconds; a busy machine takes longer.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// Between two looks at a process that starts.
const POLL: Duration = Duration::from_millis(5);

/// See the module's text. Ended when dropped, and with this process in any case.
#[derive(Debug)]
pub struct Redis {
    program: PathBuf,
    port: u16,
    /// Held for a system call at a time.
    process: Mutex<Option<Child>>,
    workspace: Workspace,
}

impl Redis {
    /// Whether the machine has the program.
    #[must_use]
    pub fn available() -> bool {
        program().is_some()
    }

    /// Starts one on a port of its own, and returns when it accepts connections.
    ///
    /// # Errors
    /// [`LabError::NoProgram`], or [`LabError::Deadline`] with the end of its log.
    pub async fn start() -> Result<Self, LabError> {
        let program = program().ok_or(LabError::NoProgram("redis-server"))?;
        let (workspace, port) = (Workspace::create()?, free_port()?);
        let redis = Self { program, port, process: Mutex::new(None), workspace };
        redis.start_again().await?;
        Ok(redis)
    }

    /// 127.0.0.1 and the port, which stays the same.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts it, empty, after its end.
    ///
    /// # Errors
    /// As [`Redis::start`].
    pub async fn start_again(&self) -> Result<(), LabError> {
        let dir = self.workspace.path();
        let log = dir.join("redis.log");
        let child = self
            .workspace
            .command(&self.program)
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            // The guard knows its processes by the folder in their command lines.
            .args(["--set-proc-title", "no"])
            .args(["--port", &self.port.to_string()])
            .arg("--dir")
            .arg(dir)
            .arg("--logfile")
            .arg(&log)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(LabError::io("starting", &self.program.display()))?;
        *self.process.lock() = Some(child);
        let deadline = Instant::now() + START_TIMEOUT;
        while let Err(error) = TcpStream::connect(("127.0.0.1", self.port)).await {
            if Instant::now() > deadline {
                let (server, reason) = (format!("redis (port {})", self.port), error.to_string());
                let (action, waited) = ("answer", START_TIMEOUT);
                return Err(LabError::Deadline { server, action, waited, reason, log: LogTail::of(&log) });
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Kills it and waits for its end. Nothing happens if it does not run.
    pub fn kill(&self) {
        if let Some(mut child) = self.process.lock().take() {
            let _ = child.kill();
            let _ = child.wait();
            self.workspace.forget(child.id());
        }
    }

    /// Suspends it: connections stay open and nothing answers.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.lock();
        let pid = process.as_ref().and_then(|child| Pid::from_raw(i32::try_from(child.id()).ok()?));
        if let Some(pid) = pid {
            // It has not been waited for, so the process id is its own; one that has ended hears nothing.
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

fn program() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join("redis-server")).find(|file| file.is_file())
}
