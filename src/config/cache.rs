//! Settings of hot reads.

use std::time::Duration;

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
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            memory_max: 64 << 20,
            result_bytes_max: 256 << 10,
            wait_timeout: Duration::from_secs(1),
            rules: Vec::new(),
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
