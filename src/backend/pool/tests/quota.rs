//! Several pools under the cap of one backend.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Mood, Server, TestPool, check_invariants, options, queue, quota, run_ready, want};
use crate::backend::pool::{BackendQuota, CloseReason, FailureKind, Pool, Upkeep, Want, WorkerId};
use crate::telemetry::task;

fn pools(server: &Arc<Server>, quota: &Arc<BackendQuota>, count: usize) -> Vec<TestPool> {
    (0..count).map(|_| Pool::new(Arc::clone(server), options(0, 10), Arc::clone(quota))).collect()
}

#[tokio::test(start_paused = true)]
async fn the_least_recently_used_idle_connection_of_another_pool_makes_room() {
    let server = Server::new(4);
    let shared = quota(2);
    let pools = pools(&server, &shared, 3);
    for pool in &pools[..2] {
        drop(pool.lease(&want()).await.unwrap());
        pool.maintain(Instant::now());
        sleep(Duration::from_secs(1)).await;
    }
    let lease = pools[2].lease(&want()).await.unwrap();
    assert_eq!((pools[0].snapshot().size, pools[1].snapshot().size), (0, 1), "the oldest went, only it");
    assert_eq!(pools[0].snapshot().totals.closed_for(CloseReason::OtherPool), 1);
    assert_eq!(server.open_max.load(Ordering::SeqCst), 2);
    drop(lease);
    assert_eq!(shared.used(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_comes_back_unwanted_makes_room_for_the_longest_waiting_pool() {
    let server = Server::new(4);
    let shared = quota(1);
    let pools = pools(&server, &shared, 3);
    let held = pools[0].lease(&want()).await.unwrap();
    let first = queue(&pools[1], want()).await;
    sleep(Duration::from_millis(5)).await;
    let second = queue(&pools[2], want()).await;
    drop(held);
    let lease = first.await.unwrap().unwrap();
    assert!(!second.is_finished());
    drop(lease);
    drop(second.await.unwrap().unwrap());
    assert_eq!((server.open_max.load(Ordering::SeqCst), server.connects()), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn a_busy_pool_cannot_starve_another() {
    let server = Server::new(4);
    let shared = quota(3);
    let pools = pools(&server, &shared, 2);
    let end = Instant::now() + Duration::from_secs(10);
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let pool = Arc::clone(&pools[0]);
            tokio::spawn(async move {
                while Instant::now() < end {
                    let deadline = Instant::now() + Duration::from_secs(5);
                    let _lease = pool.lease(&Want { deadline, ..want() }).await.unwrap();
                    sleep(Duration::from_millis(1)).await;
                }
            })
        })
        .collect();
    sleep(Duration::from_millis(500)).await;
    let start = Instant::now();
    drop(pools[1].lease(&want()).await.unwrap());
    assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(server.open_max.load(Ordering::SeqCst), 3);
    assert!(server.connects() < 10, "and they do not fight over it: {} connects", server.connects());
}

#[tokio::test(start_paused = true)]
async fn one_dialler_for_all_pools_of_a_backend_that_is_down() {
    let server = Server::new(10);
    let shared = quota(0);
    let pools = pools(&server, &shared, 5);
    server.set(Mood::Failing(FailureKind::Unreachable));
    let mut tasks = Vec::new();
    for pool in &pools {
        tasks.push(queue(pool, want()).await);
    }
    sleep(Duration::from_millis(15)).await;
    server.connecting_max.store(0, Ordering::SeqCst);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(server.connecting_max.load(Ordering::SeqCst), 1);
    server.set(Mood::Welcoming);
    shared.reachable();
    for task in tasks {
        drop(task.await.unwrap().unwrap());
    }
    pools.iter().for_each(check_invariants);
}

#[tokio::test(start_paused = true)]
async fn a_smaller_cap_is_reached_as_connections_become_idle() {
    let server = Server::new(0);
    let shared = quota(6);
    let pools = pools(&server, &shared, 2);
    let mut leases = Vec::new();
    for pool in &pools {
        task::spawn("pool.upkeep", Upkeep::new(pool, WorkerId(0)).run());
        for _ in 0..3 {
            leases.push(pool.lease(&want()).await.unwrap());
        }
    }
    leases.pop();
    leases.pop();
    shared.resize(3);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(shared.used(), 4, "the idle ones went");
    leases.pop();
    run_ready().await;
    assert_eq!(shared.used(), 3);
    drop(leases);
    run_ready().await;
    assert_eq!((shared.used(), server.open()), (3, 3));
}
