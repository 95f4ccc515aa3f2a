//! Who an account is on which server, in words that are the same in every process: the server's own.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::cache::CatalogKey;

/// It is asked anew after this time,
const FRESH: Duration = Duration::from_secs(10);

/// and not believed any more after this.
const BELIEVED: Duration = Duration::from_secs(30);

/// Between two questions for the same account.
const PAUSE: Duration = Duration::from_millis(500);

/// Accounts at once; more begin anew.
const ACCOUNTS_MAX: usize = 4_096;

#[derive(Debug, Default)]
struct Known {
    identity: Option<(Arc<[u8]>, Instant)>,
    asked: Option<Instant>,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Identities {
    /// Held for a look-up, or to note an answer.
    known: Mutex<HashMap<CatalogKey, Known, FixedState>>,
}

impl Identities {
    /// Who it is, as far as that is known; and whether the server is to be asked, by nobody else meanwhile.
    pub(crate) fn find(&self, key: &CatalogKey, now: Instant) -> (Option<Arc<[u8]>>, bool) {
        let mut all = self.known.lock();
        if all.len() >= ACCOUNTS_MAX && !all.contains_key(key) {
            all.clear();
        }
        let known = all.entry(key.clone()).or_default();
        let younger = |moment: Instant, age: Duration| now.saturating_duration_since(moment) < age;
        let fresh = known.identity.as_ref().is_some_and(|(_, at)| younger(*at, FRESH));
        let asks = !fresh && !known.asked.is_some_and(|at| younger(at, PAUSE));
        if asks {
            known.asked = Some(now);
        }
        let believed = known.identity.as_ref().filter(|(_, at)| younger(*at, BELIEVED));
        (believed.map(|(identity, _)| Arc::clone(identity)), asks)
    }

    /// What the server said when asked at `now`.
    pub(crate) fn learn(&self, key: &CatalogKey, identity: Arc<[u8]>, now: Instant) {
        if let Some(known) = self.known.lock().get_mut(key) {
            known.identity = Some((identity, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_asks_and_the_answer_is_believed_for_a_while() {
        let (identities, now) = (Identities::default(), Instant::now());
        let key = CatalogKey { server: "db:3306".into(), account: Some("app/1".into()) };
        assert_eq!(identities.find(&key, now), (None, true));
        assert_eq!(identities.find(&key, now), (None, false));
        identities.learn(&key, b"app@%".as_slice().into(), now);
        let check = |after: Duration, believed: bool, asks: bool| {
            let (identity, asked) = identities.find(&key, now + after);
            assert_eq!((identity.is_some(), asked), (believed, asks), "{after:?}");
        };
        check(FRESH / 2, true, false);
        check(FRESH, true, true);
        check(FRESH, true, false);
        check(BELIEVED, false, true);
    }
}
