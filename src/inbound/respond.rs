//! One HTTP request in, one response out: ids, bounds, which plane, and what happens once the bytes are written.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;

use axum::body::Body;
use axum::body::HttpBody;
use futures_util::FutureExt;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use hyper::body::Incoming;
use tower::ServiceExt;
use tower_http::compression::Compression;
use tower_http::compression::predicate::NotForContentType;
use tower_http::compression::predicate::Predicate;
use tower_http::compression::predicate::SizeAbove;

use crate::base::hex;
use crate::base::hex_text;
use crate::config::spec::OWN_SEGMENTS;
use crate::inbound::answer::Answer;
use crate::inbound::answer::of_reply;
use crate::inbound::listen::Peer;
use crate::inbound::serve::Plane;
use crate::inbound::server::Server;
use crate::request;
use crate::request::Ask;
use crate::request::Problem;
use crate::request::TRACEPARENT;
use crate::request::Trace;
use crate::request::Trail;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Bodies below this are sent as they are.
const COMPRESS_ABOVE_BYTES: u16 = 1024;
/// Paths of the control plane that the main listener serves in any case.
const PROBES: [&str; 2] = ["/livez", "/readyz"];

/// What answers the requests of one connection.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) server: Arc<Server>,
    pub(crate) control: axum::Router,
    pub(crate) plane: Plane,
    pub(crate) peer: Peer,
}

impl Service {
    /// Answers one request, compressed where the client takes that and it is worth it.
    pub(crate) async fn answer_encoded(self, request: Request<Incoming>) -> Result<Response<Answer>, Infallible> {
        if !request.headers().contains_key(header::ACCEPT_ENCODING) {
            let mut response = self.answer(request).await?;
            if response.body().size_hint().lower() > COMPRESS_ABOVE_BYTES.into() {
                // Another client would get other bytes: a cache on the way must know.
                response.headers_mut().append(header::VARY, HeaderValue::from_static("accept-encoding"));
            }
            return Ok(response);
        }
        let worth_it = SizeAbove::new(COMPRESS_ABOVE_BYTES)
            .and(NotForContentType::const_new("text/event-stream"))
            .and(NotForContentType::const_new("application/x-ndjson"));
        let service = tower::service_fn(move |request| self.clone().answer(request));
        let response = Box::pin(Compression::new(service).compress_when(worth_it).oneshot(request)).await?;
        Ok(response.map(|body| Answer::Other(Body::new(body))))
    }

    /// Answers one request. A panic anywhere in its work is its own 500, never the end of the process.
    pub(crate) async fn answer(self, request: Request<Incoming>) -> Result<Response<Answer>, Infallible> {
        let request_id = request_id(request.headers());
        let trace = Trace::read(request.headers());
        let parent = trace.parent;
        let metrics = Arc::clone(&self.server.shared.metrics);
        let work = pin!(AssertUnwindSafe(self.route(request, Arc::clone(&request_id), trace)).catch_unwind());
        let mut response = match work.await {
            Ok(response) => response,
            Err(_) => {
                metrics.server.panicked();
                tracing::error!(request_id = &*request_id, "a panic ended this request");
                of_problem(&Problem::internal(), &request_id)
            }
        };
        let headers = response.headers_mut();
        if let Ok(id) = HeaderValue::from_str(&request_id) {
            headers.insert(X_REQUEST_ID, id);
        }
        if let Ok(parent) = HeaderValue::from_bytes(&parent) {
            headers.insert(TRACEPARENT, parent);
        }
        Ok(response)
    }

