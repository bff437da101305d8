//! Whether the database answers, asked at most once a second however many ask.

use std::future::Future;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::base::Moment;

/// No answer within this is none.
const LIMIT: Duration = Duration::from_millis(500);
/// An answer younger than this is given again.
const FRESH: Duration = Duration::from_secs(1);

/// The last answer, and whose turn it is to ask.
#[derive(Debug)]
pub(super) struct Ping {
    last: Mutex<Option<(Moment, bool)>>,
    turn: Semaphore,
}

impl Default for Ping {
    fn default() -> Self {
        Self { last: Mutex::new(None), turn: Semaphore::new(1) }
    }
}

impl Ping {
    /// The last answer if it is fresh, else a new one. Safe to cancel: the next one asks.
    pub(super) async fn ask(&self, now: Moment, probe: impl Future<Output = bool>) -> bool {
        if let Some(answer) = self.fresh(now) {
            return answer;
        }
        // The semaphore is never closed; whoever waited here finds the answer of the one before.
        let _turn = self.turn.acquire().await;
        if let Some(answer) = self.fresh(now) {
            return answer;
        }
        let answer = tokio::time::timeout(LIMIT, probe).await.unwrap_or(false);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, answer));
        answer
    }

    fn fresh(&self, now: Moment) -> Option<bool> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.filter(|(at, _)| now.since(*at) < FRESH).map(|(_, answer)| answer)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::future::ready;

    use super::*;

    #[tokio::test]
    async fn an_answer_is_given_again_for_less_than_a_second() {
        let ping = Ping::default();
        let at = |millis| Moment::from_start(Duration::from_millis(millis));
        assert!(ping.ask(at(0), ready(true)).await);
        assert!(ping.ask(at(999), ready(false)).await, "asked again too soon");
        assert!(!ping.ask(at(1000), ready(false)).await, "not asked again");
        assert!(!ping.ask(at(1999), ready(true)).await, "a failure is remembered as well");
    }

    #[tokio::test(start_paused = true)]
    async fn a_database_that_hangs_is_away_after_half_a_second() {
        let ping = Ping::default();
        let clock = crate::base::Clock::start();
        assert!(!ping.ask(Moment::ZERO, pending()).await);
        assert!(clock.now().since(Moment::ZERO) < Duration::from_millis(510));
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_at_once_ask_once() {
        let ping = Ping::default();
        let asked = std::sync::atomic::AtomicU32::new(0);
        let probe = || async {
            asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            tokio::task::yield_now().await;
            true
        };
        let answers = tokio::join!(ping.ask(Moment::ZERO, probe()), ping.ask(Moment::ZERO, probe()));
        assert_eq!(answers, (true, true));
        assert_eq!(asked.into_inner(), 1);
    }
}
