//! The keys of limits of clients, of the server and of a route.

use crate::config::vocabulary::Block;
use crate::config::vocabulary::Key;
use crate::config::vocabulary::Kind;
use crate::config::vocabulary::key;

const COUNT: Kind = Kind::Whole { min: 1, max: 1_000_000 };

/// One of `rate_limits:`.
pub(crate) static LIMIT: Block = Block {
    keys: &[
        key("name", Kind::Name, "", "its name: in headers and metrics, and what its memory is kept by over reloads")
            .required(),
        key("routes", Kind::List(&Kind::Text), "[\"*\"]", "paths as declared; one that ends in `*`: all that begin so"),
        key("cost", Kind::Map(&COUNT), "{\"default\": 1}", "what a request takes, by its route: `\"/aggregate\": 3`"),
    ],
    also: Some(&COMMON),
    not_yet: &["shared", "on_store_error"],
};

/// `rate_limit:` of a route.
pub(crate) static ROUTE_LIMIT: Block = Block {
    keys: &[
        key("cost", COUNT, "1", "what a request takes"),
        key("status", Kind::Whole { min: 400, max: 599 }, "429", "of a refusal"),
        key("message", Kind::Text, "", "what a refusal says"),
        key("retry_after", Kind::Duration { zero: false }, "", "nobody is told to come back sooner"),
    ],
    also: Some(&COMMON),
    not_yet: &["shared", "on_store_error"],
};

const KEYS: [Key; 7] = [
    key(
        "key",
        Kind::OneOrMany(&Kind::LimitKey),
        "tenant",
        "whose requests count together: `tenant`, `api_key`, `ip`, `route`, `header:NAME`; who has none counts by `ip`",
    ),
    key("rate", Kind::Rate, "", "how fast what was taken comes back"),
    key("burst", COUNT, "(the count of `rate`)", "how much there is when nothing was taken"),
    key("max_in_flight", COUNT, "", "requests at the same time"),
    key(
        "max_keys",
        Kind::Whole { min: 1, max: 10_000_000 },
        "100000",
        "for how many it remembers anything; more share one place",
    ),
    key(
        "headers",
        Kind::OneOf(&["always", "near_limit", "never"]),
        "always",
        "when answers tell of it; `near_limit`: when less than a fifth is left",
    ),
    key(
        "headers_style",
        Kind::OneOf(&["ietf", "legacy", "both"]),
        "ietf",
        "`RateLimit` and `RateLimit-Policy`, or `X-RateLimit-…`",
    ),
];

static COMMON: Block = Block { keys: &KEYS, also: None, not_yet: &[] };
