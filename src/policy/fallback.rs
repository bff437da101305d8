//! What stands in for a failed call, and for which failures: `fallback`, `fallback_on`, `fallback_reserve`.
//!
//! | written | stands for |
//! |---|---|
//! | `failure` | every failure but `client_error`: an upstream that says no has answered |
//! | `404`, `5xx` | an answer with such a status |
//! | `attempt_timeout`, `breaker_open`, … | an outcome by its name, our own refusals among them |

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::base::Name;
use crate::policy::outcome::Kind;
use crate::policy::outcome::Selector;

/// The fallbacks of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FallbackSettings {
    /// In this order.
    pub(crate) steps: Vec<FallbackSpec>,
    pub(crate) on: FallbackOn,
    /// Kept of `timeout` for steps over the network; less than it.
    pub(crate) reserve: Duration,
}

/// One step of `fallback:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FallbackSpec {
    /// A copy at most this long past its ttl.
    Stale { max_age: Duration },
    /// Another source, by name; declared, no cycle, depth at most 3.
    Source(Name),
    /// A constant, as JSON text.
    Value(Arc<str>),
}

/// One step of a route's `fallback:`, which runs when `required` or `min_sources` do not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RouteFallbackSpec {
    /// Copies at most this long past their ttl, for the parts that have nothing.
    Stale { max_age: Duration },
    /// The whole answer, as JSON text.
    Value { body: Arc<str>, status: StatusCode },
}

/// The failures that are fallen back from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FallbackOn {
    pub(crate) triggers: Vec<Trigger>,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// `failure`.
    Failure,
    /// A status, a class or an outcome.
    Outcome(Selector),
}

impl Trigger {
    /// As configuration writes it; `None`: no failure is called so.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text == "failure" {
            return Some(Self::Failure);
        }
        // Unlike evidence about an upstream, a refusal of ours is a reason to fall back.
        let ours = || Kind::ALL.into_iter().find(|kind| kind.as_str() == text).map(Selector::Kind);
        match Selector::parse(text).or_else(ours)? {
            Selector::Kind(Kind::Success | Kind::NotModified | Kind::Cancelled)
            | Selector::Class(..=2)
            | Selector::Status(..=299) => None,
            selector @ (Selector::Kind(_) | Selector::Class(_) | Selector::Status(_)) => Some(Self::Outcome(selector)),
        }
    }

    fn fires(self, kind: Kind, status: Option<u16>) -> bool {
        match self {
            Self::Failure => kind.allows_fallback(),
            Self::Outcome(selector) => selector.matches(kind, status),
        }
    }
}

impl FallbackOn {
    /// Used where the file is silent.
    pub(crate) fn failure() -> Self {
        Self { triggers: vec![Trigger::Failure] }
    }

    /// Whether the steps run for this end of a call.
    pub(crate) fn fires(&self, kind: Kind, status: Option<u16>) -> bool {
        self.triggers.iter().any(|trigger| trigger.fires(kind, status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(texts: &[&str]) -> FallbackOn {
        FallbackOn { triggers: texts.iter().map(|text| Trigger::parse(text).unwrap()).collect() }
    }

    #[test]
    fn failure_is_every_failure_but_that_the_upstream_says_no() {
        let all = FallbackOn::failure();
        assert_eq!(all, on(&["failure"]));
        for kind in Kind::ALL {
            let expected = !matches!(kind, Kind::Success | Kind::NotModified | Kind::ClientError | Kind::Cancelled);
            assert_eq!(all.fires(kind, None), expected, "{kind:?}");
        }
    }

    #[test]
    fn a_list_replaces_the_default() {
        let some = on(&["404", "5xx", "timeout", "breaker_open"]);
        let cases = [
            (Kind::ClientError, Some(404), true),
            (Kind::ClientError, Some(410), false),
            (Kind::ServerError, Some(503), true),
            (Kind::AttemptTimeout, None, true),
            (Kind::BreakerOpen, None, true),
            (Kind::LocalLimit, None, false),
            (Kind::ConnectError, None, false),
            // A status that did not decide: the answer could not be decoded.
            (Kind::DecodeError, Some(200), false),
        ];
        for (kind, status, expected) in cases {
            assert_eq!(some.fires(kind, status), expected, "{kind:?} {status:?}");
        }
        let more = on(&["failure", "404"]);
        assert!(more.fires(Kind::ClientError, Some(404)) && more.fires(Kind::LocalLimit, None));
        assert!(!more.fires(Kind::ClientError, Some(403)));
    }

    #[test]
    fn what_is_no_failure_cannot_be_fallen_back_from() {
        for text in ["success", "not_modified", "cancelled", "2xx", "1xx", "200", "100", "9xx", "failures", ""] {
            assert_eq!(Trigger::parse(text), None, "{text}");
        }
        for kind in Kind::ALL.into_iter().filter(|kind| kind.allows_fallback()) {
            assert!(Trigger::parse(kind.as_str()).is_some(), "{kind:?}");
        }
    }
}
