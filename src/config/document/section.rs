//! A mapping that is being read: asks for settings by name, reports what is wrong and what is unknown.

use std::cell::RefCell;
use std::path::PathBuf;

use crate::config::document::node::Entry;
use crate::config::document::report::Setting;
use crate::config::document::suggest::nearest;
use crate::config::document::{Node, Position, Report, Value};

/// How one type of setting is read from a node and written back for people.
pub(crate) struct Kind<T> {
    /// The value, or what is wrong with it: lowercase, no full stop.
    pub(crate) read: fn(&Node) -> Result<T, String>,
    /// The value as it would be written.
    pub(crate) show: fn(&T) -> String,
}

/// One mapping of the file, or the absence of one, in which every setting has its default.
///
/// Whoever has asked for everything calls [`Section::finish`], which refuses the keys nobody asked for.
pub(crate) struct Section<'a> {
    report: &'a Report,
    path: String,
    pattern: String,
    at: Position,
    entries: &'a [Entry],
    /// Something else than a mapping stands here: said once, so nothing inside is called missing.
    broken: bool,
    asked: RefCell<Vec<&'static str>>,
    missing: RefCell<Vec<(&'static str, &'static str)>>,
}

impl<'a> Section<'a> {
    /// The whole file.
    pub(crate) fn root(report: &'a Report, node: &'a Node) -> Self {
        Self::open(report, String::new(), String::new(), node)
    }

    fn open(report: &'a Report, path: String, pattern: String, node: &'a Node) -> Self {
        let (entries, broken): (&[Entry], bool) = match &node.value {
            Value::Map(entries) => (entries, false),
            Value::Null => (&[], false),
            Value::Switch(_) | Value::Whole(_) | Value::OtherNumber(_) | Value::Text(_) | Value::List(_) => {
                report.problem(node.at, path.as_str(), "must hold settings of the form `name: value`");
                (&[], true)
            }
        };
        for (i, entry) in entries.iter().enumerate() {
            if let Some(first) = entries[..i].iter().find(|earlier| earlier.key == entry.key) {
                let message = format!("given twice; first in line {}", first.at.line);
                report.problem(entry.at, join(&path, &entry.key), message);
            }
        }
        Self {
            report,
            path,
            pattern,
            at: node.at,
            entries,
            broken,
            asked: RefCell::default(),
            missing: RefCell::default(),
        }
    }

