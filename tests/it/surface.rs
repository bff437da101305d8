//! The data plane as HTTP: the exact shape of answers, headers, methods, protocols, compression, refusals.

use http::Method;
use serde::Deserialize;
use serde_json::json;

use crate::harness::Gateway;
use crate::harness::Reply;
use crate::harness::Script;
use crate::harness::Setup;
use crate::harness::Upstream;
use crate::harness::abc;
use crate::harness::source;

/// The names of a JSON object's members, in order.
fn members(text: &str) -> Vec<String> {
    struct Names(Vec<String>);
    impl<'de> Deserialize<'de> for Names {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl<'de> serde::de::Visitor<'de> for Visitor {
                type Value = Names;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                    let mut names = Vec::new();
                    while let Some((name, _)) = map.next_entry::<String, serde::de::IgnoredAny>()? {
                        names.push(name);
                    }
                    Ok(Names(names))
                }
            }
            deserializer.deserialize_map(Visitor)
        }
    }
    serde_json::from_str::<Names>(text).unwrap_or_else(|error| panic!("{error}: {text}")).0
}

/// The texts of the objects in `results`.
fn results(reply: &Reply) -> Vec<String> {
    #[derive(Deserialize)]
    struct Whole<'a> {
        #[serde(borrow)]
        results: Vec<&'a serde_json::value::RawValue>,
    }
    let text = reply.text();
    let whole: Whole<'_> = serde_json::from_str(&text).unwrap();
    whole.results.iter().map(|raw| raw.get().to_owned()).collect()
}

/// `ok`, `failed` and `fallback` in one answer.
async fn mixed(upstream: &Upstream) -> (Gateway, Reply) {
    let mut documents = abc(upstream, "");
    upstream.on("/b", Script::status(500));
    upstream.on("/c", Script::status(500));
    documents[2].push_str("fallback: [{ value: { items: [] } }]\n");
    let gateway = Gateway::of(&documents);
    let reply = gateway.get("/aggregate").await.expect(200);
    (gateway, reply)
}

#[tokio::test]
async fn the_envelope_has_exactly_the_members_of_the_contract_in_their_order() {
    let upstream = Upstream::start();
    let (_gateway, reply) = mixed(&upstream).await;
    let whole = [
        "results",
        "sources_succeeded",
        "sources_failed",
        "sources_skipped",
        "mode",
        "degraded",
        "cached",
        "cache_age_seconds",
    ];
    assert_eq!(members(&reply.text()), whole);
    let parts = results(&reply);
    let base = ["source", "status", "data", "error"];
    assert_eq!(members(&parts[0]), [&base[..], &["duration_ms"]].concat());
    assert_eq!(members(&parts[1]), [&base[..], &["kind", "duration_ms"]].concat());
    assert_eq!(members(&parts[2]), [&base[..], &["kind", "duration_ms", "degraded", "fallback"]].concat());
    assert_eq!(reply.part("a")["source"], "a");
    assert_eq!(reply.header("content-type"), "application/json");
}

#[tokio::test]
async fn fallback_has_exactly_the_members_of_the_contract() {
    let upstream = Upstream::start();
    let (_gateway, reply) = mixed(&upstream).await;
    let fallback = reply.part("c")["fallback"].clone();
    let expected = json!({"via": "value", "reason": "server_error", "age_ms": null, "tried": []});
    assert_eq!(fallback, expected);
}

#[tokio::test]
async fn a_single_source_answers_its_object_and_cached_false() {
    let upstream = Upstream::start();
    let gateway = Gateway::of(&abc(&upstream, ""));
    let reply = gateway.get("/aggregate/a").await.expect(200);
    assert_eq!(members(&reply.text()), ["source", "status", "data", "error", "duration_ms", "cached"]);
    assert_eq!((&reply.json()["source"], &reply.json()["cached"]), (&json!("a"), &json!(false)));
}

