//! The functions of RFC 9535 §2.4: `length`, `match`, `search`. (`count` and `value` need no more than a query.)

use std::borrow::Cow;

use regex::Regex;

use crate::shape::document::Value;
use crate::shape::number::Number;
use crate::shape::path::ast::Pattern;
use crate::shape::path::eval::Scope;
use crate::shape::path::eval::TooMuch;
use crate::shape::strings::characters;

/// How many characters, elements or members; `None` for what has none of them.
pub(super) fn length(value: &Value<'_>) -> Option<Number> {
    match value {
        Value::String(text) => Some(Number::count(characters(text))),
        Value::Container(node) => Some(Number::count(node.width())),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// Whether a pattern matches. What is no text, and what is no pattern, never does.
pub(super) fn matches<'v>(
    scope: &Scope<'v>,
    subject: Option<Value<'v>>,
    pattern: &'v Pattern,
    found: Option<Value<'v>>,
    whole: bool,
) -> Result<bool, TooMuch> {
    let Some(subject) = text(subject) else { return Ok(false) };
    let Ok(subject) = std::str::from_utf8(&subject) else { return Ok(false) };
    scope.work.spend(subject.len() / 8)?;
    let fits = |regex: Option<&Regex>| regex.is_some_and(|regex| regex.is_match(subject));
    match pattern {
        Pattern::Fixed(regex) => Ok(fits(regex.as_ref())),
        Pattern::Found(_) => {
            let Some(pattern) = text(found) else { return Ok(false) };
            let Ok(pattern) = std::str::from_utf8(&pattern) else { return Ok(false) };
            scope.work.with_pattern(pattern, whole, fits)
        }
    }
}

fn text(value: Option<Value<'_>>) -> Option<Cow<'_, [u8]>> {
    match value {
        Some(Value::String(text)) => Some(text),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Container(_)) | None => None,
    }
}
