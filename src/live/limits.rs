//! The limits of one source as its calls share them. They live as long as the source's name does: a reload resizes them
//! and leaves alone who is inside and who waits.

use std::sync::Arc;
use std::time::Duration;

use crate::base::Clock;
use crate::base::Moment;
use crate::base::Name;
use crate::live::adaptive::AdaptiveLimit;
use crate::live::gate::Gate;
use crate::live::rate::RateGate;
use crate::live::throttle::SourceThrottle;
use crate::policy::admission::AdmissionSettings;
use crate::policy::rate::RateLimitSettings;
use crate::record::Event;
use crate::record::Events;
use crate::record::LimiterMetrics;
use crate::record::Metrics;
use crate::record::limiter_of_source;

/// What a source's calls go through before they reach the global semaphore. What is off is `None`.
#[derive(Debug)]
pub(crate) struct SourceLimits {
    pub(crate) bulkhead: Option<Bulkhead>,
    /// Sets the bulkhead's limit.
    pub(crate) adaptive: Option<AdaptiveLimit>,
    pub(crate) rate: Option<RateLimit>,
    pub(crate) throttle: Option<SourceThrottle>,
}

/// The source's own compartment: what fills it leaves the other sources room.
#[derive(Debug, Clone)]
pub(crate) struct Bulkhead {
    pub(crate) gate: Arc<Gate>,
    pub(crate) metrics: Arc<LimiterMetrics>,
}

/// How many of its calls are sent in a time.
#[derive(Debug)]
pub(crate) struct RateLimit {
    pub(crate) gate: Arc<RateGate>,
    pub(crate) settings: RateLimitSettings,
}

/// Whose limits, and what counts and times them.
#[derive(Clone, Copy)]
pub(crate) struct Of<'a> {
    pub(crate) name: &'a Name,
    pub(crate) metrics: &'a Metrics,
    pub(crate) clock: &'a Clock,
}

impl SourceLimits {
    /// The limits of a source: those it had, resized, or new ones.
    pub(crate) fn carry(before: Option<&Self>, settings: &AdmissionSettings, of: Of<'_>) -> Self {
        let adaptive_set = settings.adaptive.zip(settings.bulkhead);
        let bulkhead = settings.bulkhead.map(|set| match before.and_then(|before| before.bulkhead.as_ref()) {
            Some(known) => {
                if adaptive_set.is_none() {
                    known.gate.resize(set, of.clock);
                }
                known.clone()
            }
            None => Bulkhead { gate: Arc::new(Gate::new(set)), metrics: of.metrics.source_limiter(of.name) },
        });
        let adaptive = adaptive_set.zip(bulkhead.as_ref()).map(|(set, bulkhead)| {
            let before = before.and_then(|before| before.adaptive.as_ref());
            AdaptiveLimit::over(&bulkhead.gate, set, before, of.clock)
        });
        let rate = settings.rate_limit.as_ref().map(|set| {
            let gate = match before.and_then(|before| before.rate.as_ref()) {
                Some(known) => {
                    known.gate.retune(set, of.clock.now());
                    Arc::clone(&known.gate)
                }
                None => Arc::new(RateGate::new(set)),
            };
            RateLimit { gate, settings: set.clone() }
        });
        let known = before.and_then(|before| before.throttle.as_ref());
        let throttle = settings.throttle.map(|set| SourceThrottle::new(set, known));
        Self { bulkhead, adaptive, rate, throttle }
    }
}

impl RateLimit {
    /// The upstream said when to come back: all calls of the source wait until then, or fail. Whether that is news.
    pub(crate) fn pause(&self, source: &Name, pause: Duration, now: Moment, events: &Events) -> bool {
        let is_news = self.settings.pause_on_429 && self.gate.pause(now.after(pause), now);
        if is_news {
            tracing::info!(
                event = "rate_limit.paused",
                source = source.as_str(),
                pause_ms = pause.as_secs_f64() * 1000.0,
                "calls paused, as the upstream asked"
            );
            events.of_source(source, Event::RateLimitPaused { limiter: &limiter_of_source(source), pause });
        }
        is_news
    }
}
