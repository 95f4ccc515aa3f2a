//! Rules meet the statements that they name, and no others.

use std::time::Duration;

use tokio::time::Instant;

use super::{Decision, Denial, Identity, Marks, application_of, glob};
use crate::config::protection::{Kinds, Matcher, Protection, Rule};
use crate::protection::gate::Ask;
use crate::protection::{Admission, Switch, SwitchError, Tier};
use crate::sql::{LexMode, Server, analyze, shape};

fn admission(rules: &[Rule]) -> Admission {
    let admission = Admission::default();
    let rules = rules.to_vec();
    admission.configure(&Protection { rules, ..Protection::default() }, Instant::now());
    admission
}

fn rule(name: &str, matcher: Matcher) -> Rule {
    Rule { name: name.to_owned(), matcher, ..Rule::default() }
}

fn decide(
    admission: &Admission,
    user: &str,
    application: Option<&str>,
    text: &str,
) -> Result<Decision, Denial> {
    let mode = LexMode::new(Server::from_version_text("8.4.0"));
    let (statement, shape) = (analyze(text.as_bytes(), mode), shape(text.as_bytes(), mode));
    let policy = admission.policy();
    let (marks, mut identity) = (Marks::default(), Identity::new(application.map(Into::into)));
    let first = policy.marked(&marks, &statement, &shape) & policy.identified(&mut identity, user);
    let again = policy.marked(&marks, &statement, &shape) & policy.identified(&mut identity, user);
    assert_eq!(first, again, "what is kept is what was worked out");
    policy.decide(first, Instant::now())
}

#[test]
fn each_part_of_a_matcher_must_fit() {
    let strings = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let check = |matcher: Matcher, meets: &[(&str, &str)], meets_not: &[(&str, &str)]| {
        let rule = Rule { deny: true, ..rule("r", matcher) };
        let admission = admission(&[rule]);
        for (user, text) in meets {
            assert!(decide(&admission, user, None, text).is_err(), "{user}: {text}");
        }
        for (user, text) in meets_not {
            assert!(decide(&admission, user, None, text).is_ok(), "{user}: {text}");
        }
    };
    check(
        Matcher { users: strings(&["app"]), kinds: Kinds::WHOLE_TABLE, ..Matcher::default() },
        &[("app", "DELETE FROM t"), ("app", "update t set a = 1")],
        &[("web", "DELETE FROM t"), ("app", "DELETE FROM t WHERE a = 1"), ("app", "SELECT 1")],
    );
    check(
        Matcher { tables: strings(&["orders", "items"]), ..Matcher::default() },
        &[("a", "SELECT * FROM shop.Orders"), ("a", "INSERT INTO items VALUES (1)")],
        &[("a", "SELECT orders FROM t"), ("a", "SELECT 1")],
    );
    check(
        Matcher { patterns: strings(&["select * from audit*"]), ..Matcher::default() },
        &[("a", "select  *  from AUDIT where a = 5")],
        &[("a", "SELECT a FROM other"), ("a", "DELETE FROM audit")],
    );
    check(
        Matcher { kinds: Kinds::WRITE, ..Matcher::default() },
        &[("a", "INSERT INTO t VALUES (1)"), ("a", "SELECT * FROM t FOR UPDATE"), ("a", "CALL p()")],
        &[("a", "SELECT 1"), ("a", "BEGIN"), ("a", "COMMIT"), ("a", "SET autocommit = 0"), ("a", "ROLLBACK")],
    );
    check(
        Matcher { kinds: Kinds::DROP.with(Kinds::TRUNCATE), ..Matcher::default() },
        &[("a", "DROP TABLE t"), ("a", "TRUNCATE t"), ("a", "SELECT 1; DROP DATABASE d")],
        &[("a", "CREATE TABLE t (a INT)"), ("a", "DROP TEMPORARY TABLE t")],
    );
}

