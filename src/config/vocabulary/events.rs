//! The keys of `events:` in `aggd.yaml`.

use crate::config::vocabulary::Block;
use crate::config::vocabulary::Key;
use crate::config::vocabulary::Kind;
use crate::config::vocabulary::key;
use crate::policy::events::EventType;

/// `events:`
pub(crate) static EVENTS: Block = Block {
    keys: &[
        key(
            "buffer",
            Kind::Whole { min: 1, max: 100_000 },
            "1024",
            "state changes kept for listeners who come back, and events that may wait for one listener",
        ),
        key("max_subscribers", Kind::Whole { min: 1, max: 10_000 }, "64", "listeners at once"),
        key("sample", Kind::Block(&SAMPLE), "{}", "shares of the events that every call may cause"),
    ],
    also: None,
    not_yet: &[],
};

/// `events.sample:` every type of high volume; state changes are always told.
static SAMPLE: Block = Block {
    keys: &[
        share(EventType::RetryAttempt, "a call is tried again"),
        share(EventType::RetrySuccess, "a call succeeded that was tried again"),
        share(EventType::RetryExhausted, "a call failed for good"),
        share(EventType::HedgeLaunched, "a second call for the same answer was begun"),
        share(EventType::HedgeWon, "it was the first to answer"),
        share(EventType::HedgeSuppressed, "it was due, and was not begun"),
        share(EventType::TimeoutExceeded, "a timer cut work off"),
        share(EventType::BulkheadRejected, "a limiter had no place"),
        share(EventType::RateLimitExceeded, "a rate limit refused"),
        share(EventType::AdaptiveLimitChanged, "an adaptive limit moved"),
        share(EventType::FallbackUsed, "something stood in for a failed call"),
    ],
    also: None,
    not_yet: &["webhook.delivered"],
};

const fn share(kind: EventType, about: &'static str) -> Key {
    key(kind.as_str(), Kind::Ratio, "(1 a second for each source)", about)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_high_volume_has_a_share_and_no_other() {
        for kind in EventType::ALL {
            let name = kind.as_str();
            assert_eq!(SAMPLE.find(name).is_some() || SAMPLE.is_not_yet(name), !kind.is_kept(), "{name}");
        }
    }
}
