//! What an upstream can do wrong, and the kind that it is.

use std::time::Duration;

use crate::base::ByteSize;
use crate::outbound::ReadLimits;
use crate::outbound::error::CallError;
use crate::outbound::tests::LIMITS;
use crate::outbound::tests::client;
use crate::outbound::tests::client_spec;
use crate::outbound::tests::get;
use crate::outbound::tests::gzip;
use crate::outbound::tests::peer::Peer;
use crate::outbound::tests::transports;
use crate::policy::outcome::Kind;

/// Long enough for a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What both transports make of these bytes and the connection's end after them.
async fn fails_with(answer: &[u8], kind: Kind) {
    let peer = Peer::bind().await;
    for (transport, client) in transports(peer.port, PATIENCE) {
        let answering = async { drop(peer.answer(answer).await) };
        let (result, ()) = tokio::join!(client.exchange(get(&peer.url("/?secret=hunter2")), LIMITS, 0), answering);
        let error = result.unwrap_err();
        assert_eq!(error.kind(), kind, "{transport}: {error}");
        assert!(!error.to_string().contains("hunter2"), "{transport}: {error}");
    }
}

#[tokio::test]
async fn cls_14_an_end_before_any_head_is_a_reset() {
    fails_with(b"", Kind::Reset).await;
    fails_with(b"HTTP/1.1 200 OK\r\nContent-", Kind::Reset).await;
}

#[tokio::test]
async fn cls_14_a_reset_before_any_head_is_a_reset() {
    let peer = Peer::bind().await;
    for (transport, client) in transports(peer.port, PATIENCE) {
        let resetting = async {
            let mut connection = peer.accept().await;
            connection.request().await;
            connection.reset();
        };
        let (result, ()) = tokio::join!(client.exchange(get(&peer.url("/")), LIMITS, 0), resetting);
        assert_eq!(result.unwrap_err().kind(), Kind::Reset, "{transport}");
    }
}

#[tokio::test]
async fn garbage_instead_of_a_head_is_a_body_error() {
    for garbage in [&b"SSH-2.0-OpenSSH_9.6\r\n"[..], b"\0\x01\x02\x03\xff\xff\r\n\r\n", b"HTTP/1.1 abc OK\r\n\r\n"] {
        fails_with(garbage, Kind::BodyError).await;
    }
}

