//! What a reply told about its statement and its session.

use std::time::Duration;

use crate::engine::changes::Changes;
use crate::wire::StatusFlags;

/// What a reply told.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Status of the last packet.
    pub status: StatusFlags,
    /// Warnings of the last result.
    pub warnings: u16,
    /// Rows changed by the last result without rows; −1 after a result with rows or an error, as
    /// ROW_COUNT() has it.
    pub row_count: i64,
    /// Generated id of the last OK, if any.
    pub last_insert_id: u64,
    /// Rows passed on.
    pub rows: u64,
    /// Results that came whole.
    pub results: u32,
    /// Bytes passed on.
    pub bytes: u64,
    /// Columns of the last result that had some.
    pub columns: u64,
    /// The reply was read and not passed on: the statement has to be sent again.
    pub withheld: bool,
    /// It was withheld because the server wants the statement prepared again.
    pub stale: bool,
    /// From the command sent to the first byte of the reply, if that was asked for.
    pub took: Option<Duration>,
    /// The error that ended the reply.
    pub error: Option<u16>,
    /// Its SQLSTATE.
    pub error_state: Option<[u8; 5]>,
    /// Session state the server said has changed.
    pub changes: Changes,
}

impl Outcome {
    /// Whether the server could not read the text, and so did nothing.
    #[must_use]
    pub const fn is_syntax_error(&self) -> bool {
        matches!(self.error, Some(1064)) && self.results == 0
    }
}
