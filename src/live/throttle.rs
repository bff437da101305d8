//! A source's throttle as its calls share it: the machine behind a lock, and requests that take themselves out again.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::base::Moment;
use crate::policy::throttle::Counted;
use crate::policy::throttle::Throttle;
use crate::policy::throttle::ThrottleSettings;
use crate::policy::throttle::ThrottleView;
use crate::policy::throttle::Verdict;

/// The throttle of one source. Its memory lives as long as the source's name does, over reloads.
#[derive(Debug)]
pub(crate) struct SourceThrottle {
    settings: ThrottleSettings,
    memory: Arc<Mutex<Throttle>>,
}

/// A request that counts. Dropped without a `record` it said nothing about the upstream, and counts no more.
#[must_use]
#[derive(Debug)]
pub(crate) struct Throttled {
    memory: Arc<Mutex<Throttle>>,
    /// `None` once it was recorded.
    counted: Option<Counted>,
}

impl SourceThrottle {
    /// A throttle with the memory that it had, or a new one.
    pub(crate) fn new(settings: ThrottleSettings, before: Option<&Self>) -> Self {
        Self { settings, memory: before.map(|before| Arc::clone(&before.memory)).unwrap_or_default() }
    }

    /// Counts a request; `Err` holds the share of requests that is refused, of which this is one.
    pub(crate) fn admit(&self, now: Moment) -> Result<Throttled, f64> {
        let counted = lock(&self.memory).admit(&self.settings, now, fastrand::f64())?;
        Ok(Throttled { memory: Arc::clone(&self.memory), counted: Some(counted) })
    }

    /// The throttle as it is now.
    pub(crate) fn view(&self, now: Moment) -> ThrottleView {
        lock(&self.memory).view(&self.settings, now)
    }
}

impl Throttled {
    /// The request ended.
    pub(crate) fn record(mut self, verdict: Verdict) {
        if let Some(counted) = self.counted.take() {
            lock(&self.memory).record(counted, verdict);
        }
    }
}

impl Drop for Throttled {
    fn drop(&mut self) {
        if let Some(counted) = self.counted.take() {
            lock(&self.memory).record(counted, Verdict::Nothing);
        }
    }
}

/// Its calls do not panic, and each leaves it whole.
fn lock(memory: &Mutex<Throttle>) -> MutexGuard<'_, Throttle> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}
