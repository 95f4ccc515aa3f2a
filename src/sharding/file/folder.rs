//! The rule files of a configuration, loaded together: one logical database each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::document::{Fingerprint, fingerprint, read_bounded};
use crate::config::{Config, ConfigError};
use crate::sharding::file::{Surroundings, read};
use crate::sharding::key::Date;
use crate::sharding::rules::ShardingRules;

/// The rules of every logical database, by name in lower case.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    by_name: BTreeMap<Box<str>, Arc<ShardingRules>>,
}

/// What loading found.
pub struct RulesLoading {
    /// The rules, or everything that is wrong with any file.
    pub rules: Result<RuleSet, Vec<ConfigError>>,
    /// The files and folders that were looked at, each with the hash of what it held.
    pub(crate) files: BTreeMap<PathBuf, Fingerprint>,
}

impl RuleSet {
    /// The rules of the logical database that clients call `name`, in any case.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Arc<ShardingRules>> {
        match self.by_name.get(name) {
            Some(rules) => Some(rules),
            None if self.by_name.is_empty() => None,
            None => self.by_name.get(name.to_lowercase().as_str()),
        }
    }

    /// Whether nothing is sharded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<ShardingRules>> {
        self.by_name.values()
    }
}

/// Loads what `config.sharding.rules` names: files, and folders with all `.yaml` files in them.
#[must_use]
pub fn load(config: &Config, today: Date) -> RulesLoading {
    let mut loading = RulesLoading { rules: Ok(RuleSet::default()), files: BTreeMap::new() };
    let mut set = RuleSet::default();
    let mut wrong = Vec::new();
    let clusters = Some(config.clusters.keys().map(String::as_str).collect());
    let surroundings = Surroundings { today, clusters };
    for path in &config.sharding.rules {
        loading.files.insert(path.clone(), fingerprint(path));
        match files(path) {
            Ok(files) => {
                for file in files {
                    match one(&file, &surroundings, &mut loading.files) {
                        Ok(rules) => add(&mut set, rules, &file, &mut wrong),
                        Err(error) => wrong.push(error),
                    }
                }
            }
            Err(why) => wrong.push(ConfigError::of_file(path, why)),
        }
    }
    loading.rules = if wrong.is_empty() { Ok(set) } else { Err(wrong) };
    loading
}

/// The file itself, or the rule files in the folder, by name. A file that begins with a dot is none.
fn files(path: &Path) -> Result<Vec<PathBuf>, String> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).map_err(|error| format!("cannot be read: {error}"))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    let hidden = |path: &Path| path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml") && !hidden(file));
    files.sort();
    Ok(files)
}

fn one(
    file: &Path,
    surroundings: &Surroundings<'_>,
    seen: &mut BTreeMap<PathBuf, Fingerprint>,
) -> Result<ShardingRules, ConfigError> {
    seen.insert(file.to_owned(), fingerprint(file));
    let bytes =
        read_bounded(file).map_err(|why| ConfigError::of_file(file, format!("cannot be read: {why}")))?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| ConfigError::of_file(file, "is not UTF-8 text".to_owned()))?;
    let reading = read(text, file, surroundings);
    seen.extend(reading.files);
    reading.rules
}

fn add(set: &mut RuleSet, rules: ShardingRules, file: &Path, wrong: &mut Vec<ConfigError>) {
    let name: Box<str> = rules.name().to_lowercase().into();
    if set.by_name.contains_key(&name) {
        wrong.push(ConfigError::of_file(
            file,
            format!("another file has the rules of `{}` already", rules.name()),
        ));
        return;
    }
    set.by_name.insert(name, Arc::new(rules));
}
