//! How long to wait before a retry.

use std::time::Duration;

use crate::policy::retry::settings::BackoffSettings;
use crate::policy::retry::settings::BackoffStrategy;
use crate::policy::retry::settings::Jitter;

impl BackoffSettings {
    /// The delay before retry `n`, from 1; `previous` is the delay before that, `draw` chance in [0, 1). Never more than
    /// `max`, jitter included.
    pub(crate) fn delay(&self, n: u32, previous: Option<Duration>, draw: f64) -> Duration {
        let (base, max) = (self.base.as_secs_f64(), self.max.as_secs_f64());
        let whole = match self.strategy {
            // Grows past every number, and is cut below.
            BackoffStrategy::Exponential => {
                base * self.multiplier.powi(i32::try_from(n.saturating_sub(1)).unwrap_or(i32::MAX))
            }
            BackoffStrategy::Linear => base * f64::from(n),
            BackoffStrategy::Constant => base,
            BackoffStrategy::Decorrelated => {
                let previous = previous.map_or(base, |previous| previous.as_secs_f64());
                return seconds((base + draw * (3.0 * previous - base)).min(max), self.max);
            }
            BackoffStrategy::None => return Duration::ZERO,
        };
        let whole = whole.min(max);
        let spread = match self.jitter {
            Jitter::None => whole,
            Jitter::Full => draw * whole,
            Jitter::Equal => (whole + draw * whole) / 2.0,
            Jitter::Proportional => whole * (1.0 - self.jitter_ratio + 2.0 * self.jitter_ratio * draw),
        };
        seconds(spread.min(max), self.max)
    }
}

/// A delay in seconds, to the microsecond: finer is an artefact of the arithmetic.
fn seconds(seconds: f64, max: Duration) -> Duration {
    let micros = (seconds * 1e6).round() / 1e6;
    Duration::try_from_secs_f64(micros).unwrap_or(max).min(max)
}
