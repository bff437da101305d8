//! The store and the audit writer against real databases: every test of [`suite`] runs on both engines.

#[path = "../../../../tests/it/servers/postgres.rs"]
mod server;
mod gone;
mod suite;
mod writing;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use crate::base::Name;
use crate::base::Secret;
use crate::record::audit::AuditRecord;
use crate::record::store::Store;
use crate::record::store::StoreError;

/// 2026-01-01T00:00:00Z.
const DAY: Duration = Duration::from_secs(1_767_225_600);

/// A database that lasts as long as this.
enum Database {
    Sqlite(tempfile::TempDir),
    Postgres(server::Postgres),
}

impl Database {
    fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    fn postgres() -> Self {
        Self::Postgres(server::Postgres::start())
    }

    fn open(&self) -> Store {
        match self {
            Self::Sqlite(folder) => Store::sqlite(&file(folder)).unwrap(),
            Self::Postgres(server) => Store::postgres(&Secret::new(server.url())).unwrap(),
        }
    }
}

fn file(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("aggd.db")
}

/// A record answered `second` seconds into the day: of `/odd` or `/even`, every third with a failed and a skipped source.
fn record(second: u64) -> AuditRecord {
    let names = |names: &[&str]| names.iter().map(|name| Name::parse(name).unwrap()).collect();
    let bad = second.is_multiple_of(3);
    AuditRecord {
        at: SystemTime::UNIX_EPOCH + DAY + Duration::from_secs(second),
        request_id: Arc::from(format!("request-{second}")),
        route: if second.is_multiple_of(2) { "/even".into() } else { "/odd".into() },
        succeeded: names(&["weather"]),
        failed: if bad { names(&["news", "markets"]) } else { names(&[]) },
        skipped: if bad { names(&["sports"]) } else { names(&[]) },
        mode: if bad { "partial" } else { "fresh" },
        status: 200,
        duration: Duration::from_micros(1500),
        cached: !bad,
    }
}

fn records(seconds: std::ops::Range<u64>) -> Vec<AuditRecord> {
    seconds.map(record).collect()
}

#[tokio::test]
async fn what_only_an_operator_can_mend_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Store::sqlite(&folder.path().join("no/aggd.db")).unwrap_err();
    assert!(matches!(&missing, StoreError::NoFolder { folder: named } if named.ends_with("no")), "{missing}");
    let a_folder = Store::sqlite(folder.path()).unwrap_err();
    assert!(matches!(a_folder, StoreError::Unwritable { .. }), "{a_folder}");
    for url in ["postgres://user:hunter2@host:port/name", "mysql://user:hunter2@host/name", "hunter2"] {
        let error = Store::postgres(&Secret::new(url)).unwrap_err();
        assert!(matches!(error, StoreError::Url) && error.is_configuration(), "{url}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?} shows the password");
    }
}

#[tokio::test]
async fn opening_an_sqlite_file_leaves_nothing_but_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let _store = Store::sqlite(&file(&folder)).unwrap();
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["aggd.db"]);
}
