//! How many retries all calls of a source may make together: first attempts earn, retries and hedges spend.
//!
//! The last `ttl` is kept in ten buckets of whole thousandths of a token: no ratio is rounded away, and what was earned
//! and spent is forgotten at the same time. `min_per_sec` is there without earning.

use std::time::Duration;

use crate::base::Moment;
use crate::policy::retry::settings::BudgetSettings;

const BUCKETS: usize = 10;

/// The memory of one budget.
#[derive(Clone, Debug, Default)]
pub(crate) struct Budget {
    /// Earned less spent, by bucket number modulo their count.
    buckets: [i64; BUCKETS],
    /// The number of the newest bucket, counted in widths since the start of the process.
    newest: u64,
    /// How long a bucket is; another `ttl` is another width.
    width: Duration,
}

impl Budget {
    /// What one attempt costs.
    pub(crate) const TOKEN: i64 = 1000;

    /// A first attempt was sent.
    pub(crate) fn deposit(&mut self, set: &BudgetSettings, now: Moment) {
        *self.bucket(set, now) += milli(set.ratio);
    }

    /// Spends a token, if there is one.
    pub(crate) fn withdraw(&mut self, set: &BudgetSettings, now: Moment) -> bool {
        let enough = self.balance(set, now) >= Self::TOKEN;
        if enough {
            *self.bucket(set, now) -= Self::TOKEN;
        }
        enough
    }

    /// What there is, in thousandths of a token. Less than nothing where what was earned is forgotten before what was
    /// spent of it.
    pub(crate) fn balance(&mut self, set: &BudgetSettings, now: Moment) -> i64 {
        let _newest = self.bucket(set, now);
        milli(set.min_per_sec * set.ttl.as_secs_f64()).saturating_add(self.buckets.iter().sum())
    }

    /// The bucket of this moment, every older one than `ttl` emptied. Time never runs backwards here: a moment read
    /// before another caller's lands in the newest bucket.
    fn bucket(&mut self, set: &BudgetSettings, now: Moment) -> &mut i64 {
        let width = (set.ttl / 10).max(Duration::from_nanos(1));
        let number = u64::try_from(now.since(Moment::ZERO).as_nanos() / width.as_nanos()).unwrap_or(u64::MAX);
        if width != self.width {
            // Another `ttl`: what there is stays, as if it had happened now.
            let kept = self.buckets.iter().sum();
            self.buckets = [0; BUCKETS];
            (self.width, self.newest) = (width, number);
            *self.slot(number) = kept;
        }
        let gone = number.saturating_sub(self.newest);
        for step in 1..=gone.min(BUCKETS as u64) {
            *self.slot(self.newest.saturating_add(step)) = 0;
        }
        self.newest = self.newest.max(number);
        self.slot(self.newest)
    }

    #[expect(
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        reason = "a remainder of the length is inside"
    )]
    fn slot(&mut self, number: u64) -> &mut i64 {
        &mut self.buckets[(number % BUCKETS as u64) as usize]
    }
}

/// Thousandths, to the nearest.
#[expect(clippy::cast_possible_truncation, reason = "saturates, and configuration has bounds far below")]
fn milli(tokens: f64) -> i64 {
    (tokens * 1000.0).round() as i64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    const SET: BudgetSettings = BudgetSettings { ratio: 0.3, min_per_sec: 0.5, ttl: ms(4_000) };

    proptest! {
        /// P6: what is granted never exceeds the reserve and the share of the first attempts that are still remembered.
        #[test]
        fn a_grant_is_covered_by_the_reserve_and_what_was_earned_within_the_ttl(
            steps in prop::collection::vec((0_u64..900, prop::bool::weighted(0.4)), 1..200),
        ) {
            let mut budget = Budget::default();
            let (mut now, mut earned, mut spent) = (0, Vec::new(), Vec::new());
            for (pause, retry) in steps {
                now += pause;
                let at = Moment::from_start(ms(now));
                // The buckets that a moment sees: its own and the nine before it.
                let seen = |past: &Vec<u64>| past.iter().filter(|then| **then / 400 + 10 > now / 400).count() as u64;
                let room = 2_000 + seen(&earned) * 300 >= (seen(&spent) + 1) * 1_000;
                if retry {
                    prop_assert_eq!(budget.withdraw(&SET, at), room);
                    spent.extend(room.then_some(now));
                } else {
                    budget.deposit(&SET, at);
                    earned.push(now);
                }
            }
        }
    }

    #[test]
    fn a_reload_keeps_the_balance_and_changes_what_is_earned_from_then_on() {
        let mut budget = Budget::default();
        let at = |millis| Moment::from_start(ms(millis));
        for _ in 0..10 {
            budget.deposit(&SET, at(100));
        }
        assert!(budget.withdraw(&SET, at(150)));
        assert_eq!(budget.balance(&SET, at(200)), 2_000 + 3_000 - 1_000);
        let doubled = BudgetSettings { ratio: 0.6, ..SET };
        budget.deposit(&doubled, at(200));
        assert_eq!(budget.balance(&doubled, at(200)), 4_600);
        let longer = BudgetSettings { ttl: ms(8_000), ..doubled };
        assert_eq!(budget.balance(&longer, at(300)), 4_000 + 2_600, "the new reserve, and what was there");
        assert_eq!(budget.balance(&longer, at(7_999)), 6_600);
        assert_eq!(budget.balance(&longer, at(8_000)), 4_000);
    }

    #[test]
    fn a_moment_read_before_another_callers_changes_nothing_that_is_gone() {
        let mut budget = Budget::default();
        budget.deposit(&SET, Moment::from_start(ms(9_000)));
        budget.deposit(&SET, Moment::from_start(ms(4_100)));
        assert_eq!(budget.balance(&SET, Moment::from_start(ms(9_000))), 2_600);
    }
}
