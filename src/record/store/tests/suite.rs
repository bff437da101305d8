//! What holds on both engines.

use std::time::Duration;
use std::time::SystemTime;

use crate::base::Moment;
use crate::record::history::HistoryFilter;
use crate::record::store::Store;
use crate::record::store::tests::DAY;
use crate::record::store::tests::Database;
use crate::record::store::tests::record;
use crate::record::store::tests::records;

#[tokio::test]
async fn sqlite_keeps_what_it_is_given() {
    everything(Database::sqlite()).await;
}

#[tokio::test]
async fn postgres_keeps_what_it_is_given() {
    everything(Database::postgres()).await;
}

/// One database for all, for a server takes a second to start.
async fn everything(database: Database) {
    pings_only_when_prepared(&database.open()).await;
    makes_its_tables_once(&database).await;
    writes_a_batch_exactly_once(&database).await;
    gives_back_what_it_was_given(&database.open()).await;
    filters(&database.open()).await;
    pages_without_gap_or_repetition(&database.open()).await;
    takes_hostile_text(&database.open()).await;
}

async fn pings_only_when_prepared(store: &Store) {
    let at = |second| Moment::from_start(Duration::from_secs(second));
    assert!(!store.ping(at(0)).await, "the tables are not there yet");
    store.prepare().await.unwrap();
    assert!(store.ping(at(1)).await);
    store.close().await;
    assert!(!store.ping(at(2)).await, "it is closed");
}

async fn makes_its_tables_once(database: &Database) {
    let (one, two) = (database.open(), database.open());
    one.prepare().await.unwrap();
    two.prepare().await.unwrap();
    two.prepare().await.unwrap();
}

async fn writes_a_batch_exactly_once(database: &Database) {
    let store = database.open();
    store.append(1, &records(0..700)).await.unwrap();
    store.append(1, &records(0..700)).await.unwrap();
    assert_eq!(seconds(&store, &[]).await.len(), 100);
    assert_eq!(count(&store).await, 700, "written again");
    store.append(2, &records(700..701)).await.unwrap();
    let other = database.open();
    other.append(1, &records(701..702)).await.unwrap();
    assert_eq!(count(&store).await, 702, "the batches of another process have numbers of their own");
}

async fn gives_back_what_it_was_given(store: &Store) {
    let page = store.history(&filter(&[("limit", "1"), ("since", "2026-01-01T00:11:39Z")])).await.unwrap();
    let mut row = serde_json::to_value(page.records.first().unwrap()).unwrap();
    assert!(row.as_object_mut().unwrap().remove("id").unwrap().as_i64().unwrap() > 0);
    let expected = serde_json::json!({
        "time": "2026-01-01T00:11:41.000Z", "request_id": "request-701", "route": "/odd",
        "sources_succeeded": ["weather"], "sources_failed": [], "sources_skipped": [],
        "mode": "fresh", "status": 200, "duration_ms": 1.5, "cached": true,
    });
    assert_eq!(row, expected);
    let page = store.history(&filter(&[("limit", "1"), ("failed", "true")])).await.unwrap();
    let row = page.records.first().unwrap();
    assert_eq!((row.sources_failed.join(","), row.sources_skipped.join(",")), ("news,markets".into(), "sports".into()));
    assert_eq!((row.mode.as_str(), row.cached), ("partial", false));
}

/// Parameters, and the seconds of the records they find.
type Case = (&'static [(&'static str, &'static str)], &'static [u64]);

async fn filters(store: &Store) {
    let last_ten = ("since", "2026-01-01T00:11:32Z");
    let cases: [Case; 10] = [
        (&[], &[701, 700, 699, 698, 697, 696, 695, 694, 693, 692]),
        (&[("route", "/even")], &[700, 698, 696, 694, 692]),
        (&[("route", "/none")], &[]),
        (&[("failed", "true")], &[699, 696, 693]),
        (&[("failed", "false")], &[701, 700, 698, 697, 695, 694, 692]),
        (&[("source", "news")], &[699, 696, 693]),
        (&[("source", "sports")], &[699, 696, 693]),
        (&[("source", "weather"), ("limit", "2")], &[701, 700]),
        (&[("source", "new")], &[]),
        (&[("source", "markets"), ("route", "/even"), ("failed", "true")], &[696]),
    ];
    for (pairs, expected) in cases {
        let pairs: Vec<_> = pairs.iter().copied().chain([last_ten]).collect();
        assert_eq!(seconds(store, &pairs).await, expected, "{pairs:?}");
    }
}

async fn pages_without_gap_or_repetition(store: &Store) {
    // Records of one moment are told apart by their ids alone.
    store.append(1, &[record(600), record(600), record(600)]).await.unwrap();
    for limit in ["1", "7", "200", "1000"] {
        let mut ids = Vec::new();
        let mut times = Vec::new();
        let mut cursor = Some(String::new());
        while let Some(next) = cursor {
            let page = store.history(&filter(&[("limit", limit), ("cursor", &next), ("since", "300s")])).await.unwrap();
            assert!(!page.records.is_empty(), "an empty page after a cursor");
            ids.extend(page.records.iter().map(|row| row.id));
            times.extend(page.records.iter().map(|row| row.time.clone()));
            cursor = page.next_cursor;
        }
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!((ids.len(), distinct.len()), (205, 205), "limit {limit}");
        assert!(times.is_sorted_by(|a, b| a >= b), "limit {limit}");
    }
}

async fn takes_hostile_text(store: &Store) {
    let mut hostile = record(900);
    hostile.request_id = "a\0b'); DROP TABLE aggregate_log; -- \"ü".into();
    store.append(2, &[hostile]).await.unwrap();
    let page = store.history(&filter(&[("limit", "1")])).await.unwrap();
    assert_eq!(page.records.first().unwrap().request_id, "a\u{fffd}b'); DROP TABLE aggregate_log; -- \"ü");
    let far = filter(&[("cursor", "384440ccc735fff-7fffffffffffffff"), ("since", "9999-12-30T00:00:00Z")]);
    assert!(store.history(&far).await.unwrap().records.is_empty());
}

/// A filter told at 00:13:20, after every record.
fn filter(pairs: &[(&str, &str)]) -> HistoryFilter {
    let pairs: Vec<_> = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    HistoryFilter::parse(&pairs, SystemTime::UNIX_EPOCH + DAY + Duration::from_secs(800)).unwrap()
}

/// The seconds of the records that are found.
async fn seconds(store: &Store, pairs: &[(&str, &str)]) -> Vec<u64> {
    let page = store.history(&filter(pairs)).await.unwrap();
    page.records.iter().map(|row| row.request_id.strip_prefix("request-").unwrap().parse().unwrap()).collect()
}

async fn count(store: &Store) -> usize {
    store.history(&filter(&[("limit", "1000")])).await.unwrap().records.len()
}
