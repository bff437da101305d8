//! The cache as a request sees it: look a key up, wait for a call or lead it, fall back to a stale copy.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::base::Moment;
use crate::base::Name;
use crate::live::cache::counters::Totals;
use crate::live::cache::entry::Entry;
use crate::live::cache::flight::Departure;
use crate::live::cache::flight::Errand;
use crate::live::cache::flight::Flight;
use crate::live::cache::flight::Terms;
use crate::live::cache::flight::Waiter;
use crate::live::cache::generation::Generations;
use crate::live::cache::generation::SourceMark;
use crate::live::cache::generation::Tag;
use crate::live::cache::key::CacheKey;
use crate::live::cache::lead::DueRefresh;
use crate::live::cache::lead::Lead;
use crate::live::cache::registry::Airspace;
use crate::live::cache::registry::Registry;
use crate::live::cache::store::Limits;
use crate::live::cache::store::Store;
use crate::live::cache::upkeep::Upkeep;
use crate::policy::freshness;
use crate::policy::freshness::CacheSettings;
use crate::policy::freshness::Freshness;
use crate::policy::freshness::OnAbandon;

/// The cache. Copies are the same cache; it outlives every configuration.
#[derive(Clone)]
pub(crate) struct Cache {
    pub(super) shared: Arc<Shared>,
}

/// What all copies, leads and waiters share.
pub(super) struct Shared {
    pub(super) store: ArcSwap<Store>,
    pub(super) registry: Registry,
    pub(super) generations: Generations,
    pub(super) totals: Totals,
    pub(super) upkeep: Mutex<Upkeep>,
    /// The machine is pressed: what nobody waits for any more is not worth finishing.
    pub(super) pressed: AtomicBool,
}

/// One question to the cache.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'a> {
    /// What is asked for.
    pub(crate) key: &'a CacheKey,
    /// Its source.
    pub(crate) source: &'a SourceMark,
    /// The tag of the route that asks.
    pub(crate) tag: &'a Tag,
    /// The source's present settings.
    pub(crate) settings: &'a CacheSettings,
    /// How old a flight may be to be joined where `coalesce.max_age` is silent: the source's timeout.
    pub(crate) flight_max_age: Duration,
    /// The longest `stale` step of the source's fallbacks; entries are kept for it.
    pub(crate) longest_stale: Duration,
    /// When.
    pub(crate) now: Moment,
    /// A random number, 0 to 1 exclusive.
    pub(crate) draw: f64,
}

/// What the cache says.
#[must_use]
pub(crate) enum Look {
    /// Serve this.
    Hit {
        /// What to serve; a definitive refusal, perhaps.
        entry: Arc<Entry>,
        /// How old it is.
        age: Duration,
        /// `Fresh`, `FreshRefresh` or `StaleRevalidate`.
        freshness: Freshness,
        /// This caller, and no other, is to begin the call that renews the entry.
        refresh: Option<DueRefresh>,
    },
    /// Wait for a call.
    Wait {
        /// This caller's place.
        waiter: Waiter,
        /// This caller is to start the task that makes the call; `None`: it joined one in the air.
        lead: Option<Lead>,
        /// There is a copy that `stale_if_error` would serve at this age.
        stale: bool,
        /// The upstream lately forbade to keep this answer: nobody joins anybody, each makes a call of its own.
        passes: bool,
    },
}

/// How far past its ttl a copy may stand in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StaleWindow {
    /// `stale_if_error` of the settings.
    IfError,
    /// The `stale` step of a fallback.
    Upto(Duration),
}

/// An entry that the asker may see, at its age.
struct Found {
    entry: Arc<Entry>,
    age: Duration,
    freshness: Freshness,
}