#[test]
fn a_digest_is_named_by_its_hash() {
    let mode = LexMode::new(Server::from_version_text("8.4.0"));
    let hash = analyze(b"SELECT a FROM t WHERE id = 5", mode).digest.hash;
    let matcher = Matcher { digests: vec![hash], ..Matcher::default() };
    let admission = admission(&[Rule { deny: true, ..rule("r", matcher) }]);
    assert!(decide(&admission, "a", None, "SELECT a FROM t WHERE id = 77").is_err());
    assert!(decide(&admission, "a", None, "SELECT b FROM t WHERE id = 77").is_ok());
}

#[test]
fn the_first_tier_counts_and_all_limits_together() {
    let app = Matcher { users: vec!["app".to_owned()], ..Matcher::default() };
    let admission = admission(&[
        Rule { tier: Some(1), time_max: Some(Duration::from_secs(9)), ..rule("one", app) },
        Rule { tier: Some(4), rows_max: Some(10), ..rule("two", Matcher::default()) },
        Rule {
            rows_max: Some(5),
            time_max: Some(Duration::from_secs(20)),
            ..rule("three", Matcher::default())
        },
    ]);
    let decision = decide(&admission, "app", None, "SELECT 1").expect("allowed");
    assert_eq!((decision.tier, decision.allowance.rows_max), (Tier::FIRST, 5));
    assert_eq!(decision.allowance.time_max, Some(Duration::from_secs(9)));
    let decision = decide(&admission, "web", None, "SELECT 1").expect("allowed");
    assert_eq!((decision.tier, decision.allowance.rows_max), (Tier::LAST, 5));
    assert_eq!(decision.allowance.time_max, Some(Duration::from_secs(20)));
}

#[test]
fn applications_are_told_apart() {
    let reports = Matcher { applications: vec!["report-*".to_owned()], ..Matcher::default() };
    let admission = admission(&[Rule { deny: true, ..rule("r", reports) }]);
    assert!(decide(&admission, "a", Some("report-daily"), "SELECT 1").is_err());
    assert!(decide(&admission, "a", Some("shop"), "SELECT 1").is_ok());
    assert!(decide(&admission, "a", None, "SELECT 1").is_ok());
    let check = |text: &str, expected: Option<&str>| {
        assert_eq!(application_of(text.as_bytes()).as_deref(), expected, "{text}");
    };
    check("/* app=Shop */ SELECT 1", Some("shop"));
    check("SELECT 1 /*controller='x',application='web',route='/'*/", Some("web"));
    check("SELECT 1 -- app=x", None);
    check("SELECT '/* app=x */' FROM t", None);
    check("/* app= */ SELECT 1", None);
    check("SELECT 1", None);
    check("/*/", None);
}

