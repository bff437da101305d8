//! One attempt: let through (`admission.rs`), then under its timer the exchange, the decoding, the projection; then what
//! happened is classified once, and everybody told.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderName;
use http::HeaderValue;
use http::header;

use crate::base::Moment;
use crate::base::Pretty;
use crate::live::Failure;
use crate::live::Fetched;
use crate::live::FlightResult;
use crate::live::Keeping;
use crate::outbound::Answer;
use crate::outbound::Call;
use crate::outbound::ReadLimits;
use crate::outbound::retry_after;
use crate::plan::CallPlan;
use crate::plan::HttpPlan;
use crate::plan::ParamError;
use crate::policy::directives::Directives;
use crate::policy::outcome::Kind;
use crate::policy::outcome::Outcome;
use crate::record::Event;
use crate::record::Stage;
use crate::request::admission;
use crate::request::admission::Bid;
use crate::request::admission::Ended;
use crate::request::admission::Entered;
use crate::request::context::TRACEPARENT;
use crate::request::context::TRACESTATE;
use crate::request::error::failure;
use crate::request::flight::Flight;
use crate::request::flight::RawAnswer;
use crate::request::revalidate;
use crate::shape::Shape;
use crate::shape::ShapeError;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Documents larger than this are projected on a thread that may block; smaller ones are done sooner than moved.
const PROJECT_INLINE_BYTES: usize = 256 * 1024;

/// Makes the call of a flight. Cancelling is safe at every await: slot and permit are given back, neutrally.
pub(crate) async fn fly(mut flight: Flight, shield: &AtomicBool) -> FlightResult {
    let CallPlan::Http(http) = &flight.source.plan.call else {
        return Err(failure(Kind::InternalError, "constant data is never called"));
    };
    let mut entered = match flight.entered.take() {
        Some(entered) => entered,
        None => {
            let longest = flight.source.plan.attempt_timeout;
            admission::enter(Bid { flight: &flight, circuit: &flight.source.circuit, longest }).await?
        }
    };
    entered.departs();
    shield.store(entered.is_probe(), Ordering::Relaxed);
    let raw = flight.raw.take();
    // Boxed: the task is moved about before it is polled, and this is most of it.
    let result = Box::pin(timed(&flight, http, entered.at, entered.budget, raw)).await;
    let late = result.is_timeout() && was_late(&flight, &entered);
    let result = if late { result.blamed_on_us() } else { result };
    conclude(&flight, entered, result)
}

/// The request to send, with what this one request adds to it.
fn complete(flight: &Flight, http: &HttpPlan) -> Result<Call, ParamError> {
    let source = http.call(&flight.bound, &flight.forwarded)?;
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
    Ok(Call { method: source.method, url: source.uri, headers, body: source.body })
}

/// What came of an attempt before it is classified.
enum Attempt {
    Data(Bytes, Keeping),
    Failed { kind: Kind, status: Option<u16>, message: String, retry_after: Option<Duration>, directives: Directives },
}

/// Whether waiting in line took a good part of the time that the attempt should have had. What does not get done in the
/// rest says nothing about the upstream: else a crowd here would open the circuit of a healthy one.
fn was_late(flight: &Flight, entered: &Entered) -> bool {
    let plan = &flight.source.plan;
    let whole = plan.flight_timeout();
    let full = plan.attempt_timeout.map_or(whole, |attempt| attempt.min(whole));
    entered.waited > full / 10 && entered.budget < full - full / 10
}

impl Attempt {
    fn is_timeout(&self) -> bool {
        matches!(self, Self::Failed { kind: Kind::AttemptTimeout, .. })
    }

    /// The time ran out here, in line.
    fn blamed_on_us(self) -> Self {
        match self {
            Self::Failed { status, message, retry_after, directives, .. } => {
                let message = format!("queue_timeout: {message}, too much of it spent waiting for a place");
                Self::Failed { kind: Kind::LocalLimit, status, message, retry_after, directives }
            }
            Self::Data(data, keeping) => Self::Data(data, keeping),
        }
    }
}

/// The exchange and the decoding of its answer, under the attempt's timer.
async fn timed(
    flight: &Flight,
    http: &HttpPlan,
    now: Moment,
    budget: Duration,
    raw: Option<tokio::sync::oneshot::Sender<RawAnswer>>,
) -> Attempt {
    let end = flight.shared.clock.instant(now.after(budget));
    // Pinned here, or the timer would hold a second copy of it.
    let exchange = pin!(exchange(flight, http, raw));
    match tokio::time::timeout_at(end, exchange).await {
        Ok(attempt) => attempt,
        Err(_) => {
            let by_client = flight.end.by_client && now.after(budget) >= flight.end.at;
            if by_client {
                flight.shared.metrics.server.deadline_exceeded(Stage::Attempt);
            }
            let kind = if by_client { Kind::DeadlineExceeded } else { Kind::AttemptTimeout };
            let timeout = configured(flight, budget);
            let (stage, plan) = (Stage::Attempt.as_str(), &flight.source.plan);
            let event = Event::TimeoutExceeded { stage, timeout, by_client };
            flight.shared.events.of_endpoint(&plan.name, plan.endpoint(), event);
            failed(kind, format!("timed out after {}", Pretty(timeout)))
        }
    }
}