    /// The report that this section writes to.
    pub(crate) fn report(&self) -> &'a Report {
        self.report
    }

    /// The value of `key`, if the file gives one.
    pub(crate) fn find(&self, key: &'static str) -> Option<&'a Node> {
        self.asked.borrow_mut().push(key);
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// Whether the file gives `key`.
    pub(crate) fn gives(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// A setting that has a default.
    pub(crate) fn setting<T>(&self, key: &'static str, kind: &Kind<T>, default: T) -> T {
        let shown = (kind.show)(&default);
        let value = self.read(key, kind, Some(shown.as_str()));
        self.note(key, Some((kind.show)(value.as_ref().unwrap_or(&default))), Some(shown));
        value.unwrap_or(default)
    }

    /// A setting that is off unless it is given.
    pub(crate) fn optional<T>(&self, key: &'static str, kind: &Kind<T>) -> Option<T> {
        let value = self.read(key, kind, None);
        self.note(key, value.as_ref().map(kind.show), None);
        value
    }

    /// A setting that must be given.
    pub(crate) fn required<T>(&self, key: &'static str, kind: &Kind<T>) -> Option<T> {
        self.demand(key, "missing");
        self.optional(key, kind)
    }

    /// Notes that `key` must be given; `message` is what [`Section::finish`] says if it is not.
    pub(crate) fn demand(&self, key: &'static str, message: &'static str) {
        if !self.broken && !self.gives(key) {
            self.missing.borrow_mut().push((key, message));
        }
    }

    /// A list of values; absent or empty is the empty list.
    pub(crate) fn list<T>(&self, key: &'static str, kind: &Kind<T>) -> Vec<(Position, T)> {
        let items = match self.find(key).map(|node| (node, &node.value)) {
            None | Some((_, Value::Null)) => &[][..],
            Some((_, Value::List(items))) => items,
            Some((node, _)) => {
                self.report.problem(
                    node.at,
                    self.path_of(key),
                    "must be a list: `[a, b]`, or one line `- a` each",
                );
                &[]
            }
        };
        let mut values = Vec::new();
        for (i, item) in items.iter().enumerate() {
            match (kind.read)(item) {
                Ok(value) => values.push((item.at, value)),
                Err(why) => self.report.problem(item.at, format!("{}[{i}]", self.path_of(key)), why),
            }
        }
        let shown: Vec<String> = values.iter().map(|(_, value)| (kind.show)(value)).collect();
        self.note(key, Some(format!("[{}]", shown.join(", "))), Some("[]".to_owned()));
        values
    }

    /// A secret as `read` understands it. It is never shown, not even when it is wrong.
    pub(crate) fn secret<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&Report, &Node) -> Result<T, (Position, String)>,
    ) -> Option<T> {
        let value = self.find(key).and_then(|node| {
            read(self.report, node).map_err(|(at, why)| self.report.problem(at, self.path_of(key), why)).ok()
        });
        self.note(key, value.as_ref().map(|_| "(secret)".to_owned()), None);
        value
    }

    /// The path of an existing file, which must hold the PEM block `what`, for example `CERTIFICATE`.
    pub(crate) fn pem(&self, key: &'static str, kind: &Kind<PathBuf>, what: &str) -> Option<PathBuf> {
        let path = self.optional(key, kind)?;
        match self.report.read_text(&path) {
            Err(why) => self.problem(key, why),
            Ok(text) if !text.contains(&format!("{what}-----")) => {
                let why = format!("`{}` holds no PEM block `{what}`", self.report.resolve(&path).display());
                self.problem(key, why);
            }
            Ok(_) => {}
        }
        Some(self.report.resolve(&path))
    }

    /// The mapping under `key`; if absent, one in which everything has its default.
    pub(crate) fn child(&self, key: &'static str) -> Section<'a> {
        let (path, pattern) = (self.path_of(key), join(&self.pattern, key));
        match self.find(key) {
            Some(node) => Section::open(self.report, path, pattern, node),
            None => Section {
                report: self.report,
                path,
                pattern,
                at: self.at,
                entries: &[],
                broken: self.broken,
                asked: RefCell::default(),
                missing: RefCell::default(),
            },
        }
    }

    /// The mappings under `key`, each under a name that the file chooses. At least `least` (0 or 1) must be there.
    pub(crate) fn named(&self, key: &'static str, least: usize) -> Vec<(&'a str, Section<'a>)> {
        // Opened for its checks: that it is a mapping, and that no name is given twice.
        let outer = self.child(key);
        if outer.entries.len() < least && !outer.broken {
            self.report.problem(outer.at, outer.path.as_str(), "at least one is needed");
        }
        let inner = outer.entries.iter().map(|entry| {
            let path = join(&outer.path, &entry.key);
            let mut section = Section::open(self.report, path, format!("{}.*", outer.pattern), &entry.value);
            section.at = entry.at;
            (entry.key.as_str(), section)
        });
        inner.collect()
    }

    /// The entries of the mapping under `key`, whose names the file chooses; none if it is absent.
    pub(crate) fn entries(&self, key: &'static str) -> Vec<Named<'a>> {
        self.child(key).into_entries()
    }

    /// The entries of this mapping, if the file chooses their names.
    pub(crate) fn into_entries(self) -> Vec<Named<'a>> {
        let (report, pattern) = (self.report, format!("{}.*", self.pattern));
        let named = |entry: &'a Entry| Named {
            report,
            path: join(&self.path, &entry.key),
            pattern: pattern.clone(),
            entry,
        };
        self.entries.iter().map(named).collect()
    }

    /// The mappings of the list under `key`. At least one must be there.
    pub(crate) fn items(&self, key: &'static str) -> Vec<Section<'a>> {
        let (at, items) = self.any_items(key);
        if at.is_some_and(|_| items.is_empty()) && !self.broken {
            self.report.problem(at.unwrap_or(self.at), self.path_of(key), "at least one is needed");
        }
        items
    }

    /// The mappings of the list under `key`, if there are any; and where they are, unless something else is
    /// there.
    pub(crate) fn any_items(&self, key: &'static str) -> (Option<Position>, Vec<Section<'a>>) {
        let path = self.path_of(key);
        let (at, items) = match self.find(key) {
            Some(Node { at, value: Value::List(items) }) => (*at, items.as_slice()),
            Some(Node { at, value: Value::Null }) => (*at, &[][..]),
            Some(node) => {
                self.report.problem(node.at, path, "must be a list: one `- name: value` each");
                return (None, Vec::new());
            }
            None => (self.at, &[][..]),
        };
        let pattern = format!("{}[*]", join(&self.pattern, key));
        let open = |(i, node)| Section::open(self.report, format!("{path}[{i}]"), pattern.clone(), node);
        (Some(at), items.iter().enumerate().map(open).collect())
    }

    /// Notes that `key` of this section is wrong: at its value, or at the section if it is absent.
    pub(crate) fn problem(&self, key: &str, message: impl Into<String>) {
        self.report.problem(self.position(key), self.path_of(key), message);
    }

    /// Notes that the section as a whole is wrong.
    pub(crate) fn wrong(&self, message: impl Into<String>) {
        self.report.problem(self.at, self.path.as_str(), message);
    }

    /// Where the section starts.
    pub(crate) fn place(&self) -> Position {
        self.at
    }

    /// Where `key` has its value; where the section starts, if it is absent.
    pub(crate) fn position(&self, key: &str) -> Position {
        self.entries.iter().find(|entry| entry.key == key).map_or(self.at, |entry| entry.value.at)
    }

    /// Refuses the keys that nobody asked for, and tells what is missing: a key that was only mistyped
    /// is told once, as such.
    pub(crate) fn finish(&self) {
        let asked = self.asked.borrow();
        for entry in self.entries.iter().filter(|entry| !asked.contains(&entry.key.as_str())) {
            let near = nearest(&entry.key, asked.iter().copied());
            self.missing.borrow_mut().retain(|(key, _)| near != Some(*key));
            let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            self.report.problem(entry.at, join(&self.path, &entry.key), format!("unknown setting{hint}"));
        }
        for (key, message) in self.missing.borrow().iter() {
            self.report.problem(self.at, self.path_of(key), *message);
        }
    }

    fn read<T>(&self, key: &'static str, kind: &Kind<T>, default: Option<&str>) -> Option<T> {
        let node = self.find(key)?;
        let result = match &node.value {
            Value::Null => Err(match default {
                Some(default) => format!("no value; leave the line out for the default `{default}`"),
                None => "no value".to_owned(),
            }),
            Value::Switch(_)
            | Value::Whole(_)
            | Value::OtherNumber(_)
            | Value::Text(_)
            | Value::List(_)
            | Value::Map(_) => (kind.read)(node),
        };
        result.map_err(|why| self.problem(key, why)).ok()
    }

    fn note(&self, key: &str, value: Option<String>, default: Option<String>) {
        self.report.setting(Setting {
            path: self.path_of(key),
            pattern: join(&self.pattern, key),
            value,
            default,
            given: self.gives(key),
        });
    }

    /// The full path of `key`.
    pub(crate) fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }
}

