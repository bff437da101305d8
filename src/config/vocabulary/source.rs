//! The keys of a `source:` document, besides its policies.

use crate::config::vocabulary::Block;
use crate::config::vocabulary::Kind;
use crate::config::vocabulary::POLICIES;
use crate::config::vocabulary::key;
use crate::config::vocabulary::strategy::ENDPOINT;

/// A `source:` document.
pub(crate) static SOURCE: Block = Block {
    keys: &[
        key("source", Kind::Name, "", "its name").required(),
        key("description", Kind::Text, "", "for people"),
        key("url", Kind::Url, "", "absolute http(s) URL; placeholders `{param}` in path and query"),
        key("endpoints", Kind::List(&Kind::Block(&ENDPOINT)), "", "instead of `url`: replicas, used by `strategy`"),
        key("static", Kind::Tree, "", "instead of `url`: constant data, still projected").nullable(),
        key("method", Kind::OneOf(&["GET", "POST", "PUT", "PATCH", "DELETE"]), "GET", "of the call"),
        key(
            "query",
            Kind::Map(&Kind::OneOrMany(&Kind::Scalar)),
            "{}",
            "added to the URL; a list repeats the key, a pair whose parameter is absent is dropped",
        ),
        key("headers", Kind::Map(&Kind::OneOrMany(&Kind::Scalar)), "{}", "of the call; values may hold placeholders"),
        key("body", Kind::Tree, "", "a YAML tree, sent as JSON; or a text, sent as it is").nullable(),
        key("content_type", Kind::Text, "(text/plain; charset=utf-8)", "of a `body` that is a text"),
        key("params", Kind::Map(&Kind::Block(&PARAM)), "{}", "what a request may fill in, by name"),
        key(
            "forward_headers",
            Kind::List(&Kind::HeaderName),
            "[]",
            "client headers passed on; they tell cache entries apart",
        ),
        key("auth", Kind::Block(&AUTH), "", "how the call authenticates"),
        key(
            "propagate",
            Kind::List(&Kind::OneOf(&["deadline", "priority"])),
            "[]",
            "sent on to the upstream: the time that the attempt has, the priority of the request",
        ),
        key("redirects", Kind::Whole { min: 0, max: 20 }, "0", "how many are followed"),
        key("max_response_bytes", Kind::Size, "5MiB", "of an answer, after decompression"),
        key("format", Kind::OneOf(&["json", "text"]), "(by Content-Type, else json)", "how the answer is decoded"),
        key("success_when", Kind::JsonPath, "", "a JSONPath that must match something, else the call has failed"),
        key("project", Kind::Projection, "(the whole document)", "what is taken from the answer"),
        key("omit", Kind::List(&Kind::JsonPath), "[]", "JSONPaths taken out, after `project`"),
        key("classify", Kind::Block(&CLASSIFY), "{}", "which outcomes are failures, successes or neither"),
        key("aggregate", Kind::Switch, "true", "part of `GET /aggregate`; never with a required parameter"),
    ],
    also: Some(&POLICIES),
    not_yet: &["sql", "graphql", "tls", "schema"],
};

static PARAM: Block = Block {
    keys: &[
        key("type", Kind::OneOf(&["string", "integer", "number", "boolean"]), "string", "what its values are"),
        key("required", Kind::Switch, "false", "without it the request is refused"),
        key("default", Kind::Scalar, "", "used where the request gives none"),
        key("min", Kind::Number { min: f64::NEG_INFINITY }, "", "of numbers and integers"),
        key("max", Kind::Number { min: f64::NEG_INFINITY }, "", "of numbers and integers"),
        key("pattern", Kind::Pattern, "", "of strings: a regular expression for the whole of it"),
        key("enum", Kind::List(&Kind::Scalar), "", "the values allowed"),
    ],
    also: None,
    not_yet: &[],
};

static AUTH: Block = Block {
    keys: &[
        key("bearer", Kind::Text, "", "a bearer token").secret(),
        key("basic", Kind::Block(&BASIC), "", "user and password"),
        key("header", Kind::HeaderName, "", "the name of a header, beside `value`"),
        key("value", Kind::Text, "", "the value of that header").secret(),
    ],
    also: None,
    not_yet: &[],
};

static BASIC: Block = Block {
    keys: &[
        key("user", Kind::Text, "", "the user").required().secret(),
        key("password", Kind::Text, "", "the password").required().secret(),
    ],
    also: None,
    not_yet: &[],
};

static CLASSIFY: Block = Block {
    keys: &[
        key(
            "failure",
            Kind::OneOrMany(&Kind::Selector),
            "[]",
            "outcomes that count against the upstream: `5xx`, `404`, `timeout`",
        ),
        key(
            "success",
            Kind::OneOrMany(&Kind::Selector),
            "[]",
            "outcomes that count for it; a status also makes its body data",
        ),
        key("neutral", Kind::OneOrMany(&Kind::Selector), "[]", "outcomes that say nothing about it"),
        key(
            "retry",
            Kind::OneOrMany(&Kind::Selector),
            "[]",
            "outcomes worth another attempt, besides those of `retry.retry_on`",
        ),
    ],
    also: None,
    not_yet: &[],
};

/// A field of `project` with `path`.
pub(crate) static PROJECTION_PATH: Block = Block {
    keys: &[
        key("path", Kind::JsonPath, "", "where the value is").required(),
        key("default", Kind::Tree, "null", "where nothing matches").nullable(),
        key("required", Kind::Switch, "false", "whether no match fails the source"),
        key("as", Kind::OneOf(&["string", "integer", "number", "boolean"]), "", "what it is converted to"),
        key("take", Kind::OneOf(&["first", "last", "count", "all"]), "", "which of the matches"),
    ],
    also: None,
    not_yet: &[],
};

/// A field of `project` with `each`.
pub(crate) static PROJECTION_EACH: Block = Block {
    keys: &[
        key("each", Kind::JsonPath, "", "the matches that become an array").required(),
        key("limit", Kind::Whole { min: 0, max: 1_000_000 }, "", "how many at most"),
        key("project", Kind::Projection, "(the whole match)", "what is taken from each; `$` is the match"),
    ],
    also: None,
    not_yet: &[],
};

/// A field of `project` with `value`.
pub(crate) static PROJECTION_VALUE: Block =
    Block { keys: &[key("value", Kind::Tree, "", "a constant").required().nullable()], also: None, not_yet: &[] };
