//! What a scrape reads of the limits of sources besides their bulkheads.

use crate::base::Name;
use crate::policy::adaptive::AdaptiveView;
use crate::policy::adaptive::Direction;
use crate::policy::rate::RateCounts;
use crate::policy::throttle::ThrottleView;
use crate::record::metrics::family::Family;
use crate::record::metrics::family::Labels;
use crate::record::metrics::family::number;

/// The limit on the rate of one source.
#[derive(Debug, Clone)]
pub(crate) struct RateGauges {
    pub(crate) source: Name,
    /// Tokens that are there.
    pub(crate) tokens: u64,
    /// Calls that wait for theirs.
    pub(crate) waiting: u64,
    /// Whether the upstream asked for a pause that lasts.
    pub(crate) paused: bool,
    pub(crate) refused: RateCounts,
}

/// The adaptive limit of one source.
#[derive(Debug, Clone)]
pub(crate) struct AdaptiveGauges {
    pub(crate) source: Name,
    pub(crate) seen: AdaptiveView,
}

/// The throttle of one source.
#[derive(Debug, Clone)]
pub(crate) struct ThrottleGauges {
    pub(crate) source: Name,
    pub(crate) seen: ThrottleView,
}

/// The limits of all sources that have them.
#[derive(Debug, Clone, Default)]
pub(crate) struct SourceLimitGauges {
    pub(crate) rates: Vec<RateGauges>,
    pub(crate) adaptive: Vec<AdaptiveGauges>,
    pub(crate) throttles: Vec<ThrottleGauges>,
}

impl SourceLimitGauges {
    pub(super) fn families(&self, families: &mut Vec<Family>) {
        self.rates(families);
        self.adaptive(families);
        self.throttles(families);
    }

    fn throttles(&self, families: &mut Vec<Family>) {
        let of = |one: &ThrottleGauges| -> Labels { vec![("source", one.source.to_string())] };
        let window = self.throttles.iter().flat_map(|one| {
            let counts = [("requests", one.seen.requests), ("accepts", one.seen.accepts)];
            let labels = move |what: &str| vec![("source", one.source.to_string()), ("count", what.to_owned())];
            counts.map(|(what, count)| (labels(what), number(count)))
        });
        let share = self.throttles.iter().map(|one| (of(one), one.seen.rejects));
        let rejected = self.throttles.iter().map(|one| (of(one), one.seen.rejected));
        families.extend([
            Family::gauge("aggd_throttle_window", "Calls in the window of a client throttle", window.collect()),
            Family::gauge("aggd_throttle_reject_ratio", "The share of calls that is not sent", share.collect()),
            Family::counter("aggd_throttle_rejected", "Calls that client throttles refused", rejected.collect()),
        ]);
    }

    fn adaptive(&self, families: &mut Vec<Family>) {
        let with = |one: &AdaptiveGauges, label: &'static str, value: &str| -> Labels {
            vec![("source", one.source.to_string()), (label, value.to_owned())]
        };
        let limits = self.adaptive.iter().map(|one| (vec![("source", one.source.to_string())], one.seen.limit));
        let rtts = self.adaptive.iter().flat_map(|one| {
            let kinds = [("short", one.seen.short_rtt), ("long", one.seen.long_rtt)];
            let known = kinds.into_iter().filter_map(|(kind, rtt)| rtt.map(|rtt| (kind, rtt.as_secs_f64())));
            known.map(move |(kind, rtt)| (with(one, "kind", kind), rtt))
        });
        let changes = self.adaptive.iter().flat_map(|one| {
            let directions = [(Direction::Up, one.seen.increases), (Direction::Down, one.seen.decreases)];
            directions.map(|(direction, count)| (with(one, "direction", direction.as_str()), count))
        });
        families.extend([
            Family::gauge("aggd_adaptive_limit", "Adaptive limits", limits.collect()),
            Family::gauge(
                "aggd_adaptive_rtt_seconds",
                "How long calls take, as adaptive limits see it",
                rtts.collect(),
            ),
            Family::counter("aggd_adaptive_changes", "Moves of adaptive limits", changes.collect()),
        ]);
    }

    fn rates(&self, families: &mut Vec<Family>) {
        let of = |name: &Name| -> Labels { vec![("source", name.to_string())] };
        let gauge = |value: fn(&RateGauges) -> u64| {
            self.rates.iter().map(|rate| (of(&rate.source), number(value(rate)))).collect::<Vec<_>>()
        };
        let refused = self.rates.iter().flat_map(|rate| {
            rate.refused.all().map(move |(reason, count)| {
                let labels = vec![("source", rate.source.to_string()), ("reason", reason.as_str().to_owned())];
                (labels, count)
            })
        });
        families.extend([
            Family::gauge("aggd_rate_tokens", "Tokens of rate limits that are there", gauge(|rate| rate.tokens)),
            Family::gauge("aggd_rate_waiting", "Calls waiting for tokens", gauge(|rate| rate.waiting)),
            Family::gauge(
                "aggd_rate_paused",
                "Whether the upstream asked for a pause",
                gauge(|rate| rate.paused.into()),
            ),
            Family::counter("aggd_rate_rejected", "Calls that rate limits refused", refused.collect()),
        ]);
    }
}
