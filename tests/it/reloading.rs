//! Hot reload: how changes are seen, what survives them, and what a broken file can't do (the HRL scenarios).

use std::time::Duration;

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
const MAIN: &str = "sources.d/main.yaml";
/// Reloads by order alone.
const BY_ORDER: &str = "reload: { watch: false, poll: off }";
/// The operating system tells, and nobody looks on his own.
const WATCHED: &str = "reload: { poll: off, debounce: 20ms }";
/// Somebody looks, and the operating system is not asked.
const POLLED: &str = "reload: { watch: false, poll: 100ms, debounce: 20ms }";

async fn applied(gateway: &Gateway) {
    assert_eq!(gateway.reload().await.expect(200).json()["result"], "applied");
}

async fn generation(gateway: &Gateway) -> u64 {
    gateway.health().await["config"]["generation"].as_u64().unwrap()
}

async fn last_reload(gateway: &Gateway) -> String {
    gateway.health().await["config"]["last_reload"].as_str().unwrap().to_owned()
}

async fn sources(gateway: &Gateway) -> Vec<String> {
    let health = gateway.health().await;
    health["upstreams"].as_object().unwrap().keys().cloned().collect()
}

fn one(name: &str, upstream: &Upstream, more: &str) -> String {
    source(name, &upstream.url("/a"), more)
}

fn upstream() -> Upstream {
    Upstream::with(&[("/a", Script::json(&json!({"v": 1, "w": 2})))])
}

#[tokio::test]
async fn hrl_01_a_flight_of_a_removed_source_is_served_and_not_stored() {
    let upstream = Upstream::with(&[("/a", Script::json(&json!(1)).after_ms(500)), ("/b", Script::json(&json!(2)))]);
    let kept = source("b", &upstream.url("/b"), "");
    let gateway = Setup::new().server(BY_ORDER).sources(&[one("a", &upstream, ""), kept.clone()]).start();
    let (reply, ()) = tokio::join!(gateway.get("/aggregate"), async {
        eventually(SOON, "called", async || upstream.calls("/a") == 1 && upstream.calls("/b") == 1).await;
        gateway.save(MAIN, &kept);
        applied(&gateway).await;
    });
    assert_eq!(reply.expect(200).part("a")["data"], 1);
    gateway.get("/aggregate/a").await.problem(404, "unknown-source");
    let cache = gateway.health().await["cache"].clone();
    assert_eq!(cache["total_entries"], 1, "only b's: {cache}");
    let metrics = gateway.get("/metrics").await.text();
    assert!(metrics.contains("source=\"b\"") && !metrics.contains("source=\"a\""), "its series end with it");
}

#[tokio::test]
async fn hrl_02_a_renamed_source_begins_anew() {
    let upstream = upstream();
    upstream.on("/a", Script::status(500));
    let more = "breaker: { failure_threshold: 1 }";
    let gateway = Setup::new().server(BY_ORDER).sources(&[one("a", &upstream, more)]).start();
    gateway.get("/aggregate").await.expect(200);
    assert_eq!(gateway.circuit("a").await, "open");
    gateway.save(MAIN, &one("renamed", &upstream, more));
    applied(&gateway).await;
    assert_eq!(sources(&gateway).await, ["renamed"]);
    assert_eq!(gateway.circuit("renamed").await, "closed");
}

#[tokio::test]
async fn hrl_03_a_shorter_ttl_holds_for_entries_that_are_there() {
    let upstream = upstream();
    let gateway = Setup::new().server(BY_ORDER).sources(&[one("a", &upstream, "cache: { ttl: 60s }")]).start();
    gateway.get("/aggregate").await.expect(200);
    assert_eq!(gateway.get("/aggregate").await.json()["cached"], true);
    tokio::time::sleep(Duration::from_millis(150)).await;
    gateway.save(MAIN, &one("a", &upstream, "cache: { ttl: 100ms }"));
    applied(&gateway).await;
    assert_eq!(gateway.get("/aggregate").await.json()["cached"], false);
    // And a longer one too: nothing was thrown away.
    gateway.save(MAIN, &one("a", &upstream, "cache: { ttl: 60s }"));
    applied(&gateway).await;
    assert_eq!(gateway.get("/aggregate").await.json()["cached"], true);
    assert_eq!(upstream.calls("/a"), 2);
}

