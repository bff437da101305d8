//! `params:` of a source: what a request may fill in.

use regex::Regex;

use crate::config::codes;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::problem;
use crate::config::node::Entry;
use crate::config::node::Node;
use crate::config::node::Scalar;
use crate::config::node::Value;
use crate::config::spec::ParamKind;
use crate::config::spec::ParamSpec;

impl ParamSpec {
    /// Whether a text fits; `Err` says what it must be.
    pub(crate) fn check(&self, text: &str) -> Result<(), String> {
        match self.kind {
            ParamKind::String => {}
            ParamKind::Integer if is_json_number(text) && !text.contains(['.', 'e', 'E']) => {}
            ParamKind::Integer => return Err("must be an integer".to_owned()),
            ParamKind::Number if is_json_number(text) => {}
            ParamKind::Number => return Err("must be a number".to_owned()),
            ParamKind::Boolean if matches!(text, "true" | "false") => {}
            ParamKind::Boolean => return Err("must be `true` or `false`".to_owned()),
        }
        self.check_limits(text)
    }

    fn check_limits(&self, text: &str) -> Result<(), String> {
        if self.min.is_some() || self.max.is_some() {
            let value = text.parse::<f64>().map_err(|_| "must be a number".to_owned())?;
            if let Some(min) = self.min.filter(|min| value < *min) {
                return Err(format!("must be at least {min}"));
            }
            if let Some(max) = self.max.filter(|max| value > *max) {
                return Err(format!("must be at most {max}"));
            }
        }
        if let Some(pattern) = self.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
            return Err(format!("must match `{}`", unanchored(pattern.as_str())));
        }
        if !self.allowed.is_empty() && !self.allowed.iter().any(|allowed| allowed == text) {
            let allowed: Vec<_> = self.allowed.iter().map(String::as_str).collect();
            return Err(format!("must be {}", crate::config::values::listed(&allowed)));
        }
        Ok(())
    }
}

/// Rust's number parsers take `+1`, `inf` and `01`, and serde_json blanks around a number; the value may have to stand
/// in a JSON body as it is.
fn is_json_number(text: &str) -> bool {
    let is_bare = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E'));
    is_bare && serde_json::from_str::<serde_json::Number>(text).is_ok()
}

fn anchored(pattern: &str) -> String {
    format!("^(?:{pattern})$")
}

fn unanchored(pattern: &str) -> &str {
    pattern.strip_prefix("^(?:").and_then(|rest| rest.strip_suffix(")$")).unwrap_or(pattern)
}

/// Reads `params:`.
pub(crate) fn params(node: &Node, at: &At<'_>, findings: &mut Findings) -> Vec<ParamSpec> {
    let at = at.key("params");
    let entries = node.get("params").map(Node::entries).unwrap_or_default();
    entries.iter().map(|entry| param(entry, &at.key(&entry.key), findings)).collect()
}

fn param(entry: &Entry, at: &At<'_>, findings: &mut Findings) -> ParamSpec {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !entry.key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') || !entry.key.chars().all(letter) {
        let wrong = problem(codes::BAD_NAME, format!("`{}` cannot be the name of a parameter", entry.key));
        findings.error(at, entry.at, wrong.help("write letters, digits, `_` and `-`, a letter first"));
    }
    reserved(entry, at, findings);
    let node = &entry.value;
    let kind = match node.word("type") {
        Some("integer") => ParamKind::Integer,
        Some("number") => ParamKind::Number,
        Some("boolean") => ParamKind::Boolean,
        Some(_) | None => ParamKind::String,
    };
    let numeric = matches!(kind, ParamKind::Integer | ParamKind::Number);
    let of_key = |key: &str| node.get(key).into_iter().chain(node.get(key).map(Node::items).unwrap_or_default());
    let limits_of = ["min", "max", "pattern", "enum"].into_iter().flat_map(of_key);
    let hidden = limits_of.filter_map(Node::scalar).any(Scalar::is_secret);
    let mut spec = ParamSpec {
        hidden,
        name: entry.key.clone(),
        kind,
        required: node.switch("required").unwrap_or(false),
        default: None,
        min: node.number("min"),
        max: node.number("max"),
        pattern: pattern(node, at, findings),
        allowed: node
            .get("enum")
            .map(Node::items)
            .unwrap_or_default()
            .iter()
            .filter_map(Node::text)
            .map(str::to_owned)
            .collect(),
    };
    for key in ["min", "max"] {
        if node.get(key).is_some() && !numeric {
            let wrong = problem(codes::BAD_PARAM_LIMIT, format!("`{key}` is for numbers and integers"));
            findings.error(&at.key(key), node.spot_of(key), wrong.help("write `type: number`, or remove it"));
        }
    }
    if node.get("pattern").is_some() && kind != ParamKind::String {
        let wrong =
            problem(codes::BAD_PARAM_LIMIT, "`pattern` is for strings").help("write `type: string`, or remove it");
        findings.error(&at.key("pattern"), node.spot_of("pattern"), wrong);
    }
    limits(node, &mut spec, numeric, at, findings);
    default(node, &mut spec, at, findings);
    spec
}

