//! Several limits at once, many keys, other settings: what holds of the memory.

use std::num::NonZeroU32;
use std::time::Duration;

use http::HeaderMap;

use super::*;
use crate::live::quota::Asker;
use crate::live::quota::QuotaCounts;
use crate::policy::gcra::Quota;
use crate::policy::gcra::Rate;
use crate::policy::quota::Costs;
use crate::policy::quota::KeyPart;
use crate::policy::quota::LimitSettings;
use crate::policy::quota::Refusal;
use crate::policy::quota::Rule;
use crate::policy::quota::Short;
use crate::policy::quota::Show;
use crate::policy::quota::Style;

fn n(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

fn at(ms: u64) -> Moment {
    Moment::from_start(Duration::from_millis(ms))
}

/// So many in a minute, so many at once, for so many keys.
fn settings(name: &str, rate: u32, burst: u32, max_keys: u32) -> LimitSettings {
    let rate = Rate { count: n(rate), per: Duration::from_secs(60) };
    LimitSettings {
        name: name.into(),
        key: vec![KeyPart::Ip],
        rule: Rule { quota: Some(Quota::new(rate, n(burst))), max_in_flight: None },
        window_s: 1,
        max_keys,
        show: Show::Always,
        style: Style::Ietf,
        routes: Vec::new(),
        costs: Costs::flat(n(1)),
        refusal: Refusal { status: 429, message: None, retry_after: Duration::ZERO },
    }
}

fn live(set: LimitSettings) -> Arc<LiveQuota> {
    Arc::new(LiveQuota::carried(&Arc::new(set), None, at(0)))
}

fn ask(quotas: &[&Arc<LiveQuota>], address: u32, now: Moment) -> (Standings, Option<Receipt>) {
    let headers = HeaderMap::new();
    let address = std::net::Ipv4Addr::from(address).into();
    let asker = Asker { tenant: None, api_key: None, address, route: "/", headers: Some(&headers) };
    let charges: Vec<_> = quotas.iter().map(|quota| Charge { quota, key: quota.key_of(&asker), cost: 1 }).collect();
    admit(&charges, now)
}

fn units(quota: &Arc<LiveQuota>, address: u32, now: Moment) -> u32 {
    let headers = HeaderMap::new();
    let address = std::net::Ipv4Addr::from(address).into();
    let asker = Asker { tenant: None, api_key: None, address, route: "/", headers: Some(&headers) };
    let hold = quota.state.hold(quota.key_of(&asker), quota.set.max_keys, now);
    hold.cell().standing(&quota.set.rule, None, now).units
}

#[test]
fn irl_08_a_request_that_one_limit_refuses_takes_from_none() {
    let (wide, narrow) = (live(settings("a", 600, 10, 10)), live(settings("b", 1, 1, 10)));
    assert!(ask(&[&wide, &narrow], 1, at(0)).1.is_some());
    let (standings, receipt) = ask(&[&wide, &narrow], 1, at(0));
    assert!(receipt.is_none());
    assert_eq!((standings[0].units, standings[0].short), (9, None));
    assert_eq!(standings[1].short, Some(Short::Rate(Duration::from_secs(60))));
    assert_eq!(units(&wide, 1, at(0)), 9, "only the first request took");
    assert_eq!((wide.counts().allowed, wide.counts().limited), (1, 0));
    assert_eq!((narrow.counts().allowed, narrow.counts().limited), (1, 1));
}

#[test]
fn irl_09_what_a_later_layer_refuses_is_given_back_everywhere() {
    let (one, two) = (live(settings("a", 600, 10, 10)), live(settings("b", 1, 1, 10)));
    ask(&[&one, &two], 1, at(0)).1.unwrap().refund();
    assert_eq!((units(&one, 1, at(0)), units(&two, 1, at(0))), (10, 1));
    assert_eq!((one.counts().refunded, two.counts().refunded), (1, 1));
}

#[test]
fn irl_11_a_key_too_many_counts_in_the_shared_cell_and_nobody_is_reset() {
    let quota = live(settings("a", 1, 1, 100_000));
    for address in 0..100_000 {
        assert!(ask(&[&quota], address, at(0)).1.is_some(), "{address}");
    }
    assert_eq!((quota.keys(), quota.counts().overflowed), (100_000, 0));
    assert!(ask(&[&quota], 100_001, at(0)).1.is_some());
    assert_eq!((quota.keys(), quota.counts().overflowed), (100_000, 1));
    assert!(ask(&[&quota], 100_002, at(0)).1.is_none(), "the shared cell is used up");
    for address in [0, 1, 50_000, 99_999] {
        assert!(ask(&[&quota], address, at(0)).1.is_none(), "{address} had its bucket filled");
    }
    // Once they are idle there is room again.
    assert!(ask(&[&quota], 100_003, at(60_000)).1.is_some());
    assert_eq!(quota.counts().overflowed, 1);
}

#[test]
fn a_million_keys_take_no_more_memory_than_is_allowed() {
    let quota = live(settings("a", 1, 1, 1_000));
    for address in 0..1_000_000 {
        drop(ask(&[&quota], address, at(0)));
        if address % 100_000 == 0 {
            assert!(quota.keys() <= 1_000);
        }
    }
    assert_eq!(quota.keys(), 1_000);
    assert_eq!(
        quota.counts(),
        QuotaCounts { allowed: 1_001, limited: 998_999, overflowed: 1, ..QuotaCounts::default() }
    );
}

#[test]
fn keys_that_come_one_after_the_other_leave_nothing_behind() {
    let quota = live(settings("a", 600, 1, 100_000));
    for step in 0..50_000_u32 {
        assert!(ask(&[&quota], step, at(u64::from(step) * 100)).1.is_some());
    }
    assert!(quota.keys() < 100, "{} are remembered", quota.keys());
}

#[test]
fn a_refused_newcomer_leaves_no_trace() {
    let (spent, quota) = (live(settings("a", 1, 1, 10)), live(settings("b", 1, 1, 10)));
    drop(ask(&[&spent], 1, at(0)));
    assert!(ask(&[&quota, &spent], 1, at(0)).1.is_none());
    assert_eq!(quota.keys(), 0);
}

#[test]
fn a_request_is_in_flight_until_its_receipt_goes() {
    let mut set = settings("a", 6_000, 100, 10);
    set.rule.max_in_flight = Some(n(2));
    let quota = live(set);
    let first = ask(&[&quota], 1, at(0)).1.unwrap().in_flight();
    let second = ask(&[&quota], 1, at(0)).1.unwrap().in_flight();
    assert_eq!(ask(&[&quota], 1, at(0)).0[0].short, Some(Short::InFlight));
    drop(first);
    let third = ask(&[&quota], 1, at(0)).1;
    assert!(third.is_some() && quota.counts().concurrent == 1);
    drop((second, third));
    assert_eq!(ask(&[&quota], 1, at(0)).0[0].places, 1);
    let plain = live(settings("b", 1, 1, 1));
    assert!(ask(&[&plain], 1, at(0)).1.unwrap().in_flight().is_none(), "nothing to keep");
}

#[test]
fn hrl_10_a_reload_keeps_what_is_left_up_to_the_new_burst_and_another_key_starts_anew() {
    let before = live(settings("a", 600, 10, 10));
    for _ in 0..4 {
        drop(ask(&[&before], 1, at(0)));
    }
    let next =
        |set: LimitSettings, before: &Arc<LiveQuota>| Arc::new(LiveQuota::carried(&Arc::new(set), Some(before), at(0)));
    let lower = next(settings("a", 600, 3, 10), &before);
    assert_eq!(units(&lower, 1, at(0)), 3);
    let higher = next(settings("a", 600, 50, 10), &lower);
    assert_eq!(units(&higher, 1, at(0)), 3, "never refilled");
    let other = next(LimitSettings { key: vec![KeyPart::Tenant], ..settings("a", 600, 50, 10) }, &higher);
    assert_eq!(units(&other, 1, at(0)), 50);
}

#[test]
fn many_at_once_are_given_exactly_what_there_is() {
    let (one, two) = (live(settings("a", 1, 500, 10)), live(settings("b", 1, 300, 10)));
    let given: usize = std::thread::scope(|scope| {
        let work = |_| scope.spawn(|| (0..500).filter(|_| ask(&[&one, &two], 1, at(0)).1.is_some()).count());
        let threads: Vec<_> = (0..4).map(work).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(given, 300);
    assert_eq!((units(&one, 1, at(0)), units(&two, 1, at(0))), (200, 0));
}
