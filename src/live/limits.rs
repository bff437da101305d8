//! The limits of one source as its calls share them. They live as long as the source's name does: a reload resizes them
//! and leaves alone who is inside and who waits.

use std::sync::Arc;

use crate::base::Clock;
use crate::base::Name;
use crate::live::gate::Gate;
use crate::policy::admission::AdmissionSettings;
use crate::record::LimiterMetrics;
use crate::record::Metrics;

/// What a source's calls go through before they reach the global semaphore.
#[derive(Debug)]
pub(crate) struct SourceLimits {
    /// `None`: off.
    pub(crate) bulkhead: Option<Bulkhead>,
}

/// The source's own compartment: what fills it leaves the other sources room.
#[derive(Debug, Clone)]
pub(crate) struct Bulkhead {
    pub(crate) gate: Arc<Gate>,
    pub(crate) metrics: Arc<LimiterMetrics>,
}

impl SourceLimits {
    /// The limits of a source: those it had, resized, or new ones.
    pub(crate) fn carry(
        before: Option<&Self>,
        settings: &AdmissionSettings,
        (name, metrics, clock): (&Name, &Metrics, &Clock),
    ) -> Self {
        let known = before.and_then(|before| before.bulkhead.as_ref());
        let bulkhead = settings.bulkhead.map(|set| match known {
            Some(known) => {
                known.gate.resize(set, clock);
                known.clone()
            }
            None => Bulkhead { gate: Arc::new(Gate::new(set)), metrics: metrics.source_limiter(name) },
        });
        Self { bulkhead }
    }
}
