//! The audit writer: from a push to a row, with the database there or not.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::base::Secret;
use crate::base::Tasks;
use crate::policy::watermark::BACKGROUND;
use crate::policy::watermark::Marks;
use crate::record::audit::AuditCounts;
use crate::record::audit::AuditQueue;
use crate::record::audit::AuditWriter;
use crate::record::history::HistoryFilter;
use crate::record::store::Store;
use crate::record::store::tests::Database;
use crate::record::store::tests::record;
use crate::record::store::tests::server::Postgres;

/// A writer at work.
struct Writing {
    queue: AuditQueue,
    store: Arc<Store>,
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Writing {
    fn start(queue: AuditQueue, store: Store, flush: Duration) -> Self {
        let store = Arc::new(store);
        let writer = AuditWriter::new(queue.clone(), Arc::clone(&store));
        let (end, ended) = oneshot::channel::<()>();
        let shutdown = async move { drop(ended.await) };
        let task = Tasks::default().spawn(writer.run(shutdown, flush));
        Self { queue, store, end, task }
    }

    /// Shuts down, and tells how it ended.
    async fn end(self) -> (AuditCounts, Store) {
        self.end.send(()).unwrap();
        self.task.await.unwrap();
        (self.queue.counts(), Arc::into_inner(self.store).unwrap())
    }
}

async fn ids(store: &Store) -> Vec<String> {
    let filter = HistoryFilter { limit: 1000, ..HistoryFilter::default() };
    store.history(&filter).await.unwrap().records.into_iter().map(|row| row.request_id).rev().collect()
}

fn pushed(seconds: std::ops::Range<u64>) -> Vec<String> {
    seconds.map(|second| format!("request-{second}")).collect()
}

/// Waits until it holds, however slow the machine; fails when it never does.
async fn until<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(30), waiting).await.is_ok(), "never: {what}");
}

#[tokio::test]
async fn what_is_pushed_is_written_without_a_shutdown() {
    let database = Database::sqlite();
    let writing = Writing::start(AuditQueue::new(BACKGROUND.audit, None), database.open(), Duration::from_secs(10));
    (0..10).for_each(|second| writing.queue.push(record(second)));
    until("ten are written", async || writing.queue.counts().written == 10).await;
    assert_eq!(ids(&writing.store).await, pushed(0..10));
}

#[tokio::test]
async fn a_shutdown_writes_what_is_left_in_order_and_once() {
    let database = Database::sqlite();
    let queue = AuditQueue::new(BACKGROUND.audit, None);
    (0..2345).for_each(|second| queue.push(record(second)));
    let writing = Writing::start(queue, database.open(), Duration::from_secs(30));
    let late = writing.queue.clone();
    let (counts, store) = writing.end().await;
    assert_eq!(counts, AuditCounts { written: 2345, ..AuditCounts::default() });
    assert_eq!(ids(&store).await, pushed(1345..2345), "the newest thousand");
    late.push(record(0));
    assert_eq!(late.counts().dropped, 1, "nobody writes any more");
}

#[tokio::test]
async fn a_database_that_comes_late_gets_everything_that_fits_in_order_and_once() {
    let mut server = Postgres::stopped();
    let store = Store::postgres(&Secret::new(server.url())).unwrap();
    let writing = Writing::start(
        AuditQueue::new(Marks { max_pending: 50, high_water_mark: 40, low_water_mark: 10 }, None),
        store,
        Duration::from_secs(30),
    );
    (0..60).for_each(|second| writing.queue.push(record(second)));
    assert_eq!(writing.queue.counts(), AuditCounts { pending: 50, dropped: 10, ..AuditCounts::default() });
    server.start_again();
    until("the fifty are written", async || writing.queue.counts().written == 50).await;
    assert_eq!(ids(&writing.store).await, pushed(0..50));

    server.stop();
    (60..65).for_each(|second| writing.queue.push(record(second)));
    until("a batch fails", async || writing.queue.counts().failed_batches > 0).await;
    server.start_again();
    until("the five are written", async || writing.queue.counts().written == 55).await;
    let (counts, store) = writing.end().await;
    assert_eq!((counts.pending, counts.dropped), (0, 10));
    assert_eq!(ids(&store).await, [pushed(0..50), pushed(60..65)].concat());
}

#[tokio::test]
async fn a_shutdown_without_a_database_ends_in_time_and_counts_what_is_lost() {
    let server = Postgres::stopped();
    let store = Store::postgres(&Secret::new(server.url())).unwrap();
    let writing = Writing::start(AuditQueue::new(BACKGROUND.audit, None), store, Duration::from_millis(300));
    (0..3).for_each(|second| writing.queue.push(record(second)));
    let ended = tokio::time::timeout(Duration::from_secs(20), writing.end()).await;
    let (counts, _store) = ended.expect("it did not end");
    assert_eq!((counts.pending, counts.written, counts.dropped), (0, 0, 3));
}
