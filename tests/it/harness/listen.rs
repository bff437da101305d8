//! A listener to `GET /events`: Server-Sent Events, read as they come.

use std::time::Duration;

use http::HeaderMap;
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

use crate::harness::gateway::Gateway;

/// What must come comes within this, or the test fails.
const LIMIT: Duration = Duration::from_secs(20);

/// An open stream. Dropping it disconnects.
pub(crate) struct Listening {
    body: Incoming,
    /// What came and was not read yet.
    text: String,
    pub(crate) headers: HeaderMap,
}

/// One event of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Sse {
    /// Empty where it has none.
    pub(crate) id: String,
    pub(crate) event: String,
    pub(crate) json: Value,
}

impl Listening {
    /// Listens to these types, and waits until the stream has begun.
    pub(crate) async fn to(gateway: &Gateway, types: &str) -> Self {
        Self::open(gateway, types, &[]).await
    }

    /// The same, coming back after an event.
    pub(crate) async fn after(gateway: &Gateway, types: &str, id: &str) -> Self {
        Self::open(gateway, types, &[("last-event-id", id)]).await
    }

    pub(crate) async fn open(gateway: &Gateway, types: &str, headers: &[(&str, &str)]) -> Self {
        let ask = gateway.ask(Method::GET, &format!("/events?types={types}"));
        let ask = headers.iter().fold(ask, |ask, (name, value)| ask.header(name, value));
        let response = ask.open().await;
        assert_eq!(response.status(), 200);
        let (head, body) = response.into_parts();
        let mut listening = Self { body, text: String::new(), headers: head.headers };
        let first = listening.block().await.expect("no beginning");
        assert!(first.starts_with("retry: "), "{first}");
        listening
    }

    /// The next event; fails when none comes.
    pub(crate) async fn next(&mut self) -> Sse {
        self.try_next().await.expect("the stream ended")
    }

    /// The same; `None`: the stream ended.
    pub(crate) async fn try_next(&mut self) -> Option<Sse> {
        loop {
            let block = self.block().await?;
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            // A comment keeps the connection alive.
            let Some(data) = field("data") else { continue };
            let json = serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {block}"));
            let text = |name| field(name).unwrap_or_default().to_owned();
            return Some(Sse { id: text("id"), event: text("event"), json });
        }
    }

    /// So many events.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<Sse> {
        let mut all = Vec::new();
        while all.len() < count {
            all.push(self.next().await);
        }
        all
    }

    /// What stands before the next empty line.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let frame = tokio::time::timeout(LIMIT, self.body.frame()).await;
            let frame = frame.unwrap_or_else(|_| panic!("nothing came within {LIMIT:?}, after: {}", self.text));
            let frame = frame?.unwrap_or_else(|error| panic!("the stream broke: {error:?}"));
            if let Ok(bytes) = frame.into_data() {
                self.text.push_str(std::str::from_utf8(&bytes).unwrap());
            }
        }
    }
}
