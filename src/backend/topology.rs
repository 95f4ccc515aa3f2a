//! Clusters, their backends and the pools towards them: an immutable tree, built from a configuration
//! and swapped whole. What did not change is taken over from the tree before.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio::time::Instant;

use crate::backend::connect::{Connector, ServerTimeouts};
use crate::backend::facts::ServerFacts;
use crate::backend::login::{Keyring, Login};
use crate::backend::pool::{BackendQuota, Pool, PoolOptions, Snapshot as PoolSnapshot, UserLimits, UserSlot};
use crate::backend::tls::{client_config, server_name};
use crate::config::protection::ConcurrencyMode;
use crate::config::{self, Config, ServerIdentity, TlsMode};
use crate::protection::{BreakerSettings, Concurrency, Door, DoorSettings, GateSettings};
use crate::wire::auth::LoginSecret;
use crate::wire::tls::TlsError;

/// The pool of one backend and one server identity.
pub type ServerPool = Pool<Connector>;

/// A connection in use.
pub type ServerLease = crate::backend::pool::Lease<Connector>;

/// One mysqld.
#[derive(Debug)]
pub struct Backend {
    name: String,
    address: String,
    facts: ArcSwapOption<ServerFacts>,
    quota: Arc<BackendQuota>,
    door: ArcSwapOption<Door>,
}

impl Backend {
    /// The door that statements pass on their way to it, if it has one.
    #[must_use]
    pub fn door(&self) -> Option<Arc<Door>> {
        self.door.load().as_ref().map(Arc::clone)
    }

    /// Whether it has one.
    #[inline]
    #[must_use]
    pub fn has_door(&self) -> bool {
        self.door.load().is_some()
    }

    fn guard(&self, settings: &config::Cluster) {
        let now = Instant::now();
        match (door_settings(settings), self.door()) {
            (Some(settings), Some(door)) => door.change(settings, now),
            (settings, _) => self.door.store(settings.map(|settings| Door::new(settings, now))),
        }
    }

    /// `cluster.primary`, `cluster.replica1` …: for operators, never for clients.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of its cluster.
    #[must_use]
    pub fn cluster(&self) -> &str {
        self.name.rsplit_once('.').map_or(&*self.name, |(cluster, _)| cluster)
    }

    /// `host:port`, or a unix socket's path.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What is known about the server; nothing before the first connection.
    #[must_use]
    pub fn facts(&self) -> Option<Arc<ServerFacts>> {
        self.facts.load_full()
    }

    /// A connection has asked.
    pub fn learn(&self, facts: Arc<ServerFacts>) {
        self.facts.store(Some(facts));
    }

    /// Its limits and whether it can be reached.
    #[must_use]
    pub const fn quota(&self) -> &Arc<BackendQuota> {
        &self.quota
    }
}

/// One primary and its replicas.
#[derive(Debug)]
pub struct Cluster {
    /// Its name in the configuration.
    pub name: String,
    /// Where writes go, and everything else for now.
    pub primary: Arc<Backend>,
    /// Copies of the primary.
    pub replicas: Vec<Arc<Backend>>,
    settings: config::Cluster,
}

impl Cluster {
    /// Its settings.
    #[must_use]
    pub const fn settings(&self) -> &config::Cluster {
        &self.settings
    }

    /// How `user` logs in at its servers.
    pub fn login(&self, user: &str, keyring: Arc<Keyring>) -> Result<Login, TlsError> {
        let settings = &self.settings;
        let tls = match settings.tls.mode {
            TlsMode::Disabled => None,
            _ if settings.primary.starts_with('/') => None,
            _ => Some((client_config(&settings.tls)?, server_name(&settings.primary))),
        };
        Ok(Login {
            user: user.to_owned(),
            keyring,
            tls,
            tls_mode: settings.tls.mode,
            compression: settings.compression,
        })
    }

    /// What makes connections to its primary.
    #[must_use]
    pub fn connector(&self, login: Login) -> Connector {
        let timeouts = ServerTimeouts::of(&self.settings);
        Connector::new(Arc::clone(&self.primary), Arc::new(login), timeouts)
    }

