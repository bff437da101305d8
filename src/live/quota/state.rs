//! The memory of one limit: its cells, in shards that are locked one at a time, within a bound that holds over all of
//! them. A key for which there is no room shares one cell with all others like it.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::TryLockError;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::base::Moment;
use crate::live::quota::key::Asker;
use crate::live::quota::key::Seeds;
use crate::policy::quota::Cell;
use crate::policy::quota::Cells;
use crate::policy::quota::KeyPart;
use crate::policy::quota::LimitSettings;
use crate::policy::quota::Rule;
use crate::policy::quota::Short;

const SHARDS: usize = 16;
/// So many idle cells go when a new one comes: the memory follows what is used.
const SWEPT: usize = 2;

/// The memory of one limit; it survives reloads.
#[derive(Debug, Default)]
pub(crate) struct QuotaState {
    seeds: Seeds,
    shards: [Mutex<Cells>; SHARDS],
    overflow: Mutex<Cell>,
    /// Cells of all shards, and room promised to new ones.
    cells: AtomicU32,
    allowed: AtomicU64,
    limited: AtomicU64,
    concurrent: AtomicU64,
    overflowed: AtomicU64,
    refunded: AtomicU64,
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct QuotaCounts {
    pub(crate) allowed: u64,
    /// Refused: the rate was used up.
    pub(crate) limited: u64,
    /// Refused: too many at the same time.
    pub(crate) concurrent: u64,
    /// Counted in the cell that new keys share.
    pub(crate) overflowed: u64,
    /// Given back, a later layer having refused the request.
    pub(crate) refunded: u64,
}

impl QuotaState {
    pub(super) fn key_of(&self, parts: &[KeyPart], asker: &Asker<'_>) -> u128 {
        self.seeds.key_of(parts, asker)
    }

    pub(super) fn keys(&self) -> u32 {
        self.cells.load(Ordering::Relaxed)
    }

    pub(super) fn counts(&self) -> QuotaCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        QuotaCounts {
            allowed: read(&self.allowed),
            limited: read(&self.limited),
            concurrent: read(&self.concurrent),
            overflowed: read(&self.overflowed),
            refunded: read(&self.refunded),
        }
    }

    /// Counts a refusal.
    pub(super) fn refused(&self, short: Short) {
        let counter = match short {
            Short::Rate(_) => &self.limited,
            Short::InFlight => &self.concurrent,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Every cell goes over to other settings.
    pub(super) fn retune(&self, old: &Rule, new: &Rule, now: Moment) {
        for shard in &self.shards {
            lock(shard).retune(old, new, now);
        }
        lock(&self.overflow).retune(old, new, now);
    }

    /// Holds the cell of a key, so that nothing changes between a check and a take. Never awaited over; several limits
    /// are held in their order in the configuration, so nobody waits for another in a circle.
    pub(super) fn hold(&self, key: u128, max_keys: u32, now: Moment) -> Held<'_> {
        let place = place_of(key);
        let mut shard = lock(self.shard(place));
        let known = shard.find(key).is_some();
        let mut room = false;
        if !known {
            for _ in 0..SWEPT {
                if !shard.forget_idle(now) {
                    break;
                }
                self.cells.fetch_sub(1, Ordering::Relaxed);
            }
            room = self.reserve(max_keys) || (self.forget_elsewhere(place, now) && self.reserve(max_keys));
        }
        let overflow = (!known && !room).then(|| lock(&self.overflow));
        Held { state: self, key, shard, overflow, room }
    }

    /// Gives units back.
    pub(super) fn refund(&self, key: Option<u128>, rule: &Rule, cost: u32) {
        self.refunded.fetch_add(1, Ordering::Relaxed);
        self.change(key, |cell| cell.refund(rule, cost));
    }

    /// One of a key's requests is not in flight any more.
    pub(super) fn leave(&self, key: Option<u128>) {
        self.change(key, Cell::leave);
    }

    /// Changes a cell if it is still there: one that was forgotten had nothing to give back.
    fn change(&self, key: Option<u128>, change: impl FnOnce(&mut Cell)) {
        match key {
            Some(key) => {
                if let Some(cell) = lock(self.shard(place_of(key))).find_mut(key) {
                    change(cell);
                }
            }
            None => change(&mut lock(&self.overflow)),
        }
    }

    #[expect(clippy::indexing_slicing, reason = "the remainder of a division by their number")]
    fn shard(&self, place: usize) -> &Mutex<Cells> {
        &self.shards[place % SHARDS]
    }

    /// Promises room for one more cell.
    fn reserve(&self, max_keys: u32) -> bool {
        let more = |cells: u32| (cells < max_keys).then_some(cells + 1);
        self.cells.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Forgets an idle cell of another shard. A shard that somebody holds is passed over: nobody waits for two.
    fn forget_elsewhere(&self, place: usize, now: Moment) -> bool {
        let others = (1..SHARDS).map(|step| self.shard(place + step));
        let forgotten = others.filter_map(try_lock).any(|mut shard| shard.forget_idle(now));
        if forgotten {
            self.cells.fetch_sub(1, Ordering::Relaxed);
        }
        forgotten
    }
}

/// A key's cell, held.
pub(super) struct Held<'a> {
    state: &'a QuotaState,
    key: u128,
    shard: MutexGuard<'a, Cells>,
    /// The shared cell, where there is no room for one of its own.
    overflow: Option<MutexGuard<'a, Cell>>,
    /// Whether room was promised and is not used yet.
    room: bool,
}

impl Held<'_> {
    /// The cell as it is.
    pub(super) fn cell(&self) -> Cell {
        match &self.overflow {
            Some(shared) => **shared,
            None => self.shard.find(self.key).copied().unwrap_or_default(),
        }
    }

    /// Takes; gives the cell as it is then, and the key under which it can be given back (`None`: the shared cell).
    pub(super) fn take(mut self, set: &LimitSettings, cost: u32, now: Moment) -> (Cell, Option<u128>) {
        self.state.allowed.fetch_add(1, Ordering::Relaxed);
        if let Some(shared) = &mut self.overflow {
            self.state.overflowed.fetch_add(1, Ordering::Relaxed);
            shared.take(&set.rule, cost, now);
            return (**shared, None);
        }
        self.room = false;
        (self.shard.take(self.key, &set.rule, cost, now), Some(self.key))
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.room {
            self.state.cells.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The shard of a key; other bits of it than those which place it there.
fn place_of(key: u128) -> usize {
    let [first, ..] = key.to_be_bytes();
    usize::from(first) % SHARDS
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
