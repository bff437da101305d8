//! What stands between an attempt and the network, in this order:
//!
//! | step | may wait | why there |
//! |---|---|---|
//! | deadline | | what cannot end in time is not begun |
//! | circuit, asked | | nobody queues for what would be refused |
//! | client throttle | | what is refused here anyway takes no place |
//! | bulkhead of the source | yes | narrow first, wide last: a flooded source queues in its own compartment |
//! | rate limit of the source | yes | close to the send, or calls would bunch in the bulkhead after it |
//! | global semaphore | yes | |
//! | deadline, again | | waiting took its part of the time |
//! | circuit, for good | | last: a place in a half-open circuit is never held while queueing |
//!
//! Waiting is bounded by the flight's end, and never evidence about the upstream. Whatever refuses, or is cancelled,
//! gives back all that was taken before it.

use std::sync::Arc;
use std::time::Duration;

use crate::base::Moment;
use crate::base::Pretty;
use crate::live::AdaptiveLimit;
use crate::live::Bulkhead;
use crate::live::Circuit;
use crate::live::Failure;
use crate::live::GateSlot;
use crate::live::Permit;
use crate::live::RateLimit;
use crate::live::RateToken;
use crate::live::Throttled;
use crate::live::tell;
use crate::policy::adaptive::Direction;
use crate::policy::adaptive::Epoch;
use crate::policy::adaptive::Sample;
use crate::policy::adaptive::Told;
use crate::policy::breaker::Change;
use crate::policy::breaker::Denied;
use crate::policy::deadline::attempt_budget;
use crate::policy::limiter::Patience;
use crate::policy::limiter::Refusal;
use crate::policy::outcome::Kind;
use crate::policy::outcome::Outcome;
use crate::policy::rate::RateReason;
use crate::policy::rate::RateRefusal;
use crate::policy::throttle::Verdict;
use crate::record::Event;
use crate::record::Stage;
use crate::record::limiter_of_source;
use crate::request::error::failure;
use crate::request::flight::Flight;

/// One attempt that asks to be let through.
#[derive(Clone, Copy)]
pub(crate) struct Bid<'a> {
    pub(crate) flight: &'a Flight,
    /// The circuit of the endpoint that it would call.
    pub(crate) circuit: &'a Arc<Circuit>,
    /// The most that it may take once it is sent; `None`: what is left of the flight's time.
    pub(crate) longest: Option<Duration>,
}

/// Leave to send one attempt, with every place that it holds. Dropped at any await it gives all of them back, neutrally.
#[must_use]
pub(crate) struct Entered {
    /// When it was let through.
    pub(crate) at: Moment,
    /// What it may take from then on.
    pub(crate) budget: Duration,
    /// How much of its time was spent in line.
    pub(crate) waited: Duration,
    circuit: Permit,
    /// When it was sent, for a limit that adapts.
    epoch: Option<Epoch>,
    /// Counts, unless the attempt says nothing about the upstream.
    throttled: Option<Throttled>,
    /// Given back unless the attempt is sent.
    token: Option<RateToken>,
    /// Given back when the attempt is over, the global place first. Nothing reads them.
    _places: Places,
}

/// The places that an attempt holds while it is under way, in the order of their release.
struct Places {
    _global: GateSlot,
    _bulkhead: Option<GateSlot>,
}

/// How an attempt ended.
pub(crate) struct Ended<'a> {
    pub(crate) outcome: &'a Outcome,
    /// The upstream's, where there was one.
    pub(crate) status: Option<u16>,
    /// From send to the end of decoding.
    pub(crate) took: Duration,
    pub(crate) now: Moment,
}

impl Entered {
    /// Whether the attempt decides over a half-open circuit, and so runs to its end even if its client leaves.
    pub(crate) fn is_probe(&self) -> bool {
        self.circuit.is_probe()
    }

    /// It is sent now: from here on what it took of the rate limit is spent, whatever becomes of it.
    pub(crate) fn departs(&mut self) {
        if let Some(token) = self.token.take() {
            token.spend();
        }
    }

