//! The course of one flight's attempts: where the next goes, how long it may take, and what follows its failure.

use std::time::Duration;

use crate::policy::outcome::Kind;
use crate::policy::outcome::Selector;
use crate::policy::retry::settings::RetrySettings;

/// The terms on which the attempts of a source follow each other.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Terms {
    pub(crate) retry: RetrySettings,
    /// Whether the call may be made twice.
    pub(crate) repeatable: bool,
    /// How many endpoints there are to choose from. At least 1.
    pub(crate) endpoints: usize,
    /// Whether an attempt goes to the endpoint after the one before, or stays.
    pub(crate) failover: bool,
    /// Whether attempts share what time there is, or each may have all of it.
    pub(crate) split: bool,
    /// With less than this left, an attempt is not worth starting.
    pub(crate) min_attempt_budget: Duration,
}

/// A failed attempt, as the decision reads it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed {
    pub(crate) kind: Kind,
    pub(crate) status: Option<u16>,
    /// How long the upstream asked to be left alone.
    pub(crate) retry_after: Option<Duration>,
    /// Whether the upstream said that it is no use.
    pub(crate) do_not_retry: bool,
}

/// The circumstances of a decision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Present {
    /// What the flight has left.
    pub(crate) left: Duration,
    /// Where the next attempt would go; `None`: no circuit lets it through.
    pub(crate) next: Option<usize>,
    /// Chance, in [0, 1).
    pub(crate) draw: f64,
}

/// Why no attempt follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    NotRetryable,
    DoNotRetry,
    NotIdempotent,
    AttemptsExhausted,
    RetryAfterTooLong,
    Deadline,
    BreakerOpen,
    BudgetExhausted,
}

/// The memory of one flight's attempts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course {
    max_attempts: u32,
    /// Where the first attempt would like to go.
    first: usize,
    /// Where the last attempt went, sent or refused.
    last: Option<usize>,
    attempts: u32,
    /// Refused in a row, with nothing sent.
    refused: usize,
    /// The last delay, before what the upstream asked for.
    backoff: Option<Duration>,
}

impl Terms {
    /// Whether a call makes one attempt, at the only place there is.
    pub(crate) fn is_plain(&self) -> bool {
        self.retry.max_attempts == 1 && self.endpoints == 1
    }

    /// Whether another attempt might do better after this.
    pub(crate) fn retries(&self, failed: &Failed) -> Result<(), Stop> {
        let worth_it = |selector: &Selector| selector.matches(failed.kind, failed.status);
        if failed.kind.is_ours() || !self.retry.retry_on.iter().any(worth_it) {
            return Err(Stop::NotRetryable);
        }
        if failed.do_not_retry {
            return Err(Stop::DoNotRetry);
        }
        if self.repeatable || failed.kind.is_unsent() { Ok(()) } else { Err(Stop::NotIdempotent) }
    }
}

impl Course {
    /// No attempt made yet; the first would like to go to the endpoint `first`.
    pub(crate) fn new(max_attempts: u32, first: usize) -> Self {
        Self { max_attempts, first, last: None, attempts: 0, refused: 0, backoff: None }
    }

    /// How many attempts were sent.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Where the next attempt goes: to the first endpoint, in turn, whose circuit admits it. Those passed over cost
    /// neither an attempt nor a delay. `None`: there is none.
    pub(crate) fn next(&self, terms: &Terms, mut admits: impl FnMut(usize) -> bool) -> Option<usize> {
        if self.refused >= terms.endpoints {
            return None;
        }
        let (start, candidates) = match self.last {
            None => (self.first, terms.endpoints),
            Some(last) if terms.failover || self.attempts == 0 => (last + 1, terms.endpoints),
            Some(last) => (last, 1),
        };
        (start..start + candidates).map(|place| place % terms.endpoints.max(1)).find(|place| admits(*place))
    }

    /// How much of what is left the next attempt may have; `None`: all of it.
    pub(crate) fn share(&self, terms: &Terms, left: Duration) -> Option<Duration> {
        let remaining = self.max_attempts.saturating_sub(self.attempts).max(1);
        (terms.split && remaining > 1).then(|| left / remaining)
    }

    /// An attempt was sent to this endpoint.
    pub(crate) fn sent(&mut self, place: usize) {
        (self.last, self.refused) = (Some(place), 0);
        self.attempts += 1;
    }

    /// The circuit of this endpoint refused after all: nothing was sent.
    pub(crate) fn refused(&mut self, place: usize) {
        self.last = Some(place);
        self.refused += 1;
    }

    /// What follows a failed attempt: the wait before the next, or the reason why there is none.
    pub(crate) fn after(
        &mut self,
        terms: &Terms,
        failed: &Failed,
        present: Present,
        withdraw: impl FnOnce() -> bool,
    ) -> Result<Duration, Stop> {
        terms.retries(failed)?;
        if self.attempts >= self.max_attempts {
            return Err(Stop::AttemptsExhausted);
        }
        let delay = self.delay(terms, failed, present)?;
        if present.left < delay.saturating_add(terms.min_attempt_budget) {
            return Err(Stop::Deadline);
        }
        if present.next.is_none() {
            return Err(Stop::BreakerOpen);
        }
        if !withdraw() {
            return Err(Stop::BudgetExhausted);
        }
        Ok(delay)
    }

    /// Another endpoint has no part in what this one asks for, and is not waited for.
    fn delay(&mut self, terms: &Terms, failed: &Failed, present: Present) -> Result<Duration, Stop> {
        let elsewhere = present.next.is_some() && present.next != self.last;
        if elsewhere && !terms.retry.delay_on_failover {
            return Ok(Duration::ZERO);
        }
        let backoff = terms.retry.backoff.delay(self.attempts, self.backoff, present.draw);
        self.backoff = Some(backoff);
        let set = terms.retry.retry_after;
        match failed.retry_after.filter(|_| set.respect && !elsewhere) {
            Some(asked) if asked > set.max => Err(Stop::RetryAfterTooLong),
            Some(asked) => Ok(backoff.max(asked.mul_f64(1.0 + set.jitter_ratio * present.draw))),
            None => Ok(backoff),
        }
    }
}

impl Stop {
    /// The name in metrics and logs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NotRetryable => "not_retryable",
            Self::DoNotRetry => "do_not_retry",
            Self::NotIdempotent => "not_idempotent",
            Self::AttemptsExhausted => "attempts_exhausted",
            Self::RetryAfterTooLong => "retry_after_too_long",
            Self::Deadline => "deadline",
            Self::BreakerOpen => "breaker_open",
            Self::BudgetExhausted => "budget_exhausted",
        }
    }
}
