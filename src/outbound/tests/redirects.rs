//! Redirects over real connections: who is called, and with what.

use http::HeaderValue;
use http::header::AUTHORIZATION;

use crate::config::spec::Network;
use crate::outbound::error::CallError;
use crate::outbound::tests::LIMITS;
use crate::outbound::tests::client;
use crate::outbound::tests::client_spec;
use crate::outbound::tests::get;
use crate::outbound::tests::peer::Peer;
use crate::policy::outcome::Kind;

fn redirect_to(url: &str) -> Vec<u8> {
    format!("HTTP/1.1 302 Found\r\nLocation: {url}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn a_redirect_is_followed_and_credentials_stay_behind() {
    let (first, second) = (Peer::bind().await, Peer::bind().await);
    let client = client(&client_spec());
    let mut call = get(&first.url("/start"));
    call.headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer t"));
    let redirect = redirect_to(&second.url("/end"));
    let (answer, (at_first, _one), (at_second, _two)) = tokio::join!(
        client.exchange(call, LIMITS, 1),
        first.answer(&redirect),
        second.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nend"),
    );
    assert_eq!(answer.unwrap().body, &b"end"[..]);
    assert!(at_first.contains("authorization: Bearer t\r\n"), "{at_first}");
    assert!(at_second.starts_with("GET /end "), "{at_second}");
    assert!(!at_second.contains("authorization"), "{at_second}");
    assert!(at_second.contains("user-agent: aggd-test\r\n"), "{at_second}");
}

#[tokio::test]
async fn a_redirect_loop_ends_at_the_limit() {
    let peer = Peer::bind().await;
    let client = client(&client_spec());
    let redirect = redirect_to(&peer.url("/again"));
    let serving = async {
        for _ in 0..4 {
            peer.answer(&redirect).await;
        }
    };
    let (result, ()) = tokio::join!(client.exchange(get(&peer.url("/")), LIMITS, 3), serving);
    let error = result.unwrap_err();
    assert!(matches!(error, CallError::TooManyRedirects { limit: 3 }), "{error:?}");
    assert_eq!(error.kind(), Kind::Redirect);
}

#[tokio::test]
async fn cls_04_with_no_redirects_allowed_the_redirect_is_the_answer() {
    let peer = Peer::bind().await;
    let client = client(&client_spec());
    let redirect = redirect_to("http://169.254.169.254/");
    let (answer, _) = tokio::join!(client.exchange(get(&peer.url("/")), LIMITS, 0), peer.answer(&redirect));
    assert_eq!(answer.unwrap().status, 302);
}

#[tokio::test]
async fn a_redirect_to_a_denied_network_is_not_followed() {
    let (peer, denied) = (Peer::bind().await, std::net::TcpListener::bind("127.0.0.2:0").unwrap());
    let mut spec = client_spec();
    spec.deny_networks = vec![Network { address: [127, 0, 0, 2].into(), prefix: 32 }];
    let client = client(&spec);
    let listed = format!("http://{}/", denied.local_addr().unwrap());
    for target in ["http://169.254.169.254/latest/", "http://[::ffff:169.254.169.254]/", &listed] {
        let redirect = redirect_to(target);
        let (result, _) = tokio::join!(client.exchange(get(&peer.url("/")), LIMITS, 5), peer.answer(&redirect));
        let error = result.unwrap_err();
        assert!(matches!(error, CallError::Denied(_)), "{target}: {error:?}");
        assert_eq!(error.kind(), Kind::ConfigError, "{target}");
    }
    denied.set_nonblocking(true).unwrap();
    assert!(denied.accept().is_err(), "nobody came");
}

#[tokio::test]
async fn a_redirect_to_another_scheme_is_not_followed() {
    let peer = Peer::bind().await;
    let client = client(&client_spec());
    let redirect = redirect_to(&format!("https://127.0.0.1:{}/", peer.port));
    let (result, _) = tokio::join!(client.exchange(get(&peer.url("/")), LIMITS, 5), peer.answer(&redirect));
    assert_eq!(result.unwrap_err().kind(), Kind::Redirect);
}
