//! What is stored, who shares, who is told: the rules that no vector covers.

use std::future::Future;
use std::pin::pin;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use super::Desk;
use super::at;
use super::bad;
use super::good;
use super::heard;
use super::key;
use super::kind_heard;
use super::name;
use super::only;
use super::text;
use crate::live::cache::CacheKey;
use crate::live::cache::DueRefresh;
use crate::live::cache::Lead;
use crate::live::cache::Look;
use crate::live::cache::Scope;
use crate::live::cache::StaleWindow;
use crate::policy::freshness::CACHE_DEFAULTS;
use crate::policy::freshness::CoalesceSettings;
use crate::policy::freshness::Freshness;
use crate::policy::freshness::NegativeSettings;
use crate::policy::freshness::OnAbandon;
use crate::policy::outcome::Kind;

fn is_abandoned(lead: &Lead) -> bool {
    pin!(lead.abandoned()).poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
}

fn cancelling() -> Option<CoalesceSettings> {
    CACHE_DEFAULTS.coalesce.map(|coalesce| CoalesceSettings { on_abandon: OnAbandon::Cancel, ..coalesce })
}

/// The refresh that a look at this moment begins.
fn refresh(desk: &Desk, ms: u64) -> Option<Lead> {
    due(desk, ms).map(|due| due.begin(at(ms)).expect("nothing else is in the air"))
}

/// The refresh that is due at this moment.
fn due(desk: &Desk, ms: u64) -> Option<DueRefresh> {
    match desk.look("k", ms) {
        Look::Hit { refresh, .. } => refresh,
        Look::Wait { .. } => panic!("nothing was served at {ms}"),
    }
}

#[test]
fn failures_are_not_stored_but_listed_refusals_are_for_their_own_while() {
    let mut desk = Desk::new();
    desk.settings.negative = Some(NegativeSettings { ttl: Duration::from_secs(5), statuses: vec![404, 410] });
    for status in [500, 503, 400] {
        let (waiter, lead) = desk.lead("k", 0);
        assert!(!lead.complete(bad(status), at(0)), "{status}");
        assert!(!heard(waiter).unwrap().stored);
    }
    let (waiter, lead) = desk.lead("k", 0);
    assert!(lead.complete(bad(404), at(0)));
    assert!(heard(waiter).unwrap().stored);
    let key = key("k");
    assert!(desk.cache.stale_for(&desk.ask(&key, at(0)), StaleWindow::Upto(Duration::MAX), at(1)).is_none());
    assert_eq!(desk.served("k", 4_999), Some(("status 404".to_owned(), Freshness::Fresh)));
    assert_eq!(desk.served("k", 5_000), None);
}

#[test]
fn refusals_stay_fresh_under_the_present_settings_only() {
    let mut desk = Desk::new();
    desk.settings.negative = Some(NegativeSettings { ttl: Duration::from_secs(5), statuses: vec![404] });
    let (_waiter, lead) = desk.lead("k", 0);
    assert!(lead.complete(bad(404), at(0)));
    desk.settings.negative = None;
    assert_eq!(desk.served("k", 1), None);
}

#[test]
fn a_refused_refresh_leaves_the_good_entry() {
    let mut desk = Desk::new();
    desk.settings.negative = Some(NegativeSettings { ttl: Duration::from_secs(5), statuses: vec![404] });
    desk.fill("k", "v", 0);
    let lead = refresh(&desk, 40_000).unwrap();
    assert!(!lead.complete(bad(404), at(40_001)));
    let counters = desk.cache.counters();
    assert_eq!((counters.refresh_ok, counters.refresh_failed), (0, 1));
    assert_eq!(desk.served("k", 59_999), Some(("v".to_owned(), Freshness::FreshRefresh)));
}

