//! Evaluates a query over a tree, exactly as RFC 9535 words it, in document order.
//!
//! Recursion follows the path's own nesting, which `cursor` bounds, never the document's. What a document can make
//! expensive (`$..[?$..a == @..b]` is quadratic) is counted and refused past a bound, for nothing can interrupt it.

use std::cell::Cell;
use std::cell::RefCell;

use regex::Regex;

use crate::shape::document::Inner;
use crate::shape::document::Node;
use crate::shape::document::Value;
use crate::shape::number::Number;
use crate::shape::path::ast::Literal;
use crate::shape::path::ast::Operand;
use crate::shape::path::ast::Pattern;
use crate::shape::path::ast::Query;
use crate::shape::path::ast::Segment;
use crate::shape::path::ast::Selector;
use crate::shape::path::ast::Slice;
use crate::shape::path::ast::Test;
use crate::shape::path::compare;
use crate::shape::path::functions;
use crate::shape::path::regexp;
use crate::shape::path::regexp::Bound;

/// Values visited in one projection: a second or two. A path over each value of a 5 MB document needs some millions.
const MAX_STEPS: usize = 50_000_000;

/// How many values a step of a path may lead to: 80 MB of memory. A 5 MB document holds 2.5 million at most.
const MAX_MATCHES: usize = 10_000_000;

/// What compiling a pattern found in a document costs, in steps.
const PATTERN_STEPS: usize = 20_000;

/// How many of those are kept.
const KEPT_PATTERNS: usize = 16;

/// The document makes the paths too expensive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is too expensive on this document")]
pub(in crate::shape) struct TooMuch;

/// What one projection may still spend, and what it found out that is worth keeping.
#[derive(Debug)]
pub(in crate::shape) struct Work {
    left: Cell<usize>,
    patterns: RefCell<Vec<(String, bool, Option<Regex>)>>,
}

/// What a query is evaluated in.
pub(super) struct Scope<'v> {
    /// `$`
    root: &'v Node<'v>,
    pub(super) work: &'v Work,
}

/// What the segments match, beginning at `root`.
pub(super) fn select<'v>(
    segments: &'v [Segment],
    root: &'v Node<'v>,
    work: &'v Work,
) -> Result<Vec<&'v Node<'v>>, TooMuch> {
    Scope { root, work }.follow(segments, root)
}

impl Work {
    /// All of it still to do.
    pub(in crate::shape) fn new() -> Self {
        Self::limited(MAX_STEPS)
    }

    /// This many steps.
    fn limited(steps: usize) -> Self {
        Self { left: Cell::new(steps), patterns: RefCell::default() }
    }

    /// Counts some steps and one.
    pub(super) fn spend(&self, steps: usize) -> Result<(), TooMuch> {
        self.left.set(self.left.get().checked_sub(steps.saturating_add(1)).ok_or(TooMuch)?);
        Ok(())
    }

    /// Tells `ask` the compiled pattern.
    pub(super) fn with_pattern(
        &self,
        pattern: &str,
        whole: bool,
        ask: impl FnOnce(Option<&Regex>) -> bool,
    ) -> Result<bool, TooMuch> {
        let mut kept = self.patterns.borrow_mut();
        if let Some((_, _, regex)) = kept.iter().find(|(text, kind, _)| *kind == whole && text == pattern) {
            return Ok(ask(regex.as_ref()));
        }
        self.spend(PATTERN_STEPS)?;
        let regex = regexp::compile(pattern, whole, Bound::Found);
        let answer = ask(regex.as_ref());
        if kept.len() == KEPT_PATTERNS {
            kept.remove(0);
        }
        kept.push((pattern.to_owned(), whole, regex));
        Ok(answer)
    }
}

impl<'v> Scope<'v> {
    fn follow(&self, segments: &'v [Segment], start: &'v Node<'v>) -> Result<Vec<&'v Node<'v>>, TooMuch> {
        let mut here = vec![start];
        for segment in segments {
            let mut next = Vec::new();
            for node in here {
                match segment {
                    Segment::Child(selectors) => self.choose(selectors, node, &mut next)?,
                    Segment::Descendant(selectors) => self.descend(selectors, node, &mut next)?,
                }
            }
            here = next;
        }
        Ok(here)
    }

