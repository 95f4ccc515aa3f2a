//! Sessions of a server's own accounts. Each account that somebody has logged in with has an identity here: its
//! pool, whose connections log in as the account, and what its clients have proved. The server decides what an
//! account may do; here is only decided who shares connections with whom: sessions of one account, never of two.

mod identity;
mod refusal;

pub use crate::backend::accounts::Account;
pub use refusal::{locked, refusal};

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tracing::{debug, info};

use crate::backend::accounts::{Directory, DirectoryError, Reader};
use crate::backend::pool::{Profile, Want, WorkerId};
use crate::backend::{BackendError, Cluster, Flavor, Keyring};
use crate::config;
use crate::engine::accounts::identity::Identity;
use crate::engine::error::EngineError;
use crate::engine::snapshot::User;
use crate::error::SqlError;
use crate::telemetry::spawn;
use crate::wire::auth::{Credential, Decoys, LoginSecret, Proof, Sha2Cache};
use crate::wire::tls::TlsError;

/// Accounts whose passwords are remembered; more than have pools, because a pool that nobody uses goes first.
const PASSWORDS_MAX: usize = 4096;

/// How often pools look after themselves.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Between two looks at accounts that the server has refused.
const SUSPICION_PAUSE: Duration = Duration::from_millis(100);

/// One account from its first login to its end. An account that is dropped and made again under the same name is
/// another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lineage(u64);

impl Lineage {
    /// A number that no other account of this process has.
    pub(crate) const fn number(self) -> u64 {
        self.0
    }
}

/// The accounts of one cluster's server. See the module's text.
#[derive(Debug)]
pub struct Accounts {
    directory: Directory,
    cluster: Arc<Cluster>,
    settings: config::Accounts,
    passwords: Sha2Cache,
    /// Names that no account has look like accounts of the kind that is usual on the server: MariaDB's, MySQL's up
    /// to 8, MySQL's from 9 on, which repeat their digest 10,000 times instead of 5,000.
    decoys: [Decoys; 3],
    /// The server has refused an account: something has changed.
    suspicion: Arc<Notify>,
    lineages: AtomicU64,
    /// Short: a look-up for each login, a pass over all for each refresh.
    identities: Mutex<HashMap<String, Identity>>,
}

