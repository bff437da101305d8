//! A histogram of durations. Plain numbers: whoever owns it locks it, together with what else changes at that moment.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::EncodeMetric;
use prometheus_client::encoding::MetricEncoder;
use prometheus_client::encoding::NoLabelSet;
use prometheus_client::metrics::MetricType;

/// Upper bounds, inclusive: from an answer out of the cache to the longest timeouts.
const BOUNDS: [Duration; 16] = [
    Duration::from_micros(200),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
];

/// How many durations fell under which bound, and what they are together.
#[derive(Clone, Debug, Default)]
pub(super) struct Timing {
    /// Per bound, those under it and over the one before.
    counts: [u64; BOUNDS.len()],
    /// Those over every bound.
    longer: u64,
    sum: Duration,
}

impl Timing {
    /// One more.
    pub(super) fn observe(&mut self, took: Duration) {
        let bound = BOUNDS.partition_point(|bound| *bound < took);
        *self.counts.get_mut(bound).unwrap_or(&mut self.longer) += 1;
        self.sum = self.sum.saturating_add(took);
    }
}

impl EncodeMetric for Timing {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let bounded = BOUNDS.iter().map(Duration::as_secs_f64).zip(self.counts);
        let buckets: Vec<_> = bounded.chain([(f64::INFINITY, self.longer)]).collect();
        let count = self.counts.iter().sum::<u64>() + self.longer;
        encoder.encode_histogram::<NoLabelSet>(self.sum.as_secs_f64(), count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}
