//! What a route counts: its requests.

use std::sync::Arc;
use std::time::Duration;

use crate::record::metrics::family::Family;
use crate::record::metrics::series::Tally;
use crate::record::metrics::series::Timings;

/// The counters of one route.
#[derive(Debug, Default)]
pub(crate) struct RouteMetrics {
    duration: Timings<&'static str>,
    requests: Tally<u16>,
    fallbacks: Tally<&'static str>,
}

impl RouteMetrics {
    /// A request was answered. `mode` is the envelope's, or a word of ours where there was none.
    pub(crate) fn answered(&self, mode: &'static str, status: u16, took: Duration) {
        self.duration.observe(mode, took);
        self.requests.count(status);
    }
}

impl RouteMetrics {
    /// The route's own `fallback` answered: `stale`, `value`.
    pub(crate) fn fell_back(&self, via: &'static str) {
        self.fallbacks.count(via);
    }
}

pub(super) fn families(routes: &[(Arc<str>, Arc<RouteMetrics>)], families: &mut Vec<Family>) {
    let mut duration = Vec::new();
    let mut requests = Vec::new();
    let mut fallbacks = Vec::new();
    for (path, route) in routes {
        let labels = |name, value: String| vec![("route", path.to_string()), (name, value)];
        duration.extend(route.duration.all().into_iter().map(|(mode, timing)| (labels("mode", mode.into()), timing)));
        requests.extend(
            route.requests.all().into_iter().map(|(status, count)| (labels("status", status.to_string()), count)),
        );
        fallbacks.extend(route.fallbacks.all().into_iter().map(|(via, count)| (labels("via", via.into()), count)));
    }
    families.extend([
        Family::histogram(
            "aggd_request_duration_seconds",
            "How long requests took, from their head to their answer",
            duration,
        ),
        Family::counter("aggd_requests", "Requests answered", requests),
        Family::counter("aggd_route_fallbacks", "Answers by the `fallback` of a route", fallbacks),
    ]);
}
