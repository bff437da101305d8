//! What upstreams say about keeping their answers: forbidden to store, to share, to serve stale; and copies confirmed.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;

use super::Desk;
use super::at;
use super::bad;
use super::good;
use super::heard;
use super::key;
use super::name;
use super::only;
use crate::live::cache::Lead;
use crate::live::cache::Look;
use crate::live::cache::Scope;
use crate::live::cache::StaleWindow;
use crate::live::fetched::Failure;
use crate::live::fetched::Fetched;
use crate::live::fetched::FlightResult;
use crate::live::fetched::Keeping;
use crate::live::fetched::Validators;
use crate::policy::directives::Directives;
use crate::policy::freshness::CACHE_DEFAULTS;
use crate::policy::freshness::CacheSettings;
use crate::policy::freshness::Freshness;
use crate::policy::freshness::NegativeSettings;
use crate::policy::freshness::RefreshAhead;

/// A desk that obeys upstreams, with windows for everything.
fn desk() -> Desk {
    let mut desk = Desk::new();
    desk.settings = CacheSettings {
        respect_upstream: true,
        refresh_ahead: RefreshAhead::Off,
        stale_while_revalidate: Duration::from_secs(30),
        ..CACHE_DEFAULTS
    };
    desk.longest_stale = Duration::from_secs(3600);
    desk
}

fn saying(value: &str, cache_control: &str, etag: Option<&'static str>) -> FlightResult {
    let directives = Directives::parse([cache_control], Duration::ZERO);
    let etag = etag.map(HeaderValue::from_static);
    let validators = etag.map(|etag| Arc::new(Validators { etag: Some(etag), last_modified: None }));
    let keeping = Keeping { directives, validators, not_modified: false };
    let body = Bytes::copy_from_slice(value.as_bytes());
    Ok(Arc::new(Fetched { body, took: Duration::from_millis(500), etag: 0, keeping }))
}

/// What a 304 makes of the copy that the lead knows.
fn confirming(lead: &Lead) -> FlightResult {
    let known = lead.known().expect("the upstream is asked about a copy");
    let keeping = Keeping { not_modified: true, ..known.keeping.clone() };
    Ok(Arc::new(Fetched { body: known.body.clone(), took: Duration::ZERO, etag: 0, keeping }))
}

/// Leads a call that passes others by.
fn pass(desk: &Desk, ms: u64) -> Lead {
    match desk.look("k", ms) {
        Look::Wait { lead: Some(lead), passes: true, .. } => lead,
        Look::Wait { passes, .. } => panic!("at {ms} passes: {passes}"),
        Look::Hit { .. } => panic!("served at {ms}"),
    }
}

fn stands_in(desk: &Desk, ms: u64) -> bool {
    let key = key("k");
    let ask = desk.ask(&key, at(ms));
    [StaleWindow::IfError, StaleWindow::Upto(Duration::from_secs(3600))]
        .iter()
        .any(|window| desk.cache.stale_for(&ask, *window, at(ms)).is_some())
}

#[test]
fn what_must_not_be_stored_is_not_and_for_a_minute_nobody_joins() {
    let desk = desk();
    let (_waiter, lead) = desk.lead("k", 0);
    let Look::Wait { lead: None, waiter: joined, .. } = desk.look("k", 1) else { panic!("not known yet: led") };
    assert!(!lead.complete(saying("mine", "private", None), at(1000)));
    assert!(heard(joined).is_some(), "who waited already has it");
    let (first, second) = (pass(&desk, 1001), pass(&desk, 1002));
    assert_eq!(desk.cache.counters().passes, 1);
    assert!(!first.complete(saying("x", "no-store", None), at(2000)));
    drop(second);
    drop(pass(&desk, 61_999));
    let (_waiter, lead) = desk.lead("k", 62_000);
    let Look::Wait { lead: None, passes: false, .. } = desk.look("k", 62_001) else {
        panic!("the mark is still there")
    };
    drop(lead);
    let counters = desk.cache.counters();
    assert_eq!((counters.evicted_forbidden, counters.entries), (2, 0));
    desk.cache.sweep(at(62_000), 10);
    assert_eq!(desk.cache.counters().passes, 0);
}

#[test]
fn a_key_is_shared_again_once_its_answer_may_be_kept() {
    let desk = desk();
    assert!(!desk.lead("k", 0).1.complete(saying("a", "no-store", None), at(0)));
    assert!(pass(&desk, 10).complete(saying("b", "max-age=600", None), at(20)));
    assert_eq!(desk.served("k", 30), Some(("b".to_owned(), Freshness::Fresh)));
    let (_waiter, _lead) = desk.lead("k", 400_000);
    let Look::Wait { lead: None, passes: false, .. } = desk.look("k", 400_001) else { panic!("nobody joins") };
}

#[test]
fn an_older_copy_goes_when_the_upstream_says_that_it_must_not_be_kept() {
    let desk = desk();
    desk.fill("k", "old", 0);
    assert!(stands_in(&desk, 100_000));
    assert!(!desk.lead("k", 100_000).1.complete(saying("new", "no-store", None), at(100_000)));
    assert!(!stands_in(&desk, 100_001));
    assert_eq!(desk.cache.counters().bytes, 0);
}

