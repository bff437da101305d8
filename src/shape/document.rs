//! A JSON document as a tree that borrows its text, for the paths which one pass over the text cannot answer.
//!
//! Where an object has a name twice, the last one counts and the others are not there, here as in `scan`.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::shape::number::Number;
use crate::shape::reader::Fault;
use crate::shape::reader::Reader;
use crate::shape::reader::Written;
use crate::shape::strings::decode;
use crate::shape::strings::decode_quoted;

/// A value and the text it was written as.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Node<'a> {
    /// The value as written.
    pub(super) raw: &'a str,
    /// What is in it.
    pub(super) inner: Inner<'a>,
    /// Whether no object in `raw` has a name twice, so that `raw` says just what the tree says.
    pub(super) faithful: bool,
}

/// What is in a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Inner<'a> {
    /// A string, number, `true`, `false` or `null`.
    Scalar,
    /// The elements.
    Array(Vec<Node<'a>>),
    /// The members in the order written.
    Object(Vec<(Written<'a>, Node<'a>)>),
}

/// What a value is, for comparing it.
#[derive(Debug)]
pub(super) enum Value<'v> {
    Null,
    Bool(bool),
    Number(Number),
    /// Decoded.
    String(Cow<'v, [u8]>),
    /// An array or object.
    Container(&'v Node<'v>),
}

impl<'a> Node<'a> {
    /// The tree of a whole text that nests no deeper than `room`.
    pub(super) fn parse(text: &'a str, room: usize) -> Result<Self, Fault> {
        let mut reader = Reader::new(text, room);
        let node = read(&mut reader)?;
        reader.end()?;
        Ok(node)
    }

    /// What the value is.
    pub(super) fn value(&self) -> Value<'_> {
        match &self.inner {
            Inner::Array(_) | Inner::Object(_) => Value::Container(self),
            Inner::Scalar => match self.raw.as_bytes().first() {
                Some(b'"') => Value::String(decode_quoted(self.raw)),
                Some(b't') => Value::Bool(true),
                Some(b'f') => Value::Bool(false),
                Some(b'n') | None => Value::Null,
                Some(_) => Number::parse(self.raw).map_or(Value::Null, Value::Number),
            },
        }
    }

    /// The values directly in it, in order.
    pub(super) fn children(&self) -> impl DoubleEndedIterator<Item = &Self> {
        let (elements, members): (&[Node<'a>], &[(Written<'a>, Node<'a>)]) = match &self.inner {
            Inner::Scalar => (&[], &[]),
            Inner::Array(elements) => (elements, &[]),
            Inner::Object(members) => (&[], members),
        };
        elements.iter().chain(members.iter().map(|(_, node)| node))
    }

    /// How many values are directly in it.
    pub(super) fn width(&self) -> usize {
        match &self.inner {
            Inner::Scalar => 0,
            Inner::Array(elements) => elements.len(),
            Inner::Object(members) => members.len(),
        }
    }

    /// The member of this name.
    pub(super) fn member(&self, name: &str) -> Option<&Self> {
        let Inner::Object(members) = &self.inner else { return None };
        members.iter().find(|(key, _)| key.means(name)).map(|(_, node)| node)
    }

    /// The element at an index, which counts from the end where it is negative.
    pub(super) fn element(&self, index: i64) -> Option<&Self> {
        let Inner::Array(elements) = &self.inner else { return None };
        let distance = usize::try_from(index.unsigned_abs()).ok()?;
        let place = if index < 0 { elements.len().checked_sub(distance)? } else { distance };
        elements.get(place)
    }

    /// Where it stands in memory. No two values of one tree begin at the same byte.
    pub(super) fn place(&self) -> usize {
        self.raw.as_ptr().addr()
    }
}

/// Whether a name stands in a list twice.
pub(super) fn repeats<'a, T>(items: &[T], name: impl Fn(&T) -> Written<'a>) -> bool {
    if items.len() <= 24 && items.iter().all(|item| !name(item).escaped) {
        let mut rest = items;
        while let Some((first, others)) = rest.split_first() {
            let first = name(first).raw;
            if others.iter().any(|other| name(other).raw == first) {
                return true;
            }
            rest = others;
        }
        return false;
    }
    let mut seen = HashSet::with_capacity(items.len());
    !items.iter().all(|item| seen.insert(decode(name(item))))
}

