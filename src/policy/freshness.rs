//! How old a cached answer may be, and what its age calls for.
//!
//! | age | class | what follows |
//! |---|---|---|
//! | below the soft ttl | fresh | served |
//! | below the ttl | fresh_refresh | served, fetched anew behind the reply |
//! | below ttl + stale_while_revalidate | stale_swr | served, fetched anew behind the reply |
//! | below ttl + stale_if_error | stale_if_error | the upstream is asked; the copy stands in where it fails |
//! | else | miss | kept for `fallback: stale` alone |
//!
//! The ttl is that of the settings at the time of reading, shortened by the draw that was stored with the entry.

use std::time::Duration;

use crate::base::ByteSize;

/// `cache:` of a source. `cache: off` is the absence of this.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CacheSettings {
    /// Younger than this is fresh. Zero: never fresh, kept for `stale_if_error` alone.
    pub(crate) ttl: Duration,
    /// Share of the ttl that is random, 0 to 1; it only ever shortens.
    pub(crate) ttl_jitter: f64,
    /// When a fresh entry is fetched anew behind the reply.
    pub(crate) refresh_ahead: RefreshAhead,
    /// How long past its ttl an entry is served at once while it is fetched anew.
    pub(crate) stale_while_revalidate: Duration,
    /// How long past its ttl an entry stands in for a failed call.
    pub(crate) stale_if_error: Duration,
    /// Whether definitive refusals are kept, and for how long.
    pub(crate) negative: Option<NegativeSettings>,
    /// Whether callers with the same key share one call.
    pub(crate) coalesce: Option<CoalesceSettings>,
    /// Among whom a copy is shared.
    pub(crate) scope: CacheScope,
    /// Client headers whose values are part of the key, lower case.
    pub(crate) key_headers: Vec<String>,
    /// A larger answer is served, not stored.
    pub(crate) max_entry_bytes: ByteSize,
    /// Whether what the upstream forbids in `Cache-Control` is obeyed.
    pub(crate) respect_upstream: bool,
    /// Whether the upstream is asked if a copy still holds, where it gave something to ask by.
    pub(crate) conditional: bool,
}

/// `scope:`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CacheScope {
    /// Everybody.
    Shared,
    /// The clients of one tenant. Those without a key are one tenant of their own.
    Tenant,
    /// Those who show one key. Those without are one of their own.
    Principal,
}

/// `refresh_ahead:`
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum RefreshAhead {
    /// Older than this share of the ttl.
    Ratio(f64),
    /// By chance, likelier as the end comes nearer and the longer a fetch takes.
    Xfetch,
    /// Never.
    Off,
}

/// `negative:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NegativeSettings {
    /// How long.
    pub(crate) ttl: Duration,
    /// Which statuses; of 404, 410, 204, 301, 308.
    pub(crate) statuses: Vec<u16>,
}

/// `coalesce:`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CoalesceSettings {
    /// A flight older than this is not joined; `None`: the source's timeout.
    pub(crate) max_age: Option<Duration>,
    /// What becomes of a flight that nobody waits for.
    pub(crate) on_abandon: OnAbandon,
}

/// `on_abandon:`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnAbandon {
    /// It is finished and its result stored.
    Complete,
    /// It is cancelled.
    Cancel,
}

/// Used where the file is silent. The only place these defaults are written.
pub(crate) const CACHE_DEFAULTS: CacheSettings = CacheSettings {
    ttl: Duration::from_secs(60),
    ttl_jitter: 0.0,
    refresh_ahead: RefreshAhead::Ratio(0.5),
    stale_while_revalidate: Duration::ZERO,
    stale_if_error: Duration::from_secs(300),
    negative: None,
    coalesce: Some(CoalesceSettings { max_age: None, on_abandon: OnAbandon::Complete }),
    scope: CacheScope::Shared,
    key_headers: Vec::new(),
    max_entry_bytes: ByteSize::mib(1),
    respect_upstream: false,
    conditional: true,
};

