//! What a source counts: its calls and attempts, what the cache did for it, its fallbacks.
//!
//! Attempts belong to an endpoint, everything else to the source by name, so a changed URL begins new attempt series
//! and leaves the rest alone. The series of an endpoint last as long as somebody holds it.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

use crate::policy::outcome::Kind;
use crate::record::metrics::family::Family;
use crate::record::metrics::family::Labels;
use crate::record::metrics::labels::CacheResult;
use crate::record::metrics::labels::Role;
use crate::record::metrics::retry;
use crate::record::metrics::retry::RetrySeries;
use crate::record::metrics::series::Tally;
use crate::record::metrics::series::Timings;

/// The counters of one source and one endpoint of it.
#[derive(Debug)]
pub(crate) struct SourceMetrics {
    source: Arc<SourceSeries>,
    endpoint: Arc<EndpointSeries>,
}

#[derive(Debug, Default)]
pub(super) struct SourceSeries {
    duration: Timings<&'static str>,
    cache: Tally<CacheResult>,
    coalesced: Tally<Role>,
    fallbacks: Tally<&'static str>,
    retry: RetrySeries,
    rate_wait: Timings<()>,
    /// Steps in vain, each with why.
    in_vain: Tally<(&'static str, &'static str)>,
    endpoints: Mutex<Vec<Weak<EndpointSeries>>>,
}

#[derive(Debug)]
struct EndpointSeries {
    endpoint: Box<str>,
    attempts: Timings<Kind>,
    timeouts: Counter,
}

impl SourceMetrics {
    pub(super) fn of(source: Arc<SourceSeries>, endpoint: &str) -> Arc<Self> {
        let endpoint = source.endpoint(endpoint);
        Arc::new(Self { source, endpoint })
    }

    /// A request got this source's part. `status` is the result's: `ok`, `stale`, `fallback`, `failed`, `skipped`.
    pub(crate) fn answered(&self, status: &'static str, took: Duration) {
        self.source.duration.observe(status, took);
    }

    /// One HTTP exchange ended.
    pub(crate) fn attempted(&self, kind: Kind, took: Duration) {
        self.endpoint.attempts.observe(kind, took);
        if kind == Kind::AttemptTimeout {
            self.endpoint.timeouts.inc();
        }
    }

    /// The cache was asked, or passed by.
    pub(crate) fn cache(&self, result: CacheResult) {
        self.source.cache.count(result);
    }

    /// A caller began a flight, or joined one.
    pub(crate) fn coalesced(&self, role: Role) {
        self.source.coalesced.count(role);
    }

    /// Tokens of the rate limit were had after this long.
    pub(crate) fn rate_waited(&self, waited: Duration) {
        self.source.rate_wait.observe((), waited);
    }

    /// Another attempt follows one that ended so.
    pub(crate) fn retried(&self, kind: Kind) {
        self.source.retry.retries.count(kind);
    }

    /// An attempt beside another one has `won`, has `lost`, or was `suppressed`.
    pub(crate) fn hedged(&self, result: &'static str) {
        self.source.retry.hedges.count(result);
    }

    /// A call failed for good: no attempt followed, for this reason.
    pub(crate) fn retry_stopped(&self, reason: &'static str) {
        self.source.retry.stopped.count(reason);
    }

    /// A fallback stood in: `stale`, `source`, `value`.
    pub(crate) fn fell_back(&self, via: &'static str) {
        self.source.fallbacks.count(via);
    }
}

impl SourceMetrics {
    /// A step of `fallback` had nothing: `why` is an outcome, `too_old` or `bad_parameter`.
    pub(crate) fn fell_through(&self, step: &'static str, why: &'static str) {
        self.source.in_vain.count((step, why));
    }
}

