//! `test:` documents → what `aggd test` plays. Nothing of it is part of the running configuration: not of its digest, not
//! of what `/admin/config` shows, not of what is watched.
//!
//! | file | holds |
//! |---|---|
//! | `spec` | a test, read |
//! | `tree` | JSON that is expected, each value with its place |
//! | `read` | documents → tests |
//! | `given` | what stands in for the network |
//! | `request` | what is asked |
//! | `expect` | what must come of it |
//! | `names` | what a test may name: sources, routes, parts |

mod expect;
mod given;
mod names;
mod read;
mod request;
mod spec;
mod tree;

pub(crate) use read::tests;
pub(crate) use spec::Answer;
pub(crate) use spec::Body;
pub(crate) use spec::Expectation;
pub(crate) use spec::Expected;
pub(crate) use spec::Fault;
pub(crate) use spec::Given;
pub(crate) use spec::OfPart;
pub(crate) use spec::OfSent;
pub(crate) use spec::RequestSpec;
pub(crate) use spec::Step;
pub(crate) use spec::Subject;
pub(crate) use spec::TestSpec;
pub(crate) use tree::Tree;
pub(crate) use tree::TreeValue;
