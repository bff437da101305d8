//! The answer of a route, made of its parts: refused where it must be, else written, described and recorded.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;

use crate::base::Rope;
use crate::config::spec::Respond;
use crate::live::LiveRoute;
use crate::plan::RoutePlan;
use crate::record::AuditRecord;
use crate::request::context::Context;
use crate::request::envelope;
use crate::request::envelope::Placed;
use crate::request::envelope::Writer;
use crate::request::error::Problem;
use crate::request::fanout::Gathered;
use crate::request::instead;
use crate::request::part::Verdict;
use crate::request::reply::After;
use crate::request::reply::Reply;
use crate::request::reply::ReplyBody;
use crate::request::summary::Summary;
use crate::shape::merge;

/// Assembles the answer of a route.
pub(crate) fn route(
    ctx: &Context<'_>,
    route: &Arc<RoutePlan>,
    handles: &Arc<LiveRoute>,
    chosen: &[usize],
    gathered: Gathered,
) -> Result<Reply, Problem> {
    let plans = chosen.iter().filter_map(|place| route.parts.get(*place));
    let placed: Vec<Placed<'_>> = plans.zip(&gathered.parts).collect();
    let mut summary = Summary::of(&placed);
    let blocking = blocking(route, &placed);
    let value = instead::constant(ctx, (route, handles), &blocking);
    let (status, mut headers, body) = match (refusal(&blocking), value) {
        (Some(problem), Some(value)) => {
            summary.mode = "degraded_fallback";
            let mut headers = json_headers();
            if value.status == StatusCode::SERVICE_UNAVAILABLE {
                headers
                    .extend(problem.header_map().remove(header::RETRY_AFTER).map(|wait| (header::RETRY_AFTER, wait)));
            }
            (value.status, headers, value.body.clone().into())
        }
        (Some(problem), None) => {
            let problem = problem.tail(partial(route, &placed, &summary));
            (problem.status, problem.header_map(), problem.body(&ctx.ask.request_id).into())
        }
        (None, _) => match document(route, &placed, &summary) {
            Ok(body) => (StatusCode::OK, json_headers(), body),
            Err(problem) => (problem.status, problem.header_map(), problem.body(&ctx.ask.request_id).into()),
        },
    };
    summary.write_headers(&placed, &mut headers);
    if let Some(value) = value {
        instead::label(value, &blocking, &mut headers);
    }
    if status == StatusCode::OK {
        // What a route says of its answers (that they may be kept, say) is not true of its refusals.
        for (name, value) in &route.headers {
            headers.append(name, value.clone());
        }
    }
    let unchanged = status == StatusCode::OK && is_unchanged(ctx, &headers);
    let (status, body) = if unchanged { (StatusCode::NOT_MODIFIED, Rope::default()) } else { (status, body) };
    if unchanged {
        headers.remove(header::CONTENT_TYPE);
    }
    let audit = record(ctx, route, handles, &placed, &summary, status);
    let after = After { audit, refreshes: gathered.refreshes, ..After::default() };
    Ok(Reply { status, headers, body: ReplyBody::Whole(body), after })
}

fn json_headers() -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(12);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers
}

/// The last event of a progressive answer: the envelope without its `results`.
pub(crate) fn rest(
    ctx: &Context<'_>,
    route: &Arc<RoutePlan>,
    handles: &Arc<LiveRoute>,
    chosen: &[usize],
    gathered: Gathered,
) -> (Vec<u8>, After) {
    let plans = chosen.iter().filter_map(|place| route.parts.get(*place));
    let placed: Vec<Placed<'_>> = plans.zip(&gathered.parts).collect();
    let summary = Summary::of(&placed);
    let mut text = Writer::default();
    text.text("{");
    envelope::after_results(&mut text, &placed, &summary);
    // The status was sent before this could be known: a client that needs those parts looks here.
    let status = refusal(&blocking(route, &placed)).map_or(StatusCode::OK, |problem| problem.status);
    text.text(",\"status\":");
    text.number(status.as_u16());
    text.text("}");
    let audit = record(ctx, route, handles, &placed, &summary, status);
    (text.into_bytes(), After { audit, refreshes: gathered.refreshes, ..After::default() })
}

