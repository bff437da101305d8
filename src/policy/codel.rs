//! Whether a queue is overloaded: told by how long its members wait, not by how many they are (CoDel, as folly has it).
//!
//! A queue that only takes up a burst is empty now and then, and some of its members hardly wait. A queue in which
//! even the luckiest of an interval waited longer than `target` does not get shorter by waiting: in the next interval
//! whoever waited longer than twice the target is refused, rather than answered when nobody waits for it any more.

use std::time::Duration;

use crate::base::Moment;

/// `target` and `interval` of `load_shedding.queue`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CodelSettings {
    /// The wait that is no overload.
    pub(crate) target: Duration,
    pub(crate) interval: Duration,
}

/// The memory of one queue.
#[derive(Debug, Default)]
pub(crate) struct Codel {
    overloaded: bool,
    /// The end of the present interval; at first that of the first one since the start.
    until: Option<Moment>,
    /// The shortest wait of the present interval; `None`: nobody was served in it.
    shortest: Option<Duration>,
}

impl Codel {
    /// Whether the queue is overloaded at this moment.
    pub(crate) fn is_overloaded(&mut self, set: CodelSettings, now: Moment) -> bool {
        let until = self.until.unwrap_or(Moment::ZERO.after(set.interval));
        if now >= until {
            let over = self.shortest.take().is_some_and(|shortest| shortest > set.target);
            // After an interval in which nobody came there is no queue.
            let skipped = now >= until.after(set.interval);
            self.overloaded = over && !skipped;
            self.until = Some(if skipped { now.after(set.interval) } else { until.after(set.interval) });
        }
        self.overloaded
    }

    /// One leaves the queue after so long a wait: whether it is served, or refused instead.
    pub(crate) fn serves(&mut self, set: CodelSettings, waited: Duration, now: Moment) -> bool {
        let overloaded = self.is_overloaded(set, now);
        self.shortest = Some(self.shortest.map_or(waited, |shortest| shortest.min(waited)));
        !(overloaded && waited > set.target * 2)
    }
}
