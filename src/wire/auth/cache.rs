//! What makes `caching_sha2_password` fast the second time: digests of passwords that proved right.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;

use crate::wire::auth::LoginSecret;
use crate::wire::auth::Sha2Verifier;
use crate::wire::auth::sha2;

/// Passwords of one user at once: an account has two while one is being replaced by the other.
const PASSWORDS_MAX: usize = 2;

/// Users whose password matched their stored verifier, with SHA256(SHA256(password)).
///
/// Shared by all sessions. An entry counts only for the verifier that it was checked against, so a new
/// password in the configuration needs no invalidation.
pub struct Sha2Cache {
    entries_max: usize,
    /// Whether the passwords themselves are kept, too: for logins in the users' names.
    keeps_passwords: bool,
    /// Guards entries and their order together. Held for a look-up or an insertion; digests are
    /// computed outside.
    entries: Mutex<Entries>,
}

/// A password that has proved right.
#[derive(Clone)]
pub(super) struct Proved {
    pub(super) digest: [u8; sha2::LEN],
    pub(super) secret: Option<LoginSecret>,
}

#[derive(Default)]
struct Entries {
    by_user: HashMap<String, Vec<(Sha2Verifier, Proved)>, foldhash::fast::RandomState>,
    /// First in, first out.
    order: VecDeque<String>,
}

impl Sha2Cache {
    /// An empty cache of at most `entries_max` users.
    #[must_use]
    pub fn new(entries_max: usize) -> Self {
        Self { entries_max, keeps_passwords: false, entries: Mutex::default() }
    }

    /// An empty cache of at most `entries_max` users that keeps their passwords.
    #[must_use]
    pub fn keeping_passwords(entries_max: usize) -> Self {
        Self { keeps_passwords: true, ..Self::new(entries_max) }
    }

    /// What is known of `user`'s password, if it has proved right against `verifier`.
    pub(super) fn proved(&self, user: &str, verifier: &Sha2Verifier) -> Option<Proved> {
        let entries = self.entries.lock();
        let known = entries.by_user.get(user)?;
        known.iter().find(|(checked, _)| checked == verifier).map(|(_, proved)| proved.clone())
    }

    /// Remembers that `password` is right for `verifier`.
    pub(super) fn remember(&self, user: &str, verifier: &Sha2Verifier, password: &[u8]) {
        if self.entries_max == 0 {
            return;
        }
        let secret =
            str::from_utf8(password).ok().filter(|_| self.keeps_passwords).map(LoginSecret::password);
        let proved = Proved { digest: sha2::fast_digest(password), secret };
        let mut entries = self.entries.lock();
        let known = entries.by_user.entry(user.to_owned()).or_default();
        let new = known.is_empty();
        known.retain(|(checked, _)| checked != verifier);
        known.truncate(PASSWORDS_MAX - 1);
        known.insert(0, (verifier.clone(), proved));
        if !new {
            return;
        }
        entries.order.push_back(user.to_owned());
        if entries.order.len() > self.entries_max
            && let Some(oldest) = entries.order.pop_front()
        {
            entries.by_user.remove(&oldest);
        }
    }

    /// Forgets a user that is no more.
    pub fn forget(&self, user: &str) {
        let mut entries = self.entries.lock();
        if entries.by_user.remove(user).is_some() {
            entries.order.retain(|other| other != user);
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

    fn digest(cache: &Sha2Cache, user: &str, verifier: &Sha2Verifier) -> Option<[u8; sha2::LEN]> {
        cache.proved(user, verifier).map(|proved| proved.digest)
    }

    #[test]
    fn passwords_are_kept_only_where_they_are_needed() {
        let verifier = Sha2Verifier::unknown([1; 52], 5000);
        for (cache, kept) in [(Sha2Cache::new(2), false), (Sha2Cache::keeping_passwords(2), true)] {
            cache.remember("app", &verifier, b"secret");
            let secret = cache.proved("app", &verifier).and_then(|proved| proved.secret);
            assert_eq!(secret, kept.then(|| LoginSecret::password("secret")));
        }
    }

    #[test]
    fn an_entry_counts_only_for_the_verifier_it_was_checked_against() {
        let cache = Sha2Cache::new(8);
        let (old, new) = (Sha2Verifier::unknown([1; 52], 5000), Sha2Verifier::unknown([2; 52], 5000));
        cache.remember("app", &old, b"secret");
        assert_eq!(digest(&cache, "app", &old), Some(sha2::fast_digest(b"secret")));
        assert_eq!(digest(&cache, "app", &new), None);
        assert_eq!(digest(&cache, "other", &old), None);
        cache.remember("app", &new, b"changed");
        assert_eq!(digest(&cache, "app", &new), Some(sha2::fast_digest(b"changed")));
        // Both, while one is being replaced by the other; and no third.
        assert!(digest(&cache, "app", &old).is_some());
        cache.remember("app", &Sha2Verifier::unknown([3; 52], 5000), b"again");
        assert_eq!(digest(&cache, "app", &old), None);
        cache.forget("app");
        assert_eq!(digest(&cache, "app", &new), None);
    }

    #[test]
    fn the_oldest_entry_leaves_a_full_cache() {
        let cache = Sha2Cache::new(2);
        let verifier = Sha2Verifier::unknown([1; 52], 5000);
        for user in ["a", "b", "b", "c"] {
            cache.remember(user, &verifier, b"secret");
        }
        assert!(digest(&cache, "a", &verifier).is_none());
        assert!(digest(&cache, "b", &verifier).is_some());
        assert!(digest(&cache, "c", &verifier).is_some());
    }
}
