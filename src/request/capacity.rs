//! Whether there is room for a request: the route's own limits first, then the server's. Narrow before wide: who waits
//! for a busy route holds no place that another route could use.
//!
//! ```text
//! level ──sheds this class──────────────────────────────► shed:pressure
//! route load_shedding ──as many as its class may find───► shed:route_in_flight
//! route bulkhead ──full, or waited in vain──────────────► shed:route_bulkhead
//! server in flight ──full, and the queue too────────────► shed:in_flight, queue_full, queue_timeout, sojourn
//! ```

use std::sync::Arc;

use crate::base::Moment;
use crate::base::Name;
use crate::base::Pretty;
use crate::config::spec::RefusalSpec;
use crate::config::spec::RouteLimits;
use crate::live::GateSlot;
use crate::live::InFlight;
use crate::live::InFlightPermit;
use crate::live::LiveRoute;
use crate::live::Snapshot;
use crate::plan::RoutePlan;
use crate::policy::deadline;
use crate::policy::limiter::Patience;
use crate::policy::pressure::Level;
use crate::policy::priority::Priority;
use crate::policy::shedding::RETRY_AFTER;
use crate::policy::shedding::Shed;
use crate::policy::shedding::SheddingSettings;
use crate::record::Event;
use crate::record::limiter_of_route;
use crate::request::context::Ask;
use crate::request::context::Shared;
use crate::request::error::Problem;

/// The places that a request holds, until its answer is written or dropped.
#[must_use]
#[derive(Debug, Default)]
pub(crate) struct Room {
    server: Option<InFlightPermit>,
    route: Option<InFlightPermit>,
    bulkhead: Option<GateSlot>,
}

impl Room {
    /// Whether it holds none.
    pub(crate) fn is_nothing(&self) -> bool {
        self.server.is_none() && self.route.is_none() && self.bulkhead.is_none()
    }
}

/// A request that there is no room for: why, and what its client is told.
#[derive(Debug)]
pub(crate) struct Turned {
    pub(crate) why: Shed,
    pub(crate) problem: Problem,
}

/// What asks for room.
pub(crate) struct Wish<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) snapshot: &'a Arc<Snapshot>,
    pub(crate) ask: &'a Ask<'a>,
    /// `None`: a single source, which has no limits of its own.
    pub(crate) route: Option<&'a Arc<RoutePlan>>,
    pub(crate) handles: &'a Arc<LiveRoute>,
    pub(crate) priority: Priority,
}

