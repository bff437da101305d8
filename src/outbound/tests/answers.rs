//! What comes back when something does.

use bytes::Bytes;
use http::HeaderValue;
use http::Method;
use http::header::ACCEPT_ENCODING;
use http::header::CONTENT_ENCODING;

use crate::base::ByteSize;
use crate::base::Secret;
use crate::outbound::ReadLimits;
use crate::outbound::tests::LIMITS;
use crate::outbound::tests::client;
use crate::outbound::tests::client_spec;
use crate::outbound::tests::get;
use crate::outbound::tests::gzip;
use crate::outbound::tests::peer::Peer;
use crate::outbound::tests::transports;

#[tokio::test]
async fn a_call_sends_what_it_says_and_brings_the_answer() {
    let peer = Peer::bind().await;
    let client = client(&client_spec());
    let mut call = get(&peer.url("/a/b?c=d"));
    call.headers.insert("x-key", HeaderValue::from_static("v"));
    call.headers.insert("connection", HeaderValue::from_static("close"));
    let answering = peer.answer(b"HTTP/1.1 203 Fine\r\nContent-Length: 5\r\nX-From: peer\r\n\r\nhello");
    let (answer, (request, _open)) = tokio::join!(client.exchange(call, LIMITS, 0), answering);
    let answer = answer.unwrap();
    assert_eq!((answer.status, &answer.body[..]), (203, &b"hello"[..]));
    assert_eq!(answer.headers["x-from"], "peer");
    assert!(request.starts_with("GET /a/b?c=d HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("host: 127.0.0.1:{}\r\n", peer.port)), "{request}");
    for line in ["x-key: v", "user-agent: aggd-test", "accept-encoding: gzip, br"] {
        assert!(request.contains(&format!("{line}\r\n")), "{line} in {request}");
    }
    assert!(!request.contains("connection: close"), "{request}");
}

#[tokio::test]
async fn what_the_caller_sets_is_kept_and_bodies_have_a_length() {
    let peer = Peer::bind().await;
    let client = client(&client_spec());
    let mut call = get(&peer.url("/"));
    call.method = Method::POST;
    call.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let (done, (request, _open)) = tokio::join!(client.exchange(call.clone(), LIMITS, 0), peer.answer(answer));
    done.unwrap();
    assert!(request.contains("accept-encoding: identity\r\n"), "{request}");
    assert!(request.contains("content-length: 0\r\n"), "{request}");

    call.body = Bytes::from_static(b"abc");
    call.headers.insert("content-length", HeaderValue::from_static("99"));
    let fresh = self::client(&client_spec());
    let (done, (request, _open)) = tokio::join!(fresh.exchange(call, LIMITS, 0), peer.answer(answer));
    done.unwrap();
    assert!(request.contains("content-length: 3\r\n"), "{request}");
}

#[tokio::test]
async fn two_calls_use_one_connection() {
    let peer = Peer::bind().await;
    for (transport, client) in transports(peer.port, client_spec().connect_timeout) {
        let serving = async {
            let mut connection = peer.accept().await;
            for body in [&b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"[..], b"Content-Length: 1\r\n\r\nb"] {
                connection.request().await;
                connection.send(&[b"HTTP/1.1 200 OK\r\n", body].concat()).await;
            }
            connection
        };
        let calling = async {
            let first = client.exchange(get(&peer.url("/1")), LIMITS, 0).await.unwrap().body;
            // The next look at the pool must come after the connection went back to it.
            settle().await;
            [first, client.exchange(get(&peer.url("/2")), LIMITS, 0).await.unwrap().body]
        };
        let (bodies, _open) = tokio::join!(calling, serving);
        assert_eq!(bodies, [&b"a"[..], b"b"], "{transport}");
    }
}

#[tokio::test]
async fn a_connection_closed_between_calls_is_replaced() {
    let peer = Peer::bind().await;
    for (transport, client) in transports(peer.port, client_spec().connect_timeout) {
        for _ in 0..2 {
            let call = client.exchange(get(&peer.url("/")), LIMITS, 0);
            let answering = peer.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            let (answer, (_, connection)) = tokio::join!(call, answering);
            assert_eq!(answer.unwrap().status, 200, "{transport}");
            drop(connection);
            settle().await;
        }
    }
}

#[tokio::test]
async fn a_status_is_an_answer_whatever_it_is() {
    let peer = Peer::bind().await;
    for status in [204, 302, 304, 404, 429, 500, 503] {
        let client = client(&client_spec());
        let head = format!("HTTP/1.1 {status} X\r\nLocation: /elsewhere\r\nETag: \"1\"\r\nContent-Length: 0\r\n\r\n");
        let (answer, _) = tokio::join!(client.exchange(get(&peer.url("/")), LIMITS, 0), peer.answer(head.as_bytes()));
        let answer = answer.unwrap();
        assert_eq!((answer.status, answer.body.len()), (status, 0));
        assert_eq!(answer.headers["etag"], "\"1\"");
    }
}

#[tokio::test]
async fn informational_answers_are_skipped() {
    let peer = Peer::bind().await;
    let flood = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(500);
    let answer = [&flood[..], b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"].concat();
    for (transport, client) in transports(peer.port, client_spec().connect_timeout) {
        let (got, _) = tokio::join!(client.exchange(get(&peer.url("/")), LIMITS, 0), peer.answer(&answer));
        assert_eq!(got.unwrap().status, 200, "{transport}");
    }
}

#[tokio::test]
async fn a_compressed_body_comes_decompressed() {
    let peer = Peer::bind().await;
    let packed = gzip(b"{\"a\":1}");
    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", packed.len());
    let answer = [head.as_bytes(), &packed].concat();
    for (transport, client) in transports(peer.port, client_spec().connect_timeout) {
        let (got, _) = tokio::join!(client.exchange(get(&peer.url("/")), LIMITS, 0), peer.answer(&answer));
        let got = got.unwrap();
        assert_eq!(got.body, &b"{\"a\":1}"[..], "{transport}");
        assert!(!got.headers.contains_key(CONTENT_ENCODING), "{transport}");
    }
}

#[tokio::test]
async fn a_body_in_many_chunks_up_to_the_very_cap_is_whole() {
    let peer = Peer::bind().await;
    let client = client(&client_spec());
    let limits = ReadLimits { max_response_bytes: ByteSize::bytes(30), ..LIMITS };
    let chunks = b"a\r\n0123456789\r\n".repeat(3);
    let answer = [&b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"[..], &chunks, b"0\r\n\r\n"].concat();
    let (got, _) = tokio::join!(client.exchange(get(&peer.url("/")), limits, 0), peer.answer(&answer));
    assert_eq!(got.unwrap().body, b"0123456789".repeat(3));
}

#[tokio::test]
async fn a_proxy_is_asked_for_the_whole_url_with_its_password() {
    let peer = Peer::bind().await;
    let mut spec = client_spec();
    spec.proxy = Some(Secret::new(format!("http://me:word@127.0.0.1:{}", peer.port)));
    let client = client(&spec);
    let answering = peer.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let call = client.exchange(get("http://upstream.invalid/x"), LIMITS, 0);
    let (answer, (request, _open)) = tokio::join!(call, answering);
    assert_eq!(answer.unwrap().status, 200);
    assert!(request.starts_with("GET http://upstream.invalid/x HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("proxy-authorization: Basic bWU6d29yZA==\r\n"), "{request}");
}

/// Lets every other task, and the sockets, have their turn: more turns than the runtime takes between two looks at
/// its sockets.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}
