//! Which events of high volume are told: one a second for each source and type, or a share of them.

use std::collections::HashMap;
use std::time::Duration;

use crate::base::Moment;
use crate::base::Name;
use crate::policy::events::settings::Sample;
use crate::policy::events::types::EventType;

/// Within this only the first of a source and type is told.
const PERIOD: Duration = Duration::from_secs(1);
/// Sources and types remembered. More than that only where a configuration names so many.
const REMEMBERED: usize = 4096;

/// Remembers what was told when. State only; the settings are given with each question.
#[derive(Debug, Default)]
pub(crate) struct Thinning {
    told: HashMap<(EventType, Option<Name>), Told>,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    at: Moment,
    left_out: u64,
}

impl Thinning {
    /// Whether this event is told: `Some` holds how many of its source and type were left out since the last one.
    /// `draw` is in `[0, 1)`.
    pub(crate) fn admit(
        &mut self,
        set: &Sample,
        (kind, source): (EventType, Option<&Name>),
        now: Moment,
        draw: f64,
    ) -> Option<u64> {
        if kind.is_kept() {
            return Some(0);
        }
        if let Some(share) = set.share(kind) {
            return (draw < share).then_some(0);
        }
        if self.told.len() >= REMEMBERED {
            self.told.retain(|_, told| now.since(told.at) < PERIOD);
        }
        if self.told.len() >= REMEMBERED {
            // So many sources within a second: what is new has to wait.
            return None;
        }
        let fresh = Told { at: now, left_out: 0 };
        match self.told.get_mut(&(kind, source.cloned())) {
            Some(told) if now.since(told.at) < PERIOD => {
                told.left_out += 1;
                None
            }
            Some(told) => Some(std::mem::replace(told, fresh).left_out),
            None => {
                self.told.insert((kind, source.cloned()), fresh);
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::events::settings::EVENT_DEFAULTS;

    fn at(ms: u64) -> Moment {
        Moment::from_start(Duration::from_millis(ms))
    }

    #[test]
    fn without_a_share_one_a_second_is_told_for_each_source_and_type() {
        let (a, b) = (Name::parse("a").unwrap(), Name::parse("b").unwrap());
        let set = EVENT_DEFAULTS.sample;
        let mut thinning = Thinning::default();
        let mut ask = |kind, name, ms| thinning.admit(&set, (kind, Some(name)), at(ms), 0.0);
        assert_eq!(ask(EventType::BulkheadRejected, &a, 0), Some(0));
        assert_eq!(ask(EventType::BulkheadRejected, &a, 1), None);
        assert_eq!(ask(EventType::BulkheadRejected, &a, 999), None);
        assert_eq!(ask(EventType::BulkheadRejected, &b, 999), Some(0));
        assert_eq!(ask(EventType::RetryAttempt, &a, 999), Some(0));
        assert_eq!(ask(EventType::BulkheadRejected, &a, 1000), Some(2), "two were left out");
        assert_eq!(ask(EventType::BulkheadRejected, &a, 2000), Some(0));
    }

    #[test]
    fn a_share_decides_by_the_draw_and_a_state_change_is_always_told() {
        let mut set = EVENT_DEFAULTS.sample;
        set.set(EventType::RetryAttempt, 0.25);
        set.set(EventType::TimeoutExceeded, 0.0);
        set.set(EventType::FallbackUsed, 1.0);
        let mut thinning = Thinning::default();
        let mut ask = |kind, draw| thinning.admit(&set, (kind, None), at(0), draw).is_some();
        assert!(ask(EventType::RetryAttempt, 0.249) && !ask(EventType::RetryAttempt, 0.25));
        assert!(!ask(EventType::TimeoutExceeded, 0.0), "a share of nothing");
        assert!(ask(EventType::FallbackUsed, 0.999_999) && ask(EventType::FallbackUsed, 0.0));
        assert!((0..10).all(|_| ask(EventType::CircuitOpened, 0.9)));
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let set = EVENT_DEFAULTS.sample;
        let mut thinning = Thinning::default();
        let mut told = 0;
        for n in 0..2 * REMEMBERED {
            let name = Name::parse(&format!("s{n}")).unwrap();
            told += usize::from(thinning.admit(&set, (EventType::HedgeWon, Some(&name)), at(0), 0.0).is_some());
        }
        assert_eq!((told, thinning.told.len()), (REMEMBERED, REMEMBERED));
        assert_eq!(thinning.admit(&set, (EventType::HedgeWon, None), at(1000), 0.0), Some(0));
        assert_eq!(thinning.told.len(), 1);
    }
}
