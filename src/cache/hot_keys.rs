//! Which reads come most often, whether they are kept or not: what a cache is for, and what one row melts under.
//!
//! One read in [`SAMPLE`] is looked at, chosen by the nanosecond in which it came, and counted in a fixed number of places
//! (the algorithm Space-Saving): what has a share of all that is larger than one place's is certainly among them. Counts are
//! those of the last whole window; of each, what may be somebody else's is left out.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;
use parking_lot::Mutex;
use tokio::time::Instant;

/// One read in so many is looked at; a power of two.
const SAMPLE: u32 = 16;

/// Reads that are counted at once.
const PLACES: usize = 256;

/// How long a window is.
const WINDOW: Duration = Duration::from_secs(10);

/// What was seen less often than this says nothing.
const SEEN_MIN: u64 = 8;

/// Of all reads, in per cent, that one must be to be hot.
const SHARE_MIN: f64 = 1.0;

/// A read that comes often. It is named by a hash: literals are its client's own affair.
#[derive(Clone, Debug, PartialEq)]
pub struct HotKey {
    /// Of text, parameters, user and whatever else decides its result.
    pub key: u64,
    /// Its digest.
    pub digest: u64,
    /// The text of its digest.
    pub statement: Arc<str>,
    /// Whose it is.
    pub user: Arc<str>,
    /// The number of the rule it falls under.
    pub rule: Option<usize>,
    /// How often it came, at least.
    pub reads_per_second: f64,
    /// Its part of all reads, in per cent.
    pub share: f64,
}

/// A read that is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Noted<'a> {
    /// See [`HotKey`].
    pub key: u64,
    /// See [`HotKey`].
    pub digest: u64,
    /// See [`HotKey`].
    pub statement: &'a str,
    /// See [`HotKey`].
    pub user: &'a str,
    /// See [`HotKey`].
    pub rule: Option<usize>,
}

#[derive(Debug)]
struct Place {
    count: u64,
    /// As many of these may have been another one's, which had the place before.
    doubtful: u64,
    digest: u64,
    statement: Arc<str>,
    user: Arc<str>,
    rule: Option<usize>,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    places: HashMap<u64, Place, FixedState>,
    seen: u64,
}

impl Window {
    fn new(since: Instant) -> Self {
        Self { since, places: HashMap::default(), seen: 0 }
    }

    fn hot(&self) -> Vec<HotKey> {
        let mut hot: Vec<HotKey> = self
            .places
            .iter()
            .filter_map(|(key, place)| {
                let certain = place.count - place.doubtful;
                let share = certain as f64 * 100.0 / self.seen as f64;
                (certain >= SEEN_MIN && share >= SHARE_MIN).then(|| HotKey {
                    key: *key,
                    digest: place.digest,
                    statement: Arc::clone(&place.statement),
                    user: Arc::clone(&place.user),
                    rule: place.rule,
                    reads_per_second: (certain * u64::from(SAMPLE)) as f64 / WINDOW.as_secs_f64(),
                    share,
                })
            })
            .collect();
        hot.sort_by_key(|hot| (Reverse((hot.share * 1e6) as u64), hot.key));
        hot
    }
}

#[derive(Debug)]
struct State {
    window: Window,
    /// Of the last whole window.
    hot: Vec<HotKey>,
}

/// See the module's text.
#[derive(Debug)]
pub struct HotKeys {
    began: Instant,
    /// Held for one count: by one statement in [`SAMPLE`].
    state: Mutex<State>,
}

