//! `GET /events`: what changes is told in order, once, to whoever listens; and nobody waits for a listener.

use std::time::Duration;

use http::Method;
use serde_json::Value;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::harness::Gateway;
use crate::harness::Listening;
use crate::harness::Script;
use crate::harness::Setup;
use crate::harness::Upstream;
use crate::harness::eventually;
use crate::harness::source;

const SOON: Duration = Duration::from_secs(15);

/// A source `a` that answers 503 and opens its circuit at once.
fn failing(upstream: &Upstream, more: &str) -> String {
    upstream.on("/a", Script::status(503));
    let breaker = "breaker: { failure_threshold: 1, recovery_timeout: 50ms }\ncache: off\n";
    source("a", &upstream.url("/a"), &format!("{breaker}{more}"))
}

fn kinds(events: &[crate::harness::Sse]) -> Vec<&str> {
    events.iter().map(|event| event.event.as_str()).collect()
}

#[tokio::test]
async fn a_circuit_that_opens_and_closes_is_told_in_order_and_once() {
    let upstream = Upstream::start();
    let gateway = Gateway::of(&[failing(&upstream, "")]);
    let mut circuits = Listening::to(&gateway, "circuit.*").await;
    assert_eq!(circuits.headers["content-type"], "text/event-stream");
    assert_eq!(circuits.headers["cache-control"], "no-store");
    gateway.get("/aggregate/a").await.expect(502);
    upstream.on("/a", Script::json(&json!(1)));
    eventually(SOON, "closed again", async || {
        gateway.get("/aggregate/a").await;
        gateway.circuit("a").await == "closed"
    })
    .await;
    gateway.post("/admin/breakers/a", r#"{"action": "reset"}"#).await.expect(200);
    let told = circuits.take(4).await;
    assert_eq!(kinds(&told), ["circuit.opened", "circuit.half_opened", "circuit.closed", "circuit.reset"]);
    for (n, event) in (1..).zip(&told) {
        let body = &event.json;
        assert_eq!((&body["generation"], &body["seq"]), (&json!(n), &json!(n)), "{body}");
        assert_eq!((&body["source"], &body["type"]), (&json!("a"), &json!(event.event)), "{body}");
        assert_eq!(body["endpoint"], upstream.url(""), "{body}");
        assert_eq!(body["id"], event.id.as_str(), "{body}");
        assert!(body["time"].as_str().unwrap().ends_with('Z') && event.id.len() == 26, "{body}");
    }
    assert!(told.windows(2).all(|two| two[0].id < two[1].id), "{told:?}");
    let opened = &told[0].json["data"];
    assert_eq!((&opened["from"], &opened["to"]), (&json!("closed"), &json!("open")));
    assert_eq!((&opened["reason"], &opened["open_for_ms"]), (&json!("consecutive_failures"), &json!(50.0)));
    assert_eq!(gateway.metric("aggd_events_total", &[("type", "circuit.opened")]).await, 1.0);
    assert!(gateway.log().contains("circuit.half_opened"), "the log tells it too");
}

#[tokio::test]
async fn who_comes_back_misses_nothing_that_is_kept() {
    let gateway = Setup::new().server("events: { buffer: 3 }").sources(&[]).start();
    let mut all = Listening::to(&gateway, "*").await;
    let invalidate = async |key: &str| {
        gateway.post("/cache/invalidate", &format!(r#"{{"prefix": "{key}"}}"#)).await.expect(200);
    };
    invalidate("one").await;
    let first = all.next().await;
    drop(all);
    invalidate("two").await;
    invalidate("three").await;
    let of = |event: &Value| event["data"]["of"].as_str().unwrap_or_default().to_owned();
    let mut back = Listening::after(&gateway, "cache.*", &first.id).await;
    invalidate("four").await;
    let told = back.take(3).await;
    assert_eq!(told.iter().map(|event| of(&event.json)).collect::<Vec<_>>(), ["two", "three", "four"]);
    invalidate("five").await;
    let mut late = Listening::after(&gateway, "cache.*", &first.id).await;
    let reset = late.next().await;
    assert_eq!((reset.event.as_str(), reset.id.as_str()), ("reset", ""));
    assert_eq!(reset.json, json!({"missed": 1, "reason": "not_kept", "resync": "/health"}));
    assert_eq!(of(&late.next().await.json), "three");
    let mut stranger = Listening::after(&gateway, "cache.*", "01HF7YAT00ZZZZZZZZZZZZZZZZ").await;
    let reset = stranger.next().await;
    assert_eq!((&reset.json["missed"], &reset.json["reason"]), (&Value::Null, &json!("other_instance")));
    assert_eq!(of(&stranger.next().await.json), "three", "what is kept is newer than that");
    assert_eq!(gateway.metric("aggd_events_kept", &[]).await, 3.0);
}

#[tokio::test]
async fn types_are_chosen_and_unknown_ones_refused() {
    let upstream = Upstream::start();
    let gateway = Gateway::of(&[failing(&upstream, "")]);
    let mut chosen = Listening::to(&gateway, "config.reloaded,circuit.*").await;
    let mut all = Listening::to(&gateway, "").await;
    for body in ["", r#"{"key": "a"}"#, r#"{"source": "a"}"#] {
        gateway.post("/cache/invalidate", body).await.expect(200);
    }
    gateway.get("/aggregate/a").await.expect(502);
    assert_eq!(chosen.next().await.event, "circuit.opened");
    for (scope, of, source) in [("all", None, None), ("key", Some("a"), Some("a")), ("source", Some("a"), Some("a"))] {
        let told = all.next().await.json;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        assert_eq!((&told["type"], &told["data"]["cause"]), (&json!("cache.invalidated"), &json!("order")), "{told}");
        assert_eq!((told["data"]["scope"].as_str(), text(&told["data"]["of"]).as_deref()), (Some(scope), of));
        assert_eq!(told.get("source").and_then(Value::as_str), source, "one order is one event: {told}");
    }
    assert_eq!(all.next().await.event, "circuit.opened");
    for (query, says, near) in [
        ("types=circuit.open", "did you mean `circuit.opened`?", Some("circuit.opened")),
        ("types=circuit.*,confg.*", "did you mean `config.*`?", Some("config.*")),
        ("types=weather", "there are: circuit.*, ", None),
        ("types=*&types=*", "given twice", None),
        ("since=1h", "take `types`", None),
    ] {
        let problem = gateway.get(&format!("/events?{query}")).await.problem(400, "bad-parameter");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem}");
        assert_eq!(problem.get("did_you_mean").and_then(Value::as_str), near, "{problem}");
    }
}

#[tokio::test]
async fn hrl_06_and_08_reloads_are_told_applied_unchanged_and_refused() {
    let upstream = Upstream::with(&[("/a", Script::json(&json!(1)))]);
    let documents = [source("a", &upstream.url("/a"), "")];
    let gateway = Setup::new().server("reload: { watch: false, poll: off }").sources(&documents).start();
    let mut all = Listening::to(&gateway, "*").await;
    gateway.reload().await.expect(200);
    let same = all.next().await;
    assert_eq!((same.event.as_str(), &same.json["data"]["changed"]), ("config.reloaded", &json!(0)));
    assert_eq!((&same.json["data"]["result"], &same.json["generation"]), (&json!("unchanged"), &json!(1)));
    gateway.save("sources.d/main.yaml", "source: a\nurl: 7\n");
    gateway.reload().await.expect(422);
    let refused = all.next().await;
    assert_eq!((refused.event.as_str(), &refused.json["generation"]), ("config.rejected", &json!(1)));
    assert!(refused.json["data"]["findings"].as_u64().unwrap() > 0, "{refused:?}");
    let changed = source("a", &upstream.url("/a?v=2"), "");
    gateway.save("sources.d/main.yaml", &format!("{changed}---\n{}", source("b", &upstream.url("/a"), "")));
    gateway.reload().await.expect(200);
    let cache = all.next().await;
    assert_eq!((cache.event.as_str(), &cache.json["source"]), ("cache.invalidated", &json!("a")));
    assert_eq!(cache.json["data"]["cause"], "reload");
    let applied = all.next().await;
    assert_eq!((applied.event.as_str(), &applied.json["generation"]), ("config.reloaded", &json!(2)));
    assert_eq!(applied.json["data"]["changes"], json!(["source `a` changed", "source `b` added"]));
}

#[tokio::test]
async fn listeners_have_a_bound_and_leave_their_places() {
    let gateway = Setup::new().server("events: { max_subscribers: 2 }").sources(&[]).start();
    let first = Listening::to(&gateway, "*").await;
    let _second = Listening::to(&gateway, "circuit.*").await;
    let refused = gateway.get("/events").await;
    let problem = refused.problem(503, "too-many-subscribers");
    assert!(problem["detail"].as_str().unwrap().contains("events.max_subscribers"), "{problem}");
    assert_eq!(refused.header("retry-after"), "5");
    assert_eq!(gateway.metric("aggd_event_subscribers", &[]).await, 2.0);
    assert_eq!(gateway.metric("aggd_event_subscribers_refused_total", &[("reason", "full")]).await, 1.0);
    drop(first);
    eventually(SOON, "a place is free", async || gateway.metric("aggd_event_subscribers", &[]).await == 1.0).await;
    let _third = Listening::to(&gateway, "*").await;
}

#[tokio::test]
async fn evt_03_a_listener_that_never_reads_slows_nobody_and_holds_little() {
    let upstream = Upstream::with(&[("/a", Script::json(&json!(1)))]);
    let documents = [source("a", &upstream.url("/a"), "")];
    let gateway = Setup::new().server("events: { buffer: 16 }").sources(&documents).start();
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut deaf = socket.connect(gateway.address.parse().unwrap()).await.unwrap();
    deaf.write_all(b"GET /events HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    eventually(SOON, "it listens", async || gateway.metric("aggd_event_subscribers", &[]).await == 1.0).await;
    let order = format!(r#"{{"prefix": "{}"}}"#, "x".repeat(200));
    let begun = gateway.resident();
    let mut lost = 0.0;
    // The kernel takes a few megabytes before anybody notices.
    for _ in 0..200 {
        let orders = (0..200).map(|_| gateway.post("/cache/invalidate", &order));
        for reply in futures_util::future::join_all(orders).await {
            reply.expect(200);
        }
        lost = gateway.metric("aggd_events_dropped_total", &[("reason", "lagged")]).await;
        if lost > 1000.0 {
            break;
        }
    }
    assert!(lost > 1000.0, "only {lost} events were lost");
    let reply = gateway.get("/aggregate/a").await.expect(200);
    assert!(reply.took < Duration::from_secs(5), "{:?}", reply.took);
    let grown = gateway.resident().saturating_sub(begun);
    assert!(grown < 64 << 20, "{grown} bytes for a listener that does not read");
    // Somebody else hears the present all the same.
    let mut other = Listening::to(&gateway, "config.*").await;
    gateway.reload().await.expect(200);
    assert_eq!(other.next().await.event, "config.reloaded");
}

#[tokio::test]
async fn a_listener_that_reads_late_is_told_how_many_it_lost() {
    let gateway = Setup::new().server("events: { buffer: 16 }").sources(&[]).start();
    let mut slow = Listening::to(&gateway, "*").await;
    let order = format!(r#"{{"prefix": "{}"}}"#, "x".repeat(200));
    let mut sent = 0_u64;
    while gateway.metric("aggd_events_dropped_total", &[("reason", "lagged")]).await < 100.0 {
        let orders = (0..200).map(|_| gateway.post("/cache/invalidate", &order));
        sent += 200;
        assert!(sent < 40_000, "nothing was lost");
        for reply in futures_util::future::join_all(orders).await {
            reply.expect(200);
        }
    }
    let (mut read, mut lost, mut last) = (0, 0, 0);
    while read + lost < sent {
        let event = slow.next().await;
        if event.event == "lagged" {
            lost += event.json["missed"].as_u64().unwrap();
            assert_eq!(event.json["resync"], "/health");
        } else {
            let seq = event.json["seq"].as_u64().unwrap();
            assert_eq!(seq, last + 1 + (lost - (last - read)), "what is missing is what was told");
            (read, last) = (read + 1, seq);
        }
    }
    assert!(lost >= 100 && read + lost == sent && last == sent, "{read} {lost} {sent} {last}");
}

#[tokio::test]
async fn the_stream_ends_when_the_gateway_stops() {
    let mut gateway = Setup::new().sources(&[]).start();
    let mut all = Listening::to(&gateway, "*").await;
    gateway.stop().await;
    assert!(all.try_next().await.is_none(), "ended, not broken off");
}

#[tokio::test]
async fn the_stream_is_asked_for_as_the_rest_of_the_control_plane_is() {
    let gateway = Setup::new().server("admin: { listen: 127.0.0.1:0 }\nevents: { max_subscribers: 1 }").start();
    gateway.get("/events").await.problem(404, "unknown-path");
    for _ in 0..3 {
        let head = gateway.ask_admin(Method::HEAD, "/events").send().await.expect(200);
        assert_eq!((head.header("content-type"), head.body.len()), ("text/event-stream", 0));
    }
    let options = gateway.ask_admin(Method::OPTIONS, "/events").send().await.expect(204);
    assert_eq!(options.header("allow"), "GET, HEAD, OPTIONS");
    let wrong = gateway.ask_admin(Method::POST, "/events").send().await;
    wrong.problem(405, "method-not-allowed");
    let open = gateway.ask_admin(Method::GET, "/events").header("accept-encoding", "gzip, br").open().await;
    assert!(open.status() == 200 && !open.headers().contains_key("content-encoding"), "{open:?}");
    let page = gateway.ask_admin(Method::GET, "/metrics").send().await.expect(200).text();
    assert!(page.contains("\naggd_event_subscribers 1"), "{page}");
    assert!(!page.contains("/events"), "it is no request of a route");
}

#[tokio::test]
async fn it_is_told_over_http2_too() {
    let gateway = Setup::new().sources(&[]).start();
    let open = gateway.ask_h2(Method::GET, "/events").open().await;
    assert_eq!((open.status().as_u16(), open.version()), (200, http::Version::HTTP_2));
}

#[tokio::test]
async fn events_of_high_volume_are_counted_always_and_told_in_shares() {
    let upstream = Upstream::with(&[("/a", Script::hang())]);
    let more = "timeout: 100ms\ncache: off\nbreaker: off\nfallback: [{ value: 1 }]\n";
    let documents = [source("a", &upstream.url("/a"), more)];
    let gateway = Setup::new().server("reload: { watch: false, poll: off }").sources(&documents).start();
    gateway.get("/aggregate").await.expect(200);
    for kind in ["timeout.exceeded", "fallback.used"] {
        assert_eq!(
            gateway.metric("aggd_events_total", &[("type", kind)]).await,
            1.0,
            "{kind}: counted, nobody listens"
        );
    }
    assert_eq!(gateway.metric("aggd_events_kept", &[]).await, 0.0);
    let mut all = Listening::to(&gateway, "timeout.*,fallback.*,config.*").await;
    gateway.get_many("/aggregate", 5).await;
    let two = all.take(2).await;
    assert_eq!(kinds(&two), ["timeout.exceeded", "fallback.used"], "the first of a second");
    let (timeout, fallback) = (&two[0].json, &two[1].json);
    assert_eq!(timeout["data"], json!({"stage": "attempt", "timeout_ms": 100.0, "by_client": false}));
    assert_eq!((&timeout["endpoint"], &timeout["source"]), (&json!(upstream.url("")), &json!("a")));
    assert_eq!(fallback["data"], json!({"via": "value", "kind": "attempt_timeout"}));
    assert!(gateway.metric("aggd_events_dropped_total", &[("reason", "sampled")]).await >= 1.0);
    // A share replaces the one a second, and a reload puts it in force for those who listen already.
    let server = "listen: 127.0.0.1:0\ndatabase: off\nreload: { watch: false, poll: off }\n";
    let sample = "events: { sample: { timeout.exceeded: 0, fallback.used: 1 } }\n";
    gateway.save("aggd.yaml", &format!("{server}{sample}"));
    gateway.reload().await.expect(200);
    while all.next().await.event != "config.reloaded" {}
    gateway.get_many("/aggregate", 5).await;
    assert_eq!(kinds(&all.take(5).await), ["fallback.used"; 5]);
    assert_eq!(gateway.metric("aggd_events_total", &[("type", "fallback.used")]).await, 11.0);
}
