//! One request, stage by stage: [`run`] is the whole order in one function.

mod admission;
mod admit;
mod assemble;
mod attempt;
mod attempts;
mod background;
mod brownout;
mod capacity;
mod context;
mod envelope;
mod error;
mod exchange;
mod fanout;
mod flight;
mod instead;
mod front;
mod part;
mod progress;
mod reply;
mod revalidate;
mod single;
mod source;
mod summary;
mod trail;

use std::sync::Arc;

use http::Method;

pub(crate) use background::Refreshes;
pub(crate) use context::Ask;
pub(crate) use context::Shared;
pub(crate) use context::TRACEPARENT;
pub(crate) use context::Trace;
pub(crate) use context::query_pairs;
pub(crate) use error::Problem;
pub(crate) use front::Pass;
pub(crate) use reply::After;
pub(crate) use reply::Reply;
pub(crate) use reply::ReplyBody;
pub(crate) use trail::Note;
pub(crate) use trail::Trail;

use crate::live::LiveRoute;
use crate::plan::Matched;
use crate::plan::RoutePlan;
use crate::plan::Target;
use crate::request::capacity::Wish;
use crate::request::context::Context;
use crate::request::progress::Form;

/// Answers a request of the data plane; `None`: its path is not of the data plane.
///
/// Cancelling is safe at every await: what was started for this request alone is cancelled with it, what others wait
/// for or what will be cached goes on.
pub(crate) async fn run(shared: &Arc<Shared>, ask: Ask<'_>) -> Option<Reply> {
    let snapshot = shared.live.load();
    let (target, path_params) = match snapshot.plan.table.find(ask.path, ask.method) {
        Matched::Found(target, params) => (target, params),
        Matched::WrongMethod(known) => return Some(Problem::wrong_method(&known).reply(&ask)),
        Matched::BadPath => return Some(Problem::bad_path().reply(&ask)),
        Matched::Unknown => return None,
    };
    let (route, handles, door) = match target {
        Target::Route(place) => snapshot.route(place).map(|(route, handles)| (Some(route), handles, &route.door))?,
        Target::Single => (None, &snapshot.single, &snapshot.plan.single),
    };
    let refused = |problem: Problem| {
        let took = shared.clock.now().since(ask.arrived);
        handles.metrics.answered("refused", problem.status.as_u16(), took);
        problem.reply(&ask)
    };
    let mut entry = match front::enter(shared, &snapshot, &ask, door) {
        Ok(entry) => entry,
        Err(problem) => return Some(refused(problem)),
    };
    let wish = Wish { shared, snapshot: &snapshot, ask: &ask, route, handles, priority: entry.priority };
    match wish.enter().await {
        Ok(room) => entry.hold(room),
        Err(turned) => {
            let answer = brownout::instead(&wish, &entry, path_params, turned).inspect_err(|_| entry.refund());
            return Some(entry.leave(answer.unwrap_or_else(refused)));
        }
    }
    let answer = match route {
        Some(route) => match Context::admit(shared, &snapshot, &ask, path_params, route.timeout) {
            Ok(ctx) => run_route(ctx.of(&entry), route, handles).await,
            Err(problem) => Err(problem),
        },
        None => match single::admit(shared, &snapshot, &ask, path_params) {
            // Boxed, or the future of every request would be as large as this one.
            Ok((ctx, place)) => Box::pin(single::run(&ctx.of(&entry), place)).await,
            Err(problem) => Err(problem),
        },
    };
    Some(entry.leave(answer.unwrap_or_else(refused)))
}

/// The methods that a path of the data plane answers; `None`: it is not of the data plane.
pub(crate) fn methods(shared: &Shared, path: &str) -> Option<Vec<Method>> {
    shared.live.load().plan.table.methods(path)
}

/// One route: which parts, all their parameters checked before anything is called, all parts at once, one answer.
async fn run_route(ctx: Context<'_>, route: &Arc<RoutePlan>, handles: &Arc<LiveRoute>) -> Result<Reply, Problem> {
    let chosen = admit::choose(&ctx, route)?;
    let calls = admit::bind(&ctx, route, &chosen)?;
    if let Some(form) = Form::asked(ctx.ask.headers, route) {
        if *ctx.ask.method == Method::HEAD {
            return Ok(progress::head(&ctx, route, handles, form));
        }
        return Ok(progress::start(&ctx, route, handles, (chosen, calls), form));
    }
    let asked = instead::wants_copies(route).then(|| calls.clone());
    let mut gathered = fanout::gather(&ctx, &handles.tag, calls, route.max_parallel).await;
    if let Some(calls) = asked {
        instead::old_copies(&ctx, (route, handles), &chosen, &calls, &mut gathered.parts);
    }
    assemble::route(&ctx, route, handles, &chosen, gathered)
}