impl Wish<'_> {
    /// Takes the places that it needs. Waits where a queue is configured, and nowhere else; safe to cancel.
    pub(crate) async fn enter(&self) -> Result<Room, Turned> {
        let mut room = Room::default();
        let exempt = self.route.map_or(self.snapshot.plan.single_exempt, |route| route.exempt);
        let set = self.snapshot.plan.server.load_shedding.as_ref().filter(|_| !exempt);
        let overload = &self.snapshot.overload;
        let level = set.map_or(Level::Normal, |_| overload.level(self.ask.arrived));
        if level.sheds(self.priority) {
            return Err(self.refused(Shed::Pressure, None));
        }
        if let Some(in_flight) = &self.handles.room.in_flight {
            room.route = self.own_in_flight(in_flight, level)?;
        }
        if self.handles.room.bulkhead.is_some() {
            // Boxed: what few requests wait for should not make the future of all of them large.
            room.bulkhead = Box::pin(self.bulkhead()).await?;
        }
        let Some(set) = set else { return Ok(room) };
        room.server = match overload.in_flight.enter(&set.floors, self.priority, level) {
            Ok(permit) => Some(permit),
            Err(Shed::InFlight) if set.queue.is_some() => Some(Box::pin(self.stand_in_line(set)).await?),
            Err(why) => return Err(self.refused(why, None)),
        };
        self.explain(|| {
            let (count, floor) = (overload.in_flight.count(), set.floors.of(self.priority));
            format!(
                "load shedding: {count} of {floor} for {} in flight, pressure {}",
                self.priority.as_str(),
                level.as_str()
            )
        });
        Ok(room)
    }

    /// Whether an answer from cache may take the place of a refusal.
    pub(crate) fn may_brown_out(&self) -> bool {
        let wanted = self.snapshot.plan.server.load_shedding.as_ref().is_some_and(|set| set.brownout);
        wanted && self.snapshot.overload.level(self.ask.arrived) >= Level::High
    }

    fn limits(&self) -> Option<&RouteLimits> {
        self.route.map(|route| &route.limits)
    }

    fn own_in_flight(&self, in_flight: &Arc<InFlight>, level: Level) -> Result<Option<InFlightPermit>, Turned> {
        let Some(set) = self.limits().and_then(|limits| limits.load_shedding.as_ref()) else { return Ok(None) };
        let entered = in_flight.enter(&set.floors, self.priority, level);
        entered.map(Some).map_err(|_| self.refused(Shed::RouteInFlight, Some(&set.refusal)))
    }

    async fn bulkhead(&self) -> Result<Option<GateSlot>, Turned> {
        let set = self.limits().and_then(|limits| limits.bulkhead.as_ref());
        let Some((set, (gate, metrics))) = set.zip(self.handles.room.bulkhead.as_ref()) else { return Ok(None) };
        let clock = &self.shared.clock;
        let since = clock.now();
        let slot = gate.acquire(clock, Patience { priority: self.priority, deadline: self.deadline() }).await;
        let waited = clock.now().since(since);
        if slot.is_ok() {
            metrics.granted(waited);
        }
        self.explain(|| format!("bulkhead of the route: waited {}", Pretty(waited)));
        slot.map(Some).map_err(|refusal| {
            if let Some(route) = self.route {
                let limiter = &limiter_of_route(&route.path);
                self.shared.events.publish(Event::BulkheadRejected { limiter, reason: refusal.as_str() });
            }
            self.refused(Shed::RouteBulkhead, Some(&set.refusal))
        })
    }

    async fn stand_in_line(&self, set: &SheddingSettings) -> Result<InFlightPermit, Turned> {
        let Some(queue) = &set.queue else { return Err(self.refused(Shed::InFlight, None)) };
        let clock = &self.shared.clock;
        let since = clock.now();
        let in_flight = &self.snapshot.overload.in_flight;
        let permit = in_flight.wait((&set.floors, queue), self.priority, self.deadline()).await;
        let waited = clock.now().since(since);
        self.shared.metrics.shedding.waited(waited);
        self.explain(|| format!("stood in line for {}", Pretty(waited)));
        permit.map_err(|why| self.refused(why, None))
    }

    /// Until when it may wait: the client's deadline is read again later, with all that goes with it.
    fn deadline(&self) -> Moment {
        let set = &self.snapshot.plan.server.deadline;
        let header = set.header.as_ref().and_then(|name| self.ask.headers.get(name));
        let wanted = header.and_then(|value| value.to_str().ok()).and_then(deadline::parse);
        let longest = self.route.map_or(set.max, |route| route.timeout.min(set.max));
        self.ask.arrived.after(wanted.map_or(longest, |wanted| wanted.min(longest)))
    }

    /// What the client is told; `told` is what its route says.
    fn refused(&self, why: Shed, told: Option<&RefusalSpec>) -> Turned {
        let set = self.snapshot.plan.server.load_shedding.as_ref();
        let jittered = || set.map_or(RETRY_AFTER, |set| set.retry_after).wait(fastrand::f64());
        self.explain(|| format!("load shedding: no room for {}: {}", self.priority.as_str(), why.as_str()));
        let wait = told.and_then(|told| told.retry_after).unwrap_or_else(jittered);
        let detail = told.and_then(|told| told.message.clone());
        let mut problem = Problem::reduced_capacity(why, self.priority, detail).retry_after(wait);
        if let Some(told) = told {
            problem.status = told.status;
        }
        Turned { why, problem }
    }

    fn explain(&self, text: impl FnOnce() -> String) {
        if self.ask.trail.is_on()
            && let Some(name) = Name::parse("gateway")
        {
            self.ask.trail.note(&self.shared.clock, &name, text);
        }
    }
}
