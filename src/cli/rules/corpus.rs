//! A corpus of statements, each with where it goes behind ` -- `: `SELECT … WHERE id = 7; -- by_user/3`.

use std::path::{Path, PathBuf};

use crate::error::ProxyError;
use crate::sharding::{Action, Request, ShardingRules, SlotSet, plan};
use crate::sql::LexMode;

/// Slots that are written one by one; of more, a placement's are written as `by_user/*` if all are meant.
const LISTED_MAX: usize = 4;

/// A file of statements.
pub(super) struct Corpus {
    file: PathBuf,
    lines: Vec<Line>,
}

enum Line {
    /// Blank, or a remark of its own.
    Other(String),
    Statement {
        sql: String,
        expected: Option<String>,
    },
}

impl Corpus {
    pub(super) fn read(file: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(Self { file: file.to_owned(), lines: text.lines().map(Line::parse).collect() })
    }

    /// Statements that go elsewhere than the corpus says.
    pub(super) fn wrong(&self, rules: &ShardingRules) -> Vec<String> {
        let mut wrong = Vec::new();
        for (number, line) in (1..).zip(&self.lines) {
            let Line::Statement { sql, expected: Some(expected) } = line else { continue };
            let told = told(rules, sql);
            if told != *expected {
                wrong.push(format!("{}:{number}: `{expected}` is said, it is `{told}`", self.file.display()));
            }
        }
        wrong
    }

    /// Statements of which the corpus does not say where they go.
    pub(super) fn unsaid(&self) -> usize {
        let unsaid = |line: &&Line| matches!(line, Line::Statement { expected: None, .. });
        self.lines.iter().filter(unsaid).count()
    }

    /// Writes where each statement goes into the file.
    pub(super) fn write(&mut self, rules: &ShardingRules) -> Result<(), String> {
        let mut text = String::new();
        for line in &mut self.lines {
            match line {
                Line::Other(other) => text.push_str(other),
                Line::Statement { sql, expected } => {
                    let told = told(rules, sql);
                    text.push_str(&format!("{sql}; -- {told}"));
                    *expected = Some(told);
                }
            }
            text.push('\n');
        }
        std::fs::write(&self.file, text).map_err(|error| format!("{}: {error}", self.file.display()))
    }
}

impl Line {
    fn parse(line: &str) -> Self {
        let text = line.trim();
        if text.is_empty() || text.starts_with("--") || text.starts_with('#') {
            return Self::Other(line.to_owned());
        }
        let (sql, expected) = match text.rsplit_once(" -- ") {
            Some((sql, expected)) => (sql, Some(expected.trim().to_owned())),
            None => (text, None),
        };
        Self::Statement { sql: sql.trim().trim_end_matches(';').trim_end().to_owned(), expected }
    }
}

/// Where a statement goes: `by_user/3`, `by_user/*`, `any`, `refused 1104 DZ1507`.
fn told(rules: &ShardingRules, sql: &str) -> String {
    let request = Request {
        text: sql.as_bytes(),
        mode: LexMode::default(),
        utf8: true,
        schema: Some(rules.name()),
        parameters: &[],
    };
    match plan(rules, &request).action {
        Action::One { slot, .. } => rules.slot(slot).label.to_string(),
        Action::Any { .. } => "any".to_owned(),
        Action::Scatter(scatter) => slots(rules, &scatter.slots),
        Action::Generate(generate) => slots(rules, &generate.slots),
        Action::Write(write) => {
            slots(rules, &SlotSet::of(rules.slots().len(), write.parts.iter().map(|(slot, _)| *slot)))
        }
        Action::Refuse(refusal) => {
            let error = refusal.sql_error();
            let number = error.message.split([' ', ':']).next().unwrap_or_default().to_owned();
            let number = if number.starts_with("DZ") { format!(" {number}") } else { String::new() };
            format!("refused {}{number}", error.code)
        }
    }
}

fn slots(rules: &ShardingRules, slots: &SlotSet) -> String {
    let prefix = |label: &str| label.split('/').next().unwrap_or_default().to_owned();
    let mut labels: Vec<String> = slots.iter().map(|slot| rules.slot(slot).label.to_string()).collect();
    if labels.len() > LISTED_MAX {
        let all = |prefix_of: &str| {
            let known = rules.slots().iter().filter(|slot| prefix(&slot.label) == prefix_of).count();
            let asked = slots.iter().filter(|slot| prefix(&rules.slot(*slot).label) == prefix_of).count();
            known == asked
        };
        for label in &mut labels {
            let own = prefix(label);
            if all(&own) {
                *label = format!("{own}/*");
            }
        }
        labels.dedup();
    }
    labels.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sharding::Date;

    const RULES: &str = "
api: dazzle/v1
name: shop
revision: 1
keys: {id: bigint}
placements: {p: {hash: id, slots: {s1: 0-3, s2: 4-7}}}
tables: {t: {placement: p}, r: {reference: true}}
tests: [{table: t, slots: all}]
";

    #[test]
    fn a_corpus_says_where_statements_go_and_is_held_to_it() {
        let parse = |text: &str| {
            ShardingRules::parse(text, Path::new("shop.yaml"), Date::of_days(20_000))
                .unwrap_or_else(|error| panic!("{error}"))
        };
        let rules = parse(RULES);
        let file = std::env::temp_dir().join(format!("dazzle-corpus-{}.sql", std::process::id()));
        let text = "-- the shop's own\n\nSELECT * FROM t WHERE id = 1001\nSELECT COUNT(*) FROM t;\n\
                    SELECT * FROM r\nSELECT * FROM u\nSELECT * FROM t WHERE id = 77; -- p/0\n";
        std::fs::write(&file, text).expect("a file can be written");
        let mut corpus = Corpus::read(&file).expect("it is there");
        assert_eq!(corpus.unsaid(), 4);
        assert_eq!(corpus.wrong(&rules), [format!("{}:7: `p/0` is said, it is `p/7`", file.display())]);
        corpus.write(&rules).expect("a file can be written");
        let written = std::fs::read_to_string(&file).expect("it is there");
        std::fs::remove_file(&file).expect("it is there");
        assert_eq!(
            written,
            "-- the shop's own\n\nSELECT * FROM t WHERE id = 1001; -- p/0\nSELECT COUNT(*) FROM t; -- p/*\n\
             SELECT * FROM r; -- any\nSELECT * FROM u; -- refused 1146 DZ1502\n\
             SELECT * FROM t WHERE id = 77; -- p/7\n"
        );
        assert_eq!((corpus.unsaid(), corpus.wrong(&rules).len()), (0, 0));
        let half = parse(&RULES.replace("{s1: 0-3, s2: 4-7}", "{s1: 0-1, s2: 2-3}"));
        assert_eq!(corpus.wrong(&half).len(), 2, "{:?}", corpus.wrong(&half));
    }
}
