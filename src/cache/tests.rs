//! The cache with simulated time: what is kept, for how long, and who asks while it is not.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::cache::{Cache, Fill, FlightState, Follower, Key, Lookup, Reach, Reply, Slot, Traits, Wanted};
use crate::config;
use crate::sql::{LexMode, analyze, shape};
use crate::wire::StatusFlags;

const KEY: Key = Key(7);
const TTL: Duration = Duration::from_secs(10);

fn configured(ttl: Duration) -> (Arc<Cache>, Instant) {
    let now = Instant::now();
    let cache = Arc::new(Cache::new(1, now));
    cache.configure(&settings(ttl), now);
    (cache, now)
}

fn settings(ttl: Duration) -> config::Cache {
    let rule = |name: &str, tables: &[&str]| config::CacheRule {
        name: name.to_owned(),
        tables: tables.iter().map(|table| (*table).to_owned()).collect(),
        ttl,
        ..config::CacheRule::default()
    };
    config::Cache { rules: vec![rule("menu", &["menu", "item"])], ..config::Cache::default() }
}

fn slots() -> [Slot; 1] {
    [Slot::of("menu")]
}

fn join(cache: &Arc<Cache>, now: Instant) -> Lookup {
    cache.join(&Wanted { key: KEY, slots: &slots(), rule: 0 }, now)
}

fn leads(cache: &Arc<Cache>, now: Instant) -> Fill {
    match join(cache, now) {
        Lookup::Lead(fill) => fill,
        other => panic!("it does not lead: {other:?}"),
    }
}

fn follows(cache: &Arc<Cache>, now: Instant) -> Follower {
    match join(cache, now) {
        Lookup::Follow(follower) => follower,
        other => panic!("it does not follow: {other:?}"),
    }
}

fn reply() -> Option<Reply> {
    let bytes = b"\x01\0\0\x01x".as_slice().into();
    let took = Duration::from_millis(2);
    Some(Reply { bytes, status: StatusFlags::AUTOCOMMIT, rows: 1, columns: 1, took })
}

fn write() -> Reach {
    Reach::Tables(slots().into())
}

#[tokio::test]
async fn a_result_is_given_until_its_time_is_over() {
    let (cache, now) = configured(TTL);
    leads(&cache, now).end(reply(), now);
    let last = now + TTL - Duration::from_millis(1);
    assert_eq!(cache.find(KEY, 0, last).expect("it is kept").rows, 1);
    assert!(cache.find(KEY, 0, now + TTL).is_none());
    assert!(cache.find(Key(8), 0, now).is_none());
    assert_eq!(cache.numbers().results, 1);
}

#[tokio::test]
async fn a_read_that_a_write_has_overtaken_is_given_to_nobody() {
    let (cache, now) = configured(TTL);
    let fill = leads(&cache, now);
    let mut follower = follows(&cache, now);
    cache.write(write()).end(true);
    let second = leads(&cache, now);
    fill.end(reply(), now);
    assert!(cache.find(KEY, 0, now).is_none());
    let FlightState::Arrived(answer) = follower.wait().await else { panic!("it has come") };
    assert!(!cache.accepts(&answer, 0, now));
    second.end(reply(), now);
    assert!(cache.find(KEY, 0, now).is_some());
    let writing = cache.write(write());
    assert!(cache.find(KEY, 0, now).is_none());
    assert!(matches!(join(&cache, now), Lookup::Pass), "nothing is kept of what is being written");
    writing.end(false);
    assert!(cache.find(KEY, 0, now).is_some(), "nothing has changed");
}

#[tokio::test]
async fn one_asks_and_all_are_told() {
    let (cache, now) = configured(Duration::ZERO);
    let fill = leads(&cache, now);
    let mut followers: Vec<Follower> = (0..100).map(|_| follows(&cache, now)).collect();
    fill.end(reply(), now);
    for follower in &mut followers {
        let FlightState::Arrived(answer) = follower.wait().await else { panic!("it has come") };
        assert!(cache.accepts(&answer, 0, now));
    }
    assert!(cache.find(KEY, 0, now).is_none(), "a rule without time keeps nothing");
    assert_eq!(cache.numbers().rules[0].shared, 100);
    drop(leads(&cache, now));
}

#[tokio::test]
async fn whoever_waits_for_one_that_is_gone_takes_its_place() {
    let (cache, now) = configured(TTL);
    let fill = leads(&cache, now);
    let (mut one, mut other) = (follows(&cache, now), follows(&cache, now));
    drop(fill);
    assert!(matches!(one.wait().await, FlightState::Lost));
    let next = leads(&cache, now);
    assert!(matches!(other.wait().await, FlightState::Lost));
    let mut other = follows(&cache, now);
    next.end(None, now);
    assert!(matches!(other.wait().await, FlightState::Alone), "what is not shared is asked by each");
    assert!(cache.find(KEY, 0, now).is_none());
}

#[tokio::test]
async fn who_comes_late_finds_what_was_kept_meanwhile() {
    let (cache, now) = configured(TTL);
    let fill = leads(&cache, now);
    assert!(cache.find(KEY, 0, now).is_none());
    fill.end(reply(), now);
    assert!(matches!(join(&cache, now), Lookup::Hit(_)));
    drop(cache.write(Reach::Everything));
    assert!(cache.find(KEY, 0, now).is_none(), "nobody knows what became of that write");
    assert!(matches!(join(&cache, now), Lookup::Pass));
}

