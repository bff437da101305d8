//! A YAML tree in which every value knows where it was written, and whether it came from `${…}`.

use crate::config::scalar::Typed;
use crate::config::vocabulary::Block;
use crate::config::vocabulary::Kind;

/// Where a value was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Which file, in reading order.
    pub(crate) file: usize,
    /// 1-based.
    pub(crate) line: usize,
    /// 1-based, in characters.
    pub(crate) column: usize,
    /// The line of the last character.
    pub(crate) end_line: usize,
    /// The column after the last character.
    pub(crate) end_column: usize,
}

impl Span {
    /// A file as a whole.
    pub(crate) fn of_file(file: usize) -> Self {
        Self { file, line: 0, column: 0, end_line: 0, end_column: 0 }
    }

    /// The part of it from this many characters on, so many wide; itself where it spans lines.
    pub(crate) fn inside(self, offset: usize, width: usize) -> Self {
        if self.end_line != self.line {
            return self;
        }
        let column = (self.column + offset).min(self.end_column.saturating_sub(1)).max(self.column);
        Self { column, end_column: (column + width).min(self.end_column).max(column + 1), ..self }
    }
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) span: Span,
}

/// A value.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One pair of a map. No key is twice in one map.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    /// Where the key stands.
    pub(crate) at: Span,
    pub(crate) value: Node,
}

/// A scalar, with `${…}` put in.
#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    /// The effective text.
    pub(crate) text: String,
    pub(crate) typed: Typed,
    /// The text as written, where it held a `${…}`: then `text` is never shown.
    pub(crate) written: Option<String>,
    /// How many characters stand before the text: 1 where it is quoted.
    pub(crate) lead: usize,
}

impl Scalar {
    /// Whether its text came from `${…}`.
    pub(crate) fn is_secret(&self) -> bool {
        self.written.is_some()
    }

    /// What a message calls it: its text, or the `${…}` that it came from.
    pub(crate) fn shown(&self) -> String {
        match &self.written {
            Some(written) => format!("the value of `{written}`"),
            None => format!("`{}`", self.text),
        }
    }
}

impl Node {
    /// A map without keys.
    pub(crate) fn empty(span: Span) -> Self {
        Self { value: Value::Map(Vec::new()), span }
    }

    /// The value under a key of a map; `None` where it is missing, null, or could not be expanded.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.value).filter(|node| !node.is_null() && !node.is_broken())
    }

    /// The pair of a key.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The pairs of a map; none of anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            Value::Scalar(_) | Value::List(_) => &[],
        }
    }

    /// The items of a list; none of anything else.
    pub(crate) fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            Value::Scalar(_) | Value::Map(_) => &[],
        }
    }

    /// The scalar, where it is one that could be expanded.
    pub(crate) fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) if scalar.typed != Typed::Broken => Some(scalar),
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The text of a scalar.
    pub(crate) fn text(&self) -> Option<&str> {
        self.scalar().map(|scalar| scalar.text.as_str())
    }

    /// Whether there is nothing.
    pub(crate) fn is_null(&self) -> bool {
        self.scalar().is_some_and(|scalar| scalar.typed == Typed::Null)
    }

    /// Whether a `${…}` in it could not be expanded; there is a finding already.
    pub(crate) fn is_broken(&self) -> bool {
        matches!(&self.value, Value::Scalar(Scalar { typed: Typed::Broken, .. }))
    }

    /// Whether it says `off`.
    pub(crate) fn is_off(&self) -> bool {
        self.text() == Some("off")
    }

    /// Whether it is a map.
    pub(crate) fn is_map(&self) -> bool {
        matches!(self.value, Value::Map(_))
    }

    /// `over` merged into this one: maps key by key, anything else replaces.
    ///
    /// A block left empty changes nothing; a key that may be null is set to null by null.
    pub(crate) fn merged(&self, over: &Self, block: &Block) -> Self {
        let (Value::Map(base), Value::Map(own)) = (&self.value, &over.value) else {
            return if over.is_null() && self.is_map() { self.clone() } else { over.clone() };
        };
        let mut entries = base.clone();
        for entry in own {
            let known = block.find(&entry.key);
            let Some(place) = entries.iter_mut().find(|e| e.key == entry.key) else {
                entries.push(entry.clone());
                continue;
            };
            place.value = match known.map(|key| (key.kind, key.nullable)) {
                Some((_, true)) if entry.value.is_null() => entry.value.clone(),
                Some((Kind::Block(inner) | Kind::WordOr(_, inner), _)) => place.value.merged(&entry.value, inner),
                Some(_) | None => entry.value.clone(),
            };
            place.at = entry.at;
        }
        Self { value: Value::Map(entries), span: over.span }
    }
}
