//! The machine itself: asking for a pass, and reporting how the call ended.

use std::time::Duration;

use smallvec::SmallVec;

use crate::base::Moment;
use crate::policy::breaker::Admission;
use crate::policy::breaker::BreakerSettings;
use crate::policy::breaker::Change;
use crate::policy::breaker::CircuitState;
use crate::policy::breaker::Counts;
use crate::policy::breaker::Denied;
use crate::policy::breaker::DenyReason;
use crate::policy::breaker::Ended;
use crate::policy::breaker::Pass;
use crate::policy::breaker::Reason;
use crate::policy::breaker::Throttled;
use crate::policy::breaker::View;
use crate::policy::breaker::tell::ago;
use crate::policy::breaker::window::Call;
use crate::policy::breaker::window::Window;
use crate::policy::outcome::Evidence;

/// Worth this long a wait when all probes are out: one of them is about to decide.
const PROBES_OUT_WAIT: Duration = Duration::from_secs(1);
/// What a probe's lease is longer than its attempt may take.
const LEASE_MARGIN: Duration = Duration::from_secs(1);

/// The memory of one circuit.
#[derive(Debug)]
pub(crate) struct Breaker {
    pub(super) phase: Phase,
    /// Grows with every change; passes carry it.
    generation: u64,
    pub(super) consecutive: u32,
    /// Openings since the last close: the exponent of the open period.
    pub(super) opens: u32,
    /// Made by the first result that a window is configured for.
    pub(super) window: Option<Window>,
    next_probe: u64,
    last_success_at: Option<Moment>,
    last_failure_at: Option<Moment>,
    counts: Counts,
}

#[derive(Debug)]
pub(super) enum Phase {
    Closed,
    Open(Opening),
    HalfOpen(Probing),
    /// `until` is `None` for one that only an operator ends.
    ForcedOpen {
        since: Moment,
        until: Option<Moment>,
    },
    ForcedClosed,
}

/// Why the period of an opening is as long as it is, so that a reload can compute it anew.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening {
    at: Moment,
    draw: f64,
    retry_after: Option<Duration>,
}

#[derive(Debug, Default)]
pub(super) struct Probing {
    out: SmallVec<[Probe; 1]>,
    successes: u32,
    failures: u32,
}

#[derive(Debug)]
struct Probe {
    number: u64,
    lease_until: Moment,
}

/// A change that time has made due.
enum Due {
    HalfOpen(Reason),
    /// A probe's lease is over: it counts as failed.
    Reopen,
}

impl Breaker {
    /// A circuit nothing happened to: closed, or forced closed where the breaker is off.
    pub(crate) fn new(set: &BreakerSettings) -> Self {
        Self {
            phase: Phase::rest(set),
            generation: 0,
            consecutive: 0,
            opens: 0,
            window: None,
            next_probe: 0,
            last_success_at: None,
            last_failure_at: None,
            counts: Counts::default(),
        }
    }

    /// Asks to make one call, as the last thing before it is sent.
    ///
    /// `budget` is what the attempt may take: a probe that reports neither within it nor a second later has failed,
    /// unless `probe_lease` says otherwise. `draw`, in `[0, 1)`, is for the jitter of the open period that follows then.
    pub(crate) fn admit(&mut self, set: &BreakerSettings, now: Moment, budget: Duration, draw: f64) -> Admission {
        let change = self.due(set, now).map(|due| self.advance(set, due, now, draw));
        let answer = match self.refusal(set, now) {
            Some(denied) => {
                self.counts.rejection(denied.reason);
                Err(denied)
            }
            None => Ok(self.pass(set, now, budget)),
        };
        Admission { answer, change }
    }

    /// What [`Breaker::admit`] would answer; changes and counts nothing.
    pub(crate) fn peek(&self, set: &BreakerSettings, now: Moment) -> Result<(), Denied> {
        match self.due(set, now) {
            Some(Due::HalfOpen(_)) => Ok(()),
            // The draw is not made yet; the middle of the range stands in for it.
            Some(Due::Reopen) => {
                let opening = Opening { at: now, draw: 0.5, retry_after: None };
                Err(Denied { reason: DenyReason::Open, wait: opening.period(set, self.opens.saturating_add(1)) })
            }
            None => self.refusal(set, now).map_or(Ok(()), Err),
        }
    }