#[tokio::test]
async fn hrl_04_data_of_another_projection_is_never_served() {
    let upstream = upstream();
    let gateway = Setup::new().server(BY_ORDER).sources(&[one("a", &upstream, "project: { x: $.v }")]).start();
    assert_eq!(gateway.get("/aggregate").await.part("a")["data"], json!({"x": 1}));
    upstream.on("/a", Script::json(&json!({"v": 1, "w": 2})).after_ms(300));
    gateway.save(MAIN, &one("a", &upstream, "project: { x: $.w }"));
    applied(&gateway).await;
    let calls = upstream.calls("/a");
    // A flight in the air when the projection changes again is not stored.
    let (reply, ()) = tokio::join!(gateway.get("/aggregate"), async {
        eventually(SOON, "called", async || upstream.calls("/a") == calls + 1).await;
        gateway.save(MAIN, &one("a", &upstream, "project: { y: $.w }"));
        applied(&gateway).await;
    });
    assert_eq!(reply.part("a")["data"], json!({"x": 2}));
    assert_eq!(gateway.health().await["cache"]["total_entries"], 0);
    assert_eq!(gateway.get("/aggregate").await.part("a")["data"], json!({"y": 2}));
}

#[tokio::test]
async fn hrl_05_another_host_is_another_circuit() {
    let (first, second) = (upstream(), upstream());
    first.on("/a", Script::status(500));
    let more = "breaker: { failure_threshold: 1 }";
    let gateway = Setup::new().server(BY_ORDER).sources(&[one("a", &first, more)]).start();
    gateway.get("/aggregate").await.expect(200);
    assert_eq!(gateway.circuit("a").await, "open");
    gateway.save(MAIN, &one("a", &second, more));
    applied(&gateway).await;
    assert_eq!(gateway.circuit("a").await, "closed");
    assert_eq!(gateway.get("/aggregate").await.part("a")["status"], "ok");
    assert_eq!((first.total(), second.total()), (1, 1));
}

#[tokio::test]
async fn hrl_06_a_broken_configuration_changes_nothing_and_everyone_can_see_it() {
    let upstream = upstream();
    upstream.on("/b", Script::status(500));
    let good = [one("a", &upstream, ""), source("b", &upstream.url("/b"), "breaker: { failure_threshold: 1 }")];
    let gateway = Setup::new().server(BY_ORDER).sources(&good).start();
    gateway.get("/aggregate").await.expect(200);
    let digest = gateway.health().await["config"]["digest"].clone();
    gateway.save(MAIN, &format!("{}---\n{}timeoutt: 1s\n", one("new", &upstream, ""), one("a", &upstream, "")));
    gateway.reload().await.problem(422, "configuration-rejected");
    let health = gateway.health().await;
    assert_eq!((&health["status"], &health["config"]["last_reload"]), (&json!("degraded"), &json!("rejected")));
    assert_eq!((&health["config"]["generation"], &health["config"]["digest"]), (&json!(1), &digest));
    assert!(health["config"]["findings"].as_u64().unwrap() > 0);
    assert_eq!(sources(&gateway).await, ["a", "b"]);
    let body = gateway.get("/aggregate").await.expect(200).json();
    assert_eq!((&body["cached"], names(&body["sources_skipped"])), (&json!(true), vec!["b"]));
    assert!(gateway.log().contains("timeoutt") && gateway.log().contains("did you mean"), "{}", gateway.log());
    gateway.save(MAIN, &good.join("---\n"));
    gateway.reload().await.expect(200);
    assert_eq!((last_reload(&gateway).await.as_str(), generation(&gateway).await), ("applied", 1));
}

#[tokio::test]
async fn hrl_08_the_same_again_changes_nothing() {
    let upstream = upstream();
    let gateway = Setup::new().server(BY_ORDER).sources(&[one("a", &upstream, "")]).start();
    gateway.get("/aggregate").await.expect(200);
    for _ in 0..3 {
        assert_eq!(gateway.reload().await.expect(200).json()["result"], "unchanged");
    }
    gateway.save(MAIN, &format!("# a comment\n{}", one("a", &upstream, "")));
    let told = gateway.reload().await.expect(200).json();
    assert_eq!((&told["result"], &told["changes"]), (&json!("unchanged"), &json!([])));
    assert_eq!(generation(&gateway).await, 1);
    assert_eq!(gateway.get("/aggregate").await.json()["cached"], true);
}

