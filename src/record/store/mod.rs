//! Where the audit log is kept: SQLite or PostgreSQL, two pools behind one face.
//!
//! Opening refuses what only an operator can mend (a bad URL, a missing folder). A database that is merely away is no
//! error: the tables are made when it first answers, and every call says for itself that it did not.

mod columns;
mod error;
mod file;
mod migrations;
mod ping;
mod postgres;
mod search;
mod sqlite;

pub(crate) use error::StoreError;

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::OnceCell;

use crate::base::Moment;
use crate::base::Secret;
use crate::record::audit::AuditRecord;
use crate::record::history::HistoryFilter;
use crate::record::history::HistoryPage;
use crate::record::store::columns::Mark;
use crate::record::store::file::SqliteFile;
use crate::record::store::ping::Ping;

/// How long the tables may take to be made.
const PREPARE_LIMIT: Duration = Duration::from_secs(60);
/// How long one batch may take. A write that was given up may still have happened; writing it again is harmless.
const APPEND_LIMIT: Duration = Duration::from_secs(10);
/// How long somebody who asks for the history waits.
const SEARCH_LIMIT: Duration = Duration::from_secs(5);
/// How long the connections may take to say goodbye.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// The audit log's database.
#[derive(Debug)]
pub(crate) struct Store {
    engine: Engine,
    ping: Ping,
    /// This process among all that ever wrote to the database.
    writer: String,
}

#[derive(Debug)]
enum Engine {
    Sqlite(SqliteFile),
    /// The pool, and whether the tables are there.
    Postgres(PgPool, OnceCell<()>),
}

impl Store {
    /// A store in an SQLite file, which is made if it is missing; its folder must be there. Needs the runtime.
    pub(crate) fn sqlite(path: &Path) -> Result<Self, StoreError> {
        Ok(Self::new(Engine::Sqlite(SqliteFile::open(path)?)))
    }

    /// A store in a PostgreSQL database, `postgres://user:password@host:5432/name`. Connects when it is first used.
    /// Needs the runtime.
    pub(crate) fn postgres(url: &Secret) -> Result<Self, StoreError> {
        Ok(Self::new(Engine::Postgres(postgres::open(url)?, OnceCell::new())))
    }

    fn new(engine: Engine) -> Self {
        let writer = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        Self { engine, ping: Ping::default(), writer }
    }

    /// Brings the tables up to date; does nothing once that was done.
    pub(crate) async fn prepare(&self) -> Result<(), StoreError> {
        // A connection of its own, closed whatever happens: one that went back to the pool after a failure would keep
        // the lock that holds other instances off.
        let prepare = async {
            match &self.engine {
                Engine::Sqlite(file) => file.present().await?.prepare().await,
                Engine::Postgres(pool, prepared) => {
                    let run = async || migrations::run(pool.acquire().await?.detach(), migrations::POSTGRES).await;
                    prepared.get_or_try_init(run).await.copied()
                }
            }
        };
        within(PREPARE_LIMIT, prepare).await
    }

    /// Whether it answers and its tables are there; never later than half a second, and asked once a second at most.
    pub(crate) async fn ping(&self, now: Moment) -> bool {
        let probe = async {
            match &self.engine {
                Engine::Sqlite(file) => {
                    let Ok(opened) = file.present().await else { return false };
                    sqlx::query("SELECT 1").execute(&opened.pool).await.is_ok() && opened.is_prepared()
                }
                Engine::Postgres(pool, prepared) => {
                    sqlx::query("SELECT 1").execute(pool).await.is_ok() && prepared.initialized()
                }
            }
        };
        self.ping.ask(now, probe).await
    }

    /// Writes a batch in one transaction: all of it, or nothing. `number` counts the batches of this store from 1; one
    /// that was written already is left as it is, so a batch may be tried until it succeeds.
    pub(crate) async fn append(&self, number: i64, records: &[AuditRecord]) -> Result<(), StoreError> {
        let written_at = records.last().map_or(0, |record| columns::micros(record.at));
        let mark = Mark { writer: &self.writer, number, written_at };
        let append = async {
            self.prepare().await?;
            match &self.engine {
                Engine::Sqlite(file) => {
                    let opened = file.present().await?;
                    opened.prepare().await?;
                    sqlite::append(&opened.pool, mark, records).await?;
                    file.kept(&opened)
                }
                Engine::Postgres(pool, _) => postgres::append(pool, mark, records).await,
            }
        };
        within(APPEND_LIMIT, append).await
    }

    /// One page of the records that the filter lets through, newest first.
    pub(crate) async fn history(&self, filter: &HistoryFilter) -> Result<HistoryPage, StoreError> {
        let search = async {
            self.prepare().await?;
            let fields = match &self.engine {
                Engine::Sqlite(file) => search::sqlite(&file.present().await?.pool, filter).await,
                Engine::Postgres(pool, _) => search::postgres(pool, filter).await,
            };
            Ok(HistoryPage::of(fields?, filter.limit))
        };
        within(SEARCH_LIMIT, search).await
    }

    /// Closes the connections; every later call fails.
    pub(crate) async fn close(&self) {
        let close = async {
            match &self.engine {
                Engine::Sqlite(file) => file.close().await,
                Engine::Postgres(pool, _) => pool.close().await,
            }
        };
        if tokio::time::timeout(CLOSE_LIMIT, close).await.is_err() {
            tracing::warn!("the database did not let go of its connections");
        }
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(StoreError::TooSlow { limit }))
}

#[cfg(test)]
mod tests;
