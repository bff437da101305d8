//! What happened to an upstream call, in one vocabulary that every policy reads (the outcome table).
//!
//! | kind | evidence for the breaker | cached copy may stand in | fallbacks run |
//! |---|---|---|---|
//! | success, not_modified | success | – | – |
//! | redirect | success | no | yes |
//! | client_error | success | no | no |
//! | too_early, response_too_large, projection_error, deadline_exceeded, local_limit, rate_limited_local, internal_error | neutral | yes | yes |
//! | throttled | neutral while closed, fails a probe | yes | yes |
//! | breaker_open | not recorded: nothing was sent | yes | yes |
//! | cancelled | neutral | – | – |
//! | everything else | failure | yes | yes |

use std::time::Duration;

/// What happened. The names are the ones that configuration, answers and metrics use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// 2xx, decoded and projected.
    Success,
    /// 304 to a conditional request of ours. Who made one says so; [`Kind::of_status`] can't know.
    NotModified,
    /// 3xx that was not followed.
    Redirect,
    /// 4xx other than the ones below.
    ClientError,
    /// 408.
    UpstreamTimeout,
    /// 425.
    TooEarly,
    /// 429.
    Throttled,
    /// 5xx.
    ServerError,
    /// DNS, refused, unreachable, TLS handshake.
    ConnectError,
    /// No connection within `connect_timeout`.
    ConnectTimeout,
    /// A bad URL or header, a rejected certificate, a denied network.
    ConfigError,
    /// Closed or reset after bytes were sent.
    Reset,
    /// The operator's timer fired.
    AttemptTimeout,
    /// The body ended early.
    BodyError,
    /// More than `max_response_bytes`.
    ResponseTooLarge,
    /// Not the format it should be.
    DecodeError,
    /// `success_when` matched nothing.
    AssertionFailed,
    /// A required path or type was missing.
    ProjectionError,
    /// Cut short by the client's deadline, or not started for want of time.
    DeadlineExceeded,
    /// Refused by the circuit; nothing was sent.
    BreakerOpen,
    /// Refused by a limit of ours.
    LocalLimit,
    /// Refused by the limit on the rate of our own calls.
    RateLimitedLocal,
    /// The caller left.
    Cancelled,
    /// A defect of ours.
    InternalError,
}

/// What a breaker makes of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Evidence {
    /// The upstream works.
    Success,
    /// The upstream does not work.
    Failure,
    /// The upstream asked for less: neutral while closed, fails a probe.
    Throttled,
    /// Says nothing about the upstream.
    Neutral,
}

impl Kind {
    /// Every kind, in the order of the table.
    pub(crate) const ALL: [Self; 24] = [
        Self::Success,
        Self::NotModified,
        Self::Redirect,
        Self::ClientError,
        Self::UpstreamTimeout,
        Self::TooEarly,
        Self::Throttled,
        Self::ServerError,
        Self::ConnectError,
        Self::ConnectTimeout,
        Self::ConfigError,
        Self::Reset,
        Self::AttemptTimeout,
        Self::BodyError,
        Self::ResponseTooLarge,
        Self::DecodeError,
        Self::AssertionFailed,
        Self::ProjectionError,
        Self::DeadlineExceeded,
        Self::BreakerOpen,
        Self::LocalLimit,
        Self::RateLimitedLocal,
        Self::Cancelled,
        Self::InternalError,
    ];

    /// The kind of an HTTP status. A 304 that we did not ask for brings no data: a redirect like any other.
    pub(crate) fn of_status(status: u16) -> Self {
        match status {
            300..=399 => Self::Redirect,
            408 => Self::UpstreamTimeout,
            425 => Self::TooEarly,
            429 => Self::Throttled,
            400..=499 => Self::ClientError,
            200..=299 => Self::Success,
            _ => Self::ServerError,
        }
    }

