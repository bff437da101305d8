//! The audit log from outside: what is recorded, how it is asked for, and that nothing is lost.

use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::harness::Gateway;
use crate::harness::Script;
use crate::harness::Setup;
use crate::harness::Upstream;
use crate::harness::abc;
use crate::harness::aggd;
use crate::harness::eventually;
use crate::harness::names;
use crate::servers::postgres::Postgres;

const SOON: Duration = Duration::from_secs(5);

fn setup(upstream: &Upstream, database: &str) -> Setup {
    let mut documents = abc(upstream, "cache: off\nbreaker: { failure_threshold: 2 }");
    upstream.on("/b", Script::status(500));
    documents.push("route: /other\nsources: [a]\n".to_owned());
    Setup::new().server(&format!("database: {database}")).sources(&documents)
}

async fn records(gateway: &Gateway, query: &str) -> Vec<Value> {
    let page = gateway.get(&format!("/history{query}")).await.expect(200).json();
    page["records"].as_array().unwrap_or_else(|| panic!("{page}")).clone()
}

/// Asks for something of everything, and reads it back in every way, over HTTP and by the command.
async fn tell_and_read(upstream: &Upstream, setup: Setup) {
    let gateway = setup.start();
    for _ in 0..3 {
        gateway.get("/aggregate").await.expect(200);
    }
    gateway.get("/other").await.expect(200);
    gateway.ask(http::Method::GET, "/aggregate/a").header("x-request-id", "the-single-one").send().await.expect(200);
    eventually(SOON, "five records", async || records(&gateway, "").await.len() == 5).await;
    let all = records(&gateway, "").await;
    let newest = &all[0];
    assert_eq!((&newest["route"], &newest["request_id"]), (&json!("/aggregate/a"), &json!("the-single-one")));
    assert_eq!((&newest["status"], &newest["mode"], &newest["cached"]), (&json!(200), &json!("fresh"), &json!(false)));
    assert!(newest["duration_ms"].is_number() && newest["time"].as_str().unwrap().ends_with('Z'), "{newest}");
    let oldest = &all[4];
    assert_eq!((names(&oldest["sources_succeeded"]), names(&oldest["sources_failed"])), (vec!["a", "c"], vec!["b"]));
    assert_eq!((&oldest["mode"], &oldest["route"]), (&json!("partial"), &json!("/aggregate")));
    assert_eq!(names(&all[2]["sources_skipped"]), ["b"], "the third met an open circuit");
    for (query, count) in [
        ("?failed=true", 3),
        ("?failed=false", 2),
        ("?source=b", 3),
        ("?source=a", 5),
        ("?source=nobody", 0),
        ("?limit=2", 2),
        ("?route=/other", 1),
        ("?route=%2Faggregate", 3),
        ("?since=1h", 5),
        ("?since=2999-01-01T00:00:00Z", 0),
    ] {
        assert_eq!(records(&gateway, query).await.len(), count, "{query}");
    }
    let mut seen = Vec::new();
    let mut query = "?limit=2".to_owned();
    loop {
        let page = gateway.get(&format!("/history{query}")).await.expect(200).json();
        seen.extend(page["records"].as_array().unwrap().iter().map(|one| one["id"].clone()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, all.iter().map(|one| one["id"].clone()).collect::<Vec<_>>());
    for bad in ["?limit=0", "?limit=x", "?since=yesterday", "?failed=perhaps", "?cursor=x", "?sauce=a", "?source=A%20B"]
    {
        gateway.get(&format!("/history{bad}")).await.problem(400, "bad-parameter");
    }
    let text = aggd(gateway.path(), &["history"]).expect(0).out;
    assert_eq!(text.lines().count(), 6, "{text}");
    assert!(text.contains("the-single-one") && text.contains("partial"), "{text}");
    let page = aggd(gateway.path(), &["history", "--format", "json", "--failed", "--limit", "2"]).expect(0).json();
    assert_eq!(page["records"].as_array().unwrap().len(), 2);
    assert!(page["next_cursor"].is_string(), "{page}");
    assert_eq!(upstream.calls("/b"), 2);
}

#[tokio::test]
async fn history_on_sqlite_is_read_back_in_every_way() {
    let upstream = Upstream::start();
    let setup = setup(&upstream, "sqlite://audit.db");
    tell_and_read(&upstream, setup).await;
}

#[tokio::test]
async fn history_on_postgresql_is_read_back_in_every_way() {
    let upstream = Upstream::start();
    let database = Postgres::start();
    let setup = setup(&upstream, &database.url());
    tell_and_read(&upstream, setup).await;
}

#[tokio::test]
async fn records_survive_sigterm() {
    let upstream = Upstream::start();
    let mut gateway = setup(&upstream, "sqlite://audit.db").start();
    for reply in gateway.get_many("/aggregate", 200).await {
        reply.expect(200);
    }
    gateway.stop().await;
    let page = aggd(gateway.path(), &["history", "--format", "json", "--limit", "1000"]).expect(0).json();
    assert_eq!(page["records"].as_array().unwrap().len(), 200);
}

#[tokio::test]
async fn records_wait_for_a_database_that_is_away_and_are_written_once() {
    let upstream = Upstream::start();
    let mut database = Postgres::stopped();
    let gateway = setup(&upstream, &database.url()).start();
    for _ in 0..20 {
        gateway.get("/other").await.expect(200);
    }
    gateway.get("/readyz").await.expect(503);
    gateway.get("/history").await.problem(503, "database-unavailable");
    database.start_again();
    eventually(Duration::from_secs(15), "all are written", async || {
        let reply = gateway.get("/history?limit=1000").await;
        reply.status == 200 && reply.json()["records"].as_array().unwrap().len() == 20
    })
    .await;
    gateway.get("/other").await.expect(200);
    eventually(SOON, "and the next", async || records(&gateway, "?limit=1000").await.len() == 21).await;
}

#[tokio::test]
async fn without_a_database_history_says_so() {
    let gateway = Setup::new().start();
    let problem = gateway.get("/history").await.problem(404, "no-audit-log");
    assert!(problem["detail"].as_str().unwrap().contains("database"), "{problem}");
    let output = aggd(gateway.path(), &["history"]).expect(1);
    assert!(output.err.contains("database: off"), "{}", output.err);
}
