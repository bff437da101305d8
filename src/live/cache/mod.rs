//! The in-memory cache: what upstreams answered, which calls for more are in the air, and what is no longer true.
//!
//! ```text
//! look ──visible entry, servable──────────────► Hit   (and, for one caller, its refresh, due after the reply)
//!   └── nothing to serve ──flight in the air──► Wait  (joined)
//!                        └─ none ─────────────► Wait  (and the lead: the caller starts the task that owns it)
//! lead.complete ──► stored, unless invalidated meanwhile ──► published to all who wait, once
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `key` | what an answer is filed under |
//! | `generation` | the sequence, the marks that invalidations leave, who may see what |
//! | `entry` | one stored answer, and when it may be fetched anew |
//! | `store` | the bounded map of entries |
//! | `flight` | one call that several wait for, and the waiter |
//! | `passes` | keys whose answers the upstream forbids to keep |
//! | `registry` | all flights in the air, by key |
//! | `lead` | the guard of the task that makes the call; the refresh that is due |
//! | `look` | the cache itself: look, lead, stale copies |
//! | `upkeep` | the cache itself: invalidate, sweep, resize, numbers |
//! | `held` | the cache itself: the best copy of a source, for tests of a configuration |
//!
//! Everything but [`Waiter::wait`] and [`Lead::abandoned`] is synchronous and told the time. A hit takes no lock but
//! the store's own and allocates nothing. Order of locks: upkeep, a shard of the registry, the store.

mod key;
mod generation;
mod entry;
mod store;
mod flight;
mod passes;
mod registry;
mod lead;
mod look;
mod upkeep;
mod held;
mod counters;

#[cfg(test)]
mod tests;

pub(crate) use entry::Entry;
pub(crate) use flight::Landing;
pub(crate) use flight::Waiter;
pub(crate) use generation::Scope;
pub(crate) use generation::SourceMark;
pub(crate) use generation::Tag;
pub(crate) use held::Held;
pub(crate) use key::CacheKey;
pub(crate) use lead::DueRefresh;
pub(crate) use lead::Lead;
pub(crate) use look::Ask;
pub(crate) use look::Cache;
pub(crate) use look::Look;
pub(crate) use look::StaleWindow;
pub(crate) use store::Limits;