    async fn route(self, request: Request<Incoming>, request_id: Arc<str>, trace: Trace) -> Response<Answer> {
        let shared = &self.server.shared;
        if let Some(problem) = too_large(&self.server, request.headers()) {
            return of_problem(&problem, &request_id);
        }
        let path = request.uri().path();
        // A route may take every path there is; what operators and probes rely on stays aggd's own.
        if self.plane == Plane::Main && !is_own(path) {
            if request.method() == Method::OPTIONS
                && let Some(known) = request::methods(shared, path)
            {
                return options(&Problem::wrong_method(&known));
            }
            let ask = Ask {
                method: request.method(),
                path,
                query: request.uri().query(),
                headers: request.headers(),
                request_id: Arc::clone(&request_id),
                trace,
                arrived: shared.clock.now(),
                peer: Some(self.peer.address()),
                trail: Trail::default(),
            };
            if let Some(reply) = request::run(shared, ask).await {
                return of_reply(shared, reply);
            }
        }
        if self.plane == Plane::Main && self.server.admin_apart && !PROBES.contains(&path) {
            return of_problem(&unknown_path(path), &request_id);
        }
        Box::pin(self.ask_control(request, &request_id)).await
    }

    async fn ask_control(self, request: Request<Incoming>, request_id: &Arc<str>) -> Response<Answer> {
        let path = request.uri().path().to_owned();
        let wants_options = request.method() == Method::OPTIONS;
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.peer);
        request.extensions_mut().insert(RequestId(Arc::clone(request_id)));
        let response = match self.control.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        match response.status() {
            StatusCode::METHOD_NOT_ALLOWED => {
                let known = response.headers().get(header::ALLOW).and_then(|allow| allow.to_str().ok());
                let known = known.unwrap_or_default().split(',').filter_map(|method| method.trim().parse().ok());
                let known: Vec<Method> = known.filter(|method| method != Method::HEAD).collect();
                let problem = Problem::wrong_method(&known);
                if wants_options { options(&problem) } else { of_problem(&problem, request_id) }
            }
            StatusCode::NOT_FOUND if !response.headers().contains_key(header::CONTENT_TYPE) => {
                of_problem(&unknown_path(&path), request_id)
            }
            _ => response.map(Answer::Other),
        }
    }
}

/// Whether a path is of the control plane, or kept for it.
fn is_own(path: &str) -> bool {
    let first = path.strip_prefix('/').and_then(|path| path.split('/').next()).unwrap_or_default();
    OWN_SEGMENTS.contains(&first)
}

/// The id of the request at hand, for handlers of the control plane.
#[derive(Clone)]
pub(crate) struct RequestId(pub(crate) Arc<str>);

/// The client's id if it is sane, else a new one.
fn request_id(headers: &HeaderMap) -> Arc<str> {
    let given = headers.get(X_REQUEST_ID).and_then(|value| value.to_str().ok());
    match given.filter(|id| !id.is_empty() && id.len() <= 128 && id.bytes().all(|b| b.is_ascii_graphic())) {
        Some(id) => id.into(),
        None => hex_text(&hex::<32>(fastrand::u128(..))).into(),
    }
}

fn too_large(server: &Server, headers: &HeaderMap) -> Option<Problem> {
    let length: u64 = headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()?;
    let bound = server.shared.live.load().plan.server.limits.max_request_bytes;
    (length > bound.as_u64()).then(|| {
        server.shared.metrics.server.request_bytes_rejected();
        body_too_large(bound)
    })
}

/// A body over `limits.max_request_bytes`.
pub(crate) fn body_too_large(bound: crate::base::ByteSize) -> Problem {
    let detail = format!("the body may have {bound} at most (`limits.max_request_bytes`)");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "Body too large", detail)
}

fn unknown_path(path: &str) -> Problem {
    let shown: String = path.chars().take(200).collect();
    let detail = format!("nothing is served at `{shown}`; `aggd routes` lists what is");
    Problem::new(StatusCode::NOT_FOUND, "unknown-path", "Unknown path", detail)
}

fn options(problem: &Problem) -> Response<Answer> {
    let mut response = Response::new(Answer::from(Vec::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    if let Some(allow) = problem.header_map().get(header::ALLOW) {
        response.headers_mut().insert(header::ALLOW, allow.clone());
    }
    response
}

/// A problem as a response.
pub(crate) fn of_problem<B: From<Vec<u8>>>(problem: &Problem, request_id: &str) -> Response<B> {
    let mut response = Response::new(problem.body(request_id).into());
    *response.status_mut() = problem.status;
    *response.headers_mut() = problem.header_map();
    response
}
