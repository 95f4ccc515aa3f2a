//! Who waits, and whose turn it is: tier before tier, inside a tier user by user, each user's in order.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::FixedState;

use crate::protection::Tier;

/// The waiters of one tier.
#[derive(Debug, Default)]
struct Rank {
    /// Users with waiters, in the order of their turns.
    turns: VecDeque<u32>,
    /// Their waiters, oldest first; no entry is empty.
    waiters: HashMap<u32, VecDeque<u32>, FixedState>,
    waiting: usize,
}

/// Places in line. A place is a small number that whoever keeps the waiters has chosen.
#[derive(Debug, Default)]
pub struct Line {
    ranks: [Rank; Tier::COUNT],
    waiting: usize,
}

impl Line {
    /// How many wait.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many of `tier` wait.
    #[must_use]
    pub fn waiting_in(&self, tier: Tier) -> usize {
        self.ranks[tier.index()].waiting
    }

    /// `place` joins at the end of what `user` has waiting in `tier`.
    pub fn join(&mut self, tier: Tier, user: u32, place: u32) {
        let rank = &mut self.ranks[tier.index()];
        let waiters = rank.waiters.entry(user).or_default();
        if waiters.is_empty() {
            rank.turns.push_back(user);
        }
        waiters.push_back(place);
        rank.waiting += 1;
        self.waiting += 1;
    }

    /// Takes out whose turn it is; the user's next one has to wait for the other users.
    pub fn take(&mut self) -> Option<u32> {
        let rank = self.ranks.iter_mut().find(|rank| rank.waiting > 0)?;
        let user = rank.turns.pop_front()?;
        let waiters = rank.waiters.get_mut(&user)?;
        let place = waiters.pop_front();
        if waiters.is_empty() {
            rank.waiters.remove(&user);
        } else {
            rank.turns.push_back(user);
        }
        rank.waiting -= 1;
        self.waiting -= 1;
        place
    }

    /// Takes out the youngest waiter of the least important tier below `tier`, of the user who has most
    /// waiting there.
    pub fn evict_below(&mut self, tier: Tier) -> Option<u32> {
        let rank = self.ranks[tier.index() + 1..].iter().rposition(|rank| rank.waiting > 0)?;
        let rank = rank + tier.index() + 1;
        let longest = self.ranks[rank].waiters.iter().max_by_key(|(user, line)| (line.len(), **user));
        let (user, place) = longest.and_then(|(user, line)| Some((*user, *line.back()?)))?;
        let lowest = Tier::new(rank as u32 + 1)?;
        self.leave(lowest, user, place).then_some(place)
    }

    /// Takes `place` out wherever it stands; false if it is not there.
    pub fn leave(&mut self, tier: Tier, user: u32, place: u32) -> bool {
        let rank = &mut self.ranks[tier.index()];
        let Some(waiters) = rank.waiters.get_mut(&user) else { return false };
        // Who gives up is mostly the oldest (its deadline) or the youngest (evicted).
        let at = if waiters.back() == Some(&place) {
            Some(waiters.len() - 1)
        } else {
            waiters.iter().position(|waiter| *waiter == place)
        };
        let Some(at) = at else { return false };
        waiters.remove(at);
        if waiters.is_empty() {
            rank.waiters.remove(&user);
            rank.turns.retain(|turn| *turn != user);
        }
        rank.waiting -= 1;
        self.waiting -= 1;
        true
    }

    /// Every place of `tier`, in no order.
    pub fn places(&self, tier: Tier) -> impl Iterator<Item = u32> {
        self.ranks[tier.index()].waiters.values().flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    fn tier(number: u32) -> Tier {
        Tier::new(number).expect("a tier")
    }

    fn drained(line: &mut Line) -> Vec<u32> {
        std::iter::from_fn(|| line.take()).collect()
    }

    #[test]
    fn the_most_important_tier_goes_first() {
        let mut line = Line::default();
        for (number, place) in [(3, 0), (1, 1), (4, 2), (1, 3)] {
            line.join(tier(number), 0, place);
        }
        assert_eq!(drained(&mut line), [1, 3, 0, 2]);
    }

    #[test]
    fn users_take_turns_and_each_ones_own_go_in_order() {
        let mut line = Line::default();
        for (user, place) in [(7, 0), (7, 1), (7, 2), (8, 3), (9, 4), (9, 5)] {
            line.join(Tier::NORMAL, user, place);
        }
        assert_eq!(drained(&mut line), [0, 3, 4, 1, 5, 2]);
    }

    #[test]
    fn the_youngest_of_the_lowest_tier_is_evicted_first() {
        let mut line = Line::default();
        for (number, user, place) in [(1, 0, 0), (3, 0, 1), (4, 0, 2), (4, 1, 3), (4, 1, 4)] {
            line.join(tier(number), user, place);
        }
        let evicted: Vec<u32> = std::iter::from_fn(|| line.evict_below(tier(2))).collect();
        assert_eq!(evicted, [4, 3, 2, 1], "and nothing of tier 1");
        assert_eq!(line.evict_below(Tier::LAST), None);
        assert_eq!(drained(&mut line), [0]);
    }

    proptest! {
        #[test]
        fn whatever_happens_nobody_is_lost_or_served_twice(
            steps in proptest::collection::vec((0..4u8, 1..5u32, 0..3u32), 0..200),
        ) {
            let (mut line, mut inside) = (Line::default(), Vec::new());
            for (n, (what, number, user)) in steps.into_iter().enumerate() {
                match what {
                    0 | 1 => {
                        line.join(tier(number), user, n as u32);
                        inside.push((tier(number), user, n as u32));
                    }
                    2 => {
                        let next = line.take();
                        let best = inside.iter().map(|(tier, ..)| *tier).min();
                        prop_assert_eq!(next.is_some(), best.is_some());
                        if let Some(place) = next {
                            let at = inside.iter().position(|waiter| waiter.2 == place);
                            let gone = inside.remove(at.expect("who is next was waiting"));
                            prop_assert_eq!(Some(gone.0), best);
                        }
                    }
                    _ => {
                        if let Some((tier, user, place)) = inside.pop() {
                            prop_assert!(line.leave(tier, user, place));
                            prop_assert!(!line.leave(tier, user, place));
                        }
                    }
                }
                prop_assert_eq!(line.waiting(), inside.len());
            }
            let mut left = drained(&mut line);
            left.sort_unstable();
            let mut expected: Vec<u32> = inside.iter().map(|waiter| waiter.2).collect();
            expected.sort_unstable();
            prop_assert_eq!(left, expected);
        }
    }
}
