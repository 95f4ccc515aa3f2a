//! Reads the settings towards servers: clusters, pools, TLS.

use std::collections::BTreeMap;

use crate::config::User;
use crate::config::backend::{Accounts, Backoff, Cluster, PoolSize, ServerTls, TlsVerify, UserSource};
use crate::config::document::Section;
use crate::config::frontend::TlsMode;
use crate::config::read::{address, binlog, frontend, kind, protection, secret};

/// MySQL's own bound on `max_connections`.
const CONNECTIONS_MAX: u32 = 100_000;

pub(super) fn cluster(section: &Section<'_>) -> Cluster {
    let default = Cluster::default();
    let primary = section.required("primary", &address::SERVER_ADDRESS).unwrap_or_default();
    let replicas = section.list("replicas", &address::SERVER_ADDRESS);
    for (i, (at, replica)) in replicas.iter().enumerate() {
        let path = || format!("{}[{i}]", section.path_of("replicas"));
        if *replica == primary {
            section.report().problem(*at, path(), "this server is the primary already");
        } else if replicas[..i].iter().any(|(_, other)| other == replica) {
            section.report().problem(*at, path(), "this server is in the list already");
        }
    }
    let cluster = Cluster {
        primary,
        replicas: replicas.into_iter().map(|(_, replica)| replica).collect(),
        server_user: section.optional("server_user", &kind::TEXT),
        server_password: section.secret("server_password", secret::secret),
        users: users(section),
        tls: tls(&section.child("tls")),
        pool: pool(&section.child("pool")),
        connections_max: section.setting(
            "connections_max",
            &kind::count::<0, CONNECTIONS_MAX>(),
            default.connections_max,
        ),
        backoff: backoff(&section.child("backoff")),
        connect_timeout: section.setting("connect_timeout", &kind::DEADLINE, default.connect_timeout),
        reply_timeout: section.setting("reply_timeout", &kind::DURATION, default.reply_timeout),
        write_timeout: section.setting("write_timeout", &kind::DEADLINE, default.write_timeout),
        compression: section.setting("compression", &kind::COMPRESSION, default.compression),
        concurrency: protection::concurrency(&section.child("concurrency")),
        breaker: protection::breaker(&section.child("breaker")),
        binlog: binlog::binlog(&section.child("binlog")),
    };
    section.finish();
    for (one, other) in [("server_user", "server_password"), ("server_password", "server_user")] {
        if section.gives(one) && !section.gives(other) {
            section.problem(one, format!("needs {other} beside it"));
        }
    }
    protection::check_concurrency(section, &cluster);
    if cluster.connections_max != 0 && cluster.pool.size_min > cluster.connections_max {
        let message = format!("is less than pool.size_min ({})", cluster.pool.size_min);
        section.problem("connections_max", message);
    }
    cluster
}

/// Who may log in: `users` says it, `accounts` says how.
fn users(section: &Section<'_>) -> UserSource {
    let from_server = section.setting("users", &kind::FROM_SERVER, false);
    let accounts = section.child("accounts");
    let default = Accounts::default();
    if from_server {
        accounts.demand("user", "missing; `users: from_server` needs an account that may read the others");
        accounts.demand("password", "missing; write `\"\"` if there is really no password");
    } else if section.gives("accounts") {
        section.problem("accounts", "has no use while users is `declared`");
    }
    let read = Accounts {
        user: accounts.optional("user", &kind::TEXT).unwrap_or_default(),
        password: accounts.secret("password", secret::secret).unwrap_or(default.password),
        refresh: accounts.setting("refresh", &kind::DEADLINE, default.refresh),
        pools_max: accounts.setting("pools_max", &kind::count::<1, CONNECTIONS_MAX>(), default.pools_max),
    };
    accounts.finish();
    if from_server { UserSource::FromServer(read) } else { UserSource::Declared }
}

