//! A point in monotonic time, as every policy is told it.

use std::time::Duration;

/// Nanoseconds since the process started. Monotonic; meaningless across processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Moment(u64);

impl Moment {
    /// The start of the process.
    pub(crate) const ZERO: Self = Self(0);
    /// Later than anything that happens.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// The moment this long after the start.
    pub(crate) fn from_start(since: Duration) -> Self {
        Self(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }

    /// This much later; saturates at [`Moment::NEVER`].
    pub(crate) fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// This much earlier; saturates at the start.
    pub(crate) fn before(self, wait: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this is; zero when it is not.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Moment::NEVER.after(Duration::from_secs(1)), Moment::NEVER);
        assert_eq!(Moment::ZERO.after(Duration::MAX), Moment::NEVER);
        assert_eq!(Moment::ZERO.since(Moment::NEVER), Duration::ZERO);
    }

    #[test]
    fn since_and_after_are_inverse() {
        let start = Moment::from_start(Duration::from_millis(7));
        assert_eq!(start.after(Duration::from_millis(5)).since(start), Duration::from_millis(5));
    }
}
