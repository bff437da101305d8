//! Gradient2: the ratio of how long calls took over a long time to how long they take now.
//!
//! Two things differ from its origin, on purpose: drops count (a timeout that is always the same would look like a
//! steady latency), and room to grow is added only where there is no strain at all (else the limit creeps up while calls
//! get slower and slower).

use std::time::Duration;

use crate::base::Moment;
use crate::policy::adaptive::machine::Sample;
use crate::policy::adaptive::machine::Step;
use crate::policy::adaptive::settings::GradientSettings;

/// What a window with drops leaves of the limit.
const BACKOFF: f64 = 0.9;
/// The long mean is arithmetic over so many windows before it decays.
const WARM_UP: u32 = 10;

/// What it remembers.
#[derive(Debug, Default)]
pub(super) struct Gradient {
    window: Window,
    /// Seconds; the mean over windows.
    long: f64,
    /// Windows that the mean was made from.
    windows: u32,
    /// Seconds; the mean of the last window.
    short: f64,
}

#[derive(Debug, Default)]
struct Window {
    /// `None`: nothing came yet.
    since: Option<Moment>,
    samples: u32,
    successes: u32,
    sum: f64,
    dropped: bool,
}

impl Gradient {
    /// A call of the epoch in force ended; with the limit, and whether less than half of it is used.
    pub(super) fn record(
        &mut self,
        set: &GradientSettings,
        sample: Sample,
        (limit, app_limited): (f64, bool),
        now: Moment,
    ) -> Step {
        let since = *self.window.since.get_or_insert(now);
        self.window.samples += 1;
        match sample {
            Sample::Success(rtt) => {
                self.window.successes += 1;
                self.window.sum += rtt.as_secs_f64();
            }
            Sample::Drop => self.window.dropped = true,
            Sample::Ignore => {}
        }
        if self.window.samples < set.min_samples || now.since(since) < set.window {
            return Step::NotYet;
        }
        let window = std::mem::replace(&mut self.window, Window { since: Some(now), ..Window::default() });
        if window.dropped || window.successes == 0 {
            return Step::Down(limit * BACKOFF);
        }
        self.short = (window.sum / f64::from(window.successes)).max(f64::MIN_POSITIVE);
        self.lengthen(set.long_window);
        if app_limited {
            return Step::Hold;
        }
        let gradient = (set.rtt_tolerance * self.long / self.short).clamp(0.5, 1.0);
        let room = if gradient < 1.0 { 0.0 } else { f64::from(set.queue) };
        let next = (1.0 - set.smoothing) * limit + set.smoothing * (limit * gradient + room);
        if next < limit { Step::Down(next) } else { Step::To(next) }
    }

    /// Takes the last window into the long mean.
    fn lengthen(&mut self, long_window: u32) {
        self.windows = self.windows.saturating_add(1);
        let factor =
            if self.windows <= WARM_UP { 1.0 / f64::from(self.windows) } else { 2.0 / (f64::from(long_window) + 1.0) };
        self.long += (self.short - self.long) * factor;
        if self.long / self.short > 2.0 {
            // Calls got much faster: what was normal then is not any more.
            self.long *= 0.95;
        }
    }

    /// How long calls took in the last window, and over a long time.
    pub(super) fn rtts(&self) -> (Option<Duration>, Option<Duration>) {
        let known = |seconds: f64| (self.windows > 0).then(|| Duration::try_from_secs_f64(seconds).unwrap_or_default());
        (known(self.short), known(self.long))
    }
}
