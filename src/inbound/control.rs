//! The control plane: what operators ask and order. Thin handlers, each a translation.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::extract::Request;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use axum::routing::post;
use bytes::Bytes;
use http::HeaderValue;
use http::StatusCode;
use http::header;
use http_body_util::BodyExt;
use http_body_util::Limited;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use tokio::sync::oneshot;

use crate::base::Name;
use crate::base::parse_duration;
use crate::inbound::access;
use crate::inbound::circuits;
use crate::inbound::events;
use crate::inbound::health;
use crate::inbound::listen::Peer;
use crate::inbound::members;
use crate::inbound::respond;
use crate::inbound::respond::RequestId;
use crate::inbound::scrape;
use crate::inbound::server::Server;
use crate::live;
use crate::live::LiveSource;
use crate::live::LoadStatus;
use crate::live::cache::Scope;
use crate::plan::CallPlan;
use crate::record::Event;
use crate::record::HistoryFilter;
use crate::record::InvalidationCause;
use crate::request::Problem;

/// A control call's body must have arrived within this.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long `POST /admin/reload` waits for the reload's end.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(60);
/// A circuit forced open for longer is one that was forgotten.
const LONGEST_TTL: Duration = Duration::from_secs(366 * 86_400);
/// The tag of `GET /aggregate`, known even where no source is part of it.
const AGGREGATE_TAG: &str = "aggregate_all";

pub(crate) type App = State<Arc<Server>>;

/// Every path of the control plane.
pub(crate) fn router(server: &Arc<Server>) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/health", get(health_page))
        .route("/metrics", get(metrics))
        .route("/history", get(history))
        .route("/events", get(events::stream))
        .route("/cache/invalidate", post(invalidate))
        .route("/admin/breakers/{source}", post(breakers))
        .route("/admin/breakers/{source}/{endpoint}", post(one_breaker))
        .route("/admin/reload", post(reload))
        .route("/admin/config", get(config))
        .with_state(Arc::clone(server))
}

async fn livez() -> Response {
    json_response(StatusCode::OK, &json!({"status": "ok"}))
}

async fn readyz(State(server): App) -> Response {
    let (ready, body) = health::readiness(&server).await;
    json_response(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &body)
}

async fn health_page(State(server): App) -> Response {
    json_response(StatusCode::OK, &health::page(&server).await)
}

async fn metrics(State(server): App) -> Response {
    let text = scrape::text(&server);
    ([(header::CONTENT_TYPE, HeaderValue::from_static(crate::record::METRICS_CONTENT_TYPE))], text).into_response()
}

async fn history(State(server): App, request: Request) -> Response {
    let id = id_of(&request);
    let query = request.uri().query().unwrap_or_default().to_owned();
    let answer = async {
        let Some(store) = &server.store else {
            let detail = "there is no audit log: `database: off`; set `database` to keep one";
            return Err(Problem::new(StatusCode::NOT_FOUND, "no-audit-log", "No audit log", detail));
        };
        let pairs = crate::request::query_pairs(&query)?;
        let filter = HistoryFilter::parse(&pairs, server.shared.clock.wall()).map_err(|error| {
            bad_request("bad-parameter", "Bad parameter", error.to_string()).with("parameter", error.parameter())
        })?;
        store.history(&filter).await.map_err(|error| {
            let detail = format!("the audit log can't be read now: {error}");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "database-unavailable", "Database unavailable", detail)
                .retry_after(Duration::from_secs(1))
        })
    };
    match answer.await {
        Ok(page) => axum::Json(page).into_response(),
        Err(problem) => respond::of_problem(&problem, &id),
    }
}

