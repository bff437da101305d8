//! The keys of what keeps the server from taking on too much: `load_shedding` and `background` of `aggd.yaml`, and
//! `load_shedding` and `bulkhead` of a route.

use crate::config::vocabulary::Block;
use crate::config::vocabulary::Key;
use crate::config::vocabulary::Kind;
use crate::config::vocabulary::key;

const COUNT: Kind = Kind::Whole { min: 1, max: 10_000_000 };
const COUNT_OR_NONE: Kind = Kind::Whole { min: 0, max: 10_000_000 };
const DURATION: Kind = Kind::Duration { zero: false };
const DURATION_OR_ZERO: Kind = Kind::Duration { zero: true };
const STATUS: Kind = Kind::Whole { min: 400, max: 599 };

/// `load_shedding:` of `aggd.yaml`.
pub(crate) static LOAD_SHEDDING: Block = Block {
    keys: &[
        key("max_in_flight", COUNT, "1024", "requests under way, from their head until their answer is written"),
        key("thresholds", Kind::Block(&THRESHOLDS), "{}", "the share of those that each priority may fill"),
        key("queue", Kind::Block(&QUEUE), "{}", "requests may wait for their turn, where `max_waiting` is above 0"),
        key("signals", Kind::Block(&SIGNALS), "{}", "what else says that the machine has too much to do"),
        key("sample_interval", DURATION, "250ms", "how often the signals are read"),
        key("ewma_alpha", Kind::Ratio, "0.3", "the weight of a new sample in a signal's average"),
        key("exit_factor", Kind::Ratio, "0.9", "a level is left below this share of what entered it"),
        key(
            "brownout",
            Kind::Switch,
            "true",
            "whether what would be shed at a level above normal is answered from cache, where all of it is there",
        ),
        key("retry_after", Kind::Block(&RETRY_AFTER), "{}", "when a refused client is told to come back"),
        key(
            "exempt",
            Kind::List(&Kind::Text),
            r#"["/health", "/livez", "/readyz", "/metrics", "/admin"]"#,
            "paths of routes that are never shed, with all below them; the server's own never are",
        ),
    ],
    also: None,
    not_yet: &[],
};

static THRESHOLDS: Block = Block {
    keys: &[
        key("critical", Kind::Ratio, "1.0", "what is critical is admitted below this share of `max_in_flight`"),
        key("high", Kind::Ratio, "0.95", "the same of what is high"),
        key("normal", Kind::Ratio, "0.85", "the same of what is normal, as all is that does not say otherwise"),
        key("low", Kind::Ratio, "0.70", "the same of what is low; `0`: none of it"),
    ],
    also: None,
    not_yet: &[],
};

static QUEUE: Block = Block {
    keys: &[
        key("max_waiting", COUNT_OR_NONE, "0", "requests that wait; `0`: none, what finds no place is refused"),
        key("target", DURATION, "5ms", "a wait that is no overload"),
        key(
            "interval",
            DURATION,
            "100ms",
            "when everybody waited longer than `target` for so long, who waited twice that is refused",
        ),
        key(
            "order",
            Kind::OneOf(&["lifo_when_overloaded", "fifo", "priority"]),
            "lifo_when_overloaded",
            "who is next: the oldest, while overloaded the newest; always the oldest; or the most important",
        ),
        key("queue_timeout", DURATION, "500ms", "the longest wait"),
    ],
    also: None,
    not_yet: &[],
};

static SIGNALS: Block = Block {
    keys: &[
        key(
            "cpu",
            Kind::Block(&SHARE),
            "",
            "share of the CPU time that there is: of the cgroup's limit, or the machine",
        )
        .or_off(),
        key("memory", Kind::Block(&SHARE), "", "share of the memory that there is, the same way").or_off(),
        key("loop_lag", Kind::Block(&LAG), "", "how late our own timers are").or_off(),
        key("background_queue", Kind::Block(&FILL), "", "how full the fullest of the `background` queues is").or_off(),
    ],
    also: None,
    not_yet: &[],
};