impl Accounts {
    /// The accounts of `cluster`; those of `previous` if nothing has changed. What `previous` knows of passwords is
    /// taken over, so that sessions go on.
    pub fn build(
        cluster: &Arc<Cluster>,
        settings: &config::Accounts,
        previous: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, TlsError> {
        if let Some(previous) = previous
            && previous.cluster.name == cluster.name
            && previous.cluster.settings() == cluster.settings()
        {
            return Ok(Arc::clone(previous));
        }
        let own =
            cluster.login(&settings.user, Keyring::new(LoginSecret::password(settings.password.reveal())))?;
        let connect_timeout = cluster.settings().connect_timeout;
        let like = |credential: Credential| Decoys::new([&credential], &mut rand::rng());
        let accounts = Self {
            directory: Directory::new(cluster.connector(own), connect_timeout),
            cluster: Arc::clone(cluster),
            settings: settings.clone(),
            passwords: Sha2Cache::keeping_passwords(PASSWORDS_MAX),
            decoys: [
                like(Credential::unknown_native()),
                like(Credential::unknown_sha2(5_000)),
                like(Credential::unknown_sha2(10_000)),
            ],
            suspicion: Arc::default(),
            lineages: AtomicU64::new(0),
            identities: Mutex::default(),
        };
        if let Some(previous) = previous.filter(|previous| previous.cluster.name == cluster.name) {
            accounts.lineages.store(previous.lineages.load(Ordering::Relaxed), Ordering::Relaxed);
            let mut identities = accounts.identities.lock();
            for (name, old) in previous.identities.lock().iter() {
                identities.insert(
                    name.clone(),
                    old.moved(|keyring, lineage| accounts.open(&old.account, keyring, lineage))?,
                );
            }
        }
        Ok(Arc::new(accounts))
    }

    /// What answers questions about accounts; see [`Directory::reader`].
    pub fn reader(&self) -> Option<Reader> {
        self.directory.reader()
    }

    /// The cluster whose server has them.
    #[must_use]
    pub const fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// Passwords that have proved right.
    #[must_use]
    pub const fn passwords(&self) -> &Sha2Cache {
        &self.passwords
    }

    /// What names that no account has are checked against.
    #[must_use]
    pub fn decoys(&self) -> &Decoys {
        let facts = self.cluster.primary.facts();
        let major = |version: &str| version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        match facts.as_deref() {
            Some(facts) if facts.flavor == Flavor::MariaDb => &self.decoys[0],
            Some(facts) if major(&facts.version).is_some_and(|major| major < 9) => &self.decoys[1],
            _ => &self.decoys[2],
        }
    }

    /// The account that the server takes for a login as `name`, at this moment. An empty name is nobody's, and a
    /// way to wait until the server is known.
    pub async fn look_up(&self, name: &str) -> Result<Option<Account>, DirectoryError> {
        self.directory.look_up(name).await
    }

    /// What the server would call a client at `host`: one on this machine `localhost`, if it calls hosts by their
    /// names at all. Other names would have to be asked for.
    #[must_use]
    pub fn name_of_host<'a>(&self, host: &'a str) -> &'a str {
        let loopback = host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
        if loopback && self.directory.names_hosts() { "localhost" } else { host }
    }

    /// Lets in a client that has proved to be `account`.
    ///
    /// # Errors
    /// What the client is told.
    pub fn admit(&self, account: &Account, proof: Proof) -> Result<Arc<User>, EngineError> {
        let proved = account.verifier(proof.verifier).cloned().zip(proof.secret);
        let Some((verifier, secret)) = proved else {
            let text = "DZ0302 a password that is not UTF-8 text cannot be used through this proxy";
            return Err(EngineError::refused(1251, "08004", text));
        };
        let mut gone = Vec::new();
        let admitted = {
            let mut identities = self.identities.lock();
            let same = identities.get_mut(&account.name).is_some_and(|identity| identity.look(account));
            if let Some(identity) = identities.get_mut(&account.name).filter(|_| same) {
                identity.learn(verifier, secret);
                Ok(Arc::clone(&identity.user))
            } else {
                gone.extend(identities.remove(&account.name));
                let room = identities.len() < self.settings.pools_max as usize;
                let victim = if room { None } else { unused(&identities) };
                gone.extend(victim.and_then(|name| identities.remove(&name)));
                if identities.len() < self.settings.pools_max as usize {
                    let lineage = Lineage(self.lineages.fetch_add(1, Ordering::Relaxed));
                    let keyring = Keyring::new(secret.clone());
                    let opened = self.open(account, Arc::clone(&keyring), lineage).map_err(|_| internal());
                    opened.inspect(|user| {
                        let proved = (verifier, secret);
                        let identity = Identity::new(Arc::clone(user), keyring, account.clone(), proved);
                        identities.insert(account.name.clone(), identity);
                    })
                } else {
                    let text = "DZ0303 too many accounts are in use at once, try again later";
                    Err(EngineError::refused(1040, "08004", text))
                }
            }
        };
        gone.iter().for_each(Identity::retire);
        admitted
    }

    /// Makes sure that the server lets the account in: it checks what nobody here can, and nothing that it refuses is
    /// let in here. Once for each identity; later refusals show when a connection is needed.
    pub async fn confirm(&self, user: &User, worker: WorkerId) -> Result<(), EngineError> {
        if self.with(user, |identity| identity.confirmed).unwrap_or(true) {
            return Ok(());
        }
        // What the server refused a moment ago it may allow now.
        user.pool.close_all_idle();
        let want = Want {
            worker,
            profile: Profile::PLAIN,
            state_key: 0,
            roams: false,
            user: user.slot,
            deadline: Instant::now() + user.pool.queue_timeout(),
        };
        let lease = user.pool.lease(&want).await?;
        drop(lease);
        self.with(user, |identity| identity.confirmed = true);
        Ok(())
    }

    /// The identity that sessions of `user` go on with when their pool is drained: the same account's, never that of
    /// another one with its name.
    #[must_use]
    pub fn successor(&self, user: &User) -> Option<Arc<User>> {
        self.with(user, |identity| Arc::clone(&identity.user))
    }

    fn with<R>(&self, user: &User, act: impl FnOnce(&mut Identity) -> R) -> Option<R> {
        let mut identities = self.identities.lock();
        let identity = identities.get_mut(&*user.name)?;
        (identity.user.account == user.account).then(|| act(identity))
    }

    /// The server has refused an account: look at all of them soon.
    pub fn suspect(&self) {
        self.suspicion.notify_one();
    }

    /// Ends every pool. Sessions go on with their successors, if there are any.
    pub fn retire(&self) {
        self.identities.lock().values().for_each(Identity::retire);
    }

    /// Numbers of every pool, for operators: cluster, account, pool.
    #[must_use]
    pub fn pool_snapshots(&self) -> Vec<(String, String, crate::backend::pool::Snapshot)> {
        let identities = self.identities.lock();
        let numbers = |(name, identity): (&String, &Identity)| {
            (self.cluster.name.clone(), name.clone(), identity.user.pool.snapshot())
        };
        identities.iter().map(numbers).collect()
    }

    /// A pool of its own for `account`, and what its sessions need.
    fn open(
        &self,
        account: &Account,
        keyring: Arc<Keyring>,
        lineage: Lineage,
    ) -> Result<Arc<User>, TlsError> {
        let settings = self.cluster.settings();
        let login = self.cluster.login(&account.name, keyring)?;
        // An account that nobody uses has no connections, however many declared users keep open.
        let size = config::PoolSize { size_min: 0, ..settings.pool.clone() };
        Ok(Arc::new(User {
            name: account.name.as_str().into(),
            slot: crate::backend::pool::UserSlot(0),
            settings: identity::settings(&self.cluster.name, account.require_tls),
            pool: self.cluster.open_pool(login, size),
            backend: Arc::clone(&self.cluster.primary),
            reply_timeout: settings.reply_timeout,
            account: Some(lineage),
            shards: std::collections::HashMap::new(),
        }))
    }

    /// Looks at every account in use, and acts on what has changed.
    async fn refresh(&self) {
        let names: Vec<String> = self.identities.lock().keys().cloned().collect();
        for name in names {
            match self.directory.look_up(&name).await {
                Ok(account) => self.compare(&name, account.as_ref()),
                Err(error) => {
                    debug!(%error, "accounts could not be compared");
                    return;
                }
            }
        }
    }

    fn compare(&self, name: &str, account: Option<&Account>) {
        let mut identities = self.identities.lock();
        let Some(identity) = identities.get_mut(name) else { return };
        let same = account.is_some_and(|account| identity.look(account));
        let gone = if same { None } else { identities.remove(name) };
        drop(identities);
        if account.is_none() {
            self.passwords.forget(name);
        }
        if let Some(identity) = gone {
            info!("an account is gone or has another password: its sessions end");
            identity.retire();
        }
    }

    /// Upkeep of pools; those that nobody has used for their idle time go away.
    fn maintain(&self, now: Instant) {
        let idle_timeout = self.cluster.settings().pool.idle_timeout;
        let mut identities = self.identities.lock();
        let unused: Vec<String> = identities
            .iter_mut()
            .filter_map(|(name, identity)| identity.is_unused(now, idle_timeout).then(|| name.clone()))
            .collect();
        let gone: Vec<Identity> = unused.iter().filter_map(|name| identities.remove(name)).collect();
        let users: Vec<Arc<User>> = identities.values().map(|identity| Arc::clone(&identity.user)).collect();
        drop(identities);
        gone.iter().for_each(Identity::retire);
        for user in users {
            user.pool.maintain(now);
        }
    }

    /// Answers questions about accounts, looks after pools, notices changes; until nobody holds `accounts` any more.
    pub async fn keep_up(accounts: Weak<Self>) {
        let Some((reader, suspicion, refresh)) = accounts.upgrade().and_then(|accounts| {
            Some((accounts.reader()?, Arc::clone(&accounts.suspicion), accounts.settings.refresh))
        }) else {
            return;
        };
        drop(spawn("accounts.reader", reader.run()));
        let mut upkeep = interval(UPKEEP_INTERVAL.min(refresh));
        upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut compared = Instant::now();
        loop {
            let suspicious = tokio::select! {
                _ = upkeep.tick() => false,
                () = suspicion.notified() => true,
            };
            let Some(accounts) = accounts.upgrade() else { return };
            accounts.maintain(Instant::now());
            if suspicious || compared.elapsed() >= refresh {
                accounts.refresh().await;
                compared = Instant::now();
            }
            drop(accounts);
            if suspicious {
                sleep(SUSPICION_PAUSE).await;
            }
        }
    }
}

/// The identity that nobody uses for the longest time.
fn unused(identities: &HashMap<String, Identity>) -> Option<String> {
    let free = identities.iter().filter(|(_, identity)| identity.is_free());
    free.min_by_key(|(_, identity)| identity.used).map(|(name, _)| name.clone())
}

/// TLS material was there when the cluster was set up, and cannot be read now.
fn internal() -> EngineError {
    EngineError::refused(1105, "HY000", "the database server could not be used; see the proxy's log")
}

/// What a client is told whose account cannot be looked up.
#[must_use]
pub fn unreadable(error: &DirectoryError) -> SqlError {
    match error {
        // Dazzle's own account is refused, or may not read: an operator's affair.
        DirectoryError::Server(error) if matches!(**error, BackendError::Server(_)) => {
            SqlError::new(1105, "HY000", "the database server could not be used; see the proxy's log")
        }
        DirectoryError::Server(_) | DirectoryError::Closed => {
            SqlError::new(1042, "08S01", "the database server cannot be reached, try again later")
        }
    }
}