async fn invalidate(State(server): App, request: Request) -> Response {
    let id = id_of(&request);
    let answer = async {
        let body = order(&server, request).await?;
        let scopes = invalidation(&server, &body)?;
        let cache = &server.shared.live.load().cache;
        let mut count = 0;
        let mut generation = 0;
        for scope in &scopes {
            let done = cache.invalidate(scope);
            count += done.count;
            generation = done.generation;
        }
        tracing::info!(request_id = &*id, scopes = ?scopes, entries = count, generation, "cache invalidated");
        tell_invalidated(&server, &scopes, count, generation);
        Ok(json!({"invalidated": count, "generation": generation}))
    };
    finish(answer.await, &id)
}

/// One order is one event; a `key` may have been a source and a tag.
fn tell_invalidated(server: &Server, scopes: &[Scope], entries: usize, generation: u64) {
    let (scope, of) = match scopes {
        [one] => (one.as_str(), one.of()),
        _ => ("key", scopes.first().and_then(Scope::of)),
    };
    let event = Event::CacheInvalidated { scope, of, entries, generation, cause: InvalidationCause::Order };
    match scopes.first() {
        Some(Scope::Source(source)) => server.shared.events.of_source(source, event),
        Some(Scope::All | Scope::Tag(_) | Scope::Prefix(_)) | None => server.shared.events.publish(event),
    }
}

/// What an invalidation's body says. A key is a route's tag or a source's name; an empty one is never "everything".
fn invalidation(server: &Server, body: &Map<String, Value>) -> Result<Vec<Scope>, Problem> {
    let bad = |detail: &str| bad_request("bad-body", "Bad body", detail);
    let mut members = body.iter();
    let (Some((member, value)), None) = (members.next(), members.next()) else {
        return if body.is_empty() {
            Ok(vec![Scope::All])
        } else {
            Err(bad("give one of `key`, `source`, `route`, `prefix`"))
        };
    };
    let text = match value {
        Value::Null if member == "key" => return Ok(vec![Scope::All]),
        Value::String(text) if text.is_empty() => {
            return Err(bad(&format!(
                "`{member}` is empty, and nothing was cleared; to clear everything send no body"
            )));
        }
        Value::String(text) => text.as_str(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            return Err(bad(&format!("`{member}` must be a text")));
        }
    };
    let snapshot = server.shared.live.load();
    match member.as_str() {
        "key" => {
            let source = snapshot.source(text).map(|source| Scope::Source(source.plan.name.clone()));
            Ok(source.into_iter().chain([Scope::Tag(text.into())]).collect())
        }
        "source" => match Name::parse(text) {
            Some(name) => Ok(vec![Scope::Source(name)]),
            None => Err(bad("`source` must be the name of a source")),
        },
        "route" if text == "/aggregate" && !snapshot.plan.routes.iter().any(|route| &*route.path == text) => {
            Ok(vec![Scope::Tag(AGGREGATE_TAG.into())])
        }
        "route" => {
            let routes = snapshot.plan.routes.iter().filter(|route| &*route.path == text);
            let tags: Vec<_> = routes.map(|route| Scope::Tag((&*route.tag).into())).collect();
            // A path that no route has is an unknown key: nothing of it is in the cache.
            Ok(if tags.is_empty() { vec![Scope::Tag(text.into())] } else { tags })
        }
        "prefix" => Ok(vec![Scope::Prefix(text.into())]),
        other => Err(bad(&format!("there is no `{other}`; give one of `key`, `source`, `route`, `prefix`"))),
    }
}

async fn breakers(State(server): App, Path(name): Path<String>, request: Request) -> Response {
    breaker(&server, (&name, None), request).await
}

async fn one_breaker(State(server): App, Path((name, endpoint)): Path<(String, String)>, request: Request) -> Response {
    breaker(&server, (&name, Some(&endpoint)), request).await
}