#[tokio::test]
async fn hrl_09_a_breaker_switched_on_starts_closed_and_its_state_survives_other_changes() {
    let upstream = upstream();
    upstream.on("/a", Script::status(500));
    let gateway = Setup::new().server(BY_ORDER).sources(&[one("a", &upstream, "breaker: off")]).start();
    for _ in 0..7 {
        assert_eq!(gateway.get("/aggregate").await.part("a")["kind"], "server_error");
    }
    gateway.save(MAIN, &one("a", &upstream, "breaker: { failure_threshold: 2 }"));
    applied(&gateway).await;
    let state = gateway.upstream("a").await;
    assert_eq!((&state["circuit_state"], &state["consecutive_failures"]), (&json!("closed"), &json!(0)));
    gateway.get("/aggregate").await.expect(200);
    gateway.save(MAIN, &one("a", &upstream, "breaker: { failure_threshold: 2, recovery_timeout: 9s }\ntimeout: 1s"));
    applied(&gateway).await;
    assert_eq!(gateway.upstream("a").await["consecutive_failures"], 1);
    gateway.get("/aggregate").await.expect(200);
    assert_eq!(gateway.circuit("a").await, "open");
    gateway.save(MAIN, &one("a", &upstream, "breaker: { failure_threshold: 2, recovery_timeout: 100s }"));
    applied(&gateway).await;
    let state = gateway.upstream("a").await;
    assert_eq!(state["circuit_state"], "open");
    assert!(state["recovers_in_seconds"].as_f64().unwrap() > 90.0, "the period is computed anew: {state}");
}

#[tokio::test]
async fn a_saved_file_is_seen_however_it_is_saved() {
    let upstream = upstream();
    for set in [WATCHED, POLLED] {
        let gateway = Setup::new().server(set).sources(&[one("a", &upstream, "")]).start();
        let becomes = async |names: &[&str]| {
            eventually(SOON, &format!("{set}: {names:?}"), async || sources(&gateway).await == names).await;
        };
        gateway.save(MAIN, &one("b", &upstream, ""));
        becomes(&["b"]).await;
        gateway.replace(MAIN, &one("c", &upstream, ""));
        becomes(&["c"]).await;
        gateway.save("sources.d/more.yml", &one("d", &upstream, ""));
        becomes(&["c", "d"]).await;
        std::fs::rename(gateway.path().join("sources.d/more.yml"), gateway.path().join("sources.d/more.yml~")).unwrap();
        becomes(&["c"]).await;
        gateway.save("sources.d/.hidden.yaml", &one("e", &upstream, ""));
        std::fs::remove_file(gateway.path().join(MAIN)).unwrap();
        becomes(&[]).await;
    }
}

#[tokio::test]
async fn a_swapped_configmap_is_seen() {
    let upstream = upstream();
    let setup = Setup::new().server(WATCHED);
    // As Kubernetes lays it out: files are links through `..data`, and that link is replaced.
    let folder = setup.path().join("sources.d");
    for (version, name) in [("..one", "a"), ("..two", "b")] {
        std::fs::create_dir(folder.join(version)).unwrap();
        std::fs::write(folder.join(version).join("main.yaml"), one(name, &upstream, "")).unwrap();
    }
    std::os::unix::fs::symlink("..one", folder.join("..data")).unwrap();
    std::os::unix::fs::symlink("..data/main.yaml", folder.join("main.yaml")).unwrap();
    let gateway = setup.start();
    assert_eq!(sources(&gateway).await, ["a"]);
    std::os::unix::fs::symlink("..two", folder.join("..data_tmp")).unwrap();
    std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    eventually(SOON, "swapped", async || sources(&gateway).await == ["b"]).await;
}

