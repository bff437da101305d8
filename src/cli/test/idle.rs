//! When there is nothing left to do at a moment: every task waits for a timer, or for nothing that will ever come.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::task::Poll;
use std::task::Waker;

/// Told by the runtime that it is about to sleep, which it does when no task can go on.
#[derive(Clone, Default)]
pub(crate) struct Idle {
    waiting: Arc<Mutex<Option<Waker>>>,
}

impl Idle {
    /// To be called whenever the runtime's one thread is about to sleep.
    pub(crate) fn about_to_sleep(&self) {
        let waker = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Waking somebody keeps it awake: paused time does not move on.
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Returns when every other task waits. No time passes.
    pub(crate) async fn reached(&self) {
        self.once().await;
        // A large document may be cut on a thread that blocks; there is one, and it works in order.
        if tokio::task::spawn_blocking(|| ()).await.is_ok() {
            self.once().await;
        }
    }

    async fn once(&self) {
        let mut asked = false;
        std::future::poll_fn(|context| {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if asked && waiting.is_none() {
                return Poll::Ready(());
            }
            asked = true;
            *waiting = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use super::*;
    use crate::base::Clock;
    use crate::base::Moment;
    use crate::base::Tasks;

    #[test]
    fn everything_that_can_go_on_has_gone_on_and_no_time_has_passed() {
        let idle = Idle::default();
        let told = idle.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .on_thread_park(move || told.about_to_sleep())
            .build()
            .unwrap();
        runtime.block_on(async {
            let (clock, tasks, done) = (Clock::start(), Tasks::default(), Arc::new(AtomicU32::new(0)));
            let count = Arc::clone(&done);
            drop(tasks.spawn(async move {
                for _ in 0..1000 {
                    tokio::task::yield_now().await;
                }
                count.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_secs(5)).await;
                count.fetch_add(1, Ordering::Relaxed);
            }));
            idle.reached().await;
            assert_eq!((done.load(Ordering::Relaxed), clock.now()), (1, Moment::ZERO));
            tokio::time::sleep_until(clock.instant(Moment::ZERO.after(Duration::from_secs(5)))).await;
            idle.reached().await;
            assert_eq!(done.load(Ordering::Relaxed), 2);
            assert_eq!(clock.now(), Moment::ZERO.after(Duration::from_secs(5)));
        });
    }
}
