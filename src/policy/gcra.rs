//! The generic cell rate algorithm: a token bucket whose whole memory is one moment.
//!
//! A bucket holds up to `burst` units and gains one every `interval`. What is remembered is the moment at which it will
//! be full again (`tat`, the theoretical arrival time): full means `tat ≤ now`, and each unit taken moves it one
//! interval later. All arithmetic is in whole nanoseconds; the interval is rounded up, so that never more is granted
//! than the rate says.
//!
//! | operation | what it does |
//! |---|---|
//! | `wait` | how long until this many units are there; zero: now |
//! | `take` | takes them if they are there; else nothing changes |
//! | `reserve` | takes them in advance, if they are there soon enough; else nothing changes |
//! | `refund` | gives them back |
//! | `retune` | another rate or burst: what is there stays there, up to the new burst; nothing is refilled |

use std::num::NonZeroU32;
use std::time::Duration;

use crate::base::Moment;

/// So many in so much time: `10/second`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Rate {
    pub(crate) count: NonZeroU32,
    pub(crate) per: Duration,
}

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    /// In how many nanoseconds it gains one unit. At least 1.
    interval: u64,
    burst: NonZeroU32,
}

/// One bucket. One that is full is equal to one that was never used, and can be forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bucket {
    /// When it is full again.
    tat: Moment,
}

/// Why units were not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Short {
    /// They will be there after this long, if nobody else takes them.
    Wait(Duration),
    /// More than the bucket ever holds: no wait would help.
    CostExceedsBurst,
}

impl Quota {
    /// A quota of this rate, of which so much may come at once.
    pub(crate) fn new(rate: Rate, burst: NonZeroU32) -> Self {
        let per = u64::try_from(rate.per.as_nanos()).unwrap_or(u64::MAX);
        Self { interval: per.div_ceil(u64::from(rate.count.get())).max(1), burst }
    }

    /// The most that it holds.
    pub(crate) fn burst(&self) -> NonZeroU32 {
        self.burst
    }

    /// How long the bucket takes to gain so many units.
    pub(crate) fn time_for(&self, units: u32) -> Duration {
        Duration::from_nanos(self.interval.saturating_mul(u64::from(units)))
    }

    /// How long an empty bucket takes until it is full.
    pub(crate) fn window(&self) -> Duration {
        self.time_for(self.burst.get())
    }
}

impl Bucket {
    /// How long until so many units are there.
    pub(crate) fn wait(&self, quota: &Quota, cost: u32, now: Moment) -> Result<Duration, Short> {
        if cost > quota.burst.get() {
            return Err(Short::CostExceedsBurst);
        }
        let full_after = self.tat.since(now).saturating_add(quota.time_for(cost));
        Ok(full_after.saturating_sub(quota.window()))
    }

    /// Takes so many units, if they are there.
    #[allow(dead_code, reason = "the limits of clients wait for nothing")]
    pub(crate) fn take(&mut self, quota: &Quota, cost: u32, now: Moment) -> Result<(), Short> {
        self.reserve(quota, cost, Duration::ZERO, now).map(drop)
    }

    /// Takes so many units in advance, if they are there within `longest`. The answer is how long to wait for them.
    pub(crate) fn reserve(
        &mut self,
        quota: &Quota,
        cost: u32,
        longest: Duration,
        now: Moment,
    ) -> Result<Duration, Short> {
        let wait = self.wait(quota, cost, now)?;
        if wait > longest {
            return Err(Short::Wait(wait));
        }
        self.tat = self.tat.max(now).after(quota.time_for(cost));
        Ok(wait)
    }

    /// Gives so many units back.
    #[allow(dead_code, reason = "the limits of clients give back what was shed")]
    pub(crate) fn refund(&mut self, quota: &Quota, cost: u32) {
        self.advance(quota.time_for(cost));
    }

    /// Full this much earlier than it would have been.
    pub(crate) fn advance(&mut self, by: Duration) {
        self.tat = self.tat.before(by);
    }

    /// How much is missing until it is full, as time.
    pub(crate) fn missing(&self, now: Moment) -> Duration {
        self.tat.since(now)
    }

    /// Whole units that are there.
    pub(crate) fn tokens(&self, quota: &Quota, now: Moment) -> u32 {
        let there = quota.window().saturating_sub(self.missing(now));
        let units = there.as_nanos() / u128::from(quota.interval);
        u32::try_from(units).unwrap_or(u32::MAX).min(quota.burst.get())
    }

