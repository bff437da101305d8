//! JSONPath (RFC 9535): compiled once when a configuration is loaded, evaluated against many documents.
//!
//! `parse` and `filter` read the text into `ast`; what is there is well-typed. `eval` walks a tree; `functions`,
//! `compare` and `regexp` are what filters need. Conformance: `conformance` and its tables.

use std::fmt;
use std::sync::Arc;

mod ast;
mod compare;
mod cursor;
mod eval;
mod filter;
mod functions;
mod literal;
mod parse;
mod regexp;

#[cfg(test)]
mod conformance;

use crate::shape::document::Node;
use crate::shape::path::ast::Query;
use crate::shape::path::ast::Segment;
use crate::shape::path::ast::Selector;
use crate::shape::path::cursor::Cursor;

pub(super) use crate::shape::path::eval::TooMuch;
pub(super) use crate::shape::path::eval::Work;

/// A compiled JSONPath. Copies share it.
#[derive(Clone)]
pub(crate) struct Path(Arc<Compiled>);

/// Why a text is no JSONPath.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct PathError {
    /// Byte offset into the text.
    pub(crate) at: usize,
    /// What is wrong and, where possible, what to write.
    pub(crate) message: String,
}

/// A step which reading the text can follow without a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// The member of this name.
    Name(Box<str>),
    /// The element at this place.
    Index(usize),
    /// Every element or member.
    Every,
}

struct Compiled {
    text: Box<str>,
    /// The whole path.
    query: Query,
    /// The path's beginning, as far as reading can follow it.
    steps: Vec<Step>,
}

impl Path {
    /// Compiles a path.
    pub(crate) fn compile(text: &str) -> Result<Self, PathError> {
        let query = parse::whole(&mut Cursor::new(text))?;
        let steps = followed(&query);
        Ok(Self(Arc::new(Compiled { text: text.into(), query, steps })))
    }

    /// Whether it can match one value at most, by its form: it is names and indexes alone.
    pub(crate) fn is_singular(&self) -> bool {
        self.0.query.singular
    }

    /// Which members of an object its first step may take; `None` where that is for the object to say.
    pub(crate) fn first_names(&self) -> Option<Vec<&str>> {
        let Segment::Child(selectors) = self.0.query.segments.first()? else { return None };
        let mut names = Vec::new();
        for selector in selectors {
            match selector {
                Selector::Name(name) => names.push(&**name),
                // An object has none.
                Selector::Index(_) | Selector::Slice(_) => {}
                Selector::Every | Selector::Filter(_) => return None,
            }
        }
        Some(names)
    }

    /// The path as it was written.
    pub(crate) fn text(&self) -> &str {
        &self.0.text
    }

    /// The path's beginning, as far as reading can follow it.
    pub(super) fn steps(&self) -> &[Step] {
        &self.0.steps
    }

    /// Whether the steps are all of it.
    pub(super) fn is_followed(&self) -> bool {
        self.rest().is_empty()
    }

    /// What the whole path matches in a document.
    pub(super) fn select<'v>(&'v self, root: &'v Node<'v>, work: &'v Work) -> Result<Vec<&'v Node<'v>>, TooMuch> {
        eval::select(&self.0.query.segments, root, work)
    }

    /// What is left of the path after its steps matches in the value they led to.
    pub(super) fn select_rest<'v>(&'v self, start: &'v Node<'v>, work: &'v Work) -> Result<Vec<&'v Node<'v>>, TooMuch> {
        eval::select(self.rest(), start, work)
    }

    fn rest(&self) -> &[Segment] {
        self.0.query.segments.get(self.0.steps.len()..).unwrap_or_default()
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Path").field(&self.text()).finish()
    }
}

/// The steps a query begins with. None for one whose filters look at the whole document: `$` must stay that.
fn followed(query: &Query) -> Vec<Step> {
    if query.asks_root() {
        return Vec::new();
    }
    query.segments.iter().map_while(step).collect()
}

fn step(segment: &Segment) -> Option<Step> {
    match segment.only()? {
        Selector::Name(name) => Some(Step::Name(name.clone())),
        Selector::Index(index) => usize::try_from(*index).ok().map(Step::Index),
        Selector::Every => Some(Step::Every),
        Selector::Slice(_) | Selector::Filter(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_singular_when_it_is_names_and_indexes_alone() {
        for text in ["$", "$.a", "$['a'][0]", "$.a[-1].b"] {
            assert!(Path::compile(text).unwrap().is_singular(), "{text}");
        }
        for text in ["$.*", "$[*]", "$[0:1]", "$['a','b']", "$..a", "$[?@.a]", "$[0,0]"] {
            assert!(!Path::compile(text).unwrap().is_singular(), "{text}");
        }
    }

    #[test]
    fn a_path_that_begins_with_names_says_which() {
        let first = |text: &str| Path::compile(text).unwrap().first_names().map(|names| names.join(","));
        assert_eq!(first("$.a.b").as_deref(), Some("a"));
        assert_eq!(first("$['a b','c'][0]").as_deref(), Some("a b,c"));
        assert_eq!(first("$[0]").as_deref(), Some(""));
        for open in ["$", "$.*", "$..a", "$[?@.a]", "$['a',*]"] {
            assert_eq!(first(open), None, "{open}");
        }
    }

    #[test]
    fn reading_follows_names_indexes_and_wildcards_up_to_what_it_cannot() {
        let cases = [
            ("$", 0, true),
            ("$.a[0].*['b']", 4, true),
            ("$.a[-1].b", 1, false),
            ("$.a..b", 1, false),
            ("$.a[0,1]", 1, false),
            ("$.a[?@.b > 1].c", 1, false),
            ("$.a[?@.b > $.limit].c", 0, false),
            ("$.a[?count($..x) > 1].c", 0, false),
            ("$.a[?@[?@.b == $.limit]].c", 0, false),
        ];
        for (text, steps, all) in cases {
            let path = Path::compile(text).unwrap();
            assert_eq!((path.steps().len(), path.is_followed()), (steps, all), "{text}");
        }
    }

    #[test]
    fn a_compiled_path_can_be_shared_between_threads() {
        fn shared<T: Send + Sync + 'static>(_: &T) {}
        shared(&Path::compile("$[?match(@.a, 'x')]").unwrap());
    }
}
