//! What a new revision does to statements: for each, where it went and where it would go.
//!
//! A digest has `?` where its values were, so each is tried with values of several kinds, and what it can reach at
//! best is what counts: a statement with its key is one for one slot, whichever that is.

use std::path::Path;

use serde_json::{Value, json};

use crate::cli::rules::running::Seen;
use crate::error::ProxyError;
use crate::sharding::{
    Action, Algorithm, KeyLiteral, KeyValue, Placement, Request, ShardingRules, SlotSet, plan,
};
use crate::sql::LexMode;

/// Values of lists that are tried.
const LISTED_MAX: usize = 4;

/// Statements that are shown of each kind; the JSON has them all.
const SHOWN_MAX: usize = 20;

/// What becomes of statements.
#[derive(Debug, Default)]
pub(super) struct Fates {
    /// Statements that go where they went.
    pub(super) same: usize,
    /// Executions of all.
    all: u64,
    /// The others.
    pub(super) changed: Vec<Changed>,
}

/// A statement that something becomes of.
#[derive(Debug)]
pub(super) struct Changed {
    pub(super) fate: Fate,
    /// What it was, and what it would be.
    pub(super) text: String,
    statement: String,
    count: u64,
}

/// What becomes of a statement, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    /// It was answered and would be refused.
    Refused,
    /// One slot answered it, and several would.
    CrossShard,
    /// More slots would be asked.
    Wider,
    /// As many others.
    Elsewhere,
    /// Fewer.
    Narrower,
    /// It was refused and would be answered.
    Accepted,
}

impl Fate {
    const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::CrossShard => "cross-shard",
            Self::Wider => "wider",
            Self::Elsewhere => "elsewhere",
            Self::Narrower => "narrower",
            Self::Accepted => "accepted",
        }
    }

    /// Whether somebody will be worse off.
    const fn is_worse(self) -> bool {
        matches!(self, Self::Refused | Self::CrossShard | Self::Wider)
    }
}

/// Where a statement goes, or why it does not.
type Route = Result<SlotSet, String>;

impl Fates {
    /// The statements in `file`, one on each line.
    pub(super) fn of_file(running: &ShardingRules, new: &ShardingRules, file: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let statements = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let seen: Vec<Seen> = statements.map(|line| Seen { text: line.to_owned(), count: 1 }).collect();
        Ok(Self::of(running, new, &seen))
    }

    /// Compares where each goes.
    pub(super) fn of(running: &ShardingRules, new: &ShardingRules, seen: &[Seen]) -> Self {
        let (samples, new_samples) = (samples(running), samples(new));
        let mut fates = Self::default();
        for Seen { text, count } in seen {
            fates.all += count;
            // Rows of one shape are one row and a mark in a digest.
            let statement = text.replace(", ...", "");
            let (before, best) = best_route(running, &statement, &samples);
            let after = match route(new, &statement, &samples[best]) {
                after if same_slots(running, new, &before, &after) => {
                    fates.same += 1;
                    continue;
                }
                _ => best_route(new, &statement, &new_samples).0,
            };
            match changed(running, new, before, after) {
                None => fates.same += 1,
                Some((fate, text)) => {
                    fates.changed.push(Changed { fate, text, statement, count: *count });
                }
            }
        }
        fates.changed.sort_by_key(|changed| (changed.fate, std::cmp::Reverse(changed.count)));
        fates
    }

    /// Whether a statement would be worse off.
    pub(super) fn worse(&self) -> usize {
        self.changed.iter().filter(|changed| changed.fate.is_worse()).count()
    }

    /// As people read it.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{} statements go where they went\n", self.same);
        let mut shown = [0; 6];
        for changed in &self.changed {
            let number = &mut shown[changed.fate as usize];
            *number += 1;
            if *number > SHOWN_MAX {
                continue;
            }
            let share = changed.count as f64 * 100.0 / self.all.max(1) as f64;
            text.push_str(&format!(
                "{:<11} {share:5.1} %  {}: {}\n",
                changed.fate.name(),
                changed.text,
                changed.statement
            ));
        }
        for more in shown.iter().map(|shown| shown - shown.min(&SHOWN_MAX)).filter(|more| *more > 0) {
            text.push_str(&format!("and {more} more; --json has all\n"));
        }
        text
    }

    /// For pipelines.
    pub(super) fn json(&self) -> Value {
        let changed: Vec<Value> = self
            .changed
            .iter()
            .map(|changed| {
                json!({
                    "fate": changed.fate.name(),
                    "worse": changed.fate.is_worse(),
                    "text": changed.text,
                    "statement": changed.statement,
                    "count": changed.count,
                })
            })
            .collect();
        json!({ "same": self.same, "changed": changed, "executions": self.all })
    }
}

