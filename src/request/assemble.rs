//! The answer of a route, made of its parts. Parts are bytes already: they are copied, nothing is parsed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::StatusCode;
use http::header;

use crate::config::spec::Respond;
use crate::live::LiveRoute;
use crate::plan::PartPlan;
use crate::plan::RoutePlan;
use crate::plan::json_string;
use crate::record::AuditRecord;
use crate::request::context::Context;
use crate::request::error::Problem;
use crate::request::fanout::Gathered;
use crate::request::part::Origin;
use crate::request::part::Part;
use crate::request::part::Status;
use crate::request::part::Verdict;
use crate::request::reply::After;
use crate::request::reply::Reply;
use crate::request::reply::ReplyBody;
use crate::shape::merge;

/// A part with its plan.
type Placed<'a> = (&'a PartPlan, &'a Part);

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
    let summary = Summary::of(&placed);
    let (status, mut headers, body) = match refusal(route, &placed) {
        Some(problem) => {
            let problem = problem.tail(partial(route, &placed, &summary));
            (problem.status, problem.header_map(), problem.body(&ctx.ask.request_id))
        }
        None => {
            let mut headers = HeaderMap::with_capacity(12);
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            match document(route, &placed, &summary) {
                Ok(body) => (StatusCode::OK, headers, body),
                Err(problem) => (problem.status, problem.header_map(), problem.body(&ctx.ask.request_id)),
            }
        }
    };
    summary.write_headers(&placed, &mut headers);
    if status == StatusCode::OK {
        // What a route says of its answers (that they may be kept, say) is not true of its refusals.
        for (name, value) in &route.headers {
            headers.append(name, value.clone());
        }
    }
    let unchanged = status == StatusCode::OK && is_unchanged(ctx, &headers);
    let (status, body) = if unchanged { (StatusCode::NOT_MODIFIED, Bytes::new()) } else { (status, body) };
    if unchanged {
        headers.remove(header::CONTENT_TYPE);
    }
    let audit = record(ctx, route, handles, &placed, &summary, status);
    let after = After { audit: Some(audit), refreshes: gathered.refreshes };
    Ok(Reply { status, headers, body: ReplyBody::Whole(body), after })
}

/// The last event of a progressive answer: the envelope without its `results`.
pub(crate) fn rest(
    ctx: &Context<'_>,
    route: &Arc<RoutePlan>,
    handles: &Arc<LiveRoute>,
    chosen: &[usize],
    gathered: Gathered,
) -> (String, After) {
    let plans = chosen.iter().filter_map(|place| route.parts.get(*place));
    let placed: Vec<Placed<'_>> = plans.zip(&gathered.parts).collect();
    let summary = Summary::of(&placed);
    let mut text = String::from("{");
    summary_members(&mut text, &placed, &summary);
    // The status was sent before this could be known: a client that needs those parts looks here.
    let status = refusal(route, &placed).map_or(StatusCode::OK, |problem| problem.status);
    text.push_str(&format!(",\"status\":{}}}", status.as_u16()));
    let audit = record(ctx, route, handles, &placed, &summary, status);
    (text, After { audit: Some(audit), refreshes: gathered.refreshes })
}

