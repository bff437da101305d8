//! What ships: the example at the root, every folder of `examples/`, the demo, the schemas. Each is checked, started
//! against scripted upstreams, and held to what its README says.

use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use http::Method;
use serde_json::Value;
use serde_json::json;

use crate::harness::Gateway;
use crate::harness::Script;
use crate::harness::Setup;
use crate::harness::Upstream;
use crate::harness::aggd;
use crate::harness::eventually;
use crate::harness::names;
use crate::harness::refusing;
use crate::servers::postgres::Postgres;

const SOON: Duration = Duration::from_secs(5);

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The folders of `examples/`, by name.
fn folders() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("examples")).unwrap().flatten();
    let mut folders: Vec<_> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// The `NAME=value` lines of an example's `env.example`.
fn environment(folder: &Path) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(folder.join("env.example")).unwrap_or_default();
    let pairs = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A gateway of an example, on a port of the kernel's choice.
fn example(name: &str, environment: &[(&str, String)]) -> Gateway {
    let folder = if name.is_empty() { root() } else { root().join("examples").join(name) };
    let setup = Setup::new().arg("--config").arg(folder.to_str().unwrap()).arg("--listen").arg("127.0.0.1:0");
    environment.iter().fold(setup, |setup, (name, value)| setup.env(name, value)).start()
}

#[test]
fn every_example_is_fine() {
    let folders = folders();
    assert!(folders.len() >= 4, "the walk found {folders:?}");
    for folder in folders.iter().chain([&root()]) {
        let setup = Setup::new();
        let mut command = vec!["check".to_owned(), "--config".to_owned(), folder.to_str().unwrap().to_owned()];
        let sets = environment(folder);
        if !sets.is_empty() {
            // Through a shell's environment, as its README says.
            command = [vec![env!("CARGO_BIN_EXE_aggd").to_owned()], command].concat();
            let output = std::process::Command::new("env")
                .args(sets.iter().map(|(name, value)| format!("{name}={value}")))
                .args(&command)
                .output()
                .unwrap();
            assert!(output.status.success(), "{folder:?}: {}", String::from_utf8_lossy(&output.stdout));
            continue;
        }
        let arguments: Vec<_> = command.iter().map(String::as_str).collect();
        let output = aggd(setup.path(), &arguments);
        assert_eq!(output.status, 0, "{folder:?}: {}", output.out);
        assert!(output.out.starts_with("ok: "), "without a warning: {folder:?}: {}", output.out);
    }
}

#[test]
fn every_example_has_a_test_here() {
    let tested: BTreeSet<_> =
        ["city-page", "flaky-upstream", "json-api-with-post", "postgres-production", "tenants-and-limits"].into();
    let there: Vec<_> = folders();
    let there: BTreeSet<_> = there.iter().map(|folder| folder.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(there, tested);
    for folder in folders() {
        assert!(folder.join("README.md").is_file(), "{folder:?}");
    }
}

#[test]
fn the_schemas_are_those_of_this_version_and_accept_every_example() {
    let setup = Setup::new();
    let all = aggd(setup.path(), &["schema"]).expect(0).json();
    for name in ["aggd.schema.json", "sources.schema.json"] {
        let path = root().join("schemas").join(name);
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{path:?}: {error}; `aggd schema --write schemas`"));
        let shipped: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(shipped, all[name], "{name} is not of this version: `aggd schema --write schemas`");
    }
    let mut documents = 0;
    for folder in folders().into_iter().chain([root()]) {
        documents += conform(&all["aggd.schema.json"], &[folder.join("aggd.yaml")]);
        let entries = std::fs::read_dir(folder.join("sources.d")).unwrap().flatten();
        let files: Vec<_> = entries.map(|entry| entry.path()).collect();
        documents += conform(&all["sources.schema.json"], &files);
    }
    assert!(documents > 15, "{documents}");
}

fn conform(schema: &Value, files: &[PathBuf]) -> usize {
    let schema = jsonschema::validator_for(schema).unwrap();
    let mut count = 0;
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        for document in serde_yaml::Deserializer::from_str(&text) {
            let document: Value = serde::Deserialize::deserialize(document).unwrap();
            let errors: Vec<_> = schema.iter_errors(&document).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{file:?}: {errors:?}");
            count += 1;
        }
    }
    count
}

