//! The floor of answering from memory: a bare hyper server that gives every request one prebuilt body.
//!
//! `floor PORT FILE`

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::header::CONTENT_TYPE;
use hyper::header::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().and_then(|port| port.parse().ok()).expect("floor PORT FILE");
    let body: Bytes = std::fs::read(arguments.next().expect("floor PORT FILE")).expect("the body").into();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("the port");
    while let Ok((stream, _)) = listener.accept().await {
        let body = body.clone();
        stream.set_nodelay(true).expect("a socket");
        tokio::spawn(async move {
            let service = service_fn(|_| {
                let mut response = Response::new(Full::new(body.clone()));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                async { Ok::<_, Infallible>(response) }
            });
            // A client that goes away is no concern of a floor.
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
    }
}