    /// Tells everybody how the attempt ended, and gives its places back.
    pub(crate) fn record(mut self, flight: &Flight, ended: &Ended<'_>) {
        let (source, events, clock) = (&flight.source, &flight.shared.events, &flight.shared.clock);
        self.departs();
        let busy = ended.outcome.kind == Kind::Throttled || ended.status == Some(503);
        if let (Some(rate), Some(wait), true) = (&source.limits.rate, ended.outcome.retry_after, busy) {
            let pause = wait.min(source.plan.breaker.open_backoff.max);
            if rate.pause(&source.plan.name, pause, ended.now, events) {
                flight.explain(|| format!("rate limit: paused for {}, as the upstream asks", Pretty(pause)));
            }
        }
        if let Some(throttled) = self.throttled.take() {
            throttled.record(Verdict::of(ended.outcome.kind, ended.status));
        }
        if let Some((adaptive, epoch)) = source.limits.adaptive.as_ref().zip(self.epoch) {
            let sample = Sample::of(ended.outcome.kind, ended.status, ended.took);
            if let Some(Told { from, to }) = adaptive.record(epoch, sample, ended.now, clock) {
                let reason = if to > from { Direction::Up } else { Direction::Down }.as_str();
                events.of_source(&source.plan.name, Event::AdaptiveLimitChanged { from, to, reason });
                flight.explain(|| format!("adaptive concurrency: the limit goes {reason}, from {from} to {to}"));
            }
        }
        if let Some(change) = self.circuit.record(&source.plan.breaker, ended.outcome, ended.took, ended.now) {
            tell(&source.plan.name, &change);
            flight.explain(|| told_of_change(&change));
        }
    }
}

/// Lets an attempt through, after as much waiting as it takes; at most to the flight's end. Safe to cancel.
pub(crate) async fn enter(bid: Bid<'_>) -> Result<Entered, Arc<Failure>> {
    let flight = bid.flight;
    let began = flight.shared.clock.now();
    in_time(&bid, began, Stage::Admission)?;
    ask(&bid, began)?;
    let throttled = spare(flight, began)?;
    let bulkhead = match &flight.source.limits.bulkhead {
        Some(bulkhead) => Some(compartment(flight, bulkhead).await?),
        None => None,
    };
    let token = match &flight.source.limits.rate {
        Some(rate) => Some(tokens(flight, rate).await?),
        None => None,
    };
    let global = semaphore(flight).await?;
    conclude(&bid, began, (throttled, token), Places { _global: global, _bulkhead: bulkhead })
}

/// Lets an attempt through if it need not wait for anything: what nobody waits for (a refresh, a hedge) comes last.
pub(crate) fn try_enter(bid: Bid<'_>) -> Result<Entered, Arc<Failure>> {
    let flight = bid.flight;
    let clock = &flight.shared.clock;
    let began = clock.now();
    in_time(&bid, began, Stage::Admission)?;
    ask(&bid, began)?;
    let throttled = spare(flight, began)?;
    let bulkhead = match &flight.source.limits.bulkhead {
        Some(bulkhead) => Some(bulkhead.gate.try_acquire(clock).ok_or_else(|| busy("bulkhead.max_concurrent"))?),
        None => None,
    };
    let token = match &flight.source.limits.rate {
        Some(rate) => {
            let token = rate.gate.try_acquire(cost(flight, rate), began);
            Some(token.map_err(|refusal| no_tokens(flight, rate, refusal))?)
        }
        None => None,
    };
    let global = flight.snapshot.gate.try_acquire(clock).ok_or_else(|| busy("limits.concurrency"))?;
    conclude(&bid, began, (throttled, token), Places { _global: global, _bulkhead: bulkhead })
}

/// The steps after the last wait, at one moment.
fn conclude(
    bid: &Bid<'_>,
    began: Moment,
    (throttled, token): (Option<Throttled>, Option<RateToken>),
    places: Places,
) -> Result<Entered, Arc<Failure>> {
    let now = bid.flight.shared.clock.now();
    let budget = in_time(bid, now, Stage::Queue)?;
    let circuit = admit(bid, now, budget)?;
    let epoch = bid.flight.source.limits.adaptive.as_ref().map(AdaptiveLimit::begin);
    Ok(Entered { at: now, budget, waited: now.since(began), circuit, epoch, throttled, token, _places: places })
}

/// What an attempt that is sent now may take.
fn in_time(bid: &Bid<'_>, now: Moment, stage: Stage) -> Result<Duration, Arc<Failure>> {
    let least = bid.flight.source.plan.terms.min_attempt_budget;
    attempt_budget(bid.flight.end.at, bid.longest, least, now).ok_or_else(|| {
        bid.flight.shared.metrics.server.deadline_exceeded(stage);
        let when = if stage == Stage::Queue { " after waiting" } else { "" };
        let message = format!("less than {} left{when}; not sent", Pretty(least));
        failure(Kind::DeadlineExceeded, message)
    })
}

