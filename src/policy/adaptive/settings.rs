//! `adaptive_concurrency:` of a source.

use std::time::Duration;

/// `adaptive_concurrency:` of a source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct AdaptiveSettings {
    pub(crate) algorithm: Algorithm,
    /// Where it begins; from `min` to `max`.
    pub(crate) initial: u32,
    /// At least 1.
    pub(crate) min: u32,
    /// At least `min`.
    pub(crate) max: u32,
}

/// How the limit moves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Algorithm {
    /// By the share of calls that go well.
    Aimd(AimdSettings),
    /// By how much slower calls are than they were over a long time.
    Gradient2(GradientSettings),
    /// By how many calls must be queueing, going by the fastest one.
    Vegas,
}

/// The keys of `aimd`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct AimdSettings {
    /// Calls after which it decides. At least 1.
    pub(crate) measurement_window: u32,
    /// A larger share of successes lets it grow.
    pub(crate) success_threshold: f64,
    /// A smaller share makes it shrink.
    pub(crate) failure_threshold: f64,
    /// By how much it grows. Above 0.
    pub(crate) increase: f64,
    /// To what share it shrinks. Above 0, below 1.
    pub(crate) decrease_factor: f64,
}

/// The keys of `gradient2`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct GradientSettings {
    /// It decides after this long, if there were so many samples.
    pub(crate) window: Duration,
    pub(crate) min_samples: u32,
    /// Over how many windows the long mean goes. At least 1.
    pub(crate) long_window: u32,
    /// So many times slower than the long mean is no strain yet. At least 1.
    pub(crate) rtt_tolerance: f64,
    /// What share of each step is taken. Above 0, at most 1.
    pub(crate) smoothing: f64,
    /// By how much it tries to grow.
    pub(crate) queue: u32,
}

/// Used where the file is silent.
pub(crate) const ADAPTIVE_DEFAULTS: AdaptiveSettings =
    AdaptiveSettings { algorithm: Algorithm::Aimd(AIMD_DEFAULTS), initial: 20, min: 1, max: 200 };

/// Used where the file is silent.
pub(crate) const AIMD_DEFAULTS: AimdSettings = AimdSettings {
    measurement_window: 100,
    success_threshold: 0.95,
    failure_threshold: 0.80,
    increase: 1.0,
    decrease_factor: 0.9,
};

/// Used where the file is silent.
pub(crate) const GRADIENT_DEFAULTS: GradientSettings = GradientSettings {
    window: Duration::from_secs(1),
    min_samples: 10,
    long_window: 600,
    rtt_tolerance: 1.5,
    smoothing: 0.2,
    queue: 4,
};

impl AdaptiveSettings {
    /// A limit within the bounds.
    pub(crate) fn clamp(&self, limit: f64) -> f64 {
        limit.clamp(f64::from(self.min), f64::from(self.max))
    }
}

impl Algorithm {
    /// Whether the other is the same one, whatever its keys.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}
