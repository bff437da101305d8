//! Deadlines: what a client's hurry does, and what it must not do (the DLP scenarios).

use std::time::Duration;

use http::Method;
use serde_json::json;

use crate::harness::Gateway;
use crate::harness::Reply;
use crate::harness::Script;
use crate::harness::Setup;
use crate::harness::Upstream;
use crate::harness::eventually;
use crate::harness::source;

const SOON: Duration = Duration::from_secs(5);

async fn hurried(gateway: &Gateway, path: &str, timeout: &str) -> Reply {
    gateway.ask(Method::GET, path).header("x-request-timeout", timeout).send().await
}

fn slow() -> Upstream {
    Upstream::with(&[("/a", Script::json(&json!({"v": 1})).after_ms(400))])
}

#[tokio::test]
async fn dlp_01_a_clients_deadline_is_never_evidence_against_the_upstream() {
    let upstream = slow();
    for more in ["cache: off\n", "cache: { coalesce: off }\n"] {
        let document = source("a", &upstream.url("/a"), &format!("{more}breaker: {{ failure_threshold: 2 }}"));
        let gateway = Gateway::of(&[document]);
        for _ in 0..6 {
            let reply = hurried(&gateway, "/aggregate", "0.08").await.expect(200);
            assert!(reply.took < Duration::from_millis(300), "{:?}", reply.took);
            assert_eq!(reply.part("a")["kind"], "deadline_exceeded", "{more}");
        }
        let single = hurried(&gateway, "/aggregate/a", "80ms").await;
        assert_eq!(single.problem(504, "upstream-timeout")["kind"], "deadline_exceeded");
        let state = gateway.upstream("a").await;
        assert_eq!((&state["circuit_state"], &state["consecutive_failures"]), (&json!("closed"), &json!(0)), "{more}");
        eventually(SOON, "the calls are cut", async || upstream.active() == 0).await;
    }
}

#[tokio::test]
async fn dlp_01b_the_flight_of_a_hurried_client_finishes_and_is_stored() {
    let upstream = slow();
    let gateway = Gateway::of(&[source("a", &upstream.url("/a"), "")]);
    let reply = hurried(&gateway, "/aggregate", "0.1").await.expect(200);
    assert_eq!(reply.part("a")["kind"], "deadline_exceeded");
    assert!(reply.took < Duration::from_millis(300), "{:?}", reply.took);
    eventually(SOON, "stored", async || gateway.health().await["cache"]["total_entries"] == 1).await;
    assert_eq!(gateway.get("/aggregate").await.expect(200).json()["cached"], true);
    assert_eq!((upstream.calls("/a"), upstream.left("/a")), (1, 0));
    assert!(gateway.upstream("a").await["last_success_ago_seconds"].is_number());
}

#[tokio::test]
async fn dlp_01c_with_on_abandon_cancel_the_last_one_to_leave_ends_the_flight() {
    let upstream = slow();
    let more = "cache: { coalesce: { on_abandon: cancel } }\nbreaker: { failure_threshold: 1 }";
    let gateway = Gateway::of(&[source("a", &upstream.url("/a"), more)]);
    hurried(&gateway, "/aggregate", "0.1").await.expect(200);
    eventually(SOON, "the call is cut", async || upstream.left("/a") == 1).await;
    let state = gateway.upstream("a").await;
    assert_eq!((&state["circuit_state"], &state["consecutive_failures"]), (&json!("closed"), &json!(0)));
    assert_eq!(gateway.health().await["cache"]["total_entries"], 0);
    for gauge in ["aggd_limiter_active", "aggd_flights"] {
        eventually(SOON, gauge, async || gateway.metric(gauge, &[]).await.abs() < f64::EPSILON).await;
    }
}

#[tokio::test]
async fn dlp_04_coa_02_one_waiters_hurry_is_not_the_others() {
    let upstream = slow();
    let gateway = Gateway::of(&[source("a", &upstream.url("/a"), "")]);
    let (hurried, patient) = tokio::join!(hurried(&gateway, "/aggregate", "100ms"), async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        gateway.get("/aggregate").await
    });
    assert_eq!(hurried.part("a")["kind"], "deadline_exceeded");
    assert!(hurried.took < Duration::from_millis(300), "{:?}", hurried.took);
    assert_eq!(patient.part("a")["data"], json!({"v": 1}));
    assert_eq!(upstream.calls("/a"), 1);
    assert_eq!(gateway.health().await["cache"]["total_entries"], 1);
}

#[tokio::test]
async fn dlp_05_a_trickling_body_is_cut_by_the_attempts_timer() {
    let upstream = Upstream::with(&[("/a", Script::text("application/json", &"1".repeat(600)).trickle_ms(100))]);
    let gateway = Gateway::of(&[source("a", &upstream.url("/a"), "attempt_timeout: 350ms\ncache: off")]);
    let reply = gateway.get("/aggregate").await.expect(200);
    assert_eq!(reply.part("a")["kind"], "attempt_timeout");
    assert!((340..800).contains(&reply.took.as_millis()), "{:?}", reply.took);
    assert_eq!(gateway.upstream("a").await["consecutive_failures"], 1);
}

