//! What a request reads: one snapshot, the per-source state kept by name, and the cache.

mod allowance;
pub(crate) mod cache;
mod carry;
mod carry_endpoints;
mod circuit;
#[cfg(test)]
mod circuit_events;
mod endpoint;
mod fetched;
mod gate;
mod limits;
mod rate;
pub(crate) mod quota;
mod snapshot;
mod source;
mod status;

pub(crate) use carry::Carry;
pub(crate) use carry::SINGLE;
pub(crate) use carry_endpoints::ALL as ALL_ENDPOINTS;
pub(crate) use circuit::Circuit;
pub(crate) use circuit::Permit;
pub(crate) use circuit::tell;
pub(crate) use endpoint::LiveEndpoint;
pub(crate) use fetched::Failure;
pub(crate) use fetched::Fetched;
pub(crate) use fetched::FlightResult;
pub(crate) use fetched::Keeping;
pub(crate) use fetched::Validators;
pub(crate) use gate::Gate;
pub(crate) use gate::GateSlot;
pub(crate) use limits::Bulkhead;
pub(crate) use limits::RateLimit;
pub(crate) use rate::RateToken;
pub(crate) use snapshot::Live;
pub(crate) use snapshot::LiveRoute;
pub(crate) use snapshot::LiveSource;
pub(crate) use snapshot::Snapshot;
pub(crate) use status::LoadStatus;
pub(crate) use status::Status;
