//! What a scrape reads from elsewhere: numbers whose truth is a circuit, the cache store, a gate, the audit queue.

use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use crate::base::Name;
use crate::policy::breaker::CircuitState;
use crate::policy::breaker::Counts;
use crate::policy::breaker::DenyReason;
use crate::policy::limiter::LimiterCounts;
use crate::record::audit::AuditCounts;
use crate::record::events::EventCounts;
use crate::record::metrics::background;
use crate::record::metrics::background::BackgroundGauges;
use crate::record::metrics::family::Family;
use crate::record::metrics::family::Labels;
use crate::record::metrics::family::alone;
use crate::record::metrics::family::by;
use crate::record::metrics::family::number;
use crate::record::metrics::limits::SourceLimitGauges;
use crate::record::metrics::quota;
use crate::record::metrics::quota::QuotaGauges;
use crate::record::metrics::retry;
use crate::record::metrics::retry::BudgetGauge;
use crate::record::metrics::retry::HedgeGauge;
use crate::record::metrics::shedding::LoadGauges;

/// The state of everything that is not counted here, at one moment.
#[derive(Debug)]
pub(crate) struct Scrape {
    /// The circuits of the configuration in force.
    pub(crate) breakers: Vec<BreakerGauge>,
    /// The retry budgets of sources that make further attempts.
    pub(crate) budgets: Vec<BudgetGauge>,
    /// How long sources that hedge wait before they do.
    pub(crate) hedge_delays: Vec<HedgeGauge>,
    /// The limiters.
    pub(crate) limiters: Vec<LimiterGauges>,
    /// The further limits of sources.
    pub(crate) source_limits: SourceLimitGauges,
    /// The limits of clients.
    pub(crate) quotas: Vec<QuotaGauges>,
    /// The cache store.
    pub(crate) cache: CacheGauges,
    /// The audit queue; `None` with `database: off`.
    pub(crate) audit: Option<AuditCounts>,
    /// The event bus.
    pub(crate) events: EventCounts,
    /// The configuration in force.
    pub(crate) config: ConfigGauges,
    /// The requests under way, and how hard the machine is pressed.
    pub(crate) load: LoadGauges,
    /// The queues of work behind the replies.
    pub(crate) background: Vec<BackgroundGauges>,
    /// Client connections now.
    pub(crate) connections: u64,
    /// When the process started.
    pub(crate) started: SystemTime,
    /// How long it has run.
    pub(crate) uptime: Duration,
    /// The version of it.
    pub(crate) version: &'static str,
}

/// One circuit.
#[derive(Debug, Clone)]
pub(crate) struct BreakerGauge {
    pub(crate) source: Name,
    /// `scheme://host:port`.
    pub(crate) endpoint: Arc<str>,
    /// As it is in effect now, without traffic.
    pub(crate) state: CircuitState,
    pub(crate) counts: Counts,
}

/// One limiter.
#[derive(Debug, Clone)]
pub(crate) struct LimiterGauges {
    /// Its name: `global`, `source:weather`, `route:/cities`.
    pub(crate) limiter: String,
    /// Permits out.
    pub(crate) active: u64,
    /// Permits there are.
    pub(crate) limit: u64,
    /// Callers in its queue.
    pub(crate) waiting: u64,
    pub(crate) counts: LimiterCounts,
}

