//! Fallbacks, partial results and health over the aggregate: the AGG scenarios that the acceptance criteria leave.

use std::time::Duration;

use serde_json::json;

use crate::harness::Gateway;
use crate::harness::Script;
use crate::harness::Setup;
use crate::harness::Upstream;
use crate::harness::abc;
use crate::harness::aggd;
use crate::harness::eventually;
use crate::harness::names;
use crate::harness::source;
use crate::servers::postgres::Postgres;

const SOON: Duration = Duration::from_secs(5);
const NOBODY: [&str; 0] = [];

#[test]
fn agg_04_a_negative_cache_of_500s_is_refused() {
    let yaml = source("a", "http://127.0.0.1:1/", "cache: { negative: { ttl: 60s, statuses: [404, 500] } }");
    let setup = Setup::new().sources(&[yaml]);
    setup.write();
    let found = aggd(setup.path(), &["check", "--format", "json"]).expect(1).json();
    assert_eq!(found[0]["code"], "AG-051", "{found}");
    assert_eq!(found[0]["message"], "`negative.statuses` may only contain 404, 410, 204, 301, 308");
}

#[tokio::test]
async fn agg_05_con_01_fifty_callers_share_the_one_probe_that_closes_the_circuit() {
    let upstream = Upstream::start();
    let documents = abc(&upstream, "breaker: { failure_threshold: 2, recovery_timeout: 300ms }");
    upstream.on("/a", Script::status(500));
    let gateway = Gateway::of(&documents);
    for _ in 0..2 {
        gateway.get("/aggregate").await.expect(200);
    }
    upstream.on("/a", Script::json(&json!({"n": "a"})).after_ms(150));
    eventually(SOON, "half open", async || gateway.circuit("a").await == "half_open").await;
    let replies = gateway.get_many("/aggregate", 50).await;
    assert_eq!(upstream.calls("/a"), 3, "exactly one probe");
    assert!(replies.iter().all(|reply| reply.part("a")["status"] == "ok"));
    assert_eq!(gateway.circuit("a").await, "closed");
}

#[tokio::test]
async fn agg_06_a_failed_probe_reopens_for_a_full_period() {
    let upstream = Upstream::start();
    let documents = abc(&upstream, "breaker: { failure_threshold: 2, recovery_timeout: 600ms }");
    upstream.on("/a", Script::status(500));
    let gateway = Gateway::of(&documents);
    for _ in 0..2 {
        gateway.get("/aggregate").await.expect(200);
    }
    eventually(SOON, "half open", async || gateway.circuit("a").await == "half_open").await;
    upstream.on("/a", Script::status(500).after_ms(50));
    gateway.get_many("/aggregate", 50).await;
    assert_eq!(upstream.calls("/a"), 3, "exactly one probe");
    let state = gateway.upstream("a").await;
    assert_eq!((&state["circuit_state"], &state["consecutive_failures"]), (&json!("open"), &json!(3)));
    assert!(state["opened_ago_seconds"].as_f64().unwrap() < 0.5, "{state}");
}

/// `a` fails and has steps to fall back on; its copy is older than the first allows.
async fn with_steps(upstream: &Upstream) -> Gateway {
    upstream.on("/a", Script::json(&json!({"from": "a"})));
    upstream.on("/backup", Script::json(&json!({"from": "backup"})));
    let steps = "cache: { ttl: 50ms, stale_if_error: off }\n\
                 fallback: [{ stale: { max_age: 100ms } }, { source: a_backup }, { value: {} }]\n";
    let gateway = Gateway::of(&[
        source("a", &upstream.url("/a"), steps),
        source("a_backup", &upstream.url("/backup"), "aggregate: false"),
    ]);
    gateway.get("/aggregate").await.expect(200);
    upstream.on("/a", Script::status(500));
    tokio::time::sleep(Duration::from_millis(250)).await;
    gateway
}

