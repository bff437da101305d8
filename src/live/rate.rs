//! A limit on the rate that can be waited for: the limiter behind a lock, and tokens that give themselves back.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use crate::base::Clock;
use crate::base::Moment;
use crate::policy::deadline::MIN_ATTEMPT_BUDGET;
use crate::policy::rate::Demand;
use crate::policy::rate::Grant;
use crate::policy::rate::RateCounts;
use crate::policy::rate::RateLimitSettings;
use crate::policy::rate::RateLimiter;
use crate::policy::rate::RateRefusal;

/// The limit on the rate of one source. Lives as long as the source's name does, over reloads.
#[derive(Debug)]
pub(crate) struct RateGate {
    limiter: Mutex<RateLimiter>,
}

/// Tokens for one call. Dropped before the call is sent, they are given back.
#[must_use]
#[derive(Debug)]
pub(crate) struct RateToken {
    gate: Arc<RateGate>,
    /// `None` once it was spent.
    grant: Option<Grant>,
}

/// The limit as it is at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateView {
    pub(crate) tokens: u32,
    pub(crate) burst: u32,
    pub(crate) waiting: u32,
    pub(crate) paused_for: Duration,
}

impl RateGate {
    /// A limit that nobody used yet.
    pub(crate) fn new(set: &RateLimitSettings) -> Self {
        Self { limiter: Mutex::new(RateLimiter::new(set.quota)) }
    }

    /// Waits for `cost` tokens, if they are there soon enough; else it is refused at once. Safe to cancel.
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        set: &RateLimitSettings,
        cost: u32,
        clock: &Clock,
        end: Moment,
    ) -> Result<RateToken, RateRefusal> {
        let began = clock.now();
        let mut now = began;
        loop {
            let mut token = self.reserve(demand(set, cost, now.since(began), end.since(now)), now)?;
            let ready_at = token.ready_at();
            if ready_at > now {
                clock.sleep_until(ready_at).await;
                now = clock.now();
            }
            if token.starts(now) {
                return Ok(token);
            }
            // The upstream asked for a pause meanwhile: given back, and reserved anew behind it.
        }
    }

    /// `cost` tokens, if they are there now.
    pub(crate) fn try_acquire(self: &Arc<Self>, cost: u32, now: Moment) -> Result<RateToken, RateRefusal> {
        self.reserve(Demand { cost, max_wait: Duration::ZERO, left: Duration::MAX, max_queue: 0 }, now)
    }

    /// The upstream said when to come back. Whether a pause begins.
    pub(crate) fn pause(&self, until: Moment, now: Moment) -> bool {
        self.lock().pause(until, now)
    }

    /// Another rate or burst; nothing is refilled.
    pub(crate) fn retune(&self, set: &RateLimitSettings, now: Moment) {
        self.lock().retune(set.quota, now);
    }

    /// The limit as it is now.
    pub(crate) fn view(&self, now: Moment) -> RateView {
        let limiter = self.lock();
        RateView {
            tokens: limiter.tokens(now),
            burst: limiter.burst(),
            waiting: limiter.queued(),
            paused_for: limiter.paused_for(now),
        }
    }

    /// What it refused so far.
    pub(crate) fn counts(&self) -> RateCounts {
        self.lock().counts()
    }

    fn reserve(self: &Arc<Self>, demand: Demand, now: Moment) -> Result<RateToken, RateRefusal> {
        let grant = self.lock().reserve(demand, now)?;
        Ok(RateToken { gate: Arc::clone(self), grant: Some(grant) })
    }

    /// A limiter's calls do not panic, and each leaves it whole.
    fn lock(&self) -> MutexGuard<'_, RateLimiter> {
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a call that has waited for so long already asks for.
fn demand(set: &RateLimitSettings, cost: u32, waited: Duration, left: Duration) -> Demand {
    let left = left.saturating_sub(MIN_ATTEMPT_BUDGET);
    match set.wait {
        Some(wait) => Demand { cost, max_wait: wait.max_wait.saturating_sub(waited), left, max_queue: wait.max_queue },
        None => Demand { cost, max_wait: Duration::ZERO, left, max_queue: 0 },
    }
}

impl RateToken {
    /// The call is sent.
    pub(crate) fn spend(mut self) {
        if let Some(grant) = self.grant.take() {
            self.gate.lock().spend(grant);
        }
    }

    fn ready_at(&self) -> Moment {
        self.grant.as_ref().map_or(Moment::ZERO, |grant| grant.ready_at)
    }

    fn starts(&mut self, now: Moment) -> bool {
        self.grant.as_mut().is_none_or(|grant| self.gate.lock().start(grant, now))
    }
}

impl Drop for RateToken {
    fn drop(&mut self) {
        if let Some(grant) = self.grant.take() {
            self.gate.lock().refund(grant);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::base::Tasks;
    use crate::policy::gcra::Quota;
    use crate::policy::gcra::Rate;
    use crate::policy::rate::Cost;
    use crate::policy::rate::RATE_WAIT_DEFAULTS;
    use crate::policy::rate::RateReason;

    /// Ten a second, one at a time.
    fn set() -> RateLimitSettings {
        let rate = Rate { count: NonZeroU32::new(10).unwrap(), per: Duration::from_secs(1) };
        let quota = Quota::new(rate, NonZeroU32::MIN);
        RateLimitSettings { quota, cost: Cost::Fixed(1), wait: Some(RATE_WAIT_DEFAULTS), pause_on_429: true }
    }

    #[tokio::test(start_paused = true)]
    async fn calls_wait_each_for_its_own_moment() {
        let (set, clock) = (set(), Clock::start());
        let gate = Arc::new(RateGate::new(&set));
        let began = clock.now();
        for place in 0..4 {
            gate.acquire(&set, 1, &clock, Moment::NEVER).await.unwrap().spend();
            assert_eq!(clock.now().since(began), Duration::from_millis(100) * place);
        }
        assert_eq!(gate.view(clock.now()).waiting, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_wait_gives_its_tokens_back() {
        let (set, clock) = (set(), Clock::start());
        let gate = Arc::new(RateGate::new(&set));
        gate.acquire(&set, 1, &clock, Moment::NEVER).await.unwrap().spend();
        let (task_gate, task_set) = (Arc::clone(&gate), set.clone());
        let task = Tasks::default()
            .spawn(async move { task_gate.acquire(&task_set, 1, &clock, Moment::NEVER).await.map(drop) });
        while gate.view(clock.now()).waiting == 0 {
            tokio::task::yield_now().await;
        }
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(gate.view(clock.now()).waiting, 0);
        let began = clock.now();
        gate.acquire(&set, 1, &clock, Moment::NEVER).await.unwrap().spend();
        assert!(clock.now().since(began) <= Duration::from_millis(100));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_reaches_those_who_wait_already() {
        let (set, clock) = (set(), Clock::start());
        let gate = Arc::new(RateGate::new(&set));
        gate.try_acquire(1, clock.now()).unwrap().spend();
        let began = clock.now();
        let waiting = gate.acquire(&set, 1, &clock, Moment::NEVER);
        let pause = async { gate.pause(began.after(Duration::from_millis(500)), began) };
        let (waited, begins) = tokio::join!(waiting, pause);
        assert!(begins);
        waited.unwrap().spend();
        assert_eq!(clock.now().since(began), Duration::from_millis(500));
        gate.pause(clock.now().after(Duration::from_secs(30)), clock.now());
        let refused = gate.acquire(&set, 1, &clock, Moment::NEVER).await.unwrap_err();
        assert_eq!((refused.reason, refused.wait > Duration::from_secs(29)), (RateReason::Paused, true));
    }
}
