//! Load shedding: who is turned away when the server, or a route, has enough to do; who is not; and what a request holds
//! until when.

use std::time::Duration;

use http::Method;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::harness::Gateway;
use crate::harness::Reply;
use crate::harness::Script;
use crate::harness::Setup;
use crate::harness::Upstream;
use crate::harness::eventually;
use crate::harness::source;

const SOON: Duration = Duration::from_secs(30);
/// Nothing is ever so little used: any use of memory is far above it.
const PRESSED: &str =
    "signals: { memory: { high: 0.000001, critical: 0.000002 } }, sample_interval: 20ms, ewma_alpha: 1";
const HIGH: &str = "signals: { memory: { high: 0.000001, critical: 1 } }, sample_interval: 20ms, ewma_alpha: 1";

/// A refusal for lack of room.
trait Refusal {
    fn turned_away(&self, status: u16) -> serde_json::Value;
}

impl Refusal for Reply {
    #[track_caller]
    fn turned_away(&self, status: u16) -> serde_json::Value {
        assert_eq!(self.status, status, "{}", self.text());
        let problem = self.json();
        let kind = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";
        assert_eq!((&problem["type"], &problem["instance"]), (&json!(kind), &json!(self.header("x-request-id"))));
        problem
    }
}

/// An upstream whose `/slow` hangs and whose `/fast` answers, and the sources of both, uncached.
fn slow_and_fast() -> (Upstream, Vec<String>) {
    let upstream = Upstream::with(&[("/slow", Script::hang()), ("/fast", Script::json(&json!({"v": 1})))]);
    let of = |name: &str| source(name, &upstream.url(&format!("/{name}")), "cache: off\ntimeout: 40s");
    let documents = ["slow", "fast"].map(of).to_vec();
    (upstream, documents)
}

/// A request that goes on until it is aborted.
fn begin(gateway: &Gateway, path: &str) -> JoinHandle<Result<Reply, String>> {
    tokio::spawn(gateway.ask(Method::GET, path).try_send())
}

async fn in_flight(gateway: &Gateway) -> u32 {
    gateway.metric("aggd_in_flight", &[]).await as u32
}

async fn held(gateway: &Gateway, count: u32) {
    eventually(SOON, "so many in flight", async || in_flight(gateway).await == count).await;
}

fn in_flight_limit(documents: &[String], max: u32) -> Gateway {
    Setup::new().server(&format!("load_shedding: {{ max_in_flight: {max} }}")).sources(documents).start()
}

#[tokio::test]
async fn lsh_02_13_a_full_server_turns_away_what_is_normal_and_still_answers_its_operators() {
    let (_upstream, documents) = slow_and_fast();
    let gateway = in_flight_limit(&documents, 2);
    gateway.get("/aggregate/fast").await.expect(200);
    let slow = begin(&gateway, "/aggregate/slow");
    held(&gateway, 1).await;
    // 85% of two are one.
    for path in ["/aggregate/fast", "/aggregate"] {
        let refused = gateway.get(path).await;
        let problem = refused.turned_away(503);
        assert_eq!((&problem["reason"], &problem["priority"]), (&json!("in_flight"), &json!("normal")));
        let wait: u32 = refused.header("retry-after").parse().unwrap();
        assert!((1..=3).contains(&wait), "{wait}");
        assert_eq!(refused.header("x-do-not-retry"), "");
    }
    for path in ["/health", "/livez", "/readyz", "/metrics", "/admin/config"] {
        gateway.get(path).await.expect(200);
    }
    let load = gateway.health().await["load"].take();
    assert_eq!((&load["in_flight"], &load["max_in_flight"], &load["shed"]), (&json!(1), &json!(2), &json!(2)));
    let labels = [("reason", "in_flight"), ("priority", "normal")];
    assert!((gateway.metric("aggd_shed_total", &labels).await - 2.0).abs() < 1e-9);
    slow.abort();
    held(&gateway, 0).await;
    gateway.get("/aggregate/fast").await.expect(200);
}