    /// A pool towards its primary.
    #[must_use]
    pub fn open_pool(&self, login: Login, size: config::PoolSize) -> Arc<ServerPool> {
        let options = PoolOptions {
            size,
            backoff: self.settings.backoff.clone(),
            connect_timeout: self.settings.connect_timeout,
            seed: rand::random(),
            ..PoolOptions::default()
        };
        Pool::new(self.connector(login), options, Arc::clone(self.primary.quota()))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct PoolKey {
    cluster: String,
    address: String,
    user: String,
    /// Password, TLS and compression: a pool whose connections were made otherwise is not taken over.
    login: u64,
}

/// The tree. See the module's text.
#[derive(Debug, Default)]
pub struct Topology {
    clusters: HashMap<String, Arc<Cluster>>,
    pools: HashMap<PoolKey, Arc<ServerPool>>,
}

impl Topology {
    /// Builds the tree of `config`, keeping backends and pools of `previous` that are still right.
    /// Pools nobody needs any more are drained by [`Topology::retire`]. Every user has a pool of its own
    /// cluster, and one of each of `sharded`, which hold the rows of logical databases.
    pub fn build(
        config: &Config,
        sharded: &BTreeSet<String>,
        previous: Option<&Self>,
    ) -> Result<Self, TlsError> {
        let mut topology = Self::default();
        for (name, settings) in &config.clusters {
            let old = previous.and_then(|topology| topology.clusters.get(name));
            let backend = |address: &str, role: &str| backend_of(old, name, address, role, settings);
            let cluster = Cluster {
                name: name.clone(),
                primary: backend(&settings.primary, "primary"),
                replicas: (1..)
                    .zip(&settings.replicas)
                    .map(|(n, address)| backend(address, &format!("replica{n}")))
                    .collect(),
                settings: settings.clone(),
            };
            topology.clusters.insert(name.clone(), Arc::new(cluster));
        }
        for user in config.users.keys() {
            if let Some(identity) = config.server_identity(user) {
                topology.add_pool(&config.users[user].cluster, &identity, previous)?;
            }
            for cluster in sharded {
                if let Some(identity) = config.server_identity_on(user, cluster) {
                    topology.add_pool(cluster, &identity, previous)?;
                }
            }
        }
        Ok(topology)
    }

    fn add_pool(
        &mut self,
        cluster: &str,
        identity: &ServerIdentity,
        previous: Option<&Self>,
    ) -> Result<(), TlsError> {
        let Some(cluster) = self.clusters.get(cluster).cloned() else { return Ok(()) };
        let key = pool_key(&cluster, identity);
        if self.pools.contains_key(&key) {
            return Ok(());
        }
        if let Some(pool) = previous.and_then(|topology| topology.pools.get(&key)) {
            pool.resize(cluster.settings.pool.clone());
            pool.retime(cluster.settings.connect_timeout, cluster.settings.backoff.clone());
            pool.connector().retime(ServerTimeouts::of(&cluster.settings));
            self.pools.insert(key, Arc::clone(pool));
            return Ok(());
        }
        let keyring = Keyring::new(LoginSecret::password(identity.password.reveal()));
        let login = cluster.login(&identity.user, keyring)?;
        self.pools.insert(key, cluster.open_pool(login, cluster.settings.pool.clone()));
        Ok(())
    }

    /// Tells every pool its users' limits.
    pub fn limit_users(&self, config: &Config, slots: &HashMap<String, UserSlot>) {
        for (key, pool) in &self.pools {
            let limits: Vec<(UserSlot, UserLimits)> = config
                .users
                .iter()
                .filter(|(name, _)| {
                    let identity = config.server_identity_on(name, &key.cluster);
                    identity.is_some_and(|identity| identity.user == key.user)
                })
                .filter_map(|(name, user)| {
                    let limits = UserLimits { leases_max: user.leases_max, dedicated: user.dedicated };
                    Some((*slots.get(name)?, limits))
                })
                .collect();
            pool.limit_users(&limits);
        }
    }

    /// Drains every pool of this tree that `next` did not take over.
    pub fn retire(&self, next: &Self) {
        for (key, pool) in &self.pools {
            if !next.pools.contains_key(key) {
                pool.drain();
            }
        }
    }

    /// A cluster by name.
    #[must_use]
    pub fn cluster(&self, name: &str) -> Option<&Arc<Cluster>> {
        self.clusters.get(name)
    }

    /// All clusters.
    pub fn clusters(&self) -> impl Iterator<Item = &Arc<Cluster>> {
        self.clusters.values()
    }

    /// The pool towards a cluster's primary as `identity`.
    #[must_use]
    pub fn pool(&self, cluster: &Cluster, identity: &ServerIdentity) -> Option<&Arc<ServerPool>> {
        self.pools.get(&pool_key(cluster, identity))
    }

    /// All pools: cluster, server user, pool.
    pub fn pools(&self) -> impl Iterator<Item = (&str, &str, &Arc<ServerPool>)> {
        self.pools.iter().map(|(key, pool)| (key.cluster.as_str(), key.user.as_str(), pool))
    }

    /// Numbers of every pool, for operators.
    #[must_use]
    pub fn pool_snapshots(&self) -> Vec<(String, String, PoolSnapshot)> {
        self.pools().map(|(cluster, user, pool)| (cluster.into(), user.into(), pool.snapshot())).collect()
    }
}

fn backend_of(
    old: Option<&Arc<Cluster>>,
    cluster: &str,
    address: &str,
    role: &str,
    settings: &config::Cluster,
) -> Arc<Backend> {
    let known = old.and_then(|cluster| {
        std::iter::once(&cluster.primary).chain(&cluster.replicas).find(|backend| backend.address == address)
    });
    let name = format!("{cluster}.{role}");
    if let Some(backend) = known.filter(|backend| backend.name == name) {
        backend.quota.resize(settings.connections_max);
        backend.quota.retime(settings.backoff.clone());
        backend.guard(settings);
        return Arc::clone(backend);
    }
    let backend = Backend {
        name,
        address: address.to_owned(),
        facts: ArcSwapOption::empty(),
        quota: BackendQuota::new(settings.connections_max, settings.backoff.clone(), rand::random()),
        door: ArcSwapOption::empty(),
    };
    backend.guard(settings);
    Arc::new(backend)
}

/// What the door of a cluster's servers is told; none if nothing is to be looked at.
fn door_settings(settings: &config::Cluster) -> Option<DoorSettings> {
    let config::Cluster { concurrency, breaker, pool, .. } = settings;
    let max = if concurrency.max == 0 { pool.size_max } else { concurrency.max };
    let limit = match concurrency.mode {
        ConcurrencyMode::Off if !breaker.enabled => return None,
        ConcurrencyMode::Off => Concurrency::Unlimited,
        ConcurrencyMode::Fixed => Concurrency::Fixed(max),
        ConcurrencyMode::Adaptive => Concurrency::Adaptive { min: concurrency.min.min(max), max },
    };
    let gate = GateSettings {
        concurrency: limit,
        queue_max: concurrency.queue_max,
        queue_timeout: concurrency.queue_timeout,
        target: concurrency.target,
    };
    let part = |percentage: u32| f64::from(percentage) / 100.0;
    let told = breaker.enabled.then(|| BreakerSettings {
        window: breaker.window,
        volume_min: breaker.volume_min,
        errors_max: part(breaker.errors_max),
        slow: breaker.slow,
        slow_max: part(breaker.slow_max),
        open: breaker.open,
        open_max: breaker.open_max,
        probes: breaker.probes,
        ramp: breaker.ramp,
    });
    Some(DoorSettings { gate, breaker: told, per_digest: breaker.per_digest })
}

fn pool_key(cluster: &Cluster, identity: &ServerIdentity) -> PoolKey {
    let mut hash = foldhash::fast::FixedState::default().build_hasher();
    identity.password.reveal().hash(&mut hash);
    format!("{:?}{:?}", cluster.settings.tls, cluster.settings.compression).hash(&mut hash);
    PoolKey {
        cluster: cluster.name.clone(),
        address: cluster.primary.address.clone(),
        user: identity.user.clone(),
        login: hash.finish(),
    }
}
