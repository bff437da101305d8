//! The admission queue: who waits for a place among the requests under way, and who is next.
//!
//! Each class waits in a lane of its own, because each finds the server full at another count. A lane is served as
//! long as its class has room, in one of three orders:
//!
//! | order | next is |
//! |---|---|
//! | `fifo` | the oldest of all lanes with room |
//! | `priority` | the oldest of the highest lane with room |
//! | `lifo_when_overloaded` | the oldest of all; while the queue is overloaded (`codel`), the newest |
//!
//! Newest first looks unfair and is not: in an overloaded queue the oldest have waited for so long that an answer is
//! worth little to them, and serving them first would make all the others as late.

use std::collections::VecDeque;
use std::time::Duration;

use smallvec::SmallVec;

use crate::base::Moment;
use crate::policy::codel::Codel;
use crate::policy::codel::CodelSettings;
use crate::policy::priority::Priority;
use crate::policy::shedding::Shed;

/// `load_shedding.queue`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LineSettings {
    /// Of all classes together. At least 1.
    pub(crate) max_waiting: u32,
    pub(crate) codel: CodelSettings,
    pub(crate) order: Order,
    /// The longest wait.
    pub(crate) queue_timeout: Duration,
}

/// `order:`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Fifo,
    Priority,
    LifoWhenOverloaded,
}

/// Used where the file is silent; `max_waiting` has no default but none at all.
pub(crate) const LINE: LineSettings = LineSettings {
    max_waiting: 0,
    codel: CodelSettings { target: Duration::from_millis(5), interval: Duration::from_millis(100) },
    order: Order::LifoWhenOverloaded,
    queue_timeout: Duration::from_millis(500),
};

/// A place in the line, in the order of coming.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot(u64);

/// Those whose wait ended, in order.
#[must_use]
#[derive(Debug)]
pub(crate) struct Called<W> {
    /// A place was taken for each.
    pub(crate) granted: SmallVec<[W; 1]>,
    pub(crate) refused: SmallVec<[(W, Shed); 1]>,
}

impl<W> Called<W> {
    pub(crate) fn nobody() -> Self {
        Self { granted: SmallVec::new(), refused: SmallVec::new() }
    }
}

/// The memory of one line.
#[derive(Debug)]
pub(crate) struct Line<W> {
    /// By class, the least important first; each in the order of coming.
    lanes: [VecDeque<Waiter<W>>; Priority::ALL.len()],
    next: u64,
    codel: Codel,
}

#[derive(Debug)]
struct Waiter<W> {
    spot: Spot,
    who: W,
    since: Moment,
    /// The earlier of the queue timeout and the deadline.
    until: Moment,
    deadline: Moment,
}

impl<W> Line<W> {
    /// A line in which nobody stands.
    pub(crate) fn new() -> Self {
        Self { lanes: std::array::from_fn(|_| VecDeque::new()), next: 0, codel: Codel::default() }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.lanes.iter().map(VecDeque::len).sum::<usize>()).unwrap_or(u32::MAX)
    }

    /// Whether one of this class would have to stand behind another.
    pub(crate) fn has(&self, priority: Priority) -> bool {
        self.lane(priority).is_some_and(|lane| !lane.is_empty())
    }

    /// Stands in line; gives the place and the end of its patience.
    pub(crate) fn join(
        &mut self,
        set: &LineSettings,
        (who, priority): (W, Priority),
        deadline: Moment,
        now: Moment,
    ) -> Result<(Spot, Moment), Shed> {
        if self.len() >= set.max_waiting {
            return Err(Shed::QueueFull);
        }
        let spot = Spot(self.next);
        self.next += 1;
        let until = now.after(set.queue_timeout).min(deadline);
        if let Some(lane) = self.lane_mut(priority) {
            lane.push_back(Waiter { spot, who, since: now, until, deadline });
        }
        Ok((spot, until))
    }

    /// Calls those whom there is room for. `take` takes a place for one of a class, or says that there is none; `give`
    /// gives it back.
    pub(crate) fn serve(
        &mut self,
        set: &LineSettings,
        now: Moment,
        take: impl Fn(Priority) -> bool,
        give: impl Fn(),
    ) -> Called<W> {
        let mut called = Called::nobody();
        let mut full = [false; Priority::ALL.len()];
        let newest = set.order == Order::LifoWhenOverloaded && self.codel.is_overloaded(set.codel, now);
        while let Some(priority) = self.next_lane(set.order, newest, &full) {
            if let Some(late) = self.pop_if(priority, newest, |waiter| waiter.until <= now) {
                let why = late.bound();
                called.refused.push((late.who, why));
            } else if !take(priority) {
                if let Some(full) = full.get_mut(priority as usize) {
                    *full = true;
                }
            } else if let Some(waiter) = self.pop_if(priority, newest, |_| true) {
                if self.codel.serves(set.codel, now.since(waiter.since), now) {
                    called.granted.push(waiter.who);
                } else {
                    give();
                    called.refused.push((waiter.who, Shed::Sojourn));
                }
            }
        }
        called
    }

    /// A waiter's time is over. `None`: it waits no more, the verdict is out.
    pub(crate) fn give_up(&mut self, spot: Spot) -> Option<Shed> {
        self.remove(spot).map(|waiter| waiter.bound())
    }

    /// A waiter left. Whether it was still waiting.
    pub(crate) fn cancel(&mut self, spot: Spot) -> bool {
        self.remove(spot).is_some()
    }

    fn remove(&mut self, spot: Spot) -> Option<Waiter<W>> {
        self.lanes.iter_mut().find_map(|lane| {
            let at = lane.binary_search_by_key(&spot, |waiter| waiter.spot).ok()?;
            lane.remove(at)
        })
    }

    fn next_lane(&self, order: Order, newest: bool, full: &[bool]) -> Option<Priority> {
        let lanes = Priority::ALL.into_iter().zip(&self.lanes).zip(full);
        let mut open = lanes.filter(|((_, lane), full)| !lane.is_empty() && !**full).map(|(open, _)| open);
        let found = match (order, newest) {
            (Order::Priority, _) => open.next_back(),
            (_, true) => open.max_by_key(|(_, lane)| lane.back().map(|waiter| waiter.spot)),
            (_, false) => open.min_by_key(|(_, lane)| lane.front().map(|waiter| waiter.spot)),
        };
        found.map(|(priority, _)| priority)
    }

    /// Takes the next one out of a lane, if it is so.
    fn pop_if(&mut self, priority: Priority, newest: bool, is: impl FnOnce(&Waiter<W>) -> bool) -> Option<Waiter<W>> {
        let lane = self.lane_mut(priority)?;
        let next = if newest { lane.back() } else { lane.front() };
        if !next.is_some_and(is) {
            return None;
        }
        if newest { lane.pop_back() } else { lane.pop_front() }
    }

    fn lane(&self, priority: Priority) -> Option<&VecDeque<Waiter<W>>> {
        self.lanes.get(priority as usize)
    }

    fn lane_mut(&mut self, priority: Priority) -> Option<&mut VecDeque<Waiter<W>>> {
        self.lanes.get_mut(priority as usize)
    }
}

