//! What one source contributes to an answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::live::Failure;
use crate::live::Fetched;
use crate::policy::outcome::Kind;

/// A part, known.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) status: Status,
    /// The JSON of it; `None`: there is none.
    pub(crate) data: Option<Bytes>,
    /// A hash of the data, for `ETag`.
    pub(crate) etag: u64,
    /// How long the upstream's answer took when it was fetched.
    pub(crate) took: Duration,
    /// Why the upstream gave nothing; there whenever the data is not what was asked for.
    pub(crate) failure: Option<Arc<Failure>>,
    pub(crate) origin: Origin,
    /// Which step of `fallback` gave the data.
    pub(crate) fallback: Option<FallbackNote>,
    /// The steps tried in vain before that.
    pub(crate) tried: Vec<&'static str>,
}

/// `status` of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Ok,
    Stale,
    Fallback,
    Failed,
    Skipped,
}

/// Where the data was had, and what the cache says of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Origin {
    /// From cache without a call: its age, and what was left of its ttl in milliseconds (below zero: past it).
    Cache { age: Duration, left_ms: i64 },
    /// From cache, past its time, because the call failed or was refused.
    CacheAfterError { age: Duration, left_ms: i64, waited: bool },
    /// From cache, because the request would have been turned away otherwise.
    CacheInBrownout { age: Duration, left_ms: i64 },
    /// An upstream call of our own was waited for.
    Fetched { stored: bool },
    /// An upstream call of our own was waited for; it said that the copy we had still holds.
    Revalidated,
    /// Somebody else's call was waited for.
    Collapsed,
    /// The source does not use the cache, or was asked around it.
    Bypass,
    /// Constant data: `static:` or a fallback `value`.
    Constant,
    /// Refused before anything was sent.
    Refused,
}

/// `fallback` of a result.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FallbackNote {
    /// `stale`, `source` or `value`.
    pub(crate) via: &'static str,
    /// How old the data is, where it came from cache.
    pub(crate) age: Option<Duration>,
}

/// What the upstream did, whatever the client got instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Succeeded,
    Failed,
    Skipped,
}

impl Part {
    /// Data as it was asked for.
    pub(crate) fn good(fetched: &Fetched, status: Status, origin: Origin) -> Self {
        Self {
            status,
            data: Some(fetched.body.clone()),
            etag: fetched.etag,
            took: fetched.took,
            failure: None,
            origin,
            fallback: None,
            tried: Vec::new(),
        }
    }

    /// No data.
    pub(crate) fn bad(failure: Arc<Failure>, origin: Origin) -> Self {
        let status = if failure.kind == Kind::BreakerOpen { Status::Skipped } else { Status::Failed };
        let took = failure.took;
        Self { status, data: None, etag: 0, took, failure: Some(failure), origin, fallback: None, tried: Vec::new() }
    }

    /// What the upstream did.
    pub(crate) fn verdict(&self) -> Verdict {
        match &self.failure {
            None => Verdict::Succeeded,
            Some(failure) if failure.kind == Kind::BreakerOpen => Verdict::Skipped,
            Some(_) => Verdict::Failed,
        }
    }

    /// Whether the data is stale after an error, or from a fallback.
    pub(crate) fn is_degraded(&self) -> bool {
        self.failure.is_some() && self.data.is_some()
    }

    /// Whether it is a copy because the request would have been turned away otherwise.
    pub(crate) fn is_brownout(&self) -> bool {
        matches!(self.origin, Origin::CacheInBrownout { .. })
    }

    /// Whether an upstream call was waited for.
    pub(crate) fn waited(&self) -> bool {
        match self.origin {
            Origin::Cache { .. } | Origin::CacheInBrownout { .. } | Origin::Constant | Origin::Refused => false,
            Origin::CacheAfterError { waited, .. } => waited,
            Origin::Fetched { .. } | Origin::Revalidated | Origin::Collapsed | Origin::Bypass => true,
        }
    }

    /// The age of the data, where it came from cache.
    pub(crate) fn age(&self) -> Option<Duration> {
        match self.origin {
            Origin::Cache { age, .. } | Origin::CacheInBrownout { age, .. } | Origin::CacheAfterError { age, .. } => {
                Some(age)
            }
            Origin::Fetched { .. }
            | Origin::Revalidated
            | Origin::Collapsed
            | Origin::Bypass
            | Origin::Constant
            | Origin::Refused => self.fallback.and_then(|note| note.age),
        }
    }
}

impl Status {
    /// The name in answers and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Stale => "stale",
            Self::Fallback => "fallback",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}
