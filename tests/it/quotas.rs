//! How much each client may ask. Rates are slow enough that nothing comes back while a test runs.

use std::time::Duration;

use http::Method;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

use crate::harness::Gateway;
use crate::harness::Listening;
use crate::harness::Reply;
use crate::harness::Script;
use crate::harness::Setup;
use crate::harness::Upstream;
use crate::harness::aggd;
use crate::harness::eventually;
use crate::harness::source;

const SOON: Duration = Duration::from_secs(10);
const WEB: &str = "web-0123456789abcdef";
const APP: &str = "app-0123456789abcdef";
const OTHER: &str = "other-0123456789abcdef";
const KEYS: &str = "auth:\n  required: false\n  api_keys:\n    - { name: web, key: web-0123456789abcdef, tenant: acme }\n    \
                    - { name: app, key: app-0123456789abcdef, tenant: acme }\n    \
                    - { name: other, key: other-0123456789abcdef, tenant: umbrella }\n";

fn setup(upstream: &Upstream, server: &str, routes: &[&str]) -> Setup {
    upstream.on("/a", Script::json(&json!({ "n": 1 })));
    let mut documents = vec![source("a", &upstream.url("/a"), "")];
    documents.extend(routes.iter().map(|route| format!("{route}\n")));
    Setup::new().server(server).sources(&documents)
}

fn gateway(upstream: &Upstream, server: &str) -> Gateway {
    setup(upstream, server, &["route: /r\nsources: [a]"]).start()
}

async fn with(gateway: &Gateway, path: &str, headers: &[(&str, &str)]) -> Reply {
    let ask = headers.iter().fold(gateway.ask(Method::GET, path), |ask, (name, value)| ask.header(name, value));
    ask.send().await
}

/// The statuses of so many requests, one after the other.
async fn statuses(gateway: &Gateway, path: &str, headers: &[(&str, &str)], count: usize) -> Vec<u16> {
    let mut seen = Vec::new();
    for _ in 0..count {
        seen.push(with(gateway, path, headers).await.status);
    }
    seen
}

#[tokio::test]
async fn who_asks_too_much_is_told_when_to_come_back_and_nothing_is_done_for_him() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, "rate_limits: [{ name: default, key: ip, rate: 1/h, burst: 2 }]\n");
    let first = gateway.get("/r").await.expect(200);
    assert_eq!(first.header("ratelimit-policy"), "\"default\";q=2;w=7200");
    assert_eq!(first.header("ratelimit"), "\"default\";r=1;t=3600");
    // An answer from the cache counts like any other.
    let second = gateway.get("/r").await.expect(200);
    assert_eq!(second.json()["cached"], true);
    assert!(second.header("ratelimit").starts_with("\"default\";r=0;t="));
    for path in ["/r", "/r?q=%FF", "/aggregate", "/aggregate/a", "/aggregate/nobody"] {
        let refused = gateway.get(path).await;
        assert_eq!((refused.status, refused.header("content-type")), (429, "application/problem+json"), "{path}");
        let body = refused.json();
        assert_eq!(body["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
        assert_eq!(body["violated-policies"], json!(["default"]));
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        assert!((3_500..=3_600).contains(&wait), "{wait}");
        assert_eq!(body["retry_after_s"], wait);
        assert_eq!(refused.header("ratelimit"), format!("\"default\";r=0;t={wait}"));
        assert_eq!(refused.header("ratelimit-policy"), "\"default\";q=2;w=7200");
    }
    assert_eq!(upstream.total(), 1);
    for path in ["/health", "/livez", "/readyz", "/metrics", "/admin/config"] {
        let free = gateway.get(path).await.expect(200);
        assert!(free.header("ratelimit").is_empty(), "{path}");
    }
    let counted = async |result: &str| {
        gateway.metric("aggd_rate_limit_requests_total", &[("policy", "default"), ("result", result)]).await
    };
    assert!((counted("allowed").await - 2.0).abs() < 0.5 && (counted("limited").await - 5.0).abs() < 0.5);
    assert!((gateway.metric("aggd_rate_limit_keys", &[("policy", "default")]).await - 1.0).abs() < 0.5);
    let shown = gateway.get("/admin/config").await.json();
    assert_eq!(shown["config"]["server"]["rate_limits"][0]["key"], "ip");
}

#[tokio::test]
async fn what_was_taken_comes_back() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, "rate_limits: [{ name: default, key: ip, rate: 2/s, burst: 1 }]\n");
    let seen = statuses(&gateway, "/r", &[], 3).await;
    assert_eq!(seen[0], 200);
    eventually(SOON, "let in again", async || gateway.get("/r").await.status == 200).await;
}