#[test]
fn a_dry_run_counts_and_lets_pass() {
    let admission = admission(&[Rule { deny: true, dry_run: true, ..rule("r", Matcher::default()) }]);
    assert!(decide(&admission, "a", None, "DROP TABLE t").is_ok());
    assert_eq!(admission.policy().rules[0].hits(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_pass_at_once_takes_nothing() {
    let rate = Rule { rate: Some(1), burst: Some(2), ..rule("rate", Matcher::default()) };
    let one = Rule { concurrency: Some(1), ..rule("one", Matcher::default()) };
    let admission = admission(&[rate, one]);
    let decision = decide(&admission, "a", None, "SELECT 1").expect("no rule denies it");
    let now = Instant::now();
    let ask = Ask { tier: Tier::NORMAL, user: 1, bound: false, since: now };
    let pass = |ask| admission.policy().try_pass(&decision, ask, 1, now);
    let first = pass(ask).expect("there is room");
    for _ in 0..3 {
        assert!(pass(ask).is_none(), "one is inside");
    }
    drop(first);
    assert!(pass(Ask { bound: true, ..ask }).is_none(), "who may not wait passes elsewhere");
    drop(pass(ask).expect("the second of the burst is still there"));
    assert!(pass(ask).is_none(), "the burst is used up");
}

#[test]
fn no_rule_costs_one_look_at_a_number() {
    let admission = Admission::default();
    assert_eq!(admission.revision(), 0);
    admission.configure(&Protection::default(), Instant::now());
    assert_eq!(admission.revision(), 0);
}

#[test]
fn a_switch_refuses_until_it_reverts_by_itself() {
    let now = Instant::now();
    let admission = admission(&[]);
    let matcher = Matcher { tables: vec!["report".to_owned()], ..Matcher::default() };
    let minute = Duration::from_secs(60);
    admission.switch(Switch::new("reports", matcher, now), minute, now).expect("it can be turned");
    assert_ne!(admission.revision(), 0);
    let denied = decide(&admission, "a", None, "SELECT * FROM report").expect_err("it is off");
    let Denial::Switch(name, left) = denied else { panic!("{denied:?}") };
    assert!(*name == *"reports" && left <= minute && left > minute - Duration::from_secs(5));
    assert!(decide(&admission, "a", None, "SELECT * FROM t").is_ok());
    assert_eq!(admission.switches(now)[0].1, 1, "what it refused is counted");
    assert!(admission.policy().decide(1, now + minute).is_ok(), "reverted before anybody tidies");
    assert_eq!(admission.tidy(now + minute).len(), 1);
    assert_eq!(admission.revision(), 0);
}

#[test]
fn a_switch_by_tier_spares_what_is_above() {
    let now = Instant::now();
    let important = Matcher { users: vec!["shop".to_owned()], ..Matcher::default() };
    let admission = admission(&[Rule { tier: Some(2), ..rule("shop", important) }]);
    let mut low = Switch::new("low", Matcher::default(), now);
    low.tier_from = Tier::new(3);
    admission.switch(low, Duration::from_secs(9), now).expect("it can be turned");
    assert!(decide(&admission, "shop", None, "SELECT 1").is_ok());
    assert!(decide(&admission, "batch", None, "SELECT 1").is_err());
    assert!(decide(&admission, "batch", None, "COMMIT").is_ok(), "who is in a transaction can end it");
}

#[test]
fn a_switch_may_mean_a_rule_and_not_everything() {
    let now = Instant::now();
    let matcher = Matcher { kinds: Kinds::WRITE, ..Matcher::default() };
    let admission = admission(&[Rule { rate: Some(1_000), ..rule("writes", matcher) }]);
    let second = Duration::from_secs(1);
    let turn = |name: &str, ttl| admission.switch(Switch::new(name, Matcher::default(), now), ttl, now);
    assert_eq!(turn("anything", second), Err(SwitchError::Everything));
    assert_eq!(turn("writes", Duration::ZERO), Err(SwitchError::Ttl));
    assert_eq!(turn("writes", second), Ok(()));
    assert!(decide(&admission, "a", None, "DELETE FROM t WHERE a = 1").is_err());
    assert!(decide(&admission, "a", None, "SELECT 1").is_ok());
    assert_eq!(admission.revert("writes", now), Ok(()));
    assert_eq!(admission.revert("writes", now), Err(SwitchError::Unknown));
    assert!(decide(&admission, "a", None, "DELETE FROM t WHERE a = 1").is_ok());
    let mut first = Switch::new("first", Matcher::default(), now);
    first.tier_from = Some(Tier::FIRST);
    assert_eq!(admission.switch(first, second, now), Err(SwitchError::FirstTier));
}

#[test]
fn a_star_stands_for_anything() {
    for (pattern, text, fits) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("a*", "abc", true),
        ("*c", "abc", true),
        ("a*c", "abc", true),
        ("a*b*c", "axxbyyc", true),
        ("a*b*c", "axxc", false),
        ("*", "", true),
        ("a*a", "a", false),
        ("*b*", "abc", true),
    ] {
        assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
    }
}
