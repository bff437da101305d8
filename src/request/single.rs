//! `GET /aggregate/{source}`: one source, asked around the cache. Circuit and limits apply, its success is stored and
//! counts for the circuit; nothing stands in for a failure.

use std::sync::Arc;

use http::HeaderMap;
use http::HeaderValue;
use http::StatusCode;
use http::header;
use smallvec::SmallVec;
use smallvec::smallvec;
use tokio::sync::oneshot;

use crate::base::Rope;
use crate::live::LiveSource;
use crate::live::Snapshot;
use crate::plan::CallPlan;
use crate::plan::PartPlan;
use crate::record::AuditRecord;
use crate::record::CacheResult;
use crate::request::admit;
use crate::request::admit::PartCall;
use crate::request::assemble;
use crate::request::context::Ask;
use crate::request::context::Context;
use crate::request::context::Shared;
use crate::request::envelope;
use crate::request::envelope::Placed;
use crate::request::envelope::Writer;
use crate::request::error::Problem;
use crate::request::flight;
use crate::request::flight::RawAnswer;
use crate::request::flight::Waiting;
use crate::request::part::Origin;
use crate::request::part::Part;
use crate::request::part::Status;
use crate::request::part::Verdict;
use crate::request::reply::After;
use crate::request::reply::Reply;
use crate::request::reply::ReplyBody;
use crate::request::source;
use crate::request::summary;

/// Finds the source that the path names, and admits the request with that source's timeout.
pub(crate) fn admit<'a>(
    shared: &'a Arc<Shared>,
    snapshot: &'a Arc<Snapshot>,
    ask: &'a Ask<'a>,
    path_params: Vec<(String, String)>,
) -> Result<(Context<'a>, usize), Problem> {
    let name = path_params.first().map(|(_, name)| name.as_str()).unwrap_or_default();
    let Some(place) = snapshot.plan.by_name.get(name).copied() else {
        let known: Vec<&str> = snapshot.plan.sources.iter().map(|source| source.name.as_str()).collect();
        return Err(Problem::unknown_source(name, &known));
    };
    let timeout = snapshot.plan.sources.get(place).map(|source| source.timeout).unwrap_or_default();
    // The reserve comes on top: the source's own timer is what ends a slow call, and is what says so.
    let timeout = timeout + 2 * snapshot.plan.server.deadline.response_reserve;
    Ok((Context::admit(shared, snapshot, ask, path_params, timeout)?, place))
}

/// Answers for one source.
pub(crate) async fn run(ctx: &Context<'_>, place: usize) -> Result<Reply, Problem> {
    let (source, plan) =
        ctx.snapshot.sources.get(place).zip(ctx.snapshot.plan.alone.get(place)).ok_or_else(Problem::internal)?;
    let bound = admit::bind_source(ctx, source, &[])?;
    let call = PartCall { source: Arc::clone(source), bound, once: false };
    let wants_raw = ctx.values().query("raw").is_some();
    let (part, raw) = match &source.plan.call {
        CallPlan::Static(data) => {
            let json = Some(HeaderValue::from_static("application/json"));
            let raw = data.as_ref().ok().map(|body| RawAnswer { body: body.clone(), content_type: json });
            (source::constant(data), raw)
        }
        CallPlan::Http(_) => fetch(ctx, call, wants_raw).await,
    };
    Ok(reply(ctx, source, (plan, &part), raw.filter(|_| wants_raw)))
}

async fn fetch(ctx: &Context<'_>, call: PartCall, wants_raw: bool) -> (Part, Option<RawAnswer>) {
    let now = ctx.now();
    let source = Arc::clone(&call.source);
    source.metrics.cache(CacheResult::Bypass);
    ctx.ask.trail.note(&ctx.shared.clock, &source.plan.name, || "cache: not asked".into());
    if let Err(refusal) = flight::refused(&source, now) {
        return (Part::bad(refusal, Origin::Refused), None);
    }
    let mut flight = source::flight_of(ctx, &call);
    let (raw_to, mut raw_from) = oneshot::channel();
    flight.raw = wants_raw.then_some(raw_to);
    let (waiting, mut origin) = match &source.plan.cache {
        None => {
            flight.bound_by(ctx.deadline);
            (flight::start_alone(flight), Origin::Bypass)
        }
        Some(settings) => {
            let key = source::key_of(ctx, &call);
            let ask = source::cache_ask(&source, settings, &key, &ctx.snapshot.single.tag, now);
            let (lead, waiter) = ctx.snapshot.cache.lead_unconditionally(&ask);
            flight::start_led(flight, lead);
            (Waiting::Flight(waiter), Origin::Fetched { stored: false })
        }
    };
    let landing = source::wait(ctx, &source, waiting, now, None).await;
    if let Origin::Fetched { stored } = &mut origin {
        *stored = landing.stored;
    }
    let part = match landing.result {
        Ok(fetched) => Part::good(&fetched, Status::Ok, origin),
        Err(failure) => Part::bad(failure, origin),
    };
    source.metrics.answered(part.status.as_str(), ctx.now().since(now));
    (part, raw_from.try_recv().ok())
}

