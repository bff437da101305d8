//! ADP: the vectors of the limit, and its common rules under each algorithm.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::base::Moment;
use crate::policy::outcome::Kind;

/// A limit with its settings, and a clock that stands still unless it is moved.
struct Bench {
    set: AdaptiveSettings,
    machine: Adaptive,
    now: Moment,
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

const GOOD: Sample = Sample::Success(Duration::from_millis(10));

impl Bench {
    fn new(set: AdaptiveSettings) -> Self {
        Self { set, machine: Adaptive::new(&set), now: Moment::from_start(ms(1)) }
    }

    fn one(&mut self, epoch: Epoch, sample: Sample, in_flight: u32) {
        let done = Completion { epoch, sample, in_flight, draw: 0.5 };
        self.machine.record(&self.set, done, self.now);
    }

    /// So many calls under way at once, of which so many go well.
    fn calls(&mut self, all: u32, good: u32, in_flight: u32) {
        for place in 0..all {
            let epoch = self.machine.begin(in_flight);
            self.one(epoch, if place < good { GOOD } else { Sample::Drop }, in_flight);
        }
    }

    /// A window of gradient2.
    fn window(&mut self, samples: &[Sample], in_flight: u32) {
        for _ in 0..10 {
            for sample in samples {
                let epoch = self.machine.begin(in_flight);
                self.one(epoch, *sample, in_flight);
            }
        }
        self.now = self.now.after(ms(1_000));
        let epoch = self.machine.begin(in_flight);
        self.one(epoch, samples[0], in_flight);
    }

