//! What a request must pass before any work is done for it: [`enter`] is the order of it. Its route is known, nothing
//! of its query is read yet, and nothing is started.

mod address;
mod caller;
mod limits;
mod refusals;

use std::sync::Arc;

use crate::base::Name;
use crate::live::Snapshot;
use crate::live::quota::Receipt;
use crate::plan::DoorPlan;
use crate::policy::keys::ApiKey;
use crate::policy::priority::Priority;
use crate::request::capacity::Room;
use crate::request::context::Ask;
use crate::request::context::Shared;
use crate::request::error::Problem;
use crate::request::front::limits::Headers;
use crate::request::reply::Reply;

/// What a request that may come in comes in as.
#[derive(Default)]
pub(crate) struct Entry {
    pub(crate) priority: Priority,
    /// The key that it showed.
    pub(crate) key: Option<ApiKey>,
    /// Of its answer, whatever that will be.
    headers: Headers,
    /// What it took from the limits of its client.
    receipt: Option<Receipt>,
    room: Room,
}

/// What a request holds from when it comes in until its answer is written, or the client has left.
#[derive(Default)]
pub(crate) struct Pass {
    /// Its places among the requests in flight of one client.
    quota: Option<Box<Receipt>>,
    /// Its places among all requests in flight.
    room: Room,
}

/// Lets a request in, or says why not.
pub(crate) fn enter(
    shared: &Shared,
    snapshot: &Arc<Snapshot>,
    ask: &Ask<'_>,
    door: &DoorPlan,
) -> Result<Entry, Problem> {
    let Some(peer) = ask.peer else {
        // Who runs the process need not show a key to it, nor is he held to what clients may.
        let priority = priority(snapshot, ask, door, None);
        note(shared, ask, priority);
        limits::note(shared, snapshot, ask, door);
        return Ok(Entry { priority, ..Entry::default() });
    };
    let key = caller::identify(shared, snapshot, ask, door.wanted)?;
    let priority = priority(snapshot, ask, door, key);
    note(shared, ask, priority);
    if door.limits.is_empty() {
        return Ok(Entry { priority, key: key.cloned(), ..Entry::default() });
    }
    let (headers, receipt) = limits::take(shared, snapshot, ask, door, key, peer)?;
    Ok(Entry { priority, key: key.cloned(), headers, receipt: Some(receipt), room: Room::default() })
}

impl Entry {
    /// The answer of a request that was let in: it tells of the limits, and gives places back once it is written.
    pub(crate) fn leave(self, mut reply: Reply) -> Reply {
        for (name, value) in self.headers {
            reply.headers.insert(name, value);
        }
        reply.after.pass = Pass { quota: self.receipt.and_then(Receipt::in_flight), room: self.room };
        reply
    }

    /// There is room for it, and it holds this.
    pub(crate) fn hold(&mut self, room: Room) {
        self.room = room;
    }

    /// There is no room for it: what it took from the limits of its client is given back.
    pub(crate) fn refund(&mut self) {
        if let Some(receipt) = self.receipt.take() {
            receipt.refund();
        }
    }
}

impl Pass {
    /// Whether it holds nothing.
    pub(crate) fn is_nothing(&self) -> bool {
        self.quota.is_none() && self.room.is_nothing()
    }
}

/// Notes a priority, where it is not everybody's.
fn note(shared: &Shared, ask: &Ask<'_>, priority: Priority) {
    if ask.trail.is_on()
        && priority != Priority::default()
        && let Some(request) = Name::parse("request")
    {
        ask.trail.note(&shared.clock, &request, || format!("priority {}", priority.as_str()));
    }
}

/// What the request is treated as: what it asks for, else what its route says, up to what its key may have.
fn priority(snapshot: &Snapshot, ask: &Ask<'_>, door: &DoorPlan, key: Option<&ApiKey>) -> Priority {
    let header = snapshot.plan.server.priority_header.as_ref().and_then(|name| ask.headers.get(name));
    let asked = header.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    Priority::effective(asked, door.priority, most(key.and_then(|key| key.max_priority), door.priority))
}

/// The most that a request may ask for: what its key may have, else what anybody may. A route may be important whoever
/// asks for it; that is for its author to say, and no claim of a client.
fn most(of_key: Option<Priority>, route: Option<Priority>) -> Priority {
    of_key.unwrap_or_else(|| route.unwrap_or_default().max(Priority::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lsh_14_a_client_gets_no_more_than_its_tenant_may_have() {
        use Priority::*;
        assert_eq!(Priority::effective(Some(Critical), None, most(Some(Normal), None)), Normal);
        assert_eq!(Priority::effective(Some(Critical), Some(High), most(Some(Low), Some(High))), Low);
        assert_eq!(Priority::effective(Some(Critical), None, most(Some(Critical), None)), Critical);
    }

    #[test]
    fn an_important_route_is_important_to_anybody_and_nobody_claims_more() {
        use Priority::*;
        let anybody = |asked, route| Priority::effective(asked, route, most(None, route));
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
