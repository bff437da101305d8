//! What a flight brings back: the ready-made bytes of a success, or the one failure that explains it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;

use crate::policy::directives::Directives;
use crate::policy::outcome::Kind;

/// A success: projected JSON, serialised once.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// The projected JSON. Answers copy it and parse nothing.
    pub(crate) body: Bytes,
    /// How long it took to have it: from the first byte sent to the end of the last attempt.
    pub(crate) took: Duration,
    /// A hash of `body`, for `ETag`.
    pub(crate) etag: u64,
    /// What the upstream said about keeping it.
    pub(crate) keeping: Keeping,
}

/// What an upstream said about keeping its answer. The default is that of one that said nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keeping {
    /// What it forbade; obeyed where `respect_upstream` is on.
    pub(crate) directives: Directives,
    /// What to ask it by whether the answer still holds.
    pub(crate) validators: Option<Arc<Validators>>,
    /// It did not send the answer: it said that the copy we had still holds.
    pub(crate) not_modified: bool,
}

/// `ETag` and `Last-Modified` as the upstream sent them; one of them at least.
#[derive(Debug)]
pub(crate) struct Validators {
    pub(crate) etag: Option<HeaderValue>,
    pub(crate) last_modified: Option<HeaderValue>,
}

impl Keeping {
    /// What it costs to keep, in bytes.
    pub(crate) fn size(&self) -> usize {
        let lines = self.validators.iter().flat_map(|known| [&known.etag, &known.last_modified]);
        lines.flatten().map(HeaderValue::len).sum()
    }

    /// How the call ended.
    pub(crate) fn kind(&self) -> Kind {
        if self.not_modified { Kind::NotModified } else { Kind::Success }
    }
}

/// A failure, as answers and logs tell it.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    /// The upstream's status, where there was one.
    pub(crate) status: Option<u16>,
    /// For people; no upstream body, URL query, header or secret is in it.
    pub(crate) message: String,
    /// From the first byte sent to the end of the last attempt; zero where nothing was sent.
    pub(crate) took: Duration,
    /// How many attempts were sent.
    pub(crate) attempts: u32,
    /// Whose failure it was, where the source has several endpoints.
    pub(crate) endpoint: Option<Arc<str>>,
    /// When it is worth asking again.
    pub(crate) retry_after: Option<Duration>,
    /// What the upstream said about keeping it, for refusals that are kept.
    pub(crate) directives: Directives,
}

impl Failure {
    /// A failure with nothing sent, or nothing known of it.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            status: None,
            message: message.into(),
            took: Duration::ZERO,
            attempts: 0,
            endpoint: None,
            retry_after: None,
            directives: Directives::default(),
        }
    }
}

/// How a flight ended, shared by all who waited for it.
pub(crate) type FlightResult = Result<Arc<Fetched>, Arc<Failure>>;
