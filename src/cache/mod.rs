//! Hot reads: results of plain SELECTs kept in memory, and identical ones under way asked once.
//!
//! A kept result is only given to a session that could have read it from the server at this moment. What makes
//! that true: only statements whose result follows from tables, text and session ([`Traits`]); a key of everything
//! else that changes a result; and a count of the writes of each table ([`Tables`]), looked at when a read is
//! sent and again whenever its result is given. A write closes its tables before it is sent and opens them after
//! its client has been told, so that nobody can read from memory what a writer knows to be old.
//! What a written name stands for (a view, a parent with cascades, a table with triggers) is known from the
//! server ([`Catalog`]); where it is not known, a write ends everything that is kept.
//!
//! Nothing here waits or reads a clock; `engine/hot_reads.rs` does.

mod catalog;
mod flight;
mod functions;
mod hot_keys;
mod keys;
mod portable;
mod recording;
mod rules;
mod store;
mod tables;
mod traits;
mod trust;
mod untold;

pub use catalog::{Asking, Catalog, CatalogKey, Catalogs, KeyPlace};
pub use flight::{FlightState, Follower};
pub use hot_keys::{HotKey, HotKeys, Noted};
pub use keys::{KeyColumn, Keys, Text};
pub use portable::{Asked, Portable, Seal, Token, Unfit};
pub use recording::Recording;
pub use rules::{RuleCounts, RuleNumbers};
pub use store::{Answer, Cache, CacheNumbers, Fill, Key, Lookup, Reply, Wanted};
pub use tables::{Reach, Seen, Slot, Tables, Writing};
pub use traits::{Change, Reads, Traits, is_system_schema};
pub use trust::{LogCounts, Phase, Trust, Trusts};
pub use untold::{Place, Telling, Untold};

#[cfg(test)]
mod tests;
