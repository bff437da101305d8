//! What upstreams say about keeping their answers, over HTTP: prohibitions that are obeyed where the operator wants it,
//! and copies that are confirmed with a 304 instead of being sent again.

use std::time::Duration;

use serde_json::json;

use crate::harness::Gateway;
use crate::harness::Reply;
use crate::harness::Script;
use crate::harness::Setup;
use crate::harness::Upstream;
use crate::harness::eventually;
use crate::harness::source;

const SOON: Duration = Duration::from_secs(5);

fn v(value: &str) -> Script {
    Script::json(&json!(value))
}

fn tagged(value: &str, etag: &str) -> Script {
    v(value).header("ETag", etag)
}

fn gateway(upstream: &Upstream, cache: &str) -> Gateway {
    Gateway::of(&[source("a", &upstream.url("/a"), &format!("cache: {cache}"))])
}

async fn data(gateway: &Gateway) -> Reply {
    gateway.get("/aggregate").await.expect(200)
}

/// Past a ttl of 50 ms, however slow the machine.
async fn expired() {
    tokio::time::sleep(Duration::from_millis(80)).await;
}

#[tokio::test]
async fn what_the_upstream_forbids_to_store_is_not_stored_and_not_shared() {
    let upstream = Upstream::with(&[("/a", v("mine").header("Cache-Control", "private, max-age=600").after_ms(150))]);
    let gateway = gateway(&upstream, "{ respect_upstream: true }");
    let reply = data(&gateway).await;
    assert_eq!((reply.part("a")["data"].clone(), reply.header("cache-status")), (json!("mine"), "aggd; fwd=uri-miss"));
    assert_eq!(gateway.health().await["cache"]["total_entries"], 0);
    let replies = gateway.get_many("/aggregate", 10).await;
    assert!(replies.iter().all(|reply| reply.header("cache-status") == "aggd; fwd=uri-miss"));
    assert_eq!(upstream.calls("/a"), 11, "each makes a call of its own");
    assert_eq!(gateway.metric("aggd_cache_requests_total", &[("source", "a"), ("result", "bypass")]).await, 10.0);
    assert_eq!(gateway.metric("aggd_cache_evictions_total", &[("cause", "forbidden")]).await, 11.0);
    assert_eq!(gateway.metric("aggd_cache_passes", &[]).await, 1.0);
    upstream.on("/a", v("ours"));
    data(&gateway).await;
    assert!(data(&gateway).await.header("cache-status").starts_with("aggd; hit"), "kept again as soon as it may be");
}

