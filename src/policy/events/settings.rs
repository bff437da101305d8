//! Settings of the event bus.

use crate::policy::events::types::EventType;

/// `events:`
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct EventSettings {
    /// Events kept for listeners who come back, and the most that wait for one listener. At least 1.
    pub(crate) buffer: usize,
    /// Listeners at once.
    pub(crate) max_subscribers: usize,
    pub(crate) sample: Sample,
}

/// `events.sample`: which share of the events of a type is told; `None`: one a second for each source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample([Option<f64>; EventType::COUNT]);

/// Used when the file is silent.
pub(crate) const EVENT_DEFAULTS: EventSettings =
    EventSettings { buffer: 1024, max_subscribers: 64, sample: Sample([None; EventType::COUNT]) };

impl Sample {
    /// The share of a type, where one is set.
    pub(crate) fn share(&self, kind: EventType) -> Option<f64> {
        self.0.get(kind.place()).copied().flatten()
    }

    /// Sets the share of a type.
    pub(crate) fn set(&mut self, kind: EventType, share: f64) {
        if let Some(slot) = self.0.get_mut(kind.place()) {
            *slot = Some(share);
        }
    }
}
