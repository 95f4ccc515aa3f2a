//! Old results in place of an error, where a rule of the cache allows them: the server cannot be asked.
//!
//! Such a result comes with a warning that says so, which SHOW WARNINGS shows.

use tokio::time::Instant;

use crate::backend::{BackendError, ResultSet};
use crate::cache::Answer;
use crate::engine::diagnostics::Diagnostics;
use crate::engine::error::EngineError;
use crate::engine::facts::Facts;
use crate::engine::relay::Outcome;
use crate::engine::session::Session;
use crate::wire::{Capabilities, HEADER_BYTES, StatusFlags, Writer};

/// ER_UNKNOWN_ERROR: no number of a server says what this warning does.
const WARNING: u16 = 1105;

/// What a column of SHOW WARNINGS is: its name, length and type.
const COLUMNS: [(&str, u32, u8); 3] = [("Level", 28, 0xFD), ("Code", 4, 0x03), ("Message", 2048, 0xFD)];

impl Session {
    /// What a read has become; `None` if its client was given an old result in place of an error.
    pub(crate) async fn or_old(
        &mut self,
        result: Result<Outcome, EngineError>,
        facts: &Facts,
        prepared: Option<u32>,
    ) -> Result<Option<Outcome>, EngineError> {
        let resort = self.hot.resort.take();
        let error = match result {
            Ok(outcome) => return Ok(Some(outcome)),
            Err(error) => error,
        };
        let now = Instant::now();
        let resort = resort.filter(|_| is_eased(&error) && !self.is_bound());
        match resort.and_then(|resort| self.engine.cache.find_old(resort.0, resort.1, now)) {
            None => Err(error),
            Some(answer) => {
                self.give_old(&answer, facts, prepared, now).await?;
                Ok(None)
            }
        }
    }

    async fn give_old(
        &mut self,
        answer: &Answer,
        facts: &Facts,
        prepared: Option<u32>,
        now: Instant,
    ) -> Result<(), EngineError> {
        let Answer { status, rows, columns, .. } = *answer;
        let outcome =
            Outcome { status, row_count: -1, rows, columns, results: 1, warnings: 1, ..Outcome::default() };
        self.state.status = status.without(StatusFlags::OF_ONE_RESULT);
        if let Some(id) = prepared {
            self.executed(id, &outcome);
        }
        self.count(&facts.statement, &outcome);
        self.witness.last_statement = false;
        self.hot.hit = true;
        let age = answer.age(now).as_secs();
        let message = format!(
            "DZ0510 this result was read {age} s ago: the server cannot be asked now (session {})",
            self.guard.id()
        );
        self.diagnostics = Some(Box::new(Diagnostics::Shown(warning(&message))));
        let modern = self.client.capabilities.has(Capabilities::DEPRECATE_EOF);
        Ok(self.client.send(&with_warning(&answer.bytes, modern)).await?)
    }
}

/// Whether the server could not be asked, or was not to be.
fn is_eased(error: &EngineError) -> bool {
    match error {
        EngineError::Protected(told) => told.0.is_eased_by_old_results(),
        EngineError::Backend(error) => {
            matches!(error, BackendError::Pool(_) | BackendError::Stream(_) | BackendError::Timeout(_))
        }
        EngineError::Lost(_) => true,
        EngineError::Relay(_)
        | EngineError::Client(_)
        | EngineError::Refused(_)
        | EngineError::Expelled(_)
        | EngineError::Torn(_) => false,
    }
}

/// What SHOW WARNINGS tells.
fn warning(message: &str) -> ResultSet {
    let definition = |(name, length, kind): (&str, u32, u8)| {
        let mut definition = Vec::new();
        definition.put_lenenc_bytes(b"def");
        for text in ["", "", "", name, ""] {
            definition.put_lenenc_bytes(text.as_bytes());
        }
        definition.push(0x0C);
        // A number is binary; utf8mb4_general_ci otherwise. NOT NULL, and of the number UNSIGNED.
        let number = kind == 0x03;
        definition.put_u16(if number { 63 } else { 45 });
        definition.put_u32(length);
        definition.push(kind);
        definition.put_u16(if number { 0x00A1 } else { 0x0001 });
        definition.push(if number { 0 } else { 31 });
        definition.put_u16(0);
        definition
    };
    let mut row = Vec::new();
    for cell in ["Warning", &WARNING.to_string(), message] {
        row.put_lenenc_bytes(cell.as_bytes());
    }
    ResultSet { columns: COLUMNS.map(definition).into(), rows: vec![row] }
}

/// A kept reply whose end tells of one warning. Where its end is and what stands there was checked when it was kept: it
/// is an OK or EOF without affected rows, id or warnings.
fn with_warning(bytes: &[u8], modern: bool) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let (mut at, mut last) = (0, 0);
    while let Some([a, b, c, _]) = bytes.get(at..at + HEADER_BYTES) {
        last = at + HEADER_BYTES;
        at = last + (usize::from(*a) | usize::from(*b) << 8 | usize::from(*c) << 16);
    }
    // 0xFE, two empty numbers and the status of an OK, or 0xFE of an EOF.
    let warnings = last + if modern { 5 } else { 1 };
    if let Some(count) = bytes.get_mut(warnings..warnings + 2) {
        count.copy_from_slice(&1_u16.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_reply_tells_of_the_warning() {
        let row = b"\x02\0\0\x01ab";
        let check = |end: &[u8], modern: bool, expected: &[u8]| {
            let told = with_warning(&[row.as_slice(), end].concat(), modern);
            assert_eq!(told, [row.as_slice(), expected].concat());
        };
        check(b"\x05\0\0\x02\xFE\0\0\x02\0", false, b"\x05\0\0\x02\xFE\x01\0\x02\0");
        check(b"\x07\0\0\x02\xFE\0\0\x02\0\0\0", true, b"\x07\0\0\x02\xFE\0\0\x02\0\x01\0");
    }
}
