//! What stands between an attempt and the network: the circuit, the compartment of the source, its rate, the global
//! semaphore; and all of them in the order of an attempt.

use std::collections::VecDeque;
use std::future::Future;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use criterion::Criterion;
use futures_util::FutureExt;
use tokio::runtime::Builder;

use crate::base::Clock;
use crate::base::Moment;
use crate::base::Name;
use crate::base::Tasks;
use crate::live::adaptive::AdaptiveLimit;
use crate::live::circuit::Circuit;
use crate::live::gate::Gate;
use crate::live::gate::GateSlot;
use crate::live::rate::RateGate;
use crate::live::throttle::SourceThrottle;
use crate::meter::now;
use crate::meter::shared;
use crate::policy::adaptive::ADAPTIVE_DEFAULTS;
use crate::policy::adaptive::AIMD_DEFAULTS;
use crate::policy::adaptive::AdaptiveSettings;
use crate::policy::adaptive::Algorithm;
use crate::policy::adaptive::GRADIENT_DEFAULTS;
use crate::policy::adaptive::Sample;
use crate::policy::admission::bulkhead_defaults;
use crate::policy::breaker::BREAKER_DEFAULTS;
use crate::policy::breaker::BreakerSettings;
use crate::policy::breaker::WindowSettings;
use crate::policy::breaker::WindowShape;
use crate::policy::gcra::Quota;
use crate::policy::gcra::Rate;
use crate::policy::limiter::LimiterSettings;
use crate::policy::limiter::Patience;
use crate::policy::limiter::QueueOrder;
use crate::policy::outcome::Kind;
use crate::policy::outcome::Outcome;
use crate::policy::priority::Priority;
use crate::policy::rate::Cost;
use crate::policy::rate::RATE_WAIT_DEFAULTS;
use crate::policy::rate::RateLimitSettings;
use crate::policy::throttle::THROTTLE_DEFAULTS;
use crate::policy::throttle::Verdict;
use crate::record::Events;

const BUDGET: Duration = Duration::from_secs(5);
const TOOK: Duration = Duration::from_millis(3);

pub(crate) fn all(criterion: &mut Criterion) {
    circuit(criterion);
    gates(criterion);
    handed_on(criterion);
    rates(criterion);
    found_limits(criterion);
    throttled(criterion);
    together(criterion);
}

/// Asked, and told how the call ended.
fn circuit(criterion: &mut Criterion) {
    let call = |set: &BreakerSettings, circuit: &Arc<Circuit>, kind: Kind, now: Moment| {
        let permit = circuit.admit(set, now, BUDGET).permit.unwrap();
        permit.record(set, &outcome(kind), TOOK, now)
    };
    let (set, clock) = (BREAKER_DEFAULTS, Clock::start());
    let closed = breaker(&set);
    shared(criterion, "circuit: closed", |_| (), |()| call(&set, &closed, Kind::Success, now()));

    for (name, shape) in [
        ("circuit: a window of time", WindowShape::Time { size: Duration::from_secs(10), buckets: 10 }),
        ("circuit: a window of 100 calls", WindowShape::Count { size: 100 }),
    ] {
        let window = WindowSettings {
            shape,
            minimum_throughput: 20,
            failure_rate: Some(0.5),
            slow_call_duration: Some(Duration::from_secs(1)),
            slow_call_rate: Some(0.5),
        };
        let set = BreakerSettings { window: Some(window), ..BREAKER_DEFAULTS };
        let watched = breaker(&set);
        shared(criterion, name, |_| (), |()| call(&set, &watched, Kind::Success, clock.now()));
    }

    let set = BreakerSettings { failure_threshold: 1, ..BREAKER_DEFAULTS };
    let open = breaker(&set);
    assert!(call(&set, &open, Kind::ServerError, now()).is_some(), "it opens");
    shared(criterion, "circuit: open", |_| (), |()| open.peek(&set, now()).is_err());
}

