//! The requests under way, counted; and the line of those that wait to be among them.
//!
//! Entering and leaving are one atomic operation each while nobody waits. With a line, both look at it under its lock:
//! a newcomer never overtakes one of its own class, and no place comes free unseen.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use crate::base::Clock;
use crate::base::Moment;
use crate::policy::line::Called;
use crate::policy::line::Line;
use crate::policy::line::LineSettings;
use crate::policy::line::Spot;
use crate::policy::pressure::Level;
use crate::policy::priority::Priority;
use crate::policy::shedding::Floors;
use crate::policy::shedding::Shed;
use crate::policy::shedding::Thresholds;

/// The count of the server, or of one route. Outlives every configuration.
#[derive(Debug)]
pub(crate) struct InFlight {
    clock: Clock,
    count: AtomicU32,
    /// How many stand in the line; what those who leave look at.
    waiting: AtomicU32,
    queue: Mutex<Queue>,
}

#[derive(Debug)]
struct Queue {
    line: Line<Caller>,
    /// As of the last who joined, or of the last reload: what those who leave serve by.
    set: Option<(Floors, LineSettings)>,
}

type Verdict = Result<InFlightPermit, Shed>;
type Caller = oneshot::Sender<Verdict>;

/// One request under way. Dropping it makes room for another.
#[must_use]
#[derive(Debug)]
pub(crate) struct InFlightPermit {
    of: Arc<InFlight>,
}

impl InFlight {
    /// Nobody is under way.
    pub(crate) fn new(clock: &Clock) -> Self {
        let queue = Mutex::new(Queue { line: Line::new(), set: None });
        Self { clock: *clock, count: AtomicU32::new(0), waiting: AtomicU32::new(0), queue }
    }

    /// Enters, if its class has room and nobody of it waits.
    pub(crate) fn enter(
        self: &Arc<Self>,
        floors: &Floors,
        priority: Priority,
        level: Level,
    ) -> Result<InFlightPermit, Shed> {
        if self.waiting.load(Ordering::SeqCst) > 0 && self.lock().line.has(priority) {
            return Err(if level.sheds(priority) { Shed::Pressure } else { Shed::InFlight });
        }
        self.take(floors, priority, level)?;
        Ok(InFlightPermit { of: Arc::clone(self) })
    }

    /// Waits for a place, for who could not [`InFlight::enter`]. Safe to cancel.
    pub(crate) async fn wait(
        self: &Arc<Self>,
        (floors, set): (&Floors, &LineSettings),
        priority: Priority,
        deadline: Moment,
    ) -> Verdict {
        let waiting = self.join((*floors, *set), priority, deadline)?;
        waiting.verdict().await
    }

    /// How many are under way.
    pub(crate) fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Other settings are in force: those who wait are served by them. `None`: there is no limit any more.
    pub(crate) fn apply(self: &Arc<Self>, set: Option<(Floors, LineSettings)>) {
        let unlimited = || Floors::new(u32::MAX, &Thresholds::ALL);
        let called = {
            let mut queue = self.lock();
            if let Some((_, before)) = queue.set {
                queue.set = Some(set.unwrap_or_else(|| (unlimited(), before)));
            }
            self.serve(&mut queue)
        };
        self.tell(called);
    }

    fn join(
        self: &Arc<Self>,
        set: (Floors, LineSettings),
        priority: Priority,
        deadline: Moment,
    ) -> Result<Waiting, Shed> {
        let (give, verdict) = oneshot::channel();
        let (spot, until, called) = {
            let mut queue = self.lock();
            queue.set = Some(set);
            let (spot, until) = queue.line.join(&set.1, (give, priority), deadline, self.clock.now())?;
            // Told first, looked at after: who leaves meanwhile either sees this one, or made the room that is seen.
            self.waiting.store(queue.line.len(), Ordering::SeqCst);
            let called = self.serve(&mut queue);
            (spot, until, called)
        };
        self.tell(called);
        Ok(Waiting { of: Arc::clone(self), spot: Some(spot), until, verdict })
    }