#[test]
fn hrl_03_freshness_follows_the_present_settings() {
    let mut desk = Desk::new();
    desk.fill("k", "v", 0);
    desk.settings.ttl = Duration::from_secs(10);
    assert_eq!(desk.served("k", 30_000), None);
    desk.settings.ttl = Duration::from_secs(600);
    assert_eq!(desk.served("k", 30_000), Some(("v".to_owned(), Freshness::Fresh)));
}

#[test]
fn routes_share_entries_and_an_invalidated_route_is_fresh_whoever_fetched() {
    let board = Desk::new();
    let home = board.for_route("home");
    board.fill("k", "old", 0);
    assert_eq!(home.served("k", 1).unwrap().0, "old");
    let gone = home.cache.invalidate(&Scope::Tag("home".into()));
    assert_eq!((gone.count, gone.generation), (0, 1));
    assert_eq!(board.served("k", 2).unwrap().0, "old");
    home.fill("k", "new", 3);
    assert_eq!(board.served("k", 4).unwrap().0, "new");
    assert_eq!(board.cache.invalidate(&Scope::Tag("home".into())).count, 1);
    assert_eq!(board.served("k", 5), None);
}

#[test]
fn a_route_invalidated_since_a_flight_began_does_not_join_it_nor_see_its_answer() {
    let board = Desk::new();
    let home = board.for_route("home");
    let (_first, lead) = board.lead("k", 0);
    home.cache.invalidate(&Scope::Tag("home".into()));
    assert!(matches!(board.look("k", 1), Look::Wait { lead: None, .. }));
    let (_second, later) = home.lead("k", 1);
    assert!(lead.complete(good("old"), at(2)));
    assert_eq!(board.served("k", 3).unwrap().0, "old");
    assert_eq!(home.served("k", 3), None);
    assert!(later.complete(good("new"), at(4)));
    assert_eq!(home.served("k", 5).unwrap().0, "new");
}

#[test]
fn each_scope_drops_what_it_covers_and_counts_it() {
    let scopes = [
        (Scope::All, 3),
        (Scope::Source(name("weather")), 3),
        (Scope::Source(name("news")), 0),
        (Scope::Tag("nobody".into()), 0),
        (Scope::Tag("board".into()), 2),
        (Scope::Prefix("weather|ulm".into()), 2),
        (Scope::Prefix("ho".into()), 1),
        (only("ulm2"), 1),
    ];
    for (scope, count) in scopes {
        let board = Desk::new();
        board.fill("ulm1", "v", 0);
        board.fill("ulm2", "v", 0);
        board.for_route("home").fill("bonn", "v", 0);
        assert_eq!(board.cache.invalidate(&scope).count, count, "{scope:?}");
        let counters = board.cache.counters();
        assert_eq!((counters.entries, counters.evicted_invalidated), (3 - count as u64, count as u64), "{scope:?}");
    }
}

#[test]
fn every_scope_stops_the_store_of_what_is_in_the_air() {
    let scopes = [
        Scope::All,
        Scope::Source(name("weather")),
        Scope::Tag("board".into()),
        Scope::Prefix("wea".into()),
        only("k"),
    ];
    for scope in scopes {
        let desk = Desk::new();
        let (waiter, lead) = desk.lead("k", 0);
        desk.cache.invalidate(&scope);
        let (_next, _lead) = desk.lead("k", 1);
        assert!(!lead.complete(good("old"), at(2)), "{scope:?}");
        assert!(heard(waiter).unwrap().result.is_ok(), "{scope:?}");
        assert_eq!(desk.cache.counters().store_discarded, 1, "{scope:?}");
    }
}

#[test]
fn an_earlier_call_that_ends_later_overwrites_nothing() {
    let mut desk = Desk::new();
    desk.settings.coalesce = None;
    let (_w1, first) = desk.lead("k", 0);
    let (_w2, second) = desk.lead("k", 1);
    assert!(second.complete(good("new"), at(2)));
    assert!(!first.complete(good("old"), at(3)));
    assert_eq!(desk.served("k", 4).unwrap().0, "new");
    assert_eq!(desk.cache.counters().flights, 0);
}