impl Cache {
    /// An empty cache.
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            shared: Arc::new(Shared {
                store: ArcSwap::from_pointee(Store::new(limits)),
                registry: Registry::new(),
                generations: Generations::default(),
                totals: Totals::default(),
                upkeep: Mutex::default(),
                pressed: AtomicBool::new(false),
            }),
        }
    }

    /// The mark of a source; resolved once, at load.
    pub(crate) fn source_mark(&self, name: &Name) -> SourceMark {
        self.shared.generations.source(name)
    }

    /// The tag of a route's `cache_key`; resolved once, at load.
    pub(crate) fn tag(&self, name: &str) -> Tag {
        self.shared.generations.tag(name)
    }

    /// Looks a key up.
    pub(crate) fn look(&self, ask: &Ask<'_>) -> Look {
        match self.shared.find(ask) {
            Some(found) if found.is_servable() => self.serve(ask, found),
            Some(_) | None => self.wait(ask),
        }
    }

    /// A call without a look: joins nobody, is joined by nobody; its success is stored all the same.
    pub(crate) fn lead_unconditionally(&self, ask: &Ask<'_>) -> (Lead, Waiter) {
        let departure = ask.departure(Errand::Alone, None);
        self.take_off(&mut self.shared.registry.airspace(ask.key), departure)
    }

    /// The copy that stands in for a failed call, as of when the failure is known; invalidated ones never do.
    pub(crate) fn stale_for(&self, ask: &Ask<'_>, window: StaleWindow, now: Moment) -> Option<(Arc<Entry>, Duration)> {
        let entry = self.shared.visible(ask)?;
        let past_ttl = match window {
            StaleWindow::IfError => ask.settings.stale_if_error,
            StaleWindow::Upto(max_age) => max_age,
        };
        let age = entry.age(now);
        entry.stands_in(ask.settings, past_ttl, now).then_some((entry, age))
    }

    fn serve(&self, ask: &Ask<'_>, found: Found) -> Look {
        let Found { entry, age, freshness } = found;
        let is_due = match freshness {
            Freshness::FreshRefresh | Freshness::StaleRevalidate => entry.gate.claim(ask.now),
            Freshness::Fresh | Freshness::StaleIfError | Freshness::Miss => false,
        };
        let refresh = is_due.then(|| {
            let departure = ask.departure(Errand::Refresh(Arc::clone(&entry)), Some(&entry));
            DueRefresh::new(Arc::clone(&self.shared), Arc::clone(&entry), departure)
        });
        Look::Hit { entry, age, freshness, refresh }
    }

    /// Joins a flight or leads one.
    fn wait(&self, ask: &Ask<'_>) -> Look {
        let mut airspace = self.shared.registry.airspace(ask.key);
        let walked = self.shared.generations.are_walked();
        // Again, now that no flight of this key can land: one may have since the first look.
        let found = self.shared.find(ask);
        let (stale, known) = match found {
            Some(found) if found.is_servable() => {
                let Found { entry, age, freshness } = found;
                return Look::Hit { entry, age, freshness, refresh: None };
            }
            Some(found) => {
                let dropped = self.shared.drop_expired(ask, &found.entry);
                let stale = matches!(found.freshness, Freshness::StaleIfError);
                (stale, Some(found.entry).filter(|_| !dropped && !walked))
            }
            None => (false, None),
        };
        let known = known.as_ref();
        if ask.settings.respect_upstream && airspace.passes.hold(ask.key, ask.now) {
            let mut departure = ask.departure(Errand::Alone, known);
            // Its answer is for this caller alone, and is hardly ever kept.
            departure.terms.cancels = true;
            let (lead, waiter) = self.take_off(&mut airspace, departure);
            return Look::Wait { waiter, lead: Some(lead), stale, passes: true };
        }
        if let Some(flight) = self.shared.joinable(&airspace, ask) {
            flight.join();
            self.shared.totals.coalesced_join.add(1);
            let waiter = Waiter::new(flight, Arc::clone(&self.shared));
            return Look::Wait { waiter, lead: None, stale, passes: false };
        }
        let (lead, waiter) = self.take_off(&mut airspace, ask.departure(Errand::Answer, known));
        self.shared.totals.coalesced_lead.add(1);
        Look::Wait { waiter, lead: Some(lead), stale, passes: false }
    }

    fn take_off(&self, airspace: &mut Airspace, departure: Departure) -> (Lead, Waiter) {
        let flight = airspace.depart(departure, &self.shared.generations);
        let waiter = Waiter::new(Arc::clone(&flight), Arc::clone(&self.shared));
        (Lead::new(Arc::clone(&self.shared), flight), waiter)
    }
}

impl Shared {
    /// The entry of the key, if the asker may see it.
    fn visible(&self, ask: &Ask<'_>) -> Option<Arc<Entry>> {
        let entry = self.store.load().get(ask.key)?;
        self.generations.shows(entry.stamp, ask.source, ask.tag).then_some(entry)
    }

    fn find(&self, ask: &Ask<'_>) -> Option<Found> {
        let entry = self.visible(ask)?;
        let freshness = entry.freshness(ask.settings, ask.now, ask.draw);
        Some(Found { age: entry.age(ask.now), entry, freshness })
    }

    /// The flight to join: visible, not too old; the youngest of them.
    fn joinable(&self, airspace: &Airspace, ask: &Ask<'_>) -> Option<Arc<Flight>> {
        let coalesce = ask.settings.coalesce?;
        let max_age = coalesce.max_age.unwrap_or(ask.flight_max_age);
        let young = |flight: &&Arc<Flight>| ask.now.since(flight.started) <= max_age;
        let open =
            |flight: &&Arc<Flight>| flight.takes_more() && self.generations.shows(flight.stamp, ask.source, ask.tag);
        airspace.of(ask.key).iter().rev().filter(young).find(open).cloned()
    }

    /// Drops an entry that nothing could want any more, on the way past; whether it is one.
    fn drop_expired(&self, ask: &Ask<'_>, entry: &Entry) -> bool {
        let expired = !entry.is_kept(ask.now);
        if expired && self.store.load().remove_if(ask.key, |held| std::ptr::eq(held, entry)) {
            self.totals.evicted_expired.add(1);
        }
        expired
    }
}

impl Found {
    fn is_servable(&self) -> bool {
        match self.freshness {
            Freshness::Fresh | Freshness::FreshRefresh | Freshness::StaleRevalidate => true,
            Freshness::StaleIfError | Freshness::Miss => false,
        }
    }
}

impl Ask<'_> {
    /// `known` is the copy that the asker may see; the upstream is asked about it where it can be.
    fn departure(&self, errand: Errand, known: Option<&Arc<Entry>>) -> Departure {
        Departure {
            key: self.key.clone(),
            source: self.source.clone(),
            tag: self.tag.clone(),
            started: self.now,
            errand,
            known: known.filter(|entry| entry.is_checkable(self.settings)).cloned(),
            terms: self.terms(),
        }
    }

    fn terms(&self) -> Terms {
        let settings = self.settings;
        // The same draw decides about `xfetch`, where a large one begins the call; its lower digits know nothing of that.
        let draw = (self.draw * f64::from(1 << 26)).fract();
        let ttl = freshness::effective_ttl(settings, draw);
        let past_ttl = settings.stale_while_revalidate.max(settings.stale_if_error).max(self.longest_stale);
        Terms {
            draw,
            ttl,
            keep_for: ttl.saturating_add(past_ttl),
            max_entry_bytes: settings.max_entry_bytes.as_usize(),
            negative: settings.negative.clone(),
            cancels: settings.coalesce.is_some_and(|coalesce| coalesce.on_abandon == OnAbandon::Cancel),
            respect_upstream: settings.respect_upstream,
        }
    }
}
