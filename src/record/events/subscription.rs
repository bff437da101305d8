//! Listening: a queue of one's own, and what to do when it overflowed.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::record::events::bus::Events;
use crate::record::events::told::Told;

/// What a listener gets, in order.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    /// An event.
    Told(Arc<Told>),
    /// The listener is too slow: here so many of its events are missing. It reads `/health` to know how things stand.
    Lagged(u64),
    /// The place where it wanted to go on is not known any more.
    Reset(Reset),
}

/// Why a listener who came back can't go on where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reset {
    /// So many kept events, of any type, have gone since.
    Gone(u64),
    /// Its last event is one of another instance, or of this one before it was started anew.
    OtherInstance,
}

/// As many listen as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany {
    pub(crate) bound: usize,
}

/// A place among the listeners, given back with the value: whatever becomes of the task that holds it.
#[must_use]
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(super) events: Events,
    pub(super) number: u64,
    pub(super) wake: Arc<Notify>,
}

/// What there is for a listener now.
pub(super) enum Next {
    Item(Item),
    Nothing,
    /// Nothing will come any more.
    Ended,
}

impl Subscription {
    /// Waits for what comes next; `None`: the gateway stops, or this listener was cut off. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Option<Item> {
        loop {
            match self.events.take(self.number) {
                Next::Item(item) => return Some(item),
                Next::Ended => return None,
                // One that comes between the two leaves a notice.
                Next::Nothing => self.wake.notified().await,
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.events.leave(self.number);
    }
}
