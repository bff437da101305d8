//! Retries: when another attempt is made, when none is, and what bounds them all.

use std::time::Duration;

use http::Method;
use serde_json::json;

use crate::harness::Gateway;
use crate::harness::Listening;
use crate::harness::Script;
use crate::harness::Setup;
use crate::harness::Upstream;
use crate::harness::aggd;
use crate::harness::eventually;
use crate::harness::refusing;
use crate::harness::source;

const SOON: Duration = Duration::from_secs(5);
/// Retries without the waiting.
const AT_ONCE: &str = "cache: off\nretry: { backoff: { base: 1ms } }\n";

fn good() -> Script {
    Script::json(&json!({"v": 1}))
}

/// One source `a` at `/a`, which answers so, one after the other.
fn with(scripts: impl IntoIterator<Item = Script>, more: &str) -> (Upstream, Gateway) {
    let upstream = Upstream::start();
    upstream.on_each("/a", scripts);
    let gateway = Gateway::of(&[source("a", &upstream.url("/a"), more)]);
    (upstream, gateway)
}

async fn stopped(gateway: &Gateway, reason: &str) -> f64 {
    gateway.metric("aggd_retry_stopped_total", &[("source", "a"), ("reason", reason)]).await
}

#[tokio::test]
async fn a_failure_that_may_pass_is_tried_again_and_counted() {
    let (upstream, gateway) = with([Script::status(503), Script::reset(), good()], AT_ONCE);
    let reply = gateway.get("/aggregate").await.expect(200);
    assert_eq!(reply.part("a")["status"], "ok");
    assert_eq!(upstream.calls("/a"), 3);
    for outcome in ["server_error", "reset"] {
        let count = gateway.metric("aggd_retries_total", &[("source", "a"), ("outcome", outcome)]).await;
        assert!((count - 1.0).abs() < f64::EPSILON, "{outcome}: {count}");
    }
    assert_eq!(gateway.circuit("a").await, "closed");
}

#[tokio::test]
async fn without_retry_one_attempt_is_made() {
    let (upstream, gateway) = with([Script::status(503), good()], "cache: off");
    assert_eq!(gateway.get("/aggregate").await.expect(200).part("a")["status"], "failed");
    assert_eq!(upstream.calls("/a"), 1);
}

#[tokio::test]
async fn the_most_telling_failure_is_told_with_the_number_of_attempts() {
    let (upstream, gateway) = with([Script::status(503), Script::reset(), Script::status(429)], AT_ONCE);
    let part = gateway.get("/aggregate").await.expect(200).part("a");
    assert_eq!(
        (&part["kind"], &part["error"], &part["attempts"]),
        (&json!("server_error"), &json!("upstream answered 503"), &json!(3))
    );
    assert_eq!(upstream.calls("/a"), 3);
    assert!(stopped(&gateway, "attempts_exhausted").await > 0.0);
    let problem = gateway.get("/aggregate/a").await.problem(502, "upstream-failed");
    assert_eq!((&problem["attempts"], &problem["elapsed_ms"].is_u64()), (&json!(3), &true), "{problem}");
}

#[tokio::test]
async fn what_says_no_for_good_is_not_asked_again() {
    let cases = [
        (Script::status(404), "not_retryable"),
        (Script::status(501), "not_retryable"),
        (Script::text("text/html", "<p>"), "not_retryable"),
        (Script::status(503).header("x-do-not-retry", "1"), "do_not_retry"),
        (Script::status(503).header("retry-after", "3600"), "retry_after_too_long"),
        (Script::status(503).header("retry-after", "9"), "deadline"),
    ];
    for (script, reason) in cases {
        let (upstream, gateway) = with([script, good()], AT_ONCE);
        let part = gateway.get("/aggregate").await.expect(200).part("a");
        assert_eq!(part["status"], "failed", "{reason}");
        assert_eq!(upstream.calls("/a"), 1, "{reason}");
        assert!(stopped(&gateway, reason).await > 0.0, "{reason}");
    }
}

#[tokio::test]
async fn classify_makes_an_outcome_worth_another_attempt() {
    let more = format!("{AT_ONCE}classify: {{ retry: [decode_error, 404] }}");
    let (upstream, gateway) = with([Script::text("text/html", "<p>"), Script::status(404), good()], &more);
    assert_eq!(gateway.get("/aggregate").await.expect(200).part("a")["status"], "ok");
    assert_eq!(upstream.calls("/a"), 3);
}

#[tokio::test]
async fn retry_on_takes_the_place_of_what_is_retried_otherwise() {
    let more = "cache: off\nretry: { retry_on: 501, backoff: { base: 1ms } }";
    let (upstream, gateway) = with([Script::status(501), Script::status(503), good()], more);
    let part = gateway.get("/aggregate").await.expect(200).part("a");
    assert_eq!((&part["status"], upstream.calls("/a")), (&json!("failed"), 2));
}