#[tokio::test]
async fn agg_09_a_stale_copy_that_is_too_old_gives_way_to_the_backup() {
    let upstream = Upstream::start();
    let gateway = with_steps(&upstream).await;
    let reply = gateway.get("/aggregate").await.expect(200);
    let (body, part) = (reply.json(), reply.part("a"));
    assert_eq!(part["data"], json!({"from": "backup"}));
    assert_eq!(
        (&part["status"], &part["degraded"], &part["kind"]),
        (&json!("fallback"), &json!(true), &json!("server_error"))
    );
    assert_eq!(part["fallback"]["via"], "source");
    assert_eq!(part["fallback"]["reason"], "server_error");
    assert_eq!(names(&part["fallback"]["tried"]), ["stale"]);
    assert_eq!(names(&body["sources_failed"]), ["a"]);
    assert_eq!(names(&body["sources_succeeded"]), NOBODY);
    assert_eq!((&body["degraded"], &body["mode"]), (&json!(true), &json!("degraded_fallback")));
    assert_eq!(reply.header("aggd-degraded"), "a;reason=server_error;via=source");
    assert_eq!(reply.header("aggd-completed"), "false");
    // The backup's data is never the primary's: the primary is asked again.
    gateway.get("/aggregate").await.expect(200);
    assert_eq!(upstream.calls("/a"), 3);
    assert_eq!(upstream.calls("/backup"), 1, "the backup has a cache of its own");
}

