//! What limits of clients count. Never by client: their number has no bound.

use std::sync::Arc;

use crate::record::metrics::family::Family;
use crate::record::metrics::family::Labels;
use crate::record::metrics::family::number;

/// One limit, as it is at this moment.
#[derive(Debug)]
pub(crate) struct QuotaGauges {
    /// Its name; of a route's own, the route.
    pub(crate) limit: Arc<str>,
    pub(crate) keys: u64,
    pub(crate) allowed: u64,
    pub(crate) limited: u64,
    pub(crate) concurrent: u64,
    pub(crate) overflowed: u64,
    pub(crate) refunded: u64,
}

pub(super) fn families(quotas: &[QuotaGauges], families: &mut Vec<Family>) {
    let label = |quota: &QuotaGauges| -> Labels { vec![("policy", quota.limit.to_string())] };
    let counter = |name, help, count: fn(&QuotaGauges) -> u64| {
        Family::counter(name, help, quotas.iter().map(|quota| (label(quota), count(quota))).collect())
    };
    let mut requests = Vec::new();
    for quota in quotas {
        for (result, count) in
            [("allowed", quota.allowed), ("limited", quota.limited), ("concurrent", quota.concurrent)]
        {
            requests.push((vec![("policy", quota.limit.to_string()), ("result", result.to_owned())], count));
        }
    }
    families.extend([
        Family::counter("aggd_rate_limit_requests", "Requests held against limits of clients", requests),
        Family::gauge(
            "aggd_rate_limit_keys",
            "Clients that limits remember",
            quotas.iter().map(|quota| (label(quota), number(quota.keys))).collect(),
        ),
        counter("aggd_rate_limit_overflow", "Requests counted in the place that clients without room share", |quota| {
            quota.overflowed
        }),
        counter("aggd_rate_limit_refunded", "Requests given back, a later layer having refused them", |quota| {
            quota.refunded
        }),
    ]);
}
