//! What `project` says, its paths compiled. Made by `config`, carried out by `project`.

use crate::shape::path::Path;

/// `project:`
#[derive(Debug, Clone)]
pub(crate) enum Projection {
    /// Not written: the document as it is.
    Whole,
    /// A path: its value or `null` where it is singular, else the array of its matches.
    Path(Path),
    /// An object with these fields, in the order written.
    Fields(Vec<(String, Field)>),
}

/// What one output field is.
#[derive(Debug, Clone)]
pub(crate) enum Field {
    /// What a path matches.
    Path {
        /// From the document, or within `each` from the match.
        path: Path,
        /// What stands for no match.
        missing: Missing,
        /// `as:`
        cast: Option<Cast>,
        /// `take:`
        take: Take,
    },
    /// An array: a projection of each match.
    Each {
        /// What is projected.
        path: Path,
        /// The first so many matches; `None`: all.
        limit: Option<usize>,
        /// `$` in it is the match.
        project: Box<Projection>,
    },
    /// A constant, as JSON text.
    Value(String),
    /// A nested object.
    Object(Vec<(String, Field)>),
}

/// What stands for no match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Missing {
    /// What the form of the field says: `null` for one value, `[]` for an array, `0` for a count.
    Null,
    /// `default:`, as JSON text. It is not converted.
    Default(String),
    /// `required: true`: nothing does, the projection fails.
    Required,
}

/// `as:`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cast {
    /// A string of the number or boolean as written.
    String,
    /// A number without fraction and exponent.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
}

/// `take:`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Take {
    /// Not written: the value of a singular path, all matches of another.
    ByPath,
    /// The first match.
    First,
    /// The last match.
    Last,
    /// How many matches.
    Count,
    /// An array of all matches.
    All,
}