/// Recursion is no deeper than the reader has room.
fn read<'a>(reader: &mut Reader<'a>) -> Result<Node<'a>, Fault> {
    reader.blank();
    let from = reader.at();
    let (inner, faithful) = match reader.peek() {
        b'{' => object(reader)?,
        b'[' => array(reader)?,
        _ => {
            reader.scalar()?;
            (Inner::Scalar, true)
        }
    };
    Ok(Node { raw: reader.since(from), inner, faithful })
}

fn array<'a>(reader: &mut Reader<'a>) -> Result<(Inner<'a>, bool), Fault> {
    let mut elements = Vec::new();
    let mut faithful = true;
    reader.enter()?;
    reader.blank();
    if reader.peek() != b']' {
        loop {
            let element = read(reader)?;
            faithful &= element.faithful;
            elements.push(element);
            if !reader.more(b']')? {
                break;
            }
        }
    }
    reader.leave();
    Ok((Inner::Array(elements), faithful))
}

fn object<'a>(reader: &mut Reader<'a>) -> Result<(Inner<'a>, bool), Fault> {
    let mut members = Vec::new();
    let mut faithful = true;
    reader.enter()?;
    reader.blank();
    if reader.peek() != b'}' {
        loop {
            let name = reader.key()?;
            let value = read(reader)?;
            faithful &= value.faithful;
            members.push((name, value));
            if !reader.more(b'}')? {
                break;
            }
        }
    }
    reader.leave();
    let twice = repeats(&members, |(name, _)| *name);
    if twice {
        keep_last(&mut members);
    }
    Ok((Inner::Object(members), faithful && !twice))
}

fn keep_last(members: &mut Vec<(Written<'_>, Node<'_>)>) {
    let mut seen = HashSet::with_capacity(members.len());
    let mut kept = Vec::with_capacity(members.len());
    while let Some((name, node)) = members.pop() {
        if seen.insert(decode(name)) {
            kept.push((name, node));
        }
    }
    kept.reverse();
    *members = kept;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::reader::MAX_DEPTH;

    #[test]
    fn every_value_keeps_its_text() {
        let node = Node::parse(r#" { "a" : [ 1.10 , "\u00e9" ] } "#, MAX_DEPTH).unwrap();
        assert_eq!(node.raw, r#"{ "a" : [ 1.10 , "\u00e9" ] }"#);
        let list = node.member("a").unwrap();
        assert_eq!(list.raw, r#"[ 1.10 , "\u00e9" ]"#);
        let raws: Vec<_> = list.children().map(|child| child.raw).collect();
        assert_eq!(raws, ["1.10", r#""\u00e9""#]);
        assert!(node.faithful);
    }

    #[test]
    fn of_two_members_with_one_name_the_last_counts() {
        for filler in [0, 20] {
            let more: String = (0..filler).map(|n| format!(r#","k{n}":0"#)).collect();
            let text = format!(r#"{{"a":1,"b":2,"\u0061":3{more}}}"#);
            let node = Node::parse(&text, MAX_DEPTH).unwrap();
            assert_eq!(node.member("a").map(|node| node.raw), Some("3"), "{text}");
            assert_eq!(node.width(), 2 + filler, "{text}");
            assert!(!node.faithful, "{text}");
        }
    }

    #[test]
    fn an_index_may_count_from_the_end() {
        let node = Node::parse("[0,1,2]", MAX_DEPTH).unwrap();
        for (index, expected) in
            [(0, Some("0")), (2, Some("2")), (3, None), (-1, Some("2")), (-3, Some("0")), (-4, None)]
        {
            assert_eq!(node.element(index).map(|node| node.raw), expected, "{index}");
        }
        assert!(node.element(i64::MIN).is_none());
    }

    #[test]
    fn the_tree_and_the_reader_refuse_alike() {
        for text in ["", "[", "[1,]", "{\"a\":1,}", "[1 2]", "01", "{\"a\"}", "[1}", "\"\\x\"", "1 1", "{1:1}"] {
            let mut reader = Reader::new(text, MAX_DEPTH);
            let skipped = reader.skip().and_then(|()| reader.end());
            assert_eq!(Node::parse(text, MAX_DEPTH).err(), skipped.err(), "{text}");
        }
        assert!(Node::parse(&"[".repeat(100_000), MAX_DEPTH).is_err());
    }
}
