//! What is asked of a source as a whole: whether a call would be let through, where it would go, how its circuits are.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::base::Moment;
use crate::live::allowance::Purse;
use crate::live::endpoint::LiveEndpoint;
use crate::live::snapshot::LiveSource;
use crate::policy::breaker::CircuitState;
use crate::policy::breaker::Denied;
use crate::policy::breaker::View;
use crate::policy::breaker::overall;
use crate::policy::retry::BudgetSettings;
use crate::policy::retry::Course;
use crate::policy::strategy::HedgeSettings;
use crate::policy::strategy::Odds;

impl LiveSource {
    /// The endpoint at a place of the plan's list.
    pub(crate) fn endpoint(&self, place: usize) -> Option<&LiveEndpoint> {
        self.endpoints.get(place)
    }

    /// Whether any circuit would let a call through, before anything is done for it. Refusals are counted; what is told
    /// is when the first of them is worth asking again.
    pub(crate) fn ask(&self, now: Moment) -> Result<(), Denied> {
        let mut soonest: Option<Denied> = None;
        for endpoint in &self.endpoints {
            match endpoint.circuit.peek(&self.plan.breaker, now) {
                Ok(()) => return Ok(()),
                Err(denied) if soonest.is_none_or(|known| denied.wait < known.wait) => soonest = Some(denied),
                Err(_) => {}
            }
        }
        let Some(denied) = soonest else { return Ok(()) };
        for circuit in self.circuits() {
            circuit.circuit.count_refusal(denied.reason);
        }
        Err(denied)
    }

    /// Whether the circuit of an endpoint would let a call through. Counts nothing.
    pub(crate) fn admits(&self, place: usize, now: Moment) -> bool {
        self.endpoint(place).is_some_and(|endpoint| endpoint.circuit.peek(&self.plan.breaker, now).is_ok())
    }

    /// Whether the circuit of an endpoint is closed.
    pub(crate) fn is_closed(&self, place: usize, now: Moment) -> bool {
        let closed = [CircuitState::Closed, CircuitState::ForcedClosed];
        self.endpoint(place)
            .is_some_and(|endpoint| closed.contains(&endpoint.circuit.view(&self.plan.breaker, now).state))
    }

    /// The first choice among its endpoints.
    pub(crate) fn first(&self) -> usize {
        if self.endpoints.len() < 2 {
            return 0;
        }
        let odds = Odds { turn: self.turn.fetch_add(1, Ordering::Relaxed), draw: fastrand::f64() };
        let pending = |place| self.endpoint(place).map_or(0, |endpoint| endpoint.pending.load(Ordering::Relaxed));
        self.plan.ring.first(self.plan.strategy.order, odds, pending)
    }

    /// The endpoint that a call goes to which makes one attempt; `None`: no circuit lets it through.
    pub(crate) fn choose(&self, now: Moment) -> Option<usize> {
        Course::new(1, self.first()).next(&self.plan.terms, |place| self.admits(place, now))
    }

    /// Its circuits, each once: with `scope: source` all endpoints have the same one.
    pub(crate) fn circuits(&self) -> &[LiveEndpoint] {
        let all = &self.endpoints;
        if self.plan.has_one_circuit() { all.get(..1).unwrap_or_default() } else { all }
    }

    /// The circuits as one, as they are at this moment.
    pub(crate) fn view(&self, now: Moment) -> Option<View> {
        overall(self.circuits().iter().map(|endpoint| endpoint.circuit.view(&self.plan.breaker, now)))
    }

    /// What further attempts are paid from.
    pub(crate) fn purse(&self) -> Purse<'_> {
        let retries = self.plan.terms.retry.budget.as_ref();
        let hedges = self.plan.strategy.hedge().map(|set| hedge_budget(set, retries));
        Purse { retries, hedges }
    }

    /// Whether it ever makes more than one attempt at a call.
    pub(crate) fn spends(&self) -> bool {
        self.plan.terms.retry.max_attempts > 1 || self.plan.strategy.hedge().is_some()
    }

    /// What is left for further attempts, in thousandths of one; `None` where none is ever made, or no budget bounds them.
    pub(crate) fn budget_balance(&self, now: Moment) -> Option<i64> {
        let budget = self.plan.terms.retry.budget.as_ref().filter(|_| self.spends())?;
        Some(self.allowance.balance(budget, now))
    }

    /// How long an attempt may take now before another is launched beside it; `None`: this source does not hedge.
    pub(crate) fn hedge_delay(&self, now: Moment) -> Option<Duration> {
        let set = self.plan.strategy.hedge()?;
        Some(self.latencies.lock().unwrap_or_else(PoisonError::into_inner).delay(set, now))
    }

    /// An attempt took this long, or was cut short after it.
    pub(crate) fn took(&self, set: &HedgeSettings, took: Duration, now: Moment) {
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner).record(set, took, now);
    }
}

/// Hedges are remembered as long as retries are, and none comes without being earned.
fn hedge_budget(set: &HedgeSettings, retries: Option<&BudgetSettings>) -> BudgetSettings {
    const TTL: Duration = Duration::from_secs(10);

    BudgetSettings { ratio: set.max_extra_load, min_per_sec: 0.0, ttl: retries.map_or(TTL, |retries| retries.ttl) }
}
