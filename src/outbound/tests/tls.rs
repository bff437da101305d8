//! `https://`: a peer that does not speak TLS, a certificate nobody trusts, one that `client.ca` vouches for.

use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use crate::config::spec::ClientSpec;
use crate::config::spec::Pem;
use crate::outbound::error::CallError;
use crate::outbound::tests::LIMITS;
use crate::outbound::tests::client;
use crate::outbound::tests::client_spec;
use crate::outbound::tests::get;
use crate::outbound::tests::peer::Peer;
use crate::policy::outcome::Kind;

/// An authority made for these tests; its key is lost.
const CA: &[u8] = include_bytes!("tls/ca.pem");

/// Signed by it, for `localhost` alone.
pub(super) const CERTIFICATE: &[u8] = include_bytes!("tls/localhost.pem");
pub(super) const KEY: &[u8] = include_bytes!("tls/localhost.key");

/// Serves one TLS connection, as far as the client lets it. On a thread of its own: rustls brings no async streams.
fn serve_once() -> (u16, JoinHandle<()>) {
    crate::outbound::install_crypto();
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key);
    let mut tls = rustls::ServerConnection::new(Arc::new(config.unwrap())).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut stream = rustls::Stream::new(&mut tls, &mut socket);
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            // A client that refuses the certificate ends the connection here.
            if !matches!(stream.read(&mut byte), Ok(1)) {
                return;
            }
            request.extend_from_slice(&byte);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret").unwrap();
        stream.flush().unwrap();
    });
    (port, serving)
}

pub(super) fn trusting() -> ClientSpec {
    ClientSpec { ca: Some(Pem { path: "ca.pem".into(), content: CA.to_vec() }), ..client_spec() }
}

#[tokio::test]
async fn a_certificate_of_the_configured_authority_is_trusted() {
    let (port, serving) = serve_once();
    let client = client(&trusting());
    client.prepare_tls().unwrap();
    let answer = client.exchange(get(&format!("https://localhost:{port}/")), LIMITS, 0).await.unwrap();
    assert_eq!(answer.body, &b"secret"[..]);
    serving.join().unwrap();
}

#[tokio::test]
async fn cls_13_a_rejected_certificate_is_a_config_error_that_says_why() {
    for (spec, host, why) in
        [(client_spec(), "localhost", "issuer is unknown"), (trusting(), "127.0.0.1", "for another name")]
    {
        let (port, serving) = serve_once();
        let error = client(&spec).exchange(get(&format!("https://{host}:{port}/")), LIMITS, 0).await.unwrap_err();
        assert!(matches!(error, CallError::Certificate(_)), "{error:?}");
        assert_eq!(error.kind(), Kind::ConfigError);
        assert!(error.to_string().contains(why), "{error}");
        serving.join().unwrap();
    }
}

#[tokio::test]
async fn cls_11_a_peer_without_tls_is_a_connect_error() {
    let peer = Peer::bind().await;
    let client = client(&trusting());
    let url = format!("https://127.0.0.1:{}/", peer.port);
    let plain = async { peer.accept().await.send(b"HTTP/1.1 400 Bad Request\r\n\r\n").await };
    let (result, ()) = tokio::join!(client.exchange(get(&url), LIMITS, 0), plain);
    let error = result.unwrap_err();
    assert_eq!(error.kind(), Kind::ConnectError, "{error}");

    let closing = async { drop(peer.accept().await) };
    let (result, ()) = tokio::join!(client.exchange(get(&url), LIMITS, 0), closing);
    let error = result.unwrap_err();
    assert_eq!(error.kind(), Kind::ConnectError, "{error}");
}
