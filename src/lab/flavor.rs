//! The two servers the lab can run, and where this machine keeps their programs.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::lab::error::LabError;

/// Which server a lab runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flavor {
    /// MariaDB 10.11, the distribution's own.
    MariaDb,
    /// MySQL 9.7, unpacked into the cache by `scripts/servers`.
    MySql,
}

impl fmt::Display for Flavor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MariaDb => "MariaDB",
            Self::MySql => "MySQL",
        })
    }
}

impl Flavor {
    /// Both, MariaDB first.
    pub const ALL: [Self; 2] = [Self::MariaDb, Self::MySql];

    /// Whether this machine has the programs.
    #[must_use]
    pub fn available(self) -> bool {
        Program::find(self).is_ok()
    }

    /// Those that this machine has. Tests run against each.
    #[must_use]
    pub fn installed() -> Vec<Self> {
        Self::ALL.into_iter().filter(|flavor| flavor.available()).collect()
    }

    /// The short name used in folder names.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::MariaDb => "mariadb",
            Self::MySql => "mysql",
        }
    }
}

/// Where downloads and initialised data directories are kept between runs.
#[must_use]
pub fn cache_dir() -> PathBuf {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("DAZZLE_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|base| base.join("dazzle")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/dazzle")))
        .unwrap_or_else(|| env::temp_dir().join("dazzle-cache"))
}

/// A server program of this machine.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) flavor: Flavor,
    pub(crate) path: PathBuf,
    /// For example `10.11.14-MariaDB-0+deb12u2` or `9.7.4-2`.
    pub(crate) version: String,
    /// The unpacked root that the program's messages and plugins come from, if it is not the system's.
    root: Option<PathBuf>,
}

impl Program {
    /// Looks for the program of `flavor`: MySQL in the cache first, then both on PATH and in sbin.
    pub(crate) fn find(flavor: Flavor) -> Result<Self, LabError> {
        let candidate = match flavor {
            Flavor::MariaDb => on_path("mariadbd").map(|path| (path, None)),
            Flavor::MySql => {
                let cached = cache_dir().join("mysql");
                if cached.join("version").is_file() {
                    Some((cached.join("mysqld"), Some(cached.join("root"))))
                } else {
                    on_path("mysqld").map(|path| (path, None))
                }
            }
        };
        let (path, root) = candidate.ok_or(LabError::NotInstalled(flavor))?;
        let version = version_of(&path).ok_or(LabError::NotInstalled(flavor))?;
        // Debian's MariaDB also installs a `mysqld`, which is no MySQL.
        if version.contains("MariaDB") != (flavor == Flavor::MariaDb) {
            return Err(LabError::NotInstalled(flavor));
        }
        Ok(Self { flavor, path, version, root })
    }

    /// Arguments that every start needs: where its files are, and that it may run as root.
    pub(crate) fn base_arguments(&self) -> Vec<String> {
        let mut arguments = vec!["--no-defaults".to_owned()];
        if let Some(root) = &self.root {
            let root = root.display();
            arguments.extend([
                format!("--basedir={root}/usr"),
                format!("--lc-messages-dir={root}/usr/share/mysql"),
                format!("--character-sets-dir={root}/usr/share/mysql/charsets"),
                format!("--plugin-dir={root}/usr/lib/mysql/plugin"),
            ]);
        }
        if rustix::process::geteuid().is_root() {
            arguments.push("--user=root".to_owned());
        }
        arguments
    }
}

/// The first executable of that name on PATH or in an sbin folder, which a user's PATH often lacks.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(sbin).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The word after `Ver` in what `--version` prints.
fn version_of(program: &Path) -> Option<String> {
    let output = Command::new(program).args(["--no-defaults", "--version"]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().skip_while(|word| *word != "Ver").nth(1).map(str::to_owned)
}
