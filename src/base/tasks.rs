//! Every task of the process starts here, so that shutdown can wait for them.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::task::JoinHandle;
use tokio::task::JoinSet;

/// Starts tasks and knows how many still run. Copies count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    running: AtomicUsize,
    idle: Notify,
}

/// Counts one task, from its start to its end, panic or abort.
struct Running(Arc<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}

impl Tasks {
    /// Starts a task. Needs a tokio runtime around the caller.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that spawns")]
    pub(crate) fn spawn<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.shared.running.fetch_add(1, Ordering::AcqRel);
        let running = Running(Arc::clone(&self.shared));
        // A combinator rather than a block, which would hold the work twice: as its capture and as what it awaits.
        tokio::spawn(work.map(move |output| {
            drop(running);
            output
        }))
    }

    /// Starts a task that ends when the set is dropped, if not before. Needs a tokio runtime around the caller.
    pub(crate) fn spawn_in<F>(&self, set: &mut JoinSet<F::Output>, work: F) -> AbortHandle
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.shared.running.fetch_add(1, Ordering::AcqRel);
        let running = Running(Arc::clone(&self.shared));
        set.spawn(work.map(move |output| {
            drop(running);
            output
        }))
    }

    /// How many run.
    pub(crate) fn running(&self) -> usize {
        self.shared.running.load(Ordering::Acquire)
    }

    /// Waits until none runs. Safe to cancel.
    pub(crate) async fn idle(&self) {
        loop {
            let idle = self.shared.idle.notified();
            if self.running() == 0 {
                return;
            }
            idle.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn idle_waits_for_tasks_that_panic_and_that_are_aborted() {
        let tasks = Tasks::default();
        let _one = tasks.spawn(async { panic!("on purpose") });
        let two = tasks.spawn(std::future::pending::<()>());
        assert_eq!(tasks.running(), 2);
        two.abort();
        tasks.idle().await;
        assert_eq!(tasks.running(), 0);
    }
}
