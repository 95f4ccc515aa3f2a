//! Identical reads under way: one asks, the others wait for what it is told.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use foldhash::fast::FixedState;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::cache::store::{Answer, Key};
use crate::cache::tables::Seen;

/// Reads under way that others may join.
const FLIGHTS_MAX: usize = 4_096;

/// Sessions that wait for one read.
const FOLLOWERS_MAX: usize = 65_536;

/// Locks, so that workers seldom meet at one.
const SHARDS: usize = 16;

/// How far a read has come.
#[derive(Clone, Debug)]
pub enum FlightState {
    /// It is under way.
    Flying,
    /// This is its result.
    Arrived(Arc<Answer>),
    /// Its result is its own: whoever waits asks by itself.
    Alone,
    /// Nobody knows: whoever waits may ask in its place.
    Lost,
}

/// One read under way.
#[derive(Debug)]
pub(super) struct Flight {
    state: watch::Sender<FlightState>,
    followers: AtomicUsize,
    pub(super) seen: Seen,
}

impl Flight {
    pub(super) fn new(seen: Seen) -> Self {
        Self { state: watch::Sender::new(FlightState::Flying), followers: AtomicUsize::new(0), seen }
    }

    pub(super) fn land(&self, state: FlightState) {
        self.state.send_replace(state);
    }

    pub(super) fn follow(self: &Arc<Self>) -> Option<Follower> {
        if self.followers.fetch_add(1, Ordering::Relaxed) >= FOLLOWERS_MAX {
            self.followers.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Follower { state: self.state.subscribe(), flight: Arc::clone(self) })
    }
}

/// Somebody who waits for a read of somebody else's.
#[derive(Debug)]
pub struct Follower {
    state: watch::Receiver<FlightState>,
    flight: Arc<Flight>,
}

impl Follower {
    /// Waits for its end. Cancel-safe.
    pub async fn wait(&mut self) -> FlightState {
        match self.state.wait_for(|state| !matches!(state, FlightState::Flying)).await {
            Ok(state) => state.clone(),
            Err(_) => FlightState::Lost,
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.flight.followers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All reads under way.
#[derive(Debug)]
pub(super) struct Flights {
    /// Each held for one look-up.
    shards: [Mutex<HashMap<Key, Arc<Flight>, FixedState>>; SHARDS],
}

impl Default for Flights {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()) }
    }
}

/// What a read has become.
pub(super) enum Boarding {
    Leads(Arc<Flight>),
    Follows(Follower),
    Full,
}

impl Flights {
    fn shard(&self, key: Key) -> &Mutex<HashMap<Key, Arc<Flight>, FixedState>> {
        &self.shards[key.low() as usize % SHARDS]
    }

    /// Joins the flight of `key` if what it saw still `holds`, or leads one of its own.
    /// With `no_room` nobody leads.
    pub(super) fn board(
        &self,
        key: Key,
        seen: Seen,
        no_room: bool,
        holds: impl Fn(&Seen) -> bool,
    ) -> Boarding {
        let mut flights = self.shard(key).lock();
        if let Some(flight) = flights.get(&key)
            && holds(&flight.seen)
        {
            return flight.follow().map_or(Boarding::Full, Boarding::Follows);
        }
        if no_room || flights.len() >= FLIGHTS_MAX / SHARDS {
            return Boarding::Full;
        }
        let flight = Arc::new(Flight::new(seen));
        flights.insert(key, Arc::clone(&flight));
        Boarding::Leads(flight)
    }

    /// Sessions that wait for reads under way.
    pub(super) fn followers(&self) -> u64 {
        let of = |flight: &Arc<Flight>| flight.followers.load(Ordering::Relaxed) as u64;
        self.shards.iter().map(|shard| shard.lock().values().map(of).sum::<u64>()).sum()
    }

    /// Nobody joins `flight` any more.
    pub(super) fn remove(&self, key: Key, flight: &Arc<Flight>) {
        let mut flights = self.shard(key).lock();
        if flights.get(&key).is_some_and(|known| Arc::ptr_eq(known, flight)) {
            flights.remove(&key);
        }
    }
}
