//! Further attempts: whether one follows, and what it is paid from.

use std::time::Duration;

use criterion::Criterion;

use crate::base::Clock;
use crate::live::allowance::Allowance;
use crate::live::allowance::Purse;
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

pub(crate) fn all(criterion: &mut Criterion) {
    decision(criterion);
    budget(criterion);
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
