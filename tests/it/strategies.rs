//! Endpoints, strategies and hedging: where calls go, and who wins.

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

const SOON: Duration = Duration::from_secs(10);

fn good() -> Script {
    Script::json(&json!({"v": 1}))
}

/// A source `s` with the endpoints `a`, `b` and `c` at `/a`, `/b` and `/c`, which answer `{"v": 1}`.
fn replicas(upstream: &Upstream, more: &str) -> String {
    for path in ["/a", "/b", "/c"] {
        upstream.on(path, good());
    }
    let one = |id: &str| format!("  - {{ id: {id}, url: '{}' }}\n", upstream.url(&format!("/{id}")));
    format!("source: s\nendpoints:\n{}{}{}cache: off\n{more}\n", one("a"), one("b"), one("c"))
}

fn calls(upstream: &Upstream) -> [usize; 3] {
    ["/a", "/b", "/c"].map(|path| upstream.calls(path))
}

async fn ask(gateway: &Gateway, times: usize) {
    for _ in 0..times {
        assert_eq!(gateway.get("/aggregate").await.expect(200).part("s")["status"], "ok");
    }
}

async fn hedges(gateway: &Gateway, result: &str) -> f64 {
    gateway.metric("aggd_hedges_total", &[("source", "s"), ("result", result)]).await
}

#[tokio::test]
async fn single_calls_go_to_one_endpoint_by_the_order() {
    let upstream = Upstream::start();
    let gateway = Gateway::of(&[replicas(&upstream, "")]);
    ask(&gateway, 3).await;
    assert_eq!(calls(&upstream), [3, 0, 0], "declared");

    let upstream = Upstream::start();
    let gateway = Gateway::of(&[replicas(&upstream, "strategy: { order: round_robin }")]);
    ask(&gateway, 6).await;
    assert_eq!(calls(&upstream), [2, 2, 2]);

    let upstream = Upstream::start();
    let document = replicas(&upstream, "strategy: { order: round_robin }").replace("id: a,", "id: a, weight: 2,");
    let gateway = Gateway::of(&[document]);
    ask(&gateway, 8).await;
    assert_eq!(calls(&upstream), [4, 2, 2]);

    let upstream = Upstream::start();
    let gateway = Gateway::of(&[replicas(&upstream, "strategy: { order: random }")]);
    ask(&gateway, 60).await;
    assert!(calls(&upstream).iter().all(|count| *count > 0), "{:?}", calls(&upstream));
}

#[tokio::test]
async fn least_pending_passes_by_who_is_busy() {
    let upstream = Upstream::start();
    let gateway = Gateway::of(&[replicas(&upstream, "strategy: { order: least_pending }\ntimeout: 9s")]);
    for path in ["/a", "/b"] {
        upstream.on(path, Script::hang());
    }
    // Whoever is asked first hangs, until all that hang are busy.
    let busy = async { futures_util::future::join_all((0..3).map(|_| gateway.get("/aggregate"))).await };
    let meanwhile = async {
        eventually(SOON, "two are busy", async || upstream.active() == 2 && upstream.calls("/c") > 0).await;
        let before = upstream.calls("/c");
        ask(&gateway, 4).await;
        assert_eq!(upstream.calls("/c"), before + 4);
        assert_eq!((upstream.calls("/a"), upstream.calls("/b")), (1, 1));
    };
    tokio::select! {
        _ = busy => panic!("nobody hung"),
        () = meanwhile => {}
    }
}

