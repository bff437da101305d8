//! What a limiter counts itself: how long permits were waited for. The rest is read from it at the scrape.

use std::sync::Arc;
use std::time::Duration;

use crate::base::Name;
use crate::record::metrics::family::Family;
use crate::record::metrics::series::Timings;

/// How the names of limiters of sources begin.
pub(super) const OF_SOURCE: &str = "source:";

/// The name of a source's limiter: `source:weather`.
pub(crate) fn of_source(name: &Name) -> String {
    format!("{OF_SOURCE}{name}")
}

/// How the names of limiters of routes begin.
pub(super) const OF_ROUTE: &str = "route:";

/// The name of a route's bulkhead: `route:/cities/{city}`.
pub(crate) fn of_route(path: &str) -> String {
    format!("{OF_ROUTE}{path}")
}

/// The histogram of one limiter.
#[derive(Debug, Default)]
pub(crate) struct LimiterMetrics {
    wait: Timings<()>,
}

impl LimiterMetrics {
    /// A permit was granted after this long.
    pub(crate) fn granted(&self, waited: Duration) {
        self.wait.observe((), waited);
    }
}

pub(super) fn families(limiters: &[(Arc<str>, Arc<LimiterMetrics>)], families: &mut Vec<Family>) {
    let waits =
        limiters.iter().flat_map(|(name, limiter)| limiter.wait.all().into_iter().map(move |wait| (name, wait)));
    let wait = waits.map(|(name, ((), timing))| (vec![("limiter", name.to_string())], timing));
    families.push(Family::histogram("aggd_queue_wait_seconds", "How long permits were waited for", wait.collect()));
}
