//! Pure decisions: (state, settings, event, now) → decision. No clock, no I/O, no logging.

pub(crate) mod admission;
pub(crate) mod breaker;
pub(crate) mod deadline;
pub(crate) mod directives;
pub(crate) mod events;
pub(crate) mod freshness;
pub(crate) mod gcra;
pub(crate) mod keys;
pub(crate) mod limiter;
pub(crate) mod outcome;
pub(crate) mod priority;
pub(crate) mod rate;
pub(crate) mod quota;
pub(crate) mod retry;
pub(crate) mod strategy;

#[cfg(test)]
mod vectors;
