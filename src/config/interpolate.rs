//! `${VAR}`, `${VAR:-default}`, `${file:path}`, put into scalars. What comes in is never structure and never shown.

use std::path::Path;

use crate::config::codes;
use crate::config::environment::Environment;
use crate::config::files::Included;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::Problem;
use crate::config::findings::problem;
use crate::config::node::Node;
use crate::config::node::Scalar;
use crate::config::node::Value;
use crate::config::scalar;
use crate::config::scalar::Typed;

/// `${A:-${B:-${C}}}` and no deeper than this.
const MAX_NESTING: usize = 8;

/// Where values come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Values<'a> {
    pub(crate) environment: &'a Environment,
    pub(crate) included: &'a Included,
    /// The folder of the file that is read: `${file:…}` is relative to it.
    pub(crate) folder: &'a Path,
}

/// Expands every scalar of a tree. One that cannot be is marked, so that nothing else is said about it.
pub(crate) fn expand(node: &mut Node, values: Values<'_>, at: &At<'_>, findings: &mut Findings) {
    let span = node.span;
    match &mut node.value {
        Value::Scalar(scalar) => {
            if let Err(problem) = expand_scalar(scalar, values) {
                findings.error(at, span, problem);
                scalar.typed = Typed::Broken;
            }
        }
        Value::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                expand(item, values, &at.item(index), findings);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                expand(&mut entry.value, values, &at.key(&entry.key), findings);
            }
        }
    }
}

fn expand_scalar(scalar: &mut Scalar, values: Values<'_>) -> Result<(), Problem> {
    if !scalar.text.contains("${") {
        return Ok(());
    }
    let written = scalar.text.clone();
    let expanded = text(&written, values, MAX_NESTING).map_err(|mut problem| {
        problem.offset = problem.offset.map(|offset| offset + scalar.lead);
        problem
    })?;
    if expanded.alone {
        scalar.typed = scalar::plain(&expanded.text);
    } else if scalar.typed != Typed::Text {
        scalar.typed = Typed::Text;
    }
    scalar.text = expanded.text;
    scalar.written = expanded.any.then_some(written);
    Ok(())
}

#[derive(Default)]
struct Expanded {
    text: String,
    /// Whether anything was put in; `$${` alone is none.
    any: bool,
    /// Whether it was one `${…}` and nothing else.
    alone: bool,
}

fn text(written: &str, values: Values<'_>, nesting: usize) -> Result<Expanded, Problem> {
    let mut out = Expanded::default();
    let mut rest = written;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(literal) = before.strip_suffix('$') {
            out.text.push_str(literal);
            out.text.push_str("${");
            rest = from.get(2..).unwrap_or_default();
            continue;
        }
        let offset = written.len() - from.len();
        let offset = written.get(..offset).unwrap_or_default().chars().count();
        let Some(inner) = from.get(2..).and_then(closed) else {
            let help = "close it with `}`, or write `$${` for a literal `${`";
            return Err(problem(codes::BAD_EXPANSION, "`${` is not closed").help(help).at(offset));
        };
        out.text.push_str(before);
        out.text.push_str(&value(inner, values, nesting).map_err(|problem| problem.at(offset))?);
        out.any = true;
        rest = from.get(inner.len() + 3..).unwrap_or_default();
        out.alone = offset == 0 && rest.is_empty();
    }
    out.text.push_str(rest);
    Ok(out)
}

/// The text up to the brace that closes it.
fn closed(text: &str) -> Option<&str> {
    let mut open = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => open += 1,
            '}' if open == 0 => return text.get(..at),
            '}' => open -= 1,
            _ => {}
        }
    }
    None
}

fn value(inner: &str, values: Values<'_>, nesting: usize) -> Result<String, Problem> {
    if let Some(path) = inner.strip_prefix("file:") {
        return file(path, values);
    }
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(letter) || name.starts_with(|c: char| c.is_ascii_digit()) {
        let help = "write `${NAME}`, `${NAME:-default}` or `${file:path}`; `$${` is a literal `${`";
        return Err(problem(codes::BAD_EXPANSION, format!("`{name}` is not the name of a variable")).help(help));
    }
    match (values.environment.value(name), default) {
        (Some(value), None) => Ok(value.to_owned()),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value.to_owned()),
        (_, Some(default)) if nesting > 0 => text(default, values, nesting - 1).map(|expanded| expanded.text),
        (_, Some(_)) => Err(problem(codes::BAD_EXPANSION, "defaults within defaults, too deep")),
        (None, None) => {
            let help = match values.environment.similar(name) {
                Some(similar) => format!("`{similar}` is set: is it meant? else set `{name}`"),
                None => format!("set `{name}`, or give a default: `${{{name}:-…}}`"),
            };
            Err(problem(codes::NOT_SET, format!("the environment variable `{name}` is not set")).help(help))
        }
    }
}

