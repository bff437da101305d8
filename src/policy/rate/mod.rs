//! The limit on the rate at which one source is called: tokens, reserved in advance by who may wait for them.

mod machine;
mod settings;
#[cfg(test)]
mod tests;

pub(crate) use machine::Demand;
pub(crate) use machine::Grant;
pub(crate) use machine::RateCounts;
pub(crate) use machine::RateLimiter;
pub(crate) use machine::RateReason;
pub(crate) use machine::RateRefusal;
pub(crate) use settings::Cost;
pub(crate) use settings::RATE_WAIT_DEFAULTS;
pub(crate) use settings::RateLimitSettings;
pub(crate) use settings::RateWait;
