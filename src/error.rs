//! What every error of this crate can say about itself: who is to blame, whether the statement may
//! be tried again, and what a MySQL client is told.

use std::borrow::Cow;

/// Who caused an error; decides the log level and which counter moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The client sent something wrong, or went away.
    Client,
    /// This process, its configuration or its limits.
    Proxy,
    /// A database server or the network towards it.
    Backend,
}

/// What an ERR packet carries: the part of an error that a client may see.
///
/// Messages never hold server addresses, passwords or row values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlError {
    /// MySQL error number, for example 1045.
    pub code: u16,
    /// Five-character SQLSTATE, for example `28000`.
    pub state: &'static str,
    /// Lowercase, no full stop: what failed, then which, then what to do.
    pub message: Cow<'static, str>,
}

impl SqlError {
    /// An error with the SQLSTATE that MySQL's own sources pair with `code`.
    pub fn new(code: u16, state: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        debug_assert_eq!(state.len(), 5, "a SQLSTATE has five characters");
        Self { code, state, message: message.into() }
    }
}

/// Implemented by the error enum of every floor.
pub trait ProxyError: std::error::Error {
    /// Who caused it.
    fn blame(&self) -> Blame;
    /// Whether the same statement may succeed if it is sent again, by the client or by us.
    fn retryable(&self) -> bool;
    /// What the client is told.
    fn sql_error(&self) -> SqlError;
}
