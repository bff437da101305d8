//! What each route asks of a request before it does anything for it.

use std::num::NonZeroU32;
use std::sync::Arc;

use http::Method;

use crate::config::spec::ServerSpec;
use crate::policy::keys::AccessSettings;
use crate::policy::keys::Wanted;
use crate::policy::priority::Priority;
use crate::policy::quota::LimitSettings;

/// What one route asks.
#[derive(Debug, Default)]
pub(crate) struct DoorPlan {
    /// The route as declared, with its method where that is not GET.
    pub(crate) route: Arc<str>,
    /// Whether it looks at keys; never without `auth` of the server.
    pub(crate) wanted: Wanted,
    /// How important its requests are that say nothing of it.
    pub(crate) priority: Option<Priority>,
    /// The limits that hold for it, in their order: nobody holds two of them the other way round.
    pub(crate) limits: Vec<ChargePlan>,
}

/// What a request takes from a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChargePlan {
    /// The limit's place in the plan.
    pub(crate) limit: usize,
    pub(crate) cost: NonZeroU32,
}

/// Makes the doors of all routes, and the list of all limits: the server's, then those of routes.
pub(crate) struct Doors {
    /// What a route wants that says nothing of it; `None`: there are no keys.
    wanted: Option<Wanted>,
    /// How many of the limits are the server's.
    common: usize,
    limits: Vec<Arc<LimitSettings>>,
}

impl Doors {
    /// Over the server's own settings.
    pub(crate) fn new(server: &ServerSpec) -> Self {
        let wanted = server.auth.as_ref().map(AccessSettings::wanted);
        let limits = server.rate_limits.clone();
        Self { wanted, common: limits.len(), limits }
    }

    /// The door of a route that says nothing of it.
    pub(crate) fn plain(&self, path: &str) -> DoorPlan {
        let common = self.limits.iter().take(self.common).enumerate();
        let fitting = common.filter(|(_, limit)| limit.routes.iter().any(|pattern| pattern.includes(path)));
        let limits = fitting.map(|(place, limit)| ChargePlan { limit: place, cost: limit.costs.of_route(path) });
        DoorPlan {
            route: path.into(),
            wanted: self.wanted.unwrap_or_default(),
            priority: None,
            limits: limits.collect(),
        }
    }

    /// The door of a route.
    pub(crate) fn of(&mut self, path: &str, method: &Method, own: RouteDoor) -> DoorPlan {
        let mut door = self.plain(path);
        if method != Method::GET {
            door.route = format!("{method} {path}").into();
        }
        if let (Some(_), Some(wanted)) = (self.wanted, own.auth) {
            door.wanted = wanted;
        }
        door.priority = own.priority;
        if let Some(limit) = own.limit {
            door.limits.push(ChargePlan { limit: self.limits.len(), cost: limit.costs.default });
            self.limits.push(limit);
        }
        door
    }

    /// All limits.
    pub(crate) fn limits(self) -> Vec<Arc<LimitSettings>> {
        self.limits
    }
}

/// What a route says itself.
#[derive(Debug, Default)]
pub(crate) struct RouteDoor {
    pub(crate) auth: Option<Wanted>,
    pub(crate) priority: Option<Priority>,
    pub(crate) limit: Option<Arc<LimitSettings>>,
}
