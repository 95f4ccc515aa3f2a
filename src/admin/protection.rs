//! `/protection`: doors, breakers, rules, switches and suggestions as JSON; and the switches themselves, which
//! operators of this machine turn.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::config::protection::{Kinds, Matcher, Quarantine, QuarantineMode};
use crate::engine::Engine;
use crate::protection::{
    Admission, DoorView, Finding, Grade, Observed, Phase, Switch, SwitchError, Tier, Watch,
};
use crate::telemetry::{DoorNumbers, write_protection};

/// Suggestions that are kept.
const SUGGESTIONS_MAX: usize = 100;

/// Doors by name.
type Doors = dyn Fn() -> Vec<(String, DoorView)> + Send + Sync;

/// What operators see of the protection, and can do about it.
pub struct Controls {
    admission: Arc<Admission>,
    doors: Box<Doors>,
    /// Held for the copy of a list.
    suggestions: Mutex<Vec<(Finding, Instant)>>,
    watch: Mutex<Watch>,
}

impl fmt::Debug for Controls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controls").finish_non_exhaustive()
    }
}

impl Default for Controls {
    fn default() -> Self {
        Self::new(Arc::default(), Box::new(Vec::new))
    }
}

impl Controls {
    fn new(admission: Arc<Admission>, doors: Box<Doors>) -> Self {
        Self { admission, doors, suggestions: Mutex::default(), watch: Mutex::default() }
    }

    /// The controls of `engine`, whose numbers become metrics.
    #[must_use]
    pub fn of(engine: &Arc<Engine>) -> Arc<Self> {
        let weak = Arc::downgrade(engine);
        let doors = move || {
            let Some(engine) = weak.upgrade() else { return Vec::new() };
            let snapshot = engine.snapshot();
            let mut doors: Vec<(String, DoorView)> = snapshot
                .topology
                .clusters()
                .flat_map(|cluster| std::iter::once(&cluster.primary).chain(&cluster.replicas))
                .filter_map(|backend| Some((backend.name().to_owned(), backend.door()?.view())))
                .collect();
            doors.sort_unstable_by(|one, other| one.0.cmp(&other.0));
            doors
        };
        let controls = Arc::new(Self::new(Arc::clone(&engine.admission), Box::new(doors)));
        let shown = Arc::clone(&controls);
        engine.telemetry.register(Box::new(move |sink| {
            let doors: Vec<DoorNumbers> = shown.all_doors().iter().map(numbers).collect();
            let now = Instant::now();
            let hits = |(switch, hits): (Switch, u64)| (switch.name.to_string(), hits);
            let switches: Vec<_> = shown.admission.switches(now).into_iter().map(hits).collect();
            write_protection(sink, &doors, &shown.admission.rule_hits(), &switches)
        }));
        controls
    }

    fn all_doors(&self) -> Vec<(String, DoorView)> {
        let mut doors = (self.doors)();
        doors.extend(
            self.admission.rule_doors().into_iter().map(|(name, view)| (format!("rule {name}"), view)),
        );
        doors
    }

    /// Every few seconds: forgets switches that have reverted, and looks for digests that explode.
    pub fn look(&self, observed: &[Observed], settings: &Quarantine) {
        let now = Instant::now();
        for name in self.admission.tidy(now) {
            info!(switch = &*name, "switch reverted by itself");
        }
        self.suggestions.lock().retain(|(_, until)| now < *until);
        if settings.mode == QuarantineMode::Off {
            return;
        }
        for finding in self.watch.lock().observe(observed, settings, now) {
            self.act(finding, settings, now);
        }
    }

    fn act(&self, finding: Finding, settings: &Quarantine, now: Instant) {
        let digest = format!("{:016x}", finding.digest);
        if settings.mode == QuarantineMode::Auto {
            let matcher = Matcher { digests: vec![finding.digest], ..Matcher::default() };
            let mut switch = Switch::new(&format!("quarantine-{digest}"), matcher, now);
            switch.concurrency = Some(settings.concurrency);
            switch.reason.clone_from(&finding.reason);
            match self.admission.switch(switch, settings.ttl, now) {
                Ok(()) => warn!(digest, reason = finding.reason, "digest quarantined"),
                Err(error) => warn!(digest, %error, "digest could not be quarantined"),
            }
            return;
        }
        warn!(digest, reason = finding.reason, "digest should be quarantined");
        let mut suggestions = self.suggestions.lock();
        suggestions.truncate(SUGGESTIONS_MAX - 1);
        suggestions.insert(0, (finding, now + settings.ttl));
    }

    pub(super) fn to_json(&self) -> String {
        let now = Instant::now();
        let doors: Vec<Value> = self.all_doors().iter().map(door).collect();
        let rules: Vec<Value> = self
            .admission
            .rule_hits()
            .iter()
            .map(|(name, hits)| json!({"rule": name, "hits": hits}))
            .collect();
        let switches: Vec<Value> = self.admission.switches(now).iter().map(|one| switch(one, now)).collect();
        let suggestions: Vec<Value> = self
            .suggestions
            .lock()
            .iter()
            .map(|(finding, _)| json!({"digest": format!("{:016x}", finding.digest), "reason": finding.reason}))
            .collect();
        json!({"doors": doors, "rules": rules, "switches": switches, "suggestions": suggestions}).to_string()
    }

    /// Turns a switch, as a query string says: `ttl=30m&table=reports&user=…&digest=…&application=…&kind=…&tier=…
    /// &concurrency=…&reason=…`.
    pub(super) fn switch(&self, name: &str, query: &str) -> Result<(), String> {
        let now = Instant::now();
        let (wanted, ttl) = parse(name, query, now)?;
        self.admission.switch(wanted.clone(), ttl, now).map_err(|error| error.to_string())?;
        warn!(switch = name, ttl = ?ttl, reason = wanted.reason, "switched off");
        Ok(())
    }