#[tokio::test]
async fn cls_18_a_body_shorter_than_its_length_is_a_body_error() {
    fails_with(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", Kind::BodyError).await;
    fails_with(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", Kind::BodyError).await;
    fails_with(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab", Kind::BodyError).await;
}

#[tokio::test]
async fn a_length_that_is_no_number_or_two_is_a_body_error() {
    fails_with(b"HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n", Kind::BodyError).await;
    fails_with(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", Kind::BodyError).await;
}

#[tokio::test]
async fn a_corrupt_or_unasked_encoding_has_its_kind() {
    fails_with(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope", Kind::BodyError).await;
    fails_with(b"HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\nContent-Length: 1\r\n\r\nx", Kind::DecodeError).await;
}

#[tokio::test]
async fn cls_17_a_length_over_the_cap_is_refused_before_the_body() {
    fails_with(b"HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n", Kind::ResponseTooLarge).await;
}

#[tokio::test]
async fn a_head_without_end_is_too_large() {
    let peer = Peer::bind().await;
    for (transport, client) in transports(peer.port, PATIENCE) {
        let sending = async {
            let (_, mut connection) = peer.answer(b"HTTP/1.1 200 OK\r\nX-Endless: ").await;
            connection.send_for_ever(&[b'a'; 16 * 1024]).await
        };
        let (result, sent) = tokio::join!(client.exchange(get(&peer.url("/")), LIMITS, 0), sending);
        assert_eq!(result.unwrap_err().kind(), Kind::ResponseTooLarge, "{transport}");
        assert!(sent < 64 << 20, "{transport}: {sent} bytes were taken");
    }
}

#[tokio::test]
async fn cls_17_an_endless_body_stops_at_the_cap() {
    let peer = Peer::bind().await;
    for (transport, client) in transports(peer.port, PATIENCE) {
        let sending = async {
            let (_, mut connection) = peer.answer(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").await;
            connection.send_for_ever(&[b' '; 16 * 1024]).await
        };
        let (result, sent) = tokio::join!(client.exchange(get(&peer.url("/")), LIMITS, 0), sending);
        let error = result.unwrap_err();
        assert_eq!(error.kind(), Kind::ResponseTooLarge, "{transport}");
        assert_eq!(error.to_string(), "the body is larger than `max_response_bytes` (64KiB)");
        assert!(sent < 64 << 20, "{transport}: {sent} bytes were taken");
    }
}

#[tokio::test]
async fn cls_17_a_gzip_bomb_stops_at_the_cap() {
    let bomb = gzip(&vec![0; 32 << 20]);
    assert!(bomb.len() < LIMITS.max_response_bytes.as_usize());
    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", bomb.len());
    fails_with(&[head.as_bytes(), &bomb].concat(), Kind::ResponseTooLarge).await;
}

#[tokio::test]
async fn a_trickle_slower_than_read_timeout_is_cut_off() {
    let peer = Peer::bind().await;
    let limits = ReadLimits { read_timeout: Some(Duration::from_millis(50)), ..LIMITS };
    for (transport, client) in transports(peer.port, PATIENCE) {
        let answering = peer.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123");
        let (result, _open) = tokio::join!(client.exchange(get(&peer.url("/")), limits, 0), answering);
        let error = result.unwrap_err();
        assert_eq!(error.kind(), Kind::AttemptTimeout, "{transport}");
        assert_eq!(error.to_string(), "no data within `read_timeout` (50ms)");
    }
}

#[tokio::test]
async fn a_call_that_hangs_after_the_head_can_be_dropped_and_closes() {
    let peer = Peer::bind().await;
    for (_, client) in transports(peer.port, PATIENCE) {
        let mut hanging = Box::pin(client.exchange(get(&peer.url("/")), LIMITS, 0));
        let mut connection = tokio::select! {
            (_, connection) = peer.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n") => connection,
            ended = &mut hanging => panic!("the body never came: {ended:?}"),
        };
        drop(hanging);
        connection.closed().await;
    }
}

#[tokio::test]
async fn cls_11_a_refused_connection_is_a_connect_error() {
    let port = Peer::bind().await.port;
    for (transport, client) in transports(port, PATIENCE) {
        let error = client.exchange(get(&format!("http://127.0.0.1:{port}/")), LIMITS, 0).await.unwrap_err();
        assert_eq!(error.kind(), Kind::ConnectError, "{transport}");
        assert_eq!(error.to_string(), "no connection: refused", "{transport}");
    }
}

#[tokio::test]
async fn cls_11_a_name_that_does_not_resolve_is_a_connect_error() {
    let error = client(&client_spec()).exchange(get("http://name.invalid/"), LIMITS, 0).await.unwrap_err();
    assert_eq!(error.kind(), Kind::ConnectError, "{error}");
    assert_eq!(error.to_string(), "no connection: the name was not resolved");
}

#[tokio::test]
async fn cls_12_a_connection_that_is_not_made_in_time_is_a_connect_timeout() {
    // A listener whose queue is full: the system drops what else comes.
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let mut filling = Vec::new();
    while let Ok(connected) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(50)) {
        filling.push(connected);
        assert!(filling.len() < 100, "the queue never filled; the test proves nothing");
    }
    for (transport, client) in transports(address.port(), Duration::from_millis(60)) {
        let error = client.exchange(get(&format!("http://{address}/")), LIMITS, 0).await.unwrap_err();
        assert_eq!(error.kind(), Kind::ConnectTimeout, "{transport}: {error}");
        assert_eq!(error.to_string(), "no connection within `connect_timeout` (60ms)");
    }
}

#[tokio::test]
async fn cls_13_a_url_that_is_not_http_is_a_config_error() {
    let client = client(&client_spec());
    for url in ["ftp://127.0.0.1/", "/only/a/path", "127.0.0.1:80"] {
        let error = client.exchange(get(url), LIMITS, 0).await.unwrap_err();
        assert!(matches!(error, CallError::Url), "{url}: {error:?}");
        assert_eq!(error.kind(), Kind::ConfigError);
    }
}

#[tokio::test]
async fn denied_addresses_are_not_connected_to() {
    let peer = Peer::bind().await;
    let mut spec = client_spec();
    spec.allow_private_networks = false;
    let closed = client(&spec);
    let open = client(&client_spec());
    for (client, url) in [
        (&closed, peer.url("/")),
        (&closed, format!("http://localhost:{}/", peer.port)),
        (&closed, format!("http://2130706433:{}/", peer.port)),
        (&closed, format!("http://[::ffff:127.0.0.1]:{}/", peer.port)),
        (&closed, format!("https://127.0.0.1:{}/", peer.port)),
        (&closed, format!("https://0x7f.1:{}/", peer.port)),
        (&closed, format!("https://localhost:{}/", peer.port)),
        (&open, "http://169.254.169.254/latest/meta-data".to_owned()),
        (&open, "https://[fd00:ec2::254]/".to_owned()),
        (&open, "http://0.0.0.0/".to_owned()),
    ] {
        tokio::select! {
            result = client.exchange(get(&url), LIMITS, 0) => {
                let error = result.unwrap_err();
                assert!(matches!(error, CallError::Denied(_)), "{url}: {error:?}");
                assert_eq!(error.kind(), Kind::ConfigError, "{url}");
            }
            _ = peer.accept() => panic!("{url} was connected to"),
        }
    }
}

#[tokio::test]
async fn a_cap_of_nothing_lets_an_empty_body_through() {
    let peer = Peer::bind().await;
    let limits = ReadLimits { max_response_bytes: ByteSize::bytes(0), ..LIMITS };
    let client = client(&client_spec());
    let answering = peer.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let (empty, _open) = tokio::join!(client.exchange(get(&peer.url("/")), limits, 0), answering);
    assert!(empty.unwrap().body.is_empty());
}
