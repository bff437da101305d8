//! What headers say of limits: `RateLimit-Policy` and `RateLimit` as draft-ietf-httpapi-ratelimit-headers has them, and
//! the `X-RateLimit-…` of before.

use std::fmt::Write as _;
use std::time::Duration;

use crate::policy::quota::cells::Short;
use crate::policy::quota::cells::Standing;
use crate::policy::quota::settings::LimitSettings;
use crate::policy::quota::settings::Show;
use crate::policy::quota::settings::Style;

/// The values of the headers; an empty one is not sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// `RateLimit-Policy`
    pub(crate) policies: String,
    /// `RateLimit`
    pub(crate) left: String,
    /// `X-RateLimit-Limit`, `-Remaining`, `-Reset` of the limit that binds most.
    pub(crate) legacy: Option<Legacy>,
    /// The members that refused, by their names in the headers.
    pub(crate) violated: Vec<String>,
}

/// One limit in the words of before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Legacy {
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
    pub(crate) reset_s: u64,
    refused: bool,
}

/// Tells how a request stands with the limits that it was held against.
pub(crate) fn tell<'a>(limits: impl Iterator<Item = (&'a LimitSettings, Standing)>) -> Told {
    let mut told = Told::default();
    for (set, standing) in limits {
        if let Some(quota) = &set.rule.quota {
            let burst = quota.burst().get();
            told.rate(set, &standing, burst);
        }
        if let Some(places) = set.rule.max_in_flight {
            told.places(set, &standing, places.get());
        }
    }
    told
}

impl Told {
    fn rate(&mut self, set: &LimitSettings, standing: &Standing, burst: u32) {
        let wait = match standing.short {
            Some(Short::Rate(wait)) => Some(seconds(wait)),
            Some(Short::InFlight) | None => standing.next.map(seconds),
        };
        let refused = matches!(standing.short, Some(Short::Rate(_)));
        if refused {
            self.violated.push(set.name.to_string());
        }
        if !is_shown(set, standing.units, burst, refused) {
            return;
        }
        if set.style != Style::Legacy {
            let name = quoted(&set.name, "");
            // Writing to a String cannot fail.
            _ = write!(next(&mut self.policies), "{name};q={burst};w={}", set.window_s);
            _ = write!(next(&mut self.left), "{name};r={}", standing.units);
            if let Some(wait) = wait {
                _ = write!(self.left, ";t={wait}");
            }
        }
        if set.style != Style::Ietf {
            let reset_s = wait.unwrap_or_default();
            self.bind(Legacy { limit: burst, remaining: standing.units, reset_s, refused });
        }
    }

    fn places(&mut self, set: &LimitSettings, standing: &Standing, places: u32) {
        let suffix = if set.rule.quota.is_some() { "-in-flight" } else { "" };
        let refused = standing.short == Some(Short::InFlight);
        if refused {
            self.violated.push(format!("{}{suffix}", set.name));
        }
        if set.style != Style::Legacy && is_shown(set, standing.places, places, refused) {
            let name = quoted(&set.name, suffix);
            _ = write!(next(&mut self.policies), "{name};q={places};qu=\"concurrent-requests\"");
            _ = write!(next(&mut self.left), "{name};r={}", standing.places);
        }
    }

    /// The words of before have room for one limit: the one that refused, else the one with the least left.
    fn bind(&mut self, other: Legacy) {
        let is_tighter = |known: Legacy| (!other.refused, other.remaining) < (!known.refused, known.remaining);
        if self.legacy.is_none_or(is_tighter) {
            self.legacy = Some(other);
        }
    }
}

fn is_shown(set: &LimitSettings, left: u32, most: u32, refused: bool) -> bool {
    match set.show {
        Show::Always => true,
        Show::NearLimit => refused || u64::from(left) * 5 < u64::from(most),
        Show::Never => false,
    }
}

/// The list, ready for one more member.
fn next(list: &mut String) -> &mut String {
    if !list.is_empty() {
        list.push_str(", ");
    }
    list
}