/// Whether the circuit would let it through. A refusal is counted.
fn ask(bid: &Bid<'_>, now: Moment) -> Result<(), Arc<Failure>> {
    let asked = bid.circuit.peek(&bid.flight.source.plan.breaker, now);
    asked.inspect_err(|denied| bid.circuit.count_refusal(denied.reason)).map_err(|denied| circuit_refusal(&denied))
}

/// Whether the client throttle lets it through. It counts from now on.
fn spare(flight: &Flight, now: Moment) -> Result<Option<Throttled>, Arc<Failure>> {
    const REASON: &str = "client_throttle";
    let Some(throttle) = &flight.source.limits.throttle else { return Ok(None) };
    throttle.admit(now).map(Some).map_err(|share| {
        let name = &flight.source.plan.name;
        let event = Event::BulkheadRejected { limiter: &limiter_of_source(name), reason: REASON };
        flight.shared.events.of_source(name, event);
        let message = format!(
            "{REASON}: the upstream turns calls away; {:.0}% of them are not sent (`client_throttle.max_reject`)",
            share * 100.0
        );
        failure(Kind::LocalLimit, message)
    })
}

fn admit(bid: &Bid<'_>, now: Moment, budget: Duration) -> Result<Permit, Arc<Failure>> {
    let (flight, plan) = (bid.flight, &bid.flight.source.plan);
    let asked = bid.circuit.admit(&plan.breaker, now, budget);
    if let Some(change) = &asked.change {
        tell(&plan.name, change);
    }
    let permit = asked.permit.map_err(|denied| circuit_refusal(&denied))?;
    flight.trail.note(&flight.shared.clock, &plan.name, || {
        format!("circuit: {}", if permit.is_probe() { "half-open, this call is the probe" } else { "closed" })
    });
    Ok(permit)
}

/// What a refused caller is told.
pub(crate) fn circuit_refusal(denied: &Denied) -> Arc<Failure> {
    Arc::new(Failure { retry_after: Some(denied.wait), ..Failure::new(Kind::BreakerOpen, "circuit open") })
}

/// What `--explain` says of a change that an attempt's end made.
fn told_of_change(change: &Change) -> String {
    let (to, reason) = (change.to.as_str(), change.reason.as_str());
    let open_for = change.open_for.map(|open_for| format!(" for {}", Pretty(open_for))).unwrap_or_default();
    format!("circuit: {} to {to}{open_for}: {reason}", change.from.as_str())
}

/// What `--explain` says of an attempt that was not sent.
pub(crate) fn told_of_refusal(refusal: &Failure) -> String {
    match (refusal.kind, refusal.retry_after) {
        (Kind::BreakerOpen, Some(wait)) => format!("circuit: open, for another {}; nothing is sent", Pretty(wait)),
        (kind, _) => format!("not sent: {}: {}", kind.as_str(), refusal.message),
    }
}

/// A place in the source's own compartment.
async fn compartment(flight: &Flight, bulkhead: &Bulkhead) -> Result<GateSlot, Arc<Failure>> {
    let began = flight.shared.clock.now();
    let slot = bulkhead.gate.acquire(&flight.shared.clock, patience(flight)).await;
    let waited = flight.shared.clock.now().since(began);
    flight.trail.note(&flight.shared.clock, &flight.source.plan.name, || {
        format!(
            "bulkhead: waited {}, {} of {} in flight",
            Pretty(waited),
            bulkhead.gate.active(),
            bulkhead.gate.limit()
        )
    });
    if slot.is_ok() {
        bulkhead.metrics.granted(waited);
    }
    slot.map_err(|refusal| {
        let finds_itself = flight.source.limits.adaptive.is_some();
        refused(
            flight,
            refusal,
            &Full {
                limiter: limiter_of_source(&flight.source.plan.name),
                limit: if finds_itself { "adaptive_concurrency.max" } else { "bulkhead.max_concurrent" },
                waiting: "bulkhead.max_waiting",
                timeout: "bulkhead.queue_timeout",
                waited,
            },
        )
    })
}

/// Tokens of the source's rate limit.
async fn tokens(flight: &Flight, rate: &RateLimit) -> Result<RateToken, Arc<Failure>> {
    let clock = &flight.shared.clock;
    let began = clock.now();
    let token = rate.gate.acquire(&rate.settings, cost(flight, rate), clock, flight.end.at).await;
    let now = clock.now();
    let waited = now.since(began);
    flight.trail.note(clock, &flight.source.plan.name, || {
        let view = rate.gate.view(now);
        format!("rate limit: waited {}, {} of {} tokens left", Pretty(waited), view.tokens, view.burst)
    });
    if token.is_ok() {
        flight.source.metrics.rate_waited(waited);
    }
    token.map_err(|refusal| no_tokens(flight, rate, refusal))
}