#[tokio::test]
async fn a_tenant_is_counted_by_its_keys_and_everybody_else_by_address() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, &format!("{KEYS}rate_limits: [{{ name: default, rate: 1/h, burst: 2 }}]\n"));
    with(&gateway, "/r", &[("x-api-key", WEB)]).await.expect(200);
    with(&gateway, "/r", &[("x-api-key", APP)]).await.expect(200);
    assert_eq!(with(&gateway, "/r", &[("x-api-key", WEB)]).await.status, 429, "two keys of one tenant");
    with(&gateway, "/r", &[("x-api-key", OTHER)]).await.expect(200);
    // IRL-10: what a client says of its tenant is nothing.
    assert_eq!(statuses(&gateway, "/r", &[("x-tenant-id", "umbrella")], 2).await, [200, 200]);
    assert_eq!(with(&gateway, "/r", &[("x-tenant-id", "someone-else")]).await.status, 429);
    assert_eq!(with(&gateway, "/r", &[("x-api-key", OTHER)]).await.status, 200);
    // A wrong key is told so, and takes nothing.
    with(&gateway, "/r", &[("x-api-key", "wrong")]).await.problem(401, "unauthorized");
}

#[tokio::test]
async fn an_address_is_believed_from_a_trusted_proxy_alone() {
    let upstream = Upstream::start();
    let limit = "rate_limits: [{ name: default, key: ip, rate: 1/h, burst: 1 }]\n";
    let behind = gateway(&upstream, &format!("trusted_proxies: [127.0.0.0/8, 10.0.0.0/8]\n{limit}"));
    let from = async |forwarded: &str| with(&behind, "/r", &[("x-forwarded-for", forwarded)]).await.status;
    assert_eq!(from("198.51.100.1").await, 200);
    assert_eq!(from("198.51.100.1").await, 429);
    assert_eq!(from("6.6.6.6, 198.51.100.1").await, 429, "what stands left of the client is its own claim");
    assert_eq!(from("198.51.100.2, 10.0.0.7").await, 200);
    assert_eq!(from("2001:db8::1").await, 200);
    assert_eq!(from("2001:db8::ffff").await, 429, "one client has the whole network of 64 bits");
    assert_eq!(from("2001:db8:0:1::1").await, 200);
    let open = gateway(&upstream, limit);
    assert_eq!(with(&open, "/r", &[("x-forwarded-for", "198.51.100.1")]).await.status, 200);
    assert_eq!(with(&open, "/r", &[("x-forwarded-for", "198.51.100.2")]).await.status, 429);
}

#[tokio::test]
async fn a_header_tells_clients_apart_when_one_of_our_proxies_wrote_it() {
    let upstream = Upstream::start();
    let limit = "rate_limits: [{ name: default, key: \"header:X-Tenant-ID\", rate: 1/h, burst: 1 }]\n";
    let of = |tenant| [("x-tenant-id", tenant)];
    let open = gateway(&upstream, limit);
    assert_eq!(with(&open, "/r", &of("a")).await.status, 200);
    assert_eq!(with(&open, "/r", &of("b")).await.status, 200);
    assert_eq!(with(&open, "/r", &of("a")).await.status, 429);
    let strict = gateway(&upstream, &format!("trusted_proxies: [10.0.0.0/8]\n{limit}"));
    assert_eq!(with(&strict, "/r", &of("a")).await.status, 200);
    assert_eq!(with(&strict, "/r", &of("b")).await.status, 429, "no proxy of ours: counted by address");
}

