//! What a flight brings back: the ready-made bytes of a success, or the one failure that explains it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::policy::outcome::Kind;

/// A success: projected JSON, serialised once.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// The projected JSON. Answers copy it and parse nothing.
    pub(crate) body: Bytes,
    /// How long the upstream's answer took.
    pub(crate) took: Duration,
    /// A hash of `body`, for `ETag`.
    pub(crate) etag: u64,
}

/// A failure, as answers and logs tell it.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    /// The upstream's status, where there was one.
    pub(crate) status: Option<u16>,
    /// For people; no upstream body, URL query, header or secret is in it.
    pub(crate) message: String,
    /// How long the attempt took; zero where nothing was sent.
    pub(crate) took: Duration,
    /// When it is worth asking again.
    pub(crate) retry_after: Option<Duration>,
}

/// How a flight ended, shared by all who waited for it.
pub(crate) type FlightResult = Result<Arc<Fetched>, Arc<Failure>>;
