//! The proxy's process: this same program, started as `dazzle serve`.

use std::env;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use crate::lab::demo::error::DemoError;
use crate::lab::demo::settings::{RULES, RULES_FILE, Settings};
use crate::lab::demo::{TICK, page};
use crate::lab::error::{LabError, LogTail};
use crate::lab::workspace::Workspace;

/// A debug build on a busy machine; a release build needs some tens of milliseconds.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// For a clean end; then it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two looks while it starts or ends.
const POLL: Duration = Duration::from_millis(10);

/// A running `dazzle serve`.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) settings: Settings,
    pub(super) file: PathBuf,
    log: PathBuf,
    /// Locked for one system call at a time, never across an await.
    child: Mutex<Child>,
    workspace: Arc<Workspace>,
}

impl Proxy {
    /// Writes the configuration into the lab's folder, starts the proxy with it, and waits until it is ready.
    pub(super) async fn start(workspace: &Arc<Workspace>, settings: Settings) -> Result<Self, DemoError> {
        let file = workspace.path().join("dazzle.yaml");
        let log = workspace.path().join("dazzle.log");
        fs::write(&file, settings.to_yaml()).map_err(LabError::io("writing", &file.display()))?;
        let rules = workspace.path().join(RULES_FILE);
        fs::write(&rules, RULES).map_err(LabError::io("writing", &rules.display()))?;
        let output = File::create(&log).map_err(LabError::io("writing", &log.display()))?;
        let errors = output.try_clone().map_err(LabError::io("writing", &log.display()))?;
        let program = env::current_exe().map_err(LabError::io("finding", &"this program"))?;
        // The path of its configuration is in the lab's folder: that is how the lab's guard knows it.
        let child = workspace
            .command(&program)
            .args(["serve", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(LabError::io("starting", &program.display()))?;
        let workspace = Arc::clone(workspace);
        let proxy = Self { settings, file, log, child: Mutex::new(child), workspace };
        proxy.ready().await?;
        Ok(proxy)
    }

    async fn ready(&self) -> Result<(), DemoError> {
        let last = Instant::now() + START_TIMEOUT;
        loop {
            let reason = match page::get(self.settings.http, "/readyz").await {
                Ok(_) => return Ok(()),
                Err(error) => error.to_string(),
            };
            if let Some(status) = self.exit_status() {
                return Err(DemoError::ProxyEnded { status, log: LogTail::of(&self.log) });
            }
            if Instant::now() >= last {
                return Err(DemoError::ProxyLate { reason, log: LogTail::of(&self.log) });
            }
            sleep(POLL).await;
        }
    }

    /// Waits until the process ends by itself, which it should not.
    pub(super) async fn ended(&self) -> DemoError {
        loop {
            if let Some(status) = self.exit_status() {
                return DemoError::ProxyEnded { status, log: LogTail::of(&self.log) };
            }
            sleep(TICK).await;
        }
    }

    /// Ends it as an operator would, and kills it if that takes too long.
    pub(super) async fn stop(&self) {
        let pid = Pid::from_child(&self.child.lock());
        if self.exit_status().is_some() || kill_process(pid, Signal::TERM).is_err() {
            return;
        }
        let last = Instant::now() + STOP_TIMEOUT;
        while self.exit_status().is_none() && Instant::now() < last {
            sleep(POLL).await;
        }
    }

    fn exit_status(&self) -> Option<ExitStatus> {
        self.child.lock().try_wait().ok().flatten()
    }

    /// The folder it lives in.
    pub(super) fn dir(&self) -> &Path {
        self.workspace.path()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let child = self.child.get_mut();
        // It may have ended already, which is what is wanted.
        let _ = child.kill();
        let _ = child.wait();
        self.workspace.forget(child.id());
    }
}

/// 127.0.0.1 with `port` if nobody listens there.
pub(super) fn if_free(port: u16) -> Option<SocketAddr> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address).is_ok().then_some(address)
}
