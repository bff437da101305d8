//! What happened to a call, and what the circuit makes of it: the CLS table, row by row.
//!
//! Each source first gets a 500, so that its circuit counts one failure; then what the row says. Two failures mean
//! evidence against the upstream, one means neutral, none means evidence for it.

use std::time::Duration;

use http::Method;
use serde_json::json;

use crate::harness::CA;
use crate::harness::Gateway;
use crate::harness::Script;
use crate::harness::Setup;
use crate::harness::Upstream;
use crate::harness::refusing;
use crate::harness::source;
use crate::harness::speaking_no_tls;
use crate::harness::speaking_tls;
use crate::harness::unanswering;

const FAILURE: u64 = 2;
const NEUTRAL: u64 = 1;
const SUCCESS: u64 = 0;

/// Id, what the upstream does, more YAML of the source, the kind, the circuit's count after it.
type Row = (&'static str, Script, &'static str, &'static str, u64);

fn statuses() -> Vec<Row> {
    let status = Script::status;
    let mut rows = vec![
        ("cls_02 204", Script::status(204), "", "decode_error", FAILURE),
        ("cls_04 302", status(302).header("location", "/elsewhere"), "", "redirect", SUCCESS),
        ("cls_04 304", status(304), "", "redirect", SUCCESS),
        ("cls_06 408", status(408), "", "upstream_timeout", FAILURE),
        ("cls_07 425", status(425), "", "too_early", NEUTRAL),
        ("cls_08 429", status(429), "", "throttled", NEUTRAL),
        ("cls_08 429 as failure", status(429), "breaker: { throttled: failure }", "throttled", FAILURE),
    ];
    for code in [400, 401, 403, 404, 409, 410, 422] {
        rows.push(("cls_05", status(code), "", "client_error", SUCCESS));
    }
    for code in [500, 502, 503, 504] {
        rows.push(("cls_09", status(code), "", "server_error", FAILURE));
    }
    for code in [501, 505, 507, 508, 511] {
        rows.push(("cls_10", status(code), "", "server_error", FAILURE));
    }
    rows
}

fn bodies() -> Vec<Row> {
    let json = |text: &str| Script::text("application/json", text);
    let required = "project: { x: { path: $.x, required: true } }";
    let typed = "project: { x: { path: $.v, as: integer } }";
    let (small, asserted) = ("max_response_bytes: 64B", "success_when: \"$[?@.ok == true]\"");
    vec![
        ("cls_02 empty", json(""), "", "decode_error", FAILURE),
        ("cls_14 close", Script::close(), "", "reset", FAILURE),
        ("cls_14 reset", Script::reset(), "", "reset", FAILURE),
        ("cls_15 hang", Script::hang(), "attempt_timeout: 150ms", "attempt_timeout", FAILURE),
        ("cls_15 total", Script::hang(), "timeout: 150ms", "attempt_timeout", FAILURE),
        ("cls_15 body", json("[1]").hang_after_head(), "timeout: 150ms", "attempt_timeout", FAILURE),
        ("cls_15 gap", json("[1, 2]").trickle_ms(400), "read_timeout: 100ms", "attempt_timeout", FAILURE),
        ("cls_17", json(&format!("\"{}\"", "x".repeat(100))), small, "response_too_large", NEUTRAL),
        ("cls_18 cut", json("[1, 2, 3]").cut(4), "", "body_error", FAILURE),
        ("cls_18 not HTTP", Script::raw("\u{1}\u{2}\r\n\r\n"), "", "body_error", FAILURE),
        ("cls_19 not JSON", json("{\"a\": }"), "", "decode_error", FAILURE),
        ("cls_19 trailing", json("{} {}"), "", "decode_error", FAILURE),
        ("cls_19 html", Script::text("text/html", "<p>1</p>"), "", "decode_error", FAILURE),
        ("cls_20 missing", json("{\"y\": 1}"), required, "projection_error", NEUTRAL),
        ("cls_20 type", json("{\"v\": \"abc\"}"), typed, "projection_error", NEUTRAL),
        ("cls_21", json("[{\"ok\": false}]"), asserted, "assertion_failed", FAILURE),
        ("classify failure", Script::status(404), "classify: { failure: [\"404\"] }", "client_error", FAILURE),
        ("classify neutral", Script::status(503), "classify: { neutral: [\"503\"] }", "server_error", NEUTRAL),
        // The 500 before it is neutral here too, so the one failure is this one.
        ("classify specific", Script::status(503), "classify: { neutral: 5xx, failure: \"503\" }", "server_error", 1),
        ("classify class", Script::status(503), "classify: { success: 5xx }", "", SUCCESS),
    ]
}

#[tokio::test]
async fn cls_02_to_cls_21_every_outcome_has_its_kind_and_its_evidence() {
    let rows: Vec<Row> = statuses().into_iter().chain(bodies()).collect();
    let upstream = Upstream::start();
    let mut documents = Vec::new();
    for (place, (_, script, more, ..)) in rows.iter().enumerate() {
        let path = format!("/{place}");
        upstream.on_each(&path, [Script::status(500), script.clone()]);
        documents.push(source(&format!("s{place}"), &upstream.url(&path), &format!("cache: off\n{more}")));
    }
    let gateway = Gateway::of(&documents);
    gateway.get("/aggregate").await.expect(200);
    let reply = gateway.get("/aggregate").await.expect(200);
    let health = gateway.health().await;
    let mut wrong = Vec::new();
    for (place, (id, script, _, kind, count)) in rows.iter().enumerate() {
        let name = format!("s{place}");
        let part = reply.part(&name);
        let counted = &health["upstreams"][&name]["consecutive_failures"];
        let is_right = match *kind {
            "" => part["status"] == "ok",
            kind => part["kind"] == kind && part["data"] == json!(null) && part["status"] == "failed",
        };
        if !is_right || *counted != *count {
            wrong.push(format!("{id} {script:?}: wanted {kind} and {count}, got {part} and {counted}"));
        }
    }
    assert!(rows.len() > 30 && wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn cls_01_success_resets_the_count() {
    let upstream = Upstream::start();
    upstream.on_each("/a", [Script::status(500), Script::json(&json!({"v": 1}))]);
    let gateway = Gateway::of(&[source("a", &upstream.url("/a"), "project: { v: $.v }\ncache: off")]);
    gateway.get("/aggregate").await.expect(200);
    assert_eq!(gateway.upstream("a").await["consecutive_failures"], 1);
    let part = gateway.get("/aggregate").await.expect(200).part("a");
    assert_eq!((&part["status"], &part["data"], &part["error"]), (&json!("ok"), &json!({"v": 1}), &json!(null)));
    assert!(part.get("kind").is_none(), "no kind without an error: {part}");
    assert_eq!(gateway.upstream("a").await["consecutive_failures"], SUCCESS);
}

#[tokio::test]
async fn cls_11_cls_12_cls_13_connections_that_are_never_made() {
    let (refused, _held) = refusing();
    let (silent, _filled) = unanswering();
    let ca = format!("client: {{ ca: {CA} }}");
    let rows = [
        ("refused", refused, "", "connect_error"),
        ("unknown", format!("http://{}.example/", "x".repeat(64)), "", "connect_error"),
        ("no_tls", speaking_no_tls(), "", "connect_error"),
        ("silent", format!("{silent}/"), "connect_timeout: 250ms", "connect_timeout"),
        ("metadata", "http://169.254.169.254/latest/".to_owned(), "", "config_error"),
    ];
    let document =
        |(name, url, more, _): &(&str, String, &str, &str)| source(name, url, &format!("cache: off\n{more}"));
    let documents: Vec<_> = rows.iter().map(document).collect();
    let gateway = Setup::new().server(&ca).sources(&documents).start();
    let reply = gateway.get("/aggregate").await.expect(200);
    assert!(reply.took < Duration::from_millis(1500), "{:?}", reply.took);
    let health = gateway.health().await;
    for (name, url, _, kind) in &rows {
        let part = reply.part(name);
        assert_eq!(part["kind"], *kind, "{name}: {part}");
        assert_eq!(health["upstreams"][name]["consecutive_failures"], 1, "{name}: a failure");
        let host = url.split('/').nth(2).unwrap();
        assert!(!part.to_string().contains(host), "no address in an answer: {part}");
    }
}

#[tokio::test]
async fn dlp_06_a_black_hole_costs_connect_timeout_even_for_a_post() {
    let (silent, _filled) = unanswering();
    let more = "method: POST\nbody: { a: 1 }\nconnect_timeout: 300ms\nattempt_timeout: 2s\ncache: off";
    let gateway = Gateway::of(&[source("a", &format!("{silent}/"), more)]);
    let reply = gateway.get("/aggregate").await.expect(200);
    assert_eq!(reply.part("a")["kind"], "connect_timeout");
    assert!((290..1000).contains(&reply.took.as_millis()), "{:?}", reply.took);
    assert_eq!(gateway.upstream("a").await["consecutive_failures"], 1);
}

#[tokio::test]
async fn cls_22_a_refusal_of_the_circuit_is_not_recorded() {
    let upstream = Upstream::with(&[("/a", Script::status(500))]);
    let document = source("a", &upstream.url("/a"), "breaker: { failure_threshold: 1 }");
    let gateway = Gateway::of(&[document]);
    gateway.get("/aggregate").await.expect(200);
    for _ in 0..3 {
        let part = gateway.get("/aggregate").await.expect(200).part("a");
        assert_eq!((&part["kind"], &part["error"]), (&json!("breaker_open"), &json!("circuit open")));
        assert_eq!(part["duration_ms"], 0);
    }
    assert_eq!(gateway.upstream("a").await["consecutive_failures"], 1);
    assert!(gateway.metric("aggd_breaker_rejected_total", &[("source", "a")]).await >= 3.0);
}

#[tokio::test]
async fn brh_10_a_429_fails_a_probe_and_its_retry_after_lengthens_the_open_period() {
    let upstream = Upstream::start();
    upstream.on_each("/a", [Script::status(500), Script::status(429).header("retry-after", "90")]);
    let more = "breaker: { failure_threshold: 1, recovery_timeout: 150ms }";
    let gateway = Gateway::of(&[source("a", &upstream.url("/a"), more)]);
    gateway.get("/aggregate").await.expect(200);
    crate::harness::eventually(Duration::from_secs(5), "half open", async || gateway.circuit("a").await == "half_open")
        .await;
    gateway.get("/aggregate").await.expect(200);
    let state = gateway.upstream("a").await;
    assert_eq!(state["circuit_state"], "open");
    assert!(state["recovers_in_seconds"].as_f64().unwrap() > 80.0, "{state}");
    let reply = gateway.get("/aggregate/a").await;
    reply.problem(503, "circuit-open");
    assert!(reply.header("retry-after").parse::<u64>().unwrap() > 80);
}

#[tokio::test]
async fn kinds_are_counted_by_outcome() {
    let upstream = Upstream::with(&[("/a", Script::status(500)), ("/b", Script::json(&json!(1)))]);
    let gateway =
        Gateway::of(&[source("a", &upstream.url("/a"), "cache: off"), source("b", &upstream.url("/b"), "cache: off")]);
    for _ in 0..3 {
        gateway.ask(Method::GET, "/aggregate").send().await.expect(200);
    }
    for (name, outcome) in [("a", "server_error"), ("b", "success")] {
        let labels = [("source", name), ("outcome", outcome)];
        let counted = gateway.metric("aggd_attempt_duration_seconds_count", &labels).await;
        assert!((counted - 3.0).abs() < f64::EPSILON, "{name}: {counted}");
    }
}

#[tokio::test]
async fn cls_13_a_certificate_is_believed_when_client_ca_vouches_for_it_and_for_its_name_alone() {
    let port = speaking_tls();
    let documents = [
        source("named", &format!("https://localhost:{port}/"), "cache: off"),
        source("number", &format!("https://127.0.0.1:{port}/"), "cache: off"),
    ];
    let trusting = Setup::new().server(&format!("client: {{ ca: {CA} }}")).sources(&documents).start();
    let reply = trusting.get("/aggregate").await.expect(200);
    assert_eq!(reply.part("named")["data"], json!({"over": "tls"}));
    assert_eq!(reply.part("number")["kind"], "config_error");
    assert_eq!(trusting.upstream("number").await["consecutive_failures"], 1);
    let strange = Gateway::of(&documents);
    let part = strange.get("/aggregate").await.expect(200).part("named");
    assert_eq!(part["kind"], "config_error", "{part}");
    assert_eq!(strange.upstream("named").await["consecutive_failures"], 1);
}
