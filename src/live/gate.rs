//! A limit on concurrency that can be waited for: the limiter behind a lock, and slots that give themselves back.
//!
//! A waiter is granted a slot, not a promise of one: the slot travels to it through a channel, and whatever drops the
//! waiter — abort, a lost race, its deadline — drops the slot, which hands the place on.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use tokio::sync::oneshot;

use crate::base::Clock;
use crate::base::Moment;
use crate::policy::limiter::Limiter;
use crate::policy::limiter::LimiterCounts;
use crate::policy::limiter::LimiterSettings;
use crate::policy::limiter::Patience;
use crate::policy::limiter::Refusal;
use crate::policy::limiter::Served;
use crate::policy::limiter::Ticket;

/// How a waiter learns what became of it.
type Verdict = Result<GateSlot, Refusal>;

/// One limit, shared by all whom it holds.
#[derive(Debug)]
pub(crate) struct Gate {
    limiter: Mutex<Limiter<Caller>>,
}

/// Who waits: where the verdict goes, and the clock that its slot will read.
#[derive(Debug)]
struct Caller {
    give: oneshot::Sender<Verdict>,
    clock: Clock,
}

/// A place inside. Dropping it gives it to the next waiter.
#[must_use]
#[derive(Debug)]
pub(crate) struct GateSlot {
    gate: Arc<Gate>,
    clock: Clock,
}

impl Gate {
    /// A gate with nobody inside.
    pub(crate) fn new(set: LimiterSettings) -> Self {
        Self { limiter: Mutex::new(Limiter::new(set)) }
    }

    /// Waits for a place, until the deadline at the latest. Safe to cancel.
    pub(crate) async fn acquire(self: &Arc<Self>, clock: &Clock, patience: Patience) -> Result<GateSlot, Refusal> {
        match self.ask(clock, patience)? {
            Asked::In(slot) => Ok(slot),
            Asked::Waiting(waiting) => waiting.verdict().await,
        }
    }

    /// A place, if there is one at once and nobody waits for it.
    pub(crate) fn try_acquire(self: &Arc<Self>, clock: &Clock) -> Option<GateSlot> {
        let entered = self.lock().enter();
        entered.then(|| self.slot(clock))
    }

    /// Changes the settings. A smaller limit evicts nobody; a larger one lets waiters in.
    pub(crate) fn resize(self: &Arc<Self>, set: LimiterSettings, clock: &Clock) {
        let served = self.lock().resize(set, clock.now());
        self.tell(served);
    }

