//! The policies of a source, which `defaults` of `aggd.yaml` may hold too.

use crate::config::vocabulary::Block;
use crate::config::vocabulary::Kind;
use crate::config::vocabulary::admission::ADAPTIVE;
use crate::config::vocabulary::admission::BULKHEAD;
use crate::config::vocabulary::admission::RATE_LIMIT;
use crate::config::vocabulary::admission::THROTTLE;
use crate::config::vocabulary::key;
use crate::config::vocabulary::retry::RETRY;
use crate::config::vocabulary::strategy::STRATEGIES;
use crate::config::vocabulary::strategy::STRATEGY;

const SCOPES: Kind = Kind::OneOf(&["shared", "tenant", "principal"]);
const COUNT: Kind = Kind::Whole { min: 1, max: 1_000_000 };
const DURATION: Kind = Kind::Duration { zero: false };
const DURATION_OR_ZERO: Kind = Kind::Duration { zero: true };

/// What protects a source, and what keeps its answers.
pub(crate) static POLICIES: Block = Block {
    keys: &[
        key("timeout", DURATION, "5s", "total budget of the source within one request"),
        key("attempt_timeout", DURATION, "", "per attempt; without it, what is left of `timeout`").or_off().nullable(),
        key("connect_timeout", DURATION, "(client.connect_timeout)", "DNS, TCP and TLS"),
        key("read_timeout", DURATION, "", "the longest gap between two chunks of a body").or_off().nullable(),
        key("min_attempt_budget", DURATION, "10ms", "with less than this left, no attempt is started"),
        key(
            "deadline_split",
            Kind::OneOf(&["none", "even"]),
            "none",
            "`even`: what is left of `timeout` is shared by the attempts that are left",
        ),
        key("strategy", Kind::WordOr(STRATEGIES, &STRATEGY), "single", "which of `endpoints` a call goes to"),
        key("retry", Kind::Block(&RETRY), "off", "calls again what failed; `retry: {}` is all of its defaults")
            .or_off(),
        key("breaker", Kind::Block(&BREAKER), "{}", "stops calling what keeps failing").or_off(),
        key("client_throttle", Kind::Block(&THROTTLE), "off", "sends fewer calls to an upstream that turns them away")
            .or_off(),
        key("bulkhead", Kind::Block(&BULKHEAD), "{}", "how many of its calls are in flight, and how more wait")
            .or_off(),
        key("adaptive_concurrency", Kind::Block(&ADAPTIVE), "off", "a `bulkhead.max_concurrent` that finds itself")
            .or_off(),
        key("rate_limit", Kind::Block(&RATE_LIMIT), "off", "how many of its calls are sent in a time").or_off(),
        key("cache", Kind::Block(&CACHE), "{}", "keeps answers").or_off(),
        key("fallback", Kind::List(&Kind::Block(&FALLBACK)), "[]", "what stands in for a failed call, in this order"),
        key("fallback_on", Kind::OneOrMany(&Kind::Failure), "failure", "which failures `fallback` is for"),
        key(
            "fallback_reserve",
            DURATION_OR_ZERO,
            "200ms",
            "kept of `timeout` where `fallback` has a `source`; the default is never more than half of it",
        ),
    ],
    also: None,
    not_yet: &[],
};

static BREAKER: Block = Block {
    keys: &[
        key("enabled", Kind::Switch, "true", "`breaker: off` is the same as `enabled: false`"),
        key("scope", Kind::OneOf(&["endpoint", "source"]), "endpoint", "a circuit for each endpoint, or one for all"),
        key(
            "failure_threshold",
            Kind::Whole { min: 0, max: 1_000_000 },
            "5",
            "consecutive failures that open it; 0 switches this trigger off",
        ),
        key("window", Kind::Block(&WINDOW), "", "a second trigger: rates over the last calls").or_off().nullable(),
        key("recovery_timeout", DURATION, "30s", "how long it stays open before it lets a probe through"),
        key("open_backoff", Kind::Block(&OPEN_BACKOFF), "{}", "how the open period grows while probes go on failing"),
        key("honor_retry_after", Kind::Switch, "true", "whether an upstream's `Retry-After` lengthens the open period"),
        key("half_open", Kind::Block(&HALF_OPEN), "{}", "what is let through to see whether the upstream is back"),
        key("throttled", Kind::OneOf(&["neutral", "failure"]), "neutral", "what a 429 counts as while it is closed"),
    ],
    also: None,
    not_yet: &["shared"],
};

