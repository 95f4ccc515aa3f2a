//! Settings of sharding: where the rules are.

use std::path::PathBuf;

/// Where the rules of the logical databases are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sharding {
    /// Rule files, and folders with rule files. Empty: nothing is sharded.
    pub rules: Vec<PathBuf>,
}
