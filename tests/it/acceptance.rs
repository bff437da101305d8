//! The acceptance criteria of the service's reference document, AC1 to AC14, and its extension C.

use std::time::Duration;

use http::Method;
use serde_json::json;

use crate::harness::Gateway;
use crate::harness::Script;
use crate::harness::Setup;
use crate::harness::Upstream;
use crate::harness::abc;
use crate::harness::eventually;
use crate::harness::names;
use crate::harness::source;

const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn ac_01_agg_01_all_sources_are_called_at_once() {
    let upstream = Upstream::start();
    let documents = abc(&upstream, "");
    for name in ["a", "b", "c"] {
        upstream.on(&format!("/{name}"), Script::json(&json!({ "n": name })).after_ms(400));
    }
    let gateway = Gateway::of(&documents);
    let reply = gateway.get("/aggregate").await.expect(200);
    assert!(reply.took < Duration::from_millis(800), "about the slowest, not the sum: {:?}", reply.took);
    let body = reply.json();
    assert_eq!(names(&body["sources_succeeded"]), ["a", "b", "c"]);
    assert_eq!(body["cached"], false);
    let starts: Vec<_> = ["/a", "/b", "/c"].iter().map(|path| upstream.last(path).at).collect();
    let spread = *starts.iter().max().unwrap() - *starts.iter().min().unwrap();
    assert!(spread < Duration::from_millis(100), "{spread:?}");
}

#[tokio::test]
async fn ac_02_agg_02_the_second_call_within_the_ttl_is_cached_and_calls_nobody() {
    let upstream = Upstream::start();
    let gateway = Gateway::of(&abc(&upstream, ""));
    assert_eq!(gateway.get("/aggregate").await.expect(200).json()["cached"], false);
    let second = gateway.get("/aggregate").await.expect(200).json();
    assert_eq!(second["cached"], true);
    assert_eq!(second["mode"], "cached");
    assert!(second["cache_age_seconds"].as_f64().unwrap() >= 0.0);
    assert_eq!(upstream.total(), 3);
}

#[tokio::test]
async fn ac_03_one_failing_upstream_leaves_the_others() {
    let upstream = Upstream::start();
    let documents = abc(&upstream, "");
    upstream.on("/b", Script::status(500));
    let gateway = Gateway::of(&documents);
    let reply = gateway.get("/aggregate").await.expect(200);
    let body = reply.json();
    assert_eq!(names(&body["sources_succeeded"]), ["a", "c"]);
    assert_eq!(names(&body["sources_failed"]), ["b"]);
    assert_eq!(reply.part("a")["data"], json!({"n": "a"}));
    assert_eq!(reply.part("b")["data"], json!(null));
    assert_eq!(reply.part("b")["kind"], "server_error");
    assert_eq!(body["mode"], "partial");
}

#[tokio::test]
async fn ac_04_agg_07_dlp_02_a_hanging_upstream_costs_its_timeout_and_no_more() {
    let upstream = Upstream::start();
    let mut documents = abc(&upstream, "");
    upstream.on("/b", Script::hang());
    documents[1].push_str("timeout: 400ms\n");
    let gateway = Gateway::of(&documents);
    let reply = gateway.get("/aggregate").await.expect(200);
    assert!(reply.took < Duration::from_millis(900), "{:?}", reply.took);
    assert!(reply.took >= Duration::from_millis(390), "{:?}", reply.took);
    assert_eq!(names(&reply.json()["sources_failed"]), ["b"]);
    assert_eq!(reply.part("b")["kind"], "attempt_timeout");
    // The operator's timer is evidence against the upstream.
    assert_eq!(gateway.upstream("b").await["consecutive_failures"], 1);
}

#[tokio::test]
async fn ac_05_agg_03_an_open_circuit_is_not_contacted() {
    let upstream = Upstream::start();
    let documents = abc(&upstream, "");
    upstream.on("/a", Script::status(500));
    let gateway = Gateway::of(&documents);
    for round in 1..=5 {
        let body = gateway.get("/aggregate").await.expect(200).json();
        assert_eq!(names(&body["sources_failed"]), ["a"], "round {round}");
    }
    assert_eq!((upstream.calls("/a"), upstream.calls("/b"), upstream.calls("/c")), (5, 1, 1));
    assert_eq!(gateway.circuit("a").await, "open");
    for _ in 0..2 {
        let reply = gateway.get("/aggregate").await.expect(200);
        let body = reply.json();
        assert_eq!(names(&body["sources_skipped"]), ["a"]);
        assert_eq!(names(&body["sources_failed"]), [""; 0]);
        assert_eq!(body["cached"], true);
        assert_eq!(reply.part("a")["status"], "skipped");
        assert_eq!(reply.part("a")["kind"], "breaker_open");
    }
    assert_eq!(upstream.calls("/a"), 5);
}