    /// The name in answers, metrics and configuration.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::NotModified => "not_modified",
            Self::Redirect => "redirect",
            Self::ClientError => "client_error",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::TooEarly => "too_early",
            Self::Throttled => "throttled",
            Self::ServerError => "server_error",
            Self::ConnectError => "connect_error",
            Self::ConnectTimeout => "connect_timeout",
            Self::ConfigError => "config_error",
            Self::Reset => "reset",
            Self::AttemptTimeout => "attempt_timeout",
            Self::BodyError => "body_error",
            Self::ResponseTooLarge => "response_too_large",
            Self::DecodeError => "decode_error",
            Self::AssertionFailed => "assertion_failed",
            Self::ProjectionError => "projection_error",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::BreakerOpen => "breaker_open",
            Self::LocalLimit => "local_limit",
            Self::RateLimitedLocal => "rate_limited_local",
            Self::Cancelled => "cancelled",
            Self::InternalError => "internal_error",
        }
    }

    /// What it says about the upstream, unless `classify` says otherwise.
    pub(crate) fn evidence(self) -> Evidence {
        match self {
            Self::Success | Self::NotModified | Self::Redirect | Self::ClientError => Evidence::Success,
            Self::Throttled => Evidence::Throttled,
            Self::TooEarly
            | Self::ResponseTooLarge
            | Self::ProjectionError
            | Self::DeadlineExceeded
            | Self::BreakerOpen
            | Self::LocalLimit
            | Self::RateLimitedLocal
            | Self::Cancelled
            | Self::InternalError => Evidence::Neutral,
            Self::UpstreamTimeout
            | Self::ServerError
            | Self::ConnectError
            | Self::ConnectTimeout
            | Self::ConfigError
            | Self::Reset
            | Self::AttemptTimeout
            | Self::BodyError
            | Self::DecodeError
            | Self::AssertionFailed => Evidence::Failure,
        }
    }

    /// Whether it was a decision of ours, or the client's, and so never evidence about the upstream, whatever
    /// `classify` says: else a client in a hurry could open everybody's circuit.
    pub(crate) fn is_ours(self) -> bool {
        matches!(
            self,
            Self::DeadlineExceeded
                | Self::BreakerOpen
                | Self::LocalLimit
                | Self::RateLimitedLocal
                | Self::Cancelled
                | Self::InternalError
        )
    }

    /// Whether a cached copy past its time may stand in (`stale_if_error`).
    pub(crate) fn allows_stale(self) -> bool {
        !matches!(self, Self::Success | Self::NotModified | Self::Redirect | Self::ClientError | Self::Cancelled)
    }

    /// Whether the steps of `fallback` run.
    pub(crate) fn allows_fallback(self) -> bool {
        !matches!(self, Self::Success | Self::NotModified | Self::ClientError | Self::Cancelled)
    }

    /// Whether it was time that ran out: what makes a failed route a 504.
    pub(crate) fn is_timeout(self) -> bool {
        matches!(self, Self::AttemptTimeout | Self::ConnectTimeout | Self::DeadlineExceeded | Self::UpstreamTimeout)
    }

    /// Whether there was no connection, so that nothing was sent and nothing can have been done.
    pub(crate) fn is_unsent(self) -> bool {
        matches!(self, Self::ConnectError | Self::ConnectTimeout)
    }

    /// How much it says to whoever asks why a call failed; of several attempts the one that says most is told.
    pub(crate) fn weight(self) -> u8 {
        match self {
            Self::Success
            | Self::NotModified
            | Self::Redirect
            | Self::ClientError
            | Self::UpstreamTimeout
            | Self::TooEarly
            | Self::ServerError => 6,
            Self::BodyError
            | Self::ResponseTooLarge
            | Self::DecodeError
            | Self::AssertionFailed
            | Self::ProjectionError => 5,
            Self::AttemptTimeout => 4,
            Self::Reset => 3,
            Self::ConnectError | Self::ConnectTimeout | Self::ConfigError => 2,
            Self::Throttled => 1,
            Self::DeadlineExceeded
            | Self::BreakerOpen
            | Self::LocalLimit
            | Self::RateLimitedLocal
            | Self::Cancelled
            | Self::InternalError => 0,
        }
    }

    /// Whether it was our doing, not the upstream's: what makes a failed route a 503.
    pub(crate) fn is_local(self) -> bool {
        matches!(self, Self::BreakerOpen | Self::LocalLimit | Self::RateLimitedLocal)
    }
}

/// What a rule of `classify` points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Selector {
    /// One status, `404`.
    Status(u16),
    /// A class of statuses, `5xx`: the first digit.
    Class(u16),
    /// A kind by its name, `decode_error`; `timeout` stands for `attempt_timeout`.
    Kind(Kind),
}

impl Selector {
    /// A selector as configuration writes it. What is no doing of the upstream can't be selected.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(digit) = text.strip_suffix("xx") {
            return match digit.parse() {
                Ok(class @ 1..=5) if digit.len() == 1 => Some(Self::Class(class)),
                _ => None,
            };
        }
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return text.parse().ok().filter(|status| (100..=599).contains(status)).map(Self::Status);
        }
        if text == "timeout" {
            return Some(Self::Kind(Kind::AttemptTimeout));
        }
        Kind::ALL.into_iter().find(|kind| kind.as_str() == text && !kind.is_ours()).map(Self::Kind)
    }

    /// A status is matched only where it is what decided: a 200 that could not be decoded is no `2xx`.
    pub(crate) fn matches(self, kind: Kind, status: Option<u16>) -> bool {
        let decisive = status.filter(|status| Kind::of_status(*status) == kind);
        match self {
            Self::Status(wanted) => decisive == Some(wanted),
            Self::Class(class) => decisive.is_some_and(|status| status / 100 == class),
            Self::Kind(wanted) => kind == wanted,
        }
    }

    /// Higher is more specific: a status beats a kind, a kind beats a class.
    fn rank(self) -> u8 {
        match self {
            Self::Status(_) => 2,
            Self::Kind(_) => 1,
            Self::Class(_) => 0,
        }
    }
}