/// The first wait after a failed refresh; it doubles up to a quarter of the ttl.
const REFRESH_BACKOFF: Duration = Duration::from_secs(1);
/// How early `xfetch` refreshes; 1 is the optimum of its authors.
const XFETCH_BETA: f64 = 1.0;

/// What an age calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Freshness {
    Fresh,
    FreshRefresh,
    StaleRevalidate,
    StaleIfError,
    Miss,
}

/// The class of an age. `ttl` is the entry's effective one, `took` what its fetch took, and `draw`, in `[0, 1)`, a new
/// one at each reading: `xfetch` needs both.
pub(crate) fn classify(set: &CacheSettings, ttl: Duration, age: Duration, took: Duration, draw: f64) -> Freshness {
    if age < ttl {
        let refreshes = match set.refresh_ahead {
            RefreshAhead::Ratio(ratio) => age > share(ttl, ratio),
            RefreshAhead::Xfetch => xfetch_due(ttl, age, took.mul_f64(XFETCH_BETA), draw),
            RefreshAhead::Off => false,
        };
        if refreshes { Freshness::FreshRefresh } else { Freshness::Fresh }
    } else if age < ttl.saturating_add(set.stale_while_revalidate) {
        Freshness::StaleRevalidate
    } else if age < ttl.saturating_add(set.stale_if_error) {
        Freshness::StaleIfError
    } else {
        Freshness::Miss
    }
}

/// The ttl with its jitter: shorter by up to that share, so that entries stored together do not end together.
pub(crate) fn effective_ttl(set: &CacheSettings, draw: f64) -> Duration {
    share(set.ttl, 1.0 - set.ttl_jitter * draw)
}

/// How long an entry's refresh is left alone after it failed, having failed this often in a row before.
pub(crate) fn refresh_backoff(ttl: Duration, failures: u32) -> Duration {
    let doubled = REFRESH_BACKOFF.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX));
    // A short ttl must not make it shorter than the first wait: with a ttl of zero there would be none.
    doubled.min((ttl / 4).max(REFRESH_BACKOFF))
}

/// Whether this reader is the one to refresh: likelier as the end comes near, and the longer a fetch takes. `lead` is
/// the fetch time times beta.
fn xfetch_due(ttl: Duration, age: Duration, lead: Duration, draw: f64) -> bool {
    // The draw is in [0, 1), the logarithm wants (0, 1].
    let early = lead.as_secs_f64() * -(1.0 - draw).ln();
    age.as_secs_f64() + early >= ttl.as_secs_f64()
}

/// A share of a duration. A share outside 0 to 1, which validation refuses, is taken as the nearer end.
fn share(of: Duration, share: f64) -> Duration {
    if share >= 1.0 { of } else { of.mul_f64(share.max(0.0)) }
}

#[cfg(test)]
mod tests {
    //! The vectors CCH-01 to 10 and XFE-01 to 08, and the boundaries between.

    use super::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    /// ttl 60s, soft 30s, swr 30s, sie 300s: what the vectors are told against.
    fn usual() -> CacheSettings {
        CacheSettings { stale_while_revalidate: ms(30_000), ..CACHE_DEFAULTS }
    }

    fn class(set: &CacheSettings, age_ms: u64) -> Freshness {
        classify(set, set.ttl, ms(age_ms), ms(500), 0.999)
    }

    #[test]
    fn cch_01_to_10_the_class_of_an_age() {
        let cases = [
            ("CCH-01", 0, Freshness::Fresh),
            ("CCH-02", 29_999, Freshness::Fresh),
            ("CCH-03", 30_000, Freshness::Fresh),
            ("CCH-04", 30_001, Freshness::FreshRefresh),
            ("CCH-05", 59_999, Freshness::FreshRefresh),
            ("CCH-06", 60_000, Freshness::StaleRevalidate),
            ("CCH-07", 89_999, Freshness::StaleRevalidate),
            ("CCH-08", 90_000, Freshness::StaleIfError),
            ("CCH-09", 359_999, Freshness::StaleIfError),
            ("CCH-10", 360_000, Freshness::Miss),
        ];
        assert_eq!(cases.len(), 10);
        for (id, age, expected) in cases {
            assert_eq!(class(&usual(), age), expected, "{id}");
        }
    }