#[tokio::test]
async fn sighup_reloads_and_a_file_that_a_value_is_read_from_counts_as_configuration() {
    let upstream = upstream();
    let setup = Setup::new().server(BY_ORDER);
    let secret = setup.path().join("secrets/token");
    let document = one("a", &upstream, &format!("cache: off\nauth: {{ bearer: \"${{file:{}}}\" }}", secret.display()));
    let gateway = setup.file("secrets/token", "first\n").sources(&[document]).start();
    gateway.get("/aggregate").await.expect(200);
    assert_eq!(upstream.last("/a").header("authorization"), Some("Bearer first"));
    gateway.save("secrets/token", "second\n");
    gateway.signal("HUP");
    eventually(SOON, "reloaded", async || generation(&gateway).await == 2).await;
    gateway.get("/aggregate").await.expect(200);
    assert_eq!(upstream.last("/a").header("authorization"), Some("Bearer second"));
}

#[tokio::test]
async fn a_secret_file_is_watched() {
    let upstream = upstream();
    let setup = Setup::new().server(WATCHED);
    let secret = setup.path().join("secrets/token");
    let document = one("a", &upstream, &format!("cache: off\nauth: {{ bearer: \"${{file:{}}}\" }}", secret.display()));
    let gateway = setup.file("secrets/token", "first").sources(&[document]).start();
    gateway.save("secrets/token", "second");
    eventually(SOON, "the new token is sent", async || {
        gateway.get("/aggregate").await.expect(200);
        upstream.last("/a").header("authorization") == Some("Bearer second")
    })
    .await;
}

#[tokio::test]
async fn a_vanished_folder_is_refused_and_its_return_is_seen() {
    let upstream = upstream();
    for set in
        ["reload: { poll: 100ms, debounce: 20ms }", "reload: { poll: 100ms, debounce: 20ms }\nsources: sources.d"]
    {
        let gateway = Setup::new().server(set).sources(&[one("a", &upstream, "")]).start();
        let folder = gateway.path().join("sources.d");
        std::fs::rename(&folder, gateway.path().join("away")).unwrap();
        eventually(SOON, &format!("{set}: rejected"), async || last_reload(&gateway).await == "rejected").await;
        assert_eq!(sources(&gateway).await, ["a"], "the last good one serves");
        gateway.get("/aggregate").await.expect(200);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("main.yaml"), one("b", &upstream, "")).unwrap();
        eventually(SOON, "it is back", async || sources(&gateway).await == ["b"]).await;
        gateway.save(MAIN, &one("c", &upstream, ""));
        eventually(SOON, "and watched", async || sources(&gateway).await == ["c"]).await;
    }
}

