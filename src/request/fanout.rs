//! All parts of a request at once.

use futures_util::future::join_all;

use crate::live::cache::Tag;
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

/// Begins every part before it waits for any; with all of them in cache nothing is waited for at all.
pub(crate) async fn gather(ctx: &Context<'_>, tag: &Tag, calls: Vec<PartCall>) -> Gathered {
    let mut refreshes = Vec::new();
    let mut begun = Vec::with_capacity(calls.len());
    let now = ctx.now();
    for call in calls {
        begun.push(source::begin(ctx, tag, call, now, &mut refreshes));
    }
    let all_known = begun.iter().all(|part| matches!(part, Begun::Known(_)));
    let parts = if all_known {
        begun.into_iter().filter_map(Begun::known).collect()
    } else {
        join_all(begun.into_iter().map(|part| source::finish(ctx, tag, part))).await
    };
    Gathered { parts, refreshes }
}
