//! The settings of a call: what is sent, and where to.

use http::HeaderName;
use http::Method;

use crate::base::ByteSize;
use crate::base::Secret;

/// The request part of a source with a `url`.
#[derive(Debug)]
pub(crate) struct HttpSpec {
    pub(crate) method: Method,
    /// Where it is sent: at least one.
    pub(crate) endpoints: Vec<EndpointSpec>,
    /// Name and value, in the order written; a list in YAML gives one pair per item.
    pub(crate) query: Vec<(String, Template)>,
    pub(crate) headers: Vec<(HeaderName, Template)>,
    pub(crate) body: Option<BodySpec>,
    /// Client headers passed on and part of the cache key.
    pub(crate) forward_headers: Vec<HeaderName>,
    pub(crate) auth: Option<AuthSpec>,
    /// What of our own it is told.
    pub(crate) propagate: Propagate,
    /// How many redirects are followed.
    pub(crate) redirects: u32,
    pub(crate) max_response_bytes: ByteSize,
}

/// One of the places that a request may be sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EndpointSpec {
    /// As it is written, or `scheme://host:port`. No two of a source are the same.
    pub(crate) id: String,
    pub(crate) url: UrlTemplate,
    /// At least 1.
    pub(crate) weight: u32,
}

/// `propagate:`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Propagate {
    pub(crate) deadline: bool,
    pub(crate) priority: bool,
}

/// An absolute URL with placeholders in path and query only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UrlTemplate {
    /// `https://host:port`, normalised, without a trailing slash; may hold no user or password.
    pub(crate) origin: String,
    /// From the first `/` to the `?`; at least `/`. Placeholders are encoded as path segments.
    pub(crate) path: Template,
    /// The pairs of the URL's own query, percent-decoded, before those of `query`.
    pub(crate) query: Vec<(String, Template)>,
    /// Whether the URL came from `${…}`, so that what prints it prints `***`.
    pub(crate) secret: bool,
}

/// A text with placeholders: pieces in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Template {
    pub(crate) pieces: Vec<Piece>,
}

/// One piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Text as it is (`{{` and `}}` already one brace).
    Literal(String),
    /// `{name}`: in a source one of its `params`; in a route see `RouteValue`.
    Placeholder(String),
}

/// `body:`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BodySpec {
    /// A YAML tree, sent as JSON.
    Json(BodyTree),
    /// A string, sent as it is with `content_type`.
    Text { text: Template, content_type: String },
}

/// A body whose leaves may be placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BodyTree {
    /// A scalar without placeholder, as JSON text.
    Json(String),
    /// A scalar that is one placeholder alone: keeps the parameter's type; absent parameter: `null`.
    Param(String),
    /// A text with placeholders inside: a JSON string.
    Text(Template),
    List(Vec<BodyTree>),
    Map(Vec<(String, BodyTree)>),
}

/// `auth:` of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AuthSpec {
    Bearer(Secret),
    Basic { user: String, password: Secret },
    Header { name: HeaderName, value: Secret },
}