impl SourceSeries {
    fn endpoint(&self, endpoint: &str) -> Arc<EndpointSeries> {
        let mut endpoints = self.lock();
        endpoints.retain(|known| known.strong_count() > 0);
        if let Some(known) = endpoints.iter().filter_map(Weak::upgrade).find(|known| *known.endpoint == *endpoint) {
            return known;
        }
        let (attempts, timeouts) = (Timings::default(), Counter::default());
        let new = Arc::new(EndpointSeries { endpoint: endpoint.into(), attempts, timeouts });
        endpoints.push(Arc::downgrade(&new));
        new
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<EndpointSeries>>> {
        self.endpoints.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Sources = [(Arc<str>, Arc<SourceSeries>)];

pub(super) fn families(sources: &Sources, families: &mut Vec<Family>) {
    calls_and_attempts(sources, families);
    retry::families(sources.iter().map(|(name, source)| (name, &source.retry)), families);
    families.extend([
        Family::counter(
            "aggd_cache_requests",
            "What the cache had",
            tallied(sources, |source| &source.cache, |result| ("result", result.as_str())),
        ),
        Family::counter(
            "aggd_coalesced",
            "Callers of flights, by whether they began or joined one",
            tallied(sources, |source| &source.coalesced, |role| ("role", role.as_str())),
        ),
        Family::counter(
            "aggd_fallbacks",
            "Fallbacks that stood in for a source",
            tallied(sources, |source| &source.fallbacks, |via| ("via", via)),
        ),
        Family::counter("aggd_fallback_failed", "Steps of `fallback` that had nothing", in_vain(sources)),
    ]);
}

fn calls_and_attempts(sources: &Sources, families: &mut Vec<Family>) {
    let mut duration = Vec::new();
    let mut attempts = Vec::new();
    let mut timeouts = Vec::new();
    for (name, source) in sources {
        let owned = |labels: &[(&'static str, &str)]| labelled(name, labels);
        let answered = source.duration.all().into_iter();
        duration.extend(answered.map(|(status, timing)| (owned(&[("status", status)]), timing)));
        for endpoint in source.lock().iter().filter_map(Weak::upgrade) {
            let at = ("endpoint", &*endpoint.endpoint);
            let ended = endpoint.attempts.all().into_iter();
            attempts.extend(ended.map(|(kind, timing)| (owned(&[at, ("outcome", kind.as_str())]), timing)));
            timeouts.push((owned(&[at]), endpoint.timeouts.get()));
        }
    }
    let waits =
        sources.iter().flat_map(|(name, source)| source.rate_wait.all().into_iter().map(move |wait| (name, wait)));
    let rate_waits = waits.map(|(name, ((), timing))| (labelled(name, &[]), timing)).collect();
    families.extend([
        Family::histogram("aggd_rate_wait_seconds", "How long tokens of rate limits were waited for", rate_waits),
        Family::histogram("aggd_source_duration_seconds", "How long requests waited for a source", duration),
        Family::histogram("aggd_attempt_duration_seconds", "How long HTTP exchanges took", attempts),
        Family::counter("aggd_attempt_timeout", "HTTP exchanges cut by the operator's timer", timeouts),
    ]);
}

/// The series of one tally of every source.
fn tallied<K: Copy + PartialEq>(
    sources: &Sources,
    tally: fn(&SourceSeries) -> &Tally<K>,
    label: fn(K) -> (&'static str, &'static str),
) -> Vec<(Labels, u64)> {
    let counts = sources.iter().flat_map(|(name, source)| tally(source).all().into_iter().map(move |one| (name, one)));
    counts.map(|(name, (kind, count))| (labelled(name, &[label(kind)]), count)).collect()
}

fn in_vain(sources: &Sources) -> Vec<(Labels, u64)> {
    let counts = sources.iter().flat_map(|(name, source)| source.in_vain.all().into_iter().map(move |one| (name, one)));
    counts.map(|(name, ((step, why), count))| (labelled(name, &[("via", step), ("reason", why)]), count)).collect()
}

fn labelled(source: &str, labels: &[(&'static str, &str)]) -> Labels {
    let own = labels.iter().map(|(name, value)| (*name, (*value).to_owned()));
    std::iter::once(("source", source.to_owned())).chain(own).collect()
}
