//! A flight: all upstream work for one part, in a task of its own. Callers wait for it and can leave; the first one's
//! hurry is not the others' trouble.

use std::pin::Pin;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use tokio::sync::oneshot;

use crate::base::Moment;
use crate::live::Failure;
use crate::live::Fetched;
use crate::live::FlightResult;
use crate::live::LiveSource;
use crate::live::Snapshot;
use crate::live::cache::DueRefresh;
use crate::live::cache::Landing;
use crate::live::cache::Lead;
use crate::live::cache::Waiter;
use crate::plan::Bound;
use crate::policy::outcome::Kind;
use crate::policy::priority::Priority;
use crate::request::admission;
use crate::request::admission::Bid;
use crate::request::admission::Entered;
use crate::request::attempts;
use crate::request::context::Context;
use crate::request::context::Deadline;
use crate::request::context::Shared;
use crate::request::error::failure;
use crate::request::trail::Trail;

/// Everything an upstream call needs, owned: it may outlive the request that started it.
pub(crate) struct Flight {
    pub(crate) shared: Arc<Shared>,
    /// Kept to the end: a flight is explained by one generation, as a request is.
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) source: Arc<LiveSource>,
    pub(crate) bound: Bound,
    /// The client's headers that the source forwards.
    pub(crate) forwarded: HeaderMap,
    pub(crate) request_id: Arc<str>,
    pub(crate) trace_parent: [u8; 55],
    pub(crate) trace_state: Option<HeaderValue>,
    pub(crate) trail: Trail,
    pub(crate) started: Moment,
    /// When all of it must be over, and whether a client's hurry is the reason.
    pub(crate) end: Deadline,
    /// The request's; `low` for a refresh.
    pub(crate) priority: Priority,
    /// Leave to send its first attempt that it has already, and to which endpoint.
    pub(crate) entered: Option<(usize, Entered)>,
    /// The copy that the upstream is asked about: whether it still holds.
    pub(crate) known: Option<Arc<Fetched>>,
    /// Whether it makes one attempt, whatever `retry` says: it stands in for another source.
    pub(crate) once: bool,
    /// Whether the upstream's own bytes are wanted.
    pub(crate) wants_raw: bool,
    /// By which the upstream knows that its attempts are one call.
    pub(crate) call_key: Option<HeaderValue>,
    /// Where `?raw` wants the upstream's own bytes.
    pub(crate) raw: Option<oneshot::Sender<RawAnswer>>,
}

/// An upstream's own answer.
#[derive(Debug)]
pub(crate) struct RawAnswer {
    pub(crate) body: Bytes,
    pub(crate) content_type: Option<HeaderValue>,
}

/// Waits for a flight: one that may be shared, or one of our own.
pub(crate) enum Waiting {
    Flight(Waiter),
    Alone(oneshot::Receiver<FlightResult>),
}

impl Waiting {
    /// How the flight ended. Dropping this future leaves the flight.
    pub(crate) async fn landing(self) -> Landing {
        match self {
            Self::Flight(waiter) => waiter.wait().await,
            Self::Alone(answer) => {
                let broken = || Err(failure(Kind::InternalError, "the call broke off; the log says why"));
                Landing { result: answer.await.unwrap_or_else(|_| broken()), stored: false }
            }
        }
    }
}

/// A refresh that is due: started after the reply is written.
pub(crate) struct Refresh {
    flight: Flight,
    due: DueRefresh,
}

impl Refresh {
    pub(crate) fn new(flight: Flight, due: DueRefresh) -> Self {
        Self { flight, due }
    }

    /// Fetches it, if it need not wait for anything: whoever asks now comes first.
    pub(crate) async fn run(self) {
        let Self { mut flight, due } = self;
        let now = flight.shared.clock.now();
        flight.started = now;
        flight.priority = Priority::Low;
        flight.end.at = now.after(flight.source.plan.flight_timeout());
        let Some(place) = flight.source.choose(now) else { return };
        let Some(endpoint) = flight.source.endpoint(place) else { return };
        let longest = flight.source.plan.attempt_timeout;
        let bid = Bid { flight: &flight, circuit: &endpoint.circuit, longest };
        let Ok(entered) = admission::try_enter(bid) else { return };
        if let Some(lead) = due.begin(now) {
            flight.entered = Some((place, entered));
            led(flight, lead).await;
        }
    }
}

