//! A network that is told what to answer: what `aggd test` puts in the place of sockets. Everything above a single
//! exchange of head and body is the same with it: the address guard, redirects, limits, decompression.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::Response;
use http::StatusCode;
use http::response::Parts;
use hyper::body::Body;
use hyper::body::Frame;
use hyper::body::SizeHint;

use crate::base::Name;
use crate::outbound::Call;
use crate::outbound::error::CallError;

/// Answers in the place of upstreams.
pub(crate) trait Network: Send + Sync {
    /// What comes of one exchange. Asked when the request is sent, with the headers that are sent.
    fn answer(&self, source: &Name, call: &Call) -> Scripted;
}

/// What comes, and when.
#[derive(Clone, Debug)]
pub(crate) struct Scripted {
    pub(crate) delay: Duration,
    pub(crate) comes: Comes,
}

/// What comes of one exchange.
#[derive(Clone, Debug)]
pub(crate) enum Comes {
    Answer {
        status: StatusCode,
        headers: HeaderMap,
        body: Bytes,
        ending: Ending,
    },
    /// Nothing, ever.
    Nothing,
    /// The connection is refused.
    Refused,
    /// The connection takes longer than `connect_timeout`.
    NoConnection,
    /// The connection closes once the request is sent.
    Reset,
    /// The certificate is not believed.
    BadCertificate,
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Whole,
    /// The connection closes first.
    CutShort,
    /// Nothing more comes, ever.
    Hangs,
}

/// The network of one source's client.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) network: Arc<dyn Network>,
    pub(crate) source: Name,
}

impl Line {
    /// One exchange. Safe to cancel.
    pub(crate) async fn send(
        &self,
        call: &Call,
        connect_timeout: Duration,
    ) -> Result<(Parts, ScriptedBody), CallError> {
        let Scripted { delay, comes } = self.network.answer(&self.source, call);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        match comes {
            Comes::Answer { status, headers, body, ending } => {
                let (mut head, ()) = Response::new(()).into_parts();
                head.status = status;
                head.headers = headers;
                Ok((head, ScriptedBody { data: Some(body).filter(|body| !body.is_empty()), ending }))
            }
            Comes::Nothing => std::future::pending().await,
            Comes::Refused => Err(CallError::Connect("refused")),
            Comes::NoConnection => {
                tokio::time::sleep(connect_timeout).await;
                Err(CallError::ConnectTimeout { timeout: connect_timeout })
            }
            Comes::Reset => Err(CallError::Reset),
            Comes::BadCertificate => Err(CallError::Certificate("its issuer is unknown; `client.ca` adds one")),
        }
    }
}

/// A body that comes in one piece, or not wholly.
pub(crate) struct ScriptedBody {
    data: Option<Bytes>,
    ending: Ending,
}

/// The end of a body that was cut short.
#[derive(Debug, thiserror::Error)]
#[error("the body ended early")]
pub(crate) struct Cut;

impl Body for ScriptedBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let this = self.get_mut();
        match (this.data.take(), this.ending) {
            (Some(data), _) => Poll::Ready(Some(Ok(Frame::data(data)))),
            (None, Ending::Whole) => Poll::Ready(None),
            (None, Ending::CutShort) => Poll::Ready(Some(Err(Cut))),
            // Whoever waits for it has a timer.
            (None, Ending::Hangs) => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.ending == Ending::Whole
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.data.as_ref().map_or(0, |data| u64::try_from(data.len()).unwrap_or(u64::MAX));
        let mut hint = SizeHint::new();
        hint.set_lower(length);
        hint
    }
}
