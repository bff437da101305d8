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
mod aggregate;
mod harness;
mod servers {
    pub(crate) mod postgres;
}
