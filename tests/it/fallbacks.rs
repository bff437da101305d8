//! What stands in: `fallback_on`, `fallback_reserve`, steps in vain, and the `fallback` of a route.

use std::time::Duration;

use http::Method;
use serde_json::json;

use crate::harness::Gateway;
use crate::harness::Script;
use crate::harness::Upstream;
use crate::harness::names;
use crate::harness::source;

#[tokio::test]
async fn fallback_on_decides_which_failures_are_fallen_back_from() {
    let upstream = Upstream::with(&[("/gone", Script::status(404)), ("/down", Script::status(503))]);
    let value = "fallback: [{ value: stand-in }]\n";
    let gateway = Gateway::of(&[
        source("silent", &upstream.url("/gone"), value),
        source("named", &upstream.url("/gone"), &format!("{value}fallback_on: [failure, \"404\"]\n")),
        source("only", &upstream.url("/down"), &format!("{value}fallback_on: timeout\n")),
        source("class", &upstream.url("/down"), &format!("{value}fallback_on: [5xx]\n")),
    ]);
    let reply = gateway.get("/aggregate").await.expect(200);
    for (name, data, status) in [
        ("silent", json!(null), "failed"),
        ("named", json!("stand-in"), "fallback"),
        ("only", json!(null), "failed"),
        ("class", json!("stand-in"), "fallback"),
    ] {
        assert_eq!((&reply.part(name)["data"], &reply.part(name)["status"]), (&data, &json!(status)), "{name}");
    }
    assert_eq!(names(&reply.json()["sources_failed"]), ["silent", "named", "only", "class"]);
    let degraded = "named;reason=client_error;via=value, class;reason=server_error;via=value";
    assert_eq!(reply.header("aggd-degraded"), degraded);
    assert_eq!(reply.json()["mode"], "partial");
}

#[tokio::test]
async fn a_refusal_of_ours_can_be_named() {
    let upstream = Upstream::with(&[("/a", Script::json(&json!(1)))]);
    let steps = "fallback: [{ value: 2 }]\nfallback_on: [breaker_open]\n";
    let gateway = Gateway::of(&[source("a", &upstream.url("/a"), steps)]);
    gateway.post("/admin/breakers/a", r#"{"action": "force_open"}"#).await.expect(200);
    let reply = gateway.get("/aggregate").await.expect(200);
    assert_eq!((&reply.part("a")["data"], &reply.part("a")["kind"]), (&json!(2), &json!("breaker_open")));
    assert_eq!(names(&reply.json()["sources_skipped"]), ["a"]);
    assert_eq!(reply.json()["mode"], "degraded_fallback");
    assert_eq!(upstream.total(), 0);
}

#[tokio::test]
async fn the_reserve_is_kept_for_the_step_that_calls() {
    let upstream =
        Upstream::with(&[("/slow", Script::hang()), ("/backup", Script::json(&json!("backup")).after_ms(600))]);
    let documents = |reserve: &str| {
        let steps = format!("timeout: 2s\ncache: off\nfallback: [{{ source: backup }}]\n{reserve}");
        [
            source("a", &upstream.url("/slow"), &steps),
            source("backup", &upstream.url("/backup"), "aggregate: false\ncache: off\n"),
        ]
    };
    // The default leaves 200ms: too little for this backup.
    let gateway = Gateway::of(&documents(""));
    let reply = gateway.get("/aggregate").await.expect(200);
    assert_eq!(reply.part("a")["data"], json!(null));
    let gateway = Gateway::of(&documents("fallback_reserve: 1500ms\n"));
    let reply = gateway.get("/aggregate").await.expect(200);
    assert_eq!((&reply.part("a")["data"], &reply.part("a")["kind"]), (&json!("backup"), &json!("attempt_timeout")));
    assert!(reply.part("a")["duration_ms"].as_u64().unwrap() < 1_500, "{}", reply.part("a"));
    assert!(reply.took < Duration::from_millis(2_500), "{:?}", reply.took);
}

#[tokio::test]
async fn steps_in_vain_are_counted_with_their_reason() {
    let upstream = Upstream::with(&[("/a", Script::status(500)), ("/backup", Script::status(404))]);
    let steps = "fallback: [{ stale: { max_age: 1h } }, { source: backup }, { value: {} }]\n";
    let gateway = Gateway::of(&[
        source("a", &upstream.url("/a"), steps),
        source("backup", &upstream.url("/backup"), "aggregate: false\n"),
    ]);
    let reply = gateway.get("/aggregate").await.expect(200);
    assert_eq!(names(&reply.part("a")["fallback"]["tried"]), ["stale", "source"]);
    for (metric, labels) in [
        ("aggd_fallback_failed_total", &[("source", "a"), ("via", "stale"), ("reason", "too_old")][..]),
        ("aggd_fallback_failed_total", &[("source", "a"), ("via", "source"), ("reason", "client_error")]),
        ("aggd_fallbacks_total", &[("source", "a"), ("via", "value")]),
    ] {
        assert_eq!(gateway.metric(metric, labels).await, 1.0, "{metric} {labels:?}");
    }
}

fn page(upstream: &Upstream, extra: &str) -> Vec<String> {
    vec![
        source("a", &upstream.url("/a"), "cache: { ttl: 50ms, stale_if_error: off, refresh_ahead: off }\n"),
        source("b", &upstream.url("/b"), ""),
        format!("route: /page\nsources: {{ a: {{ required: true }}, b: {{}} }}\nrespond: merge\nproject: $.a\n{extra}"),
    ]
}

#[tokio::test]
async fn a_routes_constant_answers_for_the_sources_that_it_needs() {
    let upstream = Upstream::with(&[("/a", Script::status(500)), ("/b", Script::json(&json!(1)))]);
    let gateway = Gateway::of(&page(&upstream, "headers: { X-Page: yes }\nfallback: [{ value: { sorry: true } }]\n"));
    let reply = gateway.get("/page").await.expect(200);
    assert_eq!(reply.json(), json!({ "sorry": true }));
    assert_eq!(reply.header("aggd-degraded"), "a;reason=server_error;via=value");
    assert_eq!(reply.header("aggd-completed"), "false");
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.header("x-page"), "yes");
    assert_eq!(gateway.metric("aggd_route_fallbacks_total", &[("route", "/page"), ("via", "value")]).await, 1.0);
    let mode = [("route", "/page"), ("mode", "degraded_fallback")];
    assert_eq!(gateway.metric("aggd_request_duration_seconds_count", &mode).await, 1.0);
    // With its sources back, it is as if nothing had been.
    upstream.on("/a", Script::json(&json!({ "real": true })));
    let reply = gateway.get("/page").await.expect(200);
    assert_eq!((reply.json(), reply.header("aggd-completed").to_owned()), (json!({ "real": true }), "true".to_owned()));
    // An upstream that says no has answered.
    upstream.on("/a", Script::status(404));
    tokio::time::sleep(Duration::from_millis(80)).await;
    gateway.get("/page").await.expect(502);
}

