//! Upstreams at their worst. Whatever one does, its source fails with its kind and within its timeout, the others are
//! answered, memory stays bounded, and nothing panics (which every gateway of these tests checks at its end).

use std::io::Write as _;
use std::time::Duration;

use serde_json::json;

use crate::harness::Gateway;
use crate::harness::Script;
use crate::harness::Upstream;
use crate::harness::source;
use crate::harness::speaking_no_tls;

/// What an upstream does, more YAML of the source, and the kind that comes of it.
type Row = (&'static str, Script, &'static str, &'static str);

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn rows() -> Vec<Row> {
    let json = |text: &str| Script::text("application/json", text);
    let zip = |body: Vec<u8>| Script::bytes("application/json", body).header("content-encoding", "gzip");
    let bomb = gzipped(&b" ".repeat(100 * 1024 * 1024));
    let chunked = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let headers = format!("HTTP/1.1 200 OK\r\n{}", "x-long: abcdefghijklmnopqrstuvwxyz\r\n".repeat(200_000));
    vec![
        ("hang", Script::hang(), "", "attempt_timeout"),
        ("hang_after_head", json("{}").hang_after_head(), "", "attempt_timeout"),
        ("garbage", Script::raw([0xde, 0xad, 0xbe, 0xef].repeat(5000)), "", "body_error"),
        ("garbage_head", Script::raw("HTTP/1.1 abc what\r\n\r\n"), "", "body_error"),
        ("too_short", json("{\"a\": [1, 2, 3]}").cut(5), "", "body_error"),
        ("too_long", json("{\"a\": 1} and more").header("content-length", "4"), "", "decode_error"),
        (
            "two_lengths",
            Script::raw("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{} "),
            "",
            "body_error",
        ),
        ("bad_chunk", Script::raw(format!("{chunked}zz\r\n{{}}\r\n0\r\n\r\n")), "", "body_error"),
        ("cut_chunk", Script::raw(format!("{chunked}10\r\n{{\"a\": ")), "", "body_error"),
        ("endless", Script::endless(), "max_response_bytes: 1MiB", "response_too_large"),
        ("endless_head", Script::raw(headers), "", "response_too_large"),
        ("bomb", zip(bomb), "max_response_bytes: 1MiB", "response_too_large"),
        ("not_gzip", zip(b"{\"a\": 1}".to_vec()), "", "body_error"),
        ("half_gzip", zip(gzipped(b"{\"a\": 1}")[..12].to_vec()), "", "body_error"),
        ("odd_coding", json("{}").header("content-encoding", "rot13"), "", "decode_error"),
        ("brackets", json(&"[".repeat(100_000)), "", "decode_error"),
        ("balanced", json(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))), "", "decode_error"),
        ("objects", json(&"{\"a\":".repeat(100_000)), "project: { x: $.a.a }", "decode_error"),
        ("invalid_utf8", Script::bytes("application/json", b"{\"a\": \"\xff\xfe\"}".to_vec()), "", "decode_error"),
        ("cut_utf8", Script::bytes("application/json", b"\"\xe2\x82\"".to_vec()), "", "decode_error"),
        ("redirect_loop", Script::status(302).header("location", "/redirect_loop"), "redirects: 5", "redirect"),
        ("redirect_scheme", Script::status(302).header("location", "ftp://127.0.0.1/"), "redirects: 5", "redirect"),
        ("redirect_nowhere", Script::status(302), "redirects: 5", "redirect"),
        ("close", Script::close(), "", "reset"),
        ("reset", Script::reset(), "", "reset"),
        ("trickle", json(&"1".repeat(10_000)).trickle_ms(50), "", "attempt_timeout"),
        (
            "switching",
            Script::raw("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
            "",
            "",
        ),
        ("http_09", Script::raw("<html>hello</html>"), "", "body_error"),
    ]
}