    /// Counts a refusal that `peek` gave.
    pub(crate) fn count_refusal(&mut self, reason: DenyReason) {
        self.counts.rejection(reason);
    }

    /// Reports how a call ended.
    pub(crate) fn record(&mut self, set: &BreakerSettings, pass: Pass, end: Ended, now: Moment) -> Option<Change> {
        self.note(end.evidence, now);
        if pass.generation != self.generation {
            self.counts.late_results += 1;
            return None;
        }
        match self.phase {
            Phase::Closed | Phase::ForcedClosed => self.record_closed(set, end, now),
            Phase::HalfOpen(_) => self.record_probe(set, &pass, end, now),
            // No pass is of a generation in which none are given.
            Phase::Open(_) | Phase::ForcedOpen { .. } => None,
        }
    }

    /// Takes back a pass whose call ended without saying anything: cancelled. A probe's place is free again.
    pub(crate) fn release(&mut self, pass: Pass) {
        self.counts.call(Evidence::Neutral);
        if pass.generation != self.generation {
            self.counts.late_results += 1;
        } else if let Phase::HalfOpen(probing) = &mut self.phase {
            probing.take_back(&pass);
        }
    }

    /// The circuit as it is now, without moving it.
    pub(crate) fn view(&self, set: &BreakerSettings, now: Moment) -> View {
        let state = match self.due(set, now) {
            Some(Due::HalfOpen(_)) => self.after_forced(set).state(),
            Some(Due::Reopen) | None => self.phase.state(),
        };
        let (opened_ago, recovers_in, probes_in_flight) = match &self.phase {
            Phase::Open(opening) if state == CircuitState::Open => {
                let ago = now.since(opening.at);
                (Some(ago), Some(opening.period(set, self.opens).saturating_sub(ago)), 0)
            }
            Phase::ForcedOpen { since, until } if state == CircuitState::ForcedOpen => {
                (Some(now.since(*since)), until.map(|until| until.since(now)), 0)
            }
            Phase::HalfOpen(probing) => (None, None, probing.out.len()),
            Phase::Closed | Phase::Open(_) | Phase::ForcedOpen { .. } | Phase::ForcedClosed => (None, None, 0),
        };
        View {
            state,
            generation: self.generation,
            consecutive_failures: self.consecutive,
            opened_ago,
            recovers_in,
            last_success_ago: ago(self.last_success_at, now),
            last_failure_ago: ago(self.last_failure_at, now),
            probes_in_flight,
        }
    }

    /// What it has counted so far.
    pub(crate) fn counts(&self) -> Counts {
        self.counts.clone()
    }

    fn due(&self, set: &BreakerSettings, now: Moment) -> Option<Due> {
        match &self.phase {
            Phase::Open(opening) => {
                let over = now.since(opening.at) >= opening.period(set, self.opens);
                over.then_some(Due::HalfOpen(Reason::Elapsed))
            }
            Phase::ForcedOpen { until, .. } => {
                until.is_some_and(|until| until <= now).then_some(Due::HalfOpen(Reason::ForcedTtl))
            }
            Phase::HalfOpen(probing) => probing.out.iter().any(|probe| probe.lease_until <= now).then_some(Due::Reopen),
            Phase::Closed | Phase::ForcedClosed => None,
        }
    }

    fn advance(&mut self, set: &BreakerSettings, due: Due, now: Moment, draw: f64) -> Change {
        match due {
            Due::HalfOpen(reason) => self.to(self.after_forced(set), reason),
            Due::Reopen => {
                self.consecutive = self.consecutive.saturating_add(1);
                self.open(set, Reason::ProbeLeaseExpired, Opening { at: now, draw, retry_after: None })
            }
        }
    }

