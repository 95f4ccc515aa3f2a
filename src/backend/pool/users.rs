//! Who holds how many connections, and what that entitles to.
//!
//! Dedicated connections are a matter of counting, not of marking: a pool has room for `size_max` shared
//! leases and, beside them, for the dedicated ones of every owner. A user's first `dedicated` leases count
//! as its own, the rest as shared ones, so any connection can serve anybody and still nobody can use up
//! what is set aside for another.

use crate::backend::pool::want::UserSlot;

/// Limits of one user in one pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserLimits {
    /// Leases at once, at most. 0: no limit but the pool's.
    pub leases_max: u32,
    /// Connections that nobody else can take, beside the shared ones.
    pub dedicated: u32,
}

impl UserLimits {
    fn any(self) -> bool {
        self != Self::default()
    }
}

/// What a user may take now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entitlement {
    /// Nothing: it is at its cap, or the shared part is used up.
    Nothing,
    /// A connection that is not set aside for others.
    Shared,
    /// Any connection: it has not used up its own.
    Dedicated,
}

/// The line that users without limits stand in.
pub(super) const COMMON_LANE: u32 = 0;

#[derive(Clone, Copy, Default)]
struct Use {
    leased: u32,
    lane: u32,
    limits: UserLimits,
}

/// The leases of all users of one pool.
#[derive(Default)]
pub(super) struct Users {
    uses: Vec<Use>,
    leased: u32,
    /// Leases beyond their users' dedicated ones.
    shared: u32,
    dedicated_total: u32,
    /// For each lane but the common one, whose it is.
    lanes: Vec<UserSlot>,
}

impl Users {
    fn index(user: UserSlot) -> usize {
        user.0 as usize
    }

    fn one(&self, user: UserSlot) -> Use {
        self.uses.get(Self::index(user)).copied().unwrap_or_default()
    }

    fn one_mut(&mut self, user: UserSlot) -> &mut Use {
        let index = Self::index(user);
        if index >= self.uses.len() {
            self.uses.resize(index + 1, Use::default());
        }
        &mut self.uses[index]
    }

    /// Leases of everybody.
    pub(super) fn leased(&self) -> u32 {
        self.leased
    }

    /// Leases that count against `size_max`.
    pub(super) fn shared(&self) -> u32 {
        self.shared
    }

    /// Dedicated connections of everybody.
    pub(super) fn dedicated_total(&self) -> u32 {
        self.dedicated_total
    }

    /// Dedicated connections that their owners do not use now.
    pub(super) fn reserved(&self) -> u32 {
        self.dedicated_total - (self.leased - self.shared)
    }

    /// The line that `user` waits in.
    pub(super) fn lane(&self, user: UserSlot) -> u32 {
        self.one(user).lane
    }

    /// How many lines there are.
    pub(super) fn lane_count(&self) -> usize {
        self.lanes.len() + 1
    }

    /// What the users of `lane` may take now, and how many connections of it.
    pub(super) fn lane_entitlement(&self, lane: u32, size_max: u32) -> (Entitlement, u32) {
        match lane.checked_sub(1).and_then(|own| self.lanes.get(own as usize)) {
            Some(&user) => self.entitlement(user, size_max),
            None => self.of(Use::default(), size_max),
        }
    }

    /// What `user` may take now, and how many connections.
    pub(super) fn entitlement(&self, user: UserSlot, size_max: u32) -> (Entitlement, u32) {
        self.of(self.one(user), size_max)
    }

    fn of(&self, one: Use, size_max: u32) -> (Entitlement, u32) {
        let left = match one.limits.leases_max {
            0 => u32::MAX,
            leases_max => leases_max.saturating_sub(one.leased),
        };
        if left == 0 {
            (Entitlement::Nothing, 0)
        } else if one.leased < one.limits.dedicated {
            (Entitlement::Dedicated, left)
        } else if self.shared < size_max {
            (Entitlement::Shared, left)
        } else {
            (Entitlement::Nothing, 0)
        }
    }

    /// `user` has one more.
    pub(super) fn take(&mut self, user: UserSlot) {
        let one = self.one_mut(user);
        one.leased += 1;
        let shared = one.leased > one.limits.dedicated;
        self.leased += 1;
        self.shared += u32::from(shared);
    }

    /// `user` has one less. Says whether it was a shared one.
    pub(super) fn give(&mut self, user: UserSlot) -> bool {
        let one = self.one_mut(user);
        debug_assert!(one.leased > 0, "a lease is given back once");
        let shared = one.leased > one.limits.dedicated;
        one.leased -= 1;
        self.leased -= 1;
        self.shared -= u32::from(shared);
        shared
    }

    /// Replaces all limits; users that are not named have none.
    pub(super) fn limit(&mut self, limits: &[(UserSlot, UserLimits)]) {
        for one in &mut self.uses {
            one.limits = UserLimits::default();
            one.lane = COMMON_LANE;
        }
        self.lanes.clear();
        for &(user, limits) in limits {
            if limits.any() && self.one(user).lane == COMMON_LANE {
                self.lanes.push(user);
                let lane = u32::try_from(self.lanes.len()).expect("users are counted in u32");
                let one = self.one_mut(user);
                one.limits = limits;
                one.lane = lane;
            }
        }
        self.dedicated_total = self.uses.iter().map(|one| one.limits.dedicated).sum();
        self.shared = self.uses.iter().map(|one| one.leased.saturating_sub(one.limits.dedicated)).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::{Entitlement, UserLimits, Users};
    use crate::backend::pool::want::UserSlot;

    #[test]
    fn the_dedicated_come_first_then_the_shared_then_nothing() {
        let owner = UserSlot(3);
        let other = UserSlot(9);
        let mut users = Users::default();
        users.limit(&[(owner, UserLimits { leases_max: 3, dedicated: 2 })]);
        let size_max = 2;
        let now = |users: &Users, user| users.entitlement(user, size_max).0;

        assert_eq!((now(&users, owner), users.reserved()), (Entitlement::Dedicated, 2));
        users.take(other);
        users.take(other);
        assert_eq!(now(&users, other), Entitlement::Nothing, "the shared part is used up");
        users.take(owner);
        assert_eq!((now(&users, owner), users.reserved()), (Entitlement::Dedicated, 1));
        users.take(owner);
        assert_eq!(now(&users, owner), Entitlement::Nothing, "its own and the shared ones are used up");
        assert!(users.give(other));
        assert_eq!(users.entitlement(owner, size_max), (Entitlement::Shared, 1));
        users.take(owner);
        assert_eq!(now(&users, owner), Entitlement::Nothing, "it is at its cap");
        assert!(users.give(owner), "the last one taken was shared");
        assert!(!users.give(owner));
        assert_eq!(users.reserved(), 1);
    }

    #[test]
    fn new_limits_recount_the_leases_that_exist() {
        let user = UserSlot(0);
        let mut users = Users::default();
        for _ in 0..3 {
            users.take(user);
        }
        assert_eq!((users.shared(), users.reserved()), (3, 0));
        users.limit(&[(user, UserLimits { leases_max: 0, dedicated: 5 })]);
        assert_eq!((users.shared(), users.reserved(), users.lane(user)), (0, 2, 1));
        users.limit(&[]);
        assert_eq!((users.shared(), users.reserved(), users.lane(user)), (3, 0, 0));
    }
}
