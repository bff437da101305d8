//! BKF, RTY and BUD: delays, decisions and budgets of retries.

use std::time::Duration;

use http::HeaderName;
use http::Method;

use crate::policy::outcome::Kind;
use crate::policy::retry::BackoffSettings;
use crate::policy::retry::BackoffStrategy;
use crate::policy::retry::BackoffStrategy::Constant;
use crate::policy::retry::BackoffStrategy::Decorrelated;
use crate::policy::retry::BackoffStrategy::Exponential;
use crate::policy::retry::BackoffStrategy::Linear;
use crate::policy::retry::Budget;
use crate::policy::retry::BudgetSettings;
use crate::policy::retry::Course;
use crate::policy::retry::Failed;
use crate::policy::retry::IdempotencyKey;
use crate::policy::retry::Jitter;
use crate::policy::retry::KeyFrom;
use crate::policy::retry::Present;
use crate::policy::retry::RETRY_OFF;
use crate::policy::retry::RetrySettings;
use crate::policy::retry::Terms;
use crate::policy::vectors::cases;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Settings, (which retry, draw) in order, and the delays in milliseconds.
type Delays = (&'static str, BackoffSettings, Vec<(u32, f64)>, &'static [f64]);

/// No jitter.
fn backoff(strategy: BackoffStrategy, base: u64, max: u64) -> BackoffSettings {
    BackoffSettings { strategy, base: ms(base), max: ms(max), jitter: Jitter::None, ..RETRY_OFF.backoff }
}

#[test]
fn bkf_01_to_11_delays() {
    let jitter = |kind, ratio, set| BackoffSettings { jitter: kind, jitter_ratio: ratio, ..set };
    let full = jitter(Jitter::Full, 0.2, backoff(Exponential, 100, 2_000));
    let equal = jitter(Jitter::Equal, 0.2, backoff(Exponential, 100, 2_000));
    let proportional = jitter(Jitter::Proportional, 0.2, backoff(Exponential, 1_000, 60_000));
    let half = jitter(Jitter::Proportional, 0.5, backoff(Exponential, 100, 2_000));
    let to = |last| (1..=last).map(|n| (n, 0.5)).collect::<Vec<(u32, f64)>>();
    let cases: [Delays; 11] = [
        ("BKF-01", backoff(Exponential, 1_000, 60_000), to(5), &[1000.0, 2000.0, 4000.0, 8000.0, 16000.0]),
        ("BKF-02", backoff(Exponential, 100, 2_000), to(7), &[100.0, 200.0, 400.0, 800.0, 1600.0, 2000.0, 2000.0]),
        ("BKF-03", backoff(Linear, 2_000, 60_000), to(5), &[2000.0, 4000.0, 6000.0, 8000.0, 10000.0]),
        ("BKF-04", backoff(Linear, 1_000, 60_000), to(5), &[1000.0, 2000.0, 3000.0, 4000.0, 5000.0]),
        ("BKF-05", backoff(Constant, 1_000, 60_000), to(5), &[1000.0, 1000.0, 1000.0, 1000.0, 1000.0]),
        ("BKF-06", full, vec![(3, 0.0), (3, 0.5), (3, 0.999)], &[0.0, 200.0, 399.6]),
        ("BKF-07", equal, vec![(3, 0.0), (3, 0.5)], &[200.0, 300.0]),
        ("BKF-08", proportional, vec![(1, 0.0), (1, 0.5), (1, 0.999)], &[800.0, 1000.0, 1199.6]),
        ("BKF-09", half, vec![(9, 0.999)], &[2000.0]),
        (
            "BKF-10",
            backoff(Decorrelated, 100, 2_000),
            vec![(1, 0.0), (2, 0.5), (3, 0.5), (4, 0.5)],
            &[100.0, 200.0, 350.0, 575.0],
        ),
        ("BKF-11", backoff(Exponential, 100, 2_000), vec![(10_000, 0.5)], &[2000.0]),
    ];
    for (id, set, draws, expected) in cases {
        let mut previous = None;
        let mut seen = Vec::new();
        for (n, draw) in draws {
            let delay = set.delay(n, previous, draw);
            previous = Some(delay);
            seen.push(delay.as_secs_f64() * 1000.0);
        }
        assert_eq!(seen, expected, "{id}");
    }
}

/// One decision: a call with `method` has made `attempts` of 3, the last ended in `failed`, and `left` is left.
struct Case {
    method: Method,
    attempts: u32,
    failed: Failed,
    left: Duration,
    key: bool,
    token: bool,
}

impl Case {
    fn of(kind: Kind, status: u16) -> Self {
        let status = (status > 0).then_some(status);
        let failed = Failed { kind, status, retry_after: None, do_not_retry: false };
        Self { method: Method::GET, attempts: 1, failed, left: ms(5_000), key: false, token: true }
    }