fn file(written: &str, values: Values<'_>) -> Result<String, Problem> {
    let path = values.folder.join(written);
    let content = match values.included.content(&path) {
        Ok(content) => String::from_utf8(content.to_vec()).map_err(|_| "it is not UTF-8".to_owned()),
        Err(reason) => Err(reason.to_owned()),
    };
    let mut content = content.map_err(|reason| {
        let help = "`${file:path}` is relative to the folder of the file it stands in";
        problem(codes::NOT_SET, format!("the file `{written}` cannot be read: {reason}")).help(help)
    })?;
    if content.ends_with('\n') {
        content.pop();
        if content.ends_with('\r') {
            content.pop();
        }
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::findings::Text;

    fn expanded(yaml: &str) -> (Node, String) {
        let mut findings = Findings::over(vec![Text { name: "t.yaml".into(), text: yaml.into() }]);
        let mut node = crate::config::parse::parse(yaml, 0, &mut findings).documents.remove(0);
        let environment = Environment::from_pairs([("N", "10"), ("EMPTY", ""), ("TREE", "{a: [1]}"), ("S", "s3cret")]);
        let mut included = Included::default();
        included.insert("/etc/token".into(), Ok(b"abc\n\n".to_vec()));
        let values = Values { environment: &environment, included: &included, folder: Path::new("/etc") };
        expand(&mut node, values, &At::document(""), &mut findings);
        (node, findings.report.findings().iter().map(|f| format!("{f}\n")).collect())
    }

    fn scalar(yaml: &str) -> Scalar {
        let (node, said) = expanded(&format!("k: {yaml}"));
        assert_eq!(said, "", "{yaml}");
        node.entry("k").unwrap().value.scalar().unwrap().clone()
    }

    #[test]
    fn one_expansion_alone_is_typed_again_and_a_mix_is_text() {
        let number = |n: &str| Typed::Number(n.to_owned());
        assert_eq!(scalar("${N}").typed, number("10"));
        assert_eq!(scalar("${NONE:-7}").typed, number("7"));
        assert_eq!(scalar("${EMPTY:-7}").typed, number("7"));
        assert_eq!(scalar("${EMPTY}").typed, Typed::Null);
        assert_eq!((scalar("${NONE:-60}s").text.as_str(), scalar("${N}s").typed), ("60s", Typed::Text));
        assert_eq!(scalar("${N}${N}").typed, Typed::Text);
        assert_eq!(scalar("${NONE:-${OTHER:-x}}").text, "x");
        assert_eq!(scalar("${NONE:-https://a/{b}}").text, "https://a/{b}");
    }

    #[test]
    fn a_value_never_adds_structure() {
        let tree = scalar("${TREE}");
        assert_eq!((tree.text.as_str(), tree.typed), ("{a: [1]}", Typed::Text));
    }

    #[test]
    fn a_file_gives_its_text_less_its_last_newline() {
        assert_eq!(scalar("${file:token}").text, "abc\n");
        assert!(expanded("k: ${file:none}").1.contains("`none` cannot be read"));
    }

    #[test]
    fn two_dollars_are_a_literal_and_no_secret() {
        let literal = scalar("a $${N} b");
        assert_eq!((literal.text.as_str(), literal.is_secret()), ("a ${N} b", false));
        assert!(scalar("$${N} ${N}").is_secret());
    }

    #[test]
    fn what_is_missing_or_malformed_is_told_at_its_column() {
        let (node, said) = expanded("k: \"a ${SS}\"\nl: ${N\nm: ${1x}\n");
        assert!(said.contains("t.yaml:1:7: the environment variable `SS` is not set"), "{said}");
        assert!(said.contains("t.yaml:2:4: `${` is not closed"), "{said}");
        assert!(said.contains("`1x` is not the name of a variable"), "{said}");
        assert!(node.get("k").is_none());
    }

    #[test]
    fn a_message_names_the_expansion_not_the_value() {
        assert_eq!(scalar("${S}").shown(), "the value of `${S}`");
    }
}
