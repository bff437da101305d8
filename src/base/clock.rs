//! Where `now` comes from. The only file that reads a clock: everything else is told the time.

use std::time::Duration;
use std::time::SystemTime;

use crate::base::Moment;

/// The process's clock. One is made in `app` and handed down; copies agree with each other.
///
/// Monotonic time comes from tokio, so `tokio::time::pause` and `advance` drive every policy in tests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: tokio::time::Instant,
    /// What wall time it was at the origin, where that goes with the origin; `None`: the machine's.
    wall: Option<SystemTime>,
}

impl Clock {
    /// A clock that reads zero now.
    #[expect(clippy::disallowed_methods, reason = "this is the one place where the clock is read")]
    pub(crate) fn start() -> Self {
        Self { origin: tokio::time::Instant::now(), wall: None }
    }

    /// A clock whose wall time goes as its moments do: where tokio's time is paused, nothing happens by itself.
    pub(crate) fn start_at(wall: SystemTime) -> Self {
        Self { wall: Some(wall), ..Self::start() }
    }

    /// The present moment.
    #[expect(clippy::disallowed_methods, reason = "this is the one place where the clock is read")]
    pub(crate) fn now(&self) -> Moment {
        Moment::from_start(tokio::time::Instant::now().duration_since(self.origin))
    }

    /// Wall time: for what people and other machines read, never for arithmetic of a policy.
    #[expect(clippy::disallowed_methods, reason = "this is the one place where the clock is read")]
    pub(crate) fn wall(&self) -> SystemTime {
        match self.wall {
            Some(wall) => wall + self.now().since(Moment::ZERO),
            None => SystemTime::now(),
        }
    }

    /// The instant of a moment, for tokio's timers.
    pub(crate) fn instant(&self, at: Moment) -> tokio::time::Instant {
        let since = at.since(Moment::ZERO);
        self.origin.checked_add(since).unwrap_or_else(|| self.origin + Duration::from_secs(86_400 * 365 * 30))
    }

    /// Waits until `at`; returns at once when that has passed. Safe to cancel.
    pub(crate) async fn sleep_until(&self, at: Moment) {
        tokio::time::sleep_until(self.instant(at)).await;
    }
}