/// What `/aggregate` and `/aggregate/{source}` take for themselves never reaches a parameter.
fn reserved(entry: &Entry, at: &At<'_>, findings: &mut Findings) {
    let name = entry.key.as_str();
    let of = match name {
        "sources" => "`/aggregate?sources=a,b` picks sources",
        "raw" => "`/aggregate/{source}?raw` asks for the bytes as they are",
        _ => return,
    };
    let wrong = problem(codes::BAD_NAME, format!("`{name}` cannot be the name of a parameter: {of}"));
    let help =
        format!("rename it, and write `{name}: \"{{{name}_}}\"` under `query` where the upstream wants that name");
    findings.error(at, entry.at, wrong.help(help));
}

/// Limits that contradict each other are told once, and then forgotten.
fn limits(node: &Node, spec: &mut ParamSpec, numeric: bool, at: &At<'_>, findings: &mut Findings) {
    if let (Some(min), Some(max)) = (spec.min, spec.max)
        && min > max
    {
        let wrong = problem(codes::BAD_PARAM_LIMIT, format!("`max` ({max}) is less than `min` ({min}): nothing fits"));
        findings.error(&at.key("max"), node.spot_of("max"), wrong.help("exchange the two"));
        (spec.min, spec.max) = (None, None);
    }
    if !numeric {
        (spec.min, spec.max) = (None, None);
    }
    if spec.kind != ParamKind::String {
        spec.pattern = None;
    }
    if node.get("enum").is_some_and(|list| matches!(&list.value, Value::List(items) if items.is_empty())) {
        let none = problem(codes::BAD_PARAM_LIMIT, "an empty `enum`: nothing would fit");
        findings.error(&at.key("enum"), node.spot_of("enum"), none.help("list what fits, or remove `enum`"));
    }
    let allowed = std::mem::take(&mut spec.allowed);
    for item in node.get("enum").map(Node::items).unwrap_or_default() {
        let Some(scalar) = item.scalar().filter(|_| !item.is_null()) else { continue };
        if let Err(must) = spec.check(&scalar.text) {
            let wrong = problem(codes::BAD_PARAM_VALUE, format!("{} in `enum` {must}", scalar.shown()));
            findings.error(&at.key("enum"), item.span, wrong.help("remove it, or change the other limits"));
        }
    }
    spec.allowed = allowed;
}

fn default(node: &Node, spec: &mut ParamSpec, at: &At<'_>, findings: &mut Findings) {
    let Some(scalar) = node.get("default").and_then(Node::scalar) else { return };
    let at = at.key("default");
    let span = node.spot_of("default");
    if spec.required {
        let wrong = problem(codes::REQUIRED_WITH_DEFAULT, "a required parameter never takes its default");
        findings.error(&at, span, wrong.help("remove `default`, or `required: true`"));
        return;
    }
    match spec.check(&scalar.text) {
        Ok(()) => spec.default = Some(scalar.text.clone()),
        Err(must) => {
            let wrong =
                problem(codes::BAD_PARAM_VALUE, format!("the default {} does not fit: it {must}", scalar.shown()));
            findings.error(&at, span, wrong.help("write a default that requests may send too"));
        }
    }
}

fn pattern(node: &Node, at: &At<'_>, findings: &mut Findings) -> Option<Regex> {
    let scalar = node.get("pattern")?.scalar()?;
    // Compiled alone first: `a)(b` is right only between the anchors.
    match Regex::new(&scalar.text).and_then(|_| Regex::new(&anchored(&scalar.text))) {
        Ok(regex) => Some(regex),
        Err(error) => {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            let what = if scalar.is_secret() { scalar.shown() } else { "this".to_owned() };
            let wrong = problem(codes::BAD_PATTERN, format!("{what} is not a regular expression: {reason}"));
            let help = "write one in the syntax of Rust's `regex`, such as `[a-z]{2}`; put it in single quotes";
            findings.error(&at.key("pattern"), node.spot_of("pattern"), wrong.help(help));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(kind: ParamKind) -> ParamSpec {
        let (min, max, pattern) = (None, None, None);
        ParamSpec {
            name: "p".into(),
            kind,
            required: false,
            default: None,
            min,
            max,
            pattern,
            allowed: Vec::new(),
            hidden: false,
        }
    }

    #[test]
    fn a_text_fits_its_type() {
        for (kind, good, bad) in [
            (ParamKind::Integer, vec!["0", "-5", "12345678901234567890"], vec!["", "-", "1.5", "1e3", "+1", " 1"]),
            (ParamKind::Number, vec!["1.5", "-0", "1e3"], vec!["", "1.", "nan", "inf", "0x1", "01"]),
            (ParamKind::Boolean, vec!["true", "false"], vec!["yes", "1", "True"]),
        ] {
            for text in good {
                assert_eq!(spec(kind).check(text), Ok(()), "{text}");
            }
            for text in bad {
                assert!(spec(kind).check(text).is_err(), "{kind:?} {text}");
            }
        }
    }

    #[test]
    fn limits_hold_at_their_ends_and_patterns_are_anchored() {
        let ranged = ParamSpec { min: Some(-90.0), max: Some(90.0), ..spec(ParamKind::Number) };
        assert!(ranged.check("90").is_ok() && ranged.check("-90").is_ok());
        assert_eq!(ranged.check("90.1"), Err("must be at most 90".into()));
        let pattern = Regex::new(&anchored("a|b")).ok();
        let worded = ParamSpec { pattern, ..spec(ParamKind::String) };
        assert!(worded.check("a").is_ok() && worded.check("ab").is_err());
        assert_eq!(worded.check("c"), Err("must match `a|b`".into()));
    }
}
