//! The series that one owner has of one metric, told apart by the last label. Each is made when it is first used, so
//! a source that never failed has no series for failures.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use crate::record::metrics::timing::Timing;

/// How often something happened, by kind.
#[derive(Debug)]
pub(super) struct Tally<K>(Series<K, u64>);

/// How long something took, by kind.
#[derive(Debug)]
pub(super) struct Timings<K>(Series<K, Timing>);

/// A handful of values by kind, under one short lock. A linear search beats hashing at this size.
#[derive(Debug)]
struct Series<K, V>(Mutex<Vec<(K, V)>>);

impl<K: Copy + PartialEq> Tally<K> {
    /// One more.
    pub(super) fn count(&self, kind: K) {
        self.0.change(kind, |count| *count += 1);
    }

    /// Every kind that happened, with how often.
    pub(super) fn all(&self) -> Vec<(K, u64)> {
        self.0.lock().clone()
    }
}

impl<K: Copy + PartialEq> Timings<K> {
    /// One more, which took this long.
    pub(super) fn observe(&self, kind: K, took: Duration) {
        self.0.change(kind, |timing| timing.observe(took));
    }

    /// Every kind that happened, with its durations.
    pub(super) fn all(&self) -> Vec<(K, Timing)> {
        self.0.lock().clone()
    }
}

impl<K: PartialEq, V: Default> Series<K, V> {
    fn change(&self, kind: K, change: impl FnOnce(&mut V)) {
        let mut list = self.lock();
        if let Some((_, value)) = list.iter_mut().find(|(known, _)| *known == kind) {
            return change(value);
        }
        let mut value = V::default();
        change(&mut value);
        list.push((kind, value));
    }
}

impl<K, V> Series<K, V> {
    fn lock(&self) -> MutexGuard<'_, Vec<(K, V)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self(Series(Mutex::default()))
    }
}

impl<K> Default for Timings<K> {
    fn default() -> Self {
        Self(Series(Mutex::default()))
    }
}
