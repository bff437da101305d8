//! What a route answers when its sources do not suffice: the steps of its own `fallback`.
//!
//! They run when `required` or `min_sources` do not hold, in place of a 502, 503 or 504. First old copies for the parts
//! that have nothing, then a constant for the whole. An upstream that says no (`client_error`) has answered: then
//! nothing stands in, as with sources.

use http::HeaderMap;
use http::HeaderValue;
use http::header;

use crate::base::hex;
use crate::live::LiveRoute;
use crate::plan::Constant;
use crate::plan::RouteFallback;
use crate::plan::RoutePlan;
use crate::policy::outcome::Kind;
use crate::record::Event;
use crate::request::admit::PartCall;
use crate::request::assemble;
use crate::request::context::Context;
use crate::request::envelope::Placed;
use crate::request::part::Part;
use crate::request::source;
use crate::request::summary::AGGD_DEGRADED;

/// Whether the parameters of the parts are needed once more when the parts are known.
pub(crate) fn wants_copies(route: &RoutePlan) -> bool {
    route.fallback.iter().any(|step| matches!(step, RouteFallback::Stale(_)))
}

/// Gives parts that have nothing the copies that the route accepts, as long as it could not answer without.
pub(crate) fn old_copies(
    ctx: &Context<'_>,
    (route, handles): (&RoutePlan, &LiveRoute),
    chosen: &[usize],
    calls: &[PartCall],
    parts: &mut [Part],
) {
    for step in &route.fallback {
        let RouteFallback::Stale(max_age) = step else { return };
        let plans = chosen.iter().filter_map(|place| route.parts.get(*place));
        let placed: Vec<Placed<'_>> = plans.zip(&*parts).collect();
        if !stands_in(&assemble::blocking(route, &placed)) {
            return;
        }
        let mut found = false;
        for (call, part) in calls.iter().zip(&mut *parts).filter(|(_, part)| part.data.is_none() && !says_no(part)) {
            if source::old_copy(ctx, &handles.tag, call, part, *max_age) {
                found = true;
                let kind = part.failure.as_ref().map_or(Kind::InternalError, |failure| failure.kind);
                let event = Event::FallbackUsed { via: "stale", kind: kind.as_str() };
                ctx.shared.events.of_source(&call.source.plan.name, event);
                let text = || "the route's `fallback`: an old copy".to_owned();
                ctx.ask.trail.note(&ctx.shared.clock, &call.source.plan.name, text);
            }
        }
        if found {
            handles.metrics.fell_back("stale");
        }
    }
}

/// The constant that answers for these parts, where there is one.
pub(crate) fn constant<'r>(
    ctx: &Context<'_>,
    (route, handles): (&'r RoutePlan, &LiveRoute),
    blocking: &[&Placed<'_>],
) -> Option<&'r Constant> {
    let value = route.fallback.iter().find_map(|step| match step {
        RouteFallback::Value(value) => Some(value),
        RouteFallback::Stale(_) => None,
    })?;
    if !stands_in(blocking) {
        return None;
    }
    handles.metrics.fell_back("value");
    let kind = blocking.iter().find_map(|(_, part)| part.failure.as_ref()).map_or(Kind::InternalError, |f| f.kind);
    ctx.shared.events.publish(Event::FallbackUsed { via: "value", kind: kind.as_str() });
    for (plan, _) in blocking {
        ctx.ask.trail.note(&ctx.shared.clock, &plan.alias, || "the route's `fallback`: its `value`".to_owned());
    }
    Some(value)
}

/// Says in the headers what the constant stands in for.
pub(crate) fn label(value: &Constant, blocking: &[&Placed<'_>], headers: &mut HeaderMap) {
    let members = blocking.iter().filter_map(|(plan, part)| {
        let kind = part.failure.as_ref()?.kind.as_str();
        Some(format!("{};reason={kind};via=value", plan.alias))
    });
    if let Ok(members) = HeaderValue::try_from(members.collect::<Vec<_>>().join(", ")) {
        headers.insert(AGGD_DEGRADED, members);
    }
    let digits = hex::<16>(value.etag.into());
    if let Ok(etag) = HeaderValue::try_from(["W/\"", &String::from_utf8_lossy(&digits), "\""].concat()) {
        headers.insert(header::ETAG, etag);
    }
    // Nothing of it came from the cache.
    headers.remove(header::AGE);
}

fn stands_in(blocking: &[&Placed<'_>]) -> bool {
    !blocking.is_empty() && !blocking.iter().any(|(_, part)| says_no(part))
}

fn says_no(part: &Part) -> bool {
    part.failure.as_ref().is_some_and(|failure| failure.kind == Kind::ClientError)
}
