//! Rules made ready: which of them a digest and a session meet is worked out once, and is then one number.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::protection::{Kinds, Matcher};
use crate::protection::Tier;
use crate::protection::rule::{Rule, Verdict};
use crate::sql::{Access, Kind, Shape, Statement};

/// A set of rules: bit n is the n-th of a policy.
pub type RuleSet = u64;

/// All rules of one moment, in their order.
#[derive(Debug, Default)]
pub struct Policy {
    /// Its number, never 0 if there is a rule.
    pub revision: u32,
    pub(crate) rules: Vec<Arc<Rule>>,
    /// Some rule asks for the application, so that comments have to be looked at.
    pub(crate) by_application: bool,
    /// Some rule asks for the cluster.
    pub(crate) by_cluster: bool,
}

/// The rules that the statements of one digest may meet; kept with the digest's facts.
#[derive(Debug, Default)]
pub struct Marks {
    revision: AtomicU32,
    rules: AtomicU64,
}

/// Who a session is, and the rules that it may meet.
#[derive(Debug, Default)]
pub struct Identity {
    /// What its client calls itself at login, in lower case.
    pub application: Option<Box<str>>,
    revision: u32,
    rules: RuleSet,
}

impl Identity {
    /// A session whose rules are not known yet.
    #[must_use]
    pub fn new(application: Option<Box<str>>) -> Self {
        Self { application, ..Self::default() }
    }
}

/// What the rules say about one statement.
#[derive(Clone, Debug)]
pub struct Decision {
    /// How important it is.
    pub tier: Tier,
    /// What its result and its time may be.
    pub allowance: Allowance,
    /// Rules with a rate or a concurrency, by their places in the policy.
    pub(crate) limits: RuleSet,
}

impl Decision {
    /// The same without rates and concurrency.
    #[must_use]
    pub fn without_limits(self) -> Self {
        Self { limits: 0, ..self }
    }

    /// Whether no rate and no concurrency is asked for.
    #[must_use]
    pub const fn is_without_limits(&self) -> bool {
        self.limits == 0
    }
}

impl Default for Decision {
    fn default() -> Self {
        Self { tier: Tier::NORMAL, allowance: Allowance::default(), limits: 0 }
    }
}

/// What a statement may take, beside its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Rows of its result.
    pub rows_max: u64,
    /// Bytes of its result.
    pub bytes_max: u64,
    /// How long it may run.
    pub time_max: Option<Duration>,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { rows_max: u64::MAX, bytes_max: u64::MAX, time_max: None }
    }
}

/// Why a statement is not run at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// A rule of this name.
    Rule(Arc<str>),
    /// A switch of this name, for so long.
    Switch(Arc<str>, Duration),
    /// A switch of this name, for so long, but for what is kept.
    KeptOnly(Arc<str>, Duration),
}

impl Policy {
    /// Whether there is no rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a comment of a statement may decide which rules it meets.
    #[must_use]
    pub const fn by_application(&self) -> bool {
        self.by_application
    }

    /// The rules whose statement part fits; of a digest whose marks are not of this policy, they are worked
    /// out and kept there.
    pub fn marked(&self, marks: &Marks, statement: &Statement, shape: &Shape) -> RuleSet {
        if marks.revision.load(Ordering::Relaxed) == self.revision {
            return marks.rules.load(Ordering::Relaxed);
        }
        let rules = if is_exempt(statement.kind) { 0 } else { self.of_statement(statement, shape) };
        marks.rules.store(rules, Ordering::Relaxed);
        marks.revision.store(self.revision, Ordering::Relaxed);
        rules
    }

    fn of_statement(&self, statement: &Statement, shape: &Shape) -> RuleSet {
        let kinds = kinds(statement, shape);
        let text = statement.digest.text.to_lowercase();
        self.select(|matcher| {
            (matcher.digests.is_empty() || matcher.digests.contains(&statement.digest.hash))
                && (matcher.kinds.is_empty() || matcher.kinds.meets(kinds))
                && (matcher.tables.is_empty()
                    || shape.tables.iter().any(|table| matcher.tables.iter().any(|name| **name == **table)))
                && (matcher.patterns.is_empty()
                    || matcher.patterns.iter().any(|pattern| glob(pattern, &text)))
        })
    }

    /// The rules whose identity part fits the session of `user`.
    pub fn identified(&self, identity: &mut Identity, user: &str) -> RuleSet {
        if identity.revision != self.revision {
            identity.rules = self.of_session(user, identity.application.as_deref());
            identity.revision = self.revision;
        }
        identity.rules
    }

    /// The rules whose identity part fits.
    pub fn of_session(&self, user: &str, application: Option<&str>) -> RuleSet {
        self.select(|matcher| {
            (matcher.users.is_empty() || matcher.users.iter().any(|name| name == user))
                && (matcher.applications.is_empty()
                    || application
                        .is_some_and(|name| matcher.applications.iter().any(|pattern| glob(pattern, name))))
        })
    }

