//! The settings of one limit of clients.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use crate::policy::gcra::Quota;
use crate::policy::gcra::Rate;

/// One of `rate_limits`, or a route's `rate_limit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LimitSettings {
    /// What state, metrics and headers know it by: its `name`, or for a route's own the route.
    pub(crate) name: Arc<str>,
    /// Whose requests count together.
    pub(crate) key: Vec<KeyPart>,
    pub(crate) rule: Rule,
    /// How many seconds of the rate the burst is, rounded up; for headers.
    pub(crate) window_s: u64,
    /// For how many keys it remembers anything.
    pub(crate) max_keys: u32,
    pub(crate) show: Show,
    pub(crate) style: Style,
    /// Which routes; not read of a route's own.
    pub(crate) routes: Vec<Pattern>,
    pub(crate) costs: Costs,
    pub(crate) refusal: Refusal,
}

/// One thing that tells keys apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyPart {
    /// The tenant of the key shown; without one, the address.
    Tenant,
    /// The key shown; without one, the address.
    ApiKey,
    /// The address that the request comes from; of IPv6 the network of 64 bits, which one client has all of.
    Ip,
    /// The route.
    Route,
    /// The value of a header; without one, the address.
    Header(HeaderName),
}

/// What one key may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Requests in time.
    pub(crate) quota: Option<Quota>,
    /// Requests at the same time.
    pub(crate) max_in_flight: Option<NonZeroU32>,
}

/// When headers tell of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    Always,
    /// When less than a fifth is left, and on refusals.
    NearLimit,
    Never,
}

/// Which headers tell of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// `RateLimit-Policy` and `RateLimit`.
    Ietf,
    /// `X-RateLimit-Limit`, `-Remaining`, `-Reset`.
    Legacy,
    Both,
}

/// What a refusal says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// In place of aggd's own words.
    pub(crate) message: Option<Arc<str>>,
    /// Nobody is told to come back sooner.
    pub(crate) retry_after: Duration,
}

/// Some routes: `*`, `/cities/*`, or one as it is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// All that begin so.
    Prefix(String),
    Whole(String),
}

/// What a request costs, by its route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Costs {
    pub(crate) default: NonZeroU32,
    pub(crate) of: Vec<(Pattern, NonZeroU32)>,
}

/// As it is written in a configuration.
impl fmt::Display for KeyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant => f.write_str("tenant"),
            Self::ApiKey => f.write_str("api_key"),
            Self::Ip => f.write_str("ip"),
            Self::Route => f.write_str("route"),
            Self::Header(name) => write!(f, "header:{name}"),
        }
    }
}

impl Pattern {
    /// `Err`: it is none.
    pub(crate) fn parse(text: &str) -> Result<Self, ()> {
        let (stem, prefix) = match text.strip_suffix('*') {
            // `{*rest}` ends in a brace.
            Some(stem) => (stem, true),
            None => (text, false),
        };
        if !(stem.starts_with('/') || (prefix && stem.is_empty())) {
            return Err(());
        }
        Ok(if prefix { Self::Prefix(stem.to_owned()) } else { Self::Whole(stem.to_owned()) })
    }

    /// Whether a route, as it is declared, is one of them.
    pub(crate) fn includes(&self, route: &str) -> bool {
        match self {
            Self::Prefix(stem) => route.starts_with(stem.as_str()),
            Self::Whole(whole) => route == whole,
        }
    }

    /// The greater, the fewer routes.
    fn narrowness(&self) -> (bool, usize) {
        match self {
            Self::Prefix(stem) => (false, stem.len()),
            Self::Whole(whole) => (true, whole.len()),
        }
    }
}

impl Costs {
    /// The same for all.
    pub(crate) fn flat(cost: NonZeroU32) -> Self {
        Self { default: cost, of: Vec::new() }
    }

    /// The cost of a route: what is said of the fewest routes counts.
    pub(crate) fn of_route(&self, route: &str) -> NonZeroU32 {
        let fitting = self.of.iter().filter(|(pattern, _)| pattern.includes(route));
        fitting.max_by_key(|(pattern, _)| pattern.narrowness()).map_or(self.default, |(_, cost)| *cost)
    }

    /// The highest of all.
    pub(crate) fn highest(&self) -> NonZeroU32 {
        self.of.iter().map(|(_, cost)| *cost).chain([self.default]).max().unwrap_or(self.default)
    }
}

/// How many seconds of a rate a burst is, rounded up.
pub(crate) fn window_seconds(rate: Rate, burst: NonZeroU32) -> u64 {
    let nanos = rate.per.as_nanos().saturating_mul(u128::from(burst.get()));
    let seconds = nanos.div_ceil(u128::from(rate.count.get()) * 1_000_000_000);
    u64::try_from(seconds).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    #[test]
    fn what_is_said_of_the_fewest_routes_counts() {
        let of = [("/a*", 2), ("/a/b", 5), ("/a/*", 3)];
        let of = of.map(|(pattern, cost)| (Pattern::parse(pattern).unwrap(), n(cost)));
        let costs = Costs { default: n(1), of: of.to_vec() };
        for (route, cost) in [("/x", 1), ("/aggregate", 2), ("/a/{id}", 3), ("/a/b", 5), ("/a/bc", 3)] {
            assert_eq!(costs.of_route(route), n(cost), "{route}");
        }
        assert_eq!(costs.highest(), n(5));
    }

    #[test]
    fn a_pattern_is_a_path_or_the_beginning_of_one() {
        for good in ["*", "/", "/a", "/a/*", "/files/{*rest}", "/cities/{city}"] {
            assert!(Pattern::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "a*", "x/*"] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
        assert!(Pattern::parse("*").unwrap().includes("/any/{thing}"));
        assert!(!Pattern::parse("/files/{*rest}").unwrap().includes("/files/{*rest}/x"));
    }

    #[test]
    fn a_window_is_told_in_whole_seconds() {
        let rate = |count, seconds| Rate { count: n(count), per: Duration::from_secs(seconds) };
        let cases = [((5, 1), 10, 2), ((100, 60), 100, 60), ((3, 1), 3, 1), ((3, 1), 4, 2), ((1, 10), 5, 50)];
        for ((count, seconds), burst, window) in cases {
            assert_eq!(window_seconds(rate(count, seconds), n(burst)), window, "{count}/{seconds}s, {burst}");
        }
    }
}