    #[test]
    fn xfe_01_to_05_a_refresh_by_chance() {
        let cases = [
            ("XFE-01", 59_000, 1.0, 0.5, false),
            ("XFE-02", 59_700, 1.0, 0.5, true),
            ("XFE-03", 50_000, 1.0, 1e-9, true),
            ("XFE-04", 30_000, 1.0, 1e-9, false),
            ("XFE-05", 59_000, 2.0, 0.3, true),
        ];
        assert_eq!(cases.len(), 5);
        let set = CacheSettings { refresh_ahead: RefreshAhead::Xfetch, ..usual() };
        for (id, age, beta, r, expected) in cases {
            // The vectors' r is in (0, 1]; a draw is in [0, 1) and r is its complement. Beta is no setting: it scales
            // the fetch time.
            let class = classify(&set, set.ttl, ms(age), ms(500).mul_f64(beta / XFETCH_BETA), 1.0 - r);
            assert_eq!(class == Freshness::FreshRefresh, expected, "{id}");
        }
    }

    #[test]
    fn xfe_06_to_08_jitter_only_ever_shortens() {
        let cases =
            [("XFE-06", 0.0, 60_000, 30_000), ("XFE-07", 0.5, 57_000, 28_500), ("XFE-08", 0.999, 54_006, 27_003)];
        assert_eq!(cases.len(), 3);
        let set = CacheSettings { ttl_jitter: 0.1, ..usual() };
        for (id, draw, ttl_ms, soft_ms) in cases {
            let ttl = effective_ttl(&set, draw);
            assert!(ttl.abs_diff(ms(ttl_ms)) < Duration::from_micros(1), "{id}: ttl {ttl:?}");
            let around = [(soft_ms - 1, Freshness::Fresh), (soft_ms + 1, Freshness::FreshRefresh)];
            for (age, expected) in around {
                assert_eq!(classify(&set, ttl, ms(age), ms(500), 0.0), expected, "{id} at {age}ms");
            }
        }
    }

    #[test]
    fn a_failed_refresh_waits_a_second_then_twice_that_up_to_a_quarter_of_the_ttl() {
        let waits = [0, 1, 2, 3, 4, 31, 32, u32::MAX].map(|failures| refresh_backoff(ms(60_000), failures).as_secs());
        assert_eq!(waits, [1, 2, 4, 8, 15, 15, 15, 15]);
        assert_eq!(refresh_backoff(Duration::ZERO, 5), ms(1_000), "a ttl of zero still waits");
        assert!(refresh_backoff(Duration::MAX, 40) >= refresh_backoff(Duration::MAX, 31), "doubling never wraps round");
    }

    #[test]
    fn a_ttl_of_zero_is_never_fresh_and_still_stands_in() {
        let set = CacheSettings { ttl: Duration::ZERO, ..CACHE_DEFAULTS };
        assert_eq!(class(&set, 0), Freshness::StaleIfError);
        let nothing = CacheSettings { stale_if_error: Duration::ZERO, ..set };
        assert_eq!(class(&nothing, 0), Freshness::Miss);
    }

    #[test]
    fn refresh_ahead_off_serves_until_the_ttl() {
        let set = CacheSettings { refresh_ahead: RefreshAhead::Off, ..usual() };
        assert_eq!([class(&set, 59_999), class(&set, 60_000)], [Freshness::Fresh, Freshness::StaleRevalidate]);
    }

    #[test]
    fn the_longest_windows_do_not_overflow() {
        let set = CacheSettings { stale_if_error: Duration::MAX, stale_while_revalidate: Duration::MAX, ..usual() };
        assert_eq!(class(&set, u64::MAX), Freshness::StaleRevalidate);
        let set = CacheSettings { ttl: Duration::MAX, ..set };
        assert_eq!(effective_ttl(&set, 0.7), Duration::MAX);
    }
}
