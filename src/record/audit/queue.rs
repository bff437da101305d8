//! Between a request and the audit writer: a bounded queue that never makes anybody wait.
//!
//! Records lie in chunks of a batch's size, so that the writer takes a whole batch without copying it, and the memory
//! of a burst is given back as it is written.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Notify;

use crate::policy::watermark::Marks;
use crate::policy::watermark::Tide;
use crate::policy::watermark::WaterMark;
use crate::record::BackgroundGauges;
use crate::record::Events;
use crate::record::audit::AuditRecord;
use crate::record::tell_tide;

/// Records written by one transaction: more gains no speed, and delays what is read from the log.
pub(super) const MAX_BATCH: usize = 1_000;

/// Its name among the background queues.
const QUEUE: &str = "audit";

/// How long a batch is collected when there is little to write.
const COLLECT: Duration = Duration::from_millis(200);

/// The records that wait to be written. Copies are the same queue.
#[derive(Clone, Debug)]
pub(crate) struct AuditQueue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Where its water marks are told of; `None`: nowhere.
    events: Option<Events>,
    state: Mutex<State>,
    /// Told when the queue gets its first record.
    some: Notify,
    /// Told when a batch is full.
    full: Notify,
    written: AtomicU64,
    dropped: AtomicU64,
    failed_batches: AtomicU64,
}

#[derive(Debug)]
struct State {
    /// Its bound: the default is about 40 MB, or 100 seconds at 1,000 requests a second.
    marks: Marks,
    chunks: VecDeque<Vec<AuditRecord>>,
    /// An empty chunk that the writer gave back, so that a steady load allocates nothing.
    spare: Option<Vec<AuditRecord>>,
    /// Records in the chunks and in the writer's hand.
    mark: WaterMark,
    closed: bool,
}

/// How the audit log fares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct AuditCounts {
    /// Accepted and not yet written.
    pub(crate) pending: u64,
    /// Written, since the start.
    pub(crate) written: u64,
    /// Lost, the queue being full or the process ending.
    pub(crate) dropped: u64,
    /// Attempts to write a batch that failed.
    pub(crate) failed_batches: u64,
}

/// What a push calls for.
enum Pushed {
    First,
    Full,
    Between,
}

impl AuditQueue {
    /// An empty queue with these bounds, which tells of its water marks there.
    pub(crate) fn new(marks: Marks, events: Option<Events>) -> Self {
        let state = State { marks, chunks: VecDeque::new(), spare: None, mark: WaterMark::default(), closed: false };
        Self(Arc::new(Shared {
            events,
            state: Mutex::new(state),
            some: Notify::new(),
            full: Notify::new(),
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            failed_batches: AtomicU64::new(0),
        }))
    }

