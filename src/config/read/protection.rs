//! Reads the settings that protect the servers, and refuses rules that contradict each other.

use std::collections::BTreeMap;

use crate::config::document::{Kind, Section, did_you_mean};
use crate::config::protection::{
    Breaker, Concurrency, ConcurrencyMode, Kinds, Matcher, Protection, Quarantine, Rule,
};
use crate::config::read::kind;
use crate::config::{Cluster, User};

/// Rules at most: which of them a statement meets is one number of 64 bits, of which operators' switches and
/// quarantines take some.
const RULES_MAX: usize = 40;

/// An application or a pattern: `*` stands for anything.
const GLOB: Kind<String> = Kind { read: |node| Ok(kind::word(node)?.to_lowercase()), show: String::clone };

/// 16 hexadecimal digits.
pub(super) const DIGEST: Kind<u64> = Kind {
    read: |node| {
        let text = kind::word(node)?;
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let digest = u64::from_str_radix(text, 16).ok().filter(|_| digits);
        digest.ok_or_else(|| "must be the 16 hexadecimal digits that /digests shows, in quotes".to_owned())
    },
    show: |digest| format!("{digest:016x}"),
};

/// The name of a table.
const TABLE: Kind<String> = Kind {
    read: |node| match kind::word(node)? {
        name if name.contains('.') => Err("must be the table's name alone, without its schema".to_owned()),
        name => Ok(name.to_lowercase()),
    },
    show: String::clone,
};

/// What rules may name.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) users: &'a BTreeMap<String, User>,
    pub(super) clusters: &'a [&'a str],
}

pub(super) fn protection(section: &Section<'_>, known: Known<'_>) -> Protection {
    let (at, sections) = section.any_items("rules");
    if let Some(at) = at.filter(|_| sections.len() > RULES_MAX) {
        section.report().problem(at, section.path_of("rules"), format!("at most {RULES_MAX} are possible"));
    }
    let rules: Vec<(Section<'_>, Rule)> = sections
        .into_iter()
        .map(|section| {
            let rule = rule(&section, known);
            (section, rule)
        })
        .collect();
    for (n, (section, rule)) in rules.iter().enumerate() {
        check_against(section, rule, &rules[..n]);
    }
    let quarantine = quarantine(&section.child("quarantine"));
    section.finish();
    Protection { rules: rules.into_iter().map(|(_, rule)| rule).collect(), quarantine }
}

fn rule(section: &Section<'_>, known: Known<'_>) -> Rule {
    let default = Rule::default();
    let positive = kind::count::<1, 10_000_000>();
    let rule = Rule {
        name: section.required("name", &kind::TEXT).unwrap_or_default(),
        matcher: matcher(section, known),
        tier: section.optional("tier", &kind::count::<1, 4>()),
        deny: section.setting("deny", &kind::SWITCH, default.deny),
        dry_run: section.setting("dry_run", &kind::SWITCH, default.dry_run),
        rate: section.optional("rate", &positive),
        burst: section.optional("burst", &positive),
        concurrency: section.optional("concurrency", &positive),
        queue_max: section.setting("queue_max", &kind::count::<0, 10_000_000>(), default.queue_max),
        queue_timeout: section.setting("queue_timeout", &kind::DURATION, default.queue_timeout),
        rows_max: section.optional("rows_max", &kind::count::<1, { u32::MAX }>()),
        result_bytes_max: section.optional("result_bytes_max", &kind::SIZE),
        time_max: section.optional("time_max", &kind::DEADLINE),
        idle_transaction_max: section.optional("idle_transaction_max", &kind::DEADLINE),
    };
    section.finish();
    check_alone(section, &rule);
    rule
}

fn matcher(section: &Section<'_>, known: Known<'_>) -> Matcher {
    let values = |key: &'static str, kind: &Kind<String>| -> Vec<String> {
        section.list(key, kind).into_iter().map(|(_, value)| value).collect()
    };
    let named = |key: &'static str, what: &str, names: Vec<&str>| -> Vec<String> {
        let listed = section.list(key, &kind::TEXT);
        for (n, (at, name)) in
            listed.iter().enumerate().filter(|(_, (_, name))| !names.contains(&name.as_str()))
        {
            let hint = did_you_mean(name, names.iter().copied());
            let path = format!("{}[{n}]", section.path_of(key));
            section.report().problem(*at, path, format!("there is no {what} `{name}`{hint}"));
        }
        listed.into_iter().map(|(_, name)| name).collect()
    };
    let kinds = section.list("kinds", &kind::STATEMENT_KIND);
    Matcher {
        users: named("users", "user", known.users.keys().map(String::as_str).collect()),
        applications: values("applications", &GLOB),
        clusters: named("clusters", "cluster", known.clusters.to_vec()),
        digests: section.list("digests", &DIGEST).into_iter().map(|(_, digest)| digest).collect(),
        tables: values("tables", &TABLE),
        kinds: kinds.into_iter().fold(Kinds::NONE, |all, (_, kind)| all.with(kind)),
        patterns: values("patterns", &GLOB),
    }
}

/// What a rule says that cannot be meant together.
fn check_alone(section: &Section<'_>, rule: &Rule) {
    let limits = ["rate", "concurrency", "rows_max", "result_bytes_max", "time_max", "idle_transaction_max"];
    let limited = limits.iter().find(|key| section.gives(key));
    if rule.deny {
        if let Some(key) =
            ["tier"].iter().chain(&limits).find(|key| section.gives(key)).filter(|_| !rule.dry_run)
        {
            section.problem(key, "has no use beside deny: no such statement runs");
        }
    } else {
        if rule.dry_run {
            section.problem("dry_run", "needs deny beside it");
        }
        if limited.is_none() && rule.tier.is_none() {
            section.wrong("does nothing; give deny, tier, or one of its limits");
        }
    }
    if section.gives("burst") && rule.rate.is_none() {
        section.problem("burst", "needs rate beside it");
    }
    for key in ["queue_max", "queue_timeout"] {
        if section.gives(key) && rule.rate.is_none() && rule.concurrency.is_none() {
            section.problem(key, "needs rate or concurrency beside it");
        }
    }
    if rule.idle_transaction_max.is_some() && rule.matcher.looks_at_statements() {
        section.problem(
            "idle_transaction_max",
            "is about sessions: the rule may name users and applications only",
        );
    }
}

