//! The rule file: `sharding-rules/<logical database>.yaml`, from its text to validated rules.
//!
//! Text → tree with places (`config::document`) → [`model`] → rules, whose tests must pass. Every mistake
//! of a file is told at once, each with its line, column, path and, where one is near, the word that was meant.

mod build;
mod folder;
mod forms;
mod model;
mod mutation;
mod read;
mod read_placement;
mod tests_inside;

pub use folder::{RuleSet, RulesLoading, load};
pub use mutation::{Mutant, Mutation, mutate};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use crate::config::ConfigError;
use crate::config::document::{Fingerprint, Node, Problem, Report, Section};
use crate::sharding::key::Date;
use crate::sharding::rules::ShardingRules;

/// What a rule file says, and what was needed to understand it.
pub struct RulesReading {
    /// The rules, or everything that is wrong.
    pub rules: Result<ShardingRules, ConfigError>,
    /// The files that it names, each with the hash of what it holds.
    pub(crate) files: BTreeMap<PathBuf, Fingerprint>,
}

impl ShardingRules {
    /// Reads `text`, the content of `file`. Relative paths in it are seen from the file's folder; `ahead` and
    /// `keep` of intervals are counted from `today`.
    ///
    /// # Errors
    /// Everything that is wrong, each with its line, column and path; tests of the file that fail among them.
    pub fn parse(text: &str, file: &Path, today: Date) -> Result<Self, ConfigError> {
        read(text, file, &Surroundings { today, clusters: None }).rules
    }
}

/// What a rule file is read against.
#[derive(Clone, Debug)]
pub struct Surroundings<'s> {
    /// What `ahead` and `keep` of intervals are counted from.
    pub today: Date,
    /// The clusters that a shard can be; None if they are not known, and any name will do.
    pub clusters: Option<Vec<&'s str>>,
}

/// Reads `text`, the content of `file`.
#[must_use]
pub fn read(text: &str, file: &Path, surroundings: &Surroundings<'_>) -> RulesReading {
    let wrong = |problems| Err(ConfigError::new(file, text, problems));
    let node = match parsed(text) {
        Ok(node) => node,
        Err(problem) => return RulesReading { rules: wrong(vec![problem]), files: BTreeMap::new() },
    };
    let report = Report::new(&folder_of(file));
    let mut rules = understood(&report, &node, surroundings);
    let (problems, _, files) = report.into_parts();
    rules.content = content(text, &files);
    let rules = if problems.is_empty() { Ok(rules) } else { wrong(problems) };
    RulesReading { rules, files }
}

/// Where the files that `file` names are: beside it, wherever a link leads.
fn folder_of(file: &Path) -> PathBuf {
    let real = std::fs::canonicalize(file);
    let real = real.as_deref().unwrap_or(file);
    real.parent().unwrap_or(Path::new("")).to_owned()
}

/// The hash of a file and of what it names.
fn content(text: &str, files: &BTreeMap<PathBuf, Fingerprint>) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(text.as_bytes());
    for fingerprint in files.values().flatten() {
        hash.update(&fingerprint.to_le_bytes());
    }
    hash.digest()
}

/// The tree of a rule file, which is stricter than YAML: nothing in it stands for something elsewhere.
fn parsed(text: &str) -> Result<Node, Problem> {
    Node::parse_plain(text).map_err(|error| Problem::new(error.at, "", error.message))
}

/// What a tree says; of no use if the report has problems.
fn understood(report: &Report, node: &Node, surroundings: &Surroundings<'_>) -> ShardingRules {
    let document = read::document(&Section::root(report, node));
    let rules = build::rules(report, &document, surroundings);
    if !report.has_problems() {
        tests_inside::run(report, &document, &rules);
    }
    rules
}

#[cfg(test)]
mod schema;
#[cfg(test)]
mod tests;
