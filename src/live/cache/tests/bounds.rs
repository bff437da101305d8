//! The bounds of the store, and the numbers that tell of it.

use std::time::Duration;

use super::Desk;
use super::LIMITS;
use super::at;
use super::good;
use super::heard;
use super::only;
use crate::base::ByteSize;
use crate::live::cache::Limits;
use crate::live::cache::Scope;

#[test]
fn no_more_entries_than_allowed_are_held_and_as_many_as_allowed_nearly_are() {
    for max_entries in [1, 2, 10, 100, 1000] {
        let desk = Desk::with(Limits { max_entries, ..LIMITS });
        for n in 0..max_entries * 3 {
            desk.fill(&n.to_string(), "v", 0);
        }
        let counters = desk.cache.counters();
        assert!(counters.entries <= max_entries, "{max_entries}: {counters:?}");
        assert!(counters.entries * 10 >= max_entries * 8, "{max_entries}: {counters:?}");
        assert_eq!(counters.entries + counters.evicted_capacity, max_entries * 3, "{max_entries}: {counters:?}");
    }
}

#[test]
fn no_more_bytes_than_allowed_are_held() {
    let max_bytes = ByteSize::kib(64);
    let desk = Desk::with(Limits { max_bytes, ..LIMITS });
    for n in 0..300 {
        desk.fill(&n.to_string(), &"x".repeat(1000), 0);
    }
    let counters = desk.cache.counters();
    assert!(counters.bytes <= max_bytes.as_u64() && counters.bytes > 32 * 1024, "{counters:?}");
    assert_eq!(counters.bytes, desk.cache.stats(at(0)).bytes);
}

#[test]
fn an_answer_above_max_entry_bytes_or_too_large_for_the_store_is_served_and_not_stored() {
    let mut desk = Desk::with(Limits { max_bytes: ByteSize::kib(64), ..LIMITS });
    desk.settings.max_entry_bytes = ByteSize::kib(1);
    let (waiter, lead) = desk.lead("k", 0);
    assert!(!lead.complete(good(&"x".repeat(1025)), at(0)));
    let landing = heard(waiter).unwrap();
    assert!(landing.result.is_ok() && !landing.stored);
    desk.fill("k", &"x".repeat(1024), 0);
    desk.settings.max_entry_bytes = ByteSize::mib(1);
    let (_waiter, lead) = desk.lead("large", 0);
    assert!(!lead.complete(good(&"x".repeat(64 * 1024)), at(0)));
    let counters = desk.cache.counters();
    assert_eq!((counters.evicted_oversize, counters.entries, counters.evicted_capacity), (2, 1, 0));
    assert_eq!(counters.bytes, desk.cache.stats(at(0)).bytes);
}

#[test]
fn a_store_of_no_bytes_refuses_everything() {
    let desk = Desk::with(Limits { max_bytes: ByteSize::bytes(0), max_entries: 0 });
    let (_waiter, lead) = desk.lead("k", 0);
    assert!(!lead.complete(good("v"), at(0)));
    assert_eq!(desk.cache.counters().bytes, 0);
}

#[test]
fn bytes_and_entries_are_right_after_replacing_and_dropping() {
    let desk = Desk::new();
    desk.fill("k", "12345", 0);
    let size = desk.cache.counters().bytes;
    desk.fill("k", "123456789", 100_000);
    assert_eq!(desk.cache.counters().bytes, size + 4);
    desk.fill("l", "12345", 100_000);
    assert_eq!(desk.cache.counters().entries, 2);
    desk.cache.invalidate(&Scope::All);
    let counters = desk.cache.counters();
    assert_eq!((counters.entries, counters.bytes, counters.evicted_capacity), (0, 0, 0));
}

#[test]
fn a_sweep_drops_what_nothing_could_want_and_no_more_than_it_may() {
    let mut desk = Desk::new();
    for n in 0..10 {
        desk.fill(&n.to_string(), "v", 0);
    }
    desk.longest_stale = Duration::from_secs(3_600);
    desk.fill("kept", "v", 0);
    assert_eq!(desk.cache.sweep(at(359_999), 100), 0);
    assert_eq!(desk.cache.sweep(at(360_000), 4), 4);
    assert_eq!(desk.cache.sweep(at(360_000), 100), 6);
    assert_eq!(desk.cache.sweep(at(3_659_999), 100), 0);
    assert_eq!(desk.cache.sweep(at(3_660_000), 100), 1);
    let counters = desk.cache.counters();
    assert_eq!((counters.entries, counters.bytes, counters.evicted_expired), (0, 0, 11));
}

#[test]
fn a_look_drops_the_expired_entry_it_meets() {
    let desk = Desk::new();
    desk.fill("k", "v", 0);
    drop(desk.lead("k", 360_000));
    let counters = desk.cache.counters();
    assert_eq!((counters.entries, counters.evicted_expired), (0, 1));
}

#[test]
fn other_limits_keep_the_entries_that_fit() {
    let desk = Desk::new();
    for n in 0..50 {
        desk.fill(&n.to_string(), "v", 0);
    }
    let before = desk.cache.counters();
    desk.cache.resize(Limits { max_entries: 1000, ..LIMITS });
    assert_eq!(desk.cache.counters(), before);
    assert_eq!(desk.served("7", 1).unwrap().0, "v");
    desk.cache.resize(Limits { max_entries: 10, ..LIMITS });
    let after = desk.cache.counters();
    assert!(after.entries <= 10 && after.entries >= 8, "{after:?}");
    assert_eq!(after.entries + after.evicted_capacity, 50, "{after:?}");
    assert_eq!(after.bytes, desk.cache.stats(at(0)).bytes);
}

#[test]
fn health_tells_fresh_from_stale_and_leaves_out_what_is_past_use() {
    let desk = Desk::new();
    desk.fill("a", "v", 0);
    desk.fill("b", "v", 50_000);
    let stats = |ms| {
        let stats = desk.cache.stats(at(ms));
        (stats.total, stats.fresh, stats.stale)
    };
    assert_eq!(stats(59_999), (2, 2, 0));
    assert_eq!(stats(60_000), (2, 1, 1));
    assert_eq!(stats(110_000), (2, 0, 2));
    assert_eq!(stats(360_000), (1, 0, 1));
    desk.cache.invalidate(&Scope::All);
    assert_eq!(stats(360_000), (0, 0, 0));
}

#[test]
fn health_counts_a_large_store_once_a_second() {
    let desk = Desk::new();
    for n in 0..5_000 {
        desk.fill(&n.to_string(), "v", 0);
    }
    let fresh = |ms| desk.cache.stats(at(ms)).fresh;
    assert_eq!(fresh(59_500), 5_000);
    assert_eq!(fresh(60_499), 5_000);
    assert_eq!(fresh(60_500), 0);
    desk.cache.invalidate(&only("7"));
    assert_eq!(desk.cache.stats(at(60_501)).total, 4_999, "an invalidation is seen at once");
}
