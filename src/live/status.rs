//! How the last load of the configuration ended: what `/health`, `/admin/config` and the metrics say of it.

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;

/// The end of one load.
#[derive(Clone, Debug)]
pub(crate) struct LoadStatus {
    /// `applied`, `rejected` or `quarantined`; of a load just done also `unchanged`.
    pub(crate) result: &'static str,
    pub(crate) at: SystemTime,
    /// How many mistakes were found.
    pub(crate) findings: usize,
    /// The findings as a JSON array, as `aggd check --format json` prints them.
    pub(crate) findings_json: Arc<str>,
    /// What changed, by name; settings that need a restart among them.
    pub(crate) changes: Vec<String>,
}

impl LoadStatus {
    /// Whether the files on disk are refused, wholly or in part.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self.result, "rejected" | "quarantined")
    }
}

/// The last end of a load, readable at any time.
pub(crate) struct Status {
    last: ArcSwap<LoadStatus>,
}

impl Status {
    pub(crate) fn new(first: LoadStatus) -> Self {
        Self { last: ArcSwap::from_pointee(first) }
    }

    /// The last one.
    pub(crate) fn last(&self) -> Arc<LoadStatus> {
        self.last.load_full()
    }

    pub(crate) fn set(&self, next: LoadStatus) {
        self.last.store(Arc::new(next));
    }
}
