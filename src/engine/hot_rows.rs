//! Which rows a statement that meets the cache is about, by its text and what is bound to it.

use crate::cache::{Slot, Text};
use crate::engine::facts::Facts;
use crate::engine::session::Session;
use crate::engine::sharded::Parameters;
use crate::sharding::KeyLiteral;
use crate::wire::{Capabilities, HEADER_BYTES, Header};

/// Longer texts are not read once more to find a key in them.
const TEXT_MAX: usize = 4096;

/// How the statement at the front of the client's input has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// As text.
    Text,
    /// As the execution of a prepared one, by the client's id.
    Execution(u32),
    /// As executions for many rows of parameters.
    Bulk,
}

impl Sent {
    /// The client's id of the prepared statement.
    pub(crate) const fn prepared(self) -> Option<u32> {
        match self {
            Self::Execution(id) => Some(id),
            Self::Text | Self::Bulk => None,
        }
    }
}

impl Session {
    /// Where writes of the rows are counted that the statement reads, of its only table; `None`: of all rows.
    pub(super) fn rows_read(&self, facts: &Facts, header: Header, sent: Sent) -> Option<Vec<Slot>> {
        let [table] = &*facts.traits.reads.as_ref()?.tables else { return None };
        self.rows(facts, header, sent, |text| self.engine.cache.keys.read(table, text))
    }

    /// Where the statement's writes of rows of its only table are counted; `None`: it may change any.
    pub(super) fn rows_written(
        &self,
        facts: &Facts,
        table: &str,
        header: Header,
        sent: Sent,
    ) -> Option<Vec<Slot>> {
        self.rows(facts, header, sent, |text| self.engine.cache.keys.written(table, text))
    }

    fn rows(
        &self,
        facts: &Facts,
        header: Header,
        sent: Sent,
        find: impl FnOnce(Text<'_>) -> Option<Vec<Slot>>,
    ) -> Option<Vec<Slot>> {
        let mode = facts.traits.names_rows?;
        match sent {
            Sent::Bulk => None,
            Sent::Text => {
                let bytes = self.query_text(header);
                (bytes.len() <= TEXT_MAX).then(|| find(Text { bytes, mode, parameters: &[] }))?
            }
            Sent::Execution(id) => {
                let statement = self.statements.as_ref()?.known.get(&id)?;
                let bytes = &*statement.key.text;
                if statement.long_data || statement.stand_in.is_some() || bytes.len() > TEXT_MAX {
                    return None;
                }
                let payload =
                    self.client.stream.input.filled().get(HEADER_BYTES..HEADER_BYTES + header.length)?;
                let attributes = self.client.capabilities.has(Capabilities::QUERY_ATTRIBUTES);
                let types = statement.types.as_deref();
                let bound = Parameters::read(payload, statement.parameters, types, attributes).ok()?;
                let parameters: Vec<Option<i128>> = bound.literals().iter().map(whole_number).collect();
                find(Text { bytes, mode, parameters: &parameters })
            }
        }
    }
}

fn whole_number(literal: &KeyLiteral<'_>) -> Option<i128> {
    match literal {
        KeyLiteral::Integer(number) => Some(*number),
        KeyLiteral::Null
        | KeyLiteral::Decimal(_)
        | KeyLiteral::Double(_)
        | KeyLiteral::Text(_)
        | KeyLiteral::Binary(_)
        | KeyLiteral::Moment(_)
        | KeyLiteral::Opaque => None,
    }
}
