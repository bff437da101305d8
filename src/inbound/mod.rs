//! HTTP in. Translates, decides nothing: connections and requests on one side, stages and state on the other.

mod access;
mod answer;
mod circuits;
mod control;
mod events;
mod health;
mod listen;
mod members;
mod load;
mod respond;
mod scrape;
mod serve;
mod server;

pub(crate) use listen::ListenError;
pub(crate) use listen::Listener;
pub(crate) use serve::Plane;
pub(crate) use serve::serve;
pub(crate) use server::ReloadCall;
pub(crate) use server::Server;
