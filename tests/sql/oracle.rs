//! The runs: everyday statements, the hall of shame, and what a seed generates.
//!
//! `scripts/oracle` sets `ORACLE_SEED`, `ORACLE_STATEMENTS`, `ORACLE_RULES` and `ORACLE_SERVER`. The last line
//! of a run counts its verdicts as JSON. A refusal is no mistake, but counted.

use std::collections::BTreeMap;

use dazzle::lab::Flavor;

use crate::compare::{Promise, Verdict};
use crate::draw::Draw;
use crate::everyday::EVERYDAY;
use crate::generate::{Generated, statement};
use crate::query::Query;
use crate::shame::CASES;
use crate::stage::Stage;

/// Statements of the run in the suite.
const STATEMENTS: u64 = 300;

/// Writes between two comparisons of all rows, at least.
const WRITES: u64 = 20;

/// A run with more wrong answers than that ends.
const WRONG_MAX: usize = 20;

/// What has been counted.
#[derive(Debug, Default)]
struct Tally {
    same: u64,
    nearly: BTreeMap<String, u64>,
    refused: BTreeMap<String, u64>,
    wrong: Vec<String>,
}

impl Tally {
    fn count(&mut self, sql: &str, verdict: Verdict) {
        match verdict {
            Verdict::Same => self.same += 1,
            Verdict::Nearly(what) => {
                self.same += 1;
                *self.nearly.entry(what).or_default() += 1;
            }
            Verdict::Refused(number) => {
                if std::env::var("ORACLE_SHOW_REFUSED").is_ok() {
                    println!("refused by {number}: {sql}");
                }
                *self.refused.entry(number).or_default() += 1;
            }
            Verdict::Wrong(what) => {
                println!("WRONG: {sql}\n       {what}");
                self.wrong.push(format!("{sql}: {what}"));
            }
        }
    }

    fn refusals(&self) -> u64 {
        self.refused.values().sum()
    }

    /// Answered the same, of all that was asked.
    fn accepted(&self) -> f64 {
        let all = self.same + self.refusals() + self.wrong.len() as u64;
        if all == 0 { 0.0 } else { (1000.0 * self.same as f64 / all as f64).round() / 1000.0 }
    }

    fn report(&self) {
        println!("refusals: {:?}", self.refused);
        let nearly: u64 = self.nearly.values().sum();
        println!("answered the same but for a detail: {nearly} {:?}", self.nearly);
        println!(
            "{{\"same\":{},\"refused\":{},\"wrong\":{},\"accepted\":{}}}",
            self.same,
            self.refusals(),
            self.wrong.len(),
            self.accepted()
        );
    }
}

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn number(name: &str, default: u64) -> u64 {
    setting(name).map_or(default, |value| value.parse().expect("a number"))
}

/// Runs `story` unless the flavor is missing, or another one is asked for.
async fn on(flavor: Flavor, story: impl AsyncFn(&mut Stage, &mut Tally, &mut Draw)) {
    let wanted = setting("ORACLE_SERVER").is_none_or(|server| server == flavor.to_string().to_lowercase());
    if !wanted || !flavor.available() {
        assert!(std::env::var("CI").is_err() || !wanted, "{flavor} is missing: run scripts/servers");
        eprintln!("NOT TESTED on {flavor}");
        return;
    }
    // Each run has two servers of its own; one run at a time is load enough.
    static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _one = ONE.lock().await;
    let seed = number("ORACLE_SEED", 1);
    println!("{flavor}, seed {seed}");
    let mut draw = Draw::new(seed);
    let rules = setting("ORACLE_RULES").map(|file| std::fs::read_to_string(file).expect("a file of rules"));
    let mut stage = Stage::start(flavor, rules.as_deref(), &mut draw).await;
    let mut tally = Tally::default();
    story(&mut stage, &mut tally, &mut draw).await;
    tally.report();
    assert!(tally.wrong.is_empty(), "{} wrong answers on {flavor}, seed {seed}", tally.wrong.len());
}

/// One line of a list: how it is compared, and the statement.
async fn case(stage: &mut Stage, tally: &mut Tally, line: &str) {
    let (kind, sql) = line.split_once(' ').expect("a kind before the statement");
    let promise = Promise { total: kind == "=", cut: kind == "~", ..Promise::default() };
    let verdict = match kind {
        "!" => stage.judge_write(sql, &[]).await,
        "~" => stage.judge(sql, &[], &promise, sql.rfind(" LIMIT ").map(|at| &sql[..at])).await,
        _ => stage.judge(sql, &[], &promise, None).await,
    };
    tally.count(sql, verdict);
}

async fn shame(stage: &mut Stage, tally: &mut Tally, _: &mut Draw) {
    for (name, line) in CASES {
        let before = tally.wrong.len();
        case(stage, tally, line).await;
        if tally.wrong.len() > before {
            println!("       that is: {name}");
        }
    }
}

async fn everyday(stage: &mut Stage, tally: &mut Tally, _: &mut Draw) {
    for line in EVERYDAY.lines().filter(|line| !line.is_empty() && !line.starts_with("--")) {
        case(stage, tally, line).await;
    }
    if let Some(difference) = stage.difference().await {
        tally.count("after the writes", Verdict::Wrong(difference));
    }
    println!("everyday statements answered: {:.1} %", 100.0 * tally.accepted());
}

async fn generated(stage: &mut Stage, tally: &mut Tally, draw: &mut Draw) {
    let (mut writes, statements) = (0, number("ORACLE_STATEMENTS", STATEMENTS));
    for n in 0..statements {
        if tally.wrong.len() > WRONG_MAX {
            return;
        }
        match statement(draw, 1000 + 2 * n) {
            Generated::Read(query) => {
                let verdict = judge(stage, &query).await;
                if matches!(verdict, Verdict::Wrong(_)) {
                    let least = shrink(stage, query.clone()).await;
                    println!("made smaller: {}", least.sql(false));
                }
                tally.count(&query.sql(false), verdict);
            }
            Generated::Write(sql, parameters) => {
                let verdict = stage.judge_write(&sql, &parameters).await;
                tally.count(&sql, verdict);
                writes += 1;
                if writes % WRITES.max(statements / 500) == 0
                    && let Some(difference) = stage.difference().await
                {
                    tally.count(&sql, Verdict::Wrong(difference));
                    return;
                }
            }
        }
    }
    if let Some(difference) = stage.difference().await {
        tally.count("at the end", Verdict::Wrong(difference));
    }
}

async fn judge(stage: &mut Stage, query: &Query) -> Verdict {
    let whole = query.limit.map(|_| query.sql(true));
    stage.judge(&query.sql(false), &query.parameters(), &query.promise(), whole.as_deref()).await
}

/// The least statement of its kind that is still answered wrongly.
async fn shrink(stage: &mut Stage, query: Query) -> Query {
    let mut least = query;
    'again: loop {
        for smaller in least.smaller() {
            if matches!(judge(stage, &smaller).await, Verdict::Wrong(_)) {
                least = smaller;
                continue 'again;
            }
        }
        return least;
    }
}

macro_rules! runs {
    ($($name:ident)+) => {$(
        mod $name {
            use dazzle::lab::Flavor;

            #[tokio::test]
            async fn mariadb() {
                super::on(Flavor::MariaDb, super::$name).await;
            }

            #[tokio::test]
            async fn mysql() {
                super::on(Flavor::MySql, super::$name).await;
            }
        }
    )+};
}

runs! { shame everyday generated }