    /// What follows an opening. A breaker that is off can only have been forced open, and has nothing to probe for.
    fn after_forced(&self, set: &BreakerSettings) -> Phase {
        if set.enabled { Phase::HalfOpen(Probing::default()) } else { Phase::ForcedClosed }
    }

    fn refusal(&self, set: &BreakerSettings, now: Moment) -> Option<Denied> {
        match &self.phase {
            Phase::Closed | Phase::ForcedClosed => None,
            Phase::Open(opening) => {
                let wait = opening.period(set, self.opens).saturating_sub(now.since(opening.at));
                Some(Denied { reason: DenyReason::Open, wait })
            }
            Phase::ForcedOpen { until, .. } => {
                let wait = until.map_or(set.recovery_timeout, |until| until.since(now));
                Some(Denied { reason: DenyReason::ForcedOpen, wait })
            }
            Phase::HalfOpen(probing) => {
                let full = Denied { reason: DenyReason::HalfOpenFull, wait: PROBES_OUT_WAIT };
                (probing.out.len() >= probing.places(set)).then_some(full)
            }
        }
    }

    fn pass(&mut self, set: &BreakerSettings, now: Moment, budget: Duration) -> Pass {
        let probe = match &mut self.phase {
            Phase::HalfOpen(probing) => {
                let number = self.next_probe;
                self.next_probe += 1;
                let lease = set.half_open.probe_lease.unwrap_or_else(|| budget.saturating_add(LEASE_MARGIN));
                probing.out.push(Probe { number, lease_until: now.after(lease) });
                Some(number)
            }
            Phase::Closed | Phase::ForcedClosed | Phase::Open(_) | Phase::ForcedOpen { .. } => None,
        };
        Pass { generation: self.generation, probe }
    }

    /// Late or not, a call that succeeded did so.
    fn note(&mut self, evidence: Evidence, now: Moment) {
        self.counts.call(evidence);
        match evidence {
            Evidence::Success => self.last_success_at = Some(now),
            Evidence::Failure => self.last_failure_at = Some(now),
            Evidence::Throttled | Evidence::Neutral => {}
        }
    }

    fn record_closed(&mut self, set: &BreakerSettings, end: Ended, now: Moment) -> Option<Change> {
        let failed = match (end.evidence, set.throttled) {
            (Evidence::Neutral, _) | (Evidence::Throttled, Throttled::Neutral) => return None,
            (Evidence::Failure, _) | (Evidence::Throttled, Throttled::Failure) => true,
            (Evidence::Success, _) => false,
        };
        self.consecutive = if failed { self.consecutive.saturating_add(1) } else { 0 };
        let by_window = self.window_trip(set, Call { failed, slow: end.is_slow(set) }, now);
        let by_count = failed && set.failure_threshold > 0 && self.consecutive >= set.failure_threshold;
        let reason = if by_count { Some(Reason::ConsecutiveFailures) } else { by_window };
        match (&self.phase, reason) {
            (Phase::Closed, Some(reason)) => Some(self.open(set, reason, Opening::after(end, now))),
            _ => None,
        }
    }

    /// Counts the call in the window; a fast success never trips, whatever the rate.
    fn window_trip(&mut self, set: &BreakerSettings, call: Call, now: Moment) -> Option<Reason> {
        let watched = set.window.as_ref()?;
        let window = match &mut self.window {
            Some(window) if window.has_shape(watched.shape) => window,
            other => other.insert(Window::new(watched.shape, now)),
        };
        let tally = window.add(call, now);
        let reached = |rate: f64, limit: Option<f64>| limit.is_some_and(|limit| rate >= limit);
        if tally.total < watched.minimum_throughput {
            None
        } else if call.failed && reached(tally.failure_rate(), watched.failure_rate) {
            Some(Reason::FailureRate)
        } else if call.slow && reached(tally.slow_rate(), watched.slow_call_rate) {
            Some(Reason::SlowCallRate)
        } else {
            None
        }
    }