    /// How many are inside.
    pub(crate) fn active(&self) -> u32 {
        self.lock().active()
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> u32 {
        self.lock().waiting()
    }

    /// How many may be inside.
    pub(crate) fn limit(&self) -> u32 {
        self.lock().settings().limit
    }

    /// Rejections by reason, and how much was waited.
    pub(crate) fn counts(&self) -> LimiterCounts {
        self.lock().counts()
    }

    /// In at once, or in the queue: under one lock, so that nothing comes free in between unseen.
    fn ask(self: &Arc<Self>, clock: &Clock, patience: Patience) -> Result<Asked, Refusal> {
        let mut limiter = self.lock();
        if limiter.enter() {
            return Ok(Asked::In(self.slot(clock)));
        }
        let (give, verdict) = oneshot::channel();
        let ticket = limiter.enqueue(Caller { give, clock: *clock }, patience, clock.now())?;
        let until = limiter.waits_until(ticket).unwrap_or(patience.deadline);
        Ok(Asked::Waiting(Waiting { gate: Arc::clone(self), clock: *clock, ticket: Some(ticket), until, verdict }))
    }

    fn slot(self: &Arc<Self>, clock: &Clock) -> GateSlot {
        GateSlot { gate: Arc::clone(self), clock: *clock }
    }

    /// Sends the verdicts, the lock being free: a waiter that left just now drops its slot, which takes the lock.
    fn tell(self: &Arc<Self>, served: Served<Caller>) {
        for caller in served.granted {
            drop(caller.give.send(Ok(self.slot(&caller.clock))));
        }
        for (caller, refusal) in served.refused {
            drop(caller.give.send(Err(refusal)));
        }
    }

    /// A limiter's calls do not panic, and each leaves it whole.
    fn lock(&self) -> MutexGuard<'_, Limiter<Caller>> {
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for GateSlot {
    fn drop(&mut self) {
        let served = self.gate.lock().leave(self.clock.now());
        self.gate.tell(served);
    }
}

enum Asked {
    In(GateSlot),
    Waiting(Waiting),
}

/// A caller in the queue. Dropping it leaves the queue; a slot already on its way is dropped with the channel.
struct Waiting {
    gate: Arc<Gate>,
    clock: Clock,
    /// `None` once the verdict is known.
    ticket: Option<Ticket>,
    until: Moment,
    verdict: oneshot::Receiver<Verdict>,
}

impl Waiting {
    async fn verdict(mut self) -> Verdict {
        let told = tokio::select! {
            biased;
            told = &mut self.verdict => Some(told),
            () = self.clock.sleep_until(self.until) => None,
        };
        let told = match told {
            Some(told) => told,
            None => match self.give_up() {
                Some(refusal) => return Err(refusal),
                // The verdict was reached before the timer was: it is in the channel, or about to be.
                None => (&mut self.verdict).await,
            },
        };
        self.ticket = None;
        // The gate sends before it forgets a waiter; a closed channel can only mean that there is no gate any more.
        told.unwrap_or(Err(Refusal::Deadline))
    }

    fn give_up(&mut self) -> Option<Refusal> {
        self.ticket.take().and_then(|ticket| self.gate.lock().give_up(ticket, self.clock.now()))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.gate.lock().cancel(ticket, self.clock.now());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use tokio::task::JoinHandle;
    use tokio::task::JoinSet;

    use super::*;
    use crate::base::Tasks;
    use crate::policy::limiter::QueueOrder;
    use crate::policy::priority::Priority;

    const SET: LimiterSettings =
        LimiterSettings { limit: 1, max_waiting: 200, queue_timeout: None, order: QueueOrder::Fifo };

    fn until(deadline: Moment) -> Patience {
        Patience { priority: Priority::Normal, deadline }
    }

    fn gate(limit: u32) -> Arc<Gate> {
        Arc::new(Gate::new(LimiterSettings { limit, ..SET }))
    }

    /// A caller of its own task, in the queue when this returns.
    async fn queue_up(gate: &Arc<Gate>, clock: Clock, deadline: Moment) -> JoinHandle<Result<GateSlot, Refusal>> {
        let (before, task_gate) = (gate.waiting(), Arc::clone(gate));
        let task = Tasks::default().spawn(async move { task_gate.acquire(&clock, until(deadline)).await });
        while gate.waiting() == before {
            tokio::task::yield_now().await;
        }
        task
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_goes_to_the_waiters_in_the_order_of_asking() {
        let (gate, clock) = (gate(1), Clock::start());
        let first = gate.acquire(&clock, until(Moment::NEVER)).await.unwrap();
        let second = queue_up(&gate, clock, Moment::NEVER).await;
        let third = queue_up(&gate, clock, Moment::NEVER).await;
        assert!(gate.try_acquire(&clock).is_none());
        drop(first);
        let second = second.await.unwrap().unwrap();
        assert!(!third.is_finished() && gate.waiting() == 1);
        drop(second);
        drop(third.await.unwrap().unwrap());
        assert_eq!((gate.active(), gate.waiting()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_gives_up_at_its_bound_and_says_which() {
        let queue_timeout = Some(Duration::from_millis(100));
        let (gate, clock) =
            (Arc::new(Gate::new(LimiterSettings { max_waiting: 1, queue_timeout, ..SET })), Clock::start());
        let held = gate.acquire(&clock, until(Moment::NEVER)).await.unwrap();
        let soon = clock.now().after(Duration::from_millis(50));
        assert_eq!(gate.acquire(&clock, until(soon)).await.unwrap_err(), Refusal::Deadline);
        assert_eq!(clock.now(), soon);
        let waiter = queue_up(&gate, clock, soon.after(Duration::from_secs(1))).await;
        assert_eq!(gate.acquire(&clock, until(Moment::NEVER)).await.unwrap_err(), Refusal::CapacityFull);
        assert_eq!(waiter.await.unwrap().unwrap_err(), Refusal::QueueTimeout);
        assert_eq!(clock.now(), soon.after(Duration::from_millis(100)));
        let counts = gate.counts();
        assert_eq!((counts.rejected_deadline, counts.rejected_queue_timeout, counts.rejected_capacity_full), (1, 1, 1));
        assert_eq!((counts.waits, counts.waited), (2, Duration::from_millis(150)));
        assert_eq!((gate.active(), gate.waiting()), (1, 0));
        drop(held);
    }

    #[tokio::test(start_paused = true)]
    async fn an_aborted_waiter_leaves_the_queue_at_once() {
        let (gate, clock) = (gate(1), Clock::start());
        let held = gate.acquire(&clock, until(Moment::NEVER)).await.unwrap();
        let waiter = queue_up(&gate, clock, Moment::NEVER).await;
        waiter.abort();
        assert!(waiter.await.unwrap_err().is_cancelled());
        assert_eq!((gate.active(), gate.waiting()), (1, 0));
        drop(held);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slot_that_is_on_its_way_when_the_timer_fires_is_not_lost() {
        let (gate, clock) = (gate(1), Clock::start());
        let held = gate.acquire(&clock, until(Moment::NEVER)).await.unwrap();
        let end = clock.now().after(Duration::from_millis(50));
        let Ok(Asked::Waiting(waiting)) = gate.ask(&clock, until(end)) else { panic!("it has to wait") };
        // What dropping the held slot does, stopped between its two halves.
        let served = gate.lock().leave(clock.now());
        std::mem::forget(held);
        let late = Tasks::default().spawn(waiting.verdict());
        clock.sleep_until(end.after(Duration::from_millis(1))).await;
        assert!(!late.is_finished(), "its time is over, but it was granted before");
        gate.tell(served);
        drop(late.await.unwrap().unwrap());
        assert_eq!((gate.active(), gate.waiting()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_larger_limit_lets_waiters_in_at_once() {
        let (gate, clock) = (gate(1), Clock::start());
        let held = gate.acquire(&clock, until(Moment::NEVER)).await.unwrap();
        let waiters = [queue_up(&gate, clock, Moment::NEVER).await, queue_up(&gate, clock, Moment::NEVER).await];
        gate.resize(LimiterSettings { limit: 3, ..SET }, &clock);
        for waiter in waiters {
            drop(waiter.await.unwrap().unwrap());
        }
        assert_eq!((gate.active(), gate.waiting(), gate.limit()), (1, 0, 3));
        drop(held);
    }

    #[tokio::test(start_paused = true)]
    async fn con_06_a_slot_granted_to_an_aborted_waiter_goes_to_the_next() {
        let (gate, clock) = (gate(1), Clock::start());
        let first = gate.acquire(&clock, until(Moment::NEVER)).await.unwrap();
        let aborted = queue_up(&gate, clock, Moment::NEVER).await;
        let next = queue_up(&gate, clock, Moment::NEVER).await;
        // One thread: between these two lines the waiter holds the slot in its channel and is never polled.
        drop(first);
        aborted.abort();
        assert!(aborted.await.unwrap_err().is_cancelled());
        drop(next.await.unwrap().unwrap());
        assert_eq!((gate.active(), gate.waiting()), (0, 0));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn con_05_ten_thousand_callers_aborted_anywhere_leave_nothing_behind() {
        const CALLERS: usize = 10_000;
        let (gate, clock) = (gate(3), Clock::start());
        let inside = Arc::new(AtomicU32::new(0));
        let mut random = fastrand::Rng::with_seed(5);
        let mut tasks = JoinSet::new();
        let mut handles = Vec::new();
        for _ in 0..CALLERS {
            let (gate, inside, yields) = (Arc::clone(&gate), Arc::clone(&inside), random.u8(..4));
            handles.push(tasks.spawn(async move {
                let Ok(slot) = gate.acquire(&clock, until(Moment::NEVER)).await else { return };
                assert!(inside.fetch_add(1, Ordering::SeqCst) < 3, "more are inside than may be");
                let leave = Leave(inside);
                for _ in 0..yields {
                    tokio::task::yield_now().await;
                }
                drop(leave);
                drop(slot);
            }));
            if random.bool() {
                handles[random.usize(handles.len().saturating_sub(100)..handles.len())].abort();
            }
            if random.u8(..16) == 0 {
                tokio::task::yield_now().await;
            }
        }
        let mut cancelled = 0;
        while let Some(ended) = tasks.join_next().await {
            assert!(!ended.as_ref().is_err_and(|error| error.is_panic()), "{ended:?}");
            cancelled += usize::from(ended.is_err());
        }
        assert!(cancelled > 100 && gate.counts().waits > 100, "the test did not reach what it is for: {cancelled}");
        assert_eq!((gate.active(), gate.waiting()), (0, 0));
        let all: Vec<_> = (0..3).map(|_| gate.try_acquire(&clock).unwrap()).collect();
        assert!(gate.try_acquire(&clock).is_none());
        drop(all);
    }

    /// Counts down before the slot is given back, wherever the task is dropped.
    struct Leave(Arc<AtomicU32>);

    impl Drop for Leave {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn con_12_shrinking_under_a_queue_loses_no_waiter_and_keeps_to_the_new_limit() {
        let (gate, clock) = (gate(10), Clock::start());
        let held: Vec<_> = (0..10).map(|_| gate.try_acquire(&clock).unwrap()).collect();
        let mut waiters = JoinSet::new();
        for _ in 0..100 {
            let gate = Arc::clone(&gate);
            waiters.spawn(async move {
                let slot = gate.acquire(&clock, until(Moment::NEVER)).await.unwrap();
                let active = gate.active();
                tokio::task::yield_now().await;
                drop(slot);
                active
            });
        }
        while gate.waiting() < 100 {
            tokio::task::yield_now().await;
        }
        gate.resize(LimiterSettings { limit: 3, ..SET }, &clock);
        assert_eq!((gate.active(), gate.limit()), (10, 3), "nobody is evicted");
        drop(held);
        let mut woken = 0;
        while let Some(active) = waiters.join_next().await {
            assert!(active.unwrap() <= 3);
            woken += 1;
        }
        assert_eq!((woken, gate.active(), gate.waiting()), (100, 0, 0));
    }
}
