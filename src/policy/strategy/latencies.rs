//! How long calls of a source take, for hedges that wait as long as most calls do.
//!
//! Two histograms take turns: the newer one is filled, both are read, and after half the window the older is forgotten.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::base::Moment;
use crate::policy::strategy::settings::HedgeDelay;
use crate::policy::strategy::settings::HedgeSettings;

/// A percentile is worked out no more often than this.
const REFRESHED_EVERY: Duration = Duration::from_secs(3);
/// The longest that is told apart, in microseconds: an hour.
const LONGEST_US: u64 = 3_600_000_000;
/// Two significant digits: within one percent.
const DIGITS: u8 = 2;

/// The latencies of one source.
#[derive(Debug)]
pub(crate) struct Latencies {
    newer: Option<Histogram<u32>>,
    older: Option<Histogram<u32>>,
    /// When the newer one was begun.
    begun: Moment,
    /// The last percentile, and when it was worked out.
    known: Option<(Moment, Duration)>,
}

impl Latencies {
    /// Nothing known yet.
    pub(crate) fn new(now: Moment) -> Self {
        Self { newer: None, older: None, begun: now, known: None }
    }

    /// A call took this long; one that was cut short, at least this long.
    pub(crate) fn record(&mut self, set: &HedgeSettings, took: Duration, now: Moment) {
        self.turn(set, now);
        if self.newer.is_none() {
            self.newer = Histogram::new_with_bounds(1, LONGEST_US, DIGITS).ok();
        }
        if let Some(newer) = &mut self.newer {
            newer.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1));
        }
    }

    /// How long an attempt may take before another is launched beside it.
    pub(crate) fn delay(&mut self, set: &HedgeSettings, now: Moment) -> Duration {
        let HedgeDelay::Percentile(share) = set.delay else { return fixed(set) };
        if let Some((at, delay)) = self.known
            && now.since(at) < REFRESHED_EVERY
        {
            return delay;
        }
        self.turn(set, now);
        let delay = self.percentile(set, share);
        self.known = Some((now, delay));
        delay
    }

    fn percentile(&self, set: &HedgeSettings, share: f64) -> Duration {
        let mut both = self.newer.clone().or_else(|| self.older.clone());
        if let (Some(both), Some(_), Some(older)) = (&mut both, &self.newer, &self.older) {
            // Made with one set of bounds, so one always fits into the other.
            let _added = both.add(older);
        }
        match both.filter(|both| both.len() >= set.min_samples) {
            Some(both) => {
                let (least, most) = set.delay_bounds;
                Duration::from_micros(both.value_at_quantile(share)).clamp(least, most.max(least))
            }
            None => set.delay_fallback,
        }
    }

    /// Forgets what is older than the window.
    fn turn(&mut self, set: &HedgeSettings, now: Moment) {
        let (half, age) = (set.window / 2, now.since(self.begun));
        if age >= half {
            self.older = self.newer.take().filter(|_| age < set.window);
            self.begun = now;
        }
    }
}

fn fixed(set: &HedgeSettings) -> Duration {
    match set.delay {
        HedgeDelay::Fixed(delay) => delay,
        HedgeDelay::Percentile(_) => set.delay_fallback,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::strategy::settings::HEDGE_DEFAULTS;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn at(millis: u64) -> Moment {
        Moment::from_start(ms(millis))
    }

    const SET: HedgeSettings = HedgeSettings {
        delay: HedgeDelay::Percentile(0.9),
        delay_bounds: (ms(20), ms(2_000)),
        min_samples: 10,
        delay_fallback: ms(500),
        window: ms(60_000),
        ..HEDGE_DEFAULTS
    };

    /// Ten calls of 100 ms, 200 ms, … 1000 ms.
    fn filled(now: u64) -> Latencies {
        let mut seen = Latencies::new(at(0));
        for tenth in 1..=10 {
            seen.record(&SET, ms(tenth * 100), at(now));
        }
        seen
    }

    fn close(delay: Duration, millis: u64) -> bool {
        delay.abs_diff(ms(millis)) <= ms(millis) / 100
    }

    #[test]
    fn a_percentile_is_that_of_the_calls_seen_and_within_its_bounds() {
        assert!(close(filled(0).delay(&SET, at(1)), 900));
        let capped = HedgeSettings { delay_bounds: (ms(20), ms(300)), ..SET };
        assert_eq!(filled(0).delay(&capped, at(1)), ms(300));
        let floored = HedgeSettings { delay_bounds: (ms(950), ms(2_000)), ..SET };
        assert_eq!(filled(0).delay(&floored, at(1)), ms(950));
    }

    #[test]
    fn with_too_few_calls_the_fallback_is_used_and_a_fixed_delay_needs_none() {
        let few = HedgeSettings { min_samples: 11, ..SET };
        assert_eq!(filled(0).delay(&few, at(1)), ms(500));
        assert_eq!(Latencies::new(at(0)).delay(&SET, at(1)), ms(500));
        let fixed = HedgeSettings { delay: HedgeDelay::Fixed(ms(7)), ..SET };
        assert_eq!(Latencies::new(at(0)).delay(&fixed, at(1)), ms(7));
    }

    #[test]
    fn it_is_worked_out_anew_every_three_seconds() {
        let mut seen = filled(0);
        assert!(close(seen.delay(&SET, at(1)), 900));
        for _ in 0..90 {
            seen.record(&SET, ms(50), at(2));
        }
        assert!(close(seen.delay(&SET, at(3_000)), 900), "known still");
        assert!(close(seen.delay(&SET, at(3_001)), 50));
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let mut seen = filled(0);
        assert!(close(seen.delay(&SET, at(35_000)), 900), "the older half still counts");
        assert_eq!(seen.delay(&SET, at(66_000)), ms(500));
        assert_eq!(filled(0).delay(&SET, at(60_000)), ms(500), "idle all the while");
    }
}