#[tokio::test]
async fn agg_10_when_the_backups_circuit_is_open_the_constant_stands_in() {
    let upstream = Upstream::start();
    let gateway = with_steps(&upstream).await;
    gateway.post("/admin/breakers/a_backup", r#"{"action": "force_open"}"#).await.expect(200);
    let reply = gateway.get("/aggregate").await.expect(200);
    let part = reply.part("a");
    assert_eq!((&part["data"], &part["fallback"]["via"]), (&json!({}), &json!("value")));
    assert_eq!(names(&part["fallback"]["tried"]), ["stale", "source"]);
    assert_eq!(part["fallback"]["age_ms"], json!(null));
    assert_eq!(upstream.calls("/backup"), 0);
}

#[tokio::test]
async fn the_first_step_that_has_something_wins_and_a_stale_copy_says_its_age() {
    let upstream = Upstream::with(&[("/a", Script::json(&json!({"from": "a"})))]);
    let steps = "cache: { ttl: 50ms, stale_if_error: off }\nfallback: [{ stale: { max_age: 1h } }, { value: {} }]\n";
    let gateway = Gateway::of(&[source("a", &upstream.url("/a"), steps)]);
    gateway.get("/aggregate").await.expect(200);
    upstream.on("/a", Script::status(500));
    tokio::time::sleep(Duration::from_millis(120)).await;
    let reply = gateway.get("/aggregate").await.expect(200);
    let part = reply.part("a");
    assert_eq!((&part["data"], &part["fallback"]["via"]), (&json!({"from": "a"}), &json!("stale")));
    assert!(part["fallback"]["age_ms"].as_u64().unwrap() >= 120, "{part}");
    assert!(reply.json()["cache_age_seconds"].as_f64().unwrap() >= 0.12);
}

#[tokio::test]
async fn agg_11_a_404_is_a_client_error_counts_as_success_and_uses_no_fallback() {
    let upstream = Upstream::with(&[]);
    upstream.on_each("/a", [Script::status(500), Script::status(404)]);
    let gateway = Gateway::of(&[source("a", &upstream.url("/a"), "fallback: [{ value: { stand: in } }]")]);
    assert_eq!(gateway.get("/aggregate").await.expect(200).part("a")["data"], json!({"stand": "in"}));
    assert_eq!(gateway.upstream("a").await["consecutive_failures"], 1);
    let reply = gateway.get("/aggregate").await.expect(200);
    let part = reply.part("a");
    assert_eq!(
        (&part["kind"], &part["data"], &part["status"]),
        (&json!("client_error"), &json!(null), &json!("failed"))
    );
    assert!(part["error"].as_str().unwrap().contains("404"), "{part}");
    assert_eq!(names(&reply.json()["sources_failed"]), ["a"]);
    assert_eq!(gateway.upstream("a").await["consecutive_failures"], 0);
}

#[tokio::test]
async fn agg_12_html_is_a_decode_error_and_a_stale_copy_stands_in() {
    let upstream = Upstream::with(&[("/a", Script::json(&json!({"v": 1})))]);
    let gateway = Gateway::of(&[source("a", &upstream.url("/a"), "cache: { ttl: 50ms }")]);
    gateway.get("/aggregate").await.expect(200);
    upstream.on("/a", Script::text("text/html", "<h1>Sorry</h1>"));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let reply = gateway.get("/aggregate").await.expect(200);
    let (body, part) = (reply.json(), reply.part("a"));
    assert_eq!(
        (&part["status"], &part["kind"], &part["data"]),
        (&json!("stale"), &json!("decode_error"), &json!({"v": 1}))
    );
    assert_eq!((&body["mode"], &body["degraded"]), (&json!("degraded_cache"), &json!(true)));
    assert_eq!(names(&body["sources_failed"]), ["a"]);
    assert_eq!(reply.header("aggd-degraded"), "a;reason=decode_error;via=stale");
    assert!(!reply.text().contains("Sorry"), "no upstream body in an answer");
    assert_eq!(gateway.upstream("a").await["consecutive_failures"], 1);
    assert_eq!(upstream.calls("/a"), 2, "it is not asked again");
}

#[tokio::test]
async fn agg_13_a_missing_required_field_is_a_projection_error_neutral_and_falls_back() {
    let upstream = Upstream::start();
    upstream.on_each("/a", [Script::status(500), Script::json(&json!({"other": 1}))]);
    let more = "project: { price: { path: $.price, required: true } }\nfallback: [{ value: { price: 0 } }]\n";
    let gateway = Gateway::of(&[source("a", &upstream.url("/a"), more)]);
    gateway.get("/aggregate").await.expect(200);
    let part = gateway.get("/aggregate").await.expect(200).part("a");
    assert_eq!((&part["kind"], &part["data"]), (&json!("projection_error"), &json!({"price": 0})));
    let error = part["error"].as_str().unwrap();
    assert!(error.contains("price") && error.contains("$.price"), "names field and path: {error}");
    assert_eq!(gateway.upstream("a").await["consecutive_failures"], 1, "neutral: neither more nor reset");
}

#[tokio::test]
async fn agg_14_with_every_circuit_open_the_answer_is_still_200() {
    let upstream = Upstream::start();
    let gateway = Gateway::of(&abc(&upstream, ""));
    for name in ["a", "b", "c"] {
        gateway.post(&format!("/admin/breakers/{name}"), r#"{"action": "force_open"}"#).await.expect(200);
    }
    let body = gateway.get("/aggregate").await.expect(200).json();
    assert_eq!(names(&body["sources_succeeded"]), NOBODY);
    assert_eq!(names(&body["sources_skipped"]), ["a", "b", "c"]);
    assert_eq!((&body["degraded"], &body["mode"], &body["cached"]), (&json!(true), &json!("partial"), &json!(false)));
    assert_eq!(gateway.health().await["status"], "degraded");
    assert_eq!(upstream.total(), 0);
}

#[tokio::test]
async fn agg_15_a_required_part_behind_an_open_circuit_is_503_with_what_did_succeed() {
    let upstream = Upstream::start();
    let mut documents = abc(&upstream, "breaker: { failure_threshold: 1, recovery_timeout: 18s }");
    upstream.on("/a", Script::status(500));
    documents.push("route: /both\nsources: { a: { required: true }, b: {} }\n".to_owned());
    documents.push("route: /merged\nrespond: merge\nsources: { a: { required: true }, b: {} }\n".to_owned());
    let gateway = Gateway::of(&documents);
    let failed = gateway.get("/both").await;
    let problem = failed.problem(502, "sources-failed");
    assert_eq!(names(&problem["sources"]), ["a"]);
    let reply = gateway.get("/both").await;
    let problem = reply.problem(503, "sources-unavailable");
    let wait: u64 = reply.header("retry-after").parse().unwrap();
    assert!((17..=18).contains(&wait), "{wait}");
    assert_eq!((&problem["retry_after_s"], names(&problem["sources_skipped"])), (&json!(wait), vec!["a"]));
    assert_eq!(reply.part("b")["data"], json!({"n": "b"}));
    let merged = gateway.get("/merged").await.problem(503, "sources-unavailable");
    assert_eq!(merged["data"]["b"], json!({"n": "b"}));
}

#[tokio::test]
async fn too_few_sources_or_only_timeouts_say_so_by_status() {
    let upstream = Upstream::start();
    let mut documents = abc(&upstream, "timeout: 200ms\ncache: off");
    upstream.on("/a", Script::hang());
    upstream.on("/b", Script::status(500));
    documents.push("route: /two\nsources: [a, b, c]\nmin_sources: 2\n".to_owned());
    documents.push("route: /slow\nsources: { a: { required: true }, c: {} }\n".to_owned());
    documents.push("route: /fine\nsources: [a, b, c]\nmin_sources: 1\n".to_owned());
    let gateway = Gateway::of(&documents);
    gateway.get("/two").await.problem(502, "sources-failed");
    gateway.get("/slow").await.problem(504, "sources-timed-out");
    gateway.get("/fine").await.expect(200);
}

#[tokio::test]
async fn agg_20_an_empty_key_clears_nothing() {
    let upstream = Upstream::start();
    let gateway = Gateway::of(&abc(&upstream, ""));
    gateway.get("/aggregate").await.expect(200);
    gateway.post("/cache/invalidate", r#"{"key": ""}"#).await.problem(400, "bad-body");
    assert_eq!(gateway.get("/aggregate").await.expect(200).json()["cached"], true);
}

#[tokio::test]
async fn agg_21_a_client_that_leaves_does_not_waste_the_call() {
    let upstream = Upstream::with(&[("/a", Script::json(&json!({"v": 1})).after_ms(400))]);
    let gateway = Gateway::of(&[source("a", &upstream.url("/a"), "")]);
    let left = tokio::time::timeout(Duration::from_millis(100), gateway.get("/aggregate")).await;
    assert!(left.is_err(), "it answered too soon");
    eventually(SOON, "stored", async || gateway.health().await["cache"]["total_entries"] == 1).await;
    let body = gateway.get("/aggregate").await.expect(200).json();
    assert_eq!(body["cached"], true);
    assert_eq!((upstream.calls("/a"), upstream.left("/a")), (1, 0));
    let labels = [("source", "a"), ("outcome", "success")];
    assert!((gateway.metric("aggd_breaker_calls_total", &labels).await - 1.0).abs() < f64::EPSILON);
    for gauge in ["aggd_limiter_active", "aggd_flights", "aggd_limiter_waiting"] {
        assert!(gateway.metric(gauge, &[]).await.abs() < f64::EPSILON, "{gauge}");
    }
}

#[tokio::test]
async fn agg_22_health_is_error_while_the_database_is_away() {
    let upstream = Upstream::start();
    let mut database = Postgres::start();
    let server = format!("database: {}", database.url());
    let gateway = Setup::new().server(&server).sources(&abc(&upstream, "")).start();
    eventually(SOON, "ready", async || gateway.get("/readyz").await.status == 200).await;
    assert_eq!(gateway.health().await["db"], "ok");
    database.stop();
    eventually(SOON, "not ready", async || gateway.get("/readyz").await.status == 503).await;
    let health = gateway.health().await;
    assert_eq!((&health["status"], &health["db"]), (&json!("error"), &json!("error")));
    gateway.get("/aggregate").await.expect(200);
    gateway.get("/livez").await.expect(200);
    database.start_again();
    eventually(SOON, "ready again", async || gateway.get("/readyz").await.status == 200).await;
    assert_eq!(gateway.health().await["status"], "ok");
}

#[tokio::test]
async fn agg_24_a_half_open_circuit_degrades_too() {
    let upstream = Upstream::with(&[("/a", Script::status(500))]);
    let more = "breaker: { failure_threshold: 1, recovery_timeout: 100ms }";
    let gateway =
        Setup::new().server("database: sqlite://audit.db").sources(&[source("a", &upstream.url("/a"), more)]).start();
    gateway.get("/aggregate").await.expect(200);
    eventually(SOON, "half open", async || gateway.circuit("a").await == "half_open").await;
    eventually(SOON, "the database answers", async || gateway.health().await["db"] == "ok").await;
    assert_eq!(gateway.health().await["status"], "degraded");
    assert_eq!(upstream.calls("/a"), 1);
}

#[tokio::test]
async fn agg_25_the_third_source_waits_for_a_slot_and_is_not_blamed() {
    let upstream = Upstream::start();
    let documents = abc(&upstream, "");
    for path in ["/a", "/b", "/c"] {
        upstream.on(path, Script::json(&json!(1)).after_ms(200));
    }
    let gateway = Setup::new().server("limits: { concurrency: 2 }").sources(&documents).start();
    let reply = gateway.get("/aggregate").await.expect(200);
    assert_eq!(names(&reply.json()["sources_succeeded"]), ["a", "b", "c"]);
    let mut starts: Vec<_> = ["/a", "/b", "/c"].iter().map(|path| upstream.last(path).at).collect();
    starts.sort();
    assert!(starts[1] - starts[0] < Duration::from_millis(100));
    assert!(starts[2] - starts[0] >= Duration::from_millis(190), "{:?}", starts[2] - starts[0]);
    assert!((390..700).contains(&reply.took.as_millis()), "{:?}", reply.took);
    for name in ["a", "b", "c"] {
        assert_eq!(gateway.upstream(name).await["consecutive_failures"], 0);
    }
}

#[tokio::test]
async fn a_crowd_in_line_opens_no_circuit() {
    let upstream = Upstream::with(&[("/a", Script::json(&json!(1)).after_ms(300))]);
    let more = "timeout: 400ms\ncache: off\nbreaker: { failure_threshold: 1 }";
    let setup = Setup::new().server("limits: { concurrency: 2 }").sources(&[source("a", &upstream.url("/a"), more)]);
    let gateway = setup.start();
    let replies = futures_util::future::join_all((0..8).map(|_| gateway.get("/aggregate"))).await;
    let kinds: Vec<_> = replies.iter().map(|reply| reply.part("a")["kind"].clone()).collect();
    assert!(kinds.contains(&json!("local_limit")) && kinds.contains(&json!(null)), "{kinds:?}");
    assert_eq!(gateway.upstream("a").await["circuit_state"], "closed", "{kinds:?}");
}

#[tokio::test]
async fn agg_26_cls_23_waiting_too_long_for_a_slot_is_a_local_limit_and_neutral() {
    let upstream = Upstream::with(&[("/hog", Script::hang()), ("/b", Script::json(&json!(1)))]);
    let documents = [
        source("hog", &upstream.url("/hog"), "timeout: 1200ms\ncache: off\naggregate: false"),
        source("b", &upstream.url("/b"), "timeout: 200ms\nbreaker: { failure_threshold: 1 }"),
    ];
    let gateway = Setup::new().server("limits: { concurrency: 1 }").sources(&documents).start();
    let meanwhile = async {
        eventually(SOON, "the slot is taken", async || upstream.active() == 1).await;
        let reply = gateway.get("/aggregate").await.expect(200);
        assert!(reply.took < Duration::from_millis(700), "{:?}", reply.took);
        let part = reply.part("b");
        assert_eq!((&part["kind"], &part["status"]), (&json!("local_limit"), &json!("failed")));
        assert!(part["error"].as_str().unwrap().contains("deadline: `limits.concurrency`"), "{part}");
        let state = gateway.upstream("b").await;
        assert_eq!((&state["circuit_state"], &state["consecutive_failures"]), (&json!("closed"), &json!(0)));
        let single = gateway.get("/aggregate/b").await;
        single.problem(503, "local-limit");
        assert!(!single.header("retry-after").is_empty());
    };
    let (hog, ()) = tokio::join!(gateway.get("/aggregate/hog"), meanwhile);
    hog.problem(504, "upstream-timeout");
    assert_eq!(upstream.calls("/b"), 0);
}

#[tokio::test]
async fn picking_sources_asks_those_alone_and_an_unknown_one_is_404() {
    let upstream = Upstream::start();
    let gateway = Gateway::of(&abc(&upstream, ""));
    let body = gateway.get("/aggregate?sources=c,a").await.expect(200).json();
    assert_eq!(names(&body["sources_succeeded"]), ["a", "c"], "configuration order");
    assert_eq!(upstream.calls("/b"), 0);
    gateway.get("/aggregate?sources=a,x").await.problem(404, "unknown-source");
}