#[tokio::test]
async fn numbers_strings_and_key_order_leave_as_they_came() {
    let text =
        r#"{"z":12345678901234567890,"a":1.10,"m":-0.0,"e":1E+2,"u":"\u00e9\/\ud83d\ude00","deep":{"y":[1.0,{}]}}"#;
    let upstream = Upstream::with(&[("/a", Script::text("application/json", text))]);
    let gateway = Gateway::of(&[
        source("a", &upstream.url("/a"), ""),
        source("b", &upstream.url("/a"), "project: { second: $.a, first: $.z, list: \"$..y\" }"),
    ]);
    let reply = gateway.get("/aggregate").await.expect(200);
    assert!(reply.text().contains(&format!("\"data\":{text},")), "{}", reply.text());
    let projected = r#""data":{"second":1.10,"first":12345678901234567890,"list":[[1.0,{}]]}"#;
    assert!(reply.text().contains(projected), "{}", reply.text());
}

#[tokio::test]
async fn headers_tell_how_the_answer_came_about() {
    let upstream = Upstream::start();
    let gateway = Gateway::of(&abc(&upstream, ""));
    let first = gateway.ask(Method::GET, "/aggregate").header("x-request-id", "my-id_1").send().await.expect(200);
    assert_eq!(first.header("x-request-id"), "my-id_1");
    assert_eq!(first.header("aggd-completed"), "true");
    assert_eq!(first.header("cache-status"), "aggd; fwd=uri-miss; stored");
    assert_eq!(first.header("age"), "");
    assert!(first.header("etag").starts_with("W/\""), "{}", first.header("etag"));
    let timing: Vec<_> =
        first.header("server-timing").split(", ").map(|one| one.split(";dur=").next().unwrap()).collect();
    assert_eq!(timing, ["a", "b", "c"]);
    assert_eq!(upstream.last("/a").header("x-request-id"), Some("my-id_1"), "sent upstream");
    let second = gateway.get("/aggregate").await.expect(200);
    assert!(second.header("cache-status").starts_with("aggd; hit; ttl="), "{}", second.header("cache-status"));
    assert_eq!(second.header("age"), "0");
    assert_eq!(second.header("etag"), first.header("etag"), "of the data alone");
    assert_eq!(second.header("x-request-id").len(), 32);
}

#[tokio::test]
async fn an_insane_request_id_is_replaced() {
    let gateway = Setup::new().start();
    for bad in ["has space", "", &"x".repeat(129), "tab\there"] {
        let reply = gateway.ask(Method::GET, "/livez").header("x-request-id", bad).send().await;
        assert_ne!(reply.header("x-request-id"), bad);
        assert!(!reply.header("x-request-id").is_empty());
    }
    let longest = "y".repeat(128);
    let reply = gateway.ask(Method::GET, "/livez").header("x-request-id", &longest).send().await;
    assert_eq!(reply.header("x-request-id"), longest);
}

#[tokio::test]
async fn the_etag_is_of_the_data_and_gives_304() {
    let upstream = Upstream::start();
    let gateway = Gateway::of(&abc(&upstream, ""));
    let etag = gateway.get("/aggregate").await.expect(200).header("etag").to_owned();
    let ask = async |value: &str| gateway.ask(Method::GET, "/aggregate").header("if-none-match", value).send().await;
    for known in [etag.clone(), format!("\"x\", {etag}"), "*".to_owned(), etag.trim_start_matches("W/").to_owned()] {
        let reply = ask(&known).await.expect(304);
        assert!(reply.body.is_empty());
        assert_eq!(reply.header("etag"), etag);
        assert_eq!(reply.header("content-type"), "");
    }
    ask("W/\"other\"").await.expect(200);
    upstream.on("/a", Script::json(&json!({"n": "changed"})));
    gateway.post("/cache/invalidate", "").await.expect(200);
    let reply = ask(&etag).await.expect(200);
    assert_ne!(reply.header("etag"), etag);
    upstream.on("/a", Script::json(&json!({"n": "a"})));
    gateway.post("/cache/invalidate", "").await.expect(200);
    ask(&etag).await.expect(304);
}

#[tokio::test]
async fn a_single_source_has_an_etag_too() {
    let upstream = Upstream::start();
    let gateway = Gateway::of(&abc(&upstream, ""));
    let reply = gateway.get("/aggregate/a").await.expect(200);
    assert!(reply.header("etag").starts_with("W/\""), "no ETag: {:?}", reply.headers);
    let again = gateway.ask(Method::GET, "/aggregate/a").header("if-none-match", reply.header("etag")).send().await;
    again.expect(304);
}

