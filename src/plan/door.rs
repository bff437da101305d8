//! What each route asks of a request before it does anything for it.

use crate::config::spec::ServerSpec;
use crate::policy::keys::AccessSettings;
use crate::policy::keys::Wanted;
use crate::policy::priority::Priority;

/// What one route asks.
#[derive(Debug, Default)]
pub(crate) struct DoorPlan {
    /// Whether it looks at keys; never without `auth` of the server.
    pub(crate) wanted: Wanted,
    /// How important its requests are that say nothing of it.
    pub(crate) priority: Option<Priority>,
}

/// Makes the doors of all routes.
pub(crate) struct Doors {
    /// What a route wants that says nothing of it; `None`: there are no keys.
    wanted: Option<Wanted>,
}

impl Doors {
    /// Over the server's own settings.
    pub(crate) fn new(server: &ServerSpec) -> Self {
        Self { wanted: server.auth.as_ref().map(AccessSettings::wanted) }
    }

    /// The door of a route.
    pub(crate) fn of(&mut self, auth: Option<Wanted>, priority: Option<Priority>) -> DoorPlan {
        let wanted = self.wanted.map(|usual| auth.unwrap_or(usual)).unwrap_or_default();
        DoorPlan { wanted, priority }
    }
}
