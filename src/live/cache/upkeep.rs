//! The cache as its operator sees it: invalidate, drop what has expired, change the limits, read the numbers.

use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::base::Moment;
use crate::live::cache::counters::Counters;
use crate::live::cache::generation::Scope;
use crate::live::cache::look::Cache;
use crate::live::cache::store::Limits;
use crate::live::cache::store::Store;

/// What an invalidation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Invalidated {
    /// Entries dropped.
    pub(crate) count: usize,
    /// The generation that began with it.
    pub(crate) generation: u64,
}

/// What is held, for `/health`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stats {
    /// Entries that could be served or stand in.
    pub(crate) total: usize,
    /// Those below their ttl.
    pub(crate) fresh: usize,
    /// Those past it.
    pub(crate) stale: usize,
    /// Their keys and values, and 128 each.
    pub(crate) bytes: u64,
}

/// Held by whoever walks or replaces the store, so that they take turns.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    /// The last count of a large store, and when.
    counted: Option<(Moment, Stats)>,
}

impl Cache {
    /// Whether the machine is pressed: from now on a call ends when nobody waits for it any more.
    pub(crate) fn press(&self, pressed: bool) {
        self.shared.pressed.store(pressed, Ordering::Relaxed);
    }

    /// Makes all that the scope covers untrue: a look that starts after this returned sees nothing whose flight began
    /// before it. Flights in the air go on for those who wait already, and store nothing.
    pub(crate) fn invalidate(&self, scope: &Scope) -> Invalidated {
        let shared = &self.shared;
        let mut upkeep = shared.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = shared.generations.advance(scope);
        // First the flights: from here on what they bring is not stored. What they stored already, the walk finds.
        shared.registry.doom(|flight| scope.covers(&flight.key, &flight.source, &flight.tag));
        let count = shared.store.load().remove_all(|key, entry| scope.covers(key, &entry.source, &entry.tag));
        shared.generations.walked();
        upkeep.counted = None;
        shared.totals.evicted_invalidated.add(u64::try_from(count).unwrap_or(u64::MAX));
        Invalidated { count, generation }
    }

    /// Drops entries that nothing could want any more, `limit` at most; how many. Worth a call every few seconds.
    pub(crate) fn sweep(&self, now: Moment, limit: usize) -> usize {
        let shared = &self.shared;
        let mut upkeep = shared.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        let store = shared.store.load();
        let expired = store.iter().filter(|(_, entry)| !entry.is_kept(now)).take(limit);
        let count =
            expired.filter(|(key, old)| store.remove_if(key, |held| std::ptr::eq(held, Arc::as_ptr(old)))).count();
        shared.registry.forget_passes(now);
        upkeep.counted = None;
        shared.totals.evicted_expired.add(u64::try_from(count).unwrap_or(u64::MAX));
        count
    }

    /// Changes the limits, keeping the entries that fit.
    pub(crate) fn resize(&self, limits: Limits) {
        let shared = &self.shared;
        let mut upkeep = shared.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        let old = shared.store.load_full();
        if old.limits() == limits {
            return;
        }
        let new = Store::new(limits);
        for (key, entry) in old.iter() {
            let inserted = new.insert(key, entry);
            shared.totals.evicted_capacity.add(inserted.evicted);
            shared.totals.evicted_oversize.add(u64::from(!inserted.kept));
        }
        // What a flight stored in the old one since then is lost: one more call.
        shared.store.store(Arc::new(new));
        upkeep.counted = None;
    }

    /// Everything counted since the start, and what is held now.
    pub(crate) fn counters(&self) -> Counters {
        let store = self.shared.store.load();
        let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        Counters {
            entries: wide(store.len()),
            bytes: store.bytes(),
            flights: wide(self.shared.registry.count()),
            passes: wide(self.shared.registry.passes()),
            ..self.shared.totals.read()
        }
    }

    /// What is held, fresh and stale. Counted anew each time; once a second where there is much to count.
    pub(crate) fn stats(&self, now: Moment) -> Stats {
        let mut upkeep = self.shared.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        let store = self.shared.store.load();
        match upkeep.counted {
            Some((at, stats)) if store.len() > MANY && now.since(at) < COUNT_EVERY => stats,
            Some(_) | None => {
                let stats = count(&store, now);
                upkeep.counted = Some((now, stats));
                stats
            }
        }
    }
}

const MANY: usize = 4096;
const COUNT_EVERY: Duration = Duration::from_secs(1);

fn count(store: &Store, now: Moment) -> Stats {
    let mut stats = Stats::default();
    for (_, entry) in store.iter().filter(|(_, entry)| entry.is_kept(now)) {
        stats.total += 1;
        stats.bytes += entry.size;
        match entry.age(now) < entry.fresh_for {
            true => stats.fresh += 1,
            false => stats.stale += 1,
        }
    }
    stats
}
