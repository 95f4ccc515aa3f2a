//! Steps of a placement: which key, which algorithm, and how outcomes are numbered as slots.

use crate::config::document::{Position, did_you_mean, join};
use crate::sharding::file::build::Builder;
use crate::sharding::file::build::legacy::legacy;
use crate::sharding::file::build::lists::{OutcomeOf, Source, list};
use crate::sharding::file::build::placements::place;
use crate::sharding::file::model::{At, EveryRule, GroupRule, Names, PlacementRule, Scalar, SpanRule};
use crate::sharding::key::{Date, KeyId, KeyType};
use crate::sharding::placement::{Algorithm, Every, Hash, HashFunction, Interval, Range, Span};

/// Bits of a bucket's number where the file gives none.
const BITS: u32 = 14;

/// The step that chooses a slot.
pub(super) struct SlotStep {
    pub(super) key: KeyId,
    pub(super) algorithm: Algorithm,
    pub(super) numbering: Numbering,
}

/// How outcomes become numbers of slots.
pub(super) enum Numbering {
    /// An outcome is a bucket; slots have runs of buckets.
    Buckets(Hash),
    /// An outcome is the number of a slot.
    Direct,
    /// An outcome is a period, and so a slot.
    Periods(Interval),
}

/// The step that chooses a group.
pub(super) struct GroupStep {
    pub(super) key: KeyId,
    pub(super) algorithm: Algorithm,
    pub(super) names: Vec<String>,
}

/// The settings that only one algorithm knows.
fn foreign(rule: &PlacementRule) -> [(&'static str, &'static str, Option<Position>); 9] {
    let at = |value: &Option<At<String>>| value.as_ref().map(|value| value.at);
    [
        ("function", "hash", at(&rule.function)),
        ("bits", "hash", rule.bits.as_ref().map(|bits| bits.at)),
        ("values", "list", rule.values.as_ref().map(|_| place(rule))),
        ("file", "list", at(&rule.file)),
        ("ranges", "range", rule.ranges.as_ref().map(|_| place(rule))),
        ("every", "interval", rule.every.as_ref().map(|every| every.at)),
        ("from", "interval", at(&rule.from)),
        ("until", "interval", at(&rule.until)),
        ("keep", "interval", rule.keep.as_ref().map(|keep| keep.at)),
    ]
}

/// The step that the placement's own settings describe.
pub(super) fn slot_step(
    builder: &mut Builder<'_>,
    at: Position,
    rule: &PlacementRule,
    path: &str,
) -> Option<SlotStep> {
    let given = [
        ("hash", rule.hash.as_ref()),
        ("list", rule.list.as_ref()),
        ("range", rule.range.as_ref()),
        ("interval", rule.interval.as_ref()),
        ("legacy", rule.legacy.as_ref().map(|legacy| &legacy.key)),
    ];
    let mut chosen = given.iter().filter_map(|(name, key)| key.map(|key| (*name, key)));
    let (Some((algorithm, key)), None) = (chosen.next(), chosen.next()) else {
        builder.problem(at, path, "needs exactly one of `hash`, `list`, `range`, `interval` and `legacy`");
        return None;
    };
    for (setting, of, at) in foreign(rule) {
        if let Some(at) = at.filter(|_| of != algorithm) {
            builder.problem(at, join(path, setting), format!("has no use here: it belongs to `{of}`"));
        }
    }
    let key_path = join(path, algorithm);
    let key_id = builder.key(key, &key_path)?;
    match algorithm {
        "hash" => hash(builder, rule, key, key_id, path),
        "list" => {
            let slot_number = |name: &At<String>| name.value.parse::<u16>().ok().map(u32::from);
            let source =
                Source { outcomes: 0, values: rule.values.as_ref(), file: rule.file.as_ref(), at, path };
            let list = list(builder, key_id, &source, &slot_number)?;
            Some(SlotStep { key: key_id, algorithm: Algorithm::List(list), numbering: Numbering::Direct })
        }
        "range" => {
            let slot_number = |name: &At<String>| name.value.parse::<u16>().ok().map(u32::from);
            let range = range(builder, key_id, rule.ranges.as_ref(), (at, path), &slot_number)?;
            Some(SlotStep { key: key_id, algorithm: Algorithm::Range(range), numbering: Numbering::Direct })
        }
        "interval" => {
            let interval = interval(builder, rule, key, key_id, path)?;
            let algorithm = Algorithm::Interval(interval);
            Some(SlotStep { key: key_id, algorithm, numbering: Numbering::Periods(interval) })
        }
        _ => {
            let legacy = legacy(builder, rule.legacy.as_ref()?, &key_path)?;
            let algorithm = Algorithm::Legacy(legacy);
            Some(SlotStep { key: key_id, algorithm, numbering: Numbering::Direct })
        }
    }
}