impl Flight {
    /// Notes a decision of its source's policies.
    pub(crate) fn explain(&self, text: impl FnOnce() -> String) {
        self.trail.note(&self.shared.clock, &self.source.plan.name, text);
    }

    /// A flight for this part of this request. Its time is the source's, whatever the client's is.
    pub(crate) fn new(ctx: &Context<'_>, source: Arc<LiveSource>, bound: Bound) -> Self {
        let started = ctx.now();
        let at = started.after(source.plan.flight_timeout());
        let mut forwarded = HeaderMap::new();
        for name in source.plan.forward_headers() {
            for value in ctx.ask.headers.get_all(name) {
                forwarded.append(name.clone(), value.clone());
            }
        }
        Self {
            shared: Arc::clone(ctx.shared),
            snapshot: Arc::clone(ctx.snapshot),
            source,
            bound,
            forwarded,
            request_id: Arc::clone(&ctx.ask.request_id),
            trace_parent: ctx.ask.trace.parent,
            trace_state: ctx.ask.trace.state.clone(),
            trail: ctx.ask.trail.clone(),
            started,
            end: Deadline { at, by_client: false },
            priority: ctx.priority,
            entered: None,
            known: None,
            once: false,
            wants_raw: false,
            call_key: None,
            raw: None,
        }
    }

    /// Nobody else waits for it: it need not go on when its one caller has gone.
    pub(crate) fn bound_by(&mut self, deadline: Deadline) {
        if deadline.at < self.end.at {
            self.end = deadline;
        }
    }

    /// When it is over at the latest.
    pub(crate) fn deadline(&self) -> Moment {
        self.end.at
    }
}

/// Whether the circuit refuses a call, asked before anything is started for it.
pub(crate) fn refused(source: &LiveSource, now: Moment) -> Result<(), Arc<Failure>> {
    source.ask(now).map_err(|denied| admission::circuit_refusal(&denied))
}

/// Starts a flight that others may join; its end is published through `lead`.
pub(crate) fn start_led(flight: Flight, lead: Lead) {
    let tasks = flight.shared.tasks.clone();
    drop(tasks.spawn(led(flight, lead)));
}

/// Makes the call, until nobody wants it any more.
async fn led(mut flight: Flight, lead: Lead) {
    flight.known = lead.known();
    let clock = flight.shared.clock;
    let shield = AtomicBool::new(false);
    let result = shielded(pin!(attempts::fly(flight, &shield)), lead.abandoned(), &shield).await;
    if let Some(result) = result {
        lead.complete(result, clock.now());
    }
}

/// Starts a flight for one caller; it ends when that caller leaves.
pub(crate) fn start_alone(flight: Flight) -> Waiting {
    let (mut answer, waiting) = oneshot::channel();
    let tasks = flight.shared.tasks.clone();
    drop(tasks.spawn(async move {
        let shield = AtomicBool::new(false);
        let result = shielded(pin!(attempts::fly(flight, &shield)), answer.closed(), &shield).await;
        if let Some(result) = result {
            // The caller may have left meanwhile; then nobody wants it.
            drop(answer.send(result));
        }
    }));
    Waiting::Alone(waiting)
}

/// Does the work until nobody waits for it any more. A probe is shielded: it runs to its end, or impatient clients
/// would keep a circuit half open for ever.
async fn shielded(
    mut work: Pin<&mut impl Future<Output = FlightResult>>,
    abandoned: impl Future<Output = ()>,
    shield: &AtomicBool,
) -> Option<FlightResult> {
    tokio::select! {
        biased;
        result = &mut work => Some(result),
        () = abandoned => if shield.load(Ordering::Relaxed) { Some(work.await) } else { None },
    }
}
