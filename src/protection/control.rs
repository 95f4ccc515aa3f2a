//! The one door of the process: its rules, and the switches that operators turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::config::protection::{Matcher, Protection};
use crate::protection::door::{Door, DoorView};
use crate::protection::gate::Ask;
use crate::protection::permit::Permit;
use crate::protection::policy::{Decision, Denial, Policy};
use crate::protection::refusal::{Place, Refusal};
use crate::protection::rule::{Rate, Rule, Verdict};
use crate::protection::{Concurrency, GateSettings, Tier};

/// Switches and quarantines in force at once.
const SWITCHES_MAX: usize = 20;
/// The longest that one lasts: nothing is switched off and forgotten.
const TTL_MAX: Duration = Duration::from_secs(7 * 86_400);

/// See the module's text.
#[derive(Debug)]
pub struct Admission {
    /// Of the policy; 0 while there is no rule, so that a statement without rules costs one load.
    revision: AtomicU32,
    policy: ArcSwap<Policy>,
    /// Held while a policy is built, never by a statement.
    control: Mutex<Control>,
}

#[derive(Debug, Default)]
struct Control {
    built: u32,
    configured: Vec<Arc<Rule>>,
    switches: Vec<Switch>,
}

/// Something switched off, or kept to a few at a time, until it reverts by itself.
#[derive(Clone, Debug)]
pub struct Switch {
    /// Its name.
    pub name: Arc<str>,
    /// Which statements.
    pub matcher: Matcher,
    /// Only this tier and those below it.
    pub tier_from: Option<Tier>,
    /// So many at once; none: they are refused.
    pub concurrency: Option<u32>,
    /// They are answered from what is kept, be it old; refused is only what is not.
    pub kept_only: bool,
    /// Why.
    pub reason: String,
    /// When it reverts.
    pub until: Instant,
    rule: Option<Arc<Rule>>,
}

/// Why a switch cannot be turned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SwitchError {
    /// It would switch off everything.
    #[error("say what is switched off: a rule's name, a user, application, table, digest, kind or tier")]
    Everything,
    /// The time is missing, zero or too long.
    #[error("the time must be more than zero and at most seven days")]
    Ttl,
    /// Too many are on.
    #[error("{SWITCHES_MAX} switches are on already")]
    TooMany,
    /// Tier 1 is not switched off by tier.
    #[error("tier 1 must get through; the tier must be 2, 3 or 4")]
    FirstTier,
    /// There is none of this name.
    #[error("there is no switch of this name")]
    Unknown,
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            revision: AtomicU32::new(0),
            policy: ArcSwap::from_pointee(Policy::default()),
            control: Mutex::default(),
        }
    }
}

impl Admission {
    /// The number of the policy in force; 0: there is no rule.
    #[inline]
    #[must_use]
    pub fn revision(&self) -> u32 {
        self.revision.load(Ordering::Relaxed)
    }

    /// The policy in force.
    #[must_use]
    pub fn policy(&self) -> Guard<Arc<Policy>> {
        self.policy.load()
    }

    /// Goes over to the rules of `settings`; what rules of the same name have counted goes on.
    pub fn configure(&self, settings: &Protection, now: Instant) {
        let mut control = self.control.lock();
        let rules = settings.rules.iter().map(|rule| {
            let previous = control.configured.iter().find(|old| *old.name == *rule.name);
            Arc::new(Rule::configured(rule, previous.map(Arc::as_ref), now))
        });
        control.configured = rules.collect();
        self.build(&mut control, now);
    }