#[tokio::test]
async fn one_asks_anew_while_the_others_are_given_what_is_kept() {
    let now = Instant::now();
    let cache = Arc::new(Cache::new(1, now));
    let mut soft = settings(TTL);
    soft.rules[0].soft_ttl = Some(TTL / 2);
    cache.configure(&soft, now);
    leads(&cache, now).end(reply(), now);
    let early = now + TTL / 2 - Duration::from_millis(1);
    assert!(cache.find(KEY, 0, early).is_some());
    let late = now + TTL / 2;
    assert!(cache.find(KEY, 0, late).is_none(), "the first one asks anew");
    let fill = leads(&cache, late);
    assert!((0..100).all(|_| cache.find(KEY, 0, late).is_some()), "the others do not wait");
    drop(fill);
    let next = late + Duration::from_secs(1);
    assert!(cache.find(KEY, 0, next).is_none(), "who asked is gone, so another one does");
    leads(&cache, next).end(reply(), next);
    assert!((0..100).all(|_| cache.find(KEY, 0, next + TTL / 4).is_some()), "it is new again");
    assert_eq!(cache.numbers().rules[0].renewed, 2);
    let soft = next + TTL / 2;
    assert!(cache.find(KEY, 0, soft).is_none());
    cache.write(write()).end(true);
    assert!(cache.find(KEY, 0, soft).is_none(), "never beyond a write");
    assert!(matches!(join(&cache, soft), Lookup::Lead(_)));
}

#[tokio::test]
async fn what_is_old_is_given_only_for_so_long_and_only_where_the_rule_says_so() {
    let (strict, now) = configured(TTL);
    leads(&strict, now).end(reply(), now);
    assert!(strict.find_old(KEY, 0, now).is_none(), "the rule does not say so");
    let cache = Arc::new(Cache::new(1, now));
    let mut lenient = settings(TTL);
    lenient.rules[0].stale = 6 * TTL;
    cache.configure(&lenient, now);
    assert!(cache.find_old(KEY, 0, now).is_none());
    leads(&cache, now).end(reply(), now);
    cache.write(write()).end(true);
    assert!(cache.find(KEY, 0, now).is_none());
    let answer = cache.find_old(KEY, 0, now + TTL).expect("a write has ended it, and so has time");
    assert_eq!(answer.age(now + TTL), TTL);
    assert!(cache.find_old(KEY, 0, now + 7 * TTL).is_none());
    assert_eq!(cache.numbers().rules[0].old, 1);
}

#[tokio::test]
async fn what_costs_the_server_little_is_not_kept() {
    let check = |millis: u64, kept: bool| {
        let now = Instant::now();
        let cache = Arc::new(Cache::new(1, now));
        let mut dear = settings(TTL);
        dear.rules[0].cost_min = Duration::from_millis(millis);
        cache.configure(&dear, now);
        leads(&cache, now).end(reply(), now);
        assert_eq!(cache.find(KEY, 0, now).is_some(), kept, "{millis} ms");
        assert_eq!(cache.numbers().rules[0].cheap, u64::from(!kept));
    };
    check(2, true);
    check(3, false);
}

#[tokio::test]
async fn replies_that_are_recorded_have_a_bound() {
    let (cache, now) = configured(TTL);
    let bound = settings(TTL).memory_max / settings(TTL).result_bytes_max;
    let lead = |key| cache.join(&Wanted { key: Key(key), slots: &slots(), rule: 0 }, now);
    let mut fills = Vec::new();
    for key in 0..u128::from(bound) {
        fills.push(lead(key));
    }
    assert!(fills.iter().all(|fill| matches!(fill, Lookup::Lead(_))));
    assert!(matches!(lead(1 << 20), Lookup::Pass));
    assert!(matches!(lead(3), Lookup::Follow(_)));
    fills.pop();
    assert!(matches!(lead(1 << 20), Lookup::Lead(_)));
}

#[tokio::test]
async fn a_digest_falls_under_the_rule_that_names_its_tables() {
    let (cache, now) = configured(TTL);
    let traits = |text: &str| {
        let (text, mode) = (text.as_bytes(), LexMode::default());
        Traits::of(&analyze(text, mode), &shape(text, mode), text, mode)
    };
    let both = traits("SELECT * FROM menu JOIN item USING (id)");
    let more = traits("SELECT * FROM menu, users");
    assert_eq!((cache.rule(&both, 1), cache.rule(&more, 1)), (Some(0), None));
    leads(&cache, now).end(reply(), now);
    let mut other = settings(TTL);
    other.rules[0].digests = vec![5];
    cache.configure(&other, now);
    assert!(cache.find(KEY, 0, now).is_none(), "a reload keeps nothing");
    assert_eq!((cache.rule(&both, 1), cache.rule(&both, 5)), (None, None), "it is worked out once a digest");
    assert_eq!(cache.rule(&traits("SELECT * FROM item"), 5), Some(0));
    cache.configure(&config::Cache::default(), now);
    assert_eq!((cache.revision(), cache.rule(&both, 5)), (0, None));
}
