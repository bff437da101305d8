//! The guard of the task that makes a call: whatever becomes of the task, those who wait hear of it.

use std::sync::Arc;
use std::time::Duration;

use crate::base::Moment;
use crate::live::cache::entry::Entry;
use crate::live::cache::entry::Gate;
use crate::live::cache::entry::OVERHEAD;
use crate::live::cache::entry::directives;
use crate::live::cache::flight::Departure;
use crate::live::cache::flight::Errand;
use crate::live::cache::flight::Flight;
use crate::live::cache::flight::Landing;
use crate::live::cache::look::Shared;
use crate::live::fetched::Failure;
use crate::live::fetched::Fetched;
use crate::live::fetched::FlightResult;
use crate::policy::freshness::NegativeSettings;
use crate::policy::outcome::Kind;

/// A refresh that is due: the right to begin it, when the reply is written. Dropped instead (the circuit is open, there
/// is no room, the client left first), it leaves the entry alone for a second.
#[must_use]
pub(crate) struct DueRefresh {
    shared: Arc<Shared>,
    entry: Arc<Entry>,
    /// `None` once it was begun.
    departure: Option<Departure>,
    asked: Moment,
}

impl DueRefresh {
    pub(super) fn new(shared: Arc<Shared>, entry: Arc<Entry>, departure: Departure) -> Self {
        let asked = departure.started;
        Self { shared, entry, departure: Some(departure), asked }
    }

    /// Begins it; `None` where the entry is gone or another call for it is in the air. From now on it can be joined.
    pub(crate) fn begin(mut self, now: Moment) -> Option<Lead> {
        let mut departure = Departure { started: now, ..self.departure.take()? };
        let mut airspace = self.shared.registry.airspace(&departure.key);
        if self.shared.generations.are_walked() {
            departure.known = None;
        }
        let in_the_air = airspace.of(&departure.key).iter().any(|flight| {
            flight.takes_more() && self.shared.generations.shows(flight.stamp, &departure.source, &departure.tag)
        });
        let is_held = self.shared.store.load().peek(&departure.key).is_some_and(|held| Arc::ptr_eq(&held, &self.entry));
        if in_the_air || !is_held {
            self.entry.gate.release();
            return None;
        }
        let flight = airspace.depart(departure, &self.shared.generations);
        Some(Lead::new(Arc::clone(&self.shared), flight))
    }
}

impl Drop for DueRefresh {
    fn drop(&mut self) {
        if self.departure.is_some() {
            self.entry.gate.decline(self.asked);
            self.shared.totals.refresh_declined.add(1);
        }
    }
}

/// The right and the duty to make one call. Dropped without an end (a panic, an aborted task), it publishes a failure.
#[must_use]
pub(crate) struct Lead {
    shared: Arc<Shared>,
    pub(super) flight: Arc<Flight>,
}

impl Lead {
    pub(super) fn new(shared: Arc<Shared>, flight: Arc<Flight>) -> Self {
        Self { shared, flight }
    }

    /// Stores what is to be stored and publishes the result to all who wait, in this order: whoever comes later finds
    /// the entry. Says whether it was stored.
    pub(crate) fn complete(self, result: FlightResult, now: Moment) -> bool {
        let stored = self.shared.settle(&self.flight, &result, now);
        self.flight.land(Landing { result, stored });
        stored
    }

    /// The copy that the upstream can be asked about: whether it still holds.
    pub(crate) fn known(&self) -> Option<Arc<Fetched>> {
        self.flight.known.as_ref()?.value().as_ref().ok().cloned()
    }

    /// Returns when nobody waits any more and `on_abandon: cancel` holds; never for a refresh. Safe to cancel.
    pub(crate) async fn abandoned(&self) {
        self.flight.deserted().await;
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if self.flight.has_landed() {
            return;
        }
        let result = Err(match self.flight.is_abandoned() {
            true => failure(Kind::Cancelled, "nobody waited for the answer any more"),
            false => failure(Kind::InternalError, "the call ended without an answer"),
        });
        // Nobody says what time it is; the pause after a failed refresh then counts from its start.
        let stored = self.shared.settle(&self.flight, &result, self.flight.started);
        self.flight.land(Landing { result, stored });
    }
}

impl Shared {
    /// Ends a flight in the registry, and stores its result or doesn't. Whether it did.
    fn settle(&self, flight: &Flight, result: &FlightResult, now: Moment) -> bool {
        let fate = self.fate(flight, result, now);
        let stored = self.store_and_arrive(flight, fate, now);
        if let Errand::Refresh(old) = &flight.errand {
            self.conclude(&old.gate, flight, result, stored, now);
        }
        stored
    }

