//! The limit, and what all algorithms have in common.
//!
//! | rule | why |
//! |---|---|
//! | the limit is a fraction; its floor admits | small steps add up |
//! | only successes are timed; timeouts, 408, 429, 503 and 504 are drops; all else says nothing | a 404 is no strain |
//! | a decrease ends an epoch, and calls of an older one say nothing | twenty calls that time out together were one mistake, and shrink it once |
//! | it never grows while less than half of it is used | an idle source would climb to the maximum, and learn nothing on the way |

use std::time::Duration;

use crate::base::Moment;
use crate::policy::adaptive::gradient::Gradient;
use crate::policy::adaptive::settings::AdaptiveSettings;
use crate::policy::adaptive::settings::AimdSettings;
use crate::policy::adaptive::settings::Algorithm;
use crate::policy::adaptive::vegas::Vegas;
use crate::policy::outcome::Kind;

/// The memory of one limit.
#[derive(Debug)]
pub(crate) struct Adaptive {
    limit: f64,
    epoch: u64,
    /// The most calls in flight since the algorithm last decided.
    in_flight: u32,
    state: State,
    /// The limit that was last told.
    told: f64,
    increases: u64,
    decreases: u64,
}

/// What the algorithm in force remembers.
#[derive(Debug)]
enum State {
    Aimd(Counted),
    Gradient2(Gradient),
    Vegas(Vegas),
}

/// The calls of a window.
#[derive(Debug, Default)]
struct Counted {
    good: u32,
    all: u32,
}

/// When a call was sent, as far as the limit is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epoch(u64);

/// What a call says about the upstream's strain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sample {
    /// It went well, and took this long.
    Success(Duration),
    /// It was dropped, or took too long.
    Drop,
    /// Nothing.
    Ignore,
}

/// The end of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Completion {
    pub(crate) epoch: Epoch,
    pub(crate) sample: Sample,
    /// Calls in flight when it ended, itself included.
    pub(crate) in_flight: u32,
    /// A draw from [0, 1).
    pub(crate) draw: f64,
}

/// What a decision makes of the limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Step {
    /// To this much.
    To(f64),
    /// To this much, because there is strain: it ends the epoch, even where the limit is at its least already.
    Down(f64),
    /// It stays.
    Hold,
    /// Nothing is decided yet.
    NotYet,
}

/// A limit that moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LimitChange {
    /// Calls admitted at once, before and after.
    pub(crate) from: u32,
    pub(crate) to: u32,
    /// Whether it moved so far that it is worth telling: a tenth since it was last told.
    pub(crate) worth_telling: Option<Told>,
}

/// From where to where, for those who are told only now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) from: u32,
    pub(crate) to: u32,
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Up,
    Down,
}

/// The limit as it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdaptiveView {
    pub(crate) limit: f64,
    /// How long calls take now, and over a long time or at best, where the algorithm goes by that.
    pub(crate) short_rtt: Option<Duration>,
    pub(crate) long_rtt: Option<Duration>,
    pub(crate) increases: u64,
    pub(crate) decreases: u64,
}

impl Direction {
    /// The name in labels.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

impl Sample {
    /// What the end of a call says; `took` is from send to the end of its body.
    pub(crate) fn of(kind: Kind, status: Option<u16>, took: Duration) -> Self {
        match kind {
            Kind::Success | Kind::NotModified | Kind::ProjectionError => Self::Success(took),
            Kind::UpstreamTimeout | Kind::Throttled | Kind::ConnectTimeout | Kind::AttemptTimeout => Self::Drop,
            Kind::ServerError if matches!(status, Some(503 | 504)) => Self::Drop,
            Kind::Redirect
            | Kind::ClientError
            | Kind::TooEarly
            | Kind::ServerError
            | Kind::ConnectError
            | Kind::ConfigError
            | Kind::Reset
            | Kind::BodyError
            | Kind::ResponseTooLarge
            | Kind::DecodeError
            | Kind::AssertionFailed
            | Kind::DeadlineExceeded
            | Kind::BreakerOpen
            | Kind::LocalLimit
            | Kind::RateLimitedLocal
            | Kind::Cancelled
            | Kind::InternalError => Self::Ignore,
        }
    }
}

impl Adaptive {
    /// A limit that has seen nothing.
    pub(crate) fn new(set: &AdaptiveSettings) -> Self {
        let limit = set.clamp(f64::from(set.initial));
        let state = State::of(&set.algorithm);
        Self { limit, epoch: 0, in_flight: 0, state, told: limit, increases: 0, decreases: 0 }
    }

