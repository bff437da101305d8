//! `strategy:` of a source, as the machines read it.

use std::time::Duration;

/// `strategy:` of a source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct StrategySettings {
    pub(crate) kind: StrategyKind,
    pub(crate) order: Order,
}

/// `type:`
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum StrategyKind {
    Single,
    Sequential,
    Hedged(HedgeSettings),
}

/// `order:`, by which the first endpoint of a call is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The first of the list.
    Declared,
    /// Each in turn, as often as its weight says.
    RoundRobin,
    /// By chance, as often as its weight says.
    Random,
    /// The one with the fewest calls under way for its weight.
    LeastPending,
}

/// `hedge:`
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct HedgeSettings {
    /// The first one included. 2 to 5.
    pub(crate) max_attempts: u32,
    pub(crate) delay: HedgeDelay,
    /// What a percentile is held within.
    pub(crate) delay_bounds: (Duration, Duration),
    /// With fewer calls to judge by, `delay_fallback` it is.
    pub(crate) min_samples: u64,
    pub(crate) delay_fallback: Duration,
    /// How far back a percentile looks, at most.
    pub(crate) window: Duration,
    /// Hedges that a call earns.
    pub(crate) max_extra_load: f64,
}

/// How long an attempt may take before another is launched beside it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum HedgeDelay {
    Fixed(Duration),
    /// As long as this share of calls takes, 0 to 1.
    Percentile(f64),
}

/// Used where the file is silent. The only place these defaults are written.
pub(crate) const HEDGE_DEFAULTS: HedgeSettings = HedgeSettings {
    max_attempts: 2,
    delay: HedgeDelay::Fixed(Duration::from_millis(200)),
    delay_bounds: (Duration::from_millis(20), Duration::from_secs(2)),
    min_samples: 50,
    delay_fallback: Duration::from_millis(500),
    window: Duration::from_secs(300),
    max_extra_load: 0.05,
};

impl StrategySettings {
    /// The terms of hedging, where there is any.
    pub(crate) fn hedge(&self) -> Option<&HedgeSettings> {
        match &self.kind {
            StrategyKind::Hedged(hedge) => Some(hedge),
            StrategyKind::Single | StrategyKind::Sequential => None,
        }
    }
}
