//! What a request reads: one snapshot, the per-source state kept by name, and the cache.

mod allowance;
mod adaptive;
pub(crate) mod cache;
mod carry;
mod circuit;
#[cfg(test)]
mod circuit_events;
mod fetched;
mod gate;
mod limits;
mod rate;
pub(crate) mod quota;
mod in_flight;
mod overload;
mod snapshot;
mod status;
mod throttle;

pub(crate) use adaptive::AdaptiveLimit;
pub(crate) use carry::Carry;
pub(crate) use carry::SINGLE;
pub(crate) use circuit::Circuit;
pub(crate) use circuit::Permit;
pub(crate) use circuit::tell;
pub(crate) use fetched::Failure;
pub(crate) use fetched::Fetched;
pub(crate) use fetched::FlightResult;
pub(crate) use fetched::Keeping;
pub(crate) use fetched::Validators;
pub(crate) use gate::Gate;
pub(crate) use gate::GateSlot;
pub(crate) use in_flight::InFlight;
pub(crate) use in_flight::InFlightPermit;
pub(crate) use limits::Bulkhead;
pub(crate) use limits::RateLimit;
pub(crate) use overload::Watch;
pub(crate) use rate::RateToken;
pub(crate) use snapshot::Live;
pub(crate) use snapshot::LiveRoute;
pub(crate) use snapshot::LiveSource;
pub(crate) use snapshot::Snapshot;
pub(crate) use status::LoadStatus;
pub(crate) use status::Status;
pub(crate) use throttle::Throttled;
