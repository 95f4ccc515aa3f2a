//! Session state, as two clients see it that share one server connection statement by statement.

mod counts;
mod user_variables;
