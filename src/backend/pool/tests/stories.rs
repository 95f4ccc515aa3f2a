//! What a pool promises, one story each.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, advance, sleep};

use super::{
    Mood, Server, check_invariants, of_profile, of_user, options, pool_of, queue, quota, run_ready, want,
};
use crate::backend::pool::{
    CloseReason, FailureKind, Pool, PoolError, Profile, Upkeep, UserLimits, UserSlot, Want, WorkerId,
};
use crate::config::Backoff;
use crate::telemetry::task;

#[tokio::test(start_paused = true)]
async fn a_connection_is_opened_for_the_first_and_reused_by_the_second() {
    let server = Server::new(5);
    let pool = pool_of(&server, 2);
    assert!(pool.try_lease(&want()).is_none(), "try_lease never dials");
    let first = pool.lease(&want()).await.unwrap();
    assert!(first.is_fresh());
    assert_eq!(first.waited(), Duration::from_millis(5));
    drop(first);
    let second = pool.try_lease(&want()).unwrap();
    assert!(!second.is_fresh());
    assert_eq!((second.waited(), server.connects()), (Duration::ZERO, 1));
    assert_eq!(pool.snapshot().totals.leases, 2);
}

#[tokio::test(start_paused = true)]
async fn a_returned_connection_goes_to_the_longest_waiter_and_nobody_barges() {
    let server = Server::new(0);
    let pool = pool_of(&server, 1);
    let held = pool.lease(&want()).await.unwrap();
    let first = queue(&pool, want()).await;
    let second = queue(&pool, want()).await;
    drop(held);
    assert!(pool.try_lease(&want()).is_none(), "it is handed on, not idle");
    let lease = first.await.unwrap().unwrap();
    assert!(!second.is_finished());
    drop(lease);
    drop(second.await.unwrap().unwrap());
    assert_eq!(server.connects(), 1);
    assert!(pool.try_lease(&want()).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_is_dropped_while_a_connection_is_handed_to_it_passes_it_on() {
    let server = Server::new(0);
    let pool = pool_of(&server, 1);
    let held = pool.lease(&want()).await.unwrap();
    let first = queue(&pool, want()).await;
    let second = queue(&pool, want()).await;
    drop(held);
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    let lease = second.await.unwrap().unwrap();
    check_invariants(&pool);
    drop(lease);
    assert_eq!((pool.snapshot().idle, pool.snapshot().totals.cancelled), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_at_its_deadline_and_a_full_line_turns_away_at_once() {
    let server = Server::new(0);
    let mut small = options(0, 1);
    small.size.queue_max = 1;
    let pool = Pool::new(Arc::clone(&server), small, quota(0));
    let held = pool.lease(&want()).await.unwrap();
    let start = Instant::now();
    let waiter = queue(&pool, Want { deadline: start + Duration::from_secs(2), ..want() }).await;
    assert_eq!(pool.lease(&want()).await.err(), Some(PoolError::QueueFull));
    assert_eq!(waiter.await.unwrap().err(), Some(PoolError::Timeout));
    assert!(start.elapsed() - Duration::from_secs(2) < Duration::from_millis(2));
    let totals = pool.snapshot().totals;
    assert_eq!((totals.timeouts, totals.queue_full, pool.snapshot().waiting), (1, 1, 0));
    drop(held);
    assert!(pool.try_lease(&want()).is_some());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_reusable_is_closed_and_replaced_for_whoever_waits() {
    let server = Server::new(4);
    let pool = pool_of(&server, 1);
    let mut held = pool.lease(&want()).await.unwrap();
    held.reusable = false;
    let waiter = queue(&pool, want()).await;
    drop(held);
    let lease = waiter.await.unwrap().unwrap();
    assert_eq!((lease.id, lease.is_fresh()), (1, true));
    assert_eq!(server.open_max.load(Ordering::SeqCst), 1, "the old one was gone before the new one came");
    lease.close();
    run_ready().await;
    assert_eq!(pool.snapshot().closing, 1, "it is counted until the server let go");
    sleep(Duration::from_millis(3)).await;
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.size, server.open()), (0, 0));
    assert_eq!(snapshot.totals.closed_for(CloseReason::NotReusable), 1);
    assert_eq!(snapshot.totals.closed_for(CloseReason::Holder), 1);
}

#[tokio::test(start_paused = true)]
async fn connections_that_the_server_closed_while_idle_never_surface() {
    let server = Server::new(1);
    let pool = pool_of(&server, 3);
    let leases = [
        pool.lease(&want()).await.unwrap(),
        pool.lease(&want()).await.unwrap(),
        pool.lease(&want()).await.unwrap(),
    ];
    drop(leases);
    server.kill_all();
    let lease = pool.lease(&want()).await.unwrap();
    assert!(lease.is_fresh());
    assert_eq!(pool.snapshot().totals.closed_for(CloseReason::Dead), 3);
    assert!(server.open_max.load(Ordering::SeqCst) <= 3);
}

#[tokio::test(start_paused = true)]
async fn a_burst_opens_four_at_a_time_up_to_the_size() {
    let server = Server::new(10);
    let pool = pool_of(&server, 10);
    let mut tasks = Vec::new();
    for _ in 0..30 {
        tasks.push(queue(&pool, want()).await);
    }
    assert_eq!(pool.snapshot().dialling, 4);
    let mut leases = Vec::new();
    for task in tasks.drain(..10) {
        leases.push(task.await.unwrap().unwrap());
    }
    assert_eq!((server.connects(), server.connecting_max.load(Ordering::SeqCst)), (10, 4));
    check_invariants(&pool);
    drop(leases);
    for task in tasks {
        drop(task.await.unwrap().unwrap());
    }
    assert_eq!(server.connects(), 10);
}

#[tokio::test(start_paused = true)]
async fn another_profile_at_full_size_takes_the_place_of_an_idle_one() {
    let server = Server::new(4);
    let pool = pool_of(&server, 2);
    let (a, b) = (pool.lease(&want()).await.unwrap(), pool.lease(&want()).await.unwrap());
    let oldest = a.id;
    drop(a);
    drop(b);
    let lease = pool.lease(&of_profile(Profile::FOUND_ROWS)).await.unwrap();
    assert_eq!(lease.profile, Profile::FOUND_ROWS);
    assert_eq!(server.open_max.load(Ordering::SeqCst), 2);
    let other = pool.try_lease(&want()).unwrap();
    assert_ne!(other.id, oldest, "the least recently used one went");
    // Now nothing is idle: the first to come back makes room.
    let waiter = queue(&pool, of_profile(Profile::QUERY_ATTRIBUTES)).await;
    drop(other);
    assert_eq!(waiter.await.unwrap().unwrap().profile, Profile::QUERY_ATTRIBUTES);
    assert_eq!(server.open_max.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_user_at_its_cap_blocks_nobody_behind_it() {
    let server = Server::new(0);
    let pool = pool_of(&server, 3);
    pool.limit_users(&[(UserSlot(1), UserLimits { leases_max: 1, dedicated: 0 })]);
    let first = pool.lease(&of_user(1)).await.unwrap();
    let second = queue(&pool, of_user(1)).await;
    run_ready().await;
    assert_eq!(server.connects(), 1, "nothing is opened for somebody who may not have it");
    let other = pool.lease(&of_user(2)).await.unwrap();
    assert!(!second.is_finished());
    drop(other);
    run_ready().await;
    assert!(!second.is_finished());
    drop(first);
    drop(second.await.unwrap().unwrap());
    check_invariants(&pool);
}

#[tokio::test(start_paused = true)]
async fn a_capped_user_is_served_from_the_idle_set_when_its_own_connection_broke() {
    let server = Server::new(0);
    let pool = pool_of(&server, 2);
    pool.limit_users(&[(UserSlot(1), UserLimits { leases_max: 1, dedicated: 0 })]);
    let (mut own, other) = (pool.lease(&of_user(1)).await.unwrap(), pool.lease(&of_user(2)).await.unwrap());
    drop(other);
    let waiter = queue(&pool, of_user(1)).await;
    assert_eq!(pool.snapshot().idle, 1);
    own.reusable = false;
    drop(own);
    run_ready().await;
    assert!(waiter.is_finished());
    drop(waiter.await.unwrap().unwrap());
    assert_eq!(server.connects(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_independent_channel_waits_for_nothing_while_everybody_else_does() {
    let server = Server::new(5);
    let pool = Pool::new(Arc::clone(&server), options(0, 2), quota(0));
    pool.limit_users(&[(UserSlot(1), UserLimits { leases_max: 0, dedicated: 2 })]);
    task::spawn("pool.upkeep", Upkeep::new(&pool, WorkerId(0)).run());
    sleep(Duration::from_millis(100)).await;
    assert_eq!(pool.snapshot().idle, 2, "what is set aside is opened ahead");

    let shared = [pool.lease(&of_user(0)).await.unwrap(), pool.lease(&of_user(0)).await.unwrap()];
    let noise = queue(&pool, of_user(0)).await;
    run_ready().await;
    assert_eq!(pool.snapshot().size, 4);
    let own = [pool.lease(&of_user(1)).await.unwrap(), pool.lease(&of_user(1)).await.unwrap()];
    assert!(own.iter().all(|lease| lease.waited().is_zero()));
    let third = queue(&pool, of_user(1)).await;
    drop(own);
    run_ready().await;
    assert!(third.is_finished(), "the owner's own come back to it");
    assert!(!noise.is_finished(), "and to nobody else");
    drop(shared);
    drop(noise.await.unwrap().unwrap());
    check_invariants(&pool);
    assert_eq!(server.open_max.load(Ordering::SeqCst), 4);
}

#[tokio::test(start_paused = true)]
async fn while_the_backend_is_down_one_dials_and_the_rest_fail_fast_after_a_while() {
    let server = Server::new(1);
    let pool = pool_of(&server, 10);
    server.set(Mood::Failing(FailureKind::Unreachable));
    let mut tasks = Vec::new();
    for _ in 0..20 {
        tasks.push(queue(&pool, want()).await);
    }
    sleep(Duration::from_millis(2)).await;
    assert_eq!(server.connects(), 4, "healthy so far: four at once");
    sleep(Duration::from_secs(2)).await;
    assert!(tasks.iter().all(|task| !task.is_finished()), "a short outage is waited out");
    let dials = server.connects();
    assert!((8..=14).contains(&dials), "Fibonacci pauses: {dials}");
    sleep(Duration::from_secs(3)).await;
    for task in tasks {
        assert!(matches!(task.await.unwrap(), Err(PoolError::Unavailable(_))));
    }
    // Known to be down: whoever sets off the next attempt waits for it, the others do not.
    sleep(Duration::from_secs(6)).await;
    let prober = queue(&pool, want()).await;
    let start = Instant::now();
    assert!(matches!(pool.lease(&want()).await, Err(PoolError::StillUnavailable(_))));
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(!prober.is_finished());
    assert!(matches!(prober.await.unwrap(), Err(PoolError::Unavailable(_))));

    server.set(Mood::Welcoming);
    sleep(Duration::from_secs(6)).await;
    drop(pool.lease(&want()).await.unwrap());
    assert!(pool.quota.down_since().is_none());
    check_invariants(&pool);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_out_an_outage_are_served_when_it_ends_and_dials_ramp_up() {
    let server = Server::new(20);
    let pool = pool_of(&server, 20);
    server.set(Mood::Failing(FailureKind::Unreachable));
    let mut tasks = Vec::new();
    for _ in 0..20 {
        tasks.push(queue(&pool, want()).await);
    }
    sleep(Duration::from_secs(1)).await;
    server.set(Mood::Welcoming);
    server.connecting_max.store(0, Ordering::SeqCst);
    while pool.quota.down_since().is_some() {
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(server.connecting_max.load(Ordering::SeqCst), 2, "one probe, then two");
    let mut leases = Vec::new();
    for task in tasks {
        leases.push(task.await.unwrap().unwrap());
    }
    assert_eq!(server.connecting_max.load(Ordering::SeqCst), 4);
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_fails_those_who_wait_and_is_tried_again_after_a_pause() {
    let server = Server::new(1);
    let pool = pool_of(&server, 2);
    server.set(Mood::Failing(FailureKind::Refused));
    let start = Instant::now();
    assert!(matches!(pool.lease(&want()).await, Err(PoolError::Refused(_))));
    assert!(start.elapsed() < Duration::from_millis(5));
    assert!(pool.quota.down_since().is_none(), "the backend is not down");
    assert!(matches!(pool.lease(&want()).await, Err(PoolError::Refused(_))));
    server.set(Mood::Welcoming);
    pool.close_all_idle(); // new credentials
    drop(pool.lease(&want()).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_full_server_is_waited_for_until_the_deadline() {
    let server = Server::new(1);
    let pool = pool_of(&server, 2);
    server.set(Mood::Failing(FailureKind::Busy));
    let first = queue(&pool, want()).await;
    let second = queue(&pool, Want { deadline: Instant::now() + Duration::from_secs(60), ..want() }).await;
    assert_eq!(first.await.unwrap().err(), Some(PoolError::Timeout));
    server.set(Mood::Welcoming);
    drop(second.await.unwrap().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_given_up_after_the_connect_timeout() {
    let server = Server::new(1);
    let pool = pool_of(&server, 2);
    server.set(Mood::Silent);
    let waiter = queue(&pool, want()).await;
    sleep(Duration::from_millis(5001)).await;
    assert_eq!(pool.snapshot().totals.connect_failures, 1);
    server.set(Mood::Welcoming);
    drop(waiter.await.unwrap().unwrap());
    assert_eq!(pool.snapshot().size, 1);
}

#[tokio::test(start_paused = true)]
async fn new_times_reach_a_pool_that_exists() {
    let server = Server::new(1);
    let pool = pool_of(&server, 1);
    server.set(Mood::Silent);
    pool.retime(Duration::from_secs(1), Backoff { first: Duration::from_secs(30), ..Backoff::default() });
    let waiter = queue(&pool, want()).await;
    sleep(Duration::from_millis(1001)).await;
    assert_eq!(pool.snapshot().totals.connect_failures, 1);
    waiter.abort();
    // What this identity is refused is tried again after the new pauses.
    let server = Server::new(1);
    server.set(Mood::Failing(FailureKind::Refused));
    let fresh = pool_of(&server, 1);
    let pause = Duration::from_secs(40);
    fresh.retime(Duration::from_secs(1), Backoff { first: pause, max: pause });
    assert!(fresh.lease(&want()).await.is_err());
    let connects = server.connects();
    sleep(pause / 3).await;
    assert!(fresh.lease(&want()).await.is_err());
    assert_eq!(server.connects(), connects, "not yet");
    sleep(pause).await;
    assert!(fresh.lease(&want()).await.is_err());
    assert_eq!(server.connects(), connects + 1);
}

#[tokio::test(start_paused = true)]
async fn upkeep_keeps_the_least_and_closes_the_unused_and_the_old() {
    let server = Server::new(1);
    let mut kept = options(2, 10);
    kept.size.idle_timeout = Duration::from_secs(60);
    kept.size.lifetime = Duration::from_secs(1000);
    let pool = Pool::new(Arc::clone(&server), kept, quota(0));
    task::spawn("pool.upkeep", Upkeep::new(&pool, WorkerId(0)).run());
    sleep(Duration::from_millis(500)).await;
    assert_eq!(pool.snapshot().idle, 2, "warm before anybody asks");
    let mut leases = Vec::new();
    for _ in 0..6 {
        leases.push(pool.lease(&want()).await.unwrap());
    }
    drop(leases);
    sleep(Duration::from_secs(30)).await;
    assert_eq!(pool.snapshot().idle, 6);
    sleep(Duration::from_secs(33)).await;
    assert_eq!((pool.snapshot().idle, pool.snapshot().totals.closed_for(CloseReason::Idle)), (2, 4));
    sleep(Duration::from_secs(830)).await;
    assert_eq!(pool.snapshot().totals.closed_for(CloseReason::Lifetime), 0, "at most 10 % early");
    sleep(Duration::from_secs(120)).await;
    assert_eq!(pool.snapshot().totals.closed_for(CloseReason::Lifetime), 2);
    assert_eq!(pool.snapshot().idle, 2);
    server.kill_all();
    sleep(Duration::from_secs(3)).await;
    assert_eq!((pool.snapshot().idle, pool.snapshot().totals.closed_for(CloseReason::Dead)), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_drained_pool_lets_holders_finish_and_everybody_else_go() {
    let server = Server::new(10);
    let pool = pool_of(&server, 2);
    let held = pool.lease(&want()).await.unwrap();
    let waiter = queue(&pool, want()).await;
    assert_eq!(pool.snapshot().dialling, 1);
    pool.drain();
    assert_eq!(waiter.await.unwrap().err(), Some(PoolError::Draining));
    assert_eq!(pool.lease(&want()).await.err(), Some(PoolError::Draining));
    run_ready().await;
    assert_eq!((pool.snapshot().size, pool.is_drained()), (1, false), "the dial was called off");
    drop(held);
    sleep(Duration::from_millis(10)).await;
    assert!(pool.is_drained());
    assert_eq!(server.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_smaller_size_and_new_credentials_take_effect_as_connections_come_back() {
    let server = Server::new(0);
    let pool = pool_of(&server, 4);
    let mut leases = Vec::new();
    for _ in 0..4 {
        leases.push(pool.lease(&want()).await.unwrap());
    }
    leases.truncate(3);
    pool.resize(options(0, 2).size);
    run_ready().await;
    assert_eq!(pool.snapshot().size, 3, "the idle one goes at once");
    leases.pop();
    run_ready().await;
    assert_eq!(pool.snapshot().size, 2);
    leases.pop();
    assert_eq!((pool.snapshot().idle, pool.snapshot().leased), (1, 1));
    pool.close_all_idle();
    run_ready().await;
    assert_eq!((pool.snapshot().idle, pool.snapshot().leased), (0, 1));
    leases.pop();
    run_ready().await;
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.size, server.open()), (0, 0));
    assert_eq!(snapshot.totals.closed_for(CloseReason::Retired), 2);
    assert_eq!(snapshot.totals.closed_for(CloseReason::Resize), 2);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_pool_closes_its_connections_and_gives_their_places_back() {
    let server = Server::new(3);
    let shared = quota(5);
    let pool = Pool::new(Arc::clone(&server), options(0, 3), Arc::clone(&shared));
    let held = pool.lease(&want()).await.unwrap();
    drop(pool.lease(&want()).await.unwrap());
    assert_eq!(shared.used(), 2);
    drop(pool);
    drop(held);
    advance(Duration::from_secs(1)).await;
    run_ready().await;
    assert_eq!((shared.used(), server.open()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_old_failure_does_not_keep_another_profile_out_for_ever() {
    let server = Server::new(1);
    let pool = pool_of(&server, 2);
    let held = pool.lease(&want()).await.unwrap();
    server.set(Mood::Failing(FailureKind::Unreachable));
    let patience = Duration::from_millis(10); // the first pause is 50 ms at least
    let short = Want { deadline: Instant::now() + patience, ..want() };
    assert_eq!(pool.lease(&short).await.err(), Some(PoolError::Timeout));
    pool.resize(options(0, 1).size);
    drop(held);
    let other = Want { deadline: Instant::now() + patience, ..of_profile(Profile::FOUND_ROWS) };
    assert_eq!(pool.lease(&other).await.err(), Some(PoolError::Timeout));
    assert_eq!(pool.snapshot().idle, 1, "a good connection is not given up while none can be opened");
    server.set(Mood::Welcoming);
    drop(pool.lease(&of_profile(Profile::FOUND_ROWS)).await.unwrap());
    assert!(pool.quota.down_since().is_none());
}

#[tokio::test(start_paused = true)]
async fn old_connections_outlive_their_time_only_while_no_new_ones_can_be_opened() {
    let server = Server::new(1);
    let mut short = options(2, 3);
    short.size.lifetime = Duration::from_secs(100);
    let pool = Pool::new(Arc::clone(&server), short, quota(0));
    task::spawn("pool.upkeep", Upkeep::new(&pool, WorkerId(0)).run());
    sleep(Duration::from_secs(50)).await;
    server.set(Mood::Failing(FailureKind::Refused));
    let held = [pool.lease(&want()).await.unwrap(), pool.lease(&want()).await.unwrap()];
    let patience = Instant::now() + Duration::from_secs(1);
    assert!(pool.lease(&Want { deadline: patience, ..want() }).await.is_err());
    drop(held);
    sleep(Duration::from_secs(200)).await;
    assert_eq!(pool.snapshot().idle, 2);
    server.set(Mood::Welcoming);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(pool.snapshot().totals.closed_for(CloseReason::Lifetime), 2);
}
