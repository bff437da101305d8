//! What an expert would write by hand for one fixed case: axum, reqwest, a fan-out, a merge of raw JSON, a cache.
//!
//! `handwritten PORT TTL_SECONDS NAME=URL…` (a ttl of 0: no cache). No policies but a timeout of 5 s.
//!
//! - `/aggregate`: all sources in the envelope; `/pair`: the first two, never cached; `/source/NAME`: one, as it came
//! - of the first source: `/project`: five fields; `/value`: the same through `serde_json::Value`; `/bytes`: its length

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use arc_swap::ArcSwapOption;
use axum::Router;
use axum::extract::Path;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use axum::serve::ListenerExt;
use bytes::Bytes;
use futures_util::future::join_all;
use reqwest::Client;
use reqwest::Url;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The end of an envelope that did not come from the cache.
const FRESH: &str = r#""cached":false,"cache_age_seconds":null}"#;

struct App {
    client: Client,
    ttl: Duration,
    sources: Vec<(String, Url)>,
    cache: ArcSwapOption<Entry>,
    fill: tokio::sync::Mutex<()>,
}

struct Entry {
    envelope: Bytes,
    at: Instant,
}

#[derive(Serialize)]
struct Item<'a> {
    source: &'a str,
    status: &'a str,
    data: Option<&'a RawValue>,
    error: Option<&'a str>,
    duration_ms: u128,
}

#[derive(Serialize)]
struct Envelope<'a> {
    results: Vec<Item<'a>>,
    sources_succeeded: Vec<&'a str>,
    sources_failed: Vec<&'a str>,
    cached: bool,
    cache_age_seconds: Option<f64>,
}

/// Five fields of a document; the rest is skipped, not built.
#[derive(Serialize, Deserialize)]
struct Projected<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow)]
    name: &'a RawValue,
    #[serde(borrow)]
    summary: Summary<'a>,
    #[serde(borrow)]
    status: &'a RawValue,
    #[serde(borrow)]
    updated_at: &'a RawValue,
}

#[derive(Serialize, Deserialize)]
struct Summary<'a> {
    #[serde(borrow)]
    total: &'a RawValue,
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = || arguments.next().and_then(|text| text.parse::<u16>().ok()).expect("PORT TTL_SECONDS NAME=URL…");
    let (port, ttl) = (number(), number());
    let source = |text: String| {
        let (name, url) = text.split_once('=').expect("NAME=URL");
        (name.to_owned(), url.parse().expect("a URL"))
    };
    let app = App {
        client: Client::builder().timeout(Duration::from_secs(5)).http1_only().build().expect("a client"),
        ttl: Duration::from_secs(ttl.into()),
        sources: arguments.map(source).collect(),
        cache: ArcSwapOption::empty(),
        fill: tokio::sync::Mutex::new(()),
    };
    let router = Router::new()
        .route("/aggregate", get(aggregate))
        .route("/pair", get(async |State(app): State<Arc<App>>| json(app.gather(&app.sources[..2]).await)))
        .route("/source/{name}", get(single))
        .route("/project", get(async |State(app): State<Arc<App>>| app.first(project).await))
        .route("/value", get(async |State(app): State<Arc<App>>| app.first(through_value).await))
        .route("/bytes", get(async |State(app): State<Arc<App>>| app.first(|body| Some(body.len().to_string())).await))
        .with_state(Arc::new(app));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("the port");
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("a socket"));
    axum::serve(listener, router).await.expect("serve");
}

async fn aggregate(State(app): State<Arc<App>>) -> Response {
    if app.ttl.is_zero() {
        return json(app.gather(&app.sources).await);
    }
    if let Some(hit) = app.hit() {
        return json(hit);
    }
    let _one_fills = app.fill.lock().await;
    if let Some(hit) = app.hit() {
        return json(hit);
    }
    let envelope = Bytes::from(app.gather(&app.sources).await);
    app.cache.store(Some(Arc::new(Entry { envelope: envelope.clone(), at: Instant::now() })));
    json(envelope)
}

async fn single(State(app): State<Arc<App>>, Path(name): Path<String>) -> Response {
    let Some((_, url)) = app.sources.iter().find(|source| source.0 == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    app.fetch(url).await.map_or_else(|_| StatusCode::BAD_GATEWAY.into_response(), json)
}

fn json(body: impl Into<axum::body::Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

impl App {
    async fn fetch(&self, url: &Url) -> reqwest::Result<Bytes> {
        self.client.get(url.clone()).send().await?.error_for_status()?.bytes().await
    }

    async fn gather(&self, sources: &[(String, Url)]) -> Vec<u8> {
        let fetched = join_all(sources.iter().map(async |(_, url)| {
            let start = Instant::now();
            (self.fetch(url).await, start.elapsed())
        }))
        .await;
        let mut envelope = Envelope {
            results: Vec::with_capacity(sources.len()),
            sources_succeeded: Vec::with_capacity(sources.len()),
            sources_failed: Vec::new(),
            cached: false,
            cache_age_seconds: None,
        };
        for ((name, _), (body, took)) in sources.iter().zip(&fetched) {
            let data = body.as_ref().ok().and_then(|body| serde_json::from_slice::<&RawValue>(body).ok());
            let (status, error) = if data.is_some() { ("ok", None) } else { ("failed", Some("no answer")) };
            let list = if data.is_some() { &mut envelope.sources_succeeded } else { &mut envelope.sources_failed };
            list.push(name);
            envelope.results.push(Item { source: name, status, data, error, duration_ms: took.as_millis() });
        }
        let size: usize = fetched.iter().map(|(body, _)| 128 + body.as_ref().map_or(0, Bytes::len)).sum();
        let mut out = Vec::with_capacity(size);
        serde_json::to_writer(&mut out, &envelope).expect("an envelope");
        out
    }

    /// The cached envelope with its age in it.
    fn hit(&self) -> Option<Vec<u8>> {
        let entry = self.cache.load();
        let entry = entry.as_ref().filter(|entry| entry.at.elapsed() < self.ttl)?;
        let mut out = Vec::with_capacity(entry.envelope.len() + 16);
        out.extend_from_slice(&entry.envelope[..entry.envelope.len() - FRESH.len()]);
        let age = entry.at.elapsed().as_secs_f64();
        out.extend_from_slice(format!(r#""cached":true,"cache_age_seconds":{age:.3}}}"#).as_bytes());
        Some(out)
    }

    async fn first(&self, shape: impl Fn(&[u8]) -> Option<String>) -> Response {
        let body = self.fetch(&self.sources[0].1).await.ok();
        body.and_then(|body| shape(&body)).map_or_else(|| StatusCode::BAD_GATEWAY.into_response(), json)
    }
}

fn project(body: &[u8]) -> Option<String> {
    serde_json::to_string(&serde_json::from_slice::<Projected>(body).ok()?).ok()
}

fn through_value(body: &[u8]) -> Option<String> {
    let all: Value = serde_json::from_slice(body).ok()?;
    let [id, name, status, updated_at] = ["id", "name", "status", "updated_at"].map(|key| &all[key]);
    let total = &all["summary"]["total"];
    Some(format!(r#"{{"id":{id},"name":{name},"total":{total},"status":{status},"updated_at":{updated_at}}}"#))
}
