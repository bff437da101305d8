//! What the tables of vectors leave open: jitter, leases, switching off and on, and that no order of events wedges it.

use std::time::Duration;

use crate::base::Moment;
use crate::policy::breaker::BREAKER_DEFAULTS;
use crate::policy::breaker::Breaker;
use crate::policy::breaker::BreakerSettings;
use crate::policy::breaker::Change;
use crate::policy::breaker::CircuitState;
use crate::policy::breaker::Denied;
use crate::policy::breaker::DenyReason;
use crate::policy::breaker::Ended;
use crate::policy::breaker::HalfOpenSettings;
use crate::policy::breaker::OpenBackoff;
use crate::policy::breaker::Pass;
use crate::policy::breaker::Reason;
use crate::policy::breaker::Throttled;
use crate::policy::breaker::WindowSettings;
use crate::policy::breaker::WindowShape;
use crate::policy::breaker::retry_after_s;
use crate::policy::outcome::Evidence;

const BUDGET: Duration = Duration::from_secs(2);

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn at(count: u64) -> Moment {
    Moment::from_start(ms(count))
}

fn fragile() -> BreakerSettings {
    BreakerSettings { failure_threshold: 1, ..BREAKER_DEFAULTS }
}

fn ended(evidence: Evidence) -> Ended {
    Ended { evidence, retry_after: None, took: ms(1), draw: 0.5 }
}

fn admit(breaker: &mut Breaker, set: &BreakerSettings, now: u64) -> Result<Pass, Denied> {
    breaker.admit(set, at(now), BUDGET, 0.5).answer
}

fn call(breaker: &mut Breaker, set: &BreakerSettings, evidence: Evidence, now: u64) -> Option<Change> {
    let pass = admit(breaker, set, now).unwrap();
    breaker.record(set, pass, ended(evidence), at(now))
}

fn opened(set: &BreakerSettings) -> Breaker {
    let mut breaker = Breaker::new(set);
    assert!(call(&mut breaker, set, Evidence::Failure, 0).is_some());
    breaker
}

fn state(breaker: &Breaker, set: &BreakerSettings, now: u64) -> CircuitState {
    breaker.view(set, at(now)).state
}

#[test]
fn jitter_spreads_the_open_period_to_both_sides() {
    let open_backoff = OpenBackoff { jitter: 0.2, ..BREAKER_DEFAULTS.open_backoff };
    let set = BreakerSettings { open_backoff, ..fragile() };
    for (draw, expected) in [(0.0, 24_000), (0.5, 30_000), (0.75, 33_000)] {
        let mut breaker = Breaker::new(&set);
        let pass = admit(&mut breaker, &set, 0).unwrap();
        let change = breaker.record(&set, pass, Ended { draw, ..ended(Evidence::Failure) }, at(0)).unwrap();
        assert_eq!(change.open_for.unwrap().as_millis(), expected, "draw {draw}");
        assert_eq!(breaker.view(&set, at(0)).recovers_in, change.open_for);
    }
}

#[test]
fn the_open_period_grows_to_its_limit_and_never_overflows() {
    let open_backoff = OpenBackoff { multiplier: 1e9, ..BREAKER_DEFAULTS.open_backoff };
    let set = BreakerSettings { open_backoff, recovery_timeout: ms(1), ..fragile() };
    let mut breaker = opened(&set);
    for opening in 0..100 {
        let now = 1_000_000 * (opening + 1);
        let change = call(&mut breaker, &set, Evidence::Failure, now).unwrap();
        assert_eq!(change.open_for, Some(Duration::from_secs(300)), "opening {opening}");
    }
}

#[test]
fn retry_after_is_ignored_where_it_is_not_honored() {
    let set = BreakerSettings { honor_retry_after: false, ..fragile() };
    let mut breaker = Breaker::new(&set);
    let pass = admit(&mut breaker, &set, 0).unwrap();
    let asked = Ended { retry_after: Some(ms(120_000)), ..ended(Evidence::Failure) };
    assert_eq!(breaker.record(&set, pass, asked, at(0)).unwrap().open_for, Some(ms(30_000)));
}

