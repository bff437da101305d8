//! What a source may spend on attempts beyond the first of each call, shared by all its calls.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::base::Moment;
use crate::policy::retry::Budget;
use crate::policy::retry::BudgetSettings;

/// The budgets of one source. They live as long as the source's name does, over reloads.
#[derive(Debug, Default)]
pub(crate) struct Allowance {
    retries: Mutex<Budget>,
    hedges: Mutex<Budget>,
}

/// The settings of both. `None`: no bound, or nothing to bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Purse<'a> {
    pub(crate) retries: Option<&'a BudgetSettings>,
    /// Hedges are paid from this one as well.
    pub(crate) hedges: Option<BudgetSettings>,
}

impl Allowance {
    /// A call sent its first attempt.
    pub(crate) fn earn(&self, purse: Purse<'_>, now: Moment) {
        if let Some(set) = purse.retries {
            lock(&self.retries).deposit(set, now);
        }
        if let Some(set) = &purse.hedges {
            lock(&self.hedges).deposit(set, now);
        }
    }

    /// Whether one more attempt may be made; it is paid for, from every budget there is or from none.
    pub(crate) fn spend(&self, purse: Purse<'_>, now: Moment) -> bool {
        let Some(set) = &purse.hedges else {
            return purse.retries.is_none_or(|retries| lock(&self.retries).withdraw(retries, now));
        };
        let mut hedges = lock(&self.hedges);
        if hedges.balance(set, now) < Budget::TOKEN {
            return false;
        }
        let paid = purse.retries.is_none_or(|retries| lock(&self.retries).withdraw(retries, now));
        paid && hedges.withdraw(set, now)
    }

    /// What is left for retries, in thousandths of an attempt.
    pub(crate) fn balance(&self, set: &BudgetSettings, now: Moment) -> i64 {
        lock(&self.retries).balance(set, now)
    }
}

/// A poisoned lock is taken all the same: a budget's calls do not panic, and each leaves it whole.
fn lock(budget: &Mutex<Budget>) -> MutexGuard<'_, Budget> {
    budget.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_hedge_is_paid_from_both_budgets_or_from_none() {
        let allowance = Allowance::default();
        let retries = BudgetSettings { ratio: 0.0, min_per_sec: 0.1, ttl: Duration::from_secs(10) };
        let hedges = BudgetSettings { ratio: 1.0, min_per_sec: 0.0, ttl: Duration::from_secs(10) };
        let purse = Purse { retries: Some(&retries), hedges: Some(hedges) };
        let now = Moment::ZERO;
        assert!(!allowance.spend(purse, now), "nothing was earned for hedges");
        assert_eq!(allowance.balance(&retries, now), 1000, "and nothing was paid");
        for _ in 0..3 {
            allowance.earn(purse, now);
        }
        assert!(allowance.spend(purse, now));
        assert!(!allowance.spend(purse, now), "the retries have none left");
        assert!(allowance.spend(Purse { retries: None, ..purse }, now), "and nothing was paid for hedges in vain");
    }
}
