//! Text → settings: the first stage in the life of a configuration. Every mistake is a finding; none stops the rest.
//!
//! ```text
//! locate ─▶ files ─▶ documents ─────────────▶ check ──────▶ readers ─▶ relations ─▶ Spec
//! where     bytes    parse: trees with places  keys, kinds:  block by   between
//!                    interpolate: ${…}         vocabulary    block      documents
//! ```

mod call_spec;
mod check;
mod codes;
mod documents;
mod entrance;
mod environment;
mod exempt;
mod files;
mod findings;
mod interpolate;
mod load;
mod locate;
mod node;
mod parse;
mod quarantine;
mod readers;
mod relations;
mod render;
mod route_path;
mod scalar;
pub(crate) mod schema;
pub(crate) mod selftest;
mod similar;
pub(crate) mod spec;
mod syntax;
mod template;
mod torn;
mod values;
mod vocabulary;

pub(crate) use environment::Environment;
pub(crate) use files::Files;
pub(crate) use files::read;
pub(crate) use load::Loaded;
pub(crate) use load::load;
pub(crate) use locate::Location;
pub(crate) use locate::locate;
pub(crate) use quarantine::load_quarantined;
pub(crate) use values::parse_listen;

#[cfg(test)]
mod tests;
