//! A response body, whole, under its limits.

use std::time::Duration;

use bytes::Bytes;
use bytes::BytesMut;
use http_body_util::BodyExt;
use hyper::body::Body;

use crate::base::ByteSize;
use crate::outbound::error::CallError;

/// What a body may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadLimits {
    /// The most that is kept, as it came and again decompressed.
    pub(crate) max_response_bytes: ByteSize,
    /// The longest gap between two chunks, the first counted from the head; `None`: none of its own.
    pub(crate) read_timeout: Option<Duration>,
}

/// The most that is reserved because a `Content-Length` says so: it may be a lie.
const RESERVED_ON_TRUST: usize = 1024 * 1024;

/// Reads to the end. Holds no more than the limit and one chunk. Safe to cancel: the rest is not read, and an HTTP/1.1
/// connection closes.
pub(crate) async fn whole<B>(mut body: B, limits: ReadLimits) -> Result<Bytes, CallError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let max = limits.max_response_bytes.as_usize();
    let too_large = || CallError::TooLarge { max: limits.max_response_bytes };
    let declared = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if declared > max {
        return Err(too_large());
    }
    // A body that comes in one piece, as most do, is never copied.
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    while !body.is_end_stream() {
        let Some(chunk) = next_chunk(&mut body, limits.read_timeout).await? else { break };
        if first.len() + joined.len() + chunk.len() > max {
            return Err(too_large());
        }
        if first.is_empty() && joined.is_empty() {
            first = chunk;
            continue;
        }
        if joined.is_empty() {
            joined.reserve(declared.min(RESERVED_ON_TRUST).max(first.len() + chunk.len()));
            joined.extend_from_slice(&std::mem::take(&mut first));
        }
        joined.extend_from_slice(&chunk);
    }
    Ok(if joined.is_empty() { first } else { joined.freeze() })
}

/// The next piece of data; `None` at the end. Trailers are dropped.
async fn next_chunk<B>(body: &mut B, read_timeout: Option<Duration>) -> Result<Option<Bytes>, CallError>
where
    B: Body<Data = Bytes> + Unpin,
{
    loop {
        let frame = match read_timeout {
            None => body.frame().await,
            Some(gap) => match tokio::time::timeout(gap, body.frame()).await {
                Ok(frame) => frame,
                Err(_elapsed) => return Err(CallError::ReadTimeout { gap }),
            },
        };
        match frame {
            None => return Ok(None),
            // Whatever the cause, the head had come and the body did not: that is all there is to say.
            Some(Err(_)) => return Err(CallError::BodyCutShort),
            Some(Ok(frame)) => {
                if let Ok(chunk) = frame.into_data() {
                    return Ok(Some(chunk));
                }
            }
        }
    }
}
