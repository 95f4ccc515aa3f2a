//! The revisions of a folder that a running Dazzle watches.
//!
//! The folder holds `<logical database>.yaml`, a link to the revision that runs, and
//! `.history/<logical database>/<revision>/`, which never changes: the rule file and the files that it names. A
//! revision is switched by one rename of the link, so whoever reads sees the old one or the new one, each whole.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

use rustix::fs::{FlockOperation, flock};

use crate::cli::rules::{Loaded, load};
use crate::sharding::ShardingRules;

/// A folder of rules with its history.
pub(super) struct Revisions<'f> {
    folder: &'f Path,
}

/// One revision of the history.
pub(super) struct Kept {
    pub(super) number: u64,
    pub(super) file: PathBuf,
    /// When it was made, in seconds since 1970.
    pub(super) since: u64,
}

/// The right to change the folder; nobody else has it at the same time.
pub(super) struct Lock {
    _file: File,
}

impl<'f> Revisions<'f> {
    pub(super) const fn of(folder: &'f Path) -> Self {
        Self { folder }
    }

    /// The file that runs.
    pub(super) fn running(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.yaml"))
    }

    /// The file of a kept revision.
    pub(super) fn kept(&self, name: &str, revision: u64) -> PathBuf {
        self.home(name, revision).join(format!("{name}.yaml"))
    }

    fn home(&self, name: &str, revision: u64) -> PathBuf {
        self.folder.join(".history").join(name).join(revision.to_string())
    }

    /// All kept revisions, the first one first.
    pub(super) fn list(&self, name: &str) -> io::Result<Vec<Kept>> {
        let mut kept = Vec::new();
        for entry in fs::read_dir(self.folder.join(".history").join(name))? {
            let entry = entry?;
            let Some(number) = entry.file_name().to_str().and_then(|number| number.parse().ok()) else {
                continue;
            };
            let made = entry.metadata()?.modified()?;
            let since = made.duration_since(UNIX_EPOCH).map(|since| since.as_secs()).unwrap_or_default();
            kept.push(Kept { number, file: self.kept(name, number), since });
        }
        kept.sort_by_key(|kept| kept.number);
        Ok(kept)
    }

    /// Waits for nobody: a second one that would change the folder at the same time is refused.
    pub(super) fn lock(&self) -> Result<Lock, String> {
        let path = self.folder.join(".history");
        let wrong = |error: io::Error| format!("{}: {error}", path.display());
        fs::create_dir_all(&path).map_err(wrong)?;
        let file = File::create(path.join(".lock")).map_err(wrong)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| format!("somebody else changes {} at this moment", self.folder.display()))?;
        Ok(Lock { _file: file })
    }

    /// Keeps a revision for ever: the same number never has another content.
    pub(super) fn keep(&self, _lock: &Lock, loaded: &Loaded) -> Result<PathBuf, String> {
        let (name, number) = (loaded.rules.name(), loaded.rules.revision());
        let (home, file) = (self.home(name, number), self.kept(name, number));
        let wrong = |error: io::Error| format!("{}: {error}", home.display());
        if home.exists() {
            let kept = load(&file).map_err(|error| error.to_string())?;
            if kept.rules.content() == loaded.rules.content() {
                return Ok(file);
            }
            return Err(format!("revision {number} was something else before; count `revision` up"));
        }
        let beside = home.with_file_name(format!(".{number}.new"));
        if beside.exists() {
            // Left behind by one that was interrupted.
            fs::remove_dir_all(&beside).map_err(wrong)?;
        }
        fs::create_dir_all(&beside).map_err(wrong)?;
        write(&beside.join(format!("{name}.yaml")), loaded.text.as_bytes()).map_err(wrong)?;
        for named in &loaded.named {
            let relative = relative(loaded, named)?;
            let bytes = fs::read(named).map_err(|error| format!("{}: {error}", named.display()))?;
            write(&beside.join(relative), &bytes).map_err(wrong)?;
        }
        fs::rename(&beside, &home).map_err(wrong)?;
        File::open(home.parent().unwrap_or(self.folder))
            .and_then(|folder| folder.sync_all())
            .map_err(wrong)?;
        let kept = load(&file).map_err(|error| error.to_string())?;
        if kept.rules.content() != loaded.rules.content() {
            return Err(format!("{} changed while it was copied", loaded.file.display()));
        }
        Ok(file)
    }

    /// Lets a kept revision run.
    pub(super) fn switch(&self, _lock: &Lock, rules: &ShardingRules) -> Result<PathBuf, String> {
        let (name, number) = (rules.name(), rules.revision());
        let running = self.running(name);
        let beside = self.folder.join(format!(".{name}.yaml.new"));
        let target = Path::new(".history").join(name).join(number.to_string()).join(format!("{name}.yaml"));
        let switched = match fs::remove_file(&beside) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        switched
            .and_then(|()| symlink(&target, &beside))
            .and_then(|()| fs::rename(&beside, &running))
            .and_then(|()| File::open(self.folder)?.sync_all())
            .map_err(|error| format!("{}: {error}", running.display()))?;
        Ok(running)
    }
}

/// The place of a named file below the rule file's folder.
fn relative<'n>(loaded: &Loaded, named: &'n Path) -> Result<&'n Path, String> {
    let base =
        fs::canonicalize(&loaded.file).map_err(|error| format!("{}: {error}", loaded.file.display()))?;
    let below = base.parent().and_then(|folder| named.strip_prefix(folder).ok());
    below.filter(|below| below.components().all(|part| matches!(part, Component::Normal(_)))).ok_or_else(
        || {
            format!(
                "`{}` is not below the folder of the rule file, so a revision could not keep it",
                named.display()
            )
        },
    )
}

/// A file that nobody will change.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.set_permissions(Permissions::from_mode(0o444))?;
    file.sync_all()
}