#[tokio::test]
async fn a_routes_constant_may_say_503_and_when_to_come_back() {
    let upstream = Upstream::with(&[("/a", Script::json(&json!(1))), ("/b", Script::json(&json!(1)))]);
    let gateway = Gateway::of(&page(&upstream, "fallback: [{ value: { sorry: true }, status: 503 }]\n"));
    gateway.post("/admin/breakers/a", r#"{"action": "force_open", "ttl": "30s"}"#).await.expect(200);
    let reply = gateway.get("/page").await.expect(503);
    assert_eq!(reply.json(), json!({ "sorry": true }));
    let wait: u64 = reply.header("retry-after").parse().unwrap();
    assert!((25..=30).contains(&wait), "{wait}");
}

#[tokio::test]
async fn a_route_may_take_older_copies_than_its_sources_do() {
    let upstream = Upstream::with(&[("/a", Script::json(&json!("old"))), ("/b", Script::json(&json!(1)))]);
    let gateway = Gateway::of(&page(&upstream, "fallback: [{ stale: { max_age: 1h } }, { value: never seen }]\n"));
    gateway.get("/page").await.expect(200);
    upstream.on("/a", Script::status(500));
    tokio::time::sleep(Duration::from_millis(80)).await;
    let reply = gateway.get("/page").await.expect(200);
    assert_eq!(reply.json(), "old");
    assert_eq!(reply.header("aggd-degraded"), "a;reason=server_error;via=stale");
    assert_eq!(gateway.metric("aggd_route_fallbacks_total", &[("route", "/page"), ("via", "stale")]).await, 1.0);
    // For this route alone: elsewhere the source has nothing.
    assert_eq!(gateway.get("/aggregate").await.expect(200).part("a")["data"], json!(null));
    // An invalidation takes the copy away: then the constant answers.
    gateway.post("/cache/invalidate", "{}").await.expect(200);
    assert_eq!(gateway.get("/page").await.expect(200).json(), "never seen");
}

#[tokio::test]
async fn too_few_sources_are_made_up_by_old_copies_or_stay_a_problem() {
    let upstream = Upstream::with(&[("/a", Script::json(&json!("old"))), ("/b", Script::status(500))]);
    let mut documents = page(&upstream, "");
    documents[2] = "route: /page\nsources: [a, b]\nmin_sources: 1\nfallback: [{ stale: { max_age: 1h } }]\n".to_owned();
    let gateway = Gateway::of(&documents);
    // Nothing is kept of either yet.
    upstream.on("/a", Script::status(500));
    let reply = gateway.get("/page").await.expect(502);
    assert_eq!(reply.json()["sources"], json!(["a", "b"]));
    upstream.on("/a", Script::json(&json!("old")));
    gateway.get("/page").await.expect(200);
    upstream.on("/a", Script::status(500));
    tokio::time::sleep(Duration::from_millis(80)).await;
    let reply = gateway.get("/page").await.expect(200);
    let part = reply.part("a");
    assert_eq!(
        (&part["status"], &part["data"], &part["fallback"]["via"]),
        (&json!("fallback"), &json!("old"), &json!("stale"))
    );
    assert_eq!((&reply.json()["mode"], &reply.json()["degraded"]), (&json!("partial"), &json!(true)));
    assert_eq!(names(&reply.json()["sources_failed"]), ["a", "b"]);
    // What is told part by part has been told before it could be known.
    let lines = gateway.ask(Method::GET, "/page").header("accept", "application/x-ndjson");
    let lines = lines.send().await.expect(200).text();
    assert!(lines.contains("\"status\":502"), "{lines}");
}

#[tokio::test]
async fn the_status_of_a_route_that_cannot_answer_follows_from_all_that_blocks_it() {
    let upstream = Upstream::with(&[("/a", Script::json(&json!(1))), ("/slow", Script::hang())]);
    let gateway = Gateway::of(&[
        source("a", &upstream.url("/a"), ""),
        source("b", &upstream.url("/a"), ""),
        source("slow", &upstream.url("/slow"), "timeout: 200ms\n"),
        "route: /both\nsources: { a: { required: true }, b: { required: true }, slow: {} }\n".to_owned(),
        "route: /mixed\nsources: { a: { required: true }, slow: { required: true } }\n".to_owned(),
        "route: /some\nsources: [a, slow]\nmin_sources: 1\nrespond: merge\n".to_owned(),
    ]);
    gateway.get("/some").await.expect(200);
    gateway.post("/admin/breakers/a", r#"{"action": "force_open", "ttl": "30s"}"#).await.expect(200);
    gateway.post("/admin/breakers/b", r#"{"action": "force_open", "ttl": "10m"}"#).await.expect(200);
    gateway.post("/cache/invalidate", "{}").await.expect(200);
    // Circuits alone block it: when the last of them may be asked again.
    let reply = gateway.get("/both").await;
    let body = reply.problem(503, "sources-unavailable");
    let wait: u64 = reply.header("retry-after").parse().unwrap();
    assert!((590..=600).contains(&wait), "{wait}");
    assert_eq!((&body["sources"], &body["retry_after_s"]), (&json!(["a", "b"]), &json!(wait)));
    assert_eq!(names(&body["sources_skipped"]), ["a", "b"]);
    assert_eq!(names(&body["sources_failed"]), ["slow"]);
    // A circuit and a timeout are neither all local nor all late.
    gateway.get("/mixed").await.problem(502, "sources-failed");
    let body = gateway.get("/some").await.problem(502, "sources-failed");
    assert_eq!(body["data"], json!({ "a": null, "slow": null }));
}

#[tokio::test]
async fn the_settings_of_fallbacks_change_with_a_reload() {
    let upstream = Upstream::with(&[("/a", Script::status(404))]);
    let before = source("a", &upstream.url("/a"), "fallback: [{ value: 1 }]\n");
    let gateway = Gateway::of(std::slice::from_ref(&before));
    assert_eq!(gateway.get("/aggregate").await.expect(200).part("a")["data"], json!(null));
    gateway.save("sources.d/main.yaml", &format!("{before}fallback_on: [client_error]\n"));
    gateway.post("/admin/reload", "").await.expect(200);
    assert_eq!(gateway.get("/aggregate").await.expect(200).part("a")["data"], json!(1));
}