#[tokio::test]
async fn an_exempt_route_is_never_turned_away_and_off_turns_nobody_away() {
    let (_upstream, mut documents) = slow_and_fast();
    documents.push("route: /vital/one\nsources: [fast]\n".to_owned());
    let setup = Setup::new().server("load_shedding: { max_in_flight: 1, exempt: [/vital] }");
    let gateway = setup.sources(&documents).start();
    let slow = begin(&gateway, "/aggregate/slow");
    held(&gateway, 1).await;
    gateway.get("/aggregate/fast").await.expect(503);
    gateway.get("/vital/one").await.expect(200);
    gateway.save("aggd.yaml", "listen: 127.0.0.1:0\ndatabase: off\nload_shedding: off\n");
    gateway.reload().await.expect(200);
    gateway.get("/aggregate/fast").await.expect(200);
    slow.abort();
    held(&gateway, 0).await;
}

#[tokio::test]
async fn a_progressive_answer_holds_its_place_to_the_last_piece() {
    let (_upstream, documents) = slow_and_fast();
    let gateway = in_flight_limit(&documents, 2);
    let mut stream = TcpStream::connect(&gateway.address).await.unwrap();
    let ask = "GET /aggregate HTTP/1.1\r\nhost: x\r\naccept: application/x-ndjson\r\n\r\n";
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut piece = [0; 4096];
    let length = stream.read(&mut piece).await.unwrap();
    assert!(piece[..length].starts_with(b"HTTP/1.1 200"), "{:?}", String::from_utf8_lossy(&piece[..length]));
    gateway.get("/aggregate/fast").await.expect(503);
    drop(stream);
    held(&gateway, 0).await;
}

#[tokio::test]
async fn an_answer_from_cache_holds_its_place_until_it_is_written() {
    let large = json!({ "text": "x".repeat(24 << 20) });
    let upstream = Upstream::with(&[("/large", Script::json(&large)), ("/fast", Script::json(&json!(1)))]);
    let kept = "timeout: 15s\nmax_response_bytes: 64MiB\ncache: { max_entry_bytes: 64MiB, ttl: 1h }";
    let documents =
        [source("large", &upstream.url("/large"), kept), source("fast", &upstream.url("/fast"), "aggregate: false")];
    let room = "load_shedding: { max_in_flight: 2 }\ncache: { max_bytes: 4GiB }";
    let gateway = Setup::new().server(room).sources(&documents).start();
    gateway.get("/aggregate").await.expect(200);
    held(&gateway, 0).await;
    let mut reader = TcpStream::connect(&gateway.address).await.unwrap();
    reader.write_all(b"GET /aggregate HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    // It reads the head and no more; what the kernel does not take is not written.
    reader.read_exact(&mut [0; 12]).await.unwrap();
    gateway.get("/aggregate/fast").await.expect(503);
    assert_eq!(in_flight(&gateway).await, 1);
    drop(reader);
    held(&gateway, 0).await;
    gateway.get("/aggregate/fast").await.expect(200);
}

#[tokio::test]
async fn con_15_idle_connections_hold_no_place() {
    let (_upstream, documents) = slow_and_fast();
    let gateway = in_flight_limit(&documents, 10);
    let mut idle = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(&gateway.address).await.unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        stream.read_exact(&mut [0; 12]).await.unwrap();
        idle.push(stream);
    }
    gateway.get("/aggregate/fast").await.expect(200);
    assert_eq!(in_flight(&gateway).await, 0);
}

#[tokio::test]
async fn a_route_refuses_in_its_own_words_and_leaves_the_others_alone() {
    let (_upstream, mut documents) = slow_and_fast();
    let limits = "load_shedding: { max_in_flight: 1, status: 429, message: one at a time, retry_after: 7s }";
    documents.push(format!("route: /narrow\nsources: [slow]\ntimeout: 15s\n{limits}\n"));
    documents.push("route: /wide\nsources: [fast]\n".to_owned());
    let gateway = Gateway::of(&documents);
    let slow = begin(&gateway, "/narrow");
    held(&gateway, 1).await;
    let refused = gateway.get("/narrow").await;
    let problem = refused.turned_away(429);
    assert_eq!((&problem["reason"], &problem["detail"]), (&json!("route_in_flight"), &json!("one at a time")));
    assert_eq!(refused.header("retry-after"), "7");
    gateway.get("/wide").await.expect(200);
    assert!((gateway.metric("aggd_route_in_flight", &[("route", "/narrow")]).await - 1.0).abs() < 1e-9);
    slow.abort();
    held(&gateway, 0).await;
}

