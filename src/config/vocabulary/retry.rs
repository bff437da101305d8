//! The keys of `retry`.

use crate::config::vocabulary::Block;
use crate::config::vocabulary::Kind;
use crate::config::vocabulary::key;

const DURATION: Kind = Kind::Duration { zero: false };
const METHODS: Kind = Kind::OneOf(&["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]);

/// `retry:`
pub(super) static RETRY: Block = Block {
    keys: &[
        key("max_attempts", Kind::Whole { min: 1, max: 10 }, "3", "the first one included"),
        key(
            "retry_on",
            Kind::OneOrMany(&Kind::Selector),
            "[connect_error, connect_timeout, attempt_timeout, reset, body_error, 408, 425, 429, 500, 502, 503, 504]",
            "outcomes worth another attempt",
        ),
        key("methods", Kind::List(&METHODS), "[GET, HEAD, OPTIONS]", "methods of calls that may be made twice"),
        key("idempotent", Kind::Switch, "", "whether this call may be made twice, whatever its method").nullable(),
        key(
            "idempotency_key",
            Kind::Block(&IDEMPOTENCY_KEY),
            "",
            "a header by which the upstream knows that two attempts are one call; it may then be made twice",
        )
        .or_off()
        .nullable(),
        key("backoff", Kind::Block(&BACKOFF), "{}", "how long to wait before each retry"),
        key("retry_after", Kind::Block(&RETRY_AFTER), "{}", "what becomes of an upstream's `Retry-After`"),
        key("delay_on_failover", Kind::Switch, "false", "whether an attempt at another endpoint waits as well"),
        key("budget", Kind::Block(&BUDGET), "{}", "how many retries all calls of the source may make together")
            .or_off(),
    ],
    also: None,
    not_yet: &[],
};

static IDEMPOTENCY_KEY: Block = Block {
    keys: &[
        key("header", Kind::HeaderName, "Idempotency-Key", "in which it is sent"),
        key(
            "from",
            Kind::OneOf(&["uuid", "hash"]),
            "uuid",
            "chance, so that each call has its own, or the request, so that equal calls have the same",
        ),
    ],
    also: None,
    not_yet: &[],
};

static BACKOFF: Block = Block {
    keys: &[
        key(
            "strategy",
            Kind::OneOf(&["exponential", "linear", "constant", "decorrelated", "none"]),
            "exponential",
            "how delays grow",
        ),
        key("base", DURATION, "100ms", "the first delay"),
        key("max", DURATION, "2s", "the longest delay, jitter included"),
        key("multiplier", Kind::Number { min: 1.0 }, "2.0", "of `exponential`: each delay is so much longer"),
        key(
            "jitter",
            Kind::OneOf(&["full", "equal", "proportional", "none"]),
            "full",
            "from nothing to the delay, from half of it, `jitter_ratio` both ways, or exactly",
        ),
        key("jitter_ratio", Kind::Ratio, "0.2", "of `proportional` jitter"),
    ],
    also: None,
    not_yet: &[],
};

static RETRY_AFTER: Block = Block {
    keys: &[
        key("respect", Kind::Switch, "true", "whether it is waited for"),
        key("max", DURATION, "10s", "an upstream that asks for more is not asked again"),
        key("jitter_ratio", Kind::Ratio, "0.1", "share of it that is waited longer, at most"),
    ],
    also: None,
    not_yet: &[],
};

static BUDGET: Block = Block {
    keys: &[
        key("ratio", Kind::Ratio, "0.2", "retries that a first attempt earns"),
        key("min_per_sec", Kind::Number { min: 0.0 }, "1", "retries per second that need no earning"),
        key("ttl", DURATION, "10s", "how long earnings and spendings are remembered"),
    ],
    also: None,
    not_yet: &[],
};