fn reply(ctx: &Context<'_>, source: &LiveSource, (plan, part): Placed<'_>, raw: Option<RawAnswer>) -> Reply {
    let name = &source.plan.name;
    let (status, mut headers, body) = match (&part.failure, raw) {
        (Some(failure), _) => {
            let problem = Problem::of_failure(name.as_str(), failure);
            (problem.status, problem.header_map(), problem.body(&ctx.ask.request_id).into())
        }
        (None, Some(raw)) => {
            let kind = raw.content_type.unwrap_or_else(|| HeaderValue::from_static("application/octet-stream"));
            (StatusCode::OK, HeaderMap::from_iter([(header::CONTENT_TYPE, kind)]), raw.body.into())
        }
        (None, None) => (StatusCode::OK, json_headers(), body(plan, part)),
    };
    let (mut status, mut body) = (status, body);
    if part.failure.is_none() {
        headers.insert(summary::AGGD_COMPLETED, HeaderValue::from_static("true"));
        let stored = if part.origin == (Origin::Fetched { stored: true }) {
            "aggd; fwd=bypass; stored"
        } else {
            "aggd; fwd=bypass"
        };
        headers.insert(summary::CACHE_STATUS, HeaderValue::from_static(stored));
        let timing = format!("{name};dur={}", part.took.as_millis());
        if let Ok(timing) = HeaderValue::try_from(timing) {
            headers.insert(summary::SERVER_TIMING, timing);
        }
        if let Ok(etag) = HeaderValue::try_from(summary::etag(std::iter::once(part))) {
            headers.insert(header::ETAG, etag);
        }
        if assemble::is_unchanged(ctx, &headers) {
            (status, body) = (StatusCode::NOT_MODIFIED, Rope::default());
            headers.remove(header::CONTENT_TYPE);
        }
    }
    let after = After { audit: audit(ctx, source, part, status), ..After::default() };
    Reply { status, headers, body: ReplyBody::Whole(body), after }
}

fn json_headers() -> HeaderMap {
    HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))])
}

/// The source's object of `results`, and `cached: false`.
fn body(plan: &PartPlan, part: &Part) -> Rope {
    let data = part.data.as_ref().map_or(0, |data| Rope::room(data.len()));
    let mut out = Writer::with_capacity(plan.head.len() + data + 128);
    envelope::open_result(&mut out, plan, part);
    out.text(",\"cached\":false}");
    out.into_rope()
}

fn audit(ctx: &Context<'_>, source: &LiveSource, part: &Part, status: StatusCode) -> Option<AuditRecord> {
    let took = ctx.now().since(ctx.ask.arrived);
    let mode = if part.failure.is_none() { "fresh" } else { "partial" };
    ctx.snapshot.single.metrics.answered(mode, status.as_u16(), took);
    tracing::debug!(
        request_id = &*ctx.ask.request_id,
        source = source.plan.name.as_str(),
        status = status.as_u16(),
        elapsed_ms = took.as_secs_f64() * 1000.0,
        "answered"
    );
    ctx.shared.audit.as_ref()?;
    let names = |verdict: Verdict| -> SmallVec<[crate::base::Name; 4]> {
        if part.verdict() == verdict { smallvec![source.plan.name.clone()] } else { SmallVec::new() }
    };
    Some(AuditRecord {
        at: ctx.shared.clock.wall(),
        request_id: Arc::clone(&ctx.ask.request_id),
        route: format!("/aggregate/{}", source.plan.name).into(),
        succeeded: names(Verdict::Succeeded),
        failed: names(Verdict::Failed),
        skipped: names(Verdict::Skipped),
        mode,
        status: status.as_u16(),
        duration: took,
        cached: false,
    })
}