#[tokio::test]
async fn a_routes_bulkhead_lets_so_many_in_and_so_many_wait() {
    let (upstream, mut documents) = slow_and_fast();
    let limits = "bulkhead: { max_concurrent: 1, max_waiting: 1, queue_timeout: 10s, retry_after: 2s }";
    documents.push(format!("route: /narrow\nsources: [slow]\ntimeout: 15s\n{limits}\n"));
    let gateway = Gateway::of(&documents);
    let first = begin(&gateway, "/narrow");
    eventually(SOON, "the first call", async || upstream.active() == 1).await;
    let second = begin(&gateway, "/narrow");
    let of_route = [("limiter", "route:/narrow")];
    eventually(SOON, "one waits", async || gateway.metric("aggd_limiter_waiting", &of_route).await > 0.5).await;
    assert_eq!(in_flight(&gateway).await, 1, "who waits for a route holds no place of the server");
    let refused = gateway.get("/narrow").await;
    assert_eq!(refused.turned_away(503)["reason"], "route_bulkhead");
    assert_eq!(refused.header("retry-after"), "2");
    let told = gateway.metric("aggd_events_total", &[("type", "bulkhead.rejected")]).await;
    assert!((told - 1.0).abs() < f64::EPSILON, "{told}");
    let waited = gateway.metric("aggd_queue_wait_seconds_count", &of_route).await;
    assert!((waited - 1.0).abs() < f64::EPSILON, "{waited}: who got no place has not waited for one");
    upstream.on("/slow", Script::json(&json!(1)));
    first.abort();
    second.await.unwrap().unwrap().expect(200);
    held(&gateway, 0).await;
    // A reload keeps those who are in, and counts them against the new limit.
    upstream.on("/slow", Script::hang());
    let third = begin(&gateway, "/narrow");
    held(&gateway, 1).await;
    let wider = "bulkhead: { max_concurrent: 1, max_waiting: 0 }";
    let last = documents.pop().unwrap().replace(limits, wider);
    documents.push(last);
    gateway.save("sources.d/main.yaml", &documents.join("---\n"));
    gateway.reload().await.expect(200);
    gateway.get("/narrow").await.turned_away(503);
    third.abort();
}

#[tokio::test]
async fn who_finds_the_server_full_may_wait_its_turn_but_not_for_ever() {
    let (upstream, documents) = slow_and_fast();
    let queue = "load_shedding: { max_in_flight: 1, queue: { max_waiting: 1, queue_timeout: 10s } }";
    let gateway = Setup::new().server(queue).sources(&documents).start();
    let first = begin(&gateway, "/aggregate/slow");
    held(&gateway, 1).await;
    let second = begin(&gateway, "/aggregate/fast");
    eventually(SOON, "one waits", async || gateway.metric("aggd_admission_waiting", &[]).await > 0.5).await;
    let third = gateway.get("/aggregate/fast").await;
    assert_eq!(third.turned_away(503)["reason"], "queue_full");
    assert_eq!(upstream.calls("/fast"), 0);
    first.abort();
    second.await.unwrap().unwrap().expect(200);
    let fourth = begin(&gateway, "/aggregate/slow");
    held(&gateway, 1).await;
    // Its own patience is shorter than the queue's.
    let hurried = gateway.ask(Method::GET, "/aggregate/fast").header("x-request-timeout", "100ms").send().await;
    assert_eq!(hurried.turned_away(503)["reason"], "deadline");
    let short = queue.replace("10s", "50ms");
    gateway.save("aggd.yaml", &format!("listen: 127.0.0.1:0\ndatabase: off\n{short}\n"));
    gateway.reload().await.expect(200);
    let late = gateway.get("/aggregate/fast").await;
    assert_eq!(late.turned_away(503)["reason"], "queue_timeout");
    fourth.abort();
    held(&gateway, 0).await;
}

