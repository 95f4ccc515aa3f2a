//! From the tree of a rule file to what it says: a key that nobody knows is refused, with its place.

use crate::config::document::{Kind, Named, Section, Value};
use crate::config::kind;
use crate::sharding::file::forms;
use crate::sharding::file::model::{
    Api, At, Choice, ComposedRule, Defaults, Document, Home, KeyForm, KeyRule, Names, ScatterReadRule,
    SegmentRule, SequenceRule, TableRule, TestRule, Transactions, UnlistedForm,
};
use crate::sharding::file::read_placement::placement;

/// Reads the whole file.
pub(super) fn document(root: &Section<'_>) -> Document {
    root.demand("tables", "missing: the tables, by name");
    root.demand("tests", "missing: a rule without a test does not load");
    let document = Document {
        api: root.required("api", &forms::API).unwrap_or(Api::V1),
        name: {
            root.demand("name", "missing: the logical database, as clients call it");
            placed(root, "name", &forms::IDENTIFIER)
                .unwrap_or_else(|| At::new(root.position("name"), String::new()))
        },
        revision: root.required("revision", &kind::count::<1, { u32::MAX }>()).unwrap_or_default().into(),
        owners: root.list("owners", &kind::TEXT).into_iter().map(|(_, owner)| owner).collect(),
        defaults: defaults(&root.child("defaults")),
        shards: names(root, "shards", &kind::TEXT),
        keys: each(root, "keys", key),
        placements: each(root, "placements", |named| Some(placement(&named.section()))),
        sequences: each(root, "sequences", sequence),
        tables: each(root, "tables", |named| Some(table(&named.section()))),
        tests: match root.gives("tests") {
            true => root.items("tests").iter().map(|test| At::new(test.place(), read_test(test))).collect(),
            false => Vec::new(),
        },
    };
    root.finish();
    document
}

/// An optional value with its place.
pub(super) fn placed<T>(section: &Section<'_>, key: &'static str, kind: &Kind<T>) -> Option<At<T>> {
    section.optional(key, kind).map(|value| At::new(section.position(key), value))
}

/// A mapping of chosen names to single values.
pub(super) fn names<T>(section: &Section<'_>, key: &'static str, kind: &Kind<T>) -> Names<At<T>> {
    each(section, key, |named| single(named, kind))
}

/// The single value of a named entry.
pub(super) fn single<T>(named: &Named<'_>, kind: &Kind<T>) -> Option<At<T>> {
    match (kind.read)(named.node()) {
        Ok(value) => Some(At::new(named.node().at, value)),
        Err(why) => {
            named.problem(why);
            None
        }
    }
}

/// A mapping of chosen names to whatever `read` makes of them.
pub(super) fn each<'a, T>(
    section: &Section<'a>,
    key: &'static str,
    read: impl Fn(&Named<'a>) -> Option<T>,
) -> Names<T> {
    all(section.entries(key), read)
}

/// What `read` makes of named entries.
pub(super) fn all<'a, T>(entries: Vec<Named<'a>>, read: impl Fn(&Named<'a>) -> Option<T>) -> Names<T> {
    let entries = entries.into_iter();
    Names(
        entries
            .filter_map(|named| Some((At::new(named.place(), named.name().to_owned()), read(&named)?)))
            .collect(),
    )
}

fn defaults(section: &Section<'_>) -> Defaults {
    let defaults = Defaults {
        unlisted_tables: unlisted(section),
        scatter_read: scatter_read(&section.child("scatter_read")),
        scatter_write: section.setting("scatter_write", &forms::CHOICE, Choice::default()),
        cross_shard_transactions: section.setting(
            "cross_shard_transactions",
            &forms::TRANSACTIONS,
            Transactions::default(),
        ),
    };
    section.finish();
    defaults
}

fn unlisted(section: &Section<'_>) -> UnlistedForm {
    match section.find("unlisted_tables").map(|node| (node, &node.value)) {
        None => UnlistedForm::Reject,
        Some((_, Value::Text(word))) if word == "reject" => UnlistedForm::Reject,
        Some((_, Value::Map(_))) => {
            home(&section.child("unlisted_tables")).map_or(UnlistedForm::Reject, UnlistedForm::In)
        }
        Some((node, _)) => {
            let path = section.path_of("unlisted_tables");
            section.report().problem(node.at, path, "must be `reject`, or `{shard: NAME, database: NAME}`");
            UnlistedForm::Reject
        }
    }
}

fn home(section: &Section<'_>) -> Option<Home> {
    section.demand("shard", "missing");
    let shard = placed(section, "shard", &kind::TEXT);
    let database = section.optional("database", &forms::IDENTIFIER);
    section.finish();
    Some(Home { shard: shard?, database })
}

