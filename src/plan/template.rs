//! Placeholders filled in, each value encoded for the place where it stands.

use std::borrow::Cow;

use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;

use crate::config::spec::BodyTree;
use crate::config::spec::ParamKind;
use crate::config::spec::Piece;
use crate::config::spec::Template;
use crate::plan::params::Bound;
use crate::plan::params::ParamError;

/// What RFC 3986 calls unreserved stays; everything else is encoded, so no value can change a URL's structure.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Percent-encodes a value for a path segment or a query.
pub(crate) fn encode(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, ENCODED).into()
}

/// Whether a template has no placeholder.
pub(crate) fn is_constant(template: &Template) -> bool {
    template.pieces.iter().all(|piece| matches!(piece, Piece::Literal(_)))
}

/// The parameters that a template names, in order.
pub(crate) fn parameters(template: &Template) -> impl Iterator<Item = &str> {
    template.pieces.iter().filter_map(|piece| match piece {
        Piece::Placeholder(name) => Some(name.as_str()),
        Piece::Literal(_) => None,
    })
}

/// The text of a template as it is, for places that need no encoding; `None` where a parameter is absent.
pub(crate) fn plain(template: &Template, bound: &Bound) -> Option<String> {
    let mut out = String::new();
    for piece in &template.pieces {
        match piece {
            Piece::Literal(text) => out.push_str(text),
            Piece::Placeholder(name) => out.push_str(bound.get(name)?),
        }
    }
    Some(out)
}

/// The path, each value encoded as part of a segment. A value may neither be missing nor empty, nor make a segment `.`
/// or `..`: those would change the path's structure.
pub(crate) fn path(template: &Template, bound: &Bound) -> Result<String, ParamError> {
    let mut out = String::new();
    for piece in &template.pieces {
        match piece {
            Piece::Literal(text) => out.push_str(text),
            Piece::Placeholder(name) => {
                let value = bound.get(name).ok_or_else(|| ParamError::missing(name))?;
                if matches!(value, "" | "." | "..") {
                    return Err(ParamError::new(name, "it stands in a path and can't be empty, `.` or `..`"));
                }
                out.push_str(&encode(value));
            }
        }
    }
    let dotted = out.split('/').any(|segment| matches!(segment, "." | ".."));
    match parameters(template).next() {
        Some(name) if dotted => Err(ParamError::new(name, "it makes a path segment `.` or `..`")),
        Some(_) | None => Ok(out),
    }
}

/// The query string of these pairs, without `?`; pairs whose parameter is absent are dropped.
pub(crate) fn query(pairs: &[(String, Template)], bound: &Bound) -> String {
    let mut out = String::new();
    for (name, template) in pairs {
        if let Some(value) = plain(template, bound) {
            if !out.is_empty() {
                out.push('&');
            }
            out.push_str(&encode(name));
            out.push('=');
            out.push_str(&encode(&value));
        }
    }
    out
}

/// A JSON body: placeholders alone keep their type, others stay inside their string.
pub(crate) fn body(tree: &BodyTree, bound: &Bound, out: &mut String) {
    match tree {
        BodyTree::Json(text) => out.push_str(text),
        BodyTree::Param(name) => typed(name, bound, out),
        BodyTree::Text(template) => match plain(template, bound) {
            Some(text) => out.push_str(&json_string(&text)),
            None => out.push_str("null"),
        },
        BodyTree::List(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                body(item, bound, out);
            }
            out.push(']');
        }
        BodyTree::Map(fields) => {
            out.push('{');
            for (at, (name, value)) in fields.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                out.push_str(&json_string(name));
                out.push(':');
                body(value, bound, out);
            }
            out.push('}');
        }
    }
}

fn typed(name: &str, bound: &Bound, out: &mut String) {
    match (bound.get(name), bound.kind(name)) {
        (None, _) => out.push_str("null"),
        (Some(text), Some(ParamKind::Integer | ParamKind::Number | ParamKind::Boolean)) => out.push_str(text),
        (Some(text), Some(ParamKind::String) | None) => out.push_str(&json_string(text)),
    }
}

/// A text as a JSON string.
pub(crate) fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::spec::ParamSpec;
    use crate::plan::params::Values;

    fn bound(value: &str) -> Bound {
        let spec = ParamSpec {
            name: "x".into(),
            kind: ParamKind::String,
            required: false,
            default: None,
            min: None,
            max: None,
            pattern: None,
            allowed: Vec::new(),
            hidden: false,
        };
        let mut values = Values::default();
        values.set("x", value.to_owned());
        Bound::bind(&std::sync::Arc::from([spec]), &values).unwrap()
    }

    fn template(pieces: &[Piece]) -> Template {
        Template { pieces: pieces.to_vec() }
    }

    #[test]
    fn a_value_can_not_leave_its_path_segment() {
        let t = template(&[Piece::Literal("/a/".into()), Piece::Placeholder("x".into()), Piece::Literal("/b".into())]);
        assert_eq!(path(&t, &bound("c/../d?e#f%2e")).unwrap(), "/a/c%2F..%2Fd%3Fe%23f%252e/b");
        for bad in ["", ".", ".."] {
            assert!(path(&t, &bound(bad)).is_err(), "{bad:?}");
        }
        let half = template(&[Piece::Literal("/a/.".into()), Piece::Placeholder("x".into())]);
        assert!(path(&half, &bound("-")).is_ok());
        let dots = template(&[Piece::Placeholder("x".into()), Piece::Literal("./b".into())]);
        assert!(path(&dots, &bound("-")).is_ok());
    }

    #[test]
    fn a_value_can_not_add_a_query_pair() {
        let pairs = [("q".to_owned(), template(&[Piece::Placeholder("x".into())]))];
        assert_eq!(query(&pairs, &bound("a&b=c d+é")), "q=a%26b%3Dc%20d%2B%C3%A9");
    }

    #[test]
    fn a_value_can_not_leave_its_json_string() {
        let tree = BodyTree::Map(vec![
            ("a".into(), BodyTree::Param("x".into())),
            ("b".into(), BodyTree::Text(template(&[Piece::Literal("<".into()), Piece::Placeholder("x".into())]))),
        ]);
        let mut out = String::new();
        body(&tree, &bound("\",\"c\":\"\n"), &mut out);
        assert_eq!(out, r#"{"a":"\",\"c\":\"\n","b":"<\",\"c\":\"\n"}"#);
    }
}
