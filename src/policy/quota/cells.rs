//! What is remembered of each key: one bucket and one count.
//!
//! A cell whose bucket is full and that has nothing in flight is as good as none, and may be forgotten; no other may,
//! or a client could have a fresh one by asking under many names. To find one that may go, cells stand in a heap by the
//! moment from which they may have been idle. A place in the heap is only brought up to date when its moment has come,
//! so each request costs nothing there.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::hash::Hasher;
use std::time::Duration;

use crate::base::Moment;
use crate::policy::gcra;
use crate::policy::gcra::Bucket;
use crate::policy::quota::settings::Rule;

/// A cell with requests in flight is looked at again after this.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The memory of one key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    bucket: Bucket,
    in_flight: u32,
}

/// Why a request does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Short {
    /// The rate is used up; it would fit after this long.
    Rate(Duration),
    /// Too many at the same time.
    InFlight,
}

/// How a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Whole units that are left.
    pub(crate) units: u32,
    /// How long until one more is there; `None`: it has all.
    pub(crate) next: Option<Duration>,
    /// How many more at the same time.
    pub(crate) places: u32,
    /// Why the request did not fit, where it did not.
    pub(crate) short: Option<Short>,
}

impl Cell {
    /// Whether a request of this cost fits.
    pub(crate) fn check(&self, rule: &Rule, cost: u32, now: Moment) -> Result<(), Short> {
        if rule.max_in_flight.is_some_and(|most| self.in_flight >= most.get()) {
            return Err(Short::InFlight);
        }
        let Some(quota) = &rule.quota else { return Ok(()) };
        match self.bucket.wait(quota, cost, now) {
            Ok(Duration::ZERO) => Ok(()),
            Ok(wait) | Err(gcra::Short::Wait(wait)) => Err(Short::Rate(wait)),
            // Refused when the configuration is read; no wait would ever be enough.
            Err(gcra::Short::CostExceedsBurst) => Err(Short::Rate(quota.time_for(cost))),
        }
    }

    /// Takes it; whoever checked that it fits has held the cell since.
    pub(crate) fn take(&mut self, rule: &Rule, cost: u32, now: Moment) {
        if let Some(quota) = &rule.quota {
            // Can't fall short: it was checked.
            _ = self.bucket.take(quota, cost, now);
        }
        if rule.max_in_flight.is_some() {
            self.in_flight = self.in_flight.saturating_add(1);
        }
    }

    /// Gives the units back.
    pub(crate) fn refund(&mut self, rule: &Rule, cost: u32) {
        if let Some(quota) = &rule.quota {
            self.bucket.refund(quota, cost);
        }
    }

    /// One is not in flight any more.
    pub(crate) fn leave(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// How it stands.
    pub(crate) fn standing(&self, rule: &Rule, short: Option<Short>, now: Moment) -> Standing {
        Standing {
            units: rule.quota.as_ref().map_or(0, |quota| self.bucket.tokens(quota, now)),
            next: rule.quota.as_ref().and_then(|quota| self.bucket.next_unit(quota, now)),
            places: rule.max_in_flight.map_or(0, |most| most.get().saturating_sub(self.in_flight)),
            short,
        }
    }

    /// Goes over to other settings: what is there stays, up to the new burst.
    pub(crate) fn retune(&mut self, old: &Rule, new: &Rule, now: Moment) {
        if let (Some(old), Some(new)) = (&old.quota, &new.quota) {
            self.bucket.retune(old, new, now);
        }
    }

    /// From when on it is as good as none, as far as is known now.
    fn idle_from(&self, now: Moment) -> Moment {
        let full = now.after(self.bucket.missing(now));
        if self.in_flight > 0 { full.max(now.after(LOOK_AGAIN)) } else { full }
    }
}

/// The cells of many keys. Whoever holds them sees that they do not become too many.
#[derive(Debug, Default)]
pub(crate) struct Cells {
    cells: HashMap<u128, Cell, BuildHasherDefault<AsItIs>>,
    /// One place per cell. Its moment may be too early (it was used since) or too late (something was given back).
    idle: BinaryHeap<Reverse<(Moment, u128)>>,
}

impl Cells {
    /// What is remembered of a key.
    pub(crate) fn find(&self, key: u128) -> Option<&Cell> {
        self.cells.get(&key)
    }

    /// The same, to be changed.
    pub(crate) fn find_mut(&mut self, key: u128) -> Option<&mut Cell> {
        self.cells.get_mut(&key)
    }

    /// Takes from a key's cell, which is there from then on.
    pub(crate) fn take(&mut self, key: u128, rule: &Rule, cost: u32, now: Moment) -> Cell {
        if let Some(cell) = self.cells.get_mut(&key) {
            cell.take(rule, cost, now);
            return *cell;
        }
        let mut cell = Cell::default();
        cell.take(rule, cost, now);
        self.cells.insert(key, cell);
        self.idle.push(Reverse((cell.idle_from(now), key)));
        cell
    }

    /// Forgets one cell that is as good as none; `false`: there is none such.
    pub(crate) fn forget_idle(&mut self, now: Moment) -> bool {
        while let Some(Reverse((from, key))) = self.idle.peek().copied() {
            if from > now {
                return false;
            }
            self.idle.pop();
            let Some(cell) = self.cells.get(&key) else { continue };
            let from = cell.idle_from(now);
            if from <= now {
                self.cells.remove(&key);
                return true;
            }
            self.idle.push(Reverse((from, key)));
        }
        false
    }