fn hash(
    builder: &Builder<'_>,
    rule: &PlacementRule,
    key: &At<String>,
    key_id: KeyId,
    path: &str,
) -> Option<SlotStep> {
    let key_type = &builder.keys[key_id.index()].key_type;
    if matches!(key_type, KeyType::Date | KeyType::DateTime { .. }) {
        let message =
            format!("`{}` is of type `{key_type}`, which is no key to hash; use `interval`", key.value);
        builder.problem(key.at, join(path, "hash"), message);
        return None;
    }
    let function = match &rule.function {
        None => HashFunction::Xxh64V1,
        Some(name) => {
            let known = HashFunction::ALL.iter().find(|(known, _)| *known == name.value);
            let Some((_, function)) = known else {
                let hint = did_you_mean(&name.value, HashFunction::ALL.iter().map(|(known, _)| *known));
                let message = format!("there is no hash function `{}`{hint}", name.value);
                builder.problem(name.at, join(path, "function"), message);
                return None;
            };
            *function
        }
    };
    let hash = Hash { function, bits: rule.bits.as_ref().map_or(BITS, |bits| bits.value) };
    Some(SlotStep { key: key_id, algorithm: Algorithm::Hash(hash), numbering: Numbering::Buckets(hash) })
}

/// The names of a group step's groups, in the order of their outcomes.
pub(super) fn group_names(rule: &GroupRule) -> Vec<String> {
    fn names<T>(names: &Names<T>) -> Vec<String> {
        names.0.iter().map(|(name, _)| name.value.clone()).collect()
    }
    match (&rule.values, &rule.ranges) {
        (Some(values), _) => names(values),
        (None, Some(ranges)) => names(ranges),
        (None, None) => names(&rule.numbers),
    }
}

/// The step that chooses a group.
pub(super) fn group(builder: &mut Builder<'_>, rule: &GroupRule, path: &str) -> Option<GroupStep> {
    let names = group_names(rule);
    let outcome = |name: &At<String>| names.iter().position(|known| *known == name.value).map(|n| n as u32);
    let (key, algorithm) = match (&rule.list, &rule.range) {
        (Some(key), None) => {
            let key_id = builder.key(key, &join(path, "list"))?;
            if rule.file.is_some() && names.is_empty() {
                let message =
                    "a group from a file needs `numbers`: the names of the groups, each with its number";
                builder.problem(rule.at, path, message);
                return None;
            }
            let outcomes = names.len() as u32;
            let (values, file) = (rule.values.as_ref(), rule.file.as_ref());
            let source = Source { outcomes, values, file, at: rule.at, path };
            (key_id, Algorithm::List(list(builder, key_id, &source, &outcome)?))
        }
        (None, Some(key)) => {
            let key_id = builder.key(key, &join(path, "range"))?;
            let range = range(builder, key_id, rule.ranges.as_ref(), (rule.at, path), &outcome)?;
            (key_id, Algorithm::Range(range))
        }
        (None, None) | (Some(_), Some(_)) => {
            builder.problem(rule.at, path, "needs exactly one of `list` and `range`");
            return None;
        }
    };
    for (name, _) in &rule.numbers.0 {
        if outcome(name).is_none() {
            let hint = did_you_mean(&name.value, names.iter().map(String::as_str));
            let message = format!("there is no group `{}`{hint}", name.value);
            builder.problem(name.at, join(&join(path, "numbers"), &name.value), message);
        }
    }
    Some(GroupStep { key, algorithm, names })
}

fn range(
    builder: &Builder<'_>,
    key: KeyId,
    ranges: Option<&Names<SpanRule>>,
    (at, path): (Position, &str),
    outcome_of: OutcomeOf<'_>,
) -> Option<Range> {
    let Some(ranges) = ranges.filter(|ranges| !ranges.0.is_empty()) else {
        builder.problem(at, path, "needs `ranges`, as in `{0: {below: 1000}, 1: {from: 1000}}`");
        return None;
    };
    if matches!(builder.keys[key.index()].key_type, KeyType::Text { .. }) {
        builder.problem(at, path, "a string has no range: its order is the collation's; use `list`");
        return None;
    }
    let path = join(path, "ranges");
    let mut spans: Vec<(Span, Position)> = Vec::new();
    for (name, rule) in &ranges.0 {
        let path = join(&path, &name.value);
        let Some(outcome) = outcome_of(name) else {
            builder.problem(name.at, path, "must be the number of a slot");
            return None;
        };
        let bound = |written: &Option<At<Scalar>>, key_name: &str| match written {
            Some(written) => builder.value(key, written, &join(&path, key_name)).map(Some),
            None => Some(None),
        };
        let (from, below) = (bound(&rule.from, "from")?, bound(&rule.below, "below")?);
        // As in PARTITION BY RANGE, a span without a beginning goes on where the one before it ends.
        let from = from.or_else(|| spans.last().and_then(|(before, _)| before.below.clone()));
        if let (Some(from), Some(below)) = (&from, &below)
            && from >= below
        {
            builder.problem(rule.at, path, format!("is empty: from {from} to below {below}"));
            return None;
        }
        spans.push((Span { from, below, outcome }, rule.at));
    }
    spans.sort_by(|(a, _), (b, _)| a.from.cmp(&b.from));
    contiguous(builder, &spans, &path)?;
    let outcomes = spans.iter().map(|(span, _)| span.outcome + 1).max().unwrap_or_default();
    Some(Range::new(spans.into_iter().map(|(span, _)| span).collect(), outcomes))
}

