//! One stored answer: what it is, how old it is, and when it may be fetched anew.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::base::Moment;
use crate::live::cache::generation::SourceMark;
use crate::live::cache::generation::Tag;
use crate::live::fetched::FlightResult;
use crate::policy::directives::Directives;
use crate::policy::freshness;
use crate::policy::freshness::CacheSettings;
use crate::policy::freshness::Freshness;

/// What an entry costs besides its key and its value.
pub(super) const OVERHEAD: usize = 128;

/// One stored answer. Serving it changes nothing about it; only the gate of its refresh moves.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(super) value: FlightResult,
    pub(super) stored_at: Moment,
    /// The draw of its ttl's jitter.
    pub(super) draw: f64,
    /// The invalidations that its flight knew of.
    pub(super) stamp: u64,
    /// The place of its flight in the order in which flights of its key began.
    pub(super) number: u64,
    /// Its ttl by the settings it was stored under; for numbers, not for serving.
    pub(super) fresh_for: Duration,
    /// How long it is kept.
    pub(super) keep_for: Duration,
    /// What it costs: key, value and [`OVERHEAD`].
    pub(super) size: u64,
    pub(super) source: SourceMark,
    /// The tag it was fetched for.
    pub(super) tag: Tag,
    pub(super) gate: Gate,
}

impl Entry {
    /// The answer, or a definitive refusal that is kept for a while.
    pub(crate) fn value(&self) -> &FlightResult {
        &self.value
    }

    /// Whether it is a refusal (`negative`).
    pub(crate) fn is_negative(&self) -> bool {
        self.value.is_err()
    }

    /// How old it is.
    pub(crate) fn age(&self, now: Moment) -> Duration {
        now.since(self.stored_at)
    }

    /// How long it is fresh under these settings, which may be newer than it.
    pub(crate) fn ttl(&self, settings: &CacheSettings) -> Duration {
        let configured = match (&self.value, &settings.negative) {
            (Ok(_), _) => freshness::effective_ttl(settings, self.draw),
            (Err(_), Some(negative)) => negative.ttl,
            (Err(_), None) => Duration::ZERO,
        };
        if settings.respect_upstream { directives(&self.value).shorten(configured) } else { configured }
    }

    /// Whether the upstream can be asked if it still holds.
    pub(super) fn is_checkable(&self, settings: &CacheSettings) -> bool {
        let has_validators = self.value.as_ref().is_ok_and(|fetched| fetched.keeping.validators.is_some());
        let is_forbidden = settings.respect_upstream && directives(&self.value).forbids_storing;
        settings.conditional && has_validators && !is_forbidden
    }

    /// Whether the upstream forbids to serve it past its ttl.
    fn is_never_stale(&self, settings: &CacheSettings) -> bool {
        let said = directives(&self.value);
        settings.respect_upstream && (said.forbids_stale || said.forbids_storing)
    }

    /// What its age calls for. `draw` decides for `xfetch`.
    pub(super) fn freshness(&self, settings: &CacheSettings, now: Moment, draw: f64) -> Freshness {
        let (age, ttl) = (self.age(now), self.ttl(settings));
        match &self.value {
            Ok(_) if age >= ttl && self.is_never_stale(settings) => Freshness::Miss,
            Ok(fetched) => freshness::classify(settings, ttl, age, fetched.took, draw),
            // A refusal is fresh or it is nothing: it stands in for no failure and is not fetched ahead.
            Err(_) if age < ttl => Freshness::Fresh,
            Err(_) => Freshness::Miss,
        }
    }

    /// Whether it may stand in for a failure, this long past its ttl.
    pub(super) fn stands_in(&self, settings: &CacheSettings, past_ttl: Duration, now: Moment) -> bool {
        !self.is_negative()
            && !self.is_never_stale(settings)
            && self.age(now) < self.ttl(settings).saturating_add(past_ttl)
    }

    /// Whether anything could still want it.
    pub(super) fn is_kept(&self, now: Moment) -> bool {
        self.age(now) < self.keep_for
    }
}

/// What the upstream said about keeping its answer, or its refusal.
pub(super) fn directives(value: &FlightResult) -> &Directives {
    match value {
        Ok(fetched) => &fetched.keeping.directives,
        Err(failure) => &failure.directives,
    }
}

/// When an entry may be fetched anew: one refresh at a time, and a pause after a failed one.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// In nanoseconds since the start; [`CLAIMED`] while a refresh is due or in the air.
    opens: AtomicU64,
    /// In a row. Only the holder of the claim writes it.
    failures: AtomicU32,
}

const CLAIMED: u64 = u64::MAX;
/// What keeps a refresh from beginning, an open circuit say, is not over at once; asking again with every hit is waste.
const DECLINED_PAUSE: Duration = Duration::from_secs(1);

impl Gate {
    /// Claims the refresh, for one caller.
    pub(super) fn claim(&self, now: Moment) -> bool {
        let opens = self.opens.load(Ordering::Acquire);
        let is_open = opens != CLAIMED && opens <= nanos(now);
        is_open && self.opens.compare_exchange(opens, CLAIMED, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Gives the claim back; the next caller may have it.
    pub(super) fn release(&self) {
        self.opens.store(0, Ordering::Release);
    }

    /// Gives the claim back after a failure: nobody has it for a while, longer each time. `ttl` is the effective one.
    pub(super) fn fail(&self, ttl: Duration, now: Moment) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed);
        self.pause(freshness::refresh_backoff(ttl, failures), now);
    }

    /// Gives the claim back unused; nobody has it for a while.
    pub(super) fn decline(&self, now: Moment) {
        self.pause(DECLINED_PAUSE, now);
    }

    fn pause(&self, wait: Duration, now: Moment) {
        self.opens.store(nanos(now.after(wait)).min(CLAIMED - 1), Ordering::Release);
    }
}

fn nanos(moment: Moment) -> u64 {
    u64::try_from(moment.since(Moment::ZERO).as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::from_start(Duration::from_millis(ms))
    }

    #[test]
    fn one_claims_the_refresh_and_the_next_only_after_it_came_back() {
        let gate = Gate::default();
        assert!(gate.claim(at(5)));
        assert!(!gate.claim(at(6)));
        gate.release();
        assert!(gate.claim(at(6)));
    }

    #[test]
    fn a_declined_refresh_pauses_and_the_pause_does_not_grow() {
        let gate = Gate::default();
        for start in [0, 1_000, 2_000] {
            assert!(gate.claim(at(start)));
            gate.decline(at(start));
            assert!(!gate.claim(at(start + 999)));
        }
    }

    #[test]
    fn each_failure_in_a_row_doubles_the_pause_up_to_a_quarter_of_the_ttl() {
        let gate = Gate::default();
        let mut now = at(0);
        for pause in [1, 2, 4, 8, 15, 15] {
            assert!(gate.claim(now));
            gate.fail(Duration::from_secs(60), now);
            let opens = now.after(Duration::from_secs(pause));
            assert!(!gate.claim(opens.before(Duration::from_nanos(1))), "{pause}");
            now = opens;
        }
        assert!(gate.claim(now));
    }
}
