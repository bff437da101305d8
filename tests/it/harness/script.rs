//! What a scripted upstream does with one request.

use std::time::Duration;

use serde_json::Value;

/// One answer, or the lack of one.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) delay: Duration,
    pub(super) way: Way,
}

/// How the answer is sent.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// As it should be.
    Whole,
    /// Nothing, for ever.
    HangBeforeHead,
    /// The head and no more, for ever.
    HangAfterHead,
    /// A byte at a time with this pause before each.
    Trickle(Duration),
    /// The head with the whole length, so many bytes, then the end.
    Cut(usize),
    /// Chunks without end.
    Endless,
    /// These bytes, then the end.
    Raw,
    /// The connection is closed, politely, without a byte.
    Close,
    /// The connection is reset.
    Reset,
}

impl Script {
    /// 200 with JSON.
    pub(crate) fn json(body: &Value) -> Self {
        Self::text("application/json", &body.to_string())
    }

    /// 200 with this body.
    pub(crate) fn text(content_type: &str, body: &str) -> Self {
        Self::bytes(content_type, body.as_bytes().to_vec())
    }

    /// 200 with this body.
    pub(crate) fn bytes(content_type: &str, body: Vec<u8>) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { status: 200, headers, body, delay: Duration::ZERO, way: Way::Whole }
    }

    /// A status with a small JSON body that nobody may ever see.
    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::text("application/json", r#"{"upstream":"says no"}"#) }
    }

    /// Takes the request and never answers.
    pub(crate) fn hang() -> Self {
        Self::status(200).way(Way::HangBeforeHead)
    }

    /// Answers with bytes that need not be HTTP, and closes.
    pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { body: bytes.into(), ..Self::status(200) }.way(Way::Raw)
    }

    /// Takes the request and closes.
    pub(crate) fn close() -> Self {
        Self::status(200).way(Way::Close)
    }

    /// Takes the request and resets the connection.
    pub(crate) fn reset() -> Self {
        Self::status(200).way(Way::Reset)
    }

    /// A body that never ends.
    pub(crate) fn endless() -> Self {
        Self::json(&Value::Null).way(Way::Endless)
    }

    /// One more header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Waits before the head.
    pub(crate) fn after_ms(mut self, millis: u64) -> Self {
        self.delay = Duration::from_millis(millis);
        self
    }

    /// Sends the head, then nothing for ever.
    pub(crate) fn hang_after_head(self) -> Self {
        self.way(Way::HangAfterHead)
    }

    /// Sends the body a byte at a time.
    pub(crate) fn trickle_ms(self, millis: u64) -> Self {
        self.way(Way::Trickle(Duration::from_millis(millis)))
    }

    /// Promises the whole body, and closes after so many bytes of it.
    pub(crate) fn cut(self, bytes: usize) -> Self {
        self.way(Way::Cut(bytes))
    }

    fn way(mut self, way: Way) -> Self {
        self.way = way;
        self
    }

    /// The head, with a length where the way has one.
    pub(super) fn head(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let has = |wanted: &str| self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
        if matches!(self.way, Way::Endless) {
            head.push_str("transfer-encoding: chunked\r\n");
        } else if !has("content-length") && !matches!(self.status, 204 | 304) {
            head.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}
