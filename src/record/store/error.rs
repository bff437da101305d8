//! Why a store could not be opened, written or read, and whose fault that is.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// What went wrong between us and the database.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The file's folder is missing.
    #[error("the folder {} does not exist: create it, or let `database` name a file elsewhere", .folder.display())]
    NoFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// The file, or its folder, cannot be written.
    #[error("{} cannot be written: give aggd the right to, or let `database` name a file elsewhere", .path.display())]
    Unwritable {
        /// What cannot be written.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file has lost its name while it was written.
    #[error("{} was deleted or replaced while it was written", .path.display())]
    Gone {
        /// Its name.
        path: PathBuf,
    },
    /// The URL is none. What it says is not shown, for it may hold a password.
    #[error("`database` is not a PostgreSQL URL: write postgres://user:password@host:5432/name")]
    Url,
    /// The database is away, or refused.
    #[error("the database did not do it")]
    Database(#[from] sqlx::Error),
    /// The tables could not be made or brought up to date.
    #[error("the tables could not be prepared")]
    Tables(#[from] sqlx::migrate::MigrateError),
    /// It did not answer in time.
    #[error("the database took longer than {}s", .limit.as_secs())]
    TooSlow {
        /// What it was given.
        limit: Duration,
    },
}

impl StoreError {
    /// Whether the configuration must be changed, rather than the database be waited for.
    pub(crate) fn is_configuration(&self) -> bool {
        match self {
            Self::NoFolder { .. } | Self::Unwritable { .. } | Self::Url => true,
            Self::Gone { .. } | Self::Database(_) | Self::Tables(_) | Self::TooSlow { .. } => false,
        }
    }
}
