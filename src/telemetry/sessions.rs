//! The list of client sessions: who is connected and what it does, for `SHOW PROCESSLIST` and `KILL`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::telemetry::digests::TimeBase;

/// Maps that share the sessions, so that logins on different workers rarely meet.
const SHARDS: usize = 16;

/// What a session does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// The login has not ended.
    Login,
    /// Waiting for a command, no transaction open.
    Sleep,
    /// Waiting for a command inside a transaction or pinned: it holds a server connection.
    SleepLeased,
    /// Waiting for a server connection.
    Waiting,
    /// A statement runs.
    Query,
}

impl Activity {
    const ALL: [Self; 5] = [Self::Login, Self::Sleep, Self::SleepLeased, Self::Waiting, Self::Query];
}

/// What KILL asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kill {
    /// The running statement ends with 1317; the session goes on.
    Query,
    /// The session ends.
    Connection,
}

const KILL_NONE: u8 = 0;
const KILL_QUERY: u8 = 1;
const KILL_CONNECTION: u8 = 2;

/// Every session of the process, by id.
#[derive(Debug)]
pub struct Sessions {
    /// Each lock guards a map for the length of one insert, remove, look-up or copy of its entries.
    shards: [Mutex<HashMap<u32, Arc<Entry>>>; SHARDS],
    last_id: AtomicU32,
    base: TimeBase,
}

#[derive(Debug)]
struct Entry {
    id: u32,
    activity: AtomicU8,
    kill: AtomicU8,
    /// Nanoseconds after the base.
    since: AtomicU64,
    peer: Option<SocketAddr>,
    user: OnceLock<Arc<str>>,
    /// Written when the schema changes, read by a listing: both only copy a pointer.
    schema: Mutex<Option<Arc<str>>>,
    killed: Notify,
}

/// One session as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// The connection id of the handshake.
    pub id: u32,
    /// The user, once the login has named one.
    pub user: Option<Arc<str>>,
    /// The current schema.
    pub schema: Option<Arc<str>>,
    /// The client's address; none for a unix socket.
    pub peer: Option<SocketAddr>,
    /// What it does.
    pub activity: Activity,
    /// For how long.
    pub since: Duration,
}

impl Sessions {
    pub(super) fn new(base: TimeBase) -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), last_id: AtomicU32::new(0), base }
    }

    /// Adds a session that begins its login. Its id is not 0 and no other session has it.
    #[must_use]
    pub fn open(self: &Arc<Self>, peer: Option<SocketAddr>) -> SessionGuard {
        loop {
            let id = self.last_id.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            if id == 0 {
                continue;
            }
            let mut shard = self.shard(id).lock();
            let std::collections::hash_map::Entry::Vacant(place) = shard.entry(id) else {
                // After four billion connections an old one may still have this id.
                continue;
            };
            let entry = Arc::new(Entry {
                id,
                activity: AtomicU8::new(Activity::Login as u8),
                kill: AtomicU8::new(KILL_NONE),
                since: AtomicU64::new(self.base.nanos_until(Instant::now())),
                peer,
                user: OnceLock::new(),
                schema: Mutex::new(None),
                killed: Notify::new(),
            });
            place.insert(Arc::clone(&entry));
            return SessionGuard { sessions: Arc::clone(self), entry };
        }
    }

    /// How many sessions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every session, by id.
    #[must_use]
    pub fn list(&self) -> Vec<SessionRow> {
        let now = self.base.nanos_until(Instant::now());
        let mut rows: Vec<SessionRow> = Vec::new();
        for shard in &self.shards {
            rows.extend(shard.lock().values().map(|entry| entry.row(now)));
        }
        rows.sort_unstable_by_key(|row| row.id);
        rows
    }

    /// The user of session `id`, if there is such a session: KILL asks before it acts.
    #[must_use]
    pub fn find(&self, id: u32) -> Option<SessionRow> {
        let now = self.base.nanos_until(Instant::now());
        self.shard(id).lock().get(&id).map(|entry| entry.row(now))
    }

    /// Tells session `id` to end its statement or itself; false: no such session (1094).
    #[must_use]
    pub fn kill(&self, id: u32, kill: Kill) -> bool {
        let Some(entry) = self.shard(id).lock().get(&id).map(Arc::clone) else { return false };
        let flag = match kill {
            Kill::Query => KILL_QUERY,
            Kill::Connection => KILL_CONNECTION,
        };
        entry.kill.fetch_max(flag, Ordering::Release);
        entry.killed.notify_one();
        true
    }

    fn shard(&self, id: u32) -> &Mutex<HashMap<u32, Arc<Entry>>> {
        &self.shards[id as usize % SHARDS]
    }
}