#[tokio::test]
async fn ac_06_after_the_recovery_timeout_one_probe_closes_the_circuit() {
    let upstream = Upstream::start();
    let documents = abc(&upstream, "breaker: { failure_threshold: 2, recovery_timeout: 400ms }");
    upstream.on("/a", Script::status(500));
    let gateway = Gateway::of(&documents);
    gateway.get("/aggregate").await.expect(200);
    gateway.get("/aggregate").await.expect(200);
    assert_eq!(gateway.circuit("a").await, "open");
    upstream.on("/a", Script::json(&json!({"n": "back"})));
    eventually(SOON, "half open", async || gateway.circuit("a").await == "half_open").await;
    assert_eq!(upstream.calls("/a"), 2, "asking about a circuit calls nobody");
    let reply = gateway.get("/aggregate").await.expect(200);
    assert_eq!(reply.part("a")["data"], json!({"n": "back"}));
    assert_eq!(gateway.circuit("a").await, "closed");
    assert_eq!(upstream.calls("/a"), 3);
}

#[tokio::test]
async fn ac_07_ac_08_agg_23_health_names_every_circuit_and_is_degraded_when_one_is_open() {
    let upstream = Upstream::start();
    let documents = abc(&upstream, "breaker: { failure_threshold: 1 }");
    upstream.on("/b", Script::status(503));
    let gateway = Setup::new().server("database: sqlite://audit.db").sources(&documents).start();
    let before = gateway.health().await;
    assert_eq!((&before["status"], &before["db"]), (&json!("ok"), &json!("ok")));
    assert_eq!(before["upstreams"]["a"]["last_success_ago_seconds"], json!(null));
    gateway.get("/aggregate").await.expect(200);
    let after = gateway.health().await;
    assert_eq!((&after["status"], &after["db"]), (&json!("degraded"), &json!("ok")));
    let state = |name: &str| after["upstreams"][name]["circuit_state"].as_str().unwrap().to_owned();
    assert_eq!(["a", "b", "c"].map(state), ["closed", "open", "closed"]);
    let open = &after["upstreams"]["b"];
    let sum = open["opened_ago_seconds"].as_f64().unwrap() + open["recovers_in_seconds"].as_f64().unwrap();
    assert!((sum - 30.0).abs() < 0.01, "{open}");
    assert!(after["upstreams"]["a"]["last_success_ago_seconds"].as_f64().unwrap() < 5.0);
}

#[tokio::test]
async fn ac_09_agg_18_invalidating_without_a_body_clears_everything() {
    let upstream = Upstream::start();
    let gateway = Gateway::of(&abc(&upstream, ""));
    gateway.get("/aggregate").await.expect(200);
    assert_eq!(gateway.post("/cache/invalidate", "").await.expect(200).json()["invalidated"], 3);
    let body = gateway.get("/aggregate").await.expect(200).json();
    assert_eq!(body["cached"], false);
    assert_eq!(upstream.total(), 6);
}

