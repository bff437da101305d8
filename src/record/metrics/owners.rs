//! Who counts: the sources, routes or limiters by name.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// Counters by the name of their owner, in order of names.
#[derive(Debug)]
pub(super) struct Owners<T>(Mutex<BTreeMap<Arc<str>, Arc<T>>>);

impl<T> Default for Owners<T> {
    fn default() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }
}

impl<T: Default> Owners<T> {
    /// The counters of this owner; new ones if it has none.
    pub(super) fn of(&self, name: &str) -> Arc<T> {
        let mut owners = self.lock();
        if let Some(known) = owners.get(name) {
            return Arc::clone(known);
        }
        let new = Arc::<T>::default();
        owners.insert(name.into(), Arc::clone(&new));
        new
    }

    /// Forgets the owners that are not to be kept.
    pub(super) fn retain(&self, keep: impl Fn(&str) -> bool) {
        self.lock().retain(|name, _| keep(name));
    }

    /// Every owner with its counters.
    pub(super) fn all(&self) -> Vec<(Arc<str>, Arc<T>)> {
        self.lock().iter().map(|(name, owned)| (Arc::clone(name), Arc::clone(owned))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Arc<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