#[test]
fn without_respect_upstream_nothing_of_it_counts() {
    let mut desk = desk();
    desk.settings.respect_upstream = false;
    assert!(desk.lead("k", 0).1.complete(saying("a", "no-store, no-cache, max-age=0", None), at(0)));
    assert_eq!(desk.served("k", 59_999), Some(("a".to_owned(), Freshness::Fresh)));
    assert_eq!(desk.served("k", 60_000), Some(("a".to_owned(), Freshness::StaleRevalidate)));
    // Switched on by a reload, it counts for what is there already.
    desk.settings.respect_upstream = true;
    assert_eq!(desk.served("k", 1), None);
    assert!(!stands_in(&desk, 1));
}

#[test]
fn what_must_be_revalidated_is_never_stale() {
    for line in ["must-revalidate", "proxy-revalidate", "s-maxage=60"] {
        let desk = desk();
        assert!(desk.lead("k", 0).1.complete(saying("a", line, None), at(0)), "{line}");
        assert!(desk.served("k", 59_999).is_some(), "{line}");
        assert!(!stands_in(&desk, 60_000), "{line}");
        assert_eq!(desk.served("k", 60_000), None, "{line}");
        assert_eq!(desk.cache.counters().entries, 0, "{line}: of no use any more");
    }
    let desk = desk();
    assert!(desk.lead("k", 0).1.complete(saying("a", "max-age=60", None), at(0)));
    assert!(stands_in(&desk, 60_000), "an age alone forbids nothing");
}

#[test]
fn an_age_shortens_the_ttl_and_never_lengthens_it() {
    let desk = desk();
    assert!(desk.lead("k", 0).1.complete(saying("a", "max-age=5", None), at(0)));
    assert_eq!(desk.served("k", 4999).map(|served| served.1), Some(Freshness::Fresh));
    assert_eq!(desk.served("k", 5000).map(|served| served.1), Some(Freshness::StaleRevalidate));
    assert!(desk.lead("long", 0).1.complete(saying("a", "max-age=6000", None), at(0)));
    assert_eq!(desk.served("long", 60_000).map(|served| served.1), Some(Freshness::StaleRevalidate));
}

#[test]
fn no_cache_is_kept_only_where_the_upstream_can_be_asked_again() {
    let desk = desk();
    assert!(!desk.lead("k", 0).1.complete(saying("a", "no-cache", None), at(0)));
    let (_waiter, lead) = desk.lead("k", 1);
    let Look::Wait { lead: None, .. } = desk.look("k", 2) else { panic!("it may be shared") };
    assert!(lead.known().is_none());
    assert!(lead.complete(saying("a", "no-cache", Some("\"1\"")), at(10)));
    assert_eq!(desk.served("k", 11), None, "never without asking");
    let (waiter, lead) = desk.lead("k", 12);
    let confirmed = confirming(&lead);
    assert!(lead.complete(confirmed, at(20)));
    assert_eq!(heard(waiter).unwrap().result.unwrap().body, "a");
    assert!(!stands_in(&desk, 21));
}

#[test]
fn a_refusal_that_must_not_be_stored_is_no_negative_entry() {
    let mut desk = desk();
    desk.settings.negative = Some(NegativeSettings { ttl: Duration::from_secs(5), statuses: vec![404] });
    let saying = |line: &str| {
        let Err(failure) = bad(404) else { panic!("good") };
        let failure = Failure::clone(&failure);
        Err(Arc::new(Failure { directives: Directives::parse([line], Duration::ZERO), ..failure }))
    };
    assert!(desk.lead("k", 0).1.complete(saying("max-age=2"), at(0)));
    assert!(desk.served("k", 1999).is_some());
    assert!(!desk.lead("k", 2000).1.complete(saying("no-store"), at(2000)));
    drop(pass(&desk, 2001));
    // What would not be kept anyway is shared as ever: an upstream in trouble must not be called by everybody.
    let Err(failure) = bad(500) else { panic!("good") };
    let directives = Directives::parse(["no-store"], Duration::ZERO);
    let failure = Failure { directives, ..Failure::clone(&failure) };
    assert!(!desk.lead("other", 0).1.complete(Err(Arc::new(failure)), at(0)));
    let (_waiter, _lead) = desk.lead("other", 1);
    let Look::Wait { lead: None, .. } = desk.look("other", 2) else { panic!("nobody joins") };
}

#[test]
fn a_confirmed_copy_is_as_young_as_its_confirmation() {
    let mut desk = desk();
    desk.settings.respect_upstream = false;
    desk.settings.refresh_ahead = RefreshAhead::Ratio(0.5);
    assert!(desk.lead("k", 0).1.complete(saying("a", "", Some("\"1\"")), at(0)));
    let Look::Hit { refresh: Some(due), .. } = desk.look("k", 40_000) else { panic!("no refresh") };
    let lead = due.begin(at(40_000)).unwrap();
    let confirmed = confirming(&lead);
    assert!(lead.complete(confirmed, at(41_000)));
    assert_eq!(desk.served("k", 60_000), Some(("a".to_owned(), Freshness::Fresh)), "19 s after");
    assert_eq!(desk.served("k", 101_000).map(|served| served.1), Some(Freshness::StaleRevalidate));
    let counters = desk.cache.counters();
    assert_eq!((counters.refresh_not_modified, counters.refresh_ok), (1, 0));
}

