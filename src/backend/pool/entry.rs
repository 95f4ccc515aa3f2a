//! A connection with what its pool knows about it.

use tokio::time::Instant;

use crate::backend::pool::quota::QuotaSlot;

/// One open connection. Boxed once, so that handing it on moves a pointer.
pub(super) struct Entry<T> {
    /// Dropped before `slot`: the backend never has more connections than slots are taken.
    pub(super) conn: T,
    /// Its place among the backend's connections.
    pub(super) slot: QuotaSlot,
    /// When its lifetime ends; none: never.
    pub(super) expires: Option<Instant>,
    /// The pool's generation when it was dialled.
    pub(super) generation: u64,
    /// Nobody has had it yet.
    pub(super) fresh: bool,
}

/// Why a connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The server had closed it, or sent something that nobody asked for.
    Dead,
    /// It came back in a state that no other session may see.
    NotReusable,
    /// Whoever held it said so.
    Holder,
    /// Idle for `idle_timeout`.
    Idle,
    /// Older than `lifetime`.
    Lifetime,
    /// Another profile was wanted and there was no room for both.
    OtherProfile,
    /// Another pool of the same backend needed the room.
    OtherPool,
    /// The pool or the backend's cap became smaller.
    Resize,
    /// Credentials changed, or the pool drains.
    Retired,
}

impl CloseReason {
    /// How many reasons there are.
    pub const COUNT: usize = 9;
    /// Every reason, in the order of [`crate::backend::pool::Totals::closed`].
    pub const ALL: [Self; Self::COUNT] = [
        Self::Dead,
        Self::NotReusable,
        Self::Holder,
        Self::Idle,
        Self::Lifetime,
        Self::OtherProfile,
        Self::OtherPool,
        Self::Resize,
        Self::Retired,
    ];

    /// For metric labels and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::NotReusable => "not_reusable",
            Self::Holder => "holder",
            Self::Idle => "idle",
            Self::Lifetime => "lifetime",
            Self::OtherProfile => "other_profile",
            Self::OtherPool => "other_pool",
            Self::Resize => "resize",
            Self::Retired => "retired",
        }
    }
}