    /// Turns a switch. A name that is a rule's and comes with nothing else means the statements of that rule; a
    /// switch of this name that is on already is replaced.
    ///
    /// # Errors
    /// [`SwitchError`]; nothing has changed.
    pub fn switch(&self, mut switch: Switch, ttl: Duration, now: Instant) -> Result<(), SwitchError> {
        if ttl.is_zero() || ttl > TTL_MAX {
            return Err(SwitchError::Ttl);
        }
        if switch.tier_from == Some(Tier::FIRST) {
            return Err(SwitchError::FirstTier);
        }
        let mut control = self.control.lock();
        if switch.matcher == Matcher::default() && switch.tier_from.is_none() {
            let named = control.configured.iter().find(|rule| rule.name == switch.name);
            switch.matcher = named.map(|rule| rule.matcher.clone()).ok_or(SwitchError::Everything)?;
            if switch.matcher == Matcher::default() {
                return Err(SwitchError::Everything);
            }
        }
        control.switches.retain(|other| other.name != switch.name && now < other.until);
        if control.switches.len() >= SWITCHES_MAX {
            return Err(SwitchError::TooMany);
        }
        switch.until = now + ttl;
        switch.rule = Some(Arc::new(switch.made(now)));
        control.switches.push(switch);
        self.build(&mut control, now);
        Ok(())
    }

    /// Takes a switch back.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn revert(&self, name: &str, now: Instant) -> Result<(), SwitchError> {
        let mut control = self.control.lock();
        let before = control.switches.len();
        control.switches.retain(|switch| *switch.name != *name);
        if control.switches.len() == before {
            return Err(SwitchError::Unknown);
        }
        self.build(&mut control, now);
        Ok(())
    }

    /// The switches that are on, with what each has refused.
    #[must_use]
    pub fn switches(&self, now: Instant) -> Vec<(Switch, u64)> {
        let control = self.control.lock();
        let on = control.switches.iter().filter(|switch| now < switch.until);
        on.map(|switch| (switch.clone(), switch.rule.as_ref().map_or(0, |rule| rule.hits()))).collect()
    }

    /// The rules of the configuration, with what each has refused.
    #[must_use]
    pub fn rule_hits(&self) -> Vec<(String, u64)> {
        self.control.lock().configured.iter().map(|rule| (rule.name.to_string(), rule.hits())).collect()
    }

    /// The doors of rules and switches that have one.
    #[must_use]
    pub fn rule_doors(&self) -> Vec<(String, DoorView)> {
        let policy = self.policy.load();
        let doors = policy.rules.iter();
        doors.filter_map(|rule| Some((rule.name.to_string(), rule.door.as_ref()?.view()))).collect()
    }

    /// Forgets what has reverted by itself; returns its names.
    pub fn tidy(&self, now: Instant) -> Vec<Arc<str>> {
        let mut control = self.control.lock();
        let gone: Vec<Arc<str>> = control
            .switches
            .iter()
            .filter(|switch| now >= switch.until)
            .map(|switch| Arc::clone(&switch.name))
            .collect();
        if !gone.is_empty() {
            control.switches.retain(|switch| now < switch.until);
            self.build(&mut control, now);
        }
        gone
    }

    /// Switches come first: what is off is off whatever the rules say.
    fn build(&self, control: &mut Control, now: Instant) {
        control.switches.retain(|switch| now < switch.until);
        let switched = control.switches.iter().filter_map(|switch| switch.rule.clone());
        let rules: Vec<Arc<Rule>> = switched.chain(control.configured.iter().cloned()).collect();
        control.built = control.built.wrapping_add(1).max(1);
        let revision = if rules.is_empty() { 0 } else { control.built };
        let by_application = rules.iter().any(|rule| !rule.matcher.applications.is_empty());
        let by_cluster = rules.iter().any(|rule| !rule.matcher.clusters.is_empty());
        self.policy.store(Arc::new(Policy { revision: control.built, rules, by_application, by_cluster }));
        self.revision.store(revision, Ordering::Release);
    }
}

impl Switch {
    /// A switch that is not on yet.
    #[must_use]
    pub fn new(name: &str, matcher: Matcher, now: Instant) -> Self {
        Self {
            name: name.into(),
            matcher,
            tier_from: None,
            concurrency: None,
            kept_only: false,
            reason: String::new(),
            until: now,
            rule: None,
        }
    }

