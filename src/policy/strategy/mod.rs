//! Which endpoint a call goes to, and whether it goes to two at once.
//!
//! | strategy | attempts |
//! |---|---|
//! | single | at one endpoint, chosen by `order` among those whose circuit admits them |
//! | sequential | each at the endpoint after the one before, those whose circuit refuses passed over |
//! | hedged | a second while the first still runs, when that has taken unusually long; the first answer wins |

mod latencies;
mod order;
mod race;
mod settings;

pub(crate) use latencies::Latencies;
pub(crate) use order::Odds;
pub(crate) use order::Ring;
pub(crate) use race::Finish;
pub(crate) use race::Race;
pub(crate) use race::Then;
pub(crate) use settings::HEDGE_DEFAULTS;
pub(crate) use settings::HedgeDelay;
pub(crate) use settings::HedgeSettings;
pub(crate) use settings::Order;
pub(crate) use settings::StrategyKind;
pub(crate) use settings::StrategySettings;
