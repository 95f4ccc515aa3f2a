//! One statement's life: snapshot, facts, lease, exchange, reply; and the session's state across them.

pub mod accounts;
mod changes;
mod client;
mod combine;
mod commands;
mod diagnostics;
mod error;
mod execute;
mod facts;
<<<<<<< HEAD
mod interruption;
=======
mod held;
>>>>>>> 2b13b5d (Pins end with their cause and are visible; diagnostics survive any pause)
mod kill;
mod local;
mod offer;
mod parameters;
mod parting;
mod pin_watch;
mod pins;
mod prepared;
mod process;
mod recall;
mod relay;
mod servers;
mod session;
mod sharded;
mod snapshot;
mod statement;
mod streaming;
mod tracker;
mod typing;
mod values;

pub use crate::backend::SessionImage;
pub use client::{Client, ClientError};
pub use combine::Station;
pub use error::{EngineError, pool_refusal};
pub use facts::FactsCache;
pub use offer::{Offered, offer};
pub use parameters::{ParameterLayout, skip_value};
pub use pin_watch::PinWatch;
pub use process::{Engine, Shutdown};
pub use relay::RelayError;
pub use servers::{learn_servers, server_facts};
pub use session::{Session, SessionParts, SessionState, Worker};
pub use sharded::{LogicalDatabase, Renaming, ShardPool};
pub use snapshot::{Snapshot, User};
