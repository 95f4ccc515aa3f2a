//! What keeps a database from being asked for more than it can give: rates, concurrency, breakers.
//!
//! Nothing here reads a clock or does I/O: every decision takes `now`, so that hours of load are tested in
//! milliseconds.

mod adaptive;
mod breaker;
mod bucket;
mod control;
mod door;
mod gate;
mod line;
mod permit;
mod policy;
mod quarantine;
mod refusal;
mod rule;
mod tier;

pub use adaptive::Adaptive;
pub use breaker::{Breaker, BreakerSettings, Outcome, Passage, Phase};
pub use bucket::Bucket;
pub use control::{Admission, Switch, SwitchError};
pub use door::{Door, DoorSettings, DoorView, Held, Shut};
pub use gate::{Ask, Concurrency, Counts, Entry, Gate, GateSettings, Grade, Reason, Sample, Turned, Woken};
pub use line::Line;
pub use permit::Permit;
pub use policy::{Allowance, Decision, Denial, Identity, Marks, Policy, RuleSet, application_of, glob};
pub use quarantine::{Finding, Observed, Watch};
pub use refusal::{Place, Refusal};
pub use tier::Tier;
