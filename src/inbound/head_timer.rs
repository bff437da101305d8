//! The timer that bounds how long a client takes over a request's head. It is set anew for every request and all but
//! never rings, so setting it only writes the new moment down; what really sleeps is moved when it wakes too early.

use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;
use std::time::Instant;

use hyper::rt::Sleep;
use hyper::rt::Timer;

/// Makes such timers.
pub(crate) struct HeadTimer;

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        let sleep = Box::pin(tokio::time::sleep(duration));
        Box::pin(HeadSleep { deadline: sleep.deadline().into_std(), sleep })
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(HeadSleep { deadline, sleep: Box::pin(tokio::time::sleep_until(deadline.into())) })
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn Sleep>>, deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<HeadSleep>() {
            Some(sleep) => sleep.get_mut().set(deadline),
            None => *sleep = self.sleep_until(deadline),
        }
    }
}

/// Rings at its deadline.
struct HeadSleep {
    deadline: Instant,
    /// Wakes at the deadline or earlier, never later.
    sleep: Pin<Box<tokio::time::Sleep>>,
}

impl HeadSleep {
    fn set(&mut self, deadline: Instant) {
        self.deadline = deadline;
        if deadline < self.sleep.deadline().into_std() {
            self.sleep.as_mut().reset(deadline.into());
        }
    }
}

impl Sleep for HeadSleep {}

impl Future for HeadSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.sleep.as_mut().poll(cx));
            if self.sleep.is_elapsed() && self.sleep.deadline().into_std() >= self.deadline {
                return Poll::Ready(());
            }
            let deadline = self.deadline.into();
            self.sleep.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Clock;

    const MOMENT: Duration = Duration::from_millis(100);

    #[tokio::test(start_paused = true)]
    async fn it_rings_at_the_moment_set_last_later_or_earlier() {
        for next in [3 * MOMENT, MOMENT / 2] {
            let clock = Clock::start();
            let begun = clock.now();
            let at = |after| clock.instant(begun.after(after)).into_std();
            let mut sleep = HeadTimer.sleep_until(at(MOMENT));
            // Polled once, as a connection does, so that it is registered for the first moment.
            assert!(futures_util::poll!(&mut sleep).is_pending());
            HeadTimer.reset(&mut sleep, at(next));
            sleep.await;
            let waited = clock.now().since(begun);
            assert!(waited >= next && waited < next + MOMENT / 10, "{waited:?} for {next:?}");
        }
    }
}
