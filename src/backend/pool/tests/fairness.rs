//! How evenly waiting is shared out: many clients, few connections, clients that ask again at once.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::{Server, TestPool, pool_of, want};
use crate::backend::pool::{Profile, Want, WorkerId};

struct Outcome {
    /// Waiting times, sorted.
    waits: Vec<Duration>,
    /// Share of statements on a connection of another worker.
    crossed: f64,
    connects: u32,
}

impl Outcome {
    fn at(&self, percent: usize) -> Duration {
        self.waits[(self.waits.len() - 1) * percent / 100]
    }

    fn ratio(&self) -> f64 {
        self.at(99).as_secs_f64() / self.at(50).as_secs_f64()
    }
}

/// `clients` that each hold a connection for 1 ms and ask again at once.
async fn simulate(clients: usize, size_max: u32, want_of: impl Fn(usize) -> Want) -> Outcome {
    let server = Server::new(4);
    let pool = pool_of(&server, size_max);
    let end = Instant::now() + Duration::from_secs(20);
    let seen = Arc::new(Mutex::new((Vec::new(), 0)));
    let clients: Vec<_> = (0..clients)
        .map(|client| tokio::spawn(run_client(Arc::clone(&pool), want_of(client), end, Arc::clone(&seen))))
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    let (mut waits, crossed) = std::mem::take(&mut *seen.lock());
    waits.sort_unstable();
    let crossed = f64::from(crossed) / waits.len() as f64;
    Outcome { waits, crossed, connects: server.connects() }
}

async fn run_client(pool: TestPool, want: Want, end: Instant, seen: Arc<Mutex<(Vec<Duration>, u32)>>) {
    let start = Instant::now();
    while Instant::now() < end {
        let deadline = Instant::now() + Duration::from_secs(10);
        let lease = pool.lease(&Want { deadline, ..want }).await.unwrap();
        // The first round is the queue's own: everybody came at once.
        if start.elapsed() > Duration::from_secs(2) {
            let mut seen = seen.lock();
            seen.0.push(lease.waited());
            seen.1 += u32::from(lease.home != want.worker);
        }
        sleep(Duration::from_millis(1)).await;
    }
}

fn check(outcome: &Outcome, ratio_max: f64) {
    println!(
        "p50 {:?}, p99 {:?}, max {:?}, ratio {:.2}, crossed {:.2}, connects {}",
        outcome.at(50),
        outcome.at(99),
        outcome.at(100),
        outcome.ratio(),
        outcome.crossed,
        outcome.connects
    );
    assert!(outcome.waits.len() > 1000);
    assert!(outcome.ratio() <= ratio_max, "p99 ÷ p50 of waiting is {:.2}", outcome.ratio());
    assert!(outcome.at(100) <= outcome.at(50) * 4);
}

fn on_worker(worker: usize) -> Want {
    Want { worker: WorkerId(u16::try_from(worker).unwrap()), ..want() }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_clients_on_one_connection_wait_equally_long() {
    check(&simulate(100, 1, |_| want()).await, 1.1);
}

#[tokio::test(start_paused = true)]
async fn also_when_they_run_on_two_workers() {
    check(&simulate(100, 1, |client| on_worker(client % 2)).await, 2.0);
}

#[tokio::test(start_paused = true)]
async fn also_when_most_of_them_run_on_other_workers_than_the_connection() {
    check(&simulate(100, 1, |client| on_worker(client % 8)).await, 2.0);
    check(&simulate(100, 1, |client| on_worker(usize::from(client % 10 != 0))).await, 2.0);
}

#[tokio::test(start_paused = true)]
async fn with_a_connection_per_worker_few_statements_cross() {
    let outcome = simulate(100, 4, |client| on_worker(client % 2)).await;
    check(&outcome, 2.0);
    assert!(outcome.crossed < 0.1, "{} crossed", outcome.crossed);
}

#[tokio::test(start_paused = true)]
async fn also_when_they_want_two_profiles_of_one_connection() {
    let profiles = [Profile::PLAIN, Profile::FOUND_ROWS];
    let outcome = simulate(100, 1, |client| Want { profile: profiles[client % 2], ..want() }).await;
    check(&outcome, 3.0);
    let statements_per_connect = outcome.waits.len() / outcome.connects as usize;
    assert!(statements_per_connect >= 8, "{statements_per_connect}");
}
