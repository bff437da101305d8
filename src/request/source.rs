//! One source's part: cache, then a flight, then what may stand in for it.
//!
//! ```text
//! begin ──static, fresh or stale-while-revalidate──► Known
//!   │ miss: join the flight in the air, or lead one
//!   ▼
//! finish: wait, each caller to its own deadline ──► success
//!   │ failure, refusal, out of time
//!   ▼
//! recover: stale_if_error, then the steps of `fallback`, the first that has something
//! ```

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::base::Moment;
use crate::base::Pretty;
use crate::live::Failure;
use crate::live::Fetched;
use crate::live::Keeping;
use crate::live::LiveSource;
use crate::live::cache::Ask as CacheAsk;
use crate::live::cache::CacheKey;
use crate::live::cache::Entry;
use crate::live::cache::Landing;
use crate::live::cache::Look;
use crate::live::cache::StaleWindow;
use crate::live::cache::Tag;
use crate::plan::Bound;
use crate::plan::CallPlan;
use crate::plan::Fallback;
use crate::policy::freshness::CacheSettings;
use crate::policy::freshness::Freshness;
use crate::policy::outcome::Kind;
use crate::record::CacheResult;
use crate::record::Event;
use crate::record::Role;
use crate::record::Stage;
use crate::request::admission;
use crate::request::admit::PartCall;
use crate::request::context::Context;
use crate::request::context::asker;
use crate::request::error::failure;
use crate::request::exchange;
use crate::request::flight;
use crate::request::flight::Flight;
use crate::request::flight::Refresh;
use crate::request::flight::Waiting;
use crate::request::part::FallbackNote;
use crate::request::part::Origin;
use crate::request::part::Part;
use crate::request::part::Status;
use crate::shape::ShapeError;

/// A part that was begun.
pub(crate) enum Begun {
    /// It needed no waiting.
    Known(Part),
    /// A call is under way.
    Waiting(Box<Underway>),
    /// It failed at once; something may stand in for it.
    Lost(Box<Lost>),
}

/// A call under way, ours or somebody else's.
pub(crate) struct Underway {
    call: PartCall,
    key: Option<CacheKey>,
    waiting: Waiting,
    origin: Origin,
    started: Moment,
    /// When the flight ends by itself at the latest, where we know it.
    ends_by: Option<Moment>,
}

/// A part whose call failed.
pub(crate) struct Lost {
    call: PartCall,
    key: Option<CacheKey>,
    failure: Arc<Failure>,
    origin: Origin,
    started: Moment,
}

impl Begun {
    /// The part, where it needed no waiting.
    pub(crate) fn known(self) -> Option<Part> {
        match self {
            Self::Known(part) => Some(part),
            Self::Waiting(_) | Self::Lost(_) => None,
        }
    }
}

/// Serves from cache, or joins or starts the call. Waits for nothing.
pub(crate) fn begin(
    ctx: &Context<'_>,
    tag: &Tag,
    call: PartCall,
    started: Moment,
    refreshes: &mut Vec<Refresh>,
) -> Begun {
    if let CallPlan::Static(data) = &call.source.plan.call {
        return Begun::Known(constant(data));
    }
    let Some(settings) = &call.source.plan.cache else {
        call.source.metrics.cache(CacheResult::Bypass);
        return begin_uncached(ctx, call, started);
    };
    let key = key_of(ctx, &call);
    let look = ctx.snapshot.cache.look(&cache_ask(&call.source, settings, &key, tag, started));
    match look {
        Look::Hit { entry, age, freshness, refresh } => {
            let part = hit(ctx, &call, settings, &entry, age, freshness);
            if let Some(due) = refresh {
                ctx.ask
                    .trail
                    .note(&ctx.shared.clock, &call.source.plan.name, || "cache: fetched anew behind the reply".into());
                refreshes.push(Refresh::new(flight_of(ctx, &call), due));
            }
            match (&part.failure, &part.data) {
                (Some(failure), None) => {
                    let failure = Arc::clone(failure);
                    Begun::Lost(Box::new(Lost { call, key: Some(key), failure, origin: part.origin, started }))
                }
                _ => Begun::Known(part),
            }
        }
        Look::Wait { waiter, lead, stale, passes } => {
            count_miss(&call.source, stale, passes, lead.is_some());
            let origin = if lead.is_some() { Origin::Fetched { stored: false } } else { Origin::Collapsed };
            let ends_by = if let Some(lead) = lead {
                if let Err(refusal) = flight::refused(&call.source, started) {
                    let name = &call.source.plan.name;
                    ctx.ask.trail.note(&ctx.shared.clock, name, || admission::told_of_refusal(&refusal));
                    lead.complete(Err(Arc::clone(&refusal)), started);
                    let origin = Origin::Refused;
                    return Begun::Lost(Box::new(Lost { call, key: Some(key), failure: refusal, origin, started }));
                }
                let note =
                    if passes { "makes its own call, the upstream forbids to keep it" } else { "leads the call" };
                ctx.ask.trail.note(&ctx.shared.clock, &call.source.plan.name, || format!("cache: miss; {note}"));
                let mut flight = flight_of(ctx, &call);
                if settings.coalesce.is_none() || passes {
                    flight.bound_by(ctx.deadline);
                }
                let ends_by = flight.deadline();
                flight::start_led(flight, lead);
                Some(ends_by)
            } else {
                ctx.ask
                    .trail
                    .note(&ctx.shared.clock, &call.source.plan.name, || "cache: miss; joins a call in the air".into());
                // It may have started under another configuration's timeout: our own deadline needs a timer.
                None
            };
            let waiting = Waiting::Flight(waiter);
            Begun::Waiting(Box::new(Underway { call, key: Some(key), waiting, origin, started, ends_by }))
        }
    }
}

