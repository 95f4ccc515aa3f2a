//! What a reload changes: which settings take effect at once, and which wait for a restart.

use std::collections::BTreeMap;

use crate::config::{Admin, Cluster, Config, Listener, Logging, Process, User};

/// Paths of the settings that differ between two configurations; no values, so no secrets. A certificate or key that has
/// new content under its old path differs, too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// In effect for the next statement, login or connection, whichever the setting is about.
    pub live: Vec<String>,
    /// In effect after a restart.
    pub restart: Vec<String>,
}

impl Changes {
    /// Whether no setting differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live.is_empty() && self.restart.is_empty()
    }

    fn live(&mut self, differs: bool, path: impl Into<String>) {
        if differs {
            self.live.push(path.into());
        }
    }

    fn restart(&mut self, differs: bool, path: impl Into<String>) {
        if differs {
            self.restart.push(path.into());
        }
    }

    /// Names that came, names that went, and what `inside` says of those that stayed.
    fn named<T>(
        &mut self,
        path: &str,
        [old, new]: [&BTreeMap<String, T>; 2],
        inside: impl Fn(&mut Self, &str, &T, &T),
    ) {
        for (name, value) in new {
            match old.get(name) {
                Some(before) => inside(self, &format!("{path}.{name}"), before, value),
                None => self.live.push(format!("{path}.{name} (new)")),
            }
        }
        let gone = old.keys().filter(|name| !new.contains_key(*name));
        self.live.extend(gone.map(|name| format!("{path}.{name} (gone)")));
    }
}

impl Config {
    /// What differs in `new`. Every struct is taken apart by name here, so that a new setting does not
    /// compile before somebody has said when it takes effect.
    #[must_use]
    pub fn difference(&self, new: &Self) -> Changes {
        let Self {
            listeners,
            clusters,
            users,
            tls,
            timeouts,
            limits,
            protection,
            cache,
            admin,
            process,
            logging,
            sharding,
        } = self;
        let mut changes = Changes::default();
        let by_address = |listeners: &[Listener]| -> BTreeMap<String, Listener> {
            let keyed = |listener: &Listener| (listener.address.to_string(), listener.clone());
            listeners.iter().map(keyed).collect()
        };
        changes.named("listeners", [&by_address(listeners), &by_address(&new.listeners)], listener);
        changes.named("clusters", [clusters, &new.clusters], cluster);
        changes.named("users", [users, &new.users], user);
        changes.live(*tls != new.tls, "tls");
        changes.live(*timeouts != new.timeouts, "timeouts");
        changes.live(*limits != new.limits, "limits");
        changes.live(*protection != new.protection, "protection");
        changes.live(*cache != new.cache, "cache");
        let Admin { http } = admin;
        changes.restart(*http != new.admin.http, "admin.http");
        let Process { workers, drain_timeout } = process;
        changes.restart(*workers != new.process.workers, "process.workers");
        changes.live(*drain_timeout != new.process.drain_timeout, "process.drain_timeout");
        let Logging { level, format } = logging;
        changes.live(*level != new.logging.level, "logging.level");
        changes.restart(*format != new.logging.format, "logging.format");
        changes.live(*sharding != new.sharding, "sharding");
        changes
    }
}

fn listener(changes: &mut Changes, path: &str, old: &Listener, new: &Listener) {
    let Listener { address: _, tls, proxy_protocol } = old;
    changes.live(*tls != new.tls, format!("{path}.tls"));
    changes.live(*proxy_protocol != new.proxy_protocol, format!("{path}.proxy_protocol"));
}

fn cluster(changes: &mut Changes, path: &str, old: &Cluster, new: &Cluster) {
    let Cluster {
        primary,
        replicas,
        server_user,
        server_password,
        users,
        tls,
        pool,
        connections_max,
        backoff,
        connect_timeout,
        reply_timeout,
        write_timeout,
        compression,
        concurrency,
        breaker,
        binlog,
    } = old;
    let fields = [
        ("primary", *primary != new.primary),
        ("replicas", *replicas != new.replicas),
        ("server_user", *server_user != new.server_user),
        ("server_password", *server_password != new.server_password),
        ("users", *users != new.users),
        ("tls", *tls != new.tls),
        ("pool", *pool != new.pool),
        ("connections_max", *connections_max != new.connections_max),
        ("backoff", *backoff != new.backoff),
        ("connect_timeout", *connect_timeout != new.connect_timeout),
        ("reply_timeout", *reply_timeout != new.reply_timeout),
        ("write_timeout", *write_timeout != new.write_timeout),
        ("compression", *compression != new.compression),
        ("concurrency", *concurrency != new.concurrency),
        ("breaker", *breaker != new.breaker),
        ("binlog", *binlog != new.binlog),
    ];
    for (field, differs) in fields {
        changes.live(differs, format!("{path}.{field}"));
    }
}

fn user(changes: &mut Changes, path: &str, old: &User, new: &User) {
    let User {
        password,
        cluster,
        schema,
        server_user,
        server_password,
        connections_max,
        leases_max,
        dedicated,
        pinned_max,
        require_tls,
        hints,
    } = old;
    let fields = [
        ("password", *password != new.password),
        ("cluster", *cluster != new.cluster),
        ("schema", *schema != new.schema),
        ("server_user", *server_user != new.server_user),
        ("server_password", *server_password != new.server_password),
        ("hints", *hints != new.hints),
        ("connections_max", *connections_max != new.connections_max),
        ("leases_max", *leases_max != new.leases_max),
        ("dedicated", *dedicated != new.dedicated),
        ("pinned_max", *pinned_max != new.pinned_max),
        ("require_tls", *require_tls != new.require_tls),
    ];
    for (field, differs) in fields {
        changes.live(differs, format!("{path}.{field}"));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const BEFORE: &str = "
listeners: [{address: '127.0.0.1:6033'}, {address: /run/d.sock}]
clusters: {a: {primary: 'h:1'}, b: {primary: 'h:2'}}
users: {u: {password: x, cluster: a}}
";

    fn check(after: &str, live: &[&str], restart: &[&str]) {
        let read = |text| Config::parse(text, Path::new("dazzle.yaml")).expect("valid");
        let changes = read(BEFORE).difference(&read(after));
        assert_eq!((changes.live, changes.restart), (own(live), own(restart)), "{after}");
    }

    fn own(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn each_change_is_named_with_the_time_it_takes_effect() {
        check(BEFORE, &[], &[]);
        check(&BEFORE.replace("password: x", "password: y"), &["users.u.password"], &[]);
        check(
            &BEFORE.replace("{primary: 'h:1'}", "{primary: 'h:9', pool: {size_max: 3}}"),
            &["clusters.a.primary", "clusters.a.pool"],
            &[],
        );
        check(
            &BEFORE.replace("b: {", "c: {").replace("{address: /run/d.sock}", "{address: /run/e.sock}"),
            &[
                "listeners./run/e.sock (new)",
                "listeners./run/d.sock (gone)",
                "clusters.c (new)",
                "clusters.b (gone)",
            ],
            &[],
        );
        check(
            &format!(
                "{BEFORE}process: {{workers: 3, drain_timeout: 1s}}\nlogging: {{level: debug, format: json}}\n"
            ),
            &["process.drain_timeout", "logging.level"],
            &["process.workers", "logging.format"],
        );
    }
}
