//! The audit log: one record per answered request, queued after the reply and written in batches.

mod queue;
mod writer;

pub(crate) use queue::AuditCounts;
pub(crate) use queue::AuditQueue;
pub(crate) use writer::AuditWriter;

use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use smallvec::SmallVec;

use crate::base::Name;

/// What one request was answered.
#[derive(Debug, Clone)]
pub(crate) struct AuditRecord {
    /// When it was answered.
    pub(crate) at: SystemTime,
    pub(crate) request_id: Arc<str>,
    /// The route as declared, or aggd's own.
    pub(crate) route: Arc<str>,
    pub(crate) succeeded: Sources,
    pub(crate) failed: Sources,
    /// Those that the circuit refused.
    pub(crate) skipped: Sources,
    /// The envelope's `mode`.
    pub(crate) mode: &'static str,
    pub(crate) status: u16,
    pub(crate) duration: Duration,
    pub(crate) cached: bool,
}

/// The names of some sources of a request.
pub(crate) type Sources = SmallVec<[Name; 4]>;
