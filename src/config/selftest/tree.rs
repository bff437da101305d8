//! JSON as tests compare it: numbers by value with their digits kept, objects in the order written, and of what is
//! expected each value's place.

use std::fmt;

use serde::Deserialize;
use serde::de::MapAccess;
use serde::de::Visitor;
use serde_json::value::RawValue;

use crate::config::node::Node;
use crate::config::node::Span;
use crate::config::node::Value;
use crate::config::readers::text_json;
use crate::config::scalar::Typed;

/// A JSON value.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    pub(crate) value: TreeValue,
    /// Where it is written; nowhere, for what came.
    pub(crate) span: Option<Span>,
}

/// What is in it.
#[derive(Clone, Debug)]
pub(crate) enum TreeValue {
    Leaf(Leaf),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

/// A value with nothing in it.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    /// As JSON.
    pub(crate) json: String,
    /// It came from `${…}` and is not shown.
    pub(crate) hidden: bool,
}

impl Tree {
    /// What is expected. What JSON cannot say (`.nan`) is null, which nothing that comes is compared with in vain.
    pub(crate) fn of(node: &Node) -> Self {
        let value = match &node.value {
            Value::Scalar(scalar) => {
                let json = match &scalar.typed {
                    Typed::Null | Typed::Broken => "null".to_owned(),
                    Typed::Bool(value) => value.to_string(),
                    Typed::Number(json) => json.clone(),
                    Typed::Text | Typed::NotFinite => text_json(&scalar.text),
                };
                TreeValue::Leaf(Leaf { json, hidden: scalar.is_secret() })
            }
            Value::List(items) => TreeValue::List(items.iter().map(Self::of).collect()),
            Value::Map(entries) => {
                TreeValue::Map(entries.iter().map(|entry| (entry.key.clone(), Self::of(&entry.value))).collect())
            }
        };
        Self { value, span: Some(node.span) }
    }

    /// What came; `None` where it is no JSON.
    pub(crate) fn parse(json: &str) -> Option<Self> {
        let raw: &RawValue = serde_json::from_str(json).ok()?;
        Self::of_raw(raw)
    }

    /// A text.
    pub(crate) fn text(text: &str) -> Self {
        Self { value: TreeValue::Leaf(Leaf { json: text_json(text), hidden: false }), span: None }
    }

    /// The member of an object.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        match &self.value {
            TreeValue::Map(members) => members.iter().rev().find(|(own, _)| own == name).map(|(_, value)| value),
            TreeValue::Leaf(_) | TreeValue::List(_) => None,
        }
    }

    /// The elements of an array.
    pub(crate) fn items(&self) -> &[Self] {
        match &self.value {
            TreeValue::List(items) => items,
            TreeValue::Leaf(_) | TreeValue::Map(_) => &[],
        }
    }

    /// The text of a string.
    pub(crate) fn as_text(&self) -> Option<String> {
        match &self.value {
            TreeValue::Leaf(leaf) => serde_json::from_str(&leaf.json).ok(),
            TreeValue::List(_) | TreeValue::Map(_) => None,
        }
    }

    fn of_raw(raw: &RawValue) -> Option<Self> {
        let json = raw.get();
        let value = match json.bytes().next()? {
            b'{' => {
                let Members(members) = serde_json::from_str(json).ok()?;
                let members = members.into_iter().map(|(name, value)| Some((name, Self::of_raw(&value)?)));
                TreeValue::Map(members.collect::<Option<_>>()?)
            }
            b'[' => {
                let items: Vec<&RawValue> = serde_json::from_str(json).ok()?;
                TreeValue::List(items.into_iter().map(Self::of_raw).collect::<Option<_>>()?)
            }
            _ => TreeValue::Leaf(Leaf { json: json.to_owned(), hidden: false }),
        };
        Some(Self { value, span: None })
    }
}

/// An object's members, in the order written.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

impl Leaf {
    /// Whether both are the same value, whatever way they are written: `1.10` and `1.1`, `"\u0041"` and `"A"`.
    pub(crate) fn is(&self, other: &Self) -> bool {
        let number = |text: &str| text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
        match (number(&self.json), number(&other.json)) {
            (true, true) => match (self.json.parse::<i128>(), other.json.parse::<i128>()) {
                (Ok(one), Ok(two)) => one == two,
                _ => self.json.parse::<f64>().ok() == other.json.parse::<f64>().ok(),
            },
            (false, false) => {
                let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
                read(&self.json) == read(&other.json)
            }
            (true, false) | (false, true) => false,
        }
    }

    /// As it may be shown.
    pub(crate) fn shown(&self) -> &str {
        if self.hidden { "\"***\"" } else { &self.json }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(json: &str) -> Leaf {
        Leaf { json: json.to_owned(), hidden: false }
    }

    #[test]
    fn values_are_the_same_whatever_way_they_are_written() {
        for (one, two) in [("1.10", "1.1"), ("1e2", "100"), ("-0", "0"), ("\"\\u0041\"", "\"A\""), ("null", "null")] {
            assert!(leaf(one).is(&leaf(two)), "{one} {two}");
        }
        for (one, two) in [("1", "\"1\""), ("null", "false"), ("12345678901234567890", "12345678901234567891")] {
            assert!(!leaf(one).is(&leaf(two)), "{one} {two}");
        }
    }

    #[test]
    fn what_came_keeps_its_digits_and_its_order() {
        let tree = Tree::parse(r#"{"b": 1.10, "a": [1, {"c": "x"}]}"#).unwrap();
        let TreeValue::Map(members) = &tree.value else { panic!("no object") };
        assert_eq!(members.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["b", "a"]);
        assert!(matches!(&tree.get("b").unwrap().value, TreeValue::Leaf(leaf) if leaf.json == "1.10"));
        assert_eq!(tree.get("a").unwrap().items()[1].get("c").unwrap().as_text().as_deref(), Some("x"));
        assert!(Tree::parse("{").is_none());
    }
}
