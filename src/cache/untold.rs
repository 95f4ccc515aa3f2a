//! Writes that those with whom results are shared have not been told of: until they are, nothing of these places is
//! taken from there, and nothing put.
//!
//! A write whose end nobody saw is told at once and once more after its doubt; only then is it done with.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use foldhash::fast::FixedState;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::cache::tables::{DOUBT, Reach, Slot};

/// Where a write is counted; `None`: everywhere.
pub type Place = Option<Slot>;

/// Whether a write may still be going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    /// It has ended.
    Over,
    /// It may be.
    Fresh,
    /// It may be until then.
    Until(Instant),
}

#[derive(Clone, Copy, Debug)]
struct Debt {
    /// Of the last write: a telling that began before it does not count.
    stamp: u64,
    /// It has to be told now.
    due: bool,
    doubt: Doubt,
}

#[derive(Debug, Default)]
struct Debts {
    stamp: u64,
    places: HashMap<Place, Debt, FixedState>,
}

/// See the module's text. There are as many entries as places at most.
#[derive(Debug, Default)]
pub struct Untold {
    /// Results are shared with somebody.
    on: AtomicBool,
    /// Entries of `debts`.
    count: AtomicUsize,
    /// Held to look something up, or to note it.
    debts: Mutex<Debts>,
    news: Notify,
}

/// What is to be told, as of one moment.
#[derive(Debug)]
pub struct Telling(Vec<(Place, u64)>);

impl Telling {
    /// Where there have been writes.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        self.0.iter().map(|(place, _)| *place)
    }
}

impl Untold {
    /// Whether there is anybody to be told. What is not told by then never is.
    pub fn switch(&self, on: bool) {
        self.on.store(on, SeqCst);
        if !on {
            let mut debts = self.debts.lock();
            debts.places.clear();
            self.count.store(0, SeqCst);
        }
    }

    /// A write has ended, and is not known elsewhere.
    pub(super) fn ended(&self, reach: &Reach) {
        self.note(reach, Doubt::Over);
    }

    /// Nobody knows whether a write has ended.
    pub(super) fn lost(&self, reach: &Reach) {
        self.note(reach, Doubt::Fresh);
    }

    /// Nobody has ever told of this place, or that is forgotten: what is read of it cannot be shared before.
    pub fn unknown(&self, place: Place) {
        self.note(&place.map_or(Reach::Everything, |slot| Reach::Tables([slot].into())), Doubt::Over);
    }

    fn note(&self, reach: &Reach, doubt: Doubt) {
        if !self.on.load(SeqCst) {
            return;
        }
        let mut debts = self.debts.lock();
        debts.stamp += 1;
        let stamp = debts.stamp;
        let mut note = |place: Place| {
            let debt = debts.places.entry(place).or_insert(Debt { stamp, due: true, doubt });
            let doubt = if doubt == Doubt::Over { debt.doubt } else { doubt };
            *debt = Debt { stamp, due: true, doubt };
        };
        match reach {
            Reach::Everything => note(None),
            Reach::Tables(slots) => slots.iter().for_each(|slot| note(Some(*slot))),
        }
        self.count.store(debts.places.len(), SeqCst);
        drop(debts);
        self.news.notify_one();
    }

    /// Whether nothing has been written at these places that is not known elsewhere.
    #[must_use]
    pub fn leaves(&self, slots: &[Slot]) -> bool {
        if self.count.load(SeqCst) == 0 {
            return true;
        }
        let debts = self.debts.lock();
        let known = |place: Place| !debts.places.contains_key(&place);
        known(None) && slots.iter().all(|slot| known(Some(*slot)))
    }

    /// What is to be told now.
    #[must_use]
    pub fn due(&self, now: Instant) -> Option<Telling> {
        if self.count.load(SeqCst) == 0 {
            return None;
        }
        let mut debts = self.debts.lock();
        let mut due = Vec::new();
        for (place, debt) in &mut debts.places {
            debt.doubt = match debt.doubt {
                Doubt::Fresh => Doubt::Until(now + DOUBT),
                Doubt::Until(end) if end <= now => {
                    debt.due = true;
                    Doubt::Over
                }
                other => other,
            };
            if debt.due {
                due.push((*place, debt.stamp));
            }
        }
        (!due.is_empty()).then_some(Telling(due))
    }

    /// It has been told.
    pub fn told(&self, telling: &Telling) {
        let mut debts = self.debts.lock();
        for (place, stamp) in &telling.0 {
            let Some(debt) = debts.places.get_mut(place).filter(|debt| debt.stamp == *stamp) else {
                continue;
            };
            debt.due = false;
            if debt.doubt == Doubt::Over {
                debts.places.remove(place);
            }
        }
        self.count.store(debts.places.len(), SeqCst);
    }

    /// When a doubt is over next.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        let debts = self.debts.lock();
        let ends = debts.places.values().filter_map(|debt| match debt.doubt {
            Doubt::Until(end) => Some(end),
            Doubt::Over | Doubt::Fresh => None,
        });
        ends.min()
    }

    /// Until there is something new to be told. Cancel-safe.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// Places of which something is not known elsewhere.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count.load(SeqCst)
    }

    /// Whether everything is known elsewhere.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn untold() -> (Untold, Instant, [Slot; 2]) {
        let untold = Untold::default();
        untold.switch(true);
        (untold, Instant::now(), [Slot::of("menu"), Slot::of("orders")])
    }

    fn reach(slots: &[Slot]) -> Reach {
        Reach::Tables(slots.into())
    }

    #[tokio::test]
    async fn what_has_been_told_is_done_with_and_what_came_meanwhile_is_not() {
        let (untold, now, [menu, orders]) = untold();
        assert!(untold.leaves(&[menu]) && untold.due(now).is_none());
        untold.ended(&reach(&[menu]));
        assert!(!untold.leaves(&[orders, menu]) && untold.leaves(&[orders]));
        let telling = untold.due(now).expect("it is not told");
        untold.ended(&reach(&[menu]));
        untold.told(&telling);
        assert!(!untold.leaves(&[menu]), "the second one is not told");
        untold.told(&untold.due(now).expect("it is due again"));
        assert!(untold.leaves(&[menu]) && untold.is_empty());
    }

    #[tokio::test]
    async fn a_write_of_everything_leaves_nothing() {
        let (untold, now, slots) = untold();
        untold.ended(&Reach::Everything);
        assert!(!untold.leaves(&slots) && !untold.leaves(&[]));
        untold.told(&untold.due(now).expect("it is not told"));
        assert!(untold.leaves(&slots));
    }

    #[tokio::test]
    async fn a_lost_write_is_told_twice() {
        let (untold, now, [menu, _]) = untold();
        untold.lost(&reach(&[menu]));
        untold.told(&untold.due(now).expect("it is told at once"));
        assert!(!untold.leaves(&[menu]), "it may still be going on");
        assert!(untold.due(now + DOUBT - Duration::from_millis(1)).is_none());
        assert_eq!(untold.next(), Some(now + DOUBT));
        untold.ended(&reach(&[menu]));
        untold.told(&untold.due(now).expect("another one has ended"));
        assert!(!untold.leaves(&[menu]), "the first one may still be going on");
        untold.told(&untold.due(now + DOUBT).expect("it is over"));
        assert!(untold.leaves(&[menu]));
    }

    #[tokio::test]
    async fn nothing_is_noted_where_nobody_is_to_be_told() {
        let (untold, now, [menu, _]) = untold();
        untold.ended(&reach(&[menu]));
        untold.switch(false);
        untold.ended(&reach(&[menu]));
        assert!(untold.is_empty() && untold.due(now).is_none());
    }
}
