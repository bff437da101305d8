//! The answer, and what is done once it is written.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::StatusCode;
use tokio::sync::mpsc;

use crate::base::Rope;
use crate::policy::pressure::Level;
use crate::record::AuditRecord;
use crate::request::background;
use crate::request::context::Shared;
use crate::request::flight::Refresh;
use crate::request::front::Pass;

/// An answer, complete.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: ReplyBody,
    pub(crate) after: After,
}

/// The body of an answer.
pub(crate) enum ReplyBody {
    Whole(Rope),
    /// Pieces that come as sources answer; the end of the channel is the end of the body.
    Progressive(mpsc::Receiver<Bytes>),
}

/// Work that waits until the bytes of the answer are written, or the client has left.
#[derive(Default)]
pub(crate) struct After {
    pub(crate) audit: Option<AuditRecord>,
    pub(crate) refreshes: Vec<Refresh>,
    pub(crate) pass: Pass,
}

impl After {
    /// Whether there is nothing to do.
    pub(crate) fn is_nothing(&self) -> bool {
        self.audit.is_none() && self.refreshes.is_empty() && self.pass.is_nothing()
    }

    /// Does it: the audit record is queued, refreshes start. Needs a tokio runtime around it, and waits for nothing.
    pub(crate) fn begin(self, shared: &Arc<Shared>) {
        if let (Some(record), Some(queue)) = (self.audit, &shared.audit) {
            queue.push(record);
        }
        // Under pressure, what is answered today is not fetched for tomorrow.
        if !self.refreshes.is_empty() && shared.pressure_level() < Level::High {
            for refresh in self.refreshes {
                background::push(shared, refresh);
            }
        }
        drop(self.pass);
    }
}