    /// The value and all below it, each before what is in it.
    fn descend(
        &self,
        selectors: &'v [Selector],
        start: &'v Node<'v>,
        out: &mut Vec<&'v Node<'v>>,
    ) -> Result<(), TooMuch> {
        let mut open = vec![start];
        while let Some(node) = open.pop() {
            self.choose(selectors, node, out)?;
            open.extend(node.children().rev());
        }
        Ok(())
    }

    fn choose(
        &self,
        selectors: &'v [Selector],
        node: &'v Node<'v>,
        out: &mut Vec<&'v Node<'v>>,
    ) -> Result<(), TooMuch> {
        for selector in selectors {
            match selector {
                Selector::Name(name) => {
                    self.work.spend(node.width() / 8)?;
                    out.extend(node.member(name));
                }
                Selector::Index(index) => {
                    self.work.spend(0)?;
                    out.extend(node.element(*index));
                }
                Selector::Every => {
                    self.work.spend(node.width())?;
                    out.extend(node.children());
                }
                Selector::Slice(slice) => {
                    self.work.spend(node.width())?;
                    sliced(*slice, node, out);
                }
                Selector::Filter(test) => {
                    self.work.spend(node.width())?;
                    for child in node.children() {
                        if self.holds(test, child)? {
                            out.push(child);
                        }
                    }
                }
            }
        }
        if out.len() > MAX_MATCHES { Err(TooMuch) } else { Ok(()) }
    }

    fn holds(&self, test: &'v Test, node: &'v Node<'v>) -> Result<bool, TooMuch> {
        match test {
            Test::Any(tests) => self.first(tests, true, node),
            Test::All(tests) => self.first(tests, false, node).map(|failed| !failed),
            Test::Not(test) => self.holds(test, node).map(|held| !held),
            Test::Exists(query) if query.singular => Ok(self.single(query, node)?.is_some()),
            Test::Exists(query) => Ok(!self.query(query, node)?.is_empty()),
            Test::Compare(comparison) => {
                let left = self.value(&comparison.left, node)?;
                let right = self.value(&comparison.right, node)?;
                if let (Some(Value::Container(left)), Some(Value::Container(right))) = (&left, &right) {
                    self.work.spend(left.raw.len().min(right.raw.len()))?;
                }
                Ok(compare::holds(comparison.order, left.as_ref(), right.as_ref()))
            }
            Test::Matches(matches) => {
                let subject = self.value(&matches.subject, node)?;
                let found = match &matches.pattern {
                    Pattern::Fixed(_) => None,
                    Pattern::Found(operand) => self.value(operand, node)?,
                };
                functions::matches(self, subject, &matches.pattern, found, matches.whole)
            }
        }
    }

