//! The circuit breaker: stops calling an upstream that fails, and finds out with a few probes whether it works again.
//!
//! ```text
//!            consecutive_failures, failure_rate, slow_call_rate
//!   ┌────────┐ ─────────────────────────────────────────────► ┌──────┐
//!   │ closed │                probe_failure, lease expired    │ open │
//!   └────────┘ ◄───────────── ┌───────────┐ ────────────────► └──────┘
//!               probe_success │ half open │ ◄──── elapsed ───────┘
//!                             └───────────┘ ◄──── forced_ttl ── forced open
//! ```
//!
//! | admit | answer |
//! |---|---|
//! | closed, forced closed | a pass |
//! | open | refused until the open period is over, then half open |
//! | half open | a pass while fewer than `min(max_probes, success_threshold − successes)` probes are out |
//! | forced open | refused until its ttl is over, then half open; without a ttl for good |
//!
//! Every change makes a new generation. A result whose pass is of an older generation is counted and changes nothing.
//! Time moves the machine only when somebody asks; [`Breaker::view`] tells the truth without asking.
//! `enabled: false` is forced closed. The state holds no settings: it survives a reload, and an open period is that of
//! the settings in force.

mod machine;
mod operate;
mod overall;
mod settings;
mod tell;
mod window;

#[cfg(test)]
mod tests;

pub(crate) use machine::Breaker;
pub(crate) use overall::overall;
pub(crate) use settings::BREAKER_DEFAULTS;
pub(crate) use settings::BreakerSettings;
pub(crate) use settings::HalfOpenSettings;
pub(crate) use settings::OpenBackoff;
pub(crate) use settings::Throttled;
pub(crate) use settings::WindowSettings;
pub(crate) use settings::WindowShape;
pub(crate) use tell::Admission;
pub(crate) use tell::Change;
pub(crate) use tell::CircuitState;
pub(crate) use tell::Counts;
pub(crate) use tell::Denied;
pub(crate) use tell::DenyReason;
pub(crate) use tell::Ended;
pub(crate) use tell::Pass;
pub(crate) use tell::Reason;
#[cfg(test)]
pub(crate) use tell::TransitionCount;
pub(crate) use tell::View;
pub(crate) use tell::retry_after_s;
