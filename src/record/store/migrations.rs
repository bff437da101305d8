//! The tables, step by step. A step that was released is never changed: a new one is added.
//!
//! `aggregate_log` holds one row per answered request. Its lists of sources are JSON arrays on both engines, its time is
//! microseconds since 1970 on SQLite and `timestamptz` on PostgreSQL. `audit_writers` holds the last batch of every
//! process that wrote, so that a batch whose success was not heard of is not written twice.

use std::borrow::Cow;

use sqlx::Connection;
use sqlx::SqlSafeStr;
use sqlx::migrate::Migrate;
use sqlx::migrate::Migration;
use sqlx::migrate::MigrationType;
use sqlx::migrate::Migrator;

use crate::record::store::StoreError;

/// One change of the tables.
#[derive(Debug)]
pub(super) struct Step {
    version: i64,
    what: &'static str,
    sql: &'static str,
}

/// For SQLite. Its indexes end in the row's id by themselves.
pub(super) const SQLITE: &[Step] = &[Step {
    version: 1,
    what: "audit log",
    sql: "
CREATE TABLE IF NOT EXISTS aggregate_log (
    id INTEGER PRIMARY KEY,
    logged_at INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    route TEXT NOT NULL,
    sources_succeeded TEXT NOT NULL,
    sources_failed TEXT NOT NULL,
    sources_skipped TEXT NOT NULL,
    mode TEXT NOT NULL,
    status INTEGER NOT NULL,
    duration_ms REAL NOT NULL,
    cached INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS aggregate_log_by_time ON aggregate_log (logged_at);
CREATE INDEX IF NOT EXISTS aggregate_log_by_route ON aggregate_log (route, logged_at);
CREATE TABLE IF NOT EXISTS audit_writers (
    writer TEXT PRIMARY KEY,
    batch INTEGER NOT NULL,
    written_at INTEGER NOT NULL
) STRICT;
",
}];

/// For PostgreSQL.
pub(super) const POSTGRES: &[Step] = &[Step {
    version: 1,
    what: "audit log",
    sql: "
CREATE TABLE IF NOT EXISTS aggregate_log (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    logged_at TIMESTAMPTZ NOT NULL,
    request_id TEXT NOT NULL,
    route TEXT NOT NULL,
    sources_succeeded JSONB NOT NULL,
    sources_failed JSONB NOT NULL,
    sources_skipped JSONB NOT NULL,
    mode TEXT NOT NULL,
    status INTEGER NOT NULL,
    duration_ms DOUBLE PRECISION NOT NULL,
    cached BOOLEAN NOT NULL
);
CREATE INDEX IF NOT EXISTS aggregate_log_by_time ON aggregate_log (logged_at, id);
CREATE INDEX IF NOT EXISTS aggregate_log_by_route ON aggregate_log (route, logged_at, id);
CREATE TABLE IF NOT EXISTS audit_writers (
    writer TEXT PRIMARY KEY,
    batch BIGINT NOT NULL,
    written_at BIGINT NOT NULL
);
",
}];

/// Takes the steps that were not taken yet, and closes the connection.
pub(super) async fn run<C: Connection + Migrate>(mut connection: C, steps: &[Step]) -> Result<(), StoreError> {
    migrator(steps).run_direct(None, &mut connection, false).await?;
    connection.close().await?;
    Ok(())
}

fn migrator(steps: &[Step]) -> Migrator {
    let migration = |step: &Step| {
        let kind = MigrationType::Simple;
        Migration::new(step.version, Cow::Borrowed(step.what), kind, step.sql.into_sql_str(), false)
    };
    let mut migrator = Migrator::with_migrations(steps.iter().map(migration).collect());
    // An older aggd goes on with the tables of a newer one: steps only ever add.
    migrator.set_ignore_missing(true);
    migrator
}