#[tokio::test]
async fn a_deadline_that_leaves_no_time_is_refused_before_anything_is_called() {
    let upstream = slow();
    let gateway = Gateway::of(&[source("a", &upstream.url("/a"), "")]);
    for timeout in ["0", "0.005", "5ms", "0.001s"] {
        let reply = hurried(&gateway, "/aggregate", timeout).await;
        reply.problem(504, "deadline-exceeded");
        assert_eq!(reply.header("x-do-not-retry"), "1");
    }
    assert_eq!(upstream.total(), 0);
    let refused = gateway.metric("aggd_deadline_exceeded_total", &[("stage", "admission")]).await;
    assert!((refused - 4.0).abs() < f64::EPSILON, "{refused}");
}

#[tokio::test]
async fn a_deadline_that_is_no_number_is_ignored_and_counted() {
    let upstream = Upstream::with(&[("/a", Script::json(&json!(1)).after_ms(60))]);
    let gateway = Gateway::of(&[source("a", &upstream.url("/a"), "cache: off")]);
    let bad = ["-1", "NaN", "1e-3", "soon", "0x1", "1 s", "", ".5", "5.", "1h"];
    for timeout in bad {
        let reply = hurried(&gateway, "/aggregate", timeout).await.expect(200);
        assert_eq!(reply.part("a")["status"], "ok", "{timeout}");
    }
    let counted = gateway.metric("aggd_deadline_header_invalid_total", &[]).await;
    assert!((counted - 10.0).abs() < f64::EPSILON, "{counted}");
    for timeout in ["2", "2.5", "2000ms", "2s", "1m", "99999999999999999999"] {
        assert_eq!(hurried(&gateway, "/aggregate", timeout).await.expect(200).part("a")["status"], "ok", "{timeout}");
    }
}

#[tokio::test]
async fn the_operators_route_timeout_answers_with_what_has_arrived() {
    let upstream = slow();
    upstream.on("/b", Script::json(&json!(2)));
    let gateway = Gateway::of(&[
        source("a", &upstream.url("/a"), ""),
        source("b", &upstream.url("/b"), ""),
        "route: /quick\nsources: [a, b]\ntimeout: 150ms\n".to_owned(),
    ]);
    let reply = gateway.get("/quick").await.expect(200);
    assert!(reply.took < Duration::from_millis(350), "{:?}", reply.took);
    assert_eq!(reply.part("a")["kind"], "attempt_timeout");
    assert_eq!(reply.part("b")["data"], 2);
}

#[tokio::test]
async fn the_header_can_be_renamed_switched_off_and_is_clamped() {
    let upstream = slow();
    let document = || [source("a", &upstream.url("/a"), "cache: off")];
    let renamed = Setup::new().server("deadline: { header: X-Budget }").sources(&document()).start();
    let reply = renamed.ask(Method::GET, "/aggregate").header("x-budget", "0.1").send().await.expect(200);
    assert_eq!(reply.part("a")["kind"], "deadline_exceeded");
    assert_eq!(hurried(&renamed, "/aggregate", "0.1").await.expect(200).part("a")["status"], "ok");
    let off = Setup::new().server("deadline: { header: off }").sources(&document()).start();
    assert_eq!(hurried(&off, "/aggregate", "0.1").await.expect(200).part("a")["status"], "ok");
    let clamped = Setup::new().server("deadline: { max: 150ms }").sources(&document()).start();
    let reply = hurried(&clamped, "/aggregate", "30").await.expect(200);
    assert!(reply.took < Duration::from_millis(350), "{:?}", reply.took);
    assert_eq!(reply.part("a")["kind"], "attempt_timeout", "the operator's bound, not the client's");
}

#[tokio::test]
async fn only_places_that_were_granted_count_as_waited_for() {
    let upstream = Upstream::with(&[("/a", Script::hang()), ("/b", Script::json(&json!(1)))]);
    let sources =
        [source("a", &upstream.url("/a"), "timeout: 20s"), source("b", &upstream.url("/b"), "timeout: 150ms")];
    let gateway = Setup::new().server("limits: { concurrency: 1 }\n").sources(&sources).start();
    tokio::select! {
        _ = gateway.get("/aggregate/a") => panic!("it hangs"),
        () = async {
            eventually(SOON, "the one place is taken", async || upstream.active() == 1).await;
            assert_ne!(gateway.get("/aggregate/b").await.status, 200);
            let refused = async || gateway.metric("aggd_limiter_rejected_total", &[("limiter", "global")]).await;
            eventually(SOON, "`b` was refused", async || refused().await == 1.0).await;
            let waits = gateway.metric("aggd_queue_wait_seconds_count", &[("limiter", "global")]).await;
            assert_eq!(waits, 1.0, "the place of `a`; `b` got none");
        } => {}
    }
}