#[test]
fn a_call_without_a_look_joins_nobody_is_joined_by_nobody_and_is_stored() {
    let desk = Desk::new();
    desk.fill("k", "v1", 0);
    let key = key("k");
    let (lead, _waiter) = desk.cache.lead_unconditionally(&desk.ask(&key, at(1)));
    desk.cache.invalidate(&only("k"));
    let (bypass, _alone) = desk.cache.lead_unconditionally(&desk.ask(&key, at(1)));
    let (waiter, led) = desk.lead("k", 2);
    assert!(bypass.complete(good("v2"), at(3)));
    assert_eq!(desk.served("k", 4).unwrap().0, "v2");
    assert_eq!(kind_heard(waiter), None);
    drop((lead, led));
}

#[test]
fn a_flight_that_may_be_cancelled_is_when_the_last_leaves_and_nobody_joins_it_then() {
    let mut desk = Desk::new();
    desk.settings.coalesce = cancelling();
    let (first, lead) = desk.lead("k", 0);
    let Look::Wait { waiter: second, lead: None, .. } = desk.look("k", 1) else { panic!("led") };
    drop(first);
    assert!(!is_abandoned(&lead));
    drop(second);
    assert!(is_abandoned(&lead));
    let (third, next) = desk.lead("k", 2);
    drop(lead);
    assert_eq!(kind_heard(third), None, "the other flight's end is not this one's");
    drop(next);
    assert_eq!(desk.cache.counters().flights, 0);
}

#[test]
fn a_flight_that_is_to_complete_is_not_abandoned_and_neither_is_a_refresh() {
    let mut desk = Desk::new();
    let (waiter, lead) = desk.lead("k", 0);
    drop(waiter);
    assert!(!is_abandoned(&lead));
    assert!(lead.complete(good("v"), at(1)));
    desk.settings.coalesce = cancelling();
    let lead = refresh(&desk, 59_000).unwrap();
    let Look::Wait { waiter, lead: None, .. } = desk.look("k", 60_001) else { panic!("the refresh was not joined") };
    drop(waiter);
    assert!(!is_abandoned(&lead));
}

#[test]
fn con_09_a_lead_dropped_without_an_end_tells_all_who_wait() {
    let desk = Desk::new();
    let (first, lead) = desk.lead("k", 0);
    let Look::Wait { waiter: second, .. } = desk.look("k", 1) else { panic!("served") };
    drop(lead);
    assert_eq!(kind_heard(first), Some(Kind::InternalError));
    assert_eq!(kind_heard(second), Some(Kind::InternalError));
    assert_eq!(desk.cache.counters().flights, 0);
    drop(desk.lead("k", 2));
}

#[test]
fn the_pause_after_failed_refreshes_doubles_and_a_lost_one_counts_as_failed() {
    let desk = Desk::new();
    desk.fill("k", "v", 0);
    drop(refresh(&desk, 31_000).unwrap());
    assert!(refresh(&desk, 31_999).is_none());
    let lead = refresh(&desk, 32_000).unwrap();
    assert!(!lead.complete(bad(500), at(32_100)));
    assert!(refresh(&desk, 34_099).is_none());
    let lead = refresh(&desk, 34_100).unwrap();
    assert!(lead.complete(good("v2"), at(34_200)));
    assert_eq!(desk.cache.counters().refresh_failed, 2);
    assert!(refresh(&desk, 64_201).is_some(), "a new entry knows nothing of earlier failures");
}

#[test]
fn a_refresh_that_was_due_and_not_begun_is_no_failure_and_pauses_for_a_second() {
    let desk = Desk::new();
    desk.fill("k", "v", 0);
    for ms in [40_000, 41_000, 42_000] {
        drop(due(&desk, ms).expect("the pause does not grow"));
        assert!(due(&desk, ms + 999).is_none());
    }
    let counters = desk.cache.counters();
    assert_eq!((counters.flights, counters.refresh_failed, counters.refresh_declined), (0, 0, 3));
}