#[tokio::test]
async fn a_reload_moves_the_limit_and_forgets_nobody() {
    let (_upstream, documents) = slow_and_fast();
    let gateway = in_flight_limit(&documents, 1);
    let slow = begin(&gateway, "/aggregate/slow");
    held(&gateway, 1).await;
    gateway.get("/aggregate/fast").await.expect(503);
    for (max, status) in [(3, 200), (1, 503)] {
        let yaml = format!("listen: 127.0.0.1:0\ndatabase: off\nload_shedding: {{ max_in_flight: {max} }}\n");
        gateway.save("aggd.yaml", &yaml);
        gateway.reload().await.expect(200);
        assert_eq!(in_flight(&gateway).await, 1);
        gateway.get("/aggregate/fast").await.expect(status);
    }
    slow.abort();
    held(&gateway, 0).await;
}

/// Puts these keys of `load_shedding` in force.
async fn put(gateway: &Gateway, keys: &str, level: f64) {
    gateway.save("aggd.yaml", &format!("listen: 127.0.0.1:0\ndatabase: off\nload_shedding: {{ {keys} }}\n"));
    gateway.reload().await.expect(200);
    let is = async || (gateway.metric("aggd_pressure_level", &[]).await - level).abs() < 1e-9;
    eventually(SOON, "the level", is).await;
}

#[tokio::test]
async fn under_pressure_a_copy_is_better_than_a_refusal() {
    let (upstream, mut documents) = slow_and_fast();
    upstream.on("/kept", Script::json(&json!({"k": 1})));
    documents.push(source("kept", &upstream.url("/kept"), "cache: { ttl: 0s, stale_if_error: 1h }"));
    documents.push("route: /kept\nsources: [kept]\n".to_owned());
    documents.push("route: /both\nsources: [kept, fast]\n".to_owned());
    let gateway = Gateway::of(&documents);
    gateway.get("/kept").await.expect(200);
    put(&gateway, PRESSED, 2.0).await;
    let copy = gateway.get("/kept").await.expect(200);
    let body = copy.json();
    assert_eq!((&body["mode"], &body["degraded"]), (&json!("degraded_cache"), &json!(true)));
    assert_eq!(copy.part("kept")["data"], json!({"k": 1}));
    assert_eq!(copy.header("aggd-degraded"), "kept;reason=shed;via=cache");
    assert_eq!((copy.header("aggd-completed"), upstream.calls("/kept")), ("false", 1));
    assert!(gateway.metric("aggd_brownouts_total", &[]).await > 0.5);
    // Not every part has a copy; a single source is asked around the cache.
    for path in ["/both", "/aggregate/kept"] {
        assert_eq!(gateway.get(path).await.turned_away(503)["reason"], "pressure");
    }
    let health = gateway.health().await["load"].take();
    assert_eq!((&health["level"], &health["signals"]["memory"]["level"]), (&json!("critical"), &json!("critical")));
    put(&gateway, &format!("{PRESSED}, brownout: false"), 2.0).await;
    gateway.get("/kept").await.expect(503);
    put(&gateway, HIGH, 1.0).await;
    gateway.get("/both").await.expect(200);
    put(&gateway, "max_in_flight: 10", 0.0).await;
    assert_eq!(gateway.get("/kept").await.expect(200).json()["mode"], "fresh");
    assert!(gateway.log().contains("shed.level_changed"), "{}", gateway.log());
    let told = gateway.metric("aggd_events_total", &[("type", "shed.level_changed")]).await;
    assert!(told > 1.5, "{told}");
}

