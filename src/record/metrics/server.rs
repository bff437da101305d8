//! What belongs to no source, route or limiter.

use prometheus_client::metrics::counter::Counter;

use crate::record::metrics::family::Family;
use crate::record::metrics::family::alone;
use crate::record::metrics::family::by;
use crate::record::metrics::labels::ReloadResult;
use crate::record::metrics::labels::Stage;
use crate::record::metrics::series::Tally;

/// The counters of the process as a whole.
#[derive(Debug, Default)]
pub(crate) struct ServerMetrics {
    deadline_exceeded: Tally<Stage>,
    deadline_header_invalid: Counter,
    config_reloads: Tally<ReloadResult>,
    connections_rejected: Counter,
    request_bytes_rejected: Counter,
    panics: Counter,
}

impl ServerMetrics {
    /// A request's deadline passed.
    pub(crate) fn deadline_exceeded(&self, stage: Stage) {
        self.deadline_exceeded.count(stage);
    }

    /// A client's deadline header was ignored, being no duration.
    pub(crate) fn deadline_header_invalid(&self) {
        self.deadline_header_invalid.inc();
    }

    /// A reload ended.
    pub(crate) fn reloaded(&self, result: ReloadResult) {
        self.config_reloads.count(result);
    }

    /// A connection was turned away, there being too many.
    pub(crate) fn connection_rejected(&self) {
        self.connections_rejected.inc();
    }

    /// A request was refused for its size.
    pub(crate) fn request_bytes_rejected(&self) {
        self.request_bytes_rejected.inc();
    }

    /// A panic was caught.
    pub(crate) fn panicked(&self) {
        self.panics.inc();
    }

    pub(super) fn families(&self, families: &mut Vec<Family>) {
        let counter = |name, help, counter: &Counter| Family::counter(name, help, alone(counter.get()));
        families.extend([
            Family::counter(
                "aggd_deadline_exceeded",
                "Deadlines that passed, by where the work was",
                by("stage", self.deadline_exceeded.all(), Stage::as_str),
            ),
            counter(
                "aggd_deadline_header_invalid",
                "Deadline headers ignored, being no duration",
                &self.deadline_header_invalid,
            ),
            Family::counter(
                "aggd_config_reloads",
                "Reloads of the configuration",
                by("result", self.config_reloads.all(), ReloadResult::as_str),
            ),
            counter("aggd_connections_rejected", "Client connections turned away", &self.connections_rejected),
            counter("aggd_request_bytes_rejected", "Requests refused for their size", &self.request_bytes_rejected),
            counter("aggd_panics", "Panics caught", &self.panics),
        ]);
    }
}
