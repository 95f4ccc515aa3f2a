//! Session state, as two clients see it that share one server connection statement by statement.

mod counts;
mod diagnostics;
mod pins;
mod user_variables;
