//! Who may ask, and how important what they ask is.

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

const SOON: Duration = Duration::from_secs(10);
const MOBILE: &str = "mobile-0123456789abcdef";
const BATCH: &str = "batch-0123456789abcdef";
const KEYS: &str = "auth:\n  api_keys:\n    - { name: mobile, key: mobile-0123456789abcdef, tenant: acme, max_priority: high }\n    \
                    - { name: batch, key: \"${BATCH}\" }\n";

fn routes(upstream: &Upstream) -> Vec<String> {
    upstream.on("/a", Script::json(&json!({ "n": 1 })));
    let route = |path: &str, more: &str| format!("route: {path}\nsources: [a]\n{more}\n");
    vec![
        source("a", &upstream.url("/a"), "cache: off"),
        route("/usual", ""),
        route("/open", "auth: off"),
        route("/either", "auth: optional"),
        route("/closed", "auth: required"),
    ]
}

fn gateway(upstream: &Upstream, server: &str) -> Gateway {
    Setup::new().server(server).env("BATCH", BATCH).sources(&routes(upstream)).start()
}

async fn with(gateway: &Gateway, path: &str, headers: &[(&str, &str)]) -> Reply {
    let ask = headers.iter().fold(gateway.ask(Method::GET, path), |ask, (name, value)| ask.header(name, value));
    ask.send().await
}

#[tokio::test]
async fn without_a_key_the_data_plane_is_closed_and_the_probes_are_not() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, KEYS);
    for path in ["/usual", "/closed", "/aggregate", "/aggregate/a", "/aggregate/nobody?x=%FF"] {
        let refused = with(&gateway, path, &[]).await;
        refused.problem(401, "unauthorized");
        assert_eq!(refused.header("www-authenticate"), "Bearer realm=\"aggd\"", "{path}");
        with(&gateway, path, &[("x-api-key", "nobody-0123456789abcdef")]).await.problem(401, "unauthorized");
        with(&gateway, path, &[("authorization", "Basic bW9iaWxl")]).await.problem(401, "unauthorized");
    }
    assert_eq!(upstream.total(), 0, "something was called for who may not ask");
    for path in ["/health", "/livez", "/readyz", "/metrics", "/admin/config"] {
        with(&gateway, path, &[]).await.expect(200);
    }
    with(&gateway, "/nowhere", &[]).await.problem(404, "unknown-path");
    assert!(gateway.metric("aggd_auth_requests_total", &[("result", "missing")]).await >= 10.0);
    assert!(gateway.metric("aggd_auth_requests_total", &[("result", "wrong")]).await >= 5.0);
}

#[tokio::test]
async fn a_key_opens_in_either_header_and_two_keys_are_none() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, KEYS);
    let bearer = format!("Bearer {MOBILE}");
    with(&gateway, "/usual", &[("x-api-key", MOBILE)]).await.expect(200);
    with(&gateway, "/usual", &[("authorization", &bearer)]).await.expect(200);
    with(&gateway, "/aggregate/a", &[("x-api-key", BATCH)]).await.expect(200);
    // Its own header decides; a bearer token beside it may be meant for an upstream.
    with(&gateway, "/usual", &[("x-api-key", BATCH), ("authorization", "Bearer else")]).await.expect(200);
    let both = with(&gateway, "/usual", &[("x-api-key", MOBILE), ("x-api-key", BATCH)]).await;
    assert!(both.problem(401, "unauthorized")["detail"].as_str().unwrap().contains("more than one"));
    assert!(both.header("www-authenticate").contains("invalid_token"));
    assert!((gateway.metric("aggd_auth_requests_total", &[("result", "known")]).await - 4.0).abs() < 0.5);
}

#[tokio::test]
async fn a_route_may_want_no_key_or_any_and_a_wrong_one_is_refused_wherever_keys_are_looked_at() {
    let upstream = Upstream::start();
    let strict = gateway(&upstream, KEYS);
    with(&strict, "/open", &[]).await.expect(200);
    with(&strict, "/open", &[("x-api-key", "wrong")]).await.expect(200);
    with(&strict, "/either", &[]).await.expect(200);
    with(&strict, "/either", &[("x-api-key", "wrong")]).await.problem(401, "unauthorized");
    let lax = gateway(&upstream, &format!("{KEYS}  required: false\n"));
    with(&lax, "/usual", &[]).await.expect(200);
    with(&lax, "/usual", &[("x-api-key", "wrong")]).await.problem(401, "unauthorized");
    with(&lax, "/closed", &[]).await.problem(401, "unauthorized");
    with(&lax, "/closed", &[("x-api-key", MOBILE)]).await.expect(200);
    assert!(lax.metric("aggd_auth_requests_total", &[("result", "anonymous")]).await >= 1.0);
}

#[tokio::test]
async fn keys_are_shown_to_nobody_and_sent_to_nobody() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, KEYS);
    with(&gateway, "/usual", &[("x-api-key", MOBILE)]).await.expect(200);
    with(&gateway, "/usual", &[("authorization", &format!("Bearer {MOBILE}"))]).await.expect(200);
    for seen in upstream.seen("/a") {
        assert_eq!((seen.header("x-api-key"), seen.header("authorization")), (None, None));
    }
    let shown = gateway.get("/admin/config").await.expect(200);
    let keys = &shown.json()["config"]["server"]["auth"]["api_keys"];
    assert_eq!(keys[0], json!({ "name": "mobile", "key": "***", "tenant": "acme", "max_priority": "high" }));
    for page in [shown.text(), gateway.get("/metrics").await.text(), gateway.log()] {
        assert!(!page.contains("0123456789abcdef") && !page.contains("hunter"), "{page}");
    }
}