    /// Queues a record; drops and counts it when the queue is full. Never waits for the database.
    pub(crate) fn push(&self, record: AuditRecord) {
        // The guard ends with the expression, so that nothing below is done under the lock.
        let pushed = self.lock().push(record);
        match pushed {
            Ok((what, tide)) => {
                match what {
                    Pushed::First => self.0.some.notify_one(),
                    Pushed::Full => self.0.full.notify_one(),
                    Pushed::Between => {}
                }
                self.tell(tide);
            }
            Err(_refused) => {
                self.0.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Other bounds hold from now on; what is there stays.
    pub(crate) fn resize(&self, marks: Marks) {
        let tide = {
            let mut state = self.lock();
            state.marks = marks;
            state.mark.look(marks).map(|tide| (tide, state.mark.pending()))
        };
        self.tell(tide);
    }

    /// How full it is.
    pub(crate) fn gauges(&self) -> BackgroundGauges {
        let dropped = self.0.dropped.load(Ordering::Relaxed);
        let state = self.lock();
        BackgroundGauges {
            queue: QUEUE,
            pending: state.mark.pending().into(),
            max_pending: state.marks.max_pending.into(),
            active: state.mark.is_active(),
            dropped,
        }
    }

    /// How it fares.
    pub(crate) fn counts(&self) -> AuditCounts {
        AuditCounts {
            pending: self.lock().mark.pending().into(),
            written: self.0.written.load(Ordering::Relaxed),
            dropped: self.0.dropped.load(Ordering::Relaxed),
            failed_batches: self.0.failed_batches.load(Ordering::Relaxed),
        }
    }

    /// Waits until a batch is worth writing: it is full, or its first record has waited long enough. Safe to cancel.
    pub(super) async fn collected(&self) {
        while self.lock().chunks.is_empty() {
            self.0.some.notified().await;
        }
        while !self.lock().has_full_batch() {
            // A notice may be left over from a batch that is gone, hence the loop; time passed is enough.
            if tokio::time::timeout(COLLECT, self.0.full.notified()).await.is_err() {
                return;
            }
        }
    }

    /// The oldest records, up to a batch; empty when there are none. They stay pending until told otherwise.
    pub(super) fn take(&self) -> Vec<AuditRecord> {
        self.lock().chunks.pop_front().unwrap_or_default()
    }

    /// These are in the database.
    pub(super) fn wrote(&self, mut batch: Vec<AuditRecord>) {
        self.settle(batch.len(), &self.0.written);
        // Outside the lock, for it frees every record.
        batch.clear();
        self.lock().spare = Some(batch);
    }

    /// These are given up.
    pub(super) fn gave_up(&self, count: usize) {
        self.settle(count, &self.0.dropped);
    }

    /// An attempt to write a batch failed.
    pub(super) fn failed(&self) {
        self.0.failed_batches.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes no more records, and gives up those that are left; what is pushed from now on counts as dropped.
    pub(super) fn close(&self) {
        let left = {
            let mut state = self.lock();
            state.closed = true;
            std::mem::take(&mut state.chunks)
        };
        self.gave_up(left.iter().map(Vec::len).sum());
    }

    fn settle(&self, count: usize, as_what: &AtomicU64) {
        let tide = {
            let mut state = self.lock();
            let marks = state.marks;
            let tide = state.mark.leave(u32::try_from(count).unwrap_or(u32::MAX), marks);
            tide.map(|tide| (tide, state.mark.pending()))
        };
        self.tell(tide);
        as_what.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn tell(&self, tide: Option<(Tide, u32)>) {
        if let (Some(tide), Some(events)) = (tide, &self.0.events) {
            tell_tide(events, QUEUE, tide);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Gives the record back when there is no room, so that it is freed outside the lock.
    #[expect(clippy::result_large_err, reason = "moved once, on the way out of the lock")]
    fn push(&mut self, record: AuditRecord) -> Result<(Pushed, Option<(Tide, u32)>), AuditRecord> {
        if self.closed {
            return Err(record);
        }
        // A record that is not taken is lost: as long as there is any room, it is.
        let Ok(tide) = self.mark.force(self.marks) else { return Err(record) };
        let tide = tide.map(|tide| (tide, self.mark.pending()));
        if let Some(chunk) = self.chunks.back_mut()
            && chunk.len() < MAX_BATCH
        {
            chunk.push(record);
            return Ok((if chunk.len() == MAX_BATCH { Pushed::Full } else { Pushed::Between }, tide));
        }
        let first = self.chunks.is_empty();
        let mut chunk = self.spare.take().unwrap_or_default();
        chunk.push(record);
        self.chunks.push_back(chunk);
        Ok((if first { Pushed::First } else { Pushed::Between }, tide))
    }

    fn has_full_batch(&self) -> bool {
        self.chunks.front().is_some_and(|chunk| chunk.len() >= MAX_BATCH)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::policy::watermark::BACKGROUND;

    const MARKS: Marks = BACKGROUND.audit;

    fn record(id: usize) -> AuditRecord {
        AuditRecord {
            at: SystemTime::UNIX_EPOCH,
            request_id: id.to_string().into(),
            route: "/aggregate".into(),
            succeeded: crate::record::audit::Sources::new(),
            failed: crate::record::audit::Sources::new(),
            skipped: crate::record::audit::Sources::new(),
            mode: "fresh",
            status: 200,
            duration: Duration::from_millis(3),
            cached: false,
        }
    }

    fn ids(batch: &[AuditRecord]) -> Vec<usize> {
        batch.iter().map(|record| record.request_id.parse().unwrap()).collect()
    }

    #[test]
    fn a_full_queue_drops_the_newest_and_counts_it() {
        let queue = AuditQueue::new(Marks { max_pending: 3, high_water_mark: 2, low_water_mark: 1 }, None);
        (0..5).for_each(|id| queue.push(record(id)));
        let full = AuditCounts { pending: 3, dropped: 2, ..AuditCounts::default() };
        assert_eq!(queue.counts(), full);
        let batch = queue.take();
        assert_eq!(ids(&batch), [0, 1, 2]);
        queue.push(record(5));
        assert_eq!(queue.counts().dropped, 3, "what the writer holds still counts against the bound");
        queue.wrote(batch);
        queue.push(record(6));
        assert_eq!(queue.counts(), AuditCounts { pending: 1, written: 3, dropped: 3, failed_batches: 0 });
    }

    #[test]
    fn batches_come_in_order_and_none_is_larger_than_a_batch() {
        let queue = AuditQueue::new(MARKS, None);
        (0..2 * MAX_BATCH + 1).for_each(|id| queue.push(record(id)));
        let batches = [queue.take(), queue.take(), queue.take(), queue.take()];
        assert_eq!(batches.each_ref().map(Vec::len), [MAX_BATCH, MAX_BATCH, 1, 0]);
        assert_eq!(ids(&batches.concat()), (0..2 * MAX_BATCH + 1).collect::<Vec<_>>());
    }

    #[test]
    fn a_closed_queue_gives_up_what_it_holds_and_what_comes() {
        let queue = AuditQueue::new(MARKS, None);
        queue.push(record(0));
        queue.close();
        queue.push(record(1));
        assert_eq!(queue.counts(), AuditCounts { dropped: 2, ..AuditCounts::default() });
        assert!(queue.take().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_collected_for_a_while_unless_it_is_full() {
        let queue = AuditQueue::new(MARKS, None);
        let start = crate::base::Clock::start();
        queue.push(record(0));
        queue.collected().await;
        assert_eq!(start.now().since(crate::base::Moment::ZERO).as_millis() / 10, COLLECT.as_millis() / 10);
        (1..MAX_BATCH).for_each(|id| queue.push(record(id)));
        let full = crate::base::Clock::start();
        queue.collected().await;
        assert_eq!(full.now(), crate::base::Moment::ZERO);
    }
}