#[tokio::test]
async fn a_post_is_sent_twice_only_where_that_is_said_to_be_safe() {
    let post = |more: &str| {
        format!("cache: off\nmethod: POST\nbody: {{ a: 1 }}\nretry: {{ {more}, backoff: {{ base: 1ms }} }}")
    };
    let (upstream, gateway) = with([Script::status(503), good()], &post("max_attempts: 2"));
    assert_eq!(gateway.get("/aggregate").await.expect(200).part("a")["status"], "failed");
    assert_eq!(upstream.calls("/a"), 1);
    assert!(stopped(&gateway, "not_idempotent").await > 0.0);

    let (upstream, gateway) = with([Script::status(503), good()], &post("idempotent: true"));
    assert_eq!(gateway.get("/aggregate").await.expect(200).part("a")["status"], "ok");
    assert!(upstream.seen("/a").iter().all(|seen| seen.body == b"{\"a\":1}"), "the body is sent again");

    let (upstream, gateway) = with([Script::status(503), good()], &post("idempotency_key: { from: uuid }"));
    for _ in 0..2 {
        assert_eq!(gateway.get("/aggregate").await.expect(200).part("a")["status"], "ok");
    }
    let keys: Vec<_> =
        upstream.seen("/a").iter().map(|seen| seen.header("idempotency-key").unwrap().to_owned()).collect();
    assert_eq!((keys.len(), keys[0].len()), (3, 36));
    assert_eq!(keys[0], keys[1], "one call, one key");
    assert_ne!(keys[1], keys[2], "another call, another key");

    let (upstream, gateway) = with([good()], &post("idempotency_key: { from: hash, header: X-Once }"));
    for _ in 0..2 {
        gateway.get("/aggregate").await.expect(200);
    }
    let keys: Vec<_> = upstream.seen("/a").iter().map(|seen| seen.header("x-once").unwrap().to_owned()).collect();
    assert_eq!((keys[0].len(), &keys[0]), (64, &keys[1]), "equal calls, equal keys");
}

#[tokio::test]
async fn a_connection_that_was_refused_is_tried_again_whatever_the_method() {
    let (url, socket) = refusing();
    let gateway = Gateway::of(&[source("a", &url, &format!("method: POST\n{AT_ONCE}"))]);
    let part = gateway.get("/aggregate").await.expect(200).part("a");
    assert_eq!((&part["kind"], &part["attempts"]), (&json!("connect_error"), &json!(3)));
    drop(socket);
}

#[tokio::test]
async fn retry_after_is_waited_for() {
    let (upstream, gateway) = with([Script::status(429).header("retry-after", "1"), good()], AT_ONCE);
    assert_eq!(gateway.get("/aggregate").await.expect(200).part("a")["status"], "ok");
    let seen = upstream.seen("/a");
    assert!(seen[1].at - seen[0].at >= Duration::from_secs(1));
    let more = "cache: off\nretry: { retry_after: { respect: false }, backoff: { strategy: none } }";
    let (_upstream, gateway) = with([Script::status(429).header("retry-after", "3600"), good()], more);
    assert_eq!(gateway.get("/aggregate").await.expect(200).part("a")["status"], "ok");
}

#[tokio::test]
async fn all_calls_together_make_no_more_retries_than_the_budget_has_and_a_reload_keeps_it() {
    let document = |ratio: &str| {
        format!(
            "cache: off\nbreaker: off\nretry: {{ max_attempts: 2, backoff: {{ strategy: none }}, budget: {{ ratio: {ratio}, min_per_sec: 0.02, ttl: 100s }} }}"
        )
    };
    let (upstream, gateway) = with([Script::status(503)], &document("0"));
    for _ in 0..5 {
        gateway.get("/aggregate").await.expect(200);
    }
    assert_eq!(upstream.calls("/a"), 5 + 2, "two tokens without earning any");
    assert!((stopped(&gateway, "budget_exhausted").await - 3.0).abs() < f64::EPSILON);
    assert!(gateway.metric("aggd_retry_budget_balance", &[("source", "a")]).await.abs() < f64::EPSILON);

    gateway.save("sources.d/main.yaml", &source("a", &upstream.url("/a"), &document("1")));
    gateway.reload().await.expect(200);
    assert!(gateway.metric("aggd_retry_budget_balance", &[("source", "a")]).await.abs() < f64::EPSILON);
    gateway.get("/aggregate").await.expect(200);
    assert_eq!(upstream.calls("/a"), 7 + 2, "from now on each call earns a retry");

    let (upstream, gateway) =
        with([Script::status(503)], "cache: off\nbreaker: off\nretry: { budget: off, backoff: { strategy: none } }");
    for _ in 0..8 {
        gateway.get("/aggregate").await.expect(200);
    }
    assert_eq!(upstream.calls("/a"), 24, "without a budget nothing but `max_attempts` bounds them");
}

#[tokio::test]
async fn a_circuit_that_opens_between_attempts_ends_them_and_the_source_has_failed() {
    let more = "cache: off\nbreaker: { failure_threshold: 2 }\nretry: { max_attempts: 5, backoff: { strategy: none } }";
    let (upstream, gateway) = with([Script::status(500)], more);
    let reply = gateway.get("/aggregate").await.expect(200);
    assert_eq!((&reply.part("a")["kind"], &reply.part("a")["attempts"]), (&json!("server_error"), &json!(2)));
    assert_eq!(reply.json()["sources_failed"], json!(["a"]), "it was contacted");
    assert_eq!(upstream.calls("/a"), 2);
    assert!(stopped(&gateway, "breaker_open").await > 0.0);
    let skipped = gateway.get("/aggregate").await.expect(200);
    assert_eq!((&skipped.json()["sources_skipped"], upstream.calls("/a")), (&json!(["a"]), 2));
}

