//! The demo's upstreams: three of them and their switch on one loopback port, on a thread of their own.
//!
//! ```text
//! GET  /           every upstream: its mode, how often it was called
//! GET  /news       what the gateway calls
//! POST /news?mode= the switch
//! ```

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::base::Tasks;
use crate::cli::demo::behaviour::MODES;
use crate::cli::demo::behaviour::Mode;
use crate::cli::demo::documents;

/// Between these an upstream answers that is not told otherwise.
const DELAY_MS: std::ops::RangeInclusive<u64> = 30..=120;
/// After an accept that failed, for want of file descriptors as a rule.
const BREATHER: Duration = Duration::from_millis(100);
/// What answers 200 and is no JSON: the page of a web server that knows nothing of an API.
const GARBAGE: &str = "<!doctype html><title>Welcome</title><h1>It works!</h1>";

/// The upstreams, running. Dropping it ends them.
pub(crate) struct Upstreams {
    address: SocketAddr,
    runtime: Option<Runtime>,
}

/// What they are at the moment.
struct Board {
    address: SocketAddr,
    upstreams: Vec<Upstream>,
}

struct Upstream {
    name: &'static str,
    calls: AtomicU64,
    mode: Mutex<Mode>,
}

impl Upstreams {
    /// Starts them on a free port. Their runtime is not the gateway's: neither can hold the other up.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)))?;
        let address = listener.local_addr()?;
        let upstream = |name| Upstream { name, calls: AtomicU64::new(0), mode: Mutex::new(Mode::Ok) };
        let board = Arc::new(Board { address, upstreams: documents::NAMES.map(upstream).into() });
        let tasks = Tasks::default();
        let entered = runtime.enter();
        drop(tasks.clone().spawn(accept(listener, board, tasks)));
        drop(entered);
        Ok(Self { address, runtime: Some(runtime) })
    }

    /// `http://127.0.0.1:PORT`
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Upstreams {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // One that hangs is not waited for.
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: TcpListener, board: Arc<Board>, tasks: Tasks) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(BREATHER).await;
            continue;
        };
        let board = Arc::clone(&board);
        drop(tasks.spawn(async move {
            let answers = service_fn(move |request| {
                let board = Arc::clone(&board);
                async move { Ok::<_, Infallible>(answer(&board, &request).await) }
            });
            // The gateway hangs up on a call that is too slow; that is its good right.
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), answers).await);
        }));
    }
}

async fn answer(board: &Board, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let query = request.uri().query().unwrap_or_default();
    let name = request.uri().path().trim_start_matches('/');
    if name.is_empty() {
        return match *request.method() {
            Method::GET => json_answer(StatusCode::OK, &board.page()),
            _ => wrong_method("GET"),
        };
    }
    let Some(upstream) = board.upstreams.iter().find(|upstream| upstream.name == name) else {
        let error = format!("there is no `{name}`; there are {}", documents::NAMES.join(", "));
        return json_answer(StatusCode::NOT_FOUND, &json!({ "error": error }));
    };
    match *request.method() {
        Method::GET => upstream.call(query).await,
        Method::POST => upstream.switch(query),
        _ => wrong_method("GET, POST"),
    }
}

impl Board {
    fn page(&self) -> Value {
        let upstream = |upstream: &Upstream| {
            json!({
                "name": upstream.name,
                "mode": upstream.mode().to_string(),
                "calls": upstream.calls.load(Ordering::Relaxed),
            })
        };
        json!({
            "upstreams": self.upstreams.iter().map(upstream).collect::<Vec<_>>(),
            "switch": format!("curl -X POST 'http://{}/NAME?mode=MODE'", self.address),
            "modes": MODES,
        })
    }
}

