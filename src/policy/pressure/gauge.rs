//! One signal: its average, its level, and whether it still speaks.

use std::time::Duration;

use crate::base::Moment;
use crate::policy::pressure::Band;
use crate::policy::pressure::Level;

/// The memory of one signal.
#[derive(Debug)]
pub(super) struct Gauge {
    average: f64,
    level: Level,
    /// When it was last read; at first, when it was first looked for.
    heard: Moment,
    stale: bool,
}

impl Gauge {
    /// A signal that is at rest.
    pub(super) fn new(now: Moment) -> Self {
        Self { average: 0.0, level: Level::Normal, heard: now, stale: false }
    }

    /// A new sample. After a silence the old average says nothing any more.
    pub(super) fn observe(&mut self, value: f64, alpha: f64, patience: Duration, now: Moment) {
        let long_silent = self.stale || now.since(self.heard) > patience;
        let weight = if long_silent { 1.0 } else { alpha };
        self.average = weight * value + (1.0 - weight) * self.average;
        self.heard = now;
    }

    /// Whether it fell silent (true) or is heard again (false) since the last time it was asked.
    pub(super) fn listen(&mut self, patience: Duration, now: Moment) -> Option<bool> {
        let stale = now.since(self.heard) > patience;
        let before = std::mem::replace(&mut self.stale, stale);
        (before != stale).then_some(stale)
    }

    /// The level that its average stands for, entered at the band and left below a share of it.
    pub(super) fn judge(&mut self, band: Band, exit: f64) -> Level {
        let held = |level: Level, enter: f64| {
            let enter = if self.level >= level { enter * exit } else { enter };
            self.average >= enter
        };
        self.level = if self.stale {
            Level::Normal
        } else if held(Level::Critical, band.critical) {
            Level::Critical
        } else if held(Level::High, band.high) {
            Level::High
        } else {
            Level::Normal
        };
        self.level
    }

    pub(super) fn average(&self) -> f64 {
        self.average
    }

    pub(super) fn level(&self) -> Level {
        self.level
    }

    pub(super) fn is_stale(&self) -> bool {
        self.stale
    }
}
