//! `rate_limit:` of a source.

use std::time::Duration;

use crate::policy::gcra::Quota;

/// `rate_limit:` of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RateLimitSettings {
    /// `rate` and `burst`.
    pub(crate) quota: Quota,
    /// What one call takes.
    pub(crate) cost: Cost,
    /// How calls wait for tokens; `None`: `mode: reject`.
    pub(crate) wait: Option<RateWait>,
    /// Whether an upstream that says when to come back holds up all calls of the source until then.
    pub(crate) pause_on_429: bool,
}

/// With `mode: wait`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RateWait {
    /// A call that would wait for longer fails at once.
    pub(crate) max_wait: Duration,
    /// Calls that wait at the same time. At least 1.
    pub(crate) max_queue: u32,
}

/// How many tokens a call takes. At least 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cost {
    /// So many.
    Fixed(u32),
    /// As many as this parameter of the source says, an integer.
    Param(String),
}

/// Used where the file is silent.
pub(crate) const RATE_WAIT_DEFAULTS: RateWait = RateWait { max_wait: Duration::from_secs(1), max_queue: 1000 };

impl Cost {
    /// The tokens of one call; `param` gives the text of a parameter. Less than one is one.
    pub(crate) fn tokens<'a>(&self, param: impl FnOnce(&str) -> Option<&'a str>) -> u32 {
        match self {
            Self::Fixed(cost) => *cost,
            Self::Param(name) => match param(name).map(str::parse::<i128>) {
                Some(Ok(cost)) => u32::try_from(cost.max(1)).unwrap_or(u32::MAX),
                // Digits without end.
                Some(Err(_)) => u32::MAX,
                None => 1,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_that_a_parameter_says_is_one_at_least() {
        let cost = Cost::Param("n".to_owned());
        for (text, expected) in [("3", 3), ("0", 1), ("-7", 1), ("99999999999", u32::MAX)] {
            assert_eq!(cost.tokens(|name| (name == "n").then_some(text)), expected, "{text}");
        }
        assert_eq!(cost.tokens(|_| None), 1);
        assert_eq!(Cost::Fixed(4).tokens(|_| Some("9")), 4);
    }
}
