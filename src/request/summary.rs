//! What holds for all parts of an answer together: its mode, its age, and the headers that tell of them.

use std::time::Duration;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::header;

use crate::base::hex;
use crate::base::hex_text;
use crate::plan::PartPlan;
use crate::request::envelope::Placed;
use crate::request::envelope::whole_millis;
use crate::request::part::Origin;
use crate::request::part::Part;
use crate::request::part::Status;

pub(crate) const AGGD_COMPLETED: HeaderName = HeaderName::from_static("aggd-completed");
pub(crate) const AGGD_DEGRADED: HeaderName = HeaderName::from_static("aggd-degraded");
pub(crate) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
pub(crate) const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// What holds for the parts together.
pub(crate) struct Summary {
    /// The worst of fresh, cached, degraded_cache, degraded_fallback, partial that applies.
    pub(crate) mode: &'static str,
    pub(crate) cached: bool,
    pub(crate) age: Option<Duration>,
}

impl Summary {
    pub(crate) fn of(placed: &[Placed<'_>]) -> Self {
        let mut parts = placed.iter().map(|(_, part)| part);
        let waited = parts.clone().any(|part| part.waited());
        let some_from_cache =
            parts.clone().any(|part| matches!(part.origin, Origin::Cache { .. } | Origin::CacheInBrownout { .. }));
        let all_held = parts.clone().filter(|part| part.data.is_some()).all(|part| {
            matches!(part.origin, Origin::Cache { .. } | Origin::CacheInBrownout { .. } | Origin::Constant)
                && part.failure.is_none()
        });
        let cached = !waited && some_from_cache && all_held;
        let via_cache = |part: &&Part| part.is_degraded() && matches!(part.origin, Origin::CacheAfterError { .. });
        let mode = if parts.clone().any(|part| part.data.is_none()) {
            "partial"
        } else if parts.clone().any(|part| part.is_degraded() && !via_cache(part)) {
            "degraded_fallback"
        } else if parts.clone().any(|part| via_cache(part) || part.is_brownout()) {
            "degraded_cache"
        } else if cached {
            "cached"
        } else {
            "fresh"
        };
        let age = parts.by_ref().filter_map(|part| part.age()).max();
        Self { mode, cached, age }
    }

    /// Whether anything is missing, stale or from a fallback.
    pub(crate) fn degraded(&self) -> bool {
        !matches!(self.mode, "fresh" | "cached")
    }

    /// The headers that tell of it.
    pub(crate) fn write_headers(&self, placed: &[Placed<'_>], headers: &mut HeaderMap) {
        let stale = placed.iter().any(|(_, part)| part.status == Status::Stale);
        let complete = !self.degraded() && !stale;
        let flag = HeaderValue::from_static(if complete { "true" } else { "false" });
        headers.insert(AGGD_COMPLETED, flag);
        let degraded: Vec<String> = placed.iter().filter_map(|(plan, part)| degraded_member(plan, part)).collect();
        if !degraded.is_empty() {
            insert(headers, AGGD_DEGRADED, degraded.join(", "));
        }
        if let Some(status) = cache_status(placed, self.cached) {
            insert(headers, CACHE_STATUS, status);
        }
        if let Some(age) = self.age {
            headers.insert(header::AGE, HeaderValue::from(age.as_secs()));
        }
        insert(headers, header::ETAG, etag(placed.iter().map(|(_, part)| *part)));
        let mut timing = String::with_capacity(placed.len() * 20);
        for (plan, part) in placed {
            if !timing.is_empty() {
                timing.push_str(", ");
            }
            timing.push_str(plan.alias.as_str());
            timing.push_str(";dur=");
            timing.push_str(itoa::Buffer::new().format(whole_millis(part.took)));
        }
        insert(headers, SERVER_TIMING, timing);
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, text: String) {
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(name, value);
    }
}

/// `news;reason=attempt_timeout;via=stale`; nothing for a part that has no data or is not degraded.
fn degraded_member(plan: &PartPlan, part: &Part) -> Option<String> {
    if part.is_brownout() {
        return Some(format!("{};reason=shed;via=cache", plan.alias));
    }
    let failure = part.failure.as_ref().filter(|_| part.data.is_some())?;
    let via = part.fallback.as_ref().map_or("stale", |note| note.via);
    Some(format!("{};reason={};via={via}", plan.alias, failure.kind.as_str()))
}

/// One RFC 9211 member for the whole answer: a hit only where no call was waited for.
fn cache_status(placed: &[Placed<'_>], cached: bool) -> Option<String> {
    let parts = || placed.iter().map(|(_, part)| part);
    let left_ms = parts().filter_map(|part| match part.origin {
        Origin::Cache { left_ms, .. }
        | Origin::CacheInBrownout { left_ms, .. }
        | Origin::CacheAfterError { left_ms, .. } => Some(left_ms),
        Origin::Fetched { .. }
        | Origin::Revalidated
        | Origin::Collapsed
        | Origin::Bypass
        | Origin::Constant
        | Origin::Refused => None,
    });
    let ttl = left_ms.min().map(|millis| millis.div_euclid(1000));
    if cached {
        let ttl = ttl.unwrap_or_default();
        let detail = if ttl < 0 { "; detail=swr" } else { "" };
        return Some(["aggd; hit; ttl=", itoa::Buffer::new().format(ttl), detail].concat());
    }
    if parts().any(|part| matches!(part.origin, Origin::CacheAfterError { .. })) {
        return Some(format!("aggd; fwd=stale; ttl={}; detail=sie", ttl.unwrap_or_default()));
    }
    let stored = parts().any(|part| matches!(part.origin, Origin::Fetched { stored: true }) && part.failure.is_none());
    if parts().any(|part| matches!(part.origin, Origin::Fetched { .. })) {
        return Some(format!("aggd; fwd=uri-miss{}", if stored { "; stored" } else { "" }));
    }
    if parts().any(|part| part.origin == Origin::Revalidated) {
        return Some("aggd; fwd=stale; fwd-status=304".to_owned());
    }
    if parts().any(|part| part.origin == Origin::Collapsed) {
        return Some("aggd; fwd=uri-miss; collapsed".to_owned());
    }
    parts().any(|part| part.origin == Origin::Bypass).then(|| "aggd; fwd=bypass".to_owned())
}

/// Weak, of the data alone: not of ages, durations or how the data was had.
pub(crate) fn etag<'a>(parts: impl Iterator<Item = &'a Part>) -> String {
    let mut hash = 0x9e37_79b9_7f4a_7c15_u64;
    for part in parts {
        let one = if part.data.is_some() { part.etag | 1 } else { 0 };
        hash = (hash.rotate_left(23) ^ one).wrapping_mul(0xff51_afd7_ed55_8ccd);
    }
    let digits = hex::<16>(hash.into());
    ["W/\"", hex_text(&digits), "\""].concat()
}
