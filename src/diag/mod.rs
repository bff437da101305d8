//! Findings: what is wrong with a configuration, where, and what to write instead; as text, JSON and GitHub annotations.

mod finding;
mod render;
mod report;

pub(crate) use finding::Finding;
pub(crate) use finding::Place;
pub(crate) use finding::Severity;
pub(crate) use report::Report;
