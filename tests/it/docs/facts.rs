//! The lists of the pages against the lists of the code.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use http::Method;
use regex::Regex;

use crate::docs::page;
use crate::harness::Script;
use crate::harness::Setup;
use crate::harness::Upstream;
use crate::harness::aggd;
use crate::harness::eventually;
use crate::harness::source;

/// The cells in backquotes that begin the rows of the table under a heading.
fn first_cells(name: &str, heading: &str) -> BTreeSet<String> {
    let text = page(name);
    let level = heading.chars().take_while(|c| *c == '#').count();
    let under = text.lines().skip_while(|line| *line != heading).skip(1);
    let ends = |line: &&str| line.starts_with('#') && line.chars().take_while(|c| *c == '#').count() <= level;
    let rows = under.take_while(|line| !ends(line)).filter_map(|line| line.strip_prefix("| `"));
    let cells: BTreeSet<String> = rows
        .filter_map(|row| row.split_once(" |"))
        .flat_map(|(cell, _)| cell.split('`'))
        .step_by(1)
        .map(str::to_owned)
        .collect();
    let cells: BTreeSet<String> = cells.into_iter().filter(|cell| !cell.trim().is_empty() && cell != ", ").collect();
    assert!(!cells.is_empty(), "{name}: no table under `{heading}`");
    cells
}

/// What a pattern's first group matches in a file of the source.
fn in_source(file: &str, pattern: &str) -> BTreeSet<String> {
    let pattern = Regex::new(pattern).unwrap();
    pattern.captures_iter(&page(file)).map(|found| found[1].to_owned()).collect()
}

#[track_caller]
fn assert_same(told: &BTreeSet<String>, there: &BTreeSet<String>, what: &str) {
    let missing: Vec<_> = there.difference(told).collect();
    let wrong: Vec<_> = told.difference(there).collect();
    assert!(missing.is_empty() && wrong.is_empty(), "{what}: not told {missing:?}, told and not there {wrong:?}");
}

#[tokio::test]
async fn every_metric_is_told_and_every_metric_told_is_there() {
    let upstream =
        Upstream::with(&[("/a", Script::json(&1.into())), ("/b", Script::status(503)), ("/c", Script::hang())]);
    let documents = [
        source(
            "a",
            &upstream.url("/a"),
            "rate_limit: { rate: 100/s }\nadaptive_concurrency: { algorithm: vegas }\nclient_throttle: {}",
        ),
        source(
            "b",
            &upstream.url("/b"),
            "fallback: [{ stale: { max_age: 1h } }, { value: 1 }]\nbreaker: { failure_threshold: 2 }\nretry: { max_attempts: 2, backoff: { strategy: none } }",
        ),
        source("raced", &upstream.url("/a"), "strategy: { type: hedged, hedge: { delay: 0s, max_extra_load: 1.0 } }"),
        source("gone", &upstream.url("/b"), "aggregate: false"),
        "route: /gone\nsources: [gone]\nmin_sources: 1\nfallback: [{ value: 1 }]\n".to_owned(),
    ];
    let limited = format!(
        "{}---\nroute: /limited\nsources: [c]\nload_shedding: {{ max_in_flight: 1 }}\n",
        source("c", &upstream.url("/c"), "aggregate: false")
    );
    let gateway = Setup::new()
        .server("database: sqlite://audit.db\nrate_limits: [{ name: default, rate: 100/s }]")
        .server("load_shedding: { max_in_flight: 1, signals: { loop_lag: {} }, queue: { max_waiting: 1, queue_timeout: 1ms } }")
        .sources(&documents)
        .file("sources.d/limited.yaml", &limited)
        .start();
    // Some are there only once there is something to count.
    let held = tokio::spawn(gateway.ask(Method::GET, "/limited").try_send());
    eventually(Duration::from_secs(10), "one held", async || gateway.metric("aggd_in_flight", &[]).await > 0.5).await;
    gateway.get("/limited").await.expect(503);
    gateway.get("/aggregate/a").await.expect(503);
    held.abort();
    eventually(Duration::from_secs(10), "none held", async || gateway.metric("aggd_in_flight", &[]).await < 0.5).await;
    let signal = async || gateway.get("/metrics").await.text().contains("aggd_signal{");
    eventually(Duration::from_secs(10), "a signal", signal).await;
    gateway.get("/aggregate").await.expect(200);
    gateway.get("/gone").await.expect(200);
    gateway.ask(Method::GET, "/aggregate").header("x-request-timeout", "1ms").send().await.expect(504);
    gateway.reload().await.expect(200);
    let page = gateway.get("/metrics").await.expect(200).text();
    let there = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).map(str::to_owned);
    assert_same(&first_cells("docs/operations.md", "## Metrics"), &there.collect(), "metrics");
}