/// A part whose turn comes when the request is out of time: nothing is begun for it, though something may stand in.
pub(crate) fn too_late(ctx: &Context<'_>, call: PartCall, started: Moment) -> Begun {
    if let CallPlan::Static(data) = &call.source.plan.call {
        return Begun::Known(constant(data));
    }
    ctx.shared.metrics.server.deadline_exceeded(Stage::Queue);
    let kind = if ctx.deadline.by_client { Kind::DeadlineExceeded } else { Kind::AttemptTimeout };
    let failure = failure(kind, "`max_parallel` let it begin only when the request was out of time");
    ctx.ask.trail.note(&ctx.shared.clock, &call.source.plan.name, || failure.message.clone());
    let key = call.source.plan.cache.is_some().then(|| key_of(ctx, &call));
    Begun::Lost(Box::new(Lost { call, key, failure, origin: Origin::Refused, started }))
}

/// Counts a caller that waits for a call; one that makes its own because it must does not count for sharing.
fn count_miss(source: &LiveSource, stale: bool, passes: bool, leads: bool) {
    if passes {
        return source.metrics.cache(CacheResult::Bypass);
    }
    source.metrics.cache(if stale { CacheResult::Sie } else { CacheResult::Miss });
    source.metrics.coalesced(if leads { Role::Lead } else { Role::Join });
}

/// `cache: off`: a call of our own, shared with nobody.
fn begin_uncached(ctx: &Context<'_>, call: PartCall, started: Moment) -> Begun {
    if let Err(failure) = flight::refused(&call.source, started) {
        let name = &call.source.plan.name;
        ctx.ask.trail.note(&ctx.shared.clock, name, || admission::told_of_refusal(&failure));
        return Begun::Lost(Box::new(Lost { call, key: None, failure, origin: Origin::Refused, started }));
    }
    let mut flight = flight_of(ctx, &call);
    flight.bound_by(ctx.deadline);
    let ends_by = Some(flight.deadline());
    let waiting = flight::start_alone(flight);
    Begun::Waiting(Box::new(Underway { call, key: None, waiting, origin: Origin::Bypass, started, ends_by }))
}

/// Waits for a part to its deadline, and for what stands in when it fails.
pub(crate) async fn finish(ctx: &Context<'_>, tag: &Tag, begun: Begun) -> Part {
    match begun {
        Begun::Known(part) => part,
        // Boxed: what seldom happens should not make the future of every part large.
        Begun::Lost(lost) => Box::pin(recover(ctx, tag, *lost)).await,
        Begun::Waiting(underway) => {
            let Underway { call, key, waiting, mut origin, started, ends_by } = *underway;
            let landing = wait(ctx, &call.source, waiting, started, ends_by).await;
            if let Origin::Fetched { stored } = &mut origin {
                *stored = landing.stored;
            }
            match landing.result {
                Ok(fetched) => {
                    if fetched.keeping.not_modified && matches!(origin, Origin::Fetched { .. }) {
                        origin = Origin::Revalidated;
                    }
                    let took = ctx.now().since(started);
                    call.source.metrics.answered("ok", took);
                    Part::good(&fetched, Status::Ok, origin)
                }
                Err(failure) => Box::pin(recover(ctx, tag, Lost { call, key, failure, origin, started })).await,
            }
        }
    }
}

