//! The cache from many threads at once: CON-09, CON-10, CON-11, and one call for many callers.

use std::sync::Arc;
use std::sync::Barrier;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;

use super::Desk;
use super::LIMITS;
use super::at;
use super::good;
use super::heard;
use super::name;
use super::only;
use crate::base::Tasks;
use crate::live::cache::Lead;
use crate::live::cache::Limits;
use crate::live::cache::Look;
use crate::live::cache::Scope;
use crate::live::fetched::FlightResult;
use crate::policy::freshness::CoalesceSettings;
use crate::policy::freshness::OnAbandon;
use crate::policy::freshness::RefreshAhead;
use crate::policy::outcome::Kind;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn con_09_a_panicking_flight_leaves_nobody_waiting() {
    let desk = Desk::new();
    let tasks = Tasks::default();
    let (first, lead) = desk.lead("k", 0);
    let Look::Wait { waiter: second, lead: None, .. } = desk.look("k", 1) else { panic!("led") };
    let flight = tasks.spawn(async move {
        let _lead: Lead = lead;
        tokio::task::yield_now().await;
        panic!("on purpose");
    });
    for waiter in [first, second] {
        assert_eq!(waiter.wait().await.result.unwrap_err().kind, Kind::InternalError);
    }
    assert!(flight.await.unwrap_err().is_panic());
    assert_eq!(desk.cache.counters().flights, 0);
    drop(desk.lead("k", 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_callers_share_one_call() {
    let desk = Arc::new(Desk::new());
    let tasks = Tasks::default();
    let calls = Arc::new(AtomicUsize::new(0));
    let mut callers = Vec::new();
    for _ in 0..500 {
        let (desk, calls, inner) = (Arc::clone(&desk), Arc::clone(&calls), tasks.clone());
        callers.push(tasks.spawn(async move {
            match desk.look("k", 0) {
                Look::Hit { entry, .. } => entry.value().clone(),
                Look::Wait { waiter, lead, .. } => {
                    if let Some(lead) = lead {
                        calls.fetch_add(1, Ordering::Relaxed);
                        let _flight = inner.spawn(async move {
                            tokio::task::yield_now().await;
                            lead.complete(good("v"), at(1))
                        });
                    }
                    waiter.wait().await.result
                }
            }
        }));
    }
    for caller in callers {
        assert!(caller.await.unwrap().is_ok());
    }
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    let counters = desk.cache.counters();
    assert_eq!((counters.coalesced_lead, counters.flights), (1, 0));
}

#[test]
fn con_10_the_last_waiter_leaves_while_the_flight_ends() {
    let mut desk = Desk::new();
    desk.settings.coalesce = Some(CoalesceSettings { max_age: None, on_abandon: OnAbandon::Cancel });
    for round in 0..2_000 {
        let text = round.to_string();
        let (waiter, lead) = desk.lead(&text, 0);
        let start = Barrier::new(2);
        let stored = thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                drop(waiter);
            });
            start.wait();
            lead.complete(good("v"), at(0))
        });
        assert!(stored, "an answer that came is kept");
        assert_eq!(desk.served(&text, 1).unwrap().0, "v");
    }
    let counters = desk.cache.counters();
    assert_eq!((counters.flights, counters.entries, counters.store_discarded), (0, 2_000, 0));
}

/// An upstream that counts its versions, invalidations that follow each, and readers who must never see a version from
/// before an invalidation that had returned when they looked.
struct Upstream {
    version: AtomicU64,
    /// Per reader: the version below which nothing may be seen.
    floors: [AtomicU64; 2],
    clock: AtomicU64,
}

impl Upstream {
    fn call(&self) -> FlightResult {
        let version = self.version.load(Ordering::SeqCst);
        thread::yield_now();
        good(&version.to_string())
    }

    /// One look; the version seen.
    fn read(&self, desk: &Desk) -> Option<u64> {
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        let version = |result: FlightResult| {
            let fetched = result.unwrap();
            std::str::from_utf8(&fetched.body).unwrap().parse().unwrap()
        };
        match desk.look("k", now) {
            Look::Hit { entry, refresh, .. } => {
                if let Some(lead) = refresh.and_then(|due| due.begin(at(now))) {
                    lead.complete(self.call(), at(now));
                }
                Some(version(entry.value().clone()))
            }
            Look::Wait { waiter, lead: Some(lead), .. } => {
                lead.complete(self.call(), at(now));
                heard(waiter).map(|landing| version(landing.result))
            }
            Look::Wait { waiter, lead: None, .. } => {
                thread::yield_now();
                heard(waiter).map(|landing| version(landing.result))
            }
        }
    }

    fn invalidate(&self, desk: &Desk, round: u64) {
        let (scope, readers): (_, &[usize]) = match round % 6 {
            0 => (Scope::All, &[0, 1]),
            1 => (Scope::Source(name("weather")), &[0, 1]),
            2 => (only("k"), &[0, 1]),
            3 => (Scope::Prefix("weather|".into()), &[0, 1]),
            4 => (Scope::Tag("board".into()), &[0]),
            _ => (Scope::Tag("home".into()), &[1]),
        };
        let version = self.version.fetch_add(1, Ordering::SeqCst) + 1;
        desk.cache.invalidate(&scope);
        for reader in readers {
            self.floors[*reader].fetch_max(version, Ordering::SeqCst);
        }
    }
}

#[test]
fn con_11_nothing_from_before_an_invalidation_is_seen_after_it() {
    const ROUNDS: u64 = 4_000;
    let mut board = Desk::new();
    board.settings.refresh_ahead = RefreshAhead::Ratio(0.0);
    let desks = [board.for_route("board"), board.for_route("home")];
    let upstream = Upstream {
        version: AtomicU64::new(1),
        floors: [AtomicU64::new(0), AtomicU64::new(0)],
        clock: AtomicU64::new(0),
    };
    let (seen, over) = (AtomicUsize::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for (reader, desk) in desks.iter().enumerate().cycle().take(4) {
            let (upstream, seen, over) = (&upstream, &seen, &over);
            scope.spawn(move || {
                while over.load(Ordering::Relaxed) == 0 {
                    let floor = upstream.floors[reader].load(Ordering::SeqCst);
                    if let Some(version) = upstream.read(desk) {
                        assert!(version >= floor, "reader {reader} saw {version} after {floor}");
                        seen.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        for round in 0..ROUNDS {
            upstream.invalidate(&board, round);
            if round % 16 == 0 {
                board.cache.resize(Limits { max_entries: 100 + round % 32, ..LIMITS });
            }
            thread::yield_now();
        }
        over.store(1, Ordering::Relaxed);
    });
    assert!(seen.load(Ordering::Relaxed) > 1_000, "the readers hardly ran; the test proved nothing");
    let counters = board.cache.counters();
    assert_eq!(counters.flights, 0);
    assert!(counters.store_discarded > 0, "no store ever met an invalidation; the test proved nothing");
}
