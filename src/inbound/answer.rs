//! The body of an answer, as the connection takes it: pieces that are never joined, and what begins once they are written.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use axum::body::Body;
use bytes::Bytes;
use hyper::body::Frame;
use hyper::body::SizeHint;
use tokio::sync::mpsc;

use crate::base::Rope;
use crate::request::After;
use crate::request::Pass;
use crate::request::Reply;
use crate::request::ReplyBody;
use crate::request::Shared;

/// The body of an answer. Dropping it means that it is written, or that the client has left.
pub(crate) enum Answer {
    /// All of it is known.
    Whole {
        rope: Rope,
        #[expect(dead_code, reason = "what counts is when it is dropped")]
        after: Option<Box<Afterwards>>,
    },
    /// Pieces that come as sources answer. Dropping it tells the work behind it that the client has left.
    Progressive {
        pieces: mpsc::Receiver<Bytes>,
        /// The request is in flight as long as its answer is.
        #[expect(dead_code, reason = "what counts is when it is dropped")]
        pass: Pass,
    },
    /// What the control plane answers, and what is compressed.
    Other(Body),
}

/// What begins when it is dropped.
pub(crate) struct Afterwards {
    shared: Arc<Shared>,
    after: After,
}

impl Drop for Afterwards {
    fn drop(&mut self) {
        std::mem::take(&mut self.after).begin(&self.shared);
    }
}

impl Answer {
    /// The body of a reply.
    pub(crate) fn of_reply(shared: &Arc<Shared>, body: ReplyBody, after: After) -> Self {
        match body {
            ReplyBody::Whole(rope) if after.is_nothing() => Self::Whole { rope, after: None },
            ReplyBody::Whole(rope) => {
                Self::Whole { rope, after: Some(Box::new(Afterwards { shared: Arc::clone(shared), after })) }
            }
            ReplyBody::Progressive(pieces) => Self::Progressive { pieces, pass: after.pass },
        }
    }
}

impl From<Vec<u8>> for Answer {
    fn from(body: Vec<u8>) -> Self {
        Self::Whole { rope: body.into(), after: None }
    }
}

impl hyper::body::Body for Answer {
    type Data = Rope;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Rope>, axum::Error>>> {
        match &mut *self {
            Self::Whole { rope, .. } => {
                let rope = std::mem::take(rope);
                Poll::Ready((rope.len() > 0).then(|| Ok(Frame::data(rope))))
            }
            Self::Progressive { pieces, .. } => {
                pieces.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece.into()))))
            }
            Self::Other(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map(|frame| frame.map_data(Rope::from)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole { rope, .. } => rope.len() == 0,
            Self::Progressive { .. } => false,
            Self::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole { rope, .. } => SizeHint::with_exact(u64::try_from(rope.len()).unwrap_or(u64::MAX)),
            Self::Progressive { .. } => SizeHint::default(),
            Self::Other(body) => body.size_hint(),
        }
    }
}

/// A reply as a response.
pub(crate) fn of_reply(shared: &Arc<Shared>, reply: Reply) -> http::Response<Answer> {
    let mut response = http::Response::new(Answer::of_reply(shared, reply.body, reply.after));
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    response
}