#[tokio::test]
async fn the_shipped_example_aggregates_three_sources() {
    let rates = r#"{"amount":1.0,"base":"EUR","date":"2026-01-02","rates":{"USD":1.10,"GBP":0.87}}"#;
    let hits =
        json!({"hits": [{"title": "One", "url": "https://example.org", "points": 5}, {"title": "Ask", "extra": 1}]});
    let current = json!({"current": {"time": "2026-01-01T00:00", "temperature_2m": 3.5, "wind_speed_10m": 11.2}});
    let upstream = Upstream::with(&[
        ("/weather", Script::json(&current)),
        ("/news", Script::json(&hits)),
        ("/markets", Script::text("application/json", rates)),
    ]);
    let url = |name: &str| upstream.url(name);
    let sets = [
        ("WEATHER_URL", url("/weather")),
        ("NEWS_URL", url("/news")),
        ("MARKETS_URL", url("/markets")),
        ("DATABASE_URL", "off".into()),
    ];
    let gateway = example("", &sets);
    let reply = gateway.get("/aggregate?lat=48.14&topic=a%20b").await.expect(200);
    assert_eq!(names(&reply.json()["sources_succeeded"]), ["markets", "news", "weather"]);
    let weather = json!({"temperature_c": 3.5, "wind_kmh": 11.2, "observed_at": "2026-01-01T00:00"});
    assert_eq!(reply.part("weather")["data"], weather);
    assert!(reply.text().contains(r#""rates":{"USD":1.10,"GBP":0.87}"#), "{}", reply.text());
    let stories = json!([{"title": "One", "url": "https://example.org", "points": 5}, {"title": "Ask", "url": null, "points": 0}]);
    assert_eq!(reply.part("news")["data"]["headlines"], stories);
    let target = upstream.last("/weather").target;
    assert!(target.contains("latitude=48.14&longitude=13.41&current=temperature_2m"), "{target}");
    assert!(
        upstream.last("/news").target.ends_with("query=a%20b") || upstream.last("/news").target.ends_with("query=a+b")
    );
    gateway.get("/aggregate?lat=91").await.problem(400, "bad-parameter");
    assert_eq!(gateway.metric("aggd_limiter_limit", &[("limiter", "global")]).await.round() as u64, 10);
}

#[tokio::test]
async fn city_page_answers_as_its_readme_says() {
    let place =
        json!({"results": [{"name": "Berlin", "country": "Germany", "latitude": 52.52437, "longitude": 13.41053}]});
    let sky = |degrees: &str| {
        Script::json(
            &json!({"current_condition": [{"temp_C": degrees, "windspeedKmph": "11", "weatherDesc": [{"value": "Overcast"}]}]}),
        )
    };
    let hits = json!({"hits": [{"title": "a"}, {"title": "b"}, {"url": "x"}, {"title": "d"}]});
    let upstream = Upstream::with(&[
        ("/geo", Script::json(&place)),
        ("/wttr/Berlin", sky("3")),
        ("/wttr/Lisbon", sky("17")),
        ("/wiki/Berlin", Script::json(&json!({"extract": "Berlin is …"}))),
        ("/news", Script::json(&hits)),
    ]);
    let url = |name: &str| upstream.url(name);
    let sets = [
        ("GEOCODER_URL", url("/geo")),
        ("WTTR_URL", url("/wttr")),
        ("WIKIPEDIA_URL", url("/wiki")),
        ("NEWS_URL", url("/news")),
    ];
    let gateway = example("city-page", &sets);
    let reply = gateway.get("/cities/Berlin").await.expect(200);
    let page = "{\"city\":\"Berlin\",\"country\":\"Germany\",\"position\":{\"lat\":52.52437,\"lon\":13.41053},\"temperature_c\":3,\
                \"sky\":\"Overcast\",\"about\":\"Berlin is …\",\"headlines\":[\"a\",\"b\",\"(no title)\"]}";
    assert_eq!(reply.text(), page);
    assert_eq!((reply.header("cache-control"), reply.header("aggd-completed")), ("public, max-age=30", "true"));
    assert!(upstream.last("/news").target.contains("hitsPerPage=5"));
    let both = gateway.get("/cities/Berlin/compared-with/Lisbon").await.expect(200).json();
    assert_eq!((&both["here"]["temperature_c"], &both["there"]["temperature_c"]), (&json!(3), &json!(17)));
    assert_eq!(upstream.calls("/wttr/Berlin"), 1, "asked for again within ten minutes it is not called");
    for path in ["/wttr/Berlin", "/wiki/Berlin", "/news"] {
        upstream.on(path, Script::status(500));
    }
    gateway.post("/cache/invalidate", "").await.expect(200);
    let reply = gateway.get("/cities/Berlin").await.expect(200);
    let body = reply.json();
    assert_eq!((&body["temperature_c"], &body["about"], &body["headlines"]), (&json!(null), &json!(null), &json!([])));
    assert_eq!(reply.header("aggd-completed"), "false");
    upstream.on("/geo", Script::json(&json!({})));
    let problem = gateway.get("/cities/Xyzzyville").await.problem(502, "sources-failed");
    assert_eq!(names(&problem["sources"]), ["place"]);
    assert_eq!(gateway.upstream("geocoder").await["consecutive_failures"], 0, "nobody's evidence");
}

#[tokio::test]
async fn flaky_upstream_answers_as_its_readme_says() {
    let mirror = json!({"result": "success", "base_code": "EUR", "time_last_update_utc": "Fri", "rates": {"USD": 1.16, "GBP": 0.87}});
    let upstream = Upstream::with(&[
        ("/mirror/EUR", Script::json(&mirror)),
        ("/holidays/DE", Script::json(&json!([{"date": "2026-04-03", "localName": "Karfreitag"}]))),
    ]);
    let (refused, _held) = refusing();
    let sets = [
        ("RATES_URL", format!("{refused}/")),
        ("RATES_MIRROR_URL", upstream.url("/mirror")),
        ("CALENDAR_URL", upstream.url("/holidays")),
    ];
    let gateway = example("flaky-upstream", &sets);
    for _ in 0..5 {
        let reply = gateway.get("/board").await.expect(200);
        let rates = reply.part("rates");
        assert_eq!(rates["data"], json!({"base": "EUR", "date": "Fri", "usd": 1.16, "gbp": 0.87}));
        assert_eq!((&rates["status"], &rates["kind"]), (&json!("fallback"), &json!("connect_error")));
        assert_eq!(rates["fallback"]["via"], "source");
        assert_eq!(names(&reply.json()["sources_failed"]), ["rates"]);
        assert_eq!(reply.part("imprint")["data"]["contact"], "ops@example.org");
        assert_eq!(reply.part("calendar")["data"]["holidays"][0]["name"], "Karfreitag");
    }
    let reply = gateway.get("/board").await.expect(200);
    assert_eq!(names(&reply.json()["sources_skipped"]), ["rates"]);
    assert_eq!(reply.part("rates")["error"], "circuit open");
    let state = gateway.upstream("rates").await;
    assert_eq!(state["circuit_state"], "open");
    assert!((4.0..=5.5).contains(&state["recovers_in_seconds"].as_f64().unwrap()), "{state}");
    upstream.on("/mirror/EUR", Script::status(500));
    gateway.post("/cache/invalidate", "").await.expect(200);
    let rates = gateway.get("/board").await.expect(200).part("rates");
    assert_eq!((&rates["data"]["usd"], &rates["fallback"]["via"]), (&json!(null), &json!("value")));
    assert_eq!(names(&rates["fallback"]["tried"]), ["source", "stale"]);
}

#[tokio::test]
async fn json_api_with_post_answers_as_its_readme_says() {
    let vulns = json!({"vulns": [{"id": "GHSA-1", "aliases": ["CVE-1"], "summary": "s", "published": "2019"}, {"id": "GHSA-2"}]});
    let block = json!({"jsonrpc": "2.0", "id": 1, "result": {"number": "0x17", "hash": "0xab", "transactions": ["0x1", "0x2"]}});
    let upstream = Upstream::with(&[("/osv", Script::json(&vulns)), ("/ledger", Script::json(&block))]);
    let gateway =
        example("json-api-with-post", &[("OSV_URL", upstream.url("/osv")), ("LEDGER_URL", upstream.url("/ledger"))]);
    let body = gateway.get("/packages/npm/@babel/traverse?version=7.23.0").await.expect(200).json();
    assert_eq!(body["count"], 2);
    let second = json!({"id": "GHSA-2", "aliases": [], "summary": "", "published": null});
    assert_eq!(body["advisories"][1], second);
    let sent = upstream.last("/osv");
    assert_eq!(sent.method, "POST");
    let asked: Value = serde_json::from_slice(&sent.body).unwrap();
    assert_eq!(asked, json!({"package": {"name": "@babel/traverse", "ecosystem": "npm"}, "version": "7.23.0"}));
    let problem = gateway.get("/packages/CPAN/Moose?version=1").await.problem(400, "bad-parameter");
    assert_eq!(problem["parameter"], "ecosystem");
    assert!(problem["detail"].as_str().unwrap().contains("crates.io"), "{problem}");
    upstream.on("/osv", Script::json(&json!({})));
    let body = gateway.get("/packages/PyPI/jinja2?version=2.4.1").await.expect(200).json();
    assert_eq!(body, json!({"count": 0, "advisories": []}));
    let part = gateway.get("/aggregate?block=finalized").await.expect(200).part("ledger");
    assert_eq!(part["data"], json!({"number": "0x17", "hash": "0xab", "transactions": 2}));
    let asked: Value = serde_json::from_slice(&upstream.last("/ledger").body).unwrap();
    let expected = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": ["finalized", false]});
    assert_eq!(asked, expected);
    upstream.on("/ledger", Script::json(&json!({"jsonrpc": "2.0", "id": 1, "result": null})));
    for _ in 0..7 {
        let problem = gateway.get("/aggregate/ledger?block=0xffffffffffff").await.problem(502, "upstream-failed");
        assert_eq!(problem["kind"], "assertion_failed");
    }
    assert_eq!(gateway.circuit("ledger").await, "closed");
}

#[tokio::test]
async fn postgres_production_answers_as_its_readme_says() {
    let product = json!({"sku": "KETTLE-01", "name": "Kettle", "description": "…", "internal": 1});
    let upstream = Upstream::with(&[
        ("/c/KETTLE-01", Script::json(&product)),
        ("/stock", Script::json(&json!({"quantity": 12}))),
        ("/prices", Script::text("application/json", r#"{"price": {"amount": 19.90, "currency": "EUR"}}"#)),
    ]);
    let database = Postgres::start();
    let sets = [
        ("DATABASE_URL", database.url()),
        ("ADMIN_TOKEN", "change-me".to_owned()),
        ("CATALOGUE_TOKEN", "cat-token".to_owned()),
        ("ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
        ("CATALOGUE_URL", upstream.url("/c")),
        ("STOCK_URL", upstream.url("/stock")),
        ("PRICES_URL", upstream.url("/prices")),
    ];
    let gateway = example("postgres-production", &sets);
    let ask = |customer: &str| gateway.ask(Method::GET, "/products/KETTLE-01").header("authorization", customer).send();
    let reply = ask("Bearer customer-7").await.expect(200);
    let page = "{\"product\":{\"sku\":\"KETTLE-01\",\"name\":\"Kettle\",\"description\":\"…\"},\
                \"stock\":{\"available\":12},\"price\":{\"amount\":19.90,\"currency\":\"EUR\"}}";
    assert_eq!((reply.text().as_str(), reply.header("cache-control")), (page, "private, no-store"));
    assert_eq!(upstream.last("/c/KETTLE-01").header("authorization"), Some("Bearer cat-token"));
    assert_eq!(upstream.last("/prices").header("authorization"), Some("Bearer customer-7"));
    ask("Bearer customer-8").await.expect(200);
    assert_eq!((upstream.calls("/c/KETTLE-01"), upstream.calls("/prices")), (1, 2));
    gateway.get("/health").await.problem(404, "unknown-path");
    eventually(SOON, "ready", async || gateway.get("/readyz").await.status == 200).await;
    let health = gateway.ask_admin(Method::GET, "/health").send().await.expect(200).json();
    assert_eq!((&health["status"], &health["db"]), (&json!("ok"), &json!("ok")));
    let order = || gateway.ask_admin(Method::POST, "/cache/invalidate").body(r#"{"key": "products"}"#);
    order().send().await.problem(401, "unauthorized");
    let told = order().header("authorization", "Bearer change-me").send().await.expect(200).json();
    assert_eq!(told["invalidated"], 4);
    upstream.on("/stock", Script::status(500));
    let body = ask("Bearer customer-7").await.expect(200).json();
    assert_eq!(body["stock"], json!({"available": null}));
    eventually(SOON, "recorded", async || {
        let page = gateway.ask_admin(Method::GET, "/history?since=1h&failed=true").send().await.expect(200).json();
        page["records"].as_array().unwrap().len() == 1
    })
    .await;
    let first = gateway.log().lines().next().unwrap_or_default().to_owned();
    assert!(serde_json::from_str::<Value>(&first).is_ok(), "JSON logs: {first}");
}

#[tokio::test]
async fn the_demo_runs_the_shipped_example_against_upstreams_that_misbehave_on_request() {
    let mut gateway = Setup::new().arg("demo").arg("--listen").arg("127.0.0.1:0").start();
    let reply = gateway.get("/aggregate").await.expect(200);
    assert_eq!(names(&reply.json()["sources_succeeded"]), ["markets", "news", "weather"]);
    eventually(SOON, "the tour", async || gateway.printed().contains("Ctrl-C ends the demo")).await;
    let printed = gateway.printed();
    let upstreams = printed.lines().find_map(|line| line.trim().strip_prefix("upstreams ")).unwrap();
    let base = upstreams.trim().split(',').next().unwrap();
    let switch = gateway.ask_url(Method::POST, &format!("{base}/news?mode=fail"));
    switch.send().await.expect(200);
    gateway.post("/cache/invalidate", "").await.expect(200);
    let reply = gateway.get("/aggregate").await.expect(200);
    assert_eq!(names(&reply.json()["sources_failed"]), ["news"]);
    let files = printed.lines().find_map(|line| line.trim().strip_prefix("files ")).unwrap();
    let folder = PathBuf::from(files.trim().split(": ").next().unwrap());
    assert!(folder.join("sources.d/news.yaml").is_file(), "{folder:?}");
    gateway.stop().await;
    assert!(!folder.exists(), "gone when the demo ends");
}

#[tokio::test]
async fn tenants_and_limits_answers_as_its_readme_says() {
    let document = json!([{"date": "2026-04-03", "localName": "Karfreitag", "global": true}]);
    let upstream = Upstream::with(&[("/DE", Script::json(&document))]);
    let keys = ["ACME_WEB_KEY", "ACME_BATCH_KEY", "UMBRELLA_KEY"].map(|name| (name, format!("{name}-0123456789")));
    let sets = [keys.as_slice(), &[("HOLIDAYS_URL", upstream.url(""))]].concat();
    let gateway = example("tenants-and-limits", &sets);
    let ask =
        async |path: &str, name: &str, value: &str| gateway.ask(Method::GET, path).header(name, value).send().await;
    gateway.get("/holidays/DE").await.problem(401, "unauthorized");
    let first = ask("/holidays/DE", "x-api-key", "ACME_WEB_KEY-0123456789").await.expect(200);
    assert_eq!(first.json(), json!([{"date": "2026-04-03", "name": "Karfreitag"}]));
    assert_eq!(first.header("ratelimit-policy"), "\"tenant\";q=30;w=30");
    assert!(first.header("ratelimit").starts_with("\"tenant\";r=29;t="), "{}", first.header("ratelimit"));
    let second = ask("/holidays/DE", "authorization", "Bearer ACME_BATCH_KEY-0123456789").await.expect(200);
    let left = second.header("ratelimit");
    assert!(left.starts_with("\"tenant\";r=28;t=") || left.starts_with("\"tenant\";r=29;t="), "{left}");
    ask("/aggregate", "x-api-key", "wrong").await.problem(401, "unauthorized");
    let costly = ask("/aggregate", "x-forwarded-for", "198.51.100.7").await.expect(200);
    assert!(costly.header("ratelimit").starts_with("\"tenant\";r=27;t="), "{}", costly.header("ratelimit"));
    let from = async || ask("/plans", "x-forwarded-for", "198.51.100.8").await;
    for _ in 0..2 {
        assert_eq!(from().await.expect(200).json(), json!(["free", "team"]));
    }
    let refused = from().await;
    assert_eq!((refused.status, &refused.json()["violated-policies"]), (429, &json!(["/plans"])));
    assert_eq!(refused.json()["detail"], "ten a minute; a key gives you more");
    ask("/plans", "x-api-key", "wrong").await.expect(200);
}