    /// All cells go over to other settings.
    pub(crate) fn retune(&mut self, old: &Rule, new: &Rule, now: Moment) {
        for cell in self.cells.values_mut() {
            cell.retune(old, new, now);
        }
        self.idle = self.cells.iter().map(|(key, cell)| Reverse((cell.idle_from(now), *key))).collect();
    }
}

/// Keys are evenly spread already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write_u128(&mut self, key: u128) {
        let [.., a, b, c, d, e, f, g, h] = key.to_be_bytes();
        self.0 = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::policy::gcra::Quota;
    use crate::policy::gcra::Rate;

    fn n(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    fn rule(per_second: u32, burst: u32, places: Option<u32>) -> Rule {
        let rate = Rate { count: n(per_second), per: Duration::from_secs(1) };
        Rule { quota: Some(Quota::new(rate, n(burst))), max_in_flight: places.map(n) }
    }

    fn at(ms: u64) -> Moment {
        Moment::from_start(Duration::from_millis(ms))
    }

    #[test]
    fn a_cell_is_forgotten_once_it_is_full_and_not_before() {
        let (rule, mut cells) = (rule(10, 10, None), Cells::default());
        cells.take(1, &rule, 1, at(0));
        cells.take(2, &rule, 5, at(0));
        assert!(!cells.forget_idle(at(99)));
        assert!(cells.forget_idle(at(100)) && cells.find(1).is_none());
        assert!(!cells.forget_idle(at(499)));
        assert!(cells.forget_idle(at(500)) && cells.find(2).is_none());
        assert!(!cells.forget_idle(at(1_000)));
    }

    #[test]
    fn a_cell_that_is_used_again_stays() {
        let (rule, mut cells) = (rule(10, 10, None), Cells::default());
        cells.take(1, &rule, 1, at(0));
        cells.take(1, &rule, 3, at(50));
        assert!(!cells.forget_idle(at(120)), "its place in the heap is of before");
        assert!(cells.forget_idle(at(400)));
    }

    #[test]
    fn a_cell_with_a_request_in_flight_stays_and_its_place_comes_back() {
        let (rule, mut cells) = (rule(10, 10, Some(1)), Cells::default());
        cells.take(1, &rule, 1, at(0));
        assert_eq!(cells.find(1).unwrap().check(&rule, 1, at(500)), Err(Short::InFlight));
        assert!(!cells.forget_idle(at(5_000)));
        cells.find_mut(1).unwrap().leave();
        assert_eq!(cells.find(1).unwrap().check(&rule, 1, at(5_000)), Ok(()));
        assert!(cells.forget_idle(at(6_000)));
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let (rule, mut cell) = (rule(1, 2, None), Cell::default());
        cell.take(&rule, 2, at(0));
        assert_eq!(cell.check(&rule, 1, at(0)), Err(Short::Rate(Duration::from_secs(1))));
        cell.refund(&rule, 2);
        assert_eq!(cell.check(&rule, 2, at(0)), Ok(()));
        assert_eq!(cell.check(&rule, 3, at(0)), Err(Short::Rate(Duration::from_secs(3))), "never more than the burst");
    }

    #[test]
    fn forgetting_changes_no_decision() {
        let rule = rule(20, 4, Some(3));
        let mut random = fastrand::Rng::with_seed(7);
        let (mut cells, mut all, mut now) = (Cells::default(), HashMap::<u128, Cell>::new(), 0);
        let mut in_flight = Vec::new();
        let mut seen = [0; 3];
        for _ in 0..50_000 {
            now += random.u64(0..40);
            if random.bool() && cells.forget_idle(at(now)) {
                seen[2] += 1;
            }
            if random.u8(0..4) > 0 && !in_flight.is_empty() {
                let key = in_flight.swap_remove(random.usize(0..in_flight.len()));
                let refunds = random.u8(0..8) == 0;
                for cell in [cells.find_mut(key), all.get_mut(&key)].into_iter().flatten() {
                    cell.leave();
                    if refunds {
                        cell.refund(&rule, 1);
                    }
                }
            }
            let (key, cost) = (random.u128(0..40), random.u32(1..=3));
            let known = cells.find(key).copied().unwrap_or_default().check(&rule, cost, at(now));
            let truth = all.entry(key).or_default().check(&rule, cost, at(now));
            assert_eq!(known, truth, "key {key} at {now}");
            seen[usize::from(truth.is_err())] += 1;
            if truth.is_ok() {
                cells.take(key, &rule, cost, at(now));
                all.get_mut(&key).unwrap().take(&rule, cost, at(now));
                in_flight.push(key);
            }
        }
        assert!(seen.iter().all(|count| *count > 1_000), "taken, refused, forgotten: {seen:?}");
    }

    #[test]
    fn another_burst_fills_nobodys_bucket() {
        let (old, new, small) = (rule(10, 10, None), rule(100, 50, None), rule(10, 3, None));
        let mut cells = Cells::default();
        cells.take(1, &old, 10, at(0));
        cells.take(2, &old, 1, at(0));
        cells.retune(&old, &new, at(0));
        assert_eq!(cells.find(1).unwrap().standing(&new, None, at(0)).units, 0);
        assert_eq!(cells.find(2).unwrap().standing(&new, None, at(0)).units, 9);
        cells.retune(&new, &small, at(0));
        assert_eq!(cells.find(2).unwrap().standing(&small, None, at(0)).units, 3, "clamped to the new burst");
        assert!(cells.forget_idle(at(0)) && cells.find(2).is_none(), "it is full now, and can go");
        assert!(!cells.forget_idle(at(0)));
    }
}
