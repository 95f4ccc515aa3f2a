//! One private server: its names, its files, and how to log in to it.

pub(in crate::lab) mod port;
mod process;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use parking_lot::Mutex;
use tokio::time::timeout;

use crate::lab::certificates::TlsFiles;
use crate::lab::error::{LabError, LogTail};
use crate::lab::flavor::{Flavor, Program};
use crate::lab::server::port::free_port;
use crate::lab::workspace::Workspace;

/// Password of `root`, who may log in by socket and over TCP.
pub const ROOT_PASSWORD: &str = "lab-root";

/// For one login of the lab itself.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What a server is started with.
#[derive(Clone, Debug)]
pub(crate) struct ServerSpec {
    pub(crate) name: String,
    pub(crate) connections_max: u32,
    /// More arguments; they win over the lab's own.
    pub(crate) arguments: Vec<String>,
}

/// One running, stopped or killed server. Every method takes `&self`, so tests can share it.
#[derive(Debug)]
pub struct Server {
    spec: ServerSpec,
    program: Program,
    port: u16,
    dir: PathBuf,
    socket: PathBuf,
    error_log: PathBuf,
    tls: TlsFiles,
    workspace: Arc<Workspace>,
    /// Whether it follows a primary: a start then makes it read-only again.
    replica: AtomicBool,
    /// The child, while it has not been waited for: its process id cannot be used again so long.
    /// Held only for a system call at a time, never across an await.
    process: Mutex<Option<Child>>,
}

impl Server {
    /// Starts the process over the initialised folder `dir`; [`Server::ready`] waits for it.
    pub(crate) fn launch(
        spec: ServerSpec,
        program: Program,
        dir: PathBuf,
        workspace: Arc<Workspace>,
    ) -> Result<Self, LabError> {
        let server = Self {
            port: free_port()?,
            socket: dir.join("s.sock"),
            error_log: dir.join("error.log"),
            tls: TlsFiles::in_folder(&dir.join("tls")),
            replica: AtomicBool::new(false),
            process: Mutex::new(None),
            spec,
            program,
            dir,
            workspace,
        };
        server.spawn()?;
        Ok(server)
    }

    /// For example `primary` or `replica-1`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// MariaDB or MySQL.
    #[must_use]
    pub const fn flavor(&self) -> Flavor {
        self.program.flavor
    }

    /// The program's version, for example `10.11.14-MariaDB-0+deb12u2`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.program.version
    }

    /// The TCP port on 127.0.0.1; it stays the same over restarts.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// 127.0.0.1 and the port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The unix socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The folder of its data, certificates and logs.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where it logs.
    #[must_use]
    pub fn error_log(&self) -> &Path {
        &self.error_log
    }

    /// Its certificates and their authority.
    #[must_use]
    pub const fn tls(&self) -> &TlsFiles {
        &self.tls
    }

    /// Its `server_id`: the port, which is unique on the machine.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.port.into()
    }

    /// Its `max_connections`.
    #[must_use]
    pub const fn connections_max(&self) -> u32 {
        self.spec.connections_max
    }

    /// Whether it follows a primary.
    #[must_use]
    pub fn is_replica(&self) -> bool {
        self.replica.load(Ordering::Relaxed)
    }

    pub(crate) fn set_replica(&self, replica: bool) {
        self.replica.store(replica, Ordering::Relaxed);
    }

    /// The process id, while the process runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.lock().as_ref().map(Child::id)
    }

    /// How `root` logs in by socket.
    #[must_use]
    pub fn root_opts(&self) -> OptsBuilder {
        OptsBuilder::default()
            .socket(Some(self.socket.display().to_string()))
            .user(Some("root"))
            .pass(Some(ROOT_PASSWORD))
    }

    /// How anybody logs in over TCP, without TLS; the driver does not switch to the socket.
    #[must_use]
    pub fn tcp_opts(&self, user: &str, password: &str) -> OptsBuilder {
        OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.port)
            .prefer_socket(false)
            .user(Some(user))
            .pass(Some(password))
    }

    /// A connection as `root`, by socket.
    ///
    /// # Errors
    /// [`LabError::Sql`] from the login, [`LabError::Deadline`] if the server does not answer.
    pub async fn connect(&self) -> Result<Conn, LabError> {
        self.connect_with(self.root_opts()).await
    }

    pub(crate) async fn connect_with(&self, opts: OptsBuilder) -> Result<Conn, LabError> {
        match timeout(CONNECT_TIMEOUT, Conn::new(opts)).await {
            Ok(connected) => connected.map_err(self.sql_error("a login")),
            Err(_) => Err(self.late("accept a login", CONNECT_TIMEOUT, "no answer".to_owned())),
        }
    }

    /// Runs statements as `root`, one after the other on one connection.
    ///
    /// # Errors
    /// [`LabError::Sql`] from the first that fails.
    pub async fn execute<S: AsRef<str>>(&self, statements: &[S]) -> Result<(), LabError> {
        let mut connection = self.connect().await?;
        for statement in statements {
            connection.query_drop(statement.as_ref()).await.map_err(self.sql_error("a statement"))?;
        }
        connection.disconnect().await.map_err(self.sql_error("a disconnect"))
    }

    pub(crate) fn sql_error(&self, action: &'static str) -> impl FnOnce(mysql_async::Error) -> LabError {
        let server = self.to_string();
        move |source| LabError::Sql { action, server, source }
    }

    pub(crate) fn late(&self, action: &'static str, waited: Duration, reason: String) -> LabError {
        LabError::Deadline {
            server: self.to_string(),
            action,
            waited,
            reason,
            log: LogTail::of(&self.error_log),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} (port {})", self.program.flavor, self.spec.name, self.port)
    }
}

impl Drop for Server {
    /// Kills the process and waits for it: its folder goes next.
    fn drop(&mut self) {
        if let Some(mut child) = self.process.lock().take() {
            let _ = child.kill();
            let _ = child.wait();
            self.workspace.forget(child.id());
        }
    }
}
