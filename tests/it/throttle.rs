//! The client throttle: an upstream that turns calls away is sent fewer.

use serde_json::json;

use crate::harness::Gateway;
use crate::harness::Script;
use crate::harness::Upstream;
use crate::harness::source;

fn throttled(upstream: &Upstream, settings: &str) -> String {
    source("a", &upstream.url("/a"), &format!("cache: off\nbreaker: off\nclient_throttle: {settings}"))
}

#[tokio::test]
async fn an_upstream_that_turns_calls_away_is_sent_fewer_and_none_of_that_is_evidence() {
    let upstream = Upstream::with(&[("/a", Script::status(503))]);
    let gateway = Gateway::of(&[throttled(&upstream, "{ min_requests: 10 }")]);
    for _ in 0..10 {
        gateway.get("/aggregate/a").await.problem(502, "upstream-failed");
    }
    assert_eq!(upstream.calls("/a"), 10, "too few to judge by");
    let mut refused = 0;
    for _ in 0..60 {
        let reply = gateway.get("/aggregate/a").await;
        if reply.status == 503 {
            let told = reply.problem(503, "local-limit");
            assert!(told["detail"].as_str().unwrap().contains("client_throttle: the upstream turns"), "{told}");
            refused += 1;
        }
    }
    // Nine in ten: fewer than 30 of 60 would be a wonder.
    assert!(refused >= 30 && upstream.calls("/a") == 70 - refused, "{refused}");
    let shown = gateway.upstream("a").await["limits"]["throttle"].clone();
    assert_eq!(shown, json!({"requests": 70, "accepts": 0, "rejects": 0.9}));
    let rejected = gateway.metric("aggd_throttle_rejected_total", &[("source", "a")]).await;
    assert_eq!(rejected.round() as usize, refused);
    // What is learnt survives a reload of other settings.
    gateway.save("sources.d/main.yaml", &throttled(&upstream, "{ min_requests: 10, max_reject: 0.5 }"));
    gateway.reload().await.expect(200);
    let shown = gateway.upstream("a").await["limits"]["throttle"].clone();
    assert_eq!(shown, json!({"requests": 70, "accepts": 0, "rejects": 0.5}));
}

#[tokio::test]
async fn answers_that_are_work_done_refuse_nothing() {
    let upstream = Upstream::with(&[("/a", Script::status(500))]);
    let gateway = Gateway::of(&[throttled(&upstream, "{ min_requests: 1 }")]);
    for _ in 0..30 {
        gateway.get("/aggregate/a").await.problem(502, "upstream-failed");
    }
    assert_eq!(upstream.calls("/a"), 30);
    let off = Gateway::of(&[throttled(&upstream, "{ enabled: false }")]);
    off.get("/aggregate/a").await.problem(502, "upstream-failed");
    assert_eq!(off.upstream("a").await["limits"]["throttle"], json!(null));
}
