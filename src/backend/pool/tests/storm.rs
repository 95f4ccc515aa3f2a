//! Everything at once, at random: after each step nothing may be over its cap, stuck, forgotten or leaked.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::{Mood, Server, TestLease, TestPool, check_invariants, options, quota, run_ready, want};
use crate::backend::pool::{
    BackendQuota, FailureKind, Pool, PoolError, Profile, UserLimits, UserSlot, Want, WorkerId,
};

struct Storm {
    rng: SmallRng,
    server: Arc<Server>,
    quota: Arc<BackendQuota>,
    cap: u32,
    pools: Vec<TestPool>,
    /// With the pool's number.
    waiting: Vec<(usize, JoinHandle<Result<TestLease, PoolError>>)>,
    held: Vec<(usize, TestLease)>,
    totals: Vec<u32>,
    used: u32,
}

impl Storm {
    fn new(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let server = Server::new(rng.random_range(0..6));
        let cap = rng.random_range(0..8);
        let quota = quota(cap);
        let pool = |seed| {
            let mut options = options(0, 4);
            options.seed = seed;
            options.size.queue_max = 30;
            Pool::new(Arc::clone(&server), options, Arc::clone(&quota))
        };
        let pools = (0..2).map(pool).collect();
        Self {
            rng,
            server,
            quota,
            cap,
            pools,
            waiting: Vec::new(),
            held: Vec::new(),
            totals: vec![0; 2],
            used: 0,
        }
    }

    fn want(&mut self) -> Want {
        let rng = &mut self.rng;
        let profile = if rng.random_ratio(2, 3) { 0 } else { rng.random_range(0..Profile::KINDS) };
        Want {
            worker: WorkerId(rng.random_range(0..2)),
            profile: Profile::ALL[profile],
            state_key: rng.random_range(0..3),
            roams: rng.random_ratio(1, 2),
            user: UserSlot(rng.random_range(0..4)),
            deadline: Instant::now() + Duration::from_millis(rng.random_range(0..2000)),
        }
    }

    async fn step(&mut self) {
        let number = self.rng.random_range(0..self.pools.len());
        let pool = Arc::clone(&self.pools[number]);
        match self.rng.random_range(0..40) {
            0..12 => {
                let want = self.want();
                self.waiting.push((number, tokio::spawn(async move { pool.lease(&want).await })));
            }
            12..15 => {
                let want = self.want();
                if let Some(lease) = pool.try_lease(&want) {
                    self.hold(number, lease);
                }
            }
            15..25 => {
                if let Some(mut lease) = self.any_held() {
                    lease.reusable = self.rng.random_ratio(9, 10);
                    lease.state_key = self.rng.random_range(0..3);
                }
            }
            25 => {
                if let Some(lease) = self.any_held() {
                    lease.close();
                }
            }
            26..29 if !self.waiting.is_empty() => {
                // Sometimes at the moment at which a connection is handed to it.
                if self.rng.random() {
                    drop(self.any_held());
                }
                let index = self.rng.random_range(0..self.waiting.len());
                self.waiting[index].1.abort();
            }
            29..34 => sleep(Duration::from_millis(self.rng.random_range(0..30))).await,
            34 => sleep(Duration::from_millis(self.rng.random_range(0..3000))).await,
            _ => self.operate(&pool),
        }
    }

    /// What operators and the server do.
    fn operate(&mut self, pool: &TestPool) {
        let rng = &mut self.rng;
        match rng.random_range(0..8) {
            0 => {
                let moods =
                    [FailureKind::Unreachable, FailureKind::Refused, FailureKind::Busy].map(Mood::Failing);
                let index = rng.random_range(0..6);
                self.server.set(moods.get(index).copied().unwrap_or(Mood::Welcoming));
            }
            1 => self.server.set(Mood::Welcoming),
            2 => self.server.kill_all(),
            3 => pool.maintain(Instant::now()),
            4 => pool.close_all_idle(),
            5 => {
                let mut size = options(rng.random_range(0..3), rng.random_range(1..6)).size;
                size.idle_timeout = Duration::from_secs(1);
                size.lifetime = Duration::from_secs(rng.random_range(1..20));
                size.queue_max = 30;
                pool.resize(size);
            }
            6 => {
                let limit = |user| {
                    let limits =
                        UserLimits { leases_max: rng.random_range(0..3), dedicated: rng.random_range(0..2) };
                    (UserSlot(user), limits)
                };
                let limits: Vec<_> = (0..2).map(limit).collect();
                pool.limit_users(&limits);
            }
            _ => {
                self.cap = rng.random_range(0..8);
                self.quota.resize(self.cap);
            }
        }
    }