/// The overrides of `classify`: which outcomes are failures, successes or neither.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Classify {
    /// Each selector with what its matches say about the upstream.
    pub(crate) rules: Vec<(Selector, Evidence)>,
    /// Outcomes worth another attempt, besides those of `retry.retry_on`.
    pub(crate) retry: Vec<Selector>,
}

impl Classify {
    /// What an outcome says about the upstream; the most specific rule wins, the table is the default.
    pub(crate) fn evidence(&self, kind: Kind, status: Option<u16>) -> Evidence {
        let rule = if kind.is_ours() { None } else { self.rule(kind, status) };
        rule.unwrap_or_else(|| kind.evidence())
    }

    /// Whether the body of an answer with this status is data: 2xx is, and what `success` names by status.
    pub(crate) fn is_data(&self, status: u16) -> bool {
        let kind = Kind::of_status(status);
        match self.rule(kind, Some(status)) {
            Some(Evidence::Success) => true,
            Some(Evidence::Failure) => false,
            Some(Evidence::Throttled | Evidence::Neutral) | None => kind == Kind::Success,
        }
    }

    fn rule(&self, kind: Kind, status: Option<u16>) -> Option<Evidence> {
        let matching = self.rules.iter().filter(|(selector, _)| selector.matches(kind, status));
        matching.max_by_key(|(selector, _)| selector.rank()).map(|(_, evidence)| *evidence)
    }
}

