//! What a test plays: the real engine, over a network that is told what to answer, in time that does not pass by itself.

use std::time::Duration;
use std::time::Instant;

use serde_json::json;

use crate::harness::Script;
use crate::harness::Setup;
use crate::harness::Upstream;
use crate::harness::aggd;
use crate::harness::eventually;
use crate::testing::setup;

#[track_caller]
fn passes(documents: &str) {
    let setup = setup(documents);
    let output = aggd(setup.path(), &["test"]);
    assert_eq!(output.status, 0, "{}{}", output.err, output.out);
}

#[test]
fn every_error_of_the_network_is_the_outcome_that_a_real_one_would_be() {
    let cases = [
        ("timeout", "", "attempt_timeout"),
        ("connect_error", "", "connect_error"),
        ("connect_timeout", "connect_timeout: 300ms", "connect_timeout"),
        ("reset", "", "reset"),
        ("body_error", "", "body_error"),
        ("body_timeout", "read_timeout: 200ms", "attempt_timeout"),
        ("config_error", "", "config_error"),
    ];
    for (error, more, kind) in cases {
        passes(&format!(
            "source: a\nurl: https://nowhere.invalid/a\ntimeout: 2s\n{more}\n---\n\
             test: {error}\nsource: a\ngiven: {{ error: {error} }}\n\
             expect: {{ status: failed, kind: {kind}, within: 2s, data: null, calls: {{ a: 1 }} }}\n"
        ));
    }
    let answers = [
        ("{ status: 503 }", "server_error"),
        ("{ status: 404 }", "client_error"),
        ("{ status: 429 }", "throttled"),
        ("{ body: '<html>', headers: { Content-Type: text/html } }", "decode_error"),
        ("{ json: { v: 12345678901234567890123456789012345 } }", "response_too_large"),
        ("{ status: 302, headers: { Location: /b } }", "redirect"),
        ("{ json: {}, delay: 3s }", "timeout"),
    ];
    for (answer, kind) in answers {
        passes(&format!(
            "source: a\nurl: https://nowhere.invalid/a\ntimeout: 2s\nmax_response_bytes: 40B\n---\n\
             test: {kind}\nsource: a\ngiven: {answer}\nexpect: {{ status: failed, kind: {kind}, within: 2s }}\n"
        ));
    }
}

#[test]
fn an_address_that_the_configuration_denies_is_denied_here_too() {
    passes(
        "source: a\nurl: http://169.254.169.254/latest\n---\n\
         test: metadata is never called\nsource: a\ngiven: { json: {} }\n\
         expect: { kind: config_error, calls: { a: 0 } }\n",
    );
}

#[test]
fn a_list_gives_one_answer_to_each_call_and_its_last_to_the_rest_until_it_is_given_anew() {
    passes(
        r#"
source: a
url: https://nowhere.invalid/a
cache: off
breaker: off
---
test: one after the other
source: a
given: [{ json: 1 }, { status: 500 }, { json: 3 }]
steps:
  - expect: { data: 1 }
  - expect: { kind: server_error }
  - repeat: 2
    expect: { data: 3 }
  - given: [{ json: 5 }, { json: 6 }]
    expect: { data: 5, calls: { a: 5 } }
  - repeat: 3
    expect: { data: 6 }
  - expect: { calls: { a: 9 }, data: 6 }
"#,
    );
}

#[test]
fn each_attempt_of_a_call_takes_the_next_answer() {
    passes(
        r#"
source: a
url: https://nowhere.invalid/a
cache: off
retry: { max_attempts: 3, backoff: { base: 200ms } }
---
test: the third time lucky
source: a
given: [{ status: 503 }, { error: reset }, { json: 3 }]
expect: { status: ok, data: 3, calls: { a: 3 }, breaker: { a: closed } }
---
test: and no fourth
source: a
given: { status: 503 }
expect: { status: failed, kind: server_error, calls: { a: 3 } }
"#,
    );
}

#[test]
fn requests_at_the_same_time_share_a_call_and_wait_in_one_line() {
    passes(
        r#"
source: a
url: https://nowhere.invalid/a
---
source: b
url: https://nowhere.invalid/b
cache: off
---
test: they share it
source: a
given: { json: 1, delay: 1s }
steps:
  - { repeat: 20, at_once: true, expect: { data: 1, within: 1s, calls: { a: 1 } } }
---
test: they do not
source: b
given: { json: 1, delay: 1s }
steps:
  - { repeat: 20, at_once: true, expect: { data: 1, within: 1s, calls: { b: 20 } } }
"#,
    );
}

