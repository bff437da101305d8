//! The store in a PostgreSQL database.
//!
//! A batch goes in by one statement, its columns bound as arrays.

use std::str::FromStr;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use sqlx::postgres::PgPoolOptions;

use crate::base::Secret;
use crate::record::audit::AuditRecord;
use crate::record::store::StoreError;
use crate::record::store::columns::Columns;
use crate::record::store::columns::Mark;

/// One writes, the others read: `/history`, `/health`.
const CONNECTIONS: u32 = 4;
/// How long a free or a new connection is waited for.
const ACQUIRE_LIMIT: Duration = Duration::from_secs(3);

const INSERT: &str = "INSERT INTO aggregate_log (logged_at, request_id, route, sources_succeeded, sources_failed, \
     sources_skipped, mode, status, duration_ms, cached) \
     SELECT 'epoch'::timestamptz + logged_at * interval '1 microsecond', request_id, route, succeeded::jsonb, \
     failed::jsonb, skipped::jsonb, mode, status, duration_ms, cached \
     FROM UNNEST($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::integer[], \
     $9::double precision[], $10::boolean[]) \
     AS r (logged_at, request_id, route, succeeded, failed, skipped, mode, status, duration_ms, cached)";

/// A pool for this URL. Connects later.
pub(super) fn open(url: &Secret) -> Result<PgPool, StoreError> {
    let known = ["postgres://", "postgresql://"].iter().any(|scheme| url.expose().starts_with(scheme));
    let options = PgConnectOptions::from_str(url.expose()).ok().filter(|_| known).ok_or(StoreError::Url)?;
    let options = options.application_name("aggd").disable_statement_logging();
    let pool = PgPoolOptions::new().min_connections(0).max_connections(CONNECTIONS);
    Ok(pool.acquire_timeout(ACQUIRE_LIMIT).connect_lazy_with(options))
}

/// Writes a batch, unless it was written before.
pub(super) async fn append(pool: &PgPool, mark: Mark<'_>, records: &[AuditRecord]) -> Result<(), StoreError> {
    let mut transaction = pool.begin().await?;
    let note = sqlx::query(Mark::NOTE).bind(mark.writer).bind(mark.number).bind(mark.written_at);
    if note.execute(&mut *transaction).await?.rows_affected() == 0 {
        return Ok(transaction.rollback().await?);
    }
    if mark.number == 1 {
        sqlx::query(Mark::FORGET).bind(mark.long_ago()).execute(&mut *transaction).await?;
    }
    let rows: Vec<Columns<'_>> = records.iter().map(Columns::of).collect();
    let insert = sqlx::query(INSERT)
        .bind(array(&rows, |row| row.logged_at))
        .bind(array(&rows, |row| &*row.request_id))
        .bind(array(&rows, |row| &*row.route))
        .bind(array(&rows, |row| &*row.succeeded))
        .bind(array(&rows, |row| &*row.failed))
        .bind(array(&rows, |row| &*row.skipped))
        .bind(array(&rows, |row| row.mode))
        .bind(array(&rows, |row| row.status))
        .bind(array(&rows, |row| row.duration_ms))
        .bind(array(&rows, |row| row.cached));
    insert.execute(&mut *transaction).await?;
    Ok(transaction.commit().await?)
}

/// One column of every row.
fn array<'r, T>(rows: &'r [Columns<'_>], column: impl Fn(&'r Columns<'_>) -> T) -> Vec<T> {
    rows.iter().map(column).collect()
}
