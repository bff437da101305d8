//! The control plane: health, metrics, invalidation, circuits by hand, configuration in force, who may do what.

use std::time::Duration;

use http::Method;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

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
async fn health_has_every_field_of_the_contract() {
    let upstream = Upstream::start();
    let gateway = Gateway::of(&abc(&upstream, "cache: { ttl: 300ms, refresh_ahead: off }"));
    gateway.get("/aggregate").await.expect(200);
    let health = gateway.health().await;
    assert_eq!((&health["status"], &health["db"]), (&json!("ok"), &json!("off")));
    let cache = &health["cache"];
    assert_eq!(
        (&cache["total_entries"], &cache["fresh_entries"], &cache["stale_entries"]),
        (&json!(3), &json!(3), &json!(0))
    );
    assert!(cache["bytes"].as_u64().unwrap() > 0 && cache["store"] == "memory", "{cache}");
    let config = &health["config"];
    assert_eq!(
        (&config["generation"], &config["last_reload"], &config["findings"]),
        (&json!(1), &json!("applied"), &json!(0))
    );
    assert!(
        config["digest"].as_str().unwrap().len() >= 8 && config["loaded_at"].as_str().unwrap().ends_with('Z'),
        "{config}"
    );
    assert!(health["uptime_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    let source = &health["upstreams"]["a"];
    assert_eq!((&source["circuit_state"], &source["consecutive_failures"]), (&json!("closed"), &json!(0)));
    assert!(source["last_success_ago_seconds"].is_number() && source.get("opened_ago_seconds").is_none(), "{source}");
    eventually(SOON, "stale", async || gateway.health().await["cache"]["stale_entries"] == 3).await;
    assert_eq!(upstream.total(), 3, "health calls no upstream");
}

#[tokio::test]
async fn livez_and_readyz_say_that_it_runs_and_can_serve() {
    let gateway = Setup::new().start();
    gateway.get("/livez").await.expect(200);
    gateway.get("/readyz").await.expect(200);
}

#[tokio::test]
async fn invalidation_takes_every_form_and_refuses_what_it_does_not_know() {
    let upstream = Upstream::start();
    let mut documents = abc(&upstream, "");
    documents.push(source("d", &upstream.url("/a"), "aggregate: false"));
    documents.push("route: /other\nsources: [d]\n".to_owned());
    let gateway = Gateway::of(&documents);
    let mut last = 0;
    for (body, count) in [
        ("", 4),
        ("{}", 4),
        (r#"{"key": null}"#, 4),
        (r#"{"key": "aggregate_all"}"#, 3),
        (r#"{"key": "b"}"#, 1),
        (r#"{"key": "/other"}"#, 1),
        (r#"{"source": "a"}"#, 1),
        (r#"{"route": "/other"}"#, 1),
        (r#"{"route": "/aggregate"}"#, 3),
        (r#"{"key": "nobody"}"#, 0),
        (r#"{"source": "nobody"}"#, 0),
        (r#"{"route": "/nowhere"}"#, 0),
        (r#"{"prefix": "zzz"}"#, 0),
        (r#"{"prefix": "/oth"}"#, 1),
        (r#"{"prefix": "aggregate_"}"#, 3),
    ] {
        gateway.get("/aggregate").await.expect(200);
        gateway.get("/other").await.expect(200);
        let told = gateway.post("/cache/invalidate", body).await.expect(200).json();
        assert_eq!(told["invalidated"], count, "{body}: {told}");
        let generation = told["generation"].as_u64().unwrap_or_else(|| panic!("{body}: {told}"));
        assert!(generation >= last || count == 0, "{body}: {generation} after {last}");
        last = last.max(generation);
        assert_eq!(told.as_object().unwrap().len(), 2);
    }
    gateway.get("/aggregate").await.expect(200);
    let before = gateway.health().await["cache"]["total_entries"].clone();
    for body in [
        r#"{"key": ""}"#,
        r#"{"source": ""}"#,
        "nonsense",
        "[]",
        "1",
        "null",
        r#"{"keys": "a"}"#,
        r#"{"key": 1}"#,
        r#"{"key": "a", "source": "a"}"#,
        r#"{"key": "a""#,
        r#"{"source": null}"#,
    ] {
        gateway.post("/cache/invalidate", body).await.problem(400, "bad-body");
    }
    assert_eq!(gateway.health().await["cache"]["total_entries"], before, "nothing was cleared");
}

#[tokio::test]
async fn circuits_are_forced_and_reset_by_hand() {
    let upstream = Upstream::start();
    let gateway = Gateway::of(&abc(&upstream, "cache: off\nbreaker: { failure_threshold: 1 }"));
    let order = async |body: &str| gateway.post("/admin/breakers/a", body).await;
    assert_eq!(order(r#"{"action": "force_open"}"#).await.expect(200).json()["circuit_state"], "forced_open");
    assert_eq!(gateway.get("/aggregate").await.expect(200).part("a")["kind"], "breaker_open");
    assert_eq!(gateway.health().await["status"], "degraded");
    let reply = gateway.get("/aggregate/a").await;
    reply.problem(503, "circuit-open");
    assert_eq!(reply.header("retry-after"), "30", "without a ttl, the recovery timeout");
    assert_eq!(order(r#"{"action": "reset"}"#).await.expect(200).json()["circuit_state"], "closed");
    assert_eq!(gateway.get("/aggregate").await.expect(200).part("a")["status"], "ok");
    order(r#"{"action": "force_open", "ttl": "200ms"}"#).await.expect(200);
    eventually(SOON, "half open, never straight to closed", async || gateway.circuit("a").await == "half_open").await;
    gateway.get("/aggregate").await.expect(200);
    assert_eq!(gateway.circuit("a").await, "closed");
    upstream.on("/a", Script::status(500));
    order(r#"{"action": "force_close"}"#).await.expect(200);
    for _ in 0..3 {
        assert_eq!(gateway.get("/aggregate").await.expect(200).part("a")["kind"], "server_error");
    }
    assert_eq!(gateway.circuit("a").await, "forced_closed");
    for body in [
        "",
        "{}",
        r#"{"action": "open"}"#,
        r#"{"action": "reset", "ttl": "1s"}"#,
        r#"{"action": "force_open", "ttl": 5}"#,
        r#"{"action": "force_open", "ttl": "5"}"#,
        r#"{"action": "force_open", "x": 1}"#,
    ] {
        order(body).await.problem(400, "bad-body");
    }
    gateway.post("/admin/breakers/aa", r#"{"action": "reset"}"#).await.problem(404, "unknown-source");
}

/// Names that every metrics page with some traffic has.
#[rustfmt::skip]
const METRICS: &[&str] = &[
    "aggd_request_duration_seconds_bucket", "aggd_source_duration_seconds_bucket",
    "aggd_attempt_duration_seconds_bucket", "aggd_queue_wait_seconds_bucket", "aggd_breaker_state",
    "aggd_breaker_transitions_total", "aggd_breaker_calls_total", "aggd_breaker_rejected_total",
    "aggd_breaker_late_results_total", "aggd_limiter_active", "aggd_limiter_limit", "aggd_limiter_waiting",
    "aggd_limiter_rejected_total", "aggd_cache_requests_total", "aggd_cache_entries", "aggd_cache_bytes",
    "aggd_cache_evictions_total", "aggd_cache_refresh_total", "aggd_coalesced_total", "aggd_flights",
    "aggd_deadline_exceeded_total", "aggd_attempt_timeout_total", "aggd_config_generation", "aggd_build_info",
    "aggd_requests_total", "aggd_audit_written_total", "aggd_cache_store_discarded_total",
];

#[tokio::test]
async fn metrics_exist_and_move() {
    let upstream = Upstream::start();
    let documents = abc(&upstream, "");
    upstream.on("/b", Script::status(500));
    let gateway = Setup::new().server("database: sqlite://audit.db").sources(&documents).start();
    for _ in 0..2 {
        gateway.get("/aggregate").await.expect(200);
    }
    gateway.post("/admin/breakers/c", r#"{"action": "force_open"}"#).await.expect(200);
    gateway.get("/aggregate/c").await.expect(503);
    gateway.ask(Method::GET, "/aggregate").header("x-request-timeout", "0").send().await.expect(504);
    let reply = gateway.get("/metrics").await.expect(200);
    assert!(
        reply.header("content-type").contains("text/plain") || reply.header("content-type").contains("openmetrics")
    );
    let page = reply.text();
    let is_there = |name: &&&str| page.lines().any(|line| line.starts_with(**name));
    let missing: Vec<_> = METRICS.iter().filter(|name| !is_there(name)).collect();
    assert!(missing.is_empty(), "{missing:?} are not in\n{page}");
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let value = line.rsplit(' ').next().unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
    let is = async |name: &str, labels: &[(&str, &str)], wanted: f64| {
        let value = gateway.metric(name, labels).await;
        assert!((value - wanted).abs() < f64::EPSILON, "{name} {labels:?}: {value}, not {wanted}");
    };
    is("aggd_request_duration_seconds_count", &[("route", "/aggregate"), ("mode", "partial")], 2.0).await;
    is("aggd_requests_total", &[("route", "/aggregate"), ("status", "200")], 2.0).await;
    is("aggd_cache_requests_total", &[("source", "a"), ("result", "hit")], 1.0).await;
    is("aggd_cache_requests_total", &[("source", "a"), ("result", "miss")], 1.0).await;
    is("aggd_attempt_duration_seconds_count", &[("source", "b"), ("outcome", "server_error")], 2.0).await;
    is("aggd_cache_entries", &[], 2.0).await;
    is("aggd_limiter_limit", &[("limiter", "global")], 100.0).await;
    is("aggd_breaker_transitions_total", &[("source", "c"), ("to", "forced_open")], 1.0).await;
    is("aggd_breaker_state", &[("source", "c")], 3.0).await;
    eventually(SOON, "audited", async || gateway.metric("aggd_audit_written_total", &[]).await >= 2.0).await;
}

#[tokio::test]
async fn admin_config_shows_what_is_in_force_and_masks_secrets() {
    let upstream = Upstream::start();
    let more = "auth: { bearer: \"${API_TOKEN}\" }\nheaders: { X-Key: \"${OTHER}\" }\ntimeout: \"${LIMIT:-3}s\"";
    let gateway = Setup::new()
        .server("admin: { token: hunter2-token }")
        .sources(&[
            source("a", &upstream.url("/a"), more),
            source("b", &upstream.url("/b"), "auth: { basic: { user: joe, password: pass-word } }"),
        ])
        .env("API_TOKEN", "s3cret-bearer")
        .env("OTHER", "s3cret-other")
        .start();
    let reply = gateway.get("/admin/config").await.expect(200);
    let (text, body) = (reply.text(), reply.json());
    for secret in ["hunter2-token", "s3cret-bearer", "s3cret-other", "pass-word"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert!(text.contains("***"), "{text}");
    assert_eq!((&body["generation"], &body["last_reload"]["result"]), (&json!(1), &json!("applied")));
    assert_eq!(body["digest"], gateway.health().await["config"]["digest"]);
    let sources = body["config"]["sources"].as_array().unwrap();
    assert_eq!(sources.len(), 2, "{body}");
    assert_eq!(sources[1]["source"], "b");
    upstream.on("/a", Script::json(&json!(1)));
    gateway.get("/aggregate").await.expect(200);
    let sent = upstream.last("/a");
    assert_eq!(
        (sent.header("authorization"), sent.header("x-key")),
        (Some("Bearer s3cret-bearer"), Some("s3cret-other"))
    );
    assert_eq!(upstream.last("/b").header("authorization"), Some("Basic am9lOnBhc3Mtd29yZA=="));
}

#[tokio::test]
async fn reload_by_order_is_200_with_what_changed_or_422_with_the_findings() {
    let upstream = Upstream::start();
    let gateway = Setup::new().server("reload: { watch: false, poll: off }").sources(&abc(&upstream, "")).start();
    let same = gateway.reload().await.expect(200).json();
    assert_eq!((&same["result"], &same["generation"]), (&json!("unchanged"), &json!(1)));
    gateway.save("sources.d/more.yaml", &source("d", &upstream.url("/a"), ""));
    let told = gateway.reload().await.expect(200).json();
    assert_eq!((&told["result"], &told["generation"]), (&json!("applied"), &json!(2)));
    assert_eq!(names(&told["changes"]), ["source `d` added"]);
    gateway.save("sources.d/more.yaml", "source: d\nurll: x\n");
    let problem = gateway.reload().await.problem(422, "configuration-rejected");
    let findings = problem["findings"].as_array().unwrap();
    assert!(findings.iter().any(|one| one["code"] == "AG-010" && one["line"] == 2), "{problem}");
    let body = gateway.get("/aggregate").await.expect(200).json();
    assert_eq!(names(&body["sources_succeeded"]), ["a", "b", "c", "d"], "the old one serves");
    let health = gateway.health().await;
    assert_eq!((&health["status"], &health["config"]["last_reload"]), (&json!("degraded"), &json!("rejected")));
    assert_eq!(health["config"]["generation"], 2);
}

#[tokio::test]
async fn what_changes_something_needs_the_token_where_there_is_one() {
    let upstream = Upstream::start();
    let gateway = Setup::new().server("admin: { token: t0ken }").sources(&abc(&upstream, "")).start();
    for path in ["/cache/invalidate", "/admin/reload", "/admin/breakers/a"] {
        let ask = || gateway.ask(Method::POST, path).body(r#"{"action": "reset"}"#);
        let reply = ask().send().await;
        reply.problem(401, "unauthorized");
        assert_eq!(reply.header("www-authenticate"), "Bearer");
        for wrong in ["Bearer nope", "Basic t0ken", "t0ken", "Bearer t0ken2"] {
            ask().header("authorization", wrong).send().await.problem(401, "unauthorized");
        }
    }
    let right = gateway.ask(Method::POST, "/cache/invalidate").header("authorization", "bearer t0ken").send().await;
    right.expect(200);
    gateway.get("/health").await.expect(200);
}

#[tokio::test]
async fn without_a_token_a_proxied_or_cross_site_call_changes_nothing() {
    let gateway = Setup::new().start();
    for (name, value) in [
        ("x-forwarded-for", "127.0.0.1"),
        ("forwarded", "for=127.0.0.1"),
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://evil.example"),
    ] {
        gateway.ask(Method::POST, "/cache/invalidate").header(name, value).send().await.problem(403, "forbidden");
    }
    gateway.post("/cache/invalidate", "").await.expect(200);
}

#[tokio::test]
async fn with_admin_listen_the_control_plane_is_there_alone() {
    let upstream = Upstream::start();
    let gateway = Setup::new().server("admin: { listen: 127.0.0.1:0 }").sources(&abc(&upstream, "")).start();
    assert!(gateway.announced.contains(", admin on http://127.0.0.1:"), "{}", gateway.announced);
    for path in ["/health", "/metrics", "/admin/config", "/history"] {
        gateway.get(path).await.problem(404, "unknown-path");
    }
    gateway.post("/cache/invalidate", "").await.problem(404, "unknown-path");
    for path in ["/aggregate", "/aggregate/a", "/livez", "/readyz"] {
        gateway.get(path).await.expect(200);
    }
    for path in ["/health", "/metrics", "/admin/config", "/livez", "/readyz"] {
        gateway.ask_admin(Method::GET, path).send().await.expect(200);
    }
    gateway.ask_admin(Method::GET, "/aggregate").send().await.problem(404, "unknown-path");
    gateway.ask_admin(Method::POST, "/cache/invalidate").send().await.expect(200);
}

#[tokio::test]
async fn a_unix_socket_serves_and_goes_with_the_process() {
    let upstream = Upstream::start();
    let setup = Setup::new();
    let path = setup.path().join("aggd.sock");
    let mut gateway = setup.server(&format!("listen: unix:{}", path.display())).sources(&abc(&upstream, "")).start();
    assert_eq!(gateway.address, format!("unix:{}", path.display()));
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream
        .write_all(b"POST /cache/invalidate HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#""invalidated":0"#), "{answer}");
    gateway.stop().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn large_bodies_are_413() {
    let gateway = Setup::new().server("limits: { max_request_bytes: 1KiB }").start();
    let body = format!("{{\"key\": \"{}\"}}", "x".repeat(2000));
    gateway.post("/cache/invalidate", &body).await.problem(413, "body-too-large");
    // Without a length it is counted as it comes.
    let mut stream = tokio::net::TcpStream::connect(&gateway.address).await.unwrap();
    let head = "POST /cache/invalidate HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    let chunk = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    stream.write_all(format!("{head}{chunk}").as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 413");
}
