//! What a route answers when its sources do not suffice, compiled.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use crate::policy::fallback::RouteFallbackSpec;

/// One step of a route's `fallback`.
#[derive(Debug)]
pub(crate) enum RouteFallback {
    /// Copies at most this long past their ttl, for the parts that have nothing.
    Stale(Duration),
    /// The whole answer.
    Value(Constant),
}

/// An answer that is always the same.
#[derive(Debug)]
pub(crate) struct Constant {
    /// JSON.
    pub(crate) body: Bytes,
    pub(crate) status: StatusCode,
    /// A hash of the body, for `ETag`.
    pub(crate) etag: u64,
}

impl RouteFallback {
    /// Compiles a step.
    pub(crate) fn of(spec: RouteFallbackSpec) -> Self {
        match spec {
            RouteFallbackSpec::Stale { max_age } => Self::Stale(max_age),
            RouteFallbackSpec::Value { body, status } => {
                let body = Bytes::copy_from_slice(body.as_bytes());
                Self::Value(Constant { etag: rapidhash::v3::rapidhash_v3(&body), body, status })
            }
        }
    }
}