    fn any_held(&mut self) -> Option<TestLease> {
        if self.held.is_empty() {
            return None;
        }
        let index = self.rng.random_range(0..self.held.len());
        let (_, lease) = self.held.swap_remove(index);
        lease.held.store(false, Ordering::SeqCst);
        Some(lease)
    }

    fn hold(&mut self, number: usize, lease: TestLease) {
        assert!(!lease.held.swap(true, Ordering::SeqCst), "two hold one connection");
        self.held.push((number, lease));
    }

    /// Takes over what was granted.
    async fn collect(&mut self) {
        run_ready().await;
        let mut still = Vec::new();
        for (number, task) in std::mem::take(&mut self.waiting) {
            if !task.is_finished() {
                still.push((number, task));
            } else if let Ok(Ok(lease)) = task.await {
                self.hold(number, lease);
            }
        }
        self.waiting = still;
    }

    fn check(&mut self) {
        let mut sum = 0;
        for (number, pool) in self.pools.iter().enumerate() {
            check_invariants(pool);
            let snapshot = pool.snapshot();
            let count = |numbers: &mut dyn Iterator<Item = usize>| {
                u32::try_from(numbers.filter(|other| *other == number).count()).unwrap()
            };
            let held = count(&mut self.held.iter().map(|(number, _)| *number));
            let waiting = count(&mut self.waiting.iter().map(|(number, _)| *number));
            assert_eq!(snapshot.leased, held, "what was granted was picked up");
            assert_eq!(snapshot.waiting, waiting, "who is told something learns it");
            let capacity = pool.state.lock().capacity();
            let size = snapshot.size;
            assert!(size <= capacity.max(self.totals[number]), "{size} connections of {capacity}");
            self.totals[number] = size;
            sum += size;
        }
        let used = self.quota.used();
        assert_eq!(used, sum, "every connection has its place");
        assert!(self.cap == 0 || used <= self.cap.max(self.used), "{used} connections of {}", self.cap);
        assert!(self.server.open() <= used, "the server counts no more than we do");
        self.used = used;
    }

    /// Fails if a pool is kept waiting by the cap while another has a connection to give.
    async fn check_sharing(&mut self) {
        for pool in &self.pools {
            pool.maintain(Instant::now());
        }
        sleep(Duration::from_millis(20)).await;
        self.collect().await;
        let blocked = |pool: &TestPool| {
            let blocked = pool.state.lock().blocked;
            blocked.is_some_and(|(_, why)| why == crate::backend::pool::quota::Blocked::Full)
        };
        let spare = |pool: &TestPool| {
            let state = pool.state.lock();
            state.closing == 0 && state.is_well() && state.idle.len() > state.users.reserved()
        };
        if self.pools.iter().any(blocked) && self.pools.iter().all(|pool| pool.snapshot().closing == 0) {
            assert!(!self.pools.iter().any(spare), "one pool waits while the other has what nobody needs");
        }
    }

    async fn end(mut self) {
        self.server.set(Mood::Welcoming);
        while self.any_held().is_some() {}
        for _ in 0..40 {
            sleep(Duration::from_millis(100)).await;
            self.collect().await;
            while self.any_held().is_some() {}
        }
        assert!(self.waiting.is_empty(), "nobody waits longer than its deadline");
        self.pools.iter().for_each(Pool::drain);
        sleep(Duration::from_secs(5)).await;
        assert!(self.pools.iter().all(|pool| pool.is_drained()));
        assert_eq!((self.quota.used(), self.server.open()), (0, 0));
    }
}

async fn storm(seed: u64) {
    println!("seed {seed}");
    let mut storm = Storm::new(seed);
    for step in 0..400 {
        storm.step().await;
        storm.collect().await;
        storm.check();
        if step % 25 == 0 {
            storm.check_sharing().await;
            storm.check();
        }
    }
    storm.end().await;
}

#[test]
fn whatever_happens_counts_stay_right_and_nobody_is_stuck() {
    for seed in 0..100 {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(storm(seed));
    }
}

#[tokio::test(start_paused = true)]
async fn one_profile_one_worker_is_served_in_exact_order() {
    let server = Server::new(1);
    let pool = super::pool_of(&server, 3);
    let order = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let mut rng = SmallRng::seed_from_u64(5);
    let mut tasks = Vec::new();
    for number in 0..200 {
        let (pool, order) = (Arc::clone(&pool), Arc::clone(&order));
        let (hold, patience) = (rng.random_range(0..4), rng.random_range(1..300));
        tasks.push(tokio::spawn(async move {
            let deadline = Instant::now() + Duration::from_millis(patience);
            if let Ok(lease) = pool.lease(&Want { deadline, ..want() }).await {
                order.lock().push(number);
                sleep(Duration::from_millis(hold)).await;
                drop(lease);
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let order = order.lock();
    assert!(order.is_sorted(), "{order:?}");
    assert!(order.len() > 50 && order.len() < 200);
}
