//! The limiter's laws, and the cases that its table does not hold.

use std::num::NonZeroU32;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::base::Moment;
use crate::policy::gcra::Quota;
use crate::policy::gcra::Rate;

fn at(ms: u64) -> Moment {
    Moment::from_start(Duration::from_millis(ms))
}

/// So many a second.
fn limiter(count: u32, burst: u32) -> RateLimiter {
    RateLimiter::new(quota(count, burst))
}

fn quota(count: u32, burst: u32) -> Quota {
    let rate = Rate { count: NonZeroU32::new(count).unwrap(), per: Duration::from_secs(1) };
    Quota::new(rate, NonZeroU32::new(burst).unwrap())
}

const WAIT: Demand =
    Demand { cost: 1, max_wait: Duration::from_secs(60), left: Duration::from_secs(60), max_queue: 1_000 };
const NOW: Demand = Demand { max_wait: Duration::ZERO, ..WAIT };

/// A call that is sent at once.
fn send(limiter: &mut RateLimiter, now: Moment) {
    let grant = limiter.reserve(NOW, now).unwrap();
    limiter.spend(grant);
}

fn reason(refused: Result<Grant, RateRefusal>) -> RateReason {
    refused.unwrap_err().reason
}

#[test]
fn the_reasons_are_told_apart_and_none_takes_anything() {
    let mut limiter = limiter(1, 1);
    assert_eq!(reason(limiter.reserve(Demand { cost: 2, ..WAIT }, at(0))), RateReason::CostExceedsBurst);
    send(&mut limiter, at(0));
    assert_eq!(reason(limiter.reserve(NOW, at(0))), RateReason::NoToken);
    let short = Duration::from_millis(500);
    assert_eq!(reason(limiter.reserve(Demand { max_wait: short, ..WAIT }, at(0))), RateReason::MaxWait);
    assert_eq!(reason(limiter.reserve(Demand { left: short, ..WAIT }, at(0))), RateReason::Deadline);
    let waiting = limiter.reserve(Demand { max_queue: 1, ..WAIT }, at(0)).unwrap();
    assert_eq!((waiting.ready_at, limiter.queued()), (at(1_000), 1));
    assert_eq!(reason(limiter.reserve(Demand { max_queue: 1, ..WAIT }, at(0))), RateReason::QueueFull);
    assert!(limiter.pause(at(120_000), at(0)));
    assert_eq!(reason(limiter.reserve(WAIT, at(0))), RateReason::Paused);
    assert!(limiter.counts().all().all(|(_, count)| count == 1));
    limiter.refund(waiting);
    assert_eq!(limiter.queued(), 0);
}

#[test]
fn a_pause_holds_up_what_was_reserved_before_it() {
    let mut limiter = limiter(10, 1);
    send(&mut limiter, at(0));
    let mut early = limiter.reserve(WAIT, at(0)).unwrap();
    assert!(limiter.pause(at(2_000), at(0)) && !limiter.pause(at(1_000), at(0)), "a shorter one changes nothing");
    assert!(!limiter.start(&mut early, at(100)));
    limiter.refund(early);
    let mut again = limiter.reserve(WAIT, at(100)).unwrap();
    assert_eq!((again.ready_at, limiter.paused_for(at(100))), (at(2_000), Duration::from_millis(1_900)));
    assert!(limiter.start(&mut again, at(2_000)));
    limiter.spend(again);
    assert_eq!(limiter.queued(), 0);
}

#[test]
fn the_end_of_a_pause_lets_no_more_through_than_a_burst() {
    let mut limiter = limiter(10, 5);
    limiter.pause(at(1_000), at(0));
    let ready: Vec<_> = (0..7).map(|_| limiter.reserve(WAIT, at(0)).unwrap().ready_at).collect();
    assert_eq!(ready[..5], [at(1_000); 5]);
    assert_eq!(ready[5..], [at(1_100), at(1_200)]);
}

#[test]
fn a_refund_gives_nothing_back_once_the_bucket_was_full_again() {
    let mut limiter = limiter(1, 1);
    let held = limiter.reserve(NOW, at(0)).unwrap();
    send(&mut limiter, at(5_000));
    limiter.refund(held);
    assert_eq!(reason(limiter.reserve(NOW, at(5_000))), RateReason::NoToken);
}

