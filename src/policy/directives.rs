//! What an upstream says about keeping its answer: the directives of `Cache-Control` that a shared cache obeys (RFC 9111).
//!
//! | directive | what it forbids |
//! |---|---|
//! | `no-store`, `private` | to store the answer at all |
//! | `no-cache` | to serve it without asking again: fresh for no time, and never stale |
//! | `must-revalidate`, `proxy-revalidate`, `s-maxage` | to serve it stale |
//! | `s-maxage`, else `max-age` | to call it fresh for longer than that, less its `Age` |
//!
//! Nothing here lengthens what the operator configured. A directive that names fields (`private="x-user"`) counts as one
//! that names none: to keep an answer without some of its headers is not worth telling apart.

use std::time::Duration;

/// What is forbidden; by default, nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Directives {
    /// It must not be stored.
    pub(crate) forbids_storing: bool,
    /// It must not be served past its ttl, whatever happens.
    pub(crate) forbids_stale: bool,
    /// It is fresh for no longer than this.
    pub(crate) fresh_for: Option<Duration>,
}

impl Directives {
    /// What these lines of `Cache-Control` say of an answer that was this old when it came.
    pub(crate) fn parse(lines: impl IntoIterator<Item: AsRef<str>>, age: Duration) -> Self {
        let mut found = Self::default();
        let (mut max_age, mut s_maxage) = (None, None);
        let mut never_fresh = false;
        for line in lines {
            for (name, value) in members(line.as_ref()) {
                match name.to_ascii_lowercase().as_str() {
                    "no-store" | "private" => found.forbids_storing = true,
                    "no-cache" => (never_fresh, found.forbids_stale) = (true, true),
                    "must-revalidate" | "proxy-revalidate" => found.forbids_stale = true,
                    "max-age" => max_age = shorter(max_age, value),
                    "s-maxage" => {
                        s_maxage = shorter(s_maxage, value);
                        found.forbids_stale = true;
                    }
                    _ => {}
                }
            }
        }
        let said = if never_fresh { Some(Duration::ZERO) } else { s_maxage.or(max_age) };
        found.fresh_for = said.map(|said| said.saturating_sub(age));
        found
    }

    /// A ttl, cut to what is allowed; what must not be stored has none.
    pub(crate) fn shorten(&self, ttl: Duration) -> Duration {
        if self.forbids_storing {
            return Duration::ZERO;
        }
        self.fresh_for.map_or(ttl, |allowed| allowed.min(ttl))
    }
}

/// The members of a list, as name and value; a comma within quotes ends none.
fn members(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut quoted = false;
    let ends = move |c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    };
    line.split(ends).map(|member| {
        let (name, value) = member.split_once('=').unwrap_or((member, ""));
        (name.trim(), value.trim().trim_matches('"'))
    })
}

/// The shorter of both where a directive comes twice. A number that is none means stale (RFC 9111, 4.2.1).
fn shorter(before: Option<Duration>, seconds: &str) -> Option<Duration> {
    let is_number = !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit());
    // More digits than fit are a very long time.
    let said = if is_number { seconds.parse().unwrap_or(u64::from(u32::MAX)) } else { 0 };
    let said = Duration::from_secs(said);
    Some(before.map_or(said, |before| before.min(said)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Directives {
        Directives::parse([line], Duration::ZERO)
    }

    fn seconds(count: u64) -> Option<Duration> {
        Some(Duration::from_secs(count))
    }

    #[test]
    fn what_forbids_storing_and_what_forbids_stale() {
        let cases = [
            ("", false, false),
            ("public, max-age=60, immutable", false, false),
            ("no-store", true, false),
            ("Private", true, false),
            ("max-age=5,PRIVATE=\"x-user, x-other\" ", true, false),
            ("must-revalidate", false, true),
            ("proxy-revalidate", false, true),
            ("no-cache", false, true),
            ("no-cache=\"set-cookie\"", false, true),
            ("s-maxage=10", false, true),
            ("no-transform, stale-if-error=60", false, false),
            ("x-ext=\"no-store, private\"", false, false),
            ("no-storehouse", false, false),
        ];
        for (line, storing, stale) in cases {
            let found = parsed(line);
            assert_eq!((found.forbids_storing, found.forbids_stale), (storing, stale), "{line}");
        }
    }

    #[test]
    fn how_long_it_is_fresh_at_most() {
        let cases = [
            ("public", None),
            ("max-age=60", seconds(60)),
            ("max-age=\"60\"", seconds(60)),
            ("max-age=60, s-maxage=600", seconds(600)),
            ("max-age=60, max-age=30", seconds(30)),
            ("max-age=-1", seconds(0)),
            ("max-age=soon", seconds(0)),
            ("max-age", seconds(0)),
            ("max-age=99999999999999999999999", seconds(u64::from(u32::MAX))),
            ("max-age=60, no-cache", seconds(0)),
        ];
        for (line, expected) in cases {
            assert_eq!(parsed(line).fresh_for, expected, "{line}");
        }
    }

    #[test]
    fn what_a_proxy_kept_it_for_counts_and_a_ttl_is_never_made_longer() {
        let aged = Directives::parse(["max-age=60", "must-revalidate"], Duration::from_secs(45));
        assert_eq!((aged.fresh_for, aged.forbids_stale), (seconds(15), true));
        assert_eq!(Directives::parse(["max-age=60"], Duration::from_secs(90)).fresh_for, seconds(0));
        assert_eq!(aged.shorten(Duration::from_secs(60)), Duration::from_secs(15));
        assert_eq!(aged.shorten(Duration::from_secs(5)), Duration::from_secs(5));
        assert_eq!(parsed("private").shorten(Duration::from_secs(60)), Duration::ZERO);
        assert_eq!(Directives::default().shorten(Duration::from_secs(60)), Duration::from_secs(60));
    }
}