/// Waits for a flight, at most to the request's deadline.
pub(crate) async fn wait(
    ctx: &Context<'_>,
    source: &LiveSource,
    waiting: Waiting,
    started: Moment,
    ends_by: Option<Moment>,
) -> Landing {
    // A flight that ends before our deadline does needs no second timer.
    if ends_by.is_some_and(|end| end <= ctx.deadline.at) {
        return waiting.landing().await;
    }
    let deadline = ctx.shared.clock.instant(ctx.deadline.at);
    match tokio::time::timeout_at(deadline, waiting.landing()).await {
        Ok(landing) => landing,
        Err(_) => {
            ctx.shared.metrics.server.deadline_exceeded(Stage::Coalesce);
            let kind = if ctx.deadline.by_client { Kind::DeadlineExceeded } else { Kind::AttemptTimeout };
            let by_client = ctx.deadline.by_client;
            let event = Event::TimeoutExceeded { stage: Stage::Coalesce.as_str(), timeout: ctx.budget, by_client };
            ctx.shared.events.of_source(&source.plan.name, event);
            let took = ctx.now().since(started);
            let message = format!("no answer within the request's {}", Pretty(ctx.budget));
            ctx.ask.trail.note(&ctx.shared.clock, &source.plan.name, || message.clone());
            let failure = Failure { took, ..Failure::new(kind, message) };
            Landing { result: Err(Arc::new(failure)), stored: false }
        }
    }
}

/// What may stand in for a failed call. The failure stays in the part: the upstream did fail.
async fn recover(ctx: &Context<'_>, tag: &Tag, lost: Lost) -> Part {
    let mut part = Part::bad(Arc::clone(&lost.failure), lost.origin);
    let plan = &lost.call.source.plan;
    let waited = part.waited();
    if lost.failure.kind.allows_stale()
        && let Some((entry, age)) = stale(ctx, tag, &lost, StaleWindow::IfError)
        && let Ok(fetched) = entry.value()
    {
        stand_in(&mut part, Status::Stale, fetched);
        part.origin = Origin::CacheAfterError { age, left_ms: left_ms(&entry, plan.cache.as_ref(), age), waited };
        part.fallback = Some(FallbackNote { via: "stale", age: Some(age) });
    } else if plan.fallback_on.fires(lost.failure.kind, lost.failure.status) {
        fall_back(ctx, tag, &lost, &mut part, waited).await;
    }
    lost.call.source.metrics.answered(part.status.as_str(), ctx.now().since(lost.started));
    if let Some(note) = &part.fallback {
        lost.call.source.metrics.fell_back(note.via);
        let event = Event::FallbackUsed { via: note.via, kind: lost.failure.kind.as_str() };
        ctx.shared.events.of_source(&plan.name, event);
        ctx.ask.trail.note(&ctx.shared.clock, &plan.name, || {
            let age = note.age.map(|age| format!(", {} old", Pretty(age))).unwrap_or_default();
            format!("answered by `{}` instead{age}", note.via)
        });
    }
    part
}

