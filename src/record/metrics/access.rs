//! What is counted of the keys that clients show.

use prometheus_client::metrics::counter::Counter;

use crate::record::metrics::family::Family;
use crate::record::metrics::family::by;
use crate::record::metrics::labels::AccessResult;

/// Requests that `auth` was asked about. Plain atomics: each request counts here once.
#[derive(Debug, Default)]
pub(crate) struct AccessMetrics {
    known: Counter,
    anonymous: Counter,
    missing: Counter,
    wrong: Counter,
}

impl AccessMetrics {
    /// One more.
    pub(crate) fn asked(&self, result: AccessResult) {
        self.counter(result).inc();
    }

    fn counter(&self, result: AccessResult) -> &Counter {
        match result {
            AccessResult::Known => &self.known,
            AccessResult::Anonymous => &self.anonymous,
            AccessResult::Missing => &self.missing,
            AccessResult::Wrong => &self.wrong,
        }
    }

    pub(super) fn families(&self, families: &mut Vec<Family>) {
        let all =
            [AccessResult::Known, AccessResult::Anonymous, AccessResult::Missing, AccessResult::Wrong].into_iter();
        let counts = all.map(|result| (result, self.counter(result).get())).collect();
        families.push(Family::counter(
            "aggd_auth_requests",
            "Requests of routes that look at keys, by what they showed",
            by("result", counts, AccessResult::as_str),
        ));
    }
}