#[tokio::test]
async fn agg_08_the_timeout_bounds_all_attempts_together() {
    let more = "cache: off\ntimeout: 1s\nattempt_timeout: 300ms\nretry: { max_attempts: 10, backoff: { base: 10ms } }";
    let (upstream, gateway) = with([Script::hang()], more);
    let reply = gateway.get("/aggregate").await.expect(200);
    assert!(reply.took < Duration::from_millis(1500), "{:?}", reply.took);
    assert_eq!(reply.part("a")["kind"], "attempt_timeout");
    assert!((2..=4).contains(&upstream.calls("/a")), "{}", upstream.calls("/a"));
}

#[tokio::test]
async fn nothing_is_held_while_waiting_for_the_next_attempt() {
    let upstream = Upstream::with(&[("/a", Script::status(503)), ("/b", good())]);
    let patient = "cache: off\ntimeout: 30s\nretry: { backoff: { base: 5s, max: 5s, jitter: none } }";
    let documents = [source("a", &upstream.url("/a"), patient), source("b", &upstream.url("/b"), "cache: off")];
    let gateway = Setup::new().server("limits: { concurrency: 1 }").sources(&documents).start();
    let waiting = async { gateway.get("/aggregate?sources=a").await };
    let other = async {
        eventually(SOON, "the first attempt is over", async || upstream.calls("/a") == 1).await;
        let reply = gateway.get("/aggregate?sources=b").await.expect(200);
        assert_eq!(reply.part("b")["status"], "ok");
    };
    tokio::select! {
        reply = waiting => panic!("it did not wait: {}", reply.text()),
        () = other => {}
    }
    assert_eq!(upstream.calls("/a"), 1);
}

#[tokio::test]
async fn a_source_that_stands_in_for_another_makes_one_attempt() {
    let upstream = Upstream::with(&[("/a", Script::status(404)), ("/b", Script::status(503))]);
    let documents = [
        source("a", &upstream.url("/a"), "cache: off\nclassify: { failure: 404 }\nfallback: [{ source: b }]"),
        source("b", &upstream.url("/b"), AT_ONCE),
    ];
    upstream.on("/a", Script::status(500));
    let gateway = Gateway::of(&documents);
    gateway.get("/aggregate?sources=a").await.expect(200);
    assert_eq!(upstream.calls("/b"), 1);
    gateway.get("/aggregate?sources=b").await.expect(200);
    assert_eq!(upstream.calls("/b"), 4, "asked itself, it makes as many as it may");
}

#[tokio::test]
async fn raw_bytes_are_those_of_the_attempt_that_succeeded() {
    let more = format!("{AT_ONCE}classify: {{ retry: decode_error }}");
    let (_upstream, gateway) = with([Script::text("application/json", "{broken"), good()], &more);
    let reply = gateway.ask(Method::GET, "/aggregate/a?raw").send().await.expect(200);
    assert_eq!(reply.text(), "{\"v\":1}");
}

#[test]
fn explain_tells_each_attempt_its_delay_and_why_it_stopped() {
    let upstream = Upstream::with(&[("/a", Script::status(503))]);
    let more = "retry: { max_attempts: 2, backoff: { base: 7ms, jitter: none } }";
    let setup = Setup::new().sources(&[source("a", &upstream.url("/a"), more)]);
    setup.write();
    let output = aggd(setup.path(), &["get", "a", "--explain"]).expect(1);
    for line in
        ["retry: attempt 2 of 2 in 7ms, because of server_error", "retry: stops after 2 attempt(s): attempts_exhausted"]
    {
        assert!(output.err.contains(line), "{line}: {}", output.err);
    }
}

#[tokio::test]
async fn what_becomes_of_a_call_is_told_as_events() {
    let upstream = Upstream::start();
    upstream.on_each("/a", [Script::status(503), good(), Script::status(404)]);
    let sample = "events: { sample: { retry.attempt: 1, retry.success: 1, retry.exhausted: 1 } }";
    let documents = [source("a", &upstream.url("/a"), AT_ONCE)];
    let gateway = Setup::new().server(sample).sources(&documents).start();
    let mut told = Listening::to(&gateway, "retry.*").await;
    for _ in 0..2 {
        gateway.get("/aggregate").await.expect(200);
    }
    let told = told.take(3).await;
    let of = |place: usize| (told[place].event.as_str(), told[place].json["data"].clone());
    assert_eq!((of(0).0, &of(0).1["n"], &of(0).1["outcome"]), ("retry.attempt", &json!(1), &json!("server_error")));
    assert_eq!(of(1), ("retry.success", json!({ "attempts": 2 })));
    assert_eq!(of(2), ("retry.exhausted", json!({ "attempts": 1, "reason": "not_retryable" })));
}
