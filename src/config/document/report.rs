//! What reading a file leaves behind beside the settings: problems, the list of settings, the files used.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_128;
use zeroize::Zeroizing;

use crate::config::document::{Position, Problem};

/// Bytes of one file at most: the configuration itself, a password, a certificate chain.
const FILE_BYTES_MAX: u64 = 8 << 20;

/// Hash of a file's bytes; none if it could not be read.
pub(crate) type Fingerprint = Option<u128>;

/// One setting as it was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Where it is: `clusters.main.pool.size_max`.
    pub path: String,
    /// The same with every chosen name as `*`: `clusters.*.pool.size_max`.
    pub pattern: String,
    /// The value in effect, as it would be written; a secret is only said to be there.
    pub value: Option<String>,
    /// The value that stands in for an absent one; none if it must be given or is off without one.
    pub default: Option<String>,
    /// Whether the file gives it.
    pub given: bool,
}

/// Collects while a file is read. One thread reads one file, so cells do.
pub(crate) struct Report {
    folder: PathBuf,
    problems: RefCell<Vec<Problem>>,
    settings: RefCell<Vec<Setting>>,
    files: RefCell<BTreeMap<PathBuf, Fingerprint>>,
}

impl Report {
    /// For a file in `folder`, against which relative paths are resolved.
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            problems: RefCell::default(),
            settings: RefCell::default(),
            files: RefCell::default(),
        }
    }

    /// `path`, seen from the configuration file's folder.
    pub(crate) fn resolve(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    /// Notes that the setting at `path` is wrong.
    pub(crate) fn problem(&self, at: Position, path: impl Into<String>, message: impl Into<String>) {
        self.problems.borrow_mut().push(Problem::new(Some(at), path, message));
    }

    /// Whether anything is wrong.
    pub(crate) fn has_problems(&self) -> bool {
        !self.problems.borrow().is_empty()
    }

    /// Notes how a setting was understood.
    pub(crate) fn setting(&self, setting: Setting) {
        self.settings.borrow_mut().push(setting);
    }

    /// The text of a file that a setting names; the error says why there is none.
    pub(crate) fn read_text(&self, path: &Path) -> Result<Zeroizing<String>, String> {
        let path = self.resolve(path);
        let read = read_bounded(&path);
        let hash = read.as_ref().ok().map(|bytes| xxh3_128(bytes));
        self.files.borrow_mut().insert(path.clone(), hash);
        let mut bytes = read.map_err(|why| format!("cannot read `{}`: {why}", path.display()))?;
        match std::str::from_utf8(&bytes) {
            Ok(_) => {
                let taken = std::mem::take(&mut *bytes);
                Ok(Zeroizing::new(String::from_utf8(taken).expect("checked one line above")))
            }
            Err(_) => Err(format!("`{}` is not UTF-8 text", path.display())),
        }
    }

    /// What these files held when they were read, as one number.
    pub(crate) fn content<const N: usize>(&self, paths: [&Option<PathBuf>; N]) -> u128 {
        let files = self.files.borrow();
        let held = |path: &Option<PathBuf>| files.get(path.as_ref()?).copied().flatten();
        if paths.iter().all(|path| path.is_none()) {
            return 0;
        }
        let held: Vec<u8> = paths.iter().flat_map(|path| held(path).unwrap_or(0).to_le_bytes()).collect();
        xxh3_128(&held)
    }

    /// Everything collected.
    pub(crate) fn into_parts(self) -> (Vec<Problem>, Vec<Setting>, BTreeMap<PathBuf, Fingerprint>) {
        (self.problems.into_inner(), self.settings.into_inner(), self.files.into_inner())
    }
}

/// The bytes of a regular file; the error is a phrase for an operator.
///
/// A pipe or a device could block for ever or never end, so only regular files are read.
pub(crate) fn read_bounded(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let why = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => "no such file".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    if !std::fs::metadata(path).map_err(why)?.is_file() {
        return Err("not a regular file".to_owned());
    }
    let mut bytes = Zeroizing::new(Vec::new());
    let file = File::open(path).map_err(why)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(why)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err("larger than 8 MiB".to_owned());
    }
    Ok(bytes)
}

/// Hash of what `path` holds now, through all symbolic links: a file's bytes, or the names in a folder.
pub(crate) fn fingerprint(path: &Path) -> Fingerprint {
    if path.is_dir() {
        let entries = std::fs::read_dir(path).ok()?;
        let mut names: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
        names.sort();
        let listing: Vec<u8> =
            names.iter().flat_map(|name| name.as_encoded_bytes().iter().copied().chain([0])).collect();
        return Some(xxh3_128(&listing));
    }
    read_bounded(path).ok().map(|bytes| xxh3_128(&bytes))
}