#[tokio::test]
async fn a_reload_takes_a_key_back() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, KEYS);
    with(&gateway, "/usual", &[("x-api-key", MOBILE)]).await.expect(200);
    let yaml = "listen: 127.0.0.1:0\ndatabase: off\nauth: { api_keys: [{ name: batch, key: \"${BATCH}\" }] }\n";
    gateway.save("aggd.yaml", yaml);
    gateway.reload().await.expect(200);
    with(&gateway, "/usual", &[("x-api-key", MOBILE)]).await.problem(401, "unauthorized");
    with(&gateway, "/usual", &[("x-api-key", BATCH)]).await.expect(200);
}

/// Who was served in which order by a source with one place, having come in the order low, nobody, batch, mobile.
async fn order(server: &str, header: &str) -> Vec<String> {
    let upstream = Upstream::start();
    upstream.on("/a", Script::hang());
    let bulkhead = "cache: off\nbreaker: off\naggregate: false\n\
                    bulkhead: { max_concurrent: 1, queue_timeout: 20s, queue_order: priority }\n\
                    query: { who: \"{who}\" }\nparams: { who: { required: true } }\ntimeout: 20s";
    let server = format!("{KEYS}  required: false\n{server}\n");
    let gateway =
        Setup::new().server(&server).env("BATCH", BATCH).sources(&[source("a", &upstream.url("/a"), bulkhead)]).start();
    let ask = |who: &str, headers: &[(&str, &str)]| {
        let ask = gateway.ask(Method::GET, &format!("/aggregate/a?who={who}"));
        let ask = headers.iter().fold(ask, |ask, (name, value)| ask.header(name, value));
        tokio::spawn(ask.try_send())
    };
    let first = ask("first", &[]);
    eventually(SOON, "the place is taken", async || upstream.calls("/a") == 1).await;
    let mut others = Vec::new();
    let claims: [(&str, &[(&str, &str)]); 4] = [
        ("low", &[(header, "LOW")]),
        ("nobody", &[(header, "critical")]),
        ("batch", &[(header, "high"), ("x-api-key", BATCH)]),
        ("mobile", &[(header, "critical"), ("x-api-key", MOBILE)]),
    ];
    for (place, (who, headers)) in claims.into_iter().enumerate() {
        others.push(ask(who, headers));
        eventually(SOON, "it waits", async || {
            gateway.metric("aggd_limiter_waiting", &[("limiter", "source:a")]).await.round() as usize == place + 1
        })
        .await;
    }
    upstream.on("/a", Script::json(&json!({ "n": 1 })));
    first.abort();
    for other in others {
        assert_eq!(other.await.unwrap().unwrap().status, 200);
    }
    upstream.seen("/a").iter().skip(1).map(|seen| seen.target.replace("/a?who=", "")).collect()
}

#[tokio::test]
async fn who_may_claim_more_goes_first_and_who_may_not_waits_his_turn() {
    let by_claim = ["mobile", "nobody", "batch", "low"];
    let as_they_came = ["low", "nobody", "batch", "mobile"];
    assert_eq!(order("", "x-request-priority").await, by_claim);
    assert_eq!(order("priority_header: X-Importance", "x-importance").await, by_claim);
    assert_eq!(order("priority_header: X-Importance", "x-request-priority").await, as_they_came);
    assert_eq!(order("priority_header: off", "x-request-priority").await, as_they_came);
}

#[tokio::test]
async fn copies_are_shared_among_those_whom_the_scope_names() {
    let upstream = Upstream::with(&[("/tenant", Script::json(&json!(1))), ("/key", Script::json(&json!(2)))]);
    let keys = format!(
        "auth:\n  required: false\n  api_keys:\n    - {{ name: web, key: web-0123456789abcdefgh, tenant: acme }}\n    \
         - {{ name: app, key: app-0123456789abcdefgh, tenant: acme }}\n    - {{ name: other, key: {MOBILE}, tenant: other }}\n"
    );
    let documents = [
        source("tenant", &upstream.url("/tenant"), "cache: { scope: tenant }"),
        source("key", &upstream.url("/key"), "cache: { scope: principal }"),
    ];
    let gateway = Setup::new().server(&keys).sources(&documents).start();
    let mut seen = Vec::new();
    for key in ["web-0123456789abcdefgh", "app-0123456789abcdefgh", MOBILE, ""] {
        let headers = [("x-api-key", key)];
        let headers = if key.is_empty() { &[][..] } else { &headers[..] };
        for _ in 0..2 {
            with(&gateway, "/aggregate", headers).await.expect(200);
        }
        seen.push((upstream.calls("/tenant"), upstream.calls("/key")));
    }
    assert_eq!(seen, [(1, 1), (1, 2), (2, 3), (3, 4)]);
    assert_eq!(with(&gateway, "/aggregate", &[("x-api-key", MOBILE)]).await.json()["cached"], true);
}
