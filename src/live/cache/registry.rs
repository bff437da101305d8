//! All flights in the air, by key, in shards. The lock of a key's shard orders joining, leaving, storing and dooming.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use quick_cache::DefaultHashBuilder;
use smallvec::SmallVec;

use crate::base::Moment;
use crate::live::cache::flight::Departure;
use crate::live::cache::flight::Flight;
use crate::live::cache::generation::Generations;
use crate::live::cache::key::CacheKey;
use crate::live::cache::passes::Passes;

const SHARDS: usize = 16;

/// The flights in the air.
#[derive(Debug)]
pub(super) struct Registry {
    shards: [Mutex<Airspace>; SHARDS],
}

/// The flights of the keys of one shard.
#[derive(Debug, Default)]
pub(super) struct Airspace {
    /// More than one of a key: after an invalidation, past the join limit, without coalescing.
    flights: HashMap<CacheKey, SmallVec<[Arc<Flight>; 1]>, DefaultHashBuilder>,
    /// How many ever took off.
    departed: u64,
    pub(super) passes: Passes,
}

impl Registry {
    pub(super) fn new() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()) }
    }

    /// Locks the shard of a key.
    #[expect(clippy::indexing_slicing, reason = "four bits are below sixteen")]
    pub(super) fn airspace(&self, key: &CacheKey) -> MutexGuard<'_, Airspace> {
        let [high, ..] = key.bits().to_be_bytes();
        lock(&self.shards[usize::from(high >> 4)])
    }

    /// One waiter goes.
    pub(super) fn leave(&self, flight: &Flight, pressed: bool) {
        let _airspace = self.airspace(&flight.key);
        flight.leave(pressed);
    }

    /// Dooms all flights that are as said. Those that take off after this have their shard's later stamp.
    pub(super) fn doom(&self, is: impl Fn(&Flight) -> bool) {
        for shard in &self.shards {
            lock(shard).flights.values().flatten().filter(|flight| is(flight)).for_each(|flight| flight.doom());
        }
    }

    /// Drops the marks of keys that no longer hold.
    pub(super) fn forget_passes(&self, now: Moment) {
        self.shards.iter().for_each(|shard| lock(shard).passes.forget(now));
    }

    /// How many keys are marked.
    pub(super) fn passes(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).passes.len()).sum()
    }

    /// How many are in the air.
    pub(super) fn count(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).flights.values().map(SmallVec::len).sum::<usize>()).sum()
    }
}

impl Airspace {
    /// The flights of a key.
    pub(super) fn of(&self, key: &CacheKey) -> &[Arc<Flight>] {
        self.flights.get(key).map_or(&[], |flights| flights.as_slice())
    }

    /// Takes off. The stamp is taken under the lock: an invalidation either finds the flight or is known to it.
    pub(super) fn depart(&mut self, departure: Departure, generations: &Generations) -> Arc<Flight> {
        self.departed += 1;
        let flight = Arc::new(Flight::new(departure, generations.stamp(), self.departed));
        self.flights.entry(flight.key.clone()).or_default().push(Arc::clone(&flight));
        flight
    }

    /// Is gone.
    pub(super) fn arrive(&mut self, flight: &Flight) {
        if let Some(flights) = self.flights.get_mut(&flight.key) {
            flights.retain(|other| other.number != flight.number);
            if flights.is_empty() {
                self.flights.remove(&flight.key);
            }
        }
    }
}

fn lock(shard: &Mutex<Airspace>) -> MutexGuard<'_, Airspace> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
