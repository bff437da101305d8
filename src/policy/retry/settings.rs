//! `retry:` of a source, as the machines read it.

use std::borrow::Cow;
use std::time::Duration;

use http::HeaderName;
use http::Method;

use crate::policy::outcome::Kind;
use crate::policy::outcome::Selector;

/// `retry:` of a source. Off is one attempt; the budget bounds hedges then, too.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RetrySettings {
    /// The first one included. At least 1.
    pub(crate) max_attempts: u32,
    /// Outcomes worth another attempt.
    pub(crate) retry_on: Cow<'static, [Selector]>,
    /// Methods of calls that may be made twice.
    pub(crate) methods: Cow<'static, [Method]>,
    /// Whether this call may be made twice, whatever its method; `None`: the method says.
    pub(crate) idempotent: Option<bool>,
    /// What tells the upstream that two attempts are one call, which makes it one that may be made twice.
    pub(crate) idempotency_key: Option<IdempotencyKey>,
    pub(crate) backoff: BackoffSettings,
    pub(crate) retry_after: RetryAfterSettings,
    /// Whether an attempt at another endpoint waits as well.
    pub(crate) delay_on_failover: bool,
    /// How many retries all calls together may make; `None`: no bound.
    pub(crate) budget: Option<BudgetSettings>,
}

/// `idempotency_key:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdempotencyKey {
    pub(crate) header: HeaderName,
    pub(crate) from: KeyFrom,
}

/// What the key is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyFrom {
    /// Chance: every call has its own.
    Uuid,
    /// The request: equal calls have equal keys.
    Hash,
}

/// `backoff:`
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct BackoffSettings {
    pub(crate) strategy: BackoffStrategy,
    pub(crate) base: Duration,
    /// The longest delay, jitter included.
    pub(crate) max: Duration,
    /// Of `exponential`. At least 1.
    pub(crate) multiplier: f64,
    pub(crate) jitter: Jitter,
    /// Of `proportional` jitter: the share by which it spreads, both ways.
    pub(crate) jitter_ratio: f64,
}

/// How delays grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BackoffStrategy {
    Exponential,
    Linear,
    Constant,
    /// Each drawn from a range that the one before it sets. Has no further jitter.
    Decorrelated,
    None,
}

/// How delays are spread, so that calls that failed together do not come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Jitter {
    None,
    /// Anything from nothing to the delay.
    Full,
    /// Anything from half the delay to all of it.
    Equal,
    /// The delay, give or take `jitter_ratio` of it.
    Proportional,
}

/// `retry_after:`
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RetryAfterSettings {
    pub(crate) respect: bool,
    /// Longer is not waited for.
    pub(crate) max: Duration,
    /// Share of it that is added at most, so that all who were told the same do not come back together.
    pub(crate) jitter_ratio: f64,
}

/// `budget:`
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct BudgetSettings {
    /// What a first attempt earns.
    pub(crate) ratio: f64,
    /// Tokens there are without earning any, per second of `ttl`.
    pub(crate) min_per_sec: f64,
    /// How far back it looks.
    pub(crate) ttl: Duration,
}

/// What `retry: off` is, and the defaults of the block but for `max_attempts`, each written here alone.
pub(crate) const RETRY_OFF: RetrySettings = RetrySettings {
    max_attempts: 1,
    retry_on: Cow::Borrowed(&RETRY_ON),
    methods: Cow::Borrowed(&METHODS),
    idempotent: None,
    idempotency_key: None,
    backoff: BackoffSettings {
        strategy: BackoffStrategy::Exponential,
        base: Duration::from_millis(100),
        max: Duration::from_secs(2),
        multiplier: 2.0,
        jitter: Jitter::Full,
        jitter_ratio: 0.2,
    },
    retry_after: RetryAfterSettings { respect: true, max: Duration::from_secs(10), jitter_ratio: 0.1 },
    delay_on_failover: false,
    budget: Some(BudgetSettings { ratio: 0.2, min_per_sec: 1.0, ttl: Duration::from_secs(10) }),
};

/// What may pass by itself.
static RETRY_ON: [Selector; 12] = [
    Selector::Kind(Kind::ConnectError),
    Selector::Kind(Kind::ConnectTimeout),
    Selector::Kind(Kind::AttemptTimeout),
    Selector::Kind(Kind::Reset),
    Selector::Kind(Kind::BodyError),
    Selector::Status(408),
    Selector::Status(425),
    Selector::Status(429),
    Selector::Status(500),
    Selector::Status(502),
    Selector::Status(503),
    Selector::Status(504),
];

static METHODS: [Method; 3] = [Method::GET, Method::HEAD, Method::OPTIONS];

impl RetrySettings {
    /// What `retry: {}` is.
    pub(crate) const DEFAULT_ATTEMPTS: u32 = 3;

    /// Whether a call with this method may be made twice.
    pub(crate) fn may_repeat(&self, method: &Method) -> bool {
        self.idempotent.unwrap_or_else(|| self.idempotency_key.is_some() || self.methods.contains(method))
    }
}
