//! Private MariaDB and MySQL servers in a temporary folder: for the demo, drills, benches and tests.
//!
//! A [`Lab`] is one primary and its replicas. Nothing of it outlives its owner: dropping it kills the servers
//! and removes the folder, and so does the end of the process, even by SIGKILL.

mod account;
mod certificates;
mod dataset;
pub mod demo;
mod error;
mod flavor;
mod redis;
mod replication;
mod server;
mod settings;
mod template;
mod workspace;

pub use self::redis::Redis;
pub use account::{Account, AuthPlugin, Require};
pub use certificates::TlsFiles;
pub use dataset::Dataset;
pub use error::{LabError, LogTail};
pub use flavor::{Flavor, cache_dir};
pub use server::{ROOT_PASSWORD, Server};

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::lab::flavor::Program;
use crate::lab::server::ServerSpec;
use crate::lab::workspace::Workspace;

/// For the first contact of a new replica with its primary.
const REPLICATION_TIMEOUT: Duration = Duration::from_secs(60);

/// What a lab is started with.
#[derive(Clone, Debug)]
pub struct LabOptions {
    /// MariaDB or MySQL.
    pub flavor: Flavor,
    /// Replicas of the primary.
    pub replicas: usize,
    /// `max_connections` of each server.
    pub connections_max: u32,
    /// More arguments for each server; they win over the lab's own.
    pub arguments: Vec<String>,
}

impl LabOptions {
    /// One primary without replicas.
    #[must_use]
    pub const fn new(flavor: Flavor) -> Self {
        Self { flavor, replicas: 0, connections_max: 500, arguments: Vec::new() }
    }
}

/// One primary and its replicas.
#[derive(Debug)]
pub struct Lab {
    // Servers are dropped before the folder they live in.
    primary: Server,
    replicas: Vec<Server>,
    workspace: Arc<Workspace>,
}

impl Lab {
    /// Starts the servers, sets up GTID replication, and returns when every replica follows.
    ///
    /// # Errors
    /// [`LabError`], naming the server that failed and the end of its log.
    pub async fn start(options: &LabOptions) -> Result<Self, LabError> {
        let program = Program::find(options.flavor)?;
        let workspace = Arc::new(Workspace::create()?);
        let launch = async |name: String| {
            let dir = workspace.path().join(&name);
            template::copy_into(&program, &dir).await?;
            let arguments = options.arguments.clone();
            let spec = ServerSpec { name, connections_max: options.connections_max, arguments };
            Server::launch(spec, program.clone(), dir, Arc::clone(&workspace))
        };
        // All are launched before the first is waited for, so they start side by side.
        let mut primary = launch("primary".to_owned()).await?;
        let mut replicas = Vec::with_capacity(options.replicas);
        for number in 1..=options.replicas {
            replicas.push(launch(format!("replica-{number}")).await?);
        }
        primary.ready().await?;
        for replica in &mut replicas {
            replica.ready().await?;
            replica.replicate_from(&primary).await?;
        }
        for replica in &replicas {
            replica.catch_up(&primary, REPLICATION_TIMEOUT).await?;
        }
        Ok(Self { primary, replicas, workspace })
    }

    /// The server that takes writes.
    #[must_use]
    pub const fn primary(&self) -> &Server {
        &self.primary
    }

    /// The servers that follow it.
    #[must_use]
    pub fn replicas(&self) -> &[Server] {
        &self.replicas
    }

    /// The primary, then the replicas.
    pub fn servers(&self) -> impl Iterator<Item = &Server> {
        std::iter::once(&self.primary).chain(&self.replicas)
    }

    /// The folder of everything; gone with the lab.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.workspace.path()
    }

    /// Waits until every replica has applied what the primary has committed by now.
    ///
    /// # Errors
    /// [`LabError::Deadline`].
    pub async fn catch_up(&self) -> Result<(), LabError> {
        for replica in &self.replicas {
            replica.catch_up(&self.primary, REPLICATION_TIMEOUT).await?;
        }
        Ok(())
    }
}

/// One primary and one replica that all tests of a process share: started when first asked for, and ended with
/// the process. A test works in a schema of its own, and neither stops nor freezes these servers.
///
/// # Errors
/// As [`Lab::start`]; the next call tries again.
pub async fn shared(flavor: Flavor) -> Result<&'static Lab, LabError> {
    static MARIADB: OnceCell<Lab> = OnceCell::const_new();
    static MYSQL: OnceCell<Lab> = OnceCell::const_new();
    let cell = match flavor {
        Flavor::MariaDb => &MARIADB,
        Flavor::MySql => &MYSQL,
    };
    let options = LabOptions { replicas: 1, ..LabOptions::new(flavor) };
    cell.get_or_try_init(async || Lab::start(&options).await).await
}
