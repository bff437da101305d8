//! Further attempts: whether one follows, what it is paid from, what hedges go by, and where attempts go.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use criterion::Criterion;

use crate::base::Clock;
use crate::base::Moment;
use crate::live::allowance::Allowance;
use crate::live::allowance::Purse;
use crate::meter::now;
use crate::meter::shared;
use crate::policy::deadline::MIN_ATTEMPT_BUDGET;
use crate::policy::outcome::Kind;
use crate::policy::retry::BudgetSettings;
use crate::policy::retry::Course;
use crate::policy::retry::Failed;
use crate::policy::retry::Present;
use crate::policy::retry::RETRY_OFF;
use crate::policy::retry::RetrySettings;
use crate::policy::retry::Terms;
use crate::policy::strategy::HEDGE_DEFAULTS;
use crate::policy::strategy::HedgeDelay;
use crate::policy::strategy::HedgeSettings;
use crate::policy::strategy::Latencies;
use crate::policy::strategy::Odds;
use crate::policy::strategy::Order;
use crate::policy::strategy::Ring;

pub(crate) fn all(criterion: &mut Criterion) {
    decision(criterion);
    budget(criterion);
    latencies(criterion);
    endpoints(criterion);
}

/// What a call that goes well asks, and what one that failed does.
fn decision(criterion: &mut Criterion) {
    let terms = terms();
    let begun = || {
        let mut course = Course::new(terms.retry.max_attempts, 0);
        let place = course.next(&terms, |_| true).unwrap_or(0);
        course.sent(place);
        course
    };
    criterion.bench_function("retry: the first attempt", |bencher| bencher.iter(begun));

    let present = Present { left: Duration::from_secs(4), next: Some(0), draw: 0.5 };
    let failed =
        |status| Failed { kind: Kind::of_status(status), status: Some(status), retry_after: None, do_not_retry: false };
    for (name, status) in [("retry: another follows", 503), ("retry: none follows", 404)] {
        criterion
            .bench_function(name, |bencher| bencher.iter(|| begun().after(&terms, &failed(status), present, || true)));
    }
}

/// Earned by first attempts, and spent.
fn budget(criterion: &mut Criterion) {
    let (set, clock) = (RETRY_OFF.budget.unwrap(), Clock::start());
    let allowance = Allowance::default();
    shared(criterion, "retry: earned", |_| (), |()| allowance.earn(purse(&set), clock.now()));
    shared(criterion, "retry: spent", |_| (), |()| allowance.spend(purse(&set), clock.now()));
    let none = BudgetSettings { ratio: 0.0, min_per_sec: 0.0, ..set };
    let empty = Allowance::default();
    shared(criterion, "retry: nothing to spend", |_| (), |()| empty.spend(purse(&none), clock.now()));
}

/// Retries alone are paid for.
fn purse(retries: &BudgetSettings) -> Purse<'_> {
    Purse { retries: Some(retries), hedges: None }
}

/// How long calls take: noted for each, and read for each that may be hedged.
fn latencies(criterion: &mut Criterion) {
    let set = HedgeSettings { delay: HedgeDelay::Percentile(0.95), ..HEDGE_DEFAULTS };
    let clock = Clock::start();
    let seen = Mutex::new(Latencies::new(Moment::ZERO));
    shared(
        criterion,
        "hedge: a latency noted",
        |_| (),
        |()| {
            seen.lock().unwrap().record(&set, Duration::from_micros(3_300), clock.now());
        },
    );
    shared(criterion, "hedge: its delay", |_| (), |()| seen.lock().unwrap().delay(&set, clock.now()));

    // Worked out anew once in three seconds at most.
    let mut at = now();
    let mut alone = Latencies::new(at);
    for millis in 1..=1_000 {
        alone.record(&set, Duration::from_millis(millis), at);
    }
    let never_forgotten = HedgeSettings { window: Duration::MAX, ..set };
    criterion.bench_function("hedge: its delay, worked out", |bencher| {
        bencher.iter(|| {
            at = at.after(Duration::from_secs(4));
            alone.delay(&never_forgotten, at)
        });
    });
}

/// Which of three endpoints a call goes to first.
fn endpoints(criterion: &mut Criterion) {
    let (ring, turn) = (Ring::new(&[3, 2, 1]), AtomicUsize::new(0));
    for (name, order) in
        [("endpoint: round robin", Order::RoundRobin), ("endpoint: least pending", Order::LeastPending)]
    {
        shared(
            criterion,
            name,
            |_| (),
            |()| {
                let odds = Odds { turn: turn.fetch_add(1, Ordering::Relaxed), draw: 0.5 };
                ring.first(order, odds, |place| u32::try_from(place).unwrap_or(0))
            },
        );
    }
}

/// `retry: {}`, one endpoint.
fn terms() -> Terms {
    Terms {
        retry: RetrySettings { max_attempts: RetrySettings::DEFAULT_ATTEMPTS, ..RETRY_OFF },
        repeatable: true,
        endpoints: 1,
        failover: false,
        split: false,
        min_attempt_budget: MIN_ATTEMPT_BUDGET,
    }
}
