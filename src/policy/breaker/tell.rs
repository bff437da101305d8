//! What a breaker is told and what it tells: passes, refusals, changes, and its state for people and metrics.

use std::time::Duration;

use crate::base::Moment;
use crate::policy::events::EventType;
use crate::policy::outcome::Evidence;

/// The state of a circuit, as `/health`, events and metrics name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CircuitState {
    Closed,
    Open,
    HalfOpen,
    /// Opened by an operator.
    ForcedOpen,
    /// Closed by an operator, or by `enabled: false`.
    ForcedClosed,
}

impl CircuitState {
    /// The name in answers and labels.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::ForcedOpen => "forced_open",
            Self::ForcedClosed => "forced_closed",
        }
    }

    /// The value of the gauge `aggd_breaker_state`.
    pub(crate) fn gauge(self) -> i64 {
        match self {
            Self::Closed => 0,
            Self::HalfOpen => 1,
            Self::Open => 2,
            Self::ForcedOpen => 3,
            Self::ForcedClosed => 4,
        }
    }

    /// Whether the upstream is being kept from calls; forced closed is not degraded, by policy of whoever forced it.
    pub(crate) fn is_degraded(self) -> bool {
        matches!(self, Self::Open | Self::HalfOpen | Self::ForcedOpen)
    }
}

/// Why a circuit changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reason {
    ConsecutiveFailures,
    FailureRate,
    SlowCallRate,
    /// The open period is over.
    Elapsed,
    /// The ttl of a forced opening is over.
    ForcedTtl,
    ProbeSuccess,
    ProbeFailure,
    /// A probe never reported.
    ProbeLeaseExpired,
    /// An operator asked for it.
    ForceOpen,
    ForceClose,
    Reset,
    /// A reload switched the breaker on, or off.
    Enabled,
    Disabled,
}

impl Reason {
    /// The name in events and labels.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ConsecutiveFailures => "consecutive_failures",
            Self::FailureRate => "failure_rate",
            Self::SlowCallRate => "slow_call_rate",
            Self::Elapsed => "elapsed",
            Self::ForcedTtl => "forced_ttl",
            Self::ProbeSuccess => "probe_success",
            Self::ProbeFailure => "probe_failure",
            Self::ProbeLeaseExpired => "probe_lease_expired",
            Self::ForceOpen => "force_open",
            Self::ForceClose => "force_close",
            Self::Reset => "reset",
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
        }
    }
}

/// One transition. The caller logs, counts and publishes it; `generation` orders the changes of one circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) from: CircuitState,
    pub(crate) to: CircuitState,
    /// The generation that began with it.
    pub(crate) generation: u64,
    pub(crate) reason: Reason,
    /// After the change: what tripped it, zero after a close.
    pub(crate) consecutive_failures: u32,
    /// How long it will stay open; `None` where it did not open, or was forced open without a ttl.
    pub(crate) open_for: Option<Duration>,
}

impl Change {
    /// The type of the event that tells of it.
    pub(crate) fn event_type(&self) -> EventType {
        match (self.reason, self.to) {
            (Reason::Reset, _) => EventType::CircuitReset,
            (_, CircuitState::Closed) => EventType::CircuitClosed,
            (_, CircuitState::Open) => EventType::CircuitOpened,
            (_, CircuitState::HalfOpen) => EventType::CircuitHalfOpened,
            (_, CircuitState::ForcedOpen) => EventType::CircuitForcedOpen,
            (_, CircuitState::ForcedClosed) => EventType::CircuitForcedClosed,
        }
    }

    /// Its name.
    pub(crate) fn event(&self) -> &'static str {
        self.event_type().as_str()
    }
}

/// Leave to make one call. It ends in `record` or `release`, once.
#[must_use]
#[derive(Debug)]
pub(crate) struct Pass {
    pub(super) generation: u64,
    /// The probe's number, when the circuit is half open.
    pub(super) probe: Option<u64>,
}

