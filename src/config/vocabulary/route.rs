//! The keys of a `route:` document.

use crate::config::vocabulary::Block;
use crate::config::vocabulary::Kind;
use crate::config::vocabulary::access::PRIORITIES;
use crate::config::vocabulary::key;
use crate::config::vocabulary::limits::ROUTE_LIMIT;
use crate::config::vocabulary::policies::STALE;
use crate::config::vocabulary::shedding::ROUTE_BULKHEAD;
use crate::config::vocabulary::shedding::ROUTE_SHEDDING;

/// A `route:` document.
pub(crate) static ROUTE: Block = Block {
    keys: &[
        key("route", Kind::RoutePath, "", "its path; `{x}` is one segment, `{*rest}` the remainder").required(),
        key("description", Kind::Text, "", "for people"),
        key("method", Kind::OneOf(&["GET", "POST", "PUT", "PATCH", "DELETE"]), "GET", "of the request"),
        key("sources", Kind::ListOrMap(&Kind::Name, &Kind::Block(&PART)), "", "list of sources, or map of parts")
            .required(),
        key(
            "respond",
            Kind::OneOf(&["envelope", "merge"]),
            "envelope",
            "`envelope` as `/aggregate`, or `merge`: an object with each part's data under its name",
        ),
        key("project", Kind::Projection, "(the whole document)", "with `merge`: what is taken from the document"),
        key("omit", Kind::List(&Kind::JsonPath), "", "with `merge`: JSONPaths taken out, after `project`"),
        key(
            "timeout",
            Kind::Duration { zero: false },
            "10s",
            "what has arrived by then is answered, the rest has failed",
        ),
        key("min_sources", Kind::Whole { min: 0, max: 10_000 }, "0", "fewer successes are an error: 502, 503 or 504"),
        key("max_parallel", Kind::Whole { min: 1, max: 10_000 }, "", "its parts in flight at once; without it, all")
            .nullable(),
        key(
            "fallback",
            Kind::List(&Kind::Block(&FALLBACK)),
            "[]",
            "what answers in place of a 502, 503 or 504 for want of sources, in this order",
        ),
        key("cache_key", Kind::Text, "(the path)", "tag of the entries fetched for it, for `POST /cache/invalidate`"),
        key("bulkhead", Kind::Block(&ROUTE_BULKHEAD), "", "so many of its requests at a time, the rest wait"),
        key("load_shedding", Kind::Block(&ROUTE_SHEDDING), "", "so many of its requests at a time, by priority"),
        key("headers", Kind::Map(&Kind::Scalar), "{}", "added to the answer"),
        key(
            "auth",
            Kind::OneOf(&["required", "optional"]),
            "(as the server's `auth.required`)",
            "whether it wants a key; `off`: keys are not looked at",
        )
        .or_off(),
        key("rate_limit", Kind::Block(&ROUTE_LIMIT), "", "how much each client may ask of it, besides `rate_limits`"),
        key("priority", PRIORITIES, "(normal)", "how important its requests are, where they do not say it themselves"),
    ],
    also: None,
    not_yet: &[],
};

static FALLBACK: Block = Block {
    keys: &[
        key("stale", Kind::Block(&STALE), "", "cached copies past their time, for the parts that have nothing"),
        key("value", Kind::Tree, "", "the whole answer").nullable(),
        key("status", Kind::Whole { min: 200, max: 599 }, "(200)", "with `value`: the status of the answer"),
    ],
    also: None,
    not_yet: &[],
};

static PART: Block = Block {
    keys: &[
        key("source", Kind::Name, "(the name of the part)", "which source"),
        key(
            "params",
            Kind::Map(&Kind::Scalar),
            "{}",
            "its parameters: `{path.x}`, `{query.x}`, `{header.x}` or constants",
        ),
        key("required", Kind::Switch, "false", "without it the whole route fails"),
    ],
    also: None,
    not_yet: &["when", "for_each"],
};