    /// How many calls are admitted. At least 1.
    pub(crate) fn admits(&self) -> u32 {
        whole(self.limit)
    }

    /// A call is sent, with so many in flight, itself included.
    pub(crate) fn begin(&mut self, in_flight: u32) -> Epoch {
        self.in_flight = self.in_flight.max(in_flight);
        Epoch(self.epoch)
    }

    /// A call ended. The change, where it moved the limit.
    pub(crate) fn record(&mut self, set: &AdaptiveSettings, done: Completion, now: Moment) -> Option<LimitChange> {
        if done.epoch != Epoch(self.epoch) || done.sample == Sample::Ignore {
            return None;
        }
        self.in_flight = self.in_flight.max(done.in_flight);
        let app_limited = f64::from(self.in_flight) * 2.0 < self.limit;
        let step = match (&mut self.state, &set.algorithm) {
            (State::Aimd(counted), Algorithm::Aimd(set)) => counted.record(set, done.sample, self.limit),
            (State::Gradient2(gradient), Algorithm::Gradient2(set)) => {
                gradient.record(set, done.sample, (self.limit, app_limited), now)
            }
            (State::Vegas(vegas), Algorithm::Vegas) => vegas.record(done.sample, self.limit, done.draw),
            // A call of a snapshot with another algorithm.
            (State::Aimd(_) | State::Gradient2(_) | State::Vegas(_), _) => Step::NotYet,
        };
        let to = match step {
            Step::NotYet => return None,
            Step::To(limit) if limit > self.limit && app_limited => self.limit,
            Step::To(limit) => limit,
            Step::Down(limit) => {
                self.epoch += 1;
                limit
            }
            Step::Hold => self.limit,
        };
        self.in_flight = 0;
        self.go_to(set.clamp(to))
    }

    /// New settings: the limit stays, within the new bounds; another algorithm begins anew from there.
    pub(crate) fn apply(&mut self, old: &AdaptiveSettings, new: &AdaptiveSettings) {
        self.limit = new.clamp(self.limit);
        if !old.algorithm.is_like(&new.algorithm) {
            self.limit = new.clamp(f64::from(new.initial));
            self.state = State::of(&new.algorithm);
            self.epoch += 1;
        }
        self.told = self.limit;
    }

    /// The limit as it is.
    pub(crate) fn view(&self) -> AdaptiveView {
        let (short_rtt, long_rtt) = match &self.state {
            State::Aimd(_) => (None, None),
            State::Gradient2(gradient) => gradient.rtts(),
            State::Vegas(vegas) => vegas.rtts(),
        };
        AdaptiveView { limit: self.limit, short_rtt, long_rtt, increases: self.increases, decreases: self.decreases }
    }

    fn go_to(&mut self, limit: f64) -> Option<LimitChange> {
        let (from, to) = (self.admits(), whole(limit));
        match limit.total_cmp(&self.limit) {
            std::cmp::Ordering::Equal => return None,
            std::cmp::Ordering::Greater => self.increases += 1,
            std::cmp::Ordering::Less => self.decreases += 1,
        }
        self.limit = limit;
        let far = (limit - self.told).abs() >= self.told / 10.0;
        let worth_telling = (far && whole(self.told) != to).then(|| Told { from: whole(self.told), to });
        if worth_telling.is_some() {
            self.told = limit;
        }
        Some(LimitChange { from, to, worth_telling })
    }
}

impl State {
    fn of(algorithm: &Algorithm) -> Self {
        match algorithm {
            Algorithm::Aimd(_) => Self::Aimd(Counted::default()),
            Algorithm::Gradient2(_) => Self::Gradient2(Gradient::default()),
            Algorithm::Vegas => Self::Vegas(Vegas::default()),
        }
    }
}

impl Counted {
    fn record(&mut self, set: &AimdSettings, sample: Sample, limit: f64) -> Step {
        self.all += 1;
        self.good += u32::from(matches!(sample, Sample::Success(_)));
        if self.all < set.measurement_window {
            return Step::NotYet;
        }
        let rate = f64::from(self.good) / f64::from(self.all);
        *self = Self::default();
        if rate > set.success_threshold {
            Step::To(limit + set.increase)
        } else if rate < set.failure_threshold {
            Step::Down(limit * set.decrease_factor)
        } else {
            Step::Hold
        }
    }
}

/// The floor of a limit.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "limits are from 1 to a million")]
fn whole(limit: f64) -> u32 {
    (limit as u32).max(1)
}
