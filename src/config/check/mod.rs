//! Holds a tree against the vocabulary: keys that exist, values of the right kind.
//!
//! What is reported here, readers pass over in silence and take the default.

mod unknown;

use std::path::Path;

use crate::config::codes;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::Problem;
use crate::config::findings::problem;
use crate::config::node::Node;
use crate::config::node::Scalar;
use crate::config::node::Value;
use crate::config::scalar::Typed;
use crate::config::values;
use crate::config::vocabulary::Block;
use crate::config::vocabulary::Key;
use crate::config::vocabulary::Kind;

/// A check of one document.
pub(crate) struct Check<'a> {
    /// The block of the whole document: where misplaced keys are looked for.
    pub(crate) root: &'static Block,
    pub(crate) findings: &'a mut Findings,
}

impl Check<'_> {
    /// Checks a map against its block.
    pub(crate) fn block(&mut self, node: &Node, block: &'static Block, at: &At<'_>) {
        for entry in node.entries() {
            let here = at.key(&entry.key);
            match block.find(&entry.key) {
                Some(key) => self.keyed(&entry.value, key, &here),
                None => {
                    let problem = unknown::unknown(entry, block, self.root);
                    self.findings.error(&here, entry.at, problem);
                }
            }
        }
        for key in block.all().filter(|key| key.required && node.entry(key.name).is_none()) {
            let span = node.entries().first().map_or(node.span, |entry| entry.at);
            let missing = problem(codes::MISSING_KEY, format!("`{}` is missing here", key.name));
            self.findings.error(&at.key(key.name), span, missing.help(format!("add {}", sample(key))));
        }
    }

    fn keyed(&mut self, node: &Node, key: &'static Key, at: &At<'_>) {
        let off = node.is_off();
        if node.is_broken() || (off && key.off) || (node.is_null() && key.nullable) {
            return;
        }
        let says = |word: &str| node.text() == Some(word);
        let says = |words: &[&str]| words.iter().any(|word| says(word));
        let off_or_on = key.off && !matches!(key.kind, Kind::Switch);
        let problem = if off_or_on && says(&["false", "none", "no", "disabled", "False", "No", "Off", "OFF"]) {
            let help = format!("write `{}: off`", key.name);
            problem(codes::WRONG_TYPE, format!("`{}` is switched off with `off`", key.name)).help(help)
        } else if off_or_on && key.kind.block().is_some() && says(&["true", "on", "yes", "enabled", "True"]) {
            let help = match key.default {
                "off" | "" => format!("write `{}: {{}}` to have it with its defaults", key.name),
                _ => "remove it: it is on by default".to_owned(),
            };
            problem(codes::WRONG_TYPE, format!("`{}` takes a map of keys or `off`", key.name)).help(help)
        } else if off && key.kind.refuses_off() {
            let help = match key.default {
                "" => "remove the key".to_owned(),
                "{}" | "[]" => "remove the key, or write those of its keys that are to change".to_owned(),
                default => format!("write a value, or remove the key for its default `{default}`"),
            };
            problem(codes::WRONG_TYPE, format!("`{}` cannot be switched off", key.name)).help(help)
        } else if node.is_null() && !matches!(key.kind, Kind::Block(_) | Kind::Tree | Kind::Map(_)) {
            let remove = if key.required { "" } else { ", or remove the key" };
            no_value(node, &format!("write {}{remove}", sample(key)))
        } else {
            return self.value(node, &key.kind, at);
        };
        self.findings.error(at, node.span, problem);
    }

    fn value(&mut self, node: &Node, kind: &'static Kind, at: &At<'_>) {
        if node.is_broken() {
            return;
        }
        match (kind, &node.value) {
            (Kind::Tree | Kind::Projection, _) => {}
            (Kind::Block(block), Value::Map(_)) => self.block(node, block, at),
            (Kind::Block(block), _) if node.is_null() => self.block(node, block, at),
            (Kind::WordOr(_, block), Value::Map(_)) => self.block(node, block, at),
            (Kind::Map(inner), Value::Map(entries)) => {
                for entry in entries {
                    self.value(&entry.value, inner, &at.key(&entry.key));
                }
            }
            (Kind::Map(_), _) if node.is_null() => {}
            (Kind::List(inner), Value::List(items)) => self.items(items, inner, at),
            (Kind::ListOrMap(inner, _), Value::List(items)) => self.items(items, inner, at),
            (Kind::ListOrMap(_, inner), Value::Map(entries)) => {
                for entry in entries {
                    self.value(&entry.value, inner, &at.key(&entry.key));
                }
            }
            (Kind::OneOrMany(inner), Value::List(items)) => self.items(items, inner, at),
            (Kind::OneOrMany(inner), _) => self.value(node, inner, at),
            (Kind::Answers(block), _) => self.answers(node, block, at),
            (Kind::Block(_) | Kind::Map(_) | Kind::List(_) | Kind::ListOrMap(..), _) => {
                self.findings.error(at, node.span, wrong_type(node, kind, at));
            }
            (_, Value::Scalar(scalar)) => {
                if let Err(problem) = scalar_of_kind(scalar, kind) {
                    self.findings.error(at, node.span, problem);
                }
            }
            (_, Value::List(_) | Value::Map(_)) => {
                self.findings.error(at, node.span, wrong_type(node, kind, at));
            }
        }
    }

    /// One or many of a block, or a map of those by name.
    fn answers(&mut self, node: &Node, block: &'static Block, at: &At<'_>) {
        let mut one_or_many = |node: &Node, at: &At<'_>| match &node.value {
            Value::Map(_) => self.block(node, block, at),
            Value::List(items) if !items.is_empty() => {
                for (index, item) in items.iter().enumerate() {
                    let at = at.item(index);
                    if item.is_map() {
                        self.block(item, block, &at);
                    } else if !item.is_broken() {
                        self.findings.error(&at, item.span, wrong_type(item, &Kind::Map(&Kind::Tree), &at));
                    }
                }
            }
            Value::List(_) | Value::Scalar(_) if node.is_broken() => {}
            Value::List(_) | Value::Scalar(_) => {
                let wrong = problem(codes::WRONG_TYPE, format!("{} takes an answer or a list of them", at.subject()));
                self.findings.error(
                    at,
                    node.span,
                    wrong.help("write `{ status: 503 }`, or `[{ status: 503 }, { json: {} }]`"),
                );
            }
        };
        if is_by_name(node, block) {
            for entry in node.entries() {
                one_or_many(&entry.value, &at.key(&entry.key));
            }
        } else {
            one_or_many(node, at);
        }
    }

    fn items(&mut self, items: &[Node], inner: &'static Kind, at: &At<'_>) {
        for (index, item) in items.iter().enumerate() {
            self.value(item, inner, &at.item(index));
        }
    }
}

