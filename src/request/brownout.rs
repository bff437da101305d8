//! Brown-out: a request that would be turned away under pressure is answered from cache alone, where a copy of every
//! part is there. No upstream is called, nothing is refreshed, and the answer says that it is degraded.

use std::sync::Arc;

use crate::live::LiveRoute;
use crate::live::cache::CacheKey;
use crate::live::cache::StaleWindow;
use crate::live::cache::Tag;
use crate::plan::CallPlan;
use crate::plan::RoutePlan;
use crate::record::CacheResult;
use crate::request::admit;
use crate::request::admit::PartCall;
use crate::request::assemble;
use crate::request::capacity::Turned;
use crate::request::capacity::Wish;
use crate::request::context::Context;
use crate::request::error::Problem;
use crate::request::fanout::Gathered;
use crate::request::part::Origin;
use crate::request::part::Part;
use crate::request::part::Status;
use crate::request::progress::Form;
use crate::request::reply::Reply;
use crate::request::source;

/// The answer to a request that there is no room for.
pub(crate) fn instead(wish: &Wish<'_>, path_params: Vec<(String, String)>, turned: Turned) -> Result<Reply, Problem> {
    let copy = wish.route.filter(|_| wish.may_brown_out()).and_then(|route| {
        let ctx = Context::admit(wish.shared, wish.snapshot, wish.ask, path_params, route.timeout).ok()?;
        answer(&ctx, route, wish.handles)
    });
    match copy {
        Some(reply) => {
            wish.shared.metrics.shedding.browned_out();
            Ok(reply)
        }
        None => {
            wish.shared.metrics.shedding.shed(turned.why, wish.priority);
            Err(turned.problem)
        }
    }
}

/// The answer from cache; `None`: something is missing, or the request is not one that could be answered so.
fn answer(ctx: &Context<'_>, route: &Arc<RoutePlan>, handles: &Arc<LiveRoute>) -> Option<Reply> {
    if Form::asked(ctx.ask.headers, route).is_some() {
        return None;
    }
    let chosen = admit::choose(ctx, route).ok()?;
    let calls = admit::bind(ctx, route, &chosen).ok()?;
    let parts: Option<Vec<Part>> = calls.iter().map(|call| copy(ctx, &handles.tag, call)).collect();
    let gathered = Gathered { parts: parts?, refreshes: Vec::new() };
    assemble::route(ctx, route, handles, &chosen, gathered).ok()
}

/// The copy of a part: fresh, or as stale as `stale_while_revalidate` or `stale_if_error` would serve it.
fn copy(ctx: &Context<'_>, tag: &Tag, call: &PartCall) -> Option<Part> {
    if let CallPlan::Static(data) = &call.source.plan.call {
        return Some(source::constant(data)).filter(|part| part.data.is_some());
    }
    let settings = call.source.plan.cache.as_ref()?;
    let key = match &call.source.fixed_key {
        Some(key) => key.clone(),
        None => CacheKey::new(&call.source.plan.name, call.source.plan.revision, &source::key_text(ctx, call)),
    };
    let now = ctx.now();
    let window = StaleWindow::Upto(settings.stale_while_revalidate.max(settings.stale_if_error));
    let ask = source::cache_ask(&call.source, settings, &key, tag, now);
    let (entry, age) = ctx.snapshot.cache.stale_for(&ask, window, now)?;
    let fetched = entry.value().as_ref().ok()?;
    let left_ms = source::left_ms(&entry, Some(settings), age);
    let (status, counted) =
        if left_ms > 0 { (Status::Ok, CacheResult::Hit) } else { (Status::Stale, CacheResult::Sie) };
    call.source.metrics.cache(counted);
    Some(Part::good(fetched, status, Origin::CacheInBrownout { age, left_ms }))
}