#[test]
fn a_probe_without_a_lease_of_its_own_has_its_budget_and_a_second() {
    let set = fragile();
    let mut breaker = opened(&set);
    let probe = admit(&mut breaker, &set, 30_000).unwrap();
    assert!(probe.is_probe());
    assert_eq!(admit(&mut breaker, &set, 32_999).unwrap_err().reason, DenyReason::HalfOpenFull);
    let late = breaker.admit(&set, at(33_000), BUDGET, 0.5);
    assert_eq!(late.answer.unwrap_err(), Denied { reason: DenyReason::Open, wait: ms(30_000) });
    let change = late.change.unwrap();
    assert_eq!((change.reason, change.consecutive_failures), (Reason::ProbeLeaseExpired, 2));
    assert_eq!((change.event(), change.open_for), ("circuit.opened", Some(ms(30_000))));
}

#[test]
fn asking_for_fewer_successes_than_there_are_does_not_wedge_a_half_open_circuit() {
    let half_open = HalfOpenSettings { success_threshold: 3, ..BREAKER_DEFAULTS.half_open };
    let set = BreakerSettings { half_open, ..fragile() };
    let mut breaker = opened(&set);
    assert_eq!(call(&mut breaker, &set, Evidence::Success, 30_000), None);
    assert_eq!(call(&mut breaker, &set, Evidence::Success, 30_000), None);
    let fewer = fragile();
    assert_eq!(breaker.apply(&set, &fewer), None);
    let change = call(&mut breaker, &fewer, Evidence::Success, 30_001).unwrap();
    assert_eq!(change.to, CircuitState::Closed);
}

#[test]
fn a_429_is_a_failure_where_the_settings_say_so() {
    let set = BreakerSettings { throttled: Throttled::Failure, ..fragile() };
    let mut breaker = Breaker::new(&set);
    let change = call(&mut breaker, &set, Evidence::Throttled, 0).unwrap();
    assert_eq!((change.to, change.reason), (CircuitState::Open, Reason::ConsecutiveFailures));
}

#[test]
fn a_late_success_is_still_the_last_success() {
    let set = fragile();
    let mut breaker = Breaker::new(&set);
    let late = admit(&mut breaker, &set, 0).unwrap();
    assert!(call(&mut breaker, &set, Evidence::Failure, 5).is_some());
    assert_eq!(breaker.view(&set, at(10)).last_success_ago, None);
    assert_eq!(breaker.record(&set, late, ended(Evidence::Success), at(7)), None);
    let view = breaker.view(&set, at(10));
    assert_eq!((view.last_success_ago, view.last_failure_ago), (Some(ms(3)), Some(ms(5))));
    assert_eq!(view.state, CircuitState::Open);
}

#[test]
fn a_breaker_that_is_off_admits_everything_and_still_knows_the_last_success() {
    let off = BreakerSettings { enabled: false, ..fragile() };
    let mut breaker = Breaker::new(&off);
    for now in 0..10 {
        assert_eq!(call(&mut breaker, &off, Evidence::Failure, now), None);
    }
    assert_eq!(call(&mut breaker, &off, Evidence::Success, 10), None);
    let view = breaker.view(&off, at(12));
    assert_eq!((view.state, view.last_success_ago), (CircuitState::ForcedClosed, Some(ms(2))));
    assert!(!view.state.is_degraded());
}