/// A name could mean accounts of two servers.
pub(super) fn check_sources(clusters: &[(&str, Section<'_>, Cluster)]) {
    let mut sources =
        clusters.iter().filter(|(_, _, cluster)| matches!(cluster.users, UserSource::FromServer(_)));
    let Some((first, ..)) = sources.next() else { return };
    for (_, section, _) in sources {
        section.problem(
            "users",
            format!("cluster `{first}` has `from_server` already: a name could mean two accounts"),
        );
    }
}

fn pool(section: &Section<'_>) -> PoolSize {
    let default = PoolSize::default();
    let pool = PoolSize {
        size_min: section.setting("size_min", &kind::count::<0, CONNECTIONS_MAX>(), default.size_min),
        size_max: section.setting("size_max", &kind::count::<1, CONNECTIONS_MAX>(), default.size_max),
        idle_timeout: section.setting("idle_timeout", &kind::DEADLINE, default.idle_timeout),
        lifetime: section.setting("lifetime", &kind::DEADLINE, default.lifetime),
        queue_timeout: section.setting("queue_timeout", &kind::DEADLINE, default.queue_timeout),
        queue_max: section.setting("queue_max", &kind::count::<0, 10_000_000>(), default.queue_max),
        combine_from: section.setting(
            "combine_from",
            &kind::count::<0, CONNECTIONS_MAX>(),
            default.combine_from,
        ),
    };
    section.finish();
    if pool.size_min > pool.size_max {
        section.problem("size_min", format!("must not exceed size_max ({})", pool.size_max));
    }
    pool
}

fn backoff(section: &Section<'_>) -> Backoff {
    let default = Backoff::default();
    let backoff = Backoff {
        first: section.setting("first", &kind::DEADLINE, default.first),
        max: section.setting("max", &kind::DEADLINE, default.max),
    };
    section.finish();
    if backoff.first > backoff.max {
        section.problem("first", format!("must not exceed max ({})", kind::show_duration(&backoff.max)));
    }
    backoff
}

fn tls(section: &Section<'_>) -> ServerTls {
    let mut tls = ServerTls {
        mode: section.setting("mode", &kind::TLS_MODE, TlsMode::default()),
        verify: section.setting("verify", &kind::TLS_VERIFY, TlsVerify::default()),
        ca: section.pem("ca", &kind::PATH, "CERTIFICATE"),
        certificate: section.pem("certificate", &kind::PATH, "CERTIFICATE"),
        key: section.pem("key", &kind::PATH, "PRIVATE KEY"),
        content: 0,
    };
    tls.content = section.report().content([&tls.ca, &tls.certificate, &tls.key]);
    section.finish();
    frontend::check_pair(section);
    match (tls.verify, tls.mode) {
        (TlsVerify::None, _) => {
            if section.gives("ca") {
                section.problem("ca", "has no use while verify is `none`: nothing is verified");
            }
        }
        (TlsVerify::Ca | TlsVerify::Full, TlsMode::Required) => {
            if !section.gives("ca") {
                section.problem("verify", "needs ca, to verify the server's certificate against");
            }
        }
        (TlsVerify::Ca | TlsVerify::Full, TlsMode::Preferred | TlsMode::Disabled) => {
            section.problem("verify", "needs mode `required`: a server without TLS would go unverified");
        }
    }
    if tls.mode == TlsMode::Disabled && section.gives("certificate") {
        section.problem("certificate", "has no use while mode is `disabled`");
    }
    tls
}

/// What users keep for themselves must leave something for the others.
pub(super) fn check_shares(
    name: &str,
    section: &Section<'_>,
    cluster: &Cluster,
    users: &BTreeMap<String, User>,
) {
    let here = || users.values().filter(|user| user.cluster == name);
    let dedicated: u64 = here().map(|user| u64::from(user.dedicated)).sum();
    let sharing = here().any(|user| user.dedicated == 0);
    let max = u64::from(cluster.connections_max);
    if max == 0 || dedicated == 0 {
        return;
    }
    if dedicated > max {
        section.problem("connections_max", format!("is less than what users have dedicated: {dedicated}"));
    } else if dedicated == max && sharing {
        let message = format!("users have all {dedicated} dedicated: nothing is left for the other users");
        section.problem("connections_max", message);
    }
}
