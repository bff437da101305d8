//! What the retries of a source count.

use std::sync::Arc;
use std::time::Duration;

use crate::base::Name;
use crate::policy::outcome::Kind;
use crate::record::metrics::family::Family;
use crate::record::metrics::family::Labels;
use crate::record::metrics::series::Tally;

/// The counters of one source.
#[derive(Debug, Default)]
pub(super) struct RetrySeries {
    /// By what made the attempt before them fail.
    pub(super) retries: Tally<Kind>,
    /// Calls that failed for good, by why no attempt followed.
    pub(super) stopped: Tally<&'static str>,
    /// `won`, `lost`, `suppressed`.
    pub(super) hedges: Tally<&'static str>,
}

/// The budget of one source, at one moment.
#[derive(Debug, Clone)]
pub(crate) struct BudgetGauge {
    pub(crate) source: Name,
    /// In thousandths of an attempt.
    pub(crate) balance: i64,
}

/// How long a source waits before it hedges, at one moment.
#[derive(Debug, Clone)]
pub(crate) struct HedgeGauge {
    pub(crate) source: Name,
    pub(crate) delay: Duration,
}

/// One source's counters, with its name.
pub(super) type Owned<'a> = (&'a Arc<str>, &'a RetrySeries);

pub(super) fn families<'a>(sources: impl Iterator<Item = Owned<'a>> + Clone, families: &mut Vec<Family>) {
    let retries = sources.clone().flat_map(|(name, series)| {
        let labelled = move |(kind, count): (Kind, u64)| (labels(name, "outcome", kind.as_str()), count);
        series.retries.all().into_iter().map(labelled)
    });
    let hedges = sources.clone().flat_map(|(name, series)| {
        let labelled = move |(result, count): (&'static str, u64)| (labels(name, "result", result), count);
        series.hedges.all().into_iter().map(labelled)
    });
    let stopped = sources.flat_map(|(name, series)| {
        let labelled = move |(reason, count): (&'static str, u64)| (labels(name, "reason", reason), count);
        series.stopped.all().into_iter().map(labelled)
    });
    families.extend([
        Family::counter("aggd_hedges", "Attempts beside one under way, by what became of them", hedges.collect()),
        Family::counter("aggd_retries", "Further attempts, by how the one before ended", retries.collect()),
        Family::counter(
            "aggd_retry_stopped",
            "Calls that failed for good, by why no attempt followed",
            stopped.collect(),
        ),
    ]);
}

pub(super) fn balances(budgets: &[BudgetGauge], families: &mut Vec<Family>) {
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, and a gauge is read by people and graphs")]
    let gauge = |budget: &BudgetGauge| (vec![("source", budget.source.to_string())], budget.balance as f64 / 1000.0);
    let series = budgets.iter().map(gauge).collect();
    families.push(Family::gauge("aggd_retry_budget_balance", "Further attempts that may be made now", series));
}

pub(super) fn delays(delays: &[HedgeGauge], families: &mut Vec<Family>) {
    let gauge = |one: &HedgeGauge| (vec![("source", one.source.to_string())], one.delay.as_secs_f64());
    let series = delays.iter().map(gauge).collect();
    families.push(Family::gauge("aggd_hedge_delay_seconds", "How long an attempt takes before another begins", series));
}

fn labels(source: &str, label: &'static str, value: &str) -> Labels {
    vec![("source", source.to_owned()), (label, value.to_owned())]
}