/// Whether a map is one of blocks by name, and not the block itself.
pub(crate) fn is_by_name(node: &Node, block: &'static Block) -> bool {
    node.entries().iter().any(|entry| block.find(&entry.key).is_none() && entry.value.scalar().is_none())
}

impl Kind {
    /// Whether `off` would be read as a strange value of it; texts and words tell for themselves.
    fn refuses_off(self) -> bool {
        !matches!(
            self,
            Self::Text
                | Self::Tree
                | Self::Scalar
                | Self::Level
                | Self::Switch
                | Self::OneOf(_)
                | Self::WordOr(..)
                | Self::Url
        )
    }
}

/// Whether a scalar is of a kind; what is only right in context is left to its reader.
fn scalar_of_kind(scalar: &Scalar, kind: &Kind) -> Result<(), Problem> {
    if scalar.typed == Typed::Null || scalar.text.is_empty() {
        if matches!(kind, Kind::Scalar) && scalar.typed != Typed::Null {
            return Ok(());
        }
        return Err(empty(scalar).help("write a value, or remove it"));
    }
    match kind {
        Kind::Name => values::name(scalar).map(drop),
        Kind::Duration { zero } => values::duration(scalar, *zero).map(drop),
        Kind::Size => values::size(scalar).map(drop),
        Kind::Ratio => values::ratio(scalar).map(drop),
        Kind::RatioOr(word) if scalar.text == *word => Ok(()),
        Kind::RatioOr(word) => values::ratio(scalar).map(drop).map_err(|mut problem| {
            problem.help = problem.help.map(|help| format!("{help}, or `{word}`"));
            problem
        }),
        Kind::Rate => values::rate(scalar).map(drop),
        Kind::Whole { min, max } => values::whole(scalar, *min, *max).map(drop),
        Kind::Number { min } => values::number(scalar, *min).map(drop),
        Kind::Switch => values::switch(scalar).map(drop),
        Kind::OneOf(words) | Kind::WordOr(words, _) => values::one_of(scalar, words).map(drop),
        Kind::DurationOrPercentile => values::delay(scalar).map(drop),
        Kind::Listen => values::listen(scalar).map(drop),
        Kind::Database => values::database(scalar, Path::new("")).map(drop),
        Kind::Proxy => values::proxy(scalar).map(drop),
        Kind::Network => values::network(scalar).map(drop),
        Kind::LimitKey => values::limit_key(scalar).map(drop),
        Kind::Level => values::level(scalar).map(drop),
        Kind::HeaderName => values::header_name(scalar).map(drop),
        Kind::Selector => values::selector(scalar).map(drop),
        Kind::Failure => values::failure(scalar).map(drop),
        Kind::Text | Kind::Scalar | Kind::Url | Kind::RoutePath | Kind::JsonPath | Kind::Pattern => Ok(()),
        Kind::Tree
        | Kind::Projection
        | Kind::Block(_)
        | Kind::Map(_)
        | Kind::List(_)
        | Kind::ListOrMap(..)
        | Kind::OneOrMany(_)
        | Kind::Answers(_) => Ok(()),
    }
}

fn empty(scalar: &Scalar) -> Problem {
    let message =
        if scalar.is_secret() { format!("{} is empty", scalar.shown()) } else { "there is no value".to_owned() };
    problem(codes::NO_VALUE, message)
}

