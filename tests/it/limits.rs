//! Bulkheads: each source waits in its own compartment, and says why when it gets no place.

use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::harness::Gateway;
use crate::harness::Listening;
use crate::harness::Script;
use crate::harness::Setup;
use crate::harness::Upstream;
use crate::harness::eventually;
use crate::harness::names;
use crate::harness::source;

const SOON: Duration = Duration::from_secs(5);

/// A source whose calls hang, with this in its bulkhead.
fn hog(upstream: &Upstream, bulkhead: &str) -> String {
    upstream.on("/hog", Script::hang());
    source("hog", &upstream.url("/hog"), &format!("timeout: 3s\ncache: off\naggregate: false\nbulkhead: {bulkhead}"))
}

fn error(body: &Value) -> String {
    body["error"].as_str().or(body["detail"].as_str()).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_flooded_source_leaves_the_others_their_room() {
    let upstream = Upstream::with(&[("/fast", Script::json(&json!(1)))]);
    let documents = [hog(&upstream, "{}"), source("fast", &upstream.url("/fast"), "cache: off")];
    let gateway = Setup::new().server("limits: { concurrency: 10 }").sources(&documents).start();
    let meanwhile = async {
        eventually(SOON, "the compartment is full", async || upstream.active() == 5).await;
        eventually(SOON, "the rest waits in it", async || {
            gateway.upstream("hog").await["limits"] == json!({"active": 5, "limit": 5, "waiting": 15})
        })
        .await;
        let reply = gateway.get("/aggregate").await.expect(200);
        assert_eq!(reply.part("fast")["status"], "ok");
        assert_eq!(gateway.metric("aggd_limiter_active", &[("limiter", "global")]).await.round() as u64, 5);
    };
    tokio::join!(gateway.get_many("/aggregate/hog", 20), meanwhile);
    assert_eq!(upstream.peak("/hog"), 5);
}

#[tokio::test]
async fn the_reasons_are_told_apart_and_name_the_key_to_change() {
    let upstream = Upstream::with(&[("/b", Script::hang())]);
    let bulkhead = "{ max_concurrent: 1, max_waiting: 1, queue_timeout: 300ms }";
    let more = "timeout: 700ms\ncache: off\naggregate: false\nbulkhead: { max_concurrent: 1 }";
    let documents = [hog(&upstream, bulkhead), source("b", &upstream.url("/b"), more)];
    let gateway = Gateway::of(&documents);
    let mut events = Listening::to(&gateway, "bulkhead.*").await;
    let second = async {
        eventually(SOON, "the place is taken", async || upstream.active() == 1).await;
        gateway.get("/aggregate/hog").await
    };
    let third = async {
        let waiting = async || gateway.upstream("hog").await["limits"]["waiting"] == 1;
        eventually(SOON, "one waits", waiting).await;
        gateway.get("/aggregate/hog").await
    };
    let (_, second, third) = tokio::join!(gateway.get("/aggregate/hog"), second, third);
    let told = error(&second.problem(503, "local-limit"));
    assert!(told.contains("queue_timeout: `bulkhead.max_concurrent`"), "{told}");
    let told = error(&third.problem(503, "local-limit"));
    assert!(told.contains("capacity_full: `bulkhead.max_concurrent`") && told.contains("max_waiting"), "{told}");
    let told = events.next().await.json;
    assert_eq!((&told["type"], &told["source"]), (&json!("bulkhead.rejected"), &json!("hog")), "{told}");
    assert_eq!(told["data"]["limiter"], "source:hog", "{told}");
    // The queue timeout is a second there: its own time is over before.
    let first = gateway.get("/aggregate/b");
    let second = async {
        eventually(SOON, "the place is taken", async || upstream.calls("/b") == 1).await;
        gateway.get("/aggregate/b").await
    };
    let hurried = gateway.ask(http::Method::GET, "/aggregate/b").header("x-request-timeout", "400ms");
    let third = async {
        eventually(SOON, "the place is taken", async || upstream.calls("/b") == 1).await;
        hurried.send().await
    };
    let (_, _, third) = tokio::join!(first, second, third);
    assert!(third.status == 503 || third.status == 504, "{}", third.text());
    let rejected = async |limiter, reason| {
        gateway.metric("aggd_limiter_rejected_total", &[("limiter", limiter), ("reason", reason)]).await.round() as u64
    };
    assert_eq!(rejected("source:hog", "queue_timeout").await, 1);
    assert_eq!(rejected("source:hog", "capacity_full").await, 1);
    assert!(rejected("source:b", "deadline").await >= 1);
    assert_eq!(gateway.upstream("hog").await["consecutive_failures"], 1, "the one that was sent");
    assert!(gateway.metric("aggd_queue_wait_seconds_count", &[("limiter", "source:hog")]).await >= 1.0);
}

#[tokio::test]
async fn a_reload_resizes_a_bulkhead_and_loses_nobody() {
    let upstream = Upstream::start();
    let gateway = Gateway::of(&[hog(&upstream, "{ max_concurrent: 1, queue_timeout: 2500ms }")]);
    let meanwhile = async {
        let limits = async || gateway.upstream("hog").await["limits"].clone();
        let seen = json!({"active": 1, "limit": 1, "waiting": 3});
        eventually(SOON, "three wait", async || limits().await == seen).await;
        gateway.save("sources.d/main.yaml", &hog(&upstream, "{ max_concurrent: 3, queue_timeout: 2500ms }"));
        gateway.reload().await.expect(200);
        eventually(SOON, "two of them are in", async || upstream.active() == 3).await;
        assert_eq!(limits().await, json!({"active": 3, "limit": 3, "waiting": 1}));
        gateway.save("sources.d/main.yaml", &hog(&upstream, "{ max_concurrent: 2, queue_timeout: 2500ms }"));
        gateway.reload().await.expect(200);
        assert_eq!(limits().await, json!({"active": 3, "limit": 2, "waiting": 1}), "nobody is evicted");
        gateway.save("sources.d/main.yaml", &hog(&upstream, "off"));
        gateway.reload().await.expect(200);
        assert_eq!(limits().await, json!({}));
    };
    tokio::join!(gateway.get_many("/aggregate/hog", 4), meanwhile);
}

#[tokio::test]
async fn a_refresh_waits_for_no_place() {
    let upstream = Upstream::with(&[("/one", Script::json(&json!(1))), ("/two", Script::hang())]);
    let more = "params: { q: { default: one } }\ntimeout: 2s\nbulkhead: { max_concurrent: 1, queue_timeout: 1500ms }\n\
                cache: { ttl: 50ms, stale_while_revalidate: 1m }";
    let gateway = Gateway::of(&[source("a", &upstream.url("/{q}"), more)]);
    gateway.get("/aggregate").await.expect(200);
    let meanwhile = async {
        eventually(SOON, "the place is taken", async || upstream.active() == 1).await;
        let stale = async || gateway.get("/aggregate").await.expect(200).part("a")["status"] == "stale";
        eventually(SOON, "a refresh is due", stale).await;
        assert_eq!(gateway.upstream("a").await["limits"], json!({"active": 1, "limit": 1, "waiting": 0}));
        let declined = async || gateway.metric("aggd_cache_refresh_total", &[("result", "declined")]).await > 0.5;
        eventually(SOON, "it is counted", declined).await;
        assert_eq!(upstream.calls("/one"), 1);
    };
    tokio::join!(gateway.get("/aggregate?q=two"), meanwhile);
    let refreshed = async || {
        gateway.get("/aggregate").await.expect(200);
        upstream.calls("/one") > 1
    };
    eventually(SOON, "the place is free again", refreshed).await;
}

#[tokio::test]
async fn by_priority_the_most_important_is_served_first() {
    let upstream = Upstream::with(&[
        ("/first", Script::hang()),
        ("/low", Script::json(&json!(1))),
        ("/high", Script::json(&json!(1))),
    ]);
    let more = "params: { q: { default: low } }\ntimeout: 3s\ncache: off\naggregate: false\n\
                bulkhead: { max_concurrent: 1, queue_timeout: 2500ms, queue_order: priority }";
    let gateway = Gateway::of(&[source("a", &upstream.url("/{q}"), more)]);
    let waiting = async |count: u64| {
        let seen = async || gateway.upstream("a").await["limits"]["waiting"] == count;
        eventually(SOON, "in line", seen).await;
    };
    let ask = async |q: &str, priority: &str| {
        let path = format!("/aggregate/a?q={q}");
        gateway.ask(http::Method::GET, &path).header("x-request-priority", priority).send().await
    };
    let first = gateway.ask(http::Method::GET, "/aggregate/a?q=first").header("x-request-timeout", "1s").send();
    let low = async {
        eventually(SOON, "the place is taken", async || upstream.active() == 1).await;
        ask("low", "low").await
    };
    let high = async {
        waiting(1).await;
        ask("high", "normal").await
    };
    let (_, low, high) = tokio::join!(first, low, high);
    assert_eq!((low.status, high.status), (200, 200), "{} {}", low.text(), high.text());
    assert!(upstream.last("/high").at < upstream.last("/low").at, "who came later was more important");
}

/// Three sources of one upstream, whose calls take this long, and a route over them.
fn one_after_the_other(upstream: &Upstream, script: Script, timeout: &str) -> Gateway {
    upstream.on("/x", script);
    let document = |name| source(name, &upstream.url("/x"), "cache: off");
    let documents = [
        document("a"),
        document("b"),
        document("c"),
        format!("route: /all\nsources: [a, b, c]\nmax_parallel: 1\ntimeout: {timeout}\n"),
    ];
    Gateway::of(&documents)
}

#[tokio::test]
async fn a_route_with_max_parallel_has_so_many_of_its_parts_in_flight() {
    let upstream = Upstream::start();
    let gateway = one_after_the_other(&upstream, Script::json(&json!(1)).after_ms(30), "5s");
    let reply = gateway.get("/all").await.expect(200).json();
    assert_eq!(names(&reply["sources_succeeded"]), ["a", "b", "c"]);
    assert_eq!((upstream.calls("/x"), upstream.peak("/x")), (3, 1));
    let told = gateway.ask(http::Method::GET, "/all").header("accept", "application/x-ndjson").send().await;
    let lines: Vec<_> = told.text().lines().map(|line| line.chars().take(24).collect::<String>()).collect();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert_eq!((upstream.calls("/x"), upstream.peak("/x")), (6, 1));
    gateway.get("/aggregate").await.expect(200);
    assert!(upstream.peak("/x") > 1, "another route is not bound by it");
}

#[tokio::test]
async fn a_part_whose_turn_does_not_come_in_time_is_not_called() {
    let upstream = Upstream::start();
    let gateway = one_after_the_other(&upstream, Script::hang(), "400ms");
    let reply = gateway.get("/all").await.json();
    assert_eq!(names(&reply["sources_failed"]), ["a", "b", "c"]);
    assert!(reply["results"][2]["error"].as_str().unwrap().contains("`max_parallel`"), "{reply}");
    assert_eq!(upstream.calls("/x"), 1);
}