fn scatter_read(section: &Section<'_>) -> ScatterReadRule {
    let default = ScatterReadRule::default();
    let rule = ScatterReadRule {
        slots_max: section.setting("slots_max", &kind::count::<1, 65_536>(), default.slots_max),
        rows_max: section.setting("rows_max", &kind::count::<1, { u32::MAX }>(), default.rows_max),
        timeout: section.setting("timeout", &kind::DURATION, default.timeout),
    };
    section.finish();
    rule
}

fn key(named: &Named<'_>) -> Option<KeyForm> {
    if !matches!(named.node().value, Value::Map(_)) {
        return single(named, &kind::TEXT).map(KeyForm::Type);
    }
    let section = named.section();
    section.demand("type", "missing: the SQL type of its columns, as in `bigint unsigned`");
    let rule = KeyRule {
        key_type: placed(&section, "type", &kind::TEXT)
            .unwrap_or_else(|| At::new(section.place(), String::new())),
        collation: placed(&section, "collation", &kind::TEXT),
        bits: names(&section, "bits", &forms::TEXT_OR_NUMBER),
    };
    section.finish();
    Some(KeyForm::Full(rule))
}

fn sequence(named: &Named<'_>) -> Option<SequenceRule> {
    let section = named.section();
    if section.gives("key") || section.gives("fill") {
        section.demand("key", "missing: the key whose bits are filled");
        section.demand("fill", "missing: what fills each of the key's bit fields");
        let key = placed(&section, "key", &kind::TEXT);
        let fill = names(&section, "fill", &kind::TEXT);
        section.finish();
        return Some(SequenceRule::Composed(ComposedRule { key: key?, fill }));
    }
    section.demand("table", "missing: a table with columns `name` and `next`; or give `key` and `fill`");
    section.demand("shard", "missing: the shard of the table");
    let (table, shard) =
        (placed(&section, "table", &forms::IDENTIFIER), placed(&section, "shard", &kind::TEXT));
    let database = section.optional("database", &forms::IDENTIFIER);
    let step = section.optional("step", &kind::count::<1, 10_000_000>());
    let prefetch_at = section.optional("prefetch_at", &forms::PERCENT);
    section.finish();
    Some(SequenceRule::Segment(SegmentRule { table: table?, shard: shard?, database, step, prefetch_at }))
}

fn table(section: &Section<'_>) -> TableRule {
    let rule = TableRule {
        at: Some(section.place()),
        placement: placed(section, "placement", &kind::TEXT),
        with: placed(section, "with", &forms::IDENTIFIER),
        copy_of: placed(section, "copy_of", &forms::IDENTIFIER),
        reference: placed(section, "reference", &kind::SWITCH),
        shard: placed(section, "shard", &kind::TEXT),
        database: placed(section, "database", &forms::IDENTIFIER),
        columns: section.gives("columns").then(|| names(section, "columns", &kind::TEXT)),
        generate: names(section, "generate", &kind::TEXT),
        writes: placed(section, "writes", &forms::CHOICE),
        unique: placed(section, "unique", &forms::UNIQUE),
    };
    let _ = section.find("columns");
    section.finish();
    rule
}

fn read_test(section: &Section<'_>) -> TestRule {
    let given = |key| section.gives(key);
    let rule = TestRule {
        table: placed(section, "table", &forms::IDENTIFIER),
        rows: given("rows").then(|| names(section, "rows", &forms::SCALAR)),
        insert: given("insert").then(|| names(section, "insert", &forms::SCALAR)),
        sql: placed(section, "sql", &kind::TEXT),
        params: section
            .list("params", &forms::SCALAR)
            .into_iter()
            .map(|(at, value)| At::new(at, value))
            .collect(),
        slots: labels(section, "slots"),
        shards: labels(section, "shards"),
        refused: placed(section, "refused", &forms::SCALAR),
    };
    for key in ["rows", "insert"] {
        let _ = section.find(key);
    }
    section.finish();
    rule
}

/// `all`, or a list of labels.
fn labels(section: &Section<'_>, key: &'static str) -> Option<At<Vec<String>>> {
    let node = section.find(key)?;
    let at = section.position(key);
    match &node.value {
        Value::Text(word) => Some(At::new(at, vec![word.clone()])),
        Value::List(items) if items.iter().all(|item| matches!(item.value, Value::Text(_))) => {
            let labels = items.iter().filter_map(|item| kind::text(item).ok().map(str::to_owned));
            Some(At::new(at, labels.collect()))
        }
        Value::Null
        | Value::Switch(_)
        | Value::Whole(_)
        | Value::OtherNumber(_)
        | Value::List(_)
        | Value::Map(_) => {
            section.problem(key, "must be `all`, or a list of names, as in `[by_user/3]`");
            None
        }
    }
}