/// What became of a statement; None if nothing did.
fn changed(
    running: &ShardingRules,
    new: &ShardingRules,
    before: Route,
    after: Route,
) -> Option<(Fate, String)> {
    match (before, after) {
        // Refused before and after, perhaps for another reason.
        (Err(_), Err(_)) => None,
        (Ok(_), Err(why)) => Some((Fate::Refused, why)),
        (Err(_), Ok(after)) => Some((Fate::Accepted, shown(new, &after))),
        (Ok(before), Ok(after)) => {
            let fate = match (before.len(), after.len()) {
                // Which one is a matter of the values.
                (1, 1) => return None,
                (1, _) => Fate::CrossShard,
                (one, other) if other > one => Fate::Wider,
                (one, other) if other < one => Fate::Narrower,
                _ if labels(running, &before) == labels(new, &after) => return None,
                _ => Fate::Elsewhere,
            };
            Some((fate, format!("{} → {}", shown(running, &before), shown(new, &after))))
        }
    }
}

fn same_slots(running: &ShardingRules, new: &ShardingRules, before: &Route, after: &Route) -> bool {
    match (before, after) {
        (Ok(before), Ok(after)) => {
            before.len() == after.len() && labels(running, before) == labels(new, after)
        }
        (Ok(_), Err(_)) | (Err(_), _) => false,
    }
}

fn labels<'r>(rules: &'r ShardingRules, slots: &SlotSet) -> Vec<&'r str> {
    let mut labels: Vec<&str> = slots.iter().map(|slot| &*rules.slot(slot).label).collect();
    labels.sort_unstable();
    labels
}

fn shown(rules: &ShardingRules, slots: &SlotSet) -> String {
    match labels(rules, slots).as_slice() {
        [] => "no slot".to_owned(),
        [only] => format!("one slot ({only})"),
        several => format!("{} slots", several.len()),
    }
}

/// A value that every `?` has, once.
enum Sample {
    Number(i128),
    Text(String),
}

impl Sample {
    fn literal(&self) -> KeyLiteral<'_> {
        match self {
            Self::Number(number) => KeyLiteral::Integer(*number),
            Self::Text(text) => KeyLiteral::Text(text.as_bytes()),
        }
    }
}

/// Values of each kind that the rules tell apart.
fn samples(rules: &ShardingRules) -> Vec<Sample> {
    let mut samples = vec![Sample::Number(1_001)];
    for step in rules.placements().iter().flat_map(Placement::steps) {
        match &step.algorithm {
            Algorithm::List(list) => {
                let mut listed: Vec<&KeyValue<'_>> = list.values().map(|(value, _)| value).collect();
                listed.sort();
                samples.extend(listed.into_iter().take(LISTED_MAX).map(of_value));
            }
            Algorithm::Range(range) => {
                let bounds = range.spans().iter().filter_map(|span| span.from.as_ref());
                samples.extend(bounds.take(LISTED_MAX).map(of_value));
            }
            Algorithm::Interval(interval) => {
                samples.push(Sample::Text(interval.first_day(interval.count() / 2).to_string()));
            }
            Algorithm::Hash(_) | Algorithm::Legacy(_) => {}
        }
    }
    samples.push(Sample::Text("dazzle".to_owned()));
    samples
}

fn of_value(value: &KeyValue<'_>) -> Sample {
    match value {
        KeyValue::Integer(number) => Sample::Number(*number),
        KeyValue::Moment(moment) => Sample::Text(moment.to_string()),
        KeyValue::Text(text) => Sample::Text(String::from_utf8_lossy(text).into_owned()),
    }
}

