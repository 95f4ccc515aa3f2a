//! What makes `caching_sha2_password` fast the second time: digests of passwords that proved right.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;

use crate::wire::auth::Sha2Verifier;
use crate::wire::auth::sha2;

/// Users whose password matched their stored verifier, with SHA256(SHA256(password)).
///
/// Shared by all sessions. An entry counts only for the verifier that it was checked against, so a new
/// password in the configuration needs no invalidation.
pub struct Sha2Cache {
    entries_max: usize,
    /// Guards entries and their order together. Held for a look-up or an insertion; digests are
    /// computed outside.
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    by_user: HashMap<String, (Sha2Verifier, [u8; sha2::LEN]), foldhash::fast::RandomState>,
    /// First in, first out.
    order: VecDeque<String>,
}

impl Sha2Cache {
    /// An empty cache of at most `entries_max` users.
    #[must_use]
    pub fn new(entries_max: usize) -> Self {
        Self { entries_max, entries: Mutex::default() }
    }

    /// The digest of `user`'s password, if it has proved right against `verifier`.
    pub(super) fn digest(&self, user: &str, verifier: &Sha2Verifier) -> Option<[u8; sha2::LEN]> {
        let entries = self.entries.lock();
        let (checked, digest) = entries.by_user.get(user)?;
        (checked == verifier).then_some(*digest)
    }

    /// Remembers that `password` is right for `verifier`.
    pub(super) fn remember(&self, user: &str, verifier: &Sha2Verifier, password: &[u8]) {
        if self.entries_max == 0 {
            return;
        }
        let digest = sha2::fast_digest(password);
        let mut entries = self.entries.lock();
        if entries.by_user.insert(user.to_owned(), (verifier.clone(), digest)).is_some() {
            return;
        }
        entries.order.push_back(user.to_owned());
        if entries.order.len() > self.entries_max
            && let Some(oldest) = entries.order.pop_front()
        {
            entries.by_user.remove(&oldest);
        }
    }
}

impl std::fmt::Debug for Sha2Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sha2Cache").field("entries_max", &self.entries_max).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_counts_only_for_the_verifier_it_was_checked_against() {
        let cache = Sha2Cache::new(8);
        let (old, new) = (Sha2Verifier::unknown([1; 52], 5000), Sha2Verifier::unknown([2; 52], 5000));
        cache.remember("app", &old, b"secret");
        assert_eq!(cache.digest("app", &old), Some(sha2::fast_digest(b"secret")));
        assert_eq!(cache.digest("app", &new), None);
        assert_eq!(cache.digest("other", &old), None);
        cache.remember("app", &new, b"changed");
        assert_eq!(cache.digest("app", &old), None);
    }

    #[test]
    fn the_oldest_entry_leaves_a_full_cache() {
        let cache = Sha2Cache::new(2);
        let verifier = Sha2Verifier::unknown([1; 52], 5000);
        for user in ["a", "b", "b", "c"] {
            cache.remember(user, &verifier, b"secret");
        }
        assert!(cache.digest("a", &verifier).is_none());
        assert!(cache.digest("b", &verifier).is_some());
        assert!(cache.digest("c", &verifier).is_some());
    }
}
