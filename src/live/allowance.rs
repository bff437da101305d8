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
}

impl Allowance {
    /// A call sent its first attempt.
    pub(crate) fn earn(&self, set: &BudgetSettings, now: Moment) {
        lock(&self.retries).deposit(set, now);
    }

    /// Whether one more attempt may be made; it is paid for.
    pub(crate) fn spend(&self, set: &BudgetSettings, now: Moment) -> bool {
        lock(&self.retries).withdraw(set, now)
    }

    /// What is left, in thousandths of an attempt.
    pub(crate) fn balance(&self, set: &BudgetSettings, now: Moment) -> i64 {
        lock(&self.retries).balance(set, now)
    }
}

/// A poisoned lock is taken all the same: a budget's calls do not panic, and each leaves it whole.
fn lock(budget: &Mutex<Budget>) -> MutexGuard<'_, Budget> {
    budget.lock().unwrap_or_else(PoisonError::into_inner)
}