#[tokio::test]
async fn sequential_goes_to_the_next_endpoint_without_waiting_and_past_those_that_are_open() {
    let upstream = Upstream::start();
    let more = "strategy: sequential\nretry: { max_attempts: 2, backoff: { base: 30s, max: 30s, jitter: none } }";
    let gateway = Gateway::of(&[replicas(&upstream, more)]);
    gateway.post("/admin/breakers/s/b", r#"{"action": "force_open"}"#).await.expect(200);
    upstream.on("/a", Script::status(503));
    ask(&gateway, 1).await;
    assert_eq!(calls(&upstream), [1, 0, 1], "no delay at another endpoint, and none for the one that is open");
    upstream.on("/c", Script::reset());
    let part = gateway.get("/aggregate").await.expect(200).part("s");
    let told = (&part["kind"], &part["attempts"], &part["endpoint"]);
    assert_eq!(told, (&json!("server_error"), &json!(2), &json!("a")));
    assert_eq!(gateway.get("/aggregate/s").await.problem(502, "upstream-failed")["endpoint"], "a");
}

#[tokio::test]
async fn a_delay_on_failover_is_waited_for_where_it_is_asked_for() {
    let upstream = Upstream::start();
    let retry = "retry: { delay_on_failover: true, backoff: { strategy: constant, base: 300ms, jitter: none } }";
    let gateway = Gateway::of(&[replicas(&upstream, &format!("strategy: sequential\n{retry}"))]);
    upstream.on("/a", Script::status(503));
    let reply = gateway.get("/aggregate").await.expect(200);
    assert_eq!((&reply.part("s")["status"], calls(&upstream)), (&json!("ok"), [1, 1, 0]));
    assert!(reply.took >= Duration::from_millis(300), "{:?}", reply.took);
}

#[tokio::test]
async fn each_endpoint_has_its_circuit_and_the_source_is_as_well_as_the_best_of_them() {
    let upstream = Upstream::start();
    let gateway = Gateway::of(&[replicas(&upstream, "breaker: { failure_threshold: 1 }")]);
    upstream.on("/a", Script::status(500));
    upstream.on("/b", Script::status(500));
    for _ in 0..2 {
        assert_eq!(gateway.get("/aggregate").await.expect(200).part("s")["status"], "failed");
    }
    ask(&gateway, 1).await;
    assert_eq!(calls(&upstream), [1, 1, 1], "a single call passes by circuits that are open");
    let state = gateway.upstream("s").await;
    assert_eq!(state["circuit_state"], "closed");
    let each = ["a", "b", "c"].map(|id| state["endpoints"][id]["circuit_state"].clone());
    assert_eq!(each, [json!("open"), json!("open"), json!("closed")]);
    assert_eq!(gateway.health().await["status"], "degraded");
    for (endpoint, gauge) in [("a", 2.0), ("c", 0.0)] {
        let value = gateway.metric("aggd_breaker_state", &[("source", "s"), ("endpoint", endpoint)]).await;
        assert!((value - gauge).abs() < f64::EPSILON, "{endpoint}: {value}");
    }
    upstream.on("/c", Script::status(500));
    gateway.get("/aggregate").await.expect(200);
    let refused = gateway.get("/aggregate").await.expect(200);
    assert_eq!((&refused.json()["sources_skipped"], calls(&upstream)), (&json!(["s"]), [1, 1, 1 + 1]));
    assert_eq!(gateway.circuit("s").await, "open");

    let one = gateway.post("/admin/breakers/s/a", r#"{"action": "reset"}"#).await.expect(200).json();
    assert_eq!((&one["circuit_state"], &one["endpoints"]["b"]["circuit_state"]), (&json!("closed"), &json!("open")));
    gateway.post("/admin/breakers/s/x", r#"{"action": "reset"}"#).await.problem(404, "unknown-endpoint");
    let all = gateway.post("/admin/breakers/s", r#"{"action": "reset"}"#).await.expect(200).json();
    assert_eq!(all["endpoints"]["b"]["circuit_state"], "closed");
}

#[tokio::test]
async fn with_scope_source_all_endpoints_have_one_circuit() {
    let upstream = Upstream::start();
    let more = "breaker: { failure_threshold: 2, scope: source }\nstrategy: { order: round_robin }";
    let gateway = Gateway::of(&[replicas(&upstream, more)]);
    for path in ["/a", "/b", "/c"] {
        upstream.on(path, Script::status(500));
    }
    for _ in 0..3 {
        gateway.get("/aggregate").await.expect(200);
    }
    assert_eq!(calls(&upstream), [1, 1, 0], "the third is refused");
    let state = gateway.upstream("s").await;
    assert_eq!((&state["circuit_state"], &state["endpoints"]), (&json!("open"), &json!(null)));
    assert!((gateway.metric("aggd_breaker_state", &[("endpoint", "*")]).await - 2.0).abs() < f64::EPSILON);
    gateway.post("/admin/breakers/s/a", r#"{"action": "reset"}"#).await.problem(404, "unknown-endpoint");
}

#[tokio::test]
async fn a_reload_finds_circuits_by_the_names_of_endpoints() {
    let upstream = Upstream::start();
    let document = replicas(&upstream, "");
    let gateway = Gateway::of(std::slice::from_ref(&document));
    for endpoint in ["a", "b"] {
        gateway.post(&format!("/admin/breakers/s/{endpoint}"), r#"{"action": "force_open"}"#).await.expect(200);
    }
    // The order changes, `a` moves to another place, `b` is another one now.
    let changed = document.replace("id: b,", "id: d,").replace("id: a,", "id: x,").replace("id: c,", "id: a,");
    gateway.save("sources.d/main.yaml", &changed);
    gateway.reload().await.expect(200);
    let state = gateway.upstream("s").await;
    let each = ["x", "d", "a"].map(|id| state["endpoints"][id]["circuit_state"].clone());
    assert_eq!(each, [json!("closed"), json!("closed"), json!("forced_open")]);
}

/// Hedged after 50 ms; each call earns a hedge.
const HEDGED: &str = "strategy: { type: hedged, hedge: { delay: 50ms, max_extra_load: 1.0 } }\ntimeout: 8s\n";

#[tokio::test]
async fn a_hedge_wins_and_the_loser_is_cut_neutrally() {
    let upstream = Upstream::start();
    let sample = "events: { sample: { hedge.launched: 1, hedge.won: 1 } }";
    let gateway = Setup::new().server(sample).sources(&[replicas(&upstream, HEDGED)]).start();
    let mut told = Listening::to(&gateway, "hedge.*").await;
    upstream.on("/a", Script::hang());
    let reply = gateway.get("/aggregate").await.expect(200);
    assert_eq!(reply.part("s")["status"], "ok");
    assert!(reply.took < Duration::from_secs(5), "{:?}", reply.took);
    assert_eq!(calls(&upstream), [1, 1, 0]);
    eventually(SOON, "the loser is cut", async || upstream.left("/a") == 1 && upstream.active() == 0).await;
    assert!((hedges(&gateway, "won").await - 1.0).abs() < f64::EPSILON);
    let state = gateway.upstream("s").await;
    assert_eq!(state["endpoints"]["a"]["consecutive_failures"], 0, "having lost says nothing");
    for gauge in ["aggd_limiter_active", "aggd_limiter_waiting", "aggd_flights"] {
        eventually(SOON, gauge, async || gateway.metric(gauge, &[]).await.abs() < f64::EPSILON).await;
    }
    let told = told.take(2).await;
    assert_eq!([told[0].event.as_str(), told[1].event.as_str()], ["hedge.launched", "hedge.won"]);
}

#[tokio::test]
async fn a_fast_answer_is_not_hedged_and_one_for_good_wins_as_it_is() {
    let upstream = Upstream::start();
    let slow = HEDGED.replace("50ms", "7s");
    let gateway = Gateway::of(&[replicas(&upstream, &slow)]);
    ask(&gateway, 3).await;
    upstream.on("/a", Script::status(404));
    assert_eq!(gateway.get("/aggregate").await.expect(200).part("s")["kind"], "client_error");
    assert_eq!(calls(&upstream), [4, 0, 0]);
    upstream.on("/a", Script::status(503));
    let reply = gateway.get("/aggregate").await.expect(200);
    assert_eq!((&reply.part("s")["status"], calls(&upstream)), (&json!("ok"), [5, 1, 0]));
    assert!(reply.took < Duration::from_secs(5), "a failure launches the next at once: {:?}", reply.took);
}

#[tokio::test]
async fn when_all_attempts_fail_the_most_telling_failure_is_told() {
    let upstream = Upstream::start();
    let three = HEDGED.replace("delay: 50ms", "delay: 7s, max_attempts: 3");
    let gateway = Gateway::of(&[replicas(&upstream, &format!("{three}retry: {{ budget: off }}"))]);
    upstream.on("/a", Script::reset());
    upstream.on("/b", Script::status(503));
    upstream.on("/c", Script::reset());
    // The first call earns one hedge, the second too.
    let parts =
        [gateway.get("/aggregate").await.expect(200).part("s"), gateway.get("/aggregate").await.expect(200).part("s")];
    assert_eq!((&parts[0]["kind"], &parts[0]["attempts"]), (&json!("server_error"), &json!(2)));
    assert_eq!((&parts[0]["endpoint"], &parts[1]["endpoint"]), (&json!("b"), &json!("b")));
}

#[tokio::test]
async fn hedges_are_suppressed_where_something_speaks_against_them() {
    let post = format!("{HEDGED}method: POST\n");
    let unearned = HEDGED.replace("max_extra_load: 1.0", "max_extra_load: 0.0");
    let full = format!("{HEDGED}bulkhead: {{ max_concurrent: 1 }}\n");
    for (more, reason) in [(&post, "not_idempotent"), (&unearned, "budget_exhausted"), (&full, "local_limit")] {
        let upstream = Upstream::start();
        let sample = "events: { sample: { hedge.suppressed: 1 } }";
        let gateway = Setup::new().server(sample).sources(&[replicas(&upstream, more)]).start();
        let mut told = Listening::to(&gateway, "hedge.*").await;
        upstream.on("/a", good().after_ms(600));
        ask(&gateway, 1).await;
        assert_eq!(calls(&upstream), [1, 0, 0], "{reason}");
        assert!((hedges(&gateway, "suppressed").await - 1.0).abs() < f64::EPSILON, "{reason}");
        assert_eq!(told.take(1).await[0].json["data"]["reason"], reason);
    }
    let upstream = Upstream::start();
    let gateway = Gateway::of(&[replicas(&upstream, HEDGED)]);
    for endpoint in ["b", "c", "a"] {
        gateway.post(&format!("/admin/breakers/s/{endpoint}"), r#"{"action": "force_open", "ttl": "1ms"}"#).await;
    }
    eventually(SOON, "all are half open", async || {
        let state = gateway.upstream("s").await;
        ["a", "b", "c"].iter().all(|id| state["endpoints"][id]["circuit_state"] == "half_open")
    })
    .await;
    upstream.on("/a", good().after_ms(600));
    ask(&gateway, 1).await;
    assert_eq!(calls(&upstream), [1, 0, 0], "a hedge is never a probe");
}

#[tokio::test]
async fn a_request_of_low_priority_is_never_hedged() {
    let upstream = Upstream::start();
    let gateway = Gateway::of(&[replicas(&upstream, HEDGED)]);
    upstream.on("/a", good().after_ms(600));
    let low = gateway.ask(Method::GET, "/aggregate").header("x-request-priority", "low").send().await.expect(200);
    assert_eq!((&low.part("s")["status"], calls(&upstream)), (&json!("ok"), [1, 0, 0]));
    assert!((hedges(&gateway, "suppressed").await - 1.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn a_probe_that_loses_a_race_runs_to_its_end_and_closes_its_circuit() {
    let upstream = Upstream::start();
    let gateway = Gateway::of(&[replicas(&upstream, HEDGED)]);
    // A probe earns no hedge; this does.
    ask(&gateway, 1).await;
    gateway.post("/admin/breakers/s/a", r#"{"action": "force_open", "ttl": "1ms"}"#).await.expect(200);
    let state = async |id: &str| gateway.upstream("s").await["endpoints"][id]["circuit_state"].clone();
    eventually(SOON, "half open", async || state("a").await == "half_open").await;
    upstream.on("/a", good().after_ms(700));
    ask(&gateway, 1).await;
    assert_eq!(calls(&upstream), [2, 1, 0]);
    eventually(SOON, "the probe has told", async || state("a").await == "closed").await;
    assert_eq!(upstream.left("/a"), 0);
}

#[tokio::test]
async fn con_07_and_08_hedges_that_find_no_place_wait_for_none() {
    let upstream = Upstream::start();
    let three = HEDGED.replace("delay: 50ms", "delay: 0s, max_attempts: 3");
    let documents = [replicas(&upstream, &three)];
    let gateway = Setup::new().server("limits: { concurrency: 1 }").sources(&documents).start();
    for path in ["/a", "/b", "/c"] {
        upstream.on(path, good().after_ms(20));
    }
    let replies = gateway.get_many("/aggregate", 12).await;
    assert!(replies.iter().all(|reply| reply.part("s")["status"] == "ok"), "{:?}", replies[0].text());
    eventually(SOON, "nothing is held", async || gateway.metric("aggd_limiter_active", &[]).await.abs() < f64::EPSILON)
        .await;
}

#[tokio::test]
async fn a_client_that_leaves_a_race_leaves_nothing_behind() {
    let upstream = Upstream::start();
    let gateway = Gateway::of(&[replicas(&upstream, HEDGED)]);
    for path in ["/a", "/b"] {
        upstream.on(path, Script::hang());
    }
    let both = eventually(SOON, "both are asked", async || upstream.active() == 2);
    tokio::select! {
        _ = gateway.get("/aggregate") => panic!("nobody answered"),
        () = both => {}
    }
    eventually(SOON, "both are cut", async || upstream.left("/a") == 1 && upstream.left("/b") == 1).await;
    assert_eq!(gateway.upstream("s").await["consecutive_failures"], 0);
}

#[tokio::test]
async fn a_percentile_delay_comes_from_the_calls_seen() {
    let upstream = Upstream::start();
    let hedge = "delay: p90, min_samples: 5, delay_fallback: 1400ms, delay_bounds: [30ms, 900ms]";
    let gateway = Gateway::of(&[replicas(&upstream, &format!("strategy: {{ type: hedged, hedge: {{ {hedge} }} }}"))]);
    let delay = async || gateway.metric("aggd_hedge_delay_seconds", &[("source", "s")]).await;
    assert!((delay().await - 1.4).abs() < f64::EPSILON, "nothing is known yet");
    ask(&gateway, 8).await;
    eventually(SOON, "known, and within its bounds", async || delay().await < 1.0).await;
}

#[tokio::test]
async fn dlp_03_the_attempt_and_the_priority_are_told_to_who_is_trusted_with_it() {
    let upstream = Upstream::start();
    upstream.on_each("/a", [Script::status(503).after_ms(150), good()]);
    let url = upstream.url("/a");
    let document = format!(
        "source: s\nurl: {url}\ncache: off\ntimeout: 1s\npropagate: [deadline, priority]\nretry: {{ backoff: {{ strategy: constant, base: 100ms, jitter: none }} }}\n"
    );
    let gateway = Gateway::of(&[document]);
    ask(&gateway, 1).await;
    let seen = upstream.seen("/a");
    let told: Vec<f64> = seen.iter().map(|seen| seen.header("x-request-timeout").unwrap().parse().unwrap()).collect();
    assert!(told[0] > 0.5 && told[0] <= 1.0, "{told:?}");
    assert!(told[1] <= told[0] - 0.25, "what is left, not what there was: {told:?}");
    assert_eq!(seen[0].header("x-request-priority"), Some("normal"));
    assert_eq!(seen[0].header("x-request-timeout").unwrap().split_once('.').unwrap().1.len(), 3, "milliseconds");
}

#[tokio::test]
async fn str_11_with_an_even_split_each_attempt_has_its_share_of_the_time() {
    let upstream = Upstream::with(&[("/a", Script::hang())]);
    let url = upstream.url("/a");
    let document = format!(
        "source: s\nurl: {url}\ncache: off\ntimeout: 900ms\ndeadline_split: even\nretry: {{ backoff: {{ strategy: none }} }}\n"
    );
    let gateway = Gateway::of(&[document]);
    let reply = gateway.get("/aggregate").await.expect(200);
    assert_eq!((&reply.part("s")["attempts"], upstream.calls("/a")), (&json!(3), 3));
    assert!(reply.took < Duration::from_millis(1500), "{:?}", reply.took);
    let timeouts = gateway.metric("aggd_attempt_timeout_total", &[("source", "s")]).await;
    assert!((timeouts - 3.0).abs() < f64::EPSILON, "{timeouts}");
}

#[tokio::test]
async fn with_less_than_the_least_budget_nothing_is_sent() {
    let upstream = Upstream::with(&[("/a", good())]);
    let url = upstream.url("/a");
    let document = format!("source: s\nurl: {url}\ncache: off\nmin_attempt_budget: 2s\n");
    let gateway = Gateway::of(&[document]);
    let hurried = gateway.ask(Method::GET, "/aggregate").header("x-request-timeout", "1s").send().await.expect(200);
    assert_eq!(hurried.part("s")["kind"], "deadline_exceeded");
    assert_eq!(upstream.calls("/a"), 0);
    ask(&gateway, 1).await;
}

#[test]
fn explain_tells_of_hedges() {
    let upstream = Upstream::start();
    let setup = Setup::new().sources(&[replicas(&upstream, HEDGED)]);
    upstream.on("/a", good().after_ms(3000));
    setup.write();
    let output = aggd(setup.path(), &["get", "s", "--explain"]).expect(0);
    assert!(output.err.contains("hedge: attempt 2 of 2, at b, after "), "{}", output.err);
}
