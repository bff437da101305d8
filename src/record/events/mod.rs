//! The event bus: what changed, told to whoever listens, without making anybody wait.
//!
//! ```text
//! producer ──publish──► counted ──► wanted? thinned? ──► numbered ──► kept (state changes)
//!                                                              └────► the queue of each listener who wants its type
//! ```
//!
//! Publishing takes one short lock and never waits. A circuit publishes under its own lock, so events stand in the order
//! of its changes. A listener that reads too slowly loses its oldest events and is told how many. Events of high volume
//! (retries, rejections) are counted always, made only while somebody wants them, and never kept.

mod bus;
mod counts;
mod event;
mod id;
mod subscription;
mod told;

#[cfg(test)]
mod tests;

pub(crate) use bus::Events;
pub(crate) use counts::EventCounts;
pub(crate) use event::Event;
pub(crate) use event::InvalidationCause;
pub(crate) use subscription::Item;
pub(crate) use subscription::Reset;
pub(crate) use subscription::Subscription;
