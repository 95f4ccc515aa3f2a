//! Configuration and topology of one moment. A statement sees one snapshot from beginning to end; a
//! reload swaps in the next.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::backend::pool::{Snapshot as PoolSnapshot, UserSlot};
use crate::backend::{Backend, ServerPool, Topology};
use crate::config::{self, Config};
use crate::engine::accounts::{Accounts, Lineage};
use crate::engine::sharded::{LogicalDatabase, ShardPool};
use crate::sharding::{RuleSet, ShardingRules};
use crate::wire::tls::TlsError;

/// See the module's text.
#[derive(Debug)]
pub struct Snapshot {
    /// The settings.
    pub config: Arc<Config>,
    /// The rules of the logical databases.
    pub rules: RuleSet,
    /// Servers and pools.
    pub topology: Topology,
    users: HashMap<String, Arc<User>>,
    accounts: Option<Arc<Accounts>>,
    databases: HashMap<String, Arc<LogicalDatabase>>,
    /// Slots of all users there ever were: a name keeps its slot over reloads.
    slots: HashMap<String, UserSlot>,
}

/// A client identity with everything its sessions need.
#[derive(Debug)]
pub struct User {
    /// Its name.
    pub name: Arc<str>,
    /// Its index in every pool.
    pub slot: UserSlot,
    /// Its settings.
    pub settings: config::User,
    /// Where its statements go.
    pub pool: Arc<ServerPool>,
    /// The server behind that pool.
    pub backend: Arc<Backend>,
    /// For a server that is silent while a statement runs; zero: no limit.
    pub reply_timeout: Duration,
    /// It is an account of the server's own, this one.
    pub account: Option<Lineage>,
    /// Logical databases by name, each with the way to its shards in their order.
    pub(crate) shards: HashMap<String, Arc<[ShardPool]>>,
}

impl User {
    /// What tells it from another account of its name, if it is one of the server's.
    pub(crate) fn lineage(&self) -> u64 {
        self.account.map_or(u64::MAX, Lineage::number)
    }

    /// The way to the shards of a logical database.
    #[must_use]
    pub fn shards(&self, database: &str) -> Option<&Arc<[ShardPool]>> {
        self.shards.get(database)
    }
}

impl Snapshot {
    /// Builds the snapshot of `config`, taking over what is unchanged in `previous`.
    pub fn build(config: Arc<Config>, rules: RuleSet, previous: Option<&Self>) -> Result<Self, TlsError> {
        let databases = databases(&rules, previous);
        let sharded: BTreeSet<String> = databases
            .values()
            .flat_map(|database| database.rules.shards().iter().map(|shard| shard.cluster.to_string()))
            .collect();
        let topology = Topology::build(&config, &sharded, previous.map(|snapshot| &snapshot.topology))?;
        let mut slots = previous.map(|snapshot| snapshot.slots.clone()).unwrap_or_default();
        let mut users = HashMap::new();
        for (name, settings) in &config.users {
            let next = UserSlot(slots.len() as u32 + 1);
            let slot = *slots.entry(name.clone()).or_insert(next);
            let cluster = topology.cluster(&settings.cluster);
            let pool = cluster
                .zip(config.server_identity(name))
                .and_then(|(cluster, identity)| topology.pool(cluster, &identity));
            let (Some(cluster), Some(pool)) = (cluster, pool) else { continue };
            let user = User {
                name: name.as_str().into(),
                slot,
                settings: settings.clone(),
                pool: Arc::clone(pool),
                backend: Arc::clone(&cluster.primary),
                reply_timeout: config.clusters[&settings.cluster].reply_timeout,
                account: None,
                shards: shards(&config, &topology, name, &databases),
            };
            users.insert(name.clone(), Arc::new(user));
        }
        topology.limit_users(&config, &slots);
        let previous = previous.and_then(|snapshot| snapshot.accounts.as_ref());
        let accounts = config
            .accounts_cluster()
            .and_then(|(name, settings)| Some((topology.cluster(name)?, settings)))
            .map(|(cluster, settings)| Accounts::build(cluster, settings, previous))
            .transpose()?;
        Ok(Self { config, rules, topology, users, accounts, databases, slots })
    }

