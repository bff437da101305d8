//! The store in an SQLite file.
//!
//! Rows go in by `VALUES` lists of a few fixed lengths, each prepared once per connection: half the cost per row of
//! expanding one JSON array, a tenth of that of single inserts.

use std::fs::OpenOptions;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::LazyLock;
use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::ConnectOptions;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::sqlite::SqliteJournalMode;
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::sqlite::SqliteSynchronous;

use crate::record::audit::AuditRecord;
use crate::record::store::StoreError;
use crate::record::store::columns::Columns;
use crate::record::store::columns::Mark;

/// One writes, the others read: `/history`, `/health`.
const CONNECTIONS: u32 = 4;
/// How long a lock of another process is waited for.
const BUSY_LIMIT: Duration = Duration::from_secs(5);
/// How long a free connection is waited for.
const ACQUIRE_LIMIT: Duration = Duration::from_secs(3);

/// Rows per statement, longest first.
const LENGTHS: [usize; 5] = [256, 64, 16, 4, 1];

/// The statements of those lengths.
static INSERTS: LazyLock<[Arc<str>; LENGTHS.len()]> = LazyLock::new(|| LENGTHS.map(insert));

/// A pool for this file, which is made if it is missing. Touches the disk; connects later.
pub(super) fn open(path: &Path) -> Result<SqlitePool, StoreError> {
    usable(path)?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // With WAL this never corrupts; a power cut may cost the last transactions, a crash of ours none.
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(BUSY_LIMIT)
        .disable_statement_logging();
    let pool = SqlitePoolOptions::new().min_connections(0).max_connections(CONNECTIONS);
    Ok(pool.acquire_timeout(ACQUIRE_LIMIT).connect_lazy_with(options))
}

/// Writes a batch, unless it was written before.
pub(super) async fn append(pool: &SqlitePool, mark: Mark<'_>, records: &[AuditRecord]) -> Result<(), StoreError> {
    // Immediately, for a transaction that reads first and writes then may be refused without waiting.
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let note = sqlx::query(Mark::NOTE).bind(mark.writer).bind(mark.number).bind(mark.written_at);
    if note.execute(&mut *transaction).await?.rows_affected() == 0 {
        return Ok(transaction.rollback().await?);
    }
    if mark.number == 1 {
        sqlx::query(Mark::FORGET).bind(mark.long_ago()).execute(&mut *transaction).await?;
    }
    let mut rest = records;
    for (length, sql) in LENGTHS.into_iter().zip(INSERTS.iter()) {
        while let Some((rows, later)) = rest.split_at_checked(length) {
            let query = sqlx::query(AssertSqlSafe(Arc::clone(sql)));
            rows.iter().fold(query, bind).execute(&mut *transaction).await?;
            rest = later;
        }
    }
    Ok(transaction.commit().await?)
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

fn bind<'q>(query: Query<'q>, record: &'q AuditRecord) -> Query<'q> {
    let row = Columns::of(record);
    query
        .bind(row.logged_at)
        .bind(row.request_id)
        .bind(row.route)
        .bind(row.succeeded)
        .bind(row.failed)
        .bind(row.skipped)
        .bind(row.mode)
        .bind(row.status)
        .bind(row.duration_ms)
        .bind(row.cached)
}

fn insert(rows: usize) -> Arc<str> {
    let values = vec!["(?,?,?,?,?,?,?,?,?,?)"; rows].join(",");
    let sql = format!(
        "INSERT INTO aggregate_log (logged_at, request_id, route, sources_succeeded, sources_failed, sources_skipped, \
         mode, status, duration_ms, cached) VALUES {values}"
    );
    sql.into()
}

/// Refuses what would fail at every write: SQLite needs the file, and its folder for the write-ahead log.
fn usable(path: &Path) -> Result<(), StoreError> {
    let unwritable = |path: &Path| {
        let path = path.to_owned();
        move |source| StoreError::Unwritable { path, source }
    };
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        Some(_) | None => Path::new("."),
    };
    if !folder.is_dir() {
        return Err(StoreError::NoFolder { folder: folder.to_owned() });
    }
    // An empty file is a database without tables.
    drop(OpenOptions::new().append(true).create(true).open(path).map_err(unwritable(path))?);
    let mut probe = path.as_os_str().to_owned();
    probe.push(format!(".{}.probe", std::process::id()));
    let probe = PathBuf::from(probe);
    drop(OpenOptions::new().write(true).create(true).truncate(true).open(&probe).map_err(unwritable(folder))?);
    std::fs::remove_file(&probe).map_err(unwritable(folder))
}
