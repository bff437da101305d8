//! What right files mean: settings, defaults, what is shown of them.

use std::time::Duration;

use serde_json::Value;

use crate::base::ByteSize;
use crate::config::spec::AuthSpec;
use crate::config::spec::BodySpec;
use crate::config::spec::BodyTree;
use crate::config::spec::Database;
use crate::config::spec::HttpSpec;
use crate::config::spec::Respond;
use crate::config::spec::RoutePiece;
use crate::config::spec::RouteValue;
use crate::config::spec::SourceSpec;
use crate::config::spec::Spec;
use crate::config::spec::Upstream;
use crate::config::tests::SECRET;
use crate::config::tests::clean;
use crate::config::tests::loaded;
use crate::policy::breaker::BREAKER_DEFAULTS;
use crate::policy::breaker::WindowShape;
use crate::policy::fallback::FallbackSpec;
use crate::policy::freshness::CACHE_DEFAULTS;
use crate::policy::freshness::RefreshAhead;
use crate::shape::Field;
use crate::shape::Projection;

const WEATHER: &str = r#"
source: weather
description: Current weather
url: ${WEATHER_URL:-https://api.example.org/v1/forecast}
query:
  latitude: "{lat}"
  longitude: "{lon}"
  current: temperature_2m,wind_speed_10m
params:
  lat: { type: number, default: 52.52, min: -90, max: 90 }
  lon: { type: number, default: 13.41, min: -180, max: 180 }
timeout: ${WEATHER_TIMEOUT:-5}s
breaker: { failure_threshold: 5, recovery_timeout: 30s }
cache: { ttl: 60s, stale_if_error: 10m }
project:
  temperature_c: $.current.temperature_2m
  wind_kmh: $.current.wind_speed_10m
---
source: news
url: https://news.example.org/{topic}
params: { topic: { required: true, pattern: "[a-z]+" } }
auth: { bearer: "${SECRET}" }
cache: off
fallback:
  - source: archive
  - value: { items: [1.10, 12345678901234567890] }
---
source: archive
static: { items: [] }
---
route: /cities/{city}
sources:
  weather: { params: { lat: "{query.lat}" }, required: true }
  headlines: { source: news, params: { topic: "{path.city}" } }
respond: merge
project: { t: $.weather.temperature_c }
timeout: 1s
"#;

const SERVER: &str = r#"
listen: 127.0.0.1:9000
database: ${DATABASE_URL:-sqlite://aggd.db}
limits: { concurrency: '${TEN}' }
defaults:
  timeout: 7s
  cache:
    ttl: ${CACHE_TTL_SECONDS:-30}s
    coalesce: off
  breaker: { failure_threshold: 3, window: { type: count, size: 50, failure_rate: 50% } }
admin: { token: "${SECRET}" }
"#;

fn http(source: &SourceSpec) -> &HttpSpec {
    match &source.upstream {
        Upstream::Http(http) => http,
        Upstream::Static(_) => panic!("static"),
    }
}

fn both() -> Spec {
    let (loaded, said) = loaded(&[("aggd.yaml", SERVER), ("sources.d/a.yaml", WEATHER)]);
    assert_eq!(said, "");
    assert!(loaded.usable);
    loaded.spec
}

#[test]
fn the_example_of_the_documentation_means_what_it_says() {
    let spec = both();
    let names: Vec<_> = spec.sources.iter().map(|source| source.name.as_str()).collect();
    assert_eq!(names, ["weather", "news", "archive"]);
    let weather = &spec.sources[0];
    assert_eq!(http(weather).endpoints[0].url.origin, "https://api.example.org");
    assert!(http(weather).endpoints[0].url.secret);
    assert_eq!(http(weather).query.len(), 3);
    assert_eq!(weather.params[0].default.as_deref(), Some("52.52"));
    assert_eq!(weather.policies.timeout, Duration::from_secs(5));
    assert!(matches!(&weather.shape.projection, Projection::Fields(fields) if fields.len() == 2));
    let news = &spec.sources[1];
    assert!(!news.aggregate && weather.aggregate);
    assert!(matches!(&http(news).auth, Some(AuthSpec::Bearer(token)) if token.expose() == SECRET));
    let json = r#"{"items":[1.10,12345678901234567890]}"#;
    assert!(matches!(&news.policies.fallback.steps[1], FallbackSpec::Value(value) if &**value == json));
    let route = &spec.routes[0];
    assert_eq!((route.respond, route.cache_key.as_str(), route.parts.len()), (Respond::Merge, "/cities/{city}", 2));
    assert!(route.parts[0].required);
    assert_eq!(route.parts[1].params[0].1.pieces, [RoutePiece::Value(RouteValue::Path("city".into()))]);
}

#[test]
fn defaults_are_merged_key_by_key_and_off_is_not_absence() {
    let spec = both();
    let weather = &spec.sources[0].policies;
    assert_eq!(weather.breaker.failure_threshold, 5, "its own key wins");
    let shape = weather.breaker.window.as_ref().map(|window| window.shape);
    assert_eq!(shape, Some(WindowShape::Count { size: 50 }), "the others are inherited");
    let cache = weather.cache.as_ref().unwrap();
    assert_eq!((cache.ttl, cache.coalesce), (Duration::from_secs(60), None));
    assert_eq!(spec.sources[1].policies.cache, None);
    assert_eq!(spec.sources[2].policies.timeout, Duration::from_secs(7));
    assert_eq!(spec.server.limits.concurrency, 10);
    assert!(matches!(&spec.server.database, Database::Sqlite(path) if path.ends_with("aggd.db")));
}

#[test]
fn null_takes_an_inherited_value_away_and_an_empty_block_does_not() {
    let server = "defaults: { read_timeout: 1s, breaker: { window: { type: count, size: 50, failure_rate: 0.5 } }, cache: { ttl: 9s } }\n";
    let source = "source: a\nstatic: 1\nread_timeout:\nbreaker: { window: null }\ncache:\n";
    let (loaded, said) = loaded(&[("aggd.yaml", server), ("sources.d/a.yaml", source)]);
    assert_eq!(said, "");
    let policies = &loaded.spec.sources[0].policies;
    assert_eq!((policies.read_timeout, &policies.breaker.window), (None, &None));
    assert_eq!(policies.cache.as_ref().map(|cache| cache.ttl), Some(Duration::from_secs(9)));
}

#[test]
fn a_silent_file_has_the_defaults_of_the_policies() {
    let policies = &clean("source: a\nurl: https://example.org\n").spec.sources[0].policies;
    assert_eq!(policies.breaker, BREAKER_DEFAULTS);
    assert_eq!(policies.cache, Some(CACHE_DEFAULTS));
    assert_eq!(policies.connect_timeout, Duration::from_secs(2));
}

#[test]
fn what_the_vocabulary_calls_a_default_is_the_default() {
    let silent = clean("source: a\nurl: https://example.org\n---\nroute: /x\nsources: [a]\n").spec;
    let shown: Value = serde_json::from_str(&silent.rendered).unwrap();
    assert_eq!(shown["server"]["limits"]["concurrency"], 100);
    // JSON is YAML: what is shown is loaded again, every default written out.
    let mut server = shown["server"].clone();
    server.as_object_mut().unwrap().remove("defaults");
    let documents =
        format!("{}\n---\n{}\n", first(&shown["sources"][0], "source"), first(&shown["routes"][0], "route"));
    let text = server.to_string();
    let (written, said) = loaded(&[("aggd.yaml", text.as_str()), ("sources.d/a.yaml", documents.as_str())]);
    assert_eq!(said, "");
    let written = written.spec;
    let plain = |spec: &Spec| {
        let server = format!("{:?}", spec.server);
        let at = server.find("database").unwrap();
        let rest = server[at..].find("limits").unwrap();
        format!("{}{}", &server[..at], &server[at + rest..])
    };
    assert_eq!(plain(&written), plain(&silent));
    assert_eq!(written.sources[0].policies, silent.sources[0].policies);
    let (one, other) = (http(&written.sources[0]), http(&silent.sources[0]));
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
    assert_eq!(format!("{:?}", written.routes), format!("{:?}", silent.routes));
}

/// The object with this key first, as documents need it.
fn first(object: &Value, key: &str) -> String {
    let mut rest = object.as_object().unwrap().clone();
    let value = rest.remove(key).unwrap();
    let rest = Value::Object(rest).to_string();
    format!("{{{}: {value}, {}", Value::from(key), &rest[1..])
}

#[test]
fn nothing_shown_holds_a_secret() {
    let spec = both();
    assert!(!spec.rendered.contains(SECRET) && !format!("{spec:?}").contains(SECRET));
    let shown: Value = serde_json::from_str(&spec.rendered).unwrap();
    assert_eq!(shown["server"]["admin"]["token"], "***");
    assert_eq!(shown["sources"][0]["url"], "***");
    assert_eq!(shown["sources"][1]["auth"]["bearer"], "***");
    assert_eq!(shown["sources"][1]["cache"], "off");
    assert_eq!(shown["sources"][1]["aggregate"], false);
    assert_eq!(shown["sources"][1]["breaker"]["failure_threshold"], 3);
    let literal = clean(
        "source: a\nurl: https://example.org\nheaders: { Authorization: Bearer abc, X-A: b }\nquery: { api_key: abc }\n",
    );
    let shown = &literal.spec.rendered;
    assert!(!shown.contains("abc") && shown.contains("\"X-A\":\"b\""), "{shown}");
}

#[test]
fn the_digest_follows_the_effective_text_and_the_revision_the_answer() {
    let load = |text: &str| {
        let spec = clean(text).spec;
        (spec.digest, spec.sources[0].revision)
    };
    let base = load("source: a\nurl: https://example.org\n");
    assert_eq!(base.0.len(), 64);
    assert_eq!(base, load("# a comment\nsource: a\nurl:   ${NONE:-https://example.org}\n"));
    let slower = load("source: a\nurl: https://example.org\ntimeout: 9s\n");
    assert!(slower.0 != base.0 && slower.1 == base.1, "a policy changes no answer");
    let other = load("source: a\nurl: https://example.org\nproject: $.a\n");
    assert!(other.0 != base.0 && other.1 != base.1);
}

#[test]
fn bodies_keep_types_and_texts_are_templates() {
    let text = "source: a\nurl: https://example.org\nmethod: POST\nparams: { n: { type: integer } }\nbody: { n: '{n}', t: 'x {n}', k: 1.50, z: null, l: [true] }\n";
    let spec = clean(text).spec;
    let Some(BodySpec::Json(BodyTree::Map(pairs))) = &http(&spec.sources[0]).body else { panic!("no tree") };
    assert_eq!(pairs[0].1, BodyTree::Param("n".into()));
    assert!(matches!(&pairs[1].1, BodyTree::Text(template) if template.pieces.len() == 2));
    assert_eq!(pairs[2].1, BodyTree::Json("1.50".into()));
    assert_eq!(pairs[3].1, BodyTree::Json("null".into()));
    let text = "source: a\nurl: https://example.org\nmethod: PUT\nbody: 'a {{b}}'\ncontent_type: text/csv\n";
    let spec = clean(text).spec;
    assert!(
        matches!(&http(&spec.sources[0]).body, Some(BodySpec::Text { content_type, .. }) if content_type == "text/csv")
    );
}

#[test]
fn the_rarer_policies_are_read() {
    let text = "source: a\nstatic: 1\n";
    let text = format!(
        "{text}cache:\n  ttl: 0s\n  refresh_ahead: xfetch\n  stale_if_error: off\n  negative: {{ statuses: [410] }}\n  coalesce: {{ on_abandon: cancel, max_age: 1s }}\n  scope: shared\n  key: {{ headers: [X-B, x-a] }}\n  max_entry_bytes: 64KiB\nbreaker: off\nfallback: [{{ stale: {{ max_age: 1h }} }}]\nclassify: {{ failure: 404, neutral: [5xx, timeout] }}\nproject: {{ a: {{ value: null }}, b: {{ c: $.x }}, d: {{ each: '$.y[*]', limit: 3, project: $.z }} }}\n"
    );
    let spec = clean(&text).spec;
    let source = &spec.sources[0];
    let cache = source.policies.cache.as_ref().unwrap();
    assert_eq!(
        (cache.ttl, cache.stale_if_error, cache.refresh_ahead),
        (Duration::ZERO, Duration::ZERO, RefreshAhead::Xfetch)
    );
    assert_eq!(
        cache.negative.as_ref().map(|negative| (negative.ttl, negative.statuses.clone())),
        Some((Duration::from_secs(5), vec![410]))
    );
    assert_eq!(
        (cache.key_headers.as_slice(), cache.max_entry_bytes),
        (&["x-a".to_owned(), "x-b".to_owned()][..], ByteSize::kib(64))
    );
    assert!(!source.policies.breaker.enabled);
    assert_eq!(source.policies.fallback.steps, [FallbackSpec::Stale { max_age: Duration::from_secs(3600) }]);
    assert_eq!(source.classify.rules.len(), 3);
    let Projection::Fields(fields) = &source.shape.projection else { panic!("no fields") };
    assert!(matches!(&fields[0].1, Field::Value(json) if json == "null"));
    assert!(matches!(&fields[1].1, Field::Object(inner) if inner.len() == 1));
    assert!(matches!(&fields[2].1, Field::Each { limit: Some(3), .. }));
}

#[test]
fn a_file_without_documents_is_a_configuration() {
    let (loaded, said) = loaded(&[("aggd.yaml", "# nothing\n"), ("sources.d/a.yaml", "---\n---\n# nothing\n")]);
    assert_eq!(said, "");
    assert!(loaded.spec.sources.is_empty() && loaded.spec.routes.is_empty());
}

#[test]
fn a_thousand_documents_load_with_every_one_of_them_read() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("sources.d");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(dir.path().join("aggd.yaml"), SERVER).unwrap();
    for n in 0..1000 {
        let text = WEATHER.replace("weather", &format!("weather{n}")).replace("news", &format!("news{n}"));
        let text = text.replace("archive", &format!("archive{n}")).replace("/cities/", &format!("/cities/{n}/"));
        std::fs::write(folder.join(format!("{n:04}.yaml")), text).unwrap();
    }
    let files = crate::config::tests::files_in(dir.path());
    let loaded = crate::config::load(&files, &crate::config::tests::environment());
    assert!(loaded.report.is_empty(), "{}", loaded.report.render_text(false));
    assert_eq!((loaded.spec.sources.len(), loaded.spec.routes.len()), (3000, 1000));
}
