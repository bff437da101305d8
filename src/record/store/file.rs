//! The SQLite file that is in use. One that was deleted or replaced meanwhile is opened anew: what is written to a file
//! without a name is lost when its last connection closes, and nobody would be told.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::SystemTime;

use sqlx::SqlitePool;
use tokio::sync::OnceCell;
use tokio::sync::Semaphore;

use crate::record::store::CLOSE_LIMIT;
use crate::record::store::StoreError;
use crate::record::store::migrations;
use crate::record::store::sqlite;

/// A file and the connections to it.
#[derive(Debug)]
pub(super) struct SqliteFile {
    path: PathBuf,
    opened: Mutex<Arc<Opened>>,
    /// Whose turn it is to open it anew. Never closed.
    turn: Semaphore,
}

/// One file that had the path: as long as it has it, what is written to it can be found.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) pool: SqlitePool,
    /// Set when the tables are there.
    prepared: OnceCell<()>,
    identity: Option<Identity>,
    /// The write-ahead log that was written last.
    log: Mutex<Option<Identity>>,
}

/// What tells a file from another one of the same name.
///
/// Where no connection holds the old one, a new file may well get its number; hence the time it was made.
type Identity = (u64, u64, Option<SystemTime>);

impl SqliteFile {
    /// The file at this path, which is made if it is missing.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let opened = Mutex::new(Arc::new(Opened::at(path)?));
        Ok(Self { path: path.to_owned(), opened, turn: Semaphore::new(1) })
    }

    /// The file that has the path now, opened anew where it is another one than before.
    pub(super) async fn present(&self) -> Result<Arc<Opened>, StoreError> {
        let opened = self.opened();
        if !opened.is_gone(&self.path) {
            return Ok(opened);
        }
        let _turn = self.turn.acquire().await;
        let opened = self.opened();
        if !opened.is_gone(&self.path) {
            return Ok(opened);
        }
        // First the old one, wholly: its memory shared between connections lies in a file beside it, of the same name
        // as the new one's.
        if !opened.pool.is_closed() {
            let path = self.path.as_path();
            tracing::error!(?path, "the database file was deleted or replaced: what it held is gone; opening it anew");
        }
        let closed = tokio::time::timeout(CLOSE_LIMIT, opened.pool.close()).await;
        closed.map_err(|_| StoreError::TooSlow { limit: CLOSE_LIMIT })?;
        opened.clear_away(&self.path);
        let anew = Arc::new(Opened::at(&self.path)?);
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&anew);
        anew.prepare().await?;
        Ok(anew)
    }

    /// Whether what was written to this file can be found under its path.
    pub(super) fn kept(&self, opened: &Opened) -> Result<(), StoreError> {
        if opened.is_gone(&self.path) {
            return Err(StoreError::Gone { path: self.path.clone() });
        }
        let log = identity(&beside(&self.path, "-wal")).flatten();
        *opened.log.lock().unwrap_or_else(PoisonError::into_inner) = log;
        Ok(())
    }

    /// Closes the connections; every later call fails.
    pub(super) async fn close(&self) {
        self.opened().pool.close().await;
    }

    fn opened(&self) -> Arc<Opened> {
        Arc::clone(&self.opened.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Opened {
    fn at(path: &Path) -> Result<Self, StoreError> {
        let pool = sqlite::open(path)?;
        Ok(Self { pool, prepared: OnceCell::new(), identity: identity(path).flatten(), log: Mutex::default() })
    }

    /// Brings the tables up to date; does nothing once that was done.
    pub(super) async fn prepare(&self) -> Result<(), StoreError> {
        let prepare = async || migrations::run(self.pool.acquire().await?.detach(), migrations::SQLITE).await;
        self.prepared.get_or_try_init(prepare).await.copied()
    }

    /// Whether its tables are there.
    pub(super) fn is_prepared(&self) -> bool {
        self.prepared.initialized()
    }

    /// Removes what the file left behind. SQLite would take its write-ahead log for that of the file which has its name
    /// now, and write over that one. A log that came with the new file is another one, and stays.
    fn clear_away(&self, path: &Path) {
        let ours = *self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let log = beside(path, "-wal");
        if ours.is_some() && identity(&log).flatten() == ours {
            for left in [log, beside(path, "-shm")] {
                if let Err(error) = std::fs::remove_file(&left) {
                    tracing::warn!(path = ?left, %error, "the deleted database left a file that can't be removed");
                }
            }
        }
    }

    fn is_gone(&self, path: &Path) -> bool {
        // What can't be looked at, SQLite will say for itself.
        identity(path).is_some_and(|found| found.is_none() || found != self.identity)
    }
}

/// The path of a file that SQLite keeps beside a database.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Which file has this path; `Some(None)`: none has. `None`: it can't be told.
fn identity(path: &Path) -> Option<Option<Identity>> {
    use std::os::unix::fs::MetadataExt as _;
    match std::fs::metadata(path) {
        Ok(file) => Some(Some((file.dev(), file.ino(), file.created().ok()))),
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            Some(None)
        }
        Err(_) => None,
    }
}
