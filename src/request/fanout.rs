//! All parts of a request: at once, or, where the route says so, a few at a time.

use futures_util::StreamExt;
use futures_util::future::Either;
use futures_util::future::join_all;
use futures_util::stream;
use futures_util::stream::FuturesUnordered;
use futures_util::stream::Stream;

use crate::live::cache::Tag;
use crate::policy::deadline::MIN_ATTEMPT_BUDGET;
use crate::request::admit::PartCall;
use crate::request::context::Context;
use crate::request::flight::Refresh;
use crate::request::part::Part;
use crate::request::source;
use crate::request::source::Begun;

/// The parts in the order asked for, and what is to be refreshed after the reply.
pub(crate) struct Gathered {
    pub(crate) parts: Vec<Part>,
    pub(crate) refreshes: Vec<Refresh>,
}

/// One part that is known.
pub(crate) struct Arrival {
    /// Its place in the order asked for.
    pub(crate) place: usize,
    pub(crate) part: Part,
    pub(crate) refreshes: Vec<Refresh>,
}

/// Begins every part before it waits for any; with all of them in cache nothing is waited for at all.
pub(crate) async fn gather(
    ctx: &Context<'_>,
    tag: &Tag,
    calls: Vec<PartCall>,
    max_parallel: Option<usize>,
) -> Gathered {
    if let Some(lanes) = max_parallel
        && lanes < calls.len()
    {
        // Boxed, or the future of every request would be as large as this one.
        return Box::pin(few_at_a_time(ctx, tag, calls, lanes)).await;
    }
    let mut refreshes = Vec::new();
    let begun = begin_all(ctx, tag, calls, &mut refreshes);
    let all_known = begun.iter().all(|part| matches!(part, Begun::Known(_)));
    let parts = if all_known {
        begun.into_iter().filter_map(Begun::known).collect()
    } else {
        join_all(begun.into_iter().map(|part| source::finish(ctx, tag, part))).await
    };
    Gathered { parts, refreshes }
}

/// The parts as they come to be known.
pub(crate) fn coming<'a>(
    ctx: &'a Context<'a>,
    tag: &'a Tag,
    calls: Vec<PartCall>,
    max_parallel: Option<usize>,
) -> impl Stream<Item = Arrival> + Send + 'a {
    if let Some(lanes) = max_parallel {
        return Either::Left(in_lanes(ctx, tag, calls, lanes));
    }
    let mut refreshes = Vec::new();
    let begun = begin_all(ctx, tag, calls, &mut refreshes);
    let finish = |(place, part)| {
        // All were noted before the first was waited for; they travel with the first.
        let refreshes = if place == 0 { std::mem::take(&mut refreshes) } else { Vec::new() };
        async move { Arrival { place, part: source::finish(ctx, tag, part).await, refreshes } }
    };
    Either::Right(begun.into_iter().enumerate().map(finish).collect::<FuturesUnordered<_>>())
}

fn begin_all(ctx: &Context<'_>, tag: &Tag, calls: Vec<PartCall>, refreshes: &mut Vec<Refresh>) -> Vec<Begun> {
    let now = ctx.now();
    calls.into_iter().map(|call| source::begin(ctx, tag, call, now, refreshes)).collect()
}

async fn few_at_a_time(ctx: &Context<'_>, tag: &Tag, calls: Vec<PartCall>, lanes: usize) -> Gathered {
    let mut arrived: Vec<Arrival> = in_lanes(ctx, tag, calls, lanes).collect().await;
    arrived.sort_unstable_by_key(|arrival| arrival.place);
    let mut gathered = Gathered { parts: Vec::with_capacity(arrived.len()), refreshes: Vec::new() };
    for Arrival { part, refreshes, .. } in arrived {
        gathered.parts.push(part);
        gathered.refreshes.extend(refreshes);
    }
    gathered
}

/// So many parts under way at once; the next begins when one of them is known.
fn in_lanes<'a>(
    ctx: &'a Context<'a>,
    tag: &'a Tag,
    calls: Vec<PartCall>,
    lanes: usize,
) -> impl Stream<Item = Arrival> + Send + 'a {
    let one = move |(place, call): (usize, PartCall)| async move {
        let mut refreshes = Vec::new();
        let now = ctx.now();
        let begun = if ctx.deadline.at.since(now) < MIN_ATTEMPT_BUDGET {
            source::too_late(ctx, call, now)
        } else {
            source::begin(ctx, tag, call, now, &mut refreshes)
        };
        Arrival { place, part: source::finish(ctx, tag, begun).await, refreshes }
    };
    stream::iter(calls.into_iter().enumerate()).map(one).buffer_unordered(lanes)
}
