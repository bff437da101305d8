//! So many at a time, the rest in a queue: one machine for every limit on concurrency.
//!
//! | event | what happens |
//! |---|---|
//! | enter | in, if there is room and nobody waits: newcomers never overtake |
//! | enqueue | refused with `capacity_full` when the queue is full, else a ticket |
//! | leave | the place goes to the first waiter that is still in time |
//! | give_up | the waiter's time is over: `queue_timeout` or `deadline`, whichever bound it |
//! | cancel | the waiter left |
//! | resize | a smaller limit evicts nobody; a larger one lets waiters in |
//!
//! The machine keeps a `W` for every waiter and hands it back with the verdict, so that it neither wakes nor waits.

use std::collections::BTreeMap;
use std::time::Duration;

use smallvec::SmallVec;

use crate::base::Moment;
use crate::policy::deadline::MIN_ATTEMPT_BUDGET;
use crate::policy::priority::Priority;

/// How many, and how they wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LimiterSettings {
    /// In at the same time. At least 1.
    pub(crate) limit: u32,
    /// In the queue at the same time; 0: nobody waits.
    pub(crate) max_waiting: u32,
    /// The longest wait; `None`: as long as the caller's deadline allows.
    pub(crate) queue_timeout: Option<Duration>,
    /// Whose turn is next.
    pub(crate) order: QueueOrder,
}

/// In which order waiters are served. A change of it is for those who come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum QueueOrder {
    /// As they came.
    #[default]
    Fifo,
    /// By their class, the most important first; within a class as they came.
    Priority,
}

/// Who wants to wait, and how long at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) priority: Priority,
    pub(crate) deadline: Moment,
}

/// Why a caller was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub(crate) enum Refusal {
    /// Nobody more may wait.
    #[error("all places and the queue for them are taken")]
    CapacityFull,
    /// Waited as long as callers may.
    #[error("no place came free within the queue timeout")]
    QueueTimeout,
    /// The caller's own time is over, or what is left of it is too little for a call.
    #[error("no place came free before the deadline")]
    Deadline,
}

impl Refusal {
    /// The name in labels.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::CapacityFull => "capacity_full",
            Self::QueueTimeout => "queue_timeout",
            Self::Deadline => "deadline",
        }
    }
}

/// A place in the queue. Tickets are ordered as they are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket {
    /// The lower, the sooner.
    rank: u8,
    number: u64,
}

/// Those whom an event concerned, in order.
#[must_use]
#[derive(Debug)]
pub(crate) struct Served<W> {
    /// They are in, and owe a `leave`.
    pub(crate) granted: SmallVec<[W; 1]>,
    /// Their time was over before their turn came.
    pub(crate) refused: SmallVec<[(W, Refusal); 1]>,
}

/// What a limiter has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LimiterCounts {
    pub(crate) rejected_capacity_full: u64,
    pub(crate) rejected_queue_timeout: u64,
    pub(crate) rejected_deadline: u64,
    /// Callers that had to wait and wait no more, whatever came of it.
    pub(crate) waits: u64,
    /// What they waited together.
    pub(crate) waited: Duration,
}

/// The memory of one limit.
#[derive(Debug)]
pub(crate) struct Limiter<W> {
    set: LimiterSettings,
    active: u32,
    /// In the order of service, which the tickets decide.
    queue: BTreeMap<Ticket, Waiter<W>>,
    next_ticket: u64,
    counts: LimiterCounts,
}

#[derive(Debug)]
struct Waiter<W> {
    who: W,
    since: Moment,
    /// The earlier of the queue timeout and the deadline.
    until: Moment,
    deadline: Moment,
}

impl<W> Limiter<W> {
    /// A limiter with nobody in.
    pub(crate) fn new(set: LimiterSettings) -> Self {
        Self { set, active: 0, queue: BTreeMap::new(), next_ticket: 0, counts: LimiterCounts::default() }
    }

    /// Whether a newcomer would be let in at once.
    pub(crate) fn has_room(&self) -> bool {
        self.active < self.set.limit && self.queue.is_empty()
    }

    /// Goes in at once, if that is possible. Who gets `true` owes a `leave`.
    pub(crate) fn enter(&mut self) -> bool {
        let free = self.has_room();
        if free {
            self.active += 1;
        }
        free
    }

    /// Queues up, for who could not [`Limiter::enter`].
    pub(crate) fn enqueue(&mut self, who: W, patience: Patience, now: Moment) -> Result<Ticket, Refusal> {
        let Patience { priority, deadline } = patience;
        if self.waiting() >= self.set.max_waiting {
            return Err(self.refuse(Refusal::CapacityFull));
        }
        let until = self.set.queue_timeout.map_or(Moment::NEVER, |wait| now.after(wait)).min(deadline);
        let ticket = Ticket { rank: self.set.order.rank(priority), number: self.next_ticket };
        self.next_ticket += 1;
        self.queue.insert(ticket, Waiter { who, since: now, until, deadline });
        Ok(ticket)
    }

