//! The keys of `endpoints` and `strategy`.

use crate::config::vocabulary::Block;
use crate::config::vocabulary::Kind;
use crate::config::vocabulary::key;

const DURATION: Kind = Kind::Duration { zero: false };

/// The words that a strategy may be written as alone.
pub(super) const STRATEGIES: &[&str] = &["single", "sequential", "hedged"];

/// An item of `endpoints`.
pub(super) static ENDPOINT: Block = Block {
    keys: &[
        key(
            "id",
            Kind::Name,
            "(scheme://host:port)",
            "its name in metrics; its circuit lives as long as the name does",
        ),
        key("url", Kind::Url, "", "as `url` of the source").required(),
        key("weight", Kind::Whole { min: 1, max: 100 }, "1", "its share of the calls, by any `order` but `declared`"),
    ],
    also: None,
    not_yet: &[],
};

/// `strategy:`
pub(super) static STRATEGY: Block = Block {
    keys: &[
        key(
            "type",
            Kind::OneOf(STRATEGIES),
            "single",
            "one endpoint, the next one with each attempt, or two at once when the first is slow",
        ),
        key(
            "order",
            Kind::OneOf(&["declared", "round_robin", "random", "least_pending"]),
            "declared",
            "which endpoint is the first choice",
        ),
        key("hedge", Kind::Block(&HEDGE), "{}", "of `hedged`"),
    ],
    also: None,
    not_yet: &[],
};

static HEDGE: Block = Block {
    keys: &[
        key("max_attempts", Kind::Whole { min: 2, max: 5 }, "2", "the first one included"),
        key(
            "delay",
            Kind::DurationOrPercentile,
            "200ms",
            "how long an attempt may take before another is launched; `p95`: as long as 95 of 100 take",
        ),
        key("delay_bounds", Kind::List(&DURATION), "[20ms, 2s]", "the least and the most that a percentile gives"),
        key("min_samples", Kind::Whole { min: 1, max: 1_000_000 }, "50", "with fewer calls seen, `delay_fallback`"),
        key("delay_fallback", DURATION, "500ms", "in place of a percentile that is not known yet"),
        key("window", DURATION, "5m", "how far back a percentile looks"),
        key("max_extra_load", Kind::Ratio, "0.05", "hedges that a call earns"),
    ],
    also: None,
    not_yet: &[],
};