    fn status(status: u16) -> Self {
        Self::of(Kind::of_status(status), status)
    }

    fn retry_after(mut self, seconds: u64) -> Self {
        self.failed.retry_after = Some(Duration::from_secs(seconds));
        self
    }

    fn left(self, millis: u64) -> Self {
        Self { left: ms(millis), ..self }
    }

    fn post(self) -> Self {
        Self { method: Method::POST, ..self }
    }

    /// As the table writes it.
    fn decision(self) -> String {
        let key = IdempotencyKey { header: HeaderName::from_static("idempotency-key"), from: KeyFrom::Uuid };
        let retry = RetrySettings {
            max_attempts: 3,
            backoff: backoff(Exponential, 100, 2_000),
            idempotency_key: self.key.then_some(key),
            ..RETRY_OFF
        };
        let terms = Terms {
            repeatable: retry.may_repeat(&self.method),
            retry,
            endpoints: 1,
            failover: false,
            split: false,
            min_attempt_budget: ms(10),
        };
        let mut course = Course::new(3, 0);
        for _ in 0..self.attempts {
            course.sent(0);
        }
        let present = Present { left: self.left, next: Some(0), draw: 0.0 };
        match course.after(&terms, &self.failed, present, || self.token) {
            Ok(delay) => format!("retry({}ms)", delay.as_millis()),
            Err(stop) => format!("stop({})", stop.as_str()),
        }
    }
}

#[test]
fn rty_01_to_18_decisions() {
    let mut refused = Case::status(503);
    refused.failed.do_not_retry = true;
    let cases = [
        ("RTY-01", Case::status(503), "retry(100ms)"),
        ("RTY-02", Case { attempts: 3, ..Case::status(503) }, "stop(attempts_exhausted)"),
        ("RTY-03", Case::status(404), "stop(not_retryable)"),
        ("RTY-04", Case::status(501), "stop(not_retryable)"),
        ("RTY-05", Case::of(Kind::DecodeError, 200), "stop(not_retryable)"),
        ("RTY-06", Case::status(429).retry_after(2), "retry(2000ms)"),
        ("RTY-07", Case::status(503).retry_after(0), "retry(100ms)"),
        ("RTY-08", Case::status(429).retry_after(3_600), "stop(retry_after_too_long)"),
        ("RTY-09", Case::status(503).retry_after(6), "stop(deadline)"),
        ("RTY-10", Case::of(Kind::AttemptTimeout, 0).left(105), "stop(deadline)"),
        ("RTY-11", Case::of(Kind::AttemptTimeout, 0).left(110), "retry(100ms)"),
        ("RTY-12", Case::status(503).post(), "stop(not_idempotent)"),
        ("RTY-13", Case::of(Kind::ConnectError, 0).post(), "retry(100ms)"),
        ("RTY-14", Case { key: true, ..Case::status(503).post() }, "retry(100ms)"),
        ("RTY-15", refused, "stop(do_not_retry)"),
        ("RTY-16", Case { token: false, ..Case::status(503) }, "stop(budget_exhausted)"),
        ("RTY-17", Case::of(Kind::BreakerOpen, 0), "stop(not_retryable)"),
        ("RTY-17", Case::of(Kind::LocalLimit, 0), "stop(not_retryable)"),
        ("RTY-18", Case::of(Kind::Cancelled, 0), "stop(not_retryable)"),
    ];
    for (id, case, expected) in cases {
        assert_eq!(case.decision(), expected, "{id}");
    }
}

#[test]
fn bud_01_to_05_the_budget() {
    let table = cases(include_str!("budget.md"));
    assert_eq!(table.len(), 5);
    for case in &table {
        case.config.assert_known(case.id, &["ratio", "min_per_sec"]);
        let set = BudgetSettings {
            ratio: case.config.ratio("ratio").unwrap_or(0.2),
            min_per_sec: case.config.ratio("min_per_sec").unwrap_or(1.0),
            ttl: ms(10_000),
        };
        let mut budget = Budget::default();
        for row in &case.rows {
            let (step, times) = row.step.split_once(" ×").unwrap();
            let times = 0..times.parse::<u32>().unwrap();
            let seen = if step == "deposit" {
                times.for_each(|_| budget.deposit(&set, row.at));
                format!("balance(milli)={}", budget.balance(&set, row.at))
            } else {
                format!("granted={}", times.filter(|_| budget.withdraw(&set, row.at)).count())
            };
            assert_eq!(seen, row.expect, "{}, at {:?}, {}", case.id, row.at, row.step);
        }
    }
}
