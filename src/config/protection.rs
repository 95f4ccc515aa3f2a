//! Settings that protect the servers: rules for statements, concurrency, breakers, quarantine.

use std::fmt;
use std::time::Duration;

/// What is done for the sake of the servers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Protection {
    /// Rules, in the order of the file.
    pub rules: Vec<Rule>,
    /// What is done about a digest that becomes much slower than it was.
    pub quarantine: Quarantine,
}

/// Which statements a rule is about: every list that is not empty must hold one that fits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matcher {
    /// User names.
    pub users: Vec<String>,
    /// Applications: the connection attribute `program_name`, or `app=…` in a comment. `*` stands for anything.
    pub applications: Vec<String>,
    /// Clusters whose servers the statement goes to: shards.
    pub clusters: Vec<String>,
    /// Digests, as `/digests` shows them.
    pub digests: Vec<u64>,
    /// Tables, without their schemas, in lower case.
    pub tables: Vec<String>,
    /// Kinds of statements.
    pub kinds: Kinds,
    /// Normalised texts; `*` stands for anything, letter case does not count.
    pub patterns: Vec<String>,
}

impl Matcher {
    /// Whether every statement that `other` is about is one of these.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        fn within<T: PartialEq>(outer: &[T], inner: &[T]) -> bool {
            outer.is_empty() || (!inner.is_empty() && inner.iter().all(|one| outer.contains(one)))
        }
        within(&self.users, &other.users)
            && within(&self.applications, &other.applications)
            && within(&self.clusters, &other.clusters)
            && within(&self.digests, &other.digests)
            && within(&self.tables, &other.tables)
            && within(&self.patterns, &other.patterns)
            && (self.kinds.is_empty()
                || (!other.kinds.is_empty() && self.kinds.with_parts().has_all(other.kinds)))
    }

    /// Whether it is about what a statement is and where it goes, not only about whose it is.
    #[must_use]
    pub fn looks_at_statements(&self) -> bool {
        !(self.clusters.is_empty()
            && self.digests.is_empty()
            && self.tables.is_empty()
            && self.kinds.is_empty()
            && self.patterns.is_empty())
    }
}

/// One rule: which statements, and what becomes of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Its name, in errors, metrics and logs.
    pub name: String,
    /// Which statements.
    pub matcher: Matcher,
    /// How important they are, from 1.
    pub tier: Option<u32>,
    /// They are refused,
    pub deny: bool,
    /// or only counted.
    pub dry_run: bool,
    /// Statements a second.
    pub rate: Option<u32>,
    /// Statements at once that the rate allows after a pause; by default as many as in a second.
    pub burst: Option<u32>,
    /// Statements at once.
    pub concurrency: Option<u32>,
    /// Statements that may wait for their turn.
    pub queue_max: u32,
    /// For how long.
    pub queue_timeout: Duration,
    /// Rows of a result.
    pub rows_max: Option<u32>,
    /// Bytes of a result.
    pub result_bytes_max: Option<u64>,
    /// How long a statement may run.
    pub time_max: Option<Duration>,
    /// How long a transaction may be open without a statement.
    pub idle_transaction_max: Option<Duration>,
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            name: String::new(),
            matcher: Matcher::default(),
            tier: None,
            deny: false,
            dry_run: false,
            rate: None,
            burst: None,
            concurrency: None,
            queue_max: 1_000,
            queue_timeout: Duration::from_secs(1),
            rows_max: None,
            result_bytes_max: None,
            time_max: None,
            idle_transaction_max: None,
        }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])+ $name:ident = $text:literal,)+) => {
        #[derive(Clone, Copy)]
        #[expect(non_camel_case_types, clippy::upper_case_acronyms, reason = "the constants below take their names from here")]
        enum Bit { $($name,)+ }

        impl Kinds {
            $($(#[$doc])+ pub const $name: Self = Self(1 << Bit::$name as u16);)+

            /// Every kind with its name.
            pub const NAMES: &'static [(&'static str, Self)] = &[$(($text, Self::$name),)+];
        }
    };
}

/// A set of kinds of statements.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Kinds(u16);

kinds! {
    /// What only reads.
    READ = "read",
    /// What may change something.
    WRITE = "write",
    /// SELECT, VALUES, TABLE.
    SELECT = "select",
    /// INSERT.
    INSERT = "insert",
    /// REPLACE.
    REPLACE = "replace",
    /// UPDATE.
    UPDATE = "update",
    /// DELETE.
    DELETE = "delete",
    /// LOAD DATA.
    LOAD = "load",
    /// CALL.
    CALL = "call",
    /// CREATE, ALTER, DROP, TRUNCATE, RENAME.
    DDL = "ddl",
    /// DROP, but of temporary tables.
    DROP = "drop",
    /// TRUNCATE.
    TRUNCATE = "truncate",
    /// UPDATE or DELETE with neither WHERE nor LIMIT.
    WHOLE_TABLE = "whole_table",
}

impl Kinds {
    /// No kind.
    pub const NONE: Self = Self(0);

