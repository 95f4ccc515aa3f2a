//! Costs of single steps that every statement pays: `cargo bench --bench micro`.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dazzle::sql::{LexMode, analyze, fingerprint, literals, normalize};

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

criterion_group! {
    name = micro;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20);
    targets = sql
}
criterion_main!(micro);
