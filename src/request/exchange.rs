//! The HTTP exchange of one attempt and the decoding of its answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::header;

use crate::config::spec::Propagate;
use crate::live::Keeping;
use crate::outbound::Answer;
use crate::outbound::Call;
use crate::outbound::ReadLimits;
use crate::outbound::retry_after;
use crate::plan::CallTarget;
use crate::plan::HttpPlan;
use crate::plan::ParamError;
use crate::policy::deadline::header_value;
use crate::policy::directives::Directives;
use crate::policy::outcome::Kind;
use crate::request::context::TRACEPARENT;
use crate::request::context::TRACESTATE;
use crate::request::flight::Flight;
use crate::request::flight::RawAnswer;
use crate::request::revalidate;
use crate::shape::Shape;
use crate::shape::ShapeError;

const X_REQUEST_TIMEOUT: HeaderName = HeaderName::from_static("x-request-timeout");
const X_REQUEST_PRIORITY: HeaderName = HeaderName::from_static("x-request-priority");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_DO_NOT_RETRY: HeaderName = HeaderName::from_static("x-do-not-retry");
/// How gRPC servers say the same: a number of milliseconds, or anything else for never.
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");
/// Documents larger than this are projected on a thread that may block; smaller ones are done sooner than moved.
const PROJECT_INLINE_BYTES: usize = 256 * 1024;

/// What came of an attempt before it is classified.
pub(crate) enum Came {
    Data(Data),
    Nothing(Lost),
}

/// Data as it was asked for.
pub(crate) struct Data {
    pub(crate) body: Bytes,
    /// What the upstream said about keeping it.
    pub(crate) keeping: Keeping,
    /// The upstream's own bytes, where somebody wants them.
    pub(crate) raw: Option<Box<RawAnswer>>,
}

/// Why there is no data.
pub(crate) struct Lost {
    pub(crate) kind: Kind,
    pub(crate) status: Option<u16>,
    pub(crate) message: String,
    pub(crate) retry_after: Option<Duration>,
    /// Whether the upstream forbids another attempt.
    pub(crate) do_not_retry: bool,
    /// What the upstream said about keeping its refusal.
    pub(crate) directives: Directives,
}

impl Lost {
    /// Without an answer that would say more.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        let (message, directives) = (message.into(), Directives::default());
        Self { kind, status: None, message, retry_after: None, do_not_retry: false, directives }
    }
}

impl From<Lost> for Came {
    fn from(lost: Lost) -> Self {
        Self::Nothing(lost)
    }
}

/// Sends the request, reads the answer, makes data of it.
pub(crate) async fn exchange(flight: &Flight, http: &HttpPlan, place: usize, budget: Duration) -> Came {
    let source = &flight.source;
    let (Some(client), Some(target)) = (&source.client, http.targets.get(place)) else {
        return Lost::new(Kind::InternalError, "the source has no client").into();
    };
    let limits = ReadLimits { max_response_bytes: http.max_response_bytes, read_timeout: http.read_timeout };
    let mut call = match complete(flight, http, target, budget) {
        Ok(call) => call,
        Err(error) => return Lost::new(Kind::ConfigError, error.to_string()).into(),
    };
    let asked = revalidate::ask(flight, &mut call.headers);
    let answer = match client.exchange(call, limits, http.redirects).await {
        Ok(answer) => answer,
        Err(error) => return Lost::new(error.kind(), error.to_string()).into(),
    };
    if let Some(known) = asked.filter(|_| answer.status == 304) {
        let keeping = revalidate::confirmed(flight, known, &answer.headers);
        return Came::Data(Data { body: known.body.clone(), keeping, raw: None });
    }
    if !source.plan.classify.is_data(answer.status) {
        // A 2xx that is no data is one because `classify` says so.
        let kind = Kind::of_status(answer.status);
        return Came::Nothing(Lost {
            kind: if kind == Kind::Success { Kind::AssertionFailed } else { kind },
            status: Some(answer.status),
            message: format!("upstream answered {}", answer.status),
            retry_after: retry_after(&answer.headers, flight.shared.clock.wall()),
            do_not_retry: forbids_retry(&answer.headers),
            directives: revalidate::heard(flight, &answer.headers).directives,
        });
    }
    decode(flight, &source.plan.shape, answer).await
}