#[tokio::test]
async fn a_torn_write_is_never_half_applied() {
    let upstream = upstream();
    let gateway =
        Setup::new().server("reload: { poll: 50ms, debounce: 10ms }").sources(&[one("a", &upstream, "")]).start();
    let whole = format!("{}---\n{}", one("a", &upstream, ""), one("b", &upstream, "timeout: 2s"));
    for end in (0..whole.len()).step_by(7) {
        gateway.save(MAIN, &whole[..end]);
        tokio::time::sleep(Duration::from_millis(15)).await;
        gateway.get("/livez").await.expect(200);
    }
    gateway.save(MAIN, &whole);
    let is_whole = async || gateway.get("/admin/config").await.expect(200).text().contains(r#""timeout":"2s""#);
    eventually(SOON, "applied whole", async || is_whole().await && last_reload(&gateway).await == "applied").await;
    assert_eq!(sources(&gateway).await, ["a", "b"]);
}

#[tokio::test]
async fn quarantine_keeps_the_last_good_version_and_applies_the_rest() {
    let upstream = upstream();
    let broken = format!("{}nonsense: 1\n", one("broken", &upstream, ""));
    let set = "reload: { watch: false, poll: off, on_invalid: quarantine }";
    let setup = Setup::new().server(set).file("sources.d/one.yaml", &one("a", &upstream, "project: { x: $.v }"));
    let gateway = setup.file("sources.d/two.yaml", &one("b", &upstream, "")).start();
    gateway.save("sources.d/one.yaml", &one("a", &upstream, "project: { x: $.w }\nnonsense: 1"));
    gateway.save(
        "sources.d/two.yaml",
        &format!("{}---\n{}", one("b", &upstream, "project: { y: $.w }"), one("c", &upstream, "")),
    );
    assert_eq!(gateway.reload().await.expect(200).json()["result"], "quarantined");
    let reply = gateway.get("/aggregate").await.expect(200);
    assert_eq!((&reply.part("a")["data"], &reply.part("b")["data"]), (&json!({"x": 1}), &json!({"y": 2})));
    assert_eq!(sources(&gateway).await, ["a", "b", "c"]);
    let health = gateway.health().await;
    assert_eq!((&health["status"], &health["config"]["last_reload"]), (&json!("degraded"), &json!("quarantined")));
    gateway.save("sources.d/one.yaml", &one("a", &upstream, "project: { x: $.w }"));
    assert_eq!(gateway.reload().await.expect(200).json()["result"], "applied");
    assert_eq!(gateway.get("/aggregate").await.part("a")["data"], json!({"x": 2}));
    let at_start = Setup::new().server(set).sources(&[broken, one("fine", &upstream, "")]).start();
    assert_eq!(sources(&at_start).await, ["fine"], "at start a broken document is left out");
    assert_eq!(last_reload(&at_start).await, "quarantined");
}

#[tokio::test]
async fn what_needs_a_restart_is_said_and_the_rest_is_applied() {
    let upstream = upstream();
    let gateway = Setup::new().server(BY_ORDER).sources(&[one("a", &upstream, "cache: off")]).start();
    let server = "listen: 127.0.0.1:1\ndatabase: sqlite://other.db\nlimits: { concurrency: 7, max_connections: 5 }\n";
    gateway.save("aggd.yaml", &format!("{server}admin: {{ listen: 127.0.0.1:2 }}\n{BY_ORDER}\n"));
    let told = gateway.reload().await.expect(200).json();
    let changes = told["changes"].to_string();
    for name in ["`listen`", "`database`", "`limits.max_connections`", "`admin.listen`"] {
        assert!(changes.contains(&format!("{name} changed: restart aggd")), "{name}: {changes}");
    }
    assert!((gateway.metric("aggd_limiter_limit", &[("limiter", "global")]).await - 7.0).abs() < f64::EPSILON);
    gateway.get("/aggregate").await.expect(200);
}

#[tokio::test]
async fn fifty_reloads_under_load_fail_no_request() {
    let upstream = Upstream::start();
    let documents = abc(&upstream, "cache: off");
    let gateway = Setup::new().server(BY_ORDER).sources(&documents).start();
    let done = std::sync::atomic::AtomicBool::new(false);
    let load = async {
        let mut count = 0;
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            for reply in gateway.get_many("/aggregate", 4).await {
                let reply = reply.expect(200);
                assert_eq!(names(&reply.json()["sources_succeeded"]), ["a", "b", "c"]);
                count += 1;
            }
        }
        count
    };
    let reloads = async {
        for round in 0..50 {
            gateway.save(MAIN, &format!("{}timeout: {}s\n", documents.join("---\n"), 1 + round % 9));
            gateway.reload().await.expect(200);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let (count, ()) = tokio::join!(load, reloads);
    assert!(count > 50, "{count}");
    assert_eq!(generation(&gateway).await, 51);
    assert!(gateway.metric("aggd_limiter_active", &[]).await.abs() < f64::EPSILON);
}

#[tokio::test]
async fn a_log_beside_the_configuration_does_not_feed_itself() {
    let upstream = upstream();
    let set = "reload: { poll: off, debounce: 20ms }\ntelemetry: { level: trace }";
    let gateway = Setup::new().server(set).sources(&[one("a", &upstream, "")]).log_inside().start();
    for round in 0..3 {
        gateway.get("/aggregate").await.expect(200);
        gateway.save(MAIN, &one("a", &upstream, &format!("timeout: {}s", 2 + round)));
        assert!(gateway.reload().await.expect(200).took < SOON);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let size = std::fs::metadata(gateway.path().join("log")).unwrap().len();
    assert!(size < 2_000_000, "{size} bytes of log about its own log");
}

#[tokio::test]
async fn a_thousand_changes_in_a_moment_end_with_the_last_one_in_force() {
    let upstream = upstream();
    let gateway =
        Setup::new().server("reload: { poll: 200ms, debounce: 20ms }").sources(&[one("a", &upstream, "")]).start();
    for round in 0..1000 {
        gateway.save(MAIN, &one("a", &upstream, &format!("timeout: {}ms", 1000 + round)));
    }
    let is_last = async || gateway.get("/admin/config").await.expect(200).text().contains(r#""timeout":"1999ms""#);
    eventually(SOON, "the last one", is_last).await;
    assert_eq!(last_reload(&gateway).await, "applied");
}