    fn take(&self, floors: &Floors, priority: Priority, level: Level) -> Result<(), Shed> {
        let mut count = self.count.load(Ordering::Relaxed);
        loop {
            floors.admit(count, priority, level)?;
            match self.count.compare_exchange_weak(count, count + 1, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => count = now,
            }
        }
    }

    fn leave(self: &Arc<Self>) {
        self.count.fetch_sub(1, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            let called = {
                let mut queue = self.lock();
                self.serve(&mut queue)
            };
            self.tell(called);
        }
    }

    fn serve(&self, queue: &mut Queue) -> Called<Caller> {
        let Some((floors, set)) = queue.set else { return Called::nobody() };
        let take = |priority| self.take(&floors, priority, Level::Normal).is_ok();
        let give = || {
            self.count.fetch_sub(1, Ordering::SeqCst);
        };
        let called = queue.line.serve(&set, self.clock.now(), take, give);
        self.waiting.store(queue.line.len(), Ordering::SeqCst);
        called
    }

    /// Sends the verdicts, the lock being free: a waiter that left just now drops its permit, which takes the lock.
    fn tell(self: &Arc<Self>, called: Called<Caller>) {
        for caller in called.granted {
            drop(caller.send(Ok(InFlightPermit { of: Arc::clone(self) })));
        }
        for (caller, why) in called.refused {
            drop(caller.send(Err(why)));
        }
    }

    /// A line's calls do not panic, and each leaves it whole.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InFlightPermit {
    fn drop(&mut self) {
        self.of.leave();
    }
}

/// A request in the line. Dropping it leaves the line; a permit already on its way is dropped with the channel.
struct Waiting {
    of: Arc<InFlight>,
    /// `None` once the verdict is known.
    spot: Option<Spot>,
    until: Moment,
    verdict: oneshot::Receiver<Verdict>,
}

impl Waiting {
    async fn verdict(mut self) -> Verdict {
        let told = tokio::select! {
            biased;
            told = &mut self.verdict => Some(told),
            () = self.of.clock.sleep_until(self.until) => None,
        };
        let told = match told {
            Some(told) => told,
            None => match self.leave(|line, spot| line.give_up(spot)) {
                Some(why) => return Err(why),
                // The verdict was reached before the timer was: it is in the channel, or about to be.
                None => (&mut self.verdict).await,
            },
        };
        self.spot = None;
        // The sender goes only with the verdict, or with the count itself.
        told.unwrap_or(Err(Shed::QueueTimeout))
    }

