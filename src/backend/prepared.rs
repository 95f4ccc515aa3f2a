//! The statements a server connection has prepared, least recently used first out.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use foldhash::fast::FixedState;
use tokio::time::Instant;

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

/// When a server told something: how many changes of definitions had passed by then, and the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Changes that had ended.
    pub changes: u64,
    /// The time.
    pub at: Instant,
}

/// A statement as the server knows it.
#[derive(Clone, Debug)]
pub struct ServerStatement {
    /// What the PREPARE told: the server's id, parameters, columns.
    pub reply: Arc<PrepareReply>,
    /// When it told that; `None`: it is not to be told again.
    pub told: Option<Told>,
    /// Parameter types of the last execution on this connection: a later one that sends no types gets
    /// these.
    pub types: Option<Arc<[u8]>>,
    used: u64,
}

/// Prepared statements of all connections to one server, against what the server allows.
#[derive(Debug)]
pub struct PreparedAccount {
    open: AtomicUsize,
    max: AtomicUsize,
}

impl PreparedAccount {
    /// An empty account with a server that allows `server_max` for everybody together.
    #[must_use]
    pub fn new(server_max: usize) -> Self {
        let account = Self { open: AtomicUsize::new(0), max: AtomicUsize::new(0) };
        account.allow(server_max);
        account
    }

    /// The server allows `server_max` (`max_prepared_stmt_count`): a quarter is left to others.
    pub fn allow(&self, server_max: usize) {
        self.max.store(server_max - server_max / 4, Ordering::Relaxed);
    }

    /// Statements that are open on the server.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    fn is_full(&self) -> bool {
        self.open() >= self.max.load(Ordering::Relaxed)
    }
}

/// Prepared statements of one server connection.
#[derive(Debug)]
pub struct PreparedStatements {
    account: Arc<PreparedAccount>,
    statements: HashMap<PreparedKey, ServerStatement, FixedState>,
    /// Bytes of their texts.
    bytes: usize,
    clock: u64,
    /// Ids to be closed with the next command.
    closing: Vec<u32>,
}

/// Statements kept per connection; beyond it the least recently used one is closed.
/// `max_prepared_stmt_count` is 16,382 per server by default.
const STATEMENTS_MAX: usize = 256;

/// Bytes of their texts; one that is longer by itself stays until another one is prepared.
const TEXT_BYTES_MAX: usize = 16 << 20;

impl Drop for PreparedStatements {
    fn drop(&mut self) {
        self.clear();
    }
}

impl PreparedStatements {
    /// None yet; they will be entered in `account`.
    #[must_use]
    pub fn new(account: Arc<PreparedAccount>) -> Self {
        Self { account, statements: HashMap::default(), bytes: 0, clock: 0, closing: Vec::new() }
    }

    /// Makes room for one more, whose text has so many bytes, here and in the account, as far as giving up this
    /// connection's own goes.
    pub fn make_room(&mut self, bytes: usize) {
        while self.statements.len() >= STATEMENTS_MAX
            || self.bytes.saturating_add(bytes) > TEXT_BYTES_MAX
            || self.account.is_full()
        {
            if !self.give_up_oldest() {
                return;
            }
        }
    }

    /// Gives up half of them, the least recently used first; false if there are none. For a server that allows no more.
    pub fn give_up_half(&mut self) -> bool {
        let count = self.statements.len().div_ceil(2);
        (0..count).filter(|_| self.give_up_oldest()).count() > 0
    }

    fn give_up_oldest(&mut self) -> bool {
        let oldest = self.statements.iter().min_by_key(|(_, statement)| statement.used);
        let Some(key) = oldest.map(|(key, _)| key.clone()) else { return false };
        self.remove(&key);
        true
    }