    #[track_caller]
    fn is(&self, limit: f64, admits: u32, id: &str) {
        assert!((self.machine.view().limit - limit).abs() < 1e-9, "{id}: {}", self.machine.view().limit);
        assert_eq!(self.machine.admits(), admits, "{id}");
    }
}

fn aimd(initial: u32, min: u32) -> Bench {
    Bench::new(AdaptiveSettings { initial, min, ..ADAPTIVE_DEFAULTS })
}

fn gradient(min: u32) -> Bench {
    Bench::new(AdaptiveSettings { algorithm: Algorithm::Gradient2(GRADIENT_DEFAULTS), min, ..ADAPTIVE_DEFAULTS })
}

#[test]
fn adp_01_aimd_grows_by_one_while_it_is_busy() {
    let mut bench = aimd(100, 1);
    bench.calls(100, 96, 60);
    bench.is(101.0, 101, "ADP-01, step 1");
    bench.calls(100, 95, 60);
    bench.is(101.0, 101, "ADP-01, step 2");
    bench.calls(100, 100, 10);
    bench.is(101.0, 101, "ADP-01, step 3");
}

#[test]
fn adp_02_aimd_shrinks_to_its_least_and_no_further() {
    let mut bench = aimd(12, 10);
    bench.calls(100, 79, 12);
    bench.is(10.8, 10, "ADP-02, step 1");
    bench.calls(100, 0, 12);
    bench.is(10.0, 10, "ADP-02, step 2");
    bench.calls(100, 80, 12);
    bench.is(10.0, 10, "ADP-02, step 3");
}

#[test]
fn adp_03_calls_of_one_epoch_shrink_it_once() {
    let mut bench = aimd(100, 1);
    let epochs: Vec<_> = (0..200).map(|_| bench.machine.begin(100)).collect();
    for epoch in epochs {
        bench.one(epoch, Sample::Drop, 100);
    }
    bench.is(90.0, 90, "ADP-03");
    assert_eq!(bench.machine.view().decreases, 1);
}

#[test]
fn adp_04_what_says_nothing_changes_nothing() {
    let mut bench = aimd(100, 1);
    for _ in 0..500 {
        let epoch = bench.machine.begin(100);
        bench.one(epoch, Sample::Ignore, 100);
    }
    bench.is(100.0, 100, "ADP-04");
    bench.calls(99, 0, 100);
    bench.is(100.0, 100, "ADP-04: none of them was counted");
}

#[test]
fn adp_05_gradient2_grows_while_steady_holds_while_idle_and_shrinks_when_slow() {
    let mut bench = gradient(1);
    let slow = Sample::Success(ms(40));
    bench.window(&[GOOD], 20);
    bench.is(20.8, 20, "ADP-05, step 1");
    bench.window(&[GOOD], 20);
    bench.is(21.6, 21, "ADP-05, step 2");
    bench.window(&[GOOD], 5);
    bench.is(21.6, 21, "ADP-05, step 3");
    bench.window(&[slow], 20);
    bench.is(20.115, 20, "ADP-05, step 4");
}

#[test]
fn adp_06_gradient2_counts_drops() {
    let mut bench = gradient(1);
    bench.window(&[Sample::Drop, GOOD], 20);
    bench.is(18.0, 18, "ADP-06, step 1");
    bench.window(&[GOOD, Sample::Drop], 18);
    bench.is(16.2, 16, "ADP-06, step 2");
}

#[test]
fn adp_07_gradient2_stays_within_its_bounds() {
    let mut bench = gradient(5);
    for _ in 0..30 {
        bench.window(&[Sample::Drop], 20);
    }
    bench.is(5.0, 5, "ADP-07");
    for _ in 0..400 {
        bench.window(&[GOOD], 200);
    }
    bench.is(200.0, 200, "ADP-07, upwards");
}

#[test]
fn adp_08_vegas() {
    let mut bench = Bench::new(AdaptiveSettings { algorithm: Algorithm::Vegas, ..ADAPTIVE_DEFAULTS });
    let rows = [
        (GOOD, 20.0, "ADP-08, step 1"),
        (GOOD, 26.0, "ADP-08, step 2"),
        (Sample::Success(ms(20)), 25.0, "ADP-08, step 3"),
        (Sample::Drop, 24.0, "ADP-08, step 4"),
    ];
    for (sample, limit, id) in rows {
        let epoch = bench.machine.begin(26);
        bench.one(epoch, sample, 26);
        assert!((bench.machine.view().limit - limit).abs() < 1e-9, "{id}");
    }
    assert_eq!(bench.machine.view().long_rtt, Some(ms(10)));
}

#[test]
fn vegas_measures_the_fastest_call_anew_now_and_then() {
    let set = AdaptiveSettings { algorithm: Algorithm::Vegas, max: 20, ..ADAPTIVE_DEFAULTS };
    let mut bench = Bench::new(set);
    let epoch = bench.machine.begin(20);
    bench.one(epoch, Sample::Success(ms(1)), 20);
    for _ in 0..30 * 20 {
        let epoch = bench.machine.begin(20);
        bench.one(epoch, GOOD, 20);
    }
    assert_eq!(bench.machine.view().long_rtt, Some(ms(10)));
}

#[test]
fn a_reload_keeps_the_limit_within_the_new_bounds_and_another_algorithm_begins_anew() {
    let mut bench = aimd(100, 1);
    let narrow = AdaptiveSettings { max: 50, ..bench.set };
    bench.machine.apply(&bench.set, &narrow);
    bench.is(50.0, 50, "clamped");
    let epoch = bench.machine.begin(50);
    let other = AdaptiveSettings { algorithm: Algorithm::Vegas, ..narrow };
    bench.machine.apply(&narrow, &AdaptiveSettings { initial: 20, ..other });
    bench.is(20.0, 20, "another algorithm");
    bench.set = other;
    bench.one(epoch, Sample::Drop, 50);
    bench.is(20.0, 20, "of an older epoch");
}

#[test]
fn a_change_is_told_when_it_is_a_tenth() {
    let mut bench = aimd(20, 1);
    let mut told = Vec::new();
    for _ in 0..5 {
        for _ in 0..100 {
            let epoch = bench.machine.begin(20);
            let done = Completion { epoch, sample: GOOD, in_flight: 20, draw: 0.5 };
            let change = bench.machine.record(&bench.set, done, bench.now);
            told.extend(change.and_then(|change| change.worth_telling).map(|told| (told.from, told.to)));
        }
    }
    assert_eq!(told, [(20, 22), (22, 25)]);
}

#[test]
fn only_strain_is_strain() {
    let took = ms(7);
    assert_eq!(Sample::of(Kind::Success, Some(200), took), Sample::Success(took));
    assert_eq!(Sample::of(Kind::ProjectionError, Some(200), took), Sample::Success(took));
    for (kind, status) in [(Kind::ServerError, Some(503)), (Kind::ServerError, Some(504)), (Kind::Throttled, Some(429))]
    {
        assert_eq!(Sample::of(kind, status, took), Sample::Drop);
    }
    for kind in [Kind::UpstreamTimeout, Kind::AttemptTimeout, Kind::ConnectTimeout] {
        assert_eq!(Sample::of(kind, None, took), Sample::Drop);
    }
    for kind in Kind::ALL.into_iter().filter(|kind| kind.is_ours()) {
        assert_eq!(Sample::of(kind, None, took), Sample::Ignore, "{}", kind.as_str());
    }
    assert_eq!(Sample::of(Kind::ServerError, Some(500), took), Sample::Ignore);
    assert_eq!(Sample::of(Kind::ClientError, Some(404), took), Sample::Ignore);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn whatever_happens_the_limit_stays_within_its_bounds(
        which in 0..3_usize,
        (min, more) in (1..20_u32, 0..100_u32),
        calls in prop::collection::vec((0..3_u8, 0..200_u64, 1..300_u32, 0..2_000_u64), 1..400),
    ) {
        let algorithms =
            [Algorithm::Aimd(AimdSettings { measurement_window: 5, ..AIMD_DEFAULTS }), Algorithm::Gradient2(GRADIENT_DEFAULTS), Algorithm::Vegas];
        let set = AdaptiveSettings { algorithm: algorithms[which], initial: min, min, max: min + more };
        let mut bench = Bench::new(set);
        for (sample, took, in_flight, later) in calls {
            let epoch = bench.machine.begin(in_flight);
            let sample = [Sample::Success(ms(took)), Sample::Drop, Sample::Ignore][usize::from(sample)];
            bench.one(epoch, sample, in_flight);
            bench.now = bench.now.after(ms(later));
            prop_assert!((min..=min + more).contains(&bench.machine.admits()));
            prop_assert!(bench.machine.view().limit.is_finite());
        }
    }
}