#[test]
fn a_refund_within_a_burst_gives_all_of_it_back() {
    let mut limiter = limiter(1, 3);
    let first = limiter.reserve(NOW, at(0)).unwrap();
    send(&mut limiter, at(0));
    send(&mut limiter, at(0));
    limiter.refund(first);
    send(&mut limiter, at(0));
    assert_eq!(reason(limiter.reserve(NOW, at(0))), RateReason::NoToken);
}

#[test]
fn what_was_granted_before_a_reload_is_not_given_back_after_it() {
    let mut limiter = limiter(1, 10);
    let held = limiter.reserve(Demand { cost: 10, ..NOW }, at(0)).unwrap();
    limiter.retune(quota(100, 10), at(0));
    limiter.refund(held);
    assert_eq!(limiter.tokens(at(0)), 0);
}

/// What happens next, and after how many milliseconds.
#[derive(Clone, Copy, Debug)]
enum Step {
    Take(u32),
    Reserve(u32),
    Spend(usize),
    Refund(usize),
    Pause(u64),
}

fn step() -> impl Strategy<Value = (Step, u64)> {
    let step = prop_oneof![
        4 => (1..4_u32).prop_map(Step::Take),
        6 => (1..4_u32).prop_map(Step::Reserve),
        3 => any::<usize>().prop_map(Step::Spend),
        3 => any::<usize>().prop_map(Step::Refund),
        1 => (0..300_u64).prop_map(Step::Pause),
    ];
    (step, prop_oneof![3 => Just(0_u64), 2 => 1..60_u64, 1 => 60..2_000_u64])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    /// P5, refunds included: over any time no more is granted than the burst and what the rate adds to it.
    #[test]
    fn p5_grants_never_exceed_the_burst_and_the_rate(
        (count, burst) in (1..50_u32, 1..12_u32),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let set = quota(count, burst);
        let mut limiter = RateLimiter::new(set);
        let mut now = at(1);
        let mut open: Vec<(u32, Grant)> = Vec::new();
        let mut sent: Vec<(Moment, u32)> = Vec::new();
        for (step, later) in steps {
            match step {
                Step::Take(cost) | Step::Reserve(cost) => {
                    let demand = if matches!(step, Step::Take(_)) { NOW } else { WAIT };
                    if let Ok(grant) = limiter.reserve(Demand { cost, ..demand }, now) {
                        open.push((cost, grant));
                    }
                }
                Step::Spend(which) | Step::Refund(which) if !open.is_empty() => {
                    let (cost, grant) = open.remove(which % open.len());
                    if matches!(step, Step::Spend(_)) {
                        sent.push((grant.ready_at, cost));
                        limiter.spend(grant);
                    } else {
                        limiter.refund(grant);
                    }
                }
                Step::Spend(_) | Step::Refund(_) => {}
                Step::Pause(ms) => {
                    limiter.pause(now.after(Duration::from_millis(ms)), now);
                }
            }
            now = now.after(Duration::from_millis(later));
        }
        for (cost, grant) in open {
            sent.push((grant.ready_at, cost));
            limiter.spend(grant);
        }
        prop_assert_eq!(limiter.queued(), 0);
        sent.sort_by_key(|(at, _)| *at);
        for (first, (from, _)) in sent.iter().enumerate() {
            let mut tokens = 0;
            for (to, cost) in &sent[first..] {
                tokens += cost;
                let needed = set.time_for(tokens).saturating_sub(set.window());
                prop_assert!(to.since(*from) >= needed, "{tokens} within {:?}", to.since(*from));
            }
        }
    }

    /// What is given back in the reverse order of taking leaves no trace.
    #[test]
    fn the_last_grants_come_back_whole((count, burst) in (1..50_u32, 1..12_u32), costs in prop::collection::vec(1..4_u32, 1..20)) {
        let mut limiter = limiter(count, burst);
        send(&mut limiter, at(0));
        let before = limiter.tokens(at(0));
        let reserved = costs.into_iter().filter_map(|cost| limiter.reserve(Demand { cost, ..WAIT }, at(0)).ok());
        let mut grants: Vec<_> = reserved.collect();
        while let Some(grant) = grants.pop() {
            limiter.refund(grant);
        }
        prop_assert_eq!(limiter.tokens(at(0)), before);
    }
}