#[test]
fn hrl_09_switching_off_and_on_again_begins_with_a_clean_record() {
    let set = BreakerSettings { failure_threshold: 3, ..BREAKER_DEFAULTS };
    let off = BreakerSettings { enabled: false, ..set.clone() };
    let mut breaker = opened(&fragile());
    let change = breaker.apply(&set, &off).unwrap();
    assert_eq!(
        (change.from, change.to, change.reason),
        (CircuitState::Open, CircuitState::ForcedClosed, Reason::Disabled)
    );
    let flying = admit(&mut breaker, &off, 1).unwrap();
    assert_eq!(call(&mut breaker, &off, Evidence::Failure, 2), None);
    let change = breaker.apply(&off, &set).unwrap();
    assert_eq!((change.to, change.reason, change.consecutive_failures), (CircuitState::Closed, Reason::Enabled, 0));
    assert_eq!(breaker.record(&set, flying, ended(Evidence::Failure), at(3)), None);
    let view = breaker.view(&set, at(3));
    assert_eq!((view.state, view.consecutive_failures), (CircuitState::Closed, 0));
}

#[test]
fn another_window_shape_forgets_even_when_it_is_changed_back() {
    let window = |size| {
        let shape = WindowShape::Count { size };
        Some(WindowSettings {
            shape,
            minimum_throughput: 3,
            failure_rate: Some(0.5),
            slow_call_duration: None,
            slow_call_rate: None,
        })
    };
    let set = BreakerSettings { failure_threshold: 0, window: window(10), ..BREAKER_DEFAULTS };
    let other = BreakerSettings { window: window(20), ..set.clone() };
    let mut breaker = Breaker::new(&set);
    assert!((0..2).all(|now| call(&mut breaker, &set, Evidence::Failure, now).is_none()));
    assert_eq!((breaker.apply(&set, &other), breaker.apply(&other, &set)), (None, None));
    assert!((2..4).all(|now| call(&mut breaker, &set, Evidence::Failure, now).is_none()), "two are too few");
    assert_eq!(call(&mut breaker, &set, Evidence::Failure, 4).unwrap().reason, Reason::FailureRate);
}

#[test]
fn forced_open_without_a_ttl_stays_so_until_an_operator_ends_it() {
    let set = fragile();
    let mut breaker = Breaker::new(&set);
    assert_eq!(breaker.force_open(None, at(0)).event(), "circuit.forced_open");
    let denied = admit(&mut breaker, &set, 86_400_000).unwrap_err();
    assert_eq!((denied.reason, retry_after_s(denied.wait)), (DenyReason::ForcedOpen, 30));
    let view = breaker.view(&set, at(1_000));
    assert_eq!((view.opened_ago, view.recovers_in), (Some(ms(1_000)), None));
    assert_eq!(breaker.reset(&set).event(), "circuit.reset");
    assert!(admit(&mut breaker, &set, 86_400_001).is_ok());
}

#[test]
fn a_breaker_that_is_off_can_be_forced_open_and_has_nothing_to_probe_for_after() {
    let off = BreakerSettings { enabled: false, ..fragile() };
    let mut breaker = Breaker::new(&off);
    assert_eq!(breaker.force_open(Some(ms(500)), at(0)).open_for, Some(ms(500)));
    assert!(admit(&mut breaker, &off, 499).is_err());
    assert_eq!(state(&breaker, &off, 500), CircuitState::ForcedClosed);
    let asked = breaker.admit(&off, at(500), BUDGET, 0.5);
    assert!(!asked.answer.unwrap().is_probe());
    assert_eq!(asked.change.unwrap().to, CircuitState::ForcedClosed);
    assert_eq!(breaker.reset(&off).to, CircuitState::ForcedClosed);
}

#[test]
fn retry_after_is_whole_seconds_rounded_up_and_at_least_one() {
    for (wait, expected) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (17_600, 18)] {
        let denied = Denied { reason: DenyReason::Open, wait: ms(wait) };
        assert_eq!(retry_after_s(denied.wait), expected, "{wait}ms");
    }
}