impl<W> Waiter<W> {
    /// What its wait was bound by.
    fn bound(&self) -> Shed {
        if self.until < self.deadline { Shed::QueueTimeout } else { Shed::Deadline }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use Priority::*;

    const SET: LineSettings = LineSettings { max_waiting: 10, ..LINE };

    fn at(ms: u64) -> Moment {
        Moment::from_start(Duration::from_millis(ms))
    }

    /// A line of waiters by name, each of its class, who came one millisecond after the other.
    fn line(waiters: &[(&'static str, Priority)]) -> Line<&'static str> {
        let mut line = Line::new();
        for (ms, waiter) in (0..).zip(waiters) {
            line.join(&SET, *waiter, Moment::NEVER, at(ms)).unwrap();
        }
        line
    }

    /// Serves so many places, any class.
    fn serve(line: &mut Line<&'static str>, set: &LineSettings, places: u32, ms: u64) -> Called<&'static str> {
        let free = Cell::new(places);
        let take = |_| free.get() > 0 && free.replace(free.get() - 1) > 0;
        line.serve(set, at(ms), take, || free.set(free.get() + 1))
    }

    #[test]
    fn the_order_is_as_it_is_set() {
        let waiters = [("a", Normal), ("b", Low), ("c", Critical), ("d", Normal)];
        for (order, expected) in [(Order::Fifo, "abcd"), (Order::LifoWhenOverloaded, "abcd"), (Order::Priority, "cadb")]
        {
            let called = serve(&mut line(&waiters), &LineSettings { order, ..SET }, 9, 5);
            assert_eq!(called.granted.concat(), expected, "{order:?}");
        }
    }

    #[test]
    fn a_class_without_room_holds_up_no_other() {
        let mut line = line(&[("low", Low), ("normal", Normal), ("high", High)]);
        let called = line.serve(&SET, at(5), |class| class == High, || {});
        assert_eq!((called.granted.as_slice(), line.len()), (["high"].as_slice(), 2));
        assert!(line.has(Low) && line.has(Normal) && !line.has(High));
    }

    #[test]
    fn an_overloaded_line_serves_the_newest_and_drops_who_waited_too_long() {
        let mut line = Line::new();
        let join = |line: &mut Line<&'static str>, name, ms| line.join(&SET, (name, Normal), at(9_999), at(ms));
        join(&mut line, "first", 0).unwrap();
        // Its wait of 90 ms is the shortest of the first interval.
        assert_eq!(serve(&mut line, &SET, 1, 90).granted.as_slice(), ["first"]);
        join(&mut line, "old", 95).unwrap();
        join(&mut line, "new", 105).unwrap();
        let called = serve(&mut line, &SET, 2, 110);
        assert_eq!(called.granted.as_slice(), ["new"]);
        assert_eq!(called.refused.as_slice(), [("old", Shed::Sojourn)]);
        assert_eq!(line.len(), 0);
    }

    #[test]
    fn who_waited_too_long_is_passed_over_and_told_why() {
        let mut line = Line::new();
        let (_, until) = line.join(&SET, ("patient", Normal), Moment::NEVER, at(0)).unwrap();
        let (hasty, soon) = line.join(&SET, ("hasty", Normal), at(50), at(0)).unwrap();
        assert_eq!((until, soon), (at(500), at(50)));
        assert_eq!(line.give_up(hasty), Some(Shed::Deadline));
        assert_eq!((line.give_up(hasty), line.cancel(hasty)), (None, false));
        let called = serve(&mut line, &SET, 1, 500);
        assert_eq!(called.refused.as_slice(), [("patient", Shed::QueueTimeout)]);
        assert!(called.granted.is_empty());
    }

    #[test]
    fn the_line_has_an_end() {
        let mut line = Line::new();
        for name in ["a", "b"] {
            line.join(&LineSettings { max_waiting: 2, ..SET }, (name, Low), Moment::NEVER, at(0)).unwrap();
        }
        let third = line.join(&LineSettings { max_waiting: 2, ..SET }, ("c", Critical), Moment::NEVER, at(0));
        assert_eq!(third.unwrap_err(), Shed::QueueFull);
    }
}