/// An order to the circuits of a source: all of them, or that of one endpoint.
async fn breaker(server: &Arc<Server>, (name, endpoint): (&str, Option<&str>), request: Request) -> Response {
    let id = id_of(&request);
    let answer = async {
        let body = order(server, request).await?;
        let snapshot = server.shared.live.load();
        let Some(source) = snapshot.source(name) else {
            let known: Vec<&str> = snapshot.plan.sources.iter().map(|source| source.name.as_str()).collect();
            return Err(Problem::unknown_source(name, &known));
        };
        if let CallPlan::Static(_) = source.plan.call {
            return Err(no_circuit(name));
        }
        let (action, ttl) = breaker_order(&body)?;
        let now = server.shared.clock.now();
        let chosen = |name: &str| endpoint.is_none_or(|wanted| wanted == name && !source.plan.has_one_circuit());
        let wanted: Vec<_> = source.circuits().iter().filter(|one| chosen(&one.name)).collect();
        if wanted.is_empty() {
            return Err(unknown_endpoint(source, endpoint.unwrap_or_default()));
        }
        for one in wanted {
            let change = match action {
                Action::ForceOpen => one.circuit.force_open(ttl, now),
                Action::ForceClose => one.circuit.force_close(),
                Action::Reset => one.circuit.reset(&source.plan.breaker),
            };
            live::tell(&source.plan.name, &change);
        }
        Ok(circuits::of_source(source, now).into())
    };
    finish(answer.await, &id)
}

fn unknown_endpoint(source: &LiveSource, wanted: &str) -> Problem {
    let known: Vec<&str> = source.circuits().iter().map(|endpoint| &*endpoint.name).collect();
    let of_all =
        if source.plan.has_one_circuit() { "its endpoints have one circuit: leave the endpoint out" } else { "" };
    let detail = format!("`{}` has no circuit for `{wanted}`; there are: {}", source.plan.name, known.join(", "));
    let detail = if of_all.is_empty() { detail } else { format!("`{}`: {of_all}", source.plan.name) };
    Problem::new(StatusCode::NOT_FOUND, "unknown-endpoint", "Unknown endpoint", detail)
        .with("source", source.plan.name.as_str())
}

fn no_circuit(name: &str) -> Problem {
    let detail = format!("`{name}` is `static:` data: it calls no upstream and has no circuit; nothing was done");
    Problem::new(StatusCode::CONFLICT, "no-circuit", "No circuit", detail).with("source", name)
}

/// What an operator may do to a circuit.
enum Action {
    ForceOpen,
    ForceClose,
    Reset,
}

fn breaker_order(body: &Map<String, Value>) -> Result<(Action, Option<Duration>), Problem> {
    let bad = |detail: String| bad_request("bad-body", "Bad body", detail);
    if let Some(unknown) = body.keys().find(|member| !matches!(member.as_str(), "action" | "ttl")) {
        return Err(bad(format!("there is no `{unknown}`; give `action` and, with `force_open`, `ttl`")));
    }
    let action = match body.get("action").and_then(Value::as_str) {
        Some("force_open") => Action::ForceOpen,
        Some("force_close") => Action::ForceClose,
        Some("reset") => Action::Reset,
        _ => return Err(bad("`action` must be `force_open`, `force_close` or `reset`".to_owned())),
    };
    let ttl = match body.get("ttl") {
        None | Some(Value::Null) => None,
        Some(_) if !matches!(action, Action::ForceOpen) => {
            return Err(bad("`ttl` goes with `force_open` alone".to_owned()));
        }
        Some(Value::String(text)) => match parse_duration(text).filter(|ttl| !ttl.is_zero() && *ttl <= LONGEST_TTL) {
            Some(ttl) => Some(ttl),
            None => return Err(bad("`ttl` must be a duration with its unit, such as `10m`, up to `366d`".to_owned())),
        },
        Some(_) => return Err(bad("`ttl` must be a duration with its unit, such as `10m`".to_owned())),
    };
    Ok((action, ttl))
}