    /// Whether it is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether some kind is in both.
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether all of `other` is here.
    #[must_use]
    pub const fn has_all(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// With the kinds that are part of these.
    #[must_use]
    pub const fn with_parts(self) -> Self {
        let mut all = self;
        if all.has_all(Self::WRITE) {
            let writes = [
                Self::INSERT,
                Self::REPLACE,
                Self::UPDATE,
                Self::DELETE,
                Self::LOAD,
                Self::CALL,
                Self::DDL,
                Self::WHOLE_TABLE,
            ];
            let mut n = 0;
            while n < writes.len() {
                all = all.with(writes[n]);
                n += 1;
            }
        }
        if all.has_all(Self::DDL) {
            all = all.with(Self::DROP).with(Self::TRUNCATE);
        }
        if all.has_all(Self::UPDATE) && all.has_all(Self::DELETE) {
            all = all.with(Self::WHOLE_TABLE);
        }
        all
    }
}

impl fmt::Debug for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Self::NAMES.iter().filter(|(_, kind)| self.has_all(*kind)).map(|(name, _)| name);
        f.debug_set().entries(names).finish()
    }
}

/// How many statements run at once on the servers of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concurrency {
    /// How the number is found.
    pub mode: ConcurrencyMode,
    /// At least, for `adaptive`.
    pub min: u32,
    /// At most; 0: as many as the pool has connections.
    pub max: u32,
    /// Statements that may wait.
    pub queue_max: u32,
    /// For how long.
    pub queue_timeout: Duration,
    /// For how long while the line does not get empty, for tiers that are shed; longer if statements take long.
    pub target: Duration,
}

impl Default for Concurrency {
    fn default() -> Self {
        Self {
            mode: ConcurrencyMode::Off,
            min: 4,
            max: 0,
            queue_max: 10_000,
            queue_timeout: Duration::from_secs(1),
            target: Duration::from_millis(20),
        }
    }
}

/// How the number of statements at once is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConcurrencyMode {
    /// No limit beside the pool's.
    #[default]
    Off,
    /// `max`.
    Fixed,
    /// By itself, between `min` and `max`.
    Adaptive,
}

/// When a server is left alone for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// Whether there is one.
    pub enabled: bool,
    /// And one for each digest.
    pub per_digest: bool,
    /// How far back it looks.
    pub window: Duration,
    /// Statements in the window before it judges.
    pub volume_min: u32,
    /// It opens at this percentage of failures that are the server's fault.
    pub errors_max: u32,
    /// A statement that takes longer is slow; zero: none is.
    pub slow: Duration,
    /// It opens at this percentage of slow statements.
    pub slow_max: u32,
    /// How long it stays open the first time; each further time twice as long.
    pub open: Duration,
    /// At most.
    pub open_max: Duration,
    /// Statements that are tried before it closes.
    pub probes: u32,
    /// How long closing takes.
    pub ramp: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            enabled: false,
            per_digest: false,
            window: Duration::from_secs(1),
            volume_min: 20,
            errors_max: 50,
            slow: Duration::ZERO,
            slow_max: 80,
            open: Duration::from_secs(1),
            open_max: Duration::from_secs(30),
            probes: 3,
            ramp: Duration::from_secs(5),
        }
    }
}

/// What is done about a digest whose time explodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantine {
    /// Nothing, a suggestion, or a limit at once.
    pub mode: QuarantineMode,
    /// Its statements take so many times what they took before,
    pub slower: u32,
    /// and at least this percentage of all the time that statements take,
    pub share: u32,
    /// each so long on average: what stays quick is no explosion,
    pub time_min: Duration,
    /// and together this percentage of the time that passes: 100 is one of them at any moment.
    pub busy: u32,
    /// Then so many run at once.
    pub concurrency: u32,
    /// For how long.
    pub ttl: Duration,
}

impl Default for Quarantine {
    fn default() -> Self {
        Self {
            mode: QuarantineMode::Suggest,
            slower: 10,
            share: 30,
            time_min: Duration::from_millis(5),
            busy: 20,
            concurrency: 2,
            ttl: Duration::from_secs(600),
        }
    }
}

/// Who acts on a digest whose time explodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QuarantineMode {
    /// Nobody looks.
    Off,
    /// It is suggested to the operators.
    #[default]
    Suggest,
    /// It is done, unless the statement is of tier 1.
    Auto,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wider_matcher_covers_a_narrower_one() {
        let all = Matcher::default();
        let app = Matcher { users: vec!["app".into()], ..Matcher::default() };
        let both = Matcher { users: vec!["app".into(), "web".into()], ..Matcher::default() };
        let deletes = Matcher { kinds: Kinds::DELETE, ..app.clone() };
        let writes = Matcher { kinds: Kinds::WRITE, ..Matcher::default() };
        for (outer, inner, covers) in [
            (&all, &app, true),
            (&app, &all, false),
            (&both, &app, true),
            (&app, &both, false),
            (&writes, &deletes, true),
            (&deletes, &writes, false),
            (&app, &deletes, true),
        ] {
            assert_eq!(outer.covers(inner), covers, "{outer:?} over {inner:?}");
        }
        let spared = Kinds::DDL.with(Kinds::UPDATE);
        assert!(spared.with_parts().has_all(Kinds::TRUNCATE));
        assert!(!spared.with_parts().has_all(Kinds::WHOLE_TABLE));
    }
}