/// A place that is free, taken and given back; and a refusal.
fn gates(criterion: &mut Criterion) {
    let clock = Clock::start();
    let free = gate(1_000_000);
    shared(criterion, "limiter: free", |_| (), |()| drop(entered(&free, &clock)));

    let full = Arc::new(Gate::new(LimiterSettings { limit: 1, max_waiting: 0, ..bulkhead_defaults(100) }));
    let _held = entered(&full, &clock);
    shared(criterion, "limiter: full", |_| (), |()| full.acquire(&clock, patience()).now_or_never().is_some());
}

/// A place that goes from who leaves to who waits: the hand-over alone, and between the tasks of a server.
fn handed_on(criterion: &mut Criterion) {
    let clock = Clock::start();
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let entered_runtime = runtime.enter();
    for (name, order) in [("limiter: handed on", QueueOrder::Fifo), ("limiter: by class", QueueOrder::Priority)] {
        let gate = Arc::new(Gate::new(LimiterSettings { limit: 1, order, ..bulkhead_defaults(100) }));
        let mut held = Some(entered(&gate, &clock));
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut waiting = pin!(gate.acquire(&clock, patience()));
                let mut context = Context::from_waker(Waker::noop());
                assert!(waiting.as_mut().poll(&mut context).is_pending());
                held = None;
                let Poll::Ready(Ok(next)) = waiting.poll(&mut context) else { panic!("it was not handed on") };
                held = Some(next);
            });
        });
    }
    drop(entered_runtime);

    let runtime = Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    let gate = Arc::new(Gate::new(LimiterSettings { limit: 4, max_waiting: 1_000, ..bulkhead_defaults(100) }));
    criterion.bench_function("limiter: 64 tasks for 4 places", |bencher| {
        bencher.iter_custom(|rounds| {
            runtime.block_on(async {
                let (tasks, began) = (Tasks::default(), clock.now());
                let running = (0..64).map(|_| {
                    let gate = Arc::clone(&gate);
                    tasks.spawn(async move {
                        for _ in 0..rounds {
                            let slot = gate.acquire(&clock, patience()).await.unwrap();
                            tokio::task::yield_now().await;
                            drop(slot);
                        }
                    })
                });
                futures_util::future::join_all(running.collect::<Vec<_>>()).await;
                clock.now().since(began) / 64
            })
        });
    });
}

/// Tokens of the rate of a source.
fn rates(criterion: &mut Criterion) {
    let clock = Clock::start();
    let set = unbounded_rate();
    let gate = Arc::new(RateGate::new(&set));
    shared(
        criterion,
        "rate: a token, spent",
        |_| (),
        |()| {
            let token = gate.acquire(&set, 1, &clock, Moment::NEVER).now_or_never().unwrap();
            token.unwrap().spend();
        },
    );

    let gate = Arc::new(RateGate::new(&set));
    shared(criterion, "rate: a token, given back", |_| (), |()| gate.try_acquire(1, clock.now()).is_ok());

    // Calls under way leave in the order in which they came, or nearly so.
    let gate = Arc::new(RateGate::new(&set));
    let under_way = |_| (0..64).map(|_| gate.try_acquire(1, clock.now()).unwrap()).collect::<VecDeque<_>>();
    shared(criterion, "rate: 64 waiting for their places", under_way, |waiting| {
        waiting.push_back(gate.try_acquire(1, clock.now()).unwrap());
        waiting.pop_front().unwrap().spend();
    });

    let rate = Rate { count: NonZeroU32::MIN, per: Duration::from_secs(86_400) };
    let gate = RateLimitSettings { quota: Quota::new(rate, NonZeroU32::MIN), wait: None, ..unbounded_rate() };
    let gate = Arc::new(RateGate::new(&gate));
    gate.try_acquire(1, now()).unwrap().spend();
    shared(criterion, "rate: none there", |_| (), |()| gate.try_acquire(1, now()).is_err());
}

