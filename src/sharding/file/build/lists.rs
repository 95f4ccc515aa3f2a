//! Lists: which value leads where, written in the file or in a CSV file beside it.

use std::collections::HashMap;
use std::path::Path;

use crate::config::document::{Position, join};
use crate::sharding::file::build::Builder;
use crate::sharding::file::model::{At, Names, Scalar, ValuesForm};
use crate::sharding::key::{KeyId, KeyValue};
use crate::sharding::placement::List;

/// Where listed values stand.
pub(super) struct Source<'s> {
    /// Outcomes at least: all groups, named by a value or not.
    pub(super) outcomes: u32,
    pub(super) values: Option<&'s Names<ValuesForm>>,
    pub(super) file: Option<&'s At<String>>,
    pub(super) at: Position,
    pub(super) path: &'s str,
}

/// The outcome that a name of the file stands for.
pub(super) type OutcomeOf<'o> = &'o dyn Fn(&At<String>) -> Option<u32>;

/// The list of `key`'s values.
pub(super) fn list(
    builder: &Builder<'_>,
    key: KeyId,
    source: &Source<'_>,
    outcome_of: OutcomeOf<'_>,
) -> Option<List> {
    let mut listed =
        Listed { builder, key, outcome_of, values: HashMap::new(), rest: None, outcomes: source.outcomes };
    match (source.values, source.file) {
        (Some(values), None) => listed.inline(values, &join(source.path, "values")),
        (None, Some(file)) => listed.csv(file, &join(source.path, "file")),
        (None, None) | (Some(_), Some(_)) => {
            builder.problem(source.at, source.path, "needs exactly one of `values` and `file`");
            return None;
        }
    }
    let values = listed.values.into_iter().map(|(value, (outcome, _))| (value, outcome));
    Some(List::new(values, listed.rest, listed.outcomes))
}

/// What has been listed so far.
struct Listed<'l> {
    builder: &'l Builder<'l>,
    key: KeyId,
    outcome_of: OutcomeOf<'l>,
    /// The outcome of each value, and the line that gives it.
    values: HashMap<KeyValue<'static>, (u32, u64)>,
    rest: Option<u32>,
    outcomes: u32,
}

impl Listed<'_> {
    /// Takes a value in; the line of an earlier one that is the same.
    fn insert(&mut self, value: KeyValue<'static>, outcome: u32, line: u64) -> Option<u64> {
        self.outcomes = self.outcomes.max(outcome + 1);
        self.values.insert(value, (outcome, line)).map(|(_, line)| line)
    }

    fn inline(&mut self, values: &Names<ValuesForm>, path: &str) {
        let builder = self.builder;
        for (name, form) in &values.0 {
            let path = join(path, &name.value);
            let Some(outcome) = (self.outcome_of)(name) else {
                builder.problem(name.at, path, "must be the number of a slot");
                continue;
            };
            self.outcomes = self.outcomes.max(outcome + 1);
            let items = match form {
                ValuesForm::Rest(at) => {
                    if self.rest.replace(outcome).is_some() {
                        builder.problem(*at, path, "only one can have the rest");
                    }
                    continue;
                }
                ValuesForm::Listed(items) => items,
            };
            for item in items {
                let Some(value) = builder.value(self.key, item, &path) else { continue };
                if let Some(line) = self.insert(value, outcome, item.at.line) {
                    let message = format!("this value is listed in line {line} already");
                    builder.problem(item.at, path.as_str(), message);
                }
            }
        }
    }

    fn csv(&mut self, file: &At<String>, path: &str) {
        let builder = self.builder;
        let text = match builder.report.read_text(Path::new(&file.value)) {
            Ok(text) => text,
            Err(why) => return builder.problem(file.at, path, why),
        };
        for (line, content) in (1_u64..).zip(text.lines()) {
            let content = content.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            if let Err(why) = self.csv_line(file, content, line) {
                builder.problem(file.at, path, format!("{}:{line}: {why}", file.value));
            }
        }
    }

    fn csv_line(&mut self, file: &At<String>, content: &str, line: u64) -> Result<(), String> {
        let (value, place) = content.rsplit_once(',').ok_or_else(|| "must be `value,place`".to_owned())?;
        let name = At::new(file.at, place.trim().to_owned());
        let outcome = (self.outcome_of)(&name)
            .ok_or_else(|| format!("`{}` is no group or number of a slot", name.value))?;
        let key_type = &self.builder.keys[self.key.index()].key_type;
        let written = Scalar::Text(value.trim().to_owned());
        let value =
            key_type.written(&written.literal()).ok_or_else(|| format!("no value of `{key_type}`"))?;
        match self.insert(value, outcome, line) {
            Some(first) => Err(format!("this value is listed in line {first} already")),
            None => Ok(()),
        }
    }
}
