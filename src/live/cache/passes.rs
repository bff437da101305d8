//! Keys whose answers the upstream lately forbade to keep ("hit-for-miss"). To wait for somebody else's call there is to
//! wait for nothing: callers pass each other by, and each makes a call of its own.
//!
//! Marks are kept with the flights of their shard and change under its lock. They are bounded: past the bound a key is
//! not marked, and its callers share calls as others do.

use std::collections::HashMap;
use std::time::Duration;

use quick_cache::DefaultHashBuilder;

use crate::base::Moment;
use crate::live::cache::key::CacheKey;

/// How long a mark lasts after the last such answer.
const LASTS: Duration = Duration::from_secs(60);
/// Marks of one shard, of sixteen.
const MOST: usize = 1024;

/// The marks of one shard.
#[derive(Debug, Default)]
pub(super) struct Passes {
    until: HashMap<CacheKey, Moment, DefaultHashBuilder>,
}

impl Passes {
    /// Whether the callers of this key pass each other by.
    pub(super) fn hold(&self, key: &CacheKey, now: Moment) -> bool {
        self.until.get(key).is_some_and(|until| now < *until)
    }

    /// Marks a key, or marks it anew; whether there was room.
    pub(super) fn mark(&mut self, key: &CacheKey, now: Moment) -> bool {
        if self.until.len() >= MOST && !self.until.contains_key(key) {
            self.forget(now);
            if self.until.len() >= MOST {
                return false;
            }
        }
        self.until.insert(key.clone(), now.after(LASTS));
        true
    }

    /// Its answers may be kept again.
    pub(super) fn clear(&mut self, key: &CacheKey) {
        if !self.until.is_empty() {
            self.until.remove(key);
        }
    }

    /// Drops the marks that no longer hold.
    pub(super) fn forget(&mut self, now: Moment) {
        self.until.retain(|_, until| now < *until);
    }

    pub(super) fn len(&self) -> usize {
        self.until.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::base::Name;

    fn key(text: &str) -> CacheKey {
        CacheKey::new(&Name::parse("weather").unwrap(), 1, text)
    }

    fn at(seconds: u64) -> Moment {
        Moment::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn a_mark_lasts_a_minute_from_the_last_time() {
        let mut passes = Passes::default();
        assert!(!passes.hold(&key("a"), at(0)));
        assert!(passes.mark(&key("a"), at(0)) && passes.mark(&key("a"), at(30)));
        assert!(passes.hold(&key("a"), at(89)) && !passes.hold(&key("a"), at(90)));
        assert!(!passes.hold(&key("b"), at(30)));
        passes.clear(&key("a"));
        assert!(!passes.hold(&key("a"), at(31)));
    }

    #[test]
    fn marks_are_bounded_and_old_ones_make_room() {
        let mut passes = Passes::default();
        for number in 0..MOST {
            assert!(passes.mark(&key(&number.to_string()), at(0)));
        }
        assert!(!passes.mark(&key("one more"), at(59)));
        assert!(passes.mark(&key("0"), at(59)), "one that is there is marked anew");
        assert!(passes.mark(&key("one more"), at(60)));
        assert_eq!(passes.len(), 2);
    }
}