    fn close_later(&mut self, id: u32) {
        self.account.open.fetch_sub(1, Ordering::Relaxed);
        self.closing.push(id);
    }

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
        self.bytes -= former.text.len();
        if let Some(replaced) = self.statements.remove(key) {
            self.bytes -= key.text.len();
            self.close_later(replaced.reply.id);
        }
        self.bytes += key.text.len();
        Some(self.statements.entry(key.clone()).or_insert(statement))
    }

    /// Remembers a statement that was just prepared.
    pub fn insert(&mut self, key: PreparedKey, reply: Arc<PrepareReply>) {
        self.account.open.fetch_add(1, Ordering::Relaxed);
        self.clock += 1;
        let statement = ServerStatement { reply, told: None, types: None, used: self.clock };
        let bytes = key.text.len();
        match self.statements.insert(key, statement) {
            Some(replaced) => self.close_later(replaced.reply.id),
            None => self.bytes += bytes,
        }
    }

    /// Forgets a statement; it is closed on the server with the next command.
    pub fn remove(&mut self, key: &PreparedKey) {
        if let Some(statement) = self.statements.remove(key) {
            self.bytes -= key.text.len();
            self.close_later(statement.reply.id);
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
        self.account.open.fetch_sub(self.statements.len(), Ordering::Relaxed);
        self.statements.clear();
        self.bytes = 0;
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
        let account = Arc::new(PreparedAccount::new(16_382));
        let mut prepared = PreparedStatements::new(Arc::clone(&account));
        for n in 0..STATEMENTS_MAX {
            prepared.make_room(9);
            prepared.insert(key(n), reply(n as u32));
        }
        assert!(prepared.find(&key(0)).is_some());
        prepared.make_room(9);
        prepared.insert(key(9999), reply(9999));
        assert_eq!(prepared.take_closing(), [1]);
        assert!(prepared.find(&key(1)).is_none());
        assert!(prepared.find(&key(0)).is_some());
        assert_eq!(account.open(), STATEMENTS_MAX);
        assert!(prepared.give_up_half());
        assert_eq!((prepared.take_closing().len(), account.open()), (STATEMENTS_MAX / 2, STATEMENTS_MAX / 2));
        drop(prepared);
        assert_eq!(account.open(), 0);
    }

    #[test]
    fn long_texts_make_room_for_each_other() {
        let mut prepared = PreparedStatements::new(Arc::new(PreparedAccount::new(16_382)));
        let mut prepare = |n: u8, bytes: usize| {
            let text: Arc<[u8]> = vec![n; bytes].into();
            let key = PreparedKey { text, image: 1, types: Arc::default(), copy: 0 };
            let definitions = Arc::from([]);
            let reply =
                PrepareReply { id: u32::from(n), parameters: 0, columns: 0, warnings: 0, definitions };
            prepared.make_room(bytes);
            prepared.insert(key, Arc::new(reply));
            (prepared.take_closing(), prepared.bytes)
        };
        let half = TEXT_BYTES_MAX / 2;
        assert_eq!(prepare(1, half), (vec![], half));
        assert_eq!(prepare(2, half), (vec![], 2 * half));
        assert_eq!(prepare(3, 10), (vec![1], half + 10));
        // Larger than all of them may be: it has the room to itself.
        assert_eq!(prepare(4, 3 * half), (vec![2, 3], 3 * half));
        assert_eq!(prepare(5, 10), (vec![4], 10));
    }

    #[test]
    fn all_connections_together_keep_to_the_account() {
        let account = Arc::new(PreparedAccount::new(8));
        let definitions = Arc::from([]);
        let reply = Arc::new(PrepareReply { id: 1, parameters: 0, columns: 0, warnings: 0, definitions });
        let key = |n: u8| PreparedKey { text: Arc::from([n]), image: 1, types: Arc::default(), copy: 0 };
        let mut connections = [(); 3].map(|()| PreparedStatements::new(Arc::clone(&account)));
        for n in 0..9 {
            let prepared = &mut connections[usize::from(n) % 3];
            prepared.make_room(9);
            prepared.insert(key(n), Arc::clone(&reply));
        }
        assert_eq!(account.open(), 6);
        // One that is replaced counts no more.
        connections[0].insert(key(6), reply);
        assert_eq!(account.open(), 6);
    }
}