impl Entry {
    fn row(&self, now: u64) -> SessionRow {
        let since = now.saturating_sub(self.since.load(Ordering::Relaxed));
        SessionRow {
            id: self.id,
            user: self.user.get().cloned(),
            schema: self.schema.lock().clone(),
            peer: self.peer,
            activity: Activity::ALL[usize::from(self.activity.load(Ordering::Relaxed))],
            since: Duration::from_nanos(since),
        }
    }
}

/// A session's own place in the list; dropping it removes the session.
#[derive(Debug)]
pub struct SessionGuard {
    sessions: Arc<Sessions>,
    entry: Arc<Entry>,
}

impl SessionGuard {
    /// The connection id of the handshake.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.entry.id
    }

    /// The login named this user. Only the first call counts.
    pub fn logged_in(&self, user: Arc<str>) {
        self.entry.user.get_or_init(|| user);
    }

    /// The current schema changed.
    pub fn schema(&self, schema: Option<Arc<str>>) {
        *self.entry.schema.lock() = schema;
    }

    /// The session does this since `now`: two relaxed stores.
    #[inline]
    pub fn activity(&self, activity: Activity, now: Instant) {
        self.entry.activity.store(activity as u8, Ordering::Relaxed);
        self.entry.since.store(self.sessions.base.nanos_until(now), Ordering::Relaxed);
    }

    /// A new statement begins: a `KILL QUERY` that came too late for the one before must not end it.
    #[inline]
    pub fn forget_late_kill(&self) {
        if self.entry.kill.load(Ordering::Relaxed) == KILL_QUERY {
            let _ =
                self.entry.kill.compare_exchange(KILL_QUERY, KILL_NONE, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// What KILL has asked for so far. `Query` is handed out once, `Connection` for ever.
    #[must_use]
    pub fn take_kill(&self) -> Option<Kill> {
        match self.entry.kill.load(Ordering::Acquire) {
            KILL_NONE => None,
            KILL_CONNECTION => Some(Kill::Connection),
            _ => {
                self.forget_late_kill();
                Some(Kill::Query)
            }
        }
    }

    /// Waits for KILL. Cancel-safe: what was not handed out is kept. One waiter at a time.
    pub async fn killed(&self) -> Kill {
        loop {
            if let Some(kill) = self.take_kill() {
                return kill;
            }
            self.entry.killed.notified().await;
        }
    }
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        self.sessions.shard(self.entry.id).lock().remove(&self.entry.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions() -> Arc<Sessions> {
        Arc::new(Sessions::new(TimeBase::now()))
    }

    #[test]
    fn a_session_is_listed_until_it_is_dropped() {
        let sessions = sessions();
        let first = sessions.open(None);
        let second = sessions.open("127.0.0.1:5".parse().ok());
        second.logged_in("app".into());
        second.schema(Some("shop".into()));
        second.activity(Activity::Query, Instant::now());
        let rows = sessions.list();
        assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [first.id(), second.id()]);
        assert_eq!(rows[0].activity, Activity::Login);
        assert_eq!((rows[1].user.as_deref(), rows[1].schema.as_deref()), (Some("app"), Some("shop")));
        assert_eq!(rows[1].activity, Activity::Query);
        drop(first);
        assert_eq!(sessions.len(), 1);
        drop(second);
        assert!(sessions.is_empty());
    }

    #[test]
    fn ids_skip_zero_and_those_in_use() {
        let sessions = sessions();
        let first = sessions.open(None);
        sessions.last_id.store(u32::MAX, Ordering::Relaxed);
        let second = sessions.open(None);
        assert_eq!((first.id(), second.id()), (1, 2));
    }

    #[test]
    fn a_session_costs_at_most_200_bytes() {
        let in_map = size_of::<(u32, Arc<Entry>)>() + 1;
        let counts = 2 * size_of::<usize>();
        assert!(size_of::<Entry>() + counts + in_map + size_of::<SessionGuard>() <= 200);
    }

    #[tokio::test]
    async fn kill_reaches_its_session_alone() {
        let sessions = sessions();
        let (victim, other) = (sessions.open(None), sessions.open(None));
        assert!(!sessions.kill(99, Kill::Query));
        assert!(sessions.kill(victim.id(), Kill::Query));
        assert_eq!(victim.killed().await, Kill::Query);
        assert_eq!(victim.take_kill(), None, "a statement is killed once");
        assert!(sessions.kill(victim.id(), Kill::Query));
        victim.forget_late_kill();
        assert_eq!(victim.take_kill(), None);
        assert!(sessions.kill(victim.id(), Kill::Connection));
        assert!(sessions.kill(victim.id(), Kill::Query));
        assert_eq!(victim.killed().await, Kill::Connection);
        assert_eq!(victim.killed().await, Kill::Connection);
        assert_eq!(other.take_kill(), None);
    }
}
