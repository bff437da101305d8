//! Client-side throttling: an upstream that turns calls away is sent fewer, so that its refusing does not become its work.
//!
//! A call is refused here with probability `(requests − k · accepts) / (requests + 1)`, over a sliding window, at most
//! `max_reject`. A request counts before it is sent, so that calls in flight are seen, and also when it is refused here;
//! one that says nothing about the upstream in the end is taken out again.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::Moment;
use crate::policy::outcome::Kind;

/// In how many steps the window forgets: [`length`] divides by it.
const STEPS: u64 = 10;

/// `client_throttle:` of a source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ThrottleSettings {
    /// So many requests for one that is accepted are well. At least 1.
    pub(crate) k: f64,
    /// How far back it looks.
    pub(crate) window: Duration,
    /// With fewer requests than this in the window nothing is refused.
    pub(crate) min_requests: u32,
    /// The largest share that is refused. Above 0, below 1.
    pub(crate) max_reject: f64,
}

/// Used where the file is silent.
pub(crate) const THROTTLE_DEFAULTS: ThrottleSettings =
    ThrottleSettings { k: 2.0, window: Duration::from_secs(120), min_requests: 20, max_reject: 0.9 };

/// The memory of one throttle.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    /// The oldest first; those of the window alone.
    steps: VecDeque<Step>,
    /// How long a step is; another length begins anew.
    length: Duration,
    rejected: u64,
}

/// What began in one step of time.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    number: u64,
    requests: u64,
    accepts: u64,
}

/// A request that was counted. It owes a `record`.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted(u64);

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The upstream took the work on, however it ended.
    Accepted,
    /// It turned it away, or was not there.
    TurnedAway,
    /// It says nothing about the upstream.
    Nothing,
}

/// The throttle as it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ThrottleView {
    pub(crate) requests: u64,
    pub(crate) accepts: u64,
    /// The share of calls that is refused now.
    pub(crate) rejects: f64,
    /// Calls refused since it was made.
    pub(crate) rejected: u64,
}

impl Verdict {
    /// What the end of a call says.
    pub(crate) fn of(kind: Kind, status: Option<u16>) -> Self {
        let late = matches!(kind, Kind::UpstreamTimeout | Kind::AttemptTimeout | Kind::ConnectTimeout);
        let busy = kind == Kind::ServerError && matches!(status, Some(503 | 504));
        if kind.is_ours() {
            Self::Nothing
        } else if late || busy || matches!(kind, Kind::Throttled | Kind::ConnectError) {
            Self::TurnedAway
        } else {
            Self::Accepted
        }
    }
}

impl Throttle {
    /// Counts a request; `Err` holds the share of requests that is refused, of which this is one. `draw` is from [0, 1).
    pub(crate) fn admit(&mut self, set: &ThrottleSettings, now: Moment, draw: f64) -> Result<Counted, f64> {
        self.measure(set);
        let (requests, accepts) = self.sums(now);
        let number = self.number(now);
        let rejects = rejects(set, requests, accepts);
        self.count(number);
        if draw < rejects {
            self.rejected += 1;
            return Err(rejects);
        }
        Ok(Counted(number))
    }

    /// A counted request ended.
    pub(crate) fn record(&mut self, counted: Counted, verdict: Verdict) {
        // One whose step is forgotten is forgotten with it.
        let Some(step) = self.steps.iter_mut().find(|step| step.number == counted.0) else { return };
        match verdict {
            Verdict::Accepted => step.accepts += 1,
            Verdict::TurnedAway => {}
            Verdict::Nothing => step.requests = step.requests.saturating_sub(1),
        }
    }

    /// The throttle as it is now.
    pub(crate) fn view(&self, set: &ThrottleSettings, now: Moment) -> ThrottleView {
        let (requests, accepts) = if self.length == length(set) { self.sums(now) } else { (0, 0) };
        ThrottleView { requests, accepts, rejects: rejects(set, requests, accepts), rejected: self.rejected }
    }

    fn measure(&mut self, set: &ThrottleSettings) {
        if self.length != length(set) {
            *self = Self { length: length(set), rejected: self.rejected, ..Self::default() };
        }
    }

    fn number(&self, now: Moment) -> u64 {
        let since = now.since(Moment::ZERO).as_nanos() / self.length.as_nanos().max(1);
        u64::try_from(since).unwrap_or(u64::MAX)
    }

    fn sums(&self, now: Moment) -> (u64, u64) {
        let now = self.number(now);
        let recent = self.steps.iter().filter(|step| step.number + STEPS > now);
        recent.fold((0, 0), |(requests, accepts), step| (requests + step.requests, accepts + step.accepts))
    }

    /// One more request in this step.
    fn count(&mut self, number: u64) {
        if self.steps.back().is_none_or(|newest| newest.number < number) {
            self.steps.push_back(Step { number, ..Step::default() });
            self.steps.retain(|step| step.number + STEPS > number);
        }
        if let Some(newest) = self.steps.back_mut() {
            newest.requests += 1;
        }
    }
}

