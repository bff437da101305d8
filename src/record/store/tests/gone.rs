//! An SQLite file that goes away under the store: noticed, made anew, and nothing written is lost with it.

use std::time::Duration;

use crate::base::Moment;
use crate::record::history::HistoryFilter;
use crate::record::store::Store;
use crate::record::store::StoreError;
use crate::record::store::tests::file;
use crate::record::store::tests::records;

async fn count(store: &Store) -> usize {
    let filter = HistoryFilter { limit: 1000, ..HistoryFilter::default() };
    store.history(&filter).await.unwrap().records.len()
}

fn at(second: u64) -> Moment {
    Moment::from_start(Duration::from_secs(second))
}

#[tokio::test]
async fn a_deleted_file_is_made_anew_with_its_tables() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::sqlite(&file(&folder)).unwrap();
    store.append(1, &records(0..3)).await.unwrap();
    assert!(store.ping(at(0)).await);
    std::fs::remove_file(file(&folder)).unwrap();
    assert!(store.ping(at(2)).await, "a look at its health is enough");
    assert!(file(&folder).is_file());
    assert_eq!(count(&store).await, 0);
    std::fs::remove_file(file(&folder)).unwrap();
    store.append(2, &records(3..5)).await.unwrap();
    assert_eq!(count(&store).await, 2);
    assert_eq!(count(&Store::sqlite(&file(&folder)).unwrap()).await, 2, "whoever opens the path finds them");
}

#[tokio::test]
async fn another_file_put_in_its_place_is_what_is_written_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let backup = folder.path().join("backup.db");
    let other = Store::sqlite(&backup).unwrap();
    other.append(1, &records(0..7)).await.unwrap();
    other.close().await;
    let store = Store::sqlite(&file(&folder)).unwrap();
    store.append(1, &records(0..3)).await.unwrap();
    std::fs::rename(&backup, file(&folder)).unwrap();
    store.append(2, &records(3..4)).await.unwrap();
    assert_eq!(count(&store).await, 8);
}

#[tokio::test]
async fn a_folder_that_went_is_an_error_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let store = Store::sqlite(&inner.join("aggd.db")).unwrap();
    store.append(1, &records(0..3)).await.unwrap();
    std::fs::remove_dir_all(&inner).unwrap();
    let error = store.append(2, &records(3..5)).await.unwrap_err();
    assert!(matches!(error, StoreError::NoFolder { .. }), "{error}");
    assert!(!store.ping(at(0)).await);
    std::fs::create_dir(&inner).unwrap();
    store.append(2, &records(3..5)).await.unwrap();
    assert_eq!(count(&store).await, 2);
    assert!(store.ping(at(2)).await);
}