    /// The server's own accounts, where they may log in.
    #[must_use]
    pub const fn accounts(&self) -> Option<&Arc<Accounts>> {
        self.accounts.as_ref()
    }

    /// Who sessions of `user` are now, if there still is such a one.
    #[must_use]
    pub fn successor(&self, user: &User) -> Option<Arc<User>> {
        match user.account {
            None => self.user(&user.name).cloned(),
            Some(_) => self.accounts.as_ref()?.successor(user),
        }
    }

    /// Numbers of every pool, for operators: cluster, server user, pool.
    #[must_use]
    pub fn pool_snapshots(&self) -> Vec<(String, String, PoolSnapshot)> {
        let mut snapshots = self.topology.pool_snapshots();
        snapshots.extend(self.accounts.iter().flat_map(|accounts| accounts.pool_snapshots()));
        snapshots
    }

    /// Ends every pool that `next` has not taken over.
    pub fn retire(&self, next: &Self) {
        self.topology.retire(&next.topology);
        let same =
            |accounts: &Arc<Accounts>| next.accounts.as_ref().is_some_and(|next| Arc::ptr_eq(next, accounts));
        if let Some(accounts) = self.accounts.as_ref().filter(|accounts| !same(accounts)) {
            accounts.retire();
        }
    }

    /// Ends every pool: the process ends.
    pub fn drain(&self) {
        for (_, _, pool) in self.topology.pools() {
            pool.drain();
        }
        self.accounts.iter().for_each(|accounts| accounts.retire());
    }

    /// The logical database that clients call `name`, in any case.
    #[must_use]
    pub fn database(&self, name: &[u8]) -> Option<&Arc<LogicalDatabase>> {
        if self.databases.is_empty() {
            return None;
        }
        self.databases.get(std::str::from_utf8(name).ok()?.to_lowercase().as_str())
    }

    /// Every user, in no order.
    pub fn users(&self) -> impl Iterator<Item = &Arc<User>> {
        self.users.values()
    }

    /// The user of that name.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<&Arc<User>> {
        self.users.get(name)
    }
}

/// The logical databases of these rules; what did not change is taken over.
fn databases(rules: &RuleSet, previous: Option<&Snapshot>) -> HashMap<String, Arc<LogicalDatabase>> {
    let known = |name: &str, rules: &ShardingRules| {
        let known = previous.and_then(|snapshot| snapshot.databases.get(name));
        known.filter(|known| *known.rules == *rules).map(Arc::clone)
    };
    let database = |rules: &Arc<ShardingRules>| {
        let name = rules.name().to_lowercase();
        let database =
            known(&name, rules).unwrap_or_else(|| Arc::new(LogicalDatabase::new(Arc::clone(rules))));
        (name, database)
    };
    rules.iter().map(database).collect()
}

/// How `user` reaches the shards of every logical database; one that it cannot reach is left out.
fn shards(
    config: &Config,
    topology: &Topology,
    user: &str,
    databases: &HashMap<String, Arc<LogicalDatabase>>,
) -> HashMap<String, Arc<[ShardPool]>> {
    let reach = |cluster: &str| {
        let identity = config.server_identity_on(user, cluster)?;
        let cluster = topology.cluster(cluster)?;
        let pool = Arc::clone(topology.pool(cluster, &identity)?);
        Some(ShardPool { pool, backend: Arc::clone(&cluster.primary) })
    };
    let of = |database: &Arc<LogicalDatabase>| {
        let shards = database.rules.shards().iter().map(|shard| reach(&shard.cluster));
        Some((database.rules.name().to_owned(), shards.collect::<Option<Arc<[ShardPool]>>>()?))
    };
    databases.values().filter_map(of).collect()
}
