//! The keys of `aggd.yaml`.

use crate::config::vocabulary::Block;
use crate::config::vocabulary::EVENTS;
use crate::config::vocabulary::Kind;
use crate::config::vocabulary::POLICIES;
use crate::config::vocabulary::access::ACCESS;
use crate::config::vocabulary::key;
use crate::config::vocabulary::limits::LIMIT;
use crate::config::vocabulary::shedding::BACKGROUND;
use crate::config::vocabulary::shedding::LOAD_SHEDDING;

const COUNT: Kind = Kind::Whole { min: 1, max: 10_000_000 };
const COUNT_OR_NONE: Kind = Kind::Whole { min: 0, max: 10_000_000 };
const DURATION: Kind = Kind::Duration { zero: false };
const DURATION_OR_ZERO: Kind = Kind::Duration { zero: true };

/// `aggd.yaml`.
pub(crate) static SERVER: Block = Block {
    keys: &[
        key("listen", Kind::Listen, "127.0.0.1:8080", "address of the API, or `unix:/path`"),
        key("admin", Kind::Block(&ADMIN), "{}", "who may see and change the running server"),
        key("sources", Kind::Text, "sources.d", "folder of the sources and routes, relative to this file"),
        key("database", Kind::Database, "sqlite://aggd.db", "the audit log: `sqlite://PATH`, `postgres://…`, or `off`")
            .or_off(),
        key("limits", Kind::Block(&LIMITS), "{}", "what the server takes on at the same time"),
        key("deadline", Kind::Block(&DEADLINE), "{}", "how long a request may take"),
        key(
            "priority_header",
            Kind::HeaderName,
            "X-Request-Priority",
            "header in which clients say how important a request is: `low`, `normal`, `high`, `critical`",
        )
        .or_off(),
        key("auth", Kind::Block(&ACCESS), "", "who may ask; without it everybody may"),
        key(
            "rate_limits",
            Kind::List(&Kind::Block(&LIMIT)),
            "[]",
            "how much each client may ask; every one that fits holds",
        ),
        key(
            "trusted_proxies",
            Kind::List(&Kind::Network),
            "[]",
            "networks of proxies whose `X-Forwarded-For` is believed",
        ),
        key("load_shedding", Kind::Block(&LOAD_SHEDDING), "{}", "turns requests away, so that the others are answered")
            .or_off(),
        key("background", Kind::Block(&BACKGROUND), "{}", "bounds of the queues of work behind the replies"),
        key("cache", Kind::Block(&STORE), "{}", "bounds of the in-memory store; a source's cache is its own `cache`"),
        key("client", Kind::Block(&CLIENT), "{}", "the HTTP client that all sources share"),
        key("reload", Kind::Block(&RELOAD), "{}", "how changes of these files are seen and applied"),
        key("events", Kind::Block(&EVENTS), "{}", "what `GET /events` tells, and whom"),
        key("telemetry", Kind::Block(&TELEMETRY), "{}", "logs"),
        key("defaults", Kind::Block(&POLICIES), "{}", "policies of every source; a source's own key wins, key by key"),
    ],
    also: None,
    not_yet: &["tls", "redis", "webhooks"],
};

static ADMIN: Block = Block {
    keys: &[
        key(
            "listen",
            Kind::Listen,
            "",
            "when set, all but routes, `/aggregate`, `/livez`, `/readyz` is served there only",
        ),
        key("token", Kind::Text, "", "bearer token of calls that change something; without one only loopback may")
            .secret(),
    ],
    also: None,
    not_yet: &[],
};

static LIMITS: Block = Block {
    keys: &[
        key("concurrency", COUNT, "100", "outbound calls in flight over all sources"),
        key("max_waiting", COUNT_OR_NONE, "10000", "callers waiting for one of those"),
        key("max_request_bytes", Kind::Size, "1MiB", "of a client's request"),
        key("max_connections", COUNT, "10000", "client connections"),
    ],
    also: None,
    not_yet: &[],
};

static DEADLINE: Block = Block {
    keys: &[
        key("header", Kind::HeaderName, "X-Request-Timeout", "header in which clients say how long they wait").or_off(),
        key("max", DURATION, "60s", "the most that a request may take, whatever the client says"),
        key("low_timeout_threshold", DURATION_OR_ZERO, "5ms", "a client that waits no longer is refused at once"),
        key("response_reserve", DURATION_OR_ZERO, "5ms", "kept back to assemble and write the answer"),
    ],
    also: None,
    not_yet: &[],
};

static STORE: Block = Block {
    keys: &[
        key("max_bytes", Kind::Size, "256MiB", "bytes of all entries"),
        key("max_entries", Kind::Whole { min: 1, max: 1_000_000_000 }, "100000", "entries"),
    ],
    also: None,
    not_yet: &[],
};

static CLIENT: Block = Block {
    keys: &[
        key("user_agent", Kind::Text, "aggd/VERSION", "sent as `User-Agent`"),
        key("connect_timeout", DURATION, "2s", "DNS, TCP and TLS; a source may have its own"),
        key("pool_idle_timeout", DURATION, "30s", "how long an unused connection is kept"),
        key("pool_max_idle_per_host", COUNT_OR_NONE, "64", "unused connections kept per host"),
        key("proxy", Kind::Proxy, "", "`http://` or `https://` proxy for every call").secret(),
        key("ca", Kind::Text, "", "PEM file of certificates trusted besides the system's"),
        key("allow_private_networks", Kind::Switch, "true", "whether private and loopback addresses may be called"),
        key(
            "deny_networks",
            Kind::List(&Kind::Network),
            "[]",
            "networks never called, besides link-local and metadata addresses",
        ),
    ],
    also: None,
    not_yet: &[],
};

static RELOAD: Block = Block {
    keys: &[
        key("watch", Kind::Switch, "true", "whether the operating system is asked to tell of changes"),
        key("poll", DURATION, "5s", "how often the files are read to see changes that it does not tell").or_off(),
        key("debounce", DURATION_OR_ZERO, "250ms", "how long the files must be quiet before they are loaded"),
        key(
            "on_invalid",
            Kind::OneOf(&["reject", "quarantine"]),
            "reject",
            "`quarantine` keeps the last good version of a broken document and applies the rest",
        ),
    ],
    also: None,
    not_yet: &[],
};

static TELEMETRY: Block = Block {
    keys: &[
        key("logs", Kind::OneOf(&["text", "json"]), "text", "format of the log"),
        key(
            "level",
            Kind::Level,
            "info",
            "`error`, `warn`, `info`, `debug`, `trace`, or a filter like `info,aggd=debug`",
        ),
    ],
    also: None,
    not_yet: &["otlp"],
};