/// The cache store.
#[derive(Debug, Clone, Default)]
pub(crate) struct CacheGauges {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    pub(crate) max_entries: u64,
    pub(crate) max_bytes: u64,
    /// Calls under way that others may join.
    pub(crate) flights: u64,
    /// Entries that went, by cause.
    pub(crate) evictions: Vec<(&'static str, u64)>,
    /// Fetches behind a reply, by result.
    pub(crate) refreshes: Vec<(&'static str, u64)>,
    /// Keys whose callers make calls of their own, and how often there was no room for one more.
    pub(crate) passes: u64,
    pub(crate) passes_dropped: u64,
    /// Answers not stored, because of an invalidation or of a later call.
    pub(crate) store_discarded: u64,
}

/// The configuration in force.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ConfigGauges {
    pub(crate) generation: u64,
    /// Whether the last reload was not refused.
    pub(crate) last_reload_successful: bool,
    /// Findings of the last load.
    pub(crate) findings: u64,
}

impl Scrape {
    pub(super) fn families(&self, families: &mut Vec<Family>) {
        breakers(&self.breakers, families);
        retry::balances(&self.budgets, families);
        retry::delays(&self.hedge_delays, families);
        limiters(&self.limiters, families);
        self.source_limits.families(families);
        quota::families(&self.quotas, families);
        self.cache.families(families);
        self.load.families(families);
        background::families(&self.background, families);
        if let Some(audit) = &self.audit {
            families.extend([
                gauge("aggd_audit_pending", "Audit records not yet written", audit.pending),
                counter("aggd_audit_written", "Audit records written", audit.written),
                counter("aggd_audit_dropped", "Audit records dropped, the queue being full", audit.dropped),
                counter("aggd_audit_failed_batches", "Writes of audit records that failed", audit.failed_batches),
            ]);
        }
        self.events.families(families);
        let successful = u64::from(self.config.last_reload_successful);
        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        let version = vec![(vec![("version", self.version.to_owned())], 1.0)];
        families.extend([
            gauge("aggd_config_generation", "The generation in force", self.config.generation),
            gauge("aggd_config_last_reload_successful", "Whether the last reload was not refused", successful),
            gauge("aggd_config_findings", "Findings of the last load", self.config.findings),
            gauge("aggd_connections", "Client connections", self.connections),
            Family::gauge("aggd_build_info", "The version that runs", version),
            Family::gauge("aggd_uptime_seconds", "How long the process has run", alone(self.uptime.as_secs_f64())),
            Family::gauge(
                "process_start_time_seconds",
                "When the process started, in seconds since 1970",
                alone(started.as_secs_f64()),
            ),
        ]);
    }
}

fn breakers(breakers: &[BreakerGauge], families: &mut Vec<Family>) {
    let labels = |breaker: &BreakerGauge, more: &[(&'static str, &str)]| -> Labels {
        let own = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let of = [("source", breaker.source.to_string()), ("endpoint", breaker.endpoint.to_string())];
        of.into_iter().chain(own).collect()
    };
    let mut states = Vec::new();
    let mut transitions = Vec::new();
    let mut calls = Vec::new();
    let mut rejected = Vec::new();
    let mut late = Vec::new();
    for breaker in breakers {
        let counts = &breaker.counts;
        states.push((labels(breaker, &[]), number(breaker.state.gauge().unsigned_abs())));
        transitions.extend(counts.transitions.iter().map(|seen| {
            let told = [("from", seen.from.as_str()), ("to", seen.to.as_str()), ("reason", seen.reason.as_str())];
            (labels(breaker, &told), seen.count)
        }));
        let outcomes = [
            ("success", counts.successes),
            ("failure", counts.failures),
            ("throttled", counts.throttled),
            ("neutral", counts.neutral),
        ];
        calls.extend(outcomes.map(|(outcome, count)| (labels(breaker, &[("outcome", outcome)]), count)));
        let reasons = [
            (DenyReason::Open, counts.rejected_open),
            (DenyReason::HalfOpenFull, counts.rejected_half_open_full),
            (DenyReason::ForcedOpen, counts.rejected_forced_open),
        ];
        rejected.extend(reasons.map(|(reason, count)| (labels(breaker, &[("reason", reason.as_str())]), count)));
        late.push((labels(breaker, &[]), counts.late_results));
    }
    families.extend([
        Family::gauge("aggd_breaker_state", "0 closed, 1 half_open, 2 open, 3 forced_open, 4 forced_closed", states),
        Family::counter("aggd_breaker_transitions", "Changes of circuits", transitions),
        Family::counter("aggd_breaker_calls", "Results that circuits were told", calls),
        Family::counter("aggd_breaker_rejected", "Calls that circuits refused", rejected),
        Family::counter("aggd_breaker_late_results", "Results from before a circuit's last change", late),
    ]);
}

fn limiters(limiters: &[LimiterGauges], families: &mut Vec<Family>) {
    let gauges = |name, help, value: fn(&LimiterGauges) -> u64| {
        let labelled = |one: &LimiterGauges| (vec![("limiter", one.limiter.clone())], number(value(one)));
        Family::gauge(name, help, limiters.iter().map(labelled).collect())
    };
    let rejected = limiters.iter().flat_map(|one| {
        let reasons = [
            ("capacity_full", one.counts.rejected_capacity_full),
            ("queue_timeout", one.counts.rejected_queue_timeout),
            ("deadline", one.counts.rejected_deadline),
        ];
        reasons.map(|(reason, count)| (vec![("limiter", one.limiter.clone()), ("reason", reason.to_owned())], count))
    });
    families.extend([
        gauges("aggd_limiter_active", "Permits out", |limiter| limiter.active),
        gauges("aggd_limiter_limit", "Permits there are", |limiter| limiter.limit),
        gauges("aggd_limiter_waiting", "Callers waiting for a permit", |limiter| limiter.waiting),
        Family::counter("aggd_limiter_rejected", "Permits refused", rejected.collect()),
    ]);
}

impl CacheGauges {
    fn families(&self, families: &mut Vec<Family>) {
        families.extend([
            gauge("aggd_cache_entries", "Entries in the cache", self.entries),
            gauge("aggd_cache_bytes", "What the entries weigh", self.bytes),
            gauge("aggd_cache_max_entries", "The most entries the cache holds", self.max_entries),
            gauge("aggd_cache_max_bytes", "The most the entries may weigh", self.max_bytes),
            Family::counter(
                "aggd_cache_evictions",
                "Entries that went",
                by("cause", self.evictions.clone(), |cause| cause),
            ),
            Family::counter(
                "aggd_cache_refresh",
                "Fetches behind a reply",
                by("result", self.refreshes.clone(), |how| how),
            ),
            counter("aggd_cache_store_discarded", "Answers that came too late to be stored", self.store_discarded),
            gauge("aggd_cache_passes", "Keys whose answers the upstream forbids to keep or share", self.passes),
            counter("aggd_cache_passes_dropped", "Keys not marked so, for want of room", self.passes_dropped),
            gauge("aggd_flights", "Upstream calls under way that callers may join", self.flights),
        ]);
    }
}

fn gauge(name: &'static str, help: &'static str, value: u64) -> Family {
    Family::gauge(name, help, alone(number(value)))
}

fn counter(name: &'static str, help: &'static str, value: u64) -> Family {
    Family::counter(name, help, alone(value))
}
