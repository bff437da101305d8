//! What the tests are made with: scripted upstreams, the real binary in a folder of its own, and small helpers.

mod client;
mod command;
mod gateway;
mod listen;
mod script;
mod setup;
mod tls;
mod upstream;
mod wait;

pub(crate) use client::Reply;
pub(crate) use command::aggd;
pub(crate) use gateway::Gateway;
pub(crate) use listen::Listening;
pub(crate) use listen::Sse;
pub(crate) use script::Script;
pub(crate) use setup::Setup;
pub(crate) use setup::abc;
pub(crate) use setup::source;
pub(crate) use tls::CA;
pub(crate) use tls::speaking_tls;
pub(crate) use upstream::Upstream;
pub(crate) use upstream::refusing;
pub(crate) use upstream::speaking_no_tls;
pub(crate) use upstream::unanswering;
pub(crate) use wait::eventually;
pub(crate) use wait::names;