/// The steps of `fallback`, the first that has something.
async fn fall_back(ctx: &Context<'_>, tag: &Tag, lost: &Lost, part: &mut Part, waited: bool) {
    let plan = &lost.call.source.plan;
    for step in &plan.fallback {
        let why = match step {
            Fallback::Stale(max_age) => match stale(ctx, tag, lost, StaleWindow::Upto(*max_age)) {
                Some((entry, age)) if entry.value().is_ok() => {
                    if let Ok(fetched) = entry.value() {
                        stand_in(part, Status::Fallback, fetched);
                    }
                    let left_ms = left_ms(&entry, plan.cache.as_ref(), age);
                    part.origin = Origin::CacheAfterError { age, left_ms, waited };
                    part.fallback = Some(FallbackNote { via: step.as_str(), age: Some(age) });
                    return;
                }
                Some(_) | None => "too_old",
            },
            Fallback::Value(body) => {
                part.status = Status::Fallback;
                part.data = Some(body.clone());
                part.etag = rapidhash::v3::rapidhash_v3(body);
                part.fallback = Some(FallbackNote { via: step.as_str(), age: None });
                return;
            }
            Fallback::Source(place) => match from_source(ctx, tag, lost, *place).await {
                Ok(other) => {
                    part.status = Status::Fallback;
                    part.fallback = Some(FallbackNote { via: step.as_str(), age: other.age() });
                    part.data = other.data;
                    part.etag = other.etag;
                    return;
                }
                Err(why) => why,
            },
        };
        ctx.ask.trail.note(&ctx.shared.clock, &plan.name, || format!("fallback `{}` in vain: {why}", step.as_str()));
        lost.call.source.metrics.fell_through(step.as_str(), why);
        part.tried.push(step.as_str());
    }
}

/// The data of another source, with its own cache, circuit and limits, within what is left of this one's budget.
///
/// Boxed: a fallback may have fallbacks of its own, to the depth that validation allows.
fn from_source<'a>(
    ctx: &'a Context<'_>,
    tag: &'a Tag,
    lost: &'a Lost,
    place: usize,
) -> Pin<Box<dyn Future<Output = Result<Part, &'static str>> + Send + 'a>> {
    Box::pin(call_instead(ctx, tag, lost, place))
}

