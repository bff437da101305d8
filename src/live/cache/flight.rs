//! One call that several wait for. It belongs to the task that makes it; callers only wait, and can leave.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Notify;

use crate::base::Moment;
use crate::live::cache::entry::Entry;
use crate::live::cache::generation::SourceMark;
use crate::live::cache::generation::Tag;
use crate::live::cache::key::CacheKey;
use crate::live::cache::look::Shared;
use crate::live::fetched::FlightResult;
use crate::policy::freshness::NegativeSettings;

/// A call in the air. What is atomic here and not the landing changes only under the lock of its registry shard.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) key: CacheKey,
    pub(super) source: SourceMark,
    /// The tag of whoever began it.
    pub(super) tag: Tag,
    /// The invalidations that what it may bring knows of: those of the copy that it may confirm, where there is one.
    pub(super) stamp: u64,
    /// The invalidations it knows of itself.
    pub(super) began: u64,
    /// Its place among the flights of its shard.
    pub(super) number: u64,
    pub(super) started: Moment,
    pub(super) errand: Errand,
    /// The copy that the upstream is asked about: whether it still holds.
    pub(super) known: Option<Arc<Entry>>,
    pub(super) terms: Terms,
    doomed: AtomicBool,
    abandoned: AtomicBool,
    pub(super) waiters: AtomicUsize,
    landing: OnceLock<Landing>,
    landed: Notify,
    left: Notify,
}

/// What a flight is for.
#[derive(Debug)]
pub(super) enum Errand {
    /// Callers wait for it.
    Answer,
    /// One caller waits for it, and nobody joins.
    Alone,
    /// It renews this entry, behind a reply.
    Refresh(Arc<Entry>),
}

/// The settings it began under.
#[derive(Debug)]
pub(super) struct Terms {
    /// The draw of the ttl's jitter.
    pub(super) draw: f64,
    /// The ttl with its jitter.
    pub(super) ttl: Duration,
    /// How long an answer is kept.
    pub(super) keep_for: Duration,
    pub(super) max_entry_bytes: usize,
    pub(super) negative: Option<NegativeSettings>,
    /// Whether the flight ends when nobody waits any more.
    pub(super) cancels: bool,
    pub(super) respect_upstream: bool,
}

/// How a flight ended.
#[derive(Clone, Debug)]
pub(crate) struct Landing {
    /// What it brought.
    pub(crate) result: FlightResult,
    /// Whether that is in the cache now.
    pub(crate) stored: bool,
}

/// What a flight is made of.
pub(super) struct Departure {
    pub(super) key: CacheKey,
    pub(super) source: SourceMark,
    pub(super) tag: Tag,
    pub(super) started: Moment,
    pub(super) errand: Errand,
    pub(super) known: Option<Arc<Entry>>,
    pub(super) terms: Terms,
}

impl Flight {
    pub(super) fn new(departure: Departure, stamp: u64, number: u64) -> Self {
        let Departure { key, source, tag, started, errand, known, terms } = departure;
        let waiters = AtomicUsize::new(usize::from(!matches!(errand, Errand::Refresh(_))));
        Self {
            key,
            source,
            tag,
            // Else a confirmed copy would be shown to those for whom it was invalidated.
            stamp: known.as_ref().map_or(stamp, |entry| entry.stamp.min(stamp)),
            began: stamp,
            number,
            started,
            errand,
            known,
            terms,
            doomed: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            waiters,
            landing: OnceLock::new(),
            landed: Notify::new(),
            left: Notify::new(),
        }
    }

    /// Whether callers that are not older than its end may wait for it; who sees it is another question.
    pub(super) fn takes_more(&self) -> bool {
        !self.is_doomed() && !self.is_abandoned() && !matches!(self.errand, Errand::Alone)
    }

    /// Its result is not to be stored, and nobody joins it from now on.
    pub(super) fn doom(&self) {
        self.doomed.store(true, Ordering::Release);
    }

    pub(super) fn is_doomed(&self) -> bool {
        self.doomed.load(Ordering::Acquire)
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    pub(super) fn has_landed(&self) -> bool {
        self.landing.get().is_some()
    }

    pub(super) fn join(&self) {
        self.waiters.fetch_add(1, Ordering::AcqRel);
    }

    /// One waiter goes. The last one may take the flight with it, and does when the machine is pressed; a refresh never
    /// had any, and flies on.
    pub(super) fn leave(&self, pressed: bool) {
        let was_last = self.waiters.fetch_sub(1, Ordering::AcqRel) == 1;
        let wanted_anyway = matches!(self.errand, Errand::Refresh(_)) || !(self.terms.cancels || pressed);
        if was_last && !wanted_anyway && !self.has_landed() {
            self.abandoned.store(true, Ordering::Release);
            self.left.notify_one();
        }
    }

    /// Ends it, once, and wakes all who wait.
    pub(super) fn land(&self, landing: Landing) {
        if self.landing.set(landing).is_ok() {
            self.landed.notify_waiters();
        }
    }

    /// Returns when it was abandoned.
    pub(super) async fn deserted(&self) {
        loop {
            let left = self.left.notified();
            if self.is_abandoned() {
                return;
            }
            left.await;
        }
    }
}

/// One caller's place among those who wait for a flight. Dropping it leaves the flight.
#[must_use]
pub(crate) struct Waiter {
    pub(super) flight: Arc<Flight>,
    shared: Arc<Shared>,
}

impl Waiter {
    pub(super) fn new(flight: Arc<Flight>, shared: Arc<Shared>) -> Self {
        Self { flight, shared }
    }

    /// Waits for the end, which always comes. Safe to cancel: that leaves.
    pub(crate) async fn wait(self) -> Landing {
        loop {
            // Made before the look, so that a landing between the two wakes it.
            let landed = self.flight.landed.notified();
            if let Some(landing) = self.flight.landing.get() {
                return landing.clone();
            }
            landed.await;
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if !self.flight.has_landed() {
            self.shared.registry.leave(&self.flight, self.shared.pressed.load(Ordering::Relaxed));
        }
    }
}
