//! Which of several idle connections a statement gets.

use std::time::Duration;

use tokio::time::sleep;

use super::{Server, of_worker, pool_of};
use crate::backend::pool::Want;

#[tokio::test(start_paused = true)]
async fn an_idle_one_in_the_wanted_state_comes_first_then_of_the_worker_then_the_last_used() {
    let server = Server::new(0);
    let pool = pool_of(&server, 4);
    let mut leases = Vec::new();
    for (worker, state_key) in [(0, 7), (1, 8), (0, 9), (0, 10)] {
        let mut lease = pool.lease(&of_worker(worker)).await.unwrap();
        lease.state_key = state_key;
        leases.push(lease);
    }
    leases.into_iter().for_each(drop);
    let check = |worker, state_key, expected| {
        let lease = pool.try_lease(&Want { state_key, ..of_worker(worker) }).unwrap();
        assert_eq!(lease.state_key, expected, "worker {worker}, state {state_key}");
        lease
    };
    let state = check(1, 7, 7);
    let worker = check(1, 99, 8);
    let last = check(1, 99, 10);
    drop((state, worker, last));
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_back_to_a_few_states_soon_finds_a_connection_in_each() {
    let states = [0, 1, 2, 3];
    let follow = async |size_max: u32| {
        let server = Server::new(5);
        let pool = pool_of(&server, size_max);
        let mut missed = Vec::new();
        for round in 0..20 {
            for state_key in states {
                let mut lease =
                    pool.lease(&Want { state_key, roams: true, ..of_worker(round % 2) }).await.unwrap();
                if lease.state_key != state_key {
                    missed.push(round);
                }
                lease.state_key = state_key;
                sleep(Duration::from_millis(10)).await;
                drop(lease);
            }
        }
        (missed, server.connects())
    };
    let (missed, connects) = follow(8).await;
    assert!(missed.last().is_some_and(|round| *round < 5), "{missed:?}");
    assert!(connects < 8, "{connects} connections for four states");
    // Where there is no room for all, there is none for more.
    assert_eq!(follow(2).await.1, 2);
}
