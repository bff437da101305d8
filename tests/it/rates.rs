//! Rate limits of sources: calls wait for their turn, or fail at once and say why; what is not sent costs nothing.

use std::time::Duration;

use serde_json::json;

use crate::harness::Gateway;
use crate::harness::Listening;
use crate::harness::Reply;
use crate::harness::Script;
use crate::harness::Setup;
use crate::harness::Upstream;
use crate::harness::eventually;
use crate::harness::source;

const SOON: Duration = Duration::from_secs(5);

fn limited(upstream: &Upstream, rate_limit: &str) -> String {
    source("a", &upstream.url("/a"), &format!("cache: off\nrate_limit: {rate_limit}"))
}

fn answering() -> Upstream {
    Upstream::with(&[("/a", Script::json(&json!(1)))])
}

/// What a refused single call is told.
fn refused(reply: &Reply) -> String {
    let problem = reply.problem(503, "local-limit");
    assert_eq!(problem["kind"], "rate_limited_local", "{problem}");
    problem["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn calls_wait_for_their_turn() {
    let upstream = answering();
    let gateway = Gateway::of(&[limited(&upstream, "{ rate: 5/s, burst: 1, max_wait: 5s }")]);
    let replies = gateway.get_many("/aggregate/a", 4).await;
    assert!(replies.iter().all(|reply| reply.status == 200));
    let mut sent: Vec<_> = upstream.seen("/a").iter().map(|call| call.at).collect();
    sent.sort();
    // 600ms, less what the first was late.
    assert!(sent[3] - sent[0] >= Duration::from_millis(400), "{:?}", sent[3] - sent[0]);
    assert!(gateway.metric("aggd_rate_wait_seconds_count", &[("source", "a")]).await >= 4.0);
    assert!(gateway.metric("aggd_rate_waiting", &[("source", "a")]).await.abs() < f64::EPSILON);
}

#[tokio::test]
async fn who_does_not_wait_is_refused_at_once_and_told_when_to_come_back() {
    let upstream = answering();
    let gateway = Gateway::of(&[limited(&upstream, "{ rate: 1/hour, burst: 2, mode: reject }")]);
    for _ in 0..2 {
        gateway.get("/aggregate/a").await.expect(200);
    }
    let reply = gateway.get("/aggregate/a").await;
    assert!(refused(&reply).contains("no_token: `rate_limit.rate`"), "{}", reply.text());
    let wait: u64 = reply.header("retry-after").parse().unwrap();
    assert!((3_590..=3_600).contains(&wait), "{wait}");
    let limits = gateway.upstream("a").await["limits"].clone();
    assert_eq!(limits["rate"], json!({"tokens": 0, "burst": 2, "waiting": 0}));
    let rejected = gateway.metric("aggd_rate_rejected_total", &[("source", "a"), ("reason", "no_token")]).await;
    assert_eq!((upstream.calls("/a"), rejected.round() as u64), (2, 1));
    assert_eq!(gateway.circuit("a").await, "closed");
}

#[tokio::test]
async fn a_wait_that_is_too_long_is_refused_before_it_begins() {
    let upstream = answering();
    let gateway = Gateway::of(&[limited(&upstream, "{ rate: 1/hour, max_wait: 900ms }")]);
    gateway.get("/aggregate/a").await.expect(200);
    let reply = gateway.get("/aggregate/a").await;
    assert!(refused(&reply).contains("max_wait"), "{}", reply.text());
    assert!(reply.took < Duration::from_millis(600), "{:?}", reply.took);
}

#[tokio::test]
async fn an_upstream_that_says_when_to_come_back_is_left_alone_by_all() {
    let upstream = Upstream::with(&[("/a", Script::status(429).header("retry-after", "60"))]);
    let gateway = Gateway::of(&[limited(&upstream, "{ rate: 100/s }")]);
    let mut events = Listening::to(&gateway, "rate_limit.*").await;
    gateway.get("/aggregate/a").await.expect(502);
    let reply = gateway.get("/aggregate/a").await;
    let told = events.take(2).await;
    assert_eq!((told[0].event.as_str(), told[1].event.as_str()), ("rate_limit.paused", "rate_limit.exceeded"));
    assert!(refused(&reply).contains("paused: the upstream asked"), "{}", reply.text());
    assert_eq!(upstream.calls("/a"), 1);
    let left = gateway.upstream("a").await["limits"]["rate"]["paused_for_seconds"].as_f64().unwrap();
    assert!((50.0..=60.0).contains(&left), "{left}");
    assert!(gateway.metric("aggd_rate_paused", &[("source", "a")]).await > 0.5);
    assert!(gateway.log().contains("rate_limit.paused"), "{}", gateway.log());
    gateway.save("sources.d/main.yaml", &limited(&upstream, "off"));
    gateway.reload().await.expect(200);
    gateway.save("sources.d/main.yaml", &limited(&upstream, "{ rate: 100/s, pause_on_429: false }"));
    gateway.reload().await.expect(200);
    gateway.get("/aggregate/a").await.expect(502);
    gateway.get("/aggregate/a").await.expect(502);
    assert_eq!(upstream.calls("/a"), 3);
}

#[tokio::test]
async fn what_a_later_limit_refuses_takes_nothing() {
    let upstream = answering();
    upstream.on("/hog", Script::hang());
    let documents = [
        limited(&upstream, "{ rate: 1/hour }"),
        source("hog", &upstream.url("/hog"), "timeout: 1500ms\ncache: off\naggregate: false"),
    ];
    let gateway = Setup::new().server("limits: { concurrency: 1, max_waiting: 0 }").sources(&documents).start();
    let meanwhile = async {
        eventually(SOON, "the semaphore is taken", async || upstream.active() == 1).await;
        for _ in 0..3 {
            let problem = gateway.get("/aggregate/a").await.problem(503, "local-limit");
            assert!(problem["detail"].as_str().unwrap().contains("capacity_full: `limits.concurrency`"), "{problem}");
        }
        assert_eq!(gateway.upstream("a").await["limits"]["rate"]["tokens"], 1);
    };
    tokio::join!(gateway.get("/aggregate/hog"), meanwhile);
    gateway.get("/aggregate/a").await.expect(200);
    refused(&gateway.get("/aggregate/a").await);
}

#[tokio::test]
async fn a_reload_never_refills() {
    let upstream = answering();
    let gateway = Gateway::of(&[limited(&upstream, "{ rate: 2/hour, mode: reject }")]);
    for _ in 0..2 {
        gateway.get("/aggregate/a").await.expect(200);
    }
    let tokens = async || gateway.upstream("a").await["limits"]["rate"]["tokens"].clone();
    gateway.save("sources.d/main.yaml", &limited(&upstream, "{ rate: 100/day, burst: 50, mode: reject }"));
    gateway.reload().await.expect(200);
    assert_eq!(tokens().await, 0);
    refused(&gateway.get("/aggregate/a").await);
}

#[tokio::test]
async fn a_parameter_may_say_what_a_call_costs() {
    let upstream = answering();
    let more = "cache: off\nparams: { n: { type: integer, min: 1, default: 1 } }\n\
                rate_limit: { rate: 5/hour, cost: \"{n}\", mode: reject }";
    let gateway = Gateway::of(&[source("a", &upstream.url("/a"), more)]);
    gateway.get("/aggregate/a?n=3").await.expect(200);
    refused(&gateway.get("/aggregate/a?n=3").await);
    gateway.get("/aggregate/a?n=2").await.expect(200);
    let told = refused(&gateway.get("/aggregate/a?n=9").await);
    assert!(told.contains("it takes 9, and `rate_limit.burst` is 5"), "{told}");
    assert_eq!(upstream.calls("/a"), 2);
}