#[test]
fn nobody_is_asked_about_a_copy_without_validators_or_where_it_is_off() {
    let mut desk = desk();
    desk.fill("plain", "a", 0);
    assert!(desk.lead("plain", 100_000).1.known().is_none());
    assert!(desk.lead("k", 0).1.complete(saying("a", "", Some("\"1\"")), at(0)));
    let (waiter, lead) = desk.lead("k", 100_000);
    assert!(lead.known().is_some());
    drop((waiter, lead));
    desk.settings.conditional = false;
    assert!(desk.lead("k", 100_000).1.known().is_none());
}

#[test]
fn an_invalidated_copy_is_not_confirmed_back_to_life() {
    for scope in [Scope::All, Scope::Source(name("weather")), Scope::Tag("board".into()), only("k")] {
        let desk = desk();
        assert!(desk.lead("k", 0).1.complete(saying("a", "", Some("\"1\"")), at(0)));
        let (waiter, lead) = desk.lead("k", 100_000);
        let confirmed = confirming(&lead);
        desk.cache.invalidate(&scope);
        assert!(!lead.complete(confirmed, at(100_001)), "{scope:?}");
        assert!(heard(waiter).unwrap().result.is_ok(), "{scope:?}: who waited before it has it");
        assert!(desk.lead("k", 100_002).1.known().is_none(), "{scope:?}");
    }
}

/// CON-11 for copies that are confirmed, and for prefixes, which leave no mark behind: what was fetched before an
/// invalidation is not seen after it, however often the upstream is asked whether it still holds.
#[test]
fn con_11_no_copy_from_before_an_invalidation_is_confirmed_after_it() {
    const ROUNDS: u64 = 3_000;
    let mut desk = desk();
    desk.settings.ttl = Duration::ZERO;
    desk.settings.stale_while_revalidate = Duration::ZERO;
    desk.settings.coalesce = None;
    let (floor, over, confirmations) = (AtomicU64::new(1), AtomicBool::new(false), AtomicU64::new(0));
    // What is current when the call begins: the floor itself, which is raised before the invalidation begins.
    let read = |desk: &Desk| {
        let (waiter, lead) = desk.lead("k", 1);
        thread::yield_now();
        let result = match lead.known() {
            Some(_) => {
                confirmations.fetch_add(1, Ordering::Relaxed);
                confirming(&lead)
            }
            None => saying(&floor.load(Ordering::SeqCst).to_string(), "", Some("\"1\"")),
        };
        lead.complete(result, at(1));
        let fetched = heard(waiter).unwrap().result.unwrap();
        let seen: u64 = std::str::from_utf8(&fetched.body).unwrap().parse().unwrap();
        seen
    };
    let invalidated = AtomicU64::new(1);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let must = invalidated.load(Ordering::SeqCst);
                    let seen = read(&desk);
                    assert!(seen >= must, "saw {seen} after the invalidation of {must}");
                }
            });
        }
        for round in 2..ROUNDS {
            floor.store(round, Ordering::SeqCst);
            let scope = if round % 2 == 0 { Scope::Prefix("weather|".into()) } else { Scope::Source(name("weather")) };
            desk.cache.invalidate(&scope);
            invalidated.store(round, Ordering::SeqCst);
            // Long enough for a copy to be stored and asked about, most times.
            let until = confirmations.load(Ordering::Relaxed) + 3;
            (0..200).take_while(|_| confirmations.load(Ordering::Relaxed) < until).for_each(|_| thread::yield_now());
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(confirmations.load(Ordering::Relaxed) > 100, "hardly a copy was confirmed; the test proved nothing");
}

/// Two routes share an entry; one of them was invalidated after it was stored by the other.
#[test]
fn a_copy_invalidated_for_one_route_is_not_confirmed_for_it_by_another() {
    let board = desk();
    let home = board.for_route("home");
    assert!(board.lead("k", 0).1.complete(saying("old", "", Some("\"1\"")), at(0)));
    board.cache.invalidate(&Scope::Tag("home".into()));
    let (_waiter, lead) = board.lead("k", 100_000);
    let confirmed = confirming(&lead);
    let (_other, own) = home.lead("k", 100_001);
    assert!(own.known().is_none(), "what it may not see it does not ask about");
    drop(own);
    assert!(lead.complete(confirmed, at(100_002)));
    assert!(board.served("k", 100_003).is_some());
    assert_eq!(home.served("k", 100_003), None);
    // A whole answer, though, is new to everybody.
    let (_waiter, lead) = board.lead("k", 200_000);
    assert!(lead.complete(good("new"), at(200_000)));
    assert_eq!(home.served("k", 200_001).map(|served| served.0), Some("new".to_owned()));
}