    /// When a waiter's time is over; `None` once it waits no more.
    pub(crate) fn waits_until(&self, ticket: Ticket) -> Option<Moment> {
        self.queue.get(&ticket).map(|waiter| waiter.until)
    }

    /// Gives a place back.
    pub(crate) fn leave(&mut self, now: Moment) -> Served<W> {
        self.active = self.active.saturating_sub(1);
        self.serve(now)
    }

    /// A waiter's timer fired. `None`: it waits no more, the verdict is out.
    pub(crate) fn give_up(&mut self, ticket: Ticket, now: Moment) -> Option<Refusal> {
        let waiter = self.remove(ticket, now)?;
        Some(self.refuse(waiter.bound()))
    }

    /// A waiter left. Whether it was still waiting; if not, the verdict is out, and a grant is its own to give back.
    pub(crate) fn cancel(&mut self, ticket: Ticket, now: Moment) -> bool {
        self.remove(ticket, now).is_some()
    }

    /// Changes the settings: the limit at once, the queue's bounds for those who come.
    pub(crate) fn resize(&mut self, set: LimiterSettings, now: Moment) -> Served<W> {
        self.set = set;
        self.serve(now)
    }

    /// How many are in.
    pub(crate) fn active(&self) -> u32 {
        self.active
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> u32 {
        u32::try_from(self.queue.len()).unwrap_or(u32::MAX)
    }

    /// The settings in force.
    pub(crate) fn settings(&self) -> LimiterSettings {
        self.set
    }

    /// What it has counted so far.
    pub(crate) fn counts(&self) -> LimiterCounts {
        self.counts
    }

    /// Lets in whom there is room for. Who has no time left for a call is refused instead of wasting the place.
    fn serve(&mut self, now: Moment) -> Served<W> {
        let mut served = Served { granted: SmallVec::new(), refused: SmallVec::new() };
        while self.active < self.set.limit {
            let Some(waiter) = self.next() else { break };
            self.count_wait(&waiter, now);
            if waiter.until <= now {
                let refusal = self.refuse(waiter.bound());
                served.refused.push((waiter.who, refusal));
            } else if waiter.deadline.since(now) < MIN_ATTEMPT_BUDGET {
                served.refused.push((waiter.who, self.refuse(Refusal::Deadline)));
            } else {
                self.active += 1;
                served.granted.push(waiter.who);
            }
        }
        served
    }

    /// Whose turn it is.
    fn next(&mut self) -> Option<Waiter<W>> {
        self.queue.pop_first().map(|(_, waiter)| waiter)
    }

    fn remove(&mut self, ticket: Ticket, now: Moment) -> Option<Waiter<W>> {
        let waiter = self.queue.remove(&ticket)?;
        self.count_wait(&waiter, now);
        Some(waiter)
    }

    fn count_wait(&mut self, waiter: &Waiter<W>, now: Moment) {
        self.counts.waits += 1;
        self.counts.waited = self.counts.waited.saturating_add(now.since(waiter.since));
    }

    fn refuse(&mut self, refusal: Refusal) -> Refusal {
        match refusal {
            Refusal::CapacityFull => self.counts.rejected_capacity_full += 1,
            Refusal::QueueTimeout => self.counts.rejected_queue_timeout += 1,
            Refusal::Deadline => self.counts.rejected_deadline += 1,
        }
        refusal
    }
}

impl QueueOrder {
    fn rank(self, priority: Priority) -> u8 {
        match (self, priority) {
            (Self::Fifo, _) | (Self::Priority, Priority::Critical) => 0,
            (Self::Priority, Priority::High) => 1,
            (Self::Priority, Priority::Normal) => 2,
            (Self::Priority, Priority::Low) => 3,
        }
    }
}

impl<W> Waiter<W> {
    /// What its wait was bound by.
    fn bound(&self) -> Refusal {
        if self.until < self.deadline { Refusal::QueueTimeout } else { Refusal::Deadline }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::from_start(Duration::from_millis(ms))
    }

    const SET: LimiterSettings =
        LimiterSettings { limit: 1, max_waiting: 5, queue_timeout: None, order: QueueOrder::Fifo };

    fn until(deadline: Moment) -> Patience {
        Patience { priority: Priority::Normal, deadline }
    }

    fn one_place() -> Limiter<&'static str> {
        Limiter::new(SET)
    }

