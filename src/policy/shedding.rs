//! Load shedding: which requests are turned away, so that the others are answered in time.
//!
//! | refused | when |
//! |---|---|
//! | `pressure` | a signal of the machine is `high`, and the request is `low`; or `critical`, and it is `low` or `normal` |
//! | `in_flight` | as many requests are under way as its class may find: `max_in_flight` times its threshold |
//!
//! The places between two thresholds are kept for the higher class, so what is critical is answered while the rest
//! finds the server full.

use std::time::Duration;

use crate::policy::line::LineSettings;
use crate::policy::pressure::Level;
use crate::policy::pressure::PressureSettings;
use crate::policy::priority::Priority;

/// `load_shedding:`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SheddingSettings {
    pub(crate) floors: Floors,
    /// `None`: nobody waits for a place.
    pub(crate) queue: Option<LineSettings>,
    pub(crate) pressure: PressureSettings,
    pub(crate) retry_after: RetryAfter,
    /// The paths of routes that are never shed, with all below them.
    pub(crate) exempt: Vec<String>,
    /// Whether what would be shed under pressure is answered from cache where that can be.
    pub(crate) brownout: bool,
}

/// How many requests each class may find under way: it is admitted while there are fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Floors {
    pub(crate) max_in_flight: u32,
    low: u32,
    normal: u32,
    high: u32,
    critical: u32,
}

/// The share of `max_in_flight` that each class may fill. Never more for a class than for a higher one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Thresholds {
    pub(crate) low: f64,
    pub(crate) normal: f64,
    pub(crate) high: f64,
    pub(crate) critical: f64,
}

/// When a refused client may come back: at a moment of its own, so that they do not all come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RetryAfter {
    pub(crate) base: Duration,
    pub(crate) jitter: Duration,
}

impl Thresholds {
    /// Every class may fill every place.
    pub(crate) const ALL: Self = Self { low: 1.0, normal: 1.0, high: 1.0, critical: 1.0 };
}

/// Used where the file is silent.
pub(crate) const THRESHOLDS: Thresholds = Thresholds { low: 0.70, normal: 0.85, high: 0.95, critical: 1.0 };
/// Used where the file is silent.
pub(crate) const MAX_IN_FLIGHT: u32 = 1024;
/// Used where the file is silent.
pub(crate) const RETRY_AFTER: RetryAfter = RetryAfter { base: Duration::from_secs(1), jitter: Duration::from_secs(2) };

/// Why a request was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Shed {
    /// As many are under way as its class may find.
    InFlight,
    /// A signal is too high for its class.
    Pressure,
    /// It would have waited, and so many wait already.
    QueueFull,
    /// It waited as long as requests may.
    QueueTimeout,
    /// It waited too long for a queue that does not get shorter.
    Sojourn,
    /// It waited until its own time was over.
    Deadline,
    /// As many requests of its route are under way as that may have.
    RouteInFlight,
    /// Its route has no place for it, or none came free in time.
    RouteBulkhead,
}

impl Shed {
    /// The word in labels and answers.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::InFlight => "in_flight",
            Self::Pressure => "pressure",
            Self::QueueFull => "queue_full",
            Self::QueueTimeout => "queue_timeout",
            Self::Sojourn => "sojourn",
            Self::Deadline => "deadline",
            Self::RouteInFlight => "route_in_flight",
            Self::RouteBulkhead => "route_bulkhead",
        }
    }
}

impl Floors {
    /// The floors of `max_in_flight`. A class that has a share has one place at least.
    pub(crate) fn new(max_in_flight: u32, share: &Thresholds) -> Self {
        let of = |share: f64| floor(max_in_flight, share);
        let (low, normal, high, critical) = (of(share.low), of(share.normal), of(share.high), of(share.critical));
        Self { max_in_flight, low, normal, high, critical }
    }

    /// What a class may find under way; it is admitted below that.
    pub(crate) fn of(&self, priority: Priority) -> u32 {
        match priority {
            Priority::Low => self.low,
            Priority::Normal => self.normal,
            Priority::High => self.high,
            Priority::Critical => self.critical,
        }
    }

    /// Whether one more is admitted while so many are under way.
    pub(crate) fn admit(&self, in_flight: u32, priority: Priority, level: Level) -> Result<(), Shed> {
        if level.sheds(priority) {
            return Err(Shed::Pressure);
        }
        if in_flight < self.of(priority) { Ok(()) } else { Err(Shed::InFlight) }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count times a share of it is between zero and the count"
)]
fn floor(max: u32, share: f64) -> u32 {
    // 70% of 100 is 70, whatever binary fractions make of it.
    let whole = (f64::from(max) * share + 1e-6).floor() as u32;
    if share > 0.0 { whole.clamp(1, max) } else { 0 }
}

impl RetryAfter {
    /// One client's wait, for a draw from 0 to 1 exclusive.
    pub(crate) fn wait(&self, draw: f64) -> Duration {
        self.base + self.jitter.mul_f64(draw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_with_a_share_has_a_place_and_one_without_has_none() {
        let one = Floors::new(1, &THRESHOLDS);
        assert_eq!(Priority::ALL.map(|class| one.of(class)), [1, 1, 1, 1]);
        let none = Floors::new(10, &Thresholds { low: 0.0, ..THRESHOLDS });
        assert_eq!(none.admit(0, Priority::Low, Level::Normal), Err(Shed::InFlight));
        assert_eq!(Priority::ALL.map(|class| Floors::new(7, &THRESHOLDS).of(class)), [4, 5, 6, 7]);
    }

    #[test]
    fn clients_are_told_different_moments() {
        let told = [0.0, 0.5, 0.999].map(|draw| RETRY_AFTER.wait(draw).as_millis());
        assert_eq!(told, [1000, 2000, 2998]);
    }
}