/// A limit that finds itself: a call begun, and its end told.
fn found_limits(criterion: &mut Criterion) {
    let clock = Clock::start();
    for (name, algorithm) in [
        ("adaptive: aimd", Algorithm::Aimd(AIMD_DEFAULTS)),
        ("adaptive: gradient2", Algorithm::Gradient2(GRADIENT_DEFAULTS)),
        ("adaptive: vegas", Algorithm::Vegas),
    ] {
        let settings = AdaptiveSettings { algorithm, ..ADAPTIVE_DEFAULTS };
        let gate = gate(settings.initial);
        let limit = AdaptiveLimit::over(&gate, (settings, bulkhead_defaults(100)), None, &clock);
        shared(
            criterion,
            name,
            |_| (),
            |()| {
                let epoch = limit.begin();
                limit.record(epoch, Sample::Success(TOOK), clock.now(), &clock)
            },
        );
    }
}

/// A call counted, let through, and its end told; and one of many that are refused.
fn throttled(criterion: &mut Criterion) {
    let clock = Clock::start();
    let well = SourceThrottle::new(THROTTLE_DEFAULTS, None);
    shared(
        criterion,
        "throttle: let through",
        |_| (),
        |()| {
            well.admit(clock.now()).unwrap().record(Verdict::Accepted);
        },
    );
    let turned_away = SourceThrottle::new(THROTTLE_DEFAULTS, None);
    shared(
        criterion,
        "throttle: most are refused",
        |_| (),
        |()| turned_away.admit(clock.now()).map(|counted| counted.record(Verdict::TurnedAway)),
    );
}

/// All that an attempt passes, at their defaults, in the order of `request/admission.rs`. What is off costs nothing but
/// the question whether it is on, so this is the price of having all of them.
fn together(criterion: &mut Criterion) {
    let clock = Clock::start();
    let (breaker_set, rate_set) = (BREAKER_DEFAULTS, unbounded_rate());
    let (circuit, bulkhead, global) = (breaker(&breaker_set), gate(32), gate(100));
    let rate = Arc::new(RateGate::new(&rate_set));
    let good = outcome(Kind::Success);
    shared(
        criterion,
        "attempt: circuit, bulkhead, rate, semaphore",
        |_| (),
        |()| {
            let began = clock.now();
            circuit.peek(&breaker_set, began).unwrap();
            let place = entered(&bulkhead, &clock);
            let token = rate.acquire(&rate_set, 1, &clock, Moment::NEVER).now_or_never().unwrap().unwrap();
            let room = entered(&global, &clock);
            let permit = circuit.admit(&breaker_set, clock.now(), BUDGET).permit.unwrap();
            token.spend();
            let change = permit.record(&breaker_set, &good, TOOK, clock.now());
            drop((room, place));
            change
        },
    );
}

/// A circuit as a source has it, which publishes its changes.
fn breaker(set: &BreakerSettings) -> Arc<Circuit> {
    let events = Events::new(Clock::start());
    Arc::new(Circuit::new(set).telling(&events, &Name::parse("weather").unwrap(), "http://weather.example:80"))
}

fn gate(limit: u32) -> Arc<Gate> {
    Arc::new(Gate::new(LimiterSettings { limit, ..bulkhead_defaults(100) }))
}

fn entered(gate: &Arc<Gate>, clock: &Clock) -> GateSlot {
    gate.acquire(clock, patience()).now_or_never().expect("there is room").unwrap()
}

fn patience() -> Patience {
    Patience { priority: Priority::Normal, deadline: Moment::NEVER }
}

/// A rate that nothing here comes near.
fn unbounded_rate() -> RateLimitSettings {
    let rate = Rate { count: NonZeroU32::new(1_000_000_000).unwrap(), per: Duration::from_secs(1) };
    // Seconds of it at once: a thread that loses its CPU between the clock and the lock comes with an old moment.
    let quota = Quota::new(rate, NonZeroU32::MAX);
    RateLimitSettings { quota, cost: Cost::Fixed(1), wait: Some(RATE_WAIT_DEFAULTS), pause_on_429: true }
}

fn outcome(kind: Kind) -> Outcome {
    Outcome { kind, evidence: kind.evidence(), retry_after: None }
}
