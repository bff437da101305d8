//! The client: one request, one reply, with a limit on everything.

use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use http::Method;
use http::Request;
use http::Response;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// No answer takes longer, or the test fails.
const LIMIT: Duration = Duration::from_secs(20);

pub(crate) type Http = Client<HttpConnector, Full<Bytes>>;

/// A client for HTTP/1.1, or for HTTP/2 without asking first.
pub(crate) fn client(http2: bool) -> Http {
    Client::builder(TokioExecutor::new()).http2_only(http2).build_http()
}

/// A request being written.
#[must_use]
pub(crate) struct Ask {
    client: Http,
    request: Request<Full<Bytes>>,
}

impl Ask {
    pub(crate) fn new(client: &Http, method: Method, url: &str) -> Self {
        let request = Request::builder().method(method).uri(url).body(Full::default());
        Self { client: client.clone(), request: request.unwrap_or_else(|error| panic!("{url}: {error}")) }
    }

    /// One more header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        let name = http::HeaderName::try_from(name).unwrap();
        self.request.headers_mut().append(name, http::HeaderValue::try_from(value).unwrap());
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        *self.request.body_mut() = Full::new(body.into());
        self
    }

    /// Sends it and reads the whole answer.
    pub(crate) async fn send(self) -> Reply {
        let what = format!("{} {}", self.request.method(), self.request.uri());
        self.try_send().await.unwrap_or_else(|why| panic!("{what}: {why}"))
    }

    /// Sends it and reads the head of the answer alone.
    pub(crate) async fn open(self) -> Response<Incoming> {
        let what = format!("{} {}", self.request.method(), self.request.uri());
        let response = tokio::time::timeout(LIMIT, self.client.request(self.request)).await;
        let response = response.unwrap_or_else(|_| panic!("{what}: no answer within {LIMIT:?}"));
        response.unwrap_or_else(|why| panic!("{what}: {why:?}"))
    }

    /// The same where no answer is an answer.
    pub(crate) async fn try_send(self) -> Result<Reply, String> {
        let begun = Instant::now();
        let work = async {
            let response = self.client.request(self.request).await.map_err(|error| format!("{error:?}"))?;
            let (head, body) = response.into_parts();
            let body = body.collect().await.map_err(|error| format!("{error:?}"))?.to_bytes();
            Ok(Reply {
                status: head.status.as_u16(),
                headers: head.headers,
                body,
                took: begun.elapsed(),
                version: head.version,
            })
        };
        tokio::time::timeout(LIMIT, work).await.map_err(|_| format!("no answer within {LIMIT:?}"))?
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) took: Duration,
    pub(crate) version: http::Version,
}

impl Reply {
    /// Fails unless the status is this one.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{} is not JSON: {error}: {}", self.status, self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The object of `results` of this source.
    #[track_caller]
    pub(crate) fn part(&self, name: &str) -> Value {
        let whole = self.json();
        let results = whole["results"].as_array().unwrap_or_else(|| panic!("no results: {whole}"));
        let part = results.iter().find(|part| part["source"] == name);
        part.unwrap_or_else(|| panic!("no `{name}` in {whole}")).clone()
    }

    /// Fails unless it is a problem with this status and the last part of this type; gives its body.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, name: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text());
        let body = self.json();
        assert_eq!(body["type"], format!("urn:aggd:problem:{name}"), "{body}");
        assert_eq!(body["status"], status, "{body}");
        assert_eq!(body["instance"], self.header("x-request-id"), "{body}");
        for member in ["title", "detail"] {
            assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {body}");
        }
        body
    }
}