    fn made(&self, now: Instant) -> Rule {
        let mut rule = Rule::passing(&self.name, self.matcher.clone(), self.until);
        rule.tier_from = self.tier_from;
        match self.concurrency {
            None if self.kept_only => rule.verdict = Verdict::KeptOnly,
            None => rule.verdict = Verdict::SwitchedOff,
            Some(limit) => {
                let gate = GateSettings {
                    concurrency: Concurrency::Fixed(limit),
                    queue_max: 100,
                    queue_timeout: Duration::from_secs(1),
                    target: Duration::from_millis(100),
                };
                rule.door = Some(Door::taken_over(None, gate, now));
                rule.spares_first = true;
            }
        }
        rule
    }
}

impl Policy {
    /// Waits for everything that `decision` asks for, in the order of the rules, so that two statements never
    /// wait for each other.
    ///
    /// # Errors
    /// Why the statement may not run.
    pub async fn pass(&self, decision: Decision, ask: Ask, digest: u64) -> Result<Permit, Refusal> {
        let mut permit =
            Permit { allowance: decision.allowance, tier: Some(decision.tier), ..Permit::default() };
        for rule in self.limits(decision.limits) {
            if let Some(rate) = &rule.rate {
                if ask.bound {
                    rate.overdraw(Instant::now());
                } else {
                    let now = Instant::now();
                    let taken = rate.take(ask.since, now);
                    let at = taken.map_err(|retry_after| {
                        rule.count_hit();
                        Refusal::TooFast { name: Arc::clone(&rule.name), retry_after }
                    })?;
                    if at > now {
                        let reserved = Reserved(Some(rule));
                        tokio::time::sleep_until(at).await;
                        reserved.used();
                    }
                }
            }
            if let Some(door) = &rule.door {
                let held = door.pass(ask, digest, Instant::now()).await.map_err(|shut| {
                    rule.count_hit();
                    Refusal::at(shut, Place::Rule(Arc::clone(&rule.name)))
                })?;
                permit.rules.push(held);
            }
        }
        Ok(permit)
    }
}

impl Policy {
    /// Passage for a statement that need not wait for anything that `decision` asks for, as most need not. None if
    /// it has to wait, or may not run: then nothing is taken.
    pub fn try_pass(&self, decision: &Decision, ask: Ask, digest: u64, now: Instant) -> Option<Permit> {
        if ask.bound {
            return None;
        }
        let mut permit = Permit::free(decision);
        for (passed, rule) in self.limits(decision.limits).enumerate() {
            let in_time = rule.rate.as_ref().is_none_or(|rate| rate.take_at_once(now));
            let held = match &rule.door {
                Some(door) if in_time => door.try_pass(ask, digest, now).and_then(Result::ok).map(Some),
                _ => in_time.then_some(None),
            };
            let Some(held) = held else {
                let taken = passed + usize::from(in_time);
                let rates = self.limits(decision.limits).take(taken).filter_map(|rule| rule.rate.as_ref());
                rates.for_each(Rate::give_back);
                return None;
            };
            permit.rules.extend(held);
        }
        Some(permit)
    }
}

/// A place in a rate that somebody waits for; dropped unused, it goes to others.
struct Reserved<'a>(Option<&'a Rule>);

impl Reserved<'_> {
    fn used(mut self) {
        self.0 = None;
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if let Some(rate) = self.0.and_then(|rule| rule.rate.as_ref()) {
            rate.give_back();
        }
    }
}

impl Permit {
    /// Waits at a server's own door, after all rules.
    ///
    /// # Errors
    /// Why the statement may not run.
    pub async fn pass_server(&mut self, door: &Arc<Door>, ask: Ask, digest: u64) -> Result<(), Refusal> {
        let held = door.pass(ask, digest, Instant::now()).await.map_err(Refusal::at_server)?;
        match self.server {
            None => self.server = Some(held),
            Some(_) => self.others.push(held),
        }
        Ok(())
    }
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Rule(name) => Self::Denied(name),
            Denial::Switch(name, retry_after) => Self::SwitchedOff { name, retry_after },
            Denial::KeptOnly(name, retry_after) => Self::NotKept { name, retry_after },
        }
    }
}