/// Counts and logs an answer, and makes its audit record.
fn record(
    ctx: &Context<'_>,
    route: &Arc<RoutePlan>,
    handles: &LiveRoute,
    placed: &[Placed<'_>],
    summary: &Summary,
    status: StatusCode,
) -> AuditRecord {
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
    let names = |verdict: Verdict| {
        let with = placed.iter().filter(move |(_, part)| part.verdict() == verdict);
        with.map(|(plan, _)| plan.alias.clone()).collect()
    };
    AuditRecord {
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
    }
}

/// What holds for the parts together.
struct Summary {
    /// The worst of fresh, cached, degraded_cache, degraded_fallback, partial that applies.
    mode: &'static str,
    cached: bool,
    age: Option<Duration>,
}

impl Summary {
    fn of(placed: &[Placed<'_>]) -> Self {
        let mut parts = placed.iter().map(|(_, part)| part);
        let waited = parts.clone().any(|part| part.waited());
        let some_from_cache = parts.clone().any(|part| matches!(part.origin, Origin::Cache { .. }));
        let all_held = parts
            .clone()
            .filter(|part| part.data.is_some())
            .all(|part| matches!(part.origin, Origin::Cache { .. } | Origin::Constant) && part.failure.is_none());
        let cached = !waited && some_from_cache && all_held;
        let via_cache = |part: &&Part| part.is_degraded() && matches!(part.origin, Origin::CacheAfterError { .. });
        let mode = if parts.clone().any(|part| part.data.is_none()) {
            "partial"
        } else if parts.clone().any(|part| part.is_degraded() && !via_cache(part)) {
            "degraded_fallback"
        } else if parts.clone().any(via_cache) {
            "degraded_cache"
        } else if cached {
            "cached"
        } else {
            "fresh"
        };
        let age = parts.by_ref().filter_map(|part| part.age()).max();
        Self { mode, cached, age }
    }

    fn degraded(&self) -> bool {
        !matches!(self.mode, "fresh" | "cached")
    }

    fn write_headers(&self, placed: &[Placed<'_>], headers: &mut HeaderMap) {
        let stale = placed.iter().any(|(_, part)| part.status == Status::Stale);
        let complete = !self.degraded() && !stale;
        let flag = HeaderValue::from_static(if complete { "true" } else { "false" });
        headers.insert(HeaderName::from_static("aggd-completed"), flag);
        let degraded: Vec<String> = placed.iter().filter_map(|(plan, part)| degraded_member(plan, part)).collect();
        if !degraded.is_empty() {
            insert(headers, HeaderName::from_static("aggd-degraded"), degraded.join(", "));
        }
        if let Some(status) = cache_status(placed, self.cached) {
            insert(headers, HeaderName::from_static("cache-status"), status);
        }
        if let Some(age) = self.age {
            headers.insert(header::AGE, HeaderValue::from(age.as_secs()));
        }
        insert(headers, header::ETAG, etag(placed.iter().map(|(_, part)| *part)));
        let mut timing = String::with_capacity(placed.len() * 20);
        for (plan, part) in placed {
            if !timing.is_empty() {
                timing.push_str(", ");
            }
            timing.push_str(plan.alias.as_str());
            timing.push_str(";dur=");
            timing.push_str(itoa::Buffer::new().format(part.took.as_millis()));
        }
        insert(headers, HeaderName::from_static("server-timing"), timing);
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, text: String) {
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(name, value);
    }
}

/// `news;reason=attempt_timeout;via=stale`; nothing for a part that has no data or is not degraded.
fn degraded_member(plan: &PartPlan, part: &Part) -> Option<String> {
    let failure = part.failure.as_ref().filter(|_| part.data.is_some())?;
    let via = part.fallback.as_ref().map_or("stale", |note| note.via);
    Some(format!("{};reason={};via={via}", plan.alias, failure.kind.as_str()))
}

/// One RFC 9211 member for the whole answer: a hit only where no call was waited for.
fn cache_status(placed: &[Placed<'_>], cached: bool) -> Option<String> {
    let parts = || placed.iter().map(|(_, part)| part);
    let left_ms = parts().filter_map(|part| match part.origin {
        Origin::Cache { left_ms, .. } | Origin::CacheAfterError { left_ms, .. } => Some(left_ms),
        Origin::Fetched { .. } | Origin::Collapsed | Origin::Bypass | Origin::Constant | Origin::Refused => None,
    });
    let ttl = left_ms.min().map(|millis| millis.div_euclid(1000));
    if cached {
        let ttl = ttl.unwrap_or_default();
        let detail = if ttl < 0 { "; detail=swr" } else { "" };
        return Some(format!("aggd; hit; ttl={ttl}{detail}"));
    }
    if parts().any(|part| matches!(part.origin, Origin::CacheAfterError { .. })) {
        return Some(format!("aggd; fwd=stale; ttl={}; detail=sie", ttl.unwrap_or_default()));
    }
    let stored = parts().any(|part| matches!(part.origin, Origin::Fetched { stored: true }) && part.failure.is_none());
    if parts().any(|part| matches!(part.origin, Origin::Fetched { .. })) {
        return Some(format!("aggd; fwd=uri-miss{}", if stored { "; stored" } else { "" }));
    }
    if parts().any(|part| part.origin == Origin::Collapsed) {
        return Some("aggd; fwd=uri-miss; collapsed".to_owned());
    }
    parts().any(|part| part.origin == Origin::Bypass).then(|| "aggd; fwd=bypass".to_owned())
}

/// Weak, of the data alone: not of ages, durations or how the data was had.
pub(crate) fn etag<'a>(parts: impl Iterator<Item = &'a Part>) -> String {
    let mut hash = 0x9e37_79b9_7f4a_7c15_u64;
    for part in parts {
        let one = if part.data.is_some() { part.etag | 1 } else { 0 };
        hash = (hash.rotate_left(23) ^ one).wrapping_mul(0xff51_afd7_ed55_8ccd);
    }
    format!("W/\"{hash:016x}\"")
}

pub(crate) fn is_unchanged(ctx: &Context<'_>, headers: &HeaderMap) -> bool {
    let Some(known) = ctx.ask.headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let Some(ours) = headers.get(header::ETAG).and_then(|value| value.to_str().ok()) else { return false };
    let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    known.trim() == "*" || known.split(',').any(|tag| strong(tag) == strong(ours))
}

/// Why the route can't answer: a required part without data, or too few parts.
fn refusal(route: &RoutePlan, placed: &[Placed<'_>]) -> Option<Problem> {
    let missing = || placed.iter().filter(|(_, part)| part.data.is_none());
    let required = missing().filter(|(plan, _)| plan.required).count();
    let present = placed.len() - missing().count();
    // A request that picked fewer parts is held to no more than it asked for.
    let too_few = present < route.min_sources.min(placed.len());
    if required == 0 && !too_few {
        return None;
    }
    let blocking: Vec<&Placed<'_>> = missing().filter(|(plan, _)| too_few || plan.required).collect();
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
fn partial(route: &RoutePlan, placed: &[Placed<'_>], summary: &Summary) -> String {
    match route.respond {
        Respond::Envelope => envelope_members(placed, summary),
        Respond::Merge => format!("\"data\":{}", String::from_utf8_lossy(&merged(placed))),
    }
}

fn document(route: &RoutePlan, placed: &[Placed<'_>], summary: &Summary) -> Result<Bytes, Problem> {
    match route.respond {
        Respond::Envelope => Ok(format!("{{{}}}", envelope_members(placed, summary)).into()),
        Respond::Merge => {
            let whole = Bytes::from(merged(placed));
            match &route.shape {
                None => Ok(whole),
                Some(shape) => shape.apply(&whole, None).map_err(|error| {
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

/// The members of the envelope, without the braces around them.
fn envelope_members(placed: &[Placed<'_>], summary: &Summary) -> String {
    let size: usize =
        placed.iter().map(|(plan, part)| plan.head.len() + part.data.as_ref().map_or(200, Bytes::len) + 80).sum();
    let mut out = String::with_capacity(size + 256);
    out.push_str("\"results\":[");
    for (at, (plan, part)) in placed.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        result(&mut out, plan, part);
    }
    out.push_str("],");
    summary_members(&mut out, placed, summary);
    out
}

/// The members of the envelope after `results`.
fn summary_members(out: &mut String, placed: &[Placed<'_>], summary: &Summary) {
    for (member, verdict) in [
        ("\"sources_succeeded\":[", Verdict::Succeeded),
        ("\"sources_failed\":[", Verdict::Failed),
        ("\"sources_skipped\":[", Verdict::Skipped),
    ] {
        out.push_str(member);
        let mut first = true;
        for (plan, _) in placed.iter().filter(|(_, part)| part.verdict() == verdict) {
            if !first {
                out.push(',');
            }
            first = false;
            out.push_str(&plan.quoted);
        }
        out.push_str("],");
    }
    out.push_str("\"mode\":\"");
    out.push_str(summary.mode);
    out.push_str(if summary.degraded() { "\",\"degraded\":true" } else { "\",\"degraded\":false" });
    out.push_str(if summary.cached { ",\"cached\":true" } else { ",\"cached\":false" });
    out.push_str(",\"cache_age_seconds\":");
    match summary.age {
        Some(age) => seconds(out, age),
        None => out.push_str("null"),
    }
}

/// Seconds with three decimals.
fn seconds(out: &mut String, length: Duration) {
    let mut digits = itoa::Buffer::new();
    out.push_str(digits.format(length.as_secs()));
    let millis = length.subsec_millis();
    out.push('.');
    if millis < 100 {
        out.push('0');
    }
    if millis < 10 {
        out.push('0');
    }
    out.push_str(digits.format(millis));
}

/// One object of `results`.
pub(crate) fn result(out: &mut String, plan: &PartPlan, part: &Part) {
    out.push_str(&plan.head);
    out.push('"');
    out.push_str(part.status.as_str());
    out.push_str("\",\"data\":");
    match part.data.as_deref().map(std::str::from_utf8) {
        Some(Ok(text)) => out.push_str(text),
        Some(Err(_)) | None => out.push_str("null"),
    }
    match &part.failure {
        None => out.push_str(",\"error\":null"),
        Some(failure) => {
            out.push_str(",\"error\":");
            out.push_str(&json_string(&failure.message));
            out.push_str(",\"kind\":\"");
            out.push_str(failure.kind.as_str());
            out.push('"');
        }
    }
    out.push_str(",\"duration_ms\":");
    out.push_str(itoa::Buffer::new().format(part.took.as_millis()));
    if let Some(failure) = part.failure.as_ref().filter(|_| part.is_degraded()) {
        out.push_str(",\"degraded\":true,\"fallback\":{\"via\":\"");
        out.push_str(part.fallback.as_ref().map_or("stale", |note| note.via));
        out.push_str("\",\"reason\":\"");
        out.push_str(failure.kind.as_str());
        out.push_str("\",\"age_ms\":");
        match part.age() {
            Some(age) => out.push_str(itoa::Buffer::new().format(age.as_millis())),
            None => out.push_str("null"),
        }
        out.push_str(",\"tried\":[");
        list(out, part.tried.iter().copied());
        out.push_str("]}");
    }
    out.push('}');
}

fn list<'a>(out: &mut String, texts: impl Iterator<Item = &'a str>) {
    for (at, text) in texts.enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push_str(&json_string(text));
    }
}
