//! One attempt: it is let through, sent under its timer, and what came of it is classified once, and everybody told.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::base::Moment;
use crate::base::Pretty;
use crate::live::Failure;
use crate::live::Fetched;
use crate::live::FlightResult;
use crate::live::LiveEndpoint;
use crate::plan::CallPlan;
use crate::plan::HttpPlan;
use crate::policy::outcome::Kind;
use crate::policy::outcome::Outcome;
use crate::policy::strategy::Order;
use crate::record::Event;
use crate::record::Stage;
use crate::request::admission;
use crate::request::admission::Bid;
use crate::request::admission::Entered;
use crate::request::error::failure;
use crate::request::exchange;
use crate::request::exchange::Came;
use crate::request::exchange::Data;
use crate::request::exchange::Lost;
use crate::request::flight::Flight;
use crate::request::flight::RawAnswer;

/// One attempt to be made.
pub(crate) struct Attempt {
    /// At which of the source's endpoints.
    pub(crate) place: usize,
    /// Which one of its call, from 1.
    pub(crate) number: u32,
    /// The most that it may take once it is sent; `None`: what is left of the flight's time.
    pub(crate) longest: Option<Duration>,
    /// Leave to send it that it has already.
    pub(crate) entered: Option<Entered>,
}

/// An attempt that was let through.
#[derive(Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) place: usize,
    pub(crate) number: u32,
    pub(crate) longest: Option<Duration>,
}

/// How an attempt ended.
pub(crate) struct Ended {
    pub(crate) result: FlightResult,
    /// When it was sent; `None`: it was not.
    pub(crate) sent: Option<Moment>,
    /// Whether the upstream forbids another.
    pub(crate) do_not_retry: bool,
    /// The upstream's own answer, where somebody wants it.
    pub(crate) raw: Option<Box<RawAnswer>>,
}

impl Ended {
    /// Nothing was sent.
    pub(crate) fn refused(failure: Arc<Failure>) -> Self {
        Self { result: Err(failure), sent: None, do_not_retry: false, raw: None }
    }
}

/// Makes one attempt. Cancelling is safe at every await: every place and permit is given back, neutrally.
pub(crate) async fn make(flight: &Flight, attempt: Attempt, shield: &AtomicBool) -> Ended {
    let Attempt { place, number, longest, entered } = attempt;
    let Some(endpoint) = flight.source.endpoint(place) else {
        return Ended::refused(failure(Kind::InternalError, "there is no such endpoint"));
    };
    let entered = match entered {
        Some(entered) => Ok(entered),
        None => admission::enter(Bid { flight, circuit: &endpoint.circuit, longest }).await,
    };
    let mut entered = match entered {
        Ok(entered) => entered,
        Err(failure) => {
            flight.explain(|| admission::told_of_refusal(&failure));
            return Ended::refused(failure);
        }
    };
    entered.departs();
    shield.store(entered.is_probe(), Ordering::Relaxed);
    let ended = send(flight, Sent { place, number, longest }, entered).await;
    shield.store(false, Ordering::Relaxed);
    ended
}

/// Sends an attempt that was let through.
pub(crate) async fn send(flight: &Flight, sent: Sent, entered: Entered) -> Ended {
    let source = &flight.source;
    let (CallPlan::Http(http), Some(endpoint)) = (&source.plan.call, source.endpoint(sent.place)) else {
        return Ended::refused(failure(Kind::InternalError, "constant data is never called"));
    };
    if source.plan.terms.endpoints > 1 {
        flight.explain(|| format!("endpoint: {}", endpoint.name));
    }
    let _pending = (source.plan.strategy.order == Order::LeastPending).then(|| endpoint.count());
    if sent.number == 1 && source.spends() && !entered.is_probe() {
        source.allowance.earn(source.purse(), entered.at);
    }
    // Boxed: the task is moved about before it is polled, and this is most of it.
    let came = Box::pin(timed(flight, http, &entered, sent)).await;
    let came = if was_late(flight, &entered, sent.longest) { blamed_on_us(came) } else { came };
    conclude(flight, endpoint, entered, came)
}

