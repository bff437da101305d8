//! Clients that leave, connections that idle, and the end of the process (the CON scenarios seen from outside).

use std::time::Duration;

use http::Method;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::harness::Gateway;
use crate::harness::Script;
use crate::harness::Setup;
use crate::harness::Upstream;
use crate::harness::eventually;
use crate::harness::source;

const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn con_14_a_client_that_leaves_a_fan_out_of_fifty_leaves_nothing_behind() {
    let upstream = Upstream::with(&[("/hang", Script::hang())]);
    let document = |place| source(&format!("s{place}"), &upstream.url("/hang"), "cache: off\ntimeout: 30s");
    let documents: Vec<_> = (0..50).map(document).collect();
    let gateway = Gateway::of(&documents);
    let left = tokio::time::timeout(Duration::from_millis(1500), async {
        tokio::join!(gateway.get("/aggregate"), eventually(SOON, "all are called", async || upstream.active() == 50))
    });
    assert!(left.await.is_err());
    eventually(SOON, "all calls are cut", async || upstream.left("/hang") == 50 && upstream.active() == 0).await;
    for gauge in ["aggd_limiter_active", "aggd_limiter_waiting", "aggd_flights"] {
        eventually(SOON, gauge, async || gateway.metric(gauge, &[]).await.abs() < f64::EPSILON).await;
    }
    assert_eq!(gateway.upstream("s0").await["consecutive_failures"], 0, "leaving is neutral");
}

#[tokio::test]
async fn con_15_a_thousand_idle_connections_hold_no_permit() {
    let upstream = Upstream::with(&[("/a", Script::json(&json!(1)))]);
    let documents = [source("a", &upstream.url("/a"), "cache: off")];
    let gateway = Setup::new().server("limits: { concurrency: 10 }").sources(&documents).start();
    let mut idle = Vec::new();
    for _ in 0..1000 {
        let mut stream = TcpStream::connect(&gateway.address).await.unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        idle.push(stream);
    }
    for stream in &mut idle {
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
    }
    let replies = gateway.get_many("/aggregate", 20).await;
    assert!(replies.iter().all(|reply| reply.part("a")["status"] == "ok"));
    assert!(gateway.metric("aggd_connections", &[]).await >= 1000.0);
    assert!(gateway.metric("aggd_limiter_active", &[]).await.abs() < f64::EPSILON);
    drop(idle);
    eventually(SOON, "closed", async || gateway.metric("aggd_connections", &[]).await < 100.0).await;
}

#[tokio::test]
async fn connections_over_the_bound_are_turned_away() {
    let gateway = Setup::new().server("limits: { max_connections: 5 }").start();
    let mut held = Vec::new();
    for _ in 0..5 {
        let mut stream = TcpStream::connect(&gateway.address).await.unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        held.push(stream);
    }
    let mut sixth = TcpStream::connect(&gateway.address).await.unwrap();
    let mut byte = [0];
    let read = tokio::time::timeout(SOON, sixth.read(&mut byte)).await.expect("closed at once");
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    drop(held);
    eventually(SOON, "room again", async || gateway.ask(Method::GET, "/livez").try_send().await.is_ok()).await;
}

#[tokio::test]
async fn con_16_sigterm_lets_requests_in_flight_finish_and_takes_no_new_ones() {
    let upstream = Upstream::with(&[("/a", Script::json(&json!(1)).after_ms(600))]);
    let documents = [source("a", &upstream.url("/a"), "")];
    let mut gateway = Setup::new().server("database: sqlite://audit.db").sources(&documents).start();
    let address = gateway.address.clone();
    let (reply, ()) = tokio::join!(gateway.get("/aggregate"), async {
        eventually(SOON, "it is called", async || upstream.active() == 1).await;
        gateway.signal("TERM");
        // New connections are refused, or told that it is over.
        eventually(SOON, "no new requests", async || is_refused(&address).await).await;
    });
    assert_eq!(reply.expect(200).part("a")["data"], 1);
    assert_eq!(gateway.ended(Duration::from_secs(5)).await, 0);
}

async fn is_refused(address: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(address).await else { return true };
    if stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n").await.is_err() {
        return true;
    }
    let mut first = [0; 12];
    match tokio::time::timeout(SOON, stream.read_exact(&mut first)).await {
        Ok(Ok(_)) => first.ends_with(b"503"),
        Ok(Err(_)) | Err(_) => true,
    }
}

#[tokio::test]
async fn sigint_ends_it_too_and_idle_connections_do_not_hold_it() {
    let mut gateway = Setup::new().start();
    let mut idle = TcpStream::connect(&gateway.address).await.unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    gateway.signal("INT");
    assert_eq!(gateway.ended(Duration::from_secs(5)).await, 0);
}

#[tokio::test]
async fn a_probe_is_shielded_from_its_client_leaving() {
    let upstream = Upstream::start();
    upstream.on_each("/a", [Script::status(500), Script::json(&json!(1)).after_ms(300)]);
    let more = "cache: off\nbreaker: { failure_threshold: 1, recovery_timeout: 100ms }";
    let gateway = Gateway::of(&[source("a", &upstream.url("/a"), more)]);
    gateway.get("/aggregate").await.expect(200);
    eventually(SOON, "half open", async || gateway.circuit("a").await == "half_open").await;
    let left = tokio::time::timeout(Duration::from_millis(100), gateway.get("/aggregate")).await;
    assert!(left.is_err());
    eventually(SOON, "closed by the probe", async || gateway.circuit("a").await == "closed").await;
    assert_eq!((upstream.calls("/a"), upstream.left("/a")), (2, 0));
}
