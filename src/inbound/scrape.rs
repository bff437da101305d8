//! What the metrics page shows besides what is counted as it happens: states and levels at this moment.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::base::Moment;
use crate::inbound::load;
use crate::inbound::server::Server;
use crate::live::ALL_ENDPOINTS;
use crate::live::Gate;
use crate::live::LiveSource;
use crate::live::Snapshot;
use crate::live::quota::LiveQuota;
use crate::plan::CallPlan;
use crate::record::AdaptiveGauges;
use crate::record::BreakerGauge;
use crate::record::BudgetGauge;
use crate::record::CacheGauges;
use crate::record::ConfigGauges;
use crate::record::HedgeGauge;
use crate::record::LimiterGauges;
use crate::record::QuotaGauges;
use crate::record::RateGauges;
use crate::record::Scrape;
use crate::record::SourceLimitGauges;
use crate::record::ThrottleGauges;
use crate::record::limiter_of_source;

/// The global semaphore, and each source's bulkhead.
fn limiters(snapshot: &Snapshot) -> Vec<LimiterGauges> {
    let gauges = |limiter: String, gate: &Gate| LimiterGauges {
        limiter,
        active: gate.active().into(),
        limit: gate.limit().into(),
        waiting: gate.waiting().into(),
        counts: gate.counts(),
    };
    let bulkhead = |source: &Arc<LiveSource>| {
        let gate = &source.limits.bulkhead.as_ref()?.gate;
        Some(gauges(limiter_of_source(&source.plan.name), gate))
    };
    let called = snapshot.sources.iter().filter(|source| matches!(source.plan.call, CallPlan::Http(_)));
    std::iter::once(gauges("global".to_owned(), &snapshot.gate)).chain(called.filter_map(bulkhead)).collect()
}

/// The further limits of the sources that have them.
fn source_limits(snapshot: &Snapshot, now: Moment) -> SourceLimitGauges {
    let rates = snapshot.sources.iter().filter_map(|source| {
        let gate = &source.limits.rate.as_ref()?.gate;
        let view = gate.view(now);
        Some(RateGauges {
            source: source.plan.name.clone(),
            tokens: view.tokens.into(),
            waiting: view.waiting.into(),
            paused: !view.paused_for.is_zero(),
            refused: gate.counts(),
        })
    });
    let adaptive = snapshot.sources.iter().filter_map(|source| {
        let seen = source.limits.adaptive.as_ref()?.view();
        Some(AdaptiveGauges { source: source.plan.name.clone(), seen })
    });
    let throttles = snapshot.sources.iter().filter_map(|source| {
        let seen = source.limits.throttle.as_ref()?.view(now);
        Some(ThrottleGauges { source: source.plan.name.clone(), seen })
    });
    SourceLimitGauges { rates: rates.collect(), adaptive: adaptive.collect(), throttles: throttles.collect() }
}

fn breakers(snapshot: &Snapshot, now: Moment) -> Vec<BreakerGauge> {
    let called = snapshot.sources.iter().filter(|source| matches!(source.plan.call, CallPlan::Http(_)));
    let breakers = called.flat_map(|source| {
        let alone = source.plan.has_one_circuit().then(|| Arc::from(ALL_ENDPOINTS));
        source.circuits().iter().map(move |endpoint| BreakerGauge {
            source: source.plan.name.clone(),
            endpoint: alone.clone().unwrap_or_else(|| Arc::clone(&endpoint.name)),
            state: endpoint.circuit.view(&source.plan.breaker, now).state,
            counts: endpoint.circuit.counts(),
        })
    });
    breakers.collect()
}

fn hedge_delays(snapshot: &Snapshot, now: Moment) -> Vec<HedgeGauge> {
    let delays = snapshot.sources.iter().filter_map(|source| {
        let delay = source.hedge_delay(now)?;
        Some(HedgeGauge { source: source.plan.name.clone(), delay })
    });
    delays.collect()
}

fn budgets(snapshot: &Snapshot, now: Moment) -> Vec<BudgetGauge> {
    let budgets = snapshot.sources.iter().filter_map(|source| {
        let balance = source.budget_balance(now)?;
        Some(BudgetGauge { source: source.plan.name.clone(), balance })
    });
    budgets.collect()
}

/// The metrics page.
pub(crate) fn text(server: &Server) -> String {
    let snapshot = server.shared.live.load();
    let clock = &server.shared.clock;
    let now = clock.now();
    let limits = snapshot.plan.server.cache;
    let counted = snapshot.cache.counters();
    let load = server.status.last();
    let uptime = now.since(server.started);
    let scrape = Scrape {
        quotas: snapshot.quotas.iter().map(|quota| quota_gauges(quota)).collect(),
        breakers: breakers(&snapshot, now),
        budgets: budgets(&snapshot, now),
        hedge_delays: hedge_delays(&snapshot, now),
        limiters: limiters(&snapshot).into_iter().chain(load::bulkheads(&snapshot)).collect(),
        source_limits: source_limits(&snapshot, now),
        load: load::gauges(&snapshot, now),
        background: server.shared.background(),
        cache: CacheGauges {
            entries: counted.entries,
            bytes: counted.bytes,
            max_entries: limits.max_entries,
            max_bytes: limits.max_bytes.as_u64(),
            flights: counted.flights,
            evictions: vec![
                ("capacity", counted.evicted_capacity),
                ("expired", counted.evicted_expired),
                ("invalidated", counted.evicted_invalidated),
                ("oversize", counted.evicted_oversize),
                ("forbidden", counted.evicted_forbidden),
            ],
            refreshes: vec![
                ("ok", counted.refresh_ok),
                ("not_modified", counted.refresh_not_modified),
                ("failed", counted.refresh_failed),
                ("declined", counted.refresh_declined),
            ],
            passes: counted.passes,
            passes_dropped: counted.passes_dropped,
            store_discarded: counted.store_discarded,
        },
        audit: server.shared.audit.as_ref().map(|queue| queue.counts()),
        events: server.shared.events.counts(),
        config: ConfigGauges {
            generation: snapshot.generation,
            last_reload_successful: !load.is_refused(),
            findings: u64::try_from(load.findings).unwrap_or(u64::MAX),
        },
        connections: u64::try_from(server.connections.load(Ordering::Relaxed)).unwrap_or(u64::MAX),
        started: clock.wall() - uptime,
        uptime,
        version: env!("CARGO_PKG_VERSION"),
    };
    server.shared.metrics.encode(&scrape)
}

fn quota_gauges(quota: &LiveQuota) -> QuotaGauges {
    let counts = quota.counts();
    QuotaGauges {
        limit: Arc::clone(&quota.set.name),
        keys: quota.keys().into(),
        allowed: counts.allowed,
        limited: counts.limited,
        concurrent: counts.concurrent,
        overflowed: counts.overflowed,
        refunded: counts.refunded,
    }
}