#[tokio::test]
async fn ac_10_agg_19_invalidating_a_key_clears_that_key_alone() {
    let upstream = Upstream::start();
    let mut documents = abc(&upstream, "");
    upstream.on("/d", Script::json(&json!({"n": "d"})));
    documents.push(source("d", &upstream.url("/d"), "aggregate: false"));
    documents.push("route: /other\nsources: [d]\ncache_key: other\n".to_owned());
    let gateway = Gateway::of(&documents);
    gateway.get("/aggregate").await.expect(200);
    gateway.get("/other").await.expect(200);
    let told = gateway.post("/cache/invalidate", r#"{"key": "aggregate_all"}"#).await.expect(200).json();
    assert_eq!(told["invalidated"], 3);
    assert_eq!(gateway.get("/other").await.expect(200).json()["cached"], true);
    assert_eq!(gateway.get("/aggregate").await.expect(200).json()["cached"], false);
    assert_eq!((upstream.calls("/a"), upstream.calls("/d")), (2, 1));
}

#[tokio::test]
async fn ac_11_ac_12_a_slow_upstream_does_not_slow_others() {
    let upstream = Upstream::start();
    upstream.on("/fast", Script::json(&json!(1)));
    upstream.on("/slow", Script::hang());
    let gateway = Gateway::of(&[
        source("fast", &upstream.url("/fast"), ""),
        source("slow", &upstream.url("/slow"), "timeout: 1500ms\ncache: off\nbulkhead: off\naggregate: false"),
    ]);
    let slow = gateway.get_many("/aggregate/slow", 50);
    let rest = async {
        eventually(SOON, "all are waiting", async || upstream.active() == 50).await;
        for path in ["/livez", "/aggregate", "/health", "/aggregate", "/metrics"] {
            let reply = gateway.get(path).await.expect(200);
            assert!(reply.took < Duration::from_millis(300), "{path}: {:?}", reply.took);
        }
    };
    let (slow, ()) = tokio::join!(slow, rest);
    assert!(slow.iter().all(|reply| reply.status == 504 || reply.status == 503), "{:?}", slow[0]);
}

#[tokio::test]
async fn ac_13_it_starts_and_stops_cleanly() {
    let upstream = Upstream::start();
    let mut gateway = Setup::new().server("database: sqlite://audit.db").sources(&abc(&upstream, "")).start();
    assert!(
        gateway.announced.starts_with(&format!("aggd {} listening on http://127.0.0.1:", env!("CARGO_PKG_VERSION")))
    );
    gateway.get("/aggregate").await.expect(200);
    gateway.stop().await;
    let log = gateway.log();
    assert!(!log.contains("ERROR") && !log.contains("WARN"), "{log}");
}

#[tokio::test]
async fn ac_14_connections_to_an_upstream_are_shared_and_kept() {
    let upstream = Upstream::start();
    upstream.on("/a", Script::json(&json!(1)));
    let gateway = Gateway::of(&[source("a", &upstream.url("/a"), "cache: off")]);
    for _ in 0..10 {
        gateway.get("/aggregate").await.expect(200);
    }
    assert_eq!((upstream.calls("/a"), upstream.connections()), (10, 1));
}

#[tokio::test]
async fn ext_c_agg_16_one_source_behind_an_open_circuit_is_503_with_retry_after() {
    let upstream = Upstream::with(&[("/a", Script::status(500))]);
    let document = source("a", &upstream.url("/a"), "breaker: { failure_threshold: 2, recovery_timeout: 20s }");
    let gateway = Gateway::of(&[document]);
    for _ in 0..2 {
        let problem = gateway.get("/aggregate/a").await.problem(502, "upstream-failed");
        assert_eq!((&problem["source"], &problem["kind"]), (&json!("a"), &json!("server_error")));
    }
    let reply = gateway.get("/aggregate/a").await;
    let problem = reply.problem(503, "circuit-open");
    assert!(problem["detail"].as_str().unwrap().contains("circuit of `a`"), "{problem}");
    let wait: u64 = reply.header("retry-after").parse().unwrap();
    assert!((18..=20).contains(&wait), "{wait}");
    assert_eq!(problem["retry_after_s"], wait);
    assert_eq!(upstream.calls("/a"), 2);
}

#[tokio::test]
async fn ext_c_agg_17_a_single_source_goes_around_the_cache_stores_its_success_and_closes_the_circuit() {
    let upstream = Upstream::with(&[("/a", Script::status(500))]);
    let document = source("a", &upstream.url("/a"), "breaker: { failure_threshold: 1, recovery_timeout: 300ms }");
    let gateway = Gateway::of(&[document]);
    gateway.get("/aggregate").await.expect(200);
    upstream.on_each("/a", [Script::json(&json!({"v": 1})), Script::json(&json!({"v": 2}))]);
    eventually(SOON, "half open", async || gateway.circuit("a").await == "half_open").await;
    let first = gateway.get("/aggregate/a").await.expect(200).json();
    assert_eq!((&first["data"], &first["cached"], &first["status"]), (&json!({"v": 1}), &json!(false), &json!("ok")));
    assert_eq!(gateway.circuit("a").await, "closed");
    let whole = gateway.get("/aggregate").await.expect(200);
    assert_eq!((&whole.json()["cached"], &whole.part("a")["data"]), (&json!(true), &json!({"v": 1})));
    let second = gateway.get("/aggregate/a").await.expect(200).json();
    assert_eq!(second["data"], json!({"v": 2}), "the cache is not read");
    assert_eq!(gateway.get("/aggregate").await.expect(200).part("a")["data"], json!({"v": 2}));
    assert_eq!(upstream.calls("/a"), 3);
}

#[tokio::test]
async fn ext_c_a_single_source_waits_for_the_global_semaphore() {
    let upstream = Upstream::with(&[("/a", Script::json(&json!(1)).after_ms(150))]);
    let documents = [source("a", &upstream.url("/a"), "cache: off\nbulkhead: off")];
    let gateway = Setup::new().server("limits: { concurrency: 2 }").sources(&documents).start();
    let replies = gateway.get_many("/aggregate/a", 6).await;
    assert!(replies.iter().all(|reply| reply.status == 200));
    assert_eq!((upstream.calls("/a"), upstream.peak("/a")), (6, 2));
}

#[tokio::test]
async fn ext_c_raw_gives_the_upstreams_own_bytes() {
    let upstream = Upstream::with(&[("/a", Script::text("application/vnd.x+json", "{ \"b\" : [1.10,\n2] }"))]);
    let document = source("a", &upstream.url("/a"), "project: { first: \"$.b[0]\" }");
    let gateway = Gateway::of(&[document]);
    let raw = gateway.get("/aggregate/a?raw").await.expect(200);
    assert_eq!(raw.text(), "{ \"b\" : [1.10,\n2] }");
    assert_eq!(raw.header("content-type"), "application/vnd.x+json");
    let cut = gateway.get("/aggregate/a").await.expect(200);
    assert!(cut.text().contains(r#""data":{"first":1.10}"#), "{}", cut.text());
    let head = gateway.ask(Method::HEAD, "/aggregate/a").send().await.expect(200);
    assert!(head.body.is_empty());
}
