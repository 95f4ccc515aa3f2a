//! The binary log as a server sends it to its replicas: events, positions, the commands that ask for them.
//!
//! Only what tells which tables change is read, and of their rows one column at most. Source: MySQL "Replication Protocol",
//! MariaDB "Replication Protocol", measured on both servers.

mod event;
mod gtid;
mod payload;
mod position;
mod request;
mod rows;

pub use event::{EVENT_HEADER_BYTES, EventHeader, LogEvent, RowsOf, kind};
pub use gtid::{Gtid, GtidSet};
pub use payload::inner_events;
pub use position::LogPosition;
pub use request::{dump_from, dump_without, register};
pub use rows::{ColumnValues, RowLayout};
