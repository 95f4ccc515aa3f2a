//! Reads a placement: its steps, and which shard has which slots.

use crate::config::document::{Named, Node, Section, Value};
use crate::config::kind;
use crate::sharding::file::forms;
use crate::sharding::file::model::{
    At, GeneRule, GroupRule, IsolateRule, LegacyRule, PlacementRule, Scalar, SlotList, SlotsForm, SpanRule,
    ValuesForm,
};
use crate::sharding::file::read::{all, each, names, placed};

pub(super) fn placement(section: &Section<'_>) -> PlacementRule {
    section.demand("slots", "missing: which shard has which slots, as in `{s1: 0-7, s2: 8-15}`");
    let rule = PlacementRule {
        at: Some(section.place()),
        group: section.gives("group").then(|| group(&section.child("group"))),
        hash: placed(section, "hash", &kind::TEXT),
        function: placed(section, "function", &kind::TEXT),
        bits: placed(section, "bits", &kind::count::<1, 20>()),
        list: placed(section, "list", &kind::TEXT),
        values: section.gives("values").then(|| each(section, "values", values)),
        file: placed(section, "file", &kind::TEXT),
        range: placed(section, "range", &kind::TEXT),
        ranges: section.gives("ranges").then(|| each(section, "ranges", span)),
        interval: placed(section, "interval", &kind::TEXT),
        every: placed(section, "every", &forms::EVERY),
        from: placed(section, "from", &forms::TEXT_OR_NUMBER),
        until: placed(section, "until", &forms::TEXT_OR_NUMBER),
        ahead: placed(section, "ahead", &kind::count::<0, 10_000>()),
        keep: placed(section, "keep", &kind::count::<1, 100_000>()),
        legacy: section.gives("legacy").then(|| legacy(&section.child("legacy"))).flatten(),
        also_from: each(section, "also_from", |named| Some(gene(&named.section()))),
        slots: slots(section),
        database: placed(section, "database", &kind::TEXT),
        isolate: match section.gives("isolate") {
            true => section.items("isolate").iter().filter_map(isolate).collect(),
            false => Vec::new(),
        },
    };
    for key in ["group", "values", "ranges", "legacy", "isolate"] {
        let _ = section.find(key);
    }
    section.finish();
    rule
}

fn group(section: &Section<'_>) -> GroupRule {
    let rule = GroupRule {
        at: section.place(),
        list: placed(section, "list", &kind::TEXT),
        values: section.gives("values").then(|| each(section, "values", values)),
        file: placed(section, "file", &kind::TEXT),
        range: placed(section, "range", &kind::TEXT),
        ranges: section.gives("ranges").then(|| each(section, "ranges", span)),
        numbers: names(section, "numbers", &kind::count::<0, { u32::MAX }>()),
    };
    for key in ["values", "ranges"] {
        let _ = section.find(key);
    }
    section.finish();
    rule
}

fn values(named: &Named<'_>) -> Option<ValuesForm> {
    match &named.node().value {
        Value::Text(word) if word == "rest" => Some(ValuesForm::Rest(named.node().at)),
        Value::List(items) => Some(ValuesForm::Listed(scalars(named, items))),
        Value::Null
        | Value::Switch(_)
        | Value::Whole(_)
        | Value::OtherNumber(_)
        | Value::Text(_)
        | Value::Map(_) => {
            named.problem("must be a list of values, or the word `rest`");
            None
        }
    }
}

fn scalars(named: &Named<'_>, items: &[Node]) -> Vec<At<Scalar>> {
    let read = |item: &Node| match forms::scalar(item) {
        Ok(value) => Some(At::new(item.at, value)),
        Err(why) => {
            named.problem_at(item.at, why);
            None
        }
    };
    items.iter().filter_map(read).collect()
}

fn span(named: &Named<'_>) -> Option<SpanRule> {
    let section = named.section();
    let rule = SpanRule {
        at: named.place(),
        from: placed(&section, "from", &forms::SCALAR),
        below: placed(&section, "below", &forms::SCALAR),
    };
    section.finish();
    Some(rule)
}

fn legacy(section: &Section<'_>) -> Option<LegacyRule> {
    section.demand("function", "missing");
    section.demand("key", "missing: the key that the function looks at");
    let (function, key) = (placed(section, "function", &kind::TEXT), placed(section, "key", &kind::TEXT));
    let parameters = names(section, "parameters", &forms::TEXT_OR_NUMBER);
    section.finish();
    Some(LegacyRule { function: function?, key: key?, parameters })
}

fn gene(section: &Section<'_>) -> GeneRule {
    let rule = GeneRule {
        group: placed(section, "group", &kind::TEXT),
        bucket: placed(section, "bucket", &kind::TEXT),
    };
    section.finish();
    rule
}

fn isolate(section: &Section<'_>) -> Option<At<IsolateRule>> {
    section.demand("value", "missing: the hot key's value");
    section.demand("slot", "missing: the number of the slot that it has for itself");
    let group = placed(section, "group", &kind::TEXT);
    let value = placed(section, "value", &forms::SCALAR);
    let slot = placed(section, "slot", &kind::count::<0, 65_535>());
    section.finish();
    Some(At::new(section.place(), IsolateRule { group, value: value?, slot: slot? }))
}

/// Shards with slots; where a value is a mapping, groups of them.
fn slots(section: &Section<'_>) -> Option<SlotsForm> {
    let entries = section.entries("slots");
    if entries.is_empty() {
        return None;
    }
    let grouped = entries.iter().filter(|named| matches!(named.node().value, Value::Map(_))).count();
    if grouped == 0 {
        return Some(SlotsForm::Plain(all(entries, slot_list)));
    }
    if let Some(plain) = entries.iter().find(|named| !matches!(named.node().value, Value::Map(_))) {
        plain.problem("must be shards with their slots, as the other groups have");
        return None;
    }
    let group = |named: &Named<'_>| Some(all(named.section().into_entries(), slot_list));
    Some(SlotsForm::Grouped(all(entries, group)))
}

fn slot_list(named: &Named<'_>) -> Option<SlotList> {
    match &named.node().value {
        Value::List(items) => Some(SlotList::Several(scalars(named, items))),
        Value::Null
        | Value::Switch(_)
        | Value::Whole(_)
        | Value::OtherNumber(_)
        | Value::Text(_)
        | Value::Map(_) => match forms::scalar(named.node()) {
            Ok(value) => Some(SlotList::One(At::new(named.node().at, value))),
            Err(why) => {
                named.problem(why);
                None
            }
        },
    }
}