    /// The rules that fit statements to servers of these clusters, whatever else they ask for.
    pub fn at_clusters<'a>(&self, mut names: impl Iterator<Item = &'a str>) -> RuleSet {
        if !self.by_cluster {
            return RuleSet::MAX;
        }
        let names: Vec<&str> = names.by_ref().collect();
        self.select(|matcher| {
            matcher.clusters.is_empty() || matcher.clusters.iter().any(|name| names.contains(&name.as_str()))
        })
    }

    fn select(&self, fits: impl Fn(&Matcher) -> bool) -> RuleSet {
        self.rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| fits(&rule.matcher))
            .fold(0, |set, (n, _)| set | 1 << n)
    }

    /// What the rules of `met` say.
    ///
    /// # Errors
    /// The statement is not to be run.
    pub fn decide(&self, met: RuleSet, now: Instant) -> Result<Decision, Denial> {
        let mut decision = Decision::default();
        let rules = || each(met).filter_map(|n| Some((n, self.rules.get(n)?)));
        if let Some((_, rule)) = rules().find(|(_, rule)| rule.tier.is_some() && rule.is_in_force(now)) {
            decision.tier = rule.tier.unwrap_or(Tier::NORMAL);
        }
        for (n, rule) in rules() {
            let fits = rule.is_in_force(now)
                && rule.tier_from.is_none_or(|from| decision.tier >= from)
                && !(rule.spares_first && decision.tier == Tier::FIRST);
            if !fits {
                continue;
            }
            match &rule.verdict {
                Verdict::Pass => {}
                Verdict::Count => rule.count_hit(),
                Verdict::Deny => {
                    rule.count_hit();
                    return Err(Denial::Rule(Arc::clone(&rule.name)));
                }
                Verdict::SwitchedOff | Verdict::KeptOnly => {
                    rule.count_hit();
                    let left = rule.until.map(|until| until.saturating_duration_since(now));
                    let (name, left) = (Arc::clone(&rule.name), left.unwrap_or_default());
                    let kept_only = rule.verdict == Verdict::KeptOnly;
                    return Err(if kept_only {
                        Denial::KeptOnly(name, left)
                    } else {
                        Denial::Switch(name, left)
                    });
                }
            }
            let allowance = &mut decision.allowance;
            allowance.rows_max = allowance.rows_max.min(rule.allowance.rows_max);
            allowance.bytes_max = allowance.bytes_max.min(rule.allowance.bytes_max);
            allowance.time_max = shorter(allowance.time_max, rule.allowance.time_max);
            if rule.is_limit() {
                decision.limits |= 1 << n;
            }
        }
        Ok(decision)
    }

    /// How long a transaction of a session that meets `met` may be idle.
    #[must_use]
    pub fn idle_transaction_max(&self, met: RuleSet) -> Option<Duration> {
        each(met)
            .filter_map(|n| self.rules.get(n))
            .fold(None, |min, rule| shorter(min, rule.idle_transaction_max))
    }

    pub(crate) fn limits(&self, set: RuleSet) -> impl Iterator<Item = &Arc<Rule>> {
        each(set).filter_map(|n| self.rules.get(n))
    }
}

fn shorter(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// The places of a set, in order.
fn each(mut set: RuleSet) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let n = set.trailing_zeros();
        set &= set.wrapping_sub(1);
        (n < RuleSet::BITS).then_some(n as usize)
    })
}

/// Statements that no rule is about: refusing or delaying them would only make matters worse.
fn is_exempt(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Empty
            | Kind::Begin
            | Kind::Commit
            | Kind::Rollback
            | Kind::RollbackTo
            | Kind::Savepoint
            | Kind::ReleaseSavepoint
            | Kind::Xa
            | Kind::Set
            | Kind::Use
            | Kind::UnlockTables
            | Kind::UnlockInstance
            | Kind::Deallocate
            | Kind::Kill
            | Kind::GetDiagnostics
    )
}

fn kinds(statement: &Statement, shape: &Shape) -> Kinds {
    let own = match statement.kind {
        Kind::Select | Kind::Values | Kind::Table => Kinds::SELECT,
        Kind::Insert => Kinds::INSERT,
        Kind::Replace => Kinds::REPLACE,
        Kind::Update => Kinds::UPDATE,
        Kind::Delete => Kinds::DELETE,
        Kind::Load => Kinds::LOAD,
        Kind::Call => Kinds::CALL,
        Kind::CreateTable | Kind::DropTable | Kind::Truncate | Kind::Ddl => Kinds::DDL,
        _ => Kinds::NONE,
    };
    let access = match statement.access {
        Access::Read => Kinds::READ,
        Access::Write => Kinds::WRITE,
    };
    let seen = [
        (shape.drops, Kinds::DROP),
        (shape.truncates, Kinds::TRUNCATE),
        (shape.whole_table, Kinds::WHOLE_TABLE),
    ];
    seen.into_iter().filter(|(seen, _)| *seen).fold(own.with(access), |all, (_, kind)| all.with(kind))
}

/// Whether `text` is `pattern`, in which `*` stands for anything. Both are in lower case.
#[must_use]
pub fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// The application that a comment at the beginning or end of `text` names: `/* app=shop */`, or
/// `/*application='shop'*/` as sqlcommenter writes it.
#[must_use]
pub fn application_of(text: &[u8]) -> Option<String> {
    /// Longer comments are not looked at.
    const COMMENT_MAX: usize = 512;
    let text = text.trim_ascii();
    let first = text.strip_prefix(b"/*").map(|rest| &rest[..rest.len().min(COMMENT_MAX)]);
    let first = first.and_then(|rest| rest.windows(2).position(|two| two == b"*/").map(|end| &rest[..end]));
    let last = text.strip_suffix(b"*/").map(|rest| &rest[rest.len().saturating_sub(COMMENT_MAX)..]);
    let last = last.and_then(|rest| rest.windows(2).rposition(|two| two == b"/*").map(|at| &rest[at + 2..]));
    [first, last].into_iter().flatten().find_map(named)
}

fn named(comment: &[u8]) -> Option<String> {
    let comment = std::str::from_utf8(comment).ok()?;
    comment.split(',').find_map(|pair| {
        let (key, value) = pair.split_once(['=', ':'])?;
        let key = key.trim().to_lowercase();
        let value = value.trim().trim_matches(['\'', '"']);
        (matches!(key.as_str(), "app" | "application") && !value.is_empty()).then(|| value.to_lowercase())
    })
}

#[cfg(test)]
mod tests;