/// The timeout as it is configured: what is left of it after waiting in line would puzzle whoever looks for it.
fn configured(flight: &Flight, budget: Duration) -> Duration {
    let plan = &flight.source.plan;
    match plan.attempt_timeout {
        _ if flight.end.by_client => budget,
        Some(attempt) if attempt <= budget => attempt,
        Some(_) | None => plan.flight_timeout(),
    }
}

async fn exchange(flight: &Flight, http: &HttpPlan, raw: Option<tokio::sync::oneshot::Sender<RawAnswer>>) -> Attempt {
    let source = &flight.source;
    let Some(client) = &source.client else {
        return failed(Kind::InternalError, "the source has no client");
    };
    let limits = ReadLimits { max_response_bytes: http.max_response_bytes, read_timeout: http.read_timeout };
    let mut call = match complete(flight, http) {
        Ok(call) => call,
        Err(error) => return failed(Kind::ConfigError, error.to_string()),
    };
    let asked = revalidate::ask(flight, &mut call.headers);
    let answer = match client.exchange(call, limits, http.redirects).await {
        Ok(answer) => answer,
        Err(error) => return failed(error.kind(), error.to_string()),
    };
    if let Some(known) = asked.filter(|_| answer.status == 304) {
        return Attempt::Data(known.body.clone(), revalidate::confirmed(flight, known, &answer.headers));
    }
    if !source.plan.classify.is_data(answer.status) {
        // A 2xx that is no data is one because `classify` says so.
        let kind = Kind::of_status(answer.status);
        return Attempt::Failed {
            kind: if kind == Kind::Success { Kind::AssertionFailed } else { kind },
            status: Some(answer.status),
            message: format!("upstream answered {}", answer.status),
            retry_after: retry_after(&answer.headers, flight.shared.clock.wall()),
            directives: revalidate::heard(flight, &answer.headers).directives,
        };
    }
    let content_type = answer.headers.get(header::CONTENT_TYPE).cloned();
    if let Some(raw) = raw {
        // The caller may have left; then nobody wants it.
        drop(raw.send(RawAnswer { body: answer.body.clone(), content_type: content_type.clone() }));
    }
    decode(flight, &source.plan.shape, answer, content_type).await
}

async fn decode(flight: &Flight, shape: &Arc<Shape>, answer: Answer, content_type: Option<HeaderValue>) -> Attempt {
    let Answer { status, body, headers } = answer;
    if flight.trail.is_on() {
        for found in shape.matches(&body) {
            let text = || format!("projection: {} ← {}: {} match(es)", found.field, found.path, found.count);
            flight.trail.note(&flight.shared.clock, &flight.source.plan.name, text);
        }
    }
    let shaped = if body.len() > PROJECT_INLINE_BYTES {
        let shape = Arc::clone(shape);
        let work = move || shape.apply(&body, content_type.as_ref().and_then(|value| value.to_str().ok()));
        match tokio::task::spawn_blocking(work).await {
            Ok(shaped) => shaped,
            Err(_) => return failed(Kind::InternalError, "the projection broke off; the log says why"),
        }
    } else {
        shape.apply(&body, content_type.as_ref().and_then(|value| value.to_str().ok()))
    };
    match shaped {
        Ok(data) => Attempt::Data(data, revalidate::heard(flight, &headers)),
        Err(error) => {
            let kind = kind_of(&error);
            let directives = Directives::default();
            Attempt::Failed { kind, status: Some(status), message: error.to_string(), retry_after: None, directives }
        }
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

fn failed(kind: Kind, message: impl Into<String>) -> Attempt {
    let (message, directives) = (message.into(), Directives::default());
    Attempt::Failed { kind, status: None, message, retry_after: None, directives }
}

/// Classifies what happened, once, and tells circuit, metrics and log.
fn conclude(flight: &Flight, entered: Entered, attempt: Attempt) -> FlightResult {
    let source = &flight.source;
    let ended = flight.shared.clock.now();
    let took = ended.since(entered.at);
    let (kind, status, wait) = match &attempt {
        Attempt::Data(_, keeping) => (keeping.kind(), Some(if keeping.not_modified { 304 } else { 200 }), None),
        Attempt::Failed { kind, status, retry_after, .. } => (*kind, *status, *retry_after),
    };
    let evidence = source.plan.classify.evidence(kind, status);
    let outcome = Outcome { kind, evidence, retry_after: wait };
    entered.record(flight, &Ended { outcome: &outcome, status, took, now: ended });
    source.metrics.attempted(kind, took);
    match attempt {
        Attempt::Data(body, keeping) => {
            flight.trail.note(&flight.shared.clock, &source.plan.name, || {
                let how = if keeping.not_modified { "not modified, the copy still holds; " } else { "" };
                format!("attempt: {how}answered in {}", Pretty(took))
            });
            let etag = rapidhash::v3::rapidhash_v3(&body);
            Ok(Arc::new(Fetched { body, took, etag, keeping }))
        }
        Attempt::Failed { kind, status, message, retry_after, directives } => {
            tracing::debug!(
                request_id = &*flight.request_id,
                source = source.plan.name.as_str(),
                kind = kind.as_str(),
                elapsed_ms = took.as_secs_f64() * 1000.0,
                error = message,
                "attempt failed"
            );
            flight.trail.note(&flight.shared.clock, &source.plan.name, || {
                format!("attempt: {} after {}: {message}", kind.as_str(), Pretty(took))
            });
            Err(Arc::new(Failure { kind, status, message, took, retry_after, directives }))
        }
    }
}