    pub(super) fn revert(&self, name: &str) -> Result<(), SwitchError> {
        self.admission.revert(name, Instant::now())?;
        warn!(switch = name, "switched on again");
        Ok(())
    }
}

fn parse(name: &str, query: &str, now: Instant) -> Result<(Switch, Duration), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ');
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        return Err("the name must be 1 to 64 letters, digits, blanks, `_`, `-` or `.`".to_owned());
    }
    let mut switch = Switch::new(name, Matcher::default(), now);
    let mut ttl = Duration::ZERO;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("`{pair}` is no `key=value`"))?;
        let value = decoded(value).ok_or_else(|| format!("{key}: cannot be read"))?;
        let wrong = || format!("{key}: `{value}` is not possible");
        let matcher = &mut switch.matcher;
        match key {
            "ttl" => ttl = crate::config::duration(&value).ok_or_else(wrong)?,
            "user" => matcher.users.push(value),
            "application" => matcher.applications.push(value.to_lowercase()),
            "cluster" => matcher.clusters.push(value),
            "table" => matcher.tables.push(value.to_lowercase()),
            "pattern" => matcher.patterns.push(value.to_lowercase()),
            "digest" => matcher.digests.push(u64::from_str_radix(&value, 16).map_err(|_| wrong())?),
            "kind" => {
                let kind = Kinds::NAMES.iter().find(|(name, _)| *name == value);
                matcher.kinds = matcher.kinds.with(kind.ok_or_else(wrong)?.1);
            }
            "tier" => {
                let tier = value.parse().ok().and_then(Tier::new);
                switch.tier_from = Some(tier.ok_or_else(wrong)?);
            }
            "concurrency" => {
                let limit = value.parse().ok().filter(|limit| *limit > 0);
                switch.concurrency = Some(limit.ok_or_else(wrong)?);
            }
            "state" => match value.as_str() {
                "off" => {}
                "stale" => switch.kept_only = true,
                _ => return Err(wrong()),
            },
            "reason" => switch.reason = value,
            _ => return Err(format!("`{key}` is unknown")),
        }
    }
    if switch.kept_only && switch.concurrency.is_some() {
        return Err("concurrency: not together with stale".to_owned());
    }
    Ok((switch, ttl))
}

/// A value of a query string.
pub(super) fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn grade(grade: Grade) -> (u32, &'static str) {
    match grade {
        Grade::Calm => (0, "calm"),
        Grade::Warn => (1, "warn"),
        Grade::Queue => (2, "queue"),
        Grade::Shed(_) => (3, "shed"),
        Grade::FirstOnly => (4, "tier 1 only"),
    }
}

const fn phase(phase: Phase) -> u32 {
    match phase {
        Phase::Closed => 0,
        Phase::Ramp => 1,
        Phase::HalfOpen => 2,
        Phase::Open => 3,
    }
}

fn numbers((name, view): &(String, DoorView)) -> DoorNumbers {
    DoorNumbers {
        door: name.clone(),
        limit: view.limit,
        running: view.running,
        waiting: view.waiting,
        grade: grade(view.grade).0,
        granted: [view.counts.granted, view.counts.waited],
        turned: view.counts.turned.to_vec(),
        breaker: view.breaker.map(|(state, opened)| (phase(state), opened)),
        digests_barred: view.digests_barred,
    }
}

fn door((name, view): &(String, DoorView)) -> Value {
    json!({
        "door": name,
        "limit": Some(view.limit).filter(|limit| *limit < u32::MAX),
        "running": view.running,
        "waiting": view.waiting,
        "grade": grade(view.grade).1,
        "granted": view.counts.granted,
        "waited": view.counts.waited,
        "turned_away_by_tier": view.counts.turned,
        "breaker": view.breaker.map(|(state, opened)| json!({"state": state.name(), "opened": opened})),
        "digests_barred": view.digests_barred,
    })
}

fn switch((switch, hits): &(Switch, u64), now: Instant) -> Value {
    let matcher = &switch.matcher;
    json!({
        "switch": &*switch.name,
        "users": matcher.users,
        "applications": matcher.applications,
        "clusters": matcher.clusters,
        "digests": matcher.digests.iter().map(|digest| format!("{digest:016x}")).collect::<Vec<_>>(),
        "tables": matcher.tables,
        "kinds": format!("{:?}", matcher.kinds),
        "tier_from": switch.tier_from.map(Tier::number),
        "concurrency": switch.concurrency,
        "stale": switch.kept_only,
        "reason": switch.reason,
        "reverts_in_seconds": switch.until.saturating_duration_since(now).as_secs_f64(),
        "hits": hits,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_what_its_query_says() {
        let now = Instant::now();
        let (switch, ttl) = parse("reports", "ttl=30m&table=Report&user=a%20b&tier=3&reason=too+slow", now)
            .expect("possible");
        assert_eq!(ttl, Duration::from_secs(1_800));
        assert_eq!(
            (&*switch.matcher.tables, &*switch.matcher.users),
            (&["report".to_owned()][..], &["a b".to_owned()][..])
        );
        assert_eq!((switch.tier_from, switch.reason.as_str()), (Tier::new(3), "too slow"));
        for wrong in
            ["ttl=5", "tier=9", "digest=xyz", "colour=red", "kind=selec", "concurrency=0", "ttl", "user=%f"]
        {
            assert!(parse("reports", wrong, now).is_err(), "{wrong}");
        }
        assert!(parse("re\nports", "ttl=1s", now).is_err());
    }
}