    #[test]
    fn a_waiter_with_too_little_time_for_a_call_is_passed_over() {
        let mut limiter = one_place();
        assert!(limiter.enter());
        limiter.enqueue("hasty", until(at(109)), at(0)).unwrap();
        limiter.enqueue("patient", until(at(110)), at(0)).unwrap();
        let served = limiter.leave(at(100));
        assert_eq!(served.refused.as_slice(), [("hasty", Refusal::Deadline)]);
        assert_eq!(served.granted.as_slice(), ["patient"]);
        assert_eq!(limiter.counts().rejected_deadline, 1);
    }

    #[test]
    fn the_three_reasons_are_told_apart() {
        let set = LimiterSettings { max_waiting: 2, queue_timeout: Some(Duration::from_millis(100)), ..SET };
        let mut limiter = Limiter::new(set);
        assert!(limiter.enter());
        let queued = limiter.enqueue("a", until(at(1_000)), at(0)).unwrap();
        let hasty = limiter.enqueue("b", until(at(50)), at(0)).unwrap();
        assert_eq!(limiter.enqueue("c", until(at(1_000)), at(0)), Err(Refusal::CapacityFull));
        assert_eq!((limiter.waits_until(queued), limiter.waits_until(hasty)), (Some(at(100)), Some(at(50))));
        assert_eq!(limiter.give_up(hasty, at(50)), Some(Refusal::Deadline));
        assert_eq!(limiter.give_up(queued, at(100)), Some(Refusal::QueueTimeout));
        assert_eq!(limiter.give_up(queued, at(100)), None, "it gave up already");
        let counts = limiter.counts();
        let rejected = [counts.rejected_capacity_full, counts.rejected_queue_timeout, counts.rejected_deadline];
        assert_eq!((rejected, counts.waits, counts.waited), ([1, 1, 1], 2, Duration::from_millis(150)));
    }

    #[test]
    fn an_expired_waiter_whose_timer_is_late_does_not_take_the_place() {
        let mut limiter = one_place();
        assert!(limiter.enter());
        let late = limiter.enqueue("late", until(at(10)), at(0)).unwrap();
        let served = limiter.leave(at(10));
        assert_eq!((served.granted.len(), served.refused.as_slice()), (0, [("late", Refusal::Deadline)].as_slice()));
        assert!(!limiter.cancel(late, at(11)), "its verdict is out");
        assert!(limiter.enter());
    }

    #[test]
    fn a_wait_that_lasted_its_timeout_is_over_even_if_a_place_comes_free_then() {
        let set = LimiterSettings { max_waiting: 1, queue_timeout: Some(Duration::from_millis(10)), ..SET };
        let mut limiter = Limiter::new(set);
        assert!(limiter.enter());
        limiter.enqueue("late", until(Moment::NEVER), at(0)).unwrap();
        assert_eq!(limiter.leave(at(10)).refused.as_slice(), [("late", Refusal::QueueTimeout)]);
    }

    #[test]
    fn nobody_enters_past_a_waiter_even_where_there_is_room() {
        let mut limiter = one_place();
        assert!(limiter.enter());
        let waiter = limiter.enqueue("waiter", until(Moment::NEVER), at(0)).unwrap();
        limiter.active = 0; // room that a waiter has not been given yet cannot arise; the rule holds all the same
        assert!(!limiter.enter());
        assert!(limiter.cancel(waiter, at(1)));
        assert!(limiter.enter());
    }

    #[test]
    fn by_priority_the_most_important_is_served_first_and_within_a_class_who_came_first() {
        let mut limiter = Limiter::new(LimiterSettings { order: QueueOrder::Priority, ..SET });
        assert!(limiter.enter());
        let came = [Priority::Low, Priority::Normal, Priority::Critical, Priority::Normal, Priority::High];
        for (number, priority) in came.into_iter().enumerate() {
            let patience = Patience { priority, deadline: Moment::NEVER };
            limiter.enqueue(["a", "b", "c", "d", "e"][number], patience, at(0)).unwrap();
        }
        let served: Vec<_> = (0..5).flat_map(|_| limiter.leave(at(1)).granted).collect();
        assert_eq!(served, ["c", "e", "b", "d", "a"]);
    }

    #[test]
    fn another_order_is_for_those_who_come() {
        let mut limiter = one_place();
        assert!(limiter.enter());
        limiter.enqueue("early", until(Moment::NEVER), at(0)).unwrap();
        let served = limiter.resize(LimiterSettings { order: QueueOrder::Priority, ..SET }, at(1));
        assert!(served.granted.is_empty());
        let patience = Patience { priority: Priority::High, deadline: Moment::NEVER };
        limiter.enqueue("late", patience, at(2)).unwrap();
        assert_eq!(limiter.leave(at(3)).granted.as_slice(), ["early"]);
    }
}
