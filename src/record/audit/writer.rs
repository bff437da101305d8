//! The task that writes the audit log: takes a batch, writes it, and keeps at it while the database is away.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::record::audit::AuditQueue;
use crate::record::audit::AuditRecord;
use crate::record::store::Store;
use crate::record::store::StoreError;

/// The wait after a first failure; doubled up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Writes what is queued, in order, each batch exactly once.
#[derive(Debug)]
pub(crate) struct AuditWriter {
    queue: AuditQueue,
    store: Arc<Store>,
    /// Taken from the queue and not yet written: kept here, so that no cancelled write loses it.
    batch: Vec<AuditRecord>,
    /// The number of that batch. The store remembers the last one it took, so writing again is harmless.
    number: i64,
    /// Attempts that failed in a row.
    failures: u32,
    /// What had been dropped at the last look, and whether that was growing.
    dropped: u64,
    overflows: bool,
}

impl AuditWriter {
    /// A writer of this queue into this store; there is one per queue.
    pub(crate) fn new(queue: AuditQueue, store: Arc<Store>) -> Self {
        Self { queue, store, batch: Vec::new(), number: 1, failures: 0, dropped: 0, overflows: false }
    }

    /// Writes until `shutdown`, then flushes for at most `flush` and gives up the rest. Prepares the tables first.
    pub(crate) async fn run(mut self, shutdown: impl Future<Output = ()>, flush: Duration) {
        tokio::select! {
            biased;
            () = shutdown => {}
            () = self.serve() => {}
        }
        let flushed = tokio::time::timeout(flush, self.flush()).await.is_ok();
        self.queue.close();
        self.queue.gave_up(self.batch.len());
        if !flushed {
            let dropped = self.queue.counts().dropped;
            tracing::error!(dropped, "audit records are lost: the database did not take them before the end");
        }
    }

    /// Prepares and writes for ever. Safe to cancel at any await.
    async fn serve(&mut self) {
        while let Err(error) = self.store.prepare().await {
            self.fell_behind(&error).await;
        }
        self.caught_up();
        loop {
            if self.batch.is_empty() {
                self.queue.collected().await;
            }
            self.write_one().await;
        }
    }

    /// Writes what is left.
    async fn flush(&mut self) {
        loop {
            self.write_one().await;
            if self.batch.is_empty() && self.queue.counts().pending == 0 {
                return;
            }
        }
    }

    /// Tries once to write the batch in hand, or the next one; waits when that fails.
    async fn write_one(&mut self) {
        if self.batch.is_empty() {
            self.batch = self.queue.take();
        }
        if self.batch.is_empty() {
            return;
        }
        self.watch_overflow();
        match self.store.append(self.number, &self.batch).await {
            Ok(()) => {
                self.queue.wrote(std::mem::take(&mut self.batch));
                self.number += 1;
                self.caught_up();
            }
            Err(error) => {
                self.queue.failed();
                self.fell_behind(&error).await;
            }
        }
    }

    /// Says once that the database is away, and waits before the next attempt.
    async fn fell_behind(&mut self, error: &StoreError) {
        if self.failures == 0 {
            let error: &dyn std::error::Error = error;
            tracing::warn!(error, "the audit log cannot be written: records are kept until it can");
        }
        let wait = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST_WAIT);
        self.failures = self.failures.saturating_add(1);
        tokio::time::sleep(wait).await;
    }

    /// Says once that records are being lost.
    fn watch_overflow(&mut self) {
        let dropped = self.queue.counts().dropped;
        let overflows = dropped > self.dropped;
        if overflows && !self.overflows {
            tracing::error!(dropped, "the audit queue is full: records are dropped until the database takes them");
        }
        (self.dropped, self.overflows) = (dropped, overflows);
    }

    /// Says once that the database is back.
    fn caught_up(&mut self) {
        if self.failures > 0 {
            let dropped = self.queue.counts().dropped;
            tracing::info!(dropped, "the audit log is written again");
        }
        self.failures = 0;
    }
}
