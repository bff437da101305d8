//! The integration tests: the real binary over real sockets, with upstreams that do what they are told. Every test has
//! its own gateway, folder and ports, so that all can run at once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    reason = "a test that can't go on fails, and it lives in real time"
)]

mod acceptance;
mod adaptive;
mod access;
mod aggregate;
mod caching;
mod cancel;
mod classify;
mod cli;
mod control;
mod deadlines;
mod docs;
mod events;
mod examples;
mod fallbacks;
mod harness;
mod history;
mod hostile;
mod known_wrong;
mod limits;
mod rates;
mod quotas;
mod reloading;
mod retries;
mod security;
mod shedding;
mod strategies;
mod surface;
mod testing;
mod throttle;
mod upstream_says;
mod servers {
    pub(crate) mod postgres;
}
