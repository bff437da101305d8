//! Refusals of the data plane as RFC 9457 problems: what went wrong, and what to do.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;
use serde_json::Map;
use serde_json::Value;

use crate::base::Pretty;
use crate::config::spec::DeadlineSpec;
use crate::live::Failure;
use crate::plan::ParamError;
use crate::policy::breaker::retry_after_s;
use crate::policy::outcome::Kind;
use crate::policy::priority::Priority;
use crate::policy::shedding::Shed;
use crate::request::context::Ask;
use crate::request::envelope::Writer;
use crate::request::reply::After;
use crate::request::reply::Reply;
use crate::request::reply::ReplyBody;

/// A problem, as RFC 9457 defines it. `detail` says what to do; no upstream body, URL query, header or secret is in it.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    /// Boxed: a result that may be a problem is then as small as one that may not.
    rest: Box<Rest>,
}

#[derive(Debug)]
struct Rest {
    /// What the type begins with: our own, or a list of others.
    types: &'static str,
    /// The last part of the type; stable.
    name: &'static str,
    title: &'static str,
    detail: String,
    /// Members of its own.
    more: Map<String, Value>,
    /// JSON members as text, appended as they are: the parts that did succeed.
    tail: Vec<u8>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem with no members of its own.
    pub(crate) fn new(status: StatusCode, name: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let types = "urn:aggd:problem:";
        let rest = Rest { types, name, title, detail, more: Map::new(), tail: Vec::new(), headers: Vec::new() };
        Self { status, rest: Box::new(rest) }
    }

    /// Of a type that everybody knows, from IANA's list, rather than of our own.
    pub(crate) fn registered(mut self) -> Self {
        self.rest.types = "https://iana.org/assignments/http-problem-types#";
        self
    }