/// One entry of a mapping whose names the file chooses.
pub(crate) struct Named<'a> {
    report: &'a Report,
    path: String,
    pattern: String,
    entry: &'a Entry,
}

impl<'a> Named<'a> {
    /// The name.
    pub(crate) fn name(&self) -> &'a str {
        &self.entry.key
    }

    /// Where the name stands.
    pub(crate) fn place(&self) -> Position {
        self.entry.at
    }

    /// What it is the name of.
    pub(crate) fn node(&self) -> &'a Node {
        &self.entry.value
    }

    /// What it is the name of, as a mapping of settings.
    pub(crate) fn section(&self) -> Section<'a> {
        let mut section =
            Section::open(self.report, self.path.clone(), self.pattern.clone(), &self.entry.value);
        section.at = self.entry.at;
        section
    }

    /// Notes that it is wrong.
    pub(crate) fn problem(&self, message: impl Into<String>) {
        self.problem_at(self.entry.value.at, message);
    }

    /// Notes that something in it is wrong.
    pub(crate) fn problem_at(&self, at: Position, message: impl Into<String>) {
        self.report.problem(at, self.path.as_str(), message);
    }
}

/// `path.key`; a key that is not a plain word is quoted, so that the path can be read back.
pub(crate) fn join(path: &str, key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let key = if !key.is_empty() && key.chars().all(plain) { key.to_owned() } else { format!("{key:?}") };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}