#[tokio::test]
async fn under_pressure_nothing_is_fetched_for_later() {
    let upstream = Upstream::with(&[("/a", Script::json(&json!(1)))]);
    let more = "cache: { ttl: 1h, refresh_ahead: 0.00001 }";
    let gateway = Gateway::of(&[source("a", &upstream.url("/a"), more)]);
    gateway.get("/aggregate").await.expect(200);
    put(&gateway, HIGH, 1.0).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    for _ in 0..5 {
        assert_eq!(gateway.get("/aggregate").await.expect(200).json()["cached"], true);
    }
    assert_eq!(upstream.calls("/a"), 1);
    put(&gateway, "max_in_flight: 10", 0.0).await;
    let refreshed = async || {
        gateway.get("/aggregate").await.expect(200);
        upstream.calls("/a") > 1
    };
    eventually(SOON, "a refresh, once the pressure is gone", refreshed).await;
}

#[tokio::test]
async fn under_pressure_a_call_that_nobody_waits_for_ends() {
    let upstream = Upstream::with(&[("/a", Script::hang())]);
    let gateway = Gateway::of(&[source("a", &upstream.url("/a"), "timeout: 15s")]);
    put(&gateway, HIGH, 1.0).await;
    let hurried = gateway.ask(Method::GET, "/aggregate").header("x-request-timeout", "100ms").send().await;
    assert_eq!(hurried.part("a")["kind"], "deadline_exceeded");
    eventually(SOON, "the call is cut", async || upstream.left("/a") == 1).await;
}

#[tokio::test]
async fn refreshes_wait_behind_the_replies_so_many_at_a_time_and_no_more_than_there_is_room_for() {
    let upstream = Upstream::with(&[("/a", Script::json(&json!(1)))]);
    let more = "query: { n: \"{n}\" }\nparams: { n: { type: integer, default: 0 } }\n\
                timeout: 15s\ncache: { ttl: 1h, refresh_ahead: 0.00001 }";
    let marks = "{ max_pending: 4, high_water_mark: 3, low_water_mark: 1, workers: 1 }";
    let signals = "load_shedding: { signals: { background_queue: { high: 70%, critical: 100% } }, \
                   sample_interval: 20ms, ewma_alpha: 1, exit_factor: 1 }";
    let setup = Setup::new().server(&format!("background: {{ refresh: {marks} }}\n{signals}"));
    let gateway = setup.sources(&[source("a", &upstream.url("/a"), more)]).start();
    for n in 0..5 {
        gateway.get(&format!("/aggregate?n={n}")).await.expect(200);
    }
    upstream.on("/a", Script::hang());
    tokio::time::sleep(Duration::from_millis(60)).await;
    for n in 0..5 {
        // Not one of them waits for its refresh, which hangs.
        assert_eq!(gateway.get(&format!("/aggregate?n={n}")).await.expect(200).json()["cached"], true);
    }
    let of = [("queue", "refresh")];
    let is = async |name: &str, value: f64| (gateway.metric(name, &of).await - value).abs() < 1e-9;
    eventually(SOON, "one under way, two waiting", async || is("aggd_background_pending", 3.0).await).await;
    assert!(is("aggd_background_backpressure", 1.0).await);
    eventually(SOON, "the signal", async || gateway.metric("aggd_pressure_level", &[]).await > 0.5).await;
    eventually(SOON, "one call", async || upstream.active() == 1).await;
    let refresh = gateway.health().await["background"]["refresh"].take();
    assert_eq!((&refresh["pending"], &refresh["backpressure"]), (&json!(3), &json!(true)));
    assert!(gateway.log().contains("backpressure.high"), "{}", gateway.log());
    // More room, and more who work: what waited is fetched, and the queue drains.
    let wider = "background: { refresh: { max_pending: 100, workers: 10 } }";
    gateway.save("aggd.yaml", &format!("listen: 127.0.0.1:0\ndatabase: off\n{wider}\n"));
    gateway.reload().await.expect(200);
    upstream.on("/a", Script::json(&json!(2)));
    let renewed = async || {
        for n in 0..5 {
            gateway.get(&format!("/aggregate?n={n}")).await.expect(200);
        }
        gateway.metric("aggd_cache_refresh_total", &[("result", "ok")]).await > 3.5
    };
    eventually(Duration::from_secs(20), "refreshes", renewed).await;
}

