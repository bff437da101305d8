//! What a request must pass before any work is done for it: [`enter`] is the order of it. Its route is known, nothing
//! of its query is read yet, and nothing is started.

mod caller;
mod refusals;

use std::sync::Arc;

use crate::live::Snapshot;
use crate::plan::DoorPlan;
use crate::policy::keys::ApiKey;
use crate::policy::priority::Priority;
use crate::request::context::Ask;
use crate::request::context::Shared;
use crate::request::error::Problem;

/// What a request that may come in comes in as.
pub(crate) struct Entry {
    pub(crate) priority: Priority,
}

/// Lets a request in, or says why not.
pub(crate) fn enter(
    shared: &Shared,
    snapshot: &Arc<Snapshot>,
    ask: &Ask<'_>,
    door: &DoorPlan,
) -> Result<Entry, Problem> {
    if ask.peer.is_none() {
        // Who runs the process need not show a key to it.
        return Ok(Entry { priority: priority(snapshot, ask, door, None) });
    }
    let key = caller::identify(shared, snapshot, ask, door.wanted)?;
    Ok(Entry { priority: priority(snapshot, ask, door, key) })
}

/// What the request is treated as: what it asks for, else what its route says, up to what its key may have.
fn priority(snapshot: &Snapshot, ask: &Ask<'_>, door: &DoorPlan, key: Option<&ApiKey>) -> Priority {
    let header = snapshot.plan.server.priority_header.as_ref().and_then(|name| ask.headers.get(name));
    let asked = header.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let most = key.and_then(|key| key.max_priority).unwrap_or_else(|| most_of_anybody(door.priority));
    Priority::effective(asked, door.priority, most)
}

/// The most that a request may ask for whose key says nothing of it. A route may be important whoever asks for it; that
/// is for its author to say, and no claim of a client.
fn most_of_anybody(route: Option<Priority>) -> Priority {
    route.unwrap_or_default().max(Priority::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_important_route_is_important_to_anybody_and_nobody_claims_more() {
        use Priority::*;
        let anybody = |asked, route| Priority::effective(asked, route, most_of_anybody(route));
        assert_eq!(anybody(None, None), Normal);
        assert_eq!(anybody(Some(Critical), None), Normal);
        assert_eq!(anybody(Some(Low), None), Low);
        assert_eq!(anybody(None, Some(High)), High);
        assert_eq!(anybody(Some(Critical), Some(High)), High);
        assert_eq!(anybody(None, Some(Low)), Low);
        // Asking for more than a lowly route gives is no claim to more than anybody has.
        assert_eq!(anybody(Some(Normal), Some(Low)), Normal);
    }
}