    /// Adds a member.
    pub(crate) fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.rest.more.insert(member.to_owned(), value.into());
        self
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.rest.headers.push((name, value));
        self
    }

    /// Adds JSON members, written `"a":1,"b":2`.
    pub(crate) fn tail(mut self, members: Vec<u8>) -> Self {
        self.rest.tail = members;
        self
    }

    /// Says when to come back, as header and member.
    pub(crate) fn retry_after(self, wait: Duration) -> Self {
        let seconds = retry_after_s(wait);
        self.with("retry_after_s", seconds).header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    pub(crate) fn wrong_method(known: &[Method]) -> Self {
        let mut allow: Vec<&str> = known.iter().map(Method::as_str).collect();
        if allow.contains(&"GET") {
            allow.push("HEAD");
        }
        allow.push("OPTIONS");
        let allow = allow.join(", ");
        let detail = format!("this path answers {allow}");
        let problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail);
        match HeaderValue::try_from(allow) {
            Ok(allow) => problem.header(header::ALLOW, allow),
            Err(_) => problem,
        }
    }

    pub(crate) fn bad_path() -> Self {
        let detail = "the path holds a percent-encoding that is not UTF-8; encode it as UTF-8";
        Self::new(StatusCode::BAD_REQUEST, "bad-path", "Bad path", detail)
    }

    pub(crate) fn bad_query() -> Self {
        let detail = "the query holds a percent-encoding that is not UTF-8; encode it as UTF-8";
        Self::new(StatusCode::BAD_REQUEST, "bad-query", "Bad query", detail)
    }

    pub(crate) fn parameter(error: &ParamError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-parameter", "Bad parameter", error.to_string())
            .with("parameter", error.name.as_str())
    }

    pub(crate) fn low_timeout(set: &DeadlineSpec) -> Self {
        let header = set.header.as_ref().map_or("the deadline header", HeaderName::as_str);
        let threshold = Pretty(set.low_timeout_threshold);
        let detail = format!("`{header}` leaves no time to answer; ask with more than {threshold}");
        Self::new(StatusCode::GATEWAY_TIMEOUT, "deadline-exceeded", "Deadline exceeded", detail)
            .header(HeaderName::from_static("x-do-not-retry"), HeaderValue::from_static("1"))
    }

    pub(crate) fn unknown_source(name: &str, known: &[&str]) -> Self {
        let near = nearest(name, known);
        let detail = match near {
            Some(near) => format!("there is no source `{name}`; did you mean `{near}`?"),
            None => format!("there is no source `{name}`; there are: {}", known.join(", ")),
        };
        let problem = Self::new(StatusCode::NOT_FOUND, "unknown-source", "Unknown source", detail).with("source", name);
        match near {
            Some(near) => problem.with("did_you_mean", near),
            None => problem,
        }
    }

    /// `?sources=` that picks nothing.
    pub(crate) fn no_source_named(known: &[&str]) -> Self {
        let detail =
            format!("`sources` names none; name some of: {}; or leave it out, to have them all", known.join(", "));
        Self::new(StatusCode::BAD_REQUEST, "bad-parameter", "Bad parameter", detail).with("parameter", "sources")
    }

    /// There is no room for the request; `detail` is what its route says instead of what was full.
    pub(crate) fn reduced_capacity(why: Shed, priority: Priority, detail: Option<String>) -> Self {
        let detail = detail.unwrap_or_else(|| {
            let full = match why {
                Shed::Pressure => "the machine is pressed hard, and requests of this priority are turned away",
                Shed::InFlight => "as many requests are under way as one of this priority may find",
                Shed::QueueFull => "too many requests wait for their turn",
                Shed::QueueTimeout | Shed::Sojourn | Shed::Deadline => "its turn did not come in time",
                Shed::RouteInFlight => "as many requests of this route are under way as it may have",
                Shed::RouteBulkhead => "this route is busy, and no place came free in time",
            };
            format!("{full}; come back after `Retry-After`")
        });
        let problem = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "temporary-reduced-capacity",
            "Temporarily reduced capacity",
            detail,
        );
        problem.registered().with("reason", why.as_str()).with("priority", priority.as_str())
    }

    pub(crate) fn internal() -> Self {
        let detail = "the gateway failed on this request; its log has the request id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", detail)
    }

    /// A failed single source.
    pub(crate) fn of_failure(source: &str, failure: &Failure) -> Self {
        let (status, name, title) = if failure.kind == Kind::BreakerOpen {
            (StatusCode::SERVICE_UNAVAILABLE, "circuit-open", "Circuit open")
        } else if matches!(failure.kind, Kind::LocalLimit | Kind::RateLimitedLocal) {
            (StatusCode::SERVICE_UNAVAILABLE, "local-limit", "Limit reached")
        } else if failure.kind == Kind::InternalError {
            (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error")
        } else if failure.kind.is_timeout() {
            (StatusCode::GATEWAY_TIMEOUT, "upstream-timeout", "Upstream timeout")
        } else {
            (StatusCode::BAD_GATEWAY, "upstream-failed", "Upstream failed")
        };
        let detail = if failure.kind == Kind::BreakerOpen {
            format!("the circuit of `{source}` is open; it was not called; ask again later")
        } else {
            format!("source `{source}`: {}", failure.message)
        };
        let mut problem =
            Self::new(status, name, title, detail).with("source", source).with("kind", failure.kind.as_str());
        if let Some(status) = failure.status {
            problem = problem.with("upstream_status", status);
        }
        if failure.attempts > 1 {
            let elapsed_ms = u64::try_from(failure.took.as_millis()).unwrap_or(u64::MAX);
            problem = problem.with("attempts", failure.attempts).with("elapsed_ms", elapsed_ms);
        }
        if let Some(endpoint) = &failure.endpoint {
            problem = problem.with("endpoint", &**endpoint);
        }
        match failure.retry_after {
            Some(wait) if failure.kind.is_local() => problem.retry_after(wait),
            None if failure.kind.is_local() => problem.retry_after(Duration::from_secs(1)),
            _ => problem,
        }
    }

    /// The body; `instance` is the request's id.
    pub(crate) fn body(&self, request_id: &str) -> Vec<u8> {
        let mut members = Map::new();
        members.insert("type".into(), [self.rest.types, self.rest.name].concat().into());
        members.insert("title".into(), self.rest.title.into());
        members.insert("status".into(), self.status.as_u16().into());
        members.insert("detail".into(), self.rest.detail.as_str().into());
        members.insert("instance".into(), request_id.into());
        let mut out = Writer::default();
        let mut before = "{";
        for (name, value) in members.iter().chain(&self.rest.more) {
            out.text(before);
            before = ",";
            out.string(name);
            out.text(":");
            out.text(&value.to_string());
        }
        if !self.rest.tail.is_empty() {
            out.text(before);
            out.json(&self.rest.tail);
        }
        out.text("}");
        out.into_bytes()
    }

    /// The headers, content type first.
    pub(crate) fn header_map(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        for (name, value) in &self.rest.headers {
            headers.insert(name, value.clone());
        }
        headers
    }

    /// The reply of a request that got no further.
    pub(crate) fn reply(&self, ask: &Ask<'_>) -> Reply {
        Reply {
            status: self.status,
            headers: self.header_map(),
            body: ReplyBody::Whole(self.body(&ask.request_id).into()),
            after: After::default(),
        }
    }
}

/// The known name that was probably meant.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let scored = known.iter().map(|one| (strsim::damerau_levenshtein(name, one), *one));
    scored.min().filter(|(distance, one)| *distance <= 1 + one.len() / 4).map(|(_, one)| one)
}

/// One failure made by us rather than by an upstream.
pub(crate) fn failure(kind: Kind, message: impl Into<String>) -> Arc<Failure> {
    Arc::new(Failure::new(kind, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_rounded_up_and_at_least_one() {
        for (millis, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (17_600, 18)] {
            assert_eq!(retry_after_s(Duration::from_millis(millis)), seconds, "{millis}ms");
        }
    }

    #[test]
    fn a_problem_has_the_five_members_first_and_then_its_own() {
        let problem = Problem::unknown_source("wether", &["weather", "news"]);
        let body: Value = serde_json::from_slice(&problem.body("id-1")).unwrap();
        assert_eq!(body["type"], "urn:aggd:problem:unknown-source");
        assert_eq!(body["status"], 404);
        assert_eq!(body["instance"], "id-1");
        assert_eq!(body["did_you_mean"], "weather");
        assert!(body["detail"].as_str().unwrap().contains("did you mean `weather`?"));
    }

    #[test]
    fn a_name_far_from_all_lists_them() {
        let problem = Problem::unknown_source("zzz", &["weather", "news"]);
        assert!(problem.rest.detail.ends_with("there are: weather, news"));
    }
}
