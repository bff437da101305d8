//! The keys of what stands between an attempt and the network.

use crate::config::vocabulary::Block;
use crate::config::vocabulary::Kind;
use crate::config::vocabulary::key;

const COUNT: Kind = Kind::Whole { min: 1, max: 1_000_000 };
const COUNT_OR_NONE: Kind = Kind::Whole { min: 0, max: 1_000_000 };
const DURATION: Kind = Kind::Duration { zero: false };

/// `bulkhead:`.
pub(crate) static BULKHEAD: Block = Block {
    keys: &[
        key(
            "max_concurrent",
            COUNT,
            "(half of limits.concurrency, at most 32)",
            "calls of the source in flight; further ones wait",
        ),
        key("max_waiting", COUNT_OR_NONE, "64", "calls that wait; `0`: none, what finds no place fails"),
        key("queue_timeout", DURATION, "1s", "the longest wait"),
        key(
            "queue_order",
            Kind::OneOf(&["fifo", "priority"]),
            "fifo",
            "who is next: who came first, or the most important",
        ),
    ],
    also: None,
    not_yet: &[],
};
