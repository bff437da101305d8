//! The keys of a `test:` document.

use crate::config::vocabulary::Block;
use crate::config::vocabulary::Kind;
use crate::config::vocabulary::key;

const METHODS: Kind = Kind::OneOf(&["GET", "POST", "PUT", "PATCH", "DELETE"]);

/// A `test:` document.
pub(crate) static TEST: Block = Block {
    keys: &[
        key("test", Kind::Text, "", "what must hold, as a sentence").required(),
        key("source", Kind::Name, "", "the source under test, asked as a route asks it; this or `route`"),
        key("route", Kind::Text, "", "the route under test, as it is declared, or `/aggregate`"),
        key(
            "given",
            Kind::Answers(&ANSWER),
            "",
            "what upstreams answer; a list gives one to each call, the last to the rest",
        ),
        key("request", Kind::Block(&REQUEST), "{}", "what is asked; with `steps`, by those that do not say"),
        key("expect", Kind::Block(&EXPECT), "", "what must come of it; not with `steps`"),
        key("steps", Kind::List(&Kind::Block(&STEP)), "", "one after the other, in one life of the gateway"),
    ],
    also: None,
    not_yet: &[],
};

static STEP: Block = Block {
    keys: &[
        key("given", Kind::Answers(&ANSWER), "(what was given before)", "from here on; first of all in a step"),
        key("advance", Kind::Duration { zero: false }, "", "so much time passes then"),
        key("request", Kind::Block(&REQUEST), "", "then this is asked"),
        key("repeat", Kind::Whole { min: 1, max: 10_000 }, "1", "so many times, one after the other …"),
        key("at_once", Kind::Switch, "false", "… or all at the same time"),
        key("expect", Kind::Block(&EXPECT), "", "what must come of it: each answer, and the state after the last"),
    ],
    also: None,
    not_yet: &[],
};

/// An answer that stands in for an upstream's.
pub(crate) static ANSWER: Block = Block {
    keys: &[
        key("status", Kind::Whole { min: 200, max: 599 }, "200", "its status"),
        key("json", Kind::Tree, "", "its body, as JSON; numbers keep their digits").nullable(),
        key("body", Kind::Scalar, "", "or its body as a text"),
        key("file", Kind::Text, "", "or a file that holds its body, relative to the folder of this one"),
        key(
            "headers",
            Kind::Map(&Kind::OneOrMany(&Kind::Scalar)),
            "(Content-Type of `json` and of a `.json` file)",
            "its headers",
        ),
        key("delay", Kind::Duration { zero: true }, "0s", "how long it takes to come"),
        key(
            "error",
            Kind::OneOf(&[
                "timeout",
                "connect_error",
                "connect_timeout",
                "reset",
                "body_error",
                "body_timeout",
                "config_error",
            ]),
            "",
            "what happens in place of an answer; `timeout` and `body_timeout` hang until a timeout of yours ends it",
        ),
    ],
    also: None,
    not_yet: &[],
};

static REQUEST: Block = Block {
    keys: &[
        key("params", Kind::Map(&Kind::Scalar), "{}", "of a source: its parameters"),
        key("method", METHODS, "(the route's)", "of a route"),
        key("path", Kind::Map(&Kind::Scalar), "{}", "of a route: the values of its path"),
        key("query", Kind::Map(&Kind::OneOrMany(&Kind::Scalar)), "{}", "of a route"),
        key("headers", Kind::Map(&Kind::OneOrMany(&Kind::Scalar)), "{}", "of the client"),
    ],
    also: None,
    not_yet: &[],
};

static EXPECT: Block = Block {
    keys: &[
        key(
            "status",
            Kind::Scalar,
            "",
            "of a route: the HTTP status; of a source: `ok`, `stale`, `fallback`, `failed`, `skipped`, or `refused` for a request that does not fit",
        ),
        key("data", Kind::Tree, "", "of a source: all of its data").nullable(),
        key("kind", Kind::Text, "", "of a source: why its call failed, whatever stands in; null where it did not")
            .nullable(),
        key(
            "via",
            Kind::OneOf(&["stale", "source", "value"]),
            "",
            "of a source: what stands in for it; null where nothing does",
        )
        .nullable(),
        key("json", Kind::Tree, "", "of a route: all of the body").nullable(),
        key("body", Kind::Scalar, "", "of a route: all of the body, as a text"),
        key("headers", Kind::Map(&Kind::Tree), "{}", "of a route: those named; null for none"),
        key("results", Kind::Map(&Kind::Block(&RESULT)), "{}", "of a route that answers an envelope: those named"),
        key(
            "mode",
            Kind::OneOf(&["fresh", "cached", "degraded_cache", "degraded_fallback", "partial"]),
            "",
            "how the answer was had",
        ),
        key("degraded", Kind::Switch, "", "whether anything is missing or stands in"),
        key("within", Kind::Duration { zero: false }, "", "the most that the answer may take"),
        key("breaker", Kind::Map(&Kind::OneOf(&["closed", "open", "half_open"])), "{}", "circuits, by source"),
        key(
            "cache",
            Kind::Map(&Kind::OneOf(&["fresh", "stale", "negative", "none"])),
            "{}",
            "the freshest copy of a source: fresh, only to stand in, a refusal, or none",
        ),
        key("calls", Kind::Map(&Kind::Whole { min: 0, max: 1_000_000 }), "{}", "calls to a source's upstream so far"),
        key("sent", Kind::Map(&Kind::Block(&SENT)), "{}", "the last call to a source's upstream: what is named of it"),
    ],
    also: None,
    not_yet: &[],
};

static RESULT: Block = Block {
    keys: &[
        key("status", Kind::OneOf(&["ok", "stale", "fallback", "failed", "skipped"]), "", "as the envelope has it"),
        key("data", Kind::Tree, "", "all of it").nullable(),
        key("kind", Kind::Text, "", "why the call failed; null where it did not").nullable(),
        key("via", Kind::OneOf(&["stale", "source", "value"]), "", "what stands in; null where nothing does")
            .nullable(),
    ],
    also: None,
    not_yet: &[],
};

static SENT: Block = Block {
    keys: &[
        key("method", METHODS, "", "its method"),
        key("path", Kind::Text, "", "its path, encoded"),
        key("query", Kind::Map(&Kind::Tree), "{}", "those named, decoded; null for none"),
        key("headers", Kind::Map(&Kind::Tree), "{}", "those named; null for none"),
        key("json", Kind::Tree, "", "all of its body").nullable(),
        key("body", Kind::Scalar, "", "all of its body, as a text"),
    ],
    also: None,
    not_yet: &[],
};