async fn call_instead(ctx: &Context<'_>, tag: &Tag, lost: &Lost, place: usize) -> Result<Part, &'static str> {
    let source = ctx.snapshot.sources.get(place).ok_or(Kind::InternalError.as_str())?;
    let bound = Bound::bind(&source.plan.params, &lost.call.bound.values()).map_err(|_| "bad_parameter")?;
    let call = PartCall { source: Arc::clone(source), bound, once: true };
    let deadline = lost.started.after(lost.call.source.plan.timeout).min(ctx.deadline.at);
    let mut refreshes = Vec::new();
    let begun = begin(ctx, tag, call, ctx.now(), &mut refreshes);
    // A refresh that is due for the stand-in is left to those who ask for that source itself.
    drop(refreshes);
    let part = tokio::time::timeout_at(ctx.shared.clock.instant(deadline), finish(ctx, tag, begun)).await;
    let part = part.map_err(|_| {
        ctx.shared.metrics.server.deadline_exceeded(Stage::Fallback);
        let (timeout, by_client) = (deadline.since(lost.started), ctx.deadline.by_client);
        let event = Event::TimeoutExceeded { stage: Stage::Fallback.as_str(), timeout, by_client };
        ctx.shared.events.of_source(&source.plan.name, event);
        Kind::AttemptTimeout.as_str()
    })?;
    match (&part.data, &part.failure) {
        (Some(_), _) => Ok(part),
        (None, Some(failure)) => Err(failure.kind.as_str()),
        (None, None) => Err(Kind::InternalError.as_str()),
    }
}

/// A copy for a part that has nothing, at most so long past its ttl: what the route accepts, and the source does not.
pub(crate) fn old_copy(ctx: &Context<'_>, tag: &Tag, call: &PartCall, part: &mut Part, max_age: Duration) -> bool {
    let plan = &call.source.plan;
    let Some(settings) = &plan.cache else { return false };
    let key = key_of(ctx, call);
    let now = ctx.now();
    let ask = cache_ask(&call.source, settings, &key, tag, now);
    let Some((entry, age)) = ctx.snapshot.cache.stale_for(&ask, StaleWindow::Upto(max_age), now) else { return false };
    let Ok(fetched) = entry.value() else { return false };
    let waited = part.waited();
    stand_in(part, Status::Fallback, fetched);
    part.origin = Origin::CacheAfterError { age, left_ms: left_ms(&entry, Some(settings), age), waited };
    part.fallback = Some(FallbackNote { via: "stale", age: Some(age) });
    call.source.metrics.fell_back("stale");
    true
}

fn stale(ctx: &Context<'_>, tag: &Tag, lost: &Lost, window: StaleWindow) -> Option<(Arc<Entry>, Duration)> {
    let settings = lost.call.source.plan.cache.as_ref()?;
    let now = ctx.now();
    ctx.snapshot.cache.stale_for(&cache_ask(&lost.call.source, settings, lost.key.as_ref()?, tag, now), window, now)
}

fn stand_in(part: &mut Part, status: Status, fetched: &Fetched) {
    part.status = status;
    part.data = Some(fetched.body.clone());
    part.etag = fetched.etag;
}

fn hit(
    ctx: &Context<'_>,
    call: &PartCall,
    settings: &CacheSettings,
    entry: &Arc<Entry>,
    age: Duration,
    freshness: Freshness,
) -> Part {
    let origin = Origin::Cache { age, left_ms: left_ms(entry, Some(settings), age) };
    ctx.ask.trail.note(&ctx.shared.clock, &call.source.plan.name, || {
        let past = if left_ms(entry, Some(settings), age) <= 0 { ", past its ttl" } else { "" };
        format!("cache: hit, {} old{past}", Pretty(age))
    });
    match entry.value() {
        Ok(fetched) => {
            let (status, counted) = match freshness {
                Freshness::Fresh => (Status::Ok, CacheResult::Hit),
                Freshness::FreshRefresh => (Status::Ok, CacheResult::Refresh),
                Freshness::StaleRevalidate | Freshness::StaleIfError | Freshness::Miss => {
                    (Status::Stale, CacheResult::Swr)
                }
            };
            call.source.metrics.cache(counted);
            Part::good(fetched, status, origin)
        }
        Err(refusal) => {
            call.source.metrics.cache(CacheResult::Negative);
            Part::bad(Arc::clone(refusal), origin)
        }
    }
}

pub(crate) fn left_ms(entry: &Entry, settings: Option<&CacheSettings>, age: Duration) -> i64 {
    let ttl = settings.map_or(Duration::ZERO, |settings| entry.ttl(settings));
    let millis = |length: Duration| i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
    millis(ttl) - millis(age)
}

pub(crate) fn constant(data: &Result<bytes::Bytes, ShapeError>) -> Part {
    match data {
        Ok(body) => {
            let etag = rapidhash::v3::rapidhash_v3(body);
            let fetched = Fetched { body: body.clone(), took: Duration::ZERO, etag, keeping: Keeping::default() };
            Part::good(&fetched, Status::Ok, Origin::Constant)
        }
        Err(error) => Part::bad(failure(exchange::kind_of(error), error.to_string()), Origin::Constant),
    }
}

/// Under what the answer of this call is kept.
pub(crate) fn key_of(ctx: &Context<'_>, call: &PartCall) -> CacheKey {
    match &call.source.fixed_key {
        Some(key) => key.clone(),
        None => CacheKey::new(&call.source.plan.name, call.source.plan.revision, &key_text(ctx, call)),
    }
}

/// The canonical text of everything about this call that shapes its answer: declared parameters, named headers, and who
/// asks where that matters.
fn key_text(ctx: &Context<'_>, call: &PartCall) -> String {
    let mut pairs: Vec<(&str, &str)> = call.bound.present().collect();
    pairs.sort_unstable();
    let mut text = asker(ctx, &call.source.plan);
    let mut before = '?';
    for (name, value) in pairs {
        text.push(before);
        before = '&';
        text.push_str(name);
        text.push('=');
        text.push_str(&crate::plan::encode(value));
    }
    for name in call.source.plan.varies_by() {
        for value in ctx.ask.headers.get_all(name) {
            text.push('|');
            text.push_str(name);
            text.push('=');
            text.push_str(
                &percent_encoding::percent_encode(value.as_bytes(), percent_encoding::NON_ALPHANUMERIC).to_string(),
            );
        }
    }
    text
}

pub(crate) fn cache_ask<'a>(
    source: &'a LiveSource,
    settings: &'a CacheSettings,
    key: &'a CacheKey,
    tag: &'a Tag,
    now: Moment,
) -> CacheAsk<'a> {
    let flight_max_age = settings.coalesce.and_then(|set| set.max_age).unwrap_or(source.plan.timeout);
    let longest_stale = source.plan.longest_stale();
    CacheAsk { key, source: &source.mark, tag, settings, flight_max_age, longest_stale, now, draw: fastrand::f64() }
}

/// The flight that would have this part.
pub(crate) fn flight_of(ctx: &Context<'_>, call: &PartCall) -> Flight {
    let mut flight = Flight::new(ctx, Arc::clone(&call.source), call.bound.clone());
    flight.once = call.once;
    flight
}
