//! The configuration file on disk: loads it, and tells when it is worth loading again.
//!
//! Holds no thread and no clock: whoever owns it calls [`ConfigFile::poll`] every second or so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_128;

use crate::config::document::{ConfigError, Fingerprint, Problem, Setting, fingerprint, read_bounded};
use crate::config::{Config, read};

/// One `dazzle.yaml` and everything it names.
#[derive(Debug)]
pub struct ConfigFile {
    path: PathBuf,
    settings: Vec<Setting>,
    /// What the last load read, of the file itself and of every file that it names.
    loaded: BTreeMap<PathBuf, Fingerprint>,
    /// What the last poll saw.
    seen: BTreeMap<PathBuf, Fingerprint>,
}

/// What a poll found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// Nothing differs from what was loaded.
    Same,
    /// Something differs, but also from the poll before: somebody may still be writing.
    Settling,
    /// Something differs and held still for one interval: load again.
    Changed,
}

impl ConfigFile {
    /// The file at `path`; nothing is read yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), settings: Vec::new(), loaded: BTreeMap::new(), seen: BTreeMap::new() }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads and checks the file and the files it names.
    ///
    /// # Errors
    /// Everything that is wrong, at once. The caller keeps what it had; the broken content counts as
    /// loaded, so that [`ConfigFile::poll`] asks for the next load when somebody repairs it.
    pub fn load(&mut self) -> Result<Config, ConfigError> {
        let read = read_bounded(&self.path);
        self.loaded = BTreeMap::from([(self.path.clone(), read.as_ref().ok().map(|bytes| xxh3_128(bytes)))]);
        self.seen.clone_from(&self.loaded);
        let whole = |message: String| ConfigError::new(&self.path, "", vec![Problem::new(None, "", message)]);
        let bytes = read.map_err(|why| whole(format!("cannot be read: {why}")))?;
        let text = std::str::from_utf8(&bytes).map_err(|_| whole("is not UTF-8 text".to_owned()))?;
        let reading = read::read(text, &self.path);
        self.loaded.extend(reading.files);
        self.seen.clone_from(&self.loaded);
        self.settings = reading.settings;
        reading.config
    }

    /// Watches these too, as they were when they were read: what the configuration leads to.
    pub(crate) fn watch(&mut self, files: BTreeMap<PathBuf, Fingerprint>) {
        self.loaded.extend(files);
        self.seen.clone_from(&self.loaded);
    }

    /// Every setting of the last load, with its value and default, in the order of the documentation.
    #[must_use]
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// Compares what the files hold now with the last load: by content, so that a touched file is the
    /// same, and through symbolic links, so that a Kubernetes volume that swaps its `..data` is not.
    pub fn poll(&mut self) -> Poll {
        let now: BTreeMap<PathBuf, Fingerprint> =
            self.loaded.keys().map(|path| (path.clone(), fingerprint(path))).collect();
        let verdict = if now == self.loaded {
            Poll::Same
        } else if now == self.seen {
            Poll::Changed
        } else {
            Poll::Settling
        };
        self.seen = now;
        verdict
    }
}
