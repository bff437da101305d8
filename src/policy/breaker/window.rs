//! The sliding window of a breaker: how many of the recent calls failed or were slow.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::Moment;
use crate::policy::breaker::WindowShape;

/// Recent calls, by time or by count. Forgets as it is added to.
#[derive(Debug)]
pub(super) struct Window {
    shape: WindowShape,
    kept: Kept,
    sum: Tally,
}

/// A call in the window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) failed: bool,
    pub(super) slow: bool,
}

/// What a window holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) total: u32,
    pub(super) failures: u32,
    pub(super) slow: u32,
}

#[derive(Debug)]
enum Kept {
    Time(Ring),
    /// Grows with the calls: a wide window over a quiet source costs nothing.
    Count(VecDeque<Call>, usize),
}

/// Buckets of equal width; `newest` counts them from `origin`, so a slot is `number % ring.len()`.
#[derive(Debug)]
struct Ring {
    origin: Moment,
    width_ns: u128,
    newest: u64,
    slots: Box<[Tally]>,
}

impl Window {
    /// An empty window whose buckets begin now.
    pub(super) fn new(shape: WindowShape, now: Moment) -> Self {
        let kept = match shape {
            WindowShape::Time { size, buckets } => Kept::Time(Ring::new(size, buckets.max(1), now)),
            WindowShape::Count { size } => Kept::Count(VecDeque::new(), usize::try_from(size.max(1)).unwrap_or(1)),
        };
        Self { shape, kept, sum: Tally::default() }
    }

    /// Whether it has this shape; one that has not is replaced.
    pub(super) fn has_shape(&self, shape: WindowShape) -> bool {
        self.shape == shape
    }

    /// Counts a call and tells what the window holds with it.
    pub(super) fn add(&mut self, call: Call, now: Moment) -> Tally {
        match &mut self.kept {
            Kept::Time(ring) => ring.add(call, now, &mut self.sum),
            Kept::Count(calls, size) => {
                calls.push_back(call);
                self.sum.count(call);
                if calls.len() > *size
                    && let Some(oldest) = calls.pop_front()
                {
                    self.sum.take(Tally::of(oldest));
                }
            }
        }
        self.sum
    }
}

impl Ring {
    fn new(size: Duration, buckets: u32, now: Moment) -> Self {
        let slots = (0..buckets).map(|_| Tally::default()).collect();
        Self { origin: now, width_ns: (size.as_nanos() / u128::from(buckets)).max(1), newest: 0, slots }
    }

    fn add(&mut self, call: Call, now: Moment, sum: &mut Tally) {
        let elapsed = now.since(self.origin).as_nanos() / self.width_ns;
        // A moment read before another caller's, but counted after it, goes into the newest bucket.
        let number = u64::try_from(elapsed).unwrap_or(u64::MAX).max(self.newest);
        let len = u64::try_from(self.slots.len()).unwrap_or(u64::MAX);
        for step in 1..=(number - self.newest).min(len) {
            if let Some(slot) = self.slot(self.newest.saturating_add(step)) {
                sum.take(std::mem::take(slot));
            }
        }
        self.newest = number;
        if let Some(slot) = self.slot(number) {
            slot.count(call);
            sum.count(call);
        }
    }

    fn slot(&mut self, number: u64) -> Option<&mut Tally> {
        let len = u64::try_from(self.slots.len()).ok()?;
        self.slots.get_mut(usize::try_from(number.checked_rem(len)?).ok()?)
    }
}

impl Tally {
    /// Share of failures. A division, not a product: 3 of 10 is then exactly the 0.3 that configuration wrote.
    pub(super) fn failure_rate(self) -> f64 {
        f64::from(self.failures) / f64::from(self.total.max(1))
    }

    /// Share of slow calls.
    pub(super) fn slow_rate(self) -> f64 {
        f64::from(self.slow) / f64::from(self.total.max(1))
    }

    fn of(call: Call) -> Self {
        Self { total: 1, failures: u32::from(call.failed), slow: u32::from(call.slow) }
    }

    fn count(&mut self, call: Call) {
        let one = Self::of(call);
        self.total = self.total.saturating_add(one.total);
        self.failures = self.failures.saturating_add(one.failures);
        self.slow = self.slow.saturating_add(one.slow);
    }

    fn take(&mut self, gone: Self) {
        self.total = self.total.saturating_sub(gone.total);
        self.failures = self.failures.saturating_sub(gone.failures);
        self.slow = self.slow.saturating_sub(gone.slow);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Call = Call { failed: false, slow: false };
    const BAD: Call = Call { failed: true, slow: false };

    fn at(ms: u64) -> Moment {
        Moment::from_start(Duration::from_millis(ms))
    }

    fn ten_seconds() -> Window {
        Window::new(WindowShape::Time { size: Duration::from_secs(10), buckets: 10 }, Moment::ZERO)
    }

    #[test]
    fn a_time_window_is_the_same_as_adding_up_the_live_buckets() {
        // A naive model over a scripted, irregular traffic: the ring must agree at every step, jumps included.
        let mut window = ten_seconds();
        let mut seen: Vec<(u64, bool)> = Vec::new();
        let mut now = 0;
        for step in 0..2_000_u64 {
            now += [0, 1, 7, 130, 999, 1000, 3, 12_345, 5][usize::try_from(step % 9).unwrap()];
            let failed = step % 3 == 0;
            seen.push((now / 1000, failed));
            let live = |bucket: u64| bucket + 10 > now / 1000;
            let total = seen.iter().filter(|(bucket, _)| live(*bucket)).count();
            let failures = seen.iter().filter(|(bucket, failed)| live(*bucket) && *failed).count();
            let tally = window.add(Call { failed, slow: false }, at(now));
            let got = (usize::try_from(tally.total).unwrap(), usize::try_from(tally.failures).unwrap());
            assert_eq!(got, (total, failures), "step {step} at {now}ms");
        }
    }

    #[test]
    fn a_moment_from_before_the_newest_bucket_is_still_counted() {
        let mut window = ten_seconds();
        window.add(GOOD, at(5_000));
        assert_eq!(window.add(BAD, at(100)), Tally { total: 2, failures: 1, slow: 0 });
    }

    #[test]
    fn a_count_window_holds_exactly_its_size() {
        let mut window = Window::new(WindowShape::Count { size: 3 }, Moment::ZERO);
        for _ in 0..5 {
            window.add(BAD, at(0));
        }
        assert_eq!(window.add(GOOD, at(0)), Tally { total: 3, failures: 2, slow: 0 });
    }

    #[test]
    fn a_rate_that_is_exactly_the_written_one_is_reached() {
        for (failures, total, written) in [(3, 10, 0.3), (6, 10, 0.6), (7, 10, 0.7), (29, 100, 0.29), (1, 3, 1.0 / 3.0)]
        {
            let tally = Tally { total, failures, slow: failures };
            assert!(tally.failure_rate() >= written && tally.slow_rate() >= written, "{failures}/{total}");
        }
    }
}
