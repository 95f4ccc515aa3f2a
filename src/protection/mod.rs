//! What keeps a database from being asked for more than it can give: rates, concurrency, breakers.
//!
//! Nothing here reads a clock or does I/O: every decision takes `now`, so that hours of load are tested in
//! milliseconds.

mod adaptive;
mod breaker;
mod bucket;
mod gate;
mod line;
mod tier;

pub use adaptive::Adaptive;
pub use breaker::{Breaker, BreakerSettings, Outcome, Passage, Phase};
pub use bucket::Bucket;
pub use gate::{Ask, Concurrency, Counts, Entry, Gate, GateSettings, Grade, Reason, Sample, Turned, Woken};
pub use line::Line;
pub use tier::Tier;