    /// Whether one of the tests ends as `wanted`.
    fn first(&self, tests: &'v [Test], wanted: bool, node: &'v Node<'v>) -> Result<bool, TooMuch> {
        for test in tests {
            if self.holds(test, node)? == wanted {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn query(&self, query: &'v Query, node: &'v Node<'v>) -> Result<Vec<&'v Node<'v>>, TooMuch> {
        self.follow(&query.segments, if query.absolute { self.root } else { node })
    }

    fn value(&self, operand: &'v Operand, node: &'v Node<'v>) -> Result<Option<Value<'v>>, TooMuch> {
        Ok(match operand {
            Operand::Literal(literal) => Some(written(literal)),
            Operand::Singular(query) => self.single(query, node)?.map(Node::value),
            Operand::Length(operand) => {
                self.value(operand, node)?.as_ref().and_then(functions::length).map(Value::Number)
            }
            Operand::Count(query) => Some(Value::Number(Number::count(self.query(query, node)?.len()))),
            Operand::Only(query) => match self.query(query, node)?.as_slice() {
                [only] => Some(only.value()),
                _ => None,
            },
        })
    }

    /// A singular query, without lists.
    fn single(&self, query: &'v Query, node: &'v Node<'v>) -> Result<Option<&'v Node<'v>>, TooMuch> {
        let mut here = if query.absolute { self.root } else { node };
        for segment in &query.segments {
            self.work.spend(here.width() / 8)?;
            let next = match segment.only() {
                Some(Selector::Name(name)) => here.member(name),
                Some(Selector::Index(index)) => here.element(*index),
                Some(Selector::Every | Selector::Slice(_) | Selector::Filter(_)) | None => None,
            };
            let Some(next) = next else { return Ok(None) };
            here = next;
        }
        Ok(Some(here))
    }
}

fn written(literal: &Literal) -> Value<'_> {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(value) => Value::Bool(*value),
        Literal::Number(number) => Value::Number(*number),
        Literal::String(text) => Value::String(text.as_bytes().into()),
    }
}

/// RFC 9535 §2.3.4.2.2.
fn sliced<'v>(slice: Slice, node: &'v Node<'v>, out: &mut Vec<&'v Node<'v>>) {
    let Inner::Array(elements) = &node.inner else { return };
    let len = i64::try_from(elements.len()).unwrap_or(i64::MAX);
    let from_start = |bound: i64| if bound < 0 { len.saturating_add(bound) } else { bound };
    let forward = slice.step > 0;
    let (least, most) = if forward { (0, len) } else { (-1, len - 1) };
    let bound = |written: Option<i64>, default: i64| written.map_or(default, from_start).clamp(least, most.max(least));
    let (mut at, end) = if forward {
        (bound(slice.start, 0), bound(slice.end, len))
    } else {
        (bound(slice.start, len - 1), bound(slice.end, -1))
    };
    while slice.step != 0 && if forward { at < end } else { at > end } {
        out.extend(usize::try_from(at).ok().and_then(|at| elements.get(at)));
        at = at.saturating_add(slice.step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::path::Path;
    use crate::shape::reader::MAX_DEPTH;

    fn costs_too_much(selector: &str, document: &str, steps: usize) -> bool {
        let path = Path::compile(selector).unwrap();
        let root = Node::parse(document, MAX_DEPTH).unwrap();
        path.select(&root, &Work::limited(steps)).is_err()
    }

    #[test]
    fn what_a_document_makes_quadratic_is_refused() {
        let document = format!("[{}]", vec!["[0]"; 1_000].join(","));
        assert!(costs_too_much("$[?count($..*) == 1]", &document, 1_000_000));
        assert!(!costs_too_much("$[?count($..*) == 1]", &document, 10_000_000));
        assert!(!costs_too_much("$..[0]", &document, 10_000), "what is linear is cheap");
    }

    #[test]
    fn comparing_whole_documents_costs_by_their_size() {
        let document = format!("[{}]", vec!["[0,1,2,3,4,5,6,7,8,9]"; 100].join(","));
        assert!(costs_too_much("$[?@ == $]", &document, 1_000));
        assert!(!costs_too_much("$[?@ == 1]", &document, 1_000));
    }

    #[test]
    fn a_list_of_matches_cannot_grow_without_bound() {
        let document = format!("{}{}", "[".repeat(128), "]".repeat(128));
        let path = Path::compile(&format!("$..*{}", "..*".repeat(5))).unwrap();
        let root = Node::parse(&document, MAX_DEPTH).unwrap();
        assert_eq!(path.select(&root, &Work::new()), Err(TooMuch));
    }

    #[test]
    fn patterns_found_in_a_document_are_compiled_once_each_and_not_without_bound() {
        let same = format!("[{}]", vec![r#"{"a":"x","re":"x"}"#; 100].join(","));
        assert!(!costs_too_much("$[?match(@.a, @.re)]", &same, 30_000));
        let many: Vec<String> = (0..100).map(|n| format!(r#"{{"a":"x","re":"x{n}"}}"#)).collect();
        assert!(costs_too_much("$[?match(@.a, @.re)]", &format!("[{}]", many.join(",")), 30_000));
    }
}
