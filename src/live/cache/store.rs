//! The bounded map of entries: quick_cache with our own sizes, and a count of what it drops.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use quick_cache::DefaultHashBuilder;
use quick_cache::Lifecycle;
use quick_cache::OptionsBuilder;
use quick_cache::Weighter;
use quick_cache::sync;

use crate::base::ByteSize;
use crate::live::cache::entry::Entry;
use crate::live::cache::key::CacheKey;

/// `cache:` of `aggd.yaml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Keys, values, and 128 an entry.
    pub(crate) max_bytes: ByteSize,
    /// So many entries at most.
    pub(crate) max_entries: u64,
}

/// The entries. Its limits are fixed: others need another store.
pub(super) struct Store {
    map: sync::Cache<CacheKey, Arc<Entry>, AtLeast, DefaultHashBuilder, Watch>,
    limits: Limits,
    bytes: AtomicU64,
}

/// What became of an insertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inserted {
    /// Whether the entry was taken; one too large for its shard is not.
    pub(super) kept: bool,
    /// How many others were dropped to make room.
    pub(super) evicted: u64,
}

impl Store {
    pub(super) fn new(limits: Limits) -> Self {
        let bytes = limits.max_bytes.as_u64();
        let entries = limits.max_entries.max(1);
        // An entry weighs at least its share of the whole, so that no more than `max_entries` fit. A share of the
        // whole itself would be refused: quick_cache takes nothing above the 97 % that it keeps for what is hot.
        let floor = bytes.div_ceil(entries).min(bytes / 100 * 97);
        let options = OptionsBuilder::new()
            .shards(shards(bytes))
            .estimated_items_capacity(usize::try_from(entries).unwrap_or(usize::MAX))
            .weight_capacity(bytes)
            .build();
        let map = match options {
            Ok(options) => sync::Cache::with_options(options, AtLeast { floor }, DefaultHashBuilder::default(), Watch),
            // Only a builder that lacks a number fails, and it has both.
            Err(_) => sync::Cache::with(1, bytes, AtLeast { floor }, DefaultHashBuilder::default(), Watch),
        };
        Self { map, limits, bytes: AtomicU64::new(0) }
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    pub(super) fn get(&self, key: &CacheKey) -> Option<Arc<Entry>> {
        self.map.get(key)
    }

    /// As `get`, but no sign that the entry is wanted.
    pub(super) fn peek(&self, key: &CacheKey) -> Option<Arc<Entry>> {
        self.map.peek(key)
    }

    pub(super) fn insert(&self, key: CacheKey, entry: Arc<Entry>) -> Inserted {
        let mut dropped = Vec::new();
        self.bytes.fetch_add(entry.size, Ordering::Relaxed);
        self.map.insert_with_lifecycle(key.clone(), Arc::clone(&entry), &mut dropped);
        let mut inserted = Inserted { kept: true, evicted: 0 };
        for (old_key, old) in &dropped {
            self.bytes.fetch_sub(old.size, Ordering::Relaxed);
            if Arc::ptr_eq(old, &entry) {
                inserted.kept = false;
            } else if *old_key != key {
                inserted.evicted += 1;
            }
        }
        inserted
    }

    /// Removes the entry of a key if it is as said; whether it was.
    pub(super) fn remove_if(&self, key: &CacheKey, is: impl FnOnce(&Entry) -> bool) -> bool {
        let removed = self.map.remove_if(key, |entry| is(entry));
        removed
            .inspect(|(_, entry)| {
                self.bytes.fetch_sub(entry.size, Ordering::Relaxed);
            })
            .is_some()
    }

    /// Removes all that is as said; how many.
    pub(super) fn remove_all(&self, is: impl Fn(&CacheKey, &Entry) -> bool) -> usize {
        let count = AtomicUsize::new(0);
        self.map.retain(|key, entry| {
            let goes = is(key, entry);
            if goes {
                count.fetch_add(1, Ordering::Relaxed);
                self.bytes.fetch_sub(entry.size, Ordering::Relaxed);
            }
            !goes
        });
        count.into_inner()
    }

    /// All entries, one by one; the store is locked for each alone.
    pub(super) fn iter(&self) -> impl Iterator<Item = (CacheKey, Arc<Entry>)> {
        self.map.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Room for an entry of the usual largest size in each, several times over: a shard refuses what it cannot hold.
fn shards(bytes: u64) -> usize {
    let fitting = bytes / ByteSize::mib(4).as_u64();
    // The library rounds up to a power of two.
    usize::try_from(fitting.clamp(1, 64)).map_or(1, |count| count.next_power_of_two())
}

#[derive(Clone)]
struct AtLeast {
    floor: u64,
}

impl Weighter<CacheKey, Arc<Entry>> for AtLeast {
    fn weight(&self, _key: &CacheKey, entry: &Arc<Entry>) -> u64 {
        entry.size.max(self.floor)
    }
}

/// Keeps what an insertion drops (the replaced, the evicted, the refused), to count it and to free it outside the lock.
#[derive(Clone)]
struct Watch;

impl Lifecycle<CacheKey, Arc<Entry>> for Watch {
    type RequestState = Vec<(CacheKey, Arc<Entry>)>;

    fn on_evict(&self, dropped: &mut Self::RequestState, key: CacheKey, entry: Arc<Entry>) {
        dropped.push((key, entry));
    }
}