#[tokio::test]
async fn trace_context_is_continued_and_sent_on() {
    let upstream = Upstream::start();
    let gateway = Gateway::of(&abc(&upstream, "cache: off"));
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let ask = gateway.ask(Method::GET, "/aggregate").header("traceparent", parent).header("tracestate", "a=b");
    let reply = ask.send().await.expect(200);
    let (ours, sent) = (reply.header("traceparent").to_owned(), upstream.last("/a"));
    assert!(ours.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && ours.ends_with("-01"), "{ours}");
    assert_ne!(ours, parent, "a span of our own");
    assert!(sent.header("traceparent").unwrap().starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
    assert_eq!(sent.header("tracestate"), Some("a=b"));
    let reply = gateway.ask(Method::GET, "/aggregate").header("traceparent", "00-garbage").send().await.expect(200);
    assert_eq!(reply.header("traceparent").len(), 55);
    assert_eq!(upstream.last("/a").header("tracestate"), None);
}

#[tokio::test]
async fn refusals_are_problems_that_say_what_to_do() {
    let upstream = Upstream::start();
    let mut documents = abc(&upstream, "");
    let more = "query: { n: \"{n}\" }\nparams: { n: { type: integer, min: 1, max: 9, default: 1 } }";
    documents.push(source("weather", &upstream.url("/a"), more));
    let required = "query: { r: \"{r}\" }\nparams: { r: { required: true } }\naggregate: false";
    documents.push(source("needy", &upstream.url("/a"), required));
    let gateway = Gateway::of(&documents);
    let problem = gateway.get("/aggregate/wether").await.problem(404, "unknown-source");
    assert_eq!(problem["did_you_mean"], "weather");
    assert!(problem["detail"].as_str().unwrap().contains("did you mean `weather`"), "{problem}");
    for (query, word) in
        [("n=0", "at least"), ("n=10", ""), ("n=x", "integer"), ("n=1.5", "integer"), ("n=", "integer")]
    {
        let problem = gateway.get(&format!("/aggregate?{query}")).await.problem(400, "bad-parameter");
        assert_eq!(problem["parameter"], "n");
        assert!(problem["detail"].as_str().unwrap().contains(word), "{query}: {problem}");
    }
    assert_eq!(gateway.get("/aggregate/needy").await.problem(400, "bad-parameter")["parameter"], "r");
    gateway.get("/aggregate?n=%FF").await.problem(400, "bad-query");
    gateway.get("/nowhere").await.problem(404, "unknown-path");
    gateway.get("/").await.problem(404, "unknown-path");
    assert_eq!(upstream.total(), 0, "no upstream is called for a refusal");
}

#[tokio::test]
async fn a_wrong_method_is_405_with_allow_and_options_tells() {
    let upstream = Upstream::start();
    let mut documents = abc(&upstream, "");
    documents.push("route: /made\nmethod: POST\nsources: [a]\n".to_owned());
    let gateway = Gateway::of(&documents);
    for (method, path, allow) in [
        (Method::POST, "/aggregate", "GET, HEAD, OPTIONS"),
        (Method::DELETE, "/aggregate/a", "GET, HEAD, OPTIONS"),
        (Method::GET, "/made", "POST, OPTIONS"),
        (Method::POST, "/health", "GET, HEAD, OPTIONS"),
        (Method::GET, "/cache/invalidate", "POST, OPTIONS"),
    ] {
        let reply = gateway.ask(method.clone(), path).send().await;
        reply.problem(405, "method-not-allowed");
        assert_eq!(reply.header("allow"), allow, "{method} {path}");
        let told = gateway.ask(Method::OPTIONS, path).send().await.expect(204);
        assert_eq!((told.header("allow"), told.body.len()), (allow, 0), "OPTIONS {path}");
    }
    gateway.ask(Method::POST, "/made").send().await.expect(200);
    let reply = gateway.ask(Method::TRACE, "/aggregate").send().await;
    reply.problem(405, "method-not-allowed");
}

#[tokio::test]
async fn head_answers_as_get_does_without_a_body() {
    let upstream = Upstream::start();
    let gateway = Gateway::of(&abc(&upstream, ""));
    let get = gateway.get("/aggregate").await.expect(200);
    for path in ["/aggregate", "/aggregate/a", "/livez", "/health", "/metrics"] {
        let head = gateway.ask(Method::HEAD, path).send().await.expect(200);
        assert!(head.body.is_empty(), "{path}");
        assert!(!head.header("content-type").is_empty(), "{path}");
    }
    let head = gateway.ask(Method::HEAD, "/aggregate").send().await;
    assert_eq!(head.header("etag"), get.header("etag"));
    gateway.ask(Method::HEAD, "/aggregate/x").send().await.expect(404);
}

#[tokio::test]
async fn head_tells_the_content_type_of_an_answer_that_would_come_in_parts_and_calls_nothing() {
    let upstream = Upstream::start();
    let gateway = Gateway::of(&abc(&upstream, "cache: off"));
    for kind in ["text/event-stream", "application/x-ndjson"] {
        let ask = |method| gateway.ask(method, "/aggregate").header("accept", kind).send();
        let head = ask(Method::HEAD).await.expect(200);
        assert_eq!((head.header("content-type"), head.body.len(), upstream.total()), (kind, 0, 0));
        assert_eq!(head.headers.get("content-length"), None, "GET has none");
    }
    gateway.ask(Method::HEAD, "/aggregate?sources=x").header("accept", "text/event-stream").send().await.expect(404);
    let get = gateway.ask(Method::GET, "/aggregate").header("accept", "text/event-stream").send().await.expect(200);
    assert_eq!(get.header("content-type"), "text/event-stream");
}

#[tokio::test]
async fn naming_no_source_at_all_is_refused_with_the_names_there_are() {
    let upstream = Upstream::start();
    let gateway = Gateway::of(&abc(&upstream, ""));
    for query in ["?sources=", "?sources=,", "?sources=%20,,"] {
        let problem = gateway.get(&format!("/aggregate{query}")).await.problem(400, "bad-parameter");
        assert_eq!(problem["parameter"], "sources", "{query}");
        assert!(problem["detail"].as_str().unwrap().contains("name some of: a, b, c"), "{problem}");
    }
    assert_eq!(upstream.total(), 0);
    gateway.get("/aggregate?sources=a,").await.expect(200);
}

#[tokio::test]
async fn an_order_that_says_a_thing_twice_is_refused_and_nothing_is_done() {
    let upstream = Upstream::with(&[("/a", Script::json(&json!("one")))]);
    let gateway = Gateway::of(&[source("a", &upstream.url("/a"), "")]);
    gateway.get("/aggregate").await.expect(200);
    let twice = gateway.post("/cache/invalidate", r#"{"source": "b", "source": "a"}"#).await;
    let problem = twice.problem(400, "bad-body");
    assert!(problem["detail"].as_str().unwrap().contains("`source` is there twice"), "{problem}");
    assert_eq!(gateway.health().await["cache"]["total_entries"], 1);
}

#[tokio::test]
async fn constant_data_has_no_circuit_to_give_orders_to() {
    let gateway = Gateway::of(&["source: fixed\nstatic: { n: 1 }\n".to_owned()]);
    for action in ["force_open", "force_close", "reset"] {
        let reply = gateway.post("/admin/breakers/fixed", &json!({"action": action}).to_string()).await;
        let problem = reply.problem(409, "no-circuit");
        assert_eq!(problem["source"], "fixed", "{action}");
    }
}

#[tokio::test]
async fn http2_with_prior_knowledge_works() {
    let upstream = Upstream::start();
    let gateway = Gateway::of(&abc(&upstream, ""));
    let reply = gateway.ask_h2(Method::GET, "/aggregate").send().await.expect(200);
    assert_eq!(reply.version, http::Version::HTTP_2);
    assert_eq!(reply.part("a")["data"], json!({"n": "a"}));
    gateway.ask_h2(Method::GET, "/aggregate/x").send().await.problem(404, "unknown-source");
    gateway.ask_h2(Method::POST, "/cache/invalidate").body("{}").send().await.expect(200);
}

#[tokio::test]
async fn bodies_over_a_kibibyte_are_compressed_as_the_client_likes() {
    let upstream = Upstream::start();
    let documents = abc(&upstream, "");
    upstream.on("/a", Script::json(&json!("x".repeat(5000))));
    let gateway = Gateway::of(&documents);
    let plain = gateway.get("/aggregate").await.expect(200);
    assert_eq!(plain.header("content-encoding"), "");
    let plain = gateway.get("/aggregate").await.expect(200);
    let mut seen = 0;
    for (accept, expected) in
        [("gzip", "gzip"), ("br", "br"), ("zstd", "zstd"), ("gzip, br, zstd", "zstd"), ("identity", "")]
    {
        let reply = gateway.ask(Method::GET, "/aggregate").header("accept-encoding", accept).send().await.expect(200);
        assert_eq!(reply.header("content-encoding"), expected, "{accept}");
        assert!(reply.header("vary").to_lowercase().contains("accept-encoding") || expected.is_empty(), "{accept}");
        if !expected.is_empty() {
            assert!(reply.body.len() < 1000, "{accept}: {}", reply.body.len());
        }
        if let Some(decoded) = decode(expected, &reply.body) {
            let data = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap()["results"].clone();
            assert_eq!(data(&decoded), data(&plain.body), "{accept}");
            seen += 1;
        }
    }
    assert_eq!(seen, 3);
    let small = gateway.ask(Method::GET, "/livez").header("accept-encoding", "gzip").send().await.expect(200);
    assert_eq!(small.header("content-encoding"), "");
}

fn decode(encoding: &str, body: &[u8]) -> Option<Vec<u8>> {
    use std::io::Read as _;
    let mut out = Vec::new();
    match encoding {
        "gzip" => flate2::read::GzDecoder::new(body).read_to_end(&mut out).unwrap(),
        "br" => brotli::Decompressor::new(body, 4096).read_to_end(&mut out).unwrap(),
        "" => return Some(body.to_vec()),
        _ => return None,
    };
    Some(out)
}

#[tokio::test]
async fn routes_merge_project_and_fill_parameters() {
    let upstream = Upstream::with(&[
        ("/geo/Berlin", Script::json(&json!({"results": [{"lat": 52.5, "lon": 13.4}]}))),
        ("/news", Script::json(&json!([{"title": "one", "id": 1}, {"title": "two", "id": 2}]))),
    ]);
    let gateway = Gateway::of(&[
        source(
            "geo",
            &upstream.url("/geo/{name}"),
            "params: { name: { required: true } }\nproject: { lat: \"$.results[0].lat\" }",
        ),
        source(
            "news",
            &upstream.url("/news"),
            "query: { q: \"{q}\", lang: \"{lang}\" }\nparams: { q: {}, lang: { default: en } }\naggregate: false",
        ),
        "route: /cities/{city}\nrespond: merge\nheaders: { X-Team: maps }\n\
         sources:\n  place: { source: geo, params: { name: \"{path.city}\" }, required: true }\n  \
         news: { params: { q: \"{path.city}\", lang: \"{query.lang}\" } }\n\
         project: { city: $.place.lat, headlines: \"$.news[:1].title\" }\nomit: [\"$.headlines[7]\"]\n"
            .to_owned(),
    ]);
    let reply = gateway.get("/cities/Berlin").await.expect(200);
    assert_eq!(reply.text(), r#"{"city":52.5,"headlines":["one"]}"#);
    assert_eq!(reply.header("x-team"), "maps");
    assert_eq!(upstream.last("/news").target, "/news?q=Berlin&lang=en");
    gateway.get("/cities/Berlin?lang=de").await.expect(200);
    assert_eq!(upstream.last("/news").target, "/news?q=Berlin&lang=de");
    upstream.on("/news", Script::status(500));
    gateway.post("/cache/invalidate", "").await.expect(200);
    let reply = gateway.get("/cities/Berlin").await.expect(200);
    assert_eq!(reply.json(), json!({"city": 52.5, "headlines": []}));
    assert_eq!(reply.header("aggd-completed"), "false");
}

#[tokio::test]
async fn a_declared_aggregate_replaces_the_built_in_one() {
    let upstream = Upstream::start();
    let mut documents = abc(&upstream, "");
    documents.push("route: /aggregate\nsources: [c, a]\n".to_owned());
    let gateway = Gateway::of(&documents);
    let body = gateway.get("/aggregate").await.expect(200).json();
    assert_eq!(crate::harness::names(&body["sources_succeeded"]), ["c", "a"]);
}