/// The request to send, with what this one call adds to it.
fn complete(flight: &Flight, http: &HttpPlan, target: &CallTarget, budget: Duration) -> Result<Call, ParamError> {
    let source = http.call(target, &flight.bound, &flight.forwarded)?;
    let mut headers = source.headers;
    if let Ok(id) = HeaderValue::from_str(&flight.request_id) {
        headers.insert(X_REQUEST_ID, id);
    }
    if let Ok(parent) = HeaderValue::from_bytes(&flight.trace_parent) {
        headers.insert(TRACEPARENT, parent);
    }
    if let Some(state) = &flight.trace_state {
        headers.insert(TRACESTATE, state.clone());
    }
    if let (Some(key), Some(set)) = (&flight.call_key, &flight.source.plan.terms.retry.idempotency_key) {
        headers.insert(set.header.clone(), key.clone());
    }
    propagate(flight, http.propagate, budget, &mut headers);
    Ok(Call { method: source.method, url: source.uri, headers, body: source.body })
}

/// What of our own the upstream is told: the time that this attempt has, and how much the request matters.
fn propagate(flight: &Flight, what: Propagate, budget: Duration, headers: &mut HeaderMap) {
    if what.deadline
        && let Ok(value) = HeaderValue::try_from(header_value(budget))
    {
        let name = flight.snapshot.plan.server.deadline.header.clone();
        headers.insert(name.unwrap_or(X_REQUEST_TIMEOUT), value);
    }
    if what.priority {
        headers.insert(X_REQUEST_PRIORITY, HeaderValue::from_static(flight.priority.as_str()));
    }
}

/// Whether an upstream says that another attempt is no use.
fn forbids_retry(headers: &HeaderMap) -> bool {
    let pushed_back = headers.get(PUSHBACK).is_some_and(|wait| !wait.as_bytes().iter().all(u8::is_ascii_digit));
    headers.contains_key(X_DO_NOT_RETRY) || pushed_back
}

async fn decode(flight: &Flight, shape: &Arc<Shape>, answer: Answer) -> Came {
    let Answer { status, headers, body } = answer;
    let content_type = headers.get(header::CONTENT_TYPE);
    if flight.trail.is_on() {
        for found in shape.matches(&body) {
            let text = || format!("projection: {} ← {}: {} match(es)", found.field, found.path, found.count);
            flight.trail.note(&flight.shared.clock, &flight.source.plan.name, text);
        }
    }
    let raw = flight.wants_raw.then(|| {
        let raw = RawAnswer { body: body.clone(), content_type: content_type.cloned() };
        Box::new(raw)
    });
    let shaped = if body.len() > PROJECT_INLINE_BYTES {
        let (shape, content_type) = (Arc::clone(shape), content_type.cloned());
        let work = move || shape.apply(&body, content_type.as_ref().and_then(|value| value.to_str().ok()));
        match tokio::task::spawn_blocking(work).await {
            Ok(shaped) => shaped,
            Err(_) => return Lost::new(Kind::InternalError, "the projection broke off; the log says why").into(),
        }
    } else {
        shape.apply(&body, content_type.and_then(|value| value.to_str().ok()))
    };
    match shaped {
        Ok(body) => Came::Data(Data { body, keeping: revalidate::heard(flight, &headers), raw }),
        Err(error) => Came::Nothing(Lost {
            status: Some(status),
            do_not_retry: forbids_retry(&headers),
            ..Lost::new(kind_of(&error), error.to_string())
        }),
    }
}

/// What a document that can't be shaped counts as.
pub(crate) fn kind_of(error: &ShapeError) -> Kind {
    match error {
        ShapeError::Decode(_) => Kind::DecodeError,
        ShapeError::Assertion(_) => Kind::AssertionFailed,
        ShapeError::Projection { .. } => Kind::ProjectionError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_may_forbid_another_attempt() {
        let cases = [
            ("x-do-not-retry", "1", true),
            ("x-do-not-retry", "", true),
            ("grpc-retry-pushback-ms", "-1", true),
            ("grpc-retry-pushback-ms", "never", true),
            ("grpc-retry-pushback-ms", "250", false),
            ("retry-after", "1", false),
        ];
        for (name, value, forbidden) in cases {
            let headers = HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))]);
            assert_eq!(forbids_retry(&headers), forbidden, "{name}: {value}");
        }
    }
}
