//! What operators do to a circuit: force it, reset it, reload its settings.

use std::time::Duration;

use crate::base::Moment;
use crate::policy::breaker::Breaker;
use crate::policy::breaker::BreakerSettings;
use crate::policy::breaker::Change;
use crate::policy::breaker::Reason;
use crate::policy::breaker::machine::Phase;

impl Breaker {
    /// Refuses everything until `ttl` is over, then probes; without a ttl until somebody says otherwise.
    pub(crate) fn force_open(&mut self, ttl: Option<Duration>, now: Moment) -> Change {
        let forced = Phase::ForcedOpen { since: now, until: ttl.map(|ttl| now.after(ttl)) };
        Change { open_for: ttl, ..self.to(forced, Reason::ForceOpen) }
    }

    /// Admits everything; results are counted and open nothing.
    pub(crate) fn force_close(&mut self) -> Change {
        self.to(Phase::ForcedClosed, Reason::ForceClose)
    }

    /// Back to rest with a clean record; calls in flight no longer count.
    pub(crate) fn reset(&mut self, set: &BreakerSettings) -> Change {
        self.close(set, Reason::Reset)
    }

    /// Takes over from one set of settings to the next. Thresholds are looked at with the next result, and an open
    /// period is recomputed by itself: nothing here remembers a setting but the shape of the window.
    pub(crate) fn apply(&mut self, old: &BreakerSettings, new: &BreakerSettings) -> Option<Change> {
        let shape = |set: &BreakerSettings| set.window.as_ref().map(|window| window.shape);
        if shape(old) != shape(new) {
            self.window = None;
        }
        match (old.enabled, new.enabled) {
            (false, true) => Some(self.close(new, Reason::Enabled)),
            (true, false) => Some(self.to(Phase::ForcedClosed, Reason::Disabled)),
            (true, true) | (false, false) => None,
        }
    }
}
