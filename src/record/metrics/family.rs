//! One metric with all its series, as the page shows it.

use crate::record::metrics::timing::Timing;

/// Labels of one series, in the order shown.
pub(super) type Labels = Vec<(&'static str, String)>;

/// A metric with its series.
#[derive(Debug)]
pub(super) struct Family {
    /// The name, without the `_total` of counters.
    pub(super) name: &'static str,
    /// What it tells; a sentence without full stop.
    pub(super) help: &'static str,
    pub(super) samples: Samples,
}

/// The series, by what they measure.
#[derive(Debug)]
pub(super) enum Samples {
    /// Only ever grows.
    Counter(Vec<(Labels, u64)>),
    /// As it is now.
    Gauge(Vec<(Labels, f64)>),
    /// Durations in seconds.
    Histogram(Vec<(Labels, Timing)>),
}

impl Family {
    /// A counter; `name` ends without `_total`.
    pub(super) fn counter(name: &'static str, help: &'static str, series: Vec<(Labels, u64)>) -> Self {
        Self { name, help, samples: Samples::Counter(series) }
    }

    /// A gauge.
    pub(super) fn gauge(name: &'static str, help: &'static str, series: Vec<(Labels, f64)>) -> Self {
        Self { name, help, samples: Samples::Gauge(series) }
    }

    /// A histogram; `name` ends in `_seconds`.
    pub(super) fn histogram(name: &'static str, help: &'static str, series: Vec<(Labels, Timing)>) -> Self {
        Self { name, help, samples: Samples::Histogram(series) }
    }

    /// Whether it has no series: then it is not shown.
    pub(super) fn is_empty(&self) -> bool {
        match &self.samples {
            Samples::Counter(series) => series.is_empty(),
            Samples::Gauge(series) => series.is_empty(),
            Samples::Histogram(series) => series.is_empty(),
        }
    }
}

/// The one series of a metric without labels.
pub(super) fn alone<V>(value: V) -> Vec<(Labels, V)> {
    vec![(Labels::new(), value)]
}

/// A count as a gauge shows it.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, and a gauge is read by people and graphs")]
pub(super) fn number(count: u64) -> f64 {
    count as f64
}

/// The series of a metric with one label.
pub(super) fn by<K>(label: &'static str, counts: Vec<(K, u64)>, text: fn(K) -> &'static str) -> Vec<(Labels, u64)> {
    counts.into_iter().map(|(kind, count)| (vec![(label, text(kind).to_owned())], count)).collect()
}
