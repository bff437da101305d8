//! Pure JSON: what an upstream's body is turned into. Compiled JSONPath, projection, merge. Bytes in, bytes out.
//!
//! Stage: after `outbound` has read a body, before it is stored. A body is checked from its first byte to its last
//! (`reader`), whatever little of it is wanted. What the projection names is then copied as it is written: no number,
//! string or sub-document is converted on its way through, unless `as:` says so.
//!
//! ```text
//! body → format → text ─┬─ scan: one pass, a trie of the paths ─┐
//!                       └─ document: a tree, where a path       ├→ project → omit → bytes
//!                          needs one, of no more than it needs ─┘
//! ```
//!
//! Where an object has a name twice, the last one counts. A value that is passed on whole keeps both, as it keeps all
//! of its text, but for `omit`: what is taken out of such an object leaves no trace of the other.

mod apply;
mod cast;
mod document;
mod explain;
mod format;
mod merge;
mod number;
mod omit;
mod path;
mod project;
mod projection;
mod reader;
mod scan;
mod strings;

#[cfg(test)]
mod properties;

pub(crate) use apply::Shape;
pub(crate) use apply::ShapeError;
pub(crate) use format::Format;
pub(crate) use merge::merge;
pub(crate) use path::Path;
pub(crate) use projection::Cast;
pub(crate) use projection::Field;
pub(crate) use projection::Missing;
pub(crate) use projection::Projection;
pub(crate) use projection::Take;
