//! What clients and upstreams must not be able to do.

use std::time::Duration;

use http::Method;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::harness::Gateway;
use crate::harness::Script;
use crate::harness::Setup;
use crate::harness::Upstream;
use crate::harness::eventually;
use crate::harness::source;

const SOON: Duration = Duration::from_secs(5);

fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[tokio::test]
async fn a_parameter_stays_in_its_place_in_path_query_header_and_body() {
    let upstream = Upstream::start();
    let more = "query: { q: \"{p}\", fixed: \"1\" }\nparams: { p: { required: true } }\naggregate: false\ncache: off\n\
                method: POST\nbody: { name: \"{p}\", text: \"is {p}!\" }";
    let gateway = Gateway::of(&[
        source("a", &upstream.url("/base/{p}/end"), more),
        source(
            "h",
            &upstream.url("/h"),
            "headers: { X-P: \"{p}\" }\nparams: { p: { required: true } }\naggregate: false\ncache: off",
        ),
    ]);
    let values = [
        "plain",
        "a/b",
        "../../admin",
        "..%2f..",
        "a?x=1",
        "a#f",
        "a&b=c",
        "a=b",
        "@evil.example",
        "//evil.example/x",
        "a b+c",
        "\\..\\",
        "é✓",
        "%2e%2e",
        "\"}, \"admin\": true, \"x\": {\"",
        "{other}",
        "a;b",
        "$(id)",
        "\u{0}",
    ];
    for value in values {
        let before = upstream.total();
        let reply = gateway.get(&format!("/aggregate/a?p={}", encode(value))).await;
        // An upstream without a script says 418: the source fails, but it was called.
        assert!(reply.status == 502 || reply.status == 400, "{value:?}: {}", reply.text());
        if upstream.total() == before {
            assert_eq!(reply.status, 400, "{value:?} was neither sent nor refused");
            continue;
        }
        let path = format!("/base/{}/end", encode_path(value));
        let seen = upstream.seen(&path).pop().unwrap_or_else(|| panic!("{value:?} went elsewhere than {path}"));
        let query = seen.target.split_once('?').unwrap().1;
        let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(pairs, [pair("q", value), pair("fixed", "1")], "{value:?}");
        let body: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
        assert_eq!(body, json!({"name": value, "text": format!("is {value}!")}), "{value:?}");
        assert_eq!(seen.header("content-type"), Some("application/json"));
    }
    for value in ["..", "."] {
        gateway.get(&format!("/aggregate/a?p={}", encode(value))).await.problem(400, "bad-parameter");
    }
    for value in ["a\r\nEvil: 1", "a\nEvil: 1", "\r\n\r\nGET /evil HTTP/1.1\r\n\r\n", "a\u{0}b"] {
        let reply = gateway.get(&format!("/aggregate/h?p={}", encode(value))).await;
        assert_eq!(reply.status, 400, "{value:?}: {}", reply.text());
    }
    assert!(upstream.seen("/h").is_empty() && upstream.calls("/evil") == 0);
}

/// How a path segment is encoded, as the upstream sees it: everything but what RFC 3986 leaves alone.
fn encode_path(value: &str) -> String {
    const KEPT: percent_encoding::AsciiSet =
        percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    percent_encoding::utf8_percent_encode(value, &KEPT).to_string()
}