/// One upstream call's end, as policies see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// What happened.
    pub(crate) kind: Kind,
    /// What that says about the upstream.
    pub(crate) evidence: Evidence,
    /// How long the upstream asked to be left alone.
    pub(crate) retry_after: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a row of the table says: kind, evidence, stale copy may stand in, fallbacks run.
    type Expected = (Kind, Evidence, bool, bool);

    /// A row of the vectors: its id, the statuses that give it, and what is expected.
    type Vector = (&'static str, &'static [u16], Expected);

    const CLS: [Vector; 26] = [
        ("CLS-01", &[200, 201, 206], (Kind::Success, Evidence::Success, false, false)),
        ("CLS-02", &[], (Kind::DecodeError, Evidence::Failure, true, true)),
        ("CLS-03", &[], (Kind::NotModified, Evidence::Success, false, false)),
        ("CLS-04", &[301, 302, 304, 307, 308], (Kind::Redirect, Evidence::Success, false, true)),
        ("CLS-05", &[400, 401, 403, 404, 409, 410, 422], (Kind::ClientError, Evidence::Success, false, false)),
        ("CLS-06", &[408], (Kind::UpstreamTimeout, Evidence::Failure, true, true)),
        ("CLS-07", &[425], (Kind::TooEarly, Evidence::Neutral, true, true)),
        ("CLS-08", &[429], (Kind::Throttled, Evidence::Throttled, true, true)),
        ("CLS-09", &[500, 502, 503, 504], (Kind::ServerError, Evidence::Failure, true, true)),
        ("CLS-10", &[501, 505, 511, 599, 999], (Kind::ServerError, Evidence::Failure, true, true)),
        ("CLS-11", &[], (Kind::ConnectError, Evidence::Failure, true, true)),
        ("CLS-12", &[], (Kind::ConnectTimeout, Evidence::Failure, true, true)),
        ("CLS-13", &[], (Kind::ConfigError, Evidence::Failure, true, true)),
        ("CLS-14", &[], (Kind::Reset, Evidence::Failure, true, true)),
        ("CLS-15", &[], (Kind::AttemptTimeout, Evidence::Failure, true, true)),
        ("CLS-16", &[], (Kind::DeadlineExceeded, Evidence::Neutral, true, true)),
        ("CLS-17", &[], (Kind::ResponseTooLarge, Evidence::Neutral, true, true)),
        ("CLS-18", &[], (Kind::BodyError, Evidence::Failure, true, true)),
        ("CLS-19", &[], (Kind::DecodeError, Evidence::Failure, true, true)),
        ("CLS-20", &[], (Kind::ProjectionError, Evidence::Neutral, true, true)),
        ("CLS-21", &[], (Kind::AssertionFailed, Evidence::Failure, true, true)),
        ("CLS-22", &[], (Kind::BreakerOpen, Evidence::Neutral, true, true)),
        ("CLS-23", &[], (Kind::LocalLimit, Evidence::Neutral, true, true)),
        ("CLS-24", &[], (Kind::RateLimitedLocal, Evidence::Neutral, true, true)),
        ("CLS-25", &[], (Kind::Cancelled, Evidence::Neutral, false, false)),
        ("CLS-26", &[], (Kind::InternalError, Evidence::Neutral, true, true)),
    ];

    #[test]
    fn cls_01_to_26_what_an_outcome_says_and_allows() {
        for (id, statuses, (kind, evidence, stale, fallback)) in CLS {
            assert_eq!(Classify::default().evidence(kind, None), evidence, "{id}");
            assert_eq!((kind.allows_stale(), kind.allows_fallback()), (stale, fallback), "{id}");
            for status in statuses {
                assert_eq!(Kind::of_status(*status), kind, "{id}: {status}");
                assert_eq!(Classify::default().evidence(kind, Some(*status)), evidence, "{id}: {status}");
                assert_eq!(Classify::default().is_data(*status), kind == Kind::Success, "{id}: {status}");
            }
        }
        let unseen = Kind::ALL.into_iter().find(|kind| !CLS.iter().any(|(_, _, row)| row.0 == *kind));
        assert_eq!(unseen, None, "every kind has its row");
    }

    fn classify(rules: &[(&str, Evidence)]) -> Classify {
        let rules = rules.iter().map(|(text, evidence)| (Selector::parse(text).unwrap(), *evidence)).collect();
        Classify { rules, retry: Vec::new() }
    }

    #[test]
    fn the_most_specific_rule_wins_whatever_the_order() {
        let rules = [("4xx", Evidence::Failure), ("404", Evidence::Success), ("client_error", Evidence::Neutral)];
        for turn in 0..rules.len() {
            let mut rules = rules;
            rules.rotate_left(turn);
            let classify = classify(&rules);
            assert_eq!(classify.evidence(Kind::ClientError, Some(404)), Evidence::Success);
            assert_eq!(classify.evidence(Kind::ClientError, Some(403)), Evidence::Neutral);
            assert_eq!(classify.evidence(Kind::Throttled, Some(429)), Evidence::Failure);
            assert_eq!(classify.evidence(Kind::ServerError, Some(500)), Evidence::Failure);
        }
    }

    #[test]
    fn a_status_rule_says_nothing_about_what_the_status_did_not_decide() {
        let lenient = classify(&[("2xx", Evidence::Success), ("404", Evidence::Success), ("5xx", Evidence::Neutral)]);
        assert_eq!(lenient.evidence(Kind::DecodeError, Some(200)), Evidence::Failure);
        assert_eq!(lenient.evidence(Kind::DecodeError, Some(404)), Evidence::Failure);
        assert_eq!(lenient.evidence(Kind::AttemptTimeout, Some(503)), Evidence::Failure);
        assert_eq!(lenient.evidence(Kind::ServerError, Some(503)), Evidence::Neutral);
    }

    #[test]
    fn what_success_names_is_data_and_what_failure_names_is_not() {
        let odd = classify(&[("404", Evidence::Success), ("206", Evidence::Failure), ("201", Evidence::Neutral)]);
        assert_eq!([404, 200, 201, 206, 500].map(|status| odd.is_data(status)), [true, true, true, false, false]);
    }

    #[test]
    fn no_rule_makes_evidence_of_what_the_upstream_did_not_do() {
        let ours = Kind::ALL.into_iter().filter(|kind| kind.is_ours());
        for kind in ours {
            assert_eq!(Selector::parse(kind.as_str()), None, "{}", kind.as_str());
            let classify = Classify { rules: vec![(Selector::Kind(kind), Evidence::Failure)], retry: Vec::new() };
            assert_eq!(classify.evidence(kind, None), Evidence::Neutral, "{}", kind.as_str());
        }
    }

    #[test]
    fn a_selector_is_a_status_a_class_or_a_kind() {
        let good = [
            ("404", Selector::Status(404)),
            ("5xx", Selector::Class(5)),
            ("timeout", Selector::Kind(Kind::AttemptTimeout)),
            ("decode_error", Selector::Kind(Kind::DecodeError)),
        ];
        for (text, expected) in good {
            assert_eq!(Selector::parse(text), Some(expected), "{text}");
        }
        for bad in ["", "xx", "0xx", "6xx", "55xx", "+5xx", "99", "600", "4040", "+404", "Timeout", "cancelled", "5XX"]
        {
            assert_eq!(Selector::parse(bad), None, "{bad:?}");
        }
    }
}
