//! Session state, as two clients see it that share one server connection statement by statement.

mod counts;
mod definitions;
mod diagnostics;
mod driver_questions;
mod found_rows;
mod many_prepared;
mod pins;
mod random_finds;
mod roles;
mod sequences;
mod switching;
mod tracking;
mod user_variables;
