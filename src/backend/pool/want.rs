//! What is asked of a pool, and what a pool asks of connections and of the one who opens them.

use std::future::Future;
use std::ops::BitOr;

use tokio::time::Instant;

use crate::backend::pool::error::ConnectFailure;

/// A worker thread: its runtime, its I/O driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(pub u16);

/// A client user: its dense index in the configuration, the same over reloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserSlot(pub u32);

/// The capabilities a server connection was opened with that change what its replies mean, so that it
/// cannot serve a session that negotiated others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Profile(u8);

impl Profile {
    /// None of the others.
    pub const PLAIN: Self = Self(0);
    /// CLIENT_FOUND_ROWS: an UPDATE's affected rows are the matched ones.
    pub const FOUND_ROWS: Self = Self(1);
    /// CLIENT_QUERY_ATTRIBUTES: COM_QUERY carries attributes.
    pub const QUERY_ATTRIBUTES: Self = Self(2);
    /// CLIENT_CAN_HANDLE_EXPIRED_PASSWORDS: the session of an account that must change its password first. One
    /// client's alone: it is not lent again.
    pub const EXPIRED_PASSWORD: Self = Self(4);
    /// MariaDB's extended metadata: a column definition may name a type that has none of its own.
    pub const EXTENDED_METADATA: Self = Self(8);
    /// How many profiles there are.
    pub(super) const KINDS: usize = 16;
    /// Every profile, in the order of [`Profile::index`].
    #[rustfmt::skip]
    pub(super) const ALL: [Self; Self::KINDS] = [
        Self(0), Self(1), Self(2), Self(3), Self(4), Self(5), Self(6), Self(7),
        Self(8), Self(9), Self(10), Self(11), Self(12), Self(13), Self(14), Self(15),
    ];

    /// Whether all of `other` is in `self`.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// As a number that tells profiles apart.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// A place in arrays of `KINDS`.
    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl BitOr for Profile {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What a statement needs of a server connection.
#[derive(Clone, Copy, Debug)]
pub struct Want {
    /// Where the session runs; a connection of the same worker is cheaper.
    pub worker: WorkerId,
    /// The connection has exactly this profile.
    pub profile: Profile,
    /// Hash of the session state the statement needs; a connection already in it needs no reset.
    pub state_key: u64,
    /// The state is one of a few to which the session's statements go in turn: a connection that has to follow costs
    /// each of them, so where there is room, one more is opened.
    pub roams: bool,
    /// Whose limits count.
    pub user: UserSlot,
    /// When waiting ends.
    pub deadline: Instant,
}

/// A server connection, as far as a pool looks at it.
pub trait Pooled: Send + 'static {
    /// The capabilities it was opened with. Never changes.
    fn profile(&self) -> Profile;

    /// Hash of the session state it is in now.
    fn state_key(&self) -> u64;

    /// The worker whose I/O driver it is registered with. Never changes.
    fn home(&self) -> WorkerId;

    /// False when the peer closed it or sent something that nobody asked for.
    ///
    /// Called for idle connections, under the pool's lock: it never waits.
    fn is_alive(&mut self) -> bool;

    /// Whether another session may have it: not mid-reply, not in a transaction, its state known.
    fn is_reusable(&self) -> bool;

    /// Ends it politely, so that the server counts one less before the pool does: sends COM_QUIT and waits
    /// for the peer's end. Runs on the home worker and is cut off after a second.
    fn close(self) -> impl Future<Output = ()> + Send
    where
        Self: Sized,
    {
        async move { drop(self) }
    }
}

/// Opens connections for a pool, as one server identity on one backend.
pub trait Connect: Send + Sync + 'static {
    /// What it opens.
    type Conn: Pooled;
    /// Why it could not.
    type Error: Into<ConnectFailure> + Send;

    /// Opens a connection of `profile`. Runs on the runtime of `worker`, which becomes its home; may be
    /// dropped at any await.
    fn connect(
        &self,
        profile: Profile,
        worker: WorkerId,
    ) -> impl Future<Output = Result<Self::Conn, Self::Error>> + Send;
}