#[tokio::test]
async fn metadata_addresses_are_refused_in_every_spelling_and_after_redirects() {
    let upstream = Upstream::start();
    let addresses = [
        "169.254.169.254",
        "2852039166",
        "0xA9FEA9FE",
        "0251.0376.0251.0376",
        "169.254.43518",
        "0xa9.254.0251.254",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::a9fe:a9fe]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "169.254.0.1",
        "100.100.100.200",
        "0.0.0.0",
        "[::]",
        "255.255.255.255",
        "169.254.169.254.",
        "[2002:a9fe:a9fe::1]",
    ];
    let mut documents = Vec::new();
    for (place, address) in addresses.iter().enumerate() {
        let url = format!("http://{address}/latest/meta-data/");
        documents.push(source(&format!("d{place}"), &url, "timeout: 1s\ncache: off"));
        let path = format!("/r{place}");
        upstream.on(&path, Script::status(302).header("location", &url));
        documents.push(source(&format!("r{place}"), &upstream.url(&path), "timeout: 1s\ncache: off\nredirects: 3"));
    }
    let gateway = Gateway::of(&documents);
    let reply = gateway.get("/aggregate").await.expect(200);
    let mut wrong = Vec::new();
    for (place, address) in addresses.iter().enumerate() {
        for name in [format!("d{place}"), format!("r{place}")] {
            let part = reply.part(&name);
            if part["kind"] != "config_error" {
                wrong.push(format!("{address} as {name}: {part}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn networks_are_refused_after_names_are_resolved() {
    let upstream = Upstream::with(&[("/a", Script::json(&json!(1)))]);
    let named = upstream.url("/a").replace("127.0.0.1", "localhost");
    let documents = [source("number", &upstream.url("/a"), "cache: off"), source("name", &named, "cache: off")];
    for set in ["allow_private_networks: false", "deny_networks: [127.0.0.0/8, \"::1/128\"]"] {
        let gateway = Setup::new().server(&format!("client: {{ {set} }}")).sources(&documents).start();
        let reply = gateway.get("/aggregate").await.expect(200);
        for name in ["number", "name"] {
            assert_eq!(reply.part(name)["kind"], "config_error", "{set}, {name}");
        }
    }
    assert_eq!((upstream.total(), upstream.connections()), (0, 0));
}

#[tokio::test]
async fn callers_with_other_credentials_never_share_an_answer() {
    let upstream = Upstream::with(&[("/a", Script::json(&json!(1)).after_ms(200))]);
    let gateway = Gateway::of(&[source("a", &upstream.url("/a"), "forward_headers: [Authorization]")]);
    let ask = |token: &str| gateway.ask(Method::GET, "/aggregate").header("authorization", token).send();
    let (one, two, none) = tokio::join!(ask("Bearer one"), ask("Bearer two"), gateway.get("/aggregate"));
    for reply in [one, two, none] {
        assert_eq!(reply.expect(200).json()["cached"], false);
    }
    assert_eq!(upstream.calls("/a"), 3, "in the air they are apart as in the cache");
    let mut sent: Vec<_> =
        upstream.seen("/a").iter().map(|seen| seen.header("authorization").map(str::to_owned)).collect();
    sent.sort();
    assert_eq!(sent, [None, Some("Bearer one".to_owned()), Some("Bearer two".to_owned())]);
}

#[tokio::test]
async fn only_the_headers_that_are_meant_go_upstream_and_none_come_back() {
    let script =
        Script::json(&json!(1)).header("set-cookie", "s=1").header("x-internal", "yes").header("server", "secret/1");
    let upstream = Upstream::with(&[("/a", script)]);
    let gateway = Gateway::of(&[source("a", &upstream.url("/a"), "forward_headers: [X-Tenant]")]);
    let ask = gateway
        .ask(Method::GET, "/aggregate")
        .header("x-tenant", "t")
        .header("cookie", "c=1")
        .header("x-forwarded-for", "1.2.3.4");
    let reply = ask.header("authorization", "Bearer x").header("te", "trailers").send().await.expect(200);
    for name in ["set-cookie", "x-internal", "server"] {
        assert_eq!(reply.header(name), "", "{name}");
    }
    let sent = upstream.last("/a");
    assert_eq!(sent.header("x-tenant"), Some("t"));
    for name in ["cookie", "authorization", "x-forwarded-for", "te", "connection", "transfer-encoding"] {
        assert_eq!(sent.header(name), None, "{name}");
    }
    assert_eq!(sent.header("user-agent"), Some(concat!("aggd/", env!("CARGO_PKG_VERSION"))));
}

#[tokio::test]
async fn secrets_are_in_no_answer_no_log_no_metric_and_no_record() {
    let upstream = Upstream::with(&[("/a", Script::status(500)), ("/c", Script::text("text/html", "s3cret-body"))]);
    let (refused, _held) = crate::harness::refusing();
    let more = "auth: { bearer: \"${T1}\" }\nquery: { key: \"${T2}\" }\nheaders: { X-Api-Key: \"${T3}\" }\ncache: off";
    let database = "database: sqlite://audit.db\ntelemetry: { level: trace }";
    let setup = Setup::new().server(&format!("{database}\nadmin: {{ token: \"${{T4}}\" }}")).sources(&[
        source("a", &upstream.url("/a"), more),
        source("b", &format!("{refused}/${{T2}}"), more),
        source("c", &upstream.url("/c"), more),
    ]);
    let values = ["s3cret-bearer", "s3cret-query", "s3cret-header", "s3cret-admin"];
    let setup = ["T1", "T2", "T3", "T4"].iter().zip(values).fold(setup, |setup, (name, value)| setup.env(name, value));
    let mut gateway = setup.start();
    let mut texts = Vec::new();
    for path in ["/aggregate", "/aggregate/a", "/aggregate/b", "/aggregate/c", "/health", "/metrics", "/admin/config"] {
        texts.push(gateway.get(path).await.text());
    }
    assert_eq!(upstream.last("/a").header("authorization"), Some("Bearer s3cret-bearer"));
    gateway.save(
        "sources.d/bad.yaml",
        "source: a\nurl: \"http://h/${T2}\"\ntimeout: \"${T1}\"\nauth: { bearer: \"${T3}\", nonsense: 1 }\n",
    );
    let reload = gateway.ask(Method::POST, "/admin/reload").header("authorization", "Bearer s3cret-admin").send().await;
    texts.push(reload.expect(422).text());
    gateway
        .ask(Method::POST, "/cache/invalidate")
        .header("authorization", "Bearer s3cret-wrong")
        .send()
        .await
        .expect(401);
    eventually(SOON, "recorded", async || gateway.get("/history").await.text().contains("/aggregate/c")).await;
    texts.push(gateway.get("/history").await.text());
    gateway.stop().await;
    texts.push(gateway.log());
    for text in texts {
        let at = text.find("s3cret");
        assert!(
            at.is_none(),
            "a secret shows: …{}…",
            &text[at.unwrap().saturating_sub(200)..text.len().min(at.unwrap() + 40)]
        );
    }
}

/// What is answered to these bytes, until the connection closes or nothing more comes.
async fn answer_to(gateway: &Gateway, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(&gateway.address).await.unwrap();
    drop(stream.write_all(bytes).await);
    let mut answer = Vec::new();
    drop(tokio::time::timeout(Duration::from_millis(500), stream.read_to_end(&mut answer)).await);
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn requests_that_can_be_read_in_two_ways_are_refused() {
    let gateway = Setup::new().start();
    let heads = [
        "content-length: 4\r\ntransfer-encoding: chunked",
        "content-length: 4\r\ncontent-length: 5",
        "content-length: +4",
        "content-length: 4, 5",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: xchunked",
        "content-length : 4",
        "a: b\r\n folded: c",
    ];
    let mut wrong = Vec::new();
    for head in heads {
        let request = format!("POST /cache/invalidate HTTP/1.1\r\nhost: x\r\n{head}\r\n\r\n0\r\n\r\n");
        let answer = answer_to(&gateway, request.as_bytes()).await;
        // Both lengths: RFC 9112 §6.1 lets the chunks count, if the connection ends with the answer; then nothing can be
        // smuggled behind it. Closed without a word is a refusal too.
        let ends = head.contains("chunked") && answer.contains("connection: close");
        if !ends && !answer.is_empty() && !answer.starts_with("HTTP/1.1 4") && !answer.starts_with("HTTP/1.1 501") {
            wrong.push(format!("{head:?}: {answer}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn heads_that_are_too_large_or_no_http_are_refused_and_the_rest_is_served() {
    let gateway = Setup::new().start();
    let large = format!("GET /livez HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "y".repeat(200_000));
    let many = format!("GET /livez HTTP/1.1\r\nhost: x\r\n{}\r\n", "x-many: y\r\n".repeat(2000));
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "z".repeat(200_000));
    for bytes in
        [large.as_bytes(), many.as_bytes(), long.as_bytes(), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"hello\r\n\r\n"]
    {
        let answer = answer_to(&gateway, bytes).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    gateway.get("/livez").await.expect(200);
}

#[tokio::test]
async fn a_client_cannot_ask_for_hop_by_hop_headers_to_be_passed_on() {
    for name in ["Connection", "Transfer-Encoding", "Content-Length", "Host", "Upgrade"] {
        let setup = Setup::new().sources(&[source("a", "http://127.0.0.1:1/", &format!("forward_headers: [{name}]"))]);
        setup.write();
        let found = crate::harness::aggd(setup.path(), &["check", "--format", "json"]).expect(1).json();
        assert_eq!(found[0]["code"], "AG-027", "{name}: {found}");
    }
}

#[tokio::test]
async fn a_route_that_takes_every_path_leaves_aggds_own_alone() {
    let gateway = Setup::new()
        .sources(&[
            "source: s\nstatic: { x: 1 }\n".to_owned(),
            "route: /{*all}\nsources: [s]\n".to_owned(),
            "route: /{*all}\nmethod: POST\nsources: [s]\n".to_owned(),
        ])
        .start();
    assert_eq!(gateway.get("/readyz").await.expect(200).json()["status"], "ready");
    assert!(gateway.health().await["upstreams"].is_object());
    assert!(gateway.get("/metrics").await.expect(200).text().contains("aggd_build_info"));
    assert!(gateway.post("/cache/invalidate", "").await.expect(200).json()["generation"].is_number());
    assert_eq!(gateway.get("/what/ever").await.expect(200).part("s")["data"], json!({"x": 1}));
}

#[tokio::test]
async fn limits_of_a_parameter_that_came_from_the_environment_are_not_told() {
    let upstream = Upstream::start();
    let more = "query: { q: \"{p}\" }\nparams: { p: { enum: [\"${LIMIT}\"] } }\ncache: off";
    let document = source("a", &upstream.url("/a"), more);
    let gateway = Setup::new().env("LIMIT", "s3cret-limit").sources(&[document]).start();
    let refused = gateway.get("/aggregate?p=x").await.expect(400).text();
    assert!(!refused.contains("s3cret"), "{refused}");
}