#[tokio::test]
async fn every_bad_upstream_fails_with_its_kind_and_harms_nobody() {
    let upstream = Upstream::with(&[("/good", Script::json(&json!({"fine": true})))]);
    let rows = rows();
    let mut documents = vec![source("good", &upstream.url("/good"), "cache: off")];
    for (name, script, more, _) in &rows {
        let path = format!("/{name}");
        upstream.on(&path, script.clone());
        documents.push(source(name, &upstream.url(&path), &format!("timeout: 1s\ncache: off\nbreaker: off\n{more}")));
    }
    documents.push(source("tls_refused", &speaking_no_tls(), "timeout: 1s\ncache: off"));
    let gateway = Gateway::of(&documents);
    for round in 1..=3 {
        let reply = gateway.get("/aggregate").await.expect(200);
        assert!(reply.took < Duration::from_millis(2500), "round {round}: {:?}", reply.took);
        assert_eq!(reply.part("good")["data"], json!({"fine": true}), "round {round}");
        let mut wrong = Vec::new();
        for (name, _, _, kind) in &rows {
            let part = reply.part(name);
            let is_right = if kind.is_empty() { part["kind"].is_string() } else { part["kind"] == *kind };
            if !is_right || part["data"] != json!(null) || part["duration_ms"].as_u64().unwrap() > 1300 {
                wrong.push(format!("{name}: wanted {kind}, got {part}"));
            }
        }
        let tls = reply.part("tls_refused");
        if !["connect_error", "config_error"].contains(&tls["kind"].as_str().unwrap()) {
            wrong.push(format!("tls_refused: {tls}"));
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
    let alive = gateway.get("/livez").await.expect(200);
    assert!(alive.took < Duration::from_millis(300));
    let resident = gateway.resident() / (1024 * 1024);
    assert!(resident < 250, "{resident} MiB");
    assert!(gateway.metric("aggd_limiter_active", &[]).await.abs() < f64::EPSILON);
    assert!(gateway.metric("aggd_panics_total", &[]).await.abs() < f64::EPSILON);
}

/// What RFC 8259 allows.
#[rustfmt::skip]
const ALLOWED: &[&str] = &[
    "null", "true", "false", "0", "-0", "1e400", "1E-400", "-1.50e+10", "123456789012345678901234567890", "\"\"",
    r#""\u0000\b\f\n\r\t\"\\\/""#, r#""\ud834\udd1e""#, r#""\ud800""#, "\"\u{10ffff}\u{2028}\u{7f}\"", "[]", "{}",
    "[ ]", "{ }", "[1 , 2]", "{\"\":1,\"a b\":2}", "{\"a\":1,\"a\":2}", "[[],{}]", "{\"\\u0061\":1}",
];

/// What it forbids.
#[rustfmt::skip]
const FORBIDDEN: &[&str] = &[
    "", " ", "nul", "True", "NaN", "Infinity", "-", "+1", "01", "-01", "1.", ".5", "1e", "1e+", "0x1", "1_000",
    "'a'", "\"", "\"\\x\"", "\"\\u12g4\"", "\"a\nb\"", "\"a\tb\"", "[", "]", "[1,]", "[,1]", "[1 2]", "{", "{a:1}",
    "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{,}", "1 2", "{}x", "// c\n1", "/* c */ 1", "[1}", "\u{a0}1", "\u{feff}1",
    "nullx", "\"\u{0}\"",
];

#[tokio::test]
async fn what_json_allows_passes_unchanged_and_what_it_forbids_is_a_decode_error() {
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let allowed = [ALLOWED, &[&deep]].concat();
    let upstream = Upstream::start();
    let mut documents = Vec::new();
    for (place, text) in allowed.iter().chain(FORBIDDEN).enumerate() {
        let path = format!("/{place}");
        upstream.on(&path, Script::text("application/json", text));
        documents.push(source(&format!("s{place}"), &upstream.url(&path), "cache: off\nbreaker: off"));
    }
    let gateway = Gateway::of(&documents);
    let reply = gateway.get("/aggregate").await.expect(200);
    let text = reply.text();
    for (place, document) in allowed.iter().enumerate() {
        let wanted = format!("{{\"source\":\"s{place}\",\"status\":\"ok\",\"data\":{document},\"error\":null,");
        assert!(text.contains(&wanted), "{document} did not pass unchanged: {}", reply.text());
    }
    for (place, document) in FORBIDDEN.iter().enumerate() {
        let name = format!("s{}", allowed.len() + place);
        let wanted = format!("{{\"source\":\"{name}\",\"status\":\"failed\",\"data\":null,");
        let at = text.find(&wanted).unwrap_or_else(|| panic!("{document:?} passed: {text}"));
        let part = &text[at..text[at..].find('}').unwrap() + at];
        assert!(part.contains("\"kind\":\"decode_error\""), "{document:?}: {part}");
    }
}

#[tokio::test]
async fn a_large_document_is_projected_and_its_size_bounded() {
    let item = r#"{"id": 12345, "text": "lorem ipsum dolor sit amet", "more": [1, 2, 3]},"#;
    let items = item.repeat(40_000);
    let text = format!("{{\"items\": [{}], \"last\": 7}}", items.trim_end_matches(','));
    assert!(text.len() > 2_500_000);
    let upstream = Upstream::with(&[("/a", Script::text("application/json", &text))]);
    let more =
        "cache: off\nproject: { last: $.last, first: \"$.items[0].id\", count: { path: \"$.items[*]\", take: count } }";
    let gateway = Gateway::of(&[
        source("a", &upstream.url("/a"), more),
        source("small", &upstream.url("/a"), "cache: off\nmax_response_bytes: 2MiB"),
    ]);
    let reply = gateway.get("/aggregate").await.expect(200);
    assert_eq!(reply.part("a")["data"], json!({"last": 7, "first": 12345, "count": 40_000}));
    assert_eq!(reply.part("small")["kind"], "response_too_large");
}
