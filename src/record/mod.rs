//! What happened: events as they come, and after the reply the audit log and where it is kept, its history, metrics.
//!
//! A request pushes one record and counts; nothing here makes it wait. Everything that waits for a database runs in
//! a task of its own.

mod audit;
mod events;
mod history;
mod logs;
mod metrics;
mod store;

pub(crate) use crate::policy::events::TypeSet as EventTypes;
pub(crate) use audit::AuditQueue;
pub(crate) use audit::AuditRecord;
pub(crate) use audit::AuditWriter;
pub(crate) use events::Event;
pub(crate) use events::Events;
pub(crate) use events::InvalidationCause;
pub(crate) use events::Item as EventItem;
pub(crate) use events::Reset as EventReset;
pub(crate) use events::Subscription;
pub(crate) use history::HistoryFilter;
pub(crate) use history::HistoryPage;
pub(crate) use logs::Logs;
pub(crate) use metrics::AccessResult;
pub(crate) use metrics::AdaptiveGauges;
pub(crate) use metrics::BackgroundGauges;
pub(crate) use metrics::BreakerGauge;
pub(crate) use metrics::BudgetGauge;
pub(crate) use metrics::CONTENT_TYPE as METRICS_CONTENT_TYPE;
pub(crate) use metrics::CacheGauges;
pub(crate) use metrics::CacheResult;
pub(crate) use metrics::ConfigGauges;
pub(crate) use metrics::HedgeGauge;
pub(crate) use metrics::LimiterGauges;
pub(crate) use metrics::LimiterMetrics;
pub(crate) use metrics::LoadGauges;
pub(crate) use metrics::Metrics;
pub(crate) use metrics::QuotaGauges;
pub(crate) use metrics::RateGauges;
pub(crate) use metrics::ReloadResult;
pub(crate) use metrics::Role;
pub(crate) use metrics::RouteMetrics;
pub(crate) use metrics::Scrape;
pub(crate) use metrics::SourceLimitGauges;
pub(crate) use metrics::SourceMetrics;
pub(crate) use metrics::Stage;
pub(crate) use metrics::ThrottleGauges;
pub(crate) use metrics::limiter_of_route;
pub(crate) use metrics::limiter_of_source;
pub(crate) use metrics::tell_tide;
pub(crate) use store::Store;
pub(crate) use store::StoreError;