impl Pass {
    /// Whether the call decides over a half-open circuit.
    pub(crate) fn is_probe(&self) -> bool {
        self.probe.is_some()
    }
}

/// The answer to one request for a pass, and what asking changed.
#[must_use]
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) answer: Result<Pass, Denied>,
    /// Asking is what moves an open circuit on; at most one change per question.
    pub(crate) change: Option<Change>,
}

/// A refusal. Nothing may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Denied {
    pub(crate) reason: DenyReason,
    /// When it is worth asking again.
    pub(crate) wait: Duration,
}

/// For `Retry-After`: whole seconds, rounded up so that it is never earlier than it is worth it, at least 1.
pub(crate) fn retry_after_s(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// Why a pass was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum DenyReason {
    Open,
    /// As many probes are out as may be.
    HalfOpenFull,
    ForcedOpen,
}

impl DenyReason {
    /// The name in labels.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::HalfOpenFull => "half_open_full",
            Self::ForcedOpen => "forced_open",
        }
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ended {
    /// What it says about the upstream.
    pub(crate) evidence: Evidence,
    /// How long the upstream asked to be left alone.
    pub(crate) retry_after: Option<Duration>,
    /// From send to the end of decoding.
    pub(crate) took: Duration,
    /// The draw for the jitter of an open period, in `[0, 1)`.
    pub(crate) draw: f64,
}

/// A circuit at one moment, as `/health` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// Half open as soon as the open period is over, traffic or none.
    pub(crate) state: CircuitState,
    pub(crate) generation: u64,
    /// Failed probes included.
    pub(crate) consecutive_failures: u32,
    /// Since when it is open or forced open; `None` in other states.
    pub(crate) opened_ago: Option<Duration>,
    /// When it becomes half open; `None` in other states, and when forced open without a ttl.
    pub(crate) recovers_in: Option<Duration>,
    /// `None`: never.
    pub(crate) last_success_ago: Option<Duration>,
    /// `None`: never.
    pub(crate) last_failure_ago: Option<Duration>,
    pub(crate) probes_in_flight: usize,
}

/// What a circuit has counted since it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) successes: u64,
    pub(crate) failures: u64,
    pub(crate) throttled: u64,
    /// Cancelled calls among them.
    pub(crate) neutral: u64,
    /// Results of an older generation; also counted above.
    pub(crate) late_results: u64,
    pub(crate) rejected_open: u64,
    pub(crate) rejected_half_open_full: u64,
    pub(crate) rejected_forced_open: u64,
    /// One entry per kind of transition that happened.
    pub(crate) transitions: Vec<TransitionCount>,
}

/// How often one kind of transition happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TransitionCount {
    pub(crate) from: CircuitState,
    pub(crate) to: CircuitState,
    pub(crate) reason: Reason,
    pub(crate) count: u64,
}

impl Counts {
    pub(super) fn call(&mut self, evidence: Evidence) {
        match evidence {
            Evidence::Success => self.successes += 1,
            Evidence::Failure => self.failures += 1,
            Evidence::Throttled => self.throttled += 1,
            Evidence::Neutral => self.neutral += 1,
        }
    }

    pub(super) fn rejection(&mut self, reason: DenyReason) {
        match reason {
            DenyReason::Open => self.rejected_open += 1,
            DenyReason::HalfOpenFull => self.rejected_half_open_full += 1,
            DenyReason::ForcedOpen => self.rejected_forced_open += 1,
        }
    }

    pub(super) fn transition(&mut self, from: CircuitState, to: CircuitState, reason: Reason) {
        let same = |seen: &&mut TransitionCount| seen.from == from && seen.to == to && seen.reason == reason;
        match self.transitions.iter_mut().find(same) {
            Some(seen) => seen.count += 1,
            None => self.transitions.push(TransitionCount { from, to, reason, count: 1 }),
        }
    }
}

/// How long ago, if ever.
pub(super) fn ago(at: Option<Moment>, now: Moment) -> Option<Duration> {
    at.map(|at| now.since(at))
}
