//! One of the places that a source's calls go to, with the state that outlives reloads.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use crate::live::circuit::Circuit;
use crate::record::SourceMetrics;

/// An endpoint. Its state is found by its name.
pub(crate) struct LiveEndpoint {
    /// `id`, or `scheme://host:port`.
    pub(crate) name: Arc<str>,
    /// With `scope: source` the same for all endpoints.
    pub(crate) circuit: Arc<Circuit>,
    pub(crate) metrics: Arc<SourceMetrics>,
    /// Attempts under way; counted only where the order asks for it.
    pub(crate) pending: Arc<AtomicU32>,
}

/// An attempt under way.
#[must_use]
pub(crate) struct Pending(Arc<AtomicU32>);

impl LiveEndpoint {
    /// Counts an attempt, until it is dropped.
    pub(crate) fn count(&self) -> Pending {
        self.pending.fetch_add(1, Ordering::Relaxed);
        Pending(Arc::clone(&self.pending))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