/// No overlap, no hole.
fn contiguous(builder: &Builder<'_>, spans: &[(Span, Position)], path: &str) -> Option<()> {
    for pair in spans.windows(2) {
        let [(before, first_at), (after, at)] = pair else { continue };
        let line = first_at.line;
        let message = match (&before.below, &after.from) {
            (Some(below), Some(from)) if below == from => continue,
            (Some(below), Some(from)) if below < from => {
                format!("leaves a hole: nothing holds {below} to below {from}; let it begin at {below}")
            }
            (Some(below), Some(_)) => {
                format!("overlaps with the range in line {line}; did you mean `from: {below}`?")
            }
            (None, _) => {
                format!("overlaps with the range in line {line}, which has no end; give that one `below`")
            }
            (Some(_), None) => format!("overlaps with the range in line {line}: both have no beginning"),
        };
        builder.problem(*at, path, message);
        return None;
    }
    Some(())
}

fn interval(
    builder: &Builder<'_>,
    rule: &PlacementRule,
    key: &At<String>,
    key_id: KeyId,
    path: &str,
) -> Option<Interval> {
    let key_type = &builder.keys[key_id.index()].key_type;
    if !matches!(key_type, KeyType::Date | KeyType::DateTime { .. }) {
        let message =
            format!("`{}` is of type `{key_type}`; an interval needs `date` or `datetime`", key.value);
        builder.problem(key.at, join(path, "interval"), message);
        return None;
    }
    let (Some(every), Some(from)) = (&rule.every, &rule.from) else {
        let message = "needs `every` and `from`, as in `every: month, from: 2024-01`";
        builder.problem(key.at, path, message);
        return None;
    };
    let every = match every.value {
        EveryRule::Day => Every::Day,
        EveryRule::Week => Every::Week,
        EveryRule::Month => Every::Month,
        EveryRule::Year => Every::Year,
    };
    let from = period(builder, every, from, &join(path, "from"))?;
    let today = every.period(builder.today);
    let last = match (&rule.until, &rule.ahead) {
        (Some(until), None) => every.period(period(builder, every, until, &join(path, "until"))?),
        (None, Some(ahead)) => today + i64::from(ahead.value),
        (None, None) | (Some(_), Some(_)) => {
            builder.problem(key.at, path, "needs exactly one of `until` and `ahead`: the last slot");
            return None;
        }
    };
    let mut first = every.period(from);
    if let Some(keep) = &rule.keep {
        first = first.max(today + 1 - i64::from(keep.value));
    }
    match u32::try_from(last - first + 1) {
        Ok(count @ 1..=65_536) => Some(Interval::new(every, every.first_day(first), count)),
        Ok(0) | Err(_) => {
            builder.problem(key.at, path, "ends before it begins");
            None
        }
        Ok(many) => {
            builder.problem(key.at, path, format!("{many} slots are more than a logical database can have"));
            None
        }
    }
}

/// A day of the period that `2024`, `2024-01` or `2024-01-31` names.
pub(super) fn period(builder: &Builder<'_>, every: Every, written: &At<String>, path: &str) -> Option<Date> {
    let parts: Vec<&str> = written.value.split('-').collect();
    let number = |place: usize| parts.get(place).and_then(|part| part.parse::<u32>().ok());
    let date = match (every, parts.len()) {
        (Every::Year, 1) => number(0).and_then(|year| Date::new(year as i32, 1, 1)),
        (Every::Month, 2) => {
            number(0).zip(number(1)).and_then(|(year, month)| Date::new(year as i32, month, 1))
        }
        (Every::Day | Every::Week, 3) => {
            let day = number(0).zip(number(1)).zip(number(2));
            day.and_then(|((year, month), day)| Date::new(year as i32, month, day))
        }
        _ => None,
    };
    if date.is_none() {
        let form = match every {
            Every::Year => "`2024`",
            Every::Month => "`2024-01`",
            Every::Day | Every::Week => "`2024-01-31`",
        };
        builder.problem(written.at, path, format!("must be written as in {form}"));
    }
    date
}
