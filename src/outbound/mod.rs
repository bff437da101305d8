//! HTTP out: one capped exchange with an upstream, and what went wrong with it.
//!
//! Serves the attempt stage of a request. Nothing here retries, caches or times an attempt: dropping the future of
//! [`Client::exchange`] cancels it, and the attempt's timer is its caller's.
//!
//! Two transports stand behind the one edge. **Direct** is a thin hyper client for `http://` origins, about half the
//! cost of a call through reqwest. **Reqwest** does what needs more: TLS and proxies. What both must agree on is done
//! once, here, around them: the address guard, redirects, the cap, decompression, the classification of errors.
//! `aggd test` has a third in place of both, which opens no socket (`script`).

mod guard;
mod resolve;
mod connect;
mod client;
mod exchange;
mod redirect;
mod read;
mod decompress;
mod error;
mod retry_after;
mod script;

#[cfg(test)]
mod tests;

pub(crate) use client::Client;
pub(crate) use client::Clients;
pub(crate) use error::ClientError;
pub(crate) use exchange::Answer;
pub(crate) use exchange::Call;
pub(crate) use read::ReadLimits;
pub(crate) use retry_after::retry_after;
pub(crate) use script::Comes;
pub(crate) use script::Ending;
pub(crate) use script::Network;
pub(crate) use script::Scripted;

/// Installs the process's TLS provider. Called first thing in `main` and by tests that use TLS; calling it again does
/// nothing.
pub(crate) fn install_crypto() {
    // The error only says that a provider is installed already.
    drop(rustls::crypto::ring::default_provider().install_default());
}
