//! How hard the machine is pressed, for everybody to ask: what is read by a task of its own (`watch`) from the system
//! (`system`), judged by `policy::pressure`, and kept as one number.

mod system;
mod watch;

pub(crate) use watch::Watch;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::base::Clock;
use crate::base::Moment;
use crate::live::in_flight::InFlight;
use crate::policy::pressure::Assessment;
use crate::policy::pressure::Level;
use crate::policy::pressure::Pressure;
use crate::policy::pressure::PressureSettings;
use crate::policy::pressure::Signal;
use crate::policy::pressure::SignalView;

/// The load of the process. One is made at start, and outlives every configuration.
#[derive(Debug)]
pub(crate) struct Overload {
    /// All requests of the data plane under way.
    pub(crate) in_flight: Arc<InFlight>,
    /// The number of the level.
    level: AtomicU8,
    /// Until when that holds, in nanoseconds since the start: who says it may have died.
    holds_until: AtomicU64,
    pressure: Mutex<Pressure>,
}

impl Overload {
    /// Nobody is under way, nothing is pressed.
    pub(crate) fn new(clock: &Clock) -> Self {
        Self {
            in_flight: Arc::new(InFlight::new(clock)),
            level: AtomicU8::new(0),
            holds_until: AtomicU64::new(0),
            pressure: Mutex::default(),
        }
    }

    /// How hard the machine is pressed. Normal where nobody has looked for too long.
    pub(crate) fn level(&self, now: Moment) -> Level {
        match Level::of_number(self.level.load(Ordering::Relaxed)) {
            Level::Normal => Level::Normal,
            level if nanos(now) < self.holds_until.load(Ordering::Relaxed) => level,
            Level::High | Level::Critical => Level::Normal,
        }
    }

    /// The signals that are looked at.
    pub(crate) fn signals(&self) -> Vec<SignalView> {
        self.lock().view().collect()
    }

    /// A signal was read.
    pub(super) fn observe(&self, set: &PressureSettings, signal: Signal, value: f64, now: Moment) {
        self.lock().observe(set, signal, value, now);
    }

    /// Looks at all of them, and makes the level known.
    pub(super) fn assess(&self, set: &PressureSettings, now: Moment) -> Assessment {
        let mut pressure = self.lock();
        let found = pressure.assess(set, now);
        self.holds_until.store(nanos(now.after(set.patience())), Ordering::Relaxed);
        self.level.store(pressure.level().number(), Ordering::Relaxed);
        found
    }

    fn lock(&self) -> MutexGuard<'_, Pressure> {
        self.pressure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn nanos(at: Moment) -> u64 {
    let since: Duration = at.since(Moment::ZERO);
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::pressure::Band;
    use crate::policy::pressure::PRESSURE;

    #[test]
    fn a_level_that_nobody_looks_after_does_not_hold() {
        let set = PressureSettings { cpu: Some(Band { high: 0.5, critical: 0.9 }), ewma_alpha: 1.0, ..PRESSURE };
        let overload = Overload::new(&Clock::start());
        let at = |ms| Moment::from_start(Duration::from_millis(ms));
        overload.observe(&set, Signal::Cpu, 0.6, at(100));
        let change = overload.assess(&set, at(100)).change.unwrap();
        assert_eq!((change.from, change.to), (Level::Normal, Level::High));
        assert_eq!(overload.level(at(1_349)), Level::High);
        assert_eq!(overload.level(at(1_350)), Level::Normal, "five intervals later");
    }
}
