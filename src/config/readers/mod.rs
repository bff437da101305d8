//! Trees → settings, block by block.
//!
//! The vocabulary's check came first: values of the wrong kind are reported already, and a reader takes the default in
//! silence. What only shows where keys meet is reported here.

mod adaptive;
mod admission;
mod access;
mod auth;
mod body;
mod breaker;
mod cache;
mod events;
mod fallback;
mod limits;
mod params;
mod policies;
mod projection;
mod rate;
mod request;
mod retry;
mod rooted;
mod route;
mod server;
mod shedding;
mod source;
mod strategy;
mod url;

pub(crate) use policies::policies;
pub(crate) use request::header_key;
pub(crate) use route::route;
pub(crate) use server::server;
pub(crate) use source::OF_A_CALL;
pub(crate) use source::source;

use std::time::Duration;

use crate::base::ByteSize;
use crate::config::codes;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::problem;
use crate::config::node::Node;
use crate::config::node::Span;
use crate::config::node::Value;
use crate::config::scalar::Typed;
use crate::config::values;
use crate::policy::gcra::Rate;

/// Values of a map by key; `None` where there is none, or none of that kind.
impl Node {
    pub(crate) fn duration(&self, key: &str) -> Option<Duration> {
        values::duration(self.get(key)?.scalar()?, true).ok()
    }

    fn size(&self, key: &str) -> Option<ByteSize> {
        values::size(self.get(key)?.scalar()?).ok()
    }

    fn ratio(&self, key: &str) -> Option<f64> {
        values::ratio(self.get(key)?.scalar()?).ok()
    }

    fn rate(&self, key: &str) -> Option<Rate> {
        values::rate(self.get(key)?.scalar()?).ok()
    }

    fn whole(&self, key: &str) -> Option<u64> {
        values::whole(self.get(key)?.scalar()?, 0, u64::MAX).ok()
    }

    pub(crate) fn count(&self, key: &str) -> Option<u32> {
        u32::try_from(self.whole(key)?).ok()
    }

    fn number(&self, key: &str) -> Option<f64> {
        values::number(self.get(key)?.scalar()?, f64::NEG_INFINITY).ok()
    }

    pub(crate) fn switch(&self, key: &str) -> Option<bool> {
        values::switch(self.get(key)?.scalar()?).ok()
    }

    pub(crate) fn word(&self, key: &str) -> Option<&str> {
        self.get(key)?.text()
    }

    fn is_switched_off(&self, key: &str) -> bool {
        self.get(key).is_some_and(Node::is_off)
    }

    /// Where to point at for a key; at the whole where it is not written.
    fn spot_of(&self, key: &str) -> Span {
        self.entry(key).map_or(self.span, |entry| entry.value.span)
    }

    /// The items of a list, or the one value that stands for a list of one.
    pub(crate) fn one_or_many(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            Value::Scalar(_) | Value::Map(_) => std::slice::from_ref(self),
        }
    }
}

/// A tree as JSON text, in the order written; numbers with the digits written. Records what JSON cannot say.
pub(crate) fn json(node: &Node, at: &At<'_>, findings: &mut Findings) -> String {
    match &node.value {
        Value::Scalar(scalar) => match &scalar.typed {
            Typed::Null | Typed::Broken => "null".to_owned(),
            Typed::Bool(value) => value.to_string(),
            Typed::Number(json) => json.clone(),
            Typed::Text => text_json(&scalar.text),
            Typed::NotFinite => {
                let message = format!("JSON has no number {}", scalar.shown());
                findings.error(at, node.span, problem(codes::NOT_JSON, message).help("quote it, to send it as a text"));
                "null".to_owned()
            }
        },
        Value::List(items) => {
            let items: Vec<_> =
                items.iter().enumerate().map(|(index, item)| json(item, &at.item(index), findings)).collect();
            format!("[{}]", items.join(","))
        }
        Value::Map(entries) => {
            let mut pairs = Vec::new();
            for entry in entries {
                let value = json(&entry.value, &at.key(&entry.key), findings);
                pairs.push(format!("{}:{value}", text_json(&entry.key)));
            }
            format!("{{{}}}", pairs.join(","))
        }
    }
}

/// A JSON string.
pub(crate) fn text_json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
