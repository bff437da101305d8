//! Pure decisions: (state, settings, event, now) → decision. No clock, no I/O, no logging.

pub(crate) mod adaptive;
pub(crate) mod admission;
pub(crate) mod breaker;
pub(crate) mod codel;
pub(crate) mod deadline;
pub(crate) mod directives;
pub(crate) mod events;
pub(crate) mod fallback;
pub(crate) mod freshness;
pub(crate) mod gcra;
pub(crate) mod keys;
pub(crate) mod limiter;
pub(crate) mod line;
pub(crate) mod outcome;
pub(crate) mod pressure;
pub(crate) mod priority;
pub(crate) mod rate;
pub(crate) mod throttle;
pub(crate) mod quota;
pub(crate) mod retry;
pub(crate) mod shedding;
pub(crate) mod watermark;
pub(crate) mod strategy;

#[cfg(test)]
mod limiter_laws;
#[cfg(test)]
mod vectors;