/// A name as a string of structured fields: visible ASCII in quotes.
fn quoted(name: &str, suffix: &str) -> String {
    let mut out = String::with_capacity(name.len() + suffix.len() + 2);
    out.push('"');
    for c in name.chars().chain(suffix.chars()) {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ => out.push('?'),
        }
    }
    out.push('"');
    out
}

/// Whole seconds, rounded up, at least one.
pub(crate) fn seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::policy::gcra::Quota;
    use crate::policy::gcra::Rate;
    use crate::policy::quota::settings::Costs;
    use crate::policy::quota::settings::KeyPart;
    use crate::policy::quota::settings::Refusal;
    use crate::policy::quota::settings::Rule;

    fn set(name: &str, burst: u32, places: Option<u32>) -> LimitSettings {
        let one = NonZeroU32::MIN;
        let rate = Rate { count: one, per: Duration::from_secs(1) };
        LimitSettings {
            name: name.into(),
            key: vec![KeyPart::Ip],
            rule: Rule {
                quota: NonZeroU32::new(burst).map(|burst| Quota::new(rate, burst)),
                max_in_flight: places.and_then(NonZeroU32::new),
            },
            window_s: u64::from(burst),
            max_keys: 1,
            show: Show::Always,
            style: Style::Ietf,
            routes: Vec::new(),
            costs: Costs::flat(one),
            refusal: Refusal { status: 429, message: None, retry_after: Duration::ZERO },
        }
    }

    fn left(units: u32, places: u32) -> Standing {
        Standing { units, next: Some(Duration::from_millis(1200)), places, short: None }
    }

    #[test]
    fn several_limits_are_members_of_one_list() {
        let (a, b) = (set("a", 10, Some(3)), set("b", 0, Some(2)));
        let told = tell([(&a, left(4, 1)), (&b, left(0, 2))].into_iter());
        let qu = "qu=\"concurrent-requests\"";
        assert_eq!(told.policies, format!("\"a\";q=10;w=10, \"a-in-flight\";q=3;{qu}, \"b\";q=2;{qu}"));
        assert_eq!(told.left, "\"a\";r=4;t=2, \"a-in-flight\";r=1, \"b\";r=2");
        assert!(told.violated.is_empty() && told.legacy.is_none());
    }

    #[test]
    fn near_the_limit_is_less_than_a_fifth() {
        let near = LimitSettings { show: Show::NearLimit, ..set("a", 10, None) };
        assert_eq!(tell([(&near, left(2, 0))].into_iter()), Told::default());
        assert_eq!(tell([(&near, left(1, 0))].into_iter()).left, "\"a\";r=1;t=2");
        let never = LimitSettings { show: Show::Never, ..near };
        let short = Standing { short: Some(Short::Rate(Duration::from_secs(1))), ..left(0, 0) };
        let told = tell([(&never, short)].into_iter());
        assert!(told.left.is_empty() && told.violated == ["a"]);
    }

    #[test]
    fn the_words_of_before_are_of_the_limit_that_binds() {
        let legacy = |name, burst| LimitSettings { style: Style::Legacy, ..set(name, burst, None) };
        let (a, b) = (legacy("a", 100), legacy("b", 10));
        let told = tell([(&a, left(50, 0)), (&b, left(7, 0))].into_iter());
        assert_eq!(told.legacy, Some(Legacy { limit: 10, remaining: 7, reset_s: 2, refused: false }));
        assert!(told.policies.is_empty() && told.left.is_empty());
        let short = Standing { short: Some(Short::Rate(Duration::from_secs(9))), ..left(50, 0) };
        let told = tell([(&a, short), (&b, left(7, 0))].into_iter());
        assert_eq!(told.legacy, Some(Legacy { limit: 100, remaining: 50, reset_s: 9, refused: true }));
    }

    #[test]
    fn a_name_is_a_string_of_structured_fields() {
        assert_eq!(quoted("/städte/{x}", ""), "\"/st?dte/{x}\"");
        assert_eq!(quoted("a\"b\\c", "-d"), "\"a\\\"b\\\\c-d\"");
    }
}