#[tokio::test]
async fn by_default_the_operator_decides_and_a_reload_changes_that_for_what_is_there() {
    let upstream = Upstream::with(&[("/a", v("x").header("Cache-Control", "no-store, must-revalidate"))]);
    let gateway = gateway(&upstream, "{}");
    data(&gateway).await;
    assert!(data(&gateway).await.header("cache-status").starts_with("aggd; hit"));
    gateway.save("sources.d/main.yaml", &source("a", &upstream.url("/a"), "cache: { respect_upstream: true }"));
    gateway.reload().await.expect(200);
    let shown = gateway.get("/admin/config").await.expect(200).text();
    assert!(shown.contains(r#""respect_upstream":true"#) && shown.contains(r#""conditional":true"#), "{shown}");
    assert_eq!(data(&gateway).await.header("cache-status"), "aggd; fwd=uri-miss");
    assert_eq!(upstream.calls("/a"), 2);
}

#[tokio::test]
async fn what_must_be_revalidated_stands_in_for_nothing() {
    let must = |value: &str| v(value).header("Cache-Control", "must-revalidate");
    let upstream = Upstream::with(&[("/a", must("a")), ("/b", must("b"))]);
    let set = "ttl: 50ms, refresh_ahead: off, stale_while_revalidate: 10m, stale_if_error: 10m";
    let stale = "fallback: [{ stale: { max_age: 1h } }]";
    let gateway = Gateway::of(&[
        source("a", &upstream.url("/a"), &format!("cache: {{ {set}, respect_upstream: true }}\n{stale}")),
        source("b", &upstream.url("/b"), &format!("cache: {{ {set} }}")),
    ]);
    gateway.get("/aggregate").await.expect(200);
    upstream.on("/a", Script::status(500));
    upstream.on("/b", Script::status(500));
    expired().await;
    let reply = gateway.get("/aggregate").await.expect(200);
    assert_eq!((&reply.part("a")["status"], &reply.part("a")["data"]), (&json!("failed"), &json!(null)));
    assert_eq!((&reply.part("b")["status"], &reply.part("b")["data"]), (&json!("stale"), &json!("b")));
}

#[tokio::test]
async fn a_max_age_shortens_the_ttl_where_it_is_obeyed() {
    let upstream = Upstream::with(&[("/a", v("x").header("Cache-Control", "max-age=0"))]);
    upstream.on("/b", v("y").header("Cache-Control", "max-age=7"));
    let set = "cache: { respect_upstream: true, refresh_ahead: off }";
    let documents = [source("a", &upstream.url("/a"), set), source("b", &upstream.url("/b"), set)];
    let gateway = Gateway::of(&documents);
    for _ in 0..2 {
        data(&gateway).await;
    }
    assert_eq!((upstream.calls("/a"), upstream.calls("/b")), (2, 1));
    let left = gateway.get("/aggregate?sources=b").await.expect(200);
    let left = left.header("cache-status").strip_prefix("aggd; hit; ttl=").unwrap().parse::<i64>().unwrap();
    assert!(left <= 7, "{left}");
}

#[tokio::test]
async fn an_expired_copy_is_confirmed_with_a_304_and_young_again() {
    let upstream =
        Upstream::with(&[("/a", tagged("one", "\"v1\"").header("Last-Modified", "Sat, 01 Aug 2026 10:00:00 GMT"))]);
    let gateway = gateway(&upstream, "{ ttl: 50ms, refresh_ahead: off }");
    let first = data(&gateway).await;
    assert_eq!(upstream.last("/a").header("if-none-match"), None);
    upstream.on("/a", Script::status(304));
    expired().await;
    let reply = data(&gateway).await;
    assert_eq!(reply.header("cache-status"), "aggd; fwd=stale; fwd-status=304");
    assert_eq!((reply.part("a")["data"].clone(), reply.part("a")["status"].clone()), (json!("one"), json!("ok")));
    assert_eq!((&reply.json()["mode"], &reply.json()["sources_succeeded"]), (&json!("fresh"), &json!(["a"])));
    assert_eq!(reply.header("etag"), first.header("etag"));
    let seen = upstream.last("/a");
    assert_eq!(seen.header("if-none-match"), Some("\"v1\""));
    assert_eq!(seen.header("if-modified-since"), Some("Sat, 01 Aug 2026 10:00:00 GMT"));
    // The 304 named no validators: those of the copy hold on.
    expired().await;
    assert_eq!(data(&gateway).await.header("cache-status"), "aggd; fwd=stale; fwd-status=304");
    upstream.on("/a", tagged("two", "\"v2\""));
    expired().await;
    let reply = data(&gateway).await;
    assert_eq!(
        (reply.part("a")["data"].clone(), reply.header("cache-status")),
        (json!("two"), "aggd; fwd=uri-miss; stored")
    );
    let confirmed = [("source", "a"), ("outcome", "not_modified")];
    assert_eq!(gateway.metric("aggd_attempt_duration_seconds_count", &confirmed).await, 2.0);
    let healthy = [("source", "a"), ("outcome", "success")];
    assert_eq!(gateway.metric("aggd_breaker_calls_total", &healthy).await, 4.0, "a 304 says that the upstream works");
}

#[tokio::test]
async fn a_refresh_behind_the_reply_asks_whether_the_copy_still_holds() {
    let upstream = Upstream::with(&[("/a", tagged("one", "\"v1\""))]);
    let gateway = gateway(&upstream, "{ ttl: 1h, refresh_ahead: 0.001% }");
    data(&gateway).await;
    upstream.on("/a", Script::status(304));
    expired().await;
    eventually(SOON, "confirmed", async || {
        data(&gateway).await;
        gateway.metric("aggd_cache_refresh_total", &[("result", "not_modified")]).await >= 1.0
    })
    .await;
    assert_eq!(upstream.last("/a").header("if-none-match"), Some("\"v1\""));
    assert_eq!(data(&gateway).await.part("a")["data"], "one");
}

#[tokio::test]
async fn a_304_that_nobody_asked_for_is_a_redirect_as_ever() {
    let upstream = Upstream::with(&[("/a", v("one")), ("/b", tagged("b", "\"b\"")), ("/c", tagged("c", "\"c\""))]);
    let gateway = Gateway::of(&[
        source("a", &upstream.url("/a"), "cache: { ttl: 50ms }"),
        source("b", &upstream.url("/b"), "cache: { ttl: 50ms, conditional: false }"),
        source("c", &upstream.url("/c"), "cache: { ttl: 50ms }\nheaders: { If-None-Match: '\"mine\"' }"),
    ]);
    gateway.get("/aggregate").await.expect(200);
    for path in ["/a", "/b", "/c"] {
        upstream.on(path, Script::status(304));
    }
    expired().await;
    let reply = gateway.get("/aggregate").await.expect(200);
    for name in ["a", "b", "c"] {
        assert_eq!(reply.part(name)["kind"], "redirect", "{name}");
    }
    assert_eq!(upstream.last("/a").header("if-none-match"), None, "there was nothing to ask by");
    assert_eq!(upstream.last("/b").header("if-none-match"), None, "switched off");
    assert_eq!(upstream.last("/c").header("if-none-match"), Some("\"mine\""), "the operator's own condition");
}

#[tokio::test]
async fn neither_a_single_source_nor_its_own_bytes_nor_a_post_is_asked_for_conditionally() {
    let upstream = Upstream::with(&[("/a", tagged("one", "\"v1\"")), ("/p", tagged("posted", "\"p1\""))]);
    let gateway = Gateway::of(&[
        source("a", &upstream.url("/a"), "cache: { ttl: 50ms, refresh_ahead: off }"),
        source("p", &upstream.url("/p"), "method: POST\nbody: { json: {} }\ncache: { ttl: 50ms, refresh_ahead: off }"),
    ]);
    gateway.get("/aggregate").await.expect(200);
    expired().await;
    assert_eq!(gateway.get("/aggregate/a?raw").await.expect(200).text(), "\"one\"");
    gateway.get("/aggregate/a").await.expect(200);
    expired().await;
    gateway.get("/aggregate?sources=p").await.expect(200);
    let seen = [upstream.seen("/a"), upstream.seen("/p")].concat();
    assert_eq!(seen.len(), 5);
    assert!(seen.iter().all(|seen| seen.header("if-none-match").is_none()), "{seen:?}");
}

#[tokio::test]
async fn an_invalidation_during_the_question_is_not_undone_by_its_answer() {
    let upstream = Upstream::with(&[("/a", tagged("old", "\"v1\""))]);
    let gateway = gateway(&upstream, "{ ttl: 50ms, refresh_ahead: off }");
    data(&gateway).await;
    upstream.on_each("/a", [Script::status(304).after_ms(300), tagged("new", "\"v2\"")]);
    expired().await;
    let (asked, ()) = tokio::join!(data(&gateway), async {
        eventually(SOON, "asked", async || upstream.active() == 1).await;
        gateway.post("/cache/invalidate", r#"{"prefix": "a|"}"#).await.expect(200);
    });
    assert_eq!(asked.part("a")["data"], "old", "who waited before it has it");
    assert_eq!(gateway.health().await["cache"]["total_entries"], 0);
    assert_eq!(data(&gateway).await.part("a")["data"], "new");
    assert_eq!(upstream.last("/a").header("if-none-match"), None);
}

/// Of what the audit log is written to when its file goes away under it.
#[tokio::test]
async fn a_database_file_that_is_deleted_is_noticed_and_made_anew() {
    let upstream = Upstream::with(&[("/a", v("one"))]);
    let setup = Setup::new().server("database: sqlite://audit.db\n").log_inside();
    let gateway = setup.sources(&[source("a", &upstream.url("/a"), "")]).start();
    let records = async || gateway.get("/history").await.json()["records"].as_array().map_or(0, Vec::len);
    gateway.get("/aggregate").await.expect(200);
    eventually(SOON, "written", async || records().await == 1).await;
    for name in ["audit.db", "audit.db-wal", "audit.db-shm"] {
        drop(std::fs::remove_file(gateway.path().join(name)));
    }
    gateway.get("/aggregate").await.expect(200);
    eventually(SOON, "written anew", async || records().await == 1).await;
    assert!(gateway.path().join("audit.db").is_file());
    assert!(gateway.log().contains("the database file was deleted or replaced"), "{}", gateway.log());
    eventually(SOON, "healthy", async || gateway.health().await["db"] == "ok").await;
    assert_eq!(gateway.health().await["audit"]["dropped"], 0);
}
