//! Whether another attempt follows a failed one, when, and where: one flight's attempts, decided step by step.
//!
//! After a failed attempt these are asked in this order, and the first that says no is the reason why it stops:
//!
//! | question | reason |
//! |---|---|
//! | is the outcome one of `retry_on`? | `not_retryable` |
//! | does the upstream not forbid it? | `do_not_retry` |
//! | was nothing sent, or may the call be made twice? | `not_idempotent` |
//! | are attempts left? | `attempts_exhausted` |
//! | is what the upstream asks for not too long to wait? | `retry_after_too_long` |
//! | is there time for the wait and an attempt after it? | `deadline` |
//! | does any circuit let it through? | `breaker_open` |
//! | does the budget have a token? | `budget_exhausted` |

mod backoff;
mod budget;
mod course;
mod settings;

pub(crate) use budget::Budget;
pub(crate) use course::Course;
pub(crate) use course::Failed;
pub(crate) use course::Present;
pub(crate) use course::Stop;
pub(crate) use course::Terms;
pub(crate) use settings::BackoffSettings;
pub(crate) use settings::BackoffStrategy;
pub(crate) use settings::BudgetSettings;
pub(crate) use settings::IdempotencyKey;
pub(crate) use settings::Jitter;
pub(crate) use settings::KeyFrom;
pub(crate) use settings::RETRY_OFF;
pub(crate) use settings::RetryAfterSettings;
pub(crate) use settings::RetrySettings;