/// What earlier rules leave of this one.
fn check_against(section: &Section<'_>, rule: &Rule, earlier: &[(Section<'_>, Rule)]) {
    let covering = |what: &dyn Fn(&Rule) -> bool| {
        earlier.iter().find(|(_, other)| what(other) && other.matcher.covers(&rule.matcher))
    };
    if let Some((other, _)) =
        earlier.iter().find(|(_, other)| !rule.name.is_empty() && other.name == rule.name)
    {
        let line = other.position("name").line;
        section.problem("name", format!("another rule has this name, in line {line}"));
    }
    if let Some((other, deny)) = covering(&|other| other.deny && !other.dry_run) {
        let line = other.position("name").line;
        section.wrong(format!(
            "is never reached: rule `{}` in line {line} denies all of these statements",
            deny.name
        ));
    } else if let Some((other, first)) =
        covering(&|other| other.tier.is_some()).filter(|_| rule.tier.is_some())
    {
        let line = other.position("name").line;
        section.problem(
            "tier",
            format!(
                "is never given: rule `{}` in line {line} gives all of these statements theirs",
                first.name
            ),
        );
    }
}

pub(super) fn concurrency(section: &Section<'_>) -> Concurrency {
    let default = Concurrency::default();
    let concurrency = Concurrency {
        mode: section.setting("mode", &kind::CONCURRENCY_MODE, default.mode),
        min: section.setting("min", &kind::count::<1, 100_000>(), default.min),
        max: section.setting("max", &kind::count::<0, 100_000>(), default.max),
        queue_max: section.setting("queue_max", &kind::count::<0, 10_000_000>(), default.queue_max),
        queue_timeout: section.setting("queue_timeout", &kind::DEADLINE, default.queue_timeout),
        target: section.setting("target", &kind::DEADLINE, default.target),
    };
    section.finish();
    if concurrency.target > concurrency.queue_timeout {
        let queue_timeout = kind::show_duration(&concurrency.queue_timeout);
        section.problem("target", format!("must not exceed queue_timeout ({queue_timeout})"));
    }
    concurrency
}

/// The pool must be able to run what is let in, or statements would wait there, without any order of tiers.
pub(super) fn check_concurrency(cluster: &Section<'_>, settings: &Cluster) {
    let section = cluster.child("concurrency");
    let Concurrency { mode, min, max, .. } = settings.concurrency;
    let most = if max == 0 { settings.pool.size_max } else { max };
    match mode {
        ConcurrencyMode::Off => {}
        ConcurrencyMode::Fixed | ConcurrencyMode::Adaptive if most > settings.pool.size_max => {
            section.problem("max", format!("must not exceed pool.size_max ({})", settings.pool.size_max));
        }
        ConcurrencyMode::Adaptive if min > most => {
            section.problem("min", format!("must not exceed max ({most})"));
        }
        ConcurrencyMode::Fixed | ConcurrencyMode::Adaptive => {}
    }
}

pub(super) fn breaker(section: &Section<'_>) -> Breaker {
    let default = Breaker::default();
    let percentage = kind::count::<1, 100>();
    let breaker = Breaker {
        enabled: section.setting("enabled", &kind::SWITCH, default.enabled),
        per_digest: section.setting("per_digest", &kind::SWITCH, default.per_digest),
        window: section.setting("window", &kind::DEADLINE, default.window),
        volume_min: section.setting("volume_min", &kind::count::<1, 1_000_000>(), default.volume_min),
        errors_max: section.setting("errors_max", &percentage, default.errors_max),
        slow: section.setting("slow", &kind::DURATION, default.slow),
        slow_max: section.setting("slow_max", &percentage, default.slow_max),
        open: section.setting("open", &kind::DEADLINE, default.open),
        open_max: section.setting("open_max", &kind::DEADLINE, default.open_max),
        probes: section.setting("probes", &kind::count::<1, 1_000>(), default.probes),
        ramp: section.setting("ramp", &kind::DURATION, default.ramp),
    };
    section.finish();
    if breaker.open > breaker.open_max {
        section.problem(
            "open",
            format!("must not exceed open_max ({})", kind::show_duration(&breaker.open_max)),
        );
    }
    if section.gives("slow_max") && breaker.slow.is_zero() && breaker.enabled {
        section.problem("slow_max", "needs slow beside it: without, no statement is slow");
    }
    breaker
}

fn quarantine(section: &Section<'_>) -> Quarantine {
    let default = Quarantine::default();
    let quarantine = Quarantine {
        mode: section.setting("mode", &kind::QUARANTINE_MODE, default.mode),
        slower: section.setting("slower", &kind::count::<2, 10_000>(), default.slower),
        share: section.setting("share", &kind::count::<1, 100>(), default.share),
        time_min: section.setting("time_min", &kind::DURATION, default.time_min),
        busy: section.setting("busy", &kind::count::<1, 1_000_000>(), default.busy),
        concurrency: section.setting("concurrency", &kind::count::<1, 100_000>(), default.concurrency),
        ttl: section.setting("ttl", &kind::DEADLINE, default.ttl),
    };
    section.finish();
    quarantine
}
