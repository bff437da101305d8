//! The event bus on the metrics page.

use crate::record::events::EventCounts;
use crate::record::metrics::family::Family;
use crate::record::metrics::family::alone;
use crate::record::metrics::family::by;
use crate::record::metrics::family::number;

impl EventCounts {
    pub(super) fn families(&self, families: &mut Vec<Family>) {
        let dropped = vec![("sampled", self.sampled), ("lagged", self.lagged)];
        let refused = vec![("full", self.refused), ("stuck", self.cut_off)];
        families.extend([
            Family::counter("aggd_events", "What happened, by type", by("type", self.happened.clone(), |kind| kind)),
            Family::counter("aggd_events_dropped", "Events not told", by("reason", dropped, |reason| reason)),
            Family::gauge("aggd_events_kept", "Events kept for who comes back", alone(number(self.kept))),
            Family::gauge("aggd_event_subscribers", "Listeners to events", alone(number(self.subscribers))),
            Family::counter(
                "aggd_event_subscribers_refused",
                "Listeners turned away or cut off",
                by("reason", refused, |reason| reason),
            ),
        ]);
    }
}
