//! Real threads, each with its own runtime, on one pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, timeout};

use super::{Server, TestPool, check_invariants, pool_of, want};
use crate::backend::pool::{Profile, Want, WorkerId};

const WORKERS: u16 = 4;
const CLIENTS: u64 = 25;
const STATEMENTS: u64 = 200;

async fn client(pool: TestPool, worker: u16, seed: u64, served: Arc<AtomicU64>) {
    let mut rng = SmallRng::seed_from_u64(seed);
    for _ in 0..STATEMENTS {
        let profile = if rng.random_ratio(1, 50) { Profile::FOUND_ROWS } else { Profile::PLAIN };
        let deadline = Instant::now() + Duration::from_secs(60);
        let want = Want { worker: WorkerId(worker), profile, deadline, ..want() };
        if rng.random_ratio(1, 20) {
            // Given up at any moment, often the one at which a connection is handed over.
            let _ = timeout(Duration::from_micros(rng.random_range(0..500)), pool.lease(&want)).await;
            continue;
        }
        let mut lease = pool.lease(&want).await.unwrap();
        assert!(!lease.held.swap(true, Ordering::SeqCst), "seed {seed}: two hold one connection");
        for _ in 0..rng.random_range(0..3) {
            tokio::task::yield_now().await;
        }
        lease.reusable = !rng.random_ratio(1, 200);
        lease.held.store(false, Ordering::SeqCst);
        drop(lease);
        served.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn workers_hand_connections_to_each_other_and_nobody_is_forgotten() {
    let server = Server::new(0);
    let pool = pool_of(&server, 3);
    let served = Arc::new(AtomicU64::new(0));
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (pool, served) = (Arc::clone(&pool), Arc::clone(&served));
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                let clients = (0..CLIENTS).map(|client| u64::from(worker) * CLIENTS + client);
                let spawn =
                    |seed| runtime.spawn(client(Arc::clone(&pool), worker, seed, Arc::clone(&served)));
                let tasks: Vec<_> = clients.map(spawn).collect();
                runtime.block_on(async {
                    for task in tasks {
                        task.await.unwrap();
                    }
                });
                // Others may still need this runtime for their dials: it ends when all are served.
                runtime.block_on(async {
                    while is_busy(&pool) {
                        tokio::task::yield_now().await;
                    }
                });
            });
        }
    });
    let snapshot = pool.snapshot();
    println!("{snapshot:?}");
    assert_eq!((snapshot.leased, snapshot.waiting), (0, 0));
    assert!(server.open_max.load(Ordering::SeqCst) <= 3);
    check_invariants(&pool);
}

fn is_busy(pool: &TestPool) -> bool {
    let snapshot = pool.snapshot();
    snapshot.leased + snapshot.waiting + snapshot.dialling + snapshot.closing > 0
}
