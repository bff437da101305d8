//! A JSONPath as data. Only well-typed queries can be written down here.

use regex::Regex;

use crate::shape::number::Number;

/// `$…`, or in a filter `@…`.
#[derive(Debug)]
pub(super) struct Query {
    /// Whether it begins at `$`.
    pub(super) absolute: bool,
    /// In order.
    pub(super) segments: Vec<Segment>,
    /// Whether it can match one value at most: it is names and indexes alone.
    pub(super) singular: bool,
}

/// One step of a query from a list of values to the next.
#[derive(Debug)]
pub(super) enum Segment {
    /// `[…]` or `.name`
    Child(Vec<Selector>),
    /// `..[…]` or `..name`
    Descendant(Vec<Selector>),
}

/// What is taken of a value.
#[derive(Debug)]
pub(super) enum Selector {
    /// `'name'`
    Name(Box<str>),
    /// `*`
    Every,
    /// `3`, `-1`
    Index(i64),
    /// `1:10:2`
    Slice(Slice),
    /// `?…`
    Filter(Test),
}

/// `start:end:step`
#[derive(Debug, Clone, Copy)]
pub(super) struct Slice {
    pub(super) start: Option<i64>,
    pub(super) end: Option<i64>,
    /// 1 where it is not written; 0 selects nothing.
    pub(super) step: i64,
}

/// What a filter asks of a value.
#[derive(Debug)]
pub(super) enum Test {
    /// `… || …`
    Any(Vec<Test>),
    /// `… && …`
    All(Vec<Test>),
    /// `!…`
    Not(Box<Test>),
    /// The query matches something.
    Exists(Query),
    /// `… == …`
    Compare(Box<Comparison>),
    /// `match(…)` or `search(…)`
    Matches(Box<Matches>),
}

/// `left op right`
#[derive(Debug)]
pub(super) struct Comparison {
    pub(super) left: Operand,
    pub(super) order: Order,
    pub(super) right: Operand,
}

/// A comparison operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What gives one value or none.
#[derive(Debug)]
pub(super) enum Operand {
    Literal(Literal),
    /// A singular query.
    Singular(Query),
    /// `length(…)`
    Length(Box<Operand>),
    /// `count(…)`
    Count(Query),
    /// `value(…)`
    Only(Query),
}

/// A value written in a path.
#[derive(Debug)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
}

/// `match(subject, pattern)` or `search(…)`
#[derive(Debug)]
pub(super) struct Matches {
    pub(super) subject: Operand,
    pub(super) pattern: Pattern,
    /// `match`: the whole text; `search`: somewhere in it.
    pub(super) whole: bool,
}

/// The second argument of `match` and `search`.
#[derive(Debug)]
pub(super) enum Pattern {
    /// A literal; `None` where it is no regular expression, which then matches nothing.
    Fixed(Option<Regex>),
    /// Found in the document.
    Found(Operand),
}

impl Query {
    /// A query of these segments.
    pub(super) fn new(absolute: bool, segments: Vec<Segment>) -> Self {
        let single = |segment: &Segment| matches!(segment.only(), Some(Selector::Name(_) | Selector::Index(_)));
        let singular = segments.iter().all(single);
        Self { absolute, segments, singular }
    }

    /// Whether a filter in it asks for something that begins at `$`.
    pub(super) fn asks_root(&self) -> bool {
        self.segments.iter().flat_map(Segment::selectors).any(|selector| match selector {
            Selector::Filter(test) => test.asks_root(),
            Selector::Name(_) | Selector::Every | Selector::Index(_) | Selector::Slice(_) => false,
        })
    }

    fn reaches_root(&self) -> bool {
        self.absolute || self.asks_root()
    }
}

impl Segment {
    /// The selectors.
    pub(super) fn selectors(&self) -> &[Selector] {
        match self {
            Self::Child(selectors) | Self::Descendant(selectors) => selectors,
        }
    }

    /// The one selector of a child segment that has no other.
    pub(super) fn only(&self) -> Option<&Selector> {
        match self {
            Self::Child(selectors) => match selectors.as_slice() {
                [only] => Some(only),
                _ => None,
            },
            Self::Descendant(_) => None,
        }
    }
}

impl Test {
    fn asks_root(&self) -> bool {
        match self {
            Self::Any(tests) | Self::All(tests) => tests.iter().any(Self::asks_root),
            Self::Not(test) => test.asks_root(),
            Self::Exists(query) => query.reaches_root(),
            Self::Compare(comparison) => comparison.left.asks_root() || comparison.right.asks_root(),
            Self::Matches(matches) => {
                let in_pattern = match &matches.pattern {
                    Pattern::Fixed(_) => false,
                    Pattern::Found(operand) => operand.asks_root(),
                };
                in_pattern || matches.subject.asks_root()
            }
        }
    }
}

impl Operand {
    fn asks_root(&self) -> bool {
        match self {
            Self::Literal(_) => false,
            Self::Singular(query) | Self::Count(query) | Self::Only(query) => query.reaches_root(),
            Self::Length(operand) => operand.asks_root(),
        }
    }
}
