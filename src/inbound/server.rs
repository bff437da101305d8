//! What the HTTP side is made of: the state that handlers read.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;
use tokio::sync::oneshot;

use crate::base::Moment;
use crate::live::LoadStatus;
use crate::live::Status;
use crate::record::Store;
use crate::request::Shared;

/// A wish to reload now, and where its end is told.
pub(crate) type ReloadCall = oneshot::Sender<LoadStatus>;

/// What all handlers share.
pub(crate) struct Server {
    pub(crate) shared: Arc<Shared>,
    /// The audit log; `None`: `database: off`.
    pub(crate) store: Option<Arc<Store>>,
    /// How the last load of the configuration ended.
    pub(crate) status: Arc<Status>,
    /// To the reloader; bounded: one waiting wish is as good as many.
    pub(crate) reload: mpsc::Sender<ReloadCall>,
    pub(crate) started: Moment,
    /// Whether the control plane has an address of its own.
    pub(crate) admin_apart: bool,
    /// `limits.max_connections` as it was at start.
    pub(crate) max_connections: usize,
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) stopping: AtomicBool,
}

impl Server {
    /// From here on `/readyz` says no.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Whether shutdown has begun.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}
