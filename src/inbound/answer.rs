//! The body of an answer, as the connection takes it: pieces that are never joined, and what begins once they are written.

use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use axum::body::Body;
use bytes::Buf;
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
    Whole(Piece),
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

/// Bytes, and what begins once they are written: a connection drops what it has sent.
pub(crate) struct Piece {
    rope: Rope,
    #[expect(dead_code, reason = "what counts is when it is dropped")]
    after: Option<Box<Afterwards>>,
    #[expect(dead_code, reason = "what counts is when it is dropped")]
    pass: Pass,
}

impl From<Rope> for Piece {
    fn from(rope: Rope) -> Self {
        Self { rope, after: None, pass: Pass::default() }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.rope.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.rope.chunk()
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.rope.chunks_vectored(slices)
    }

    fn advance(&mut self, count: usize) {
        self.rope.advance(count);
    }
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
    pub(crate) fn of_reply(shared: &Arc<Shared>, body: ReplyBody, mut after: After) -> Self {
        match body {
            ReplyBody::Whole(rope) => {
                // Every request holds a place; few have more to do than to give it back.
                let pass = std::mem::take(&mut after.pass);
                let more = !after.is_nothing();
                let after = more.then(|| Box::new(Afterwards { shared: Arc::clone(shared), after }));
                Self::Whole(Piece { rope, after, pass })
            }
            ReplyBody::Progressive(pieces) => Self::Progressive { pieces, pass: after.pass },
        }
    }
}

impl From<Vec<u8>> for Answer {
    fn from(body: Vec<u8>) -> Self {
        Self::Whole(Rope::from(body).into())
    }
}

impl hyper::body::Body for Answer {
    type Data = Piece;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Piece>, axum::Error>>> {
        match &mut *self {
            Self::Whole(piece) if piece.rope.len() == 0 => Poll::Ready(None),
            Self::Whole(piece) => {
                let piece = std::mem::replace(piece, Rope::default().into());
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            Self::Progressive { pieces, .. } => {
                pieces.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(Rope::from(piece).into()))))
            }
            Self::Other(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map(|frame| frame.map_data(|data| Rope::from(data).into())))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(piece) => piece.rope.len() == 0,
            Self::Progressive { .. } => false,
            Self::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(piece) => SizeHint::with_exact(u64::try_from(piece.rope.len()).unwrap_or(u64::MAX)),
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
