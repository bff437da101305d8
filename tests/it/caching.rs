//! The cache over HTTP: freshness, refreshes, shared calls, and invalidations that are never undone.

use std::time::Duration;

use http::Method;
use serde_json::Value;
use serde_json::json;

use crate::harness::Gateway;
use crate::harness::Script;
use crate::harness::Upstream;
use crate::harness::eventually;
use crate::harness::source;

const SOON: Duration = Duration::from_secs(5);

fn v(value: &str) -> Script {
    Script::json(&json!(value))
}

async fn pause(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// The data of `a`, and whether the answer was cached.
async fn a(gateway: &Gateway) -> (Value, bool) {
    let reply = gateway.get("/aggregate").await.expect(200);
    (reply.part("a")["data"].clone(), reply.json()["cached"] == true)
}

fn gateway(upstream: &Upstream, cache: &str) -> Gateway {
    Gateway::of(&[source("a", &upstream.url("/a"), &format!("cache: {cache}"))])
}

#[tokio::test]
async fn coa_01_concurrent_misses_share_one_call() {
    let upstream = Upstream::with(&[("/a", v("one").after_ms(200))]);
    let gateway = gateway(&upstream, "{}");
    let replies = gateway.get_many("/aggregate", 200).await;
    assert!(replies.iter().all(|reply| reply.part("a")["data"] == "one"));
    assert_eq!(upstream.calls("/a"), 1);
    assert!(gateway.metric("aggd_coalesced_total", &[("source", "a"), ("role", "join")]).await >= 100.0);
}

#[tokio::test]
async fn coa_03_a_leaders_error_goes_to_all_and_the_next_one_leads_anew() {
    let upstream = Upstream::with(&[("/a", Script::status(500).after_ms(150))]);
    let gateway = gateway(&upstream, "{}");
    let replies = gateway.get_many("/aggregate", 50).await;
    assert!(replies.iter().all(|reply| reply.part("a")["kind"] == "server_error"));
    assert_eq!(upstream.calls("/a"), 1, "nobody asks again in turn");
    upstream.on("/a", v("fine"));
    assert_eq!(a(&gateway).await, (json!("fine"), false));
    assert_eq!(upstream.calls("/a"), 2);
}

#[tokio::test]
async fn coa_05_the_second_half_of_the_ttl_refreshes_once_behind_the_reply() {
    let upstream = Upstream::with(&[("/a", v("old"))]);
    let gateway = gateway(&upstream, "{ ttl: 2s, refresh_ahead: 20% }");
    gateway.get("/aggregate").await.expect(200);
    upstream.on("/a", v("new").after_ms(150));
    assert_eq!(a(&gateway).await, (json!("old"), true));
    assert_eq!(upstream.calls("/a"), 1, "too young to refresh");
    pause(450).await;
    let replies = gateway.get_many("/aggregate", 20).await;
    for reply in &replies {
        assert_eq!((&reply.part("a")["data"], &reply.json()["cached"]), (&json!("old"), &json!(true)));
        assert!(reply.took < Duration::from_millis(140), "nobody waits for it: {:?}", reply.took);
    }
    eventually(SOON, "refreshed", async || a(&gateway).await == (json!("new"), true)).await;
    assert_eq!(upstream.calls("/a"), 2);
}

#[tokio::test]
async fn coa_06_a_failed_refresh_keeps_the_entry_and_backs_off() {
    let upstream = Upstream::with(&[("/a", v("old"))]);
    let gateway = gateway(&upstream, "{ ttl: 10s, refresh_ahead: 1% }");
    gateway.get("/aggregate").await.expect(200);
    upstream.on("/a", Script::status(500));
    pause(150).await;
    for _ in 0..10 {
        assert_eq!(a(&gateway).await, (json!("old"), true));
        pause(20).await;
    }
    assert_eq!(upstream.calls("/a"), 2, "one refresh, then a second of patience");
}

#[tokio::test]
async fn coa_07_stale_while_revalidate_then_stale_if_error_then_nothing() {
    let upstream = Upstream::with(&[("/a", v("old"))]);
    let set = "{ ttl: 200ms, refresh_ahead: off, stale_while_revalidate: 300ms, stale_if_error: 900ms }";
    let gateway = gateway(&upstream, set);
    gateway.get("/aggregate").await.expect(200);
    upstream.on("/a", Script::status(500));
    pause(250).await;
    let reply = gateway.get("/aggregate").await.expect(200);
    assert_eq!((&reply.part("a")["data"], &reply.part("a")["status"]), (&json!("old"), &json!("stale")));
    let body = reply.json();
    assert_eq!((&body["cached"], &body["degraded"]), (&json!(true), &json!(false)), "on purpose, so not degraded");
    assert!(reply.header("cache-status").starts_with("aggd; hit; ttl=-"), "{}", reply.header("cache-status"));
    pause(350).await;
    let reply = gateway.get("/aggregate").await.expect(200);
    let (part, body) = (reply.part("a"), reply.json());
    assert_eq!(
        (&part["data"], &part["status"], &part["kind"]),
        (&json!("old"), &json!("stale"), &json!("server_error"))
    );
    assert_eq!(
        (&body["mode"], &body["degraded"], &body["cached"]),
        (&json!("degraded_cache"), &json!(true), &json!(false))
    );
    assert_eq!(part["fallback"]["via"], "stale");
    pause(700).await;
    let reply = gateway.get("/aggregate").await.expect(200);
    assert_eq!((&reply.part("a")["data"], &reply.json()["mode"]), (&json!(null), &json!("partial")));
}

#[tokio::test]
async fn a_stale_copy_stands_in_for_a_timeout_and_an_open_circuit_too() {
    let upstream = Upstream::with(&[("/a", v("old"))]);
    let more = "timeout: 150ms\ncache: { ttl: 50ms }\nbreaker: { failure_threshold: 1 }";
    let gateway = Gateway::of(&[source("a", &upstream.url("/a"), more)]);
    gateway.get("/aggregate").await.expect(200);
    upstream.on("/a", Script::hang());
    pause(80).await;
    for kind in ["attempt_timeout", "breaker_open"] {
        let reply = gateway.get("/aggregate").await.expect(200);
        let part = reply.part("a");
        assert_eq!((&part["data"], &part["status"], &part["kind"]), (&json!("old"), &json!("stale"), &json!(kind)));
        assert_eq!(part["degraded"], true);
    }
    // Nothing was waited for the second time, but the data is not what was asked for.
    assert_eq!(upstream.calls("/a"), 2);
}

#[tokio::test]
async fn gen_01_invalidating_during_a_call_gives_its_waiter_the_value_and_the_cache_nothing() {
    let upstream = Upstream::with(&[("/a", v("old").after_ms(250))]);
    let gateway = gateway(&upstream, "{}");
    let (first, ()) = tokio::join!(a(&gateway), async {
        eventually(SOON, "called", async || upstream.active() == 1).await;
        gateway.post("/cache/invalidate", "{}").await.expect(200);
    });
    assert_eq!(first, (json!("old"), false));
    assert_eq!(gateway.health().await["cache"]["total_entries"], 0);
    upstream.on("/a", v("new"));
    assert_eq!(a(&gateway).await, (json!("new"), false));
    assert!(gateway.metric("aggd_cache_store_discarded_total", &[]).await >= 1.0);
}

#[tokio::test]
async fn gen_02_a_request_after_the_invalidation_does_not_join_the_call_from_before_it() {
    let upstream = Upstream::start();
    upstream.on_each("/a", [v("old").after_ms(500), v("new").after_ms(100)]);
    let gateway = gateway(&upstream, "{}");
    let (first, second) = tokio::join!(a(&gateway), async {
        eventually(SOON, "called", async || upstream.active() == 1).await;
        gateway.post("/cache/invalidate", r#"{"source": "a"}"#).await.expect(200);
        a(&gateway).await
    });
    assert_eq!((first, second), ((json!("old"), false), (json!("new"), false)));
    assert_eq!(a(&gateway).await, (json!("new"), true), "the older write does not overwrite the newer");
}

#[tokio::test]
async fn gen_03_a_refresh_that_races_an_invalidation_does_not_resurrect() {
    let upstream = Upstream::with(&[("/a", v("v1"))]);
    let gateway = gateway(&upstream, "{ ttl: 10s, refresh_ahead: 1% }");
    gateway.get("/aggregate").await.expect(200);
    upstream.on_each("/a", [v("v1b").after_ms(250), v("v2")]);
    pause(120).await;
    assert_eq!(a(&gateway).await, (json!("v1"), true));
    eventually(SOON, "the refresh is out", async || upstream.active() == 1).await;
    gateway.post("/cache/invalidate", "").await.expect(200);
    eventually(SOON, "the refresh is back", async || upstream.active() == 0).await;
    assert_eq!(a(&gateway).await, (json!("v2"), false));
}

#[tokio::test]
async fn gen_04_invalidating_one_source_leaves_the_other() {
    let upstream = Upstream::with(&[("/a", v("a")), ("/b", v("b"))]);
    let gateway = Gateway::of(&[source("a", &upstream.url("/a"), ""), source("b", &upstream.url("/b"), "")]);
    gateway.get("/aggregate").await.expect(200);
    assert_eq!(gateway.post("/cache/invalidate", r#"{"key": "a"}"#).await.expect(200).json()["invalidated"], 1);
    let body = gateway.get("/aggregate").await.expect(200).json();
    assert_eq!(body["cached"], false);
    assert!(body["cache_age_seconds"].is_number(), "the other part came from cache: {body}");
    assert_eq!((upstream.calls("/a"), upstream.calls("/b")), (2, 1));
}

#[tokio::test]
async fn parameters_headers_and_nothing_else_tell_entries_apart() {
    let upstream = Upstream::with(&[("/a", v("x"))]);
    let more = "query: { q: \"{q}\" }\nparams: { q: { default: d } }\nforward_headers: [X-Tenant]\n\
                cache: { key: { headers: [Accept-Language] } }";
    let gateway = Gateway::of(&[source("a", &upstream.url("/a"), more)]);
    let ask = async |query: &str, name: &str, value: &str| {
        let ask = gateway.ask(Method::GET, &format!("/aggregate{query}"));
        let ask = if name.is_empty() { ask } else { ask.header(name, value) };
        ask.send().await.expect(200).json()["cached"] == true
    };
    assert!(!ask("", "", "").await);
    assert!(ask("?q=d", "", "").await, "the default is the same as the value");
    assert!(ask("?cache_buster=1", "", "").await, "what is not declared never reaches the key");
    assert!(!ask("?q=e", "", "").await);
    assert!(!ask("", "x-tenant", "one").await);
    assert!(!ask("", "x-tenant", "two").await);
    assert!(ask("", "x-tenant", "one").await);
    assert!(!ask("", "accept-language", "de").await);
    assert!(ask("", "accept-language", "de").await);
    assert!(ask("", "x-other", "1").await);
    let seen = upstream.seen("/a");
    assert_eq!(seen.len(), 5);
    assert!(seen.iter().all(|seen| !seen.target.contains("cache_buster")));
    assert_eq!(seen[2].header("x-tenant"), Some("one"));
    assert_eq!(seen[4].header("accept-language"), None, "a header of the key alone is not passed on");
}

#[tokio::test]
async fn negative_entries_spare_the_upstream_and_only_where_they_are_switched_on() {
    let upstream = Upstream::with(&[("/a", Script::status(404)), ("/b", Script::status(404))]);
    let gateway = Gateway::of(&[
        source("a", &upstream.url("/a"), "cache: { negative: { ttl: 30s } }"),
        source("b", &upstream.url("/b"), ""),
    ]);
    for _ in 0..3 {
        assert_eq!(gateway.get("/aggregate").await.expect(200).part("a")["kind"], "client_error");
    }
    assert_eq!((upstream.calls("/a"), upstream.calls("/b")), (1, 3));
    upstream.on("/a", v("there"));
    gateway.post("/cache/invalidate", "").await.expect(200);
    assert_eq!(a(&gateway).await.0, json!("there"));
}

#[tokio::test]
async fn an_answer_over_the_bound_is_served_and_not_stored() {
    let upstream = Upstream::with(&[("/a", v(&"x".repeat(4000)))]);
    let gateway = gateway(&upstream, "{ max_entry_bytes: 1KiB }");
    for _ in 0..2 {
        assert_eq!(a(&gateway).await.0.as_str().unwrap().len(), 4000);
    }
    assert_eq!(upstream.calls("/a"), 2);
    assert_eq!(gateway.health().await["cache"]["total_entries"], 0);
}

#[tokio::test]
async fn a_partial_answer_asks_the_failed_source_again_and_only_that_one() {
    let upstream = Upstream::with(&[("/a", Script::status(500)), ("/b", v("b"))]);
    let gateway = Gateway::of(&[source("a", &upstream.url("/a"), ""), source("b", &upstream.url("/b"), "")]);
    gateway.get("/aggregate").await.expect(200);
    upstream.on("/a", v("a"));
    let body = gateway.get("/aggregate").await.expect(200).json();
    assert_eq!((&body["mode"], &body["cached"]), (&json!("fresh"), &json!(false)));
    assert_eq!((upstream.calls("/a"), upstream.calls("/b")), (2, 1));
}
