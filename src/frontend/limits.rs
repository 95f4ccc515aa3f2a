//! How many clients there are, and how many there may be.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

/// Counts of open client connections, of the process and of each user.
#[derive(Debug, Default)]
pub struct ClientCounts {
    all: AtomicU32,
    /// Touched once per login and once per logout.
    users: Mutex<HashMap<Arc<str>, u32>>,
}

/// One counted client connection; counts down when dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    counts: Arc<ClientCounts>,
    user: Option<Arc<str>>,
}

impl ClientCounts {
    /// Open client connections.
    #[must_use]
    pub fn all(&self) -> u32 {
        self.all.load(Ordering::Relaxed)
    }

    /// Counts a connection, unless there are `max` already.
    pub(crate) fn admit(self: &Arc<Self>, max: u32) -> Option<Counted> {
        if self.all.fetch_add(1, Ordering::Relaxed) >= max {
            self.all.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Counted { counts: Arc::clone(self), user: None })
    }
}

impl Counted {
    /// Counts the connection for `user`, unless it has `max` already (0: no limit). A connection that
    /// was another user's is that user's no longer.
    pub(crate) fn become_user(&mut self, user: &Arc<str>, max: u32) -> bool {
        let mut users = self.counts.users.lock();
        let count = users.entry(Arc::clone(user)).or_insert(0);
        if max > 0 && *count >= max {
            return false;
        }
        *count += 1;
        if let Some(old) = self.user.replace(Arc::clone(user)) {
            forget(&mut users, &old);
        }
        true
    }
}

fn forget(users: &mut HashMap<Arc<str>, u32>, user: &str) {
    if let Some(count) = users.get_mut(user) {
        *count -= 1;
        if *count == 0 {
            users.remove(user);
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.counts.all.fetch_sub(1, Ordering::Relaxed);
        if let Some(user) = &self.user {
            forget(&mut self.counts.users.lock(), user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_and_places_come_back() {
        let counts = Arc::new(ClientCounts::default());
        let user: Arc<str> = "app".into();
        let mut first = counts.admit(2).expect("room");
        let mut second = counts.admit(2).expect("room");
        assert!(counts.admit(2).is_none());
        assert!(first.become_user(&user, 1));
        assert!(!second.become_user(&user, 1));
        drop(first);
        assert!(second.become_user(&user, 1));
        assert_eq!(counts.all(), 1);
        drop(second);
        assert!(counts.users.lock().is_empty());
    }
}
