//! `breaker:` of a source, as the machine reads it.

use std::time::Duration;

/// `breaker:` of a source. `breaker: off` is `enabled: false`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BreakerSettings {
    /// Off is the same as forced closed: everything is admitted, results are counted, nothing opens it.
    pub(crate) enabled: bool,
    /// Consecutive failures that open the circuit; 0 switches this trigger off.
    pub(crate) failure_threshold: u32,
    /// The second trigger: a rate over a sliding window.
    pub(crate) window: Option<WindowSettings>,
    /// How long an open circuit stays open before it lets a probe through.
    pub(crate) recovery_timeout: Duration,
    /// How the open period grows while probes go on failing.
    pub(crate) open_backoff: OpenBackoff,
    /// Whether an upstream's `Retry-After` lengthens the open period.
    pub(crate) honor_retry_after: bool,
    /// What a half-open circuit lets through, and what closes or reopens it.
    pub(crate) half_open: HalfOpenSettings,
    /// What a 429 counts as while closed.
    pub(crate) throttled: Throttled,
}

/// A sliding window and the rates that trip over it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WindowSettings {
    /// By time or by count.
    pub(crate) shape: WindowShape,
    /// Fewer calls than this in the window never trip. At least 1.
    pub(crate) minimum_throughput: u32,
    /// Share of failures that trips, 0 to 1; `None`: not watched.
    pub(crate) failure_rate: Option<f64>,
    /// A call that took longer than this is slow; `None`: none is.
    pub(crate) slow_call_duration: Option<Duration>,
    /// Share of slow calls that trips, 0 to 1.
    pub(crate) slow_call_rate: Option<f64>,
}

/// The shape of a window. A change of it clears the window and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WindowShape {
    /// The last `size`, in `buckets` steps; `size` is divisible by `buckets`.
    Time {
        /// How far back it looks.
        size: Duration,
        /// In how many steps it forgets. At least 1.
        buckets: u32,
    },
    /// The last `size` calls.
    Count {
        /// How many.
        size: u32,
    },
}

/// `open_backoff:`
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct OpenBackoff {
    /// Each further opening without a close multiplies the open period by this. At least 1.
    pub(crate) multiplier: f64,
    /// The longest open period, `Retry-After` included; jitter is added to it.
    pub(crate) max: Duration,
    /// Share of the period that is random, 0 to 1.
    pub(crate) jitter: f64,
}

/// `half_open:`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HalfOpenSettings {
    /// Probes at the same time. At least 1.
    pub(crate) max_probes: u32,
    /// Successful probes that close. At least 1.
    pub(crate) success_threshold: u32,
    /// Failed probes that reopen. At least 1.
    pub(crate) failure_threshold: u32,
    /// When a probe that never reported counts as failed; `None`: the attempt's budget and a second.
    pub(crate) probe_lease: Option<Duration>,
}

/// `throttled:`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Throttled {
    /// A 429 says nothing while the circuit is closed.
    Neutral,
    /// A 429 is a failure.
    Failure,
}

/// Used where the file is silent. The only place these defaults are written.
pub(crate) const BREAKER_DEFAULTS: BreakerSettings = BreakerSettings {
    enabled: true,
    failure_threshold: 5,
    window: None,
    recovery_timeout: Duration::from_secs(30),
    open_backoff: OpenBackoff { multiplier: 1.0, max: Duration::from_secs(300), jitter: 0.0 },
    honor_retry_after: true,
    half_open: HalfOpenSettings { max_probes: 1, success_threshold: 1, failure_threshold: 1, probe_lease: None },
    throttled: Throttled::Neutral,
};
