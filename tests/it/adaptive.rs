//! Limits that find themselves: what makes them move, seen from outside.

use std::time::Duration;

use serde_json::json;

use crate::harness::Gateway;
use crate::harness::Listening;
use crate::harness::Script;
use crate::harness::Upstream;
use crate::harness::eventually;
use crate::harness::source;

const SOON: Duration = Duration::from_secs(10);

fn adaptive(upstream: &Upstream, settings: &str) -> String {
    let more = format!("cache: off\nbreaker: off\naggregate: false\nadaptive_concurrency: {settings}");
    source("a", &upstream.url("/a"), &more)
}

async fn limit(gateway: &Gateway) -> f64 {
    gateway.metric("aggd_adaptive_limit", &[("source", "a")]).await
}

async fn changes(gateway: &Gateway, direction: &str) -> f64 {
    gateway.metric("aggd_adaptive_changes_total", &[("source", "a"), ("direction", direction)]).await
}

#[tokio::test]
async fn it_grows_while_it_is_used_and_not_while_it_is_idle() {
    let upstream = Upstream::with(&[("/a", Script::json(&json!(1)).after_ms(20))]);
    let gateway = Gateway::of(&[adaptive(&upstream, "{ initial: 2, max: 6, measurement_window: 10 }")]);
    let grown = async || {
        gateway.get_many("/aggregate/a", 20).await;
        limit(&gateway).await >= 4.0
    };
    eventually(SOON, "it grows", grown).await;
    assert!(changes(&gateway, "up").await >= 2.0 && changes(&gateway, "down").await.abs() < f64::EPSILON);
    let admitted = gateway.upstream("a").await["limits"]["limit"].as_u64().unwrap();
    assert!((4..=6).contains(&admitted) && upstream.peak("/a") <= 6, "{admitted}, {}", upstream.peak("/a"));
    let idle = Gateway::of(&[adaptive(&upstream, "{ initial: 6, measurement_window: 5 }")]);
    for _ in 0..20 {
        idle.get("/aggregate/a").await.expect(200);
    }
    assert!((limit(&idle).await - 6.0).abs() < f64::EPSILON, "one call at a time says nothing about seven");
}

#[tokio::test]
async fn each_algorithm_shrinks_when_calls_are_dropped_and_a_reload_keeps_the_limit() {
    for (settings, expected) in [
        ("algorithm: aimd, measurement_window: 3", 18.0),
        ("algorithm: gradient2, sample_window: { min: 1ms, min_samples: 3 }", 18.0),
        ("algorithm: vegas", 19.0),
    ] {
        let upstream = Upstream::with(&[("/a", Script::status(503))]);
        let gateway = Gateway::of(&[adaptive(&upstream, &format!("{{ {settings} }}"))]);
        let mut events = Listening::to(&gateway, "adaptive.*").await;
        let shrunk = async || {
            gateway.get("/aggregate/a").await.expect(502);
            changes(&gateway, "down").await >= 1.0
        };
        eventually(SOON, settings, shrunk).await;
        assert!((limit(&gateway).await - expected).abs() < 1e-6, "{settings}: {}", limit(&gateway).await);
        if expected < 19.0 {
            let told = events.next().await.json;
            assert_eq!((&told["type"], &told["source"]), (&json!("adaptive.limit_changed"), &json!("a")), "{told}");
            let data = &told["data"];
            assert_eq!(
                (&data["from"], &data["to"], &data["reason"]),
                (&json!(20), &json!(18), &json!("down")),
                "{told}"
            );
        }
        gateway.save("sources.d/main.yaml", &adaptive(&upstream, &format!("{{ {settings}, max: 100 }}")));
        gateway.reload().await.expect(200);
        assert!((limit(&gateway).await - expected).abs() < 1e-6, "{settings}: the limit is kept");
        gateway.save("sources.d/main.yaml", &adaptive(&upstream, &format!("{{ {settings}, max: 7, initial: 3 }}")));
        gateway.reload().await.expect(200);
        assert!((limit(&gateway).await - 7.0).abs() < 1e-6, "{settings}: within the new bounds");
        assert_eq!(gateway.upstream("a").await["limits"]["limit"], 7);
        let other = if settings.contains("vegas") { "aimd" } else { "vegas" };
        let changed = adaptive(&upstream, &format!("{{ algorithm: {other}, initial: 5 }}"));
        gateway.save("sources.d/main.yaml", &changed);
        gateway.reload().await.expect(200);
        assert!((limit(&gateway).await - 5.0).abs() < 1e-6, "{settings}: another algorithm begins anew");
    }
}

#[tokio::test]
async fn gradient2_and_vegas_tell_how_long_calls_take() {
    let upstream = Upstream::with(&[("/a", Script::json(&json!(1)).after_ms(30))]);
    for settings in [
        "{ algorithm: gradient2, initial: 2, sample_window: { min: 1ms, min_samples: 2 } }",
        "{ algorithm: vegas, initial: 2 }",
    ] {
        let gateway = Gateway::of(&[adaptive(&upstream, settings)]);
        let seen = async |kind| gateway.metric("aggd_adaptive_rtt_seconds", &[("source", "a"), ("kind", kind)]).await;
        let known = async || {
            gateway.get_many("/aggregate/a", 4).await;
            seen("short").await > 0.0 && seen("long").await > 0.0
        };
        eventually(SOON, settings, known).await;
        assert!(seen("short").await >= 0.03 && seen("long").await >= 0.03, "{settings}");
    }
}