#[test]
fn a_refresh_that_is_due_keeps_nobody_waiting_and_does_not_begin_beside_another_call() {
    let desk = Desk::new();
    desk.fill("k", "v", 0);
    let late = due(&desk, 59_999).unwrap();
    assert!(due(&desk, 59_999).is_none(), "one is due already");
    let (_waiter, lead) = desk.lead("k", 60_000);
    assert!(late.begin(at(60_001)).is_none());
    assert!(lead.complete(good("v2"), at(60_002)));
}

#[test]
fn a_refresh_that_is_due_does_not_begin_after_its_entry_is_gone() {
    let desk = Desk::new();
    desk.fill("k", "v", 0);
    let late = due(&desk, 40_000).unwrap();
    desk.cache.invalidate(&Scope::All);
    assert!(late.begin(at(40_001)).is_none());
    assert_eq!(desk.cache.counters().flights, 0);
}

#[test]
fn a_refresh_made_void_by_another_route_lets_the_next_begin() {
    let board = Desk::new();
    let home = board.for_route("home");
    board.fill("k", "v", 0);
    let lead = refresh(&home, 40_000).unwrap();
    home.cache.invalidate(&Scope::Tag("home".into()));
    assert!(!lead.complete(good("old"), at(40_001)));
    assert!(refresh(&board, 40_002).is_some());
}

#[test]
fn an_expired_entry_joins_the_refresh_that_is_in_the_air() {
    let desk = Desk::new();
    desk.fill("k", "v", 0);
    let lead = refresh(&desk, 59_999).unwrap();
    let Look::Wait { waiter, lead: None, stale: true, .. } = desk.look("k", 60_000) else { panic!("not joined") };
    assert!(lead.complete(good("v2"), at(60_001)));
    assert!(heard(waiter).unwrap().stored);
}

#[test]
fn the_stale_step_has_its_own_window_and_ends_with_an_invalidation() {
    let mut desk = Desk::new();
    desk.longest_stale = Duration::from_secs(3_600);
    desk.fill("k", "v", 0);
    let key = key("k");
    let stale = |window, ms| {
        let found = desk.cache.stale_for(&desk.ask(&key, at(0)), window, at(ms));
        found.map(|(entry, age)| (text(&entry), age.as_millis()))
    };
    let hour = StaleWindow::Upto(Duration::from_secs(3_600));
    assert_eq!(stale(StaleWindow::IfError, 360_000), None);
    assert_eq!(stale(hour, 3_659_999), Some(("v".to_owned(), 3_659_999)));
    assert_eq!(stale(hour, 3_660_000), None);
    desk.cache.invalidate(&Scope::Tag("board".into()));
    assert_eq!(stale(hour, 100), None);
}

#[test]
fn another_revision_of_a_source_never_finds_what_this_one_stored() {
    let desk = Desk::new();
    desk.fill("k", "v", 0);
    let newer = CacheKey::new(&name("weather"), 2, "k");
    assert!(matches!(desk.cache.look(&desk.ask(&newer, at(1))), Look::Wait { .. }));
}

#[test]
fn jitter_only_ever_shortens_and_differs_between_entries() {
    let mut desk = Desk::new();
    desk.settings.ttl_jitter = 0.5;
    let mut ttls = Vec::new();
    for draw in [0.0, 0.123_456_789, 0.718_281_828, 0.999_999_999] {
        desk.draw = draw;
        let name = draw.to_string();
        desk.fill(&name, "v", 0);
        let Look::Hit { entry, .. } = desk.look(&name, 1) else { panic!("not served") };
        ttls.push(entry.ttl(&desk.settings));
    }
    assert!(ttls.iter().all(|ttl| (30..=60).contains(&ttl.as_secs())), "{ttls:?}");
    ttls.dedup();
    assert!(ttls.len() > 1, "{ttls:?}");
}