    fn leave<T>(&mut self, how: impl FnOnce(&mut Line<Caller>, Spot) -> Option<T>) -> Option<T> {
        let spot = self.spot.take()?;
        let mut queue = self.of.lock();
        let left = how(&mut queue.line, spot);
        self.of.waiting.store(queue.line.len(), Ordering::SeqCst);
        left
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.leave(|line, spot| line.cancel(spot).then_some(()));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::task::JoinHandle;

    use super::*;
    use crate::base::Tasks;
    use crate::policy::line::LINE;
    use crate::policy::line::Order;
    use crate::policy::shedding::THRESHOLDS;

    const QUEUE: LineSettings = LineSettings { max_waiting: 100, order: Order::Fifo, ..LINE };

    fn server() -> Arc<InFlight> {
        Arc::new(InFlight::new(&Clock::start()))
    }

    /// A caller of its own task, in the line when this returns.
    async fn line_up(of: &Arc<InFlight>, floors: Floors, priority: Priority) -> JoinHandle<Verdict> {
        let before = of.waiting();
        let own = Arc::clone(of);
        let task = Tasks::default().spawn(async move { own.wait((&floors, &QUEUE), priority, Moment::NEVER).await });
        while of.waiting() == before {
            tokio::task::yield_now().await;
        }
        task
    }

    #[test]
    fn each_class_finds_the_server_full_at_its_own_count() {
        let (of, floors) = (server(), Floors::new(20, &THRESHOLDS));
        let mut inside = Vec::new();
        for (priority, room) in
            [(Priority::Low, 14), (Priority::Normal, 17), (Priority::High, 19), (Priority::Critical, 20)]
        {
            while let Ok(permit) = of.enter(&floors, priority, Level::Normal) {
                inside.push(permit);
            }
            assert_eq!(inside.len(), room, "{priority:?}");
        }
        assert_eq!(of.enter(&floors, Priority::Low, Level::High).unwrap_err(), Shed::Pressure);
        drop(inside);
        assert_eq!(of.count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_goes_to_the_line_and_nobody_overtakes_its_own_class() {
        let (of, floors) = (server(), Floors::new(2, &THRESHOLDS));
        let held = of.enter(&floors, Priority::Normal, Level::Normal).unwrap();
        let low = line_up(&of, floors, Priority::Low).await;
        let normal = line_up(&of, floors, Priority::Normal).await;
        // The second place is kept for those above; they find it free though others wait.
        let critical = of.enter(&floors, Priority::Critical, Level::Normal).unwrap();
        assert_eq!(of.enter(&floors, Priority::Normal, Level::Normal).unwrap_err(), Shed::InFlight);
        drop(held);
        assert!(!low.is_finished(), "one is still under way, and the floor of `low` and `normal` is one");
        drop(critical);
        let permit = low.await.unwrap().unwrap();
        assert!(!normal.is_finished());
        drop(permit);
        drop(normal.await.unwrap().unwrap());
        assert_eq!((of.count(), of.waiting()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_is_told_and_who_leaves_is_forgotten() {
        let (of, floors) = (server(), Floors::new(1, &THRESHOLDS));
        let held = of.enter(&floors, Priority::Normal, Level::Normal).unwrap();
        let gone = line_up(&of, floors, Priority::Normal).await;
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        let late = line_up(&of, floors, Priority::Normal).await;
        let soon = of.clock.now().after(Duration::from_millis(20));
        let hasty = of.wait((&floors, &QUEUE), Priority::Normal, soon).await;
        assert_eq!(hasty.unwrap_err(), Shed::Deadline);
        assert_eq!(late.await.unwrap().unwrap_err(), Shed::QueueTimeout);
        assert_eq!((of.count(), of.waiting()), (1, 0));
        drop(held);
        assert_eq!(of.count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reload_serves_those_who_wait_by_what_is_in_force_now() {
        let (of, floors) = (server(), Floors::new(1, &THRESHOLDS));
        let held = of.enter(&floors, Priority::Normal, Level::Normal).unwrap();
        let second = line_up(&of, floors, Priority::Normal).await;
        let third = line_up(&of, floors, Priority::Normal).await;
        of.apply(Some((Floors::new(3, &THRESHOLDS), QUEUE)));
        let second = second.await.unwrap().unwrap();
        assert!(!third.is_finished(), "85% of 3 are 2");
        of.apply(None);
        drop((held, second, third.await.unwrap().unwrap()));
        assert_eq!((of.count(), of.waiting()), (0, 0));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn con_05_ten_thousand_who_come_wait_leave_and_are_aborted_leave_nothing_behind() {
        let (of, floors) = (server(), Floors::new(3, &THRESHOLDS));
        let tasks = Tasks::default();
        let mut aborted = Vec::new();
        for n in 0..10_000_u32 {
            let own = Arc::clone(&of);
            let priority = Priority::ALL[n as usize % 4];
            let task = tasks.spawn(async move {
                let verdict = match own.enter(&floors, priority, Level::Normal) {
                    Ok(permit) => Ok(permit),
                    Err(_) => own.wait((&floors, &QUEUE), priority, Moment::NEVER).await,
                };
                assert!(own.count() <= 3);
                tokio::task::yield_now().await;
                drop(verdict);
            });
            match n % 3 {
                0 => task.abort(),
                _ => aborted.push(task),
            }
            if n % 50 == 0 {
                tokio::task::yield_now().await;
            }
        }
        for task in aborted {
            task.await.unwrap();
        }
        tasks.idle().await;
        assert_eq!((of.count(), of.waiting()), (0, 0));
    }
}