/// The fewest slots that a statement asks, and with which sample.
fn best_route(rules: &ShardingRules, statement: &str, samples: &[Sample]) -> (Route, usize) {
    let mut best = (route(rules, statement, &samples[0]), 0);
    if !statement.contains('?') {
        return best;
    }
    for (number, sample) in samples.iter().enumerate().skip(1) {
        if matches!(&best.0, Ok(slots) if slots.len() <= 1) {
            break;
        }
        let found = route(rules, statement, sample);
        let better = match (&found, &best.0) {
            (Ok(found), Ok(best)) => found.len() < best.len(),
            (Ok(_), Err(_)) => true,
            (Err(_), _) => false,
        };
        if better {
            best = (found, number);
        }
    }
    best
}

fn route(rules: &ShardingRules, statement: &str, sample: &Sample) -> Route {
    let marks = statement.bytes().filter(|byte| *byte == b'?').count();
    let parameters = vec![sample.literal(); marks];
    let request = Request {
        text: statement.as_bytes(),
        mode: LexMode::default(),
        utf8: true,
        schema: Some(rules.name()),
        parameters: &parameters,
    };
    let universe = rules.slots().len();
    match plan(rules, &request).action {
        Action::One { slot, .. } => Ok(SlotSet::one(universe, slot)),
        // Whichever answers, it is one.
        Action::Any { .. } => Ok(SlotSet::of(universe, rules.all_slots().iter().take(1))),
        Action::Scatter(scatter) => Ok(scatter.slots),
        Action::Write(write) => Ok(SlotSet::of(universe, write.parts.iter().map(|(slot, _)| *slot))),
        Action::Generate(generate) => Ok(generate.slots),
        Action::Refuse(refusal) => Err(refusal.sql_error().message.into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sharding::Date;

    const RULES: &str = "
api: dazzle/v1
name: shop
revision: 1
keys: {id: bigint, city: {type: varchar(20), collation: utf8mb4_bin}}
placements:
  p: {hash: id, slots: {s1: 0-1, s2: 2-3}}
  c: {list: city, values: {0: [Beijing], 1: [Shanghai]}, slots: {s1: 0-1}, database: 'city_{slot}'}
tables: {t: {placement: p}, u: {placement: c}}
tests: [{table: t, slots: all}]
";

    fn parse(text: &str) -> ShardingRules {
        let read = ShardingRules::parse(text, Path::new("shop.yaml"), Date::of_days(20_000));
        read.unwrap_or_else(|error| panic!("{error}"))
    }

    fn check(after: &str, statements: &[&str], expected: &[(Fate, &str)]) {
        let seen: Vec<Seen> =
            statements.iter().map(|text| Seen { text: (*text).to_owned(), count: 1 }).collect();
        let fates = Fates::of(&parse(RULES), &parse(after), &seen);
        let found: Vec<(Fate, &str)> =
            fates.changed.iter().map(|changed| (changed.fate, changed.statement.as_str())).collect();
        assert_eq!(found, expected);
        assert_eq!(fates.same + expected.len(), statements.len());
    }

    #[test]
    fn each_statement_is_told_by_what_becomes_of_it() {
        let statements = [
            "SELECT * FROM t WHERE id = 1001",
            "SELECT * FROM t WHERE id = ?",
            "SELECT * FROM u WHERE city = ?",
            "SELECT COUNT(*) FROM t",
            "SELECT * FROM nowhere",
            "INSERT INTO t (id, n) VALUES (?, ?), ...",
        ];
        check(RULES, &statements, &[]);
        check(
            &RULES.replace("revision: 1", "revision: 2\ndefaults: {scatter_read: {slots_max: 2}}"),
            &statements,
            &[(Fate::Refused, "SELECT COUNT(*) FROM t")],
        );
        let unsharded = RULES.replace("u: {placement: c}", "u: {reference: true}");
        check(&unsharded, &statements, &[]);
        let listed = RULES.replace("u: {placement: c}", "u: {placement: c}, nowhere: {shard: s1}");
        check(&listed, &statements, &[(Fate::Accepted, "SELECT * FROM nowhere")]);
        let keys = RULES.replace("keys: {", "keys: {k: bigint, ").replace("hash: id", "hash: k");
        check(
            &keys,
            &statements[..2],
            &[
                (Fate::CrossShard, "SELECT * FROM t WHERE id = 1001"),
                (Fate::CrossShard, "SELECT * FROM t WHERE id = ?"),
            ],
        );
    }
}