/// Counts and logs an answer, and makes its audit record where one is kept.
fn record(
    ctx: &Context<'_>,
    route: &Arc<RoutePlan>,
    handles: &LiveRoute,
    placed: &[Placed<'_>],
    summary: &Summary,
    status: StatusCode,
) -> Option<AuditRecord> {
    let took = ctx.now().since(ctx.ask.arrived);
    handles.metrics.answered(summary.mode, status.as_u16(), took);
    tracing::debug!(
        request_id = &*ctx.ask.request_id,
        route = &*route.path,
        status = status.as_u16(),
        mode = summary.mode,
        elapsed_ms = took.as_secs_f64() * 1000.0,
        "answered"
    );
    ctx.shared.audit.as_ref()?;
    let names = |verdict: Verdict| {
        let with = placed.iter().filter(move |(_, part)| part.verdict() == verdict);
        with.map(|(plan, _)| plan.alias.clone()).collect()
    };
    Some(AuditRecord {
        at: ctx.shared.clock.wall(),
        request_id: Arc::clone(&ctx.ask.request_id),
        route: Arc::clone(&route.path),
        succeeded: names(Verdict::Succeeded),
        failed: names(Verdict::Failed),
        skipped: names(Verdict::Skipped),
        mode: summary.mode,
        status: status.as_u16(),
        duration: took,
        cached: summary.cached,
    })
}

pub(crate) fn is_unchanged(ctx: &Context<'_>, headers: &HeaderMap) -> bool {
    if !matches!(*ctx.ask.method, Method::GET | Method::HEAD) {
        return false;
    }
    let Some(known) = ctx.ask.headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let Some(ours) = headers.get(header::ETAG).and_then(|value| value.to_str().ok()) else { return false };
    let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    known.trim() == "*" || known.split(',').any(|tag| strong(tag) == strong(ours))
}

/// The parts for want of which the route can't answer: required ones without data, or, with too few, all without.
pub(crate) fn blocking<'p, 'a>(route: &RoutePlan, placed: &'p [Placed<'a>]) -> Vec<&'p Placed<'a>> {
    let missing = || placed.iter().filter(|(_, part)| part.data.is_none());
    let present = placed.len() - missing().count();
    // A request that picked fewer parts is held to no more than it asked for.
    let too_few = present < route.min_sources.min(placed.len());
    missing().filter(|(plan, _)| too_few || plan.required).collect()
}

/// Why the route can't answer.
fn refusal(blocking: &[&Placed<'_>]) -> Option<Problem> {
    if blocking.is_empty() {
        return None;
    }
    let failures = || blocking.iter().filter_map(|(_, part)| part.failure.as_ref());
    let names = blocking.iter().map(|(plan, _)| plan.alias.as_str());
    let names = names.collect::<Vec<_>>().join(", ");
    let blocked: Vec<&str> = blocking.iter().map(|(plan, _)| plan.alias.as_str()).collect();
    let detail = format!("no data from {names}; what did succeed is in `results` or `data`");
    let problem = if failures().all(|failure| failure.kind.is_local()) {
        let wait = failures().filter_map(|failure| failure.retry_after).max().unwrap_or(Duration::from_secs(1));
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "sources-unavailable", "Sources unavailable", detail)
            .retry_after(wait)
    } else if failures().all(|failure| failure.kind.is_timeout()) {
        Problem::new(StatusCode::GATEWAY_TIMEOUT, "sources-timed-out", "Sources timed out", detail)
    } else {
        Problem::new(StatusCode::BAD_GATEWAY, "sources-failed", "Sources failed", detail)
    };
    Some(problem.with("sources", blocked))
}

/// What did succeed, as members of a problem.
fn partial(route: &RoutePlan, placed: &[Placed<'_>], summary: &Summary) -> Vec<u8> {
    let mut out = Writer::default();
    match route.respond {
        Respond::Envelope => envelope::members(&mut out, placed, summary),
        Respond::Merge => {
            out.text("\"data\":");
            out.json(&merged(placed));
        }
    }
    out.into_bytes()
}

fn document(route: &RoutePlan, placed: &[Placed<'_>], summary: &Summary) -> Result<Rope, Problem> {
    match route.respond {
        Respond::Envelope => Ok(envelope::whole(placed, summary)),
        Respond::Merge => {
            let whole = Bytes::from(merged(placed));
            match &route.shape {
                None => Ok(whole.into()),
                Some(shape) => shape.apply(&whole, None).map(Rope::from).map_err(|error| {
                    Problem::new(StatusCode::BAD_GATEWAY, "projection-failed", "Projection failed", error.to_string())
                }),
            }
        }
    }
}

fn merged(placed: &[Placed<'_>]) -> Vec<u8> {
    let parts: Vec<_> = placed.iter().map(|(plan, part)| (plan.alias.as_str(), part.data.as_deref())).collect();
    merge(&parts)
}
