//! aggd: a configuration-driven aggregation gateway. YAML in, one resilient answer out.
//!
//! Two lives meet here. **A request** comes in (`inbound`), goes through its stages (`request`), which call upstreams
//! (`outbound`), cut what they answer into shape (`shape`), and leave a record (`record`). **A configuration** is read
//! (`config`), compiled (`plan`), and put in force beside the state that outlives it (`live`), now and whenever a file
//! changes (`reload`). Both are made of `policy`, `diag` and `base`; `app` runs them; `cli` is what people type.
//!
//! `docs/architecture.md` says who may import whom, and why.

// The life of a request.
mod inbound;
mod request;
mod outbound;
mod shape;
mod record;
// The life of a configuration.
mod config;
mod plan;
mod live;
mod reload;
// What both are made of.
mod policy;
mod diag;
mod base;
// What runs it.
mod app;
pub mod cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