#[test]
fn transitions_are_counted_by_what_and_why() {
    let set = fragile();
    let mut breaker = opened(&set);
    for round in 1..=3 {
        assert!(call(&mut breaker, &set, Evidence::Failure, round * 30_000).is_some());
    }
    let counted: Vec<_> = breaker.counts().transitions.iter().map(|seen| (seen.reason, seen.count)).collect();
    assert_eq!(counted, [(Reason::ConsecutiveFailures, 1), (Reason::Elapsed, 3), (Reason::ProbeFailure, 3)]);
}

/// P7 and the generations, over random traffic: never more probes than may be, every change its own generation, and
/// whatever happened, who drops all calls and waits gets through.
#[test]
fn no_order_of_events_admits_too_many_probes_or_wedges_it() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut seen = [0_u32; 5];
    for _ in 0..300 {
        let set = random_settings(&mut random);
        let (mut breaker, mut now, mut generation) = (Breaker::new(&set), 0, 0);
        let mut out: Vec<Pass> = Vec::new();
        for _ in 0..200 {
            now += [0, 1, 100, 1_000, 5_000][random.usize(..5)];
            let change = step(&mut breaker, &set, &mut out, at(now), &mut random);
            if let Some(change) = change {
                generation += 1;
                assert_eq!(change.generation, generation, "a change without an event");
            }
            let view = breaker.view(&set, at(now));
            assert_eq!(view.generation, generation);
            assert!(view.probes_in_flight <= usize::try_from(set.half_open.max_probes).unwrap());
            seen[usize::try_from(view.state.gauge()).unwrap()] += 1;
        }
        out.drain(..).for_each(|pass| breaker.release(pass));
        let much_later = now + 1_000_000;
        assert!(admit(&mut breaker, &set, much_later).is_ok(), "{breaker:?}");
    }
    assert!(seen[..4].iter().all(|times| *times > 100), "not every state was reached: {seen:?}");
}

fn random_settings(random: &mut fastrand::Rng) -> BreakerSettings {
    let half_open = HalfOpenSettings {
        max_probes: random.u32(1..4),
        success_threshold: random.u32(1..4),
        failure_threshold: random.u32(1..3),
        probe_lease: None,
    };
    let window = random.bool().then(|| WindowSettings {
        shape: WindowShape::Time { size: ms(10_000), buckets: 10 },
        minimum_throughput: 3,
        failure_rate: Some(0.5),
        slow_call_duration: Some(ms(50)),
        slow_call_rate: Some(0.9),
    });
    let open_backoff = OpenBackoff { multiplier: 2.0, jitter: 0.3, ..BREAKER_DEFAULTS.open_backoff };
    BreakerSettings { failure_threshold: random.u32(1..5), window, half_open, open_backoff, ..BREAKER_DEFAULTS }
}

fn step(
    breaker: &mut Breaker,
    set: &BreakerSettings,
    out: &mut Vec<Pass>,
    now: Moment,
    random: &mut fastrand::Rng,
) -> Option<Change> {
    let one_out = |out: &mut Vec<Pass>, random: &mut fastrand::Rng| out.swap_remove(random.usize(..out.len()));
    match random.u8(..20) {
        0..8 => {
            let peeked = breaker.peek(set, now);
            let asked = breaker.admit(set, now, BUDGET, random.f64());
            assert_eq!(peeked.is_ok(), asked.answer.is_ok());
            out.extend(asked.answer.ok());
            asked.change
        }
        8..17 if !out.is_empty() => {
            let evidence = [Evidence::Success, Evidence::Failure, Evidence::Throttled, Evidence::Neutral];
            let end = Ended {
                evidence: evidence[random.usize(..4)],
                retry_after: random.bool().then(|| ms(random.u64(..100_000))),
                took: ms(random.u64(..100)),
                draw: random.f64(),
            };
            breaker.record(set, one_out(out, random), end, now)
        }
        17 | 18 if !out.is_empty() => {
            breaker.release(one_out(out, random));
            None
        }
        19 if random.u8(..4) == 0 => Some(breaker.force_open(Some(ms(random.u64(..60_000))), now)),
        _ => None,
    }
}
