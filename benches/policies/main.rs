//! What one decision of each policy costs: alone, and while other threads ask the same one. How to run and to read it:
//! `benches/README.md`.
//!
//! The policies are no public interface. What is measured are their own files, mounted here as modules of this program.

#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the mounted files are held to the lints where they are at home, and a benchmark that fails may panic"
)]

#[path = "../../src/base/mod.rs"]
mod base;
#[path = "../../src/policy/mod.rs"]
mod policy;

#[path = "../../src/record"]
mod record {
    //! The event bus, which circuits publish to.
    pub(crate) mod events;

    pub(crate) use crate::record::events::Event;
    pub(crate) use crate::record::events::Events;
}

#[path = "../../src/live"]
mod live {
    //! Policies as requests share them.
    pub(crate) mod adaptive;
    pub(crate) mod allowance;
    pub(crate) mod cache;
    pub(crate) mod circuit;
    pub(crate) mod fetched;
    pub(crate) mod gate;
    pub(crate) mod in_flight;
    pub(crate) mod quota;
    pub(crate) mod rate;
    pub(crate) mod throttle;
}

mod meter;
mod calls;
mod retries;
mod clients;
mod load;
mod bus;
mod kept;

use std::time::Duration;

use criterion::Criterion;

/// As the program itself has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    // Ninety figures in less than a minute; the ratios between them hold all the same.
    let mut criterion = Criterion::default()
        .sample_size(15)
        .warm_up_time(Duration::from_millis(80))
        .measurement_time(Duration::from_millis(250))
        .nresamples(2_000)
        .without_plots()
        .configure_from_args();
    meter::clock(&mut criterion);
    calls::all(&mut criterion);
    retries::all(&mut criterion);
    clients::all(&mut criterion);
    load::all(&mut criterion);
    bus::all(&mut criterion);
    kept::all(&mut criterion);
    criterion.final_summary();
}
