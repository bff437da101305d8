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

/// `rate_limit:` of a source.
pub(crate) static RATE_LIMIT: Block = Block {
    keys: &[
        key("rate", Kind::Rate, "", "calls in a time: `10/second`, `100/minute`").required(),
        key("burst", COUNT, "", "the most at once; without it, the number in `rate`").nullable(),
        key("cost", Kind::Scalar, "1", "what one call takes: a number, or a placeholder of an integer parameter"),
        key("mode", Kind::OneOf(&["wait", "reject"]), "wait", "whether a call waits for its turn, or fails at once"),
        key("max_wait", DURATION, "1s", "a call that would wait for longer fails at once"),
        key("max_queue", COUNT, "1000", "calls that wait"),
        key(
            "pause_on_429",
            Kind::Switch,
            "true",
            "whether a 429 or 503 with `Retry-After` holds up all calls of the source until then",
        ),
    ],
    also: None,
    not_yet: &["shared"],
};

/// `adaptive_concurrency:`.
pub(crate) static ADAPTIVE: Block = Block {
    keys: &[
        key("algorithm", Kind::OneOf(&["aimd", "gradient2", "vegas"]), "aimd", "by what the limit moves"),
        key("initial", COUNT, "20", "the limit that it begins with"),
        key("min", COUNT, "1", "the least limit"),
        key("max", COUNT, "200", "the highest limit"),
        key("measurement_window", COUNT, "100", "`aimd`: it decides after so many calls"),
        key("success_threshold", Kind::Ratio, "0.95", "`aimd`: a larger share of successes lets it grow"),
        key("failure_threshold", Kind::Ratio, "0.80", "`aimd`: a smaller share of successes makes it shrink"),
        key("increase", Kind::Number { min: 0.0 }, "1.0", "`aimd`: by how much it grows"),
        key("decrease_factor", Kind::Ratio, "0.9", "`aimd`: to what share it shrinks"),
        key("sample_window", Kind::Block(&SAMPLE_WINDOW), "{}", "`gradient2`: when it decides"),
        key("long_window", COUNT, "600", "`gradient2`: how many windows make the long mean"),
        key(
            "rtt_tolerance",
            Kind::Number { min: 1.0 },
            "1.5",
            "`gradient2`: so many times slower than the long mean is no strain yet",
        ),
        key("smoothing", Kind::Ratio, "0.2", "`gradient2`: what share of each step is taken"),
        key("queue", COUNT_OR_NONE, "4", "`gradient2`: by how much it tries to grow"),
    ],
    also: None,
    not_yet: &[],
};

static SAMPLE_WINDOW: Block = Block {
    keys: &[
        key("min", DURATION, "1s", "not sooner than this"),
        key("min_samples", COUNT, "10", "not with fewer calls than this"),
    ],
    also: None,
    not_yet: &[],
};

/// `client_throttle:`.
pub(crate) static THROTTLE: Block = Block {
    keys: &[
        key("enabled", Kind::Switch, "true", "`client_throttle: off` is the same as `enabled: false`"),
        key("k", Kind::Number { min: 1.0 }, "2.0", "so many calls for one that the upstream accepts are well"),
        key("window", DURATION, "120s", "how far back it looks; longer than any call takes"),
        key("min_requests", COUNT, "20", "with fewer calls in the window none is refused"),
        key("max_reject", Kind::Ratio, "0.9", "the largest share that is not sent"),
    ],
    also: None,
    not_yet: &[],
};