impl HotKeys {
    /// Nothing has come.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { began: now, state: Mutex::new(State { window: Window::new(now), hot: Vec::new() }) }
    }

    /// Whether a read that came at this moment is looked at.
    #[inline]
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        let nanos = now.saturating_duration_since(self.began).subsec_nanos();
        // Clocks that count in steps have some low bits that are always the same.
        nanos.wrapping_mul(0x9E37_79B1) >> (32 - SAMPLE.trailing_zeros()) == 0
    }

    /// It has come.
    pub fn note(&self, noted: &Noted<'_>, now: Instant) {
        let mut state = self.state.lock();
        state.turn(now);
        state.window.seen += 1;
        let places = &mut state.window.places;
        if let Some(place) = places.get_mut(&noted.key) {
            place.count += 1;
            return;
        }
        let doubtful = if places.len() < PLACES {
            0
        } else {
            let least = places.iter().min_by_key(|(key, place)| (place.count, **key));
            let Some((key, count)) = least.map(|(key, place)| (*key, place.count)) else { return };
            places.remove(&key);
            count
        };
        let place = Place {
            count: doubtful + 1,
            doubtful,
            digest: noted.digest,
            statement: noted.statement.into(),
            user: noted.user.into(),
            rule: noted.rule,
        };
        places.insert(noted.key, place);
    }

    /// What came often in the last whole window, the most frequent first.
    #[must_use]
    pub fn hot(&self, now: Instant) -> Vec<HotKey> {
        let mut state = self.state.lock();
        state.turn(now);
        state.hot.clone()
    }

    /// Rules are others now.
    pub fn forget(&self, now: Instant) {
        *self.state.lock() = State { window: Window::new(now), hot: Vec::new() };
    }
}

impl State {
    /// Begins another window if it is time.
    fn turn(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.window.since);
        if passed < WINDOW {
            return;
        }
        let whole = std::mem::replace(&mut self.window, Window::new(now));
        // Of one that ended long ago nothing is hot any more.
        self.hot = if passed < 2 * WINDOW { whole.hot() } else { Vec::new() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(key: u64) -> Noted<'static> {
        Noted { key, digest: key / 1000, statement: "SELECT ?", user: "app", rule: Some(0) }
    }

    #[tokio::test]
    async fn what_comes_often_is_found_among_many_others() {
        let now = Instant::now();
        let keys = HotKeys::new(now);
        for n in 0..20_000_u64 {
            let other = 1_000 + n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % 100_000;
            keys.note(&noted(if n % 5 == 0 { 1 } else { other }), now);
            if n % 20 == 0 {
                keys.note(&noted(2), now);
            }
        }
        assert_eq!(keys.hot(now), [], "the window is not over");
        let hot = keys.hot(now + WINDOW);
        assert_eq!(hot.iter().map(|hot| hot.key).collect::<Vec<_>>(), [1, 2]);
        assert!((18.0..=20.0).contains(&hot[0].share), "{}", hot[0].share);
        assert!((5_000.0..=6_500.0).contains(&hot[0].reads_per_second), "{}", hot[0].reads_per_second);
        assert_eq!(keys.hot(now + 2 * WINDOW), [], "nothing came since");
    }

    #[tokio::test]
    async fn where_nothing_comes_often_nothing_is_hot() {
        let now = Instant::now();
        let keys = HotKeys::new(now);
        (0..50_000).for_each(|n| keys.note(&noted(n), now));
        assert_eq!(keys.hot(now + WINDOW), []);
        (0..7).for_each(|_| keys.note(&noted(1), now + WINDOW));
        assert_eq!(keys.hot(now + 2 * WINDOW), [], "seven are an accident");
        (0..8).for_each(|_| keys.note(&noted(1), now + 2 * WINDOW));
        assert_eq!(keys.hot(now + 4 * WINDOW), [], "it was long ago");
    }

    #[tokio::test]
    async fn about_one_read_in_sixteen_is_looked_at_whatever_the_clock_counts_in() {
        let now = Instant::now();
        let keys = HotKeys::new(now);
        for step in [1, 10, 41, 100, 1_000] {
            let due = (0..100_000).filter(|n| keys.is_due(now + Duration::from_nanos(n * step))).count();
            assert!((5_000..8_000).contains(&due), "steps of {step} ns: {due}");
        }
    }
}
