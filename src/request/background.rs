//! Refreshes wait here, behind the replies: a bounded queue, and so many of them under way at the same time. Nobody who
//! answers a request waits for it; what finds no room is dropped, and the next hit of its entry asks again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::policy::watermark::Overflow;
use crate::policy::watermark::RefreshSettings;
use crate::policy::watermark::Tide;
use crate::policy::watermark::WaterMark;
use crate::record::BackgroundGauges;
use crate::record::tell_tide;
use crate::request::context::Shared;
use crate::request::flight::Refresh;

/// Its name among the background queues.
const QUEUE: &str = "refresh";

/// The queue of refreshes. One is made at start, and outlives every configuration.
#[derive(Default)]
pub(crate) struct Refreshes {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Counts those that wait and those under way.
    mark: WaterMark,
    waiting: VecDeque<Refresh>,
    workers: u32,
    dropped: u64,
}

/// What became of a refresh that came.
struct Pushed {
    tide: Option<(Tide, u32)>,
    /// Freed outside the lock, for that takes others.
    dropped: Option<Refresh>,
    needs_worker: bool,
}

/// A task that works through the queue. Dropping it, by a panic too, makes room for another.
struct Worker<'a> {
    shared: &'a Shared,
    /// Whether it still counts as one.
    counted: bool,
}

/// One refresh taken from the queue, until it is done.
struct Job<'a>(&'a Shared);

impl Refreshes {
    /// How it fares.
    pub(crate) fn gauges(&self, set: &RefreshSettings) -> BackgroundGauges {
        let state = self.lock();
        BackgroundGauges {
            queue: QUEUE,
            pending: state.mark.pending().into(),
            max_pending: set.marks.max_pending.into(),
            active: state.mark.is_active(),
            dropped: state.dropped,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Queues a refresh. Needs a tokio runtime around it, and waits for nothing.
pub(crate) fn push(shared: &Arc<Shared>, refresh: Refresh) {
    let set = settings(shared);
    let pushed = shared.refreshes.lock().push(&set, refresh);
    drop(pushed.dropped);
    if let Some(tide) = pushed.tide {
        tell_tide(&shared.events, QUEUE, tide);
    }
    if pushed.needs_worker {
        let own = Arc::clone(shared);
        drop(shared.tasks.spawn(async move { work(&own).await }));
    }
}

/// Works until nothing waits.
async fn work(shared: &Shared) {
    let mut worker = Worker { shared, counted: true };
    while let Some(refresh) = worker.next() {
        let job = Job(shared);
        refresh.run().await;
        drop(job);
    }
}

fn settings(shared: &Shared) -> RefreshSettings {
    shared.live.load().plan.server.background.refresh
}

impl State {
    fn push(&mut self, set: &RefreshSettings, refresh: Refresh) -> Pushed {
        let (tide, dropped) = match (self.mark.enter(set.marks), set.overflow) {
            (Ok(tide), _) => {
                self.waiting.push_back(refresh);
                (tide, None)
            }
            (Err(_), Overflow::DropOldest) if !self.waiting.is_empty() => {
                let oldest = self.waiting.pop_front();
                self.waiting.push_back(refresh);
                (None, oldest)
            }
            (Err(_), Overflow::DropOldest | Overflow::DropNewest) => (None, Some(refresh)),
        };
        let tide = tide.map(|tide| (tide, self.mark.pending()));
        self.dropped += u64::from(dropped.is_some());
        let needs_worker = !self.waiting.is_empty() && self.workers < set.workers;
        self.workers += u32::from(needs_worker);
        Pushed { tide, dropped, needs_worker }
    }
}

impl Worker<'_> {
    /// The next one; `None`: nothing waits, or there are more workers than there may be.
    fn next(&mut self) -> Option<Refresh> {
        let set = settings(self.shared);
        let mut state = self.shared.refreshes.lock();
        let next = if state.workers > set.workers { None } else { state.waiting.pop_front() };
        if next.is_none() {
            // Under the same lock: what comes now finds one worker less, and starts one.
            state.workers = state.workers.saturating_sub(1);
            self.counted = false;
        }
        next
    }
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        if self.counted {
            let mut state = self.shared.refreshes.lock();
            state.workers = state.workers.saturating_sub(1);
        }
    }
}

impl Drop for Job<'_> {
    fn drop(&mut self) {
        let marks = settings(self.0).marks;
        let tide = {
            let mut state = self.0.refreshes.lock();
            state.mark.leave(1, marks).map(|tide| (tide, state.mark.pending()))
        };
        if let Some(tide) = tide {
            tell_tide(&self.0.events, QUEUE, tide);
        }
    }
}