fn length(set: &ThrottleSettings) -> Duration {
    set.window / 10
}

/// The share of requests that is refused.
#[expect(clippy::cast_precision_loss, reason = "counts of a window stay far below 2^53")]
fn rejects(set: &ThrottleSettings, requests: u64, accepts: u64) -> f64 {
    if requests < u64::from(set.min_requests) {
        return 0.0;
    }
    let (requests, accepts) = (requests as f64, accepts as f64);
    ((requests - set.k * accepts) / (requests + 1.0)).clamp(0.0, set.max_reject)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: ThrottleSettings = ThrottleSettings { min_requests: 1, ..THROTTLE_DEFAULTS };

    fn at(seconds: u64) -> Moment {
        Moment::from_start(Duration::from_secs(seconds))
    }

    /// So many requests of one moment, of which so many were accepted.
    fn after(requests: u32, accepts: u32) -> Throttle {
        let mut throttle = Throttle::default();
        for place in 0..requests {
            // The draw of a caller who is never refused.
            let counted = throttle.admit(&SET, at(0), 0.999).unwrap();
            throttle.record(counted, if place < accepts { Verdict::Accepted } else { Verdict::TurnedAway });
        }
        throttle
    }

    #[test]
    fn cth_01_to_06_the_share_that_is_refused() {
        let cases = [
            ("CTH-01", 0, 0, 0.0),
            ("CTH-02", 10, 10, 0.0),
            ("CTH-03", 100, 50, 0.0),
            ("CTH-04", 100, 40, 0.198),
            ("CTH-05", 100, 0, 0.9),
            ("CTH-06", 1, 0, 0.5),
        ];
        assert_eq!(cases.len(), 6);
        for (id, requests, accepts, expected) in cases {
            let view = after(requests, accepts).view(&SET, at(0));
            assert_eq!((view.requests, view.accepts), (requests.into(), accepts.into()), "{id}");
            assert!((view.rejects - expected).abs() < 0.000_5, "{id}: {}", view.rejects);
        }
    }

    #[test]
    fn a_refused_request_counts_and_one_that_says_nothing_does_not() {
        let mut throttle = after(100, 0);
        assert!(throttle.admit(&SET, at(0), 0.899).is_err());
        let counted = throttle.admit(&SET, at(0), 0.95).unwrap();
        assert_eq!(throttle.view(&SET, at(0)).requests, 102, "in flight, it counts");
        throttle.record(counted, Verdict::Nothing);
        let view = throttle.view(&SET, at(0));
        assert_eq!((view.requests, view.rejected), (101, 1));
    }

    #[test]
    fn few_requests_prove_nothing() {
        let mut throttle = after(19, 0);
        let set = ThrottleSettings { min_requests: 20, ..SET };
        assert!(throttle.admit(&set, at(0), 0.0).is_ok());
        assert!(throttle.admit(&set, at(0), 0.0).is_err());
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let mut throttle = after(100, 0);
        let late = throttle.admit(&SET, at(0), 0.95).unwrap();
        assert_eq!(throttle.view(&SET, at(119)).requests, 101);
        assert_eq!(throttle.view(&SET, at(120)).requests, 0);
        assert!(throttle.admit(&SET, at(120), 0.0).is_ok());
        throttle.record(late, Verdict::Accepted);
        let view = throttle.view(&SET, at(120));
        assert_eq!((view.requests, view.accepts), (1, 0), "its step is forgotten");
    }

    #[test]
    fn another_window_begins_anew_and_another_k_does_not() {
        let mut throttle = after(100, 0);
        assert!(throttle.admit(&ThrottleSettings { k: 3.0, ..SET }, at(0), 0.0).is_err());
        let other = ThrottleSettings { window: Duration::from_secs(60), ..SET };
        assert_eq!(throttle.view(&other, at(0)).requests, 0);
        assert!(throttle.admit(&other, at(0), 0.0).is_ok());
    }

    #[test]
    fn work_that_was_taken_on_is_accepted_however_it_ended() {
        for (kind, status) in [
            (Kind::Success, Some(200)),
            (Kind::ServerError, Some(500)),
            (Kind::ClientError, Some(404)),
            (Kind::DecodeError, Some(200)),
        ] {
            assert_eq!(Verdict::of(kind, status), Verdict::Accepted, "{}", kind.as_str());
        }
        for (kind, status) in [
            (Kind::Throttled, Some(429)),
            (Kind::ServerError, Some(503)),
            (Kind::AttemptTimeout, None),
            (Kind::ConnectError, None),
        ] {
            assert_eq!(Verdict::of(kind, status), Verdict::TurnedAway, "{}", kind.as_str());
        }
        for kind in Kind::ALL.into_iter().filter(|kind| kind.is_ours()) {
            assert_eq!(Verdict::of(kind, None), Verdict::Nothing, "{}", kind.as_str());
        }
    }
}