#[tokio::test]
async fn a_proxy_on_a_unix_socket_is_trusted_as_this_machine_is() {
    let upstream = Upstream::start();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("aggd.sock");
    let limit = "rate_limits: [{ name: default, key: ip, rate: 1/h, burst: 1 }]\ntrusted_proxies: [127.0.0.1]\n";
    let server = format!("listen: unix:{}\n{limit}", socket.display());
    let _gateway = setup(&upstream, &server, &["route: /r\nsources: [a]"]).start();
    let from = async |forwarded: &str| {
        let mut stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
        let head = format!("GET /r HTTP/1.1\r\nhost: x\r\nx-forwarded-for: {forwarded}\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!([from("198.51.100.1").await, from("198.51.100.2").await], ["200", "200"]);
    assert_eq!(from("198.51.100.1").await, "429");
}

#[tokio::test]
async fn every_limit_that_fits_holds_and_a_refusal_takes_from_none() {
    let upstream = Upstream::start();
    let server = "rate_limits:\n  - { name: wide, key: ip, rate: 1/h, burst: 5, cost: { default: 1, \"/aggregate*\": 3 } }\n  \
                  - { name: narrow, key: [ip, route], rate: 1/h, burst: 1, routes: [/r] }\n  \
                  - { name: elsewhere, key: ip, rate: 1/h, burst: 1, routes: [/aggregate/*] }\n";
    let gateway = gateway(&upstream, server);
    let first = gateway.get("/r").await.expect(200);
    assert_eq!(first.header("ratelimit-policy"), "\"wide\";q=5;w=18000, \"narrow\";q=1;w=3600");
    for _ in 0..3 {
        let refused = gateway.get("/r").await;
        assert_eq!((refused.status, &refused.json()["violated-policies"]), (429, &json!(["narrow"])));
        assert!(refused.header("ratelimit").starts_with("\"wide\";r=4;"), "{}", refused.header("ratelimit"));
    }
    let costly = gateway.get("/aggregate").await.expect(200);
    assert!(costly.header("ratelimit").starts_with("\"wide\";r=1;"), "{}", costly.header("ratelimit"));
    let refused = gateway.get("/aggregate/a").await;
    assert_eq!((refused.status, &refused.json()["violated-policies"]), (429, &json!(["wide"])));
}

#[tokio::test]
async fn a_route_has_its_own_limit_and_its_own_words() {
    let upstream = Upstream::start();
    let own = "route: /r\nsources: [a]\nrate_limit: { key: ip, rate: 1/m, burst: 1, status: 503, message: \"one a minute\", \
               retry_after: 2h }";
    let gateway = setup(&upstream, "", &[own, "route: /s\nsources: [a]"]).start();
    let first = gateway.get("/r").await.expect(200);
    assert_eq!(first.header("ratelimit-policy"), "\"/r\";q=1;w=60");
    let refused = gateway.get("/r").await;
    let body = refused.json();
    assert_eq!((refused.status, body["status"].as_u64()), (503, Some(503)));
    assert_eq!((body["detail"].as_str(), refused.header("retry-after")), (Some("one a minute"), "7200"));
    assert_eq!(statuses(&gateway, "/s", &[], 3).await, [200, 200, 200]);
    assert!(gateway.get("/s").await.header("ratelimit").is_empty());
    assert!(gateway.metric("aggd_rate_limit_requests_total", &[("policy", "/r"), ("result", "limited")]).await > 0.5);
}

#[tokio::test]
async fn headers_may_be_of_before_near_the_limit_or_none() {
    let upstream = Upstream::start();
    let limit =
        |name: &str, more: &str| format!("rate_limits: [{{ name: {name}, key: ip, rate: 1/h, burst: 10, {more} }}]\n");
    let legacy = gateway(&upstream, &limit("a", "headers_style: legacy"));
    let reply = legacy.get("/r").await.expect(200);
    assert_eq!((reply.header("x-ratelimit-limit"), reply.header("x-ratelimit-remaining")), ("10", "9"));
    assert_eq!((reply.header("x-ratelimit-reset"), reply.header("ratelimit")), ("3600", ""));
    let both = gateway(&upstream, &limit("a", "headers_style: both")).get("/r").await.expect(200);
    assert!(!both.header("ratelimit").is_empty() && both.header("x-ratelimit-limit") == "10");
    let near = gateway(&upstream, &limit("a", "headers: near_limit"));
    for left in (0..10).rev() {
        let shown = near.get("/r").await.expect(200).header("ratelimit").to_owned();
        assert_eq!(shown.is_empty(), left >= 2, "{left}: {shown}");
    }
    let never = gateway(&upstream, &limit("a", "headers: never, cost: { default: 10 }"));
    assert!(never.get("/r").await.expect(200).header("ratelimit").is_empty());
    let refused = never.get("/r").await;
    assert_eq!((refused.status, refused.header("ratelimit")), (429, ""));
    assert!(!refused.header("retry-after").is_empty());
}

#[tokio::test]
async fn a_client_has_so_many_at_the_same_time_and_gets_a_place_back_when_one_ends() {
    let upstream = Upstream::start();
    let server = "rate_limits: [{ name: places, key: ip, max_in_flight: 2 }]\n";
    let gateway = gateway(&upstream, server);
    upstream.on("/a", Script::hang());
    let url = gateway.url("/aggregate/a");
    // Clients that leave: their requests are not in flight any more.
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let ask = gateway.ask_url(Method::GET, &url);
        waiting.push(tokio::spawn(ask.try_send()));
    }
    eventually(SOON, "both are in flight", async || upstream.calls("/a") == 2).await;
    let refused = gateway.get("/r").await;
    assert_eq!((refused.status, &refused.json()["violated-policies"]), (429, &json!(["places"])));
    assert_eq!(refused.header("ratelimit-policy"), "\"places\";q=2;qu=\"concurrent-requests\"");
    assert_eq!((refused.header("ratelimit"), refused.header("retry-after")), ("\"places\";r=0", "1"));
    for ask in waiting {
        ask.abort();
    }
    upstream.on("/a", Script::json(&json!({ "n": 1 })));
    eventually(SOON, "places come back", async || gateway.get("/r").await.status == 200).await;
    // Told part by part, a request is in flight to the end of its answer.
    for _ in 0..4 {
        let ask = gateway.ask(Method::GET, "/r").header("accept", "text/event-stream");
        let told = ask.send().await.expect(200);
        assert!(told.text().contains("event: done") && told.header("ratelimit").contains("\"places\";r="));
    }
    let counted = gateway.metric("aggd_rate_limit_requests_total", &[("result", "concurrent")]).await;
    assert!(counted >= 1.0);
}

#[tokio::test]
async fn a_reload_refills_nothing_and_another_name_is_another_limit() {
    let upstream = Upstream::start();
    let limit = |name: &str, burst: u32| {
        format!(
            "listen: 127.0.0.1:0\ndatabase: off\nrate_limits: [{{ name: {name}, key: ip, rate: 1/h, burst: {burst} }}]\n"
        )
    };
    let gateway = setup(&upstream, &limit("a", 10), &["route: /r\nsources: [a]"]).start();
    assert_eq!(statuses(&gateway, "/r", &[], 3).await, [200, 200, 200]);
    let left = async |yaml: String| {
        gateway.save("aggd.yaml", &yaml);
        gateway.reload().await.expect(200);
        let reply = gateway.get("/r").await;
        let text = reply.header("ratelimit").to_owned();
        (reply.status, text.split(";r=").nth(1).unwrap().split(';').next().unwrap().to_owned())
    };
    assert_eq!(left(limit("a", 50)).await, (200, "6".to_owned()));
    assert_eq!(left(limit("a", 2)).await, (200, "1".to_owned()));
    assert_eq!(left(limit("a", 10)).await, (200, "0".to_owned()));
    assert_eq!(left(limit("a", 20)).await, (429, "0".to_owned()));
    assert_eq!(left(limit("b", 20)).await, (200, "19".to_owned()));
}

#[tokio::test]
async fn who_runs_it_from_the_command_line_is_no_client() {
    let upstream = Upstream::start();
    let server = "auth: { api_keys: [{ name: web, key: web-0123456789abcdef }] }\n\
                  rate_limits: [{ name: default, rate: 1/h, burst: 3, cost: { \"/r\": 3 } }]\n";
    let setup = setup(&upstream, server, &["route: /r\nsources: [a]\npriority: high"]);
    setup.write();
    let done = aggd(setup.path(), &["get", "/r", "--explain"]).expect(0);
    assert!(done.err.contains("request: priority high"), "{}", done.err);
    assert!(done.err.contains("request: limit `default` would take 3 of a client"), "{}", done.err);
    let routes = aggd(setup.path(), &["routes"]).expect(0).out;
    let line = routes.lines().find(|line| line.starts_with("default ")).unwrap_or_else(|| panic!("{routes}"));
    let cells: Vec<_> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    let all = "/aggregate, /r ×3, /aggregate/{source}";
    assert_eq!(cells, ["default", "tenant", "3 at once, one in 1h", "any number", all]);
}

#[tokio::test]
async fn each_key_counts_for_itself_where_the_limit_says_so() {
    let upstream = Upstream::start();
    let gateway =
        gateway(&upstream, &format!("{KEYS}rate_limits: [{{ name: k, key: api_key, rate: 1/h, burst: 1 }}]\n"));
    for key in [WEB, APP, OTHER] {
        assert_eq!(statuses(&gateway, "/r", &[("x-api-key", key)], 2).await, [200, 429], "{key}");
    }
    assert_eq!(statuses(&gateway, "/r", &[], 2).await, [200, 429]);
}

#[tokio::test]
async fn clients_for_whom_there_is_no_room_share_one_bucket() {
    let upstream = Upstream::start();
    let limit = "rate_limits: [{ name: small, key: \"header:x-who\", rate: 1/h, burst: 2, max_keys: 2 }]\n";
    let gateway = gateway(&upstream, limit);
    let mut seen = Vec::new();
    for who in ["a", "b", "c", "d", "e", "a", "b", "a"] {
        seen.push(with(&gateway, "/r", &[("x-who", who)]).await.status);
    }
    assert_eq!(seen, [200, 200, 200, 200, 429, 200, 200, 429]);
    let metric = async |name: &str| gateway.metric(name, &[("policy", "small")]).await.round() as u64;
    assert_eq!(metric("aggd_rate_limit_keys").await, 2);
    assert_eq!(metric("aggd_rate_limit_overflow_total").await, 2);
}

#[tokio::test]
async fn a_refusal_is_told_to_whoever_listens() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, "rate_limits: [{ name: default, key: ip, rate: 1/h, burst: 1 }]\n");
    let mut listening = Listening::to(&gateway, "rate_limit.*").await;
    assert_eq!(statuses(&gateway, "/r", &[], 2).await, [200, 429]);
    let told = listening.next().await;
    assert_eq!((told.event.as_str(), &told.json["data"]["limiter"]), ("rate_limit.exceeded", &json!("default")));
    assert!(told.json["data"]["wait_ms"].as_f64().unwrap() > 3_500_000.0);
}