static SHARE: Block = Block {
    keys: &[
        key("high", Kind::Ratio, "0.85", "from here on what is low is shed"),
        key("critical", Kind::Ratio, "0.95", "from here on what is normal is shed too"),
    ],
    also: None,
    not_yet: &[],
};

static FILL: Block = Block {
    keys: &[
        key("high", Kind::Ratio, "0.8", "from here on what is low is shed"),
        key("critical", Kind::Ratio, "0.95", "from here on what is normal is shed too"),
    ],
    also: None,
    not_yet: &[],
};

static LAG: Block = Block {
    keys: &[
        key("high", DURATION, "50ms", "from here on what is low is shed"),
        key("critical", DURATION, "200ms", "from here on what is normal is shed too"),
    ],
    also: None,
    not_yet: &[],
};

static RETRY_AFTER: Block = Block {
    keys: &[
        key("base", DURATION, "1s", "at the earliest"),
        key("jitter", DURATION_OR_ZERO, "2s", "and up to this much later, so that they do not all come at once"),
    ],
    also: None,
    not_yet: &[],
};

/// `background:` of `aggd.yaml`.
pub(crate) static BACKGROUND: Block = Block {
    keys: &[
        key("refresh", Kind::Block(&REFRESH), "{}", "what is fetched anew behind the replies"),
        key("audit", Kind::Block(&AUDIT), "{}", "records of the audit log that are not written yet"),
    ],
    also: None,
    not_yet: &["webhook", "events"],
};

static REFRESH: Block = Block {
    keys: &[
        key("max_pending", COUNT, "1000", "refreshes that wait or are under way; more are dropped"),
        HIGH_WATER_MARK,
        LOW_WATER_MARK,
        key("workers", COUNT, "16", "refreshes under way at the same time"),
        key(
            "overflow",
            Kind::OneOf(&["drop_newest", "drop_oldest"]),
            "drop_newest",
            "which goes when there is no room: the one that comes, or the one that waited longest",
        ),
    ],
    also: None,
    not_yet: &[],
};

static AUDIT: Block = Block {
    keys: &[
        key("max_pending", COUNT, "100000", "records in memory; more are dropped and counted"),
        key("high_water_mark", COUNT, "(80% of max_pending)", "from here on the log warns; records are still taken"),
        key("low_water_mark", COUNT_OR_NONE, "(20% of max_pending)", "from here on down all is well again"),
    ],
    also: None,
    not_yet: &[],
};

const HIGH_WATER_MARK: Key = key("high_water_mark", COUNT, "(80% of max_pending)", "from here on nothing is taken");
const LOW_WATER_MARK: Key =
    key("low_water_mark", COUNT_OR_NONE, "(20% of max_pending)", "until no more than this are left");

/// `load_shedding:` of a route.
pub(crate) static ROUTE_SHEDDING: Block = Block {
    keys: &[
        key("max_in_flight", COUNT, "", "requests of this route under way").required(),
        key("thresholds", Kind::Block(&THRESHOLDS), "{}", "the share of those that each priority may fill"),
        STATUS_KEY,
        MESSAGE_KEY,
        key("retry_after", DURATION, "(load_shedding.retry_after)", "when a refused client is told to come back"),
    ],
    also: None,
    not_yet: &[],
};

/// `bulkhead:` of a route.
pub(crate) static ROUTE_BULKHEAD: Block = Block {
    keys: &[
        key("max_concurrent", COUNT, "", "requests of this route under way; further ones wait").required(),
        key("max_waiting", COUNT_OR_NONE, "64", "requests that wait; `0`: none, what finds no place is refused"),
        key("queue_timeout", DURATION, "1s", "the longest wait"),
        STATUS_KEY,
        MESSAGE_KEY,
        key("retry_after", DURATION, "(load_shedding.retry_after)", "when a refused client is told to come back"),
    ],
    also: None,
    not_yet: &[],
};

const STATUS_KEY: Key = key("status", STATUS, "503", "of the refusal");
const MESSAGE_KEY: Key = key("message", Kind::Text, "(what was full)", "`detail` of the refusal");
