//! The pool against a server made of counters, with time that the tests own.

mod choice;
mod fairness;
mod quota;
mod stories;
mod storm;
mod threads;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::backend::pool::users::Entitlement;
use crate::backend::pool::{
    BackendQuota, Connect, ConnectFailure, FailureKind, Lease, Pool, PoolError, PoolOptions, Pooled, Profile,
    UserSlot, Want, WorkerId,
};
use crate::config::{Backoff, PoolSize};

/// How the server answers the next connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Welcoming,
    Failing(FailureKind),
    /// Says nothing until the mood changes to something else and the connect is tried again.
    Silent,
}

/// What the connections of one server are counted in.
pub(super) struct Server {
    pub(super) open: AtomicU32,
    pub(super) open_max: AtomicU32,
    pub(super) connects: AtomicU32,
    pub(super) connecting: AtomicU32,
    pub(super) connecting_max: AtomicU32,
    pub(super) mood: Mutex<Mood>,
    pub(super) connect_time: Duration,
    pub(super) goodbye_time: Duration,
    /// Connections of older epochs are dead.
    pub(super) epoch: AtomicU64,
}

impl Server {
    pub(super) fn new(connect_ms: u64) -> Arc<Self> {
        Arc::new(Self {
            open: AtomicU32::new(0),
            open_max: AtomicU32::new(0),
            connects: AtomicU32::new(0),
            connecting: AtomicU32::new(0),
            connecting_max: AtomicU32::new(0),
            mood: Mutex::new(Mood::Welcoming),
            connect_time: Duration::from_millis(connect_ms),
            goodbye_time: Duration::from_millis(connect_ms / 2),
            epoch: AtomicU64::new(0),
        })
    }

    pub(super) fn set(&self, mood: Mood) {
        *self.mood.lock() = mood;
    }

    /// Every open connection ends, as after a restart.
    pub(super) fn kill_all(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn open(&self) -> u32 {
        self.open.load(Ordering::SeqCst)
    }

    pub(super) fn connects(&self) -> u32 {
        self.connects.load(Ordering::SeqCst)
    }
}

struct Counted<'a>(&'a AtomicU32);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicU32, max: &AtomicU32) -> Self {
        max.fetch_max(count.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(super) struct Conn {
    pub(super) id: u32,
    pub(super) profile: Profile,
    pub(super) home: WorkerId,
    pub(super) state_key: u64,
    pub(super) reusable: bool,
    pub(super) held: Arc<AtomicBool>,
    epoch: u64,
    server: Arc<Server>,
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.server.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Pooled for Conn {
    fn profile(&self) -> Profile {
        self.profile
    }

    fn state_key(&self) -> u64 {
        self.state_key
    }

    fn home(&self) -> WorkerId {
        self.home
    }

    fn is_alive(&mut self) -> bool {
        self.epoch == self.server.epoch.load(Ordering::SeqCst)
    }

    fn is_reusable(&self) -> bool {
        self.reusable
    }

    async fn close(self) {
        if !self.server.goodbye_time.is_zero() {
            sleep(self.server.goodbye_time).await;
        }
    }
}

impl Connect for Arc<Server> {
    type Conn = Conn;
    type Error = ConnectFailure;

    async fn connect(&self, profile: Profile, worker: WorkerId) -> Result<Conn, ConnectFailure> {
        let id = self.connects.fetch_add(1, Ordering::SeqCst);
        let _counted = Counted::new(&self.connecting, &self.connecting_max);
        // From here on the server counts it.
        std::mem::forget(Counted::new(&self.open, &self.open_max));
        let conn = Conn {
            id,
            profile,
            home: worker,
            state_key: 0,
            reusable: true,
            held: Arc::default(),
            epoch: self.epoch.load(Ordering::SeqCst),
            server: Arc::clone(self),
        };
        if !self.connect_time.is_zero() {
            sleep(self.connect_time).await;
        }
        let mood = *self.mood.lock();
        match mood {
            Mood::Welcoming => Ok(conn),
            Mood::Failing(kind) => Err(ConnectFailure { kind, code: None, detail: "as told".into() }),
            Mood::Silent => std::future::pending().await,
        }
    }
}

pub(super) type TestPool = Arc<Pool<Arc<Server>>>;
pub(super) type TestLease = Lease<Arc<Server>>;

pub(super) fn options(size_min: u32, size_max: u32) -> PoolOptions {
    PoolOptions {
        size: PoolSize { size_min, size_max, ..PoolSize::default() },
        unavailable_after: Duration::from_secs(3),
        ..PoolOptions::default()
    }
}

pub(super) fn quota(connections_max: u32) -> Arc<BackendQuota> {
    BackendQuota::new(connections_max, Backoff::default(), 1)
}

/// A pool of at most `size_max` on `server`, alone on its backend.
pub(super) fn pool_of(server: &Arc<Server>, size_max: u32) -> TestPool {
    Pool::new(Arc::clone(server), options(0, size_max), quota(0))
}

pub(super) fn want() -> Want {
    Want {
        worker: WorkerId(0),
        profile: Profile::PLAIN,
        state_key: 0,
        roams: false,
        user: UserSlot(0),
        deadline: Instant::now() + Duration::from_secs(10),
    }
}

pub(super) fn of_user(user: u32) -> Want {
    Want { user: UserSlot(user), ..want() }
}

pub(super) fn of_worker(worker: u16) -> Want {
    Want { worker: WorkerId(worker), ..want() }
}

pub(super) fn of_profile(profile: Profile) -> Want {
    Want { profile, ..want() }
}

/// Starts waiting, in line before anything that the test does next.
pub(super) async fn queue(pool: &TestPool, want: Want) -> JoinHandle<Result<TestLease, PoolError>> {
    let waiting = pool.snapshot().waiting;
    let task = tokio::spawn({
        let pool = Arc::clone(pool);
        async move { pool.lease(&want).await }
    });
    while pool.snapshot().waiting == waiting && !task.is_finished() {
        tokio::task::yield_now().await;
    }
    task
}

/// Lets every task run that can run now, without letting time pass.
pub(super) async fn run_ready() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// Fails if what the pool counts contradicts itself, or if somebody waits for what is there.
pub(super) fn check_invariants(pool: &TestPool) {
    let mut state = pool.state.lock();
    let by_profile: u32 = state.dialling.iter().sum();
    assert_eq!(by_profile, state.dials, "dials by profile add up");
    assert_eq!(
        state.queue.everybody().len(),
        state.queue.waiting() as usize,
        "everybody in line is in a list"
    );
    for waiter in state.queue.everybody() {
        let want = state.queue.waiter(waiter).want;
        let (entitlement, _) = state.users.entitlement(want.user, state.size.size_max);
        let may = entitlement != Entitlement::Nothing && state.may_take_idle(entitlement);
        assert!(
            !may || state.idle.is_empty_of(want.profile),
            "{want:?} waits beside an idle connection that it may have"
        );
    }
    let mut fx = crate::backend::pool::effects::Effects::new();
    let dials = state.dials;
    state.grow(&mut fx);
    assert_eq!(state.dials, dials, "a dial was missing");
    assert!(fx.closes.is_empty(), "room was not made");
}