fn no_value(node: &Node, help: &str) -> Problem {
    node.scalar().map_or_else(|| problem(codes::NO_VALUE, "there is no value"), empty).help(help)
}

/// Another shape than the kind has.
#[expect(clippy::wildcard_enum_match_arm, reason = "a new kind is one value, unless something else is said of it")]
fn wrong_type(node: &Node, kind: &Kind, at: &At<'_>) -> Problem {
    let wanted = match kind {
        Kind::Block(_) | Kind::Map(_) => "a map of keys",
        Kind::List(_) => "a list",
        Kind::ListOrMap(..) => "a list or a map",
        Kind::Duration { .. } => "a duration such as `5s`",
        Kind::Size => "a size such as `1MiB`",
        Kind::Ratio | Kind::RatioOr(_) => "a ratio such as `50%`",
        Kind::Rate => "a rate such as `10/second`",
        Kind::Whole { .. } | Kind::Number { .. } => "a number",
        Kind::Switch => "`true` or `false`",
        _ => "one value",
    };
    let mut wrong = problem(codes::WRONG_TYPE, format!("{} takes {wanted}, not {}", at.subject(), described(node)));
    wrong.help = wrong_type_help(node, kind, at.last());
    wrong
}

fn wrong_type_help(node: &Node, kind: &Kind, key: &str) -> Option<String> {
    if let [only] = node.entries()
        && only.value.is_null()
    {
        return Some(format!("quote a placeholder: \"{{{}}}\"", only.key));
    }
    let text = node.scalar().filter(|scalar| !scalar.is_secret()).map(|scalar| scalar.text.as_str());
    match (kind, text) {
        (Kind::List(_) | Kind::ListOrMap(..), Some(text)) => Some(format!("write `{key}: [{text}]`")),
        (Kind::List(Kind::Block(_)), None) if node.is_map() => Some("begin the item with `- `".to_owned()),
        (Kind::Block(_) | Kind::Map(_), None) if node.items().iter().any(Node::is_map) => {
            Some("remove the `- `: this is one map, not a list of maps".to_owned())
        }
        (Kind::Block(block), _) => {
            if let Some(inner) = node.scalar().filter(|_| text.is_some()).and_then(|scalar| taker(block, scalar)) {
                return Some(format!("write `{key}: {{ {inner}: {} }}`", text.unwrap_or_default()));
            }
            let names: Vec<_> = block.all().map(|key| key.name).collect();
            match block.all().next() {
                Some(first) if names.len() > MANY_KEYS => {
                    Some(format!("write its keys under it, such as {}", sample(first)))
                }
                _ => Some(format!("its keys are {}", values::listed(&names).replace(" or ", " and "))),
            }
        }
        (Kind::Map(_), _) => Some("write a pair per line: `name: value`".to_owned()),
        (Kind::Duration { .. }, _) => Some(format!("write `{key}: 5s`")),
        (Kind::Name, _) => Some(format!("write `{key}: NAME`")),
        (Kind::RoutePath, _) => Some(format!("write `{key}: /path`")),
        (Kind::Url, _) => Some(format!("write `{key}: https://…`")),
        _ => Some(format!("write `{key}: …` with one value")),
    }
}

/// More keys than a line of help should list.
const MANY_KEYS: usize = 12;

/// The first key of a block that a quantity could be meant for.
fn taker(block: &'static Block, scalar: &Scalar) -> Option<&'static str> {
    let quantity = |kind: &Kind| {
        matches!(
            kind,
            Kind::Duration { .. } | Kind::Size | Kind::Ratio | Kind::Whole { .. } | Kind::Listen | Kind::OneOf(_)
        )
    };
    let takes = |key: &&Key| quantity(&key.kind) && scalar_of_kind(scalar, &key.kind).is_ok();
    block.all().find(takes).map(|key| key.name)
}

/// What a value is, for messages.
pub(crate) fn described(node: &Node) -> &'static str {
    match &node.value {
        Value::List(_) => "a list",
        Value::Map(_) => "a map",
        Value::Scalar(scalar) => match scalar.typed {
            Typed::Null => "nothing",
            Typed::Bool(_) => "a switch",
            Typed::Number(_) | Typed::NotFinite => "a number",
            Typed::Text | Typed::Broken => "a text",
        },
    }
}

/// How the key might be written.
#[expect(clippy::wildcard_enum_match_arm, reason = "only some kinds have a better example than their default")]
fn sample(key: &Key) -> String {
    let example = match key.kind {
        Kind::ListOrMap(..) => "[…]",
        _ if key.default.is_empty() || key.default.starts_with('(') => match key.kind {
            Kind::Duration { .. } => "5s",
            Kind::Ratio => "50%",
            Kind::Rate => "10/second",
            Kind::Name => "NAME",
            Kind::Url => "https://…",
            Kind::RoutePath => "/path",
            _ => "…",
        },
        _ => key.default,
    };
    format!("`{}: {example}`", key.name)
}
