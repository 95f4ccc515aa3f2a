//! What a reply told of the session's state, and what of it a client may see.

use crate::wire::{Malformed, StateChange};

/// Session state that one reply may report, in bytes.
const CHANGES_BYTES_MAX: usize = 4 << 20;

/// Session state changes that a reply reported.
#[derive(Debug, Default)]
pub struct Changes {
    /// Variables and their values.
    pub variables: Vec<(Box<str>, Box<[u8]>)>,
    /// The default schema.
    pub schema: Option<Box<[u8]>>,
    /// The server said that the state has changed.
    pub state: bool,
    /// It said so and named neither a variable nor the schema.
    pub other_state: bool,
}

impl Changes {
    /// A variable now has this value; what was reported of it before does not count any more.
    pub(crate) fn set(&mut self, name: &str, value: &[u8]) -> Result<(), Malformed> {
        if let Some((_, known)) = self.variables.iter_mut().find(|(known, _)| **known == *name) {
            *known = value.into();
        } else {
            self.variables.push((name.into(), value.into()));
        }
        let bytes: usize = self.variables.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > CHANGES_BYTES_MAX { Err(Malformed("too many session state changes")) } else { Ok(()) }
    }

    /// Whether anything was reported.
    #[must_use]
    pub fn any(&self) -> bool {
        self.state || self.schema.is_some() || !self.variables.is_empty()
    }
}

/// Whether a client is told of a change without having asked for more than the servers' default
/// (`session_track_system_variables` of both).
pub(crate) fn is_reported(change: StateChange<'_>) -> bool {
    match change {
        StateChange::SystemVariable { name, .. } => matches!(
            name,
            b"time_zone"
                | b"autocommit"
                | b"character_set_client"
                | b"character_set_results"
                | b"character_set_connection"
        ),
        StateChange::Schema(_) | StateChange::Other { .. } => true,
        StateChange::State(_) => false,
    }
}
