//! What the cache counts, for the metrics.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// Totals since the start, and what is held now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Entries held now.
    pub(crate) entries: u64,
    /// Bytes held now: keys, values, and 128 an entry.
    pub(crate) bytes: u64,
    /// Flights in the air now, refreshes among them.
    pub(crate) flights: u64,
    /// Keys marked now, because the upstream forbids to keep their answers.
    pub(crate) passes: u64,
    /// Keys not marked so, for want of room.
    pub(crate) passes_dropped: u64,
    /// Entries dropped to make room.
    pub(crate) evicted_capacity: u64,
    /// Entries dropped because nothing could want them any more.
    pub(crate) evicted_expired: u64,
    /// Entries dropped by an invalidation.
    pub(crate) evicted_invalidated: u64,
    /// Answers served but too large to keep.
    pub(crate) evicted_oversize: u64,
    /// Answers served but not kept, because the upstream forbids it.
    pub(crate) evicted_forbidden: u64,
    /// Answers not stored, because of an invalidation since the call began or because a later call was quicker.
    pub(crate) store_discarded: u64,
    /// Callers that led a call.
    pub(crate) coalesced_lead: u64,
    /// Callers that joined one.
    pub(crate) coalesced_join: u64,
    /// Refreshes that brought an answer.
    pub(crate) refresh_ok: u64,
    /// Refreshes that found the entry still to hold.
    pub(crate) refresh_not_modified: u64,
    /// Refreshes that failed.
    pub(crate) refresh_failed: u64,
    /// Refreshes that were due and not begun: no room, an open circuit, a client that left first.
    pub(crate) refresh_declined: u64,
}

/// The running totals.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) evicted_capacity: Total,
    pub(super) evicted_expired: Total,
    pub(super) evicted_invalidated: Total,
    pub(super) evicted_oversize: Total,
    pub(super) evicted_forbidden: Total,
    pub(super) passes_dropped: Total,
    pub(super) store_discarded: Total,
    pub(super) coalesced_lead: Total,
    pub(super) coalesced_join: Total,
    pub(super) refresh_ok: Total,
    pub(super) refresh_not_modified: Total,
    pub(super) refresh_failed: Total,
    pub(super) refresh_declined: Total,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Total(AtomicU64);

impl Total {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Totals {
    /// All totals as they are now; what is held now is for others to fill in.
    pub(super) fn read(&self) -> Counters {
        Counters {
            entries: 0,
            bytes: 0,
            flights: 0,
            passes: 0,
            passes_dropped: self.passes_dropped.read(),
            evicted_capacity: self.evicted_capacity.read(),
            evicted_expired: self.evicted_expired.read(),
            evicted_invalidated: self.evicted_invalidated.read(),
            evicted_oversize: self.evicted_oversize.read(),
            evicted_forbidden: self.evicted_forbidden.read(),
            store_discarded: self.store_discarded.read(),
            coalesced_lead: self.coalesced_lead.read(),
            coalesced_join: self.coalesced_join.read(),
            refresh_ok: self.refresh_ok.read(),
            refresh_not_modified: self.refresh_not_modified.read(),
            refresh_failed: self.refresh_failed.read(),
            refresh_declined: self.refresh_declined.read(),
        }
    }
}
