//! Metrics: what happened, counted where it happened, and the page that `GET /metrics` answers.
//!
//! Whoever counts holds an `Arc` of its source, route or limiter, so the hot path looks up no name. Numbers whose truth
//! lives elsewhere (circuits, the cache store, gates) come in at the scrape, as a [`Scrape`].
//!
//! Labels are bounded: declared names and words of ours, never what a client sent.

mod events;
mod access;
mod background;
mod family;
mod labels;
mod limiter;
mod limits;
mod owners;
mod page;
mod quota;
mod retry;
mod route;
mod scrape;
mod series;
mod server;
mod shedding;
mod source;
mod timing;

pub(crate) use background::BackgroundGauges;
pub(crate) use background::tell_tide;
pub(crate) use labels::AccessResult;
pub(crate) use labels::CacheResult;
pub(crate) use labels::ReloadResult;
pub(crate) use labels::Role;
pub(crate) use labels::Stage;
pub(crate) use limiter::LimiterMetrics;
pub(crate) use limiter::of_route as limiter_of_route;
pub(crate) use limiter::of_source as limiter_of_source;
pub(crate) use limits::AdaptiveGauges;
pub(crate) use limits::RateGauges;
pub(crate) use limits::SourceLimitGauges;
pub(crate) use limits::ThrottleGauges;
pub(crate) use page::CONTENT_TYPE;
pub(crate) use quota::QuotaGauges;
pub(crate) use retry::BudgetGauge;
pub(crate) use retry::HedgeGauge;
pub(crate) use route::RouteMetrics;
pub(crate) use scrape::BreakerGauge;
pub(crate) use scrape::CacheGauges;
pub(crate) use scrape::ConfigGauges;
pub(crate) use scrape::LimiterGauges;
pub(crate) use scrape::Scrape;
pub(crate) use server::ServerMetrics;
pub(crate) use shedding::LoadGauges;
pub(crate) use source::SourceMetrics;

use std::sync::Arc;

use crate::base::Name;
use crate::record::metrics::owners::Owners;

/// Every counter and histogram of the process. One is made in `app`.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// What belongs to no source, route or limiter.
    pub(crate) server: ServerMetrics,
    pub(crate) access: access::AccessMetrics,
    /// What was turned away.
    pub(crate) shedding: shedding::SheddingMetrics,
    sources: Owners<source::SourceSeries>,
    routes: Owners<RouteMetrics>,
    limiters: Owners<LimiterMetrics>,
}

impl Metrics {
    /// Nothing counted yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// What a source counts into; the same counters for the same name, as long as it is retained.
    /// `endpoint` is `scheme://host:port`: nothing of a URL that could be secret or unbounded.
    pub(crate) fn source(&self, name: &Name, endpoint: &str) -> Arc<SourceMetrics> {
        SourceMetrics::of(self.sources.of(name.as_str()), endpoint)
    }

    /// What a route counts into. `path` is the route as declared, never a request's path.
    pub(crate) fn route(&self, path: &str) -> Arc<RouteMetrics> {
        self.routes.of(path)
    }

    /// What a limiter counts into.
    pub(crate) fn limiter(&self, name: &str) -> Arc<LimiterMetrics> {
        self.limiters.of(name)
    }

    /// What the limiter of a source counts into.
    pub(crate) fn source_limiter(&self, name: &Name) -> Arc<LimiterMetrics> {
        self.limiters.of(&limiter::of_source(name))
    }

    /// What the bulkhead of a route counts into.
    pub(crate) fn route_limiter(&self, path: &str) -> Arc<LimiterMetrics> {
        self.limiters.of(&limiter::of_route(path))
    }

    /// Forgets the sources that are not listed. Whoever still holds one counts on unseen, so none comes back.
    pub(crate) fn retain_sources(&self, names: &[Name]) {
        self.sources.retain(|name| names.iter().any(|kept| kept.as_str() == name));
        let source_of = |limiter: &str| limiter.strip_prefix(limiter::OF_SOURCE).map(str::to_owned);
        self.limiters.retain(|name| source_of(name).is_none_or(|name| names.iter().any(|kept| *kept.as_str() == name)));
    }

    /// Forgets the routes that are not listed.
    pub(crate) fn retain_routes(&self, paths: &[&str]) {
        self.routes.retain(|path| paths.contains(&path));
        let route_of = |limiter: &str| limiter.strip_prefix(limiter::OF_ROUTE).map(str::to_owned);
        self.limiters.retain(|name| route_of(name).is_none_or(|path| paths.contains(&path.as_str())));
    }

    /// The page of `GET /metrics`, to be sent as [`CONTENT_TYPE`].
    pub(crate) fn encode(&self, scrape: &Scrape) -> String {
        let mut families = Vec::with_capacity(48);
        route::families(&self.routes.all(), &mut families);
        source::families(&self.sources.all(), &mut families);
        limiter::families(&self.limiters.all(), &mut families);
        self.server.families(&mut families);
        self.access.families(&mut families);
        self.shedding.families(&mut families);
        scrape.families(&mut families);
        page::render(families)
    }
}

#[cfg(test)]
mod tests;