static WINDOW: Block = Block {
    keys: &[
        key("type", Kind::OneOf(&["time", "count"]), "time", "the last so much time, or the last so many calls"),
        key("size", Kind::Scalar, "", "`30s` with `type: time`, `100` with `type: count`").required(),
        key("buckets", COUNT, "10", "with `type: time`: in how many steps it forgets; `size` is divisible by it"),
        key("minimum_throughput", COUNT, "20", "fewer calls than this in the window never open it"),
        key("failure_rate", Kind::Ratio, "", "share of failures that opens it").nullable(),
        key("slow_call_duration", DURATION, "", "a call that took longer is slow").nullable(),
        key("slow_call_rate", Kind::Ratio, "", "share of slow calls that opens it").nullable(),
    ],
    also: None,
    not_yet: &[],
};

static OPEN_BACKOFF: Block = Block {
    keys: &[
        key(
            "multiplier",
            Kind::Number { min: 1.0 },
            "1.0",
            "each opening without a close makes the open period so much longer",
        ),
        key("max", DURATION, "5m", "the longest open period, `Retry-After` included"),
        key("jitter", Kind::Ratio, "0.0", "share of the period that is random"),
    ],
    also: None,
    not_yet: &[],
};

static HALF_OPEN: Block = Block {
    keys: &[
        key("max_probes", COUNT, "1", "probes at the same time"),
        key("success_threshold", COUNT, "1", "successful probes that close it"),
        key("failure_threshold", COUNT, "1", "failed probes that reopen it"),
        key("probe_lease", DURATION, "", "a probe that has not reported by then has failed; else its budget and 1s")
            .nullable(),
    ],
    also: None,
    not_yet: &[],
};

static CACHE: Block = Block {
    keys: &[
        key("enabled", Kind::Switch, "true", "`cache: off` is the same as `enabled: false`"),
        key("ttl", DURATION_OR_ZERO, "60s", "younger than this is fresh; `0s`: kept for `stale_if_error` alone"),
        key("ttl_jitter", Kind::Ratio, "0.0", "share of the ttl that is random; it only ever shortens"),
        key(
            "refresh_ahead",
            Kind::RatioOr("xfetch"),
            "50%",
            "fetched anew behind the reply when older than this share of the ttl",
        )
        .or_off(),
        key(
            "stale_while_revalidate",
            DURATION_OR_ZERO,
            "0s",
            "how long past its ttl it is served while it is fetched anew",
        )
        .or_off(),
        key("stale_if_error", DURATION_OR_ZERO, "5m", "how long past its ttl it stands in for a failed call").or_off(),
        key("negative", Kind::Block(&NEGATIVE), "off", "whether definitive refusals are kept").or_off(),
        key("coalesce", Kind::Block(&COALESCE), "{}", "whether callers who want the same share one call").or_off(),
        key("scope", SCOPES, "shared", "among whom a copy and a call are shared"),
        key("key", Kind::Block(&CACHE_KEY), "{}", "what tells entries apart, besides the parameters"),
        key("max_entry_bytes", Kind::Size, "1MiB", "a larger answer is served, not stored"),
        key(
            "respect_upstream",
            Kind::Switch,
            "false",
            "whether what the upstream's `Cache-Control` forbids is obeyed; it only ever shortens",
        ),
        key(
            "conditional",
            Kind::Switch,
            "true",
            "whether a copy with an `ETag` or `Last-Modified` is fetched anew only if it changed",
        ),
    ],
    also: None,
    not_yet: &[],
};

static NEGATIVE: Block = Block {
    keys: &[
        key("ttl", DURATION, "5s", "how long a refusal is kept"),
        key(
            "statuses",
            Kind::List(&Kind::Whole { min: 100, max: 599 }),
            "[404, 410]",
            "which: of 404, 410, 204, 301, 308",
        ),
    ],
    also: None,
    not_yet: &[],
};

static COALESCE: Block = Block {
    keys: &[
        key("enabled", Kind::Switch, "true", "`coalesce: off` is the same as `enabled: false`"),
        key("max_age", DURATION, "", "a call older than this is not joined; without it, `timeout`").nullable(),
        key(
            "on_abandon",
            Kind::OneOf(&["complete", "cancel"]),
            "complete",
            "what becomes of a call that nobody waits for",
        ),
    ],
    also: None,
    not_yet: &[],
};

static CACHE_KEY: Block = Block {
    keys: &[key("headers", Kind::List(&Kind::HeaderName), "[]", "client headers whose values tell entries apart")],
    also: None,
    not_yet: &["params"],
};

static FALLBACK: Block = Block {
    keys: &[
        key("stale", Kind::Block(&STALE), "", "a cached copy past its time"),
        key("source", Kind::Name, "", "another source"),
        key("value", Kind::Tree, "", "a constant").nullable(),
    ],
    also: None,
    not_yet: &[],
};

pub(super) static STALE: Block = Block {
    keys: &[key("max_age", DURATION, "", "at most this long past its ttl").required()],
    also: None,
    not_yet: &[],
};