async fn reload(State(server): App, request: Request) -> Response {
    let id = id_of(&request);
    let answer = async {
        order(&server, request).await?;
        let unavailable = || {
            let detail = "the reloader does not answer; ask again, and see the log";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "reload-unavailable", "Reload unavailable", detail)
                .retry_after(Duration::from_secs(1))
        };
        let (told, end) = oneshot::channel();
        let asked = tokio::time::timeout(RELOAD_TIMEOUT, server.reload.send(told)).await;
        asked.map_err(|_| unavailable())?.map_err(|_| unavailable())?;
        tokio::time::timeout(RELOAD_TIMEOUT, end).await.map_err(|_| unavailable())?.map_err(|_| unavailable())
    };
    match answer.await {
        Ok(status) => reloaded(&server, &status, &id),
        Err(problem) => respond::of_problem(&problem, &id),
    }
}

fn reloaded(server: &Server, status: &LoadStatus, id: &str) -> Response {
    let findings: Value = serde_json::from_str(&status.findings_json).unwrap_or_default();
    if status.result == "rejected" {
        let detail = format!("the configuration has {} finding(s); the old one stays in force", status.findings);
        let problem =
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "configuration-rejected", "Configuration rejected", detail)
                .with("findings", findings);
        return respond::of_problem(&problem, id);
    }
    let snapshot = server.shared.live.load();
    let body = json!({
        "result": status.result,
        "generation": snapshot.generation,
        "digest": snapshot.plan.digest,
        "changes": status.changes,
        "findings": findings,
    });
    json_response(StatusCode::OK, &body)
}

async fn config(State(server): App, request: Request) -> Response {
    let snapshot = server.shared.live.load();
    let status = server.status.last();
    let findings: Value = serde_json::from_str(&status.findings_json).unwrap_or_default();
    let rendered: Value = serde_json::from_str(&snapshot.plan.rendered).unwrap_or_default();
    let body = json!({
        "generation": snapshot.generation,
        "digest": snapshot.plan.digest,
        "loaded_at": health::rfc3339(snapshot.loaded_at),
        "last_reload": {
            "result": status.result,
            "at": health::rfc3339(status.at),
            "changes": status.changes,
            "findings": findings,
        },
        "config": rendered,
    });
    let accept = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    match serde_yaml::to_string(&body).ok().filter(|_| accept.contains("yaml")) {
        Some(text) => ([(header::CONTENT_TYPE, HeaderValue::from_static("application/yaml"))], text).into_response(),
        None => json_response(StatusCode::OK, &body),
    }
}

/// An order's body: who sent it may give orders, and it is a JSON object or nothing.
async fn order(server: &Server, request: Request) -> Result<Map<String, Value>, Problem> {
    let snapshot = server.shared.live.load();
    let peer = request.extensions().get::<Peer>().copied();
    let token = snapshot.plan.server.admin_token.as_ref();
    access::allow(token, peer.unwrap_or(Peer::Unix), request.headers())?;
    let bound = snapshot.plan.server.limits.max_request_bytes;
    let body = read(request.into_body(), bound.as_usize()).await.ok_or_else(|| {
        server.shared.metrics.server.request_bytes_rejected();
        respond::body_too_large(bound)
    })?;
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    members::parse(&body).map_err(|why| bad_request("bad-body", "Bad body", why))
}

/// A body of at most so many bytes, arrived in time; `None`: larger, broken or late.
#[expect(clippy::disallowed_methods, reason = "`Limited` bounds what is collected")]
async fn read(body: Body, bound: usize) -> Option<Bytes> {
    let collected = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, bound).collect()).await;
    collected.ok()?.ok().map(http_body_util::Collected::to_bytes)
}

fn finish(answer: Result<Value, Problem>, id: &str) -> Response {
    match answer {
        Ok(body) => json_response(StatusCode::OK, &body),
        Err(problem) => respond::of_problem(&problem, id),
    }
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body.to_string()).into_response()
}

pub(crate) fn id_of(request: &Request) -> Arc<str> {
    request.extensions().get::<RequestId>().map_or_else(|| "".into(), |id| Arc::clone(&id.0))
}

pub(crate) fn bad_request(name: &'static str, title: &'static str, detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, name, title, detail)
}