const VIP: &str =
    "auth: { required: false, api_keys: [{ name: vip, key: vip-0123456789abcdef, max_priority: critical }] }";

/// A request that says how important it is, with the key or without.
async fn important(gateway: &Gateway, path: &str, priority: &str, key: bool) -> Reply {
    let ask = gateway.ask(Method::GET, path).header("x-request-priority", priority);
    if key { ask.header("x-api-key", "vip-0123456789abcdef") } else { ask }.send().await
}

#[tokio::test]
async fn lsh_07_08_14_the_last_places_are_for_what_is_critical_and_nobody_claims_that() {
    let (_upstream, documents) = slow_and_fast();
    let server = format!("{VIP}\nload_shedding: {{ max_in_flight: 2 }}");
    let gateway = Setup::new().server(&server).sources(&documents).start();
    let slow = begin(&gateway, "/aggregate/slow");
    held(&gateway, 1).await;
    for priority in ["low", "normal", "high"] {
        assert_eq!(important(&gateway, "/aggregate/fast", priority, true).await.turned_away(503)["priority"], priority);
    }
    important(&gateway, "/aggregate/fast", "critical", true).await.expect(200);
    let claimed = important(&gateway, "/aggregate/fast", "critical", false).await;
    assert_eq!(claimed.turned_away(503)["priority"], "normal");
    let vip = gateway.ask(Method::GET, "/aggregate/slow");
    let vip = vip.header("x-api-key", "vip-0123456789abcdef").header("x-request-priority", "critical");
    let second = tokio::spawn(vip.try_send());
    held(&gateway, 2).await;
    important(&gateway, "/aggregate/fast", "critical", true).await.turned_away(503);
    gateway.get("/health").await.expect(200);
    slow.abort();
    second.abort();
    held(&gateway, 0).await;
}

#[tokio::test]
async fn lsh_09_to_12_the_level_decides_who_is_shed() {
    let (_upstream, documents) = slow_and_fast();
    let gateway = Setup::new().server(VIP).sources(&documents).start();
    for (keys, level, shed) in [(HIGH, 1.0, &["low"][..]), (PRESSED, 2.0, &["low", "normal"][..])] {
        gateway.save("aggd.yaml", &format!("listen: 127.0.0.1:0\ndatabase: off\n{VIP}\nload_shedding: {{ {keys} }}\n"));
        gateway.reload().await.expect(200);
        let is = async || (gateway.metric("aggd_pressure_level", &[]).await - level).abs() < 1e-9;
        eventually(SOON, "the level", is).await;
        for priority in ["low", "normal", "high", "critical"] {
            let reply = important(&gateway, "/aggregate/fast", priority, true).await;
            if shed.contains(&priority) {
                assert_eq!(reply.turned_away(503)["reason"], "pressure");
            } else {
                reply.expect(200);
            }
        }
    }
}

#[tokio::test]
async fn irl_09_what_is_shed_costs_its_client_nothing() {
    let (_upstream, documents) = slow_and_fast();
    let server = "load_shedding: { max_in_flight: 1 }\n\
                  rate_limits: [{ name: few, key: route, rate: 2/hour, burst: 2, routes: [\"/aggregate/{source}\"] }]";
    let gateway = Setup::new().server(server).sources(&documents).start();
    let slow = begin(&gateway, "/aggregate/slow");
    held(&gateway, 1).await;
    for _ in 0..5 {
        gateway.get("/aggregate/fast").await.turned_away(503);
    }
    let refunded = gateway.metric("aggd_rate_limit_refunded_total", &[("policy", "few")]).await;
    assert!((refunded - 5.0).abs() < 1e-9, "{refunded}");
    slow.abort();
    held(&gateway, 0).await;
    // One of the two was the slow one's.
    gateway.get("/aggregate/fast").await.expect(200);
    gateway.get("/aggregate/fast").await.expect(429);
}