    /// How long until one more whole unit is there; `None`: it is full.
    #[allow(dead_code, reason = "the limits of clients tell it")]
    pub(crate) fn next_unit(&self, quota: &Quota, now: Moment) -> Option<Duration> {
        if self.is_full(now) {
            return None;
        }
        let cost = self.tokens(quota, now).saturating_add(1);
        Some((self.missing(now) + quota.time_for(cost)).saturating_sub(quota.window()))
    }

    /// Whether it is as good as a new one.
    #[allow(dead_code, reason = "the limits of clients forget such")]
    pub(crate) fn is_full(&self, now: Moment) -> bool {
        self.tat <= now
    }

    /// Goes over to another quota. What is there stays, up to the new burst, and so does a debt; nothing is refilled.
    pub(crate) fn retune(&mut self, old: &Quota, new: &Quota, now: Moment) {
        if old == new {
            return;
        }
        let there = signed(old.window()) - signed(self.missing(now));
        // In units of the new interval, to the nanosecond; less rather than more.
        let there = (there * i128::from(new.interval)).div_euclid(i128::from(old.interval));
        let missing = signed(new.window()) - there;
        let missing = u64::try_from(missing.max(0)).unwrap_or(u64::MAX);
        self.tat = now.after(Duration::from_nanos(missing));
    }
}

/// Less than 2^64 nanoseconds everywhere here, so that products of two still fit.
fn signed(duration: Duration) -> i128 {
    i128::from(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(count: u32, per: Duration, burst: u32) -> Quota {
        Quota::new(Rate { count: NonZeroU32::new(count).unwrap(), per }, NonZeroU32::new(burst).unwrap())
    }

    fn at(ms: u64) -> Moment {
        Moment::from_start(Duration::from_millis(ms))
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_rate_that_does_not_divide_is_never_exceeded() {
        let (quota, mut bucket) = (quota(3, SECOND, 1), Bucket::default());
        let mut granted = 0;
        for ms in 0..=9_999 {
            granted += u32::from(bucket.take(&quota, 1, at(ms)).is_ok());
        }
        assert_eq!(granted, 30);
    }

    #[test]
    fn a_full_bucket_has_nothing_to_wait_for_and_is_as_good_as_new() {
        let (quota, mut bucket) = (quota(10, SECOND, 10), Bucket::default());
        assert_eq!((bucket.tokens(&quota, at(0)), bucket.next_unit(&quota, at(0))), (10, None));
        bucket.take(&quota, 1, at(0)).unwrap();
        assert_eq!(bucket.tokens(&quota, at(40)), 9);
        assert_eq!(bucket.next_unit(&quota, at(40)), Some(Duration::from_millis(60)));
        assert!(!bucket.is_full(at(99)) && bucket.is_full(at(100)));
    }

    #[test]
    fn a_debt_survives_another_quota() {
        let (old, new) = (quota(10, SECOND, 1), quota(100, SECOND, 5));
        let mut bucket = Bucket::default();
        for _ in 0..3 {
            bucket.reserve(&old, 1, SECOND, at(0)).unwrap();
        }
        // Two units are owed; the new rate pays them in 20 ms, and the third is there 10 ms later.
        bucket.retune(&old, &new, at(0));
        assert_eq!(bucket.wait(&new, 1, at(0)), Ok(Duration::from_millis(30)));
    }

    #[test]
    fn half_a_unit_stays_half_a_unit() {
        let (old, new) = (quota(1, SECOND, 4), quota(1, SECOND * 60, 4));
        let mut bucket = Bucket::default();
        bucket.take(&old, 4, at(0)).unwrap();
        bucket.retune(&old, &new, at(500));
        assert_eq!(bucket.wait(&new, 1, at(500)), Ok(SECOND * 30));
    }

    #[test]
    fn the_longest_rate_and_the_largest_burst_overflow_nothing() {
        let (quota, mut bucket) = (quota(1, SECOND * 86_400, u32::MAX), Bucket::default());
        assert_eq!(bucket.take(&quota, u32::MAX, at(1)), Ok(()));
        assert!(bucket.take(&quota, u32::MAX, at(2)).is_err());
        let fast = super::tests::quota(1_000_000, SECOND, 1);
        bucket.retune(&quota, &fast, at(3));
        assert_eq!(bucket.tokens(&fast, at(3)), 0);
    }
}