    /// What becomes of a result.
    fn fate(&self, flight: &Flight, result: &FlightResult, now: Moment) -> Fate {
        let terms = &flight.terms;
        let (length, fresh_for, keep_for) = match result {
            Ok(fetched) => (fetched.body.len() + fetched.keeping.size(), terms.ttl, terms.keep_for),
            Err(failure) => {
                let listed = |negative: &&NegativeSettings| {
                    failure.status.is_some_and(|status| negative.statuses.contains(&status))
                };
                // A failed refresh leaves the entry as it is.
                match terms.negative.as_ref().filter(listed) {
                    Some(negative) if !matches!(flight.errand, Errand::Refresh(_)) => {
                        (failure.message.len(), negative.ttl, negative.ttl)
                    }
                    Some(_) | None => return Fate::Nothing,
                }
            }
        };
        let (fresh_for, keep_for) = match terms.respect_upstream {
            true => allowed(result, fresh_for, keep_for),
            false => (fresh_for, keep_for),
        };
        if terms.respect_upstream && keep_for.is_zero() {
            self.totals.evicted_forbidden.add(1);
            return Fate::Forbidden { passes: directives(result).forbids_storing };
        }
        if length > terms.max_entry_bytes {
            self.totals.evicted_oversize.add(1);
            return Fate::Nothing;
        }
        let confirmed = result.as_ref().is_ok_and(|fetched| fetched.keeping.not_modified);
        let size = flight.key.len().saturating_add(length).saturating_add(OVERHEAD);
        Fate::Kept(Arc::new(Entry {
            value: result.clone(),
            stored_at: now,
            draw: terms.draw,
            stamp: if confirmed { flight.stamp } else { flight.began },
            number: flight.number,
            fresh_for,
            keep_for,
            size: u64::try_from(size).unwrap_or(u64::MAX),
            source: flight.source.clone(),
            tag: flight.tag.clone(),
            gate: Gate::default(),
        }))
    }

    /// Under one lock, so that an invalidation comes before the store, and prevents it, or after, and finds the entry.
    fn store_and_arrive(&self, flight: &Flight, fate: Fate, now: Moment) -> bool {
        let mut airspace = self.registry.airspace(&flight.key);
        airspace.arrive(flight);
        let store = self.store.load();
        let entry = match fate {
            Fate::Kept(entry) => entry,
            Fate::Forbidden { passes } => {
                // An older copy must not outlive what the upstream says now.
                store.remove_if(&flight.key, |held| held.number < flight.number);
                if passes && !airspace.passes.mark(&flight.key, now) {
                    self.totals.passes_dropped.add(1);
                }
                return false;
            }
            Fate::Nothing => return false,
        };
        let overtaken = || store.peek(&flight.key).is_some_and(|held| held.number > flight.number);
        if flight.is_doomed() || overtaken() {
            self.totals.store_discarded.add(1);
            return false;
        }
        airspace.passes.clear(&flight.key);
        let inserted = store.insert(flight.key.clone(), entry);
        self.totals.evicted_capacity.add(inserted.evicted);
        self.totals.evicted_oversize.add(u64::from(!inserted.kept));
        inserted.kept
    }

    /// Ends a refresh. Where the old entry remains, it says when the next may begin.
    fn conclude(&self, gate: &Gate, flight: &Flight, result: &FlightResult, stored: bool, now: Moment) {
        match result {
            Ok(fetched) if fetched.keeping.not_modified => self.totals.refresh_not_modified.add(1),
            Ok(_) => self.totals.refresh_ok.add(1),
            Err(_) => self.totals.refresh_failed.add(1),
        }
        match result {
            Ok(_) if stored => {}
            Ok(_) if flight.is_doomed() => gate.release(),
            Ok(_) | Err(_) => gate.fail(flight.terms.ttl, now),
        }
    }
}

/// What becomes of a result.
enum Fate {
    /// It is stored, unless an invalidation or a later call came before it.
    Kept(Arc<Entry>),
    /// The upstream forbids to keep it. `passes`: it is not even to be shared.
    Forbidden { passes: bool },
    /// It is of no use to the cache.
    Nothing,
}

/// How long a result is fresh and kept, cut to what the upstream allows.
fn allowed(result: &FlightResult, fresh_for: Duration, keep_for: Duration) -> (Duration, Duration) {
    let said = directives(result);
    let fresh = said.shorten(fresh_for);
    // What must not be served stale is of use past its ttl only to ask whether it still holds.
    let checkable = result.as_ref().is_ok_and(|fetched| fetched.keeping.validators.is_some());
    let kept = match said.forbids_storing || (said.forbids_stale && !checkable) {
        true => fresh,
        false => keep_for.saturating_sub(fresh_for.saturating_sub(fresh)),
    };
    (fresh, kept)
}

fn failure(kind: Kind, message: &str) -> Arc<Failure> {
    Arc::new(Failure::new(kind, message))
}