#[test]
fn every_problem_type_is_told_and_every_one_told_is_there() {
    let named = r#"(?:StatusCode::[A-Z_]+,|bad_request\()\s*"([a-z]+(?:-[a-z]+)*)",\s*"[A-Z]"#;
    let files = [
        "src/request/error.rs",
        "src/request/assemble.rs",
        "src/inbound/control.rs",
        "src/inbound/events.rs",
        "src/inbound/respond.rs",
        "src/inbound/access.rs",
        "src/request/front/refusals.rs",
    ];
    let mut there = BTreeSet::new();
    for file in files {
        let found = in_source(file, named);
        assert!(!found.is_empty(), "{file} has no problem; it proved nothing");
        there.extend(found);
    }
    assert_same(&first_cells("docs/http-api.md", "### Problem types"), &there, "problem types");
}

#[test]
fn no_other_file_makes_problems() {
    let mut makers = BTreeSet::new();
    for folder in ["src/request", "src/inbound"] {
        for entry in std::fs::read_dir(super::root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            if text.contains("Problem::new(") || text.contains("Self::new(StatusCode") {
                makers.insert(path.file_name().unwrap().to_string_lossy().into_owned());
            }
        }
    }
    let known = ["access.rs", "assemble.rs", "control.rs", "error.rs", "events.rs", "respond.rs"].map(str::to_owned);
    assert_same(&known.into_iter().collect(), &makers, "files that make problems");
}

#[test]
fn every_kind_of_outcome_is_told() {
    let there = in_source("src/policy/outcome.rs", r#"Self::[A-Z]\w+ => "([a-z_]+)","#);
    assert!(there.len() > 20, "{there:?}");
    assert_same(&first_cells("docs/http-api.md", "### Kinds"), &there, "kinds");
}

/// Types that nobody publishes: they are words of a contract that is to grow.
const NOT_PUBLISHED: [&str; 6] = [
    "cache.store_degraded",
    "store.degraded",
    "store.recovered",
    "webhook.delivered",
    "webhook.disabled",
    "webhook.failed",
];

/// The variants of events that are made outside of their own module.
fn made_somewhere() -> BTreeSet<String> {
    let pattern = Regex::new(r"Event::([A-Z]\w+)").unwrap();
    let (mut folders, mut made) = (vec![super::root().join("src")], BTreeSet::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.to_string_lossy().contains("/events/") {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                made.extend(pattern.captures_iter(&text).map(|found| found[1].to_owned()));
            }
        }
    }
    assert!(made.contains("RetryAttempt"), "{made:?}");
    made
}

/// `cache.store_degraded` → `CacheStoreDegraded`
fn camel(name: &str) -> String {
    let words = name.split(['.', '_']);
    words.map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}

