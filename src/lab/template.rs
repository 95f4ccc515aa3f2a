//! An initialised data directory of each flavor and version: made once, kept in the cache, copied for each server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use tokio::process::Command;
use tokio::time::timeout;

use crate::lab::certificates::TlsFiles;
use crate::lab::error::{LabError, last_lines};
use crate::lab::flavor::{Flavor, Program, cache_dir, on_path};
use crate::lab::replication::{REPLICATION_PASSWORD, REPLICATION_USER};
use crate::lab::server::{ROOT_PASSWORD, Server, ServerSpec};
use crate::lab::workspace::Workspace;

/// Part of the folder's name; raise it when what is made here changes.
const REVISION: u32 = 1;

/// For a program that initialises or copies a data directory.
const PROGRAM_TIMEOUT: Duration = Duration::from_secs(120);

/// Makes `dir` the folder of a server that was never started: `data/` and `tls/`.
pub(crate) async fn copy_into(program: &Program, dir: &Path) -> Result<(), LabError> {
    let template = cached(program).await?;
    let mut copy = Command::new("cp");
    copy.args(["-a", "--reflink=auto"]).arg(&template).arg(dir);
    run(copy).await
}

/// The template's folder, made if it is not there.
async fn cached(program: &Program) -> Result<PathBuf, LabError> {
    let parent = cache_dir().join("lab");
    let version: String =
        program.version.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '.' }).collect();
    let name = format!("{}-{version}-{REVISION}", program.flavor.key());
    let template = parent.join(&name);
    if template.is_dir() {
        return Ok(template);
    }
    fs::create_dir_all(&parent).map_err(LabError::io("making a folder", &parent.display()))?;
    let _lock = lock(parent.join(format!("{name}.lock"))).await?;
    if template.is_dir() {
        return Ok(template);
    }
    let workspace = Arc::new(Workspace::create()?);
    let made = workspace.path().join("template");
    make(program, &made, &workspace).await?;
    // Only a rename puts it in its place: a template that exists is whole.
    let staged = parent.join(format!("{name}.new"));
    let _ = fs::remove_dir_all(&staged);
    let mut copy = Command::new("cp");
    copy.arg("-a").arg(&made).arg(&staged);
    run(copy).await?;
    fs::rename(&staged, &template).map_err(LabError::io("renaming", &staged.display()))?;
    Ok(template)
}

/// Waits until no other process makes the same template.
async fn lock(path: PathBuf) -> Result<fs::File, LabError> {
    let error = LabError::io("locking", &path.display());
    let locked = tokio::task::spawn_blocking(move || {
        let file = fs::File::create(path)?;
        file.lock()?;
        Ok(file)
    });
    locked.await.unwrap_or_else(|joined| Err(joined.into())).map_err(error)
}

/// Initialises a data directory, and starts the server once: it makes its keys and gets its accounts.
async fn make(program: &Program, dir: &Path, workspace: &Arc<Workspace>) -> Result<(), LabError> {
    let data = dir.join("data");
    TlsFiles::make(&dir.join("tls"))?;
    initialise(program, &data).await?;
    let spec = ServerSpec { name: "template".to_owned(), connections_max: 10, arguments: Vec::new() };
    let mut server = Server::launch(spec, program.clone(), dir.to_owned(), Arc::clone(workspace))?;
    server.ready().await?;
    let mut root = server.connect_with(server.root_opts().pass(None::<String>)).await?;
    for statement in accounts(program.flavor) {
        root.query_drop(statement).await.map_err(server.sql_error("making the lab's accounts"))?;
    }
    root.disconnect().await.map_err(server.sql_error("a disconnect"))?;
    server.stop().await?;
    drop(server);
    remove_identity(dir, &data)
}

async fn initialise(program: &Program, data: &Path) -> Result<(), LabError> {
    let mut command;
    match program.flavor {
        Flavor::MariaDb => {
            let install = on_path("mariadb-install-db").ok_or(LabError::NotInstalled(program.flavor))?;
            command = Command::new(install);
            command.args(program.base_arguments()).args([
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--innodb-log-file-size=32M",
                "--innodb-use-native-aio=OFF",
            ]);
        }
        Flavor::MySql => {
            command = Command::new(&program.path);
            command.args(program.base_arguments()).args([
                "--initialize-insecure",
                "--innodb-redo-log-capacity=32M",
                "--innodb-use-native-aio=OFF",
            ]);
        }
    }
    command.arg(format!("--datadir={}", data.display()));
    run(command).await
}

/// `root` with a password from everywhere, and the account that replicas use. Their GTIDs are wiped, so that
/// every copy begins with an empty history.
fn accounts(flavor: Flavor) -> Vec<String> {
    let mut statements = Vec::new();
    if flavor == Flavor::MariaDb {
        statements.extend([
            "DELETE FROM mysql.global_priv WHERE User = '' OR (User = 'root' AND Host <> 'localhost')"
                .to_owned(),
            "FLUSH PRIVILEGES".to_owned(),
        ]);
    }
    statements.extend([
        format!("ALTER USER 'root'@'localhost' IDENTIFIED BY '{ROOT_PASSWORD}'"),
        format!("CREATE USER 'root'@'%' IDENTIFIED BY '{ROOT_PASSWORD}'"),
        "GRANT ALL PRIVILEGES ON *.* TO 'root'@'%' WITH GRANT OPTION".to_owned(),
        format!("CREATE USER '{REPLICATION_USER}'@'%' IDENTIFIED BY '{REPLICATION_PASSWORD}'"),
        format!("GRANT REPLICATION SLAVE ON *.* TO '{REPLICATION_USER}'@'%'"),
    ]);
    statements.push(match flavor {
        Flavor::MariaDb => "RESET MASTER".to_owned(),
        Flavor::MySql => "RESET BINARY LOGS AND GTIDS".to_owned(),
    });
    statements
}

/// Removes what two servers must not share: the server's UUID, the (empty) binary log, logs and sockets.
fn remove_identity(dir: &Path, data: &Path) -> Result<(), LabError> {
    for folder in [dir, data] {
        let entries = fs::read_dir(folder).map_err(LabError::io("reading", &folder.display()))?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let own =
                name == "auto.cnf" || name == "pid" || name.starts_with("bin.") || name.starts_with("s.sock");
            if own || name.ends_with(".log") {
                let path = entry.path();
                fs::remove_file(&path).map_err(LabError::io("removing", &path.display()))?;
            }
        }
    }
    Ok(())
}

/// Runs a program to its end; what it printed is shown if it fails.
async fn run(mut command: Command) -> Result<(), LabError> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let finished = timeout(PROGRAM_TIMEOUT, output).await.unwrap_or_else(|late| Err(late.into()));
    let output = finished.map_err(LabError::io("running", &program))?;
    if output.status.success() {
        return Ok(());
    }
    let printed = [output.stdout, output.stderr].concat();
    Err(LabError::Program { program, status: output.status, output: last_lines(&printed) })
}
