//! Costs of single steps that every statement pays: `cargo bench --bench micro`.

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dazzle::sharding::{
    Date, KeyLiteral, Located, Match, Recipe, Request, ShardingRules, Source, TableKind, plan, recipe,
};
use dazzle::sql::tree::Span;
use dazzle::sql::{LexMode, Spelling, analyze, fingerprint, literals, normalize};

/// Statements as sysbench and ORMs send them.
fn statements() -> Vec<(&'static str, String)> {
    let mut rows = String::from("INSERT INTO sbtest1 (id, k, c, pad) VALUES ");
    for row in 0..200 {
        let separator = if row == 0 { "" } else { "," };
        let _ = write!(rows, "{separator}({row},{},'68487932199-964394','22195207048-701')", row * 7919);
    }
    let small = [
        ("point_select", "SELECT c FROM sbtest1 WHERE id=123"),
        ("range_select", "SELECT c FROM sbtest1 WHERE id BETWEEN 10 AND 109 ORDER BY c"),
        ("update", "UPDATE sbtest1 SET k=k+1 WHERE id=5013"),
        ("delete", "DELETE FROM sbtest1 WHERE id=5013"),
        ("begin", "BEGIN"),
        (
            "insert",
            "INSERT INTO sbtest1 (id, k, c, pad) VALUES (5013, 4990, '68487932199-96439406143-93774651418-41631865787-\
             96406072701-20604855487-25459966574-28203206787-41238978918-19503783441', \
             '22195207048-70116052123-74140395089-76317954521-98694025897')",
        ),
        (
            "in_list_20",
            "SELECT a FROM t WHERE id IN (1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20) AND b = 'x'",
        ),
        (
            "orm_join",
            "SELECT `t`.`id` AS `t__id`, `u`.`name` AS `u__name` FROM `t` LEFT JOIN `u` ON `u`.`t_id` = `t`.`id` WHERE \
             (`t`.`deleted_at` IS NULL AND `t`.`status` IN ('a','b')) ORDER BY `t`.`created_at` DESC LIMIT 25",
        ),
        ("select_variable", "SELECT @@session.transaction_isolation"),
    ];
    let mut all: Vec<_> = small.into_iter().map(|(name, text)| (name, text.to_owned())).collect();
    all.push(("insert_200_rows", rows));
    all
}

fn sql(criterion: &mut Criterion) {
    let mode = LexMode::default();
    let mut group = criterion.benchmark_group("fingerprint");
    for (name, text) in statements() {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| fingerprint(black_box(text.as_bytes()), black_box(mode)));
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("sql");
    let point_select = b"SELECT c FROM sbtest1 WHERE id=123";
    group.bench_function("analyze", |bencher| bencher.iter(|| analyze(black_box(point_select), mode)));
    let mut text = Vec::new();
    group.bench_function("normalize", |bencher| {
        bencher.iter(|| {
            text.clear();
            normalize(black_box(point_select), mode, &mut text);
        });
    });
    let mut spans = Vec::new();
    group.bench_function("literals", |bencher| {
        bencher.iter(|| {
            spans.clear();
            literals(black_box(point_select), mode, &mut spans);
        });
    });
    group.finish();
}

/// From a parameter or literal of a cached digest to its slot, of 64.
fn sharding(criterion: &mut Criterion) {
    let text = "{api: dazzle/v1, name: b, revision: 1, keys: {id: bigint, name: {type: varchar(40), collation: \
        utf8mb4_general_ci}}, placements: {by_id: {hash: id, slots: {s1: 0-31, s2: 32-63}}, by_name: {hash: name, slots: \
        {s1: 0-31, s2: 32-63}, database: 'n_{slot}'}}, tables: {t: {placement: by_id}, u: {placement: by_name}}, tests: \
        [{table: t, slots: all}]}";
    let today = Date { year: 2026, month: 1, day: 1 };
    let rules = ShardingRules::parse(text, Path::new("bench.yaml"), today).unwrap_or_else(|e| panic!("{e}"));
    let mut group = criterion.benchmark_group("key_to_slot");
    for (name, table, column, literal) in [
        ("integer", "t", "id", KeyLiteral::Integer(123_456_789)),
        ("integer_as_text", "t", "id", KeyLiteral::Text(b"123456789")),
        ("string", "u", "name", KeyLiteral::Text(b"Somebody.Whoever@example.com")),
    ] {
        let table = rules.table_named(table).expect("it is listed");
        let TableKind::Placed(placed) = &rules.table(table).kind else { panic!("it is placed") };
        let key = placed.key_of(column).expect("it carries a key");
        group.bench_function(name, |bencher| {
            bencher.iter(|| match rules.key(key).key_type.equal_to(black_box(&literal)) {
                Match::Exactly(value) => rules.placement(placed.placement).locate(key, &value),
                Match::Never | Match::Unknown => Located::Nowhere,
            });
        });
    }
    let mode = LexMode::default();
    let request = |text| Request { text, mode, utf8: true, schema: Some("b"), parameters: &[] };
    let text = b"SELECT id, name, level FROM t WHERE id = 123456789 AND level > 5 ORDER BY level LIMIT 20";
    let spelling = Spelling::of(text, mode).expect("it has one");
    let Some(Recipe::Key(key)) = recipe(&rules, &request(text)) else { panic!("a key decides") };
    let (Source::Number(span) | Source::Text(span)) = key.source() else { panic!("it is in the text") };
    let (literal, sign) = spelling.literal_in(span.range()).expect("it is a literal");
    let other = b"SELECT id, name, level FROM t WHERE id = 42 AND level > 70 ORDER BY level LIMIT 10";
    group.bench_function("cached_digest", |bencher| {
        bencher.iter(|| {
            let found = spelling.find(black_box(other), mode, literal)?;
            let span = Span::new((found.start - sign) as u32, found.end as u32);
            key.slot(&rules, &request(other), Some(span))
        });
    });
    group.bench_function("planned_anew", |bencher| bencher.iter(|| plan(&rules, &request(black_box(other)))));
    group.finish();
}

criterion_group! {
    name = micro;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20);
    targets = sql, sharding
}
criterion_main!(micro);