impl Upstream {
    fn mode(&self) -> Mode {
        *self.mode.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the gateway gets.
    async fn call(&self, query: &str) -> Response<Full<Bytes>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let mode = self.mode();
        match mode {
            Mode::Hang => std::future::pending().await,
            Mode::Slow(delay) => tokio::time::sleep(delay).await,
            Mode::Ok | Mode::Fail | Mode::Garbage => {
                tokio::time::sleep(Duration::from_millis(fastrand::u64(DELAY_MS))).await;
            }
        }
        match mode {
            Mode::Fail => json_answer(StatusCode::SERVICE_UNAVAILABLE, &json!({ "error": "down, as you wished" })),
            Mode::Garbage => text_answer(StatusCode::OK, GARBAGE.to_owned()),
            Mode::Ok | Mode::Hang | Mode::Slow(_) => match documents::of(self.name) {
                Some(document) => {
                    let (status, document) = document(query);
                    json_answer(status, &document)
                }
                None => json_answer(StatusCode::NOT_FOUND, &Value::Null),
            },
        }
    }

    fn switch(&self, query: &str) -> Response<Full<Bytes>> {
        match Mode::parse(query) {
            Ok(mode) => {
                *self.mode.lock().unwrap_or_else(PoisonError::into_inner) = mode;
                let calls = self.calls.load(Ordering::Relaxed);
                let (state, watch) = (mode.to_string(), mode.watch(self.name));
                let said = json!({ "upstream": self.name, "mode": state, "calls": calls, "watch": watch });
                json_answer(StatusCode::OK, &said)
            }
            Err(error) => json_answer(StatusCode::BAD_REQUEST, &json!({ "error": error.to_string() })),
        }
    }
}

fn wrong_method(allowed: &'static str) -> Response<Full<Bytes>> {
    let error = format!("this path answers {allowed}");
    let mut response = json_answer(StatusCode::METHOD_NOT_ALLOWED, &json!({ "error": error }));
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

/// With a line feed at the end, for those who read it in a terminal.
fn json_answer(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    text_answer(status, format!("{body}\n"))
}

fn text_answer(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::io::Write as _;

    fn ask(upstreams: &Upstreams, method: &str, target: &str) -> (u16, String) {
        let mut stream = std::net::TcpStream::connect(upstreams.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(stream, "{method} {target} HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    fn json_of((status, body): (u16, String)) -> (u16, Value) {
        (status, serde_json::from_str(&body).unwrap())
    }

    #[test]
    fn a_switch_holds_for_its_upstream_alone_until_it_is_switched_back() {
        let upstreams = Upstreams::start().unwrap();
        let (status, said) = json_of(ask(&upstreams, "POST", "/news?mode=fail"));
        assert_eq!((status, &said["mode"], &said["upstream"]), (200, &json!("fail"), &json!("news")));
        assert_eq!(ask(&upstreams, "GET", "/news").0, 503);
        assert_eq!(ask(&upstreams, "GET", "/weather?latitude=1").0, 200);
        ask(&upstreams, "POST", "/news?mode=garbage");
        assert_eq!(ask(&upstreams, "GET", "/news"), (200, GARBAGE.to_owned()));
        ask(&upstreams, "POST", "/news?mode=ok");
        let (status, document) = json_of(ask(&upstreams, "GET", "/news?hitsPerPage=2"));
        assert_eq!((status, document["hits"].as_array().unwrap().len()), (200, 2));
    }

    #[test]
    fn the_board_counts_calls_and_not_switches() {
        let upstreams = Upstreams::start().unwrap();
        ask(&upstreams, "POST", "/markets?mode=slow&delay=1ms");
        ask(&upstreams, "GET", "/markets");
        ask(&upstreams, "GET", "/markets");
        let (_, board) = json_of(ask(&upstreams, "GET", "/"));
        assert_eq!(board["upstreams"][2], json!({ "name": "markets", "mode": "slow (1ms)", "calls": 2 }));
    }

    #[test]
    fn what_is_wrong_is_told() {
        let upstreams = Upstreams::start().unwrap();
        let (status, said) = json_of(ask(&upstreams, "POST", "/news?mode=off"));
        assert_eq!(status, 400);
        assert!(said["error"].as_str().unwrap().contains("`garbage`"), "{said}");
        let (status, said) = json_of(ask(&upstreams, "GET", "/sports"));
        assert_eq!((status, &said["error"]), (404, &json!("there is no `sports`; there are weather, news, markets")));
        assert_eq!(ask(&upstreams, "DELETE", "/news").0, 405);
    }
}