    fn record_probe(&mut self, set: &BreakerSettings, pass: &Pass, end: Ended, now: Moment) -> Option<Change> {
        let Phase::HalfOpen(probing) = &mut self.phase else { return None };
        probing.take_back(pass);
        match end.evidence {
            Evidence::Neutral => None,
            Evidence::Success if !end.is_slow(set) => {
                probing.successes = probing.successes.saturating_add(1);
                (probing.successes >= set.half_open.success_threshold).then(|| self.close(set, Reason::ProbeSuccess))
            }
            Evidence::Success | Evidence::Failure | Evidence::Throttled => {
                probing.failures = probing.failures.saturating_add(1);
                let reopens = probing.failures >= set.half_open.failure_threshold;
                self.consecutive = self.consecutive.saturating_add(1);
                reopens.then(|| self.open(set, Reason::ProbeFailure, Opening::after(end, now)))
            }
        }
    }

    fn open(&mut self, set: &BreakerSettings, reason: Reason, opening: Opening) -> Change {
        self.opens = self.opens.saturating_add(1);
        let open_for = Some(opening.period(set, self.opens));
        Change { open_for, ..self.to(Phase::Open(opening), reason) }
    }

    /// To rest, with a clean record.
    pub(super) fn close(&mut self, set: &BreakerSettings, reason: Reason) -> Change {
        self.consecutive = 0;
        self.opens = 0;
        self.window = None;
        self.to(Phase::rest(set), reason)
    }

    /// The only way from one phase to another.
    pub(super) fn to(&mut self, phase: Phase, reason: Reason) -> Change {
        let from = self.phase.state();
        let to = phase.state();
        self.phase = phase;
        self.generation += 1;
        self.counts.transition(from, to, reason);
        let consecutive_failures = self.consecutive;
        Change { from, to, generation: self.generation, reason, consecutive_failures, open_for: None }
    }
}

impl Phase {
    fn rest(set: &BreakerSettings) -> Self {
        if set.enabled { Self::Closed } else { Self::ForcedClosed }
    }

    fn state(&self) -> CircuitState {
        match self {
            Self::Closed => CircuitState::Closed,
            Self::Open(_) => CircuitState::Open,
            Self::HalfOpen(_) => CircuitState::HalfOpen,
            Self::ForcedOpen { .. } => CircuitState::ForcedOpen,
            Self::ForcedClosed => CircuitState::ForcedClosed,
        }
    }
}

impl Opening {
    fn after(end: Ended, now: Moment) -> Self {
        Self { at: now, draw: end.draw, retry_after: end.retry_after }
    }

    /// How long it lasts, under the settings in force. `opens` counts this opening too.
    fn period(&self, set: &BreakerSettings, opens: u32) -> Duration {
        let backoff = set.open_backoff;
        let exponent = i32::try_from(opens.saturating_sub(1)).unwrap_or(i32::MAX);
        // A power that overflows is infinite, and the minimum is `max`.
        let grown = set.recovery_timeout.as_secs_f64() * backoff.multiplier.powi(exponent);
        let spread = 1.0 - backoff.jitter + 2.0 * backoff.jitter * self.draw;
        let period = Duration::try_from_secs_f64(grown.min(backoff.max.as_secs_f64()) * spread).unwrap_or(backoff.max);
        match self.retry_after.filter(|_| set.honor_retry_after) {
            Some(asked) => period.max(asked).min(backoff.max),
            None => period,
        }
    }
}

impl Probing {
    /// How many may be out. At least one even where a reload asks for no more successes than there are: else nobody
    /// could ever close it.
    fn places(&self, set: &BreakerSettings) -> usize {
        let wanted = set.half_open.success_threshold.saturating_sub(self.successes);
        usize::try_from(set.half_open.max_probes.min(wanted).max(1)).unwrap_or(1)
    }

    fn take_back(&mut self, pass: &Pass) {
        self.out.retain(|probe| Some(probe.number) != pass.probe);
    }
}

impl Ended {
    fn is_slow(&self, set: &BreakerSettings) -> bool {
        let limit = set.window.as_ref().and_then(|window| window.slow_call_duration);
        limit.is_some_and(|limit| self.took > limit)
    }
}
