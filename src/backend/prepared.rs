//! The statements a server connection has prepared, least recently used first out.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;

/// What COM_STMT_PREPARE told.
#[derive(Clone, Debug)]
pub struct PrepareReply {
    /// The server's id.
    pub id: u32,
    /// Number of parameters.
    pub parameters: u16,
    /// Number of result columns.
    pub columns: u16,
    /// Warnings.
    pub warnings: u16,
    /// Definitions of parameters, then of columns: payloads.
    pub definitions: Arc<[Box<[u8]>]>,
}

/// What a statement was prepared from: its text, and the session state that decided what the text
/// means (schema, `sql_mode`, charset …).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PreparedKey {
    /// The text.
    pub text: Arc<[u8]>,
    /// [`crate::backend::SessionImage::key`] at the time of the PREPARE.
    pub image: u128,
    /// Types that executions bind to parameters whose types the text leaves open, on servers where the first
    /// execution settles them; empty before it, and where none is open.
    pub types: Arc<[u8]>,
    /// Not 0 for a statement that cannot share the server's with others of the same text: one of them has long
    /// data waiting or a cursor open.
    pub copy: u32,
}

/// A statement as the server knows it.
#[derive(Clone, Debug)]
pub struct ServerStatement {
    /// What the PREPARE told: the server's id, parameters, columns.
    pub reply: Arc<PrepareReply>,
    /// Parameter types of the last execution on this connection: a later one that sends no types gets
    /// these.
    pub types: Option<Arc<[u8]>>,
    used: u64,
}

/// Prepared statements of one server connection.
#[derive(Debug, Default)]
pub struct PreparedStatements {
    statements: HashMap<PreparedKey, ServerStatement, FixedState>,
    clock: u64,
    /// Ids to be closed with the next command.
    closing: Vec<u32>,
}

/// Statements kept per connection; beyond it the least recently used one is closed.
/// `max_prepared_stmt_count` is 16,382 per server by default.
const STATEMENTS_MAX: usize = 256;

impl PreparedStatements {
    /// The statement, if it is prepared here.
    pub fn find(&mut self, key: &PreparedKey) -> Option<&mut ServerStatement> {
        self.clock += 1;
        let statement = self.statements.get_mut(key)?;
        statement.used = self.clock;
        Some(statement)
    }

    /// A statement whose open parameters have been settled by no execution yet is executed as `key`.
    pub fn settle(&mut self, key: &PreparedKey) -> Option<&mut ServerStatement> {
        let unsettled = PreparedKey { types: Arc::default(), ..key.clone() };
        self.become_own(&unsettled, key)
    }

    /// The statement that is known as `former` is from now on known as `key`.
    pub fn become_own(&mut self, former: &PreparedKey, key: &PreparedKey) -> Option<&mut ServerStatement> {
        let statement = self.statements.remove(former)?;
        Some(self.statements.entry(key.clone()).or_insert(statement))
    }

    /// Remembers a statement that was just prepared.
    pub fn insert(&mut self, key: PreparedKey, reply: Arc<PrepareReply>) {
        if self.statements.len() >= STATEMENTS_MAX {
            let oldest = self.statements.iter().min_by_key(|(_, statement)| statement.used);
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                self.remove(&key);
            }
        }
        self.clock += 1;
        let statement = ServerStatement { reply, types: None, used: self.clock };
        if let Some(replaced) = self.statements.insert(key, statement) {
            self.closing.push(replaced.reply.id);
        }
    }

    /// Forgets a statement; it is closed on the server with the next command.
    pub fn remove(&mut self, key: &PreparedKey) {
        if let Some(statement) = self.statements.remove(key) {
            self.closing.push(statement.reply.id);
        }
    }

    /// Takes the ids that are to be closed on the server.
    pub fn take_closing(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.closing)
    }

    /// Whether statements wait to be closed.
    #[must_use]
    pub const fn has_closing(&self) -> bool {
        !self.closing.is_empty()
    }

    /// The server has dropped them all (reset, new login).
    pub fn clear(&mut self) {
        self.statements.clear();
        self.closing.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_statement_is_closed() {
        let key = |n: usize| PreparedKey {
            text: format!("SELECT {n}").into_bytes().into(),
            image: 1,
            types: Arc::default(),
            copy: 0,
        };
        let reply = |id| {
            let definitions = Arc::from([]);
            Arc::new(PrepareReply { id, parameters: 0, columns: 0, warnings: 0, definitions })
        };
        let mut prepared = PreparedStatements::default();
        for n in 0..STATEMENTS_MAX {
            prepared.insert(key(n), reply(n as u32));
        }
        assert!(prepared.find(&key(0)).is_some());
        prepared.insert(key(9999), reply(9999));
        assert_eq!(prepared.take_closing(), [1]);
        assert!(prepared.find(&key(1)).is_none());
        assert!(prepared.find(&key(0)).is_some());
    }
}
