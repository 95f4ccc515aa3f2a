//! Reads the settings of hot reads, and refuses a cache that the machine has no memory for.

use std::fs;

use crate::config::cache::{Cache, CacheRule};
use crate::config::document::{Kind, Section};
use crate::config::read::protection::DIGEST;
use crate::config::read::{kind, redis};

/// Rules at most: each is looked at once a digest.
const RULES_MAX: usize = 250;

/// The name of a table, of letters that every server compares alike.
const TABLE: Kind<String> = Kind {
    read: |node| {
        let name = kind::word(node)?;
        if name.contains('.') {
            Err("must be the table's name alone, without its schema".to_owned())
        } else if !is_plain(name) {
            Err("must be letters of ASCII, digits, `_`, `$` or `-`".to_owned())
        } else {
            Ok(name.to_ascii_lowercase())
        }
    },
    show: String::clone,
};

/// A column with its table.
const KEY: Kind<(String, String)> = Kind {
    read: |node| {
        let name = kind::word(node)?.to_ascii_lowercase();
        match name.split_once('.') {
            Some((table, column)) if is_plain(table) && is_plain(column) => {
                Ok((table.to_owned(), column.to_owned()))
            }
            _ => Err("must be table.column, of letters of ASCII, digits, `_`, `$` or `-`".to_owned()),
        }
    },
    show: |(table, column)| format!("{table}.{column}"),
};

fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '-');
    !name.is_empty() && name.chars().all(plain)
}

pub(super) fn cache(section: &Section<'_>) -> Cache {
    let default = Cache::default();
    let (at, sections) = section.any_items("rules");
    if let Some(at) = at.filter(|_| sections.len() > RULES_MAX) {
        section.report().problem(at, section.path_of("rules"), format!("at most {RULES_MAX} are possible"));
    }
    let rules: Vec<(Section<'_>, CacheRule)> = sections
        .into_iter()
        .map(|section| {
            let rule = rule(&section);
            (section, rule)
        })
        .collect();
    for (n, (section, rule)) in rules.iter().enumerate() {
        check_against(section, rule, &rules[..n]);
    }
    let cache = Cache {
        memory_max: section.setting("memory_max", &kind::SIZE, default.memory_max),
        result_bytes_max: section.setting("result_bytes_max", &kind::SIZE, default.result_bytes_max),
        wait_timeout: section.setting("wait_timeout", &kind::DEADLINE, default.wait_timeout),
        rules: rules.into_iter().map(|(_, rule)| rule).collect(),
        redis: redis::redis(&section.child("redis")),
    };
    section.finish();
    if cache.memory_max == 0 {
        section.problem("memory_max", "must be more than zero; without rules nothing is kept");
    } else if memory().is_some_and(|memory| cache.memory_max >= memory) {
        section.problem("memory_max", "is more memory than there is for this process");
    } else if cache.result_bytes_max > cache.memory_max.min(u64::from(u32::MAX) / 2) {
        section.problem("result_bytes_max", "must not exceed memory_max, nor 1GiB");
    }
    cache
}

fn rule(section: &Section<'_>) -> CacheRule {
    let default = CacheRule::default();
    let values = section.list("tables", &TABLE);
    let rule = CacheRule {
        name: section.required("name", &kind::TEXT).unwrap_or_default(),
        tables: values.into_iter().map(|(_, table)| table).collect(),
        digests: section.list("digests", &DIGEST).into_iter().map(|(_, digest)| digest).collect(),
        keys: section.list("keys", &KEY).into_iter().map(|(_, key)| key).collect(),
        ttl: section.setting("ttl", &kind::DURATION, default.ttl),
        soft_ttl: section.optional("soft_ttl", &kind::DEADLINE),
        stale: section.setting("stale", &kind::DURATION, default.stale),
        cost_min: section.setting("cost_min", &kind::DURATION, default.cost_min),
    };
    section.finish();
    if rule.tables.is_empty() {
        section.problem("tables", "must name every table that the results are read from");
    }
    if rule.soft_ttl.is_some_and(|soft| soft >= rule.ttl) {
        section
            .problem("soft_ttl", "must be shorter than ttl: it is when a result is renewed before its end");
    }
    if let Some((table, _)) = rule.keys.iter().find(|(table, _)| !rule.tables.contains(table)) {
        section.problem("keys", format!("`{table}` is none of the rule's tables"));
    }
    rule
}

/// What earlier rules leave of this one.
fn check_against(section: &Section<'_>, rule: &CacheRule, earlier: &[(Section<'_>, CacheRule)]) {
    let same = |other: &CacheRule| !rule.name.is_empty() && other.name == rule.name;
    if let Some((other, _)) = earlier.iter().find(|(_, other)| same(other)) {
        let line = other.position("name").line;
        section.problem("name", format!("another rule has this name, in line {line}"));
    }
    let covers = |other: &CacheRule| {
        let all = |inner: &[String]| !inner.is_empty() && inner.iter().all(|one| other.tables.contains(one));
        let digests = other.digests.is_empty()
            || !rule.digests.is_empty() && rule.digests.iter().all(|one| other.digests.contains(one));
        all(&rule.tables) && digests
    };
    if let Some((other, first)) = earlier.iter().find(|(_, other)| covers(other)) {
        let line = other.position("name").line;
        section.wrong(format!("is never reached: rule `{}` in line {line} keeps all of these", first.name));
    }
}

/// Bytes that this process may take at most, as far as the machine and its control group say.
fn memory() -> Option<u64> {
    let info = rustix::system::sysinfo();
    let machine = info.totalram.saturating_mul(u64::from(info.mem_unit.max(1)));
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let group = group.and_then(|text| text.trim().parse::<u64>().ok());
    Some(group.map_or(machine, |group| group.min(machine)))
}