#[test]
fn redirects_are_followed_and_what_is_compressed_is_unpacked() {
    let mut encoder = flate2_gzip(br#"{"v": 1}"#);
    let setup = setup(
        r#"
source: a
url: https://nowhere.invalid/a
redirects: 1
---
test: moved, and packed
source: a
given:
  - { status: 301, headers: { Location: /b } }
  - { file: packed.json, headers: { Content-Encoding: gzip } }
expect: { data: { v: 1 }, calls: { a: 2 }, sent: { a: { path: /b } } }
"#,
    );
    std::fs::write(setup.path().join("sources.d/packed.json"), std::mem::take(&mut encoder)).unwrap();
    aggd(setup.path(), &["test"]).expect(0);
}

/// Stored, not deflated: a gzip member that needs no library.
fn flate2_gzip(body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap();
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    bytes.extend(length.to_le_bytes());
    bytes.extend((!length).to_le_bytes());
    bytes.extend(body);
    bytes.extend(crc32(body).to_le_bytes());
    bytes.extend(u32::from(length).to_le_bytes());
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

/// A dead source, its circuit, its recovery, its probe, and its stale copies running out.
const FIVE_MINUTES: &str = r#"
source: a
url: https://nowhere.invalid/a
timeout: 5s
breaker: { failure_threshold: 3, recovery_timeout: 30s }
cache: { ttl: 20s, refresh_ahead: off, stale_if_error: 3m }
---
route: /page
sources: [a]
---
test: five minutes
route: /page
given: { a: { json: 1, delay: 40ms } }
steps:
  - expect: { mode: fresh, within: 40ms, results: { a: { data: 1 } }, cache: { a: fresh } }
  - given: { a: { error: timeout } }
    advance: 20s
    repeat: 3
    expect: { mode: degraded_cache, results: { a: { status: stale, kind: timeout } }, cache: { a: stale } }
  - expect: { results: { a: { status: stale, kind: breaker_open } }, within: 1ms, breaker: { a: open }, calls: { a: 4 } }
  - advance: 30s
    expect: { breaker: { a: half_open } }
  - request: {}
    expect: { breaker: { a: open }, calls: { a: 5 } }
  - advance: 2m30s
    expect: { cache: { a: none } }
  - given: { a: { json: 2 } }
    expect: { mode: fresh, results: { a: { data: 2 } }, breaker: { a: closed } }
  - advance: 1m
    request: {}
    expect: { calls: { a: 7 } }
"#;

#[test]
fn five_minutes_take_milliseconds() {
    let setup = setup(FIVE_MINUTES);
    let begun = Instant::now();
    let output = aggd(setup.path(), &["test"]).expect(0);
    let (whole, text) = (begun.elapsed(), output.out.lines().last().unwrap_or_default().to_owned());
    let millis: u64 = text.strip_prefix("1 passed in ").unwrap().strip_suffix(" ms").unwrap().parse().unwrap();
    assert!(millis < 1000, "{text}");
    // The start of the process and a busy machine included.
    assert!(whole < Duration::from_secs(10), "{whole:?}");
}

#[test]
fn chance_falls_the_same_way_each_time() {
    let setup = setup(
        r#"
source: a
url: https://nowhere.invalid/a
breaker: { failure_threshold: 1, recovery_timeout: 30s, open_backoff: { jitter: 0.5 } }
cache: { ttl: 60s, ttl_jitter: 50%, refresh_ahead: xfetch }
---
test: what chance makes of it
source: a
given: { delay: 900ms, json: 1 }
steps:
  - repeat: 1
  - advance: 20s
    repeat: 30
  - advance: 10s
    repeat: 30
    expect: { calls: { a: 99 } }
"#,
    );
    let told = |output: String| output.lines().filter(|line| !line.contains(" ms")).collect::<Vec<_>>().join("\n");
    let first = told(aggd(setup.path(), &["test"]).expect(1).out);
    assert!(first.contains("calls"), "{first}");
    for _ in 0..5 {
        assert_eq!(told(aggd(setup.path(), &["test"]).expect(1).out), first);
    }
}

#[test]
fn work_behind_a_reply_is_over_before_anything_is_expected_and_no_time_has_passed() {
    passes(
        r#"
source: a
url: https://nowhere.invalid/a
cache: { ttl: 60s, refresh_ahead: 50% }
---
test: a refresh behind the reply
source: a
given: [{ json: 1 }, { json: 2 }, { json: 3, delay: 5s }]
steps:
  - expect: { data: 1 }
  - advance: 31s
    expect: { data: 1, mode: cached, calls: { a: 2 } }
  - expect: { data: 2, mode: cached, within: 1ms }
  - advance: 31s
    expect: { data: 2, calls: { a: 3 } }
  # Not there yet.
  - expect: { data: 2 }
  - advance: 5s
    expect: { data: 3 }
"#,
    );
}

#[test]
fn large_documents_are_cut_before_anything_is_expected() {
    let items: Vec<_> = (0..40_000).map(|n| json!({ "n": n })).collect();
    let setup = setup(
        r#"
source: a
url: https://nowhere.invalid/a
cache: { ttl: 60s, refresh_ahead: 50% }
project: { count: { path: "$.items[*]", take: count } }
---
test: behind a reply too
source: a
given: { file: large.json }
steps:
  - expect: { data: { count: 40000 }, within: 1ms }
  - advance: 31s
    request: {}
    expect: { calls: { a: 2 } }
  - advance: 31s
    expect: { data: { count: 40000 }, mode: cached }
"#,
    );
    std::fs::write(setup.path().join("sources.d/large.json"), json!({ "items": items }).to_string()).unwrap();
    aggd(setup.path(), &["test"]).expect(0);
}

#[test]
fn wall_time_goes_as_virtual_time_does() {
    passes(
        r#"
source: a
url: https://nowhere.invalid/a
breaker: { failure_threshold: 1, recovery_timeout: 1s, honor_retry_after: true }
cache: off
---
test: a date to come back at
source: a
given: { status: 503, headers: { Retry-After: "Thu, 01 Jan 2026 00:02:00 GMT" } }
steps:
  - advance: 1m
    request: {}
    expect: { breaker: { a: open } }
  - advance: 59s
    expect: { breaker: { a: open } }
  - advance: 1s
    expect: { breaker: { a: half_open } }
"#,
    );
}

#[test]
fn a_client_in_a_hurry_is_one_here_too() {
    passes(
        r#"
source: a
url: https://nowhere.invalid/a
---
test: nobody's evidence
source: a
given: { json: 1, delay: 1s }
request: { headers: { X-Request-Timeout: 300ms } }
expect: { status: failed, kind: deadline_exceeded, within: 300ms, breaker: { a: closed } }
---
test: the built-in routes
route: /aggregate/{source}
given: { a: { json: 1 } }
request: { path: { source: a } }
expect: { status: 200, headers: { Cache-Status: aggd; fwd=bypass; stored }, json: { source: a, status: ok, data: 1, error: null, duration_ms: 0, cached: false } }
---
test: a route that answers piece by piece
route: /aggregate
given: { a: { json: 1 } }
request: { headers: { Accept: application/x-ndjson } }
expect: { status: 200, headers: { Content-Type: application/x-ndjson, Etag: null } }
"#,
    );
}

#[test]
fn no_socket_is_opened_and_no_database() {
    let upstream = Upstream::with(&[("/a", Script::json(&json!(1)))]);
    let setup = Setup::new().server("listen: 127.0.0.1:1\ndatabase: sqlite://audit.db").file(
        "sources.d/main.yaml",
        &format!(
            "source: a\nurl: {}\n---\ntest: given\nsource: a\ngiven: {{ json: 2 }}\nexpect: {{ data: 2 }}\n---\n\
             test: not given\nsource: a\nexpect: {{ status: ok }}\n",
            upstream.url("/a")
        ),
    );
    setup.write();
    let output = aggd(setup.path(), &["test"]).expect(1);
    assert!(output.out.contains("the upstream of `a` was called, and nothing is `given` for it"), "{}", output.out);
    assert!(output.out.contains("1 passed, 1 failed"), "{}", output.out);
    assert_eq!(upstream.total(), 0);
    assert!(!setup.path().join("audit.db").exists());
}

#[tokio::test]
async fn a_running_gateway_takes_no_notice_of_tests() {
    let upstream = Upstream::with(&[("/a", Script::json(&json!(1)))]);
    let source = |test: &str| {
        format!(
            "source: a\nurl: {}\n---\ntest: {test}\nsource: a\ngiven: {{ file: nowhere.json }}\nexpect: {{ data: 2 }}\n",
            upstream.url("/a")
        )
    };
    let gateway = Setup::new().server("reload: { watch: false, poll: off }").sources(&[source("one")]).start();
    gateway.get("/aggregate").await.expect(200);
    gateway.save("sources.d/main.yaml", &source("another"));
    assert_eq!(gateway.reload().await.expect(200).json()["result"], "unchanged");
    assert_eq!(gateway.health().await["config"]["generation"], 1);
    gateway.get("/aggregate").await.expect(200);
    assert_eq!(upstream.calls("/a"), 1, "from the cache");
    let shown = gateway.get("/admin/config").await.expect(200).text();
    assert!(!shown.contains("nowhere.json"), "{shown}");
    gateway.save("sources.d/main.yaml", &source("a third").replace("given:", "givn:"));
    gateway.reload().await;
    assert_eq!(gateway.health().await["config"]["last_reload"], "rejected");
    eventually(Duration::from_secs(5), "told", async || gateway.log().contains("did you mean `given`")).await;
}
