//! What stands between an attempt of one source and the network, as it is configured. The order in which it stands is in
//! `request/admission.rs`.

use std::time::Duration;

use crate::policy::adaptive::AdaptiveSettings;
use crate::policy::limiter::LimiterSettings;
use crate::policy::limiter::QueueOrder;
use crate::policy::rate::RateLimitSettings;
use crate::policy::throttle::ThrottleSettings;

/// The limits of one source.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AdmissionSettings {
    /// How many of its calls may be in flight, and how further ones wait; `None`: `bulkhead: off`.
    pub(crate) bulkhead: Option<LimiterSettings>,
    /// Finds the limit of the bulkhead by itself; `None`: `adaptive_concurrency: off`.
    pub(crate) adaptive: Option<AdaptiveSettings>,
    /// How many of its calls may be sent in a time; `None`: `rate_limit: off`.
    pub(crate) rate_limit: Option<RateLimitSettings>,
    /// How it spares an upstream that turns calls away; `None`: `client_throttle: off`.
    pub(crate) throttle: Option<ThrottleSettings>,
}

/// `bulkhead:` where the file is silent; `concurrency` is `limits.concurrency`.
pub(crate) fn bulkhead_defaults(concurrency: u32) -> LimiterSettings {
    LimiterSettings {
        limit: share(concurrency),
        max_waiting: 64,
        queue_timeout: Some(Duration::from_secs(1)),
        order: QueueOrder::Fifo,
    }
}

/// What one source may have of the global semaphore, unless it says otherwise: half of it at most, so that no source
/// that hangs can hold all of it.
pub(crate) fn share(concurrency: u32) -> u32 {
    (concurrency / 2).clamp(1, 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_has_half_of_the_semaphore_at_most_and_one_place_at_least() {
        let cases = [(1, 1), (2, 1), (3, 1), (10, 5), (64, 32), (100, 32), (10_000, 32)];
        for (concurrency, expected) in cases {
            assert_eq!(bulkhead_defaults(concurrency).limit, expected, "{concurrency}");
        }
    }
}
