//! The vectors of freshness, coalescing and generations, on the real cache.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Desk;
use super::at;
use super::bad;
use super::good;
use super::heard;
use super::key;
use super::only;
use super::text;
use crate::live::cache::Lead;
use crate::live::cache::Look;
use crate::live::cache::Scope;
use crate::live::cache::StaleWindow;
use crate::live::cache::Waiter;
use crate::live::cache::flight::Flight;
use crate::policy::freshness::CACHE_DEFAULTS;
use crate::policy::freshness::CacheSettings;
use crate::policy::freshness::CoalesceSettings;
use crate::policy::freshness::Freshness;
use crate::policy::freshness::RefreshAhead;

use Freshness::Fresh;
use Freshness::FreshRefresh;
use Freshness::Miss;
use Freshness::StaleIfError;
use Freshness::StaleRevalidate;
use Step::Calls;
use Step::Invalidate;
use Step::Joins;
use Step::Lands;
use Step::Leads;
use Step::Leaves;
use Step::Served;

/// One row of a vector: what is done, and what is expected of it.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A get of a key by a waiter leads a flight, at this class.
    Leads(&'static str, &'static str, usize, Freshness),
    /// It joins one.
    Joins(&'static str, &'static str, usize, Freshness),
    /// It is served: value, class, age in milliseconds, the flight of the refresh it starts.
    Served(&'static str, &'static str, Freshness, u64, Option<usize>),
    /// A flight ends, with a value or not; whether that is stored, and who hears what.
    Lands(usize, Option<&'static str>, bool, &'static [(&'static str, Hears)]),
    /// A waiter leaves a flight; so many remain.
    Leaves(usize, &'static str, usize),
    /// A key, or everything.
    Invalidate(Option<&'static str>),
    /// So many flights so far.
    Calls(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hears {
    Value(&'static str),
    Stale(&'static str),
    Error,
}

struct Play {
    id: &'static str,
    desk: Desk,
    flights: Vec<Arc<Flight>>,
    leads: Vec<Option<Lead>>,
    waiting: Vec<(&'static str, &'static str, Waiter)>,
}

impl Play {
    fn step(&mut self, ms: u64, step: Step) {
        let at_row = format!("{} at {ms} ms: {step:?}", self.id);
        match step {
            Leads(key, who, flight, class) => assert_eq!(self.get(key, who, ms), (flight, true, class), "{at_row}"),
            Joins(key, who, flight, class) => assert_eq!(self.get(key, who, ms), (flight, false, class), "{at_row}"),
            Served(key, value, class, age, refresh) => {
                let Look::Hit { entry, age: was, freshness, refresh: due } = self.desk.look(key, ms) else {
                    panic!("{at_row}: not served")
                };
                assert_eq!((text(&entry).as_str(), freshness), (value, class), "{at_row}");
                assert_eq!(was, Duration::from_millis(age), "{at_row}");
                let begun = due.map(|due| due.begin(at(ms)).expect("nothing else is in the air"));
                assert_eq!(begun.map(|lead| self.number(lead)), refresh, "{at_row}");
            }
            Lands(flight, value, stored, hears) => {
                let lead = self.leads[flight - 1].take().expect("in the air");
                let result = value.map_or_else(|| bad(500), good);
                assert_eq!(lead.complete(result, at(ms)), stored, "{at_row}: stored");
                assert_eq!(self.hear(flight, ms), hears, "{at_row}");
            }
            Leaves(flight, who, remain) => {
                self.waiting.retain(|(_, waiter, _)| *waiter != who);
                assert_eq!(self.flights[flight - 1].waiters.load(Ordering::Relaxed), remain, "{at_row}");
            }
            Invalidate(scope) => {
                self.desk.cache.invalidate(&scope.map_or(Scope::All, only));
            }
            Calls(count) => assert_eq!(self.flights.len(), count, "{at_row}"),
        }
    }

    fn get(&mut self, key: &'static str, who: &'static str, ms: u64) -> (usize, bool, Freshness) {
        let Look::Wait { waiter, lead, stale, .. } = self.desk.look(key, ms) else {
            panic!("{} at {ms} ms: {who} was served", self.id)
        };
        let leads = lead.is_some();
        let flight = Arc::clone(&waiter.flight);
        self.waiting.push((key, who, waiter));
        let number = match lead {
            Some(lead) => self.number(lead),
            None => 1 + self.flights.iter().position(|known| Arc::ptr_eq(known, &flight)).expect("a known flight"),
        };
        (number, leads, if stale { StaleIfError } else { Miss })
    }

    fn number(&mut self, lead: Lead) -> usize {
        self.flights.push(Arc::clone(&lead.flight));
        self.leads.push(Some(lead));
        self.flights.len()
    }

    fn hear(&mut self, flight: usize, ms: u64) -> Vec<(&'static str, Hears)> {
        let flight = &self.flights[flight - 1];
        let (told, others) =
            self.waiting.drain(..).partition::<Vec<_>, _>(|(_, _, waiter)| Arc::ptr_eq(&waiter.flight, flight));
        self.waiting = others;
        let hears = |asked: &str, waiter| match heard(waiter).expect("landed").result {
            Ok(fetched) => Hears::Value(String::from_utf8(fetched.body.to_vec()).unwrap().leak()),
            Err(_) => {
                let key = key(asked);
                // The look was earlier; the window is measured now.
                let ask = self.desk.ask(&key, at(0));
                let copy = self.desk.cache.stale_for(&ask, StaleWindow::IfError, at(ms));
                copy.map_or(Hears::Error, |(entry, _)| Hears::Stale(text(&entry).leak()))
            }
        };
        told.into_iter().map(|(key, who, waiter)| (who, hears(key, waiter))).collect()
    }
}

fn play(id: &'static str, settings: CacheSettings, steps: &[(u64, Step)]) {
    let mut desk = Desk::new();
    desk.settings = settings;
    let mut play = Play { id, desk, flights: Vec::new(), leads: Vec::new(), waiting: Vec::new() };
    for (ms, step) in steps {
        play.step(*ms, *step);
    }
}

const SERVED: Hears = Hears::Value("v1");

#[test]
fn coa_01_to_04_who_shares_a_call() {
    play(
        "COA-01",
        CACHE_DEFAULTS,
        &[
            (0, Leads("k", "w1", 1, Miss)),
            (1, Joins("k", "w2", 1, Miss)),
            (2, Joins("k", "w3", 1, Miss)),
            (100, Lands(1, Some("v1"), true, &[("w1", SERVED), ("w2", SERVED), ("w3", SERVED)])),
            (101, Served("k", "v1", Fresh, 1, None)),
            (101, Calls(1)),
        ],
    );
    play(
        "COA-02",
        CACHE_DEFAULTS,
        &[
            (0, Leads("k", "w1", 1, Miss)),
            (1, Joins("k", "w2", 1, Miss)),
            (5, Leaves(1, "w1", 1)),
            (100, Lands(1, Some("v1"), true, &[("w2", SERVED)])),
            (100, Calls(1)),
        ],
    );
    play(
        "COA-03",
        CACHE_DEFAULTS,
        &[
            (0, Leads("k", "w1", 1, Miss)),
            (1, Joins("k", "w2", 1, Miss)),
            (100, Lands(1, None, false, &[("w1", Hears::Error), ("w2", Hears::Error)])),
            (101, Leads("k", "w3", 2, Miss)),
            (101, Calls(2)),
        ],
    );
    let coalesce = CACHE_DEFAULTS.coalesce.map(|set| CoalesceSettings { max_age: Some(Duration::from_secs(5)), ..set });
    play(
        "COA-04",
        CacheSettings { coalesce, ..CACHE_DEFAULTS },
        &[(0, Leads("k", "w1", 1, Miss)), (5000, Joins("k", "w2", 1, Miss)), (5001, Leads("k", "w3", 2, Miss))],
    );
}

#[test]
fn coa_05_and_06_refresh_ahead() {
    play(
        "COA-05",
        CACHE_DEFAULTS,
        &[
            (0, Leads("k", "w", 1, Miss)),
            (0, Lands(1, Some("v1"), true, &[("w", SERVED)])),
            (30_000, Served("k", "v1", Fresh, 30_000, None)),
            (30_001, Served("k", "v1", FreshRefresh, 30_001, Some(2))),
            (30_002, Served("k", "v1", FreshRefresh, 30_002, None)),
            (30_100, Lands(2, Some("v2"), true, &[])),
            (30_101, Served("k", "v2", Fresh, 1, None)),
            (30_101, Calls(2)),
        ],
    );
    play(
        "COA-06",
        CACHE_DEFAULTS,
        &[
            (0, Leads("k", "w", 1, Miss)),
            (0, Lands(1, Some("v1"), true, &[("w", SERVED)])),
            (40_000, Served("k", "v1", FreshRefresh, 40_000, Some(2))),
            (40_010, Lands(2, None, false, &[])),
            (40_011, Served("k", "v1", FreshRefresh, 40_011, None)),
            (41_010, Served("k", "v1", FreshRefresh, 41_010, Some(3))),
        ],
    );
}

#[test]
fn coa_07_and_08_stale_copies() {
    play(
        "COA-07",
        CacheSettings { stale_while_revalidate: Duration::from_secs(30), ..CACHE_DEFAULTS },
        &[
            (0, Leads("k", "w", 1, Miss)),
            (0, Lands(1, Some("v1"), true, &[("w", SERVED)])),
            (60_000, Served("k", "v1", StaleRevalidate, 60_000, Some(2))),
            (60_010, Lands(2, None, false, &[])),
            (95_000, Leads("k", "b", 3, StaleIfError)),
            (95_100, Lands(3, None, false, &[("b", Hears::Stale("v1"))])),
            (360_000, Leads("k", "c", 4, Miss)),
            (360_100, Lands(4, None, false, &[("c", Hears::Error)])),
        ],
    );
    play(
        "COA-08",
        CACHE_DEFAULTS,
        &[
            (0, Leads("k", "w", 1, Miss)),
            (0, Lands(1, Some("v1"), true, &[("w", SERVED)])),
            (100_000, Leads("k", "a", 2, StaleIfError)),
            (100_010, Lands(2, None, false, &[("a", Hears::Stale("v1"))])),
            (359_999, Leads("k", "b", 3, StaleIfError)),
            (360_001, Lands(3, None, false, &[("b", Hears::Error)])),
        ],
    );
}

#[test]
fn gen_01_to_04_what_an_invalidation_ends() {
    play(
        "GEN-01",
        CACHE_DEFAULTS,
        &[
            (0, Leads("k", "w1", 1, Miss)),
            (10, Invalidate(None)),
            (100, Lands(1, Some("old"), false, &[("w1", Hears::Value("old"))])),
            (101, Leads("k", "w2", 2, Miss)),
        ],
    );
    play(
        "GEN-02",
        CACHE_DEFAULTS,
        &[
            (0, Leads("k", "w1", 1, Miss)),
            (10, Invalidate(Some("k"))),
            (11, Leads("k", "w2", 2, Miss)),
            (50, Lands(2, Some("new"), true, &[("w2", Hears::Value("new"))])),
            (100, Lands(1, Some("old"), false, &[("w1", Hears::Value("old"))])),
            (101, Served("k", "new", Fresh, 51, None)),
        ],
    );
    play(
        "GEN-03",
        CACHE_DEFAULTS,
        &[
            (0, Leads("k", "w", 1, Miss)),
            (0, Lands(1, Some("v1"), true, &[("w", SERVED)])),
            (40_000, Served("k", "v1", FreshRefresh, 40_000, Some(2))),
            (40_005, Invalidate(Some("k"))),
            (40_050, Lands(2, Some("v1b"), false, &[])),
            (40_051, Leads("k", "b", 3, Miss)),
        ],
    );
    play(
        "GEN-04",
        CACHE_DEFAULTS,
        &[
            (0, Leads("k1", "a", 1, Miss)),
            (0, Leads("k2", "b", 2, Miss)),
            (1, Lands(1, Some("x"), true, &[("a", Hears::Value("x"))])),
            (1, Lands(2, Some("y"), true, &[("b", Hears::Value("y"))])),
            (2, Invalidate(Some("k1"))),
            (3, Leads("k1", "c", 3, Miss)),
            (3, Served("k2", "y", Fresh, 2, None)),
        ],
    );
}

#[test]
fn cch_01_to_10_what_an_age_calls_for() {
    let table = [
        ("CCH-01", 0, Fresh),
        ("CCH-02", 29_999, Fresh),
        ("CCH-03", 30_000, Fresh),
        ("CCH-04", 30_001, FreshRefresh),
        ("CCH-05", 59_999, FreshRefresh),
        ("CCH-06", 60_000, StaleRevalidate),
        ("CCH-07", 89_999, StaleRevalidate),
        ("CCH-08", 90_000, StaleIfError),
        ("CCH-09", 359_999, StaleIfError),
        ("CCH-10", 360_000, Miss),
    ];
    let mut desk = Desk::new();
    desk.settings.stale_while_revalidate = Duration::from_secs(30);
    for (id, ms, class) in table {
        desk.fill(id, "v", 0);
        let seen = match desk.look(id, ms) {
            Look::Hit { freshness, .. } => freshness,
            Look::Wait { stale: true, .. } => StaleIfError,
            Look::Wait { stale: false, .. } => Miss,
        };
        assert_eq!(seen, class, "{id}");
    }
}

#[test]
fn xfe_01_to_04_a_draw_may_refresh_early() {
    let table = [
        ("XFE-01", 59_000, 0.5, false),
        ("XFE-02", 59_700, 0.5, true),
        ("XFE-03", 50_000, 1e-9, true),
        ("XFE-04", 30_000, 1e-9, false),
    ];
    let mut desk = Desk::new();
    desk.settings.refresh_ahead = RefreshAhead::Xfetch;
    for (id, ms, r, refreshes) in table {
        desk.draw = 0.5;
        desk.fill(id, "v", 0);
        // `r` of the vectors is above 0 and may be 1; a draw may be 0 and is below 1.
        desk.draw = 1.0 - r;
        let Look::Hit { refresh, .. } = desk.look(id, ms) else { panic!("{id}: not served") };
        assert_eq!(refresh.is_some(), refreshes, "{id}");
    }
}