/// What this call takes of the rate limit.
fn cost(flight: &Flight, rate: &RateLimit) -> u32 {
    rate.settings.cost.tokens(|name| flight.bound.get(name))
}

/// A place in the global semaphore.
async fn semaphore(flight: &Flight) -> Result<GateSlot, Arc<Failure>> {
    let began = flight.shared.clock.now();
    let slot = flight.snapshot.gate.acquire(&flight.shared.clock, patience(flight)).await;
    let waited = flight.shared.clock.now().since(began);
    flight.trail.note(&flight.shared.clock, &flight.source.plan.name, || {
        format!("global semaphore: waited {}", Pretty(waited))
    });
    if slot.is_ok() {
        flight.snapshot.gate_metrics.granted(waited);
    }
    slot.map_err(|refusal| {
        refused(
            flight,
            refusal,
            &Full {
                limiter: "global".to_owned(),
                limit: "limits.concurrency",
                waiting: "limits.max_waiting",
                timeout: "timeout",
                waited,
            },
        )
    })
}

/// Everybody waits to the flight's end at most, in the class of the request.
fn patience(flight: &Flight) -> Patience {
    Patience { priority: flight.priority, deadline: flight.end.at }
}

/// A limit that had no room, in the keys that would change it.
struct Full {
    /// Its name in metrics and events.
    limiter: String,
    limit: &'static str,
    waiting: &'static str,
    timeout: &'static str,
    waited: Duration,
}

fn refused(flight: &Flight, refusal: Refusal, full: &Full) -> Arc<Failure> {
    let (reason, Full { limiter, limit, waiting, timeout, waited }) = (refusal.as_str(), full);
    flight.shared.events.of_source(&flight.source.plan.name, Event::BulkheadRejected { limiter, reason });
    let message = match refusal {
        Refusal::CapacityFull => {
            format!("{reason}: `{limit}` is reached, and as many calls wait as `{waiting}` allows")
        }
        Refusal::QueueTimeout => format!("{reason}: `{limit}` had no room within {} (`{timeout}`)", Pretty(*waited)),
        Refusal::Deadline => {
            flight.shared.metrics.server.deadline_exceeded(Stage::Queue);
            format!("{reason}: `{limit}` had no room within {}, and the call's time is over", Pretty(*waited))
        }
    };
    failure(Kind::LocalLimit, message)
}

/// No place is free, for who waits for none.
fn busy(limit: &str) -> Arc<Failure> {
    let reason = Refusal::CapacityFull.as_str();
    failure(Kind::LocalLimit, format!("{reason}: `{limit}` is reached, and this call waits for no place"))
}

/// No tokens in time. The message names the key to change.
fn no_tokens(flight: &Flight, rate: &RateLimit, refusal: RateRefusal) -> Arc<Failure> {
    let RateRefusal { reason, wait } = refusal;
    let name = &flight.source.plan.name;
    let told = reason.as_str();
    let message = match reason {
        RateReason::NoToken => format!("{told}: `rate_limit.rate` is used up for {}", Pretty(wait)),
        RateReason::MaxWait => {
            format!(
                "{told}: `rate_limit.rate` would have it wait for {}, longer than `rate_limit.max_wait`",
                Pretty(wait)
            )
        }
        RateReason::QueueFull => format!("{told}: as many calls wait as `rate_limit.max_queue` allows"),
        RateReason::Deadline => {
            flight.shared.metrics.server.deadline_exceeded(Stage::Queue);
            format!("{told}: `rate_limit.rate` would have it wait for {}, past its own time", Pretty(wait))
        }
        RateReason::Paused => format!("{told}: the upstream asked to be left alone for another {}", Pretty(wait)),
        RateReason::CostExceedsBurst => {
            let (cost, burst) = (cost(flight, rate), rate.settings.quota.burst());
            format!("{told}: it takes {cost}, and `rate_limit.burst` is {burst}")
        }
    };
    let event = Event::RateLimitExceeded { limiter: &limiter_of_source(name), wait };
    flight.shared.events.of_source(name, event);
    let retry_after = (!wait.is_zero()).then_some(wait);
    Arc::new(Failure { retry_after, ..Failure::new(Kind::RateLimitedLocal, message) })
}
