//! Vegas: how many calls must be queueing at the upstream, if one that did not queue took as long as the fastest.

use std::time::Duration;

use crate::policy::adaptive::machine::Sample;
use crate::policy::adaptive::machine::Step;

/// The fastest call is measured anew after about so many samples for each call that the limit admits.
const PROBE_EVERY: f64 = 30.0;

/// What it remembers.
#[derive(Debug, Default)]
pub(super) struct Vegas {
    /// Seconds that the fastest call took.
    fastest: Option<f64>,
    /// Seconds that the last one took.
    last: Option<f64>,
    samples: f64,
    /// From 0.5 to 1: instances that began together do not measure together. `None`: not drawn yet.
    jitter: Option<f64>,
}

impl Vegas {
    /// A call of the epoch in force ended.
    pub(super) fn record(&mut self, sample: Sample, limit: f64, draw: f64) -> Step {
        let step = limit.log10().floor().max(1.0);
        let rtt = match sample {
            Sample::Success(rtt) => rtt.as_secs_f64().max(f64::MIN_POSITIVE),
            Sample::Drop => return Step::Down(limit - step),
            Sample::Ignore => return Step::NotYet,
        };
        self.last = Some(rtt);
        self.samples += 1.0;
        let jitter = *self.jitter.get_or_insert(0.5 + draw / 2.0);
        if self.samples >= PROBE_EVERY * jitter * limit {
            (self.samples, self.jitter, self.fastest) = (0.0, None, Some(rtt));
            return Step::NotYet;
        }
        let fastest = match self.fastest {
            Some(fastest) if fastest <= rtt => fastest,
            Some(_) | None => {
                self.fastest = Some(rtt);
                return Step::NotYet;
            }
        };
        let queue = (limit * (1.0 - fastest / rtt)).ceil();
        if queue <= step {
            Step::To(limit + 6.0 * step)
        } else if queue < 3.0 * step {
            Step::To(limit + step)
        } else if queue > 6.0 * step {
            Step::Down(limit - step)
        } else {
            Step::Hold
        }
    }

    /// How long the last call took, and the fastest.
    pub(super) fn rtts(&self) -> (Option<Duration>, Option<Duration>) {
        let known =
            |seconds: Option<f64>| seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default());
        (known(self.last), known(self.fastest))
    }
}