#[test]
fn every_event_that_is_published_is_told() {
    let named = in_source("src/policy/events/types.rs", r#"[A-Z]\w+ => "([a-z_]+\.[a-z_]+)","#);
    assert!(named.len() > 25, "{named:?}");
    let made = made_somewhere();
    for name in NOT_PUBLISHED {
        assert!(!made.contains(&camel(name)), "`{name}` is published");
    }
    let published = named.into_iter().filter(|name| !NOT_PUBLISHED.contains(&name.as_str())).collect();
    let page = page("docs/http-api.md");
    let under = page.split_once("### GET /events").unwrap().1.split_once("### GET /metrics").unwrap().0;
    let name = Regex::new("`([a-z_]*)\\.([a-z_]+)`").unwrap();
    let mut told = BTreeSet::new();
    for row in under.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | ")) {
        // `.half_opened` is of the group that its row begins with.
        let mut group = String::new();
        for found in name.captures_iter(row.0) {
            if !found[1].is_empty() {
                found[1].clone_into(&mut group);
            }
            told.insert(format!("{group}.{}", &found[2]));
        }
    }
    assert_same(&told, &published, "events");
}

#[test]
fn every_code_of_a_finding_is_told() {
    let mut there = in_source("src/config/codes.rs", r#""(AG-\d+)""#);
    there.extend(in_source("src/reload/apply.rs", r#""(AG-\d+)""#));
    assert!(there.len() > 50, "{there:?}");
    assert_same(&first_cells("docs/configuration.md", "### Codes"), &there, "codes of findings");
}

#[test]
fn the_tables_of_keys_are_those_of_the_vocabulary() {
    let printed = aggd(super::root(), &["schema", "--format", "markdown"]).expect(0).out;
    let text = page("docs/configuration.md");
    let told = text.split_once("a test compares -->\n").and_then(|(_, rest)| rest.split_once("<!-- end of keys -->"));
    let told = told.expect("no marks around the tables").0;
    assert!(printed.lines().count() > 100, "{printed}");
    assert_eq!(told.trim(), printed.trim(), "put in the output of `aggd schema --format markdown`");
}

#[test]
fn every_crate_is_told() {
    let manifest = page("Cargo.toml");
    let of = |section: &str| -> BTreeSet<String> {
        let lines =
            manifest.lines().skip_while(|line| *line != section).skip(1).take_while(|line| !line.starts_with('['));
        let names = lines.filter_map(|line| line.split_once(" = ")).map(|(name, _)| name.to_owned());
        names.filter(|name| !name.starts_with('#')).collect()
    };
    let told = |heading: &str| first_cells("docs/dependencies.md", heading);
    let there = &of("[dependencies]") | &of("[dev-dependencies]");
    assert!(there.len() > 40, "{there:?}");
    assert_same(&(&told("## To run") | &told("## To test")), &there, "crates");
}

#[test]
fn the_table_of_imports_is_the_one_that_is_held() {
    let backquoted = Regex::new("`([a-z:]+)`").unwrap();
    let names = |cell: &str| backquoted.captures_iter(cell).map(|found| found[1].to_owned()).collect::<BTreeSet<_>>();
    let text = page("docs/architecture.md");
    let table = text.split_once("## Who may import whom").unwrap().1.split_once("\n## ").unwrap().0;
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" | "));
    let mut told = BTreeMap::new();
    for (modules, may) in rows {
        told.extend(names(&format!("`{modules}")).into_iter().map(|module| (module, names(may))));
    }
    let entry = Regex::new(r#"\(\s*"([a-z]+)",\s*&\[([^\]]*)\]"#).unwrap();
    let quoted = Regex::new("\"([a-z:]+)\"").unwrap();
    let code = page("tests/architecture.rs");
    let code = code.split_once("const IMPORTS").unwrap().1.split_once("];").unwrap().0;
    let mut held = 0;
    for row in entry.captures_iter(code) {
        held += 1;
        let may: BTreeSet<String> = quoted.captures_iter(&row[2]).map(|found| found[1].to_owned()).collect();
        let told = told.get(&row[1]).unwrap_or_else(|| panic!("`{}` has no row", &row[1]));
        // "all but `cli`" is what `app` says.
        if &row[1] != "app" {
            assert_same(told, &may, &format!("what `{}` may import", &row[1]));
        }
    }
    assert!(held >= 12, "only {held} modules");
}
