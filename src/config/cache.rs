//! Settings of hot reads.

use std::time::Duration;

use crate::config::secret::Secret;

/// Results that are kept in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Cache {
    /// Bytes that kept results take at most.
    pub memory_max: u64,
    /// Bytes of one result; a larger one is not kept.
    pub result_bytes_max: u64,
    /// How long a read waits for an identical one under way before it goes by itself.
    pub wait_timeout: Duration,
    /// Which results are kept; none: nothing is.
    pub rules: Vec<CacheRule>,
    /// Where they are shared with other processes.
    pub redis: Option<Redis>,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            memory_max: 64 << 20,
            result_bytes_max: 256 << 10,
            wait_timeout: Duration::from_secs(1),
            rules: Vec::new(),
            redis: None,
        }
    }
}

/// A Redis in which several processes share results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redis {
    /// `host:port`, or the path of a unix socket.
    pub address: String,
    /// The account; empty: the default one.
    pub user: String,
    /// Its password; empty: none.
    pub password: Secret,
    /// The number of the database.
    pub database: u32,
    /// What the names of all keys begin with: who has the same shares results.
    pub prefix: String,
    /// Who knows it is believed.
    pub secret: Secret,
    /// What a look-up may take, and a writer waits for those who are told.
    pub timeout: Duration,
    /// Connections at most.
    pub connections_max: u32,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            address: String::new(),
            user: String::new(),
            password: Secret::new(""),
            database: 0,
            prefix: "dazzle".to_owned(),
            secret: Secret::new(""),
            timeout: Duration::from_millis(1),
            connections_max: 8,
        }
    }
}

/// One rule: reads of these tables and no others.
#[derive(Clone, Debug, PartialEq)]
pub struct CacheRule {
    /// Its name, in metrics.
    pub name: String,
    /// Tables, without their schemas, in lower case.
    pub tables: Vec<String>,
    /// Only these digests; empty: all.
    pub digests: Vec<u64>,
    /// Columns of integers by which rows are named, with their tables; of other tables it is the primary key.
    pub keys: Vec<(String, String)>,
    /// How long a result is kept at most; zero: only identical reads under way share one.
    pub ttl: Duration,
    /// After this time one read asks the server anew, while the others are given what is kept.
    pub soft_ttl: Option<Duration>,
    /// How long a result may be given beyond its end where the server cannot be asked.
    pub stale: Duration,
    /// What the server answers sooner is not kept.
    pub cost_min: Duration,
}

impl Default for CacheRule {
    fn default() -> Self {
        Self {
            name: String::new(),
            tables: Vec::new(),
            digests: Vec::new(),
            keys: Vec::new(),
            ttl: Duration::from_secs(10),
            soft_ttl: None,
            stale: Duration::ZERO,
            cost_min: Duration::ZERO,
        }
    }
}
