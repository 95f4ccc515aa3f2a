//! The oracle: through the proxy over slots is the same as on one plain server, or refused by a number.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(dead_code, reason = "the support of the integration tests has more than is needed here")]

mod answer;
mod compare;
mod data;
mod draw;
mod everyday;
mod generate;
mod oracle;
mod query;
mod shame;
mod stage;
mod support;