/// Whether waiting in line took a good part of the time that the attempt should have had. What does not get done in the
/// rest says nothing about the upstream: else a crowd here would open the circuit of a healthy one.
fn was_late(flight: &Flight, entered: &Entered, longest: Option<Duration>) -> bool {
    let whole = flight.source.plan.flight_timeout();
    let full = longest.map_or(whole, |longest| longest.min(whole));
    entered.waited > full / 10 && entered.budget < full - full / 10
}

/// The time ran out here, in line.
fn blamed_on_us(came: Came) -> Came {
    match came {
        Came::Nothing(lost) if lost.kind == Kind::AttemptTimeout => {
            let message = format!("queue_timeout: {}, too much of it spent waiting for a place", lost.message);
            Came::Nothing(Lost { kind: Kind::LocalLimit, message, ..lost })
        }
        Came::Data(..) | Came::Nothing(_) => came,
    }
}

/// The exchange and the decoding of its answer, under the attempt's timer.
async fn timed(flight: &Flight, http: &HttpPlan, entered: &Entered, sent: Sent) -> Came {
    let end = entered.at.after(entered.budget);
    // Pinned here, or the timer would hold a second copy of it.
    let exchange = pin!(exchange::exchange(flight, http, sent.place, entered.budget));
    match tokio::time::timeout_at(flight.shared.clock.instant(end), exchange).await {
        Ok(came) => came,
        Err(_) => {
            let by_client = flight.end.by_client && end >= flight.end.at;
            if by_client {
                flight.shared.metrics.server.deadline_exceeded(Stage::Attempt);
            }
            let kind = if by_client { Kind::DeadlineExceeded } else { Kind::AttemptTimeout };
            let timeout = configured(flight, entered.budget, sent.longest);
            let event = Event::TimeoutExceeded { stage: Stage::Attempt.as_str(), timeout, by_client };
            let endpoint = flight.source.endpoint(sent.place).map_or("", |endpoint| &endpoint.name);
            flight.shared.events.of_endpoint(&flight.source.plan.name, endpoint, event);
            Lost::new(kind, format!("timed out after {}", Pretty(timeout))).into()
        }
    }
}

/// The timeout as it is configured: what is left of it after waiting in line would puzzle whoever looks for it.
fn configured(flight: &Flight, budget: Duration, longest: Option<Duration>) -> Duration {
    match longest {
        _ if flight.end.by_client => budget,
        Some(longest) if longest <= budget => longest,
        Some(_) | None => flight.source.plan.flight_timeout(),
    }
}

/// Classifies what happened, once, and tells circuit, metrics and log.
fn conclude(flight: &Flight, endpoint: &LiveEndpoint, entered: Entered, came: Came) -> Ended {
    let source = &flight.source;
    let (sent, now) = (entered.at, flight.shared.clock.now());
    let took = now.since(sent);
    let (kind, status, retry_after) = match &came {
        Came::Data(data) => (data.keeping.kind(), Some(if data.keeping.not_modified { 304 } else { 200 }), None),
        Came::Nothing(lost) => (lost.kind, lost.status, lost.retry_after),
    };
    let evidence = source.plan.classify.evidence(kind, status);
    let outcome = Outcome { kind, evidence, retry_after };
    entered.record(flight, &admission::Ended { outcome: &outcome, status, took, now });
    endpoint.metrics.attempted(kind, took);
    match came {
        Came::Data(Data { body, keeping, raw }) => {
            flight.trail.note(&flight.shared.clock, &source.plan.name, || {
                let how = if keeping.not_modified { "not modified, the copy still holds; " } else { "" };
                format!("attempt: {how}answered in {}", Pretty(took))
            });
            let etag = rapidhash::v3::rapidhash_v3(&body);
            let fetched = Fetched { body, took, etag, keeping };
            Ended { result: Ok(Arc::new(fetched)), sent: Some(sent), do_not_retry: false, raw }
        }
        Came::Nothing(Lost { kind, status, message, retry_after, do_not_retry, directives }) => {
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
            // One alone need not be named.
            let endpoint = (source.endpoints.len() > 1).then(|| Arc::clone(&endpoint.name));
            let failure = Failure { kind, status, message, took, attempts: 1, endpoint, retry_after, directives };
            Ended { result: Err(Arc::new(failure)), sent: Some(sent), do_not_retry, raw: None }
        }
    }
}
